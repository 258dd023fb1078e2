"""Keeps what the looks at one target have found: a line each, only ever added to.

A line is an object with one key, its kind.  Kinds that are not known here are somebody else's, and
are kept for them.  No line but the last may be broken: that one is what a kill leaves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from fftdeploy.errors import ConfigError, ConflictError
from fftdeploy.files import disk, journal
from fftdeploy.files.folders import MONITOR, keep_out_of_git
from fftdeploy.files.journal import Journal
from fftdeploy.formats import json_shapes, strict_json
from fftdeploy.monitoring.passes import Calibration, Pass
from fftdeploy.monitoring.watched import SETTLED, Look, WatchState, path_of

LOOK = b'{"look":'
"""How the line of a look begins."""


@dataclass(slots=True)
class KeptState:
    """What a state file says."""

    looks: list[Look] = field(default_factory=list)
    """All of them, the oldest first."""
    calibration: Calibration | None = None
    """The newest."""
    unused: list[Pass] = field(default_factory=list)
    """Passes since then that no look has settled anything by, the oldest first."""
    since: int = 0
    """The number of looks before the calibration."""
    asked: int = 0
    """The number of passes that were made, calibrations among them."""
    others: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    """The lines of other kinds, each with its kind, the oldest first."""

    def add(self, kind: str, value: Any) -> None:
        """Take in one more line; TypeError or ValueError where it is not of the kind's shape."""
        if kind == "look":
            self.looks.append(json_shapes.read(Look, value))
            if self.looks[-1].state in SETTLED:
                self.unused = []
        elif kind == "calibration":
            self.calibration, self.unused = json_shapes.read(Calibration, value), []
            self.since, self.asked = len(self.looks), self.asked + 1
        elif kind == "pass":
            self.unused.append(json_shapes.read(Pass, value))
            self.asked += 1
        else:
            self.others.append((kind, value))

    @property
    def last(self) -> Look | None:
        """The newest look since the calibration that settled something."""
        return _settled(self.looks[self.since :])

    def settled(self) -> tuple[WatchState | None, datetime | None]:
        """Return the last state that was settled, and when; None where none was."""
        last = _settled(self.looks)
        return (last.state, last.at) if last else (None, None)

    def look_of(self, day: date) -> Look | None:
        """Return the newest look of a day that settled something."""
        return _settled([look for look in self.looks if look.day == day])


def _settled(looks: Sequence[Look]) -> Look | None:
    """Return the newest of `looks` that settled something."""
    return next((look for look in reversed(looks) if look.state in SETTLED), None)


class StateFile:
    """The state file of a target, ours until it is closed; `kept` is what it says by now."""

    def __init__(self, log: Journal) -> None:
        self._journal = log
        self.kept = read_lines(log.lines(), log.path)

    def add(self, kind: str, value: Any) -> None:
        """Append one line, on the disk before anything follows from it; `value` is a dataclass."""
        written = json_shapes.written(value)
        self._journal.append(strict_json.line({kind: written}))
        self._journal.sync()
        self.kept.add(kind, written)


@contextmanager
def opened(root: Path, target: str) -> Iterator[StateFile]:
    """Open the state of a target for a look; what a kill has cut short is cut off.

    Raises:
        ConfigError: A line is damaged, or something else is in the way.
        ConflictError: Another process looks at this target.
        DiskError: The disk refused.
    """
    keep_out_of_git(root)
    with journal.open_journal(path_of(root, target), root=root) as log:
        if not log.hold():
            raise ConflictError(
                f"{target} is being looked at already: {log.holder()}",
                hint="wait until that has ended: what it finds is kept",
                where=disk.shown(log.path),
                code="running",
            )
        log.drop_torn()
        yield StateFile(log)


def read_state(root: Path, target: str) -> KeptState:
    """Read what is known of a target, without waiting for a look that is under way.

    Raises:
        ConfigError: A line is damaged, or something else is in the way.
        DiskError: The disk refused.
    """
    path = path_of(root, target)
    if path.name not in journal.listing(root / MONITOR, root=root):
        return KeptState()
    with journal.open_reader(path, root=root) as file:
        return read_lines(file, path)


def read_lines(lines: Iterable[bytes], path: Path) -> KeptState:
    """Read a state file; ConfigError for a damaged line that is not the last."""
    kept = KeptState()
    for number, line in enumerate(lines, 1):
        if line.endswith(b"\n"):
            try:
                ((kind, value),) = strict_json.loads(line.decode()).items()
                kept.add(kind, value)
            except (AttributeError, TypeError, ValueError):
                raise ConfigError(
                    "a line of what was watched is damaged",
                    hint="bring an older copy back; without the file the target is calibrated anew",
                    where=f"{disk.shown(path)}:{number}",
                    code="state-damaged",
                ) from None
    return kept
