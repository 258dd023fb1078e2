"""What a terminal can show: colours, columns, characters beyond ASCII, and a line that moves."""

import os
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

_IN_PAIRS = (
    "✓+ ✗x ·- •- …... →-> ←<- ●o \u2212- \u2013- \u2014- \u00d7x "
    "▁_ ▂. ▃, ▄- ▅~ ▆= ▇+ █# ▉# ▊# ▋# ▌# ▍ ▎ ▏ ─- ┄- ╌- │| ┊: ┼+ ├| ┤|"
)
_MARKS = {pair[0]: pair[1:] for pair in _IN_PAIRS.split(" ")}
"""The characters that screens are drawn with, and what stands for them in ASCII."""
_IN_ASCII = str.maketrans(_MARKS)

_DELAY_S, _FRAME_S = 0.3, 0.1
_PAUSE_S = 0.05
"""Less than this between two waits makes them one."""
_FRAMES = "|/-\\"


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether a person reads a stream as it is written."""
    with suppress(ValueError):
        return stream is not None and stream.isatty()
    return False


def takes_color(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Tell whether a stream shows ANSI styles: what was asked for, or else a terminal, a CI's log.

    GitHub Actions and GitLab CI render them.
    """
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in {"", "0"}:
        return True
    if environ.get("CLICOLOR") == "0" or environ.get("TERM") == "dumb":
        return False
    in_ci = any(environ.get(name) == "true" for name in ("GITHUB_ACTIONS", "GITLAB_CI"))
    return is_terminal(stream) or (in_ci and _is_log(stream))


def columns(environ: Mapping[str, str]) -> int:
    """Return how wide the terminal is."""
    with suppress(ValueError):
        if (width := int(environ.get("COLUMNS") or 0)) > 0:
            return width
    return shutil.get_terminal_size().columns


def shown_in(text: str, stream: TextIO | None) -> str:
    """Return `text`, its marks in ASCII where the encoding of the stream lacks them."""
    if text.isascii():
        return text
    try:
        "".join(_MARKS).encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return text.translate(_IN_ASCII)
    return text


def _is_log(stream: TextIO | None) -> bool:
    """Tell whether a stream is the pipe of our parent's own output, which nobody redirected."""
    with suppress(OSError, ValueError):
        number = stream.fileno() if stream else -1
        ours, theirs = os.fstat(number), Path(f"/proc/{os.getppid()}/fd/{number}").stat()
        return stat.S_ISFIFO(ours.st_mode) and os.path.samestat(ours, theirs)
    return False


class ProgressLine:
    """Shows how far something is, or that one waits, once that takes over 300 ms.

    It is the one line that is replaced and taken away again; it never hides the cursor.
    """

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
