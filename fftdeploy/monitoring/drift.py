"""Whether the same examples are answered worse than before: exact permutation tests, and a CUSUM.

The examples are fixed, and chance is in the answers alone: while nothing changes, all answers to an
example, those then and those now, could have come in any order.  Given how many of them passed,
how many of today's did is hypergeometric, and their total over all examples is a convolution;
where today has one answer each it is Poisson-binomial, and with one answer then, McNemar's test.

Sources: Page, Biometrika 41 (1954) 100 (CUSUM); Siegmund, Sequential Analysis (1985), for how long
it runs.
"""

from collections.abc import Iterable
from functools import lru_cache
from math import comb, sqrt
from typing import NamedTuple

THEN = 10
"""Passes of a calibration."""
NOW = 5
"""Passes of a confirmation."""
RARE = 0.01
"""A p below this makes suspicious, and one below it of fresh passes is proof."""
LIMIT, SLACK = 5.0, 0.5
"""The CUSUM that makes suspicious, and what is taken off each day, in standard deviations."""


class Counts(NamedTuple):
    """How often one example passed, then and now, and how often it was answered."""

    passed_then: int
    answered_then: int
    passed: int
    answered: int

    @property
    def failures(self) -> "Counts":
        """The same with failed for passed."""
        then, now = self.answered_then, self.answered
        return Counts(then - self.passed_then, then, now - self.passed, now)


def p_fewer(examples: Iterable[Counts]) -> float:
    """Return the chance of so few passes now, or fewer, if nothing has changed; 1 of no answers."""
    more, chances = 0, [1.0]
    for then, answered_then, now, answered in examples:
        passed, size = then + now, answered_then + answered
        if 0 < passed < size:  # else nothing was left to chance
            least, parts = _passes_now(passed, size, answered)
            more += now - least
            chances = _together(chances, parts)
    return min(1.0, sum(chances[: more + 1]))


def p_more(examples: Iterable[Counts]) -> float:
    """Return the chance of so many passes now, or more."""
    return p_fewer(one.failures for one in examples)


def fall(examples: Iterable[Counts]) -> float:
    """Return how many standard deviations fewer passed now than chance expects; 0 of no chance."""
    lack = variance = 0.0
    for then, answered_then, now, answered in examples:
        passed, size = then + now, answered_then + answered
        if 0 < passed < size:
            share = passed / size
            lack += answered * share - now
            variance += answered * share * (1 - share) * answered_then / (size - 1)
    return lack / sqrt(variance) if variance else 0.0


def added_up(cusum: float, examples: Iterable[Counts]) -> float:
    """Return the CUSUM after one more day."""
    return max(0.0, cusum + fall(examples) - SLACK)


def is_suspicious(p: float, cusum: float) -> bool:
    """Tell whether a day asks for fresh passes."""
    return p < RARE or cusum > LIMIT


@lru_cache(maxsize=4096)
def _passes_now(passed: int, answered: int, now: int) -> tuple[int, tuple[float, ...]]:
    """Return the least number of passes among `now` of the answers, and the chance of each from it.

    `passed` of the `answered` did pass, then or now.
    """
    low, high = max(0, passed + now - answered), min(now, passed)
    ways = comb(answered, now)
    found = (
        comb(passed, number) * comb(answered - passed, now - number) / ways
        for number in range(low, high + 1)
    )
    return low, tuple(found)


def _together(one: list[float], other: tuple[float, ...]) -> list[float]:
    """Return the chances of a sum of two numbers from those of each."""
    found = [0.0] * (len(one) + len(other) - 1)
    for place, chance in enumerate(one):
        for more, each in enumerate(other):
            found[place + more] += chance * each
    return found
