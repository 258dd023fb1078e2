"""The examples of a task: files checked whole before anything is asked, read again one by one.

One pass over the files finds every fault before a request is paid for.  An example is not kept:
it is read from its place in the file when it is its turn.
"""

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

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
from fftdeploy.evaluation.examples.raw_lines import MAX_LINE, HeldFile, RawLine

__all__ = ["Example", "ExampleSet", "open_examples"]

MAX_FAULTS = 20
"""Different faults that are shown; lines with others are counted."""

_CLOCK_SKEW = timedelta(days=1)
"""A reviewer's clock may be wrong, and their offset too."""


class Spot(NamedTuple):
    """Where a line stands: the number of its file, its own, and its bytes."""

    file: int
    line: int
    offset: int
    length: int


class ExampleSet:
    """Examples of one task, from one or more files, in the order of the files.

    What is asked of all of them at once is in compact memory: 100,000 are some arrays.
    """

    def __init__(
        self, held: Sequence[HeldFile] = (), item: Mapping[str, str] | None = None
    ) -> None:
        self.ids: list[str] = []
        """In order; one without its own is called after its line, blank ones not counted."""
        self.reviewed = 0
        """Examples whose answer somebody has put a name to."""
        self.duplicates = 0
        """Lines left out because an earlier one has the same input and the same answer."""
        self.left_out: tuple[str, ...] = ()
        """IDs of the examples of the files that are none of this set's."""
        self._held, self._item = held, item
        self._spots = array("Q")
        self._facts = bytearray()  # of all of them, one after the other, as JSON
        self._facts_end = array("Q")

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Example]:
        return (self.read(index) for index in range(len(self)))

    def append(
        self,
        example_id: str,
        spot: Spot,
        group: str = "",
        tags: tuple[str, ...] = (),
        meta: Mapping[str, str] | None = None,
    ) -> None:
        """Take an example by its ID and its place, with what is asked of all at once."""
        self.ids.append(example_id)
        self._spots.extend(spot)
        if group or tags or meta:
            facts = [group, tags, dict(meta or {})]
            self._facts += json.dumps(facts, separators=(",", ":")).encode()
        self._facts_end.append(len(self._facts))

    def spot(self, index: int) -> Spot:
        """Return where the line of an example stands."""
        start = len(Spot._fields) * index
        return Spot(*self._spots[start : start + len(Spot._fields)])

    def facts(self, index: int) -> tuple[str, tuple[str, ...], dict[str, str]]:
        """Return group, tags and meta of an example."""
        start = self._facts_end[index - 1] if index else 0
        kept = self._facts[start : self._facts_end[index]]
        if not kept:
            return "", (), {}
        group, tags, meta = json.loads(kept)
        return group, tuple(tags), meta

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
        made = ExampleSet(self._held, self._item)
        for index in indexes:
            made.append(self.ids[index], self.spot(index), *self.facts(index))
        return made

    def place(self, index: int) -> str:
        """Return `path:line` of an example."""
        spot = self.spot(index)
        return f"{self._held[spot.file].shown}:{spot.line}"

    def group(self, index: int) -> str:
        """Return the group of an example, "" if it stands alone."""
        return self.facts(index)[0]

    def tags(self, index: int) -> tuple[str, ...]:
        """Return the words by which rules name some examples, such as `edge-case`."""
        return self.facts(index)[1]

    def meta(self, index: int) -> dict[str, str]:
        """Return what slices are cut by, key and value."""
        return self.facts(index)[2]

    def read(self, index: int) -> Example:
        """Read an example again from its file.

        Raises:
            ConflictError: It is no longer there.
        """
        spot = self.spot(index)
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
    for (path, shown), stem in zip(paths, stems, strict=True):
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
        self.held: list[HeldFile] = []
        self.examples = ExampleSet(self.held, item)
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
                where = f"{held.shown}:{line.number}:{error.column}"
                fault = ConfigError(error.message, hint=error.hint, where=where, code="examples")
                is_shown = error.message in self.faults or len(self.faults) < MAX_FAULTS
                self.more += not is_shown
                if is_shown:
                    self.faults.setdefault(error.message, fault)
                    self.lines_with[error.message] += 1

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
        try:
            text = line.raw.decode()
        except UnicodeDecodeError as error:
            column = len(line.raw[: error.start].decode()) + 1
            message = f"not UTF-8: byte 0x{line.raw[error.start]:02x}"
            raise LineError(message, "save it as UTF-8", column) from None
        example = parse_line(text, name, f"{held.shown}:{line.number}", self.item)
        self._require_new_id(example, line)
        digest = hashlib.blake2b(example.input_key.encode(), digest_size=8).digest()
        count = len(self.examples)
        earlier = self.inputs.setdefault(int.from_bytes(digest), count)
        if earlier != count:
            self._require_same(example, earlier, text)
            self.examples.duplicates += 1
            return
        self.examples.reviewed += bool(example.reviewed_by)
        spot = Spot(len(self.held) - 1, line.number, line.offset, len(line.raw))
        self.examples.append(example.id, spot, example.group, example.tags, example.meta)
        if self.check and (problem := self.check(example)):
            raise LineError(f"the agreed answer: {problem}", column=reference_column(text))
        at = example.reviewed_at
        if at and self.latest and datetime.fromisoformat(at) > self.latest:
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
        what, column = "", 1
        if (example.reference, example.others) != (earlier.reference, earlier.others):
            what, column = "another answer", reference_column(text)
        elif (example.group, example.tags, example.meta) != self.examples.facts(index):
            what = "other tags, meta or group"
        if what:
            same = f"the same input as at {earlier.place}, with {what}"
            raise LineError(same, "keep one of the two", column)
