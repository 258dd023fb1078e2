"""Status: its flags, and the screen people live in, once or again and again."""

from dataclasses import replace
from signal import SIGINT
from typing import Annotated

import typer

from fftdeploy.cli import signals
from fftdeploy.cli.app import command
from fftdeploy.cli.cells import Wide, no_targets
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.declared import parse_wait
from fftdeploy.commands.options.looking import StatusOptions
from fftdeploy.errors import FftdeployError, Outcome, UsageError
from fftdeploy.output.report import Block, Cell, Report, line
from fftdeploy.output.words import moment


@command(
    "status",
    StatusOptions,
    """
    fftdeploy status
    fftdeploy status '*/production' --json
    fftdeploy status triage/production        everything about one target
    fftdeploy status --watch 30s
    fftdeploy status --fail-on dead,no-rollback,runway:30d
    fftdeploy status --calendar shutdowns.ics
    """,
)
def status(
    session: Session,
    options: StatusOptions,
    *,
    wide: Wide = False,
    watch: Annotated[
        str | None,
        typer.Option("--watch", help="Show it again every 30s, 5m, until Ctrl-C.", metavar="SPAN"),
    ] = None,
) -> Report:
    """Show the table, or of one target its card; again and again with `--watch`."""
    is_short = session.output.at_terminal and not wide
    options = replace(options, every_way_back=is_short and bool(options.targets))
    if watch is None:
        return _report(session, options, is_short=is_short)
    every_s = parse_wait(watch, "--watch")
    if not every_s:
        raise UsageError("--watch 0 would never rest", hint="write 30s or 5m")
    if options.fail_on:
        raise UsageError("--watch never ends, so that --fail-on says nothing", hint="give one")
    if not session.output.can_redraw:
        raise UsageError(
            "--watch needs a terminal that can be redrawn: here a screen would follow another",
            hint="fftdeploy status --json",
        )
    return _watch(session, options, every_s, is_short=is_short)


def _report(session: Session, options: StatusOptions, *, is_short: bool) -> Report:
    from fftdeploy.cli.status_view import card, screen
    from fftdeploy.commands.status import run

    result = run(session, options)
    body: tuple[Block, ...]
    if not result.targets:
        body = (no_targets(session.workspace),)
    elif options.every_way_back and len(result.targets) == 1:
        body = tuple(card(result.targets[0], result))
    else:
        body = tuple(screen(result, is_short=is_short))
    if result.calendar:
        body += (line(f"wrote {result.calendar}"),)
    return Report(result.outcome, result, body, result.findings)


def _watch(session: Session, options: StatusOptions, every_s: float, *, is_short: bool) -> Report:
    """Show it again and again, from files that are read anew, until Ctrl-C."""
    output = session.output
    try:
        while True:
            body = _round(replace(session, known=None), options, is_short=is_short)
            output.redraw(_heading(session, every_s), *body)
            output.quiet = True  # whom it asks was said
            session.clock.sleep(every_s)
    except signals.Stopped as stop:
        if stop.number != SIGINT:
            raise
        output.end_redrawing()
    return Report(Outcome(128 + SIGINT, "stopped", "", ""))


def _round(session: Session, options: StatusOptions, *, is_short: bool) -> tuple[Block, ...]:
    """Look once; what is wrong may be right the next time, except at first."""
    try:
        return _report(session, options, is_short=is_short).body
    except FftdeployError as error:
        if not session.output.quiet:
            raise
        return (line(Cell("error:", "bad"), f" {error.message}"),)
    finally:
        session.close()


def _heading(session: Session, every_s: float) -> Block:
    return line(Cell(f"{moment(session.now())}, every {every_s:.0f} s; Ctrl-C stops", "dim"))
