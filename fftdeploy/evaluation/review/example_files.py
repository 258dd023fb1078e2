"""The examples files of a task, as a review writes to them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from fftdeploy import files
from fftdeploy.errors import ConflictError
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.workspace import shown_path

MAX_BYTES = 512 * 1024 * 1024


class Reviewer(NamedTuple):
    """Who reviews, and the clock that says when."""

    name: str
    now: Callable[[], datetime]

    def stamp(self) -> tuple[str, str]:
        """Return now as `reviewed_at` has it, and its day as an ID has it."""
        now = self.now().astimezone(UTC)
        return f"{now:%Y-%m-%dT%H:%M:%SZ}", f"{now:%Y%m%d}"


class ExampleFiles:
    """What all sources of answers share: where examples are, who reviews, and how it is kept."""

    def __init__(self, bar: QualityBar, reviewer: Reviewer) -> None:
        self.bar, self.reviewer = bar, reviewer
        self.root = bar.workspace.folder
        self.item = bar.rules.item
        self.has_written = False
        self.notes: list[str] = []
        folder = Path(bar.workspace.shown).parent
        self.paths = [(self.root / path, str(folder / path)) for path in bar.rules.examples]

    def change(self, path: Path, make: Callable[[bytes], bytes | None], lost: str) -> None:
        """Replace a file by what `make` makes of it; `has_written` says so whatever is raised.

        `make` gets what the file says now, be it another time where a colleague was faster; it
        returns None where that leaves nothing to change, and `lost` says what has happened.

        Raises:
            ConflictError: It returned None, or the file is locked.
            DiskError: The disk refused.
        """
        state = files.Replaced()
        try:
            snapshot = files.read(path, root=self.root, max_bytes=MAX_BYTES)
            files.check_writable(snapshot)
            new = make(snapshot.data)
            if new is None:
                raise ConflictError(
                    f"{lost} {shown_path(path)} by somebody else",
                    hint="run it again: it goes on from what the file says now",
                    where=shown_path(path),
                )
            files.replace(snapshot, new, rebase=make, max_bytes=MAX_BYTES, state=state)
        finally:
            self.has_written = state.done
