"""Reads what each side of a comparison is from files, never from the API."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from fftdeploy.api.end_dates import find_shutdown
from fftdeploy.api.hosts import OPENAI
from fftdeploy.commands.inspecting.compared import (
    ComparedSide,
    MeasuredSide,
    Named,
    Sides,
    Together,
)
from fftdeploy.commands.views import ShutdownView, WayBack
from fftdeploy.errors import FftdeployError
from fftdeploy.model_ids.retirement import parse_fine_tune
from fftdeploy.planning import bundles
from fftdeploy.planning.rollback import rollback_candidates
from fftdeploy.policy.prices import Prices
from fftdeploy.releases.deployments import Target
from fftdeploy.workspace import Workspace

if TYPE_CHECKING:  # what was never evaluated pays for none of it
    from fftdeploy.evaluation.evidence.evidence import Evidence
    from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder, Stored


class ComparedFiles:
    """The files of one side: the working tree's, or a ref's."""

    def __init__(self, workspace: Workspace, prices: Prices, now: datetime) -> None:
        self.workspace = workspace
        self.prices = prices
        self.now = now

    def side(self, target: Target | None) -> ComparedSide | None:
        """Return what the files say of `target`, without its evidence; None where there is none.

        Raises:
            ConfigError: A profile is not valid.
        """
        if target is None:
            return None
        live = bundles.live_bundle(target, self.workspace.sha)
        profile = self.workspace.profile(live.profile) if live.profile else None
        candidates = rollback_candidates(target, self.workspace.sha, self.now)
        back = next((one for one in candidates if one.is_open), None)
        shutdown = find_shutdown(live.model, None, live.provider == OPENAI)
        return ComparedSide(
            target=str(target),
            live=live,
            tuned=parse_fine_tune(live.model),
            job=self._jobs.get(live.model),
            recorded=bundles.is_recorded(target, live),
            release=target.newest,
            hold=target.hold_on(live, self.now),
            price=self.prices.price(live.hosted),
            shutdown=ShutdownView.of(shutdown, self.now.date()),
            rollback=WayBack.of(back) if back else None,
            written=target,
            content=profile.content if profile else {},
        )

    @cached_property
    def folder(self) -> "EvidenceFolder":
        """The evidence beside the file."""
        from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder

        return EvidenceFolder(self.workspace.folder)

    @cached_property
    def _jobs(self) -> dict[str, str]:
        """The job of each model that some release names one for: that is the model's for good."""
        releases = (
            r for target in self.workspace.deployments.targets.values() for r in target.releases
        )
        return {release.bundle.model: release.job for release in releases if release.job}


def evidence_named(side: ComparedSide | None) -> str:
    """Return the evidence that let the live bundle through, by the newest release that has it."""
    releases = side.written.releases if side else ()
    named = (r.evidence for r in releases if side and r.bundle == side.live and r.evidence)
    return next(named, "")


def with_evidence(
    sides: Sides, before: ComparedFiles, after: ComparedFiles
) -> tuple[Sides, Together | None]:
    """Return both sides with what evidence says of them.

    An evaluation that asked both bundles the same examples is worth more than one for each: it
    is looked for in what the releases name, and where both sides are of one folder in all of it.
    """
    old, old_stored = _named(sides[0], before)
    new, new_stored = _named(sides[1], after)
    if old and new and old.live != new.live:
        for stored in _stored(old, new, [new_stored, old_stored], before, after):
            said = stored.verdict.ruling, stored.verdict.headline
            together = Together(stored.id, stored.evidence.candidate, *said)
            return (_measured(old, stored), _measured(new, stored)), together
    old = _measured(old, old_stored) if old else None
    new = _measured(new, new_stored) if new else None
    return (old, new), None


def _stored(
    old: ComparedSide,
    new: ComparedSide,
    named: "list[Stored | None]",
    before: ComparedFiles,
    after: ComparedFiles,
) -> "Iterator[Stored]":
    """Yield evidence that asked both bundles."""

    def is_of_both(evidence: "Evidence") -> bool:
        return {old.live, new.live} <= set(evidence.arms.values())

    yield from (stored for stored in named if stored is not None and is_of_both(stored.evidence))
    if before is after:
        yield from before.folder.of_task(old.written.task, is_of_both)


def _named(
    side: ComparedSide | None, source: ComparedFiles
) -> "tuple[ComparedSide | None, Stored | None]":
    """Return the side with the evidence that it names, and that evidence where it can be read."""
    evidence = evidence_named(side)
    if side is None or not evidence:
        return side, None
    try:
        stored = source.folder.read(source.folder.path_of(evidence, side.written.task))
    except FftdeployError as error:
        wrong = "there is no such file" if error.code == "missing" else error.message
        return replace(side, evidence=Named(evidence, problem=wrong)), None
    is_about = stored.evidence.candidate == side.live
    ruling = stored.verdict.ruling if is_about else "about another candidate"
    return replace(side, evidence=Named(evidence, ruling)), stored


def _measured(side: ComparedSide, stored: "Stored | None") -> ComparedSide:
    if stored is None:
        return side
    arms = stored.evidence.arms
    arm = next((arm for arm in stored.verdict.arms if arms[arm.arm] == side.live), None)
    if arm is None:
        return side
    measured = MeasuredSide(
        evidence=stored.id,
        n=arm.n,
        passed=arm.passed,
        rate=arm.rate,
        low=arm.low,
        high=arm.high,
        p95_latency_ms=arm.p95_latency_ms,
        cost=arm.cost,
        examples_sha=stored.evidence.examples.sha,
    )
    return replace(side, measured=measured)
