"""Monitor with a log: what production asked and was answered, held against an earlier window."""

import secrets
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from fftdeploy.commands.context import Context
from fftdeploy.commands.inspecting.live_models import facts_of
from fftdeploy.commands.views import TargetName
from fftdeploy.errors import InconclusiveError, UsageError
from fftdeploy.evaluation.evidence.evidence import content_sha
from fftdeploy.evaluation.examples.production import ABANDONED, ProductionRequest
from fftdeploy.evaluation.graders.form import AnswerForm
from fftdeploy.evaluation.review.import_file import STDIN, ImportFile
from fftdeploy.monitoring.logs.compared import (
    MIN_REQUESTS,
    SHIFT_CODES,
    WRONG,
    MeasureShift,
    compare,
)
from fftdeploy.monitoring.logs.trial import CanaryTrial, TrialCounter
from fftdeploy.monitoring.logs.window import (
    LiveRelease,
    LogBaseline,
    LogWindow,
    RequestCounter,
    keep_baseline,
    read_baseline,
)
from fftdeploy.monitoring.logs.wording import called, levels, meaning, moved
from fftdeploy.names import not_one_of, plural
from fftdeploy.planning.finding import Finding, Severity
from fftdeploy.releases.deployments import Target
from fftdeploy.workspace import Workspace

NEW = "new"
"""Stands for the log itself, in the place of a log to hold it against."""

_FAILED = "the call failed"
_UNANSWERED = {"": "no answer is known", ABANDONED: "the caller gave it up"}


@dataclass(frozen=True, slots=True)
class WindowView:
    """How many requests a window has, and from when to when."""

    requests: int
    since: datetime | None
    until: datetime | None

    @classmethod
    def of(cls, window: LogWindow) -> Self:
        """Take it from a window."""
        ends = (window.first_at, window.last_at)
        known = (None if at is None else datetime.fromtimestamp(at, UTC) for at in ends)
        return cls(window.requests, *known)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogWatch:
    """A log of a target, and what differs from the window before it."""

    target: TargetName
    release: str
    model: str
    now: WindowView
    then: WindowView | None
    """None where the log has become what later ones are held against."""
    valid: float | None
    """The share of its answers that have the right form; None of none."""
    measures: tuple[MeasureShift, ...]
    left_out: Mapping[str, int]
    """Requests that were not counted, by reason."""
    canary: CanaryTrial | None
    """What the log says of the canary that runs."""


class TargetLogs:
    """Reads logs of a target as its graders and its live release have them told apart."""

    def __init__(self, workspace: Workspace, target: Target) -> None:
        """Take the target; ConfigError where the policy is not valid."""
        self.root = workspace.folder
        gate = workspace.policy.gate(target.task)
        self._rules = gate.graders if gate else ()
        newest = target.newest
        others = {release.bundle.model for release in target.releases} - {target.model}
        number = str(newest.n) if newest else ""
        self.live = LiveRelease(str(target), number, target.model, frozenset(others))
        self._graders = content_sha([rule.content for rule in self._rules])
        row = target.canary_release
        self.trial = TrialCounter(target, row, AnswerForm(self._rules)) if row else None

    def before(self) -> LogWindow | None:
        """Return the window that was kept of exactly what is live, by these graders."""
        kept = read_baseline(self.root, self.live.target)
        mine = self.live.number, self.live.model, self._graders
        if kept is None or (kept.release, kept.model, kept.graders) != mine:
            return None
        return kept.window

    def keep(self, window: LogWindow) -> None:
        """Keep a window as what later logs are held against."""
        live = self.live
        baseline = LogBaseline(live.number, live.model, self._graders, window)
        keep_baseline(self.root, live.target, baseline)

    def count_trial(self, request: ProductionRequest) -> bool:
        """Count a request where a canary runs, and it is of this target; True: it is of that."""
        is_mine = request.served.target in {"", self.live.target}
        return self.trial is not None and is_mine and self.trial.add(request)

    def read(self, path: Path, then: LogWindow | None) -> tuple[RequestCounter, Counter[str]]:
        """Count the requests of a log that what is live has answered; and the others, by reason.

        Raises:
            ConfigError: It is not there, or has lines of no known format, located.
            InconclusiveError: Too few of its requests are answers of what is live.
        """
        source = _opened(path)
        window = LogWindow(then.key if then else secrets.token_hex(16))
        counter = RequestCounter(AnswerForm(self._rules), window, then)
        for request in source.rows():
            if self.count_trial(request):
                continue  # its own line says how many
            why = self.live.why_not(request.served)
            if not why and not (request.output or request.mark):
                why = _UNANSWERED.get(request.error, _FAILED)
            if why:
                source.left_out[why] += 1
                if why == _FAILED:
                    counter.add_failed()
            else:
                counter.add(request)
        if window.requests < MIN_REQUESTS:
            few = f"{window.requests} requests of what is live are too few to say anything"
            error = InconclusiveError(
                f"{shown_log(path)}: {few}",
                hint=f"{MIN_REQUESTS} are needed: take a log of a longer time",
                code="too-few-requests",
            )
            left_out = source.left_out.most_common()
            error.details = tuple(f"left out: {count:,} ({why})" for why, count in left_out)
            raise error
        return counter, source.left_out


def shown_log(path: Path) -> str:
    """Name a log in messages."""
    return "stdin" if path == STDIN else str(path)


def _opened(path: Path) -> ImportFile:
    return ImportFile(path if path == STDIN else Path.cwd() / path, shown_log(path))


def watch(workspace: Workspace, target: Target, path: Path, baseline: str | None) -> LogWatch:
    """Hold a log against another, `baseline`, or against what the first log has left behind.

    Raises:
        ConfigError: A file is missing or damaged, or a line of it is of no known format.
        InconclusiveError: There are too few requests to say anything.
        DiskError: The disk refused.
    """
    logs = TargetLogs(workspace, target)
    then = None if baseline == NEW else logs.before()
    if baseline not in {None, NEW}:
        then = TargetLogs(workspace, target).read(Path(str(baseline)), None)[0].window
    counter, left_out = logs.read(path, then)
    if then is None:
        logs.keep(counter.window)
    return LogWatch(
        target=logs.live.target,
        release=logs.live.number,
        model=logs.live.model,
        now=WindowView.of(counter.window),
        then=None if then is None else WindowView.of(then),
        valid=counter.window.valid,
        measures=() if then is None else compare(then, counter.window, counter.shown),
        left_out=dict(left_out.most_common()),
        canary=logs.trial.result() if logs.trial else None,
    )


def wrong(fail_on: str) -> frozenset[str]:
    """Return the codes of what is a failure; UsageError where `fail_on` names none that is."""
    asked = [part for part in fail_on.split(",") if part]
    for part in asked:
        if part not in SHIFT_CODES:
            raise UsageError(**not_one_of("--fail-on", part, SHIFT_CODES))
    return WRONG | {*asked}


def findings(
    context: Context, target: Target, found: LogWatch, path: Path, wrong: Collection[str]
) -> Iterator[Finding]:
    """Yield what was found in a log, each with what to type next; `wrong` are codes of errors."""
    facts, gate = facts_of(context), context.workspace.policy.gate(target.task)
    floor = float(gate.floors.valid) if gate else 0.0
    if found.valid is not None and found.valid < floor:
        message = f"{target} valid answers: {found.valid:.1%}, the floor of the gate is {floor:.0%}"
        yield facts.about(target, "answers-worse", message, "error")
    for shift in found.measures:
        if shift.code is None:
            continue
        then, now = levels(shift)
        message = f"{target} {called(shift)}: {then} then, {now} now: {meaning(shift)}"
        hint = f"fftdeploy review {target.task} --from {shlex.quote(str(path))} --moved"
        if shift.code == "service-moved" or path == STDIN:  # which can't be read again
            hint = ""
        severity: Severity = "error" if shift.code in wrong else "notice"
        yield facts.about(target, shift.code, message, severity, hint)


def watch_canary(workspace: Workspace, target: Target, path: Path) -> CanaryTrial | None:
    """Hold the canary of a target against what is live; None where none runs.

    Raises:
        ConfigError: A file is missing, or a line of it is of no known format.
    """
    logs = TargetLogs(workspace, target)
    for request in _opened(path).rows():
        logs.count_trial(request)
    return logs.trial.result() if logs.trial else None


def of_canary(
    context: Context, target: Target, trial: CanaryTrial, severity: Severity
) -> tuple[Finding, ...]:
    """Find that a canary is worse than what is live."""
    if not trial.is_worse:
        return ()
    canary, live = trial.canary, trial.live
    message = (
        f"the canary fails {canary.rate:.1%} of {plural(canary.callers, 'caller')}, what is live "
        f"{live.rate:.1%} of {live.callers:,}, since {trial.since:%Y-%m-%d %H:%M}: "
        f"worse by {trial.lower:.1%} at least"
    )
    hint = f'fftdeploy rollback {target} --canary --why "canary worse"'
    return (facts_of(context).about(target, "canary-worse", message, severity, hint, ("canary",)),)


def moved_since(
    workspace: Workspace, task: str, path: Path
) -> Callable[[ProductionRequest], tuple[int, str]]:
    """Return what ranks the requests of a log: those first that moved, and why.

    The log is held against the window that is kept of the task's last environment that has one.

    Raises:
        UsageError: None has one.
        ConfigError, InconclusiveError, DiskError: As `watch` raises them.
    """
    targets = [one for one in workspace.deployments.targets.values() if one.task == task]
    for target in reversed(targets):
        logs = TargetLogs(workspace, target)
        if then := logs.before():
            return moved(then, logs.read(path, then)[0])
    raise UsageError(
        f"no log of {task} was looked at before: nothing is known to have moved",
        hint=f"fftdeploy monitor {targets[-1] if targets else task} --logs FILE",
    )
