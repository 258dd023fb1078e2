"""J14: how fast a run asks an API that refuses what is too much, or some of everything.

Nothing here takes time: the API, the answers on their way and the clock are numbers.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import repeat
from random import Random
from typing import cast

import pytest

from fftdeploy.api.answers import Answer
from fftdeploy.evaluation.running.attempts import Attempt, Attempts
from fftdeploy.evaluation.running.pace import LEAST, Pace
from fftdeploy.evaluation.running.requests import Ask

CONCURRENCY = 16
LATENCY_S, FAST_S, REFUSAL_S = 0.2, 0.02, 0.01
FREE = CONCURRENCY / LATENCY_S
"""Requests a second where nothing is refused."""

Api = Callable[[float], bool]
"""Whether a request is let in that comes at that moment."""


def bucket(rate: float, store: float) -> Api:
    """Let `rate` a second in, and at most `store` at once after a pause."""
    left, last = store, 0.0

    def lets_in(now: float) -> bool:
        nonlocal left, last
        left, last = min(store, left + (now - last) * rate), now
        if left < 1:
            return False
        left -= 1
        return True

    return lets_in


def fixed(count: int, window_s: float) -> Api:
    """Let the first `count` of each window in."""
    used: deque[int] = deque([0], maxlen=1)
    window = -1

    def lets_in(now: float) -> bool:
        nonlocal window
        if int(now / window_s) != window:
            window = int(now / window_s)
            used.append(0)
        used.append(used[0] + 1)
        return used[0] <= count

    return lets_in


def at_random(share: float, seed: int = 1) -> Api:
    random = Random(seed)
    return lambda _: random.random() >= share


@dataclass
class Outcome:
    """What became of so many requests."""

    seconds: float
    sent: int
    moments: list[float]
    """When each was let in."""

    def rate(self, since: float = 0.0, until: float = float("inf")) -> float:
        """Return how many a second were let in between two moments."""
        until = min(until, self.seconds)
        return sum(since <= moment < until for moment in self.moments) / (until - since)


def ask(
    api: Api,
    count: int,
    pace: Pace,
    *,
    told: float | None = None,
    seed: int = 1,
    latency_s: float = LATENCY_S,
    concurrency: int = CONCURRENCY,
) -> Outcome:
    """Send `count` requests as the runner does; `told` is what a refusal says of retrying."""
    random = Random(seed)
    now, sent, under_way, done = 0.0, 0, 0, 0
    events: list[tuple[float, int, Attempt, int | None]] = []
    moments: list[float] = []
    asks = repeat(cast("Ask", object()), count)
    attempts = Attempts(asks, lambda: pace.most_put_off(concurrency), lambda: now)
    refusal = Answer(429, retry_after_s=told)
    waiting: Attempt | None = None
    while done < count:
        wait_s: float | None = None
        while under_way < concurrency:
            taken = waiting or attempts.take()
            if not isinstance(taken, Attempt):
                wait_s = taken
                break
            waiting = taken
            if (wait_s := pace.wait_s(now)) > 0:
                break
            waiting, sent, under_way = None, sent + 1, under_way + 1
            window, is_let_in = pace.send(now), api(now)
            took = latency_s if is_let_in else REFUSAL_S
            moments += [now] * is_let_in
            back = now + took * random.uniform(0.8, 1.2)
            heappush(events, (back, sent, taken, None if is_let_in else window))
        moments_to_come = [event[0] for event in events[:1]]
        if wait_s is not None:
            moments_to_come.append(now + wait_s)
        now = min(moments_to_come)
        while events and events[0][0] <= now:
            _, _, attempt, window_ = heappop(events)
            under_way -= 1
            if window_ is None:
                done += 1
                continue
            pace.refuse(window_, REFUSAL_S)
            pause = attempt.pause_s(refusal, lambda most: most * (0.5 + random.random() / 2))
            assert pause is not None
            attempts.put_off(attempt, pause)
    return Outcome(now, sent, moments)


TOLD = pytest.mark.parametrize("told", [None, 1.0], ids=["untold", "told-1-s"])


@TOLD
@pytest.mark.parametrize("seed", range(5))
def test_J14_random_refusals_slow_nobody_else(seed: int, told: float | None) -> None:
    outcome = ask(at_random(0.2, seed), 2000, Pace(), told=told, seed=seed)
    assert outcome.rate() >= 0.75 * FREE
    assert outcome.sent <= 1.3 * 2000


@TOLD
@pytest.mark.parametrize("concurrency", [4, 16])
def test_J14_random_refusals_of_a_fast_api_hold_nobody_up(
    concurrency: int, told: float | None
) -> None:
    count = 800 * concurrency
    outcome = ask(
        at_random(0.2), count, Pace(), told=told, latency_s=FAST_S, concurrency=concurrency
    )
    assert outcome.rate(until=10) >= 0.5 * concurrency / FAST_S
    assert outcome.sent <= 1.3 * count


LIMITS: dict[str, tuple[Callable[[], Api], float]] = {
    "10-a-second": (lambda: bucket(10, 10), 10),
    "20-a-second": (lambda: bucket(20, 20), 20),
    "20-a-second-5-at-once": (lambda: bucket(20, 5), 20),
    "50-a-second": (lambda: bucket(50, 50), 50),
    "50-each-second": (lambda: fixed(50, 1.0), 50),
    "600-each-minute": (lambda: fixed(600, 60.0), 10),
}


@TOLD
@pytest.mark.parametrize("row", LIMITS)
def test_J14_a_limit_is_used_and_not_run_against(row: str, told: float | None) -> None:
    api, rate = LIMITS[row]
    outcome = ask(api(), 2000, Pace(), told=told)
    print(f"{row}: {outcome.rate() / rate:.2f} of the limit, {outcome.sent / 2000:.2f} sent")
    assert outcome.rate() >= 0.9 * rate
    assert outcome.sent <= 1.35 * 2000


class Together(Pace):
    """The control: after each refusal everybody waits."""

    def send(self, now: float) -> int:
        self._now = now
        return super().send(now)

    def refuse(self, window: int, seconds: float) -> None:
        self._next_at = self._now + 1


class Crowded(Pace):
    """The control of a fast API: four for each that may be out, however many are let in."""

    def most_put_off(self, concurrency: int) -> float:
        return 4 * concurrency


class Unmoved(Pace):
    """The other control: a pace that takes none for one."""

    def refuse(self, window: int, seconds: float) -> None: ...


def test_J14_the_controls_fail() -> None:
    assert ask(at_random(0.2), 2000, Together()).rate() < 0.5 * FREE
    assert ask(bucket(20, 20), 2000, Unmoved()).sent > 3 * 2000
    crowded = ask(at_random(0.2), 800 * CONCURRENCY, Crowded(), told=1.0, latency_s=FAST_S)
    assert crowded.rate(until=10) < 0.5 * CONCURRENCY / FAST_S


def test_J14_a_limit_that_changes_is_followed() -> None:
    slow, fast = bucket(15, 15), bucket(45, 45)
    outcome = ask(lambda now: (slow if 40 <= now < 80 else fast)(now), 5000, Pace())
    assert outcome.rate(10, 40) >= 0.9 * 45
    assert outcome.rate(50, 80) >= 0.9 * 15
    assert outcome.rate(100, 120) >= 0.9 * 45


def test_J14_an_api_that_refuses_everything_is_asked_now_and_then() -> None:
    asked = []

    def api(now: float) -> bool:
        asked.append(now)
        return not 10 <= now < 60

    outcome = ask(api, 3000, Pace())
    assert sum(20 <= moment < 60 for moment in asked) <= 45 * LEAST
    assert outcome.rate(75) >= 0.8 * FREE


def test_the_first_requests_do_not_wait_for_a_pace() -> None:
    pace = Pace()
    for _ in range(1000):
        assert pace.wait_s(5.0) == 0
        assert pace.send(5.0) == 0
    assert pace.rate is None
