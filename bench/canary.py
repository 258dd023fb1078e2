"""How often equal arms of a canary are called different by people who look every day."""

from math import log
from pathlib import Path
from random import Random

from measure import Row, Size

from fftdeploy.evaluation.gate.statistics import difference_sequence, wilson

RUNS, DAYS, A_DAY, WEIGHT = 1000, 60, 2000, 5
FAILING = 0.02


def bench(_folder: Path, _runs: int, size: Size) -> list[Row]:
    random, runs = Random(14), size(RUNS)  # noqa: S311  the same trials each time
    equal = [_trial(random, FAILING, FAILING) for _ in range(runs)]
    worse = [_trial(random, FAILING, 4 * FAILING)[0] for _ in range(size(200))]
    found = sorted(day or DAYS + 1 for day in worse)
    called, naive = (sum(bool(day) for day in rule) / runs for rule in zip(*equal, strict=True))
    what = f"{DAYS} daily looks at equal arms ({WEIGHT} % of {A_DAY:,} callers a day)"
    note = f"{runs:,} trials; with the interval of one look: {naive:.1%}"
    late = f"{sum(bool(day) for day in worse)} of {len(worse)} found within {DAYS} days"
    return [
        Row(f"{what}: called worse", called, 0.05, "of trials", note),
        Row(
            "a canary that fails four times as often is found",
            found[len(found) // 2],
            7,
            "th day",
            late,
        ),
    ]


def _trial(random: Random, live: float, canary: float) -> tuple[int, int]:
    """Return the day on which the canary is called worse, by this rule and a naive one; or 0."""
    failed, n, days = [0, 0], [0, 0], [0, 0]
    tried = A_DAY * WEIGHT // 100
    for day in range(1, DAYS + 1):
        for arm, count, rate in ((0, A_DAY - tried, live), (1, tried, canary)):
            failed[arm] += _drawn(random, count, rate)
            n[arm] += count
        is_worse = difference_sequence((failed[0], failed[1]), (n[0], n[1])).lower > 0
        days[0] = days[0] or day * is_worse
        days[1] = days[1] or day * (wilson(failed[1], n[1]).lower > failed[0] / n[0])
    return days[0], days[1]


def _drawn(random: Random, n: int, rate: float) -> int:
    """Draw how many of `n` fail: from one to the next is a geometric wait."""
    found, at = 0, 0.0
    while (at := at + 1 + log(1 - random.random()) // log(1 - rate)) <= n:
        found += 1
    return found
