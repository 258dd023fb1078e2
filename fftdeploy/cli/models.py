"""Models: what a person reads of those that the key can see."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fftdeploy.cli.app import command
from fftdeploy.cli.cells import shutdown_cell
from fftdeploy.cli.session import Session
from fftdeploy.output.report import Block, Cell, Report, Table, line
from fftdeploy.output.words import moment

if TYPE_CHECKING:
    from fftdeploy.commands.models import Models


@command("models")
def models(session: Session) -> Report:
    """List the models this key can see, and the jobs still running.

    \b
    Examples:
      fftdeploy models
      fftdeploy models --json
    """
    from fftdeploy.commands.door import Options
    from fftdeploy.commands.models import run

    result = run(session, Options())
    return Report(result.outcome, result, tuple(_body(result)))


def _body(result: "Models") -> Iterator[Block]:
    rows = tuple(
        (
            Cell(model.id),
            Cell(model.base),
            Cell(moment(model.created_at) if model.created_at else ""),
            shutdown_cell(model.shutdown),
            Cell(", ".join(model.live_in), "good"),
        )
        for model in result.models
    )
    yield Table(("model", "base", "created", "shuts down", "live in"), rows)
    for model in result.models:
        yield from (line(f"{model.id}: {notice}") for notice in model.notices)
    if result.jobs_unknown:
        yield line(result.jobs_unknown)
        if result.hint:
            yield line(f"hint: {result.hint}")
    elif result.jobs is None:
        yield line("jobs: none here")
    elif result.jobs:
        yield line("")
        jobs = tuple((Cell(job.id), Cell(job.base), Cell(job.status)) for job in result.jobs)
        yield Table(("job", "base", "status"), jobs)
