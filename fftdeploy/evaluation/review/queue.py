"""Answers that wait for a person: in which order, what was decided, and what is left."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fftdeploy import files
from fftdeploy.errors import ConflictError
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.formats.document import text_problem
from fftdeploy.names import plural
from fftdeploy.workspace import shown_path

MAX_BYTES = 512 * 1024 * 1024
Decision = Literal["accepted", "edited", "rejected", "skipped"]
DECISIONS: tuple[Decision, ...] = ("accepted", "edited", "rejected", "skipped")


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
    home: Any
    """Where the example is, or what it would be made of: the queue's own."""
    called: str = "output"
    """What stands over the output."""
    draft: str = ""
    """What was edited and not taken: the next edit begins with it."""
    tags: list[str] = field(default_factory=list)
    """Added by the reviewer, for what is decided next."""


class ReviewQueue(ABC):
    """The answers of one sitting, from one source.  Each decision is written at once."""

    where: str
    """The files that decisions are written to, as they are shown."""
    help: Sequence[str]
    """What accept, edit, reject and tags do here, a line each."""
    rejects: bool = True
    """Whether there is anything that an output can be rejected in favour of."""
    items: Sequence[ReviewItem]
    """What nobody has decided yet, in order: a review goes on where one has ended."""

    def __init__(self, bar: QualityBar, reviewer: Reviewer) -> None:
        self.bar, self.reviewer = bar, reviewer
        self.root, self.item = bar.workspace.folder, bar.rules.item
        self.has_written = False
        """Whether the last decision has written, even if that did not return."""
        self.counts: Counter[str] = Counter()
        self.notes: list[str] = []
        """What the reviewer should know of what is not asked about, a line each."""
        folder = Path(bar.workspace.shown).parent
        self.paths = [(self.root / path, str(folder / path)) for path in bar.rules.examples]

    def __iter__(self) -> Iterator[tuple[str, ReviewItem]]:
        """Yield each answer with its place, as in `3 of 12`."""
        for number, item in enumerate(self.items, 1):
            yield f"{number} of {len(self.items)}", item

    def decide(self, item: ReviewItem, decision: Decision, reference: str = "") -> str:
        """Write a decision; return why `reference` can't be the agreed answer, "" if it can.

        What is skipped comes again next time.  What is written counts even if a signal ends the
        writing.

        Raises:
            ConflictError: The example was changed by somebody else.
            DiskError: The disk refused.
        """
        takes = decision in {"accepted", "edited"}
        if takes and (problem := self._problem(item, reference)):
            return problem
        self.has_written = decision == "skipped"
        try:
            if decision == "rejected":
                self._reject(item)
            elif takes:
                self._keep(item, reference)
        finally:
            self.counts[decision] += self.has_written
        return ""

    def tag(self, item: ReviewItem, said: str) -> str:
        """Add tags, with commas between them; return why they are not written, "" if they are.

        Raises:
            ConflictError: The example was changed by somebody else.
            DiskError: The disk refused.
        """
        new = [tag for part in said.split(",") if (tag := part.strip())]
        if problem := next(filter(None, map(text_problem, new)), ""):
            return f"a tag {problem}"
        new = [tag for tag in dict.fromkeys(new) if tag not in {*item.example.tags, *item.tags}]
        item.tags += new
        if new and not self._tag(item):
            return "they go with the answer that you accept or edit"
        self.counts["tagged"] += bool(new)
        return ""

    @property
    def kept(self) -> int:
        """How many decisions are written."""
        return self.counts.total() - self.counts["skipped"] - self.counts["tagged"]

    @property
    def left(self) -> int:
        """How many answers are still to be decided, by this review or the next."""
        return len(self.items) - self.kept

    @property
    def changed(self) -> str:
        """What stays however the review ends; "" where nothing was written."""
        tags = " and tags" if self.counts["tagged"] else ""
        if not self.kept and not tags:
            return ""
        return f"{plural(self.kept, 'decision')}{tags} kept; the same command goes on from there"

    @abstractmethod
    def _problem(self, item: ReviewItem, reference: str) -> str:
        """Say why `reference` can't be the agreed answer; "" if it can."""

    @abstractmethod
    def _keep(self, item: ReviewItem, reference: str) -> None:
        """Write `reference` as the agreed answer; one that is agreed on stays as it is spelt."""

    @abstractmethod
    def _reject(self, item: ReviewItem) -> None:
        """Write that the output is not the answer."""

    @abstractmethod
    def _tag(self, item: ReviewItem) -> bool:
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
