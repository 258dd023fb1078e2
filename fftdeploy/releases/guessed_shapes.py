"""Recognises a deployments file in a shape that people guess first, and says it as it is written.

`production = "ft:..."` becomes `[triage.production]` with `model = "ft:..."` below it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fftdeploy import names
from fftdeploy.errors import ConfigError
from fftdeploy.formats import positions, toml_reader
from fftdeploy.formats.document import Document

USUAL_TASK = "triage"
"""What a task is called where nothing says it."""
_ENVIRONMENTS = {
    *("dev", "develop", "development", "test", "testing", "qa", "uat", "canary", "beta", "preview"),
    *("stage", "staging", "preprod", "pre-prod", "prod", "production", "live"),
}
_CONTAINERS = {
    *("environments", "environment", "envs", "env", "deployments", "deployment"),
    *("models", "targets", "tasks"),
}
_LAST = "production"
_MOST = 20
"""Targets whose lines are shown."""

Path = tuple[str, ...]


class _Guessed(NamedTuple):
    """A target that is meant: where its table or its model stands, and what that says."""

    path: Path
    name: tuple[str, str]
    """Its task, "" where the file names none, and its environment."""
    model: str
    is_table: bool


class GuessedShape(NamedTuple):
    """What a file in another shape means, as this one is written."""

    lines: tuple[str, ...]
    text: str
    """The whole file, with its comments; "" where more than the shape is in the way."""
    first: Path
    """Where the first of its targets is written."""


def guess(document: Document, task: str = "") -> GuessedShape | None:
    """Return what a file means that is no deployments file; None where that can't be told.

    `task` is what the targets are of that name none; "" takes it from a fine-tune's suffix.
    """
    found = [*_targets(document.data)]
    if all(each.is_table and each.path == each.name for each in found):
        return None  # no target has another shape
    task = task or task_of(each.model for each in found)
    named = {each.path: (each.name[0] or task, each.name[1]) for each in found}
    models = {named[each.path]: each.model for each in found}
    if len(models) != len(found) or any(map(names.name_problem, sum(models, ()))):
        return None
    if any(_is_setting(document, part) for path in named for part in path):
        return None  # it may be a secret, and is shown to nobody
    lines = ["version = 1"]
    for name, model in [*models.items()][:_MOST]:
        lines += [_header(name), f'model = "{model}"']
    if len(models) > _MOST:
        lines.append(f"# and {len(models) - _MOST} more")
    text = _rewritten(document, named)
    return GuessedShape(tuple(lines), text if _says(text, models) else "", found[0].path)


def refuse(document: Document) -> None:
    """Refuse a file in such a shape."""
    if meant := guess(document):
        error = document.error(
            meant.first,
            "what is live is written [TASK.ENVIRONMENT] with a model; these lines say the same",
            "fftdeploy init --rewrite" if meant.text else "write it so",
            "shape",
        )
        error.details = meant.lines
        raise error


def _is_setting(document: Document, key: str) -> bool:
    try:
        document.refuse_setting(key, ())
    except ConfigError:
        return True
    return False


def _targets(data: Mapping[str, Any], above: Path = ()) -> Iterator[_Guessed]:
    """Yield what may be targets: tables with a model, and strings that may be one."""
    for key, value in data.items():
        path = (*above, key)
        is_table = isinstance(value, dict)
        model = value.get("model") if is_table else value
        if not isinstance(model, str) or names.model_problem(model):
            if is_table and len(path) < 3:
                yield from _targets(value, path)
        elif is_table or key in {"model", *_ENVIRONMENTS} or model.startswith("ft:"):
            yield _Guessed(path, _name(path), model, is_table)


def _name(path: Path) -> tuple[str, str]:
    *above, last = path[1:] if path[0] in _CONTAINERS and len(path) > 1 else path
    if above:
        return above[-1], last
    if last == "model":
        return "", _LAST
    return ("", last) if last in _ENVIRONMENTS or len(path) > 1 else (last, _LAST)


def task_of(models: Iterable[str]) -> str:
    """Return a fine-tune's suffix less its number: `triage` of `ft:BASE:acme:triage-v8:BbCc8`."""
    for tuned in filter(lambda model: model.startswith("ft:"), models):
        suffix = tuned.split(":")[3].lower() if tuned.count(":") > 3 else ""
        task = suffix.rstrip("0123456789.").removesuffix("v").rstrip("-_")
        if not names.name_problem(task):
            return task
    return USUAL_TASK


def _rewritten(document: Document, named: Mapping[Path, tuple[str, str]]) -> str:
    """Return the text with each of these written as a target; every other line is as it was."""
    text, pieces, done = document.text, [], 0
    if "version" not in document.data:
        pieces.append("version = 1\n\n")
    inside: Path = ()
    for statement in positions.statements(text):
        path = statement.path if statement.brackets else (*inside, *statement.path)
        inside = statement.path if statement.brackets else inside
        new, end = None, statement.end
        if statement.brackets == 1 and path in named:
            new = _header(named[path])
        elif statement.brackets == 1 and any(path == each[:-1] for each in named):
            new, end = "", positions.end_of_line(text, statement.end)
        elif path in named:
            new = f"{_header(named[path])}\nmodel = {text[statement.value : end]}"
        if new is not None:
            pieces += [text[done : statement.start], new]
            done = end
    return "".join([*pieces, text[done:]])


def _says(text: str, models: Mapping[tuple[str, str], str]) -> bool:
    try:
        data = toml_reader.loads(text)
    except ValueError:
        return False
    meant: dict[str, Any] = {"version": 1}
    for (task, environment), model in models.items():
        meant.setdefault(task, {})[environment] = {"model": model}
    return data == meant


def _header(name: tuple[str, str]) -> str:
    return f"[{'.'.join(name)}]"
