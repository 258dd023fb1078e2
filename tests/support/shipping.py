"""How often a rule ships what it should not: by enumeration, and by draws where units depend.

What is true lies on the very edge of what may ship: the candidate is worse by the margin, or only
as good where it has to be better, or reaches the threshold and no more.  A rule that is "95 % sure"
ships that in at most 5 % of all cases.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import product
from math import sqrt
from typing import Any

import numpy as np
from scipy import special  # type: ignore[import-untyped]  # scipy has no types

from fftdeploy.evaluation.gate import exact, gate_modes, paired
from fftdeploy.evaluation.gate.paired import Bar, Pairs
from fftdeploy.evaluation.gate.statistics import (
    clopper_pearson,
    mcnemar,
    normal_quantile,
    tango_score,
)
from fftdeploy.evaluation.results import Results, Sample
from fftdeploy.policy.gate_rules import GateRules

RISK = 0.05
MARGIN = 0.05
BAR = Bar(MARGIN, 1 - RISK, RISK)
SIZES = range(30, 401)
MARGINS = (0.02, 0.03, 0.05, 0.1)
TRUTHS = 400
"""True rates of disagreement that are tried, from the margin to 1, denser where few disagree."""
Rule = Callable[[int, int, int, float], bool]


# ---- plain pairs: every table ---------------------------------------------------------------


def gate_ships(broke: int, fixed: int, n: int, margin: float = MARGIN) -> bool:
    return exact.is_ruled_out(margin, broke, fixed, n, RISK)


@cache
def one_of(candidates: int) -> Rule:
    """Return the gate's rule for each of several candidates."""
    risk = 1 - paired.shared_confidence(1 - RISK, candidates)
    return lambda broke, fixed, n, margin: exact.is_ruled_out(margin, broke, fixed, n, risk)


def any_wrongly_ships(candidates: int, n: int, margin: float) -> float:
    """Return at most how often any of several candidates ships that are all worse by the margin.

    However their answers depend on each other: it is the sum of the chances of each.
    """
    return candidates * wrongly_ships(one_of(candidates), n, margin)


def tango_ships(broke: int, fixed: int, n: int, margin: float = MARGIN) -> bool:
    """Before: the normal tail of the same score."""
    return tango_score(broke, fixed, n, -margin) > normal_quantile(1 - RISK)


def wald_ships(broke: int, fixed: int, n: int, margin: float = MARGIN) -> bool:
    """Mean difference and 1.645 standard errors."""
    seen = (fixed - broke) / n
    error = sqrt(max(0.0, (broke + fixed) / n - seen * seen)) / sqrt(n)
    return seen - normal_quantile(1 - RISK) * error > -margin


def point_ships(broke: int, fixed: int, n: int, margin: float = MARGIN) -> bool:
    """The score is within the margin."""
    return broke - fixed <= margin * n + 1e-9


def insignificance_ships(broke: int, fixed: int, n: int, margin: float = MARGIN) -> bool:
    """It is not significantly worse."""
    return mcnemar(broke, fixed) > RISK or fixed > broke


@cache
def wrongly_ships(rule: Rule, n: int, margin: float) -> float:
    """Return the greatest chance to ship a candidate that is worse by the margin, over `TRUTHS`.

    None of the rates is on the grid of the gate's own test: they are spaced by a square, and
    moved by an irrational part of a step.
    """
    steps = (np.arange(TRUTHS) + sqrt(0.5)) / TRUTHS
    rates = margin + (1 - margin) * (steps**2)[:, None]
    differ = np.arange(n + 1)[None, :]
    least = np.array(_least(rule, n, margin))[None, :]
    share = (rates - margin) / (2 * rates)
    enough = np.where(least > differ, 0.0, special.bdtrc(least - 1.0, differ, share))
    ways = special.gammaln(n + 1) - special.gammaln(differ + 1) - special.gammaln(n - differ + 1)
    chance = np.exp(ways + differ * np.log(rates) + (n - differ) * np.log1p(-rates))
    return float((chance * enough).sum(axis=1).max())


def _least(rule: Rule, n: int, margin: float) -> list[int]:
    """Return for each number of pairs that differ the least of them to be fixed, to ship."""
    found, least = [], 0
    for differ in range(n + 1):
        while least > 0 and rule(differ - least + 1, least - 1, n, margin):
            least -= 1
        while least <= differ and not rule(differ - least, least, n, margin):
            least += 1
        found.append(least)
    return found


# ---- units that depend, repeats, and the other modes: draws ---------------------------------

SHAPES: dict[str, Sequence[int]] = {
    "10 of 10": [10] * 10,
    "12 of 8": [8] * 12,
    "20 of 5": [5] * 20,
    "30 of 4": [4] * 30,
    "60 of 2": [2] * 60,
    "1 to 15": range(1, 16),
    "100 and 5 of 10": [1] * 100 + [10] * 5,
    "40, 10 of 5, 30": [1] * 40 + [5] * 10 + [30],
}
"""Sizes of the groups of a set of examples."""
ALIKE = (0.0, 0.3, 0.7, 1.0)
"""How often an example does what its group does, and not its own."""


@dataclass(frozen=True)
class Cell:
    """One truth, drawn over and over."""

    kind: str
    name: str
    sizes: Sequence[int]
    rate: float
    """Share of the examples that differ; in the mode `threshold`, that pass."""
    alike: float = 0.0
    repeats: int = 1
    flaky: float = 0.0
    """Share of the examples that each arm passes by the toss of a coin."""
    candidates: int = 1

    def __str__(self) -> str:
        return f"{self.kind}, {self.name}"


def cells() -> Iterator[Cell]:
    """Yield all of them, kind after kind."""
    for shape, rate, alike in product(SHAPES, (0.05, 0.1, 0.25), ALIKE):
        name = f"{shape}, {rate:.0%} differ, {alike:.0%} alike"
        yield Cell("groups", name, SHAPES[shape], rate, alike)
    for n, repeats, flaky in product((52, 76, 118, 200), (3, 5), (0.0, 0.1, 0.3)):
        name = f"{n} asked {repeats} times, {flaky:.0%} flaky"
        yield Cell("repeats", name, [1] * n, 0.05, repeats=repeats, flaky=flaky)
    for n, rate in product((60, 100, 200), (0.1, 0.3)):
        yield Cell("better", f"{n}, {rate:.0%} differ", [1] * n, rate)
    for alike in ALIKE:
        yield Cell("better", f"12 of 8, {alike:.0%} alike", SHAPES["12 of 8"], 0.2, alike)
    for n, rate in product((60, 100, 250), (0.8, 0.9, 0.95)):
        yield Cell("threshold", f"{n} at {rate:.0%}", [1] * n, rate)
    for shape, alike in product(("10 of 10", "30 of 4", "1 to 15"), ALIKE):
        yield Cell("threshold", f"{shape} at 80%, {alike:.0%} alike", SHAPES[shape], 0.8, alike)
    for n, rate in product((60, 87, 118, 200), (0.05, 0.1, 0.25)):
        name = f"{n}, {rate:.0%} differ"
        yield Cell("three candidates", name, [1] * n, rate, candidates=3)


@dataclass(frozen=True)
class Drawn:
    """How often a cell was shipped."""

    cell: Cell
    draws: int
    gate: int
    before: int

    @property
    def is_wrong(self) -> bool:
        """Whether the gate surely, to 99.9 %, ships more than the risk."""
        return _surely(self.gate, self.draws) > RISK

    @property
    def was_wrong(self) -> bool:
        """Whether the rules before it did."""
        return _surely(self.before, self.draws) > RISK


def _surely(shipped: int, draws: int) -> float:
    return clopper_pearson(shipped, draws, 0.999, 1).lower


def draw(cell: Cell, draws: int, seed: int = 7) -> Drawn:
    """Draw a cell and count what the gate ships, and what the rules before it shipped."""
    dice = np.random.default_rng(seed)
    if cell.kind == "threshold":
        return _draw_threshold(cell, draws, dice)
    groups = _groups(cell)
    risk = RISK / cell.candidates
    bar = Bar(MARGIN, 1 - risk, RISK)
    passing = {"better"} if cell.kind == "better" else {"better", "not-worse"}
    gate = before = 0
    tables = [_answers(cell, draws, dice) for _ in range(cell.candidates)]
    for rows in zip(*(zip(*table, strict=True) for table in tables), strict=True):
        pairs = [
            Pairs(live.tobytes(), candidate.tobytes(), cell.repeats, groups)
            for live, candidate in rows
        ]
        gate += any(_label(each.effective(), bar) in passing for each in pairs)
        before += any(_shipped_before(cell, each, risk) for each in pairs)
    return Drawn(cell, draws, gate, before)


_label = lru_cache(maxsize=200_000)(paired.label)


def _groups(cell: Cell) -> list[str | int] | None:
    if len(cell.sizes) == sum(cell.sizes):
        return None
    return [number for number, size in enumerate(cell.sizes) for _ in range(size)]


def _by_group(cell: Cell, draws: int, dice: Any) -> Any:
    """Return a number from 0 to 1 for each example of each draw: its own, or its group's."""
    n = sum(cell.sizes)
    shared = np.repeat(dice.random((draws, len(cell.sizes))), list(cell.sizes), axis=1)
    return np.where(dice.random((draws, n)) < cell.alike, shared, dice.random((draws, n)))


def _answers(cell: Cell, draws: int, dice: Any) -> tuple[Any, Any]:
    """Return how often live and the candidate pass each example, of the repeats."""
    drop = 0.0 if cell.kind == "better" else MARGIN
    told = _by_group(cell, draws, dice)
    sure = 1 - cell.flaky  # a coin makes no difference: the others make all of it
    broke, fixed = ((cell.rate + sign * drop) / 2 / sure for sign in (1, -1))
    broken, mended = told < broke, (told >= broke) & (told < broke + fixed)
    live, candidate = (np.where(fails, 0, cell.repeats) for fails in (mended, broken))
    if cell.flaky:
        tossed = dice.random(told.shape) < cell.flaky
        coins = (dice.binomial(cell.repeats, 0.5, told.shape) for _ in range(2))
        live, candidate = (
            np.where(tossed, coin, sure)
            for coin, sure in zip(coins, (live, candidate), strict=True)
        )
    return live.astype(np.uint8), candidate.astype(np.uint8)


def _draw_threshold(cell: Cell, draws: int, dice: Any) -> Drawn:
    n = sum(cell.sizes)
    passed = (_by_group(cell, draws, dice) < cell.rate).sum(axis=1)
    counts = np.bincount(passed, minlength=n + 1)
    z = normal_quantile(1 - RISK)
    wilson = [
        (k / n + z * z / 2 / n - z * sqrt(k / n * (1 - k / n) / n + (z / 2 / n) ** 2))
        / (1 + z * z / n)
        for k in range(n + 1)
    ]
    gate = sum(int(counts[k]) for k in np.flatnonzero(counts) if _reaches(cell, int(k)))
    before = sum(int(counts[k]) for k in np.flatnonzero(counts) if wilson[k] >= cell.rate)
    return Drawn(cell, draws, gate, before)


def _reaches(cell: Cell, passed: int) -> bool:
    """Ask the gate in the mode `threshold`."""
    groups = _groups(cell)
    results = Results(1)
    for number in range(sum(cell.sizes)):
        results.add_example(
            f"e{number}", f"g{groups[number]}" if groups else "", (), must_pass=False
        )
    column = results.add_arm("candidate")
    for place in range(len(results)):
        column.put(place, Sample("pass" if place < passed else "wrong"))
    rules = replace(GateRules((), ()), mode="threshold", threshold=cell.rate)
    return gate_modes.hold_threshold(rules, "candidate", results, BAR).reason is None


def _shipped_before(cell: Cell, pairs: Pairs, risk: float) -> bool:
    """Say what was shipped before: by Tango's bound, or with repeats and groups by a t."""
    if cell.kind == "better" or (pairs.groups is None and pairs.repeats == 1):
        change = [new - old for new, old in zip(pairs.candidate, pairs.live, strict=True)]
        broke, fixed, n = change.count(-1), change.count(1), len(change)
        if cell.kind == "better" and pairs.groups is None:
            return mcnemar(broke, fixed, "better") <= risk
        if pairs.groups is None:
            return tango_score(broke, fixed, n, -MARGIN) > normal_quantile(1 - risk)
    limit = 0.0 if cell.kind == "better" else -MARGIN
    return pseudo_t(pairs, risk) > limit


def pseudo_t(pairs: Pairs, risk: float) -> float:
    """Return the lower bound of the rule before: a clustered t with two made-up examples."""
    values = np.frombuffer(pairs.candidate, np.uint8).astype(float)
    values = (values - np.frombuffer(pairs.live, np.uint8)) / pairs.repeats
    n = len(values) + 2
    mean = values.sum() / n
    codes = np.arange(len(values)) if pairs.groups is None else np.array(pairs.groups)
    sums = np.bincount(codes, values - mean)
    clusters = len(sums) + 2
    squares = (sums**2).sum() + (1 - mean) ** 2 + (1 + mean) ** 2
    error = sqrt(clusters / (clusters - 1) * squares) / n
    return float(mean - _t_quantile(1 - risk, clusters - 1) * error)


@cache
def _t_quantile(share: float, df: int) -> float:
    return float(special.stdtrit(df, share))
