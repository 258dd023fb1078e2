"""Models: what a key can see, where each is live, and the jobs still running."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from fftdeploy.api.jobs import running as jobs_running
from fftdeploy.commands.context import Context
from fftdeploy.commands.door import door
from fftdeploy.commands.options.looking import ModelsOptions
from fftdeploy.commands.views import ShutdownView, TargetName
from fftdeploy.errors import OK, FftdeployError, Outcome
from fftdeploy.names import FLAT
from fftdeploy.output.results import UNPRINTED


@dataclass(frozen=True, slots=True)
class VisibleModel:
    """A model that the key can see."""

    id: str
    base: str
    created_at: datetime | None
    owned_by: str
    shutdown: ShutdownView = field(metadata=FLAT)
    live_in: tuple[TargetName, ...]
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A fine-tuning job that has not ended."""

    id: str
    base: str
    status: str


@dataclass(frozen=True, slots=True)
class Models:
    """What a key can see."""

    models: tuple[VisibleModel, ...]
    jobs: tuple[RunningJob, ...] | None
    """None where they are not known, or the host has none."""
    jobs_unknown: str | None
    """Why they are not known."""
    hint: str = field(metadata=UNPRINTED)
    outcome: Outcome = field(metadata=UNPRINTED)


def run(context: Context, options: ModelsOptions) -> Models:
    """List the models that the key can see and the running jobs, and where each model is live.

    Jobs that can't be listed are the result's `outcome`: the models still are known.

    Raises:
        AuthError: The key is missing or refused.
        UnverifiedError: The API has given no list of models.
        ConfigError: The deployments file, which need not be there, is not valid.
    """
    live = _live(context, options.provider)  # what is wrong with the file costs no request
    context.require_provider(options.provider)
    prover = context.prover().at(options.provider)
    listed = prover.models()
    running, unknown = None, None
    try:
        running = jobs_running(prover)
    except FftdeployError as error:
        unknown = error
    today = context.now().date()
    context.note_old_table(model.shutdown.source for model in listed if model.shutdown)
    found = [
        VisibleModel(
            model.id,
            model.base,
            model.created_at,
            model.owned_by,
            ShutdownView.of(model.shutdown, today),
            tuple(live[model.id]),
            model.notices,
        )
        for model in listed
    ]
    jobs = tuple(RunningJob(job.id, job.base, job.status) for job in running or ())
    return Models(
        models=_retiring(found) if options.retiring else tuple(found),
        jobs=jobs if running is not None else None,
        jobs_unknown=unknown.message if unknown else None,
        hint=unknown.hint if unknown else "",
        outcome=unknown.outcome if unknown else OK,
    )


models = door(run, ModelsOptions)


def _retiring(found: Iterable[VisibleModel]) -> tuple[VisibleModel, ...]:
    dated = [(model.shutdown.shutdown_date, model) for model in found]
    ends = [(day, model) for day, model in dated if day is not None]
    return tuple(model for _, model in sorted(ends, key=lambda each: (each[0], each[1].id)))


def _live(context: Context, provider: str) -> defaultdict[str, list[str]]:
    """Map models of a provider to the targets they are live in; without a file there are none."""
    live: defaultdict[str, list[str]] = defaultdict(list)
    if (workspace := context.workspace_if_any()) is None:
        return live
    for target in workspace.in_order(workspace.deployments.targets.values()):
        if target.provider == provider:
            live[target.model].append(str(target))
        if target.canary and target.canary.provider == provider:
            live[target.canary.model].append(f"{target} ({target.canary.weight} %)")
    return live
