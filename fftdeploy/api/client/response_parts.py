"""Reads the parts of a response into values: strict JSON, HTTP dates, and the key struck out.

Anything that Python's own readers take and a careful one would not is refused here.
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fftdeploy.api.answers import plain
from fftdeploy.formats import strict_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

_JSON_TYPE = re.compile(r"application/(?:[a-z0-9.-]+\+)?json")
_ESCAPES = ("\\u", "\\/", "\\\\")
_COUNT = re.compile(r"[0-9]{1,12}")
_SPAN_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|[smhd])")
_SPAN = re.compile(f"(?:{_SPAN_PART.pattern}){{1,5}}")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


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
    """Return what strikes the key, its encodings and its first 12 characters out of a text."""
    forms = [key, b64encode(key.encode()).decode().rstrip("="), quote(key, safe="")]
    if len(key) >= 20:
        forms.append(key[:12])
    # A short key, such as a sandbox's "test", may be part of an honest model ID.
    needles = [form for form in forms if len(form) >= 8]

    def scrub(text: str) -> str:
        for needle in needles:
            if needle in text:
                text = text.replace(needle, "[key]")
        return text

    return scrub


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
