"""The commit of a change, as a person would write it, with trailers for programs.  Pure."""

from fftdeploy.planning.plan import Plan
from fftdeploy.releases.deployments import Hold, Release


def message(made: Plan) -> str:
    """Write the commit of a change: a subject a person would write, the reason, trailers."""
    after = made.after
    trailers = [f"Task: {after.task}", f"Environment: {after.environment}"]
    release = new_release(made)
    if release is not None:
        trailers += [f"Model: {release.bundle.model}", f"Release: {release.n}"]
        if release.evidence:
            trailers.append(f"Evidence: {release.evidence}")
    else:
        model = next((hold.model for hold in touched_holds(made)), after.model)
        trailers.append(f"Model: {model}")
    reason = release.why if release else next((_why(h) for h in touched_holds(made)), "")
    parts = [subject(made), reason or "", "\n".join(trailers)]
    return "\n\n".join(part for part in parts if part) + "\n"


def subject(made: Plan) -> str:
    """Write the first line of the commit of a change."""
    after, release = made.after, new_release(made)
    if release is None:
        touched = touched_holds(made)
        lifted = any(hold.lifted for hold in touched)
        model = touched[0].model if touched else after.model
        return f"{'Unhold' if lifted else 'Hold'} {_short(model)} in {after}"
    if release.via == "rollback":
        return f"Roll {after} back to release {release.to} ({_short(release.bundle.model)})"
    if release.via == "adopt":
        return f"Record {_short(release.bundle.model)} as live in {after}"
    return f"Promote {_short(release.bundle.model)} to {after}"


def _short(model: str) -> str:
    """Name a fine-tune by its suffix: the whole ID is in the trailer."""
    parts = model.split(":")
    return parts[3] if model.startswith("ft:") and len(parts) > 3 and parts[3] else model


def new_release(made: Plan) -> Release | None:
    """Return the release that a plan adds, if it adds one."""
    newest = made.after.newest
    old = made.before.newest if made.before else None
    return newest if newest is not None and newest != old else None


def touched_holds(made: Plan) -> tuple[Hold, ...]:
    """Return the holds that a plan adds or lifts."""
    old = made.before.holds if made.before else ()
    added = len(made.after.holds) - len(old)  # they are put on top
    kept = zip(old, made.after.holds[added:], strict=True)
    return (*made.after.holds[:added], *(now for was, now in kept if now != was))


def _why(hold: Hold) -> str:
    return str(hold.lifted_why or hold.why)
