"""Finds what is proved wrong, or due, in a deployments file.

`check` reports these; `status --fail-on` turns some notices into failures.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fftdeploy import names
from fftdeploy.api.readiness import OTHER_MODEL, Readiness, Shutdown
from fftdeploy.errors import ConfigError, FftdeployError
from fftdeploy.planning import bundles, plan
from fftdeploy.planning.bundles import Shas
from fftdeploy.planning.finding import Finding, Severity
from fftdeploy.planning.plan import SourceRules
from fftdeploy.planning.rollback import Candidate, rollback_candidates
from fftdeploy.planning.runway import NO_RECORD, RECORDING, STEPS, UNRECORDED, Runway, lasts
from fftdeploy.policy import policy
from fftdeploy.policy.policy import Policy
from fftdeploy.releases.deployments import Bundle, Deployments, Target

STALE = "stale"
"""The code of what is live and should be evaluated again."""
NO_WAY_BACK = "there is no release to go back to"
_CLOCK_SKEW = timedelta(minutes=5)
EvidenceProblem = Callable[[str, str], FftdeployError | None]
"""Task and ID of evidence -> why it can't be read or does not give its verdict, if so."""


@dataclass(frozen=True, slots=True)
class FindingFacts:
    """The file and all that was read beside it."""

    deployments: Deployments
    policy: Policy
    shas: Shas
    now: datetime
    shown: str
    """How findings name the file."""
    readiness: Mapping[str, Readiness] = field(default_factory=dict)
    """What the API proved about the live model, by target; empty where it was not asked."""
    shutdowns: Mapping[str, Shutdown | None] = field(default_factory=dict)
    """When the live model ends, by target."""
    shutdown_of: Callable[[Bundle], Shutdown | None] = lambda _: None
    """When another model ends, as far as that is known without a question."""
    runway_days: int = STEPS[0]
    """From how many days before a shutdown on that is a finding, where no policy says more."""
    evidence_problem: EvidenceProblem | None = None
    """None where nobody looks."""
    is_judged: Callable[[str, Bundle], bool] = lambda _task, _bundle: False
    """Whether a task has evidence of today's rules about a bundle, and it did not fail."""
    is_recorded: Callable[[Target], bool] = lambda _: True
    """Whether the answers of what is live are on record; true where the task has no examples."""
    another_model: Callable[[Target], str] = lambda _: ""
    """What says that another model has the name of what is live than when it was evaluated."""
    evaluation_due: Callable[[Target], str] = lambda _: ""
    """Why what is live in a target should be evaluated again; "" where it need not."""

    def live(self, target: Target) -> Bundle:
        """Return what is live in a target."""
        return bundles.live_bundle(target, self.shas)


def of_a_change(facts: FindingFacts, policy: Policy) -> FindingFacts:
    """Return facts about a change, by the policy of its base; when it ends is said beside it."""
    return replace(facts, policy=policy, runway_days=STEPS[2])


def find(facts: FindingFacts, targets: Iterable[Target]) -> list[Finding]:
    """List what is proved wrong or due: in the file as a whole, then target by target."""
    found = list(_without_policy(facts))
    for target in targets:
        found += _in_target(facts, target)
        found += _from_api(facts, target)
        found += _runway(facts, target)
        found += _lack_of_record(facts, target) or _stale(facts, target, found)
    found += _override_clashes(facts)
    return found


def hand_edit(facts: FindingFacts, target: Target) -> Finding | None:
    """Find that the live bundle is not what the newest release says."""
    newest = target.newest
    live = facts.live(target)
    if newest is None or newest.bundle == live:
        return None
    same = (live.model, live.profile) == (newest.bundle.model, newest.bundle.profile)
    if same and live.profile_sha is None:
        message = f"hand edit: profiles/{live.profile}.toml is missing"
    elif same:
        message = f"hand edit: profile {live.profile} changed in place since release {newest.n}"
    else:
        message = f"hand edit: {live} is live, release {newest.n} says {newest.bundle}"
    key = "model" if live.model != newest.bundle.model else "profile"
    hint = f'fftdeploy adopt {target} --why "TEXT", or undo the edit'
    return about(facts, target, "hand-edit", message, "error", hint, (key,))


def without_twins(first: list[Finding], others: list[Finding]) -> list[Finding]:
    """Return all findings, those of `others` left out that `first` has, or has more gravely."""
    places = {(f.subject, f.line) for f in first if f.severity == "error"}
    codes = {(f.subject, f.code) for f in first}
    rest = [
        f
        for f in others
        if (f.subject, f.code) not in codes
        and not (f.code in {"hand-edit", "unrecorded"} and (f.subject, f.line) in places)
    ]
    return [*first, *rest]


def about(
    facts: FindingFacts,
    target: Target,
    code: str,
    message: str,
    severity: Severity = "notice",
    hint: str = "",
    below: tuple[str | int, ...] = (),
) -> Finding:
    """Build a finding at the place where `target`, or what is `below` it, is written."""
    line = facts.deployments.line(target, *below)
    return Finding(code, severity, str(target), message, facts.shown, line, hint)


def _without_policy(facts: FindingFacts) -> Iterator[Finding]:
    if not facts.policy.exists:
        yield Finding(
            "no-policy",
            "notice",
            facts.shown,
            f"there is no {policy.FILE_NAME}: every environment is open",
            hint="fftdeploy init",
        )
        return
    for task in facts.deployments.tasks():
        if task not in facts.policy.tasks:
            yield Finding(
                "no-task",
                "notice",
                task,
                f"the policy has no [tasks.{task}]: nobody owns it",
                facts.shown,
                facts.deployments.document.line((task,)),
            )


def _in_target(facts: FindingFacts, target: Target) -> Iterator[Finding]:
    from fftdeploy.releases import edit  # it brings tomlkit, which `status` has no use for

    live = facts.live(target)
    if wrong := edit.layout_error(facts.deployments.document, target):
        yield about(facts, target, "layout", wrong.message, "error", wrong.hint)
    if target.newest is None and bundles.lacks_file(live):
        message = f"profiles/{live.profile}.toml is missing: no application can resolve this"
        yield about(facts, target, "profile-missing", message, "error")
    if target.newest is None:
        hint = f'fftdeploy adopt {target} --why "TEXT"'
        yield about(facts, target, "unrecorded", "what is live is not recorded yet", hint=hint)
    elif edited := hand_edit(facts, target):
        yield edited
    if hold := target.hold_on(live, facts.now):
        message = f"what is live is on hold since {hold.since:%Y-%m-%d}: {hold.why}"
        yield about(facts, target, "held-live", message, "error", f"fftdeploy rollback {target}")
    yield from _canary(facts, target)
    yield from _record_notices(facts, target)
    yield from _policy_notices(facts, target)
    yield from _evidence(facts, target)


def another_model(facts: FindingFacts, target: Target) -> Finding | None:
    """Find that a host has put another model behind the name of what is live.

    Where nothing is protected that is how people work, and only worth a notice.
    """
    if not (message := facts.another_model(target)):
        return None
    is_protected = facts.policy.rules(target.environment).protected
    hint = f"fftdeploy eval {target} live, or fftdeploy rollback {target}"
    return about(facts, target, "identity", message, "error" if is_protected else "notice", hint)


def _canary(facts: FindingFacts, target: Target) -> Iterator[Finding]:
    """Find a canary that is live, that nothing records, that is on hold, or does not answer."""
    tried, row = bundles.tried_bundle(target, facts.shas), target.canary_release
    if tried is None:
        return
    known = facts.readiness.get(bundles.canary_of(target))
    said: list[tuple[str, str, Severity]] = []
    if tried == facts.live(target):
        message = "the canary is what is live: nothing is tried beside it"
        said.append(("canary-live", message, "error"))
    if row is None or row.bundle != tried:
        message = f"hand edit: the canary says {tried}, and no release does"
        said.append(("canary-edit", message, "error"))
    if hold := target.hold_on(tried, facts.now):
        message = f"the canary is on hold since {hold.since:%Y-%m-%d}: {hold.why}"
        said.append(("held-live", message, "error"))
    if known is not None and not known.is_ready:
        is_proved = known.dead or known.code == OTHER_MODEL
        code = known.code if is_proved else known.state
        said.append((code, f"the canary: {known.message}", "error" if is_proved else "notice"))
    for code, message, severity in said:
        only = " --canary" if tried == facts.live(target) else ""
        hint = f"fftdeploy rollback {target}{only}"
        yield about(facts, target, code, message, severity, hint, ("canary",))


def _from_api(facts: FindingFacts, target: Target) -> Iterator[Finding]:
    known = facts.readiness.get(str(target))
    if known and (other := another_model(facts, target)):
        yield other
    for notice in known.notices if known else ():
        yield about(facts, target, "deprecated", notice)
    if known is None or known.is_ready:
        return
    if known.dead:
        message = f"the live model is dead: {known.message}"
        yield about(facts, target, "dead", message, "error", f"fftdeploy rollback {target}")
    elif known.code == OTHER_MODEL:
        yield about(facts, target, known.code, known.message, "error", known.hint)
    else:
        yield about(facts, target, known.state, known.message, hint=known.hint)


def _runway(facts: FindingFacts, target: Target) -> Iterator[Finding]:
    """Say long before that a model ends which is live, or which one would go back to."""
    asked = facts.policy.rules(target.environment).min_runway_days or 0
    due = runway_of(facts, target).due(facts.now.date(), max(asked, facts.runway_days))
    for code, message in due:
        anew = f"fftdeploy calibrate {target.task}" if code == "judge-runway" else ""
        yield about(facts, target, code, message, hint=anew or _later(facts, target))


def runway_of(facts: FindingFacts, target: Target) -> Runway:
    """Return when the live model ends, the one that a rollback would go to first, and the judge."""
    live, gate = facts.shutdowns.get(str(target)), facts.policy.gate(target.task)
    judge = facts.shutdown_of(gate.judge) if gate and gate.judge else None
    if back := next(iter(_usable_ways_back(facts, target)), None):
        return Runway(live, facts.shutdown_of(back.bundle), back.release.n, judge)
    return Runway(live, judge=judge)


def _later(facts: FindingFacts, target: Target) -> str:
    """Return the command that makes live what ends later than what is, as far as known."""
    end = facts.shutdowns.get(str(target))

    def is_wanted(source: Target) -> bool:
        live, known = facts.live(source), facts.readiness.get(str(source))
        if known is not None and known.state == "not-ready":
            return False
        its = facts.shutdowns.get(str(source)) or facts.shutdown_of(live)
        ends_later = its is None or (end is not None and its.date > end.date)
        return ends_later and target.hold_on(live, facts.now) is None

    name = (target.task, target.environment)
    return bundles.next_promotion(facts.deployments, facts.policy, name, is_wanted)


def _lack_of_record(facts: FindingFacts, target: Target) -> list[Finding]:
    """Say while there is time that nothing could be compared with what is live after its end."""
    ends = facts.shutdowns.get(str(target))
    if lasts(ends, facts.now.date()) or facts.is_recorded(target):
        return []
    return [about(facts, target, NO_RECORD, UNRECORDED, hint=RECORDING)]


def _stale(facts: FindingFacts, target: Target, said: Iterable[Finding]) -> list[Finding]:
    """Say that what is live should be evaluated again, unless that is the hint already."""
    hint = evaluating(str(target))
    if any(finding.hint == hint for finding in said) or not (why := facts.evaluation_due(target)):
        return []
    return [about(facts, target, STALE, why, hint=hint)]


def evaluating(target: str) -> str:
    """Return the command that evaluates what is live in a target."""
    return f"fftdeploy eval {target} live"


def _record_notices(facts: FindingFacts, target: Target) -> Iterator[Finding]:
    newest, known = target.newest, facts.readiness.get(str(target))
    proved = known is not None and known.is_ready and "probed" in known.basis
    if newest is not None and not newest.verified and not proved:
        message = f"release {newest.n} was made live without proof"
        hint = "" if known and not known.is_ready else "fftdeploy check --probe"
        yield about(facts, target, "unproved", message, hint=hint, below=("releases", 0))
    later: datetime | None = None
    for index, release in enumerate(target.releases):
        row = ("releases", index)
        if release.at - facts.now > _CLOCK_SKEW:
            message = f"release {release.n} is from the future"
            yield about(facts, target, "future", message, below=row)
        if later is not None and release.at > later:
            message = f"release {release.n} is later than the one above it"
            yield about(facts, target, "time-order", message, below=row)
        later = release.at
    for index, hold in enumerate(target.holds):
        if hold.lifted is None and hold.until is not None and hold.until <= facts.now:
            message = f"the hold on {hold.model} ended {hold.until:%Y-%m-%d}"
            yield about(facts, target, "expired-hold", message, below=("holds", index))
    if newest is None:
        return
    # As soon as the next way back is gone, or not usable, as far as files can tell.
    usable = _usable_ways_back(facts, target)
    if not usable:
        yield about(facts, target, "no-rollback", NO_WAY_BACK)
    elif usable[0].fate == "profile":
        message = f"release {usable[0].release.n}, the way back: {usable[0].reason}"
        yield about(facts, target, "rollback-profile", message)


def _usable_ways_back(facts: FindingFacts, target: Target) -> list[Candidate]:
    """Return the releases that a rollback would stop at, the first one first."""
    actor = plan.Actor("check", facts.now)
    candidates = rollback_candidates(target, facts.live(target), facts.shas, actor)
    return [candidate for candidate in candidates if candidate.fate in {"ask", "profile"}]


def _policy_notices(facts: FindingFacts, target: Target) -> Iterator[Finding]:
    live, newest = facts.live(target), target.newest
    rules = facts.policy.rules(target.environment)
    source = facts.deployments.targets.get((target.task, newest.via)) if newest else None
    hold = source.hold_on(newest.bundle, facts.now) if newest and source else None
    if newest is not None and hold is not None:
        message = (
            f"release {newest.n} came from {newest.via}, where it is on hold since "
            f"{hold.since:%Y-%m-%d}: {hold.why}"
        )
        yield about(facts, target, "held-at-source", message)
    if newest is None or newest.bundle != live:
        return  # a hand edit, or nothing recorded, is its own finding
    if newest.via in {"rollback", "adopt"} or "order" in newest.overrides:
        return
    sources = SourceRules(rules, target.task, facts.deployments, facts.shas)
    if breach := sources.order_breach(live, facts.now):
        yield about(facts, target, "policy-order", breach.message)


def _evidence(facts: FindingFacts, target: Target) -> Iterator[Finding]:
    """Say where a protected target rests on no evidence, and any on evidence that does not hold."""
    if facts.evidence_problem is None:
        return
    is_protected = facts.policy.rules(target.environment).protected
    if is_protected:
        yield from _lack_of_evidence(facts, target)
    live = facts.live(target)
    for row, release in enumerate(target.releases):
        if release.evidence and release.bundle == live:
            error = facts.evidence_problem(target.task, release.evidence)
            is_older = error is not None and error.code == "older-evidence"
            if is_older and facts.is_judged(target.task, live):
                return
            if error and (is_protected or error.code != "missing"):
                yield _evidence_finding(facts, target, row, error)
            return


def _evidence_finding(
    facts: FindingFacts, target: Target, row: int, error: FftdeployError
) -> Finding:
    """Say what keeps evidence from counting: only that it was edited is proved wrong."""
    release = target.releases[row]
    place = ("releases", row)
    if not isinstance(error, ConfigError):  # made under an older rule, or the disk refused
        message, hint = f"release {release.n}: {error.message}", evaluating(str(target))
        return about(facts, target, "evidence", message, hint=hint, below=place)
    is_missing = error.code == "missing"
    wrong = "there is no such file" if is_missing else error.message
    message = f"evidence {str(release.evidence)[:12]} of release {release.n}: {wrong}"
    severity: Severity = "notice" if is_missing else "error"
    return about(facts, target, "evidence", message, severity, "fftdeploy verify", place)


def _lack_of_evidence(facts: FindingFacts, target: Target) -> Iterator[Finding]:
    newest = target.newest
    if facts.policy.gate(target.task) is None:
        message = "protected, and the task has no gate: --why is enough"
        yield about(facts, target, "no-gate", message)
    elif (
        newest
        and newest.evidence is None
        and newest.via not in {"rollback", "adopt"}
        and not facts.is_judged(target.task, facts.live(target))
    ):
        message = f"release {newest.n} was promoted without evidence"
        yield about(facts, target, "no-evidence", message, hint=evaluating(str(target)))


def _override_clashes(facts: FindingFacts) -> Iterator[Finding]:
    named: dict[str, list[Target]] = defaultdict(list)
    for target in facts.deployments.targets.values():
        named[names.override_variable(target.task, target.environment)].append(target)
    for variable, targets in named.items():
        if len(targets) > 1:
            both = " and ".join(map(str, targets))
            message = f"{both} share the override variable {variable}"
            yield about(facts, targets[1], "override-variable", message, "error", "rename one")
