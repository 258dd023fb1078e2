"""The files that a scan reads: what git tracks below some paths, as it is on the disk.

What a sparse checkout leaves off the disk is read as git has it.
"""

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
from fftdeploy.names import plural
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
    away: git.Held | None = None
    """What git has of it, where that is to be read if it is not on the disk."""

    @property
    def path(self) -> Path:
        """Its place on the disk, where it may be missing."""
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
    return [file for root, names in asked.items() for file in _files(root, names, environ, say)]


def contents(
    sources: Iterable[ScannedFile], environ: Mapping[str, str], say: Callable[[str], None]
) -> Iterator[tuple[ScannedFile, Content]]:
    """Yield the text files of `sources`, one after the other; what is not on the disk comes last.

    `say` is told how many those are.

    Raises:
        UnansweredError: This clone has not got the content of one of those.
    """
    away: dict[Path, list[ScannedFile]] = defaultdict(list)
    for source in sources:
        if source.away is not None and not os.path.lexists(source.path):
            away[source.root].append(source)
        elif (content := read(source)) is not None:
            yield source, content
    for root, files_of_git in away.items():
        say(f"note: {plural(len(files_of_git), 'file')} not on the disk: looking at what git has")
        yield from _out_of_git(git.open_repository(root, environ), files_of_git)


def _out_of_git(
    repository: git.Repository, sources: Sequence[ScannedFile]
) -> Iterator[tuple[ScannedFile, Content]]:
    held = [(source, source.away) for source in sources if source.away is not None]
    sizes = repository.sizes([away for _, away in held])
    some: list[tuple[ScannedFile, git.Held]] = []
    waiting = 0
    for one, size in zip(held, sizes, strict=True):
        if size > MAX_BYTES:
            yield one[0], Content(problem=_too_large())
            continue
        if waiting + size > MAX_BYTES:  # as much as one file may have is in memory at a time
            yield from _texts(repository, some)
            some, waiting = [], 0
        some.append(one)
        waiting += size
    yield from _texts(repository, some)


def _texts(
    repository: git.Repository, some: Sequence[tuple[ScannedFile, git.Held]]
) -> Iterator[tuple[ScannedFile, Content]]:
    found = repository.contents([away for _, away in some])
    for (source, _), data in zip(some, found, strict=True):
        if b"\0" not in data[:_HEAD]:
            yield source, Content(data)


def _too_large() -> str:
    return f"larger than {MAX_BYTES // 1_000_000} MB"


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
            return Content(problem=_too_large())
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


def _files(
    root: Path, names: Sequence[str], environ: Mapping[str, str], say: Callable[[str], None]
) -> list[ScannedFile]:
    try:
        found = git.tracked_by_head_too(git.open_repository(root, environ), names)
    except UsageError as error:
        why = error.message if (root / ".git").exists() else "not in a git repository"
        say(f"note: {why}: looking at all files of {disk.shown(root)} but in hidden folders")
        walked = dict.fromkeys(name for asked in names for name in _walk(root, asked))
        return [ScannedFile(root, name) for name in walked]
    if not found:
        say(f"note: git tracks no file here: {', '.join(names[:3]) or disk.shown(root)}")
    return [ScannedFile(root, one.held.path, one.held if one.is_away else None) for one in found]


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
            f"no such file or folder: {disk.shown(path)}",
            hint=disk.near(path) or "fftdeploy scan PATH...",
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
