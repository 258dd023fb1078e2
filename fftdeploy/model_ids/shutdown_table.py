"""A table of the days on which models stop answering: a TOML file with its date and source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from fftdeploy.formats import document, keys
from fftdeploy.formats.document import Document
from fftdeploy.formats.keys import key
from fftdeploy.formats.kinds import DAY, LINE, MODEL, VERSION

OLD_DAYS = 30
"""From so many days on a table is called old."""


@dataclass(frozen=True, slots=True)
class Retirement:
    """One row: when a model and its fine-tunes stop, and what is suggested instead."""

    itself: date | None = key("From which day it does not answer.", DAY, None, name="shuts_down")
    fine_tunes: date | None = key("From which day its fine-tunes do not.", DAY, None)
    replacement: str = key("The model that is named in its place.", MODEL, "")


def _check_row(doc: Document, path: document.Path, said: dict[str, Any]) -> None:
    if not {"itself", "fine_tunes"} & said.keys():
        raise doc.error(path, "a model without a day", "add shuts_down = 2027-01-14")


def _by_model(each: keys.Kind) -> keys.Kind:
    def read(doc: Document, path: document.Path, value: Any) -> dict[str, Any]:
        rows = {}
        for model, row in doc.table(value, path).items():
            MODEL.read(doc, (*path, model), model)
            rows[model] = each.read(doc, (*path, model), row)
        return rows

    return keys.Kind(read, {"type": "object", "additionalProperties": each.schema})


@dataclass(frozen=True)
class ShutdownTable:
    """What a provider has announced by a day."""

    version: int = key("The version of this format.", VERSION)
    as_of: date = key("When it was last compared with its source.", DAY)
    source: str = key("Where it is from.", LINE)
    models: Mapping[str, Retirement] = key(
        "The rows, by model.", _by_model(keys.table(Retirement, check=_check_row))
    )
    aliases: Mapping[str, str] = key("Undated names and their snapshots.", _by_model(MODEL), {})

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
