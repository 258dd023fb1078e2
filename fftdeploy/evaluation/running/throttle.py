"""One gate for all workers: how many requests are out at a time, and when the next one may go.

What the API says of its rate in the headers of an answer is heard by everybody: where nothing is
left nobody asks until its reset.  A refused request waits alone; whether all go slower is up to
the `Pace`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fftdeploy.api.answers import Answer
from fftdeploy.evaluation.running.pace import Pace


@dataclass(frozen=True, slots=True)
class Ticket:
    """What `leave` has to know about a request that is out."""

    window: int
    sent_at: float


class Throttle:
    """Lets at most `concurrency` requests out at a time, and no faster than the API lets them in.

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
        self.in_flight = 0
        self.pace = Pace()
        self.clock = clock
        self._slots = asyncio.Semaphore(concurrency)
        self._turn = asyncio.Lock()
        self._random = random
        self._sleep = sleep
        self._open_at = float("-inf")

    @property
    def closed_s(self) -> float:
        """How long nobody may ask, as the API has it, seconds; not above 0 where everybody may."""
        return self._open_at - self.clock()

    def most_put_off(self) -> float:
        """Return how many requests may wait to be sent again before no new one begins."""
        return self.pace.most_put_off(self.concurrency)

    def jitter(self, seconds: float) -> float:
        """Return at most `seconds` and at least half of them, so that not all come at once."""
        return seconds * (0.5 + self._random() / 2)

    async def enter(self) -> Ticket:
        """Wait until a request may go out; what is returned is for `leave`."""
        await self._slots.acquire()
        try:
            async with self._turn:  # one waits for the moment, the others for their turn
                while (wait_s := max(self.closed_s, self.pace.wait_s(self.clock()))) > 0:
                    await self._sleep(wait_s)
                now = self.clock()
                ticket = Ticket(self.pace.send(now), now)
        except BaseException:
            self._slots.release()
            raise
        self.in_flight += 1
        return ticket

    def leave(self, ticket: Ticket, answer: Answer | None) -> None:
        """Learn from what has come back; None where the request was given up."""
        self.in_flight -= 1
        self._slots.release()
        if answer is None:
            return
        if answer.status == 429:
            self.pace.refuse(ticket.window, self.clock() - ticket.sent_at)
            return
        if answer.remaining_requests == 0:
            self._close(answer.reset_requests_s)
        if answer.remaining_tokens == 0:
            self._close(answer.reset_tokens_s)

    def _close(self, seconds: float | None) -> None:
        if seconds:
            self._open_at = max(self._open_at, self.clock() + seconds)
