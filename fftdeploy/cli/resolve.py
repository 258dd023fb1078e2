"""Resolve, in every form but the one that `quick` answers."""

from typing import Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.output.report import Raw, Report


@command("resolve")
def resolve(
    session: Session,
    target: Annotated[str, typer.Argument(help="TASK/ENVIRONMENT.")],
    key: Annotated[
        str | None, typer.Option("--key", help="Who asks: a canary answers a part of the keys.")
    ] = None,
) -> Report:
    """Print the model ID that serves a target, and nothing else.

    \b
    Examples:
      MODEL=$(fftdeploy resolve triage/production)
      fftdeploy resolve triage/production --json
    """
    from fftdeploy.commands.resolve import ResolveOptions, run

    result = run(session, ResolveOptions(target, key=key))
    return Report(data=result, body=(Raw(f"{result.model}\n"),))
