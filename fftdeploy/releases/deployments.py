"""`deployments.toml` read strictly: every target that it has, and where each is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NoReturn

from fftdeploy import names
from fftdeploy.errors import UsageError
from fftdeploy.formats import document
from fftdeploy.formats.document import Document
from fftdeploy.names import OPENAI
from fftdeploy.releases.records import Bundle, Hold, Release, Target

__all__ = ["Bundle", "Deployments", "Hold", "Release", "Target", "parse"]

OVERRIDES = ("freeze", "soak", "order", "runway", "inconclusive")
_TARGET_KEYS = ("model", "profile", "provider", "releases", "holds")
_BUNDLE_KEYS = frozenset({"model", "provider", "profile", "profile_sha"})
_RELEASE_KEYS = _BUNDLE_KEYS | {"n", "at", "by", "via", "job", "evidence", "why", "to"}
_RELEASE_KEYS |= {"verified", "overrides"}
_HOLD_KEYS = frozenset({"model", "provider", "release", "since", "by", "why", "until"})
_HOLD_KEYS |= {"lifted", "lifted_by", "lifted_why"}
_HEX = frozenset("0123456789abcdef")
_model_problem = lru_cache(maxsize=1024)(names.model_problem)  # a model has many releases


@dataclass(frozen=True)
class Deployments:
    """The whole file; `targets` in the order of the file."""

    document: Document
    targets: Mapping[tuple[str, str], Target] = field(default_factory=dict)

    def find(self, name: str) -> Target | None:
        """Return the target called `TASK/ENVIRONMENT`, if the file has it."""
        task, _, environment = name.partition("/")
        return self.targets.get((task, environment))

    def tasks(self) -> list[str]:
        """Name the tasks of the file, in its order."""
        return list(dict.fromkeys(task for task, _ in self.targets))

    def full_name(self, name: str) -> str:
        """Complete a bare `ENVIRONMENT` where the file has exactly one task.

        Raises:
            UsageError: Not a target's name, or a bare environment and several tasks.
        """
        task, slash, environment = name.partition("/")
        if not slash:
            tasks = self.tasks()
            if len(tasks) != 1:
                raise UsageError(
                    f"{name!a} names no task, and the file has {len(tasks)} of them",
                    hint="write TASK/ENVIRONMENT; `fftdeploy status` lists them",
                )
            if name == tasks[0] and self.find(f"{name}/{name}") is None:
                raise UsageError(
                    f"{name!a} is a task: name its environment too",
                    hint="write TASK/ENVIRONMENT; `fftdeploy status` lists them",
                )
            task, environment = tasks[0], name
        for part in (task, environment):
            if problem := names.name_problem(part):
                raise UsageError(problem, hint="a target is written TASK/ENVIRONMENT")
        return f"{task}/{environment}"

    def line(self, target: Target, *below: str | int) -> int:
        """Return the 1-based line where `target`, or a value below it, is written."""
        return self.document.line((target.task, target.environment, *below))


def parse(raw: bytes, source: str = "deployments.toml") -> Deployments:
    """Read a deployments file.

    Args:
        raw: The bytes of the file, with or without a byte-order mark.
        source: How messages name the file.

    Raises:
        ConfigError: Anything that is not understood, with line and column.
    """
    doc = document.parse(raw, source)
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
                _refuse_value(doc, path, table, "a table with a `model`")
            doc.name(environment, path)
            targets[path] = _target(doc, path, table)
    return Deployments(doc, targets)


def check_target(doc: Document, path: tuple[str, str], table: Any) -> None:
    """Raise for what `resolve` asks of a target and can't use; keys of a newer version pass."""
    _bundle(doc, doc.table(table, path, "a table with a `model`"), path)
    for key in ("releases", "holds"):
        rows = doc.array(table.get(key, []), (*path, key), f"an array of {key}")
        for index, row in enumerate(rows):
            doc.table(row, (*path, key, index), "an inline table")
        if key == "releases" and rows:
            _number(doc, rows[0], (*path, key, 0), "n")


def _refuse_value(doc: Document, path: tuple[str, ...], value: Any, wanted: str) -> NoReturn:
    """Say what stands where a task or a target should: a setting, a misspelling, or a slip."""
    doc.refuse_setting(path[-1], path)
    if len(path) == 1 and names.nearest(path[0], ["version"]):
        doc.closed({path[0]: value}, (), ("version",))
    raise doc.wrong_type(path, value, wanted)


def _target(doc: Document, path: tuple[str, str], table: dict[str, Any]) -> Target:
    doc.closed(table, path, _TARGET_KEYS, later=("canary",))
    bundle = _bundle(doc, table, path)
    releases = doc.array(table.get("releases", []), (*path, "releases"), "an array of releases")
    holds = doc.array(table.get("holds", []), (*path, "holds"), "an array of holds")
    target = Target(
        task=path[0],
        environment=path[1],
        model=bundle.model,
        provider=bundle.provider,
        profile=bundle.profile,
        releases=tuple(
            _release(doc, row, (*path, "releases", index)) for index, row in enumerate(releases)
        ),
        holds=tuple(_hold(doc, row, (*path, "holds", index)) for index, row in enumerate(holds)),
    )
    _check_order(doc, target)
    return target


def _check_order(doc: Document, target: Target) -> None:
    path = (target.task, target.environment)
    above: int | None = None
    for index, release in enumerate(target.releases):
        if above is not None and release.n >= above:
            raise doc.error(
                (*path, "releases", index, "n"),
                f"release {release.n} stands below release {above}: numbers go down, newest first",
            )
        above = release.n
    for index, hold in enumerate(target.holds):
        held = target.by_number.get(hold.release) if hold.release is not None else None
        if held and (held.bundle.model, held.bundle.provider) != (hold.model, hold.provider):
            raise doc.error(
                (*path, "holds", index, "release"),
                f"release {hold.release} is of another model than this hold",
            )


def _bundle(doc: Document, table: Mapping[str, Any], path: document.Path) -> Bundle:
    provider = OPENAI
    if "provider" in table:
        provider = doc.name(doc.string(table, path, "provider"), (*path, "provider"))
        if provider != OPENAI:
            raise doc.error(
                (*path, "provider"),
                f"provider {provider!r} is not in this version of fftdeploy",
                "this version knows `openai` only",
                "later",
            )
    model = doc.string(table, path, "model")
    if problem := _model_problem(model, provider):
        raise doc.error((*path, "model"), problem)
    profile = None
    if "profile" in table:
        profile = doc.name(doc.string(table, path, "profile"), (*path, "profile"))
    return Bundle(model, provider, profile)


def _release(doc: Document, row: Any, path: document.Path) -> Release:
    if type(row) is not dict:
        raise doc.wrong_type(path, row, "an inline table")
    if not row.keys() <= _RELEASE_KEYS:
        doc.closed(row, path, _RELEASE_KEYS)
    bundle = _bundle(doc, row, path)
    if ("profile" in row) != ("profile_sha" in row):
        raise doc.error(path, "'profile' and 'profile_sha' go together")
    if "profile_sha" in row:
        sha = _digest(doc, row, path, "profile_sha")
        bundle = Bundle(bundle.model, bundle.provider, bundle.profile, sha)
    n = _number(doc, row, path, "n")
    via = doc.string(row, path, "via")
    if via not in {"model", "job", "rollback", "adopt"}:
        doc.name(via, (*path, "via"))
    to = _number(doc, row, path, "to") if "to" in row else None
    _check_via(doc, row, path, via, to)
    if row.get("verified", False) is not False:
        raise doc.error(
            (*path, "verified"),
            "'verified' can only be false: a file can't claim a proof",
            "remove it; `fftdeploy check` asks the API",
        )
    return Release(
        n=n,
        bundle=bundle,
        at=doc.time(row, path, "at"),
        by=doc.line_of_text(row, path, "by"),
        via=via,
        job=_job(doc, row, path) if "job" in row else None,
        evidence=_digest(doc, row, path, "evidence") if "evidence" in row else None,
        why=doc.line_of_text(row, path, "why") if "why" in row else None,
        to=to,
        verified="verified" not in row,
        overrides=_overrides(doc, row, path) if "overrides" in row else (),
    )


def _check_via(
    doc: Document, row: Mapping[str, Any], path: document.Path, via: str, to: int | None
) -> None:
    if via == "rollback" and to is None:
        raise doc.error(path, "a release by rollback needs 'to'", "add the release it went back to")
    if to is not None and via not in {"rollback", "adopt"}:
        raise doc.error((*path, "to"), f"'to' goes with rollback and adopt, not with {via!r}")
    if to is not None and to >= row["n"]:
        raise doc.error((*path, "to"), f"'to' must be an older release than {row['n']}")
    if (via == "job") != ("job" in row):
        raise doc.error((*path, "via"), 'via = "job" and \'job = "ftjob-..."\' go together')


def _hold(doc: Document, row: Any, path: document.Path) -> Hold:
    if type(row) is not dict:
        raise doc.wrong_type(path, row, "an inline table")
    doc.closed(row, path, _HOLD_KEYS)
    bundle = _bundle(doc, row, path)
    lifting = [key for key in ("lifted", "lifted_by", "lifted_why") if key in row]
    if lifting and len(lifting) != 3:
        raise doc.error((*path, lifting[0]), "'lifted', 'lifted_by' and 'lifted_why' go together")
    return Hold(
        model=bundle.model,
        provider=bundle.provider,
        release=_number(doc, row, path, "release") if "release" in row else None,
        since=doc.time(row, path, "since"),
        by=doc.line_of_text(row, path, "by"),
        why=doc.line_of_text(row, path, "why"),
        until=doc.time(row, path, "until") if "until" in row else None,
        lifted=doc.time(row, path, "lifted") if lifting else None,
        lifted_by=doc.line_of_text(row, path, "lifted_by") if lifting else None,
        lifted_why=doc.line_of_text(row, path, "lifted_why") if lifting else None,
    )


def _number(doc: Document, row: Mapping[str, Any], path: document.Path, key: str) -> int:
    value = row.get(key)
    if value is None:
        raise doc.error(path, f"{key!r} is missing")
    if type(value) is not int:
        raise doc.wrong_type((*path, key), value, "an integer")
    if not 1 <= value < 2**53:
        raise doc.error((*path, key), f"{key!r} must be from 1 to 2**53, not {str(value)[:20]}")
    return value


def _digest(doc: Document, row: Mapping[str, Any], path: document.Path, key: str) -> str:
    value = doc.string(row, path, key)
    if len(value) != 32 or not _HEX.issuperset(value):
        raise doc.error((*path, key), f"{key!r} must be 32 lower-case hex digits")
    return value


def _job(doc: Document, row: Mapping[str, Any], path: document.Path) -> str:
    value = doc.string(row, path, "job")
    if problem := names.job_problem(value):
        raise doc.error((*path, "job"), problem)
    return value


def _overrides(doc: Document, row: Mapping[str, Any], path: document.Path) -> tuple[str, ...]:
    place = (*path, "overrides")
    values = doc.array(row["overrides"], place, "an array of strings")
    for index, value in enumerate(values):
        if value not in OVERRIDES:
            raise doc.error((*place, index), f"an override is one of {', '.join(OVERRIDES)}")
    return tuple(values)
