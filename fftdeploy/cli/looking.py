"""The commands that look: diff, resolve."""

from typing import Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.completion import complete_target
from fftdeploy.cli.session import Session
from fftdeploy.output.report import Raw, Report
from fftdeploy.routing.runtime import resolve as resolve_target


@command("diff")
def diff(
    session: Session,
    a: Annotated[
        str | None,
        typer.Argument(
            help="Environment, target, task or git ref; default: HEAD.",
            autocompletion=complete_target,
        ),
    ] = None,
    b: Annotated[
        str | None,
        typer.Argument(
            help="The other one; default: the working tree.", autocompletion=complete_target
        ),
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 12 where they differ.")
    ] = False,
) -> Report:
    """Compare environments, targets or git refs by what is live; always offline.

    \b
    Examples:
      fftdeploy diff                           HEAD and the working tree
      fftdeploy diff main                      a branch, tag or commit and the working tree
      fftdeploy diff staging production
      fftdeploy diff triage --format markdown  a task, environment by environment
    """
    from fftdeploy.cli import diffing

    return diffing.Diff(session, a, b, exit_code=exit_code).run()


@command("resolve")
def resolve(
    session: Session,
    target: Annotated[
        str, typer.Argument(help="TASK/ENVIRONMENT.", autocompletion=complete_target)
    ],
) -> Report:
    """Print the model ID that serves a target, and nothing else.

    \b
    Examples:
      MODEL=$(fftdeploy resolve triage/production)
      fftdeploy resolve triage/production --json
    """
    found = resolve_target(target, file=session.file, environ=session.environ)
    data = {
        "target": found.target,
        "model": found.model,
        "provider": found.provider,
        "profile": found.profile_name,
        "parameters": dict(found.profile) if found.profile is not None else None,
        "release": found.release,
        "source": found.source,
    }
    return Report(data=data, body=(Raw(f"{found.model}\n"),))
