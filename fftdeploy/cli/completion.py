"""Shell completion from the files alone, at the price of reading them; it never fails.

What the shell gets goes on the command line: only names and model IDs, whatever the files say.
"""

import contextlib
import inspect
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from fftdeploy.names import model_problem, name_problem

FORMATS = ("text", "json", "markdown", "github")
_Completion = Callable[[typer.Context, str], list[str]]
_BASH = "complete_bash"
VARIABLE = "_FFTDEPLOY_COMPLETE"


class _Files:
    """What completion knows of the files that a command line is about."""

    def __init__(self, context: typer.Context) -> None:
        self.named = context.params.get("file")
        # Behind a flag that lacks its value nothing is bound to its parameter yet.
        bound = context.params.get("target") or next(iter(context.args), "")
        self.target = str(bound)

    @cached_property
    def path(self) -> Path:
        from fftdeploy.routing.runtime import find_file

        return Path(find_file(self.named, os.environ))

    def read(self, path: Path) -> dict[str, Any]:
        from fftdeploy.formats import toml_reader
        from fftdeploy.names import MAX_FILE_BYTES

        if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            return {}
        return toml_reader.loads(path.read_text("utf-8-sig"))

    @property
    def policy(self) -> dict[str, Any]:
        return self.read(self.path.with_name("fftdeploy.toml"))

    @property
    def targets(self) -> dict[str, Mapping[str, Any]]:
        return {
            f"{task}/{environment}": table
            for task, environments in self.read(self.path).items()
            if isinstance(environments, dict) and not name_problem(task)
            for environment, table in environments.items()
            if isinstance(table, dict) and not name_problem(environment)
        }

    @property
    def own(self) -> Mapping[str, Any]:
        """The target that is on the command line already; nothing where there is none yet."""
        targets = self.targets
        named = [name for name in targets if self.target in {name, name.partition("/")[2]}]
        return targets[named[0]] if len(named) == 1 else {}


_Find = Callable[[_Files, str], Iterable[str]]
"""Finds what may stand at a place, by the files and what is typed there so far."""


def _rows(table: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    rows = table.get(key, [])
    yield from (row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()


def _names(words: Iterable[object]) -> list[str]:
    texts = dict.fromkeys(word for word in words if isinstance(word, str))
    return [word for word in texts if not name_problem(word)]


def _models(found: Iterable[object], incomplete: str) -> list[str]:
    """Return what models are called, and their IDs once something of one is typed."""
    from fftdeploy.model_ids.model_names import shown_names

    models = {model for model in found if isinstance(model, str) and not model_problem(model)}
    return [*shown_names(sorted(models)).values(), *(sorted(models) if incomplete else ())]


def _models_of(tables: Iterable[Mapping[str, Any]]) -> Iterator[object]:
    for table in tables:
        yield table.get("model")
        yield from (row.get("model") for row in _rows(table, "releases"))


def _completion(find: _Find) -> _Completion:
    """Make `find` a completion: what it finds that goes on from what is typed, and no failure."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        from fftdeploy.errors import FftdeployError

        try:
            found = list(dict.fromkeys(find(_Files(context), incomplete)))
        except (FftdeployError, OSError, ValueError):
            return []
        return [word for word in found if word.startswith(incomplete)]

    return complete


def _one_after_another(find: _Find) -> _Find:
    """Make `find` find each word of a list with commas."""

    def find_last(files: _Files, incomplete: str) -> Iterator[str]:
        before, comma, last = incomplete.rpartition(",")
        given = set(before.split(","))
        yield from (f"{before}{comma}{word}" for word in find(files, last) if word not in given)

    return find_last


def _providers(_: _Files, __: str) -> Iterable[str]:
    from fftdeploy.api.providers import read

    return read(os.environ, ()).known


def _constant(module: str, name: str) -> _Find:
    """Find the words of a constant, which is imported once they are asked for."""
    return lambda _, __: getattr(import_module(f"fftdeploy.{module}"), name)


def _schemas(_: _Files, __: str) -> Iterable[str]:
    from fftdeploy.commands.schema_files import MAKERS

    return (*MAKERS, "output")


def _tasks(files: _Files) -> list[str]:
    used = (name.partition("/")[0] for name in files.targets)
    return _names([*used, *_table(files.policy, "tasks")])


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _ordered(files: _Files) -> list[str]:
    policy = files.policy
    order = policy.get("order")
    listed = order if isinstance(order, list) else []
    return _names([*listed, *_table(policy, "environments")])


def _environments(files: _Files) -> list[str]:
    return _names([*_ordered(files), *(name.partition("/")[2] for name in files.targets)])


def _compared(files: _Files, _: str) -> list[str]:
    return [*_environments(files), *files.targets, *_tasks(files)]


def _planned(files: _Files, _: str) -> list[str]:
    """Name the targets that there are, and those that the policy knows."""
    tasks = _names(_table(files.policy, "tasks"))
    return [*files.targets, *(f"{task}/{name}" for task in tasks for name in _ordered(files))]


def _profiles(files: _Files) -> list[str]:
    return _names(sorted(path.stem for path in files.path.parent.glob("profiles/*.toml")))


def _candidates(files: _Files, incomplete: str) -> Iterator[str]:
    """Yield `live`, models, and `MODEL@PROFILE` once the `@` is typed."""
    model, at, _ = incomplete.partition("@")
    if at:
        yield from (f"{model}@{profile}" for profile in _profiles(files))
    else:
        yield from ("live", *_models(_models_of(files.targets.values()), incomplete))


def _releases(files: _Files, incomplete: str) -> list[str]:
    rows = list(_rows(files.own, "releases"))
    numbers = [str(row["n"]) for row in rows if isinstance(row.get("n"), int)]
    return [*numbers, *_models((row.get("model") for row in rows), incomplete)]


def _held(files: _Files, incomplete: str) -> list[str]:
    rows = (row for row in _rows(files.own, "holds") if "lifted" not in row)
    return _models((row.get("model") for row in rows), incomplete)


def _evidence(files: _Files, _: str) -> list[str]:
    found = files.path.parent.glob(".fftdeploy/evidence/*/*.json")
    newest = sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
    return [path.stem[:12] for path in newest if re.fullmatch("[0-9a-f]{12,}", path.stem)]


def _runs(files: _Files, _: str) -> list[str]:
    found = files.path.parent.glob(".fftdeploy/runs/*.jsonl")
    return sorted(path.stem for path in found if re.fullmatch(r"[\w-]+", path.stem, re.ASCII))


_FINDS: dict[str, _Find] = {
    "target": lambda files, _: files.targets,
    "targets": lambda files, _: [*files.targets, *_tasks(files)],
    "task": lambda files, _: _tasks(files),
    "a": _compared,
    "b": _compared,
    "source": lambda files, _: _environments(files),
    "model": lambda files, word: _models(_models_of(files.targets.values()), word),
    "unhold model": _held,
    "expect_current": lambda files, word: _models([files.own.get("model")], word),
    "candidates": _candidates,
    "to": _one_after_another(_candidates),
    "against": _one_after_another(lambda files, word: ["base", *_candidates(files, word)]),
    "rollback to": _releases,
    "profile": lambda files, _: _profiles(files),
    "evidence": _evidence,
    "run": _runs,
    "overrides": _one_after_another(_constant("releases.records", "OVERRIDES")),
    "fail_on": _one_after_another(_constant("commands.inspecting.conditions", "CONDITIONS")),
    "which": _schemas,
    "export kind": _constant("routing.exports", "FORMATS"),
    "ci": lambda _, __: ("github", "gitlab"),
    "issues": lambda _, __: ("github", "gitlab"),
    "form": lambda _, __: FORMATS,
    "provider": _providers,
    "promote target": _planned,
    "eval target": _planned,
    "size target": _planned,
    "adopt target": _planned,
    "history target": lambda files, _: [*files.targets, *_tasks(files)],
}
"""What a parameter takes, by its name, or by those of its command and its own."""


@contextlib.contextmanager
def offered(app: typer.Typer) -> Iterator[None]:
    """Have the parameters of all commands of `app` completed, where they are of a known kind.

    In bash each `:` of a model ID is a word of its own.  The words are put together again, and
    what is said goes on from the last `:`.
    """
    for registered in app.registered_commands:
        callback: Any = registered.callback
        known = inspect.signature(callback).parameters.values()
        parameters = [_completed(str(registered.name), parameter) for parameter in known]
        callback.__signature__ = inspect.Signature(parameters)
        callback.__annotations__ = {p.name: p.annotation for p in parameters}
    words = os.environ.get("COMP_WORDS", "").split("\n")
    if os.environ.get(VARIABLE) != _BASH or not any(map(_is_colons, words)):
        yield
        return
    joined: list[str] = []
    for word in words[: int(os.environ["COMP_CWORD"]) + 1]:
        if joined and (joined[-1].endswith(":") or _is_colons(word)):
            joined[-1] += word
        else:
            joined.append(word)
    typed = joined[-1].rpartition(":")
    os.environ["COMP_WORDS"] = "\n".join(joined)
    os.environ["COMP_CWORD"] = str(len(joined) - 1)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            yield
    finally:
        for line in said.getvalue().splitlines():
            typer.echo(line.removeprefix("".join(typed[:2])))


def _completed(command: str, parameter: inspect.Parameter) -> inspect.Parameter:
    find = _FINDS.get(f"{command} {parameter.name}") or _FINDS.get(parameter.name)
    if find is None:
        return parameter
    kind, info = get_args(parameter.annotation)
    info = copy(info)
    info.autocompletion = _completion(find)
    return parameter.replace(annotation=Annotated[kind, info])


def _is_colons(word: str) -> bool:
    return bool(word) and not word.strip(":")
