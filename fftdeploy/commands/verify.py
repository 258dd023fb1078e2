"""Verify: recompute what evidence says, offline, and say what it is still about."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Literal

from fftdeploy.commands.context import Context
from fftdeploy.commands.door import door
from fftdeploy.commands.options.declared import several
from fftdeploy.commands.options.looking import VerifyOptions
from fftdeploy.commands.views import EvidenceID
from fftdeploy.errors import CONFIG, OK, ConfigError, FftdeployError, InconclusiveError, Outcome
from fftdeploy.evaluation.evidence.calibration import CalibrationFolder
from fftdeploy.evaluation.evidence.evidence import SHOWN_DIGITS
from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder, Stored, too_old
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.evaluation.verdict import Ruling
from fftdeploy.output.results import UNPRINTED


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistentEvidence:
    """Evidence whose answers give its verdict."""

    evidence: EvidenceID
    consistent: Literal[True] = True
    task: str
    target: str
    made_at: datetime
    candidate: str
    ruling: Ruling
    since: str
    """What of the repository is not any more what it is about."""
    is_about_now: bool = field(metadata=UNPRINTED)
    """Whether all of it is."""
    stored: Stored = field(metadata=UNPRINTED)


@dataclass(frozen=True, slots=True)
class UnusableEvidence:
    """A file that says nothing any more."""

    evidence: str
    consistent: Literal[False] | None
    """None where it was made under an older rule, and can't be recomputed."""
    problem: str
    short: str = field(metadata=UNPRINTED)
    task: str = field(metadata=UNPRINTED)
    hint: str = field(metadata=UNPRINTED)


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of each piece of evidence that was asked for."""

    evidence: tuple[ConsistentEvidence | UnusableEvidence, ...]
    calibrations: int
    """How many calibrations of judges were recomputed, too; those that can't be are above."""
    outcome: Outcome = field(metadata=UNPRINTED)


def run(context: Context, options: VerifyOptions) -> Verified:
    """Recompute the evidence that is named, or all of it, task by task, the newest first.

    Evidence that does not give its own verdict makes the outcome `config`; that the examples or
    the gate have changed since is only said: it was true of what it names.

    Raises:
        UsageError: There is no such evidence.
        InconclusiveError: It was asked for by name, and was made under an older rule.
    """
    folder = EvidenceFolder(context.workspace.folder)
    # The examples of a task are read once.
    bars = cache(lambda task: context.quality_bar(context.workspace, f"{task}/"))
    found: list[ConsistentEvidence | UnusableEvidence] = []
    older: InconclusiveError | None = None
    if names := several(options.evidence):
        named = [folder.locate(name) for name in names]
    else:
        named = sorted(folder.paths(), key=partial(_made, folder), reverse=True)
    for path in named:
        try:
            found.append(_consistent(context, bars, folder.read(path)))
        except InconclusiveError as error:
            older = older or error
            found.append(_unusable(path, error, is_consistent=None))
        except ConfigError as error:
            found.append(_unusable(path, error, is_consistent=False))
    calibrations = CalibrationFolder(context.workspace.folder)
    paths = [] if options.evidence else calibrations.paths()
    for path in paths:
        try:
            calibrations.read(path)
        except ConfigError as error:
            found.append(_unusable(path, error, is_consistent=False))
    is_wrong = any(one.consistent is False for one in found)
    if older is not None and options.evidence and not is_wrong:
        raise older
    return Verified(tuple(found), len(paths), CONFIG if is_wrong else OK)


verify = door(run, VerifyOptions)


def _made(folder: EvidenceFolder, path: Path) -> tuple[str, str, str]:
    """Order by task, the newest first; what can not be read has no moment."""
    try:
        return path.parent.name, f"{folder.read(path).evidence.made_at}", path.stem
    except (ConfigError, InconclusiveError):
        return path.parent.name, "", path.stem


def _consistent(
    context: Context, bars: Callable[[str], QualityBar], stored: Stored
) -> ConsistentEvidence:
    evidence = stored.evidence
    changes = [*_changes(context, bars, stored)]
    return ConsistentEvidence(
        evidence=stored.id,
        task=evidence.task,
        target=evidence.target,
        made_at=evidence.made_at,
        candidate=evidence.candidate.model,
        ruling=stored.verdict.ruling,
        since="; ".join(changes) or "as it was",
        is_about_now=not changes,
        stored=stored,
    )


def _unusable(
    path: Path, error: FftdeployError, *, is_consistent: Literal[False] | None
) -> UnusableEvidence:
    shown = path.stem[:SHOWN_DIGITS], path.parent.name
    return UnusableEvidence(path.stem, is_consistent, error.message, *shown, error.hint)


def _changes(context: Context, bars: Callable[[str], QualityBar], stored: Stored) -> Iterator[str]:
    """Say what of the repository is no longer what the evidence is about."""
    evidence = stored.evidence
    try:
        bar = bars(evidence.task)
        judged = bar.judged(evidence.candidate, evidence.arms.get("live"))
    except FftdeployError as error:
        yield error.message
        return
    differs = {
        "examples": evidence.examples.sha != judged.sha,
        "graders": evidence.graders_sha != bar.graders_sha,
        "gate": evidence.gate_sha != bar.gate_sha,
        "price": bar.has_another_price(evidence),
    }
    yield from (f"{what} changed" for what, is_other in differs.items() if is_other)
    judge = evidence.judge
    if judge and judge.calibration and bar.calibrations.changed_since(evidence):
        yield "judge calibrated anew, or not at all"
    elif judge and (
        lacks := bar.calibrations.shortage(bar.task, bar.grading.judge, bar.rules.mode)
    ):
        yield lacks.message
    for name, bundle in evidence.arms.items():
        if bundle.profile and context.workspace.sha(bundle.profile) != bundle.profile_sha:
            yield f"profile of {name} changed"
    if problem := too_old(evidence, bar.rules.max_age, context.now()):
        yield problem
