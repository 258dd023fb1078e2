"""The tests of drift against closed forms, brute force, and a year of days."""

from itertools import product
from math import comb, exp, prod, sqrt
from random import Random
from statistics import mean

import pytest

from fftdeploy.evaluation.gate.statistics import mcnemar
from fftdeploy.monitoring import drift
from fftdeploy.monitoring.drift import Counts


def today(passed_then: list[int], passed: list[int], then: int = 10, now: int = 1) -> list[Counts]:
    pairs = zip(passed_then, passed, strict=True)
    return [Counts(before, then, after, now) for before, after in pairs]


@pytest.mark.parametrize(
    ("counts", "p"),
    [
        (today([10] * 40, [0] + [1] * 39), 1 / 11),
        (today([10] * 40, [0] * 2 + [1] * 38), 1 / 121),
        (today([10] * 40, [0] * 3 + [1] * 37), 1 / 1331),
        (today([10], [0], now=5), 1 / 3003),
        (today([3, 2, 1, 3], [0, 1, 1, 2], then=3, now=2), 0.244),
        (today([10] * 40, [1] * 40), 1.0),
        (today([0] * 5, [0] * 5), 1.0),
        ([], 1.0),
    ],
)
def test_closed_forms(counts: list[Counts], p: float) -> None:
    assert drift.p_fewer(counts) == pytest.approx(p, abs=5e-4 if p == 0.244 else 1e-12)


def brute_force(counts: list[Counts]) -> float:
    """Count every way in which the answers could have come in another order."""
    seen = sum(one.passed for one in counts)
    ways = [
        [
            (now, comb(total, now) * comb(size - total, one.answered - now))
            for now in range(one.answered + 1)
        ]
        for one in counts
        for total, size in [(one.passed_then + one.passed, one.answered_then + one.answered)]
    ]
    every = [(sum(n for n, _ in each), prod(w for _, w in each)) for each in product(*ways)]
    return sum(w for n, w in every if n <= seen) / sum(w for _, w in every)


def test_as_counting_every_order_does() -> None:
    random = Random(5)
    for _ in range(150):
        then, now = random.randint(1, 4), random.randint(1, 3)
        counts = [
            Counts(random.randint(0, then), then, random.randint(0, now), now)
            for _ in range(random.randint(1, 5))
        ]
        assert drift.p_fewer(counts) == pytest.approx(brute_force(counts), abs=1e-12)
        flipped = [one.failures for one in counts]
        assert drift.p_more(counts) == pytest.approx(brute_force(flipped), abs=1e-12)


def test_of_one_answer_then_it_is_mcnemars() -> None:
    for broke, fixed in product(range(8), range(8)):
        counts = [Counts(1, 1, 0, 1)] * broke + [Counts(0, 1, 1, 1)] * fixed + [Counts(1, 1, 1, 1)]
        assert drift.p_fewer(counts) == pytest.approx(mcnemar(broke, fixed, "worse"))


def expected_runs(limit: float, shift: float = 0.0) -> float:
    """Return after how many days a CUSUM of normal falls crosses `limit` (Siegmund 1985)."""
    more, height = shift - drift.SLACK, limit + 1.166
    if not more:
        return height**2
    return (exp(-2 * more * height) + 2 * more * height - 1) / (2 * more**2)


@pytest.mark.parametrize(("limit", "runs"), [(4, 338), (5, 938), (6, 2573)])
def test_how_long_a_cusum_runs(limit: float, runs: float) -> None:
    assert expected_runs(limit) == pytest.approx(runs, abs=0.5)


def lived(random: Random, shift: float) -> int:
    """Return after how many days the CUSUM of a hundred coins that fall by `shift` alarms."""
    cusum, days = 0.0, 0
    while cusum <= drift.LIMIT:
        share = 0.5 - shift * 0.05
        cusum = drift.added_up(
            cusum, today([5000] * 100, [random.random() < share for _ in range(100)], then=10_000)
        )
        days += 1
    return days


def test_a_cusum_finds_what_no_day_shows() -> None:
    random = Random(4)
    assert expected_runs(drift.LIMIT, shift=1) == pytest.approx(10.3, abs=0.05)
    assert mean(lived(random, 1.0) for _ in range(60)) == pytest.approx(10.3, abs=1.2)
    cusum, days = 0.0, 0
    while cusum <= drift.LIMIT:  # of twenty that were right half of the time, seven are
        counts = today([5] * 20 + [10] * 20, [1] * 7 + [0] * 13 + [1] * 20)
        assert drift.p_fewer(counts) > 10 * drift.RARE
        cusum, days = drift.added_up(cusum, counts), days + 1
    assert days == 7
    once = today([10] * 40, [0] + [1] * 39)
    assert drift.fall(once) == pytest.approx((10 / 11) / sqrt(10 / 121))
    assert not drift.is_suspicious(drift.p_fewer(once), drift.added_up(0.0, once))
    assert drift.fall(today([10] * 40, [1] * 40)) == 0.0
