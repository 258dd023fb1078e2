"""Answers that wait for a person: in which order, what was decided, and what is left."""

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from fftdeploy.evaluation.review.source import ReviewItem, ReviewSource
from fftdeploy.formats.document import text_problem
from fftdeploy.names import plural

Decision = Literal["accepted", "edited", "rejected", "skipped"]
DECISIONS: tuple[Decision, ...] = ("accepted", "edited", "rejected", "skipped")


class ReviewQueue:
    """The answers of one sitting.  Each decision is written at once."""

    def __init__(self, source: ReviewSource) -> None:
        """Open the source; raises what its files raise."""
        self.source = source
        self.items = source.pending()
        self.counts: Counter[str] = Counter()

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
        if takes and (problem := self.source.problem(item, reference)):
            return problem
        self.source.has_written = decision == "skipped"
        try:
            if decision == "rejected":
                self.source.reject(item)
            elif takes:
                self.source.keep(item, reference)
        finally:
            self.counts[decision] += self.source.has_written
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
        if new and not self.source.tag(item):
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
