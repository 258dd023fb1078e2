"""Where a review gets answers from, and the examples files that it writes decisions to."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from fftdeploy import files
from fftdeploy.errors import ConflictError
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.evaluation.examples.example_lines import Example
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


@dataclass(slots=True)
class ReviewItem:
    """One answer to review.  Its texts are untrusted."""

    example: Example
    """The input; where there is one, the reference that people have agreed on."""
    output: str
    reason: str
    """Why the output is in question, one line."""
    home: object
    """Where the example is, or what it would be made of: the source's own."""
    called: str = "output"
    """What stands over the output."""
    draft: str = ""
    """What was edited and not taken: the next edit begins with it."""
    tags: list[str] = field(default_factory=list)
    """Added by the reviewer, for what is decided next."""


class ReviewSource(ABC):
    """Answers to review, and what a decision about one of them writes.

    `keep`, `reject` and `tag` raise ConflictError where somebody else has changed the example, and
    DiskError where the disk refuses; `has_written` says whether the last one has written, even if
    it did not return.
    """

    where: str
    """The files that decisions are written to, as they are shown."""
    help: Sequence[str]
    """What accept, edit, reject and tags do here, a line each."""
    rejects: bool = True
    """Whether there is anything that an output can be rejected in favour of."""

    def __init__(self, bar: QualityBar, reviewer: Reviewer) -> None:
        self.bar, self.reviewer = bar, reviewer
        self.root = bar.workspace.folder
        self.item = bar.rules.item
        self.has_written = False
        self.notes: list[str] = []
        """What the reviewer should know of what is not asked about, a line each."""
        folder = Path(bar.workspace.shown).parent
        self.paths = [(self.root / path, str(folder / path)) for path in bar.rules.examples]

    @abstractmethod
    def pending(self) -> Sequence[ReviewItem]:
        """Return what nobody has decided yet, in order: a review goes on where one has ended."""

    @abstractmethod
    def problem(self, item: ReviewItem, reference: str) -> str:
        """Say why `reference` can't be the agreed answer; "" if it can."""

    @abstractmethod
    def keep(self, item: ReviewItem, reference: str) -> None:
        """Write `reference` as the agreed answer; one that is agreed on stays as it is spelt."""

    @abstractmethod
    def reject(self, item: ReviewItem) -> None:
        """Write that the output is not the answer."""

    @abstractmethod
    def tag(self, item: ReviewItem) -> bool:
        """Write the tags of an example that exists; False where they wait for a decision."""

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
