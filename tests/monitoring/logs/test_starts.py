"""Counting anew from many starts: a late turn is found, and equal arms are seldom called worse."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from fftdeploy.monitoring.logs.starts import MAX_DAYS, MOST_CHANCE, Starts

BEGAN = datetime(2026, 9, 1, 6, 20, tzinfo=UTC)
HOUR = 3600


def counted(seed: int, days: int, turns: int | None = None, *, chatty: bool = False) -> Starts:
    """Have 200 callers ask four times a day; from day `turns` on half of the canary's fail."""
    random, starts = Random(seed), Starts(BEGAN)
    for step in range(days * 4):
        at = BEGAN.timestamp() + step * 6 * HOUR
        for caller in range(200):
            arm = caller % 4 == 0
            rate = 0.5 if turns is not None and arm and step >= turns * 4 else 0.05
            fails = (chatty and caller == 0) or random.random() < rate
            for _ in range(50 if chatty and caller == 0 else 1):
                starts.add(int(arm), str(caller), at, failed=fails)
    return starts


def test_a_late_turn_is_found_though_each_caller_counts_once() -> None:
    starts = counted(3, days=12, turns=10)
    assert next(starts.sequences()).interval().lower < 0
    found, interval = starts.worst()
    assert interval.lower > 0
    assert found.since >= BEGAN + timedelta(days=9, hours=18)
    assert found.n == (150, 50)


def test_equal_arms_are_seldom_called_worse_and_one_loud_caller_is_one() -> None:
    alike = [counted(seed, days=6, chatty=seed % 2 == 0).worst()[1].lower > 0 for seed in range(40)]
    assert sum(alike) <= 2


@pytest.mark.parametrize("hour", [0, 6, 23])
def test_the_levels_of_all_starts_are_no_more_than_is_promised(hour: int) -> None:
    began = BEGAN.replace(hour=hour)
    starts = Starts(began)
    for place in range((MAX_DAYS + 9) * 24):
        starts.add(0, str(place), began.timestamp() + place * HOUR, failed=False)
    levels = [one.most_chance for one in starts.sequences()]
    assert len(levels) >= MAX_DAYS * 24
    assert 0.8 * MOST_CHANCE < sum(levels) <= MOST_CHANCE
    *_, last = starts.sequences()
    assert last.n[0] == 9 * 24  # nothing starts later: the last goes on


def test_each_start_counts_a_caller_by_the_first_request_since() -> None:
    starts, random = Starts(BEGAN), Random(5)
    drawn = ((random.randrange(72), random.randrange(9), random.random() < 0.3) for _ in range(300))
    asked = sorted(drawn)
    at = BEGAN.timestamp() // HOUR * HOUR
    for when, caller, failed in asked:
        starts.add(1, str(caller), at + when * HOUR, failed=failed)
    starts.add(1, "who", None, failed=True)  # the log does not say when: from the first start only
    for one in starts.sequences():
        place = (max(one.since, BEGAN).timestamp() - at) // HOUR
        first: dict[int, bool] = {}
        for when, caller, failed in asked:
            if when >= place:
                first.setdefault(caller, failed)
        untimed = one.since == BEGAN
        assert one.n == (0, len(first) + untimed)
        assert one.failed == (0, sum(first.values()) + untimed)
