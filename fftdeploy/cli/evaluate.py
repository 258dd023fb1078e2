"""Eval: its flags, and the verdict about each candidate."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session, parse_wait
from fftdeploy.errors import OK
from fftdeploy.output.report import Block, Cell, Report, line
from fftdeploy.workspace import shown_path

if TYPE_CHECKING:
    from fftdeploy.commands.evaluate import Evaluated, Evaluations

Target = Annotated[str, typer.Argument(help="TASK/ENVIRONMENT.")]
Candidates = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL[@PROFILE]",
        help="Candidates; default: what `promote TARGET` would take. `live`: what is live.",
    ),
]
Repeats = Annotated[
    int | None, typer.Option("--repeats", min=1, max=100, help="Answers to each example.")
]
Concurrency = Annotated[
    int, typer.Option("--concurrency", min=1, max=500, help="Requests under way at a time.")
]


@command("eval")
def evaluate(
    session: Session,
    target: Target,
    candidates: Candidates = None,
    against: Annotated[
        str,
        typer.Option("--against", help="Models beside the candidate: live,base,MODEL[@PROFILE]."),
    ] = "live",
    repeats: Repeats = None,
    max_usd: Annotated[
        float | None, typer.Option("--max-usd", min=0.0, help="Stop before spending more.")
    ] = None,
    max_requests: Annotated[
        int, typer.Option("--max-requests", min=1, help="Refuse to send more.")
    ] = 50_000,
    training: Annotated[
        Path | None,
        typer.Option("--training", help="Training file: say which examples are in it too."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask everything again; counts as another attempt.")
    ] = False,
    concurrency: Concurrency = 16,
    batch: Annotated[
        bool,
        typer.Option("--batch", help="Have the provider's own queue answer, within a day."),
    ] = False,
    wait: Annotated[
        str | None,
        typer.Option("--wait", help="How long to wait for the batch: 10m, or 0; default: its end."),
    ] = None,
) -> Report:
    """Compare a candidate with what is live, on the reviewed examples.

    \b
    Examples:
      fftdeploy eval triage/production
      fftdeploy eval triage/production gpt-6-luna@triage-long --against live,base --max-usd 2
      fftdeploy eval triage/production live
      fftdeploy eval triage/production --batch --wait 0
    """
    from fftdeploy.commands.evaluate import run
    from fftdeploy.commands.evaluate_options import EvaluateOptions

    options = EvaluateOptions(
        target,
        candidates or (),
        against=tuple(word for word in against.split(",") if word),
        repeats=repeats,
        max_usd=max_usd,
        max_requests=max_requests,
        training=training,
        fresh=fresh,
        concurrency=concurrency,
        batch=batch,
        wait_s=None if wait is None else parse_wait(wait),
    )
    result = run(session, options)
    following = _next(result, is_default=not options.candidates)
    return Report(result.outcome, result, tuple(_body(result)), next=following)


def _body(result: "Evaluations") -> Iterator[Block]:
    from fftdeploy.cli.verdict_blocks import verdict_blocks

    for place, one in enumerate(result.evaluations):
        if place:
            yield line("")
        yield from verdict_blocks(one.stored.evidence, one.verdict, _notes(result, one))
        evidence = Cell(f"      evidence {one.stored.short}", "dim")
        yield line(evidence, f"  {shown_path(one.stored.path)}")


def _notes(result: "Evaluations", one: "Evaluated") -> Iterator[str]:
    yield from one.creep
    if hold := one.hold:
        since = f"{hold.since:%Y-%m-%d}"
        yield f"the candidate is on hold in {result.target} since {since}: {hold.why}"


def _next(result: "Evaluations", *, is_default: bool) -> str:
    from fftdeploy.evaluation.evidence.evidence import LIVE_ITSELF

    target, (first, *others) = result.target, result.evaluations
    if result.outcome is not OK or others:
        return f"fftdeploy report {first.stored.short} -o report.html"
    if first.stored.evidence.baseline.why == LIVE_ITSELF:
        return f"fftdeploy eval {target} MODEL[@PROFILE], to compare one with it"
    if first.hold is not None:
        return f'fftdeploy unhold {target} {first.candidate} --why "TEXT"'
    named = ""
    if not is_default:
        also = f"--profile {first.profile}" if first.profile else "--no-profile"
        named = f" --model {first.candidate} {also}"
    return f'fftdeploy promote {target}{named} --why "TEXT"'
