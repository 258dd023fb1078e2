"""What the texts of an evaluation tell beside its verdict."""

from collections.abc import Iterable
from dataclasses import dataclass

from fftdeploy.evaluation.evidence.evidence import Evidence
from fftdeploy.evaluation.patterns.weak_spots import WeakSpots
from fftdeploy.evaluation.patterns.what_changed import Patterns, WhatChanged, by_marks
from fftdeploy.evaluation.results import ExampleText


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of an evaluation beside its verdict."""

    what_changed: WhatChanged
    weak_spots: tuple[str, ...]
    """What the examples could not have shown, each in a few words."""


def told_by(texts: Iterable[ExampleText], evidence: Evidence, gone: str = "") -> Told:
    """Read texts once; where they have no outputs, or none may be shown, `gone` says why."""
    patterns, spots = Patterns(evidence.results, evidence.graders), WeakSpots(evidence)
    for text in texts:
        patterns.add(text)
        spots.add(text)
    found = by_marks(evidence.results, gone) if gone else patterns.found()
    return Told(found, spots.found())
