"""The command that makes examples of what models have answered: review."""

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.looking import ReviewOptions
from fftdeploy.output.report import Report


@command(
    "review",
    ReviewOptions,
    """
    fftdeploy review triage                          the failures of the newest run
    fftdeploy review triage --run 3f9c2a61d0b7
    fftdeploy review triage --unreviewed             examples that nobody has reviewed
    fftdeploy review triage --from requests.jsonl    production requests become examples
    fftdeploy review triage --from evals.jsonl --dry-run
    """,
)
def review(session: Session, options: ReviewOptions) -> Report:
    """Sit with the person who reviews, or bring examples in without one."""
    from fftdeploy.cli import review_view
    from fftdeploy.commands.review import bring_in, check, open_queue

    check(options)
    if options.requests is not None and (options.unreviewed or options.dry_run):
        return review_view.brought_in(bring_in(session, options), is_rehearsal=options.dry_run)
    review_view.require_terminal(session)
    return review_view.Review(session, options.task, open_queue(session, options)).run()
