"""A response, or what a client raised instead of one -> an `Answer`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fftdeploy.api.answers import DEPRECATION_HEADERS, Answer, error_fields, plain
from fftdeploy.api.client.response_parts import (
    http_date,
    may_quote,
    parse_body,
    rate_limits,
    retry_after,
    scrub_all,
)
from fftdeploy.api.hosts import COMPATIBLE, DEFAULT, OPENAI, SANDBOX_HEADER
from fftdeploy.api.settings import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fftdeploy.api.client.incoming import Received
    from fftdeploy.api.settings import Settings


def read(received: Received, scrub: Callable[[str], str], settings: Settings) -> Answer:
    """Turn what was let in of a response into an `Answer`, with the key struck out of all of it.

    The kind of the host is what `settings` say, or where they say none what it says itself.
    """
    kind, source = settings.kind, settings.base_url_source
    headers = {name: scrub(value) for name, value in received.headers.items()}
    date = http_date(headers.get("date", ""))
    content_type = plain(headers.get("content-type", ""), 80)
    facts: dict[str, Any] = {
        "status": received.status,
        "content_type": content_type,
        "request_id": plain(headers.get("x-request-id", ""), 80),
        "date": date,
        "kind": kind or (OPENAI if headers.get(SANDBOX_HEADER) == "1" else COMPATIBLE),
        "key_source": settings.key_source,
        "address_source": ADDRESS if source in {DEFAULT, ADDRESS} else f"base_url in {source}",
        "deprecation": {
            name: plain(headers[name], 80) for name in DEPRECATION_HEADERS if name in headers
        },
        "retry_after_s": retry_after(headers, date),
        "latency_s": received.latency_s,
        **rate_limits(headers),
    }
    if received.problem:
        return Answer(fault=received.fault, problem=scrub(received.problem), **facts)
    if received.is_saved:
        return Answer(**facts)
    problem, body = parse_body(content_type, received.body)
    if problem:
        return Answer(fault="not-json", problem=scrub(problem), **facts)
    if may_quote(received.body.decode(), scrub):
        body = scrub_all(body, scrub)
    return Answer(body=body, **facts, **error_fields(body))


def failed(package: str, error: Exception) -> Answer:
    """Return what is known where the client failed in itself: nothing about the model.

    The text of its error may hold the key.
    """
    return Answer(fault="client", problem=f"the {package} package failed: {_kind(error)}")


def late(timeout_s: float) -> Answer:
    """Return what is known when the deadline has passed: nothing."""
    return Answer(fault="timeout", problem=f"no answer in {max(timeout_s, 0):.0f} s")


def unreached(
    error: Exception,
    settings: Settings,
    is_refused: Callable[[BaseException], bool],
    is_dropped: Callable[[BaseException], bool],
) -> Answer:
    """Say why there is no whole answer.

    `is_refused` and `is_dropped` know how the client says that a proxy let nothing through and
    that a connection ended before the answer did.
    """
    host = settings.host
    for cause in _causes(error):
        if getattr(cause, "reason", "") == "WRONG_VERSION_NUMBER":
            problem = f"cannot reach {host}{_way(settings)}: it does not speak TLS"
            return Answer(fault="unreachable", problem=problem)
        if (reason := getattr(cause, "verify_message", "")) or _kind(cause) == "SSLError":
            said = f": {plain(str(reason))}" if reason else ""
            whose = settings.certificates.items()
            by = "".join(f", by {plain(path)} (from {source})" for source, path in whose)
            return Answer(fault="tls", problem=f"the certificate of {host} is not valid{said}{by}")
        if is_refused(cause):
            problem = f"cannot reach {host} {settings.through}: the proxy refused"
            return Answer(fault="unreachable", problem=problem)
        if is_dropped(cause):
            return Answer(fault="dropped", problem=f"{host} broke off its answer")
    reason = next((_reason(c) for c in _causes(error) if isinstance(c, OSError)), "")
    said = f": {plain(reason.lower())}" if reason else ""
    return Answer(fault="unreachable", problem=f"cannot reach {host}{_way(settings)}{said}")


def _way(settings: Settings) -> str:
    return f" {settings.through}" if settings.through else ""


def _reason(error: OSError) -> str:
    """Return the system's words: an event loop has its own, with the address."""
    if error.errno is not None and error.errno > 0:  # below it is a name server's
        return os.strerror(error.errno)
    return error.strerror or ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _kind(error: BaseException) -> str:
    return type(error).__name__
