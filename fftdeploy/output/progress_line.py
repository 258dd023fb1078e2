"""The one line of a terminal that is replaced and taken away again; it never hides the cursor."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_DELAY_S, _FRAME_S = 0.3, 0.1
_PAUSE_S = 0.05
"""Less than this between two waits makes them one."""
_FRAMES = "|/-\\"


class ProgressLine:
    """Shows how far something is, or that one waits, once that takes over 300 ms."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self.lock = threading.RLock()
        """Held by whoever writes to the terminal: while one waits, a thread moves the line."""
        self._length = 0
        self._is_moving = False
        self._waits: list[str] = []
        self._since = self._ended = 0.0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def show(self, text: str) -> None:
        """Show `text` in place of what the line shows."""
        with self.lock:
            self.erase()
            self._length = len(text)  # first: a signal may come while it is written
            self._write(text)

    def erase(self) -> None:
        """Take the line away."""
        with self.lock:
            blanks, self._length, self._is_moving = " " * self._length, 0, False
            if blanks:
                self._write(f"\r{blanks}\r")

    def leave(self) -> None:
        """Go on below the line: a terminal has written `^C` behind it."""
        with self.lock:
            if self._length and not self._is_moving:
                self._write("\n")
                self._length = 0

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show, while it is entered on some thread, what is waited for, unless progress is."""
        with self.lock:
            now = time.monotonic()
            if not self._waits and now - self._ended > _PAUSE_S:
                self._since = now
            self._waits.append(what)
            if self._thread is None and not self._over.is_set():
                self._thread = threading.Thread(
                    target=self._move, daemon=True, name="fftdeploy-waiting"
                )
                self._thread.start()
        try:
            yield
        finally:
            with self.lock:
                self._waits.remove(what)
                if not self._waits:
                    self._ended = time.monotonic()
                    if self._is_moving:
                        self.erase()

    def stop(self) -> None:
        """Take the line away: no thread moves it when this returns, nor ever again."""
        with self.lock:
            thread, self._thread = self._thread, None
            self._over.set()
        if thread is not None:
            thread.join()
        self.erase()

    def _move(self) -> None:
        frame = 0
        while not self._over.wait(_FRAME_S):
            with self.lock:
                waited = time.monotonic() - self._since
                is_free = self._is_moving or not self._length
                if self._waits and waited >= _DELAY_S and is_free and not self._over.is_set():
                    seconds = f", {waited:.0f} s" if waited >= 1 else ""
                    self.show(f"{_FRAMES[frame]} {self._waits[-1]}{seconds}")
                    self._is_moving = True
                    frame = (frame + 1) % len(_FRAMES)
