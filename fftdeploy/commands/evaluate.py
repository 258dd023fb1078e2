"""Eval: what was found out about each candidate, and what else is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fftdeploy.commands.context import Context
from fftdeploy.commands.door import door
from fftdeploy.commands.evaluating.candidates import NamedCandidates
from fftdeploy.commands.evaluating.evaluation import Evaluation
from fftdeploy.commands.evaluating.graded_texts import told_of
from fftdeploy.commands.options.asking import EvaluateOptions
from fftdeploy.commands.options.declared import several
from fftdeploy.commands.views import EvidenceID, TargetName
from fftdeploy.errors import GATE, INCONCLUSIVE, OK, Outcome
from fftdeploy.evaluation.arms import CANDIDATE
from fftdeploy.evaluation.evidence.evidence import Evidence
from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder, Stored, recompute
from fftdeploy.evaluation.gate import judge_facts
from fftdeploy.evaluation.gate.gate import Best
from fftdeploy.evaluation.gate.judge_facts import JudgedRate, JudgeFacts
from fftdeploy.evaluation.patterns.told import Told
from fftdeploy.evaluation.results import PASS
from fftdeploy.evaluation.verdict import Verdict
from fftdeploy.names import FLAT
from fftdeploy.output.page.tables import changes
from fftdeploy.output.results import OMITTED, UNPRINTED
from fftdeploy.releases.deployments import Hold

_BY_GRAVITY = (OK, INCONCLUSIVE, GATE)


@dataclass(frozen=True, slots=True)
class Judging:
    """The model judge of an evaluation, and how it passes answers."""

    facts: JudgeFacts = field(metadata=FLAT)
    rates: tuple[JudgedRate, ...]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The evaluation of one candidate."""

    evidence: EvidenceID
    candidate: str
    profile: str | None
    baseline: Literal["fresh", "recorded", "none"]
    attempt: int
    verdict: Verdict
    changes: Mapping[str, Mapping[str, float]]
    """By how much its means differ from those of another model, as shares of those."""
    judge: Judging | None = field(metadata=OMITTED)
    """The model judge among the graders, with its rates; left out where there is none."""
    told: Told = field(metadata=FLAT)
    stored: Stored = field(metadata=UNPRINTED)
    creep: tuple[str, ...] = field(metadata=UNPRINTED)
    """How it stands beside the best that ever passed on these examples, where that is better."""
    hold: Hold | None = field(metadata=UNPRINTED)
    """The hold that keeps it from being promoted, whatever the verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunEvaluation:
    """What is known of an evaluation before anything is asked."""

    target: TargetName
    batches: tuple[str, ...] = ()
    """IDs of the batches that are under way at the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluations(BegunEvaluation):
    """What was found out about each candidate; the gravest verdict is the outcome."""

    evaluations: tuple[Evaluated, ...]
    outcome: Outcome = field(metadata=UNPRINTED)


def run(context: Context, options: EvaluateOptions) -> Evaluations:
    """Compare candidates with what is live, on the reviewed examples, and keep the evidence.

    Raises:
        UsageError: Nothing says what a candidate is, or a limit is none.
        ConfigError: Examples, graders, prices or profiles are not usable.
        ConflictError: The same evaluation is running.
        DiskError: The evidence or the log could not be written.
        GateError: The examples can't pass whatever is answered.
        InconclusiveError: There are too few.
        NotReadyError: A model can't be asked.
        PolicyError: The budget does not allow it; what was paid for is kept.
        UnverifiedError: Too many answers are missing; those that came are kept.
    """
    target = context.workspace.deployments.full_name(options.target)
    context.known = BegunEvaluation(target=target)
    evaluation = Evaluation(context, context.workspace, target, options)
    named = NamedCandidates(context, evaluation.bar, evaluation.foresee)
    candidates = named.of(several(options.candidates))
    try:
        made = evaluation.run(candidates)
    finally:
        context.known = BegunEvaluation(target=target, batches=evaluation.under_way)
    return Evaluations(
        target=target,
        evaluations=tuple(evaluated(context, evaluation, stored) for stored in made),
        outcome=max(map(_outcome, made), key=_BY_GRAVITY.index),
    )


evaluate = door(run, EvaluateOptions)


def evaluated(context: Context, evaluation: Evaluation, stored: Stored) -> Evaluated:
    """Return what a run of `evaluation` found out about one candidate, and what else is known."""
    evidence, judge = stored.evidence, stored.evidence.judge
    target = context.workspace.deployments.find(evaluation.bar.target)
    return Evaluated(
        evidence=stored.id,
        candidate=evidence.candidate.model,
        profile=evidence.candidate.profile,
        baseline=evidence.baseline.how,
        attempt=evidence.attempt,
        verdict=stored.verdict,
        changes=changes(stored.verdict),
        judge=Judging(judge, judge_facts.rates(judge, evidence.results)) if judge else None,
        told=told_of(context, evidence, evaluation.bar),
        stored=stored,
        creep=_creep(evaluation.bar.folder, evidence),
        hold=target.hold_on(evidence.candidate, context.now()) if target else None,
    )


def _creep(folder: EvidenceFolder, mine: Evidence) -> tuple[str, ...]:
    if mine.is_record:
        return ()

    def has_passed(other: Evidence) -> bool:
        is_same = other.examples.sha == mine.examples.sha
        is_same = is_same and other.results.repeats == mine.results.repeats
        return is_same and other.ruling == "pass" and other.candidate != mine.candidate

    past = [one.evidence for one in folder.of_task(mine.task, has_passed)]
    if not past:
        return ()
    best = max(past, key=lambda one: one.results.arms[CANDIDATE].count(PASS))
    found = recompute(mine, Best(str(best.candidate), best.results.arms[CANDIDATE])).reasons
    return tuple(reason.message for reason in found if reason.code == "creep")


def _outcome(stored: Stored) -> Outcome:
    if stored.evidence.lets_through:
        return OK
    return GATE if stored.verdict.ruling == "fail" else INCONCLUSIVE
