"""The command scan; a module of its own, for a commit hook waits for it."""

from pathlib import Path
from typing import Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.output.report import Report


@command("scan")
def scan(
    session: Session,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files and folders; default: the repository of the file.", metavar="PATH"
        ),
    ] = None,
) -> Report:
    """Find model IDs that are written elsewhere than in the file.

    \b
    Examples:
      fftdeploy scan
      fftdeploy scan src infra --format github
    """
    from fftdeploy.cli import scanning

    return scanning.Scan(session, paths or []).run()
