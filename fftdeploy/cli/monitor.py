"""Monitor: its flags, and what was found on the terminal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fftdeploy.cli.app import command
from fftdeploy.cli.cells import Names, no_targets, used_columns
from fftdeploy.cli.findings_view import about_targets, hint_lines
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.asking import MonitorOptions
from fftdeploy.names import plural
from fftdeploy.output.report import Block, Cell, Report, Tone, line
from fftdeploy.output.words import age

if TYPE_CHECKING:
    from fftdeploy.commands.monitor import Monitored
    from fftdeploy.monitoring.watched import Watched

_TONES: dict[str, Tone] = {"fine": "good", "drift": "bad"}


@command(
    "monitor",
    MonitorOptions,
    """
    fftdeploy monitor
    fftdeploy monitor '*/production' --max-requests 2000
    fftdeploy monitor --issues github --prom-file /var/lib/node_exporter/fftdeploy.prom
    fftdeploy monitor triage/production --calibrate
    fftdeploy monitor triage/production --logs requests.jsonl
    """,
)
def monitor(session: Session, options: MonitorOptions) -> Report:
    """Show how each target stands, or what a log says."""
    from fftdeploy.commands.monitor import run

    result = run(session, options)
    if result.logs is not None:
        from fftdeploy.cli import monitor_logs

        return monitor_logs.report(session, result, result.logs)
    if options.canary_abort:
        from fftdeploy.cli import monitor_logs

        return monitor_logs.report_canary(session, result)
    body = tuple(_blocks(session, result))
    if options.out is not None:
        body += (line(f"wrote {options.out}"),)
    return Report(result.outcome, result, body, result.findings)


def _blocks(session: Session, result: "Monitored") -> Iterator[Block]:
    if not result.targets:
        yield no_targets(session.workspace)
        return
    columns = ("target", "state", "passed", "days", "compared with")
    yield used_columns(columns, map(_row, result.targets), "wrapped")
    for one in result.targets:
        if one.why and not any(one.why in found.message for found in one.findings):
            yield line(Cell(f"{one.target}: {one.why}", "warn"))
    if kept := [one for one in result.targets if not one.is_new]:
        whom = kept[0].target if len(kept) == 1 else plural(len(kept), "target")
        when = f"looked at {age(session.now() - min(one.look.at for one in kept))} ago"
        yield line(Cell(f"{whom}: {when}, nobody was asked now; --fresh asks again", "dim"))
    names = Names(session.workspace.deployments.models())
    yield from about_targets(result.findings, names, session.place)
    yield from hint_lines(result.findings)
    for one in result.targets:
        if one.state == "drift":
            shown = f" fftdeploy monitor {one.target} -o watched.html"
            yield line(Cell("hint:", "hint"), shown)


def _row(one: "Watched") -> tuple[Cell, ...]:
    from fftdeploy.output.bars import spark

    look = one.look
    then = f"{one.calibrated_at:%Y-%m-%d}" if one.calibrated_at else "nothing"
    return (
        Cell(one.target, "strong"),
        Cell(look.state, _TONES.get(look.state, "warn")),
        Cell("" if look.passed is None else f"{look.passed}/{look.answered}"),
        Cell(spark(one.ratios)),
        Cell(then),
    )
