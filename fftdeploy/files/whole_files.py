"""Reads, makes and replaces whole files.

A file is either as it was or complete and new, whenever
the process or the machine stops: lock the folder, read again and compare, write a temporary
beside it, fsync, rename, fsync the folder.  There is no fallback that writes in place.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from fftdeploy.errors import ConfigError, ConflictError, DiskError, FftdeployError
from fftdeploy.files import disk
from fftdeploy.names import MAX_FILE_BYTES

NAME = "deployments.toml"
INIT_HINT = "`fftdeploy init` writes one; --file and FFTDEPLOY_FILE name another"

_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}


class Snapshot(NamedTuple):
    """A file as it was read; what a plan was made from, and what must still be there."""

    path: Path
    """As the caller wrote it, for messages."""
    real: Path
    """After symbolic links: the file that is replaced."""
    root: Path
    """The folder that `real` may not leave, itself after symbolic links."""
    data: bytes
    status: os.stat_result


class Replaced:
    """What has become of a replacement; still true after a signal has interrupted it.

    `done` says that the new content is in place, `warnings` what could not be kept of the old
    file (owner, extended attributes, other names), one line each.
    """

    __slots__ = ("done", "warnings")

    def __init__(self) -> None:
        self.done = False
        self.warnings: list[str] = []


def root_of(folder: Path) -> Path:
    """Return the root of the repository that `folder` is in, or `folder` outside of one."""
    absolute = _absolute(folder)
    above = (place for place in (absolute, *absolute.parents) if _is_there(place / ".git"))
    return next(above, absolute)


def refuse_checkout(path: Path, checkouts: Iterable[Path], hint: str) -> None:
    """Refuse a file that lies in one of `checkouts`, itself or what it links to."""
    for root in map(root_of, checkouts):
        if not os.path.lexists(root / ".git"):
            continue
        real = Path(os.path.realpath(path)), Path(os.path.realpath(root))
        if path.is_relative_to(root) or real[0].is_relative_to(real[1]):
            raise ConfigError(
                f"it lies in the checkout {root}, where any change could bring another along",
                hint=hint,
                where=str(path),
                code="in-checkout",
            )


def read(path: Path, *, root: Path, hint: str = "", max_bytes: int = MAX_FILE_BYTES) -> Snapshot:
    """Read a regular file that lies within `root`, links followed.

    Raises:
        ConfigError: Missing (`code` is `missing`), not a regular file, larger than `max_bytes`,
            or a link that dangles, loops or leaves `root`.  Nothing of it is in the message.
        DiskError: The disk or the permissions refused.
    """
    with opened(path, root=root, hint=hint) as (file, real, inside):
        status = disk.again(os.fstat, file)
        return Snapshot(path, real, inside, _content(file, path, max_bytes), status)


@contextmanager
def opened(path: Path, *, root: Path, hint: str = "") -> Iterator[tuple[int, Path, Path]]:
    """Open a regular file within `root`: its descriptor, and both paths after links.

    What `read` raises is raised here too, be it for an `OSError` of the block.
    """
    try:
        inside = disk.real_path(root)
        real = _resolve(path, inside, hint)
        with (
            disk.opened_folder(inside, real.relative_to(inside).parts[:-1]) as folder,
            disk.opened_file(folder, real.name) as file,
        ):
            if not stat.S_ISREG(disk.again(os.fstat, file).st_mode):
                raise _irregular(path)
            yield file, real, inside
    except FileNotFoundError as error:
        raise ConfigError(
            f"no such file: {disk.shown(path)}",
            hint=disk.near(path) or hint,
            where=disk.shown(path),
            code="missing",
        ) from error
    except OSError as error:
        if error.errno in _GONE:
            raise _irregular(path) from error
        raise DiskError(
            f"{disk.reason(error)} reading {disk.shown(path)}", where=disk.shown(path)
        ) from error


def check_writable(snapshot: Snapshot) -> None:
    """Refuse early, before anything is asked or spent, what the disk would refuse late.

    Raises:
        DiskError: The file system, the folder or the file cannot be written.
        ConflictError: It is gone.
    """
    folder, problem = snapshot.real.parent, ""
    name, who = disk.shown(snapshot.path), f"uid {os.geteuid()}"
    with _blamed(snapshot, Replaced()):
        if (os.statvfs(snapshot.real).f_flag | os.statvfs(folder).f_flag) & os.ST_RDONLY:
            problem = f"{name} is on a read-only file system"
        elif not os.access(folder, os.W_OK | os.X_OK):
            problem = f"the folder {disk.shown(folder)} is not writable by {who}"
        elif not snapshot.status.st_mode & 0o222:
            # A rename would replace it all the same, and so undo what somebody did on purpose.
            problem = f"{name} is read-only (mode {stat.S_IMODE(snapshot.status.st_mode):04o})"
        elif not os.access(snapshot.real, os.W_OK):
            problem = f"{name} is not writable by {who}"
    if problem:
        raise DiskError(f"{problem}; nothing was changed", where=disk.shown(snapshot.path))


def replace(
    snapshot: Snapshot,
    new: bytes,
    *,
    rebase: Callable[[bytes], bytes | None] | None = None,
    confirm: Callable[[], None] | None = None,
    lock_wait_s: float = 10.0,
    max_bytes: int = MAX_FILE_BYTES,
    state: Replaced | None = None,
) -> Replaced:
    """Put `new` in the place of what `snapshot` read, wholly or not at all.

    Args:
        snapshot: What the new content was made from; the file must still say exactly that.
        new: The complete new content.
        rebase: Called under the lock with what the file says now where that is something else;
            it returns the new content made from that, or None where the plan no longer stands.
        confirm: Called under the lock when all but the rename is done; to raise stops it.
        lock_wait_s: How long to wait for another run, seconds.
        max_bytes: What the file may have grown to.
        state: Filled in as it goes, for a caller whose signal handlers raise.

    Raises:
        ConflictError: The file changed or vanished, or the lock was not free or does not work.
        ConfigError: A folder is where the temporary file has to be.
        DiskError: The disk refused.  `changed` is set if that was after the rename.

    After any exception the file is as it was, unless `state.done`.
    """
    state = Replaced() if state is None else state
    name = snapshot.real.name
    parts = snapshot.real.relative_to(snapshot.root).parts[:-1]
    with _blamed(snapshot, state), disk.opened_folder(snapshot.root, parts) as folder:
        disk.lock(folder, snapshot.real.parent, lock_wait_s)
        ours: tuple[int, int] | None = None
        try:
            with disk.opened_file(folder, name) as current:
                entry = disk.identity(disk.again(os.fstat, current))
                new = _new_content(snapshot, folder, current, new, rebase, max_bytes)
                ours = disk.stage(folder, current, new, state.warnings)
            if confirm is not None:
                confirm()
            _require_same(snapshot, folder, entry)
            disk.rename(folder, name, ours)
            state.done = True
        except BaseException:
            # A signal may have come between the rename and the line after it.
            state.done = state.done or disk.entry_is(folder, name, ours)
            with suppress(OSError):
                disk.flush(folder) if state.done else os.unlink(disk.TEMPORARY, dir_fd=folder)
            raise
        disk.flush(folder)
    return state


def create(
    path: Path, data: bytes, *, root: Path, mode: int = 0o644, lock_wait_s: float = 10.0
) -> bool:
    """Write a new file below `root`, with the folders it needs; never over an existing one.

    Args:
        path: Where; taken as it is written, no link on the way is followed.
        data: The complete content.
        root: The folder that `path` may not leave.
        mode: Permissions, less the umask.
        lock_wait_s: How long to wait for another run in that folder, seconds.

    Returns:
        False, with nothing touched, where the name is taken, be it by a dangling link.

    Raises:
        ConfigError: `path` leaves `root`, goes through a link, or into a `.git` folder.
        ConflictError: Another run holds the folder's lock, or locks do not work there.
        DiskError: The disk refused; the file is not there, unless `changed` says so.
    """
    made = False
    try:
        inside = disk.real_path(root)
        *folders, name = _parts_below(path, root, inside)
        with disk.opened_folder(inside, folders, make=True) as folder:
            disk.lock(folder, path.parent, lock_wait_s)
            disk.clear(folder)
            made = disk.publish(folder, name, data, mode)
            if made:
                disk.flush(folder)
            return made
    except OSError as error:
        raise _unmade(error, path, made) from error


def put(path: Path, data: bytes, *, root: Path | None = None, mode: int | None = None) -> None:
    """Write a file that the command line names, wholly or not at all, over what has the name.

    With `root`, which it lies below, folders that are missing there are made.  Without `mode` it
    has that of the file it replaces.

    Raises:
        DiskError: The disk refused, or the folder is not there; what had the name still has it.
        ConflictError: Another run holds the folder's lock, or locks do not work there.
    """
    try:
        inside = disk.real_path(root or path.parent)
        parts: Sequence[str] = ()
        if root is not None:  # links on the way are followed as far as it is there
            parts = Path(os.path.realpath(path.parent)).relative_to(inside).parts
        with disk.opened_folder(inside, parts, make=True) as folder:
            disk.lock(folder, path.parent, 10.0)
            disk.clear(folder)
            disk.publish(folder, path.name, data, mode, over=True)
            disk.flush(folder)
    except OSError as error:
        where = disk.shown(path)
        raise DiskError(f"{disk.reason(error)} writing {where}", where=where) from error


def _resolve(path: Path, inside: Path, hint: str) -> Path:
    """Follow links to the one file that is meant, and never out of `inside`."""
    try:
        real = disk.real_path(path)
    except FileNotFoundError:
        if not path.is_symlink():
            raise
        problem = "is a link to a file that does not exist"
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        problem = "is a link to itself"
    else:
        if real.is_relative_to(inside):
            return real
        problem = f"is outside of {disk.shown(inside)}"
    raise ConfigError(f"{disk.shown(path)} {problem}", hint=hint, where=disk.shown(path))


def _parts_below(path: Path, root: Path, inside: Path) -> Sequence[str]:
    for top in (_absolute(root), inside):
        relative = Path(os.path.relpath(_absolute(path), top)).parts or (os.curdir,)
        if relative[0] not in {os.pardir, os.curdir}:
            if any(part.casefold() == ".git" for part in relative):
                raise ConfigError(f"{disk.shown(path)} is inside of git's own folder")
            return relative
    raise ConfigError(f"{disk.shown(path)} is outside of {disk.shown(root)}")


def _content(file: int, path: Path, max_bytes: int) -> bytes:
    status = disk.again(os.fstat, file)
    if not stat.S_ISREG(status.st_mode):
        raise _irregular(path)
    chunks: list[bytes] = []
    left = max_bytes + 1  # the size in `status` is a hint: the file may be growing
    while left > 0 and (chunk := os.read(file, min(left, max(status.st_size, 65536)))):
        chunks.append(chunk)
        left -= len(chunk)
    if left <= 0:
        raise ConfigError(
            f"{disk.shown(path)} is larger than {max_bytes // 1024**2} MiB", where=disk.shown(path)
        )
    return b"".join(chunks)


def _new_content(
    snapshot: Snapshot,
    folder: int,
    current: int,
    new: bytes,
    rebase: Callable[[bytes], bytes | None] | None,
    max_bytes: int,
) -> bytes:
    """Return what is to be in the file, which is read again under the lock."""
    there = disk.again(os.stat, snapshot.real.parent)
    moved = disk.real_path(snapshot.path) != snapshot.real or not os.path.samestat(
        there, disk.again(os.fstat, folder)
    )
    fresh = None
    with suppress(ConfigError):  # no longer a regular file, or grown out of bounds
        fresh = None if moved else _content(current, snapshot.path, max_bytes)
    if fresh == snapshot.data:
        return new
    made = rebase(fresh) if rebase and fresh is not None else None
    if made is None:
        raise _conflict(snapshot)
    return made


def _require_same(snapshot: Snapshot, folder: int, entry: tuple[int, int, int, int]) -> None:
    """Look once more just before the rename: an editor takes no lock."""
    if disk.identity(disk.entry(folder, snapshot.real.name)) != entry:
        raise _conflict(snapshot)


def _absolute(path: Path) -> Path:
    """Make absolute without following links."""
    try:
        return Path(os.path.abspath(path))  # noqa: PTH100  resolve() follows links
    except OSError as error:
        raise ConfigError(
            f"the working directory cannot be used: {disk.reason(error)}",
            hint="change to a folder that exists",
        ) from error


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ConfigError(f"{disk.reason(error)} looking for {disk.shown(path)}") from error
    return True


@contextmanager
def _blamed(snapshot: Snapshot, state: Replaced) -> Iterator[None]:
    """Say of every failure whether the file was changed."""
    shown, name = disk.shown(snapshot.path), disk.shown(Path(snapshot.path.name))
    try:
        yield
    except OSError as error:
        if state.done:
            failure = DiskError(f"{disk.reason(error)} after replacing {shown}", where=shown)
            failure.changed = f"{name} WAS changed; it may not survive a power cut"
            raise failure from error
        if error.errno in _GONE:
            raise _conflict(snapshot) from error
        said, hint = f"{disk.reason(error)} writing {shown}; {name} unchanged", ""
        if error.errno == errno.EBUSY:
            said = f"{shown} is a mount point and cannot be replaced; it is unchanged"
            hint = "mount its directory instead"
        raise DiskError(said, hint=hint, where=shown) from error


def _unmade(error: OSError, path: Path, made: bool) -> FftdeployError:
    where = disk.shown(path)
    if error.errno in {errno.ENOTDIR, errno.ELOOP}:
        return ConfigError(f"{where}: a link or a file is where a folder has to be", where=where)
    if not made:
        return DiskError(f"{disk.reason(error)} writing {where}; it was not made", where=where)
    failure = DiskError(f"{disk.reason(error)} after writing {where}", where=where)
    failure.changed = f"{where} was made; it may not survive a power cut"
    return failure


def _conflict(snapshot: Snapshot) -> ConflictError:
    return ConflictError(
        f"{disk.shown(snapshot.path)} changed underneath; nothing was written over it",
        hint="run it again: it will plan from the new file",
        where=disk.shown(snapshot.path),
    )


def _irregular(path: Path) -> ConfigError:
    what, hint = ("a folder", "name a file in it") if path.is_dir() else ("not a regular file", "")
    return ConfigError(f"{disk.shown(path)} is {what}", hint=hint, where=disk.shown(path))
