"""Calibrate: its flags, and how a judge agrees with people."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.asking import CalibrateOptions
from fftdeploy.output.report import Block, Cell, Report, Table, line

if TYPE_CHECKING:
    from fftdeploy.commands.calibrate import Calibrated


@command(
    "calibrate",
    CalibrateOptions,
    """
    fftdeploy calibrate replies
    fftdeploy calibrate replies/production --labels evals/tone.judged.jsonl --max-usd 1
    """,
)
def calibrate(session: Session, options: CalibrateOptions) -> Report:
    """Show how often the judge agrees with people."""
    from fftdeploy.commands.calibrate import run

    result = run(session, options)
    following = "" if result.problem else "git add .fftdeploy && git commit"
    return Report(result.outcome, result, tuple(_body(result)), next=following)


def _body(result: "Calibrated") -> Iterator[Block]:
    from fftdeploy.evaluation.gate.judge_facts import calibrated

    facts, problem, known = result.judge, result.problem, result.judge.calibration
    assert known is not None  # noqa: S101  it has just been made
    word = Cell("may not gate" if problem else "may gate", "bad" if problem else "good")
    yield line(word, f"  {problem or 'it agrees with people'}")
    found = known.confusion
    rows = (
        ("judge passes", found.both_pass, found.only_judge),
        ("judge rejects", found.only_people, found.both_fail),
        *([("no verdict", known.silent, "")] if known.silent else []),
    )
    columns = ("", "people pass", "people reject")
    yield Table(columns, tuple(tuple(Cell(f"{cell}") for cell in row) for row in rows))
    yield from (line(text) for text in calibrated(facts))
    yield line(Cell("calibration ", "dim"), known.id[:12])
