"""The schemas as files beside the two TOML files, where editors look for them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fftdeploy import files
from fftdeploy.commands.context import Context
from fftdeploy.errors import ConfigError, FftdeployError
from fftdeploy.files.folders import FOLDER
from fftdeploy.output import toml_schemas
from fftdeploy.output.results import Schema
from fftdeploy.policy import policy
from fftdeploy.routing.runtime import FILE_VARIABLE

MAKERS: dict[str, Callable[[], Schema]] = {
    "deployments": toml_schemas.deployments,
    "policy": toml_schemas.policy,
}
NAMES = tuple(MAKERS)


def path_of(folder: Path, name: str) -> Path:
    """Return where the schema of one of `NAMES` is for the files in `folder`."""
    return folder / FOLDER / "schemas" / f"{name}.json"


def content(name: str) -> str:
    """Return the schema of one of `NAMES` as its file has it."""
    return json.dumps(MAKERS[name](), indent=2) + "\n"


def deployments_path(context: Context) -> Path:
    """Return where the deployments file is, or would be: no folder above is searched for one.

    Raises:
        ConfigError: The working directory is gone.
    """
    named = context.file or context.environ.get(FILE_VARIABLE) or files.NAME
    try:
        return Path.cwd() / named
    except OSError:
        raise ConfigError(
            "the working directory is gone or unreadable", hint="cd to the repository"
        ) from None


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """A schema beside the files, and the line that leads an editor to it."""

    path: str
    is_new: bool
    """Whether it was written: it was not there, or not up to date."""
    described: str
    directive: str
    """The first line that `described` still lacks; "" where it has it."""


def write(deployments: Path, name: str) -> SchemaFile:
    """Bring the schema of one of `NAMES` up to date beside `deployments`.

    Raises:
        ConfigError: It would be outside of the folder, or behind a link.
        DiskError: The disk refused.
    """
    folder = deployments.parent
    path, data = path_of(folder, name), content(name).encode()
    shown = path.relative_to(folder).as_posix()
    written = files.create(path, data, root=folder)
    if not written:
        if path.is_symlink():
            raise ConfigError(f"{shown} is a link", hint="remove it", where=shown)
        snapshot = files.read(path, root=folder)
        written = snapshot.data != data
        if written:
            files.replace(snapshot, data)
    described = deployments if name == "deployments" else folder / policy.FILE_NAME
    directive = f"#:schema ./{shown}"
    lacks = not _starts_with(described, directive, folder)
    return SchemaFile(shown, written, described.name, directive if lacks else "")


def _starts_with(path: Path, directive: str, folder: Path) -> bool:
    """Tell whether the file has the directive; one that is not there needs none."""
    try:
        text = files.read(path, root=folder).data.decode(errors="replace")
    except FftdeployError:
        return True
    return directive in text.splitlines()[:1]
