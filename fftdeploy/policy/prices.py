"""`[prices]` of the policy: what tokens cost, as the team has read it from its provider.  Pure.

Nothing here is guessed: a model that the table does not name has no price.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from fftdeploy.formats.document import Document

_KEYS = ("input", "cached_input", "output")


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens."""

    input: float
    cached_input: float
    output: float

    def usd(self, tokens_in: float, tokens_cached: float, tokens_out: float) -> float:
        """Return what tokens cost; `tokens_cached` are part of `tokens_in`."""
        fresh = tokens_in - tokens_cached
        cost = fresh * self.input + tokens_cached * self.cached_input + tokens_out * self.output
        return cost / 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by model, and the day on which they were true."""

    on: date | None = None
    models: Mapping[str, Price] = field(default_factory=dict)

    def price(self, model: str) -> Price | None:
        """Return the price of `model`: its own, or for a fine-tune that of `ft:BASE`."""
        if model in self.models:
            return self.models[model]
        base = ":".join(model.split(":")[:2])
        return self.models.get(base) if model.startswith("ft:") else None


def parse_prices(doc: Document, value: Any) -> Prices:
    """Read the table `[prices]`: `date`, and one table a model.

    Raises:
        ConfigError: Located; a price is missing or below 0, or there is no date.
    """
    table = doc.table(value, ("prices",))
    if type(table.get("date")) is not date:
        hint = "add date = 2026-11-20: the day on which these prices were true"
        raise doc.error(("prices",), "'prices' has no `date`", hint)
    models = {key: _price(doc, key, row) for key, row in table.items() if key != "date"}
    return Prices(table["date"], models)


def _price(doc: Document, model: str, value: Any) -> Price:
    path = ("prices", model)
    table = doc.table(value, path, "a table { input, output } in USD per million tokens")
    doc.closed(table, path, _KEYS)
    numbers = dict(table)
    for key in ("input", "output"):
        if key not in numbers:
            raise doc.error(path, f"{key!r} is missing", "USD per million tokens")
    numbers.setdefault("cached_input", numbers["input"])
    for key, number in numbers.items():
        if type(number) not in {int, float}:
            raise doc.wrong_type((*path, key), number, "a number of USD")
        if not 0 <= number < 1e6:
            raise doc.error((*path, key), f"{key!r} must be 0 or more")
    return Price(*(float(numbers[key]) for key in _KEYS))
