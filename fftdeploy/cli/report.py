"""Report: its flags, and an evaluation on the terminal."""

from pathlib import Path
from typing import Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.output.report import Cell, Report, line
from fftdeploy.output.words import moment


@command("report")
def report(
    session: Session,
    evidence: Annotated[
        str | None, typer.Argument(help="ID or file of the evidence; default: the newest.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="report.html, or junit.xml.", metavar="FILE")
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Leave inputs, answers and outputs out.")
    ] = False,
) -> Report:
    """Show an evaluation, or write it as one self-contained page.

    \b
    Examples:
      fftdeploy report
      fftdeploy report 3f9c2a61d0b7 -o report.html
      fftdeploy report -o junit.xml
    """
    from fftdeploy.cli.verdict_blocks import verdict_blocks
    from fftdeploy.commands.report import ReportOptions, run

    result = run(session, ReportOptions(evidence, out=out, redact=redact))
    if result.written is not None:
        return Report(data=result, body=(line(f"wrote {result.written}"),))
    made, short = result.stored.evidence, result.stored.short
    about = f"{made.target}, made {moment(made.made_at)}, {made.address}"
    heading = line(Cell(f"evidence {short}", "strong"), f"  {about}")
    blocks = (heading, *verdict_blocks(made, result.verdict))
    return Report(data=result, body=blocks, next=f"fftdeploy report {short} -o report.html")
