"""Monitor: looks at what is live, and says what has changed since it was promoted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from fftdeploy.api.readiness import Shutdown
from fftdeploy.commands import check
from fftdeploy.commands.check import CheckOptions
from fftdeploy.commands.context import Context
from fftdeploy.commands.door import Limits, Options, door
from fftdeploy.commands.listeners import Listeners
from fftdeploy.errors import AUTH, FINDING, OK, UNVERIFIED, Outcome
from fftdeploy.monitoring import state_file
from fftdeploy.monitoring.state_file import StateFile
from fftdeploy.monitoring.watched import Look, Role, Watched, WatchState
from fftdeploy.output.results import UNPRINTED
from fftdeploy.planning.finding import Finding
from fftdeploy.planning.findings import FindingFacts, runway_of
from fftdeploy.releases.deployments import Target
from fftdeploy.workspace import select

_GRAVEST = (FINDING, AUTH, UNVERIFIED, OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorOptions(Options, Limits, Listeners):
    """What may be said to `monitor`."""

    targets: str | Sequence[str] = field(default=(), kw_only=False)
    """Targets, tasks, or globs such as `*/production`, or one of them; none for all."""
    fresh: bool = False
    """Look again where there is a look of today."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitored:
    """What was found in each target; the gravest finding is the outcome."""

    targets: tuple[Watched, ...]
    findings: tuple[Finding, ...] = field(metadata=UNPRINTED)
    outcome: Outcome = field(metadata=UNPRINTED)


def run(context: Context, options: MonitorOptions) -> Monitored:
    """Look at what is live: does it answer, until when, and as it did when it was promoted?

    Raises:
        UsageError: There are no targets of that name, or a limit is none.
        ConfigError: A file is not valid, or what was kept of earlier looks.
        AuthError: There is no key to ask anybody with.
        DiskError: The disk refused.
    """
    options.require_sane()
    options.require_there()
    checked = check.run(context, CheckOptions(options.targets, probe=True))
    found = [_graver(one) for one in checked.findings]
    targets = select(context.workspace.deployments, options.targets)
    watched = tuple(_look(context, options, target, checked.facts, found) for target in targets)
    own = [one for each in watched for one in each.findings if one not in found]
    is_wrong = any(one.severity == "error" for one in (*found, *own))
    options.tell(context, watched)
    return Monitored(
        targets=watched,
        findings=(*found, *own),
        outcome=min(FINDING if is_wrong else OK, checked.outcome, key=_GRAVEST.index),
    )


monitor = door(run, MonitorOptions)


def _graver(finding: Finding) -> Finding:
    """Call it wrong that a live model is proved not to be there: `check` also sees drafts."""
    return replace(finding, severity="error") if finding.code == "not-ready" else finding


def _look(
    context: Context,
    options: MonitorOptions,
    target: Target,
    facts: FindingFacts,
    found: Iterable[Finding],
) -> Watched:
    """Look at one target, and keep what is found; there is one look a day unless it is `fresh`."""
    with state_file.opened(context.workspace.folder, str(target)) as state:
        look = None if options.fresh else state.kept.look_of(context.now().date())
        own = tuple(one for one in found if one.subject == str(target))
        if look is not None:
            return _watched(target, look, state, facts, own, is_new=False)
        known = facts.readiness[str(target)]
        why = "" if known.is_ready else known.message
        codes = tuple(dict.fromkeys(one.code for one in own))
        made: WatchState = "not-calibrated" if known.is_ready else "unverified"
        look = Look(context.now(), made, target.model, codes)
        watched = _watched(target, look, state, facts, own, why=why)
        state.add("look", look)
        return watched


def _watched(
    target: Target,
    look: Look,
    state: StateFile,
    facts: FindingFacts,
    found: tuple[Finding, ...],
    *,
    why: str = "",
    is_new: bool = True,
) -> Watched:
    runway = runway_of(facts, target)
    ends: dict[Role, Shutdown | None] = {"live": runway.live, "way-back": runway.way_back}
    today = facts.now.date()
    previous, last_success = state.kept.settled()
    return Watched(
        target=str(target),
        look=look,
        previous=previous,
        last_success=last_success,
        calibrated_at=None,
        days_left={role: end.days_left(today) for role, end in ends.items() if end},
        why=why,
        is_new=is_new,
        findings=found,
    )
