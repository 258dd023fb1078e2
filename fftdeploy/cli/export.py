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
    kind: Annotated[
        str | None,
        typer.Argument(
            help="litellm, flagd, dotenv, configmap, tfvars or json; none for what is declared."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write this file.", metavar="FILE")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether files are current; 12 if not.")
    ] = False,
) -> Report:
    """Write what is live for gateways, flags and infrastructure.

    Without a format: all files that [exports] of fftdeploy.toml declares.

    \b
    Examples:
      fftdeploy export flagd -o deploy/flags.json
      fftdeploy export litellm -o deploy/litellm.yaml --check
      fftdeploy export configmap | kubectl apply -f -
    """
    from fftdeploy.commands.export import ExportOptions, run

    result = run(session, ExportOptions(kind, output=out, check=check))
    if result.files[0].path is None:
        return Report(data=result, body=(Raw(result.files[0].text),))
    stale = {found.path: found for found in result.findings}
    said = []
    for each in result.files:
        cell = Cell(f"written: {each.path}" if each.written else f"{each.path} is current")
        if each.current is False:
            found = stale[str(each.path)]
            cell = Cell(f"{found.message}: {found.hint}", "bad")
        said.append(line(cell))
    return Report(result.outcome, result, tuple(said), result.findings)
