"""Signals that come while an event loop runs: a task ends cleanly, then the signal has its way."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Turns a signal into the end of one task, wherever the loop is when it comes."""

    def __init__(self) -> None:
        self.number = 0
        self._cancel: Callable[[], object] = lambda: None

    def attach(self) -> None:
        """Have the current task cancelled by a signal; at once if one has come."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is not None:
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if self.number:
            self._cancel()

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: the first one counts."""
        if not self.number:
            self.number = number
            self._cancel()


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Hold signals back from the handlers that are there, and give them the first one at the end.

    An exception that a handler raises inside of an event loop may end in any of its tasks, or in
    none.  A signal that is ignored stays ignored.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # whoever runs us there has the signals
        return
    before = {
        number: handler
        for number in _SIGNALS
        if (handler := signal.getsignal(number)) not in {signal.SIG_IGN, None}
    }
    for number in before:
        signal.signal(number, stop.note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if stop.number:
            signal.raise_signal(stop.number)
