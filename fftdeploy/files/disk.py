"""The steps of a safe write, each with what the operating system may answer to it.

`files` puts them in order.  Everything goes through the descriptor of the folder, so that a link
swapped in while this runs leads nowhere.
"""

import errno
import fcntl
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from fftdeploy.errors import ConfigError, ConflictError
from fftdeploy.names import nearest

# Short and fixed: no name beside a legal one is too long, and what a killed run has left is
# found and removed under the lock by the next one.
TEMPORARY = ".fftdeploy-new"
UNKNOWN = "another process"

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # opening a FIFO must not wait for a writer
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_POLL_S = 0.02
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.ENOSYS}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def opened_folder(root: Path, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """Open a folder one component at a time: a link swapped in on the way leads nowhere."""
    folder = os.open(root, _FOLDER)
    try:
        for part in parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=folder)
                    flush(folder)
            folder, outer = os.open(part, _FOLDER, dir_fd=folder), folder
            _close(outer)
        yield folder
    finally:
        _close(folder)


def folder_problem(root: Path, parts: Sequence[str]) -> str:
    """Say why nothing new could be made in a folder, itself made where missing; "" if it could."""
    try:
        with opened_folder(root, parts) as folder:
            if os.fstatvfs(folder).f_flag & os.ST_RDONLY:
                return "the file system is read-only"
            is_ours = os.access(".", os.W_OK | os.X_OK, dir_fd=folder)
            return "" if is_ours else f"the folder is not writable by uid {os.geteuid()}"
    except FileNotFoundError:
        if not parts:
            raise
        return folder_problem(root, parts[:-1])


@contextmanager
def opened_file(folder: int, name: str) -> Iterator[int]:
    """Open a file of the folder for reading; a link, a socket and the like are an `OSError`."""
    file = os.open(name, _FILE, dir_fd=folder)
    try:
        yield file
    finally:
        _close(file)


def lock(folder: int, path: Path, wait_s: float) -> None:
    """Lock a folder until its descriptor is closed, waiting for up to `wait_s` seconds.

    The kernel drops the lock when the process ends, however it ends: nothing to clean up.

    Raises:
        ConflictError: It was not free in time, or this file system has no locks.
    """
    give_up = time.monotonic() + wait_s
    while True:
        try:
            return fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                break
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            # Another kind of lock would not exclude a colleague who has this kind.
            raise ConflictError(
                f"this file system has no working locks ({reason(error)}): {shown(path)}",
                hint="work in a checkout on a local disk",
                code="no-locks",
            ) from error
        time.sleep(_POLL_S)
    raise ConflictError(
        f"{shown(path)} is locked by {lock_owner(os.fstat(folder))}; waited {wait_s:g} s",
        hint="run it again when that one has finished",
        code="locked",
    )


def lock_owner(folder: os.stat_result, proc: Path = Path("/proc")) -> str:
    """Describe the process that has locked `folder`: pid, host, since when, command.

    It is for a message only.  The kernel knows (Linux, `/proc/locks`), so there is no file with a
    name in it that could be stale, forged or in the way.  Whatever cannot be read is left out.
    """
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


def stage(folder: int, current: int, new: bytes, warnings: list[str]) -> tuple[int, int]:
    """Write `new` beside the file, with its mode, owner and attributes, safe on the disk.

    Returns the temporary's device and inode, by which the file is known after the rename.
    """
    clear(folder)
    temporary = os.open(TEMPORARY, _NEW, 0o600, dir_fd=folder)
    try:
        _write(temporary, new)
        _copy_metadata(current, temporary, warnings)
        flush(temporary)
        status = again(os.fstat, temporary)
    finally:
        _close(temporary)
    return status.st_dev, status.st_ino


def rename(folder: int, name: str, ours: tuple[int, int]) -> None:
    """Give the temporary, known as `ours`, the name of the file."""
    try:
        again(os.rename, TEMPORARY, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        # A network file system may report a failure for what it has done.
        if not entry_is(folder, name, ours):
            raise


def publish(folder: int, name: str, data: bytes, mode: int | None, *, over: bool = False) -> bool:
    """Give a complete new file its name; False where that is taken, be it by a dangling link.

    With `over` it takes the name from whatever file or link has it; without a `mode` the
    permissions of the file, too.
    """
    there = _found(folder, name)
    if there and not over:
        return False
    kept = there.st_mode & 0o777 if there and mode is None and stat.S_ISREG(there.st_mode) else None
    try:
        temporary = os.open(TEMPORARY, _NEW, 0o644 if mode is None else mode, dir_fd=folder)
        try:
            if kept is not None:
                os.fchmod(temporary, kept)
            _write(temporary, data)
            flush(temporary)
        finally:
            _close(temporary)
        try:
            if over:
                again(os.rename, TEMPORARY, name, src_dir_fd=folder, dst_dir_fd=folder)
            else:
                os.link(TEMPORARY, name, src_dir_fd=folder, dst_dir_fd=folder)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS or _found(folder, name):
                raise
            os.rename(TEMPORARY, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with suppress(OSError):
            os.unlink(TEMPORARY, dir_fd=folder)
    return True


def clear(folder: int) -> None:
    """Remove what a killed run has left; a link goes, what it points to stays."""
    try:
        again(os.unlink, TEMPORARY, dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError as error:
        if not stat.S_ISDIR(entry(folder, TEMPORARY).st_mode):
            raise
        raise ConfigError(
            f"a folder named {TEMPORARY} is in the way", hint=f"rmdir {TEMPORARY}"
        ) from error


def put_aside(path: Path, data: bytes) -> None:
    """Write a new file, with its folders, in a temporary folder of ours: nothing has to last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(data)


def flush(file: int) -> None:
    """Wait until it is on the disk; never asked twice, for the second answer may be a lie."""
    full: int | None = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(file)
    else:  # macOS: a plain fsync stops at the drive's cache
        fcntl.fcntl(file, full)


def entry(folder: int, name: str) -> os.stat_result:
    """Look at what has the name, links not followed."""
    return again(os.stat, name, dir_fd=folder, follow_symlinks=False)


def entry_is(folder: int, name: str, ours: tuple[int, int] | None) -> bool:
    """Say whether the name belongs to the file with this device and inode."""
    try:
        status = entry(folder, name)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == ours


def identity(status: os.stat_result) -> tuple[int, int, int, int]:
    """Return what changes when somebody saves the file, in whatever way."""
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def real_path(path: Path) -> Path:
    """Follow all links; everything must exist."""
    return Path(again(os.path.realpath, path, strict=True))


def again(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Repeat a call that a signal has cut short; Python does so for read, write and fsync only."""
    while True:
        with suppress(InterruptedError):
            return call(*args, **kwargs)


def reason(error: OSError) -> str:
    """Say in the system's words what went wrong."""
    words = error.strerror or str(error)
    return words[:1].lower() + words[1:]


def near(path: Path) -> str:
    """Return the hint at the name in the folder of `path` that is most like its own; or ""."""
    try:
        beside = [each.name for each in path.parent.iterdir()]
    except OSError:
        return ""
    found = nearest(path.name, beside, 0.8)
    return f"did you mean {shown(path.with_name(found))}?" if found else ""


def shown(path: Path) -> str:
    """Spell a path for a message: a name may hold line breaks, escapes or stray bytes."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _copy_metadata(source: int, target: int, warnings: list[str]) -> None:
    old, new = again(os.fstat, source), again(os.fstat, target)
    if old.st_nlink > 1:
        warnings.append(f"the file has {old.st_nlink} names; the others keep the old content")
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        try:
            os.fchown(target, old.st_uid, old.st_gid)
        except OSError as error:
            owner = f"{old.st_uid}:{old.st_gid}"
            warnings.append(f"the owner {owner} could not be kept: {reason(error)}")
    if not _copy_attributes(source, target):
        warnings.append("not all extended attributes could be kept")
    os.fchmod(target, stat.S_IMODE(old.st_mode))


def _copy_attributes(source: int, target: int) -> bool:
    if sys.platform != "linux":
        return True
    try:
        for name in os.listxattr(source):
            value = os.getxattr(source, name)
            if name not in os.listxattr(target) or os.getxattr(target, name) != value:
                os.setxattr(target, name, value)
    except OSError as error:
        return error.errno in {errno.ENOTSUP, errno.ENOSYS}
    return True


def _found(folder: int, name: str) -> os.stat_result | None:
    with suppress(FileNotFoundError):
        return entry(folder, name)
    return None


def _close(file: int) -> None:
    with suppress(InterruptedError):  # it is closed all the same; its number may be reused
        os.close(file)


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
