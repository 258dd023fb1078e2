"""A canary and what is live, by the requests that each has answered since the canary began.

Whoever asks with a key of the canary's part is answered by it, and not by choice, so that the two
are alike but for the model.  The interval of the difference stays valid while people look daily.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from fftdeploy.evaluation.examples.production import ProductionRequest
from fftdeploy.evaluation.examples.served import Served
from fftdeploy.evaluation.graders.form import AnswerForm
from fftdeploy.monitoring.sequences import difference_sequence
from fftdeploy.releases.deployments import Bundle, Release, Target

_UNUSABLE = frozenset({"refused", "filtered", "truncated", "empty"})


@dataclass(slots=True)
class AnsweredArm:
    """The requests that one of the two has answered."""

    model: str
    requests: int = 0
    failed: int = 0
    """Refused, cut off, empty, or not of the form that the task's graders ask for."""

    @property
    def rate(self) -> float:
        """The share that failed; 0 of none."""
        return self.failed / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryTrial:
    """What is known of a canary from a log."""

    weight: int
    since: datetime
    """When it first got a part of the keys."""
    live: AnsweredArm
    canary: AnsweredArm
    lower: float
    """The least that the canary fails more often by, as a share of requests."""
    upper: float

    @property
    def is_worse(self) -> bool:
        """Whether the canary is shown to fail more often."""
        return self.lower > 0


class TrialCounter:
    """Counts the requests of both as a log is read."""

    def __init__(self, target: Target, row: Release, form: AnswerForm) -> None:
        """Take the canary of a target, which `row` says that it runs."""
        self._row, self._form = row, form
        rows = list(_rows_of(target, row.bundle))
        self.since, self._numbers = rows[-1].at, {str(one.n) for one in rows}
        self._live_number = str(target.newest.n) if target.newest else ""
        self._tells_models = target.model != row.bundle.model
        self.live, self.canary = AnsweredArm(target.model), AnsweredArm(row.bundle.model)

    def add(self, request: ProductionRequest) -> None:
        """Count a request of this target that one of the two has answered, and no other."""
        arm = self._arm(request.served)
        if arm is None or not (request.output or request.mark):
            return
        schema = request.content.get("response_schema")
        failed = request.mark in _UNUSABLE or not self._form.is_valid(request.output, schema)
        arm.requests += 1
        arm.failed += failed

    def result(self) -> CanaryTrial:
        """Return what the requests so far say."""
        live, canary = self.live, self.canary
        found = difference_sequence((live.failed, canary.failed), (live.requests, canary.requests))
        return CanaryTrial(
            weight=self._row.canary or 0,
            since=self.since,
            live=live,
            canary=canary,
            lower=found.lower,
            upper=found.upper,
        )

    def _arm(self, served: Served) -> AnsweredArm | None:
        if served.at is not None and served.at < self.since.timestamp():
            return None
        if served.release:
            arms = {self._live_number: self.live, **dict.fromkeys(self._numbers, self.canary)}
            return arms.get(served.release)
        if not self._tells_models:  # the same model with another prompt: the log does not say
            return None
        named = served.model.rpartition("/")[2]
        return next((arm for arm in (self.canary, self.live) if arm.model == named), None)


def _rows_of(target: Target, tried: Bundle) -> Iterator[Release]:
    """Yield the steps of the canary that runs, newest first."""
    for row in target.releases:
        if row.canary is not None:
            if row.bundle != tried:
                return
            yield row
        elif row.bundle == tried:  # it was live since
            return
