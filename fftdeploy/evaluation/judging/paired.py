"""Candidate against live, example by example: counts, bounds and p-values.  Pure.

With repeats an example broke (was fixed) where the candidate passed it less (more) often than
live.  Where examples come in groups, or are repeated, the bound of the difference is that of the
pseudo-example t over the examples' mean differences; else it is Tango's.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Literal, NamedTuple

from fftdeploy.evaluation.judging import statistics
from fftdeploy.evaluation.results import MARKS, MISSING, PASS, USABLE, Column, Results
from fftdeploy.evaluation.verdict import Comparison, Label, SliceResult

MIN_GROUPS = 10
"""With fewer groups their spread cannot be told."""
SMALL = 20
_BROKE, _SAME, _FIXED = range(3)


class Bar(NamedTuple):
    """What a comparison is held against."""

    margin: float
    confidence: float
    """One-sided, for what lets a candidate pass."""
    risk: float
    """The chance to call a candidate worse that is not."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """How often each example was passed by live and by the candidate, 0 to `repeats`."""

    live: bytes
    candidate: bytes
    repeats: int
    groups: Sequence[str | int] | None
    """A name for each example's group; None where each example stands alone."""
    signs: bytes
    """For each example, 0 where it broke, 1 where it is the same, 2 where it was fixed."""

    def differences(self) -> list[float]:
        """Return candidate minus live for each example, a share of its repeats."""
        pairs = zip(self.candidate, self.live, strict=True)
        return [(candidate - live) / self.repeats for candidate, live in pairs]

    @property
    def is_plain(self) -> bool:
        """Whether each example is one independent pair of answers."""
        return self.repeats == 1 and self.groups is None


class Part(NamedTuple):
    """A slice, or a field, before the p-values are adjusted."""

    kind: Literal["slice", "field"]
    key: str
    value: str
    pairs: Pairs
    places: Sequence[int]
    """Indexes of its examples in the results."""


def groups_of(results: Results) -> list[str | int] | None:
    """Return a group for each example, its own number where it has none; None if all are alone."""
    if not any(results.groups):
        return None
    return [group or number for number, group in enumerate(results.groups)]


def passes(column: Column, repeats: int, *, missing: bool = False) -> bytes:
    """Count for each example the answers that passed; `missing` says whether a lost one did."""
    table = bytes(mark == PASS or (missing and mark == MISSING) for mark in MARKS)
    return _fold(column.marks.translate(table.ljust(256, b"\0")), repeats)


def pair(results: Results, live: Column, candidate: Column) -> Pairs:
    """Return the pairs of two arms; a lost answer counts against the candidate."""
    return _paired(
        passes(live, results.repeats, missing=True),
        passes(candidate, results.repeats),
        results.repeats,
        groups_of(results),
    )


def compare(pairs: Pairs, bar: Bar) -> Comparison:
    """Return the comparison of all examples, labelled."""
    half = pairs.repeats / 2
    same = compress(pairs.live, map(_SAME.__eq__, pairs.signs))
    passed_both = sum(passed > half for passed in same)
    broke, fixed = pairs.signs.count(_BROKE), pairs.signs.count(_FIXED)
    n = len(pairs.signs)
    groups = len(set(pairs.groups)) if pairs.groups is not None else 0
    difference = (sum(pairs.candidate) - sum(pairs.live)) / (n * pairs.repeats)
    if pairs.is_plain:
        lower, upper = statistics.tango(broke, fixed, n, bar.confidence, 1)
        worse = statistics.mcnemar(broke, fixed, "worse")
        better = statistics.mcnemar(broke, fixed, "better")
    else:
        mean = statistics.pseudo_t(pairs.differences(), pairs.groups, bar.confidence)
        lower, upper, worse, better = mean[:4]
    return Comparison(
        n,
        passed_both,
        broke,
        fixed,
        n - passed_both - broke - fixed,
        difference,
        lower,
        upper,
        worse,
        better,
        "tango" if pairs.is_plain else "pseudo-t",
        "inconclusive" if 0 < groups < MIN_GROUPS else label(lower, worse, better, bar),
        groups,
    )


def label(lower: float, p_worse: float, p_better: float, bar: Bar) -> Label:
    """Say what a lower bound and the two one-sided p-values mean.

    Better and worse are said on the exact test alone: the normal tail behind the bound would
    call 3 broken of 100 worse.
    """
    if lower > -bar.margin:
        return "better" if p_better <= 1 - bar.confidence else "not-worse"
    return "worse" if p_worse <= bar.risk else "inconclusive"


def disagreement(pairs: Pairs, comparison: Comparison) -> float:
    """Return the share of pairs that disagree, or what stands for it in the size of a set.

    With repeats or groups that is the variance of the mean difference times n.
    """
    if pairs.is_plain:
        return (comparison.broke + comparison.fixed) / comparison.n
    error = statistics.pseudo_t(pairs.differences(), pairs.groups).error
    return min(1.0, comparison.n * error * error)


def parts(results: Results, pairs: Pairs, arms: tuple[Column, Column]) -> Iterator[Part]:
    """Yield every slice of the examples, and every field; `arms` are live and candidate.

    An example that does not say what slice it is in is in none.
    """
    for number, key in enumerate(results.slice_keys):
        places: dict[str, list[int]] = {}
        for place, values in enumerate(results.slices):
            places.setdefault(values[number], []).append(place)
        for value in sorted(places.keys() - {""}):
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
            "field", name, "", _paired(failed[1], failed[0], pairs.repeats, pairs.groups), every
        )


def judge_parts(found: Sequence[Part], bar: Bar) -> tuple[SliceResult, ...]:
    """Return the result of each part, with p-values adjusted for all of them (Holm)."""
    p_values = [_p_worse(part.pairs) for part in found]
    adjusted = statistics.holm(p_values)
    return tuple(
        _result(part, bar, p, p_adjusted)
        for part, p, p_adjusted in zip(found, p_values, adjusted, strict=True)
    )


def broke_in(part: Part) -> list[int]:
    """Return the indexes of the examples that broke in `part`."""
    return [
        place for place, sign in zip(part.places, part.pairs.signs, strict=True) if sign == _BROKE
    ]


def ids_of(results: Results, pairs: Pairs) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the IDs of the examples that broke, and of those that were fixed."""
    broke = compress(results.ids, map(_BROKE.__eq__, pairs.signs))
    return tuple(broke), tuple(compress(results.ids, map(_FIXED.__eq__, pairs.signs)))


def _result(part: Part, bar: Bar, p: float, p_adjusted: float) -> SliceResult:
    pairs = part.pairs
    n, broke, fixed = len(pairs.signs), pairs.signs.count(_BROKE), pairs.signs.count(_FIXED)
    if pairs.is_plain:
        lower = statistics.tango(broke, fixed, n, bar.confidence, 1).lower
    else:
        lower = statistics.pseudo_t(pairs.differences(), pairs.groups, bar.confidence).lower
    is_harmed = p_adjusted <= bar.risk
    return SliceResult(
        part.kind, part.key, part.value, n, broke, fixed, p, p_adjusted, lower, is_harmed, n < SMALL
    )


def _p_worse(pairs: Pairs) -> float:
    """Exact one-sided McNemar; the examples of one group count as one, by what most of them do."""
    if pairs.groups is None:
        signs: Iterable[int] = pairs.signs
        return statistics.mcnemar(pairs.signs.count(_BROKE), pairs.signs.count(_FIXED), "worse")
    net: Counter[str | int] = Counter()
    for group, sign in zip(pairs.groups, pairs.signs, strict=True):
        if sign != _SAME:
            net[group] += sign - _SAME
    signs = net.values()
    return statistics.mcnemar(sum(s < 0 for s in signs), sum(s > 0 for s in signs), "worse")


def _paired(
    live: bytes, candidate: bytes, repeats: int, groups: Sequence[str | int] | None
) -> Pairs:
    both = zip(live, candidate, strict=True)
    signs = bytes(1 if old == new else 0 if old > new else 2 for old, new in both)
    return Pairs(live, candidate, repeats, groups, signs)


def _part(pairs: Pairs, places: Sequence[int]) -> Pairs:
    def at(values: bytes) -> bytes:
        return bytes(map(values.__getitem__, places))

    groups = None if pairs.groups is None else [pairs.groups[place] for place in places]
    return Pairs(at(pairs.live), at(pairs.candidate), pairs.repeats, groups, at(pairs.signs))


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
        instead[MARKS.index(MISSING)] = 0
    pairs = zip(column.marks, column.failed, strict=True)
    return [bits if (other := instead[mark]) is None else other for mark, bits in pairs]


def _failures(bits: Sequence[int], field: int, repeats: int) -> bytes:
    mask = 1 << field
    return _fold(bytes([1 if failed & mask else 0 for failed in bits]), repeats)
