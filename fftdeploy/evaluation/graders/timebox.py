"""Run what may take exponential time, and stop it.

Python's regular expressions look for signals while they match, so that a timer of the process's
own CPU time, whose handler raises, ends them; a busy machine does not make it fire earlier.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

R = TypeVar("R")


class _ExpiredError(BaseException):
    """Time is up; no `except Exception` on the way may take it."""


def within(seconds: float, call: Callable[[], R]) -> R:
    """Return what `call` returns, unless it needs more than `seconds` of CPU time.

    Raises:
        TimeoutError: It needs more; or this is not the main thread, where only it can be stopped.
    """
    if threading.current_thread() is not threading.main_thread():
        raise TimeoutError("can only be timed on the main thread")
    before = signal.signal(signal.SIGVTALRM, _expire)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        try:
            return call()
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except _ExpiredError:
        raise TimeoutError(f"took more than {seconds:g} s") from None
    finally:
        signal.signal(signal.SIGVTALRM, before)


def _expire(_number: int, _frame: FrameType | None) -> None:
    raise _ExpiredError
