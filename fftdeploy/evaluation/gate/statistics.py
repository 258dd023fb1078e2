"""The statistics of the gate, each with its range and its source; standard library only.

Words: of n examples that both models answered, `broke` are those that live passed and the candidate
failed, `fixed` those that live failed and the candidate passed; a difference is candidate minus
live, from -1 to 1.  `confidence` is a share, 0.95; `sides` is 1 or 2: how many tails share what
is left of it.  An interval is closed.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil, erfc, exp, inf, lgamma, log, log1p, sqrt
from statistics import NormalDist
from typing import Literal, NamedTuple

Alternative = Literal["two-sided", "worse", "better"]
_EXACT_UP_TO = 1000
"""Disagreements up to which a sign test is summed in integers; above, by the beta function."""
_TINY = 1e-300


class Interval(NamedTuple):
    """Two bounds."""

    lower: float
    upper: float


@lru_cache(maxsize=64)
def normal_quantile(confidence: float, sides: int = 1) -> float:
    """Return the z that leaves `(1 - confidence) / sides` above it."""
    return NormalDist().inv_cdf(1 - (1 - confidence) / sides)


def normal_tail(z: float) -> float:
    """Return P(Z >= z) of a standard normal Z."""
    return erfc(z / sqrt(2)) / 2


def wilson(passed: float, n: int, confidence: float = 0.95, sides: int = 2) -> Interval:
    """Return the score interval of a proportion (Wilson 1927); (0, 1) for none of none.

    `passed` may be a sum of shares, where each example has one: its variance is then at most
    that of a count, and the interval errs on the wide side.
    """
    if n == 0:
        return Interval(0.0, 1.0)
    z = normal_quantile(confidence, sides)
    share = passed / n
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2) / scale
    lower = 0.0 if passed <= 0 else max(0.0, centre - half)
    return Interval(lower, 1.0 if passed >= n else min(1.0, centre + half))


def clopper_pearson(passed: float, n: int, confidence: float = 0.95, sides: int = 2) -> Interval:
    """Return the exact interval of a proportion (Clopper and Pearson 1934).

    `passed` may be a sum of shares: the bounds are quantiles of the beta distribution.
    """
    risk = (1 - confidence) / sides
    lower, upper = 0.0, 1.0
    if passed > 0:
        lower = root(lambda p: binomial_tail(passed, n, p) - risk, 0.0, passed / n)
    if passed < n:
        upper = root(lambda p: binomial_tail(passed + 1, n, p) - 1 + risk, passed / n, 1.0)
    return Interval(lower, upper)


def binomial_tail(k: float, n: int, p: float) -> float:
    """Return P(X >= k) of X ~ Binomial(n, p), as an incomplete beta function of any real k."""
    if k <= 0:
        return 1.0
    return 0.0 if k >= n + 1 else _beta(k, n - k + 1, p, 1 - p)


@lru_cache(maxsize=4096)
def mcnemar(broke: int, fixed: int, alternative: Alternative = "two-sided") -> float:
    """Return the exact p-value of McNemar's test, the sign test of `broke` against `fixed`.

    "worse" asks whether the candidate is worse: whether so many broke by chance.  Exact to the
    last digit up to 1,000 disagreements, to about ten digits above.
    """
    if alternative == "worse":
        return _half_tail(broke, broke + fixed)
    if alternative == "better":
        return _half_tail(fixed, broke + fixed)
    return min(1.0, 2 * _half_tail(max(broke, fixed), broke + fixed))


def log_ways(n: int, k: int) -> float:
    """Return the logarithm of the number of ways to choose k of n."""
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _half_tail(k: int, n: int) -> float:
    if n > _EXACT_UP_TO:
        return binomial_tail(k, n, 0.5)
    if 2 * k <= n:
        return 1 - _half_tail(n - k + 1, n)
    total, ways = 0, 1
    for i in range(n - k + 1):
        total += ways
        ways = ways * (n - i) // (i + 1)
    return total / (1 << n)


def tango_score(broke: float, fixed: float, n: int, difference: float) -> float:
    """Return the score z of the hypothesis that the true difference is `difference`.

    Tango, Statistics in Medicine 17 (1998) 891.  It falls as `difference` rises; at 0 it is
    McNemar's statistic, and of no examples it is 0.  `only_live`, the share of examples that
    only live passes, has its greatest likelihood under the hypothesis.
    """
    if n == 0:
        return 0.0
    linear = (2 * n + broke - fixed) * difference - broke - fixed
    constant = -broke * difference * (1 - difference)
    root = sqrt(max(0.0, linear * linear - 8 * n * constant))
    # Of the two ways to write the larger root, the one that subtracts no near equals.
    only_live = (root - linear) / (4 * n) if linear <= 0 else -2 * constant / (linear + root)
    excess = fixed - broke - n * difference
    variance = n * (2 * only_live + difference * (1 - difference))
    if variance <= 0:
        return 0.0 if excess == 0 else inf if excess > 0 else -inf
    return excess / sqrt(variance)


@lru_cache(maxsize=4096)
def tango(broke: float, fixed: float, n: int, confidence: float = 0.95, sides: int = 2) -> Interval:
    """Return the score interval of a difference of paired proportions (Tango 1998).

    Without any disagreement the lower bound is -z^2 / (n + z^2): nothing seen is not nothing
    possible.
    """
    if n == 0:
        return Interval(-1.0, 1.0)
    z = normal_quantile(confidence, sides)
    seen = (fixed - broke) / n
    lower, upper = -1.0, 1.0
    if seen > -1:
        lower = root(lambda d: z - tango_score(broke, fixed, n, d), -1 + 1e-15, seen)
    if seen < 1:
        upper = root(lambda d: -z - tango_score(broke, fixed, n, d), seen, 1 - 1e-15)
    return Interval(lower, upper)


def rate_sequence(failed: int, n: int, most_chance: float) -> Interval:
    """Return an interval that holds the true rate at every n at once, but for `most_chance`.

    The rates p that a bet against them, with all rates as likely as any, has not ruined: for the
    true p the ratio of the evidence, B(f + 1, n - f + 1) / (p^f (1 - p)^(n - f)), ever reaches
    1 / most_chance with at most that chance (Ville's inequality; Robbins, Ann. Math. Statist. 41
    (1970) 1397).  Needs no normal limit.
    """
    bet = lgamma(failed + 1) + lgamma(n - failed + 1) - lgamma(n + 2)
    bound = bet + log(most_chance)

    def above(p: float) -> float:
        return _log_likelihood(failed, n, p) - bound

    seen = failed / n if n else 0.0
    low = root(above, 0.0, seen) if n and failed and above(0.0) < 0 else 0.0
    high = 1.0 - root(lambda q: above(1 - q), 0.0, 1 - seen) if n and above(1.0) < 0 else 1.0
    return Interval(low, high)


def excludes(rate: float, failed: int, n: int, most_chance: float) -> bool:
    """Whether `rate` is none of those that `rate_sequence` holds."""
    bet = lgamma(failed + 1) + lgamma(n - failed + 1) - lgamma(n + 2)
    return _log_likelihood(failed, n, rate) < bet + log(most_chance)


def difference_sequence(
    failed: tuple[int, int], n: tuple[int, int], most_chance: float = 0.05
) -> Interval:
    """Return an interval of the second rate less the first, valid at every look at once.

    It holds the true difference at all of them but for `most_chance`: each rate has half of that.
    """
    one, other = (rate_sequence(*each, most_chance / 2) for each in zip(failed, n, strict=True))
    return Interval(other.lower - one.upper, other.upper - one.lower)


def _log_likelihood(failed: int, n: int, p: float) -> float:
    found = 0.0
    for count, chance in (failed, p), (n - failed, 1 - p):
        if count:
            found += count * log(chance) if chance > 0 else -inf
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number (Holm 1979), in the order given."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def quantile_rank(n: int, share: float) -> int:
    """Return the rank, counted from 1, of the quantile of `n` sorted values (0: there is none)."""
    return min(n, max(1, ceil(n * share - 1e-9))) if n else 0


def quantile_ranks(
    n: int, share: float, confidence: float = 0.95, sides: int = 2
) -> tuple[int, int]:
    """Return the ranks of the sorted values that bound the true quantile, whatever they follow.

    Counted from 1; rank 0 or n + 1 means that `n` values are too few for that bound.  The
    number of values below the true quantile is Binomial(n, share).
    """
    risk = (1 - confidence) / sides
    lower = first(lambda k: 1 - binomial_tail(k + 1, n, share) > risk, -1, n + 1)
    upper = first(lambda k: binomial_tail(k, n, share) <= risk, -1, n + 1)
    return lower, upper


def first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the end of the bisection between `low`, where `holds` is false, and `high`."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where `rising` crosses 0 between `low` and `high`, to the last digit."""
    while low < (middle := (low + high) / 2) < high:
        if rising(middle) > 0:
            high = middle
        else:
            low = middle
    return middle


def _beta(a: float, b: float, x: float, y: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b); `y` is 1 - x, not rounded."""
    if x <= 0 or y <= 0:
        return 0.0 if x <= 0 else 1.0
    logs = a * (log(x) if x < 0.5 else log1p(-y)) + b * (log(y) if y < 0.5 else log1p(-x))
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + logs)
    if x * (a + b + 2) < a + 1:
        return front * _beta_fraction(a, b, x) / a
    return 1 - front * _beta_fraction(b, a, y) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Evaluate the continued fraction of I_x(a, b) (Lentz 1976; DLMF 8.17.22)."""
    upper, lower = 1.0, 1 / _off_zero(1 - (a + b) * x / (a + 1))
    value = lower
    step = 0.0
    m = 0
    while abs(step - 1) > 1e-15 and m < 100_000:
        m += 1
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for part in (even, odd):
            lower = 1 / _off_zero(1 + part * lower)
            upper = _off_zero(1 + part / upper)
            step = upper * lower
            value *= step
    return value


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
