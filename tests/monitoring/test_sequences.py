"""Intervals that stay valid while people look every day."""

from math import comb, log
from random import Random

import pytest

from fftdeploy.evaluation.gate.statistics import difference_sequence, rate_sequence, wilson

DAYS, A_DAY, RUNS = 60, 60, 120


@pytest.mark.parametrize(("failed", "n"), [(0, 0), (0, 9), (9, 9), (3, 17), (40, 90)])
def test_it_holds_what_a_bet_has_not_ruined(failed: int, n: int) -> None:
    lower, upper = rate_sequence(failed, n, 0.05)
    for step in range(1, 1000):
        p = step / 1000
        # The chance of these answers under all rates at once, each as likely, is 1 / ((n+1) C).
        evidence = -log((n + 1) * comb(n, failed)) - failed * log(p) - (n - failed) * log(1 - p)
        assert (lower < p < upper) == (evidence < log(20)), p


def trial(random: Random, live: float, canary: float) -> tuple[bool, bool, int]:
    """Look every day: whether it was called worse, by this rule and by a naive one, and when."""
    failed, n, naive, found = [0, 0], [0, 0], False, 0
    for day in range(1, DAYS + 1):
        for arm, rate in enumerate((live, canary)):
            failed[arm] += sum(random.random() < rate for _ in range(A_DAY))
            n[arm] += A_DAY
        naive = naive or wilson(failed[1], n[1]).lower > failed[0] / n[0]
        if not found and difference_sequence((failed[0], failed[1]), (n[0], n[1])).lower > 0:
            found = day
    return found > 0, naive, found


def test_J30_equal_arms_are_not_called_worse_by_looking_often() -> None:
    random = Random(20261128)
    seen = [trial(random, 0.1, 0.1) for _ in range(RUNS)]
    assert sum(found for found, _, _ in seen) <= 0.05 * RUNS
    assert sum(naive for _, naive, _ in seen) > 0.2 * RUNS  # the control: the interval of one look


def test_a_canary_that_is_worse_is_found() -> None:
    random = Random(7)
    days = [trial(random, 0.05, 0.25)[2] for _ in range(20)]
    assert 0 < min(days) <= max(days) <= 14
