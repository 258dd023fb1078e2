"""Calibrate: hold a task's model judge against the labels of people, and keep what comes of it."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from fftdeploy import __version__
from fftdeploy.commands.context import Context
from fftdeploy.commands.door import door
from fftdeploy.commands.evaluating.judging import JudgeAsking, ModelAsking, guess_of
from fftdeploy.commands.evaluating.narrator import Narrator
from fftdeploy.commands.evaluating.own_runs import require_own_runs
from fftdeploy.commands.options.asking import CalibrateOptions
from fftdeploy.errors import GATE, INCONCLUSIVE, OK, ConfigError, Outcome
from fftdeploy.evaluation.arms import JUDGE
from fftdeploy.evaluation.evidence.calibration import FAILED, PASSED, SILENT, JudgeCalibration
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.evaluation.gate.agreement import kappa, kappa_interval
from fftdeploy.evaluation.gate.judge_facts import MIN_LABELS, JudgeFacts, unfit
from fftdeploy.evaluation.graders.judge import Judge
from fftdeploy.evaluation.judging import labels
from fftdeploy.evaluation.judging.labels import Labelled
from fftdeploy.evaluation.judging.questions import JudgeQuestions, answered_by, verdicts
from fftdeploy.evaluation.results import NO_VERDICT, PASS, REJECTED
from fftdeploy.evaluation.running import run_log
from fftdeploy.evaluation.running.spending import Spending
from fftdeploy.names import plural
from fftdeploy.output.results import UNPRINTED
from fftdeploy.output.words import cost_words
from fftdeploy.policy.policy import FILE_NAME

_LETTERS = {PASS: PASSED, REJECTED: FAILED, NO_VERDICT: SILENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """How a judge's verdicts agree with the labels of people."""

    task: str
    judge: JudgeFacts
    kappa: float
    kappa_low: float
    """The 95 % interval of that; so is the next one."""
    kappa_high: float
    sensitivity: float
    specificity: float
    problem: str | None
    """Why it may not gate; null where it may."""
    outcome: Outcome = field(metadata=UNPRINTED)


def run(context: Context, options: CalibrateOptions) -> Calibrated:
    """Ask the judge of a task about outputs that people have labelled, and keep how it agrees.

    A judge that agrees too little is the outcome `gate`; where the labels are too few to say,
    `inconclusive`.

    Raises:
        ConfigError: The task has no judge, its labels are missing or damaged, or answers came
            with a commit.
        DiskError: The calibration or the log could not be written.
        NotReadyError: The judge can't be asked.
        PolicyError: The budget does not allow it; what was paid for is kept.
        UnverifiedError: The API gives no verdicts; those that came are kept.
    """
    target = options.task if "/" in options.task else f"{options.task}/"
    bar = context.quality_bar(context.workspace, target)
    judge = _judge(bar)
    labelled, sha, where = _labels(bar, judge, options.labels)
    require_own_runs(bar.workspace.folder, context.environ)
    options.require_ranges()
    told = Narrator(context)
    asking = JudgeAsking(ModelAsking(context, bar, options, run_log.MAX_AGE, told), judge)
    questions = JudgeQuestions(judge)
    places = [questions.add(one.output, one.example) for one in labelled]
    prices = bar.workspace.policy.prices
    means, models = guess_of(questions), {JUDGE: judge.bundle.hosted}
    spending = Spending(models, prices, options, means=means)
    cost = spending.estimate({JUDGE: len(questions)}, options.concurrency)
    told.tell(f"{plural(len(questions), 'labelled output')}: at most {cost_words(cost, prices.on)}")
    asking.prove()
    asked = asking.ask(questions, spending)
    marks = verdicts(asked)
    made = JudgeCalibration(
        task=bar.task,
        made_at=context.now(),
        tool=f"fftdeploy {__version__}",
        judge=judge.rules.content,
        address=asking.host.address,
        kind=asking.host.kind,
        answered_by=answered_by(asked),
        labels=where,
        labels_sha=sha,
        people="".join(PASSED if one.passes else FAILED for one in labelled),
        verdicts="".join(_LETTERS[marks[place]] for place in places),
    )
    return _calibrated(bar.calibrations.write(made), asking)


calibrate = door(run, CalibrateOptions)


def _judge(bar: QualityBar) -> Judge:
    if bar.grading.judge is None:
        raise ConfigError(
            f"task {bar.task!r} has no model judge",
            hint=f'add [[tasks.{bar.task}.gate.graders]] with type = "label_model"',
            where=FILE_NAME,
            code="no-judge",
        )
    return bar.grading.judge


def _labels(
    bar: QualityBar, judge: Judge, said: str | Path | None
) -> tuple[list[Labelled], str, str]:
    """Read the labels; return their hash and their path from the policy's folder, too."""
    folder = bar.workspace.folder
    usual = labels.path_of(bar.rules)
    named = Path(os.path.relpath(said, folder)).as_posix() if said else usual
    if named.startswith("../"):
        raise ConfigError(
            f"labels are kept with the policy, in {folder}, and {said} is not",
            hint=f"copy them to {usual}: a judge gates while they stay the same",
            code="labels",
        )
    path = folder / named
    if not path.exists():
        raise ConfigError(
            f"there are no labels: {named} is missing",
            hint="write it by hand: a line is an example with `output`, what a model has said, "
            f"`label`, what a person says of that ({', '.join(judge.known)}), and `reviewed_by`",
            where=named,
            code="no-labels",
        )
    return *labels.read_labels(path, named, bar.rules, judge, folder), named


def _calibrated(made: JudgeCalibration, asking: JudgeAsking) -> Calibrated:
    facts = replace(asking.facts(made.answered_by), calibration=made.facts)
    found, problem = made.facts.confusion, unfit(made.facts)
    low, high = kappa_interval(found)
    outcome = INCONCLUSIVE if found.n < MIN_LABELS else GATE
    return Calibrated(
        task=made.task,
        judge=facts,
        kappa=kappa(found),
        kappa_low=low,
        kappa_high=high,
        sensitivity=found.sensitivity,
        specificity=found.specificity,
        problem=problem or None,
        outcome=outcome if problem else OK,
    )
