"""Lines of a file of any size, and the file held open to read each of them again.

The hash of a file is over what its lines mean: line ends, a byte-order mark and blank lines, which
git and editors put in and take out, are not part of it.
"""

import hashlib
import os
import re
import shlex
import stat
import weakref
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from fftdeploy import files
from fftdeploy.errors import ConfigError, ConflictError
from fftdeploy.formats.document import is_lfs_pointer, lfs_pointer

MAX_LINE = 1024 * 1024
"""Bytes of a line without its end."""

_CHUNK = 256 * 1024
_HEAD = 4096
BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r"
_LFS_BYTES = 1024
"""A pointer is shorter than this, by its specification."""

_MIDDLE = b"======="
_MARKERS = frozenset({b"<<<<<<<", b"|||||||", _MIDDLE, b">>>>>>>"})
_LINES_WANTED = "write one JSON object a line"
_MAGIC = (
    (b"\x1f\x8b", "gzip", "unpack it: gunzip"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", f"export it, and {_LINES_WANTED}"),
    (b"BZh", "bzip2", "unpack it: bunzip2"),
    (b"\xfd7zXZ", "xz", "unpack it: unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unpack it: unzstd"),
    (b"PAR1", "Parquet", f"export it, and {_LINES_WANTED}"),
    (b"\xff\xfe", "UTF-16", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16", "save it as UTF-8"),
)


class RawLine(NamedTuple):
    """One line that is not blank, and where it stands."""

    number: int
    """From 1."""
    offset: int
    """Bytes before it."""
    raw: bytes
    """Without its line feed; b"" where it is too long to be kept."""
    is_too_long: bool = False


def meaning_sha(data: bytes) -> str:
    """Return the SHA-256 of what the lines of a file mean, in hexadecimal."""
    return hashlib.sha256(meaning(data)).hexdigest()


def meaning(data: bytes) -> bytes:
    """Return the lines of a file as its hash is over them."""
    lines = data.removeprefix(BOM).split(b"\n")
    return b"".join(_meant(line) for line in lines if line.strip(_BLANK))


def lfs_oid(data: bytes) -> str:
    """Return the SHA-256 of the content that a Git LFS pointer stands for; "" if it is none."""
    if len(data) > _LFS_BYTES or not is_lfs_pointer(data.decode(errors="replace")):
        return ""
    found = re.search(rb"^oid sha256:([0-9a-f]{64})\r?$", data, re.MULTILINE)
    return found[1].decode() if found else ""


def refuse_what_git_left(line: bytes, number: int, shown: str) -> None:
    """Refuse a line that git has put in the place of a file's own.

    Raises:
        ConfigError: It is the first of a Git LFS pointer, or marks a conflict.
    """
    word, _, rest = line.rstrip().partition(b" ")
    if word in _MARKERS and (rest or word == _MIDDLE):
        raise ConfigError(
            f"unresolved merge conflict at line {number}",
            hint=f"keep the lines that are right, then: git add {shlex.quote(shown)}",
            where=f"{shown}:{number}:1",
            code="merge-conflict",
        )
    if number == 1 and is_lfs_pointer(line.decode(errors="replace")):
        raise lfs_pointer(shown)


class HeldFile:
    """A file that stays open: what others do to its name does not mix two versions."""

    def __init__(
        self, path: Path, shown: str, root: Path, file: int, longest: int = MAX_LINE
    ) -> None:
        """Hold what `file` is open for; a line of more than `longest` bytes is not kept."""
        self.path, self.shown, self.root = path, shown, root
        self._longest = longest
        self.sha256 = ""
        """Hex digits over what the lines mean, known when `lines` is through."""
        self._bytes = self._piped = b""
        self._file = os.dup(file)
        self._is_regular = stat.S_ISREG(os.fstat(file).st_mode)
        weakref.finalize(self, os.close, self._file)

    def head(self, most: int) -> bytes:
        """Return the first bytes, at most so many; those of a pipe are kept for `lines`."""
        if self._is_regular:
            return os.pread(self._file, most, 0)
        while len(self._piped) < most and (chunk := os.read(self._file, _CHUNK)):
            self._piped += chunk
        return self._piped[:most]

    def lines(self) -> Iterator[RawLine]:
        """Yield the lines once, in bounded memory.

        Raises:
            ConfigError: The file is something else than lines of JSON.
        """
        head = self.head(_HEAD)
        for magic, what, hint in _MAGIC:
            if head.startswith(magic):
                raise self._other(what, hint)
        if b"\0" in head:
            raise self._other("a binary file, or UTF-16", "save it as UTF-8")
        meant = hashlib.sha256()
        is_first = True
        for line in self._lines():
            refuse_what_git_left(line.raw, line.number, self.shown)
            if is_first:
                self._refuse_other(line)
                is_first = False
            meant.update(_meant(line.raw))
            yield line
        self.sha256 = meant.hexdigest()

    def _lines(self) -> Iterator[RawLine]:
        sha = hashlib.sha256()
        number, offset, dropped, rest = 1, 0, 0, b""
        if self._is_regular:
            os.lseek(self._file, 0, os.SEEK_SET)
        for chunk in chain([self._piped], iter(lambda: os.read(self._file, _CHUNK), b"")):
            sha.update(chunk)
            *ended, rest = (rest + chunk).split(b"\n")
            for raw in ended:
                if line := _line(number, offset, raw, dropped, self._longest):
                    yield line
                number, offset, dropped = number + 1, offset + dropped + len(raw) + 1, 0
            if len(rest) > self._longest:
                dropped, rest = dropped + len(rest), b""
        if line := _line(number, offset, rest, dropped, self._longest):
            yield line
        self._bytes = sha.digest()

    def read(self, offset: int, length: int) -> bytes:
        """Read a part again; fewer bytes where the file has become shorter."""
        return os.pread(self._file, length, offset)

    def require_unchanged(self) -> None:
        """Compare what has the name now with what `lines` has read, byte by byte.

        Raises:
            ConflictError: It is not the same: its lines may have other numbers by now.
        """
        sha = hashlib.sha256()
        try:
            with files.opened(self.path, root=self.root) as (file, _, _):
                while chunk := os.read(file, _CHUNK):
                    sha.update(chunk)
        except ConfigError:  # gone, or no longer a file
            raise self.changed() from None
        if sha.digest() != self._bytes:
            raise self.changed()

    def changed(self) -> ConflictError:
        """Build the error for a file that is not what it was."""
        return ConflictError(
            f"{self.shown} changed while it was in use", hint="run it again", where=self.shown
        )

    def _refuse_other(self, line: RawLine) -> None:
        """Refuse what the first line shows not to be lines of JSON objects."""
        text = line.raw.strip()
        if line.is_too_long or (text.startswith(b"{") and text != b"{"):
            return
        what, hint = "something else than JSON Lines", _LINES_WANTED
        if text.startswith(b"["):
            what, hint = "one JSON array", "jq -c '.[]' FILE writes an object a line"
        elif text == b"{":
            what, hint = "JSON over several lines", "jq -c . FILE writes it on one"
        elif any(mark in text for mark in (b",", b"\t", b";")):
            what = "CSV"
        raise self._other(what, hint, line.number)

    def _other(self, what: str, hint: str, number: int = 1) -> ConfigError:
        where = f"{self.shown}:{number}:1"
        return ConfigError(f"this looks like {what}", hint=hint, where=where, code="examples")


def _meant(raw: bytes) -> bytes:
    return raw.strip(_BLANK) + b"\n"


def _line(number: int, offset: int, raw: bytes, dropped: int, longest: int) -> RawLine | None:
    if dropped or len(raw) > longest:
        return RawLine(number, offset, b"", is_too_long=True)
    if number == 1 and raw.startswith(BOM):
        raw, offset = raw[len(BOM) :], offset + len(BOM)
    return RawLine(number, offset, raw) if raw.strip(_BLANK) else None
