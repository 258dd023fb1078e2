"""Reads a host's word on a model's end: the date that retires it, and what is only deprecated.

What retires a model dates its shutdown.  What is deprecated goes on serving: that is shown, with
who says so, and proves nothing.  Each host has words of its own; they are data here.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fftdeploy.api.answers import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RETIRES = (
    ("shutdown_date",),  # OpenAI
    ("deprecation", "inference"),  # Azure
    ("expiration_date",),  # OpenRouter
    ("modelLifecycle", "endOfLifeTime"),  # Bedrock
    ("deprecationDate",),  # Fireworks
)
"""Fields with the day from which a model does not answer, the first that says one counts.

Of a moment that is the next day, in UTC: until then it still answers for some of the day.
"""

_FROM = (
    ("deprecation",),  # Mistral
)
_FLAGS = {
    "is_deprecated": "deprecated",  # Cohere
    "deprecated": "deprecated",
    "archived": "archived, which is no longer to be served",  # Mistral
}
_STATUSES = ("lifecycle_status",)  # Azure
_REPLACEMENTS = ("deprecation_replacement_model",)  # Mistral
_HEADERS = {
    "deprecation": "deprecated from {}",
    "x-model-deprecation-timestamp": "deprecated from {}",
    "sunset": "the address, not the model, is to end on {}",
}
_YES, _NO = frozenset({"true", "?1"}), frozenset({"", "false", "?0"})
"""Values of `Deprecation` before it was a date, and of structured headers."""
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNIX = re.compile(r"@?([0-9]{9,11})(?:[0-9]{3})?(?:\.[0-9]+)?")
"""Seconds since 1970, or milliseconds."""
_NEARLY_A_DAY = timedelta(days=1, microseconds=-1)
_EARLIEST, _LATEST = date(2015, 1, 1), date(2100, 1, 1)


def parse_date(value: object) -> date | None:
    """Read a strict `YYYY-MM-DD`; `date.fromisoformat` alone takes `20261121` and week dates."""
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def retirement_day(entry: Mapping[str, Any]) -> tuple[date, str] | None:
    """Return the day from which `entry` says that its model is gone, and the field that says so."""
    for path in RETIRES:
        value = _at(entry, path)
        found = parse_date(value) if path == ("shutdown_date",) else _first_whole_day(value)
        if found is not None:
            return found, ".".join(path)
    return None


def deprecations(entry: Mapping[str, Any], headers: Mapping[str, str]) -> Iterator[str]:
    """Yield what is said of a deprecation, one line each, with the field or header that says it."""
    for path in _FROM:
        value = _at(entry, path)
        if isinstance(value, str) and value:
            yield f"deprecated from {_shown(value)} ({'.'.join(path)})"
    yield from (f"{words} ({name})" for name, words in _FLAGS.items() if entry.get(name) is True)
    for name in _STATUSES:
        value = entry.get(name)
        if isinstance(value, str) and "deprecat" in value.lower():
            yield f"{plain(value, 40)} ({name})"
    for name in _REPLACEMENTS:
        value = entry.get(name)
        if isinstance(value, str) and value:
            yield f"the host names {plain(value, 100)} as its replacement ({name})"
    for name, words in _HEADERS.items():
        value = headers.get(name, "")
        if value.lower() in _YES:
            yield f"deprecated (header {name})"
        elif value.lower() not in _NO:
            yield f"{words.format(_shown(value))} (header {name})"


def _at(entry: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = entry
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _first_whole_day(value: Any) -> date | None:
    """Return the first UTC day that is wholly at or after `value`."""
    found = _moment(value)
    return found if found is None else (found + _NEARLY_A_DAY).date()


def _day(value: Any) -> date | None:
    """Return the UTC day in which `value` is."""
    found = _moment(value)
    return found if found is None else found.date()


def _moment(value: Any) -> datetime | None:
    """Read a date, a time, (milli)seconds since 1970, or `{"year", "month", "day"}`, all in UTC."""
    try:
        if isinstance(value, dict):
            found = datetime(value["year"], value["month"], value["day"], tzinfo=UTC)
        elif isinstance(value, str) and not _UNIX.fullmatch(value):
            found = datetime.fromisoformat(value)
        else:
            seconds = _UNIX.fullmatch(str(value))
            found = datetime.fromtimestamp(int(seconds[1]) if seconds else 0, UTC)
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return found if _EARLIEST < found.date() < _LATEST else None


def _shown(value: str) -> str:
    """Write a moment as a day where it is read as one, else as it came."""
    from email.utils import parsedate_to_datetime

    found = _day(value)
    if found is None:
        try:
            found = parsedate_to_datetime(value).date()
        except (ValueError, TypeError, IndexError):
            return plain(value, 40)
    return str(found)
