"""Scan: its flags, and what a person reads; a commit hook waits for it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fftdeploy.cli.app import command
from fftdeploy.cli.cells import Names, Wide
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.looking import ScanOptions
from fftdeploy.names import plural
from fftdeploy.output.report import Block, Cell, Report, line

if TYPE_CHECKING:
    from fftdeploy.commands.scan import Scanned

_MOST_ANNOTATIONS = 10  # that GitHub shows of one step


@command(
    "scan",
    ScanOptions,
    """
    fftdeploy scan
    fftdeploy scan src infra --format github
    """,
)
def scan(session: Session, options: ScanOptions, *, wide: Wide = False) -> Report:
    """Show where they are."""
    from fftdeploy.commands.scan import run

    result = run(session, options)
    is_short = session.output.at_terminal and not wide
    body = tuple(_body(result, is_short=is_short, is_annotated=session.output.form == "github"))
    return Report(result.outcome, result, body, result.findings)


def _body(result: "Scanned", *, is_short: bool, is_annotated: bool) -> Iterator[Block]:
    from fftdeploy.cli.findings_view import by_place, hint_lines, in_full

    if is_short:
        yield from by_place(result.findings, Names(_written(result)))
    else:
        yield from in_full(result.findings, subjects=False)
    if not result.complete:
        said = f"stopped at {len(result.findings):,} findings: there are more"
        yield line(Cell(said, "warn"))
    if is_annotated and result.errors > _MOST_ANNOTATIONS:
        yield line(f"{result.errors - _MOST_ANNOTATIONS} of these have no annotation")
    size = f"{plural(result.files, 'file')}, {result.bytes / 1e6:.1f} MB"
    yield line(f"{size}: {plural(result.errors, 'model ID')} written down")
    if is_short:
        yield from hint_lines(result.findings)


def _written(result: "Scanned") -> Iterator[str]:
    """Yield the IDs that were found, with which their findings begin."""
    return (one.message.partition(" ")[0] for one in result.findings if one.severity == "error")
