"""Status: its flags, and the screen people live in."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.cells import no_targets, readiness_cell, shutdown_cell
from fftdeploy.cli.completion import complete_target
from fftdeploy.cli.session import Session
from fftdeploy.output.report import Block, Cell, Report, Table, line
from fftdeploy.output.words import moment

if TYPE_CHECKING:
    from fftdeploy.commands.status import Status, TargetStatus

_COLUMNS = (
    *("target", "model", "since", "by", "evidence", "ready", "shuts down"),
    *("rollback", "rollback ready"),
)
_EVIDENCE_SHOWN = 12


@command("status")
def status(
    session: Session,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            help="Targets, tasks, or globs such as '*/production'.", autocompletion=complete_target
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the API.")] = False,
    fail_on: Annotated[
        str | None,
        typer.Option("--fail-on", help="Exit 12 on: runway:30d,dead,hand-edit,no-rollback."),
    ] = None,
) -> Report:
    """Show what is live, until when, and what you can go back to.

    \b
    Examples:
      fftdeploy status
      fftdeploy status '*/production' --json
      fftdeploy status --fail-on dead,no-rollback,runway:30d
    """
    from fftdeploy.commands.status import StatusOptions, run

    result = run(session, StatusOptions(targets or (), offline=offline, fail_on=fail_on or ""))
    if result.targets:
        body = tuple(_body(result, has_key=session.has_key))
    else:
        body = (no_targets(session.workspace),)
    return Report(result.outcome, result, body, result.findings)


def _body(result: "Status", *, has_key: bool) -> Iterator[Block]:
    rows = [_cells(one) for one in result.targets]
    kept = [index for index in range(len(_COLUMNS)) if any(row[index].text for row in rows)]
    yield Table(
        tuple(_COLUMNS[index] for index in kept),
        tuple(tuple(row[index] for index in kept) for row in rows),
    )
    yield line("")
    for one in result.targets:
        if not one.rollback_outlives:
            said = f"no rollback target outlives the live model ({one.shutdown.shutdown_date})"
            yield line(Cell(f"{one.target}: {said}", "bad"))
    for one in result.targets:
        yield from (line(f"{one.target}: {text}") for text in _asides(one, result))
    for failure in result.findings:
        yield line(Cell(f"{failure.subject}: {failure.message}", "bad"))
    owners = {one.target.partition("/")[0]: one.owner for one in result.targets}
    for task, owner in owners.items():
        if owner:
            yield line(Cell(f"{task}: owned by {owner}", "dim"))
    if not result.verified:
        why = "" if has_key else ": OPENAI_API_KEY is not set"
        yield line(Cell(f"not verified with the API{why}", "warn"))


def _cells(one: "TargetStatus") -> tuple[Cell, ...]:
    newest = one.release
    recorded = newest if one.recorded else None
    if recorded:
        since = Cell(f"{moment(recorded.at)} (release {recorded.n})")
    elif newest:
        since = Cell(f"hand edit after release {newest.n}", "bad")
    else:
        since = Cell("not recorded", "warn")
    return (
        Cell(one.target, "strong"),
        Cell(str(one.live)),
        since,
        Cell(recorded.by if recorded else ""),
        Cell((recorded.evidence or "")[:_EVIDENCE_SHOWN] if recorded else ""),
        readiness_cell(one.readiness),
        shutdown_cell(one.shutdown),
        *_rollback_cells(one),
    )


def _rollback_cells(one: "TargetStatus") -> tuple[Cell, Cell]:
    """Return the way back, and whether it would answer today."""
    back, held = one.rollback, one.releases_on_hold
    if back is None:
        aside = f" ({held} older releases are on hold)" if held else ""
        return Cell(f"nothing to roll back to{aside}", "bad"), Cell("")
    ready = Cell(back.problem, "bad") if back.problem else readiness_cell(back.readiness)
    return Cell(f"release {back.n}: {back.bundle}"), ready


def _asides(one: "TargetStatus", result: "Status") -> Iterator[str]:
    """Say what does not fit a row: holds, skipped releases, warnings."""
    for hold in one.holds:
        if hold.is_active(result.at):
            release = f" (release {hold.release})" if hold.release else ""
            yield f"on hold: {hold.model}{release}, by {hold.by}: {hold.why}"
    for passed in one.passed_over:
        reason = passed.readiness.message if passed.readiness else ""
        yield f"passed over release {passed.n}: {reason}"
    if one.readiness:
        yield from (f"warning: {warning}" for warning in one.readiness.warnings)
        yield from (f"notice: {notice}" for notice in one.readiness.notices)
