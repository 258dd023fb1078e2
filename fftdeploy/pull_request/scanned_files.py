"""The files that a scan reads: what git tracks below some paths, as it is on the disk."""

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from fftdeploy import files, git
from fftdeploy.errors import UsageError
from fftdeploy.files import disk
from fftdeploy.policy import policy

MAX_BYTES = 32_000_000
_HEAD = 8192  # where a NUL means that it is not text
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}  # gone, a link, a socket
_OWN_FILES = (files.NAME, policy.FILE_NAME)
_OWN_FOLDER = ".fftdeploy"


class ScannedFile(NamedTuple):
    """A file, spelled from the root of the repository that it is in."""

    root: Path
    name: str

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.root / self.name


class Content(NamedTuple):
    """The text of a file, or why there is none."""

    data: bytes = b""
    problem: str = ""


def find(
    paths: Iterable[Path], home: Path, environ: Mapping[str, str], say: Callable[[str], None]
) -> list[ScannedFile]:
    """List the files at and below `paths` that git tracks.

    Args:
        paths: Files and folders of any repository, relative to the working directory.
        home: The folder that names are spelled from outside of a repository.
        environ: The user's environment.
        say: Told what is not as asked: no git, so that all files but those in hidden folders
            are listed; a path at which nothing is tracked.

    Raises:
        UsageError: One of `paths` does not exist.
    """
    roots: dict[Path, Path] = {}
    asked: dict[Path, list[str]] = defaultdict(list)
    for path in paths:
        real = _real(path)
        folder = real if real.is_dir() else real.parent
        if folder not in roots:
            roots[folder] = _root(folder, home)
        name = real.relative_to(roots[folder]).as_posix()
        asked[roots[folder]].append("" if name == "." else name)
    return [
        ScannedFile(root, name)
        for root, names in asked.items()
        for name in _names(root, names, environ, say)
    ]


def read(source: ScannedFile) -> Content | None:
    """Return the content of a text file; None for what is binary, gone, or not a regular file."""
    try:
        file = os.open(source.path, _OPEN)
    except OSError as error:
        return None if error.errno in _NO_FILE else Content(problem=disk.reason(error))
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > MAX_BYTES:
            return Content(problem=f"larger than {MAX_BYTES // 1_000_000} MB")
        return _text(file)
    except OSError as error:
        return Content(problem=disk.reason(error))
    finally:
        os.close(file)


def _text(file: int) -> Content | None:
    head = os.read(file, _HEAD)
    if b"\0" in head:
        return None
    if len(head) < _HEAD:
        return Content(head)
    with FileIO(file, closefd=False) as raw:
        raw.seek(0)
        return Content(raw.readall())  # in one piece: no second copy of a large file


def _names(
    root: Path, names: Sequence[str], environ: Mapping[str, str], say: Callable[[str], None]
) -> list[str]:
    try:
        found = _tracked(root, names, environ)
    except UsageError as error:
        why = error.message if (root / ".git").exists() else "not in a git repository"
        say(f"note: {why}: looking at all files of {disk.shown(root)} but in hidden folders")
        return list(dict.fromkeys(name for asked in names for name in _walk(root, asked)))
    if not found:
        say(f"note: git tracks no file here: {', '.join(names[:3]) or disk.shown(root)}")
    return found


def _tracked(root: Path, names: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """List what git tracks; an index without anything, emptied or lost, is no answer."""
    found = git.tracked(root, names, environ)
    if not found and not git.tracked(root, [""], environ):
        raise UsageError("git's index is empty")
    return found


def _walk(root: Path, name: str) -> Iterator[str]:
    """Yield the regular files at or below `name`; links and hidden folders are not entered."""
    if not (root / name).is_dir():
        yield name
        return
    for folder, folders, entries in os.walk(root / name):
        folders[:] = sorted(inner for inner in folders if not inner.startswith("."))
        for entry in sorted(entries):
            yield os.path.relpath(os.path.join(folder, entry), root)  # noqa: PTH118  1 in 10,000


def _real(path: Path) -> Path:
    """Follow the links of a folder, and of the way to a file, but not a file that is one."""
    try:
        path.lstat()
        return path.resolve() if path.is_dir() else path.parent.resolve() / path.name
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no such file or folder: {disk.shown(path)}", hint="fftdeploy scan PATH..."
        ) from error


def _root(folder: Path, home: Path) -> Path:
    root = files.root_of(folder)
    if not (root / ".git").exists() and folder.is_relative_to(home):
        return home
    return root


def is_own(source: ScannedFile) -> bool:
    """Tell whether it is a file of fftdeploy's own, in whatever folder."""
    *folders, last = source.name.split("/")
    return last in _OWN_FILES or _OWN_FOLDER in folders
