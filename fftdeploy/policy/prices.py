"""`[prices]` of the policy: what tokens cost, as the team has read it from its provider.

Nothing here is guessed: a model that the table does not name has no price.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from fftdeploy.formats.document import Document, Path
from fftdeploy.formats.keys import Kind, key, table
from fftdeploy.formats.kinds import DAY, number
from fftdeploy.names import OPENAI

_USD = number("0 or more", wanted="a number of USD", minimum=0, exclusiveMaximum=1e6)
_UNIT = "USD per million tokens"


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens."""

    input: float = key(f"{_UNIT} of input.", _USD, hint=_UNIT)
    cached_input: float = key(
        "The same where the prompt is cached.", _USD, required=False, shown="`input`"
    )
    output: float = key(f"{_UNIT} of output.", _USD, hint=_UNIT)

    def usd(self, tokens_in: float, tokens_cached: float, tokens_out: float) -> float:
        """Return what tokens cost; `tokens_cached` are part of `tokens_in`."""
        fresh = tokens_in - tokens_cached
        cost = fresh * self.input + tokens_cached * self.cached_input + tokens_out * self.output
        return cost / 1_000_000


@dataclass(frozen=True, slots=True)
class RequestCost:
    """What a thousand requests of a model cost; of two the cheaper is less, no price is more."""

    usd_per_1k_requests: float | None
    """None without a price."""

    def __str__(self) -> str:
        return f"{self.usd_per_1k_requests:.2f}" if self.is_known else "no price"

    def __lt__(self, other: "RequestCost") -> bool:
        mine, its = self.usd_per_1k_requests, other.usd_per_1k_requests
        return mine is not None and (its is None or mine < its)

    @property
    def is_known(self) -> bool:
        """Tell whether there is a price."""
        return self.usd_per_1k_requests is not None


def _fill_cached(_: Document, __: Path, said: dict[str, Any]) -> None:
    said.setdefault("cached_input", said["input"])


@dataclass(frozen=True, slots=True)
class ModelPrice(Price):
    """A model's table: its prices, and those of a batch beside them."""

    batch: Price | None = key(
        "What a batch costs: a table of the same.",
        table(Price, f"a table {{ input, output }} in {_UNIT}", check=_fill_cached),
        None,
    )


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by `[PROVIDER=]MODEL`, and the day on which they were true."""

    on: date | None = None
    models: Mapping[str, Price] = field(default_factory=dict)
    batches: Mapping[str, Price] = field(default_factory=dict)
    """The same of a batch, for the models that have such a price."""

    def price(self, hosted: str, *, is_batch: bool = False) -> Price | None:
        """Return the price of `[PROVIDER=]MODEL`: its own, or for a fine-tune that of `ft:BASE`.

        A price that names no host is OpenAI's, and all others' until one has a price of its own.
        """
        provider, _, model = hosted.rpartition("=")
        names = [model, ":".join(model.split(":")[:2])] if model.startswith("ft:") else [model]
        own = [f"{provider or OPENAI}={name}" for name in names]
        told_apart = {key.rpartition("=")[2] for key in self.models if "=" in key}
        if provider in {"", OPENAI} or told_apart.isdisjoint(names):
            own += names
        name = next((name for name in own if name in self.models), "")
        return (self.batches if is_batch else self.models).get(name)


_PRICE = table(ModelPrice, f"a table {{ input, output }} in {_UNIT}", check=_fill_cached)


def _read(doc: Document, path: Path, value: Any) -> Prices:
    rows = doc.table(value, path)
    if type(rows.get("date")) is not date:
        hint = "add date = 2026-11-20: the day on which these prices were true"
        raise doc.error(path, "'prices' has no `date`", hint)
    priced = {
        key: _PRICE.read(doc, (*path, key), row) for key, row in rows.items() if key != "date"
    }
    models = {
        model: Price(row.input, row.cached_input, row.output) for model, row in priced.items()
    }
    batches = {model: row.batch for model, row in priced.items() if row.batch is not None}
    return Prices(rows["date"], models, batches)


_ON = "The day on which these prices were true."
_FOR = 'A model, or "ft:BASE" for its fine-tunes; behind "PROVIDER=" that at another host.'
PRICES = Kind(
    _read,
    {
        "type": "object",
        "properties": {"date": {**DAY.schema, "description": _ON}},
        "required": ["date"],
        "additionalProperties": {**_PRICE.schema, "description": _FOR},
    },
)
"""The table: `date`, and one table a model."""
