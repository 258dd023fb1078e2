"""Compares candidate and live, example by example: counts, bounds and p-values.

With repeats an example broke (was fixed) where the candidate passed it less (more) often than
live.  What is tested is units: examples, or their groups where they have some.  However many
repeats and examples a unit has, all of them are reduced to `Effective` pairs, and one exact test
decides.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import compress
from math import ceil, floor
from typing import Literal, NamedTuple

from fftdeploy.evaluation.gate import exact, statistics
from fftdeploy.evaluation.results import LOST, MARKS, PASS, USABLE, Column, Results
from fftdeploy.evaluation.verdict import Comparison, Label, SliceResult

MIN_UNITS = 10
"""With fewer effective units nothing is said of the sample."""
SMALL = 20
_BROKE, _SAME, _FIXED = range(3)


class Bar(NamedTuple):
    """What a comparison is held against."""

    margin: float
    confidence: float
    """One-sided, for what lets a candidate pass."""
    risk: float
    """The chance to call a candidate worse that is not."""

    @property
    def wrong_pass(self) -> float:
        """The chance to let a candidate through that is worse by the margin."""
        return 1 - self.confidence


def shared_confidence(confidence: float, candidates: int) -> float:
    """Return what each of several candidates is held to: they share the risk of a wrong pass."""
    return 1 - (1 - confidence) / candidates


class Effective(NamedTuple):
    """Pairs that tell as much as all answers to some units do: fractions.

    They have the mean difference of the examples and the variance of that mean.  `units` is
    Kish's effective number (Survey Sampling, 1965): as if the members of a group said the same
    thing.  How much they really differ from each other shows in the variance, and can only make
    what differs count for more.  Plain pairs, and repeats that all agree, come back as they are.
    """

    units: float
    broke: float
    fixed: float

    @property
    def n(self) -> int:
        """Units that the tests count."""
        return floor(self.units)

    @property
    def is_few(self) -> bool:
        """Whether they are too few to say anything of the sample."""
        return self.n < MIN_UNITS

    @property
    def p_worse(self) -> float:
        """Exact one-sided McNemar, rounded against the finding; so is the next one."""
        return statistics.mcnemar(floor(self.broke), ceil(self.fixed), "worse")

    @property
    def p_better(self) -> float:
        """How rarely so many are fixed by chance."""
        return statistics.mcnemar(ceil(self.broke), floor(self.fixed), "better")

    @property
    def disagreement(self) -> float:
        """Share of the units that differ."""
        return (self.broke + self.fixed) / self.units

    def bounds(self, bar: "Bar") -> statistics.Interval:
        """Return the one-sided bounds of the difference, at the confidence of a pass."""
        return exact.bounds(bar.margin, self.broke, self.fixed, self.n, bar.wrong_pass)


@dataclass(frozen=True)
class Pairs:
    """How often each example was passed by live and by the candidate, 0 to `repeats`."""

    live: bytes
    candidate: bytes
    repeats: int
    groups: Sequence[str | int] | None
    """A name for each example's group; None where each example stands alone."""

    @cached_property
    def signs(self) -> bytes:
        """For each example, 0 where it broke, 1 where it is the same, 2 where it was fixed."""
        both = zip(self.live, self.candidate, strict=True)
        return bytes(_SAME if old == new else _BROKE if old > new else _FIXED for old, new in both)

    @property
    def live_wavers(self) -> bool:
        """Whether live passed some example in part of its repeats only."""
        return any(0 < passed < self.repeats for passed in set(self.live))

    @property
    def live_rate(self) -> float:
        """Share of the answers of live that are right; a lost one counts as such."""
        return sum(self.live) / (len(self.live) * self.repeats)

    @property
    def difference(self) -> float:
        """Mean of candidate minus live over the examples."""
        return (sum(self.candidate) - sum(self.live)) / (len(self.live) * self.repeats)

    def units(self) -> "Counter[tuple[int, int]]":
        """Count units by candidate minus live, summed over all answers, and number of examples."""
        pairs = zip(self.candidate, self.live, strict=True)
        if self.groups is None:
            changes = Counter(candidate - live for candidate, live in pairs)
            return Counter({(change, 1): count for change, count in changes.items()})
        sums = dict.fromkeys(self.groups, 0)
        for group, (candidate, live) in zip(self.groups, pairs, strict=True):
            sums[group] += candidate - live
        sizes = Counter(self.groups)
        return Counter((change, sizes[group]) for group, change in sums.items())

    def effective(self) -> Effective:
        """Return the effective pairs: exact sums of integers, each divided once.

        With the units' changes s and sizes m, N = sum m, Q = sum m^2 and r repeats, the first
        moment is N sum(s) / (r Q); the second, which gives the mean its variance, is
        (N^2 sum(s^2) - 2 N sum(s) sum(s m) + 2 Q sum(s)^2) / (r Q)^2.
        """
        units = self.units().items()
        n, squares = (sum(count * m**power for (_, m), count in units) for power in (1, 2))
        change, spread, cross = (
            sum(count * s**a * m**b for (s, m), count in units) for a, b in ((1, 0), (2, 0), (1, 1))
        )
        scale = self.repeats * squares
        first = n * change * scale
        second = n * n * spread - 2 * n * change * cross + 2 * squares * change * change
        second = max(abs(first), second)
        twice = 2 * scale * scale
        return Effective(n * n / squares, (second - first) / twice, (second + first) / twice)


class Part(NamedTuple):
    """A slice, or a field, before the p-values are adjusted."""

    kind: Literal["slice", "field"]
    key: str
    value: str
    pairs: Pairs
    places: Sequence[int]
    """Indexes of its examples in the results."""


def groups_of(named: Sequence[str]) -> list[str | int] | None:
    """Return a group for each example, its own number where it has none; None if all are alone."""
    return [group or number for number, group in enumerate(named)] if any(named) else None


def effective_units(n: int, groups: Sequence[str | int] | None) -> float:
    """Return Kish's effective number of units: n squared over the sum of the squared sizes."""
    return n if groups is None else n * n / sum(m * m for m in Counter(groups).values())


def passes(column: Column, repeats: int, *, missing: bool = False) -> bytes:
    """Count for each example the answers that passed; `missing` says whether a lost one did."""
    table = bytes(mark == PASS or (missing and mark in LOST) for mark in MARKS)
    return _fold(column.marks.translate(table.ljust(256, b"\0")), repeats)


def pair(results: Results, live: Column, candidate: Column) -> Pairs:
    """Return the pairs of two arms; a lost answer counts against the candidate."""
    return Pairs(
        passes(live, results.repeats, missing=True),
        passes(candidate, results.repeats),
        results.repeats,
        groups_of(results.groups),
    )


def compare(pairs: Pairs, bar: Bar) -> Comparison:
    """Return the comparison of all examples, labelled."""
    half = pairs.repeats / 2
    same = compress(pairs.live, map(_SAME.__eq__, pairs.signs))
    passed_both = sum(passed > half for passed in same)
    broke, fixed = pairs.signs.count(_BROKE), pairs.signs.count(_FIXED)
    n = len(pairs.live)
    tested = pairs.effective()
    lower, upper = tested.bounds(bar)
    return Comparison(
        n,
        passed_both,
        broke,
        fixed,
        n - passed_both - broke - fixed,
        pairs.difference,
        lower,
        upper,
        exact.p_worse_by(bar.margin, tested.broke, tested.fixed, tested.n, bar.wrong_pass),
        tested.p_worse,
        tested.p_better,
        "exact" if tested.n <= exact.LARGEST else "tango",
        label(tested, bar),
        len(set(pairs.groups)) if pairs.groups is not None else 0,
        tested.units,
    )


def label(tested: Effective, bar: Bar) -> Label:
    """Say what the exact tests of effective pairs mean.

    Better and worse are said on McNemar's test alone: the score behind the bound would call 3
    broken of 100 worse.
    """
    if tested.is_few:
        return "inconclusive"
    if exact.is_ruled_out(bar.margin, tested.broke, tested.fixed, tested.n, bar.wrong_pass):
        return "better" if tested.p_better <= bar.wrong_pass else "not-worse"
    return "worse" if tested.p_worse <= bar.risk else "inconclusive"


def parts(results: Results, pairs: Pairs, arms: tuple[Column, Column]) -> Iterator[Part]:
    """Yield every slice of the examples, and every field; `arms` are live and candidate.

    An example that does not say what slice it is in is in none, and what all of them are in is
    no slice.
    """
    for number, key in enumerate(results.slice_keys):
        places: dict[str, list[int]] = {}
        for place, values in enumerate(results.slices):
            places.setdefault(values[number], []).append(place)
        for value in sorted(places.keys() - {""} if len(places) > 1 else ()):
            yield Part("slice", key, value, _part(pairs, places[value]), places[value])
    live, candidate = (
        _failed_bits(arm, len(results.fields), forgives=forgives)
        for arm, forgives in zip(arms, (True, False), strict=True)
    )
    every = range(len(results))
    for number, name in enumerate(results.fields):
        failed = [_failures(bits, number, pairs.repeats) for bits in (live, candidate)]
        # Failures, not passes: who failed more often passed less often.
        yield Part(
            "field", name, "", Pairs(failed[1], failed[0], pairs.repeats, pairs.groups), every
        )


def judge_parts(found: Sequence[Part], bar: Bar) -> tuple[SliceResult, ...]:
    """Return the result of each part, with p-values adjusted for all of them (Holm)."""
    tested = [part.pairs.effective() for part in found]
    p_values = [each.p_worse for each in tested]
    adjusted = statistics.holm(p_values)
    return tuple(map(partial(_result, bar), found, tested, adjusted))


def broke_in(part: Part) -> list[int]:
    """Return the indexes of the examples that broke in `part`."""
    return [
        place for place, sign in zip(part.places, part.pairs.signs, strict=True) if sign == _BROKE
    ]


def ids_of(results: Results, pairs: Pairs) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the IDs of the examples that broke, and of those that were fixed."""
    broke = compress(results.ids, map(_BROKE.__eq__, pairs.signs))
    return tuple(broke), tuple(compress(results.ids, map(_FIXED.__eq__, pairs.signs)))


def _result(bar: Bar, part: Part, tested: Effective, p_adjusted: float) -> SliceResult:
    """Return the result of one part: harmed where it surely is, and by more than the margin."""
    pairs = part.pairs
    n, broke, fixed = len(pairs.live), pairs.signs.count(_BROKE), pairs.signs.count(_FIXED)
    return SliceResult(
        part.kind,
        part.key,
        part.value,
        n,
        broke,
        fixed,
        tested.p_worse,
        p_adjusted,
        exact.lower_bound(bar.margin, tested.broke, tested.fixed, tested.n, bar.wrong_pass),
        p_adjusted <= bar.risk and -pairs.difference > bar.margin,
        n < SMALL,
    )


def _part(pairs: Pairs, places: Sequence[int]) -> Pairs:
    def at(values: bytes) -> bytes:
        return bytes(map(values.__getitem__, places))

    groups = None if pairs.groups is None else [pairs.groups[place] for place in places]
    return Pairs(at(pairs.live), at(pairs.candidate), pairs.repeats, groups)


def _fold(flags: bytes | bytearray, repeats: int) -> bytes:
    """Add up the flags of each example's answers."""
    if repeats == 1:
        return bytes(flags)
    return bytes(map(sum, zip(*[iter(flags)] * repeats, strict=True)))


def _failed_bits(column: Column, fields: int, *, forgives: bool) -> list[int]:
    """Return the failed fields of each answer: all of them where it is of no usable shape.

    `forgives` a lost answer: nothing of it failed.
    """
    every = (1 << fields) - 1
    instead = [None if mark in USABLE else every for mark in MARKS]
    if forgives:
        instead = [0 if mark in LOST else bits for mark, bits in zip(MARKS, instead, strict=True)]
    pairs = zip(column.marks, column.failed, strict=True)
    return [bits if (other := instead[mark]) is None else other for mark, bits in pairs]


def _failures(bits: Sequence[int], field: int, repeats: int) -> bytes:
    mask = 1 << field
    return _fold(bytes([1 if failed & mask else 0 for failed in bits]), repeats)
