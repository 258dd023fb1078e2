"""How often equal arms of a canary are called different by people who look every day."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from measure import Row, Size

from fftdeploy.evaluation.gate.statistics import difference_sequence
from fftdeploy.monitoring.logs.starts import Starts

RUNS, DAYS, CALLERS = 1000, 60, 400
"""Callers who each ask about every second day, at one of three hours."""
WEIGHT, FAILING, TURNS = 25, 0.02, 20
BEGAN = datetime(2026, 9, 1, 6, tzinfo=UTC)

Rate = Callable[[int], float]
"""How often the canary fails, by the day."""


def bench(_folder: Path, _runs: int, size: Size) -> list[Row]:
    random = Random(14)  # noqa: S311  the same trials each time
    runs, few = size(RUNS), size(100)
    equal = [trial(random, lambda _: FAILING) for _ in range(runs)]
    chatty = [trial(random, lambda _: FAILING, chatty=True) for _ in range(few)]
    worse = [trial(random, lambda _: 4 * FAILING, new=True)[0] for _ in range(few)]
    turned = [trial(random, lambda day: 0.5 if day >= TURNS else FAILING) for _ in range(few)]
    what = f"{DAYS} daily looks at equal arms ({WEIGHT} % of {CALLERS} callers)"
    late = f"{sum(map(bool, worse))} of {few} found within {DAYS} days"
    by_first = f"counted from the beginning only: {sum(bool(one[1]) for one in turned)} of {few}"
    return [
        Row(f"{what}: called worse", share(equal, 0), 0.05, "of trials", f"{runs:,} trials"),
        Row(
            "with a caller of the canary who always fails, ten requests every second day",
            share(chatty, 0),
            0.05,
            "of trials",
            f"{few} trials; requests counted instead of callers: {share(chatty, 2):.1%}",
        ),
        Row(
            "a canary that fails four times as often is found (100 new callers a day)",
            middle(worse),
            14,
            "th day",
            late,
        ),
        Row(
            f"one whose every second answer fails from day {TURNS} is found",
            middle([one[0] and one[0] - TURNS for one in turned]),
            5,
            "days later",
            by_first,
        ),
    ]


def share(trials: list[tuple[int, int, int]], rule: int) -> float:
    return sum(bool(one[rule]) for one in trials) / len(trials)


def middle(days: list[int]) -> int:
    return sorted(day or DAYS + 1 for day in days)[len(days) // 2]


def trial(
    random: Random, rate: Rate, *, chatty: bool = False, new: bool = False
) -> tuple[int, int, int]:
    """Return the day on which the canary is called worse; or 0.  `new`: other callers each day.

    By this rule, by one that counts from the beginning only, and by one that counts requests.
    """
    starts, found = Starts(BEGAN), [0, 0, 0]
    failed, n = [0, 0], [0, 0]
    for day in range(DAYS):
        for turn, hour in enumerate((3, 7, 14)):
            at = BEGAN.timestamp() + (day * 24 + hour) * 3600
            for caller in range(CALLERS):
                asks = caller % 3 == turn if new else random.random() < 1 / 6
                if not asks:
                    continue
                arm = caller * 100 < WEIGHT * CALLERS
                odd = chatty and caller == 0
                fails = odd or random.random() < (rate(day) if arm else FAILING)
                starts.add(int(arm), f"{day * new} {caller}", at, failed=fails)
                failed[arm] += fails * (10 if odd else 1)
                n[arm] += 10 if odd else 1
        first = next(starts.sequences())
        requests = difference_sequence((failed[0], failed[1]), (n[0], n[1]))
        looks = (starts.worst()[1], first.interval(), requests)
        for rule, interval in enumerate(looks):
            found[rule] = found[rule] or (day + 1) * (interval.lower > 0)
    return found[0], found[1], found[2]
