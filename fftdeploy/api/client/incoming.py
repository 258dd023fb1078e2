"""Lets in a whole, plain, capped body from the host that was asked, and reads it as an `Answer`.

A refused response arrives empty, with the reason: raising where it is received would make a client
call a redirect or a gzip bomb a "Connection error."  Anything that Python's own readers take and a
careful one would not is refused here, and the key is struck out of all that is kept.
"""

from __future__ import annotations

import os
import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from fftdeploy.api.answers import DEPRECATION_HEADERS, Answer, error_fields, plain
from fftdeploy.api.hosts import COMPATIBLE, DEFAULT, OPENAI, SANDBOX_HEADER
from fftdeploy.api.settings import ADDRESS, LONG_KEY, forms_of
from fftdeploy.formats import strict_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime
    from typing import BinaryIO

    from fftdeploy.api.settings import Settings

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

_JSON_TYPE = re.compile(r"application/(?:[a-z0-9.-]+\+)?json")
_CODE = re.compile(r"\\(?:u00|x)([2-7][0-9a-fA-F])")
"""What JSON and others make of a character that may be a key's."""
_ESCAPES = ("\\u", "\\/", "\\\\")
_COUNT = re.compile(r"[0-9]{1,12}")
_SPAN_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|[smhd])")
_SPAN = re.compile(f"(?:{_SPAN_PART.pattern}){{1,5}}")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


class Intake:
    """Takes one response in as it comes, until no more of it is wanted.

    `deadline` is a moment of `time.monotonic`; `headers` are as they came.  With a `sink` the body
    of a 200 goes into that, as much of it as comes.  `fault` and `problem` are "" for as long as it
    may be a whole body.
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
        self.status = status
        pairs = ((name.lower(), value) for name, value in headers)
        self.headers = {_KEPT[k]: value.decode("latin-1") for k, value in pairs if k in _KEPT}
        self.sink = sink if status == 200 else None
        self.body = bytearray()
        self.latency_s: float | None = None
        self._most_bytes = FILE_BYTES if self.sink else most_bytes
        self._deadline = deadline
        self._taken = 0
        self.fault, self.problem = _refusal(status, self.headers)

    @property
    def is_over(self) -> bool:
        """Whether it is refused, and nothing more need be read."""
        return bool(self.fault)

    def take(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        self._taken += len(chunk)
        if self.sink is None:
            self.body += chunk
        else:
            self.sink.write(chunk)
        if self._taken > self._most_bytes:
            self.fault = "too-large"
            self.problem = f"an answer of more than {self._most_bytes >> 20} MiB"
        elif time.monotonic() > self._deadline:
            self.fault, self.problem = "timeout", "an answer that did not end in time"


def most_bytes(path: str) -> int:
    """Return the most bytes of an answer to a question at `path`."""
    return LIST_BYTES if path.endswith(_LIST_PATHS) else ONE_BYTES


def _refusal(status: int, headers: Mapping[str, str]) -> tuple[str, str]:
    """Return fault and problem of a response whose body is not even to be read, "" without one."""
    if 300 <= status < 400:
        try:
            host = urlsplit(headers.get("location", "")).netloc.rpartition("@")[2]
        except ValueError:
            host = ""
        return "redirect", f"redirected to {plain(host, 100)}" if host else "redirected"
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        return "encoded", f"a body in the encoding {plain(encoding, 40)!r}, unasked"
    return "", ""


def read(intake: Intake, scrub: Callable[[str], str], settings: Settings) -> Answer:
    """Turn a response that has ended into an `Answer`, with the key struck out of all of it.

    The kind of the host is what `settings` say, or where they say none what it says itself.
    """
    source = settings.base_url_source
    headers = {name: scrub(value) for name, value in intake.headers.items()}
    date = http_date(headers.get("date", ""))
    content_type = plain(headers.get("content-type", ""), 80)
    said_kind = OPENAI if headers.get(SANDBOX_HEADER) == "1" else COMPATIBLE
    facts: dict[str, Any] = {
        "status": intake.status,
        "content_type": content_type,
        "request_id": plain(headers.get("x-request-id", ""), 80),
        "date": date,
        "kind": settings.kind or said_kind,
        "key_source": settings.key_source,
        "address_source": ADDRESS if source in {DEFAULT, ADDRESS} else f"base_url in {source}",
        "deprecation": {
            name: plain(headers[name], 80) for name in DEPRECATION_HEADERS if name in headers
        },
        "retry_after_s": retry_after(headers, date),
        "latency_s": intake.latency_s,
        **rate_limits(headers),
    }
    if intake.problem:
        return Answer(fault=intake.fault, problem=scrub(intake.problem), **facts)
    if intake.sink:
        return Answer(**facts)
    content = bytes(intake.body)
    problem, body = parse_body(content_type, content)
    if problem:
        return Answer(fault="not-json", problem=scrub(problem), **facts)
    if may_quote(content.decode(), scrub):
        body = scrub_all(body, scrub)
    return Answer(body=body, **facts, **error_fields(body))


def failed(package: str, error: Exception) -> Answer:
    """Return what is known where the client failed in itself: nothing about the model.

    The text of its error may hold the key.
    """
    return Answer(fault="client", problem=f"the {package} package failed: {type(error).__name__}")


def late(timeout_s: float) -> Answer:
    """Return what is known when the deadline has passed: nothing."""
    return Answer(fault="timeout", problem=f"no answer in {max(timeout_s, 0):.0f} s")


_Errors = type[BaseException] | tuple[type[BaseException], ...]


def unreached(
    error: Exception, settings: Settings, refused: _Errors = (), dropped: _Errors = ()
) -> Answer:
    """Say why there is no whole answer.

    `refused` and `dropped` are what the client raises where a proxy let nothing through, and where
    a connection ended before the answer did.
    """
    host = settings.host
    way = f" {settings.through}" if settings.through else ""
    for cause in _causes(error):
        if getattr(cause, "reason", "") == "WRONG_VERSION_NUMBER":
            problem = f"cannot reach {host}{way}: it does not speak TLS"
            return Answer(fault="unreachable", problem=problem)
        if (reason := getattr(cause, "verify_message", "")) or type(cause).__name__ == "SSLError":
            said = f": {plain(str(reason))}" if reason else ""
            whose = settings.certificates.items()
            by = "".join(f", by {plain(path)} (from {source})" for source, path in whose)
            return Answer(fault="tls", problem=f"the certificate of {host} is not valid{said}{by}")
        if isinstance(cause, refused):
            problem = f"cannot reach {host} {settings.through}: the proxy refused"
            return Answer(fault="unreachable", problem=problem)
        if isinstance(cause, dropped):
            return Answer(fault="dropped", problem=f"{host} broke off its answer")
    reason = next((_reason(c) for c in _causes(error) if isinstance(c, OSError)), "")
    said = f": {plain(reason.lower())}" if reason else ""
    return Answer(fault="unreachable", problem=f"cannot reach {host}{way}{said}")


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


def parse_body(content_type: str, content: bytes) -> tuple[str, Any]:
    """Return the problem and the value of a body; exactly one of them is empty.

    Strict: JSON by its content type, UTF-8, no key twice, no `NaN`, not nested past reason.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if not content:
        return "an empty answer", None
    if not _JSON_TYPE.fullmatch(kind):
        return f"{plain(kind, 60) or 'a body of no type'} instead of JSON", None
    try:
        value = strict_json.loads(content.decode())
    except UnicodeDecodeError:
        return "an answer that is not UTF-8", None
    except strict_json.StrictError as error:
        return str(error), None
    return ("null instead of an object", None) if value is None else ("", value)


def retry_after(headers: Mapping[str, str], date: datetime | None) -> float | None:
    """Read `Retry-After`, or before it `retry-after-ms`, as seconds from now; None without either.

    A date counts from the server's own `date`, where it sent one, and has to be to come.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _SECONDS.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    value = headers.get("retry-after", "")
    if not value:
        return None
    if _SECONDS.fullmatch(value.strip()):
        return float(value)
    moment = http_date(value)
    if moment is None:
        return None
    reference = date.timestamp() if date else time.time()
    wait = moment.timestamp() - reference
    return wait if wait > 0 else None


def rate_limits(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the `Answer` fields that the `x-ratelimit-*` headers fill."""
    found: dict[str, Any] = {}
    for what in ("requests", "tokens"):
        left = headers.get(f"x-ratelimit-remaining-{what}", "").strip()
        if _COUNT.fullmatch(left):
            found[f"remaining_{what}"] = int(left)
            reset = headers.get(f"x-ratelimit-reset-{what}", "")
            found[f"reset_{what}_s"] = duration_s(reset)
    return found


def duration_s(value: str) -> float | None:
    """Read a span such as `6m0s`, `1.2s` or `20ms` as seconds; None where it is none."""
    text = value.strip()
    if not text or not _SPAN.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _SPAN_PART.findall(text))


@lru_cache(maxsize=16)  # a second has one date and many answers
def http_date(value: str) -> datetime | None:
    """Read an HTTP date as UTC; None where it is not one."""
    if not value:
        return None
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def scrubber(key: str) -> Callable[[str], str]:
    """Return what strikes the key, its encodings and its first 12 characters out of a text.

    A text that has a long one escaped, or broken over lines, is struck out as a whole.
    """
    needles = forms_of(key)
    bare = _unescaped if len(key) >= LONG_KEY else str

    def scrub(text: str) -> str:
        without = bare(text)
        for needle in needles:
            if needle in without or needle in text:
                if without.count(needle) > text.count(needle):
                    return "[key]"
                text = text.replace(needle, "[key]")
                without = bare(text)
        return text

    return scrub


def _unescaped(text: str) -> str:
    """Undo what percent signs, HTML and JSON make of a text, twice, and leave out its blanks."""
    for _ in range(2):
        if "%" in text:
            text = unquote(text)
        if "&" in text and ";" in text:
            from html import unescape  # 2 ms, paid only for a page

            text = unescape(text)
        if "\\" in text:
            text = _CODE.sub(lambda code: chr(int(code[1], 16)), text)
            text = text.replace("\\n", "").replace("\\r", "").replace("\\", "")
    return "".join(text.split())


def may_quote(text: str, scrub: Callable[[str], str]) -> bool:
    """Whether JSON text may hold the key, spelled out or escaped; a quick look that errs to yes."""
    return any(escape in text for escape in _ESCAPES) or scrub(text) is not text


def scrub_all(value: Any, scrub: Callable[[str], str]) -> Any:
    """Apply `scrub` to every string of a JSON value."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, list):
        return [scrub_all(item, scrub) for item in value]
    if isinstance(value, dict):
        return {scrub(key): scrub_all(item, scrub) for key, item in value.items()}
    return value
