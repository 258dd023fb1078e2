"""Whether a candidate is worse by a margin: an exact unconditional test of pairs, and its bounds.

The score of a table is Tango's (Statistics in Medicine 17 (1998) 891).  Its p-value is no normal
tail: it is the chance that the truth gives a score as high, at the true rate of disagreement that
makes that likeliest (Hsueh, Liu and Chen, Biometrics 57 (2001) 478).  Only rates that the data
leave possible are tried, and the chance that the true one is none of them is added (Berger and
Boos, JASA 89 (1994) 1012).

`broke` and `fixed` are counts of at most `n` units, whole or not; `margin` is the drop that the
hypothesis claims, live minus candidate, between -1 and 1; `risk` is the chance of a wrong pass
that the p-value will be held against, between 0 and 0.5.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import ceil, exp, floor, gcd, inf, log, log1p, sqrt

from fftdeploy.evaluation.gate.statistics import (
    Interval,
    log_ways,
    normal_tail,
    root,
    tango,
    tango_score,
)

LARGEST = 20_000
"""Units up to which the test is exact; above, the normal tail of Tango's score stands in."""
_UNSEEN, _SMALL_RISK = 0.0005, 0.01
_STEPS = 40
"""Parts of the range of rates, at whose ends the chance is computed."""
_ALIKE = 1e-9
"""Scores that differ by less are the same: rounding has no say in what is as high."""
_DEVIATIONS = 7
_NOTHING = 1e-17
_FROM_ABOVE = (1.12, 1.06)
"""Where the search for a bound begins: how much further from what was seen than Tango's bound."""
_CLOSE, _NEAR = 1e-6, 2e-4
"""Where the search for a bound ends: so close a bracket, or a p so near under the risk, as a share
of it.  Both are less than what is printed."""


def p_worse_by(margin: float, broke: float, fixed: float, n: int, risk: float = 0.05) -> float:
    """Return the p-value of "the candidate is worse by `margin` or more"; 1 of no units."""
    if n < 1:
        return 1.0
    if n > LARGEST:
        return normal_tail(tango_score(broke, fixed, n, -margin))
    return min(1.0, max(_chances(margin, broke, fixed, n, risk), default=0.0) + unseen(risk))


@lru_cache(maxsize=65536)
def is_ruled_out(margin: float, broke: float, fixed: float, n: int, risk: float = 0.05) -> bool:
    """Tell whether `p_worse_by` is at most `risk`: the candidate is not worse by `margin`."""
    if n < 1 or n > LARGEST:
        return p_worse_by(margin, broke, fixed, n, risk) <= risk
    most = risk - unseen(risk)
    return all(chance <= most for chance in _chances(margin, broke, fixed, n, risk))


def bounds(margin: float, broke: float, fixed: float, n: int, risk: float = 0.05) -> Interval:
    """Return the least and the greatest difference, candidate minus live, not ruled out at `risk`.

    Each bound is one-sided.
    """
    upper = -lower_bound(margin, fixed, broke, n, risk)
    return Interval(lower_bound(margin, broke, fixed, n, risk), upper)


@lru_cache(maxsize=8192)
def lower_bound(margin: float, broke: float, fixed: float, n: int, risk: float = 0.05) -> float:
    """Return the least difference, candidate minus live, that is not ruled out at `risk`.

    It is at least `-margin` exactly where the test rules out that the candidate is worse by
    `margin`; it is known to a millionth otherwise.
    """
    if n < 1:
        return -1.0
    if n > LARGEST:
        return tango(broke, fixed, n, 1 - risk, 1).lower
    return -_least_margin(margin, broke, fixed, n, risk)


def unseen(risk: float) -> float:
    """Return the chance, part of `risk`, that the true rate of disagreement is none of those tried.

    It stays the same for the few candidates that share a risk of 5 %, so that a set of examples
    which is enough for several is not a matter of how their risks are split.
    """
    return _UNSEEN if risk >= _SMALL_RISK else risk / 20


def _chances(margin: float, broke: float, fixed: float, n: int, risk: float) -> Iterator[float]:
    """Yield the chance of a score as high for each rate of disagreement that is tried.

    The ends come first, then halves, quarters and so on: where one of them is over a limit, it
    is found early.
    """
    seen = broke + fixed
    low, high = _possible(min(n, floor(seen)), min(n, ceil(seen)), n, unseen(risk))
    low = max(low, abs(margin))  # no fewer disagree than make the difference
    if high <= low:
        return
    region = _Region(n, -margin, tango_score(broke, fixed, n, -margin) - _ALIKE)
    for step in _ORDER:
        yield region.chance(low + (high - low) * (step / _STEPS))


@lru_cache(maxsize=4096)
def _possible(least: int, most: int, n: int, risk: float) -> Interval:
    """Return the rates of disagreement that are possible where `least` to `most` of n are seen.

    That is Clopper and Pearson's interval, by sums of binomials: faster than its beta function.
    """
    low = root(lambda p: at_least(least, n, p) - risk / 2, 0.0, least / n) if least else 0.0
    same = root(lambda p: at_least(n - most, n, p) - risk / 2, 0.0, 1 - most / n) if most < n else 0
    return Interval(low, 1 - same)


_ORDER = sorted(range(_STEPS + 1), key=lambda step: -gcd(step, _STEPS))


class _Region:
    """The tables of n units whose score is at least `score` under a true `difference`.

    For each number of units that differ it has the least of them that have to be fixed.  With one
    more that differs that is the same number or one more: a unit that is fixed raises the score,
    one that broke lowers it.
    """

    def __init__(self, n: int, difference: float, score: float) -> None:
        self._n, self._difference, self._score = n, difference, score
        self._least = [0 if self._has(0, 0) else 1]

    def _has(self, broke: int, fixed: int) -> bool:
        return tango_score(broke, fixed, self._n, self._difference) >= self._score

    def _least_up_to(self, differ: int) -> Sequence[int]:
        least = self._least
        while len(least) <= differ:
            fixed = least[-1]
            broke = len(least) - fixed
            least.append(fixed if self._has(broke, fixed) else fixed + 1)
        return least

    def chance(self, rate: float) -> float:
        """Return the chance of one of these tables, where a unit differs with the chance `rate`.

        The sum goes over the units that differ, seven standard deviations to both sides.  `tail`
        is the chance that enough of them are fixed, and `edge` that one too few is: from one
        number of units to the next both are updated, not summed anew.
        """
        n, rate = self._n, min(rate, 1 - 1e-12)
        share = min(1.0, max(0.0, (rate + self._difference) / (2 * rate)))
        spread = _DEVIATIONS * (1 + sqrt(n * rate * (1 - rate)))
        first, last = max(0, floor(n * rate - spread)), min(n, ceil(n * rate + spread))
        least = self._least_up_to(last)
        weight, odds = binomial(first, n, rate), rate / (1 - rate)
        tail = at_least(least[first], first, share)
        edge = binomial(least[first] - 1, first, share)
        total = 0.0
        for differ in range(first, last):
            total += weight * tail
            weight *= (n - differ) / (differ + 1) * odds
            fixed = least[differ]
            if least[differ + 1] > fixed:
                if fixed:
                    part = edge * share / fixed
                    tail -= part * (differ + 1 - fixed)
                    edge = part * (differ + 1)
                else:
                    edge = (1 - share) ** (differ + 1)
                    tail = 1 - edge
            elif fixed:
                tail += share * edge
                edge *= (1 - share) * (differ + 1) / (differ + 2 - fixed)
        return min(1.0, max(0.0, total + weight * tail))


def _least_margin(margin: float, broke: float, fixed: float, n: int, risk: float) -> float:
    """Return the smallest margin from which on all are ruled out, by a secant on the log of p.

    As the margin moves, tables change places in the order of the scores, and p jumps up before
    it falls further: the search comes from above, because of several places where p passes the
    risk the highest is the bound.  `margin` itself is tried first, so that the bound and the test
    at it never disagree.  Where the secant leaves the bracket, that is halved.
    """
    low, high = max(-1.0, (broke - fixed) / n), 1.0  # p is about a half there, and 0 here
    reach = -tango(broke, fixed, n, 1 - risk, 1).lower - low
    tried: list[tuple[float, float]] = []
    for at in (margin, *(low + reach * further for further in _FROM_ABOVE)):
        if low < at < high:
            tried.append((at, _height(at, broke, fixed, n, risk)))
            low, high = (at, high) if tried[-1][1] > 0 else (low, at)
    while high - low > _CLOSE and not (tried and -_NEAR <= tried[-1][1] <= 0):
        at = _crossing(tried[-2:])
        if not low < at < high:
            at = (low + high) / 2
        tried.append((at, _height(at, broke, fixed, n, risk)))
        low, high = (at, high) if tried[-1][1] > 0 else (low, at)
    return high


def _height(margin: float, broke: float, fixed: float, n: int, risk: float) -> float:
    return log(p_worse_by(margin, broke, fixed, n, risk) / risk)


def _crossing(tried: Sequence[tuple[float, float]]) -> float:
    """Return where the line through two points comes a little under 0; infinity for none."""
    if len(tried) < 2 or tried[0][1] == tried[1][1]:
        return inf
    (x, y), (before, height) = tried[1], tried[0]
    return x + (-_NEAR / 2 - y) * (x - before) / (y - height)


def at_least(k: int, n: int, p: float) -> float:
    """Return P(X >= k) of X ~ Binomial(n, p), summed away from the mean until no term counts."""
    if k <= 0 or k > n or p <= 0 or p >= 1:
        return float(k <= 0 or (k <= n and p >= 1))
    odds, total = p / (1 - p), 0.0
    if k > n * p:
        term = binomial(k, n, p)
        while term > total * _NOTHING:
            total += term
            term *= (n - k) / (k + 1) * odds
            k += 1
        return total
    k -= 1
    term = binomial(k, n, p)
    while term > total * _NOTHING:
        total += term
        term *= k / ((n - k + 1) * odds)
        k -= 1
    return 1 - total


def binomial(k: int, n: int, p: float) -> float:
    """Return P(X = k) of X ~ Binomial(n, p)."""
    if not 0 <= k <= n:
        return 0.0
    if p <= 0 or p >= 1:
        return float(k == (n if p >= 1 else 0))
    return exp(log_ways(n, k) + k * log(p) + (n - k) * log1p(-p))
