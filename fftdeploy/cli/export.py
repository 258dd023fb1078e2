"""Export: its flags, and what a person reads."""

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.looking import ExportOptions
from fftdeploy.output.report import Cell, Raw, Report, line


@command(
    "export",
    ExportOptions,
    """
    fftdeploy export flagd -o deploy/flags.json
    fftdeploy export litellm -o deploy/litellm.yaml --check
    fftdeploy export configmap | kubectl apply -f -
    """,
    more="""
    Without a kind: all files that [exports] of fftdeploy.toml declares.
    """,
)
def export(session: Session, options: ExportOptions) -> Report:
    """Print the export, or say of each file whether it is current."""
    from fftdeploy.commands.export import run

    result = run(session, options)
    if result.files[0].path is None:
        return Report(data=result, body=(Raw(result.files[0].text),))
    stale = {found.path: found for found in result.findings}
    said = []
    for each in result.files:
        cell = Cell(f"wrote {each.path}" if each.written else f"{each.path} is current")
        if each.current is False:
            found = stale[str(each.path)]
            cell = Cell(f"{found.message}: {found.hint}", "bad")
        said.append(line(cell))
    return Report(result.outcome, result, tuple(said), result.findings)
