"""What a running application asks: which model serves a target, under which release.

This is imported by other people's services and by `fftdeploy resolve`, so it uses the
standard library only, leaves out what is slow to import (`dataclasses`, `pathlib`), and asks
nothing of the network.
"""

import os
from collections.abc import Mapping
from stat import S_ISREG
from typing import Any, NamedTuple, Self

from fftdeploy import names
from fftdeploy.errors import ConfigError, FftdeployError, UsageError

FILE_NAME = "deployments.toml"
FILE_VARIABLE = "FFTDEPLOY_FILE"
_MAX_BYTES = 8 * 1024 * 1024
_TARGET_KEYS = frozenset({"model", "profile", "provider", "releases", "holds"})


class Resolution(str):
    """The model ID to call, and where it came from; it is a `str`, so pass it as it is.

    Attributes:
        target: The full name, `TASK/ENVIRONMENT`.
        release: Number of the release this is; None when the file's newest release is of
            another model (a hand edit) or an override decided.
        provider: Name of the host, `openai` where nothing else is said.
        profile: The prompt and parameters that belong to the model, as the profile's file
            has them; None for a target without a profile.
        profile_name: The profile's name, or None.
        source: Path of the file, or the name of the variable that overrode it.
        problem: "" or why the file could not be read now; the answer is then the last good
            one of this process.
    """

    __slots__ = ("problem", "profile", "profile_name", "provider", "release", "source", "target")

    target: str
    release: int | None
    provider: str
    profile: Mapping[str, Any] | None
    profile_name: str | None
    source: str
    problem: str

    def __new__(
        cls,
        model: str,
        *,
        target: str,
        release: int | None = None,
        provider: str = names.OPENAI,
        profile: Mapping[str, Any] | None = None,
        profile_name: str | None = None,
        source: str = "",
        problem: str = "",
    ) -> Self:
        """Make the answer; see the class for what each part means."""
        self = super().__new__(cls, model)
        self.target, self.release, self.provider = target, release, provider
        self.profile, self.profile_name = profile, profile_name
        self.source, self.problem = source, problem
        return self

    @property
    def model(self) -> str:
        """The model ID as a plain `str`."""
        return str.__str__(self)


class _Read(NamedTuple):
    stamp: tuple[int, int]
    data: dict[str, Any]


_read: dict[str, _Read] = {}
_answered: dict[tuple[str, str], Resolution] = {}


def resolve(
    target: str,
    *,
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Resolution:
    """Return the model that serves `target` now.

    The file is read again when its modification time or size changed; one `stat` a call is
    the price.  While the process runs, a file that is broken or gone does not take the
    answer away: the last good one is returned with `problem` saying why.  The variable
    `FFTDEPLOY_MODEL_TRIAGE_PRODUCTION` overrides `triage/production` for one process.

    Args:
        target: `TASK/ENVIRONMENT`, or `ENVIRONMENT` where the file has exactly one task.
        file: The deployments file; by default `FFTDEPLOY_FILE`, else the nearest
            `deployments.toml` from the working directory up to the repository root.
        environ: The environment; by default the process's own.

    Raises:
        UsageError: The file has no such target.
        ConfigError: The file, the target in it or an override is not valid, and there is no
            earlier answer to keep.  Other targets of the file are not checked.

    >>> from fftdeploy import resolve
    >>> client.chat.completions.create(model=resolve("triage/production"), ...)  # doctest: +SKIP
    """
    environ = os.environ if environ is None else environ
    if overridden := _override(target, environ):
        return _overriding(overridden, target, file, environ)
    path = ""
    try:
        path = find_file(file, environ)
        answer = _resolve(path, target)
    except FftdeployError as error:
        last = _answered.get((path or _last_path(target), target))
        if last is None or isinstance(error, UsageError):
            raise
        return _again(last, str(error))
    _answered[path, target] = answer
    return answer


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
        folder = start = os.getcwd()  # noqa: PTH109 - pathlib would double the import cost
    except OSError:
        raise ConfigError(
            "the working directory is gone or unreadable", hint="cd to the repository"
        ) from None
    above = ""
    while True:
        if not above and os.path.lexists(os.path.join(folder, FILE_NAME)):  # noqa: PTH118
            above = os.path.join(folder, FILE_NAME)  # noqa: PTH118
        if os.path.lexists(os.path.join(folder, ".git")):  # noqa: PTH118
            break
        parent = os.path.dirname(folder)  # noqa: PTH120
        if parent == folder:  # not a repository: what lies above is somebody else's
            above = above if os.path.dirname(above) == start else ""  # noqa: PTH120
            break
        folder = parent
    if above:
        return above
    raise ConfigError(
        f"there is no {FILE_NAME}",
        hint="`fftdeploy init` writes one, --file names one",
        where=os.path.join(start, FILE_NAME),  # noqa: PTH118
        code="no-file",
    )


def _override(target: str, environ: Mapping[str, str]) -> str:
    task, slash, environment = target.partition("/")
    return environ.get(names.override_variable(task, environment), "") if slash else ""


def _overriding(
    model: str, target: str, file: str | os.PathLike[str] | None, environ: Mapping[str, str]
) -> Resolution:
    variable = names.override_variable(*target.split("/", 1))
    if problem := names.model_problem(model):
        raise ConfigError(problem, hint=f"mend or unset {variable}", where=variable)
    try:
        under = _resolve(find_file(file, environ), target)
    except FftdeployError:  # the override is there for the day when the file is no help
        return Resolution(model, target=target, source=variable)
    return Resolution(
        model,
        target=under.target,
        provider=under.provider,
        profile=under.profile,
        profile_name=under.profile_name,
        source=variable,
    )


def _last_path(target: str) -> str:
    return next((path for path, name in reversed(_answered) if name == target), "")


def _again(last: Resolution, problem: str) -> Resolution:
    return Resolution(
        last.model,
        target=last.target,
        release=last.release,
        provider=last.provider,
        profile=last.profile,
        profile_name=last.profile_name,
        source=last.source,
        problem=problem,
    )


def _resolve(path: str, target: str) -> Resolution:
    data = _load(path)
    if type(data.get("version")) is not int or data["version"] != 1:
        raise _located(path, ("version",), "this file is not of `version = 1`")
    task, slash, environment = target.partition("/")
    if not slash:
        task, environment = _only_task(data, target), target
    table = data.get(task, {}).get(environment) if isinstance(data.get(task), dict) else None
    if table is None:
        raise UsageError(
            f"there is no target {f'{task}/{environment}'!a}",
            hint=f"the file has: {', '.join(target_names(data)) or 'none yet'}",
            where=path,
            code="unknown-target",
        )
    place = (task, environment)
    _check_target(path, place, table)
    profile_name = table.get("profile")
    newest: dict[str, Any] = next(iter(table.get("releases") or ()), {})
    recorded = all(newest.get(key) == table.get(key) for key in ("model", "provider", "profile"))
    return Resolution(
        table["model"],
        target=f"{task}/{environment}",
        release=newest.get("n") if recorded else None,
        provider=table.get("provider", names.OPENAI),
        profile=_profile(path, profile_name) if profile_name else None,
        profile_name=profile_name,
        source=path,
    )


def _check_target(path: str, place: tuple[str, str], table: Any) -> None:
    """Raise for anything of this target that is not understood; nothing is ignored."""
    if type(table) is not dict:
        raise _located(path, place, f"{'.'.join(place)} must be a table")
    if not table.keys() <= _TARGET_KEYS or any(
        type(table.get(key, "")) is not str
        for key in table.keys() & {"model", "profile", "provider"}
    ):
        _strictly(path, place)
    model = table.get("model", "")
    if problem := names.model_problem(model):
        raise _located(path, (*place, "model"), problem)
    if (profile := table.get("profile")) and (problem := names.name_problem(profile)):
        raise _located(path, (*place, "profile"), problem)
    releases = table.get("releases", [])
    if type(releases) is not list or not all(type(row) is dict for row in releases[:1]):
        _strictly(path, place)
    if table.get("provider", names.OPENAI) != names.OPENAI:
        _strictly(path, place)


def _strictly(path: str, place: tuple[str, str]) -> None:
    """Let the full reader say what is wrong with the target, with its line."""
    from fftdeploy import deployments

    with open(path, "rb") as stream:  # noqa: PTH123
        raw = stream.read(_MAX_BYTES + 1)
    deployments.parse(raw, path)
    raise _located(path, place, f"{'.'.join(place)} is not a valid target")


def _only_task(data: Mapping[str, Any], environment: str) -> str:
    tasks = [task for task in data if task != "version"]
    if len(tasks) == 1:
        return tasks[0]
    raise UsageError(
        f"{environment!a} names no task, and the file has {len(tasks)} of them",
        hint="write TASK/ENVIRONMENT",
        code="unknown-target",
    )


def target_names(data: Mapping[str, Any]) -> list[str]:
    """Name the targets of a parsed file, in its order."""
    return [
        f"{task}/{environment}"
        for task, table in data.items()
        if isinstance(table, dict)
        for environment in table
    ]


def _profile(path: str, name: str) -> dict[str, Any]:
    return _load(os.path.join(os.path.dirname(path), "profiles", f"{name}.toml"))  # noqa: PTH118, PTH120


def _load(path: str) -> dict[str, Any]:
    """Return the parsed file at `path`, from memory while its time and size are the same."""
    try:
        status = os.stat(path)  # noqa: PTH116
        stamp = (status.st_mtime_ns, status.st_size)
        kept = _read.get(path)
        if kept is not None and kept.stamp == stamp:
            return kept.data
        if not S_ISREG(status.st_mode):
            raise ConfigError("this is not a regular file", where=path)
        with open(path, "rb") as stream:  # noqa: PTH123
            raw = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", hint="`fftdeploy init` writes one", where=path
        ) from None
    data = _parse(raw, path)
    _read[path] = _Read(stamp, data)
    return data


def _parse(raw: bytes, path: str) -> dict[str, Any]:
    import tomllib

    try:
        if len(raw) > _MAX_BYTES:
            raise ValueError
        return tomllib.loads(raw.decode().removeprefix("\ufeff"))
    except (ValueError, RecursionError):  # both decode errors are ValueErrors
        from fftdeploy import document  # it finds the line and the words; only failures pay

        return document.parse(raw, path).data


def _located(path: str, place: tuple[str, ...], message: str) -> ConfigError:
    from fftdeploy import document

    with open(path, "rb") as stream:  # noqa: PTH123
        return document.parse(stream.read(), path).error(place, message)
