"""Lines of a file of any size, and the file held open to read each of them again."""

import hashlib
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fftdeploy import files
from fftdeploy.errors import ConfigError, ConflictError

MAX_LINE = 1024 * 1024
"""Bytes of a line without its end."""

_CHUNK = 256 * 1024
_BOM = b"\xef\xbb\xbf"
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


class Line(NamedTuple):
    """One line that is not blank, and where it stands."""

    number: int
    """From 1."""
    offset: int
    """Bytes before it."""
    raw: bytes
    """Without its line feed; b"" where it is too long to be kept."""
    is_too_long: bool = False


class HeldFile:
    """A file that stays open: what others do to its name does not mix two versions."""

    def __init__(self, path: Path, shown: str, root: Path, file: int) -> None:
        self.path, self.shown, self.root = path, shown, root
        self.sha256 = ""
        """Hex digits over the bytes, known when `lines` is through."""
        self._file = os.dup(file)
        weakref.finalize(self, os.close, self._file)

    def lines(self) -> Iterator[Line]:
        """Yield the lines once, in bounded memory.

        Raises:
            ConfigError: The file is something else than lines of JSON.
        """
        is_first = True
        for line in self._lines():
            if is_first:
                self._refuse_other(line)
                is_first = False
            yield line

    def _lines(self) -> Iterator[Line]:
        sha = hashlib.sha256()
        number, offset, dropped, rest = 1, 0, 0, b""
        os.lseek(self._file, 0, os.SEEK_SET)
        while chunk := os.read(self._file, _CHUNK):
            sha.update(chunk)
            if not (offset or rest or dropped):
                self._refuse_binary(chunk)
            *ended, rest = (rest + chunk).split(b"\n")
            for raw in ended:
                if line := _line(number, offset, raw, dropped):
                    yield line
                number, offset, dropped = number + 1, offset + dropped + len(raw) + 1, 0
            if len(rest) > MAX_LINE:
                dropped, rest = dropped + len(rest), b""
        if line := _line(number, offset, rest, dropped):
            yield line
        self.sha256 = sha.hexdigest()

    def read(self, offset: int, length: int) -> bytes:
        """Read a part again; fewer bytes where the file has become shorter."""
        return os.pread(self._file, length, offset)

    def require_unchanged(self) -> None:
        """Compare what has the name now with what `lines` has read.

        Raises:
            ConflictError: It is not the same.
        """
        sha = hashlib.sha256()
        try:
            with files.opened(self.path, root=self.root) as (file, _, _):
                while chunk := os.read(file, _CHUNK):
                    sha.update(chunk)
        except ConfigError:  # gone, or no longer a file
            raise self.changed() from None
        if sha.hexdigest() != self.sha256:
            raise self.changed()

    def changed(self) -> ConflictError:
        """Build the error for a file that is not what it was."""
        return ConflictError(
            f"{self.shown} changed while it was in use", hint="run it again", where=self.shown
        )

    def _refuse_binary(self, head: bytes) -> None:
        for magic, what, hint in _MAGIC:
            if head.startswith(magic):
                raise self._other(what, hint)
        if b"\0" in head[:4096]:
            raise self._other("a binary file, or UTF-16", "save it as UTF-8")

    def _refuse_other(self, line: Line) -> None:
        """Refuse what the first line shows not to be lines of JSON objects."""
        text = line.raw.strip()
        if line.is_too_long or (text.startswith(b"{") and text != b"{"):
            return
        if text.startswith(b"["):
            raise self._other("one JSON array", "jq -c '.[]' FILE writes an object a line", line)
        if text == b"{":
            raise self._other("JSON over several lines", "jq -c . FILE writes it on one", line)
        if any(mark in text for mark in (b",", b"\t", b";")):
            raise self._other("CSV", _LINES_WANTED, line)
        raise self._other("something else than JSON Lines", _LINES_WANTED, line)

    def _other(self, what: str, hint: str, line: Line | None = None) -> ConfigError:
        number = line.number if line else 1
        return ConfigError(
            f"this looks like {what}", hint=hint, where=f"{self.shown}:{number}:1", code="examples"
        )


def _line(number: int, offset: int, raw: bytes, dropped: int) -> Line | None:
    if dropped or len(raw) > MAX_LINE:
        return Line(number, offset, b"", is_too_long=True)
    if number == 1 and raw.startswith(_BOM):
        raw, offset = raw[len(_BOM) :], offset + len(_BOM)
    return Line(number, offset, raw) if raw.strip(b" \t\r") else None
