"""Examples whose answers nobody has put a name to: a review confirms or replaces them."""

from collections.abc import Sequence
from dataclasses import replace

from fftdeploy.cli.review_in_place import InPlace
from fftdeploy.cli.reviewing import Item
from fftdeploy.cli.session import Session
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.evaluation.examples.example_lines import Example


class Unreviewed(InPlace):
    """The answers of the examples themselves."""

    help: Sequence[str] = (
        "a  accept: the answer is right, and you have reviewed it",
        "e  edit: what you write becomes the agreed answer",
        "t  tags: added to the example",
    )
    rejects = False

    def __init__(self, session: Session, bar: QualityBar, by: str) -> None:
        super().__init__(session, bar, by)
        self.where = ", ".join(shown for _, shown in self.paths)

    def pending(self) -> Sequence[Item]:
        """Return the examples that nobody has reviewed."""
        items = self.placed(_doubt)
        for item in items:  # the answer is shown once, as what is in question
            item.example, item.called = replace(item.example, reference=""), "answer"
        return items

    def keep(self, item: Item, reference: str) -> None:
        """Replace the agreed answer, or confirm it; raises ConflictError and DiskError."""
        if reference == item.output:
            self.confirm(item)
        else:
            super().keep(item, reference)


def _doubt(example: Example) -> tuple[str, str] | None:
    return None if example.reviewed_by else (example.reference, "nobody has reviewed it")
