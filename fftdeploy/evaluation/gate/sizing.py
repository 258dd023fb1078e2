"""Says how many examples a bar needs, before money is spent.

Chances are exact: every table that n examples can give is enumerated, except those that are
further than six standard deviations from what is expected.  Shares and differences are
fractions; a difference is candidate minus live.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from math import ceil, floor, log, log1p, sqrt
from typing import NamedTuple

from fftdeploy.evaluation.gate.exact import binomial, is_ruled_out, unseen
from fftdeploy.evaluation.gate.paired import (
    MIN_UNITS,
    effective_units,
    groups_of,
    shared_confidence,
)
from fftdeploy.evaluation.gate.statistics import (
    binomial_tail,
    first,
    mcnemar,
    normal_quantile,
    tango_score,
)
from fftdeploy.names import plural
from fftdeploy.policy.gate_rules import GateRules

POWER = 0.8
"""What is usual: a candidate as good as live passes 4 times in 5."""

_DEVIATIONS = 6
_EXACT = 500
"""Sizes up to which the exact test is enumerated."""
_ENUMERATED = 10_000
"""Sizes above which the formula is used: it is within 1 % there."""
_SURE = 5_000
"""Examples that let no much worse candidate through: it is ten standard errors away."""


class Size(NamedTuple):
    """A number of examples."""

    n: int
    is_approximate: bool = False
    """By the normal tail of the score, or by the formula n = disagreement * (z_risk + z_power)^2
    / gap^2: within 1 % there."""


class Units(NamedTuple):
    """What a bar counts: examples, or, where some belong together, their groups."""

    examples: int
    groups: int
    """0 where each example stands alone."""
    effective: float
    """As how many units of one size they count."""

    @property
    def tested(self) -> int:
        """Units that the tests count."""
        return floor(self.effective)

    @property
    def are_few(self) -> bool:
        """Whether they are too few to say anything of the sample."""
        return self.tested < MIN_UNITS

    @property
    def noun(self) -> str:
        """What they are called."""
        return "groups" if self.groups else "examples"

    @property
    def many(self) -> str:
        """Say how many there are."""
        shown = plural(self.examples, "example")
        return f"{shown} in {plural(self.groups, 'group')}" if self.groups else shown

    def needed(self, effective: int) -> int:
        """Return how many of them, of such sizes, count as so many."""
        return ceil(effective * self.groups / self.effective) if self.groups else effective


def units_of(named: Sequence[str]) -> Units:
    """Return the units of examples by the groups that they name, "" for none."""
    groups = groups_of(named)
    return Units(len(named), len(set(groups or ())), effective_units(len(named), groups))


def one_of(rules: GateRules, candidates: int) -> GateRules:
    """Return the rules for each of several candidates: they share the risk of a wrong pass."""
    return replace(rules, confidence=shared_confidence(rules.confidence, candidates))


def smallest(rules: GateRules) -> tuple[int | None, str]:
    """Return with how many units fewer a candidate can't pass, and which; None: no number helps."""
    if rules.mode == "threshold":
        least = smallest_for_threshold(rules.threshold, rules.confidence)
        return least, "even a candidate that gets all of them right"
    if rules.mode == "better":
        least = smallest_that_can_be_better(rules.confidence)
        return least, "even a candidate that fixes all of them"
    least = smallest_that_can_pass(rules.margin, rules.confidence)
    return least, "a candidate that answers just as live does"


def smallest_that_can_pass(margin: float, confidence: float = 0.95) -> int:
    """Return the least n at which a candidate without any disagreement is not worse."""
    risk = 1 - confidence
    n = max(MIN_UNITS, floor(log(risk - unseen(risk)) / log1p(-margin)))
    while not is_ruled_out(margin, 0, 0, n, risk):
        n += 1
    return n


def smallest_that_can_be_better(confidence: float = 0.95) -> int:
    """Return the least number of examples, all of them fixed, that proves a candidate better."""
    n = MIN_UNITS
    while mcnemar(0, n, "better") > 1 - confidence:
        n += 1
    return n


def smallest_for_threshold(threshold: float, confidence: float = 0.95) -> int | None:
    """Return the least n, all passed, that proves a pass rate of `threshold`; None for 1."""
    if threshold >= 1:
        return None
    if threshold <= 0:
        return MIN_UNITS
    n = max(MIN_UNITS, floor(log(1 - confidence) / log(threshold)))
    return n if reaches(n, n, threshold, confidence) else n + 1


def reaches(passed: int, n: int, threshold: float, confidence: float) -> bool:
    """Tell whether Clopper and Pearson's lower bound is at least `threshold`."""
    return binomial_tail(passed, n, threshold) <= 1 - confidence


def pass_probability(
    n: int,
    disagreement: float,
    margin: float,
    confidence: float = 0.95,
    difference: float = 0.0,
) -> float:
    """Return the chance that n examples prove a candidate not worse.

    `disagreement` is the share of the examples that one arm passes and the other fails, at
    least the absolute `difference`, which is the true one.  Above 500 examples the normal tail of
    the score stands in for the exact test: there it is a point off at most, and far quicker.
    """
    if n < MIN_UNITS:
        return 0.0
    if n > _EXACT:
        return _tango_probability(n, disagreement, margin, confidence, difference)
    risk = 1 - confidence

    def passes(broke: int, fixed: int) -> bool:
        return is_ruled_out(margin, broke, fixed, n, risk)

    return _chance(n, disagreement, difference, passes)


def _tango_probability(
    n: int, disagreement: float, margin: float, confidence: float, difference: float = 0.0
) -> float:
    z = normal_quantile(confidence)

    def passes(broke: int, fixed: int) -> bool:
        return tango_score(broke, fixed, n, -margin) > z

    return _chance(n, disagreement, difference, passes)


def better_probability(
    n: int, disagreement: float, difference: float, confidence: float = 0.95
) -> float:
    """Return the chance that n examples prove a candidate better."""

    def is_better(broke: int, fixed: int) -> bool:
        return mcnemar(broke, fixed, "better") <= 1 - confidence

    return _chance(n, disagreement, difference, is_better)


def let_through(n: int, margin: float, confidence: float = 0.95) -> float:
    """Return the chance that a much worse candidate is not ruled `fail` for it.

    That is what `on_inconclusive = "allow"` lets through.  Much worse is `much_worse(margin)`,
    where five points more of the examples disagree.  What passes is told by the normal tail of
    the score, which lets a little more through than the exact test.
    """
    drop, examples = much_worse(margin), min(n, _SURE)
    z = normal_quantile(confidence)

    def goes_through(broke: int, fixed: int) -> bool:
        passes = tango_score(broke, fixed, examples, -margin) > z
        return passes or mcnemar(broke, fixed, "worse") > 1 - confidence

    return _chance(examples, min(1.0, drop + 0.05), -drop, goes_through)


def let_through_threshold(n: int, threshold: float, confidence: float = 0.95) -> float:
    """Return the chance that a pass rate ten points under `threshold` is not ruled `fail`."""

    def may_reach(passed: int) -> bool:  # Clopper and Pearson's upper bound does
        return 1 - binomial_tail(passed + 1, n, threshold) > 1 - confidence

    return binomial_tail(first(may_reach, -1, n), n, max(0.0, threshold - 0.1))


def much_worse(margin: float) -> float:
    """Return the drop that `let_through` speaks of: ten points, or twice the margin."""
    return min(0.95, max(0.1, 2 * margin))


@lru_cache(maxsize=256)
def usual_size(disagreement: float, margin: float, confidence: float = 0.95) -> Size:
    """Return an n at which a candidate as good as live passes with the chance `POWER`.

    With one example fewer the chance is lower.  It climbs in saw teeth of a point or so, and
    where several sizes reach it the search finds one of them: it starts where the normal
    tail of the score would have it.  The formula alone is far too low where few examples disagree.
    """
    near = _near_size(disagreement, margin, confidence)
    if disagreement <= 0:
        return near
    if near.n > _EXACT:
        return Size(near.n, is_approximate=True)

    def suffices(n: int) -> bool:
        return pass_probability(n, disagreement, margin, confidence) >= POWER

    low = high = near.n
    step = 1
    while not suffices(high):
        low, high, step = high, high + step, 2 * step
    while low == high or suffices(low):
        low, high, step = low - step, low, 2 * step
    return Size(first(suffices, low, high))


@lru_cache(maxsize=256)
def _near_size(disagreement: float, margin: float, confidence: float) -> Size:
    """Return the same by the normal tail of the score: a few examples less, in no time."""
    least = smallest_that_can_pass(margin, confidence)
    if disagreement <= 0:
        return Size(least)
    return _usual(
        least,
        formula(disagreement, margin, confidence),
        lambda n: _tango_probability(n, disagreement, margin, confidence) >= POWER,
    )


def usual_size_to_be_better(
    disagreement: float, difference: float, confidence: float = 0.95
) -> Size | None:
    """Return an n at which a candidate better by `difference` is proved better, as `usual_size`.

    None where the candidate is not better.
    """
    if difference <= 0:
        return None
    return _usual(
        smallest_that_can_be_better(confidence),
        formula(disagreement, difference, confidence),
        lambda n: better_probability(n, disagreement, difference, confidence) >= POWER,
    )


def usual_size_for_threshold(
    rate: float, threshold: float, confidence: float = 0.95
) -> Size | None:
    """Return an n at which a candidate with the pass rate `rate` is proved to reach `threshold`.

    As `usual_size`; None where it does not reach it.
    """
    least = smallest_for_threshold(threshold, confidence)
    if least is None or rate <= threshold:
        return None

    def suffices(n: int) -> bool:
        passed = ceil(n * threshold)
        while passed <= n and not reaches(passed, n, threshold, confidence):
            passed += 1
        return binomial_tail(passed, n, rate) >= POWER

    spread = normal_quantile(confidence) * sqrt(threshold * (1 - threshold))
    spread += normal_quantile(POWER) * sqrt(rate * (1 - rate))
    return _usual(least, ceil((spread / (rate - threshold)) ** 2), suffices)


def settling_size(
    disagreement: float, difference: float, margin: float, confidence: float, n: int
) -> Size:
    """Return how many examples would usually settle what n could not.

    That is the usual size for a candidate as good as live; where n is that many already, the
    candidate looks somewhat worse, and it is the size that usually tells at this difference
    whether it is worse, or not by the margin, whichever takes fewer.
    """
    size = _near_size(disagreement, margin, confidence)
    if size.n > n:
        return size
    gap = max(margin + difference, -difference)
    return Size(max(n + 1, formula(disagreement, gap, confidence)), is_approximate=True)


def formula(disagreement: float, gap: float, confidence: float = 0.95) -> int:
    """Return disagreement * (z_confidence + z_power)^2 / gap^2, the usual approximation."""
    reach = normal_quantile(confidence) + normal_quantile(POWER)
    return ceil(disagreement * (reach / gap) ** 2)


def _usual(least: int, guess: int, suffices: Callable[[int], bool]) -> Size:
    if least + guess > _ENUMERATED:
        return Size(max(least, guess), is_approximate=True)
    low, high = least - 1, least + guess + 10
    while not suffices(high):
        low, high = high, 2 * high
    return Size(first(suffices, low, high))


def _chance(
    n: int, disagreement: float, difference: float, holds: Callable[[int, int], bool]
) -> float:
    """Return the chance that `holds(broke, fixed)`, which more fixed of as many never undoes."""
    share = (disagreement + difference) / (2 * disagreement) if disagreement > 0 else 0.5
    spread = _DEVIATIONS * sqrt(n * disagreement * (1 - disagreement)) + _DEVIATIONS
    first = max(0, floor(n * disagreement - spread))
    last = min(n, ceil(n * disagreement + spread))
    least = ceil(first * share)
    tail = binomial_tail(least, first, share)
    total = 0.0
    for differ in range(first, last + 1):
        while least > 0 and holds(differ - least + 1, least - 1):
            least -= 1
            tail += binomial(least, differ, share)
        while least <= differ and not holds(differ - least, least):
            tail -= binomial(least, differ, share)
            least += 1
        total += binomial(differ, n, disagreement) * max(0.0, tail)
        tail += share * binomial(least - 1, differ, share)
    return min(1.0, total)
