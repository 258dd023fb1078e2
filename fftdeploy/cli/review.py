"""The command that makes examples of what models have answered: review."""

from pathlib import Path
from typing import Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.output.report import Report


@command("review")
def review(
    session: Session,
    task: Annotated[str, typer.Argument(help="The task whose examples are reviewed.")],
    run: Annotated[
        str | None,
        typer.Option("--run", help="Review the failures of this run; default: the newest."),
    ] = None,
    unreviewed: Annotated[
        bool,
        typer.Option("--unreviewed", help="Review the examples that nobody has reviewed yet."),
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Review a JSONL of production requests.", metavar="FILE"),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", help="With --from: add to this examples file, not the first.", metavar="FILE"
        ),
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who reviews.", metavar="NAME")] = None,
) -> Report:
    """Turn model answers into human-reviewed examples, one at a time.

    \b
    Examples:
      fftdeploy review triage                          the failures of the newest run
      fftdeploy review triage --run 3f9c2a61d0b7
      fftdeploy review triage --unreviewed             examples that nobody has reviewed
      fftdeploy review triage --from requests.jsonl    production requests become examples
    """
    from fftdeploy.cli import review_view
    from fftdeploy.commands.review import ReviewOptions, check, open_queue

    options = ReviewOptions(task, run=run, unreviewed=unreviewed, requests=source, to=to, by=by)
    check(options)
    review_view.require_terminal(session)
    return review_view.Review(session, options.task, open_queue(session, options)).run()
