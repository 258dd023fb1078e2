"""Reads a host's word on a model's end: the date that retires it, and what is only deprecated.

What retires a model dates its shutdown.  What is deprecated goes on serving: that is shown, with
who says so, and proves nothing.  Each host has words of its own; they are data here.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fftdeploy.api.answers import plain
from fftdeploy.api.readiness import Shutdown
from fftdeploy.model_ids import retirement

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

_FLAGS = {
    "is_deprecated": "deprecated",  # Cohere
    "deprecated": "deprecated",
    "archived": "archived, which is no longer to be served",  # Mistral
}
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
        value: Any = entry
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if path == ("shutdown_date",):
            found = parse_date(value)
        else:  # the first day that is wholly at or after it
            moment = _moment(value)
            found = (moment + _NEARLY_A_DAY).date() if moment else None
        if found is not None:
            return found, ".".join(path)
    return None


def deprecations(entry: Mapping[str, Any], headers: Mapping[str, str]) -> Iterator[str]:
    """Yield what is said of a deprecation, one line each, with the field or header that says it."""
    mistrals, azures = entry.get("deprecation"), entry.get("lifecycle_status")
    if isinstance(mistrals, str) and mistrals:
        yield f"deprecated from {_shown(mistrals)} (deprecation)"
    yield from (f"{words} ({name})" for name, words in _FLAGS.items() if entry.get(name) is True)
    if isinstance(azures, str) and "deprecat" in azures.lower():
        yield f"{plain(azures, 40)} (lifecycle_status)"
    name = "deprecation_replacement_model"
    if isinstance(instead := entry.get(name), str) and instead:  # Mistral's
        yield f"the host names {plain(instead, 100)} as its replacement ({name})"
    for name, words in _HEADERS.items():
        value = headers.get(name, "")
        if value.lower() in _YES:
            yield f"deprecated (header {name})"
        elif value.lower() not in _NO:
            yield f"{words.format(_shown(value))} (header {name})"


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

    try:
        return str((_moment(value) or parsedate_to_datetime(value)).date())
    except (ValueError, TypeError, IndexError):
        return plain(value, 40)


def find_shutdown(
    model: str,
    own: Mapping[str, Any] | None,
    by_table: bool,
    base: Mapping[str, Any] | None = None,
) -> Shutdown | None:
    """Return the first date of: its own, the table's for it, its base's own, the table's base.

    `own` and `base` are what the host says of the model and of its base.  Whether the table counts,
    which is OpenAI's, is for `has_openais_dates` to say.
    """
    stated = retirement_day(own) if own else None
    if stated:
        day, field = stated
        return Shutdown(day, "model" if (field,) == RETIRES[0] else f"model, {field}")
    tabled = retirement.table_date(model) if by_table else None
    if tabled and retirement.has_fine_tune_row(model):
        return Shutdown(*tabled)
    if base and base.get("id") == retirement.base_of(model) and (stated := retirement_day(base)):
        return Shutdown(stated[0], "base model")
    return Shutdown(*tabled) if tabled else None


def moment(value: object) -> datetime | None:
    """Read seconds since 1970 as UTC; None where they are not that."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e11:
        return None
    return datetime.fromtimestamp(value, UTC)
