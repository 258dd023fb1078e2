"""History: its flags, and what a person reads of it."""

from collections.abc import Iterator
from datetime import datetime, time
from typing import TYPE_CHECKING

from fftdeploy.cli.app import command
from fftdeploy.cli.cells import Names, Wide, no_targets
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.looking import HistoryOptions
from fftdeploy.output.report import Block, Cell, Report, Table, line
from fftdeploy.output.words import moment

if TYPE_CHECKING:
    from fftdeploy.commands.history import LiveThen, PastRelease, TargetHistory

_COLUMNS = ("#", "model", "since", "by", "via", "why/notes")


@command(
    "history",
    HistoryOptions,
    """
    fftdeploy history triage/production
    fftdeploy history --at 2026-10-03T12:00Z
    """,
)
def history(session: Session, options: HistoryOptions, *, wide: Wide = False) -> Report:
    """Show releases as a table, or what was live then."""
    from fftdeploy.commands.history import LiveThen, TargetHistory, run

    result = run(session, options)
    if not result.targets:
        return Report(data=result, body=(no_targets(session.workspace),))
    is_short = session.output.at_terminal and not wide
    then = [one for one in result.targets if isinstance(one, LiveThen)]
    past = [one for one in result.targets if isinstance(one, TargetHistory)]
    if result.at:
        return Report(data=result, body=tuple(_live_at(then, result.at, is_short=is_short)))
    return Report(data=result, body=tuple(_past(past, is_short=is_short)))


def _live_at(found: "list[LiveThen]", at: datetime, *, is_short: bool) -> Iterator[Block]:
    when = f"the end of {at:%Y-%m-%d}, UTC" if at.time() == time.max else f"{at:%Y-%m-%d %H:%M:%SZ}"
    yield line(Cell(f"live at {when}", "strong"))
    names = Names(one.release.bundle.model for one in found if one.release and is_short)
    rows = [
        (one.target, names.bundle(release.bundle), str(release.n), moment(release.at))
        if (release := one.release)
        else (one.target, "not recorded", "", "")
        for one in found
    ]
    yield Table(
        ("target", "model", "release", "since"), tuple(tuple(map(Cell, row)) for row in rows)
    )


def _past(found: "list[TargetHistory]", *, is_short: bool) -> Iterator[Block]:
    names = Names(one.release.bundle.model for each in found for one in each.releases if is_short)
    for number, one in enumerate(found):
        yield from [line("")] if number else []
        yield line(Cell(one.target, "strong"))
        if not one.releases:
            yield line(f'no releases yet: fftdeploy adopt {one.target} --why "TEXT"')
            continue
        rows = tuple(_row(past, names, is_short=is_short) for past in one.releases)
        yield Table(_COLUMNS, rows, "wrapped" if is_short else "whole")


def _row(one: "PastRelease", names: Names, *, is_short: bool) -> tuple[Cell, ...]:
    release, notes = one.release, _notes(one)
    source = "job" if is_short and release.job else release.job or release.via
    said = [*notes, *([release.why] if release.why else [])]
    return (
        Cell(str(release.n)),
        Cell(names.bundle(release.bundle), "strong" if one.is_live else ""),
        Cell(moment(release.at), brief=f"{release.at:%Y-%m-%d}"),
        Cell((is_short and release.by.partition("@")[0]) or release.by),
        Cell(f"{release.via} #{release.to}" if release.to else source),
        Cell("; ".join(said), "good" if one.is_live else "warn" if notes else ""),
    )


def _notes(one: "PastRelease") -> list[str]:
    release = one.release
    notes = ["live"] if one.is_live else []
    if release.canary is not None:
        notes = [f"canary, {release.canary} %{' now' if one.is_live else ''}"]
        if one.taken_off:
            notes[0] += f", taken off {one.taken_off:%Y-%m-%d}: {one.taken_off_why}"
    if one.undone_by is not None:
        notes.append(f"undone by {one.undone_by}")
    if not release.verified:
        notes.append("unverified")
    if release.overrides:
        notes.append(f"overrode {', '.join(release.overrides)}")
    return notes
