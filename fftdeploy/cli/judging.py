"""The commands about quality: eval, size, verify, report."""

from pathlib import Path
from typing import Annotated

import typer

from fftdeploy.cli.app import command
from fftdeploy.cli.completion import complete_target
from fftdeploy.cli.session import Session
from fftdeploy.output.report import Report

Target = Annotated[str, typer.Argument(help="TASK/ENVIRONMENT.", autocompletion=complete_target)]
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
        str, typer.Option("--against", help="Arms beside the candidate: live,base,MODEL[@PROFILE].")
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
) -> Report:
    """Compare a candidate with what is live, on the reviewed examples.

    \b
    Examples:
      fftdeploy eval triage/production
      fftdeploy eval triage/production gpt-6-luna@triage-long --against live,base --max-usd 2
      fftdeploy eval triage/production live
    """
    from fftdeploy.cli import eval_report
    from fftdeploy.commands.evaluation import EvaluationFlags

    flags = EvaluationFlags(
        against=tuple(word for word in against.split(",") if word),
        repeats=repeats,
        max_usd=max_usd,
        max_requests=max_requests,
        training=training,
        fresh=fresh,
        concurrency=concurrency,
    )
    return eval_report.evaluate(session, target, candidates or [], flags)


@command("size")
def size(
    session: Session,
    target: Target,
    candidates: Candidates = None,
    repeats: Repeats = None,
    concurrency: Concurrency = 16,
) -> Report:
    """Say how many examples the bar needs, and what a run will cost, before spending.

    \b
    Examples:
      fftdeploy size triage/production
      fftdeploy size triage/production gpt-6-luna@triage-long --repeats 3
    """
    from fftdeploy.cli import eval_report, sizes
    from fftdeploy.commands.evaluation import Evaluation, EvaluationFlags

    workspace = session.workspace
    name = workspace.deployments.full_name(target)
    flags = EvaluationFlags(repeats=repeats, concurrency=concurrency)
    evaluation = Evaluation(session, workspace, name, flags)
    return sizes.report(session, evaluation, eval_report.candidates(evaluation, candidates or []))
