"""Size: how many examples the bar needs, and what a run takes, before anything is spent."""

from collections.abc import Sequence

from fftdeploy.cli.evaluating import Evaluation
from fftdeploy.cli.wording import cost_words
from fftdeploy.deployments import Bundle
from fftdeploy.evaluation.judging import sizing
from fftdeploy.evaluation.judging.wording import percent, plural, sure
from fftdeploy.gate_rules import GateRules
from fftdeploy.report import Block, Cell, Report, Table, Tone, line

_RATES = (0.02, 0.05, 0.10, 0.20)
"""Shares of the examples on which a candidate and live usually disagree."""


def report(evaluation: Evaluation, candidates: Sequence[Bundle]) -> Report:
    """Say what the examples of a target can settle, and what asking them takes."""
    rules, n = evaluation.rules, len(evaluation.bar.examples)
    session = evaluation.session
    found = evaluation.estimate(candidates)
    shortage = evaluation.bar.shortage()
    session.data.update(
        target=evaluation.bar.target,
        examples=n,
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
        line(Cell(evaluation.bar.target, "strong"), f"  {plural(n, 'example')}, {_asked(rules)}"),
        *_needed(evaluation, rules, n),
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


def _needed(evaluation: Evaluation, rules: GateRules, n: int) -> tuple[Block, ...]:
    data = evaluation.session.data
    if rules.mode == "threshold":
        least = sizing.smallest_for_threshold(rules.threshold, rules.confidence)
        data.update(smallest=least, sizes=[])
        return (_smallest(least, n, "even a candidate that gets all of them right"),)
    if rules.mode == "better":
        least = sizing.smallest_that_can_be_better(rules.confidence)
        data.update(smallest=least, sizes=[])
        return (_smallest(least, n, "even a candidate that fixes all of them"),)
    if evaluation.bar.baseline is None:
        data.update(smallest=None, sizes=[])
        return (line("nothing is live to compare with: floors and must-pass examples decide"),)
    least = sizing.smallest_that_can_pass(rules.margin, rules.confidence)
    sizes = [
        (rate, sizing.usual_size(rate, rules.margin, rules.confidence), _chance(rules, n, rate))
        for rate in _RATES
    ]
    data.update(
        smallest=least,
        sizes=[
            {"disagreement": rate, "examples": size.n, "chance": round(chance, 3)}
            for rate, size, chance in sizes
        ],
    )
    rows = tuple(_row(rate, size, chance, n) for rate, size, chance in sizes)
    columns = ("answers that differ", "examples needed", f"chance with {n}")
    seen = _seen(evaluation)
    return (
        _smallest(least, n, "a candidate that answers just as live does"),
        line("to let a candidate through that is as good as live, 4 times in 5:"),
        Table(columns, rows),
        *((line(seen),) if seen else ()),
    )


def _smallest(least: int | None, n: int, what: str) -> Block:
    if least is None:
        return line(Cell("no number of examples can prove that", "bad"))
    tone: Tone = "good" if n >= least else "bad"
    return line("fewer than ", Cell(f"{least}", tone), f" examples can't pass {what}")


def _chance(rules: GateRules, n: int, rate: float) -> float:
    return sizing.pass_probability(n, rate, rules.margin, rules.confidence) if n else 0.0


def _row(rate: float, size: sizing.Size, chance: float, n: int) -> tuple[Cell, ...]:
    about = "~" if size.is_approximate else ""
    return (
        Cell(f"{rate:.0%}"),
        Cell(f"{about}{size.n:,}", "good" if n >= size.n else ""),
        Cell(f"{chance:.0%}"),
    )


def _seen(evaluation: Evaluation) -> str:
    """Say how much the last evaluation on these examples disagreed."""
    bar = evaluation.bar
    for stored in bar.folder.of_task(bar.task):
        compared = stored.verdict.comparison
        if compared and stored.evidence.examples.sha == bar.examples.sha:
            differ = (compared.broke + compared.fixed) / compared.n
            return f"in the last evaluation {differ:.0%} of them differed ({stored.short})"
    return ""
