"""Lets in a whole, plain, capped body from the host that was asked, whichever client receives it.

A refused response arrives empty, with the reason: raising where it is received would make a client
call a redirect or a gzip bomb a "Connection error."
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fftdeploy.api.answers import DEPRECATION_HEADERS, plain
from fftdeploy.api.hosts import SANDBOX_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import BinaryIO

ONE_BYTES = 1 << 20
"""Most bytes of a body about one thing."""

LIST_BYTES = 8 << 20
"""Most bytes of one page of a list."""

OUTPUT_BYTES = 16 << 20
"""Most bytes of what a model says."""

FILE_BYTES = 4 << 30
"""Most bytes of a file: 50,000 answers of 80 KiB."""

_KEPT = {
    name.encode(): name
    for name in (
        *DEPRECATION_HEADERS,
        SANDBOX_HEADER,
        "content-encoding",
        "content-type",
        "date",
        "location",
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
        "x-request-id",
    )
}
_LIST_PATHS = ("/models", "/jobs", "/events", "/batches", "/issues")


@dataclass(frozen=True, slots=True)
class Received:
    """What was let in of one response; `fault` and `problem` are "" exactly for a whole body."""

    status: int
    headers: Mapping[str, str]
    """Those that are read here, by their names in lower case."""
    body: bytes
    fault: str
    problem: str
    latency_s: float | None
    is_saved: bool = False
    """Whether the body went into a file, and is not in `body`."""


class Intake:
    """Takes one response in as it comes, until no more of it is wanted.

    `deadline` is a moment of `time.monotonic`; `headers` are as they came.  With a `sink` the body
    of a 200 goes into that, as much of it as comes.
    """

    def __init__(
        self,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        *,
        most_bytes: int,
        deadline: float,
        sink: BinaryIO | None = None,
    ) -> None:
        self._status = status
        pairs = ((name.lower(), value) for name, value in headers)
        self._headers = {_KEPT[k]: value.decode("latin-1") for k, value in pairs if k in _KEPT}
        self._sink = sink if status == 200 else None
        self._most_bytes = FILE_BYTES if self._sink else most_bytes
        self._deadline = deadline
        self._body = bytearray()
        self._taken = 0
        self._fault, self._problem = _refusal(status, self._headers)

    @property
    def is_over(self) -> bool:
        """Whether it is refused, and nothing more need be read."""
        return bool(self._fault)

    def take(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        self._taken += len(chunk)
        if self._sink is None:
            self._body += chunk
        else:
            self._sink.write(chunk)
        if self._taken > self._most_bytes:
            self._fault = "too-large"
            self._problem = f"an answer of more than {self._most_bytes >> 20} MiB"
        elif time.monotonic() > self._deadline:
            self._fault, self._problem = "timeout", "an answer that did not end in time"

    def received(self, latency_s: float | None = None) -> Received:
        """Return what was let in, at the end of the body or once it `is_over`."""
        body = b"" if self._fault else bytes(self._body)
        is_saved = self._sink is not None and not self._fault
        head = self._status, self._headers
        return Received(*head, body, self._fault, self._problem, latency_s, is_saved)


def most_bytes(path: str) -> int:
    """Return the most bytes of an answer to a question at `path`."""
    return LIST_BYTES if path.endswith(_LIST_PATHS) else ONE_BYTES


def _refusal(status: int, headers: Mapping[str, str]) -> tuple[str, str]:
    """Return fault and problem of a response whose body is not even to be read, "" without one."""
    if 300 <= status < 400:
        return "redirect", _redirect_problem(headers.get("location", ""))
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        return "encoded", f"a body in the encoding {plain(encoding, 40)!r}, unasked"
    return "", ""


def _redirect_problem(location: str) -> str:
    try:
        host = urlsplit(location).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    return f"redirected to {plain(host, 100)}" if host else "redirected"
