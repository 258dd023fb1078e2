"""Whether the counts of two windows of requests differ by more than chance; standard library only.

Requests of two windows are exchangeable where nothing has changed: each test asks how often they
differ as much as was seen if they are dealt out anew, so many to each.  Fisher's is exact, that of
a mix deals at random, and that of ranks takes the normal limit.
"""

from collections.abc import Mapping, Sequence
from math import exp, sqrt
from random import Random
from typing import NamedTuple

from fftdeploy.evaluation.gate.statistics import log_ways, normal_tail

DEALS = 4999
"""So often requests are dealt out anew, at most: the least p-value of a mix is 0.0002."""
_ENOUGH = 10
"""After so many deals that differ as much, the p-value is known well enough (Besag and Clifford,
Biometrika 78 (1991) 301): it is valid at any stop."""
_NOTHING = 1e-18
_ALIKE = 1 + 1e-7
"""Chances that differ by less are the same: rounding has no say in what is as rare."""


class WindowDifference(NamedTuple):
    """How likely it is by chance, and how large: from -1 to 1, or from 0 for a mix."""

    p: float
    effect: float


def of_rates(then: int, of_then: int, now: int, of_now: int) -> WindowDifference:
    """Compare two rates by Fisher's exact test, two-sided; the effect is now minus then."""
    least, weights = _weights(of_then, then + now, of_then + of_now)
    seen = weights[then - least] if 0 <= then - least < len(weights) else 0.0
    as_rare = sum(weight for weight in weights if weight <= seen * _ALIKE)
    return WindowDifference(min(1.0, as_rare / sum(weights)), now / of_now - then / of_then)


def of_mixes(then: Mapping[str, int], now: Mapping[str, int]) -> WindowDifference:
    """Compare how often each value is there, by chi-square over random deals.

    The effect is the share of requests that have another value (total variation).
    """
    values = sorted({*then, *now})
    totals = [then.get(value, 0) + now.get(value, 0) for value in values]
    drawn, total = sum(then.values()), sum(totals)
    expected = [count * drawn / total for count in totals]
    seen = _chi_square([then.get(value, 0) for value in values], expected, totals)
    random = Random(0)  # noqa: S311  the same log has the same verdict
    as_far = 0
    for deals in range(1, DEALS + 1):
        as_far += (
            _chi_square(_deal(random, totals, drawn, total), expected, totals) * _ALIKE >= seen
        )
        if as_far == _ENOUGH:
            p = as_far / deals
            break
    else:
        p = (as_far + 1) / (DEALS + 1)
    moved = (now.get(v, 0) / (total - drawn) - then.get(v, 0) / drawn for v in values)
    return WindowDifference(p, sum(map(abs, moved)) / 2)


def of_sizes(then: Mapping[int, int], now: Mapping[int, int]) -> WindowDifference:
    """Compare sizes by Wilcoxon's rank test, two-sided, with ties; counts are by size.

    The effect is how much likelier a request of now is larger than one of then than smaller.
    """
    n, m = sum(then.values()), sum(now.values())
    below = larger = ties = 0
    for size in sorted({*then, *now}):
        ours, theirs = now.get(size, 0), then.get(size, 0)
        larger += ours * (2 * below + theirs - n)
        below += theirs
        ties += (ours + theirs) ** 3 - (ours + theirs)
    total = n + m
    variance = n * m / 3 * (total + 1 - ties / (total * (total - 1)))  # of `larger`
    z = larger / sqrt(variance) if variance > 0 else 0.0
    return WindowDifference(min(1.0, 2 * normal_tail(abs(z))), larger / (n * m))


def _chi_square(counts: Sequence[int], expected: Sequence[float], totals: Sequence[int]) -> float:
    """Return what rises with chi-square where the sums of the rows and columns are given."""
    return sum(
        (count - mean) ** 2 / total
        for count, mean, total in zip(counts, expected, totals, strict=True)
    )


def _deal(random: Random, totals: Sequence[int], drawn: int, total: int) -> list[int]:
    """Draw so many of all requests at random; return how many have each value."""
    counts = []
    for marked in totals:
        count = _hypergeometric(random.random(), drawn, marked, total)
        counts.append(count)
        drawn, total = drawn - count, total - marked
    return counts


def _hypergeometric(chance: float, drawn: int, marked: int, total: int) -> int:
    """Return how many of `drawn` are marked, by inversion outwards from the likeliest number."""
    mode = (drawn + 1) * (marked + 1) // (total + 2)
    rest = total - marked - drawn
    up = down = exp(
        log_ways(marked, mode) + log_ways(total - marked, drawn - mode) - log_ways(total, drawn)
    )
    low = high = mode
    chance -= up
    while chance > 0 and (up or down):
        up *= (marked - high) * (drawn - high) / ((high + 1) * (rest + high + 1))
        high += 1
        chance -= up
        if chance <= 0:
            return high
        down *= low * (rest + low) / ((marked - low + 1) * (drawn - low + 1))
        low -= 1
        chance -= down
        if chance <= 0:
            return low
    return mode


def _weights(drawn: int, marked: int, total: int) -> tuple[int, list[float]]:
    """Return the least number of marked ones worth a look, and how likely it and the next are.

    The likeliest has the weight 1.
    """
    mode = (drawn + 1) * (marked + 1) // (total + 2)
    rest = total - marked - drawn
    up, high = [1.0], mode
    while up[-1] > _NOTHING:
        step = (marked - high) * (drawn - high) / ((high + 1) * (rest + high + 1))
        up.append(up[-1] * step)
        high += 1
    down, low = [1.0], mode
    while down[-1] > _NOTHING:
        step = low * (rest + low) / ((marked - low + 1) * (drawn - low + 1))
        down.append(down[-1] * step)
        low -= 1
    return low, [*reversed(down[1:]), *up]
