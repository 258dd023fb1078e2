"""Keeps the window that later logs of a target are held against: counts and digests, no text."""

import json
from dataclasses import dataclass
from pathlib import Path

from fftdeploy.errors import ConfigError
from fftdeploy.files import disk, journal
from fftdeploy.files.folders import MONITOR, keep_out_of_git
from fftdeploy.formats import json_shapes, strict_json
from fftdeploy.monitoring.last_look import path_of
from fftdeploy.monitoring.logs.window import LogWindow


@dataclass(frozen=True, slots=True)
class LogBaseline:
    """A window, and what it is a window of: nothing else is held against it."""

    release: str
    model: str
    graders: str
    """Hash of the task's graders: others would tell other things of an answer."""
    window: LogWindow


def read_baseline(root: Path, target: str) -> LogBaseline | None:
    """Return what was kept last; None where nothing was.

    Raises:
        ConfigError: The line is damaged, or something else is in the way of the file.
        DiskError: The disk refused.
    """
    path = _path(root, target)
    if path.name not in journal.listing(path.parent, root=root):
        return None
    with journal.open_reader(path, root=root) as file:
        whole = [line for line in file if line.endswith(b"\n")]
    if not whole:
        return None
    try:
        found: LogBaseline = json_shapes.read(LogBaseline, strict_json.loads(whole[-1].decode()))
    except (TypeError, ValueError):
        where = disk.shown(path)
        hint = f"remove {where}: the next log begins a new baseline"
        raise ConfigError("the baseline of the logs is damaged", hint=hint, where=where) from None
    return found


def keep_baseline(root: Path, target: str, baseline: LogBaseline) -> None:
    """Append what is normal from now on; DiskError where the disk refuses."""
    keep_out_of_git(root)
    with journal.open_journal(_path(root, target), root=root) as log:
        log.drop_torn()
        line = json.dumps(json_shapes.written(baseline), separators=(",", ":"))
        log.append(line.encode() + b"\n")


def _path(root: Path, target: str) -> Path:
    return root / MONITOR / "logs" / path_of(root, target).name
