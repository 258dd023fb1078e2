"""The schemas as files beside the two TOML files, where editors look for them."""

import json
from collections.abc import Callable
from pathlib import Path

from fftdeploy import files
from fftdeploy.errors import ConfigError, FftdeployError
from fftdeploy.files.folders import FOLDER
from fftdeploy.output.report import Block, Cell, line
from fftdeploy.output.schema import toml_files
from fftdeploy.output.schema.parts import Schema
from fftdeploy.policy import policy

MAKERS: dict[str, Callable[[], Schema]] = {
    "deployments": toml_files.deployments,
    "policy": toml_files.policy,
}
NAMES = tuple(MAKERS)


def path_of(folder: Path, name: str) -> Path:
    """Return where the schema of one of `NAMES` is for the files in `folder`."""
    return folder / FOLDER / "schemas" / f"{name}.json"


def content(name: str) -> str:
    """Return the schema of one of `NAMES` as its file has it."""
    return json.dumps(MAKERS[name](), indent=2) + "\n"


def write(deployments: Path, name: str) -> tuple[bool, list[Block]]:
    """Bring the schema of one of `NAMES` up to date beside `deployments`, and report that.

    Returns:
        Whether it was written, and what there is to say, the missing `#:schema` line included.

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
    label = Cell("  wrote  ", "good") if written else Cell("  kept   ", "dim")
    described = deployments if name == "deployments" else folder / policy.FILE_NAME
    directive = f"#:schema ./{shown}"
    body: list[Block] = [line(label, shown)]
    if not _starts_with(described, directive, folder):
        body.append(line(f"  first line of {described.name}, for editors:  {directive}"))
    return written, body


def _starts_with(path: Path, directive: str, folder: Path) -> bool:
    """Tell whether the file has the directive; one that is not there needs none."""
    try:
        text = files.read(path, root=folder).data.decode(errors="replace")
    except FftdeployError:
        return True
    return directive in text.splitlines()[:1]
