"""A person at a terminal: what the screen says, and what is typed then."""

import io
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import forked
import hints
import pytest

from fftdeploy.cli import app

# Ctrl-C is for whoever has the terminal as its own.
_LEADER = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


MOVING = re.compile(r"[^\r\n]*\r *\r")
"""A line that another one replaced, or that was taken away."""


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


Step = tuple[str, str | Callable[[], object]]


def run(
    words: Sequence[str], environ: Mapping[str, str], *steps: Step, within_s: float = 60
) -> tuple[int, str]:
    """Run a command, and whenever the screen says the first of a step do the second.

    Each step looks only at what was printed since the one before.  A text is typed; "^C" and "^D"
    are those keys.  Returns the exit code and all that was shown.  A console script of ours is
    forked (see `forked`) unless PYTHONPATH is empty or another variable of Python's is set.
    """
    path = environ.get("PYTHONPATH", forked.path())
    if path and not any("PYTHON" in name for name in environ.keys() - {"PYTHONPATH"}):
        environ = {**environ, "PYTHONPATH": f"{forked.path()}{os.pathsep}{path}"}
    master, slave = os.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", _LEADER, *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environ,
        start_new_session=True,
    )
    os.close(slave)
    screen, seen, waiting = "", 0, list(steps)
    deadline = time.monotonic() + within_s
    while data := _read(master, deadline):
        screen += data
        while waiting and (place := screen.find(waiting[0][0], seen)) >= 0:
            seen = place + len(waiting[0][0])
            _do(master, waiting.pop(0)[1])
    code = child.wait(60)
    os.close(master)  # not before: it would hang up on a process that is on its way out
    assert not waiting, (waiting, screen)
    screen = screen.replace("\r\n", "\n")
    hints.note_screen(words, screen)
    return code, screen


def screen(
    argv: Sequence[str], columns: int, *, encoding: str = "utf-8", moving: bool = False
) -> tuple[int, str]:
    """Run a command line of ours in this process, its output going to a terminal.

    Returns the exit code and what was shown, what was taken away again only where it is `moving`.
    """
    master, slave = os.openpty()
    shown: list[str] = []
    reader = threading.Thread(target=_read_all, args=(master, shown))
    reader.start()
    with pytest.MonkeyPatch.context() as patch, os.fdopen(slave, "w", encoding=encoding) as stream:
        patch.setenv("COLUMNS", str(columns))
        patch.setattr(sys, "stdout", stream)
        patch.setattr(sys, "stderr", stream)
        code = app.run(argv)
    reader.join()
    os.close(master)
    text = "".join(shown).replace("\r\n", "\n")
    return code, text if moving else MOVING.sub("", text)


def _read_all(master: int, shown: list[str]) -> None:
    deadline = time.monotonic() + 60
    while data := _read(master, deadline):
        shown.append(data)


def _do(master: int, action: str | Callable[[], object]) -> None:
    if not isinstance(action, str):
        action()
        return
    keys = {"^C": "\x03", "^D": "\x04"}
    os.write(master, keys.get(action, action + "\n").encode())


def _read(master: int, deadline: float) -> str:
    """Return what was printed next; "" once the other side is closed."""
    if not select.select([master], [], [], max(deadline - time.monotonic(), 0))[0]:
        return ""
    try:
        return os.read(master, 65536).decode(errors="replace")
    except OSError:
        return ""
