"""Monitor: looks at what is live, and says what has changed since it was promoted."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from fftdeploy.api.readiness import OTHER_MODEL, Shutdown
from fftdeploy.commands import check
from fftdeploy.commands.context import Context, one_of
from fftdeploy.commands.door import door
from fftdeploy.commands.evaluating.own_runs import require_own_looks
from fftdeploy.commands.options.asking import CheckOptions, MonitorOptions
from fftdeploy.commands.watching import listeners
from fftdeploy.commands.watching import logs as monitor_logs
from fftdeploy.commands.watching.logs import LogWatch
from fftdeploy.commands.watching.passes import Budget, PassOptions, WatchedPasses
from fftdeploy.errors import (
    AUTH,
    CONFLICT,
    FINDING,
    OK,
    POLICY,
    UNVERIFIED,
    ConflictError,
    NotReadyError,
    Outcome,
    UsageError,
)
from fftdeploy.monitoring import state_file, watch
from fftdeploy.monitoring.logs.trial import CanaryTrial
from fftdeploy.monitoring.state_file import KeptState, StateFile
from fftdeploy.monitoring.watch import Looked
from fftdeploy.monitoring.watched import SETTLED, Look, Noticed, Role, Watched
from fftdeploy.names import plural
from fftdeploy.output.results import OMITTED, UNPRINTED
from fftdeploy.planning.bundles import live_bundle
from fftdeploy.planning.finding import Finding
from fftdeploy.planning.finding_facts import FindingFacts
from fftdeploy.planning.findings import STALE, evaluating, runway_of
from fftdeploy.planning.runway import RECORDING
from fftdeploy.releases.deployments import Target
from fftdeploy.workspace import select

_DUE = frozenset(
    "runway rollback-runway deprecated no-rollback rollback-profile expired-hold no-record "
    f"{STALE} identity unverified not-ready".split()
)
"""Codes of the notices that time brings, or a host; `check` says what a change has brought."""
_SHOWN = 30
"""Looks whose pass ratios are shown."""
_GRAVEST = (FINDING, AUTH, UNVERIFIED, CONFLICT, POLICY, OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitored:
    """What was found in each target; the gravest finding is the outcome."""

    targets: tuple[Watched, ...]
    requests: int
    """Sent about watched examples."""
    usd: float | None
    """What their answers have cost; None where a model has no price."""
    findings: tuple[Finding, ...] = field(metadata=UNPRINTED)
    outcome: Outcome = field(metadata=UNPRINTED)
    logs: LogWatch | None = field(default=None, metadata=OMITTED)
    """What a log says, where one was to be looked at."""
    canary: CanaryTrial | None = field(default=None, metadata=OMITTED)
    """What a log says of the canary, where it was to be looked at alone."""


def run(context: Context, options: MonitorOptions) -> Monitored:
    """Look at what is live: does it answer, until when, and as it did when it was promoted?

    Trouble with a target (no answers, a refused key, a limit) keeps no other from being looked at.

    Raises:
        UsageError: There are no targets of that name, or a limit is none.
        InconclusiveError: A log has too few requests.
        ConfigError: A file is not valid, or what was kept of earlier looks, or that is not ours.
        AuthError: There is no key to ask anybody with.
        DiskError: The disk refused.
    """
    for flag, wanted in {"--issues": options.issues, "--prom-file": options.prom_file}.items():
        one_of({"--logs": options.logs, flag: wanted})
    require_own_looks(context.workspace.folder, context.environ)
    if options.logs is not None:
        return _of_logs(context, options, options.logs)
    of_logs = {
        "--baseline": options.baseline,
        "--fail-on": options.fail_on,
        "--canary-abort": options.canary_abort,
    }
    if given := [flag for flag, value in of_logs.items() if value]:
        raise UsageError(f"{given[0]} goes with --logs", hint="add --logs FILE")
    listeners.require_there(options)
    PassOptions("", batch=options.batch, wait_s=options.wait_s, **options.within()).require_ranges()
    context.prover(is_plain=True)
    checked = check.run(context, CheckOptions(options.targets, probe=True))
    due = (one for one in checked.findings if one.severity == "error" or one.code in _DUE)
    # Nobody can be served by a live model that is proved not to be there: that is wrong.
    found = tuple(replace(f, severity="error") if f.code == "not-ready" else f for f in due)
    looking = _Monitor(context, options, checked.facts, found)
    chosen = select(context.workspace.deployments, options.targets)
    watched = tuple(map(looking.watched, context.workspace.in_order(chosen)))
    own = [one for each in watched for one in each.findings if one not in found]
    drifted = {one.target for one in watched if one.state == "drift"}
    # What has drifted should not put its answers on record as those to keep.
    found = tuple(
        replace(one, hint="") if one.subject in drifted and one.hint == RECORDING else one
        for one in found
    )
    is_wrong = any(one.severity == "error" for one in (*found, *own))
    ends = [checked.outcome, FINDING if is_wrong else OK, *looking.troubles]
    listeners.tell(context, options, watched)
    return Monitored(
        targets=watched,
        requests=looking.budget.requests,
        usd=looking.budget.usd,
        findings=tuple(sorted((*own, *found), key=lambda one: one.severity)),
        outcome=min(ends, key=_GRAVEST.index),
    )


monitor = door(run, MonitorOptions)


def _of_logs(context: Context, options: MonitorOptions, path: Path) -> Monitored:
    targets = select(context.workspace.deployments, options.targets)
    if len(targets) != 1:
        listed = ", ".join(map(str, targets[:8])) or "none yet"
        raise UsageError("--logs is about one target", hint=f"the file has: {listed}")
    if options.canary_abort:
        return _of_canary(context, targets[0], path)
    wrong = monitor_logs.wrong(options.fail_on)
    before = None if options.baseline is None else str(options.baseline)
    found = monitor_logs.watch(context.workspace, targets[0], path, before)
    findings = tuple(monitor_logs.findings(context, targets[0], found, path, wrong))
    if found.canary is not None:
        worse = monitor_logs.of_canary(context, targets[0], found.canary, "notice")
        findings = (*worse, *findings)  # what takes it off is to be typed first
    is_wrong = any(one.severity == "error" for one in findings)
    return Monitored(
        targets=(),
        requests=0,
        usd=0.0,
        findings=findings,
        outcome=FINDING if is_wrong else OK,
        logs=found,
    )


def _of_canary(context: Context, target: Target, path: Path) -> Monitored:
    """Look at nothing but the canary: 12 means that it is worse, and nothing else does."""
    trial = monitor_logs.watch_canary(context.workspace, target, path)
    findings = monitor_logs.of_canary(context, target, trial, "error") if trial else ()
    outcome = FINDING if findings else OK
    return Monitored(
        targets=(), requests=0, usd=0.0, findings=findings, outcome=outcome, canary=trial
    )


_NO_GATE = Noticed("no-gate", "notice", "the task has no gate: nothing says what a good answer is")
_NO_EXAMPLES = Noticed(
    "no-watched-examples", "notice", "no example of the task is reviewed: none is asked"
)


class _Monitor:
    """One run of the command, target by target."""

    def __init__(
        self,
        context: Context,
        options: MonitorOptions,
        facts: FindingFacts,
        found: tuple[Finding, ...],
    ) -> None:
        self.context, self.options, self.facts, self.found = context, options, facts, found
        self.budget = Budget(options)
        self.troubles: list[Outcome] = []

    def watched(self, target: Target) -> Watched:
        """Look at one target, once a day, and keep what is found."""
        root, now = self.context.workspace.folder, self.context.now()
        try:
            with state_file.opened(root, str(target)) as state:
                passes = self._passes(target, state.kept)
                known = self._of_today(state.kept, passes)
                seen = Looked(known) if known else self._seen(target, state, passes)
                found = (*self._of_files(target), *self._placed(target, seen))
                made = self._result(target, seen, state.kept, found, is_new=not known)
                if not known:
                    live = live_bundle(target, self.context.workspace.sha)
                    state.add("look", replace(seen.look, bundle=live))
                return made
        except ConflictError as trouble:
            self.troubles.append(trouble.outcome)
            kept = state_file.read_state(root, str(target))
            seen = Looked(Look(now, "unverified", target.model), trouble)
            return self._result(target, seen, kept, self._of_files(target))

    def _passes(self, target: Target, kept: KeptState) -> WatchedPasses | None:
        """Return what the target is asked; None where its task has no gate, or one with a judge."""
        if self._unmarked(target):
            return None
        options = PassOptions(
            str(target),
            file=self.options.file,
            batch=self.options.batch,
            wait_s=self.options.wait_s,
            calibrate=self.options.calibrate,
        )
        return WatchedPasses(self.context, target, options, self.budget, kept)

    def _unmarked(self, target: Target) -> Noticed | None:
        """Say why nothing here can tell a good answer from a bad one; None where it can.

        Without its judge, the other graders would pass what it rejects.
        """
        gate = self.context.workspace.policy.gate(target.task)
        if gate is None:
            return _NO_GATE
        if gate.judge is None:
            return None
        what = f"answers are judged by a model, {gate.judge.model}, which monitor does not ask"
        return Noticed("judged", "notice", f"{what}: no drift is looked for")

    def _of_today(self, kept: KeptState, passes: WatchedPasses | None) -> Look | None:
        """Return the look of today, if it is at what is live now and would be asked now."""
        if self.options.fresh or self.options.calibrate or passes is None:
            return None
        known = kept.look_of(self.context.now().date())
        return known if known and known.of == passes.watched.of.sha else None

    def _seen(self, target: Target, state: StateFile, passes: WatchedPasses | None) -> Looked:
        """Ask the watched examples, where what is live is ready and there are some."""
        now, known = self.context.now(), self.facts.readiness[str(target)]
        if not known.is_ready:
            return Looked(Look(now, "unverified", target.model), known.error())
        if passes is None or not (count := len(passes.examples)):
            lacks = self._unmarked(target) or _NO_EXAMPLES
            live = live_bundle(target, self.context.workspace.sha)
            kept = watch.still_drift(state.kept, live, now, "there is nothing left to ask")
            return Looked(kept or Look(now, "not-calibrated", target.model, (lacks,)))
        seen = watch.look(state, passes.watched, now, anew=self.options.calibrate)
        if count >= watch.FEW:
            return seen
        few = f"with fewer than {watch.FEW}, small changes show late"
        few = f"{plural(count, 'watched example')}: {few}"
        noticed = (*seen.look.noticed, Noticed("few-watched-examples", "notice", few))
        return replace(seen, look=replace(seen.look, noticed=noticed))

    def _placed(self, target: Target, seen: Looked) -> Iterator[Finding]:
        """Yield what a look noticed, in its place; what only kept it from settling is an outcome.

        What is proved of the model on the way is a finding, as it is where `check` proves it.
        """
        has_way_back = runway_of(self.facts, target).release
        remedy = f"fftdeploy rollback {target}" if has_way_back else evaluating(str(target))
        hints = {
            "drift": remedy,
            watch.NOTHING: remedy,
            watch.CHANGED: f"fftdeploy monitor {target} --calibrate",
            _NO_EXAMPLES.code: f"fftdeploy review {target.task} --unreviewed",
        }
        for one in seen.look.noticed:
            hint = hints.get(one.code, "")
            yield self.facts.about(target, one.code, one.message, one.severity, hint)
        trouble = seen.trouble
        if trouble is None or not self.facts.readiness[str(target)].is_ready:
            return
        if isinstance(trouble, NotReadyError) or trouble.code == OTHER_MODEL:
            yield self.facts.about(target, trouble.code, trouble.message, "error", trouble.hint)
        else:
            self.troubles.append(trouble.outcome)

    def _of_files(self, target: Target) -> tuple[Finding, ...]:
        return tuple(one for one in self.found if one.subject == str(target))

    def _result(
        self,
        target: Target,
        seen: Looked,
        before: KeptState,
        found: tuple[Finding, ...],
        *,
        is_new: bool = True,
    ) -> Watched:
        """Return a look with what was `before` it."""
        runway, today = runway_of(self.facts, target), self.facts.now.date()
        ends: dict[Role, Shutdown | None] = {"live": runway.live, "way-back": runway.way_back}
        previous, settled_at = before.settled()
        known, look, ready = before.calibration, seen.look, self.facts.readiness[str(target)]
        why = seen.trouble.message if seen.trouble else ""
        ratios = [one.pass_ratio for one in (*before.looks, *([look] if is_new else []))]
        return Watched(
            target=str(target),
            look=look,
            previous=previous,
            last_success=look.at if look.state in SETTLED else settled_at,
            calibrated_at=known.answers.at if known else None,
            days_left={role: end.days_left(today) for role, end in ends.items() if end},
            ratios=tuple(round(one, 4) for one in ratios if one is not None)[-_SHOWN:],
            why=why if ready.is_ready else ready.message,
            is_new=is_new,
            findings=found,
        )
