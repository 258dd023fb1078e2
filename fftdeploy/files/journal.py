"""Append-only files: a line is in one wholly or not at all, however many processes write to it.

The other half of `files`: nothing else writes.  A line goes out as one write at the end of the
file, under the file's lock.  What a kill or a full disk has cut short is the last line at most.
"""

import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Self, cast

from fftdeploy import files
from fftdeploy.errors import ConfigError, DiskError
from fftdeploy.files import disk

MODE = 0o600
"""Lines may hold personal data: they are for their owner alone."""

SYNC_S = 1.0
"""What a power cut may cost: lines of so many seconds."""

_APPEND = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_CHUNK = 1 << 16


class Journal:
    """An open append-only file; a context manager.

    Every method raises `DiskError` where the disk refuses; what was appended before is kept.
    """

    def __init__(self, path: Path, file: int, clock: Callable[[], float]) -> None:
        self.path = path
        self._file = file
        self._clock = clock
        self._synced_at = clock()
        self._is_dirty = False
        self._is_held = False
        self._syncing: threading.Thread | None = None
        self._refused: OSError | None = None
        """What the disk has said to a thread."""

    def hold(self) -> bool:
        """Keep the file for ourselves until it is closed; False where another process has it.

        The kernel drops the lock when a process ends, however it ends.
        """
        with _guarded(self.path):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        self._is_held = True
        return True

    def holder(self) -> str:
        """Describe the process that has the file; for a message only."""
        return disk.lock_owner(os.fstat(self._file))

    def append(self, line: bytes) -> None:
        """Write one line, which ends in its only line break; on its way to the disk in `SYNC_S`.

        What the disk refuses on the way is raised with the next line, or when that is waited for.
        """
        with _guarded(self.path), self._locked():
            self._require_taken()
            _write(self._file, line)
        self._is_dirty = True
        if self._clock() - self._synced_at >= SYNC_S and not self._is_syncing:
            # A disk may take as long as many lines, and whoever writes them has no time for that.
            self._is_dirty, self._synced_at = False, self._clock()
            self._syncing = threading.Thread(target=self._flush, daemon=True, name="fftdeploy")
            self._syncing.start()

    def sync(self) -> None:
        """Wait until every line is on the disk."""
        if self._syncing is not None:
            self._syncing.join()
        with _guarded(self.path):
            self._require_taken()
            if self._is_dirty:
                self._is_dirty = False
                self._synced_at = self._clock()
                disk.flush(self._file)

    @property
    def _is_syncing(self) -> bool:
        return self._syncing is not None and self._syncing.is_alive()

    def _flush(self) -> None:
        try:
            disk.flush(self._file)
        except OSError as error:
            self._refused = error

    def _require_taken(self) -> None:
        """Raise once what the disk has refused."""
        refused, self._refused = self._refused, None
        if refused is not None:
            raise refused

    def drop_torn(self) -> bool:
        """Cut off a last line without an end, which a kill has left; say whether there was one."""
        with _guarded(self.path), self._locked():
            size = end = os.fstat(self._file).st_size
            place = -1
            while end > 0 and place < 0:  # the last line break, from the end of the file
                start = max(0, end - _CHUNK)
                place = os.pread(self._file, end - start, start).rfind(b"\n")
                end = start
            whole = end + place + 1
            if whole < size:
                os.ftruncate(self._file, whole)
            return whole < size

    def lines(self) -> Iterator[bytes]:
        """Yield the lines that are there now, each with its line break; a torn last one too."""
        with os.fdopen(os.dup(self._file), "rb") as reader:
            reader.seek(0)
            yield from reader

    def close(self) -> None:
        """Sync and close; harmless when closed already."""
        if self._file < 0:
            return
        try:
            self.sync()
        finally:
            file, self._file = self._file, -1
            with suppress(InterruptedError):
                os.close(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._is_held:
            yield
            return
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


def open_journal(path: Path, *, root: Path, clock: Callable[[], float] = time.monotonic) -> Journal:
    """Open the file at `path` for appending, made with mode 0600 and its folders where missing.

    Raises:
        ConfigError: `path` leaves `root`, or a link, a folder or a device is in the way.
        DiskError: The disk refused.
    """
    with _guarded(path):
        files.create(path, b"", root=root, mode=MODE)
        with _folder(path.parent, root) as folder:
            file = os.open(path.name, _APPEND, dir_fd=folder)
        return Journal(path, _regular(file, path), clock)


@contextmanager
def locked(folder: Path, *, root: Path) -> Iterator[None]:
    """Lock a folder below `root`, for what two processes must not do at once.

    Raises:
        ConflictError: It was not free within 10 seconds, or locks do not work there.
        ConfigError, DiskError: As `open_journal` does.
    """
    with ExitStack() as stack:
        with _guarded(folder):
            disk.lock(stack.enter_context(_folder(folder, root)), folder, 10.0)
        yield


def append_text(path: Path, *texts: str, make: bool = False, wait_s: float | None = None) -> None:
    """Append to a file that is named to us, such as a CI runner's, all of it or nothing.

    With `make` one that is not there is made, for its owner alone.  With `wait_s` it waits no
    longer than that for another process that has the file's lock.

    Raises:
        ConfigError: It is no regular file.
        ConflictError: It was not free within `wait_s` seconds, or locks do not work there.
        DiskError: It is not there, or the disk refused.
    """
    with _guarded(path):
        file = os.open(path, _APPEND | (os.O_CREAT if make else 0), MODE)
        with os.fdopen(_regular(file, path), "ab"):
            if wait_s is None:
                fcntl.flock(file, fcntl.LOCK_EX)
            else:
                disk.lock(file, path, wait_s)
            try:
                _write(file, "".join(texts).encode(errors="backslashreplace"))
            finally:  # a process that was forked meanwhile has the file open, and with it the lock
                fcntl.flock(file, fcntl.LOCK_UN)


def _write(file: int, data: bytes) -> None:
    """Append all of it under the file's lock, or put its end back to where it was."""
    before = os.fstat(file).st_size
    try:
        written = os.write(file, data)
        if written < len(data):
            # The next write says why: the disk is full, or the limit of this file is reached.
            os.write(file, data[written:])
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, before)
        raise


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    """Say what the disk has refused, and what became of the file."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO}:
            raise _in_the_way(path) from error
        where = disk.shown(path)
        raise DiskError(
            f"{disk.reason(error)} writing {where}; what it holds already is kept",
            hint="make room, and run the same command again: it goes on from there",
            where=where,
        ) from error


def _in_the_way(path: Path) -> ConfigError:
    where = disk.shown(path)
    return ConfigError(f"{where}: something else is where a file has to be", where=where)


def open_reader(path: Path, *, root: Path) -> BinaryIO:
    """Open an append-only file for reading; it fails as `open_journal` does."""
    with _guarded(path):
        with _folder(path.parent, root) as folder:
            file = os.open(path.name, _READ, dir_fd=folder)
        return os.fdopen(_regular(file, path), "rb")


def scratch(folder: Path) -> BinaryIO:
    """Return a file in `folder` that has no name and ends with the process, however it ends."""
    with _guarded(folder):
        return cast("BinaryIO", TemporaryFile(dir=folder))


def listing(folder: Path, *, root: Path) -> list[str]:
    """Return the names in a folder below `root`, sorted; none where there is no such folder."""
    with _guarded(folder), suppress(FileNotFoundError), _folder(folder, root) as opened:
        return sorted(os.listdir(opened))  # noqa: PTH208  a path could have been swapped
    return []


def _folder(folder: Path, root: Path) -> AbstractContextManager[int]:
    parts = Path(os.path.relpath(folder, root)).parts
    return disk.opened_folder(disk.real_path(root), parts)


def _regular(file: int, path: Path) -> int:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise _in_the_way(path)
    return file
