"""Makes evidence of a finished run, and finds what was said in the answers that it grades."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any

import fftdeploy
from fftdeploy.evaluation.arms import CANDIDATE, LIVE, AskedHost, label
from fftdeploy.evaluation.evidence.evidence import (
    JUDGED,
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
from fftdeploy.evaluation.examples.examples import ExampleSet
from fftdeploy.evaluation.gate.judge_facts import JudgeFacts
from fftdeploy.evaluation.results import MISSING, NOT_MEASURED, Results, tokens_of
from fftdeploy.evaluation.running import run_log
from fftdeploy.evaluation.running.log_lines import Header
from fftdeploy.evaluation.running.run import Run
from fftdeploy.files.folders import RUNS
from fftdeploy.formats import json_shapes
from fftdeploy.releases.deployments import Bundle

GradedOutputs = Mapping[str, Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A run whose answers are all there, and what it was made for."""

    bar: QualityBar
    run: Run
    baseline: Baseline
    live: Bundle | None
    """What the answers of the arm `live` are of; None without a baseline."""
    candidates: Sequence[Bundle]
    training: TrainingFacts | None
    log_name: str
    is_reusing: bool
    """Whether answers of earlier runs were taken, none of them older than `max_age`."""
    max_age: timedelta
    recorded_at: AskedHost | None = None
    """Whom the answers of `live` were asked of where they are from a record."""
    judge: JudgeFacts | None
    concurrency: int | None
    """How many requests were out at a time; None where not all were of this command."""

    def write_evidence(self) -> list[Stored]:
        """Judge every candidate, and write its evidence unless it is on record as it is.

        Raises:
            UnverifiedError: Too many answers are missing.
            DiskError: The disk refused.
        """
        return [self._write(candidate) for candidate in self.candidates]

    def _write(self, candidate: Bundle) -> Stored:
        bar, run, rules = self.bar, self.run, self.run.rules
        bundles = self._bundles(candidate)
        asked = self._hosts(bundles)
        host = asked[CANDIDATE]
        asked_as = CANDIDATE if len(self.candidates) == 1 else label(candidate)
        names = {name: asked_as if name == CANDIDATE else name for name in bundles}
        judged = bar.judged(candidate, bar.baseline)
        results = run.results.with_arms(names)
        counted = judged
        if judged.left_out:
            unseen = {*judged.left_out}.difference(results.broken(bar.shown(candidate)))
            results, counted = results.without(unseen), bar.examples.without(unseen)
        self._take_out_shown(results, bundles)
        shas = [sha for _, sha in judged.files]
        on_same = [
            stored
            for stored in bar.folder.of_task(bar.task)
            if [sha for _, sha in stored.evidence.examples.files] == shas
        ]
        tried = [one for one in on_same if one.evidence.candidate == candidate]
        evidence = Evidence(
            task=bar.task,
            target=bar.target,
            made_at=bar.now(),
            tool=f"fftdeploy {fftdeploy.__version__}",
            address=host.address,
            kind=host.kind,
            arms=bundles,
            answered_by={
                name: sorted(run.answered_by[asked])
                for name, asked in names.items()
                if asked in run.answered_by
            },
            baseline=self.baseline,
            examples=self._examples(judged, counted),
            graders=tuple(rule.content for rule in rules.graders),
            gate=rules.content,
            prices=_prices(bar, bundles),
            cache=self._cache(results),
            run=self.log_name,
            candidates=max([len(self.candidates), *(one.evidence.candidates for one in tried)]),
            attempt=_attempt(results, tried),
            used=len(on_same) + 1,
            results=results,
            verdict={},
            concurrency=self.concurrency,
            judge=self.judge,
            hosts={
                name: {"address": other.address, "kind": other.kind}
                for name, other in asked.items()
                if other != host
            },
            identities={name: one.identity for name, one in asked.items() if one.identity},
            left_out=judged.left_out,
        )
        verdict = recompute(evidence)
        evidence = replace(evidence, verdict=verdict.as_json())
        made = evidence.made_at
        counting = [one for one in tried if not too_old(one.evidence, rules.max_age, made)]
        return _as_before(evidence, counting) or bar.folder.write(evidence, verdict)

    def _bundles(self, candidate: Bundle) -> dict[str, Bundle]:
        """Name the arms of one candidate's evidence; the other candidates have their own."""
        live = {} if self.live is None else {LIVE: self.live}
        beside = {
            arm.name: arm.bundle
            for arm in self.run.arms.values()
            if arm.bundle not in self.candidates and arm.name != LIVE
        }
        return {CANDIDATE: candidate, **live, **beside}

    def _hosts(self, bundles: Mapping[str, Bundle]) -> dict[str, AskedHost]:
        """Return whom the arms were asked of."""
        asked = {name: self.bar.host(bundle) for name, bundle in bundles.items()}
        if self.recorded_at is not None:
            asked[LIVE] = self.recorded_at
        return asked

    def _take_out_shown(self, results: Results, bundles: Mapping[str, Bundle]) -> None:
        """Take from an arm that stands beside the two the answers that its own prompt shows."""
        for name in bundles.keys() - JUDGED:
            if shown := self.bar.shown(bundles[name]):
                kept = [example_id for example_id in results.ids if example_id not in shown]
                places = {*results.places(kept)}
                every = range(len(results.arms[name].marks))
                results.arms[name] = results.arms[name].at(
                    [n if n in places else None for n in every]
                )

    def _examples(self, judged: ExampleSet, counted: ExampleSet) -> ExamplesFacts:
        files = zip(self.run.rules.examples, (sha for _, sha in judged.files), strict=True)
        counts = len(counted), counted.reviewed, counted.duplicates
        return ExamplesFacts(judged.sha, tuple(files), *counts, self.training)

    def _cache(self, results: Results) -> CacheFacts:
        oldest, columns = self.run.oldest, results.arms.items()
        return {
            "reuse": self.is_reusing,
            "max_age_s": int(self.max_age.total_seconds()),
            "oldest": json_shapes.time_text(oldest) if oldest else None,
            "answers": {arm: column.latency_ms.count(NOT_MEASURED) for arm, column in columns},
        }


def _attempt(results: Results, tried: Sequence[Stored]) -> int:
    """Count how often the candidate was asked: answers that were known make no new attempt."""
    before = max((one.evidence.attempt for one in tried), default=0)
    latency = results.arms[CANDIDATE].latency_ms
    is_asked = latency.count(NOT_MEASURED) < len(latency)
    return before + 1 if is_asked or not tried else before


def _as_before(evidence: Evidence, tried: Sequence[Stored]) -> Stored | None:
    """Return evidence that says the same of the same answers, where none of them is new."""
    size = len(evidence.results) * evidence.results.repeats
    if any(count < size for count in evidence.cache["answers"].values()):
        return None
    return next((one for one in tried if _essence(one.evidence) == _essence(evidence)), None)


_ESSENCE = attrgetter(
    *("target", "address", "kind", "hosts", "identities", "arms", "baseline", "examples"),
    *("graders_sha", "gate_sha", "prices", "judge", "candidates"),
)


def _essence(evidence: Evidence) -> tuple[Any, ...]:
    """Return what makes evidence say what it says, apart from when and how often."""
    arms = evidence.results.arms.items()
    graded = {arm: (bytes(column.marks), column.failed) for arm, column in arms}
    return *_ESSENCE(evidence), evidence.results.repeats, graded


def _prices(bar: QualityBar, arms: Mapping[str, Bundle]) -> PricesFacts | None:
    prices = bar.workspace.policy.prices
    found = {bundle.hosted: prices.price(bundle.hosted) for bundle in arms.values()}
    models: dict[str, PriceFacts] = {
        model: {"input": price.input, "cached_input": price.cached_input, "output": price.output}
        for model, price in found.items()
        if price is not None
    }
    return {"on": f"{prices.on}", "models": models} if models else None


def graded_outputs(
    evidence: Evidence, root: Path, wanted: Collection[str] | None = None
) -> GradedOutputs:
    """Return what was said, by the example's id and the arm, one text a repeat.

    `wanted` are those examples; None for all.

    An example of an arm is left out where the log does not have each of the answers that were
    graded: it never shows another one.

    Raises:
        ConfigError: The log of the run is damaged.
        DiskError: It is not there any more.
    """
    path = root / RUNS / evidence.run
    header = run_log.read_header(path, root)
    results = evidence.results
    asked_as = dict(_arms(evidence, header)) if header is not None else {}
    places = {example_id: index for index, example_id in enumerate(results.ids)}
    texts: dict[tuple[str, str], dict[int, str]] = {}
    for record in run_log.read_records(path, root, wanted):
        arm, index = asked_as.get(record.arm), places.get(record.example)
        if arm is None or index is None or record.repeat >= results.repeats:
            continue
        sample = results.arms[arm].get(index * results.repeats + record.repeat)
        output = record.output
        # All that both say of it tells that it is the one that was graded.
        is_measured = not record.cached and output.mark != MISSING
        latency_ms = record.latency_ms if is_measured else NOT_MEASURED
        same = (latency_ms, *tokens_of(output)) == (sample.latency_ms, *tokens_of(sample))
        if same and output.mark in {"", sample.mark}:
            texts.setdefault((record.example, arm), {})[record.repeat] = output.text
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for (example_id, arm), said in texts.items():
        if len(said) == results.repeats:
            by_arm = found.setdefault(example_id, {})
            by_arm[arm] = tuple(said[repeat] for repeat in range(results.repeats))
    return found


def _arms(evidence: Evidence, header: Header) -> Iterator[tuple[str, str]]:
    """Yield the name of each arm in the log, and in evidence: `candidate` is one of several."""
    for name, bundle in evidence.arms.items():
        same = {arm for arm, asked in header.arms.items() if asked == asdict(bundle)}
        asked_as = next((arm for arm in (name, label(bundle), *sorted(same)) if arm in same), "")
        if asked_as and name in evidence.results.arms:
            yield asked_as, name
