"""Shows a person a change, and asks whether to make it."""

import shlex
from typing import Any

from fftdeploy.cli.app import ChangeFlags
from fftdeploy.cli.cells import readiness_cell, shutdown_cell
from fftdeploy.cli.session import Session
from fftdeploy.commands.change import BegunChange, Changed, nobody
from fftdeploy.commands.rollback import PASSED_OVER
from fftdeploy.commands.views import CandidateView
from fftdeploy.output.report import Block, Cell, Line, Patch, Report, Tone, line

_TONES: dict[str, Tone] = {
    "ready": "good",
    "live": "dim",
    "held": "dim",
    PASSED_OVER: "dim",
    "profile": "warn",
    "unverified": "warn",
}
"""The tone of a candidate by its fate; that of any other by what was proved."""

_NAME_WIDTH = len("shuts down")


def change_options(session: Session, flags: ChangeFlags) -> dict[str, Any]:
    """Return the flags of a change as options, with the person at the terminal as who approves."""

    def approve(planned: Changed) -> bool:
        session.output.say(*_plan(planned), Patch(planned.diff))
        return session.output.ask("make this change? [y/N]").lower() in {"y", "yes"}

    asked = approve if session.output.is_interactive else nobody
    return {
        "dry_run": flags.dry_run,
        "why": flags.why,
        "by": flags.by,
        "commit": flags.commit,
        "approve": None if flags.yes else asked,
    }


def report(result: Changed, flags: ChangeFlags) -> Report:
    """Show what was made, or would be; a person who was asked has seen the plan already."""
    if result.plan.is_noop:
        because = f": {result.notes[0]}" if result.notes else ""
        body = (line(f"{result.target}  {result.after.model}"), line(f"nothing to do{because}"))
        return Report(data=result, body=body)
    whole = (*_plan(result), Patch(result.diff))
    if result.dry_run:
        return Report(data=result, body=(*whole, line("dry run: nothing was changed")))
    shown = whole if flags.yes else _heading(result)
    if result.commit:
        shown = (*shown, line(f"committed as {result.commit}"))
    following = (
        f"git push, then fftdeploy status {result.target}"
        if result.commit
        else f"git diff {shlex.quote(result.shown_file)}"
    )
    return Report(data=result, body=shown, next=following)


def candidate_lines(result: BegunChange) -> tuple[Block, ...]:
    """Show what became of a rollback's candidates; only a dry run shows those not looked at."""
    return tuple(
        _named(f"release {one.n}", f"{one.bundle}  ", Cell(one.reason, _tone(one)))
        for one in result.candidates or ()
        if result.dry_run or one.fate != PASSED_OVER
    )


def _tone(one: CandidateView) -> Tone:
    proved = one.readiness.state if one.readiness else ""
    return _TONES.get(one.fate) or ("bad" if proved == "not-ready" else "warn")


def _plan(result: Changed) -> tuple[Block, ...]:
    evidence = (_named("evidence", result.evidence),) if result.evidence else ()
    return (*_heading(result), *candidate_lines(result), *evidence, *_readiness(result))


def _heading(result: Changed) -> tuple[Block, ...]:
    before, after = result.before, result.after
    notes = tuple(line(f"  note: {note}") for note in result.notes)
    if before is None:
        return (line(f"{result.target}  new target  {after}"), *notes)
    if before == after:
        return (line(f"{result.target}  {_what_changed(result)}"), *notes)
    return (
        line(f"{result.target}  release {result.plan.after.releases[0].n}"),
        _named("from", str(before)),
        _named("to", str(after)),
        *notes,
    )


def _what_changed(result: Changed) -> str:
    if result.release is not None:
        return f"release {result.release.n} records what is live"
    touched = result.plan.touched_holds
    what = "hold lifted from" if touched[0].lifted else "hold on"
    return f"{what} {', '.join(hold.model for hold in touched)}"


def _readiness(result: Changed) -> tuple[Block, ...]:
    known = result.readiness
    if known is None:
        return ()
    return (
        _named("readiness", readiness_cell(known)),
        _named("shuts down", shutdown_cell(known.shutdown)),
        *(line(f"  warning: {warning}") for warning in known.warnings),
        *(line(f"  notice: {notice}") for notice in known.notices),
    )


def _named(name: str, *said: str | Cell) -> Line:
    return line(f"  {name:<{_NAME_WIDTH}}  ", *said)
