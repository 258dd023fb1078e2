"""Ranks the successors of a model that is to be replaced."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import TypeVar

from fftdeploy.policy.prices import RequestCost

_Name = TypeVar("_Name")


@dataclass(frozen=True, slots=True)
class Score:
    """What an evaluation found out about one successor."""

    is_good_enough: bool
    """Whether it met the quality bar: with the usual one, that it is not worse than live."""
    cost: RequestCost
    p95_ms: int | None
    """None where no latency was measured."""
    lower: float
    """Lower bound of the difference to live, a share of the examples."""


def ranked(scores: Mapping[_Name, Score]) -> list[_Name]:
    """Return those that are good enough, the one to take first.

    That is the cheapest, then the quickest; an unknown price or latency comes last, and of
    equals the one that was named first.
    """

    def by_cost(name: _Name) -> tuple[RequestCost, float]:
        score = scores[name]
        return (score.cost, inf if score.p95_ms is None else score.p95_ms)

    return sorted((name for name, score in scores.items() if score.is_good_enough), key=by_cost)


def closest(scores: Mapping[_Name, Score]) -> _Name:
    """Return the one that lacks least to be good enough, by how much worse it could be."""
    return max(scores, key=lambda name: scores[name].lower)
