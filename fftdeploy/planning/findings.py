"""Finds what is proved wrong, or due, in a deployments file.

`check` reports these; `status --fail-on` turns some notices into failures.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from fftdeploy import names
from fftdeploy.api.readiness import OTHER_MODEL
from fftdeploy.errors import ConfigError, FftdeployError
from fftdeploy.planning import bundles
from fftdeploy.planning.finding import Finding, Severity
from fftdeploy.planning.finding_facts import FindingFacts
from fftdeploy.planning.plan import SourceRules
from fftdeploy.planning.rollback import Candidate, rollback_candidates
from fftdeploy.planning.runway import NO_RECORD, RECORDING, UNRECORDED, Runway, lasts
from fftdeploy.policy import policy
from fftdeploy.releases.deployments import Target

STALE = "stale"
"""The code of what is live and should be evaluated again."""
NO_WAY_BACK = "there is no release to go back to"
_CLOCK_SKEW = timedelta(minutes=5)


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
    return facts.about(target, "hand-edit", message, "error", hint, (key,))


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
        yield facts.about(target, "layout", wrong.message, "error", wrong.hint)
    if target.newest is None and bundles.lacks_file(live):
        message = f"profiles/{live.profile}.toml is missing: no application can resolve this"
        yield facts.about(target, "profile-missing", message, "error")
    if target.newest is None:
        hint = f'fftdeploy adopt {target} --why "TEXT"'
        yield facts.about(target, "unrecorded", "what is live is not recorded yet", hint=hint)
    elif edited := hand_edit(facts, target):
        yield edited
    if hold := target.hold_on(live, facts.now):
        message = f"what is live is on hold {hold.said}"
        yield facts.about(target, "held-live", message, "error", f"fftdeploy rollback {target}")
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
    return facts.about(target, "identity", message, "error" if is_protected else "notice", hint)


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
        said.append(("held-live", f"the canary is on hold {hold.said}", "error"))
    if known is not None and not known.is_ready:
        is_proved = known.dead or known.code == OTHER_MODEL
        code = known.code if is_proved else known.state
        said.append((code, f"the canary: {known.message}", "error" if is_proved else "notice"))
    for code, message, severity in said:
        hint = f"fftdeploy rollback {target} --canary"  # typed twice, it does not take live off
        yield facts.about(target, code, message, severity, hint, ("canary",))


def _from_api(facts: FindingFacts, target: Target) -> Iterator[Finding]:
    known = facts.readiness.get(str(target))
    if known and (other := another_model(facts, target)):
        yield other
    for notice in known.notices if known else ():
        yield facts.about(target, "deprecated", notice)
    if known is None or known.is_ready:
        return
    if known.dead:
        message = f"the live model is dead: {known.message}"
        yield facts.about(target, "dead", message, "error", f"fftdeploy rollback {target}")
    elif known.code == OTHER_MODEL:
        yield facts.about(target, known.code, known.message, "error", known.hint)
    else:
        yield facts.about(target, known.state, known.message, hint=known.hint)


def _runway(facts: FindingFacts, target: Target) -> Iterator[Finding]:
    """Say long before that a model ends which is live, or which one would go back to."""
    asked = facts.policy.rules(target.environment).min_runway_days or 0
    due = runway_of(facts, target).due(facts.now.date(), max(asked, facts.runway_days))
    for code, message in due:
        anew = f"fftdeploy calibrate {target.task}" if code == "judge-runway" else ""
        yield facts.about(target, code, message, hint=anew or _later(facts, target))


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
    return bundles.next_promotion(facts, name, is_wanted)


def _lack_of_record(facts: FindingFacts, target: Target) -> list[Finding]:
    """Say while there is time that nothing could be compared with what is live after its end."""
    ends = facts.shutdowns.get(str(target))
    if lasts(ends, facts.now.date()) or facts.is_recorded(target):
        return []
    return [facts.about(target, NO_RECORD, UNRECORDED, hint=RECORDING)]


def _stale(facts: FindingFacts, target: Target, said: Iterable[Finding]) -> list[Finding]:
    """Say that what is live should be evaluated again, unless that is the hint already."""
    hint = evaluating(str(target))
    if any(finding.hint == hint for finding in said) or not (why := facts.evaluation_due(target)):
        return []
    return [facts.about(target, STALE, why, hint=hint)]


def evaluating(target: str) -> str:
    """Return the command that evaluates what is live in a target."""
    return f"fftdeploy eval {target} live"


def _record_notices(facts: FindingFacts, target: Target) -> Iterator[Finding]:
    newest, known = target.newest, facts.readiness.get(str(target))
    proved = known is not None and known.is_ready and "probed" in known.basis
    if newest is not None and not newest.verified and not proved:
        message = f"release {newest.n} was made live without proof"
        hint = "" if known and not known.is_ready else "fftdeploy check --probe"
        yield facts.about(target, "unproved", message, hint=hint, below=("releases", 0))
    later: datetime | None = None
    for index, release in enumerate(target.releases):
        row = ("releases", index)
        if release.at - facts.now > _CLOCK_SKEW:
            message = f"release {release.n} is from the future"
            yield facts.about(target, "future", message, below=row)
        if later is not None and release.at > later:
            message = f"release {release.n} is later than the one above it"
            yield facts.about(target, "time-order", message, below=row)
        later = release.at
    for index, hold in enumerate(target.holds):
        if hold.lifted is None and hold.until is not None and hold.until <= facts.now:
            message = f"the hold on {hold.model} ended {hold.until:%Y-%m-%d}"
            yield facts.about(target, "expired-hold", message, below=("holds", index))
    if newest is None:
        return
    # As soon as the next way back is gone, or not usable, as far as files can tell.
    usable = _usable_ways_back(facts, target)
    if not usable:
        yield facts.about(target, "no-rollback", NO_WAY_BACK)
    elif usable[0].fate == "profile":
        message = f"release {usable[0].release.n}, the way back: {usable[0].reason}"
        yield facts.about(target, "rollback-profile", message)


def _usable_ways_back(facts: FindingFacts, target: Target) -> list[Candidate]:
    """Return the releases that a rollback would stop at, the first one first."""
    candidates = rollback_candidates(target, facts.shas, facts.now)
    return [candidate for candidate in candidates if candidate.is_open]


def _policy_notices(facts: FindingFacts, target: Target) -> Iterator[Finding]:
    live, newest = facts.live(target), target.newest
    source = facts.deployments.targets.get((target.task, newest.via)) if newest else None
    hold = source.hold_on(newest.bundle, facts.now) if newest and source else None
    if newest is not None and hold is not None:
        message = f"release {newest.n} came from {newest.via}, where it is on hold {hold.said}"
        yield facts.about(target, "held-at-source", message)
    if newest is None or newest.bundle != live:
        return  # a hand edit, or nothing recorded, is its own finding
    if newest.via in {"rollback", "adopt"} or "order" in newest.overrides:
        return
    if breach := SourceRules(facts, target.task, target.environment).order_breach(live):
        yield facts.about(target, "policy-order", breach.message)


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
        return facts.about(target, "evidence", message, hint=hint, below=place)
    is_missing = error.code == "missing"
    wrong = "there is no such file" if is_missing else error.message
    message = f"evidence {str(release.evidence)[:12]} of release {release.n}: {wrong}"
    severity: Severity = "notice" if is_missing else "error"
    return facts.about(target, "evidence", message, severity, "fftdeploy verify", place)


def _lack_of_evidence(facts: FindingFacts, target: Target) -> Iterator[Finding]:
    newest = target.newest
    if facts.policy.gate(target.task) is None:
        message = "protected, and the task has no gate: --why is enough"
        yield facts.about(target, "no-gate", message)
    elif (
        newest
        and newest.evidence is None
        and newest.via not in {"rollback", "adopt"}
        and not facts.is_judged(target.task, facts.live(target))
    ):
        message = f"release {newest.n} was promoted without evidence"
        yield facts.about(target, "no-evidence", message, hint=evaluating(str(target)))


def _override_clashes(facts: FindingFacts) -> Iterator[Finding]:
    named: dict[str, list[Target]] = defaultdict(list)
    for target in facts.deployments.targets.values():
        named[names.override_variable(target.task, target.environment)].append(target)
    for variable, targets in named.items():
        if len(targets) > 1:
            both = " and ".join(map(str, targets))
            message = f"{both} share the override variable {variable}"
            yield facts.about(targets[1], "override-variable", message, "error", "rename one")
