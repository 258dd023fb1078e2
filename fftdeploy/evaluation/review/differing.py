"""Picks from a file of any length a number of inputs that differ, in bounded memory.

A sample of its different inputs is kept, drawn by their digests: the same file gives the same one.
From that those are picked, one by one, which are least like what is picked already.
"""

import heapq
from collections import Counter
from hashlib import blake2b
from typing import Generic, NamedTuple, TypeVar

from fftdeploy.evaluation.examples.overlap import NEAR, SPARED, word_runs
from fftdeploy.evaluation.similarity import first_words

MAX_KEPT = 2_000
MAX_CHARS = 64 * 1024 * 1024
"""Of all that is kept, together."""

_MAX_WORDS = 1_000
_MAX_RUNS = 128
"""Runs of words by which an input is compared: those with the smallest numbers."""

Row = TypeVar("Row")


class Kept(NamedTuple, Generic[Row]):
    """One input of the sample."""

    place: int
    """Of how many inputs it is the next."""
    row: Row
    size: int
    runs: tuple[int, ...]
    """Numbers of its runs of words."""


class InputSample(Generic[Row]):
    """The different inputs of a file, as many as may be kept."""

    def __init__(self, most: int = MAX_KEPT, max_chars: int = MAX_CHARS) -> None:
        self.repeated = 0
        """Inputs that one which is kept has been before."""
        self.undrawn = 0
        """Inputs that the sample has no room for."""
        self._most, self._max_chars = most, max_chars
        self._kept: dict[int, Kept[Row]] = {}  # by digest: the smallest are kept
        self._largest: list[int] = []  # negated
        self._limit = 1 << 64
        self._chars = self._place = 0

    def add(self, key: str, text: str, row: Row, size: int) -> None:
        """Keep an input with its `row`, if the sample has room for it.

        Equal inputs have one `key`; `text` is what is compared, `size` the characters of all.
        """
        number = int.from_bytes(blake2b(key.encode(), digest_size=8).digest())
        self._place += 1
        if number in self._kept:
            self.repeated += 1
            return
        if number >= self._limit:
            self.undrawn += 1
            return
        runs = tuple(word_runs(first_words(text, _MAX_WORDS)))
        self._kept[number] = Kept(self._place, row, size, runs)
        heapq.heappush(self._largest, -number)
        self._chars += size
        while len(self._kept) > self._most or (
            self._chars > self._max_chars and len(self._kept) > 1
        ):
            self._limit = -heapq.heappop(self._largest)
            self._chars -= self._kept.pop(self._limit).size
            self.undrawn += 1

    def pick(self, most: int) -> tuple[list[Row], int, int]:
        """Return at most so many that differ, in the order of the file, and why the rest is not.

        The first number is of those that are nearly the same as one that was picked, the second
        of those that were not needed.
        """
        every = [self._kept[number] for number in sorted(self._kept)]
        often = Counter(run for kept in every for run in kept.runs)
        # Those that tell it from others: what many share is boilerplate.
        share = min(max(SPARED, len(every) // 100), max(2, len(every) // 2))
        telling = ((run for run in kept.runs if often[run] <= share) for kept in every)
        runs = [frozenset(heapq.nsmallest(_MAX_RUNS, few)) for few in telling]
        chosen: list[Kept[Row]] = []
        nearest = [0.0] * len(every)
        left = list(range(len(every)))
        while left and len(chosen) < most:
            at = min(left, key=nearest.__getitem__)
            if nearest[at] >= NEAR:
                break
            chosen.append(every[at])
            left.remove(at)
            for other in left:
                nearest[other] = max(nearest[other], _shared(runs[at], runs[other]))
        like = sum(nearest[at] >= NEAR for at in left)
        ordered = sorted(chosen, key=lambda kept: kept.place)
        return [kept.row for kept in ordered], like, len(left) - like

    def all(self) -> list[Row]:
        """Return all that are kept, in the order of the file."""
        return [kept.row for kept in sorted(self._kept.values(), key=lambda kept: kept.place)]


def _shared(ours: frozenset[int], theirs: frozenset[int]) -> float:
    both = len(ours & theirs)
    return both / (len(ours) + len(theirs) - both) if both else 0.0
