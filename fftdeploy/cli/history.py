"""History: its flags, and what a person reads of it."""

from collections.abc import Iterator
from datetime import datetime, time
from typing import TYPE_CHECKING, Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.cells import no_targets
from fftdeploy.cli.completion import complete_target
from fftdeploy.cli.session import Session
from fftdeploy.commands.context import parse_time
from fftdeploy.output.report import Block, Cell, Report, Table, line
from fftdeploy.output.words import moment

if TYPE_CHECKING:
    from fftdeploy.commands.history import LiveThen, PastRelease, TargetHistory

_COLUMNS = ("release", "live since", "model", "via", "by", "why", "notes")


@command("history")
def history(
    session: Session,
    target: Annotated[
        str | None, typer.Argument(help="TASK/ENVIRONMENT.", autocompletion=complete_target)
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="A moment: 2026-10-03T12:00Z, or the end of a day.")
    ] = None,
) -> Report:
    """List releases, newest first; or what was live at a moment.

    \b
    Examples:
      fftdeploy history triage/production
      fftdeploy history --at 2026-10-03T12:00Z
    """
    from fftdeploy.commands.history import HistoryOptions, LiveThen, TargetHistory, run

    when = parse_time(at, "--at", day=time.max) if at else None
    result = run(session, HistoryOptions(target, at=when))
    then = [one for one in result.targets if isinstance(one, LiveThen)]
    past = [one for one in result.targets if isinstance(one, TargetHistory)]
    if not result.targets:
        return Report(data=result, body=(no_targets(session.workspace),))
    return Report(data=result, body=tuple(_live_at(then, when) if when else _past(past)))


def _live_at(found: "list[LiveThen]", at: datetime) -> Iterator[Block]:
    when = f"the end of {at:%Y-%m-%d}, UTC" if at.time() == time.max else f"{at:%Y-%m-%d %H:%M:%SZ}"
    yield line(Cell(f"live at {when}", "strong"))
    rows = [
        (one.target, str(release.bundle), str(release.n), moment(release.at))
        if (release := one.release)
        else (one.target, "not recorded", "", "")
        for one in found
    ]
    yield Table(
        ("target", "model", "release", "since"), tuple(tuple(map(Cell, row)) for row in rows)
    )


def _past(found: "list[TargetHistory]") -> Iterator[Block]:
    for one in found:
        yield line(Cell(one.target, "strong"))
        if one.releases:
            yield Table(_COLUMNS, tuple(map(_row, one.releases)))
        else:
            yield line(f'no releases yet: fftdeploy adopt {one.target} --why "TEXT"')


def _row(one: "PastRelease") -> tuple[Cell, ...]:
    release = one.release
    via = f"{release.via} to {release.to}" if release.to else release.job or release.via
    notes = ["live"] if one.is_live else []
    if one.undone_by is not None:
        notes.append(f"undone by {one.undone_by}")
    if not release.verified:
        notes.append("unverified")
    if release.overrides:
        notes.append(f"overrode {', '.join(release.overrides)}")
    return (
        Cell(str(release.n)),
        Cell(moment(release.at)),
        Cell(str(release.bundle)),
        Cell(via),
        Cell(release.by),
        Cell(release.why or ""),
        Cell(", ".join(notes), "good" if one.is_live else "warn"),
    )
