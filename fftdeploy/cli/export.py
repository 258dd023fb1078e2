"""Export: its flags, and what a person reads."""

from pathlib import Path
from typing import Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.output.report import Cell, Raw, Report, line


@command("export")
def export(
    session: Session,
    kind: Annotated[str, typer.Argument(help="litellm, flagd, dotenv, configmap, tfvars or json.")],
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write this file.", metavar="FILE")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the file is current; 12 if not.")
    ] = False,
) -> Report:
    """Write what is live for gateways, flags and infrastructure.

    \b
    Examples:
      fftdeploy export flagd -o deploy/flags.json
      fftdeploy export litellm -o deploy/litellm.yaml --check
      fftdeploy export configmap | kubectl apply -f -
    """
    from fftdeploy.commands.export import ExportOptions, run

    result = run(session, ExportOptions(kind, output=out, check=check))
    if result.path is None:
        return Report(data=result, body=(Raw(result.text),))
    said = Cell(f"written: {result.path}")
    if result.current is not None:
        said = Cell(f"{result.path} is current")
    if result.current is False:
        found = result.findings[0]
        said = Cell(f"{found.message}: {found.hint}", "bad")
    return Report(result.outcome, result, (line(said),), result.findings)
