"""The command that makes examples of what models have answered: review."""

from pathlib import Path
from typing import Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.commands.context import actor_name, one_of
from fftdeploy.errors import UsageError
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
    flags = {"--run": run, "--unreviewed": unreviewed, "--from": source}
    one_of(flags)
    if to is not None and source is None:
        raise UsageError("--to goes with --from", hint="failures are reviewed where they are")
    from fftdeploy.cli import review_view

    review_view.require_terminal(session)
    from fftdeploy.evaluation.review.in_place import failures
    from fftdeploy.evaluation.review.in_place import unreviewed as nobody_reviewed
    from fftdeploy.evaluation.review.queue import ReviewQueue
    from fftdeploy.evaluation.review.requests import Requests
    from fftdeploy.evaluation.review.source import Reviewer, ReviewSource

    bar = session.quality_bar(session.workspace, task)
    reviewer = Reviewer(actor_name(session, by), session.now)
    answers: ReviewSource
    if source is not None:
        answers = Requests(bar, reviewer, source, to)
    elif unreviewed:
        answers = nobody_reviewed(bar, reviewer)
    else:
        answers = failures(bar, reviewer, run)
    return review_view.Review(session, bar.task, ReviewQueue(answers)).run()
