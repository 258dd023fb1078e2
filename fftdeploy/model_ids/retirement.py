"""Tells when models stop answering, by OpenAI's announcements as a dated table.

The API's own `shutdown_date` is asked first, and only it proves anything; this table fills the gap
for fine-tunes, whose own date may be absent, and works without a network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from fftdeploy.formats import document, keys
from fftdeploy.formats.document import Document
from fftdeploy.formats.keys import key
from fftdeploy.formats.kinds import DAY, LINE, MODEL, VERSION, by_name

VARIABLE = "FFTDEPLOY_SHUTDOWNS"
"""Names a newer table than the one that is bundled, outside of every checkout."""

OLD_DAYS = 30
"""From so many days on a table is called old."""
_BUNDLED = "shutdowns.toml"


@dataclass(frozen=True, slots=True)
class Retirement:
    """One row: when a model and its fine-tunes stop, and what is suggested instead."""

    itself: date | None = key("From which day it does not answer.", DAY, None, name="shuts_down")
    fine_tunes: date | None = key("From which day its fine-tunes do not.", DAY, None)
    replacement: str = key("The model that is named in its place.", MODEL, "")


def _check_row(doc: Document, path: document.Path, said: dict[str, Any]) -> None:
    if not {"itself", "fine_tunes"} & said.keys():
        raise doc.error(path, "a model without a day", "add shuts_down = 2027-01-14")


_ROW = keys.table(Retirement, check=_check_row)


@dataclass(frozen=True)
class ShutdownTable:
    """What a provider has announced by a day."""

    version: int = key("The version of this format.", VERSION)
    as_of: date = key("When it was last compared with its source.", DAY)
    source: str = key("Where it is from.", LINE)
    models: Mapping[str, Retirement] = key(
        "The rows, by model.",
        by_name(keys.table(Retirement, check=_check_row), "One model.", MODEL),
    )
    aliases: Mapping[str, str] = key(
        "Undated names and their snapshots.", by_name(MODEL, "Its snapshot.", MODEL), {}
    )

    @cached_property
    def dated(self) -> str:
        """What every screen calls it: a date and a replacement are an opinion of a day."""
        return f"table of {self.as_of}"

    @cached_property
    def names(self) -> frozenset[str]:
        """All models that it names."""
        replacements = {row.replacement for row in self.models.values()}
        return frozenset({*self.aliases, *self.models, *replacements} - {""})

    def age(self, today: date) -> str:
        """Say how old it is; "" where it is not old."""
        days = (today - self.as_of).days
        return f"the {self.dated} is {days} days old" if days > OLD_DAYS else ""


_TABLE = keys.table(ShutdownTable)


def parse(raw: bytes, source: str) -> ShutdownTable:
    """Read a table; ConfigError, located, where it says anything that is not understood."""
    doc = document.parse(raw, source)
    found: ShutdownTable = _TABLE.read(doc, (), doc.data)
    return found


@dataclass(frozen=True, slots=True)
class FineTune:
    """The parts of an `ft:` model ID."""

    base: str
    organisation: str
    suffix: str | None
    id: str
    step: int | None
    """The training step of a checkpoint; None for the final model."""


_given: list[ShutdownTable] = []  # at most one, for this process


def use(given: ShutdownTable | None) -> None:
    """Take a table that the user has given instead of the bundled one; None goes back to that."""
    _given[:] = [given] if given else []


def table() -> ShutdownTable:
    """Return the table that dates are looked up in."""
    return _given[0] if _given else _bundled()


@cache
def _bundled() -> ShutdownTable:
    return parse(Path(__file__).with_name(_BUNDLED).read_bytes(), _BUNDLED)


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
    return table().aliases.get(base, base)


def row_for(base: str) -> Retirement | None:
    """Return the table's row for a base model or its alias.

    A snapshot without a row of its own has its family's, `gpt-5-2025-08-07` that of `gpt-5`;
    a longer name never has a shorter one's: `gpt-4.1-nano` starts with `gpt-4`.
    """
    name, rows = resolve_alias(base), table().models
    if name in rows:
        return rows[name]
    snapshot = _SNAPSHOT.fullmatch(name)
    family = rows.get(snapshot[1]) if snapshot else None
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
        return row.fine_tunes, f"{table().dated} (fine-tunes)"
    return (row.itself, f"{table().dated} ({base})") if row.itself else None


def has_fine_tune_row(model: str) -> bool:
    """Whether the table dates fine-tunes of this fine-tune's base: then no base need be asked."""
    row = row_for(base_of(model)) if base_of(model) else None
    return row is not None and row.fine_tunes is not None


def replacement_for(model: str) -> str:
    """Return the model that the table names as a replacement; "" where it names none."""
    row = row_for(base_of(model) or model)
    return row.replacement if row else ""
