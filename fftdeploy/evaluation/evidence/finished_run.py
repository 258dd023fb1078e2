"""Makes evidence of a finished run, one piece for each candidate."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import fftdeploy
from fftdeploy.evaluation.arms import CANDIDATE, LIVE, Arm, label
from fftdeploy.evaluation.evidence.evidence import (
    Baseline,
    CacheFacts,
    Evidence,
    ExamplesFacts,
    PriceFacts,
    PricesFacts,
    TrainingFacts,
)
from fftdeploy.evaluation.evidence.evidence_folder import Stored, recompute, too_old
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.evaluation.results import NOT_MEASURED, Results
from fftdeploy.formats import json_shapes
from fftdeploy.policy.gate_rules import GateRules
from fftdeploy.releases.deployments import Bundle


@dataclass(frozen=True, slots=True)
class Reuse:
    """What answers of earlier runs a run has taken."""

    allowed: bool
    max_age: timedelta
    oldest: datetime | None
    """When the oldest answer was given, of this run or of an earlier one."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run whose answers are all there."""

    results: Results
    arms: Sequence[Arm]
    baseline: Baseline
    live: Bundle | None
    """What the answers of the arm `live` are of; None without a baseline."""
    candidates: Sequence[Bundle]
    training: TrainingFacts | None
    answered_by: Mapping[str, Collection[str]]
    log_name: str
    reuse: Reuse
    concurrency: int | None
    """How many requests were out at a time; None where not all were of this command."""


def write_evidence(
    bar: QualityBar, rules: GateRules, address: str, run: FinishedRun
) -> list[Stored]:
    """Judge every candidate of `run`, and write its evidence unless it is on record as it is.

    Raises:
        UnverifiedError: Too many answers are missing.
        DiskError: The disk refused.
    """
    return [_of_candidate(bar, rules, address, run, candidate) for candidate in run.candidates]


def _of_candidate(
    bar: QualityBar, rules: GateRules, address: str, run: FinishedRun, candidate: Bundle
) -> Stored:
    bundles = _bundles(run, candidate)
    asked_as = CANDIDATE if len(run.candidates) == 1 else label(candidate)
    names = {name: asked_as if name == CANDIDATE else name for name in bundles}
    results = run.results.with_arms(names)
    sha = bar.examples.sha
    on_same = [*bar.folder.of_task(bar.task, lambda evidence: evidence.examples.sha == sha)]
    tried = [one for one in on_same if one.evidence.candidate == candidate]
    evidence = Evidence(
        task=bar.task,
        target=bar.target,
        made_at=bar.now(),
        tool=f"fftdeploy {fftdeploy.__version__}",
        address=address,
        kind=bar.host().kind,
        arms=bundles,
        answered_by={
            name: sorted(run.answered_by[asked])
            for name, asked in names.items()
            if asked in run.answered_by
        },
        baseline=run.baseline,
        examples=_examples_facts(bar, rules, run.training),
        graders=tuple(rule.content for rule in rules.graders),
        gate=rules.content,
        prices=_prices(bar, bundles),
        cache=_cache(results, run.reuse),
        run=run.log_name,
        candidates=max([len(run.candidates), *(one.evidence.candidates for one in tried)]),
        attempt=_attempt(results, tried),
        used=len(on_same) + 1,
        results=results,
        verdict={},
        concurrency=run.concurrency,
    )
    verdict = recompute(evidence)
    evidence = replace(evidence, verdict=verdict.as_json())
    counting = [one for one in tried if not too_old(one.evidence, rules.max_age, evidence.made_at)]
    return _as_before(evidence, counting) or bar.folder.write(evidence, verdict)


def _attempt(results: Results, tried: Sequence[Stored]) -> int:
    """Count how often the candidate was asked: answers that were known make no new attempt."""
    before = max((one.evidence.attempt for one in tried), default=0)
    latency = results.arms[CANDIDATE].latency_ms
    is_asked = latency.count(NOT_MEASURED) < len(latency)
    return before + 1 if is_asked or not tried else before


def _bundles(run: FinishedRun, candidate: Bundle) -> dict[str, Bundle]:
    """Name the arms of one candidate's evidence; the other candidates have their own."""
    bundles = {CANDIDATE: candidate}
    if run.live is not None:
        bundles[LIVE] = run.live
    for arm in run.arms:
        if arm.bundle not in run.candidates and arm.name != LIVE:
            bundles[arm.name] = arm.bundle
    return bundles


def _as_before(evidence: Evidence, tried: Sequence[Stored]) -> Stored | None:
    """Return evidence that says the same of the same answers, where none of them is new."""
    size = len(evidence.results) * evidence.results.repeats
    if any(count < size for count in evidence.cache["answers"].values()):
        return None
    return next((one for one in tried if _essence(one.evidence) == _essence(evidence)), None)


def _essence(evidence: Evidence) -> tuple[Any, ...]:
    """Return what makes evidence say what it says, apart from when and how often."""
    results = evidence.results
    return (
        evidence.target,
        evidence.kind,
        evidence.arms,
        evidence.baseline,
        evidence.examples,
        evidence.graders_sha,
        evidence.gate_sha,
        evidence.prices,
        evidence.candidates,
        results.repeats,
        {arm: (bytes(column.marks), column.failed) for arm, column in results.arms.items()},
    )


def _examples_facts(
    bar: QualityBar, rules: GateRules, training: TrainingFacts | None
) -> ExamplesFacts:
    examples = bar.examples
    shas = [sha for _, sha in examples.files]
    return ExamplesFacts(
        examples.sha,
        tuple(zip(rules.examples, shas, strict=True)),
        len(examples),
        examples.reviewed,
        examples.duplicates,
        training,
    )


def _prices(bar: QualityBar, arms: Mapping[str, Bundle]) -> PricesFacts | None:
    prices = bar.workspace.policy.prices
    found = {bundle.model: prices.price(bundle.model) for bundle in arms.values()}
    models: dict[str, PriceFacts] = {
        model: {"input": price.input, "cached_input": price.cached_input, "output": price.output}
        for model, price in found.items()
        if price is not None
    }
    return {"on": f"{prices.on}", "models": models} if models else None


def _cache(results: Results, reuse: Reuse) -> CacheFacts:
    return {
        "reuse": reuse.allowed,
        "max_age_s": int(reuse.max_age.total_seconds()),
        "oldest": json_shapes.time_text(reuse.oldest) if reuse.oldest else None,
        "answers": {
            arm: column.latency_ms.count(NOT_MEASURED) for arm, column in results.arms.items()
        },
    }
