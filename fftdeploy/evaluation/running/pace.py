"""Learns how many requests a second may go out, from which of them the API refuses.

A 429 may have two causes: we send too fast, or the API refuses some whatever we do.  Only a trial
tells them apart: for a moment no more goes out than was let in before.  Where refusals end with
that, our rate was the cause, and the pace stays at what was let in; where they go on in two
trials, it was not, and the pace is what it was.

Time is cut into windows of a second or more.  After one with many refusals a trial begins; after
others the pace grows, so that a limit is felt for, and a freed API is soon used in full.  While
nothing is known of the limit the pace doubles; each time that it was too much, half as much is
added from then on, down to 5 %, and that more and more rarely.  An API that lets R a second in
soon sees R, and 1.05 R now and then.
"""

from dataclasses import dataclass
from math import sqrt

WINDOW_S = 1.0
"""Least length of a window; an API that takes long to refuse has longer ones."""

_LONGEST_WINDOW_S = 1.5
_FULL = 40
"""Requests that tell enough to end a window before it is the longest."""

TOLERATED = 0.1
"""Share of refusals, beyond those that have nothing to do with our rate, that is no sign."""

_ALL = 0.95
"""Share of refusals from which on nobody is let in, at any rate."""

_TRIAL = 0.9
"""Of what was let in: a limit that lets this much in refuses none of it."""

LEAST = 1.0
"""Requests a second that go out however many are refused."""

_LEAST_GAIN, _MOST_GAIN = 0.05, 1.0
_MOST_PATIENCE = 8
"""Windows between two steps of the least gain, where each of them was too much so far."""

_PUT_OFF, _PUT_OFF_S = 3, 0.75
"""Requests that may be put off for each that may be out, or else what is let in in this time."""

_CREDIT_S = 0.1
"""A turn that was missed by less than this is made up for."""


@dataclass(slots=True)
class _Window:
    number: int
    began: float
    sent: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class _Trial:
    """What a trial that is under way is held against: the share of refusals and rate before it."""

    share: float
    rate: float | None
    is_first: bool = True


class Pace:
    """Says when the next request may go out; times are seconds of one clock that only grows.

    `rate` is None, "as fast as they come", until refusals have proved a limit, and again once the
    limit is far away.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self._next_at = float("-inf")
        self._window: _Window | None = None
        self._lag_s = 0.0
        """How long refusals take to come."""
        self._background = 0.0
        """Share of refusals that has nothing to do with our rate: what the last trial left."""
        self._trial: _Trial | None = None
        self._good: float | None = None
        """The last rate that was not too much."""
        self._gain = _MOST_GAIN
        self._streak = 0
        """Steps up since one was too much."""
        self._patience = 1
        self._hold = 0
        """Windows until the next step."""
        self._let_in = 0.0
        """Requests a second that were let in in the last window."""

    def wait_s(self, now: float) -> float:
        """Return how long the next request has to wait; 0 where it may go."""
        return max(0.0, self._next_at - now)

    def send(self, now: float) -> int:
        """Count a request that goes out now, and return the number of its window."""
        window = self._window
        if window is None or self._is_over(window, now):
            window = self._turn(now)
        window.sent += 1
        if self.rate is not None:
            self._next_at = max(self._next_at, now - _CREDIT_S) + 1 / self.rate
        return window.number

    def most_put_off(self, concurrency: int) -> float:
        """Return how many requests may wait to be sent again before no new one begins.

        An API that refuses everything is not asked everything, and one that refuses some of many
        does not stand still until they come again.
        """
        return max(_PUT_OFF * concurrency, _PUT_OFF_S * self._let_in)

    def refuse(self, window: int, seconds: float) -> None:
        """Count a refusal, `seconds` after the request went out in `window`; a late one is none."""
        self._lag_s += (seconds - self._lag_s) / 8
        if self._window is not None and self._window.number == window:
            self._window.refused += 1

    def _is_over(self, window: _Window, now: float) -> bool:
        lasted = now - window.began
        least = max(WINDOW_S, 4 * self._lag_s)
        return lasted >= least and (window.sent >= _FULL or lasted >= _LONGEST_WINDOW_S)

    def _turn(self, now: float) -> _Window:
        """End the window, learn from it, and begin another."""
        ended = self._window
        if ended is not None:
            self._learn(ended, now - ended.began)
            if self.rate is None:
                self._next_at = now
        self._window = _Window(0 if ended is None else ended.number + 1, now)
        return self._window

    def _learn(self, window: _Window, lasted: float) -> None:
        share = window.refused / window.sent
        # How much more than the background is no sign: chance alone does so much.
        chance = sqrt(self._background * (1 - self._background) / window.sent)
        let_in = self._let_in = (window.sent - window.refused) / lasted
        if self._trial is not None:
            self._judge(self._trial, share, let_in)
        elif share > self._background + max(TOLERATED, 2.5 * chance):
            self._retreat(share, let_in)
        elif self.rate is not None:
            self._feel(self.rate, window.sent / lasted)

    def _retreat(self, share: float, let_in: float) -> None:
        """Begin a trial at the last rate that was good, or else at what was let in."""
        if self._good is not None:
            self._gain = max(_LEAST_GAIN, self._gain / 2)
        else:
            self._gain = _MOST_GAIN if share > 0.5 else max(_LEAST_GAIN, share / 2)
        self._trial = _Trial(share, self.rate)
        self.rate = self._good or max(LEAST, _TRIAL * let_in)
        self._streak = self._hold = 0
        if self._gain == _LEAST_GAIN:
            self._patience = min(_MOST_PATIENCE, 2 * self._patience)
            self._hold = self._patience

    def _judge(self, trial: _Trial, share: float, let_in: float) -> None:
        """Say what a trial has shown."""
        has_fallen = share <= trial.share / 2
        if share >= _ALL:
            # Ask now and then whether anybody is let in again; then nothing is known of the limit.
            self.rate, self._good, self._gain = LEAST, None, _MOST_GAIN
        elif has_fallen:
            self._trial, self._background = None, share
            self._good = self._good or max(self.rate or LEAST, let_in)
            is_known = self._gain <= 0.5
            self.rate = self._good * (1 if is_known else 1 + self._gain)
        elif trial.is_first:
            # What was let in before may have been a store of turns that is used up by now.
            self._trial, self._good = _Trial(share, trial.rate, is_first=False), None
            self.rate = max(LEAST, _TRIAL * let_in)
        else:
            self._trial, self._background = None, (share + trial.share) / 2
            self.rate = trial.rate

    def _feel(self, rate: float, sent: float) -> None:
        """Feel for more; where less goes out than may, no limit is near."""
        if sent < rate / 2:
            self.rate = self._good = None
            return
        self._good = rate
        if self._hold:
            self._hold -= 1
            return
        self._streak += 1
        if self._streak % 3 == 0:
            self._gain = min(_MOST_GAIN, 2 * self._gain)
            self._patience = 1
        self.rate = rate * (1 + self._gain)
