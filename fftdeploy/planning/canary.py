"""A canary as before -> after: another model answers a part of the keys, beside what is live.

Its releases are records of a trial: they are no way back, give no soak, and are not what is live.
Taking one off is a line less and a hold; making it live is a promotion like any other.
"""

from dataclasses import replace

from fftdeploy.errors import PolicyError, UsageError
from fftdeploy.planning.bundles import Shas, live_bundle, tried_bundle
from fftdeploy.planning.holds import hold_on_removed
from fftdeploy.planning.plan import Actor, Plan
from fftdeploy.releases.deployments import Bundle, Canary, Target


def require_alone(target: Target, runs: Canary, bundle: Bundle, shas: Shas) -> None:
    """Refuse a promotion of anything else than the canary that `runs`."""
    if bundle != tried_bundle(target, shas):
        raise PolicyError(
            f"a canary runs in {target}: {runs.model}, {runs.weight} %",
            hint=f"make it live: fftdeploy promote {target}; "
            f"or take it off: fftdeploy rollback {target} --canary",
            where=str(target),
            code="canary",
        )


def require_beside(target: Target | None, live: Bundle | None, bundle: Bundle) -> None:
    """Refuse a canary of what is live, or where nothing is."""
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
    """Take the canary off and put it on hold, once; what is live stays as it is.

    A canary that is what is live is put on none: that would block what stays.
    """
    if target.canary is None:
        return Plan(target, target, ("no canary runs",))
    tried = live_bundle(target.canary, shas)
    why = f"canary of {target.canary.weight} % taken off"
    is_live = tried == live
    hold = (
        None if is_live else hold_on_removed(target, tried, target.canary_release, live, actor, why)
    )
    holds = (hold, *target.holds) if hold else target.holds
    return Plan(target, replace(target, canary=None, holds=holds))
