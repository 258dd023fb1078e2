"""What two windows of requests differ in, and whether that is the model or what it was asked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal, get_args

from fftdeploy.evaluation.gate.statistics import holm, mcnemar, tango
from fftdeploy.monitoring.logs import differences
from fftdeploy.monitoring.logs.differences import WindowDifference
from fftdeploy.monitoring.logs.window import (
    FAILED,
    FIELD,
    MODEL,
    OTHER,
    RATES,
    SIZES,
    LogWindow,
    is_answers,
    size_of,
)

MOST_CHANCE = 0.01
"""A difference is found where chance makes one as large less often, in any of all measures."""

MIN_REQUESTS = 200
"""Of each window: with fewer, nothing is said."""

_LEAST_RATE, _LEAST_MIX, _LEAST_SIZE = 0.005, 0.03, 0.1
"""Differences below are not told, however sure: half a point of a rate, three of a mix, and a
request of now that is larger than one of then 55 times in 100."""
_MIN_AGAIN = 20
_SHARES = frozenset({*RATES, FAILED})
_SURE = 0.95
_WORSE = {"valid": -1, "refused": 1, "truncated": 1}
"""In which direction a rate gets worse."""

Cause = Literal["model", "data", "unknown"]
ShiftCode = Literal["answers-worse", "model-moved", "data-moved", "answers-moved", "service-moved"]
SHIFT_CODES: tuple[ShiftCode, ...] = get_args(ShiftCode)
WRONG: frozenset[ShiftCode] = frozenset({"answers-worse", "model-moved"})
"""What is wrong; the others are due for a look: the world may change."""
_CODES: dict[Cause | None, ShiftCode] = {
    "model": "model-moved",
    "data": "data-moved",
    "unknown": "answers-moved",
    None: "service-moved",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureShift:
    """A measure of two windows."""

    measure: str
    value: str | None
    """Of a mix, the value whose share has grown most; None where no name of it is known."""
    then: float
    """The share of the requests, or the median."""
    now: float
    p: float = field(metadata={"digits": 4})
    """How often chance makes such a difference, corrected for the number of measures (Holm)."""
    effect: float = field(metadata={"digits": 4})
    """The share of requests that it is about, from -1 to 1; of a mix from 0."""
    code: ShiftCode | None
    """What was found; None where nothing was, or a rate that got better."""
    cause: Cause | None
    """What has changed, where something was found in the answers."""
    again: int
    """Inputs of the window before that were asked again."""
    moved: int
    """How many more of these moved as the measure has than the other way."""


def compare(
    then: LogWindow, now: LogWindow, shown: Mapping[str, str] | None = None
) -> tuple[MeasureShift, ...]:
    """Compare two windows measure by measure; `shown` says what digests of values stand for."""
    measures = list(_measures(then, now))
    found = [_difference(name, then.counts[name], now.counts[name]) for name in measures]
    adjusted = holm([one.p for one in found])
    return tuple(
        _shift(name, WindowDifference(p, one.effect), then, now, shown or {})
        for name, one, p in zip(measures, found, adjusted, strict=True)
    )


def grown(then: Mapping[str, int], now: Mapping[str, int]) -> frozenset[str]:
    """Return the values of a rate or a mix whose share has grown."""
    n, m = sum(then.values()), sum(now.values())
    return frozenset(value for value in now if now[value] * n > then.get(value, 0) * m)


def _measures(then: LogWindow, now: LogWindow) -> Iterator[str]:
    """Yield what both windows have, enough of it, and of mixes only those of a closed set."""
    fields = sorted(name for name in then.counts if name.startswith(FIELD))
    for name in (*RATES, *fields, "length", MODEL, *SIZES[1:], FAILED):
        ours, theirs = then.counts.get(name, {}), now.counts.get(name, {})
        if min(sum(ours.values()), sum(theirs.values())) < MIN_REQUESTS:
            continue
        # Of a closed set a few values stand for all, each there three times on average.
        is_closed = OTHER not in ours and 3 * len(ours) <= sum(ours.values())
        if not name.startswith(FIELD) or is_closed:
            yield name


def _difference(measure: str, then: Mapping[str, int], now: Mapping[str, int]) -> WindowDifference:
    if measure in SIZES:
        return differences.of_sizes(_by_size(then), _by_size(now))
    if measure in _SHARES:
        sums = sum(then.values()), sum(now.values())
        return differences.of_rates(then.get("yes", 0), sums[0], now.get("yes", 0), sums[1])
    return differences.of_mixes(then, now)


def _by_size(counts: Mapping[str, int]) -> dict[int, int]:
    return {int(size): count for size, count in counts.items()}


def _shift(
    name: str,
    difference: WindowDifference,
    then: LogWindow,
    now: LogWindow,
    shown: Mapping[str, str],
) -> MeasureShift:
    effect, ours, theirs = difference.effect, then.counts[name], now.counts[name]
    least = _LEAST_RATE if name in _SHARES else _LEAST_SIZE if name in SIZES else _LEAST_MIX
    is_found = difference.p <= MOST_CHANCE and abs(effect) >= least
    value = None if name in _SHARES or name in SIZES else _grown_most(ours, theirs)
    pairs = _Again.of(name, then, now) if is_answers(name) else _Again(0, 0, 0)
    cause = _cause(name, effect, pairs) if is_found else None
    return MeasureShift(
        measure=name,
        value=shown.get(value or ""),
        then=_level(name, value, ours),
        now=_level(name, value, theirs),
        p=difference.p,
        effect=effect,
        code=_code(name, effect, cause) if is_found else None,
        cause=cause,
        again=pairs.n,
        moved=pairs.up - pairs.down,
    )


def _code(measure: str, effect: float, cause: Cause | None) -> ShiftCode | None:
    if measure not in RATES:
        return _CODES[cause]
    return "answers-worse" if effect * _WORSE[measure] > 0 else None


def _grown_most(then: Mapping[str, int], now: Mapping[str, int]) -> str:
    n, m = sum(then.values()), sum(now.values())
    return max(sorted(now), key=lambda value: now[value] / m - then.get(value, 0) / n)


def _level(measure: str, value: str | None, counts: Mapping[str, int]) -> float:
    """Return the median of sizes, a whole number, or else the share of one value."""
    total = sum(counts.values())
    if measure not in SIZES:
        return counts.get(value or "yes", 0) / total
    ordered = sorted(_by_size(counts).items())
    seen = accumulate(count for _, count in ordered)
    median = next(n for (n, _), below in zip(ordered, seen, strict=True) if 2 * below >= total)
    return round(size_of(median))


@dataclass(frozen=True, slots=True)
class _Again:
    """Inputs that were asked in both windows: how many answers moved up, and how many down."""

    n: int
    up: int
    down: int

    @classmethod
    def of(cls, measure: str, then: LogWindow, now: LogWindow) -> "_Again":
        """Count, of a mix, moves into the values whose share has grown, and out of these."""
        both = [
            (then.inputs[key][measure], cells[measure])
            for key, cells in now.inputs.items()
            if measure in cells and measure in then.inputs.get(key, {})
        ]
        if measure in SIZES:
            signs = [int(after) - int(before) for before, after in both]
        else:
            up = grown(then.counts[measure], now.counts[measure])
            signs = [(after in up) - (before in up) for before, after in both]
        return cls(len(both), sum(sign > 0 for sign in signs), sum(sign < 0 for sign in signs))


def _cause(measure: str, effect: float, again: _Again) -> Cause | None:
    """Tell a change of the model from one of what it is asked, by what was asked again.

    Without a change of the model both answers to an input are exchangeable, so that as many move
    one way as the other: whatever the noise, moves beyond that prove it (sign test).  Where they
    can make less than half of the difference, what is asked has changed.
    """
    if measure == MODEL:
        return "model"
    if not is_answers(measure):
        return None
    if again.n < _MIN_AGAIN:
        return "unknown"
    is_up = effect > 0 or measure not in SIZES
    with_it, against = (again.up, again.down) if is_up else (again.down, again.up)
    most = -tango(with_it, against, again.n, _SURE, 1).lower
    if most < abs(effect) / 2:
        return "data"
    return "model" if mcnemar(with_it, against, "worse") <= MOST_CHANCE else "unknown"
