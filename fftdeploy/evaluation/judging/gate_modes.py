"""The one rule that a gate's mode asks of the sample: not worse, better, or a threshold.  Pure."""

from typing import NamedTuple

from fftdeploy.evaluation.arms import CANDIDATE
from fftdeploy.evaluation.judging import paired, sizing, statistics, wording
from fftdeploy.evaluation.judging.paired import MIN_GROUPS, Bar, Pairs
from fftdeploy.evaluation.judging.statistics import Interval
from fftdeploy.evaluation.results import Results
from fftdeploy.evaluation.verdict import Comparison, Reason, ReasonCode
from fftdeploy.gate_rules import GateRules


class Decision(NamedTuple):
    """What the mode's rule says."""

    statement: str
    """One line, passed or not."""
    reason: Reason | None = None
    """None where it passes."""
    settling: str = ""
    """What would settle it, where it is inconclusive for the number of examples."""
    needed: int | None = None
    consequence: str = ""
    """What `on_inconclusive = "allow"` lets through, where the gate says that."""


def hold_comparison(
    rules: GateRules, name: str, pairs: Pairs, found: Comparison, bar: Bar
) -> Decision:
    """Decide the modes `not-worse`, `better` and `report-only`."""
    decision = _compared(rules, name, pairs, found, bar)
    if rules.on_inconclusive != "allow":
        return decision
    worse = wording.points(sizing.much_worse(rules.margin))
    share = sizing.let_through(found.n, rules.margin, bar.confidence)
    return decision._replace(consequence=_allowed(found.n, f"a model {worse} points worse", share))


def _compared(rules: GateRules, name: str, pairs: Pairs, found: Comparison, bar: Bar) -> Decision:
    if 0 < found.groups < MIN_GROUPS:
        return _few_groups(found.n, found.groups)
    if found.label == "worse":
        return _stop("worse", "fail", wording.worse(found))
    if found.label == "better":
        return Decision(wording.better(name, found, rules.margin, bar.confidence))
    if rules.mode == "better":
        return _not_better(pairs, found, bar)
    if found.label == "not-worse":
        return Decision(wording.not_worse(name, found, rules.margin, bar.confidence))
    rate = paired.disagreement(pairs, found)
    size = sizing.settling_size(rate, found.difference, rules.margin, bar.confidence, found.n)
    settling = wording.settling(f"~{size.n}", found, rules.margin, repeats=pairs.repeats)
    decision = _stop("margin", "inconclusive", wording.unsettled(found, rules.margin))
    return decision._replace(settling=settling, needed=size.n)


def _not_better(pairs: Pairs, found: Comparison, bar: Bar) -> Decision:
    decision = _stop("better", "inconclusive", wording.not_better(found))
    rate = paired.disagreement(pairs, found)
    size = sizing.usual_size_to_be_better(rate, found.difference, bar.confidence)
    if size is None:
        return decision
    settling = f"~{size.n} pairs would usually show it at this difference"
    return decision._replace(settling=settling, needed=size.n)


def hold_threshold(rules: GateRules, name: str, results: Results, bar: Bar) -> Decision:
    """Decide the mode `threshold`: one-sided Wilson bounds, or with groups the pseudo-t's."""
    n, threshold = len(results), rules.threshold
    counts = paired.passes(results.arms[CANDIDATE], results.repeats)
    rate = sum(counts) / results.repeats / n
    groups = paired.groups_of(results)
    if groups is not None and len(set(groups)) < MIN_GROUPS:
        return _few_groups(n, len(set(groups)))
    lower, upper = _rate_bounds(counts, results.repeats, groups, bar)
    limit = f"(threshold {wording.percent(threshold)})"
    sure = wording.sure(bar.confidence)
    if lower >= threshold:
        least = wording.points(lower, threshold)
        decision = Decision(f"above the threshold: {sure} {name} passes {least}% or more {limit}")
    elif upper < threshold:
        most = wording.points(upper, threshold)
        sure = wording.sure(1 - bar.risk)
        message = f"under the threshold: {sure} {name} passes {most}% or less {limit}"
        decision = _stop("threshold", "fail", message)
    else:
        could = f"{name} passes {wording.points(rate)}%, maybe only {wording.points(lower)}%"
        message = f"{wording.plural(n, 'example')} can't settle it: {could} {limit}"
        decision = _stop("threshold", "inconclusive", message)
        size = sizing.usual_size_for_threshold(rate, threshold, bar.confidence)
        if size is not None and size.n > n:
            settling = f"~{size.n} examples would usually settle it at this pass rate"
            decision = decision._replace(settling=settling, needed=size.n)
    if rules.on_inconclusive == "allow":
        share = sizing.let_through_threshold(n, threshold, 1 - bar.risk)
        text = _allowed(n, "a pass rate 10 points under the threshold", share, "examples")
        decision = decision._replace(consequence=text)
    return decision


def _rate_bounds(counts: bytes, repeats: int, groups: list[str | int] | None, bar: Bar) -> Interval:
    """Return a lower bound that lets pass and an upper one that fails."""
    if groups is None:
        share = sum(counts) / repeats
        lower = statistics.wilson(share, len(counts), bar.confidence, 1).lower
        return Interval(lower, statistics.wilson(share, len(counts), 1 - bar.risk, 1).upper)
    rates = [count / repeats for count in counts]
    lower = statistics.pseudo_t(rates, groups, bar.confidence, (0.0, 1.0)).lower
    return Interval(lower, statistics.pseudo_t(rates, groups, 1 - bar.risk, (0.0, 1.0)).upper)


def hold_alone(rules: GateRules, name: str, results: Results, *, is_stopped: bool) -> Decision:
    """Decide without a baseline: floors and must-pass examples are all there is to hold.

    Where one of them stops the candidate (`is_stopped`) there is nothing to add.
    """
    musts = sum(results.must_pass)
    asked = [wording.plural(musts, "must-pass example")] if musts else []
    asked += ["the floors"] if rules.floors.pass_rate > 0 or rules.floors.valid > 0 else []
    if asked and is_stopped:
        return Decision("")
    if asked:
        return Decision(f"{name} meets {' and '.join(asked)}")
    message = f"nothing to hold {name} against: no live model, no floors, no must-pass example"
    return _stop("no-baseline", "inconclusive", message)


def _few_groups(n: int, groups: int) -> Decision:
    many = f"{wording.plural(n, 'example')} in {wording.plural(groups, 'group')}"
    message = f"{many} can't settle it: {MIN_GROUPS} groups or more are needed"
    return _stop("groups", "inconclusive", message)


def _stop(code: ReasonCode, ruling: str, message: str) -> Decision:
    return Decision(message, Reason(code, "fail" if ruling == "fail" else "inconclusive", message))


def _allowed(n: int, what: str, share: float, noun: str = "pairs") -> str:
    allow = f'on_inconclusive = "allow": with {n} {noun}'
    return f"{allow}, {what} gets through {100 * share:.0f}% of the time"
