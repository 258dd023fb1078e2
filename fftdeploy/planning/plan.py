"""Promote and adopt as before -> after, and what the team's rules have against that.

What is on disk comes in as a value: `Shas` tells the hash that a profile's file has now.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from fftdeploy import names
from fftdeploy.errors import PolicyError, UsageError
from fftdeploy.planning.bundles import (
    BundleSource,
    PlanningFacts,
    Shas,
    is_recorded,
    lacks_file,
    live_bundle,
    next_environment,
    refuse_without_file,
    replaced_bundle,
)
from fftdeploy.policy.policy import Rules
from fftdeploy.releases.deployments import OVERRIDES, Bundle, Hold, Release, Target
from fftdeploy.times import short_duration

BreachCode = Literal["order", "soak", "freeze", "runway"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes a target, when and why."""

    by: str
    now: datetime
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One target, before and after; equal sides change nothing."""

    before: Target | None
    after: Target
    notes: tuple[str, ...] = ()

    @property
    def is_noop(self) -> bool:
        """Tell whether the file stays as it is, byte for byte."""
        return self.before == self.after

    @property
    def new_release(self) -> Release | None:
        """The release that is added, if one is."""
        before = self.before.releases if self.before else ()
        return self.after.releases[0] if len(self.after.releases) > len(before) else None

    @property
    def touched_holds(self) -> tuple[Hold, ...]:
        """The holds that are added or lifted."""
        old = self.before.holds if self.before else ()
        added = len(self.after.holds) - len(old)  # they are put on top
        kept = zip(old, self.after.holds[added:], strict=True)
        return (*self.after.holds[:added], *(now for was, now in kept if now != was))

    def with_evidence(self, evidence: str | None) -> "Plan":
        """Return this plan with the evidence that let its new release through, if any did."""
        if evidence is None:
            return self
        newest, *older = self.after.releases
        releases = (replace(newest, evidence=evidence), *older)
        return replace(self, after=replace(self.after, releases=releases))


def recorded(
    target: Target,
    live: Bundle,
    actor: Actor,
    *,
    verified: bool = False,
    overrides: tuple[str, ...] = (),
) -> Target:
    """Return `target` with a hand edit recorded on top, or as it is if there is none to record.

    So it is a way back.  Where an older release has the bundle, the new one shares its origin.
    """
    if is_recorded(target, live) or lacks_file(live):
        return target
    same = next((release for release in target.made_live if release.bundle == live), None)
    release = Release(
        n=target.top + 1,
        bundle=live,
        at=actor.now,
        by=actor.by,
        via="adopt",
        why=actor.why,
        to=same.n if same else None,
        verified=verified,
        overrides=overrides,
    )
    return replace(target, releases=(release, *target.releases))


def plan_promotion(
    target: Target | None,
    name: tuple[str, str],
    source: BundleSource,
    rules: Rules,
    shas: Shas,
    actor: Actor,
    *,
    overrides: tuple[str, ...] = (),
) -> Plan:
    """Point a target at a bundle, keeping what it replaces as a way back.

    Promoting the live bundle changes nothing, so a repeated CI job adds no release; where
    the live bundle is not recorded yet it records it, as `adopt` does.

    Raises:
        PolicyError: The bundle is on hold, `--why` is missing on a protected target, or the
            target is protected and was edited by hand.
    """
    if target is None:
        target = Target(*name, model="")
        require_why(rules, target, actor)
        return Plan(None, _released(target, source, actor, overrides))
    live = live_bundle(target, shas)
    if source.bundle == live and is_recorded(target, live):
        return Plan(target, target, ("it is live already",))
    refuse_held(target, source.bundle, actor.now)
    refuse_hand_edit(rules, target, live)
    require_why(rules, target, actor)
    if source.bundle == live:
        made = plan_adoption(target, live, actor, verified=True, overrides=overrides)
        return replace(made, after=pointed(made.after, live))
    replaced = replaced_bundle(target, live)
    base = recorded(target, replaced, replace(actor, why=None))
    notes = [source.note] if source.note else []
    notes += hand_edit_notes(target, base, replaced)
    return Plan(target, _released(base, source, actor, overrides), tuple(notes))


def hand_edit_notes(target: Target, base: Target, live: Bundle) -> list[str]:
    """Say what became of a hand edit: `base` is `target` with it recorded, where that could be."""
    if base != target:
        return [f"what is live was not recorded: release {base.releases[0].n} records it"]
    if lacks_file(live):
        return [f"profiles/{live.profile}.toml is missing: what was live with it is not recorded"]
    return []


def plan_adoption(
    target: Target,
    live: Bundle,
    actor: Actor,
    *,
    verified: bool = False,
    overrides: tuple[str, ...] = (),
) -> Plan:
    """Record a hand edit as a release of its own.

    Raises:
        PolicyError: The live bundle is on hold in this target.
        ConfigError: Its profile has no file.
    """
    if is_recorded(target, live):
        return Plan(target, target, ("the newest release records it already",))
    refuse_without_file(live, "put the right name into the target")
    refuse_held(target, live, actor.now)
    return Plan(target, recorded(target, live, actor, verified=verified, overrides=overrides))


def refuse_hand_edit(rules: Rules, target: Target, live: Bundle) -> None:
    """Refuse to promote over a hand edit of a protected target that has releases."""
    if rules.protected and target.newest and not is_recorded(target, live):
        raise PolicyError(
            f"{target} was edited by hand: its newest release is not what is live",
            hint=f"record it first: fftdeploy adopt {target} --why TEXT",
            where=str(target),
            code="hand-edit",
        )


def require_why(rules: Rules, target: Target, actor: Actor, *, always: bool = False) -> None:
    """Refuse a change of a protected target, or with `always` of any, that gives no reason."""
    if (rules.protected or always) and not actor.why:
        reason = "is protected" if rules.protected else "has no releases yet"
        raise PolicyError(
            f"{target} {reason}: the change needs a reason", hint='add --why "TEXT"', code="why"
        )


def refuse_held(target: Target, bundle: Bundle, now: datetime) -> None:
    """Refuse what is on hold in the target."""
    if hold := target.hold_on(bundle, now):
        raise on_hold(bundle, target, hold)


def _released(
    target: Target, source: BundleSource, actor: Actor, overrides: tuple[str, ...]
) -> Target:
    release = Release(
        n=target.top + 1,
        bundle=source.bundle,
        at=actor.now,
        by=actor.by,
        via=source.via,
        job=source.job if source.via == "job" else None,
        why=actor.why,
        overrides=overrides,
    )
    return replace(pointed(target, source.bundle), releases=(release, *target.releases))


def pointed(target: Target, bundle: Bundle) -> Target:
    """Return `target` with its pointer at `bundle`, and no canary; its releases as they were."""
    return replace(
        target, model=bundle.model, provider=bundle.provider, profile=bundle.profile, canary=None
    )


@dataclass(frozen=True, slots=True)
class Breach:
    """One rule that a promotion does not meet, and that `--override` can name."""

    code: BreachCode
    message: str
    way: str = "wait"
    """What ends it, as it can be typed where it can."""


@dataclass(frozen=True, slots=True)
class SourceRules:
    """Where what is promoted into an environment has to come from, and what is live there."""

    facts: PlanningFacts
    task: str
    environment: str

    def order_breach(self, bundle: Bundle) -> Breach | None:
        """Say why `bundle` may not come here: it is not, and was not, live in a source."""
        if not self._rules.sources or self._met(bundle):
            return None
        return Breach("order", f"{bundle} was not live in {self._places}", self._way_in(bundle))

    def soak_breach(self, bundle: Bundle) -> Breach | None:
        """Say why `bundle` was not live long enough, unbroken, in any source."""
        soak, facts = self._rules.soak, self.facts
        if not soak or not self._rules.sources:
            return None
        spans = (t.soaked(bundle, facts.live(t), facts.now) for t in self._met(bundle))
        best = max(spans, default=None)
        if best is not None and best >= soak:
            return None
        had = f"was live for {short_duration(best)}" if best is not None else "was not live"
        way = f"{self._way_in(bundle)}, then wait" if best is None else "wait"
        message = f"{bundle} {had} in {self._places}; {short_duration(soak)} are asked"
        return Breach("soak", message, way)

    def hold(self, bundle: Bundle) -> tuple[Target, Hold] | None:
        """Return the source, and its hold, that keeps `bundle` from coming here.

        None where no source has put it on hold, or another one has it.
        """
        if self.order_breach(bundle) is None:
            return None
        for target in self.facts.sources(self.task, self.environment):
            if hold := target.hold_on(bundle, self.facts.now):
                return target, hold
        return None

    @property
    def _rules(self) -> Rules:
        return self.facts.policy.rules(self.environment)

    @property
    def _places(self) -> str:
        return " or ".join(f"{self.task}/{source}" for source in self._rules.sources)

    def _way_in(self, bundle: Bundle) -> str:
        def has_it(name: str) -> bool:
            target = self.facts.deployments.targets.get((self.task, name))
            return target is not None and self._has(target, bundle)

        policy = self.facts.policy
        name, _ = next_environment(policy, self._rules.sources[0], has_it)
        profile = f" --profile {bundle.profile}" if bundle.profile else ""
        host = f" --provider {bundle.provider}" if bundle.provider != names.OPENAI else ""
        why = ' --why "TEXT"' if policy.rules(name).protected else ""
        return f"fftdeploy promote {self.task}/{name} --model {bundle.model}{profile}{host}{why}"

    def _met(self, bundle: Bundle) -> list[Target]:
        """Return the source targets where `bundle` is or was live and is not on hold."""
        sources = self.facts.sources(self.task, self.environment)
        return [target for target in sources if self._has(target, bundle)]

    def _has(self, target: Target, bundle: Bundle) -> bool:
        is_known = self.facts.live(target) == bundle or target.was_live(bundle)
        return is_known and target.hold_on(bundle, self.facts.now) is None


def on_hold(bundle: Bundle, target: Target, hold: Hold) -> PolicyError:
    """Build the error for what a hold keeps out, in `target`; no override lifts it."""
    return PolicyError(
        f"{bundle.model} is on hold in {target} since {hold.since:%Y-%m-%d}, "
        f"by {hold.by}: {hold.why}",
        hint=f"lift it first: fftdeploy unhold {target} {bundle.model} --why TEXT",
        where=str(target),
        code="hold",
    )


def freeze_breach(rules: Rules, now: datetime) -> Breach | None:
    """Name the freeze that covers today, in UTC."""
    today = now.date()
    for freeze in rules.freezes:
        if freeze.first <= today <= freeze.last:
            return Breach("freeze", f"frozen from {freeze.first} to {freeze.last}: {freeze.why}")
    return None


def runway_breach(rules: Rules, days: int | None) -> Breach | None:
    """Say that `days` to its end are too few; an unknown date passes, and any if none is asked."""
    if days is None or not rules.min_runway_days or days >= rules.min_runway_days:
        return None
    ends = f"shuts down in {names.plural(days, 'day')}" if days > 0 else "has reached its last day"
    message = f"the model {ends}; {names.plural(rules.min_runway_days, 'day')} are asked"
    return Breach("runway", message, "promote a model that shuts down later")


def require_known(overrides: Sequence[str], why: str | None) -> None:
    """Refuse overrides that there are not, or that nobody has given a reason for."""
    for given in overrides:
        if given not in OVERRIDES:
            raise UsageError(**names.not_one_of("--override", given, OVERRIDES))
    if overrides and not why:
        raise UsageError("--override needs a reason", hint='add --why "TEXT"', code="why")


def require_allowed(overrides: Sequence[str], rules: Rules, environment: str) -> None:
    """Refuse overrides where the policy takes none."""
    if overrides and not rules.allow_overrides:
        raise PolicyError(
            f"overrides are forbidden in {environment}",
            hint="`allow_overrides = false` in fftdeploy.toml",
            code="allow-overrides",
        )


def refusal(target: str, breaches: list[Breach], rules: Rules) -> PolicyError:
    """Build the error for breaches that nothing sets aside: what ends each of them comes first."""
    ways = dict.fromkeys(breach.way for breach in breaches)
    steps = [way for way in ways if f"{way}, then wait" not in ways]
    codes = ",".join(sorted({breach.code for breach in breaches}))
    aside = f'or set it aside: --override {codes} --why "TEXT"'
    if not rules.allow_overrides:
        aside = "overrides are forbidden here"
    return PolicyError(
        f"{target}: {'; '.join(breach.message for breach in breaches)}",
        hint=f"{', then '.join(steps)}, {aside}",
        code=breaches[0].code,
    )
