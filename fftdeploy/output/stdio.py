"""Standard output and error that write all they are given, or say why they can't.

Python drops what an unbuffered stream did not take at once (`PYTHONUNBUFFERED`, a disk that is
nearly full), and gives up where a descriptor does not block and its reader is slow.
"""

import io
import os
from typing import Any, TextIO


def write_whole(descriptor: int, data: bytes) -> None:
    """Write all of `data`, however long that takes.

    Raises:
        OSError: The reader is gone, or the disk is full.
    """
    left = memoryview(data)
    while left:
        left = left[_write(descriptor, left) :]


def whole(stream: TextIO | None) -> TextIO | None:
    """Return a stream to the same place that writes all or raises; None where there is none."""
    if stream is None:  # our parent has closed the descriptor
        return None
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(stream.fileno())),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.isatty(),
    )


class _Descriptor(io.RawIOBase):
    """An open descriptor, which waits where it would not block."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return _write(self._descriptor, data)


def _write(descriptor: int, data: bytes | memoryview) -> int:
    """Write what fits, at least one byte."""
    while True:
        try:
            return os.write(descriptor, data)
        except BlockingIOError:
            import select

            select.select((), (descriptor,), ())
