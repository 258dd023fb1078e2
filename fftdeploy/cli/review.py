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
        typer.Option(
            "--unreviewed",
            help="Review the examples that nobody has reviewed yet; with --from: add them as such.",
        ),
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Review logs, promptfoo's tests or an Evals export.", metavar="FILE"
        ),
    ] = None,
    moved: Annotated[
        bool,
        typer.Option("--moved", help="With --from: first what moved since the log before."),
    ] = False,
    pick: Annotated[
        str,
        typer.Option(
            "--pick", help="With --from: so many inputs that differ, or all.", metavar="N"
        ),
    ] = "100",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --from: say what it brings, write nothing.")
    ] = False,
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
      fftdeploy review triage --from evals.jsonl --dry-run
    """
    from fftdeploy.cli import review_view
    from fftdeploy.commands.review import ReviewOptions, bring_in, check, open_queue

    options = ReviewOptions(
        task,
        run=run,
        unreviewed=unreviewed,
        requests=source,
        moved=moved,
        pick=pick,
        dry_run=dry_run,
        to=to,
        by=by,
    )
    check(options)
    if source is not None and (unreviewed or dry_run):
        return review_view.brought_in(bring_in(session, options), is_rehearsal=dry_run)
    review_view.require_terminal(session)
    return review_view.Review(session, options.task, open_queue(session, options)).run()
