r"""The grammar of names and model IDs, the nearest right word for a wrong one, a noun's number.

Patterns are ASCII classes for `fullmatch`: `$` would accept a trailing newline and `\d`
digits of other scripts, and both have been used to smuggle look-alikes past a reviewer.
"""

import re
from collections.abc import Iterable, Sequence

OPENAI = "openai"
"""The provider where nothing else is said."""
FLAT = {"json": "flat"}
"""Metadata of a field of values whose keys, in JSON, are those of the value that it is part of."""
MOST_WEIGHT = 50
"""Most percent of the keys that a canary answers: of more than half it is no trial."""
MAX_FILE_BYTES = 8 * 1024 * 1024
"""The largest file of the repository that is read whole, examples and evidence aside."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_RESERVED = frozenset({"version", "model", "job", "rollback", "adopt"})
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:#/+-]{0,255}")
MISTYPED = 0.97
"""How like an ID is that it was mistyped from: two versions of a model are 0.93."""
_TELLING = 3
"""Characters of a name that tell which one is meant."""
_SEPARATOR = re.compile(r"[/.:\\ ]+")
_NOT_OPENAI = re.compile("[/#+]")
_NOT_MODELS = {
    "ftjob-": "a fine-tuning job: use --job",
    "ftckpt_": "a checkpoint record: use its `fine_tuned_model_checkpoint`",
    "file-": "an uploaded file",
    "batch_": "a batch",
}


def name_problem(name: str) -> str:
    """Say why `name` cannot name a task, environment, profile or provider; "" if it can."""
    if name in _RESERVED:
        return f"{name!r} is reserved"
    if _NAME.fullmatch(name):
        return ""
    return f"{name!a} is not a name: 1 to 63 of a-z 0-9 _ -, starting with a letter or digit"


def model_problem(model: str, provider: str = "") -> str:
    """Say why `model` cannot be a model ID at `provider`, or at none; "" if it can."""
    for prefix, what in _NOT_MODELS.items():
        if model.startswith(prefix):
            return f"{model!a} is not a model but {what}"
    if not _MODEL.fullmatch(model):
        return _malformed(model)
    if any(segment in {"", ".."} for segment in model.split("/")):
        return f"{model!r} is not a model ID: it has an empty or `..` segment"
    if provider == OPENAI and (wrong := _NOT_OPENAI.search(model)):
        return f"{model!r} is not an OpenAI model ID: it contains {wrong[0]!r}"
    return ""


def _malformed(model: str) -> str:
    stranger = next((char for char in model if not " " < char < "\x7f"), None)
    if stranger is not None:
        what = "a blank" if stranger == " " else f"U+{ord(stranger):04X}"
        return f"{model!a} is not a model ID: it contains {what}"
    return (
        f"{model[:80]!a} is not a model ID: 1 to 256 of A-Za-z0-9._:#/+-, "
        "starting with a letter or digit"
    )


def meant(word: str, known: Iterable[str], otherwise: str = "", *, quoted: bool = True) -> str:
    """Return the hint at the entry of `known` that `word` most likely means, or `otherwise`.

    A word of a file is `quoted`, one that is typed on the command line is not.
    """
    near = nearest(word, known)
    if not near:
        return otherwise
    return f"did you mean {near!a}?" if quoted else f"did you mean {near}?"


def nearest(word: str, known: Iterable[str], like: float = 0.6) -> str:
    """Return the entry of `known` that `word` most likely means; "" where none is so `like` it."""
    from difflib import get_close_matches  # only a failing command pays for it

    words = list(known)
    close = next(iter(get_close_matches(word, words, n=1, cutoff=like)), "")
    begun = [name for name in words if len(word) >= _TELLING and name.startswith(word)]
    return close or min(begun, key=len, default="")


def not_one_of(what: str, word: str, known: Sequence[str]) -> dict[str, str]:
    """Return message and hint of the error that `word` is none of those that a flag takes."""
    message = f"{what} {word!a} is not one of {', '.join(known)}"
    return {"message": message, "hint": meant(word, known, quoted=False)}


def target_meant(word: str, known: Sequence[str]) -> str:
    """Return the hint at the targets of `known` that `word` may mean.

    They are of the task that it names, or all but names: never another team's.
    """
    pairs = {name: name.partition("/")[::2] for name in known}
    tasks = dict.fromkeys(task for task, _ in pairs.values())
    task, slash, environment = _pair(word, tasks)
    if slash and f"{environment}/{task}" in pairs:
        return f"did you mean {environment}/{task}?"
    if not slash and task in tasks:
        return f"{task} is a task: {_listed([n for n in known if pairs[n][0] == task])}?"
    near = nearest(task, tasks if slash else [part for pair in pairs.values() for part in pair])
    own = [name for name in known if pairs[name][0 if near in tasks else 1] == near]
    if slash and (end := nearest(environment, [pairs[name][1] for name in own])):
        own = [f"{near}/{end}"]
    if own:
        return f"did you mean {_listed(own, ' or ')}?"
    return f"the file has: {_listed(known) or 'none yet'}"


def _pair(word: str, tasks: Iterable[str]) -> tuple[str, str, str]:
    """Take a word apart as a target, written `TASK.ENVIRONMENT` or `Task-environment`, too."""
    said = _SEPARATOR.sub("/", word, count=1).lower().strip("/")
    begun = [task for task in tasks if said.startswith((f"{task}-", f"{task}_"))]
    if length := len(max(begun, key=len, default="")):
        said = f"{said[:length]}/{said[length + 1 :]}"
    return said.partition("/")


def _listed(known: Sequence[str], last: str = ", ") -> str:
    """List a few names; a file may have thousands."""
    shown, more = known[:8], len(known) - 8
    listed = ", ".join(shown[:-1]) + last + shown[-1] if shown[1:] else "".join(shown)
    return f"{listed} and {more:,} more" if more > 0 else listed


def undecoded(words: Iterable[str]) -> str:
    """Return the first word that is not text: Python's stand-ins for bytes that are not UTF-8."""
    # Not compiled ahead: a range of Unicode costs a start that needs none as much as all else here.
    half = (word for word in words if not word.isascii() and re.search("[\ud800-\udfff]", word))
    return next(half, "")


def override_variable(task: str, environment: str) -> str:
    """Name the environment variable that overrides a target for one process."""
    return f"FFTDEPLOY_MODEL_{task}_{environment}".upper().replace("-", "_")


def job_problem(job: str) -> str:
    """Say why `job` cannot be a fine-tuning job's ID; "" if it can."""
    if re.fullmatch(r"ftjob-[A-Za-z0-9_-]{1,200}", job):
        return ""
    return f"{job[:80]!a} is not a fine-tuning job: they start with ftjob-"


def plural(count: int, noun: str) -> str:
    """Return a number with its noun, as in `1 example` and `1,250 examples`."""
    ending = "" if count == 1 else "es" if noun.endswith("ch") else "s"
    return f"{count:,} {noun}{ending}"
