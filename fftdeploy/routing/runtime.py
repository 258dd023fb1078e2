"""Tells a running application which model serves a target, under which release.

This is imported by other people's services and by `fftdeploy resolve`, so it uses the
standard library only, leaves out what is slow to import (`dataclasses`, `pathlib`), and asks
nothing of the network.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

from fftdeploy import names
from fftdeploy.errors import ConfigError, FftdeployError, UsageError
from fftdeploy.routing import kept_files

FILE_NAME = "deployments.toml"
FILE_VARIABLE = "FFTDEPLOY_FILE"


class Resolution(str):  # noqa: SLOT000  its attributes are its parts
    """The model ID to call, and where it came from; it is a `str`, so pass it as it is.

    Attributes:
        target: The full name, `TASK/ENVIRONMENT`.
        release: Number of the release this is; None when the file's newest release is of
            another model or profile (a hand edit) or an override decided.
        provider: Name of the host, `openai` where nothing else is said.
        profile: The prompt and parameters that belong to the model, as the profile's file
            has them; None for a target without a profile.
        profile_name: The profile's name, or None.
        source: Path of the file, or the name of the variable that overrode it.
        problem: "" or why the file could not be read now; the answer is then the last good
            one of this process, or what is live where it is the canary that can't be read.
        canary: What answers a part of the keys; None where none runs.
        weight: Percent of the keys that `canary`, or this where it is one, answers.
        newest: The target's newest release, or that of the canary, as the file has it.
        holds: What is on hold in the target unless the time of its `until` has come, as the file
            has it, each with the release that it is of, or {} where it is of a whole model.
    """

    target: str
    provider = names.OPENAI
    profile: Mapping[str, Any] | None = None
    profile_name: str | None = None
    source = ""
    problem = ""
    canary: Self | None = None
    weight = 0
    newest: Mapping[str, Any] = MappingProxyType({})
    holds: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...] = ()

    def __new__(cls, model: str, **parts: Any) -> Self:
        """Make it of a model and its attributes."""
        self = super().__new__(cls, model)
        self.__dict__.update(parts)
        return self

    def for_key(self, key: object) -> Self:
        """Return what answers a caller: the canary, or what is live; without a key the latter."""
        # Before a canary runs, too: what can't be a text is found on the first day.
        name = key if key is None or type(key) is str else str(key)
        if name is None or self.canary is None:
            return self
        from fftdeploy.routing.split import in_canary

        if not in_canary(self.target, name, self.weight):
            return self
        return self.canary.changed(problem=self.problem) if self.problem else self.canary

    def changed(self, **changes: Any) -> Self:
        """Return the answer with some of its parts changed."""
        return type(self)(**{"model": self.model, **vars(self), **changes})

    @property
    def model(self) -> str:
        """The model ID as a plain `str`."""
        return str.__str__(self)

    @property
    def release(self) -> int | None:
        """Number of the release this is, or None; see the class."""
        newest = self.newest
        live = (self.model, self.provider, self.profile_name)
        recorded = (newest.get("model"), newest.get("provider", names.OPENAI))
        if live != (*recorded, newest.get("profile")):
            return None
        if self.profile is not None:
            from fftdeploy.policy.profiles import content_sha  # who asks for the number pays for it

            if content_sha(self.profile) != newest.get("profile_sha"):
                return None
        number: int | None = newest.get("n")
        return number


_answered: dict[tuple[str, str], Resolution] = {}


def resolve(
    target: str,
    *,
    key: object = None,
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Resolution:
    """Return the model that serves `target` now.

    The file is read again when it was replaced, or its modification time or size changed; one
    `stat` a call is the price, so call it for every request.  While the process runs, a file
    that is broken, gone or without the target does not take the answer away: the last good
    one is returned, with `problem` saying why; log that.  The variable
    `FFTDEPLOY_MODEL_TRIAGE_PRODUCTION` overrides `triage/production` for one process.  Safe to
    call from threads.

    Args:
        target: `TASK/ENVIRONMENT`, or `ENVIRONMENT` where the file has exactly one task.
        key: Who is asking, such as a user's ID: where a canary runs it answers a part of the
            keys, the same ones at each call.  What is no text counts as its `str`; a key of more
            than 4,096 bytes is in no canary.  Without a key the answer is what is live.
        file: The deployments file; by default `FFTDEPLOY_FILE`, else the nearest
            `deployments.toml` from the working directory up to the repository root.
        environ: The environment; by default the process's own.

    Raises:
        UsageError: The file has no such target, and there is no earlier answer to keep.
        ConfigError: The file, the target in it or its profile is not valid, and there is no
            earlier answer to keep; or the override is not a model ID.  Other targets of the
            file are not checked, and keys that this version does not know are passed over: a
            file of a newer version stops no running service.

    >>> from fftdeploy import resolve
    >>> client.chat.completions.create(model=resolve("triage/production"), ...)  # doctest: +SKIP
    """
    environ = os.environ if environ is None else environ
    if override := _override(target, environ):
        _require_model(override, environ)
    path = ""
    try:
        path = find_file(file, environ)
        answer = _resolve(path, target)
    except FftdeployError as error:
        last = _answered.get((_absolute(path) if path else _last_path(target), target))
        if last is not None:
            answer = last.changed(problem=told(error))
        elif override:  # it is there for the day when the file is no help
            return Resolution(environ[override], target=target, source=override)
        else:
            if path:
                from fftdeploy.releases import guessed_shapes  # only failures pay

                guessed_shapes.refuse(kept_files.document_of(path))
            raise
    else:
        _answered[_absolute(path), target] = answer
    override = override or _override(answer.target, environ)
    if not override:
        return answer.for_key(key)
    _require_model(override, environ, answer.provider)
    return answer.changed(
        model=environ[override], newest={}, source=override, canary=None, weight=0
    )


def find_file(file: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> str:
    """Return the path of the deployments file: `file`, `FFTDEPLOY_FILE`, or the nearest one.

    The search goes from the working directory up to the first folder that has `.git`;
    outside a repository it looks in the working directory only.

    Raises:
        ConfigError: There is none, or the working directory is gone.
    """
    named = os.fspath(file) if file is not None else environ.get(FILE_VARIABLE)
    if named:
        return named
    try:
        folder = start = os.getcwd()
    except OSError:
        raise ConfigError(
            "the working directory is gone or unreadable", hint="cd to the repository"
        ) from None
    above = ""
    while True:
        if not above and os.path.lexists(os.path.join(folder, FILE_NAME)):
            above = os.path.join(folder, FILE_NAME)
        if os.path.lexists(os.path.join(folder, ".git")):
            break
        parent = os.path.dirname(folder)
        if parent == folder:  # not a repository: what lies above is somebody else's
            above = above if os.path.dirname(above) == start else ""
            break
        folder = parent
    if above:
        return above
    raise ConfigError(
        f"there is no {FILE_NAME}",
        hint="`fftdeploy init` writes one, --file names one",
        where=os.path.join(start, FILE_NAME),
        code="no-file",
    )


def _override(target: str, environ: Mapping[str, str]) -> str:
    """Name the variable that overrides `target`, if it is set."""
    variable = names.override_variable(*target.split("/", 1)) if "/" in target else ""
    return variable if environ.get(variable) else ""


def _require_model(variable: str, environ: Mapping[str, str], provider: str = "") -> None:
    if problem := names.model_problem(environ[variable], provider):
        raise ConfigError(problem, hint=f"mend or unset {variable}", where=variable)


def _absolute(path: str) -> str:
    try:
        return os.path.abspath(path)
    except OSError:  # the working directory is gone
        return path


def _last_path(target: str) -> str:
    """Return the file that answered last, if a search from here could have found it."""
    try:
        here = os.path.join(os.getcwd(), "")
    except OSError:  # the working directory is gone: any search ended there
        here = ""
    for path, name in reversed(list(_answered)):
        folder = os.path.join(os.path.dirname(path), "")
        if name == target and (not here or here.startswith(folder)):
            return path
    return ""


def told(error: FftdeployError) -> str:
    """Return in one line what an error says, and where."""
    return f"{error} ({error.where})" if error.where else str(error)


def _resolve(path: str, target: str) -> Resolution:
    data = kept_files.load(path)
    if type(data.get("version")) is not int or data["version"] != 1:
        kept_files.document_of(path).version()
        raise kept_files.changed(path)
    task, slash, environment = target.partition("/")
    if not slash:
        task, environment = _only_task(data, target), target
    table = data.get(task, {}).get(environment) if isinstance(data.get(task), dict) else None
    if table is None:
        raise UsageError(
            f"there is no target {target!a}",
            hint=names.target_meant(target, target_names(data)),
            where=path,
            code="unknown-target",
        )
    place = (task, environment)
    of_live = table
    if type(table) is dict and "canary" in table:
        of_live = {key: table[key] for key in table if key != "canary"}
    _check_target(path, place, of_live)
    rows = table.get("releases", ())
    live = _answer(path, place, table, [row for row in rows if "canary" not in row])
    if table.get("holds"):
        live = live.changed(holds=_holds(table))
    if of_live is table:
        return live
    tried, of_canaries = table["canary"], [row for row in rows if "canary" in row]
    try:
        _check_target(path, place, table)
        canary = _answer(path, place, tried, of_canaries, "canary")
    except FftdeployError as error:  # what is live answers all: a trial takes it from nobody
        return live.changed(problem=told(error))
    weight = tried["weight"]
    return live.changed(canary=canary.changed(weight=weight), weight=weight)


def _holds(
    table: Mapping[str, Any],
) -> tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...]:
    rows = {row.get("n"): row for row in table.get("releases", ())}
    open_holds = [hold for hold in table["holds"] if "lifted" not in hold]
    return tuple((hold, rows.get(hold.get("release"), {})) for hold in open_holds)


def _answer(
    path: str,
    place: tuple[str, str],
    said: Mapping[str, Any],
    rows: list[Mapping[str, Any]],
    *below: str,
) -> Resolution:
    """Return what a target's own lines say, or its canary; `rows` are the releases of it."""
    profile_name = said.get("profile")
    return Resolution(
        said["model"],
        target="/".join(place),
        newest=next(iter(rows), {}),
        provider=said.get("provider", names.OPENAI),
        profile=kept_files.read_profile(path, (*place, *below), profile_name),
        profile_name=profile_name,
        source=path,
    )


def _check_target(path: str, place: tuple[str, str], table: Any) -> None:
    """Raise for any key of this target that is known, used here and not understood."""
    for part in place:
        if problem := names.name_problem(part):
            raise kept_files.document_of(path).error(place, problem)
    if not is_plain(table):
        from fftdeploy.releases import deployments  # it says what is wrong, with its line

        deployments.check_target(kept_files.document_of(path), place, table)


def is_plain(table: Any) -> bool:
    """Tell whether all that is used of a target has the right type and form."""
    if type(table) is not dict or "model" not in table:
        return False
    texts = [table[key] for key in ("model", "profile", "provider") if key in table]
    rows = [table.get("releases", []), table.get("holds", [])]
    tried = table.get("canary")
    return (tried is None or (is_plain(tried) and _is_weight(tried.get("weight")))) and (
        all(type(text) is str for text in texts)
        and all(type(value) is list for value in rows)
        and all(type(row) is dict for value in rows for row in value)
        and all(type(row.get("n")) is int for row in rows[0][:1])
        and not names.model_problem(table["model"], table.get("provider", names.OPENAI))
        and not any(names.name_problem(table[k]) for k in ("profile", "provider") if k in table)
    )


def _is_weight(value: Any) -> bool:
    return type(value) is int and 1 <= value <= names.MOST_WEIGHT


def _only_task(data: Mapping[str, Any], environment: str) -> str:
    # A newer version may have more at the top than tasks.
    tasks = [task for task, table in data.items() if _is_task(table)]
    if len(tasks) == 1:
        return tasks[0]
    problem = f"names no task, and the file has {len(tasks)} of them"
    raise UsageError(
        f"{environment!a} {'is no target' if environment in tasks else problem}",
        hint=names.target_meant(environment, target_names(data)),
        code="unknown-target",
    )


def _is_task(table: Any) -> bool:
    if type(table) is not dict:
        return False
    return any(type(below) is dict and "model" in below for below in table.values())


def target_names(data: Mapping[str, Any]) -> list[str]:
    """Name the targets of a parsed file, in its order."""
    return [
        f"{task}/{environment}"
        for task, table in data.items()
        if isinstance(table, dict)
        for environment in table
    ]
