"""Holds a proposed change to the rules of the files that it is to be merged into."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from fftdeploy.api.readiness import Shutdown
from fftdeploy.planning import plan
from fftdeploy.planning.bundles import PlanningFacts, canary_of
from fftdeploy.planning.finding import Finding, Severity
from fftdeploy.planning.plan import Breach, SourceRules
from fftdeploy.policy.policy import FILE_NAME, Rules
from fftdeploy.pull_request.changes import TargetChange
from fftdeploy.releases.deployments import FOR_GOOD, Bundle, Deployments, Hold, Release, Target
from fftdeploy.times import CLOCK_SKEW, short_duration

_OLD = timedelta(days=14)
"""A new row that claims to be older than this is worth a look: soak counts from what it says."""

_LEAVE_OUT = "leave it out of this change"
_ONE_BY_ONE = "only what is merged counts: merge the change of its source first, by itself"


class HoldsOfTarget(NamedTuple):
    """A target with a part of its holds each, in the order in which they may speak against it."""

    before: Target
    """With those of the base."""
    by_hand: Target
    """With those that the change puts, and no rollback of it may have put."""
    by_rollback: Target
    made: Mapping[datetime, int]
    """Which rollback may have put a hold, by its moment."""


@dataclass(frozen=True, slots=True)
class ChangeFacts(PlanningFacts):
    """What a change is judged by: the base's file, policy and profiles, and the moment."""

    head: Deployments
    shown: str
    """How findings name the file."""
    dead: frozenset[str]
    """Targets whose live model, in the base, was proved dead: nothing is left to protect."""
    shutdowns: Mapping[str, Shutdown | None]
    """When the model ends that is live after the change, by target."""
    was_live: Callable[[Target, Bundle, datetime], bool]
    """Whether the base had a bundle live in a target at a moment, as far as its history tells."""
    held: dict[str, HoldsOfTarget] = field(default_factory=dict)
    """What is known of the holds of each target that was asked about."""

    def old(self, target: Target) -> Target | None:
        """Return `target` as the base has it."""
        return self.deployments.targets.get((target.task, target.environment))

    def about(
        self,
        change: TargetChange,
        code: str,
        message: str,
        hint: str = "",
        severity: Severity = "error",
    ) -> Finding:
        """Build a finding at the place of `change`."""
        line = self.head.line(change.target, *change.below)
        return Finding(code, severity, str(change.target), message, self.shown, line, hint)


def judge(facts: ChangeFacts, changes: Iterable[TargetChange]) -> list[Finding]:
    """List what speaks against `changes`, and what a reviewer should see; evidence is apart."""
    found: list[Finding] = []
    for change in changes:
        found += _JUDGES.get(change.kind, _promotion)(facts, change)
    return found


def _promotion(facts: ChangeFacts, change: TargetChange) -> Iterator[Finding]:
    """Judge a row that makes a bundle live, or records one that is."""
    release, target = change.release, change.target
    if release is None:
        return
    rules = facts.policy.rules(target.environment)
    yield from _environment(facts, change)
    yield from _row(facts, change, release)
    if is_record_below(facts, change):
        return
    if rules.protected and not release.why:
        yield facts.about(change, "why", f"{target} is protected: release {release.n} has no why")
    if hold := _hold_before(facts, target, release):
        message = f"release {release.n} is on hold {hold.said}"
        yield facts.about(change, "hold", message, _way_out(facts, target, release, hold))
    yield from _overrides(facts, change, release, rules)
    if not is_record(facts, change):
        yield from _breaches(facts, change, release, rules)


def _hold_before(facts: ChangeFacts, target: Target, release: Release) -> Hold | None:
    """Return the hold on `release`, less those that the change puts on it later.

    A rollback puts one on what it removes, and that is `release`: it was not on hold before.  Nor
    was what somebody puts one on by hand, and which is live no more.
    """
    if str(target) not in facts.held:
        facts.held[str(target)] = _held(facts.old(target), target)
    held = facts.held[str(target)]
    if hold := held.before.hold_on(release.bundle, facts.now):
        return hold
    hold = held.by_hand.hold_on(release.bundle, facts.now)
    if hold and (hold.since < release.at or _is_live(target, release)):
        return hold
    hold = held.by_rollback.hold_on(release.bundle, facts.now)
    return hold if hold and held.made[hold.since] <= release.n else None


def _held(old: Target | None, target: Target) -> HoldsOfTarget:
    """Part the holds of `target`; new ones from the first: where that is too late, all are."""
    known = frozenset(old.holds if old else ())
    made = {r.at: r.n for r in reversed(target.releases) if r.via == "rollback"}
    new = [hold for hold in target.holds if hold not in known]
    by_rollback = [hold for hold in new if hold.since in made]
    by_hand = [hold for hold in new if hold.since not in made]
    return HoldsOfTarget(
        replace(target, holds=tuple(hold for hold in target.holds if hold in known)),
        replace(target, holds=tuple(sorted(by_hand, key=lambda hold: hold.since))),
        replace(target, holds=tuple(sorted(by_rollback, key=lambda hold: made[hold.since]))),
        made,
    )


def _is_live(target: Target, release: Release) -> bool:
    in_force = (target.newest, target.canary_release)
    return any(row is not None and row.bundle == release.bundle for row in in_force)


def _way_out(facts: ChangeFacts, target: Target, release: Release, hold: Hold) -> str:
    """Say what can be done about a release on hold: nothing that helps what was taken off."""
    if not _is_live(target, release):
        return _LEAVE_OUT
    old = facts.old(target)
    is_of_base = old is not None and hold in old.holds
    return f"fftdeploy unhold {target} --why TEXT" if is_of_base else f"fftdeploy rollback {target}"


def is_record(facts: ChangeFacts, change: TargetChange) -> bool:
    """Tell whether a row only records what the base has live: an edit by hand, adopted."""
    old = facts.old(change.target)
    if old is None or change.release is None or change.kind != "adopt":
        return False
    return change.release.bundle == facts.live(old)


def is_record_below(facts: ChangeFacts, change: TargetChange) -> bool:
    """Tell whether a row records what the base has live so that the next row may replace it."""
    return is_record(facts, change) and change.release != change.target.newest


def _environment(facts: ChangeFacts, change: TargetChange) -> Iterator[Finding]:
    known, name = facts.policy.default_sources, change.target.environment
    if known and name not in known:
        message = f"the base's {FILE_NAME} knows no environment {name!r}"
        yield facts.about(change, "policy-environment", message, "merge the policy first")


def _row(facts: ChangeFacts, change: TargetChange, release: Release) -> Iterator[Finding]:
    """Doubt a row whose time was made up: soak will count from it once it is merged."""
    old, target = facts.old(change.target), change.target
    again = "roll back again" if release.via == "rollback" else "promote again"
    top = old.top if old is not None else 0
    if release.n > top + target.place(top):  # as many are above it
        message = f"release {release.n} skips numbers: release {top} is the newest of the base"
        yield facts.about(change, "number", message, again)
    if release.at - facts.now > CLOCK_SKEW:
        message = f"release {release.n} is from the future"
        yield facts.about(change, "future", message, again)
    if old is not None and old.newest is not None and old.newest.at - release.at > CLOCK_SKEW:
        message = f"release {release.n} says that it is older than release {old.newest.n}"
        yield facts.about(change, "backdated", message, again)
    elif facts.now - release.at > _OLD:
        message = f"release {release.n} is new here and says {release.at:%Y-%m-%d}"
        yield facts.about(change, "backdated", message, severity="notice")


def _overrides(
    facts: ChangeFacts, change: TargetChange, release: Release, rules: Rules
) -> Iterator[Finding]:
    if not release.overrides:
        return
    if not rules.allow_overrides:
        message = f"overrides are forbidden in {change.target.environment}"
        yield facts.about(change, "allow-overrides", message)
    if not release.why:
        message = f"release {release.n} sets rules aside and gives no reason"
        yield facts.about(change, "why", message)


def _breaches(
    facts: ChangeFacts, change: TargetChange, release: Release, rules: Rules
) -> Iterator[Finding]:
    target = change.target
    if str(target) in facts.dead:
        return
    sources = SourceRules(facts, target.task, target.environment)
    name = canary_of(target) if release.canary is not None else str(target)
    shutdown = facts.shutdowns.get(name) if target.is_in_force(release) else None
    days = shutdown.days_left(facts.now.date()) if shutdown else None
    found: list[Breach | None] = [
        sources.order_breach(release.bundle),
        sources.soak_breach(release.bundle) or _unseen_soak(facts, change, release, rules),
        plan.freeze_breach(rules, facts.now),
        plan.runway_breach(rules, days),
    ]
    if held := sources.hold(release.bundle):
        source, hold = held
        message = f"{release.bundle.model} is on hold in {source}: {hold.why}"
        unhold = f"fftdeploy unhold {source} --why TEXT"
        hint = unhold if _is_live(target, release) else _LEAVE_OUT
        yield facts.about(change, "hold", message, hint)
    for breach in filter(None, found):
        is_set_aside = breach.code in release.overrides and rules.allow_overrides
        yield facts.about(
            change,
            f"policy-{breach.code}",
            breach.message + (" (overridden)" if is_set_aside else ""),
            "" if is_set_aside or breach.code != "order" else _ONE_BY_ONE,
            severity="notice" if is_set_aside else "error",
        )


def _unseen_soak(
    facts: ChangeFacts, change: TargetChange, release: Release, rules: Rules
) -> Breach | None:
    """Doubt a soak that the record claims and the base's history does not show.

    A release says when it was written; how long its pull request was open, it does not.
    """
    if not rules.soak or not rules.sources:
        return None
    start, target = facts.now - rules.soak, change.target
    sources = facts.sources(target.task, target.environment)
    if any(facts.was_live(source, release.bundle, start) for source in sources):
        return None
    asked = short_duration(rules.soak)
    return Breach("soak", f"the base did not have {release.bundle} live {asked} ago")


def _rollback(facts: ChangeFacts, change: TargetChange) -> Iterator[Finding]:
    """Judge a row that claims to go back: it needs no gate, so that it must go back to a release.

    Only what the base has a record of, with a prompt that the base has, was ever let through; a
    release of the change itself is judged by its own row.
    """
    release, target, old = change.release, change.target, facts.old(change.target)
    if release is None:
        return
    yield from _row(facts, change, release)
    to = release.to or 0
    back = old.by_number.get(to, target.by_number.get(to)) if old else None
    if old is None or back is None or back.canary is not None:
        message = f"release {release.n} goes back to release {to}, which was not live in the base"
        yield facts.about(change, "rollback", message, _LEAVE_OUT)
        return
    if release.bundle != back.bundle and not _is_known(old, release.bundle, back.bundle):
        message = f"release {release.n} says rollback, and is not what release {back.n} was"
        yield facts.about(change, "rollback", message, f"fftdeploy promote {target}")
    live = change.before
    if live is not None and live != release.bundle and not _removes(target, live, facts, release):
        message = f"release {release.n} puts no hold on what it removed"
        yield facts.about(change, "rollback", message, f"undo it, and: fftdeploy rollback {target}")


def _is_known(old: Target, bundle: Bundle, back: Bundle) -> bool:
    """Tell whether `bundle` is the model of `back` with a prompt that the target was live with."""
    same = replace(bundle, profile=back.profile, profile_sha=back.profile_sha) == back
    return same and (bundle.profile, bundle.profile_sha) in old.prompts


def _removes(target: Target, live: Bundle, facts: ChangeFacts, release: Release) -> bool:
    """Tell whether what was live is or was on hold for good, or needs no hold: an overshoot."""
    old = facts.old(target)
    origin = old.newest_origins.get(live) if old else None
    is_forward = origin is not None and target.origin(release) > origin
    # One that was lifted again is listed as such.
    return is_forward or target.unlifted.hold_on(live, FOR_GOOD) is not None


def _unexplained(facts: ChangeFacts, change: TargetChange) -> Iterator[Finding]:
    target = change.target
    is_first = facts.old(target) is None and not target.releases
    if is_first and not facts.policy.rules(target.environment).protected:
        return  # a beginner's file: `unrecorded` says what to do
    hint = "undo it"
    if change.kind == "removed-release":
        hint = "undo the revert"
        old = facts.old(target)
        top = old.releases[0] if old and old.releases else None
        if top and top.n not in target.by_number and top.via not in {"rollback", "adopt"}:
            hint += f", and: fftdeploy rollback {target}"  # what the revert was meant to do
    elif change.below in {("model",), ("profile",)}:  # `adopt` records nothing else
        hint += f', or record it on this branch: fftdeploy adopt {target} --why "TEXT"'
    yield facts.about(change, change.kind, change.message, hint)


def _removed_target(facts: ChangeFacts, change: TargetChange) -> Iterator[Finding]:
    protected = facts.policy.rules(change.target.environment).protected
    severity: Severity = "error" if protected else "notice"
    message = f"{change.target} is gone: applications that ask for it will fail"
    yield facts.about(change, "removed-target", message, severity=severity)


_JUDGES = {
    "rollback": _rollback,
    "unexplained": _unexplained,
    "removed-release": _unexplained,
    "removed-target": _removed_target,
    "new-target": _environment,
}
