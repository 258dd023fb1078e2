"""Holds as before -> after: put on, lifted, and left on what is taken out of service."""

from dataclasses import replace
from datetime import datetime

from fftdeploy.errors import UsageError
from fftdeploy.names import OPENAI
from fftdeploy.planning.plan import Actor, Plan
from fftdeploy.releases.deployments import FOR_GOOD, Bundle, Hold, Release, Target


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
    held = replace(target, holds=(hold, *target.holds))
    for line, what in ((target, "live"), (target.canary, "a canary")):
        if line and (line.model, line.provider) == blocked:
            note = f"it is {what} here: a rollback takes it out of service"
            return Plan(target, held, (note,))
    return Plan(target, held)


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
            hint="\n".join(f"fftdeploy unhold {target} {hold.model}" for hold in chosen),
            code="several-holds",
        )
    lifted = frozenset(chosen)
    holds = tuple(
        hold.lift(actor.now, actor.by, actor.why or "") if hold in lifted else hold
        for hold in target.holds
    )
    return Plan(target, replace(target, holds=holds))


def hold_on_removed(
    target: Target, removed: Bundle, row: Release | None, stays: Bundle, actor: Actor, why: str
) -> Hold | None:
    """Build the hold that keeps `removed`, which release `row` records, from coming back.

    None if there is one without an end already, and where only one on the model can be, which
    `stays` is of, too.
    """
    same_model = (removed.model, removed.provider) == (stays.model, stays.provider)
    if target.hold_on(removed, FOR_GOOD) or (same_model and row is None):
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
