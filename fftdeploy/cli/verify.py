"""Verify: its flags, and the table of what became of each piece of evidence."""

from typing import TYPE_CHECKING, Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.output.report import Block, Cell, Report, Table, line
from fftdeploy.output.words import moment

if TYPE_CHECKING:
    from fftdeploy.commands.verify import ConsistentEvidence, UnusableEvidence, Verified

_COLUMNS = ("evidence", "task", "made", "candidate", "verdict", "recomputed", "now")
_SAID = "consistent evidence says what its answers give, not that the run took place"


@command("verify")
def verify(
    session: Session,
    evidence: Annotated[
        list[str] | None, typer.Argument(help="IDs or files; default: all of it.")
    ] = None,
) -> Report:
    """Recompute the verdicts of evidence, offline.

    \b
    Examples:
      fftdeploy verify
      fftdeploy verify 3f9c2a61d0b7
    """
    from fftdeploy.commands.verify import VerifyOptions, run

    result = run(session, VerifyOptions(evidence or ()))
    _say_errors(session, result)
    body: tuple[Block, ...] = (line("no evidence yet"),)
    if result.evidence:
        body = (Table(_COLUMNS, tuple(_row(one) for one in result.evidence)), line(_SAID))
    return Report(result.outcome, result, body)


def _say_errors(session: Session, result: "Verified") -> None:
    """Say what is wrong on stderr, too, and what to do about the first."""
    wrong = [one for one in result.evidence if one.consistent is False]
    for one in wrong:
        session.output.message(f"error: {one.problem}")
    if wrong and wrong[0].hint:
        session.output.message(f"hint: {wrong[0].hint}")


def _row(one: "ConsistentEvidence | UnusableEvidence") -> tuple[Cell, ...]:
    none = Cell("")
    if one.consistent is not True:
        is_older = one.consistent is None
        why = Cell("made under an older rule", "warn") if is_older else Cell(one.problem, "bad")
        return (Cell(one.short, "strong"), Cell(one.task), none, none, none, why, none)
    return (
        Cell(one.stored.short, "strong"),
        Cell(one.task),
        Cell(moment(one.made_at)),
        Cell(str(one.stored.evidence.candidate)),
        Cell(one.ruling, "good" if one.ruling == "pass" else "warn"),
        Cell("the same", "good"),
        Cell(one.since, "dim" if one.is_about_now else "warn"),
    )
