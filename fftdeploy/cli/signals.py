"""SIGINT, SIGTERM and SIGHUP as one exception that no handler on the way swallows."""

import signal
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_IMPORT = "<frozen importlib._bootstrap>"
_LOOK_AGAIN_S = 0.002

TYPE_CHECKING = False  # `typing` takes longer to import than all else here
if TYPE_CHECKING:
    from typing import Any

_entered = 0


class Stopped(BaseException):
    """The process was told to stop; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return signal.Signals(self.number).name


class raised:  # noqa: N801  called like a function, as `contextlib.suppress` is
    """While it is entered, a signal raises `Stopped` in the main thread, once.

    A signal that our parent told us to ignore (`nohup`, a background job) stays ignored.
    """

    def __enter__(self) -> None:
        global _entered  # noqa: PLW0603  so are the handlers
        self._before = take()
        _entered += 1

    def __exit__(self, *_: object) -> None:
        global _entered  # noqa: PLW0603  as above
        _entered -= 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)


def take() -> "dict[signal.Signals, Any]":
    """Hold signals back until `raised` is entered; return what handled them before."""
    before = {}
    try:
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, _stop)
    except ValueError:  # not the main thread: whoever runs us there has the signals
        pass
    return before


def leave() -> None:
    """Let signals end a process that has nothing left to do."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _stop(number: int, frame: FrameType | None) -> None:
    """Raise `Stopped`; where nobody would catch it, and while a module is imported, a bit later.

    In the midst of an import the exception could end in a callback, which prints and drops it,
    and would leave half a module behind.
    """
    if not _entered or _is_importing(frame):
        for other in _SIGNALS:
            signal.signal(other, signal.SIG_DFL)  # whoever can't wait for it ends us as we are
        signal.signal(signal.SIGALRM, lambda _, frame: _stop(number, frame))
        signal.setitimer(signal.ITIMER_REAL, _LOOK_AGAIN_S)
        return
    for other in _SIGNALS:
        signal.signal(other, signal.SIG_IGN)  # the first one is being obeyed: let it clean up
    raise Stopped(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT:
            return True
        frame = frame.f_back
    return False
