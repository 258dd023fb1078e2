"""`deployments.toml` read strictly: every target that it has, and where each is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from fftdeploy import names
from fftdeploy.errors import ConfigError, UsageError
from fftdeploy.formats import document
from fftdeploy.formats.document import Document
from fftdeploy.formats.keys import Key, keys_of, read_keys
from fftdeploy.formats.kinds import require_hosted
from fftdeploy.releases.records import FOR_GOOD, OVERRIDES, Bundle, Canary, Hold, Release, Target

__all__ = [
    "FOR_GOOD",
    "OVERRIDES",
    "Bundle",
    "Canary",
    "Deployments",
    "Hold",
    "Release",
    "Target",
    "parse",
]

WHAT = "a table with a `model`"
_TARGET_KEYS = keys_of(Target)


@dataclass(frozen=True)
class Deployments:
    """The whole file; `targets` in the order of the file."""

    document: Document
    targets: Mapping[tuple[str, str], Target] = field(default_factory=dict)

    def models(self, provider: str | None = None) -> frozenset[str]:
        """Return all models that the file names: live now, in releases and in holds.

        With a `provider`, only those that it hosts.
        """
        found: set[tuple[str, str]] = set()
        for target in self.targets.values():
            found.add((target.provider, target.model))
            found.update((hold.provider, hold.model) for hold in target.holds)
            found.update((host, each) for host, models in target.models.items() for each in models)
        return frozenset(model for host, model in found if provider in {None, host})

    def find(self, name: str) -> Target | None:
        """Return the target called `TASK/ENVIRONMENT`, if the file has it."""
        task, _, environment = name.partition("/")
        return self.targets.get((task, environment))

    @property
    def names(self) -> list[str]:
        """Name the targets of the file, in its order."""
        return [f"{task}/{environment}" for task, environment in self.targets]

    def tasks(self) -> list[str]:
        """Name the tasks of the file, in its order."""
        return list(dict.fromkeys(task for task, _ in self.targets))

    def full_name(self, name: str) -> str:
        """Complete a bare `ENVIRONMENT` where the file has exactly one task; else UsageError."""
        task, slash, environment = name.partition("/")
        tasks, problem = self.tasks(), ""
        if not slash and name in tasks and self.find(f"{name}/{name}") is None:
            problem = f"{name!a} is no target"
        elif not slash and len(tasks) != 1:
            problem = f"{name!a} names no task, and the file has {len(tasks)} of them"
        elif not slash:
            task, environment = tasks[0], name
        code = "unknown-target" if problem else ""
        problem = problem or names.name_problem(task) or names.name_problem(environment)
        if problem:
            raise UsageError(problem, hint=names.target_meant(name, self.names), code=code)
        return f"{task}/{environment}"

    def line(self, target: Target, *below: str | int) -> int:
        """Return the 1-based line where `target`, or a value below it, is written; 0 without it."""
        name = (target.task, target.environment)
        return self.document.line((*name, *below)) if name in self.targets else 0


def parse(raw: bytes, source: str = "deployments.toml") -> Deployments:
    """Read a deployments file, which messages name `source`.

    Raises:
        ConfigError: Anything that is not understood, with line and column.
    """
    doc = document.parse(raw, source)
    try:
        return _read(doc)
    except ConfigError as error:
        if error.code == ConfigError.outcome.name:  # those with a code are about something else
            from fftdeploy.releases import guessed_shapes  # only a failing command pays for it

            guessed_shapes.refuse(doc)
        raise


def _read(doc: Document) -> Deployments:
    doc.version()
    targets: dict[tuple[str, str], Target] = {}
    for task, environments in doc.data.items():
        if task == "version":
            continue
        if type(environments) is not dict:
            _refuse_value(doc, (task,), environments, "a table of environments")
        doc.name(task, (task,))
        for environment, table in environments.items():
            path = (task, environment)
            if type(table) is not dict:
                _refuse_value(doc, path, table, WHAT)
            doc.name(environment, path)
            said = read_keys(doc, path, table, _TARGET_KEYS)
            require_hosted(doc, path, said)
            targets[path] = Target(task, environment, **said)
            _check_order(doc, targets[path])
    return Deployments(doc, targets)


def check_target(doc: Document, path: tuple[str, str], table: Any) -> None:
    """Raise for what `resolve` asks of a target and can't use; keys of a newer version pass."""
    _check_known(doc, path, doc.table(table, path, WHAT), _TARGET_KEYS)
    if "canary" in table:
        place = (*path, "canary")
        tried = doc.table(table["canary"], place, "an inline table")
        _check_known(doc, place, tried, keys_of(Canary))
    for key in ("releases", "holds"):
        rows = doc.array(table.get(key, []), (*path, key), f"an array of {key}")
        for index, row in enumerate(rows):
            doc.table(row, (*path, key, index), "an inline table")
        if key == "releases" and rows:
            number = {"n": keys_of(Release)["n"]}
            read_keys(doc, (*path, key, 0), {k: v for k, v in rows[0].items() if k == "n"}, number)


def _check_known(
    doc: Document, path: document.Path, table: Mapping[str, Any], keys: Mapping[str, Key]
) -> None:
    known = {key: keys[key] for key in ("model", "profile", "provider", "weight") if key in keys}
    said = {key: value for key, value in table.items() if key in known}
    require_hosted(doc, path, read_keys(doc, path, said, known))


def _refuse_value(doc: Document, path: tuple[str, ...], value: Any, wanted: str) -> NoReturn:
    """Say what stands where a task or a target should: a setting, a misspelling, or a slip."""
    doc.refuse_setting(path[-1], path)
    if len(path) == 1 and names.meant(path[0], ["version"]):
        doc.closed({path[0]: value}, (), ("version",))
    raise doc.wrong_type(path, value, wanted)


def _check_order(doc: Document, target: Target) -> None:
    path = (target.task, target.environment)
    above: int | None = None
    for index, release in enumerate(target.releases):
        row = (*path, "releases", index)
        if above is not None and release.n >= above:
            said = f"release {release.n} stands below release {above}"
            raise doc.error((*row, "n"), f"{said}: numbers go down, newest first")
        above = release.n
        back = target.by_number.get(release.to) if release.to is not None else None
        if back is not None and back.canary is not None:
            said = f"release {back.n} was a canary: release {release.n} can't go back to it"
            raise doc.error((*row, "to"), said)
    for index, hold in enumerate(target.holds):
        held = target.by_number.get(hold.release) if hold.release is not None else None
        if held and (held.bundle.model, held.bundle.provider) != (hold.model, hold.provider):
            said = f"release {hold.release} is of another model than this hold"
            raise doc.error((*path, "holds", index, "release"), said)
