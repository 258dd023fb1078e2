"""Reads what a log says of a request beside its texts: for which target, by which model, how fast.

Whatever is not of its kind is as good as not said: a log is no reason to stop over such a thing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from fftdeploy.api.answers import plain

_MOST = 1 << 53
_LAST = datetime.max.replace(tzinfo=UTC).timestamp()
_NOTHING: Mapping[str, Any] = {}


class Served(NamedTuple):
    """How a request was served; "" and None are what the log does not say."""

    target: str = ""
    """`TASK/ENVIRONMENT`."""
    release: str = ""
    """Its number."""
    model: str = ""
    """The one that has answered."""
    at: float | None = None
    """Seconds since 1970."""
    latency_ms: float | None = None
    tokens_in: float | None = None
    tokens_out: float | None = None
    caller: str = ""
    """Who has asked: as much of it as the log says, to tell callers apart."""


UNSAID = Served()


def read_served(said: Mapping[str, Any], response: Any = None) -> Served:
    """Read the keys of a plain line; what those don't say of model and tokens, the response may."""
    body = response if isinstance(response, dict) else _NOTHING
    usage = said.get("usage") or body.get("usage")
    usage = usage if isinstance(usage, dict) else _NOTHING
    release = said.get("release")
    return Served(
        target=_short(said.get("target")),
        release=str(release) if type(release) is int else _short(release),
        model=_short(body.get("model")) or _short(said.get("model")),
        at=moment(said.get("at")),
        latency_ms=_number(said.get("latency_ms")),
        tokens_in=_number(usage.get("prompt_tokens", usage.get("input_tokens"))),
        tokens_out=_number(usage.get("completion_tokens", usage.get("output_tokens"))),
        caller=_short(said.get("caller")),
    )


def moment(value: Any) -> float | None:
    """Read an ISO time, in UTC where it says nothing else, or seconds since 1970.

    It is None outside of the years 1970 to 9999.
    """
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
            value = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    seconds = _number(value)
    return seconds if seconds is not None and seconds < _LAST else None


def elapsed_ms(start: Any, end: Any) -> float | None:
    """Return the milliseconds between two moments."""
    began, ended = moment(start), moment(end)
    return None if began is None or ended is None else (ended - began) * 1000


def _number(value: Any) -> float | None:
    return value if type(value) in {int, float} and 0 <= value <= _MOST else None


def _short(value: Any) -> str:
    return plain(value, 256) if isinstance(value, str) else ""
