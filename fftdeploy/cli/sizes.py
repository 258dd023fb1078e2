"""Size: how many examples the bar needs, and what a run takes, before anything is spent."""

from collections.abc import Iterator, Sequence
from typing import Any

from fftdeploy.cli.session import Session
from fftdeploy.commands.evaluation import Evaluation
from fftdeploy.evaluation.gate import sizing, wording
from fftdeploy.evaluation.gate.sizing import Units
from fftdeploy.evaluation.gate.wording import percent, sure
from fftdeploy.output.report import Block, Cell, Report, Table, Tone, line
from fftdeploy.output.words import cost_words
from fftdeploy.policy.gate_rules import GateRules
from fftdeploy.releases.deployments import Bundle

_RATES = (0.02, 0.05, 0.10, 0.20)
"""Shares of the examples on which a candidate and live usually disagree."""


def report(session: Session, evaluation: Evaluation, candidates: Sequence[Bundle]) -> Report:
    """Say what the examples of a target can settle, and what asking them takes."""
    rules = sizing.one_of(evaluation.rules, len(candidates))
    units = evaluation.bar.units
    found = evaluation.estimate(candidates)
    shortage = evaluation.bar.shortage()
    session.data.update(
        target=evaluation.bar.target,
        examples=units.examples,
        groups=units.groups,
        units=units.tested,
        reviewed=evaluation.bar.examples.reviewed,
        mode=rules.mode,
        margin=rules.margin,
        confidence=rules.confidence,
        repeats=rules.repeats,
        cost={
            "requests": found.requests,
            "tokens_in": round(found.tokens_in),
            "tokens_out": round(found.tokens_out),
            "usd": found.usd,
            "seconds": round(found.seconds, 1),
            "estimated": found.is_guess,
        },
        refused=shortage and shortage.message,
    )
    prices = session.workspace.policy.prices
    body = (
        line(Cell(evaluation.bar.target, "strong"), f"  {units.many}, {_asked(rules)}"),
        *_shared(len(candidates)),
        *_counted(units),
        *_needed(evaluation, rules, units, session.data),
        line(f"a run takes {cost_words(found, prices.on)}"),
        *((line(Cell("eval refuses these: ", "bad"), shortage.message),) if shortage else ()),
    )
    following = shortage.hint if shortage else f"fftdeploy eval {evaluation.bar.target}"
    return Report(data=session.data, body=body, next=following)


def _asked(rules: GateRules) -> str:
    surely = sure(rules.confidence)
    if rules.mode == "threshold":
        return f"{surely} of a pass rate of {percent(rules.threshold)}"
    if rules.mode == "better":
        return f"{surely} that it is better"
    return f"{surely} that it is at most {rules.margin * 100:g} points worse"


def _shared(candidates: int) -> Iterator[Block]:
    if candidates > 1:
        yield line(wording.shared_risk(candidates))


def _counted(units: Units) -> Iterator[Block]:
    """Say that groups are counted, and as how many, where some of them are larger."""
    if units.groups:
        alike = units.effective == units.groups
        as_many = "" if alike else f": of these sizes they count as {units.effective:.1f}"
        yield line(f"groups are counted, not the examples in them{as_many}")


def _needed(
    evaluation: Evaluation, rules: GateRules, units: Units, data: dict[str, Any]
) -> tuple[Block, ...]:
    if evaluation.bar.baseline is None and rules.mode != "threshold":
        data.update(smallest=None, sizes=[])
        return (line("nothing is live to compare with: floors and must-pass examples decide"),)
    least, who = sizing.smallest(rules)
    data.update(smallest=least and units.needed(least), sizes=[])
    if rules.mode in {"threshold", "better"}:
        return (_smallest(least, units, who),)
    sizes = [
        (rate, sizing.usual_size(rate, rules.margin, rules.confidence), _chance(rules, units, rate))
        for rate in _RATES
    ]
    data["sizes"] = [
        {"disagreement": rate, "needed": units.needed(size.n), "chance": round(chance, 3)}
        for rate, size, chance in sizes
    ]
    rows = tuple(_row(rate, size, chance, units) for rate, size, chance in sizes)
    have = units.groups or units.examples
    columns = ("answers that differ", f"{units.noun} needed", f"chance with {have}")
    seen = _seen(evaluation)
    return (
        _smallest(least, units, who),
        line("to let a candidate through that is as good as live, 4 times in 5:"),
        Table(columns, rows),
        *((line(seen),) if seen else ()),
    )


def _smallest(least: int | None, units: Units, what: str) -> Block:
    if least is None:
        return line(Cell("no number of examples can prove that", "bad"))
    tone: Tone = "good" if units.tested >= least else "bad"
    shown = Cell(f"{units.needed(least)}", tone)
    return line("fewer than ", shown, f" {units.noun} can't pass {what}")


def _chance(rules: GateRules, units: Units, rate: float) -> float:
    return sizing.pass_probability(units.tested, rate, rules.margin, rules.confidence)


def _row(rate: float, size: sizing.Size, chance: float, units: Units) -> tuple[Cell, ...]:
    about = "~" if size.is_approximate else ""
    needed = f"{about}{units.needed(size.n):,}"
    return (
        Cell(f"{rate:.0%}"),
        Cell(needed, "good" if units.tested >= size.n else ""),
        Cell(f"{chance:.0%}"),
    )


def _seen(evaluation: Evaluation) -> str:
    """Say how much the last evaluation on these examples disagreed."""
    bar = evaluation.bar
    sha = bar.examples.sha
    for stored in bar.folder.of_task(bar.task, lambda evidence: evidence.examples.sha == sha):
        if compared := stored.verdict.comparison:
            differ = (compared.broke + compared.fixed) / compared.n
            return f"in the last evaluation {differ:.0%} of them differed ({stored.short})"
    return ""
