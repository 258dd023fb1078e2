"""Examples that a training file or a prompt has: what a model has seen says little of what it can.

Only what users say is compared: instructions are often the same for all.  Two inputs are the same
if their words are, and near if at least `NEAR` of their runs of three words (Jaccard: those in
both, over those in either) are shared.  Runs that more than one example in a hundred has are
boilerplate and left out.
"""

from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil
from pathlib import Path
from typing import Any

from fftdeploy import files
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.examples import chat_messages
from fftdeploy.evaluation.examples.examples import ExampleSet
from fftdeploy.evaluation.examples.raw_lines import HeldFile, RawLine
from fftdeploy.evaluation.similarity import first_words
from fftdeploy.formats import strict_json
from fftdeploy.formats.strict_json import StrictError

NEAR = 0.5
RUN = 3
LEAST = 4
"""Words of an example that is looked for in a longer text: fewer may stand there by chance."""
_BUCKETS = 1 << 18
SPARED = 20
"""A run that so few examples have is no boilerplate, however small the set."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """What examples and a training file have in common."""

    file_sha: str
    """SHA-256 of the training file, in hex."""
    exact: tuple[str, ...]
    """IDs of examples whose input is in it, in the order of the set."""
    near: tuple[str, ...]
    """IDs of those of which something alike is."""
    lines: int = 0
    """Of the training file."""
    silent: int = 0
    """Those of them in which no user says a word: there is nothing to compare."""


def overlap(examples: ExampleSet, training: Path, *, root: Path) -> Overlap:
    """Look for the inputs of the examples in a training file.

    Args:
        examples: Read twice; a few numbers are kept of each.
        training: JSONL for supervised, preference or reinforcement fine-tuning.
        root: The folder that it may not leave.

    Raises:
        ConfigError: It is empty, or a line of it has no messages, or is no JSON.
        ConflictError: The examples changed.
    """
    index = _RareRuns(examples)
    with files.opened(training, root=root) as (file, _, _):
        held = HeldFile(training, str(training), root, file)
    lines = silent = 0
    for line in held.lines():
        lines += 1
        if said := first_words(_training_text(line, held.shown)):
            index.look_for(said)
        else:
            silent += 1
    if not lines:
        raise ConfigError("the training file is empty", where=held.shown, code="empty")
    exact = tuple(examples.ids[at] for at in sorted(index.exact))
    near = tuple(examples.ids[at] for at in sorted(index.near - index.exact))
    return Overlap(held.sha256, exact, near, lines, silent)


def shown_in(examples: ExampleSet, prompt: str, questions: Collection[str]) -> list[int]:
    """Return the places of the examples that a prompt shows, wherever it does.

    Users say one of its `questions`, by their words; or their words stand in the prompt, or at
    least `NEAR` of their runs do, which with fewer than `LEAST` words says nothing.  The others
    of an example's group are the same question, and so among them.
    """
    known = {tuple(first_words(text)) or (text.strip(),) for text in questions}
    theirs = word_runs(first_words(prompt, len(prompt)))
    if not known and len(theirs) <= LEAST - RUN:
        return []
    counted, found, some = _RunCounts(examples), set[int](), list[int]()
    for at in range(len(examples)):
        said = first_words(text := users_say(examples.read(at).messages))
        if (tuple(said) or (text.strip(),)) in known:
            found.add(at)
        if not theirs.isdisjoint(counted.add(said)):
            some.append(at)
    for at in some:
        said = counted.words(at)
        rare = counted.rare(said)
        is_most = len(rare & theirs) >= max(LEAST - 1, NEAR * len(rare))
        if len(said) >= LEAST and (is_most or word_runs(said) <= theirs):
            found.add(at)
    groups = {examples.group(at) for at in found} - {""}
    return [at for at in range(len(examples)) if at in found or examples.group(at) in groups]


class _RunCounts:
    """Which runs of words so many examples have that they are boilerplate."""

    def __init__(self, examples: ExampleSet) -> None:
        self.examples = examples
        self._often = array("I", bytes(4 * _BUCKETS))

    def add(self, said: list[str]) -> set[int]:
        """Count the runs of one more example, and return them."""
        runs = word_runs(said)
        for run in runs:
            self._often[run % _BUCKETS] += 1
        return runs

    def words(self, at: int) -> list[str]:
        """Return what users say in an example."""
        return first_words(users_say(self.examples.read(at).messages))

    def rare(self, said: list[str]) -> set[int]:
        """Return the runs that are no boilerplate."""
        most = max(SPARED, len(self.examples) // 100)
        return {run for run in word_runs(said) if self._often[run % _BUCKETS] <= most}


class _RareRuns(_RunCounts):
    """Where the rarest runs of words of each example stand.

    If two sets share `NEAR` of what they have, they also share one of the first few of each, in
    any order that is the same for both; rare ones first makes the lists to look through short.
    Source: Chaudhuri, Ganti and Kaushik 2006, "A primitive operator for similarity joins".
    """

    def __init__(self, examples: ExampleSet) -> None:
        super().__init__(examples)
        self.exact: set[int] = set()
        self.near: set[int] = set()
        self._whole: dict[int, list[int]] = {}
        self._first: dict[int, list[int]] = {}
        for at in range(len(examples)):
            said = self.words(at)
            self._whole.setdefault(_number(said), []).append(at)
            self.add(said)
        for at in range(len(examples)):
            for run in self._rarest(self.rare(self.words(at))):
                self._first.setdefault(run, []).append(at)

    def look_for(self, said: list[str]) -> None:
        """Note the examples that are the same as this input, or alike."""
        self.exact.update(self._whole.get(_number(said), ()))
        runs = self.rare(said)
        found = {at for run in self._rarest(runs) for at in self._first.get(run, ())}
        for at in found - self.near - self.exact:
            ours = self.rare(self.words(at))
            if len(ours & runs) >= NEAR * len(ours | runs):
                self.near.add(at)

    def _rarest(self, runs: set[int]) -> list[int]:
        ranked = sorted(runs, key=lambda run: (self._often[run % _BUCKETS], run))
        return ranked[: len(runs) - ceil(NEAR * len(runs)) + 1] if runs else []


def word_runs(said: list[str]) -> set[int]:
    """Return a number for each run of words; a shorter text is one run."""
    last = max(len(said) - RUN + 1, min(len(said), 1))
    return {_number(said[start : start + RUN]) for start in range(last)}


def _number(said: Iterable[str]) -> int:
    return int.from_bytes(blake2b(" ".join(said).encode(), digest_size=8).digest())


def users_say(messages: Iterable[Any]) -> str:
    """Return all that users say in a chat, as one text."""
    said = []
    for message in messages:
        if isinstance(message, dict) and message.get("role") == "user":
            said += chat_messages.texts(message)
    return "\n".join(said)


def _training_text(line: RawLine, shown: str) -> str:
    where = f"{shown}:{line.number}:1"
    if line.is_too_long:
        raise ConfigError("this line is too long to be a training example", where=where)
    problem = "this line has no messages"
    try:
        value = strict_json.read(line.raw.decode())
    except (StrictError, UnicodeDecodeError):
        value, problem = None, "this line is no JSON"
    for path in ("messages", "input.messages", "item.messages", "item.input"):
        found = strict_json.lookup(value, path) if isinstance(value, dict) else None
        if isinstance(found, list):
            return users_say(found)
        if isinstance(found, str):
            return found
    raise ConfigError(problem, hint="a training file is JSONL", where=where)
