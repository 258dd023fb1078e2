"""Signals that come while an event loop runs: a task winds down, then the signal has its way."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, cast

from fftdeploy.api.threads import begin, each

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Turns signals into the end of one task, wherever the loop is when they come."""

    def __init__(self) -> None:
        self.number = 0
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._steps: tuple[Callable[[], object], ...] = ()

    def attach(self, wind_down: Callable[[], object]) -> None:
        """Have the first signal call `wind_down`, and the second one cancel the current task.

        At once if they have come.
        """
        self._loop = asyncio.get_running_loop()
        task = cast("asyncio.Task[object]", asyncio.current_task())
        self._steps = (wind_down, task.cancel)
        for step in self._steps[: self._count]:
            self._loop.call_soon(step)

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: the first one says which it was."""
        self.number = self.number or number
        with suppress(RuntimeError):  # the loop is closed
            if self._loop is not None and self._count < len(self._steps):
                self._loop.call_soon_threadsafe(self._steps[self._count])
        self._count += 1


def run(main: Callable[[Stop], Coroutine[Any, Any, None]]) -> None:
    """Run `main` in an event loop until it ends or is cancelled; a signal is for its `Stop`."""
    with stoppable() as stop, suppress(asyncio.CancelledError):
        if _is_in_a_loop():
            begin(asyncio.run, main(stop)).result()
        else:
            asyncio.run(main(stop))


class HaltedError(BaseException):
    """A signal has come, which is somebody else's; no `except Exception` may take it."""


class SharedLoop:
    """One event loop for what several threads run; a signal is for all of it."""

    def __init__(self) -> None:
        self._stops: list[Stop] = []

    def carry_out(self, works: Sequence[Callable[[], None]], at_once: int) -> None:
        """Run `works` on threads, `at_once` of them at a time, until all have ended.

        From the main thread: the loop is there, and a signal ends it as its handler wants, after
        each of the works has ended.
        """

        async def main(stop: Stop) -> None:
            self._loop, self._stop = asyncio.get_running_loop(), stop
            stop.attach(self._halt)
            try:
                await asyncio.wrap_future(begin(each, works, _unless_halted, at_once))
            finally:
                await self.close()

        run(main)

    def run(self, main: Callable[[Stop], Coroutine[Any, Any, None]]) -> None:
        """Run `main` in the loop, from the thread of a work, as the function `run` does.

        Raises:
            HaltedError: A signal has come.
        """
        stop = Stop()
        self._stops.append(stop)
        if not self._stop.number:
            with suppress(futures.CancelledError):
                asyncio.run_coroutine_threadsafe(main(stop), self._loop).result()
            self._stops.remove(stop)
        if self._stop.number:
            raise HaltedError

    async def close(self) -> None:
        """Let go, in the loop, of what the works have shared."""

    def _halt(self) -> None:
        for stop in self._stops:
            stop.note(self._stop.number, None)


def _unless_halted(work: Callable[[], None]) -> None:
    with suppress(HaltedError):
        work()


def _is_in_a_loop() -> bool:
    """Whether this thread runs an event loop, as a notebook's does: it can't run another one."""
    with suppress(RuntimeError):
        return asyncio.get_running_loop().is_running()
    return False


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
