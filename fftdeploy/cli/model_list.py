"""The models a key can see, where each is live, and the jobs still running."""

from collections import defaultdict
from typing import TYPE_CHECKING

from fftdeploy.cli.cells import shutdown_cell
from fftdeploy.cli.session import Session
from fftdeploy.commands.views import ShutdownView
from fftdeploy.errors import OK, ConfigError, FftdeployError
from fftdeploy.output.report import Block, Cell, Report, Table, line
from fftdeploy.output.words import moment

if TYPE_CHECKING:
    from fftdeploy.api.jobs import Job
    from fftdeploy.api.proof import Prover


def report(session: Session) -> Report:
    """Ask the API for its models and running jobs, and match them with the file if there is one."""
    live = _live(session)  # what is wrong with the file costs no request
    prover = session.prover()
    models = prover.models()
    jobs, unknown = _running_jobs(prover)
    today = session.now().date()
    rows = tuple(
        (
            Cell(model.id),
            Cell(model.base),
            Cell(moment(model.created_at) if model.created_at else ""),
            shutdown_cell(ShutdownView.of(model.shutdown, today)),
            Cell(", ".join(live[model.id]), "good"),
        )
        for model in models
    )
    body: list[Block] = [Table(("model", "base", "created", "runway", "live in"), rows)]
    for model in models:
        body += [line(f"{model.id}: {notice}") for notice in model.notices]
    if unknown:
        body += map(line, filter(None, (unknown.message, unknown.hint and f"hint: {unknown.hint}")))
    elif jobs is None:
        body.append(line("jobs: none here"))
    elif jobs:
        job_rows = tuple((Cell(job.id), Cell(job.base), Cell(job.status)) for job in jobs)
        body += [line(""), Table(("job", "base", "status"), job_rows)]
    session.data.update(
        models=[
            {
                "id": model.id,
                "base": model.base,
                "created_at": f"{model.created_at:%Y-%m-%dT%H:%M:%SZ}"
                if model.created_at
                else None,
                "owned_by": model.owned_by,
                "shutdown_date": model.shutdown.date.isoformat() if model.shutdown else None,
                "shutdown_source": model.shutdown.source if model.shutdown else None,
                "live_in": live[model.id],
                "notices": list(model.notices),
            }
            for model in models
        ],
        jobs=jobs
        if jobs is None
        else [{"id": job.id, "base": job.base, "status": job.status} for job in jobs],
        jobs_unknown=unknown.message if unknown else None,
    )
    return Report(unknown.outcome if unknown else OK, session.data, tuple(body))


def _running_jobs(prover: "Prover") -> "tuple[list[Job] | None, FftdeployError | None]":
    """Return the jobs, and why they are not known where they are not: the models still are."""
    try:
        return prover.running_jobs(), None
    except FftdeployError as error:
        return None, error


def _live(session: Session) -> defaultdict[str, list[str]]:
    """Map models to the targets they are live in; without a file there are none."""
    live: defaultdict[str, list[str]] = defaultdict(list)
    try:
        targets = session.workspace.deployments.targets.values()
    except ConfigError as error:
        if error.code == "no-file":
            return live
        raise
    for target in targets:
        live[target.model].append(str(target))
    return live
