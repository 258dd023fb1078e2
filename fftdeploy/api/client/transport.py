"""What of a response is let in: a whole, plain, capped body from the host that was asked.

A refused answer arrives empty, with the reason in its extensions: raising here would make the SDK
call a redirect or a gzip bomb a "Connection error."
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self, cast
from urllib.parse import urlsplit

from fftdeploy.api.answers import DEPRECATION_HEADERS, plain
from fftdeploy.api.client.stopwatch import Stopwatch
from fftdeploy.api.hosts import SANDBOX_HEADER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import httpx2

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
Received = tuple[str, str, bytes]
"""Fault and problem, "" for a good body, and the body."""


class Transport:
    """Sends a request of the synchronous client and lets back what may come in."""

    def __init__(self, inner: httpx2.HTTPTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send, receive and judge."""
        response = self._inner.handle_request(request)
        try:
            headers = _kept_headers(response)
            received = _refusal(response, headers) or self._receive(request, response)
        finally:
            response.close()
        return _admitted(response.status_code, headers, received)

    def _receive(self, request: httpx2.Request, response: httpx2.Response) -> Received:
        limit = LIST_BYTES if request.url.path.endswith(_LIST_PATHS) else ONE_BYTES
        deadline = time.monotonic() + request.extensions["timeout"]["read"]
        body = bytearray()
        for chunk in cast("Iterator[bytes]", response.stream):
            body += chunk
            if len(body) > limit:
                return _too_large(limit)
            if time.monotonic() > deadline:
                return "timeout", "an answer that did not end in time", b""
        return "", "", bytes(body)

    def close(self) -> None:
        """Close the pool of connections."""
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncTransport:
    """The same for the asynchronous client, whose caller keeps the deadline; measures latency."""

    def __init__(self, inner: httpx2.AsyncHTTPTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send, receive and judge."""
        stopwatch = Stopwatch()
        request.extensions["trace"] = stopwatch.trace
        response = await self._inner.handle_async_request(request)
        try:
            headers = _kept_headers(response)
            received = _refusal(response, headers) or await self._receive(response)
            latency_s = stopwatch.seconds(response.extensions.get("network_stream"))
        finally:
            await response.aclose()
        return _admitted(response.status_code, headers, received, latency_s)

    async def _receive(self, response: httpx2.Response) -> Received:
        body = bytearray()
        async for chunk in cast("AsyncIterator[bytes]", response.stream):
            body += chunk
            if len(body) > OUTPUT_BYTES:
                return _too_large(OUTPUT_BYTES)
        return "", "", bytes(body)

    async def aclose(self) -> None:
        """Close the pool of connections."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _kept_headers(response: httpx2.Response) -> dict[str, str]:
    """Return what is read of the headers, once: every look into httpx's own costs a search."""
    pairs = ((name.lower(), value) for name, value in response.headers.raw)
    return {_KEPT[name]: value.decode("latin-1") for name, value in pairs if name in _KEPT}


def _refusal(response: httpx2.Response, headers: dict[str, str]) -> Received | None:
    """Say why the body is not even to be read."""
    if 300 <= response.status_code < 400:
        return "redirect", _redirect_problem(headers.get("location", "")), b""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        return "encoded", f"a body in the encoding {plain(encoding, 40)!r}, unasked", b""
    return None


def _too_large(limit: int) -> Received:
    return "too-large", f"an answer of more than {limit >> 20} MiB", b""


def _admitted(
    status: int, headers: dict[str, str], received: Received, latency_s: float | None = None
) -> httpx2.Response:
    """Return a response that says nothing in its own headers, which the SDK would look into."""
    import httpx2

    fault, problem, body = received
    facts = {"fault": fault, "problem": problem, "headers": headers, "latency_s": latency_s}
    return httpx2.Response(status, content=body, extensions=facts)


def _redirect_problem(location: str) -> str:
    try:
        host = urlsplit(location).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    return f"redirected to {plain(host, 100)}" if host else "redirected"
