"""Resolve, in every form but the one that `quick` answers."""

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.looking import ResolveOptions
from fftdeploy.output.report import Raw, Report


@command(
    "resolve",
    ResolveOptions,
    """
    MODEL=$(fftdeploy resolve triage/production)
    fftdeploy resolve triage/production --json
    """,
)
def resolve(session: Session, options: ResolveOptions) -> Report:
    """Print the model ID."""
    from fftdeploy.commands.resolve import run

    result = run(session, options)
    return Report(data=result, body=(Raw(f"{result.model}\n"),))
