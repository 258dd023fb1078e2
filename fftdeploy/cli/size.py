"""Size: its flags, and what the examples can settle."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.asking import SizeOptions
from fftdeploy.output.report import Block, Cell, Report, Table, line
from fftdeploy.output.words import cost_words

if TYPE_CHECKING:
    from fftdeploy.commands.size import SizeAt, Sized
    from fftdeploy.policy.gate_rules import GateRules


@command(
    "size",
    SizeOptions,
    """
    fftdeploy size triage/production
    fftdeploy size triage/production gpt-6-luna@triage-long --repeats 3
    """,
)
def size(session: Session, options: SizeOptions) -> Report:
    """Show the sizes and the cost."""
    from fftdeploy.commands.size import run

    result = run(session, options)
    shortage = result.shortage
    following = shortage.hint if shortage else f"fftdeploy eval {result.target}"
    return Report(data=result, body=tuple(_body(result)), next=following)


def _body(result: "Sized") -> Iterator[Block]:
    from fftdeploy.evaluation.gate.wording import shared_risk

    units = result.counted
    have = units.groups or units.examples
    yield line(Cell(result.target, "strong"), f"  {units.many}, {_asked(result.rules)}")
    if result.candidates > 1:
        yield line(shared_risk(result.candidates))
    if units.groups:
        alike = units.effective == units.groups
        as_many = "" if alike else f": of these sizes they count as {units.effective:.1f}"
        yield line(f"groups are counted, not the examples in them{as_many}")
    if not result.smallest_passes:
        yield line("nothing is live to compare with: floors and must-pass examples decide")
    elif result.smallest is None:
        yield line(Cell("no number of examples can prove that", "bad"))
    else:
        shown = Cell(f"{result.smallest}", "good" if have >= result.smallest else "bad")
        yield line("fewer than ", shown, f" {units.noun} can't pass {result.smallest_passes}")
    if result.sizes:
        yield line("to let a candidate through that is as good as live, 4 times in 5:")
        columns = ("answers that differ", f"{units.noun} needed", f"chance with {have}")
        yield Table(columns, tuple(map(_row, result.sizes)))
    if result.last is not None:  # how much the last evaluation on these examples disagreed
        compared = result.last.verdict.comparison
        differ = (compared.broke + compared.fixed) / compared.n if compared else 0.0
        yield line(f"in the last evaluation {differ:.0%} of them differed ({result.last.short})")
    yield line(f"a run takes {cost_words(result.cost, result.prices_on)}")
    if result.refused:
        yield line(Cell("eval refuses these: ", "bad"), result.refused)


def _asked(rules: "GateRules") -> str:
    from fftdeploy.evaluation.gate.wording import percent, sure

    surely = sure(rules.confidence)
    if rules.mode == "threshold":
        return f"{surely} of a pass rate of {percent(rules.threshold)}"
    if rules.mode == "better":
        return f"{surely} that it is better"
    return f"{surely} that it is at most {rules.margin * 100:g} points worse"


def _row(one: "SizeAt") -> tuple[Cell, ...]:
    about = "~" if one.is_approximate else ""
    return (
        Cell(f"{one.disagreement:.0%}"),
        Cell(f"{about}{one.needed:,}", "good" if one.is_reached else ""),
        Cell(f"{one.chance:.0%}"),
    )
