"""Promote, adopt, hold and unhold as before -> after.

What is on disk comes in as a value: `Shas` tells the hash that a profile's file has now.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from fftdeploy.errors import PolicyError, UsageError
from fftdeploy.names import OPENAI
from fftdeploy.planning.breaches import on_hold
from fftdeploy.planning.bundles import (
    BundleSource,
    Shas,
    is_recorded,
    lacks_file,
    live_bundle,
    refuse_without_file,
    replaced_bundle,
)
from fftdeploy.policy.policy import Rules
from fftdeploy.releases.deployments import Bundle, Hold, Release, Target


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
    _refuse_held(target, source.bundle, actor.now)
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
    _refuse_held(target, live, actor.now)
    return Plan(target, recorded(target, live, actor, verified=verified, overrides=overrides))


def plan_hold(
    target: Target,
    model: str,
    actor: Actor,
    *,
    provider: str | None = None,
    until: datetime | None = None,
) -> Plan:
    """Block `model` in `target`, until a time to come; blocking it twice changes nothing.

    Without a `provider` it is that where the target has, or last had, the model.
    """
    if until is not None and until <= actor.now:
        raise UsageError("--until has passed already", hint="name a later time")
    if provider is None:
        releases = (release.bundle for release in target.releases)
        had = next((each.provider for each in releases if each.model == model), OPENAI)
        provider = target.provider if target.model == model else had
    blocked = (model, provider)
    active = [h for h in target.holds if (h.model, h.provider) == blocked and h.release is None]
    if any(hold.is_active(actor.now) and hold.until == until for hold in active):
        return Plan(target, target, (f"{model} is on hold already",))
    hold = Hold(model, actor.now, actor.by, actor.why or "", provider=provider, until=until)
    live = ("it is live here: a rollback takes it out of service",)
    return Plan(
        target,
        replace(target, holds=(hold, *target.holds)),
        live if (target.model, target.provider) == blocked else (),
    )


def plan_unhold(target: Target, model: str | None, actor: Actor) -> Plan:
    """Lift the active holds on `model`, or the only active one; else UsageError."""
    active = [hold for hold in target.holds if hold.is_active(actor.now)]
    chosen = [hold for hold in active if model is None or hold.model == model]
    if not chosen:
        what = f"no active hold on {model}" if model else "no active hold"
        raise UsageError(f"{target} has {what}", hint=f"fftdeploy status {target}", code="no-hold")
    if model is None and len(chosen) > 1:
        raise UsageError(
            f"{target} has {len(chosen)} active holds",
            hint=f"name the model: {', '.join(hold.model for hold in chosen)}",
            code="several-holds",
        )
    lifted = frozenset(chosen)
    holds = tuple(
        hold.lift(actor.now, actor.by, actor.why or "") if hold in lifted else hold
        for hold in target.holds
    )
    return Plan(target, replace(target, holds=holds))


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


def _refuse_held(target: Target, bundle: Bundle, now: datetime) -> None:
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


def hold_on_removed(
    target: Target, removed: Bundle, row: Release | None, stays: Bundle, actor: Actor, why: str
) -> Hold | None:
    """Build the hold that keeps `removed`, which release `row` records, from coming back.

    None if there is one already, and where only one on the model can be, which `stays` is of, too.
    """
    same_model = (removed.model, removed.provider) == (stays.model, stays.provider)
    if target.hold_on(removed, actor.now) or (same_model and row is None):
        return None
    return Hold(
        model=removed.model,
        provider=removed.provider,
        # Same model, other prompt: only the bundle may be blocked, or what stays would be.
        release=row.n if same_model and row else None,
        since=actor.now,
        by=actor.by,
        why=actor.why or why,
    )
