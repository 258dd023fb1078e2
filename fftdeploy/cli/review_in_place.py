"""Examples that a review rewrites where they are."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fftdeploy import files
from fftdeploy.cli.example_files import MAX_BYTES, ExampleFiles
from fftdeploy.cli.reviewing import Item
from fftdeploy.evaluation.examples import reviewed
from fftdeploy.evaluation.examples.example_lines import Example, LineError, parse_line
from fftdeploy.evaluation.examples.reviewed import ReviewDecision


@dataclass(slots=True)
class Placed(Item):
    """An example with its line."""

    path: Path = Path()
    number: int = 0
    """Of its line."""
    row: bytes = b""
    """Its line as it is now."""


class InPlace(ExampleFiles):
    """What sources of answers to examples that are there already share."""

    def problem(self, item: Item, reference: str) -> str:
        """Say why `reference` can't be the agreed answer; "" if it can."""
        placed = _placed(item)
        row = self._revised(placed.row, ReviewDecision(reference=reference))
        try:
            example = parse_line(row.decode(), item.example.id, item.example.place, self.item)
        except LineError as error:
            return error.message
        return self.bar.grading.reference_problem(example)

    def keep(self, item: Item, reference: str) -> None:
        """Replace the agreed answer; raises ConflictError and DiskError."""
        self._write(
            _placed(item), ReviewDecision(reference, tuple(item.tags), self.by, self.stamp()[0])
        )

    def reject(self, item: Item) -> None:
        """Confirm what was agreed on before; raises ConflictError and DiskError."""
        self.confirm(item)

    def confirm(self, item: Item) -> None:
        """Leave the agreed answer as it is spelt; raises ConflictError and DiskError."""
        self._write(_placed(item), ReviewDecision(None, tuple(item.tags), self.by, self.stamp()[0]))

    def tag(self, item: Item) -> bool:
        """Add the tags to the example; raises ConflictError and DiskError."""
        self._write(_placed(item), ReviewDecision(tags=tuple(item.tags)))
        return True

    def placed(self, doubt: Callable[[Example], tuple[str, str] | None]) -> Sequence[Placed]:
        """Return the examples about which there is a doubt: the output in question, and why.

        The tags and slices of the gate need not be there: they may be what is to be added.
        """
        examples = self.bar.checked_examples
        held = {name: (path, self._rows(path)) for path, name in self.paths}
        examples.require_unchanged()  # the lines are those that were checked
        twice = self._twice(held) if examples.duplicates else frozenset()
        items: list[Placed] = []
        for example in examples:
            found = doubt(example)
            if found is None:
                continue
            if example.input_key in twice:  # its other lines would contradict it
                note = f"note: {example.id} is left out: keep one of the lines with its input"
                self.session.output.note(note)
                continue
            name, _, number = example.place.rpartition(":")
            path, rows = held[name]
            place = int(number)
            items.append(Placed(example, *found, path=path, number=place, row=rows[place - 1]))
        return items

    def _write(self, item: Placed, review: ReviewDecision) -> None:
        old, new = item.row, self._revised(item.row, review)
        self.change(
            item.path,
            lambda data: reviewed.replaced(data, item.number, old, new),
            lost=f"{item.example.id} was changed in",
        )
        item.row = new

    def _revised(self, row: bytes, review: ReviewDecision) -> bytes:
        return reviewed.revised(row, review, item_reference=(self.item or {}).get("reference"))

    def _rows(self, path: Path) -> list[bytes]:
        return list(reviewed.lines(files.read(path, root=self.root, max_bytes=MAX_BYTES).data))

    def _twice(self, held: Mapping[str, tuple[Path, list[bytes]]]) -> frozenset[str]:
        """Return the inputs that more than one line has."""
        rows = (row for _, every in held.values() for row in every if row.strip())
        keys = Counter(parse_line(row.decode(), "", "", self.item).input_key for row in rows)
        return frozenset(key for key, count in keys.items() if count > 1)


def _placed(item: Item) -> Placed:
    assert isinstance(item, Placed)  # noqa: S101  they come from `pending`
    return item
