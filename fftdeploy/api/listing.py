"""Reads a host's list of models: what is in it, and which names in it are one model's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fftdeploy.api.answers import Answer
from fftdeploy.api.end_dates import deprecations, find_shutdown, moment
from fftdeploy.api.hosts import PROVE_MISSING, has_openais_dates
from fftdeploy.api.readiness import Shutdown
from fftdeploy.model_ids import retirement
from fftdeploy.model_ids.model_names import names_of, own_names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Listing:
    """One answer to the question for the list, read once."""

    answer: Answer
    is_list: bool
    """Whether it is a list at all, be there nothing in it."""
    models: Mapping[str, Mapping[str, Any]]
    """What it says of each model, by ID and, with other hosts than OpenAI, by alias."""
    own_names: Mapping[str, frozenset[str]]
    """Every name in it -> those that mean its model and no other."""

    def lacks(self, model: str) -> bool:
        """Whether it is a list in which no entry has the name."""
        return self.is_list and model not in self.own_names

    def known_as(self, model: str) -> frozenset[str]:
        """Return the names by which `model` may answer, as far as the list says."""
        return self.own_names.get(model, frozenset())

    def shows_project(self, model: str, project_models: frozenset[str]) -> bool:
        """Whether it shows that the key is of the project that `model` was in.

        Another fine-tune of the same organisation shows it, or another of `project_models`, which
        are those of the target's releases; a base model does not, since every key sees it.
        """
        organisation = retirement.organisation_of(model)
        for name in self.models:
            if name == model or not name.startswith("ft:"):
                continue
            is_same = organisation and retirement.organisation_of(name) == organisation
            if is_same or name in project_models:
                return True
        return False


def read_listing(answer: Answer) -> Listing:
    """Read a list of models.

    Entries that contradict each other about one ID are kept out: what it says is then unknown.  A
    host other than OpenAI may give a model further names, each of which is as good as an ID.
    """
    if answer.entries is None:
        return Listing(answer, False, {}, {})
    given: list[Mapping[str, Any]] = [one for one in answer.entries if isinstance(one, dict)]
    own = own_names(given)
    entries: dict[str, Mapping[str, Any]] = {}
    contradicted = set()
    for entry in given:
        name = entry.get("id")
        if isinstance(name, str) and entries.setdefault(name, entry) != entry:
            contradicted.add(name)
    models = {name: entry for name, entry in entries.items() if name not in contradicted}
    if answer.kind not in PROVE_MISSING:
        aliases = ((alias, entry) for entry in models.values() for alias in names_of(entry))
        named = {alias: {**entry, "id": alias} for alias, entry in aliases if own[alias]}
        models = named | models
    return Listing(answer, True, models, own)


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One model that the key can see."""

    id: str
    base: str
    created_at: datetime | None
    owned_by: str
    shutdown: Shutdown | None
    notices: tuple[str, ...]


def listed_model(name: str, listing: Listing, provider: str) -> ListedModel:
    """Read what the list of a provider has of a model and its base; nothing more is asked."""
    entry, base = listing.models[name], retirement.base_of(name)
    owner, by_table = entry.get("owned_by"), has_openais_dates(listing.answer.kind, provider)
    return ListedModel(
        id=name,
        base=base,
        created_at=moment(entry.get("created")),
        owned_by=owner if isinstance(owner, str) else "",
        shutdown=find_shutdown(name, entry, by_table, listing.models.get(base)),
        notices=tuple(deprecations(entry, {})),
    )
