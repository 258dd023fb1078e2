"""Days as an iCalendar file (RFC 5545): all-day events with reminders, for any calendar."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from fftdeploy.output.clean import clean

_MOST_OCTETS = 75
"""Of a line without its end; the rest goes on in lines that begin with a blank."""


class CalendarDay(NamedTuple):
    """One all-day event.  Its texts are untrusted."""

    day: date
    key: str
    """What it is about: an event of the same key takes the place of an older one."""
    title: str
    text: Sequence[str]
    """What it says, a line each."""


def calendar(
    days: Iterable[CalendarDay], made_at: datetime, reminders: Sequence[int], secrets: Sequence[str]
) -> str:
    """Return the file; each event reminds so many days before, nothing of `secrets` is in it."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//fftdeploy//shutdowns//EN"]
    lines += ["CALSCALE:GREGORIAN", "METHOD:PUBLISH"]
    for each in days:
        lines += _event(each, made_at, reminders, secrets)
    return "".join(f"{part}\r\n" for line in [*lines, "END:VCALENDAR"] for part in _folded(line))


def _event(
    each: CalendarDay, made_at: datetime, reminders: Sequence[int], secrets: Sequence[str]
) -> Iterator[str]:
    title = _text(each.title, secrets)
    yield "BEGIN:VEVENT"
    yield f"UID:{hashlib.sha256(each.key.encode()).hexdigest()[:32]}@fftdeploy"
    yield f"DTSTAMP:{made_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    yield f"DTSTART;VALUE=DATE:{each.day:%Y%m%d}"
    yield f"DTEND;VALUE=DATE:{each.day + timedelta(days=1):%Y%m%d}"
    yield f"SUMMARY:{title}"
    yield f"DESCRIPTION:{_text(chr(10).join(each.text), secrets)}"
    yield "TRANSP:TRANSPARENT"  # nobody is busy on that day
    for before in reminders:
        yield from ("BEGIN:VALARM", "ACTION:DISPLAY", f"TRIGGER:-P{before}D")
        yield from (f"DESCRIPTION:in {before} days: {title}", "END:VALARM")
    yield "END:VEVENT"


def _text(text: str, secrets: Sequence[str]) -> str:
    """Escape a text as RFC 5545, 3.3.11, has it."""
    text = clean(text, secrets).replace("\\", "\\\\")
    return text.replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def _folded(line: str) -> Iterator[str]:
    """Yield a line in pieces of at most 75 octets, no character in two of them (3.1)."""
    piece, octets = "", 0
    for char in line:
        size = len(char.encode())
        if octets + size > _MOST_OCTETS:
            yield piece
            piece, octets = " ", 1
        piece, octets = piece + char, octets + size
    yield piece
