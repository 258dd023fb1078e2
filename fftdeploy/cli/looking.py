"""The commands that look: diff."""

from typing import Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.completion import complete_target
from fftdeploy.cli.session import Session
from fftdeploy.output.report import Report


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
