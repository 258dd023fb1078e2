"""Chooses what is asked next: requests that were put off and are due, then new ones.

A request that was refused or met an outage waits on its own, and holds nobody up: its place among
those that are out goes to another one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from fftdeploy.api.answers import Answer
from fftdeploy.evaluation.running.requests import Ask

TRIES = 4
"""How often a request is sent whose answers are outages; one that never ends counts for two."""

LIMITED_TRIES = 30
"""How often it is sent where it is refused for the rate."""

LONGEST_WAIT_S = 120.0
"""A server that asks for more patience than this ends the run; it can go on later."""

OUTAGE = 20
"""So many failed requests in a row, and no good one between them, end the run."""

ROUNDS_IN_VAIN = 2
"""What was lost is asked again until so many rounds on end have brought nothing."""

AGAIN = "run the same command again later: it goes on from there"
"""What helps where the host gives no answers."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
"""Of the pauses that we choose; what the API asks for is kept."""

_PAUSE_GROWTH = {True: 1.5, False: 2.0}
"""A refusal says that the API lives: the rate of all is the cure, and the pause grows slowly."""


@dataclass(slots=True, kw_only=True)
class Retries:
    """What came back for one request instead of an answer, so far."""

    outages: int = 0
    refusals: int = 0

    @property
    def is_new(self) -> bool:
        """Whether it was not sent yet."""
        return not (self.outages or self.refusals)

    def pause_s(self, answer: Answer, jitter: Callable[[float], float]) -> float | None:
        """Count what came back, and return how long to wait before sending it again.

        None where the answer is the last word for now.  The API's own word is kept and at most a
        quarter is added to it, so that those who were told the same do not come together.
        """
        is_refusal = answer.status == 429
        if is_refusal:
            self.refusals += 1
        elif answer.is_transient or answer.is_loading or answer.fault == "timeout":
            self.outages += 2 if answer.fault == "timeout" else 1
        else:
            return None
        if self.outages >= TRIES or self.refusals >= LIMITED_TRIES:
            return None
        if answer.retry_after_s is not None and (is_refusal or answer.status == 503):
            return min(answer.retry_after_s, LONGEST_WAIT_S) * (1.5 - jitter(0.5))
        count = self.refusals if is_refusal else self.outages
        pause = _FIRST_PAUSE_S * _PAUSE_GROWTH[is_refusal] ** (count - 1)
        return jitter(min(_LONGEST_PAUSE_S, pause))


@dataclass(slots=True)
class Attempt(Retries):
    """One request on its way to an answer."""

    ask: Ask


class Attempts:
    """Gives out requests: of `asks`, and those that come back to it.

    Where as many as `most` says are put off no new one begins, and memory does not grow with the
    examples.
    """

    def __init__(
        self, asks: Iterator[Ask], most: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._asks: Iterator[Ask] | None = asks
        self._most = most
        self._clock = clock
        self._put_off: list[tuple[float, int, Attempt]] = []
        self._count = 0

    def put_off(self, attempt: Attempt, seconds: float) -> None:
        """Take a request back for `seconds`."""
        self._count += 1
        heappush(self._put_off, (self._clock() + seconds, self._count, attempt))

    def take(self) -> Attempt | float | None:
        """Return a request, or how long none is due; None where there is none left.

        None is not the end where requests are out: whoever puts one off has to come again.
        """
        now = self._clock()
        if self._put_off and self._put_off[0][0] <= now:
            return heappop(self._put_off)[2]
        if self._asks is not None and len(self._put_off) < self._most():
            if (ask := next(self._asks, None)) is not None:
                return Attempt(ask)
            self._asks = None
        return self._put_off[0][0] - now if self._put_off else None
