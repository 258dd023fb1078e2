"""Size: how many examples the bar needs, and what a run takes, before anything is spent."""

from dataclasses import dataclass, field
from datetime import date

from fftdeploy.commands.context import Context
from fftdeploy.commands.door import door
from fftdeploy.commands.evaluating.candidates import NamedCandidates
from fftdeploy.commands.evaluating.evaluation import Evaluation
from fftdeploy.commands.options.asking import EvaluateOptions, SizeOptions
from fftdeploy.commands.options.declared import several
from fftdeploy.commands.views import TargetName
from fftdeploy.errors import GateError, InconclusiveError
from fftdeploy.evaluation.evidence.evidence_folder import Stored
from fftdeploy.evaluation.gate import sizing
from fftdeploy.evaluation.gate.sizing import Units
from fftdeploy.evaluation.running.spending import Estimate
from fftdeploy.output.results import UNPRINTED
from fftdeploy.policy.gate_rules import GateRules

_RATES = (0.02, 0.05, 0.10, 0.20)
"""Shares of the examples on which a candidate and live usually disagree."""


@dataclass(frozen=True, slots=True)
class SizeAt:
    """What it takes to let a candidate through that is as good as live, 4 times in 5."""

    disagreement: float
    """Share of the examples on which the two disagree."""
    needed: int
    """Examples, or groups of them."""
    chance: float = field(metadata={"digits": 3})
    """How often the examples that there are let it through."""
    is_approximate: bool = field(metadata=UNPRINTED)
    is_reached: bool = field(metadata=UNPRINTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """What the examples of a target can settle, and what asking them takes."""

    target: TargetName
    examples: int
    groups: int
    """0 where each example stands alone."""
    units: int
    """As how many of one size they are counted."""
    reviewed: int
    mode: str
    margin: float
    confidence: float
    repeats: int
    cost: Estimate
    refused: str | None
    """Why `eval` refuses the examples."""
    smallest: int | None = None
    """Fewer can't pass; None where no number helps, or nothing is live to compare with."""
    sizes: tuple[SizeAt, ...] = ()
    smallest_passes: str = field(default="", metadata=UNPRINTED)
    """Whom so many can let through at all; "" where nothing is live to compare with."""
    counted: Units = field(metadata=UNPRINTED)
    rules: GateRules = field(metadata=UNPRINTED)
    """For each of the candidates, who share the risk of a wrong pass."""
    candidates: int = field(metadata=UNPRINTED)
    prices_on: date | None = field(metadata=UNPRINTED)
    shortage: InconclusiveError | GateError | None = field(metadata=UNPRINTED)
    last: Stored | None = field(default=None, metadata=UNPRINTED)
    """The last evaluation on these examples that compared two models."""


def run(context: Context, options: SizeOptions) -> Sized:
    """Say how many examples the bar needs, and what a run will cost, before spending.

    Raises:
        UsageError: Nothing says what a candidate is.
        ConfigError: Examples, graders or profiles are not usable.
    """
    workspace = context.workspace
    target = workspace.deployments.full_name(options.target)
    asked = EvaluateOptions(target, repeats=options.repeats, concurrency=options.concurrency)
    evaluation = Evaluation(context, workspace, target, asked)
    bar = evaluation.bar
    candidates = NamedCandidates(context, bar).of(several(options.candidates))
    rules = sizing.one_of(evaluation.rules, len(candidates))
    judged = bar.fewest(candidates)
    units = sizing.units_of([judged.group(index) for index in range(len(judged))])
    shortage = bar.shortage(judged)
    is_compared = bar.baseline is not None or rules.mode == "threshold"
    least, passes = sizing.smallest(rules) if is_compared else (None, "")
    has_margin = is_compared and rules.mode not in {"threshold", "better"}
    about = bar.target, bar.examples.sha
    past = bar.folder.of_task(bar.task, lambda one: (one.target, one.examples.sha) == about)
    compared = (stored for stored in past if stored.verdict.comparison)
    return Sized(
        target=target,
        examples=units.examples,
        groups=units.groups,
        units=units.tested,
        reviewed=judged.reviewed,
        mode=rules.mode,
        margin=rules.margin,
        confidence=rules.confidence,
        repeats=rules.repeats,
        cost=evaluation.estimate(candidates),
        refused=shortage.message if shortage else None,
        smallest=least and units.needed(least),
        sizes=tuple(_at(rate, rules, units) for rate in _RATES) if has_margin else (),
        smallest_passes=passes,
        counted=units,
        rules=rules,
        candidates=len(candidates),
        prices_on=workspace.policy.prices.on,
        shortage=shortage,
        last=next(compared, None) if has_margin else None,
    )


size = door(run, SizeOptions)


def _at(rate: float, rules: GateRules, units: Units) -> SizeAt:
    usual = sizing.usual_size(rate, rules.margin, rules.confidence)
    return SizeAt(
        disagreement=rate,
        needed=units.needed(usual.n),
        chance=sizing.pass_probability(units.tested, rate, rules.margin, rules.confidence),
        is_approximate=usual.is_approximate,
        is_reached=units.tested >= usual.n,
    )
