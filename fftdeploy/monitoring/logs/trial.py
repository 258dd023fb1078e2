"""A canary and what is live, by those whom each has answered, or failed, since the canary began.

Whose key is of the canary's part is answered by it, and not by choice, so that the callers of both
are alike but for the model.  One caller's requests are not: each caller counts once of each of the
two, from each of the starts.  The interval of the difference stays valid while people look daily.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from fftdeploy.evaluation.examples.production import ABANDONED, ProductionRequest, Served
from fftdeploy.evaluation.gate.statistics import difference_sequence
from fftdeploy.evaluation.graders.form import AnswerForm
from fftdeploy.monitoring.logs.starts import Starts
from fftdeploy.releases.deployments import Release, Target

_UNUSABLE = frozenset({"refused", "filtered", "truncated", "empty"})


@dataclass(slots=True)
class AnsweredArm:
    """Who has asked one of the two: each caller once, by the first request since then."""

    model: str
    callers: int = 0
    """Requests instead where the log names no callers."""
    failed: int = 0
    """By an error, or refused, cut off, empty, or not of the form that the graders ask for."""

    @property
    def rate(self) -> float:
        """The share that failed; 0 of none."""
        return self.failed / self.callers if self.callers else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryTrial:
    """What is known of a canary from a log."""

    weight: int
    began: datetime
    """When it first got a part of the keys."""
    since: datetime
    """The start that callers are counted from: that which shows it worse, else when it began."""
    live: AnsweredArm
    canary: AnsweredArm
    names_callers: bool
    """Whether the log says who has called: the requests of one caller are alike, so that without
    it nothing is settled, however many they are."""
    lower: float
    """The least that the canary fails more often by, as a share."""
    upper: float

    @property
    def is_worse(self) -> bool:
        """Whether the canary is shown to fail more often."""
        return self.names_callers and self.lower > 0


class TrialCounter:
    """Counts those who have asked either as a log is read.

    A call that failed is a failure whatever the error: trouble of a host, or a request that none
    would take, comes to both alike.  One that the caller gave up says nothing of the model.
    """

    def __init__(self, target: Target, row: Release, form: AnswerForm) -> None:
        """Take the canary of a target, which `row` says that it runs."""
        self._row, self._form = row, form
        rows = list(_rows_of(target, row))
        self._began, self._numbers = rows[-1].at, {str(one.n) for one in rows}
        self._live_number = str(target.newest.n) if target.newest else ""
        self._tells_models = target.model != row.bundle.model
        self._all = (AnsweredArm(target.model), AnsweredArm(row.bundle.model))
        self._starts = Starts(self._began)

    def add(self, request: ProductionRequest) -> bool:
        """Count a request of this target that one of the two was asked; True: the canary."""
        place, served = self._arm(request.served), request.served
        has_failed = request.error not in {"", ABANDONED}
        if place is None or not (request.output or request.mark or has_failed):
            return False
        schema = request.content.get("response_schema")
        failed = request.mark in _UNUSABLE or not self._form.is_valid(request.output, schema)
        arm = self._all[place]
        arm.callers += 1
        arm.failed += failed
        if served.caller:
            # What is live answers all until the canary's line is merged and has reached them.
            self._starts.add(place, served.caller, served.at, failed=failed)
        return place == 1

    def result(self) -> CanaryTrial:
        """Return what the requests so far say."""
        arms, since = self._all, self._began
        if self._starts.names_callers:
            found, interval = self._starts.worst()
            since = found.since
            counts = zip(arms, found.n, found.failed, strict=True)
            live, canary = (AnsweredArm(arm.model, n, failed) for arm, n, failed in counts)
        else:
            live, canary = arms
            failed = live.failed, canary.failed
            interval = difference_sequence(failed, (live.callers, canary.callers))
        return CanaryTrial(
            weight=self._row.canary or 0,
            began=self._began,
            since=since,
            live=live,
            canary=canary,
            names_callers=self._starts.names_callers,
            lower=interval.lower,
            upper=interval.upper,
        )

    def _arm(self, served: Served) -> int | None:
        """Return 0 for what is live, 1 for the canary, None for a request of neither."""
        if served.at is not None and served.at < self._began.timestamp():
            return None
        if served.release:
            arms = {self._live_number: 0, **dict.fromkeys(self._numbers, 1)}
            return arms.get(served.release)
        if not self._tells_models:  # the same model with another prompt: the log does not say
            return None
        models = [arm.model for arm in self._all]
        named = served.model.rpartition("/")[2]
        return models.index(named) if named in models else None


def _rows_of(target: Target, newest: Release) -> Iterator[Release]:
    """Yield the steps of the canary that runs, newest first, since it last began.

    It began anew where something else was made live since, or where it was on hold.
    """
    tried = newest.bundle
    same = (tried.model, tried.provider)
    ended = [hold.since for hold in target.holds if (hold.model, hold.provider) == same]
    yield newest
    for row in target.releases[target.place(newest.n) + 1 :]:
        is_step = row.canary is not None and row.bundle == tried
        if not is_step or any(row.at <= end for end in ended):
            return
        yield row
