"""Eval: its flags, and the verdict about each candidate."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.asking import EvaluateOptions
from fftdeploy.errors import OK
from fftdeploy.names import OPENAI
from fftdeploy.output.report import Block, Cell, Report, Table, line

if TYPE_CHECKING:
    from fftdeploy.cli.cells import Names
    from fftdeploy.commands.evaluate import Evaluated, Evaluations

All = Annotated[
    bool, typer.Option("--all", help="Show all slices, patterns and examples, not the news alone.")
]


@command(
    "eval",
    EvaluateOptions,
    """
    fftdeploy eval triage/production
    fftdeploy eval triage/production gpt-6-luna@triage-long --against live,base --max-usd 2
    fftdeploy eval triage/production live
    fftdeploy eval triage/production vllm=acme/triage-v3
    fftdeploy eval triage/production --batch --wait 0
    """,
)
def evaluate(session: Session, options: EvaluateOptions, *, everything: All = False) -> Report:
    """Show the verdict about each candidate."""
    from fftdeploy.commands.evaluate import run

    result = run(session, options)
    following = _next(result, is_default=not options.candidates)
    body = tuple(_body(session, result, shows_all=everything))
    comment = tuple(_comment(result))
    return Report(result.outcome, result, body, next=following, comment=comment)


def _body(session: Session, result: "Evaluations", *, shows_all: bool) -> Iterator[Block]:
    from fftdeploy.cli.verdict_blocks import names_of, verdict_blocks

    names = names_of(session, *(one.stored.evidence for one in result.evaluations))
    if len(result.evaluations) > 1:
        yield _overview(result, names)
    for place, one in enumerate(result.evaluations):
        if place or len(result.evaluations) > 1:
            yield line("")
        further = _notes(result, one)
        yield from verdict_blocks(one.stored, one.told, names, further=further, shows_all=shows_all)


def _overview(result: "Evaluations", names: "Names") -> Table:
    """Return a line for each of several candidates."""
    from fftdeploy.cli.verdict_blocks import TONES

    rows = []
    for one in result.evaluations:
        verdict, compared = one.verdict, one.verdict.comparison
        candidate = verdict.candidate
        flips = (f"{compared.fixed}", f"{compared.broke}") if compared else ("-", "-")
        rows.append(
            (
                Cell(names.bundle(one.stored.evidence.candidate)),
                Cell(verdict.ruling.upper(), TONES[verdict.ruling]),
                Cell(f"{candidate.passed}/{candidate.n} {candidate.rate:.1%}"),
                *map(Cell, flips),
                Cell(one.stored.short),
            )
        )
    return Table(("candidate", "verdict", "passed", "fixed", "broke", "evidence"), tuple(rows))


def _comment(result: "Evaluations") -> Iterator[Block]:
    from fftdeploy.cli.verdict_tables import comment_blocks

    for one in result.evaluations:
        yield from comment_blocks(one.stored, one.told, _notes(result, one))


def _notes(result: "Evaluations", one: "Evaluated") -> Iterator[str]:
    yield from one.creep
    if hold := one.hold:
        since = f"{hold.since:%Y-%m-%d}"
        yield f"the candidate is on hold in {result.target} since {since}: {hold.why}"


def _next(result: "Evaluations", *, is_default: bool) -> str:
    target, (first, *others) = result.target, result.evaluations
    held = {reason.code for reason in first.verdict.reasons if reason.rules}
    if held == {"latency"} and result.outcome is not OK and not others and is_default:
        return f"fftdeploy eval {target} --fresh"  # more examples settle nothing that is missing
    if result.outcome is not OK or others:
        return f"fftdeploy report {first.stored.short} --open"
    if first.stored.evidence.is_record:
        return f"fftdeploy eval {target} MODEL[@PROFILE]"
    if first.hold is not None:
        return f'fftdeploy unhold {target} {first.candidate} --why "TEXT"'
    named = ""
    if not is_default:
        also = f"--profile {first.profile}" if first.profile else "--no-profile"
        provider = first.stored.evidence.candidate.provider
        host = "" if provider == OPENAI else f" --provider {provider}"
        named = f" --model {first.candidate}{host} {also}"
    return f'fftdeploy promote {target}{named} --why "TEXT"'
