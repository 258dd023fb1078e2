"""Monitor: its flags, and what was found on the terminal."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fftdeploy.cli.app import LimitFlags, command
from fftdeploy.cli.cells import Names, no_targets
from fftdeploy.cli.check import Targets
from fftdeploy.cli.findings_view import about_targets, hint_lines
from fftdeploy.cli.session import Session, parse_wait
from fftdeploy.output.report import Block, Cell, Report, Table, Tone, line
from fftdeploy.output.words import age

if TYPE_CHECKING:
    from fftdeploy.commands.monitor import Monitored
    from fftdeploy.monitoring.watched import Watched

Logs = Annotated[
    Path | None,
    typer.Option("--logs", help="Hold a log of production against one before.", metavar="FILE|-"),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        help="The log before; default: the first of a release, kept as counts; new: again.",
        metavar="FILE|new",
    ),
]
FailOn = Annotated[
    str | None,
    typer.Option("--fail-on", help="With --logs, exit 12 also on: data-moved,answers-moved."),
]
CanaryAbort = Annotated[
    bool,
    typer.Option("--canary-abort", help="With --logs: exit 12 only on a canary that is worse."),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write a page.", metavar="FILE.html")]
Wait = Annotated[
    str | None,
    typer.Option("--wait", help="With --batch: wait no longer than 30s, 10m, 0.", metavar="SPAN"),
]
_TONES: dict[str, Tone] = {"fine": "good", "drift": "bad"}


@command("monitor")
def monitor(
    session: Session,
    *,
    targets: Targets = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Look again where there is a look of today.")
    ] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Compare with the answers of today from now on.")
    ] = False,
    logs: Logs = None,
    baseline: Baseline = None,
    fail_on: FailOn = None,
    canary_abort: CanaryAbort = False,
    limits: Annotated[
        dict[str, Any],
        LimitFlags("Stop before this is spent.", "Refuse to send more.", least_usd=None),
    ],
    out: Out = None,
    prom_file: Annotated[
        Path | None,
        typer.Option("--prom-file", help="Write gauges for Prometheus.", metavar="FILE.prom"),
    ] = None,
    issues: Annotated[
        str | None,
        typer.Option("--issues", help="Keep an issue a target: github, gitlab.", metavar="FORGE"),
    ] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="Ask by the provider's own queue, where it has one.")
    ] = False,
    wait: Wait = None,
) -> Report:
    """Look once a day at what is live: is it as it was promoted?

    \b
    Examples:
      fftdeploy monitor
      fftdeploy monitor '*/production' --max-requests 2000
      fftdeploy monitor --issues github --prom-file /var/lib/node_exporter/fftdeploy.prom
      fftdeploy monitor triage/production --calibrate
      fftdeploy monitor triage/production --logs requests.jsonl
    """
    from fftdeploy.commands.monitor import MonitorOptions, run

    options = MonitorOptions(
        tuple(targets or ()),
        fresh=fresh,
        calibrate=calibrate,
        batch=batch,
        wait_s=None if wait is None else parse_wait(wait),
        logs=logs,
        baseline=baseline,
        fail_on=fail_on or "",
        canary_abort=canary_abort,
        **limits,
        out=out,
        prom_file=prom_file,
        issues=issues or "",
    )
    result = run(session, options)
    if result.logs is not None:
        from fftdeploy.cli import monitor_logs

        return monitor_logs.report(session, result, result.logs)
    if canary_abort:
        from fftdeploy.cli import monitor_logs

        return monitor_logs.report_canary(session, result)
    body = tuple(_blocks(session, result))
    if out is not None:
        body += (line(f"wrote {out}"),)
    return Report(result.outcome, result, body, result.findings)


def _blocks(session: Session, result: "Monitored") -> Iterator[Block]:
    if not result.targets:
        yield no_targets(session.workspace)
        return
    rows = tuple(map(_row, result.targets))
    yield Table(("target", "state", "passed", "days", "compared with"), rows, "wrapped")
    for one in result.targets:
        if one.why and not any(one.why in found.message for found in one.findings):
            yield line(Cell(f"{one.target}: {one.why}", "warn"))
        if not one.is_new:
            when = f"looked at {age(session.now() - one.look.at)} ago"
            yield line(
                Cell(f"{one.target}: {when}, nobody was asked now; --fresh asks again", "dim")
            )
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
