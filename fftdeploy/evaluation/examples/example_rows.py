"""Holds what is asked of all examples at once in compact memory: 100,000 are some arrays."""

import json
from array import array
from collections.abc import Mapping
from typing import Any, NamedTuple


class Spot(NamedTuple):
    """Where a line stands: the number of its file, its own, and its bytes."""

    file: int
    line: int
    offset: int
    length: int


class ExampleRows:
    """One row an example, in the order of the files."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._file = array("H")
        self._line = array("I")
        self._offset = array("Q")
        self._length = array("I")
        self._facts = bytearray()  # of all rows, one after the other, as JSON
        self._facts_end = array("Q")

    def __len__(self) -> int:
        return len(self.ids)

    def append(
        self,
        example_id: str,
        spot: Spot,
        group: str,
        tags: tuple[str, ...],
        meta: Mapping[str, str],
    ) -> None:
        """Keep an example by its ID and its place; group, tags and meta only where it has some."""
        self.ids.append(example_id)
        self._file.append(spot.file)
        self._line.append(spot.line)
        self._offset.append(spot.offset)
        self._length.append(spot.length)
        if group or tags or meta:
            self._facts += json.dumps([group, tags, dict(meta)], separators=(",", ":")).encode()
        self._facts_end.append(len(self._facts))

    def spot(self, index: int) -> Spot:
        """Return where the line of a row stands."""
        return Spot(self._file[index], self._line[index], self._offset[index], self._length[index])

    def facts(self, index: int) -> tuple[str, tuple[str, ...], dict[str, str]]:
        """Return group, tags and meta."""
        if index < 0:
            index += len(self)
        start = self._facts_end[index - 1] if index else 0
        kept = self._facts[start : self._facts_end[index]]
        group, tags, meta = json.loads(kept) if kept else _NOTHING
        return group, tuple(tags), dict(meta)


_NOTHING: tuple[str, tuple[()], dict[str, Any]] = ("", (), {})
