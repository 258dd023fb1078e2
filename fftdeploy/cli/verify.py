"""Verify: its flags, and the table of what became of each piece of evidence."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fftdeploy.cli.app import command
from fftdeploy.cli.cells import Names
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.looking import VerifyOptions
from fftdeploy.output.report import Block, Cell, Report, Table, line
from fftdeploy.output.words import moment

if TYPE_CHECKING:
    from fftdeploy.commands.verify import ConsistentEvidence, UnusableEvidence

    Verification = ConsistentEvidence | UnusableEvidence

_COLUMNS = ("evidence", "task", "made", "candidate", "verdict", "recomputed", "now")
_SAID = "consistent evidence says what its answers give, not that the run took place"


@command(
    "verify",
    VerifyOptions,
    """
    fftdeploy verify
    fftdeploy verify 3f9c2a61d0b7
    """,
)
def verify(session: Session, options: VerifyOptions) -> Report:
    """Show what each piece of evidence says, and whether that follows."""
    from fftdeploy.commands.verify import run

    result = run(session, options)
    wrong = [one for one in result.evidence if one.consistent is False]
    for one in wrong:
        session.output.message(f"error: {one.problem}")
    if wrong and wrong[0].hint:
        session.output.message(f"hint: {wrong[0].hint}")
    body: tuple[Block, ...] = (line("no evidence yet"),)
    if result.evidence:
        body = (_table(session, result.evidence), line(_SAID))
    if options.evidence and len(result.evidence) == 1:
        body = (*_verdict(session, result.evidence[0]), *body)
    return Report(result.outcome, result, body)


def _table(session: Session, found: "Sequence[Verification]") -> Table:
    """Show each piece of evidence in a row; on a screen without what all of them share."""
    from fftdeploy.cli.verdict_blocks import names_of

    names = names_of(session, *(one.stored.evidence for one in found if one.consistent is True))
    rows = [_row(one, names) for one in found]
    left_out = {_COLUMNS.index("task")} if len({one.task for one in found}) == 1 else set()
    if all(one.consistent is True for one in found):
        left_out.add(_COLUMNS.index("recomputed"))
    if not session.output.at_terminal:
        left_out.clear()
    kept = [place for place in range(len(_COLUMNS)) if place not in left_out]
    columns = tuple(_COLUMNS[place] for place in kept)
    return Table(columns, tuple(tuple(row[place] for place in kept) for row in rows))


def _verdict(session: Session, one: "Verification") -> Iterator[Block]:
    from fftdeploy.cli.verdict_blocks import names_of, verdict_blocks
    from fftdeploy.commands.evaluating.graded_texts import told_of

    if one.consistent is True:
        made = one.stored.evidence
        yield from verdict_blocks(one.stored, told_of(session, made), names_of(session, made))


def _row(one: "Verification", names: Names) -> tuple[Cell, ...]:
    none = Cell("")
    if one.consistent is not True:
        is_older = one.consistent is None
        why = Cell("made under an older rule", "warn") if is_older else Cell(one.problem, "bad")
        return (Cell(one.short, "strong"), Cell(one.task), none, none, none, why, none)
    made = one.stored.evidence
    return (
        Cell(one.stored.short, "strong"),
        Cell(one.task),
        Cell(moment(one.made_at)),
        Cell(names.bundle(made.candidate)),
        Cell(
            "on record" if made.is_record else one.ruling,
            "good" if one.ruling == "pass" else "warn",
        ),
        Cell("the same", "good"),
        Cell(one.since, "dim" if one.is_about_now else "warn"),
    )
