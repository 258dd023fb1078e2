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

ONE_BYTES = 1 << 20
"""Most bytes of a body about one thing."""

LIST_BYTES = 8 << 20
"""Most bytes of one page of a list."""

OUTPUT_BYTES = 16 << 20
"""Most bytes of what a model says."""

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
_LIST_PATHS = ("/models", "/jobs", "/events")


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


class Intake:
    """Takes one response in as it comes, until no more of it is wanted.

    `deadline` is a moment of `time.monotonic`; `headers` are as they came.
    """

    def __init__(
        self,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        *,
        most_bytes: int,
        deadline: float,
    ) -> None:
        self._status = status
        pairs = ((name.lower(), value) for name, value in headers)
        self._headers = {_KEPT[k]: value.decode("latin-1") for k, value in pairs if k in _KEPT}
        self._most_bytes = most_bytes
        self._deadline = deadline
        self._body = bytearray()
        self._fault, self._problem = _refusal(status, self._headers)

    @property
    def is_over(self) -> bool:
        """Whether it is refused, and nothing more need be read."""
        return bool(self._fault)

    def take(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        self._body += chunk
        if len(self._body) > self._most_bytes:
            self._fault = "too-large"
            self._problem = f"an answer of more than {self._most_bytes >> 20} MiB"
        elif time.monotonic() > self._deadline:
            self._fault, self._problem = "timeout", "an answer that did not end in time"

    def received(self, latency_s: float | None = None) -> Received:
        """Return what was let in, at the end of the body or once it `is_over`."""
        body = b"" if self._fault else bytes(self._body)
        return Received(self._status, self._headers, body, self._fault, self._problem, latency_s)


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
