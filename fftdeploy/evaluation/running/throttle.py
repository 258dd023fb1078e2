"""One gate for all workers: what the API says about too much is heard by everybody.

After a 429 nobody asks until the moment that the API names, and then half as many at a time;
every good answer makes room for a little more.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from fftdeploy.answers import Answer

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
"""Of the pauses that we choose; what the API asks for is kept as it is."""


class Throttle:
    """Lets at most `concurrency` requests out at a time, and fewer after a 429.

    `random` returns a number from 0 to 1.  Not for threads: one event loop has it.
    """

    def __init__(
        self,
        concurrency: int,
        *,
        random: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.concurrency = concurrency
        self.limit = float(concurrency)
        """How many may be out now; grows by one for each round of good answers."""
        self.in_flight = 0
        self._random = random
        self._clock = clock
        self._sleep = sleep
        self._open_at = float("-inf")
        self._round = 0
        """Counts the 429s that were obeyed: one that was on its way already halves nothing."""
        self._in_row = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def wait_s(self) -> float:
        """How long nobody may ask, seconds; not above 0 where everybody may."""
        return self._open_at - self._clock()

    def jitter(self, seconds: float) -> float:
        """Return at most `seconds` and at least half of them, so that not all come at once."""
        return seconds * (0.5 + self._random() / 2)

    async def enter(self) -> int:
        """Wait until a request may go out; the number returned is for `leave`."""
        while True:
            if (wait_s := self.wait_s) > 0:
                await self._sleep(wait_s)
            elif self.in_flight >= int(self.limit):
                await self._turn()
            else:
                self.in_flight += 1
                return self._round

    def leave(self, ticket: int, answer: Answer | None) -> None:
        """Learn from what has come back; None where the request was given up."""
        self.in_flight -= 1
        if answer is not None and answer.status == 429:
            self._back_off(ticket, answer)
        elif answer is not None:
            if answer.status == 200 and ticket == self._round:
                self._in_row = 0
                self.limit = min(self.concurrency, self.limit + 1 / self.limit)
            self._await_reset(answer)
        self._wake()

    def _back_off(self, ticket: int, answer: Answer) -> None:
        wait_s = answer.retry_after_s
        if ticket == self._round:
            self._round += 1
            self._in_row += 1
            self.limit = max(1.0, self.limit / 2)
            if wait_s is None:
                usual = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._in_row - 1, 10))
                wait_s = self.jitter(usual)
        self._pause(wait_s)

    def _await_reset(self, answer: Answer) -> None:
        if answer.remaining_requests == 0:
            self._pause(answer.reset_requests_s)
        if answer.remaining_tokens == 0:
            self._pause(answer.reset_tokens_s)

    def _pause(self, wait_s: float | None) -> None:
        if wait_s:
            self._open_at = max(self._open_at, self._clock() + wait_s)

    async def _turn(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._wake()  # our turn is somebody else's
            raise

    def _wake(self) -> None:
        free = int(self.limit) - self.in_flight
        while self._waiting and free > 0:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                free -= 1
