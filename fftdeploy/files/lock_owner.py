"""Say who holds a folder's lock; for a message only, nothing is ever decided by it.

The kernel knows (Linux, `/proc/locks`), so there is no file with a name in it that could be
stale, forged or in the way.  Whatever cannot be read is left out.
"""

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

UNKNOWN = "another process"


def lock_owner(folder: os.stat_result, proc: Path = Path("/proc")) -> str:
    """Describe the process that has locked `folder`: pid, host, since when, command."""
    try:
        pid = _locker(folder, (proc / "locks").read_text(encoding="ascii", errors="replace"))
    except OSError:
        return UNKNOWN
    if not pid:
        return UNKNOWN
    words = [f"pid {pid} on {os.uname().nodename}"]
    with suppress(OSError, ValueError, IndexError, OverflowError):
        words.append(f"running since {_started(proc, pid):%Y-%m-%dT%H:%M:%SZ}")
    with suppress(OSError):
        words.append(_command(proc, pid))
    return ", ".join(word for word in words if word)


def _locker(folder: os.stat_result, locks: str) -> str:
    """Find the pid in lines like `1: FLOCK ADVISORY WRITE 4711 08:01:3145 0 EOF`."""
    device = f"{os.major(folder.st_dev):02x}:{os.minor(folder.st_dev):02x}"
    for line in locks.splitlines():
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5] == f"{device}:{folder.st_ino}":
            return words[4] if words[4].isdecimal() else ""
    return ""


def _started(proc: Path, pid: str) -> datetime:
    # The name in brackets may hold blanks and brackets itself; the 20th word after it is the start.
    text = (proc / pid / "stat").read_text(encoding="utf-8", errors="replace")
    ticks = int(text.rpartition(")")[2].split()[19])
    system = (proc / "stat").read_text(encoding="ascii", errors="replace").split()
    booted = int(system[system.index("btime") + 1])
    return datetime.fromtimestamp(booted + ticks / os.sysconf("SC_CLK_TCK"), UTC)


def _command(proc: Path, pid: str) -> str:
    raw = (proc / pid / "cmdline").read_bytes().replace(b"\0", b" ").strip()
    text = raw.decode(errors="replace")
    return "".join(char if char.isprintable() else "?" for char in text)[:120]
