"""Tells when models stop answering, by OpenAI's announcements as a dated table.

The API's own `shutdown_date` is asked first, and only it proves anything; this table fills the gap
for fine-tunes, whose own date may be absent, and works without a network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

AS_OF = date(2026, 11, 28)
"""The day on which the table was last compared with its source."""

SOURCE = "https://developers.openai.com/api/docs/deprecations"
DATED = f"table of {AS_OF}"
"""What every screen calls the table: a date and a replacement are OpenAI's opinion of a day."""


@dataclass(frozen=True, slots=True)
class Retirement:
    """One row: when fine-tunes of `base` and `base` itself stop, and what is suggested instead."""

    base: str
    fine_tunes: date | None
    itself: date | None
    replacement: str


@dataclass(frozen=True, slots=True)
class FineTune:
    """The parts of an `ft:` model ID."""

    base: str
    organisation: str
    suffix: str | None
    id: str
    step: int | None
    """The training step of a checkpoint; None for the final model."""


_OCTOBER = date(2026, 10, 23)
_SEPTEMBER = date(2026, 9, 28)
_DECEMBER = date(2026, 12, 11)
_JANUARY = date(2027, 1, 14)
_APRIL = date(2027, 4, 1)

TABLE = tuple(
    Retirement(*row)
    for row in (
        ("babbage-002", _OCTOBER, _SEPTEMBER, "gpt-5.6-terra"),
        ("davinci-002", _OCTOBER, _SEPTEMBER, "gpt-5.6-terra"),
        ("gpt-3.5-turbo", _OCTOBER, _OCTOBER, "gpt-5.6-terra"),
        ("gpt-3.5-turbo-0125", _OCTOBER, _OCTOBER, "gpt-5.6-terra"),
        ("gpt-3.5-turbo-0613", _OCTOBER, None, "gpt-5.6-terra"),
        ("gpt-3.5-turbo-1106", _OCTOBER, _SEPTEMBER, "gpt-5.6-terra"),
        ("o4-mini-2025-04-16", _OCTOBER, _OCTOBER, "gpt-5.6-terra"),
        ("gpt-4-0613", _OCTOBER, _OCTOBER, "gpt-5.6-sol"),
        ("gpt-4.1-nano-2025-04-14", _OCTOBER, _OCTOBER, "gpt-5.6-luna"),
        ("gpt-4o-2024-08-06", _JANUARY, _JANUARY, "gpt-6-luna"),
        ("gpt-4o-mini-2024-07-18", _JANUARY, _JANUARY, "gpt-6-luna"),
        ("gpt-4.1-2025-04-14", _JANUARY, _JANUARY, "gpt-6-luna"),
        ("gpt-4.1-mini-2025-04-14", _JANUARY, _JANUARY, "gpt-6-luna"),
        ("gpt-4o-2024-11-20", None, _JANUARY, "gpt-6-luna"),
        ("gpt-4o-2024-05-13", None, _OCTOBER, "gpt-5.6-sol"),
        ("gpt-4-turbo", None, _OCTOBER, "gpt-5.6-sol"),
        ("o1", None, _OCTOBER, "gpt-5.6-sol"),
        ("o1-pro", None, _OCTOBER, "gpt-5.6-sol"),
        ("o3-mini", None, _OCTOBER, "gpt-5.6-sol"),
        ("gpt-5", None, _DECEMBER, "gpt-6.1-sol"),
        ("gpt-5-mini", None, _DECEMBER, "gpt-6.1-terra"),
        ("gpt-5-nano", None, _DECEMBER, ""),
        ("gpt-5-pro", None, _DECEMBER, ""),
        ("o3", None, _DECEMBER, ""),
        ("o3-pro", None, _DECEMBER, ""),
        ("gpt-5.1", None, _APRIL, ""),
        ("gpt-5.4-nano", None, _APRIL, ""),
        ("gpt-5.5-cyber-preview", None, date(2027, 2, 1), ""),
        # No chat models, but `models` lists them.
        ("chatgpt-image-latest", None, date(2026, 12, 1), ""),
        ("gpt-image-1-mini", None, date(2026, 12, 1), ""),
        ("gpt-image-1.5", None, date(2026, 12, 1), ""),
        ("gpt-4o-transcribe", None, date(2027, 2, 26), ""),
        ("whisper-1", None, date(2027, 2, 26), ""),
    )
)

ALIASES = {
    "gpt-4": "gpt-4-0613",
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
    "o4-mini": "o4-mini-2025-04-16",
}
"""Undated names that a fine-tune's ID may carry, and the snapshot that they mean."""

_ROWS = {row.base: row for row in TABLE}
BASES = frozenset({*ALIASES, *_ROWS, *(row.replacement for row in TABLE)} - {""})
"""All models that the table names."""

_SNAPSHOT = re.compile(r"(.+)-[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_fine_tune(model: str) -> FineTune | None:
    """Take `ft:BASE:ORG:[SUFFIX]:ID[:ckpt-step-N]` apart; None where it is not one.

    `ft:BASE:ORG:ID`, without the empty suffix, is read too.
    """
    parts = model.split(":")
    if parts[0] != "ft":
        return None
    step = None
    if len(parts) > 4 and (found := re.fullmatch(r"ckpt-step-([0-9]{1,9})", parts[-1])):
        step = int(found[1])
        parts = parts[:-1]
    if len(parts) == 4:
        parts.insert(3, "")
    if len(parts) != 5 or not (parts[1] and parts[2] and parts[4]):
        return None
    return FineTune(parts[1], parts[2], parts[3] or None, parts[4], step)


def base_of(model: str) -> str:
    """Return the snapshot that `model` was tuned from, aliases resolved; "" for a base model."""
    tuned = parse_fine_tune(model)
    return resolve_alias(tuned.base) if tuned else ""


def organisation_of(model: str) -> str:
    """Return the organisation's slug in a fine-tune's ID; "" for a base model."""
    tuned = parse_fine_tune(model)
    return tuned.organisation if tuned else ""


def resolve_alias(base: str) -> str:
    """Return the dated snapshot behind an alias, or `base` itself."""
    return ALIASES.get(base, base)


def row_for(base: str) -> Retirement | None:
    """Return the table's row for a base model or its alias.

    A snapshot without a row of its own has its family's, `gpt-5-2025-08-07` that of `gpt-5`;
    a longer name never has a shorter one's: `gpt-4.1-nano` starts with `gpt-4`.
    """
    name = resolve_alias(base)
    if name in _ROWS:
        return _ROWS[name]
    snapshot = _SNAPSHOT.fullmatch(name)
    family = _ROWS.get(snapshot[1]) if snapshot else None
    # A family whose row is a fine-tune's speaks of one snapshot's training, not of others.
    return family if family and family.fine_tunes is None else None


def table_date(model: str) -> tuple[date, str] | None:
    """Return the table's shutdown date of `model` and which row it is from.

    For a fine-tune the row for fine-tunes of its base comes first, then the base's own date.
    """
    tuned = parse_fine_tune(model)
    base = resolve_alias(tuned.base if tuned else model)
    row = row_for(base)
    if row is None:
        return None
    if tuned and row.fine_tunes:
        return row.fine_tunes, f"{DATED} (fine-tunes)"
    return (row.itself, f"{DATED} ({base})") if row.itself else None


def has_fine_tune_row(model: str) -> bool:
    """Whether the table dates fine-tunes of this fine-tune's base: then no base need be asked."""
    row = row_for(base_of(model)) if base_of(model) else None
    return row is not None and row.fine_tunes is not None


def replacement_for(model: str) -> str:
    """Return the model that the table names as a replacement; "" where it names none."""
    row = row_for(base_of(model) or model)
    return row.replacement if row else ""
