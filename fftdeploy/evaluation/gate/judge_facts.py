"""What a verdict knows of the model judge behind it: may it decide, and how often is it wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fftdeploy.evaluation.arms import CANDIDATE, LIVE
from fftdeploy.evaluation.gate.agreement import (
    Agreement,
    corrected_interval,
    corrected_rate,
    kappa,
    kappa_interval,
)
from fftdeploy.evaluation.gate.sizing import units_of
from fftdeploy.evaluation.gate.wording import points
from fftdeploy.evaluation.results import NO_VERDICT, PASS, REJECTED, Results
from fftdeploy.evaluation.verdict import Reason
from fftdeploy.model_ids.model_names import family
from fftdeploy.names import plural

MIN_LABELS = 50
MIN_KAPPA = 0.6
"""A judge that agrees with people less than that, or on fewer labels, gates nothing."""
_CALLED = {CANDIDATE: "the candidate", LIVE: "what is live"}


@dataclass(frozen=True, slots=True)
class CalibrationFacts:
    """What of a calibration decides whether its judge may gate."""

    id: str
    answered_by: tuple[str, ...]
    """The names by which the judge has answered: its snapshot."""
    confusion: Agreement
    silent: int
    """Labels on which it gave no verdict."""


def unfit(found: CalibrationFacts | None) -> str:
    """Say why a judge with this calibration, or none, may not gate; "" if it may."""
    if found is None:
        return "nobody has calibrated it"
    n, agreement = found.confusion.n, kappa(found.confusion)
    if n < MIN_LABELS:
        return f"it is calibrated on {plural(n, 'label')}, and {MIN_LABELS} are needed"
    if agreement < MIN_KAPPA:
        few = f"kappa {agreement:.2f}, and {MIN_KAPPA} is needed"
        return f"it agrees too little with people: {few}"
    return ""


@dataclass(frozen=True, slots=True)
class JudgeFacts:
    """The judge of one evaluation, as evidence has it."""

    name: str
    model: str
    provider: str
    sha: str
    """Hash of its model, prompt, labels and parameters."""
    address: str
    kind: str
    answered_by: tuple[str, ...]
    calibration: CalibrationFacts | None
    """None where nobody has calibrated it."""

    def problem(self, found: CalibrationFacts | None) -> str:
        """Say why its verdicts may decide nothing by a calibration; "" if they may."""
        if found and self.answered_by and self.answered_by != found.answered_by:
            then, now = ", ".join(found.answered_by), ", ".join(self.answered_by)
            return f"it was calibrated as {then}, and {now} has answered here"
        return unfit(found)


@dataclass(frozen=True, slots=True)
class JudgedRate:
    """How many answers of a model its judge passes, and how many people would."""

    arm: str
    judged: int
    """Answers that passed the other graders, and that it gave a verdict on."""
    passed: int
    silent: int
    """Answers that it gave no verdict on."""
    corrected: float | None
    """The share that people would pass; None where the calibration says nothing."""
    low: float
    high: float
    """The two-sided 95 % interval of that."""


def rates(facts: JudgeFacts, results: Results) -> tuple[JudgedRate, ...]:
    """Return the figures of each model; answers of a group, or of one example, count as units."""
    units = units_of(results.groups).tested if len(results) else 0
    found = []
    for arm, column in results.arms.items():
        passed, judged = column.count(PASS), column.count(PASS, REJECTED)
        n = judged * units // max(1, len(column.marks))
        labels = facts.calibration.confusion if facts.calibration else Agreement(0, 0, 0, 0)
        share = passed / judged if judged else 0.0
        interval = corrected_interval(share * n, n, labels)
        corrected = corrected_rate(share * n, n, labels)
        silent = column.count(NO_VERDICT)
        found.append(JudgedRate(arm, judged, passed, silent, corrected, *interval))
    return tuple(found)


def reasons(
    facts: JudgeFacts, models: Mapping[str, str], *, reports_only: bool
) -> Iterator[Reason]:
    """Yield why the judge settles nothing, and whether it may favour one of its own kind."""
    if problem := facts.problem(facts.calibration):
        instead = "; its verdicts are only reported" if reports_only else ""
        message = f"the judge {facts.name} may not gate: {problem}{instead}"
        yield Reason("judge", "inconclusive", message)
    same = [
        called
        for arm, called in _CALLED.items()
        if arm in models and family(models[arm]) == family(facts.model)
    ]
    if same:
        what = f"the judge {facts.name}, {' and '.join(same)} are {family(facts.model)} models"
        yield Reason("judge", "", f"{what}: a judge tends to prefer its own kind")


def calibrated(facts: JudgeFacts) -> Iterator[str]:
    """Yield who the judge is, and how far it agrees with people."""
    names = ", ".join(name for name in facts.answered_by if name != facts.model)
    shown = f"{facts.name} ({facts.model}{f' as {names}' if names else ''})"
    if facts.calibration is None:
        yield f"{shown}, not calibrated"
        return
    found = facts.calibration.confusion
    low, high = kappa_interval(found)
    agrees = f"kappa {kappa(found):.2f} [{low:.2f} to {high:.2f}]"
    yield f"{shown}, {plural(found.n, 'label')}: {agrees}"
    false = 1 - found.specificity
    yield f"passes {found.sensitivity:.1%} of the good answers and {false:.1%} of the bad"


def said(facts: JudgeFacts, results: Results) -> Iterator[str]:
    """Yield what is known of the judge, and its rates: as it says them, and without its errors."""
    yield from calibrated(facts)
    yield from (_rate(one) for one in rates(facts, results) if one.arm in _CALLED)


def _rate(one: JudgedRate) -> str:
    share = points(one.passed / one.judged if one.judged else 0.0)
    text = f"{one.arm} {share}% of {one.judged} judged"
    if one.corrected is not None:
        ends = f"[{points(one.low)}-{points(one.high)}]"
        text += f": without its errors {points(one.corrected)}% {ends}"
    return text + (f"; {one.silent} without a verdict" if one.silent else "")
