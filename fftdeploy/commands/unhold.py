"""Unhold: lift a hold, with the reason on record."""

from functools import partial

from fftdeploy.commands.changing.change import Change, Changed
from fftdeploy.commands.changing.typed_models import TypedModels
from fftdeploy.commands.context import Context
from fftdeploy.commands.door import door
from fftdeploy.commands.options.changing import UnholdOptions
from fftdeploy.planning.holds import plan_unhold


def run(context: Context, options: UnholdOptions) -> Changed:
    """Lift a hold, with the reason on record.

    Raises:
        FftdeployError: Why not; the file is as it was unless this says it WAS changed.
    """
    change = Change(context, options)
    target = change.workspace.target(change.name)
    held = {hold.model for hold in target.holds if hold.is_active(context.now())}
    model = options.model
    if model is not None and held:
        typed = TypedModels(
            context,
            held,
            where=str(target),
            what="active hold on",
            hint=f"`fftdeploy status {target}` lists them",
        )
        model = typed.known(model)
    plan_unhold(target, model, change.actor)
    change.require_why(f"lift the hold in {target}: why?")
    return change.make_unasked(partial(plan_unhold, target, model))


unhold = door(run, UnholdOptions)
