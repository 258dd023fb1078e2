"""Counts the callers of two arms anew from each of many starts, so that a late turn is found.

A start is when the canary began (0), and each whole hour (UTC) after it.  From each start every
caller counts once in each arm, by the first request at or after it.  Level: the k-th midnight has
alpha / (2 (k+1) (k+2)), the h-th other hour alpha / ((h+1) (h+2)); all together have at most alpha,
so that all looks at all starts call equal arms worse with at most that chance (a union bound).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple

from fftdeploy.evaluation.gate.statistics import Interval, difference_sequence, excludes

MAX_CALLERS = 1_000_000
"""Callers of the two that are told apart, at most; later ones are not counted."""
MAX_DAYS = 60
"""Nothing starts anew later than this after the canary began: the last start goes on."""
MOST_CHANCE = 0.05
_HOUR = 3600


class Sequence(NamedTuple):
    """What one start has counted: of live, and of the canary."""

    since: datetime
    most_chance: float
    failed: tuple[int, int]
    n: tuple[int, int]

    def interval(self) -> Interval:
        """Return by how much more often the canary fails, valid at every look."""
        return difference_sequence(self.failed, self.n, self.most_chance)

    def may_be_worse(self) -> bool:
        """Rule out cheaply that the whole interval lies above zero."""
        live, canary = (failed / max(n, 1) for failed, n in zip(self.failed, self.n, strict=True))
        return canary > live and excludes(live, self.failed[1], self.n[1], self.most_chance / 2)


class Starts:
    """Counts callers from every start at once, in constant time a request."""

    def __init__(self, began: datetime) -> None:
        """Take when the first start is."""
        self._began = began
        self._hour = int(began.timestamp() // _HOUR)
        self._counted: dict[bytes, int] = {}
        """Of a caller in an arm: the last start that counts it, as do all before."""
        self._changes: dict[int, list[int]] = {}
        """By which each start's counts differ from the one before: failed, failed, n, n."""

    def add(self, arm: int, caller: str, at: float | None, *, failed: bool) -> None:
        """Count a request, in order of time, in the starts that do not count its caller yet."""
        place = 0 if at is None else int(at // _HOUR) - self._hour
        place = max(0, min(place, MAX_DAYS * 24))
        digest = blake2b(caller.encode(), digest_size=8, salt=b"%d" % arm).digest()
        counted = self._counted.get(digest)
        if counted is None and len(self._counted) >= MAX_CALLERS:
            return
        first = 0 if counted is None else counted + 1
        if first > place:
            return
        self._counted[digest] = place
        for start, change in ((first, 1), (place + 1, -1)):
            counts = self._changes.setdefault(start, [0, 0, 0, 0])
            counts[arm] += change * failed
            counts[2 + arm] += change

    @property
    def names_callers(self) -> bool:
        """Whether anyone was counted."""
        return bool(self._counted)

    def sequences(self) -> Iterator[Sequence]:
        """Yield what the starts that count anyone do, the first before; of those alike, one."""
        counts = [0, 0, 0, 0]
        for start, following in pairwise(sorted(self._changes)):
            counts = [a + b for a, b in zip(counts, self._changes[start], strict=True)]
            midnight = start + -(self._hour + start) % 24
            best = max({start, min(midnight, following - 1)}, key=self._level)
            since = datetime.fromtimestamp((self._hour + best) * _HOUR, UTC)
            live_failed, failed, live, canary = counts
            yield Sequence(
                since if best else self._began,
                self._level(best),
                (live_failed, failed),
                (live, canary),
            )

    def worst(self) -> tuple[Sequence, Interval]:
        """Return the start that shows the canary worse, by most at least; else the first of all.

        Somebody must have been counted.
        """
        first, *later = self.sequences()
        known = first, first.interval()
        for each in later:
            if each.may_be_worse() and (interval := each.interval()).lower > max(0, known[1].lower):
                known = each, interval
        return known

    def _level(self, start: int) -> float:
        hour = self._hour + start
        if start and hour % 24:
            return MOST_CHANCE / ((start + 1) * (start + 2))
        day = hour // 24 - self._hour // 24
        return MOST_CHANCE / (2 * (day + 1) * (day + 2))
