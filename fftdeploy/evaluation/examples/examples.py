"""The examples of a task: files checked whole before anything is asked, read again one by one.

One pass over the files finds every fault before a request is paid for.  An example is not kept:
it is read from its place in the file when it is its turn.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from fftdeploy import files
from fftdeploy.api.answers import plain
from fftdeploy.errors import ConfigError, combined
from fftdeploy.evaluation.examples.example_lines import (
    Example,
    LineError,
    parse_line,
    reference_column,
    review_column,
)
from fftdeploy.evaluation.examples.example_rows import ExampleRows, Spot
from fftdeploy.evaluation.examples.raw_lines import MAX_LINE, HeldFile, RawLine

__all__ = ["Example", "ExampleSet", "open_examples"]

MAX_FAULTS = 20
"""Different faults that are shown; lines with others are counted."""

_CLOCK_SKEW = timedelta(days=1)
"""A reviewer's clock may be wrong, and their offset too."""


class ExampleSet:
    """Examples of one task, from one or more files, in the order of the files."""

    def __init__(
        self, rows: ExampleRows, held: Sequence[HeldFile], item: Mapping[str, str] | None
    ) -> None:
        self.reviewed = 0
        """Examples whose answer somebody has put a name to."""
        self.duplicates = 0
        """Lines left out because an earlier one has the same input and the same answer."""
        self.left_out: tuple[str, ...] = ()
        """IDs of the examples of the files that are none of this set's."""
        self._rows, self._held, self._item = rows, held, item

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Example]:
        return (self.read(index) for index in range(len(self)))

    @property
    def ids(self) -> list[str]:
        """IDs in order; one without its own is called after its line, blank ones not counted."""
        return self._rows.ids

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """Path as it is shown, and the SHA-256 of what its lines mean in hex."""
        return tuple((file.shown, file.sha256) for file in self._held)

    @property
    def sha(self) -> str:
        """32 hex digits over what the lines of all files mean, in order, and what is left out."""
        return sha_of((sha for _, sha in self.files), self.left_out)

    def without(self, ids: Collection[str]) -> "ExampleSet":
        """Return the set of the other examples; this one where there are no such IDs in it."""
        known = {*ids}
        gone = [index for index, name in enumerate(self.ids) if name in known]
        if not gone:
            return self
        made = self.only(index for index, name in enumerate(self.ids) if name not in known)
        made.left_out = tuple(self.ids[index] for index in gone)
        made.duplicates = self.duplicates
        made.reviewed = self.reviewed - sum(bool(self.read(n).reviewed_by) for n in gone)
        return made

    def only(self, indexes: Iterable[int]) -> "ExampleSet":
        """Return some of the examples as a set of the same files."""
        rows = ExampleRows()
        for index in indexes:
            rows.append(self.ids[index], self._rows.spot(index), *self._rows.facts(index))
        return ExampleSet(rows, self._held, self._item)

    def place(self, index: int) -> str:
        """Return `path:line` of an example."""
        spot = self._rows.spot(index)
        return f"{self._held[spot.file].shown}:{spot.line}"

    def group(self, index: int) -> str:
        """Return the group of an example, "" if it stands alone."""
        return self._rows.facts(index)[0]

    def tags(self, index: int) -> tuple[str, ...]:
        """Return the words by which rules name some examples, such as `edge-case`."""
        return self._rows.facts(index)[1]

    def meta(self, index: int) -> dict[str, str]:
        """Return what slices are cut by, key and value."""
        return self._rows.facts(index)[2]

    def read(self, index: int) -> Example:
        """Read an example again from its file.

        Raises:
            ConflictError: It is no longer there.
        """
        spot = self._rows.spot(index)
        held, name = self._held[spot.file], self.ids[index]
        try:
            text = held.read(spot.offset, spot.length).decode()
            example = parse_line(text, name, f"{held.shown}:{spot.line}", self._item)
        except (LineError, UnicodeDecodeError):
            raise held.changed() from None
        if example.id != name:
            raise held.changed()
        return example

    def require_unchanged(self) -> None:
        """Compare every file with what was checked.

        Raises:
            ConflictError: One of them says something else by now.
        """
        for held in self._held:
            held.require_unchanged()


def sha_of(files: Iterable[str], left_out: Iterable[str]) -> str:
    """Hash a set by the hashes of its files, and the IDs of those of their examples it lacks."""
    return hashlib.sha256("\n".join(("".join(files), *left_out)).encode()).hexdigest()[:32]


def open_examples(
    paths: Sequence[tuple[Path, str]],
    *,
    root: Path,
    item: Mapping[str, str] | None = None,
    check: Callable[[Example], str] | None = None,
    now: datetime | None = None,
) -> ExampleSet:
    """Check all of the files, and open them as one set.

    Args:
        paths: Each file, and how messages call it.
        root: The folder that no file, and no link to one, may leave.
        item: Keys of an evals item that are `input` and `reference`, where not the usual ones.
        check: Says what is wrong with the agreed answer of an example; "" if nothing is.
        now: Refuses a review of more than a day later; None refuses none.

    Raises:
        ConfigError: Located at the first fault; `details` are the next different ones, at most
            `MAX_FAULTS` in all, each with the number of its lines, and that of lines with others.
        DiskError: The disk or the permissions refused.
    """
    opening = _Opening(item, check, now)
    stems = [Path(shown).stem for _, shown in paths]
    for path, shown in paths:
        stem = Path(shown).stem
        name = stem if stems.count(stem) == 1 else str(Path(shown).with_suffix(""))
        try:
            with files.opened(path, root=root) as (file, _, _):
                opening.add(HeldFile(path, shown, root, file), name)
        except ConfigError as error:
            if error.code == "missing":
                error.message, error.where = f"no such file: {shown}", shown
            raise
    opening.require_no_fault()
    return opening.examples


class _Opening:
    """The one pass over the files, and what is known only until it is over."""

    def __init__(
        self,
        item: Mapping[str, str] | None,
        check: Callable[[Example], str] | None,
        now: datetime | None,
    ) -> None:
        self.item, self.check = item, check
        self.latest = now + _CLOCK_SKEW if now else None
        self.rows = ExampleRows()
        self.held: list[HeldFile] = []
        self.examples = ExampleSet(self.rows, self.held, item)
        self.faults: dict[str, ConfigError] = {}
        self.lines_with: Counter[str] = Counter()
        self.more = 0
        self.lines: dict[str, int] = {}  # by ID: the number of the file, and of the line
        self.inputs: dict[int, int] = {}  # by 64 bits of a hash: the index of the example

    def add(self, held: HeldFile, name: str) -> None:
        self.held.append(held)
        for place, line in enumerate(held.lines(), 1):
            try:
                self._add(line, held, f"{name}:{place}")
            except LineError as error:
                self._fault(f"{held.shown}:{line.number}:{error.column}", error)

    def require_no_fault(self) -> None:
        """Raise the first fault, with the others as its details."""
        for message, fault in self.faults.items():
            if self.lines_with[message] > 1:
                fault.message += f" (in {self.lines_with[message]:,} lines)"
        rest = (f"{self.more:,} more lines have other faults",) if self.more else ()
        if self.faults:
            raise combined([*self.faults.values()], rest)

    def _add(self, line: RawLine, held: HeldFile, name: str) -> None:
        if line.is_too_long:
            raise LineError(f"this line is longer than the {MAX_LINE:,} bytes allowed")
        text = _decoded(line.raw)
        example = parse_line(text, name, f"{held.shown}:{line.number}", self.item)
        self._require_new_id(example, line)
        digest = hashlib.blake2b(example.input_key.encode(), digest_size=8).digest()
        earlier = self.inputs.setdefault(int.from_bytes(digest), len(self.rows))
        if earlier != len(self.rows):
            self._require_same(example, earlier, text)
            self.examples.duplicates += 1
            return
        self.examples.reviewed += bool(example.reviewed_by)
        spot = Spot(len(self.held) - 1, line.number, line.offset, len(line.raw))
        self.rows.append(example.id, spot, example.group, example.tags, example.meta)
        if self.check and (problem := self.check(example)):
            raise LineError(f"the agreed answer: {problem}", column=reference_column(text))
        self._require_past(example, text)

    def _require_past(self, example: Example, text: str) -> None:
        if self.latest is None or not example.reviewed_at:
            return
        if datetime.fromisoformat(example.reviewed_at) > self.latest:
            raise LineError("'reviewed_at' is in the future", column=review_column(text))

    def _require_new_id(self, example: Example, line: RawLine) -> None:
        here = (len(self.held) - 1) << 32 | line.number
        there = self.lines.setdefault(example.id, here)
        if there != here:
            place = f"{self.held[there >> 32].shown}:{there & 0xFFFFFFFF}"
            raise LineError(
                f"the ID '{plain(example.id, 60)}' is there twice: first at {place}",
                "give each example an ID of its own",
            )

    def _require_same(self, example: Example, index: int, text: str) -> None:
        """Refuse a line that contradicts an earlier one with the same input."""
        earlier = self.examples.read(index)
        what = ""
        if (example.reference, example.others) != (earlier.reference, earlier.others):
            what = "another answer"
        elif (example.tags, example.meta, example.group) != (
            earlier.tags,
            earlier.meta,
            earlier.group,
        ):
            what = "other tags, meta or group"
        if what:
            raise LineError(
                f"the same input as at {earlier.place}, with {what}",
                "keep one of the two",
                reference_column(text) if what == "another answer" else 1,
            )

    def _fault(self, where: str, error: LineError) -> None:
        message = error.message
        if message not in self.faults:
            if len(self.faults) == MAX_FAULTS:
                self.more += 1
                return
            self.faults[message] = ConfigError(
                message, hint=error.hint, where=where, code="examples"
            )
        self.lines_with[message] += 1


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        column = len(raw[: error.start].decode()) + 1
        message = f"not UTF-8: byte 0x{raw[error.start]:02x}"
        raise LineError(message, "save it as UTF-8", column) from None
