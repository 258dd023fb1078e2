"""The models that a key can see, as a list has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fftdeploy.api import jobs
from fftdeploy.api.answers import Answer
from fftdeploy.api.end_dates import deprecations
from fftdeploy.api.readiness import ModelFacts, Shutdown, find_shutdown
from fftdeploy.model_ids import retirement

if TYPE_CHECKING:
    from datetime import datetime

    from fftdeploy.api.listing import Listing


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One model that the key can see."""

    id: str
    base: str
    created_at: datetime | None
    owned_by: str
    shutdown: Shutdown | None
    notices: tuple[str, ...]


def listed_model(name: str, listing: Listing) -> ListedModel:
    """Read what a list has of a model and of its base; nothing more is asked."""
    entry, base = listing.models[name], retirement.base_of(name)
    answer = Answer(200, body=dict(listing.models[base])) if base in listing.models else None
    facts = ModelFacts(name, listed=entry, base=answer)
    owner = entry.get("owned_by")
    return ListedModel(
        id=name,
        base=base,
        created_at=jobs.moment(entry.get("created")),
        owned_by=owner if isinstance(owner, str) else "",
        shutdown=find_shutdown(facts, entry, listing.answer.kind),
        notices=tuple(deprecations(entry, {})),
    )
