"""A canary as before -> after: another model answers a part of the keys, beside what is live.

Its releases are records of a trial: they are no way back, give no soak, and are not what is live.
Taking one off is a line less and a hold; making it live is a promotion like any other.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from fftdeploy.api.readiness import OTHER_MODEL, Readiness
from fftdeploy.errors import PolicyError, UsageError
from fftdeploy.planning.bundles import Shas, tried_bundle
from fftdeploy.planning.finding import Severity
from fftdeploy.planning.plan import Actor, Plan
from fftdeploy.releases.deployments import Bundle, Canary, Hold, Target


def require_alone(target: Target, runs: Canary, bundle: Bundle, shas: Shas) -> None:
    """Refuse a promotion of anything else than the canary that `runs`.

    Raises:
        PolicyError: With the commands that end the trial.
    """
    if bundle != tried_bundle(target, shas):
        raise PolicyError(
            f"a canary runs in {target}: {runs.model}, {runs.weight} %",
            hint=f"make it live: fftdeploy promote {target}; "
            f"or take it off: fftdeploy rollback {target}",
            where=str(target),
            code="canary",
        )


def require_beside(target: Target | None, live: Bundle | None, bundle: Bundle) -> None:
    """Refuse a canary of what is live, or where nothing is.

    Raises:
        UsageError: There is nothing that it could be tried beside.
    """
    if target is None:
        raise UsageError("--canary needs something live to be tried beside", hint="leave it out")
    if bundle == live:
        raise UsageError(f"{bundle.model} is live in {target} already", hint="leave --canary out")


def is_tried(target: Target, bundle: Bundle, shas: Shas, weight: int) -> bool:
    """Tell whether `bundle` is the canary of `target`, on record, with this weight."""
    row = target.canary_release
    if row is None or row.canary != weight:
        return False
    return row.bundle == bundle == tried_bundle(target, shas)


def with_canary(made: Plan, weight: int) -> Plan:
    """Turn the plan of a promotion into one that gives its model `weight` percent of the keys."""
    if made.before is None or made.is_noop:
        return made
    newest, *older = made.after.releases
    tried, release = newest.bundle, replace(newest, canary=weight)
    line = Canary(tried.model, weight, newest.at, tried.provider, tried.profile)
    return replace(made, after=replace(made.before, canary=line, releases=(release, *older)))


def plan_removal(target: Target, live: Bundle, shas: Shas, actor: Actor) -> Plan:
    """Take the canary off and put it on hold, once; what is live stays as it is."""
    tried = tried_bundle(target, shas)
    if tried is None:
        return Plan(target, target, ("no canary runs",))
    hold = _hold_on(target, tried, live, actor)
    holds = (hold, *target.holds) if hold else target.holds
    return Plan(target, replace(target, canary=None, holds=holds))


def _hold_on(target: Target, tried: Bundle, live: Bundle, actor: Actor) -> Hold | None:
    """Build the hold on a canary that is taken off; None where there is one, or none can be."""
    row = target.canary_release
    same_model = (tried.model, tried.provider) == (live.model, live.provider)
    if target.hold_on(tried, actor.now) or (same_model and row is None):
        return None
    return Hold(
        model=tried.model,
        provider=tried.provider,
        # Same model, other prompt: a hold on the model would be one on what is live.
        release=row.n if row and same_model else None,
        since=actor.now,
        by=actor.by,
        why=actor.why or f"canary of {target.canary.weight if target.canary else 0} % taken off",
    )


def problems(
    target: Target, tried: Bundle, now: datetime, known: Readiness | None
) -> Iterator[tuple[str, str, Severity]]:
    """Yield what is wrong with a canary: its code, what it is, and how grave.

    `known` is what the API proved about it; None where nobody was asked.
    """
    row = target.canary_release
    if row is None or row.bundle != tried:
        yield "canary-edit", f"hand edit: the canary says {tried}, and no release does", "error"
    if hold := target.hold_on(tried, now):
        yield "held-live", f"the canary is on hold since {hold.since:%Y-%m-%d}: {hold.why}", "error"
    if known is not None and not known.is_ready:
        is_proved = known.dead or known.code == OTHER_MODEL
        code = known.code if is_proved else known.state
        yield code, f"the canary: {known.message}", "error" if is_proved else "notice"
