"""What a stream can show: colours, columns, and characters beyond ASCII."""

import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO

_IN_PAIRS = (
    "✓+ ✗x ·- •- …... →-> ←<- ●o \u2212- \u2013- \u2014- \u00d7x "
    "▁_ ▂. ▃, ▄- ▅~ ▆= ▇+ █# ▉# ▊# ▋# ▌# ▍ ▎ ▏ ─- ┄- ╌- │| ┊: ┼+ ├| ┤|"
)
_MARKS = {pair[0]: pair[1:] for pair in _IN_PAIRS.split(" ")}
"""The characters that screens are drawn with, and what stands for them in ASCII."""
_IN_ASCII = str.maketrans(_MARKS)


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
    if text.isascii() or _has_marks(stream):
        return text
    return text.translate(_IN_ASCII)


def _has_marks(stream: TextIO | None) -> bool:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        "".join(_MARKS).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _is_log(stream: TextIO | None) -> bool:
    """Tell whether a stream is the pipe of our parent's own output, which nobody redirected."""
    with suppress(OSError, ValueError):
        number = stream.fileno() if stream else -1
        ours, theirs = os.fstat(number), Path(f"/proc/{os.getppid()}/fd/{number}").stat()
        return stat.S_ISFIFO(ours.st_mode) and os.path.samestat(ours, theirs)
    return False
