"""Intervals of rates that stay valid however often, and whenever, somebody looks."""

from math import inf, lgamma, log

from fftdeploy.evaluation.gate.statistics import Interval, root

MOST_CHANCE = 0.05
"""How often, over a whole trial, a difference is seen that is not there."""


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


def difference_sequence(failed: tuple[int, int], n: tuple[int, int]) -> Interval:
    """Return an interval of the second rate less the first, valid at every look at once.

    It holds the true difference at all of them but for `MOST_CHANCE`: each rate has half of that.
    """
    first, second = (rate_sequence(*one, MOST_CHANCE / 2) for one in zip(failed, n, strict=True))
    return Interval(second.lower - first.upper, second.upper - first.lower)


def _log_likelihood(failed: int, n: int, p: float) -> float:
    found = 0.0
    for count, chance in (failed, p), (n - failed, 1 - p):
        if count:
            found += count * log(chance) if chance > 0 else -inf
    return found
