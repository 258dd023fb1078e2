"""Hold: block a model in a target."""

from functools import partial

from fftdeploy import names
from fftdeploy.commands.changing import typed_models
from fftdeploy.commands.changing.change import Change, Changed
from fftdeploy.commands.context import Context, require_offset
from fftdeploy.commands.door import door
from fftdeploy.commands.options.changing import HoldOptions
from fftdeploy.planning.holds import plan_hold


def run(context: Context, options: HoldOptions) -> Changed:
    """Block a model: promote refuses it, rollback passes it over.

    Raises:
        FftdeployError: Why not; the file is as it was unless this says it WAS changed.
    """
    if options.provider is not None:
        context.require_provider(options.provider)
    until = require_offset(options.until, "--until") if options.until else None
    change = Change(context, options)
    target = change.workspace.target(change.name)
    model = typed_models.in_file(context, options.provider).known(options.model)
    known = change.workspace.deployments.models()
    if model not in known:
        near = names.nearest(model, known, names.MISTYPED)
        meant = f", and nothing else is put on hold: did you mean {near}?" if near else ""
        context.console.note(f"{'warning' if near else 'note'}: no target has {model} yet{meant}")
    change.require_why(f"hold {model} in {target}: why?")
    return change.make_unasked(
        partial(plan_hold, target, model, provider=options.provider, until=until)
    )


hold = door(run, HoldOptions)
