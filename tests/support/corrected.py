"""Draws of a judge, its labels and what it says: how often is the truth in an interval?"""

import random
from bisect import bisect
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import accumulate, product
from math import comb, sqrt
from typing import NamedTuple

from fftdeploy.evaluation.gate.agreement import Agreement, corrected_interval, corrected_rate
from fftdeploy.evaluation.gate.statistics import Interval, normal_quantile

Rule = Callable[[float, int, Agreement], Interval]
LABELS = (50, 100, 200)


class Cell(NamedTuple):
    """What is true: of the model, of its judge, and of the outputs that people labelled."""

    n: int
    """Answers that are judged."""
    rate: float
    """Share of them that people would pass."""
    sensitivity: float
    specificity: float
    good: float
    """Share of the labelled outputs that people passed."""


HARD = [Cell(200, 0.98, 0.98, 0.9, 0.5), Cell(60, 0.98, 0.98, 0.75, 0.8)]
"""Where the delta method covers least: near an end."""
CELLS = HARD + [Cell(*one) for one in product((100,), (0.7, 0.95), (0.9,), (0.75, 0.9), (0.5, 0.9))]


def delta(passed: float, n: int, judge: Agreement) -> Interval:
    """Return the usual interval, which the delta method makes."""
    seen, se, sp = passed / n, judge.sensitivity, judge.specificity
    if corrected_rate(passed, n, judge) is None:
        return Interval(0.0, 1.0)
    rate = (seen + sp - 1) / (se + sp - 1)
    variance = seen * (1 - seen) / n + rate**2 * se * (1 - se) / judge.good
    variance += (1 - rate) ** 2 * sp * (1 - sp) / judge.bad
    half = normal_quantile(0.95, 2) * sqrt(variance) / (se + sp - 1)
    return Interval(rate - half, rate + half)


def lang_reiczigel(passed: float, n: int, judge: Agreement) -> Interval:
    """Return the interval of Lang and Reiczigel, Preventive Veterinary Medicine 113 (2014) 13."""
    z = normal_quantile(0.95, 2)
    seen, size = (passed + z * z / 2) / (n + z * z), n + z * z
    good, bad = judge.good + 2, judge.bad + 2
    se, sp = (judge.both_pass + 1) / good, (judge.both_fail + 1) / bad
    if se + sp <= 1:
        return Interval(0.0, 1.0)
    rate = (seen + sp - 1) / (se + sp - 1)
    of_se, of_sp = se * (1 - se) / good, sp * (1 - sp) / bad
    moved = rate + 2 * z * z * (rate * of_se - (1 - rate) * of_sp)
    variance = seen * (1 - seen) / size + rate**2 * of_se + (1 - rate) ** 2 * of_sp
    half = z * sqrt(variance) / (se + sp - 1)
    return Interval(max(0.0, moved - half), min(1.0, moved + half))


RULES: dict[str, Rule] = {
    "ours": lru_cache(maxsize=1 << 16)(corrected_interval),
    "Lang-Reiczigel": lang_reiczigel,
    "delta method": delta,
}


@cache
def _sums(n: int, p: float) -> list[float]:
    """Return how likely at most 0, 1, ... of n are."""
    return [*accumulate(comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n))]


def coverage(cell: Cell, labels: int, draws: int, seed: int) -> dict[str, float]:
    """Return the share of draws in which the interval of each rule has the truth in it."""
    chance = random.Random(seed)

    def draw(n: int, p: float) -> int:
        return bisect(_sums(n, p), chance.random())

    held = dict.fromkeys(RULES, 0)
    seen = cell.rate * cell.sensitivity + (1 - cell.rate) * (1 - cell.specificity)
    for _ in range(draws):
        good = draw(labels, cell.good)
        right = draw(good, cell.sensitivity)
        caught = draw(labels - good, cell.specificity)
        judge = Agreement(right, good - right, labels - good - caught, caught)
        passed = draw(cell.n, seen)
        for name, rule in RULES.items():
            found = rule(passed, cell.n, judge)
            held[name] += found.lower <= cell.rate <= found.upper
    return {name: count / draws for name, count in held.items()}
