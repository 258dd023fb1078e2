"""A response, or what the SDK raised instead of one -> an `Answer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fftdeploy.api.answers import DEPRECATION_HEADERS, Answer, error_fields, plain
from fftdeploy.api.client.wire import (
    http_date,
    may_quote,
    parse_body,
    rate_limits,
    retry_after,
    scrub_all,
)
from fftdeploy.api.hosts import COMPATIBLE, OPENAI, SANDBOX_HEADER, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx2

    from fftdeploy.api.settings import Settings


def read(
    response: httpx2.Response, scrub: Callable[[str], str], kind: Kind | None = COMPATIBLE
) -> Answer:
    """Turn a received response into an `Answer`, with the key struck out of all of it.

    `kind` is the host's; None where the host may say so itself.
    """
    kept = response.extensions["headers"]
    headers = {name: scrub(value) for name, value in kept.items()}
    date = http_date(headers.get("date", ""))
    content_type = plain(headers.get("content-type", ""), 80)
    facts: dict[str, Any] = {
        "status": response.status_code,
        "content_type": content_type,
        "request_id": plain(headers.get("x-request-id", ""), 80),
        "date": date,
        "kind": kind or (OPENAI if headers.get(SANDBOX_HEADER) == "1" else COMPATIBLE),
        "deprecation": {
            name: plain(headers[name], 80) for name in DEPRECATION_HEADERS if name in headers
        },
        "retry_after_s": retry_after(headers, date),
        "latency_s": response.extensions["latency_s"],
        **rate_limits(headers),
    }
    if problem := response.extensions["problem"]:
        return Answer(fault=response.extensions["fault"], problem=scrub(problem), **facts)
    problem, body = parse_body(content_type, response.content)
    if problem:
        return Answer(fault="not-json", problem=scrub(problem), **facts)
    if may_quote(response.content.decode(), scrub):
        body = scrub_all(body, scrub)
    return Answer(body=body, **facts, **error_fields(body))


def failed(
    error: Exception, settings: Settings, scrub: Callable[[str], str], timeout_s: float
) -> Answer:
    """Turn what the SDK raised into an `Answer`."""
    import openai

    if isinstance(error, openai.APIStatusError):
        return read(error.response, scrub, settings.kind)
    if isinstance(error, openai.APITimeoutError):
        return late(timeout_s)
    if isinstance(error, openai.APIConnectionError):
        return _unreached(error, settings)
    # The SDK encodes, parses and logs: what it raises beyond its own errors says nothing about
    # the model, and its text may hold the key.
    return Answer(fault="client", problem=f"the openai package failed: {_kind(error)}")


def late(timeout_s: float) -> Answer:
    """Return what is known when the deadline has passed: nothing."""
    return Answer(fault="timeout", problem=f"no answer in {max(timeout_s, 0):.0f} s")


def _unreached(error: Exception, settings: Settings) -> Answer:
    import httpx2

    host = settings.host
    for cause in _causes(error):
        if (reason := getattr(cause, "verify_message", "")) or _kind(cause) == "SSLError":
            said = f": {plain(str(reason))}" if reason else ""
            whose = settings.certificates
            by = f", by {plain(whose)} (from {settings.certificates_source})" if whose else ""
            return Answer(fault="tls", problem=f"the certificate of {host} is not valid{said}{by}")
        if isinstance(cause, httpx2.ProxyError):
            problem = f"cannot reach {host} {settings.through}: the proxy refused"
            return Answer(fault="unreachable", problem=problem)
        if isinstance(cause, (httpx2.ReadError, httpx2.WriteError, httpx2.ProtocolError)):
            return Answer(fault="dropped", problem=f"{host} broke off its answer")
    reason = next((c.strerror for c in _causes(error) if isinstance(c, OSError)), "") or ""
    said = f": {plain(reason.lower())}" if reason else ""
    way = f" {settings.through}" if settings.through else ""
    return Answer(fault="unreachable", problem=f"cannot reach {host}{way}{said}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _kind(error: BaseException) -> str:
    return type(error).__name__
