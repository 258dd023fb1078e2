"""Spans of time as people write them: `30d`, `24h`, `10m`."""

import re
from datetime import timedelta

CLOCK_SKEW = timedelta(minutes=5)
"""How far two clocks may be apart before one of them is doubted."""

_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(text: str) -> timedelta | None:
    """Read `30d`, `24h`, `10m`, `60s` or `2w`; None if it is none of them."""
    found = _DURATION.fullmatch(text)
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]]) if found else None


def short_duration(span: timedelta) -> str:
    """Write a span to the hour from two hours on, else to the minute or second: `3d`, `49h`."""
    seconds = max(0, int(span.total_seconds()))
    if seconds >= 2 * 86400 and seconds % 86400 < 3600:
        return f"{seconds // 86400}d"
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
