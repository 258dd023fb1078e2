"""Asking again where that can help: three tries, one deadline, one budget of waiting.

Nothing here knows what is asked.  Time is a `Clock`, so that a test waits for nothing.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fftdeploy.api.answers import Answer
from fftdeploy.api.readiness import explain
from fftdeploy.names import plural
from fftdeploy.times import CLOCK_SKEW

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

TRIES = 3
"""Most requests for one question that fails in a way that may pass."""

MOST_SKEW = timedelta(days=30)
"""Clocks further apart than this are both doubted: a wrong day would be written for good."""

_BACKOFF_S = 0.5
LONGEST_PAUSE_S = 8.0
_SAID_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from and how it passes."""

    now: Callable[[], datetime]
    """Aware, in UTC."""
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]


def system_clock() -> Clock:
    """Return the machine's own clock."""
    import time

    return Clock(lambda: datetime.now(UTC), time.monotonic, time.sleep)


def quiet(_: str) -> None:
    """Say nothing."""


class Asker:
    """Sends questions for one command, and knows what time it is.

    `deadline_s` bounds each question with its retries; `wait_s` is for what only time can change,
    a loading model or a running job, and is shared by everything that waits.  `say` takes a whole
    line about what is going on, from any thread but one at a time; `progress` takes a line that
    replaces the last one, for a terminal.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        wait_s: float = 60.0,
        deadline_s: float = 20.0,
        say: Callable[[str], None] = quiet,
        progress: Callable[[str], None] = quiet,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.clock = clock or system_clock()
        self.wait_s = wait_s
        self.deadline_s = deadline_s
        self.progress = progress
        self.waiting = waiting
        self._say = say
        self._lock = threading.Lock()
        self._wait_until: float | None = None
        self._skew: timedelta | None = None

    def now(self) -> datetime:
        """Return the time: the server's, where the clocks differ by more than 5 minutes.

        Of several servers it is the one that differs least from this machine.
        """
        skew = self._skew or timedelta(0)
        return self.clock.now() + (skew if abs(skew) > CLOCK_SKEW else timedelta(0))

    def say(self, line: str) -> None:
        """Pass a line on, one thread at a time."""
        with self._lock:
            self._say(line)

    def deadline(self) -> float:
        """Return the monotonic time at which a question asked now is given up."""
        return self.clock.monotonic() + self.deadline_s

    def ask(self, send: Callable[[float], Answer], deadline: float) -> Answer:
        """Send until there is an answer that asking again would not change."""
        answer = Answer(fault="timeout", problem="no time was left to ask")
        with self.waiting():
            for attempt in range(TRIES):
                left = deadline - self.clock.monotonic()
                if left <= 0:
                    break
                answer = self._with_time(send(left))
                pause = answer.retry_after_s
                pause = _BACKOFF_S * 2**attempt if pause is None else pause
                over = pause >= deadline - self.clock.monotonic()
                if not answer.is_transient or over or attempt == TRIES - 1:
                    break
                if pause >= _SAID_PAUSE_S:
                    self.say(f"{explain(answer).message}; asking again in {pause:.0f} s")
                self.clock.sleep(pause)
        return answer

    def _with_time(self, answer: Answer) -> Answer:
        """Compare the clocks; a page from a proxy tells no time.

        Where they are too far apart nothing is known, and the answer says so instead.
        """
        if answer.date is None or answer.problem:
            return answer
        now = self.clock.now()
        skew = answer.date - now
        if abs(skew) > MOST_SKEW:
            problem = (
                f"the API's clock says {answer.date:%Y-%m-%d %H:%MZ} and this machine's "
                f"{now:%Y-%m-%d %H:%MZ}: one of them is wrong"
            )
            return Answer(fault="clock", problem=problem, request_id=answer.request_id)
        with self._lock:
            is_first = self._skew is None
            self._skew = min(skew, self._skew or skew, key=abs)
        if abs(skew) > CLOCK_SKEW and is_first:
            minutes, days = abs(skew).total_seconds() / 60, abs(skew).days
            away = plural(days, "day") if days else f"{minutes:.0f} minutes"
            whose = "this machine, or FFTDEPLOY_NOW," if days else "this machine"
            way = "behind" if skew > timedelta(0) else "ahead of"
            self.say(f"warning: the clock of {whose} is {away} {way} the API's, whose time is used")
        return answer

    def wait(self, pause: float, progress: str) -> bool:
        """Sleep for `pause`, or as long as is left; False where the waiting is over."""
        now = self.clock.monotonic()
        with self._lock:
            if self._wait_until is None:
                self._wait_until = now + self.wait_s
            left = self._wait_until - now
        if left <= 0:
            return False
        self.progress(f"{progress} ({self.wait_s - left:.0f} s of {self.wait_s:.0f} s)")
        self.clock.sleep(min(pause, left))
        return True
