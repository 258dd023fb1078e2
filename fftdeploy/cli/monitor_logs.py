"""Shows what a log of production says: one table, what was then, what is now, what it means."""

from collections.abc import Iterator

from fftdeploy.cli.cells import Names
from fftdeploy.cli.session import Session
from fftdeploy.commands.monitor import Monitored
from fftdeploy.commands.watching.logs import LogWatch, WindowView
from fftdeploy.evaluation.gate.wording import p_cell
from fftdeploy.monitoring.logs.compared import WRONG, MeasureShift
from fftdeploy.monitoring.logs.trial import CanaryTrial
from fftdeploy.monitoring.logs.wording import called, levels, meaning
from fftdeploy.names import plural
from fftdeploy.output.report import Block, Cell, Report, Table, Tone, line


def report(session: Session, result: Monitored, found: LogWatch) -> Report:
    """Return the screen of a log."""
    names = Names(session.workspace.deployments.models())
    following = next((one.hint for one in result.findings if one.hint), "")
    body = tuple(_blocks(names, found))
    body += (line(""),) if following else ()  # which has no place behind a row
    return Report(result.outcome, result, body, result.findings, following)


def _blocks(names: Names, found: LogWatch) -> Iterator[Block]:
    release = f"  release {found.release}" if found.release else ""
    yield line(Cell(found.target, "strong"), f"{release}  {names.model(found.model)}")
    yield line("now   ", _window(found.now))
    if found.then is None:
        yield line("kept as what is normal, in counts: the next log is held against it")
    else:
        yield line("then  ", _window(found.then))
        columns = ("measure", "then", "now", "p", "means")
        yield Table(columns, tuple(_row(names, shift) for shift in found.measures), "wrapped")
    if found.canary is not None:
        yield _trial(names, found.canary)
    for why, count in found.left_out.items():
        yield line(Cell(f"left out: {count:,} ({why})", "dim"))


def report_canary(session: Session, result: Monitored) -> Report:
    """Return the screen of a canary that was looked at alone."""
    names = Names(session.workspace.deployments.models())
    shown = _trial(names, result.canary) if result.canary else line("no canary runs")
    following = next((one.hint for one in result.findings), "")
    return Report(result.outcome, result, (shown,), result.findings, following)


def _trial(names: Names, found: CanaryTrial) -> Block:
    """Say how often each of the two fails, and between what and what the difference lies."""
    canary, live = found.canary, found.live
    if not canary.callers:
        return line("canary", f"  {names.model(canary.model)}: no requests of it yet")
    counted = "caller" if found.names_callers else "request"
    said = (
        f"  {names.model(canary.model)} ({found.weight} %) fails {canary.rate:.1%} of "
        f"{plural(canary.callers, counted)}, live {live.rate:.1%} of {live.callers:,}, "
        f"since {found.since:%Y-%m-%d %H:%M}: "
    )
    verdict = "worse" if found.is_worse else "better" if found.upper < 0 else "not settled"
    if not found.names_callers:
        verdict = "not settled, for the log names no callers"
    tone: Tone = "bad" if found.is_worse else ""
    between = f" ({found.lower:+.1%} to {found.upper:+.1%})"
    return line("canary", said, Cell(verdict, tone), between)


def _window(window: WindowView) -> str:
    said = plural(window.requests, "request")
    if window.since is None or window.until is None:
        return said
    return f"{said}, {window.since:%Y-%m-%d %H:%M} to {window.until:%Y-%m-%d %H:%M}"


def _row(names: Names, shift: MeasureShift) -> tuple[Cell, ...]:
    tone: Tone = "bad" if shift.code in WRONG else "warn" if shift.code else ""
    then, now = levels(shift)
    return (
        Cell(names.text(called(shift))),
        Cell(then),
        Cell(now),
        Cell(p_cell(shift.p)),
        Cell(meaning(shift), tone, meaning(shift).partition(":")[0]),
    )
