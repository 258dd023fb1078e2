"""Decides the one rule that a gate's mode asks of the sample: not worse, better, a threshold."""

from typing import Literal, NamedTuple

from fftdeploy.evaluation.arms import CANDIDATE
from fftdeploy.evaluation.gate import paired, sizing, statistics, wording
from fftdeploy.evaluation.gate.paired import MIN_UNITS, Bar, Pairs
from fftdeploy.evaluation.gate.sizing import Units
from fftdeploy.evaluation.gate.wording import p_value, points
from fftdeploy.evaluation.results import PASS, USABLE, Results
from fftdeploy.evaluation.verdict import ArmResult, Comparison, Reason, ReasonCode
from fftdeploy.names import plural
from fftdeploy.policy.gate_rules import MAX_REPEATS, GateRules

_MARGINS = (0.02, 0.03, 0.05, 0.1, 0.15, 0.2)
"""Usual ones."""


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


def hold_comparison(rules: GateRules, pairs: Pairs, found: Comparison, bar: Bar) -> Decision:
    """Decide the modes `not-worse`, `better` and `report-only`."""
    units = Units(found.n, found.groups, found.units)
    decision = _compared(rules, pairs, units, found, bar)
    if rules.on_inconclusive != "allow":
        return decision
    worse = points(sizing.much_worse(rules.margin))
    share = sizing.let_through(units.tested, rules.margin, bar.confidence)
    what, noun = f"a model {worse} points worse", "groups" if units.groups else "pairs"
    return decision._replace(
        consequence=_allowed(units.groups or units.examples, noun, what, share)
    )


def _compared(
    rules: GateRules, pairs: Pairs, units: Units, found: Comparison, bar: Bar
) -> Decision:
    if units.are_few:
        return _few_units(units)
    if found.label == "worse":
        counts = f"{found.broke} broke, {found.fixed} fixed (exact p {p_value(found.p_worse)})"
        could = f"could be up to {points(-found.lower)} points worse"
        return _stop("worse", "fail", f"worse: {counts}; {could}")
    limit, sure = points(rules.margin), wording.sure(bar.confidence)
    bound = f"at most {points(-found.lower, rules.margin)} points below live"
    if found.lower > 0:
        bound = f"at least {points(found.lower)} points above live"
    if found.label == "better":
        return Decision(f"better (p {p_value(found.p_better)}): {sure} it is {bound}")
    if rules.mode == "better":
        return _not_better(pairs, units, found, bar)
    if found.label == "not-worse":
        return Decision(f"not worse: {sure} it is {bound} (limit {limit})")
    tested = pairs.effective()
    size = sizing.settling_size(
        tested.disagreement, found.difference, rules.margin, bar.confidence, tested.n
    )
    needed = units.needed(size.n)
    ways = [_more(needed, found, "settle it at this disagreement rate")]
    if pairs.live_wavers and 2 * pairs.repeats <= MAX_REPEATS:
        ways.append(f"--repeats {2 * pairs.repeats}")
    # The next usual margin that the bound is within, and that the pass rate of live is above.
    least = max(rules.margin, -found.lower)
    wider = next((width for width in _MARGINS if least < width < pairs.live_rate), None)
    ways += [f"margin = {wider:.2f}"] if wider else []
    could = f"could be {points(-found.lower, rules.margin)} points worse (limit {limit})"
    message = f"{plural(found.n, 'pair')} can't settle it: {could}"
    decision = _stop("margin", "inconclusive", message)
    return decision._replace(settling="; or ".join(ways), needed=needed)


def _not_better(pairs: Pairs, units: Units, found: Comparison, bar: Bar) -> Decision:
    counts = f"{found.fixed} fixed, {found.broke} broke (exact p {p_value(found.p_better)})"
    decision = _stop("better", "inconclusive", f"not shown to be better: {counts}")
    rate = pairs.effective().disagreement
    size = sizing.usual_size_to_be_better(rate, found.difference, bar.confidence)
    if size is None:
        return decision
    needed = units.needed(size.n)
    settling = _more(needed, found, "show it at this difference")
    return decision._replace(settling=settling, needed=needed)


def _more(needed: int, found: Comparison, what: str) -> str:
    return f"~{needed} {'groups' if found.groups else 'pairs'} would usually {what}"


def hold_threshold(rules: GateRules, name: str, results: Results, bar: Bar) -> Decision:
    """Decide the mode `threshold`: Clopper and Pearson's one-sided bounds, at effective units."""
    n, threshold = len(results), rules.threshold
    counts = paired.passes(results.arms[CANDIDATE], results.repeats)
    rate = sum(counts) / results.repeats / n
    units = sizing.units_of(results.groups)
    if units.are_few:
        return _few_units(units)
    tested = units.tested
    lower = statistics.clopper_pearson(rate * tested, tested, bar.confidence, 1).lower
    upper = statistics.clopper_pearson(rate * tested, tested, 1 - bar.risk, 1).upper
    limit = f"(threshold {wording.percent(threshold)})"
    if lower >= threshold:
        least, sure = points(lower, threshold), wording.sure(bar.confidence)
        decision = Decision(f"above the threshold: {sure} {name} passes {least}% or more {limit}")
    elif upper < threshold:
        most, sure = points(upper, threshold), wording.sure(1 - bar.risk)
        message = f"under the threshold: {sure} {name} passes {most}% or less {limit}"
        decision = _stop("threshold", "fail", message)
    else:
        could = f"{name} passes {points(rate)}%, maybe only {points(lower)}%"
        message = f"{plural(n, 'example')} can't settle it: {could} {limit}"
        decision = _stop("threshold", "inconclusive", message)
        size = sizing.usual_size_for_threshold(rate, threshold, bar.confidence)
        if size is not None and size.n > tested:
            needed = units.needed(size.n)
            settling = f"~{needed} {units.noun} would usually settle it at this pass rate"
            decision = decision._replace(settling=settling, needed=needed)
    if rules.on_inconclusive == "allow":
        share = sizing.let_through_threshold(tested, threshold, 1 - bar.risk)
        what = "a pass rate 10 points under the threshold"
        text = _allowed(units.groups or n, units.noun, what, share)
        decision = decision._replace(consequence=text)
    return decision


def hold_nothing(
    rules: GateRules, name: str, n: int, candidate: ArmResult, live: ArmResult | None
) -> Decision | None:
    """Decide where there is nothing to judge, whatever is asked; None where there is.

    A candidate none of whose answers is right, or of the right shape, was most likely asked
    wrongly; and no candidate is worse by the margin than a live model that passes no more.
    `live` is None where the mode does not compare with it.
    """
    if not candidate.marks.get(PASS):
        said = f"{name} passes none of {plural(n, 'example')}"
        if not any(map(candidate.marks.get, USABLE)):
            said = f"no answer of {name} is of the right shape"
        return _stop("nothing", "inconclusive", f"{said}: {wording.commonest(candidate)}")
    if live is None or live.marks.get(PASS, 0) > rules.margin * sum(live.marks.values()):
        return None
    limit = f"nothing can be {points(rules.margin)} points worse than live"
    said = f"{limit}, which passes {live.passed} of {plural(n, 'example')}"
    return _stop("nothing", "inconclusive", f"{said}: {wording.commonest(live)}")


def hold_alone(rules: GateRules, name: str, results: Results, *, is_stopped: bool) -> Decision:
    """Decide without a baseline: floors and must-pass examples are all there is to hold.

    Where one of them stops the candidate (`is_stopped`) there is nothing to add.  That answers have
    the right shape is not that any of them is right.
    """
    musts = sum(results.must_pass)
    asked = [plural(musts, "must-pass example")] if musts else []
    has_floors = rules.floors.pass_rate > 0 or bool(asked and rules.floors.valid > 0)
    asked += ["the floors"] if has_floors else []
    if asked and is_stopped:
        return Decision("")
    if asked:
        return Decision(f"{name} meets {' and '.join(asked)}")
    lacks = "no live model, no floor of the pass rate, no must-pass example"
    return _stop("no-baseline", "inconclusive", f"nothing to hold {name} against: {lacks}")


def _few_units(units: Units) -> Decision:
    as_many = f", which count as {units.effective:.1f}," if units.groups >= MIN_UNITS else ""
    least = f"{MIN_UNITS} {units.noun}" if units.groups else f"{MIN_UNITS}"
    message = f"{units.many}{as_many} can't settle it: {least} or more are needed"
    return _stop("units", "inconclusive", message)


def _stop(code: ReasonCode, rules: Literal["fail", "inconclusive"], message: str) -> Decision:
    return Decision(message, Reason(code, rules, message))


def _allowed(n: int, noun: str, what: str, share: float) -> str:
    allow = f'on_inconclusive = "allow": with {n} {noun}'
    return f"{allow}, {what} gets through {100 * share:.0f}% of the time"
