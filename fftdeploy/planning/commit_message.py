"""Writes the commit of a change as a person would, with trailers for programs."""

from fftdeploy.model_ids.model_names import short_name
from fftdeploy.names import OPENAI
from fftdeploy.planning.plan import Plan


def message(made: Plan) -> str:
    """Write the commit of a change: a subject a person would write, the reason, trailers."""
    after = made.after
    trailers = [f"Task: {after.task}", f"Environment: {after.environment}"]
    release = made.new_release
    if release is not None:
        trailers.append(f"Model: {release.bundle.model}")
        if release.bundle.provider != OPENAI:
            trailers.append(f"Provider: {release.bundle.provider}")
        trailers.append(f"Release: {release.n}")
        if release.evidence:
            trailers.append(f"Evidence: {release.evidence}")
    else:
        model = next((hold.model for hold in made.touched_holds), after.model)
        trailers.append(f"Model: {model}")
    reasons = [hold.lifted_why or hold.why for hold in made.touched_holds]
    reason = release.why if release else next(iter(reasons), "")
    parts = [subject(made), reason or "", "\n".join(trailers)]
    return "\n\n".join(part for part in parts if part) + "\n"


def subject(made: Plan) -> str:
    """Write the first line of the commit of a change."""
    after, release = made.after, made.new_release
    if release is None:
        touched = made.touched_holds
        if made.before and made.before.canary and not after.canary:
            return f"Take the canary {short_name(made.before.canary.model)} out of {after}"
        lifted = any(hold.lifted for hold in touched)
        model = touched[0].model if touched else after.model
        return f"{'Unhold' if lifted else 'Hold'} {short_name(model)} in {after}"
    if release.canary is not None:
        return f"Try {short_name(release.bundle.model)} on {release.canary} % of {after}"
    if release.via == "rollback":
        return f"Roll {after} back to release {release.to} ({short_name(release.bundle.model)})"
    if release.via == "adopt":
        return f"Record {short_name(release.bundle.model)} as live in {after}"
    return f"Promote {short_name(release.bundle.model)} to {after}"
