"""Reads how a target was found last, without reading all that is kept of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from fftdeploy.files import journal
from fftdeploy.monitoring.watched import SETTLED, WatchState, path_of
from fftdeploy.releases.deployments import Bundle

_OLD = timedelta(days=2)
"""The age of a look from which it says nothing of today."""


@dataclass(frozen=True, slots=True)
class LastLook:
    """The newest look at a target, as far as this machine knows."""

    state: WatchState
    at: datetime
    settled: WatchState | None
    """What was last settled, `fine` or `drift`."""
    settled_at: datetime | None

    @property
    def has_drifted(self) -> bool:
        """Whether drift is what was last settled."""
        return self.settled == "drift"

    def is_unknown(self, now: datetime) -> bool:
        """Whether nothing says if the target has drifted."""
        return self.settled_at is None or now - self.settled_at > _OLD


def last_look(root: Path, target: str, live: Bundle) -> LastLook | None:
    """Return the newest look at what is live in a target; None where nobody has looked since.

    Raises:
        ConfigError: Its line is damaged, or something else is in the way.
        DiskError: The disk refused.
    """
    path = path_of(root, target)
    if not path.is_file():
        return None
    from fftdeploy.monitoring import state_file  # most targets are not watched

    with journal.open_reader(path, root=root) as file:
        lines = [line for line in file if line.startswith(state_file.LOOK) and line[-1:] == b"\n"]
    newest = None
    for line in reversed(lines):
        look = state_file.read_lines([line], path).looks[0]
        if look.bundle != live:
            break
        newest = newest or look
        if look.state in SETTLED:
            return LastLook(newest.state, newest.at, look.state, look.at)
    return LastLook(newest.state, newest.at, None, None) if newest else None
