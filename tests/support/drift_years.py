"""Years of days in which nothing changes, or a part breaks, by the rule of `monitor` and by others.

Of the examples 85 % are solid, 5 % hopeless and 10 % flaky: how often each passes is drawn once,
and every answer anew.
"""

from dataclasses import dataclass
from random import Random

from fftdeploy.evaluation.gate.statistics import mcnemar
from fftdeploy.monitoring import drift
from fftdeploy.monitoring.drift import Counts

SOLID, HOPELESS, FLAKY = 0.998, 0.02, (0.2, 0.8)
POINTS = 0.05


@dataclass
class Year:
    """The day on which each rule cried, -1 where it never did, and the confirmations asked for."""

    found: int = -1
    naive: int = -1
    mcnemar: int = -1
    confirmations: int = 0


class World:
    """Examples with the chance that each passes; `answers` asks all of them once."""

    def __init__(self, random: Random, size: int) -> None:
        flaky, hopeless = round(0.1 * size), round(0.05 * size)
        self.random = random
        self.chances = [random.uniform(*FLAKY) for _ in range(flaky)]
        self.chances += [HOPELESS] * hopeless + [SOLID] * (size - flaky - hopeless)

    def break_some(self, share: float) -> None:
        """Have a share of them, whichever, fail always."""
        for index in self.random.sample(range(len(self.chances)), round(share * len(self.chances))):
            self.chances[index] = 0.0

    def answers(self, repeats: int) -> list[int]:
        """Return how often each passes."""
        draw = self.random.random
        return [sum(draw() < chance for _ in range(repeats)) for chance in self.chances]


def year(random: Random, size: int, *, days: int = 365, broken: float = 0.0) -> Year:
    """Live through one; with some `broken` right after the calibration."""
    world, found, cusum = World(random, size), Year(), 0.0
    then, promoted = world.answers(drift.THEN), world.answers(1)
    world.break_some(broken)
    for day in range(days):
        today = world.answers(1)
        counts = [Counts(a, drift.THEN, b, 1) for a, b in zip(then, today, strict=True)]
        cusum = drift.added_up(cusum, counts)
        if drift.is_suspicious(drift.p_fewer(counts), cusum):
            cusum, again = 0.0, zip(then, world.answers(drift.NOW), strict=True)
            found.confirmations += 1
            p = drift.p_fewer(Counts(a, drift.THEN, b, drift.NOW) for a, b in again)
            found.found = day if p < drift.RARE and found.found < 0 else found.found
        pairs = list(zip(promoted, today, strict=True))
        broke, fixed = pairs.count((1, 0)), pairs.count((0, 1))
        if broke - fixed > POINTS * size and found.naive < 0:
            found.naive = day
        if mcnemar(broke, fixed, "two-sided") < 0.05 and broke > fixed and found.mcnemar < 0:
            found.mcnemar = day
    return found
