"""Report: its flags, and an evaluation on the terminal."""

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.evaluate import All
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.looking import ReportOptions
from fftdeploy.output.report import Cell, Report, line
from fftdeploy.output.words import moment

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
"""Without one of them a browser would take the terminal itself."""


@command(
    "report",
    ReportOptions,
    """
    fftdeploy report
    fftdeploy report 3f9c2a61d0b7 -o report.html
    fftdeploy report triage --open
    fftdeploy report -o junit.xml
    """,
)
def report(
    session: Session,
    options: ReportOptions,
    *,
    opens: Annotated[
        bool, typer.Option("--open", help="Write the page, and open it in the browser.")
    ] = False,
    everything: All = False,
) -> Report:
    """Show the verdict, or say where the page is."""
    from fftdeploy.cli.verdict_blocks import names_of, verdict_blocks
    from fftdeploy.cli.verdict_tables import comment_blocks
    from fftdeploy.commands.report import run

    result = run(session, replace(options, page=opens))
    if result.path is not None:
        did = "opened" if opens and _opened(session, result.path) else "wrote"
        if opens and did == "wrote" and session.output.at_terminal:
            session.console.note("note: no browser was found to open it")
        return Report(data=result, body=(line(f"{did} {result.written}"),))
    stored = result.stored
    made, short = stored.evidence, stored.short
    names = names_of(session, made)
    heading = line(Cell(made.target, "strong"), f"  {moment(made.made_at)}  {made.address}")
    return Report(
        data=result,
        body=(heading, *verdict_blocks(stored, result.told, names, shows_all=everything)),
        next=f"fftdeploy report {short} --open",
        comment=(heading, *comment_blocks(stored, result.told)),
    )


def _opened(session: Session, page: Path) -> bool:
    """Open a page in the browser of whoever is at the terminal; False where there is none."""
    has_screen = sys.platform in {"darwin", "win32"} or any(map(session.environ.get, _SCREENS))
    if not (session.output.at_terminal and has_screen):
        return False
    import webbrowser

    with suppress(webbrowser.Error, OSError):
        return webbrowser.open(page.resolve().as_uri())
    return False
