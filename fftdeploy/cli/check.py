"""Check: its flags."""

from pathlib import Path
from typing import Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.cells import Wide
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.asking import CheckOptions
from fftdeploy.errors import FftdeployError, UsageError
from fftdeploy.output.report import Report

Targets = Annotated[
    list[str] | None,
    typer.Argument(help="Targets, tasks, or globs such as '*/production'."),
]
Offline = Annotated[bool, typer.Option("--offline", help="Do not ask the API.")]


@command(
    "check",
    CheckOptions,
    """
    fftdeploy check
    fftdeploy check --offline --format github
    fftdeploy check --base origin/main
    """,
)
def check(
    session: Session,
    options: CheckOptions,
    *,
    comment: Annotated[
        Path | None,
        typer.Option("--comment", help="With --base: write a comment in Markdown.", metavar="FILE"),
    ] = None,
    wide: Wide = False,
) -> Report:
    """Show the findings, and write them as a comment, too."""
    from fftdeploy.cli.check_view import report, write_comment
    from fftdeploy.commands import check as checking

    if comment is not None and options.base is None:
        raise UsageError("--comment goes with --base", hint="fftdeploy check --base origin/main")
    try:
        end = report(session, checking.run(session, options), wide=wide)
    except FftdeployError as error:
        write_comment(session, comment, error)
        raise
    write_comment(session, comment, end)
    return end
