"""Decides whether a candidate may ship: rules and graded answers in, one verdict out.

The order of the rules is that of their gravity: the set of examples, must-pass examples, the
comparison with live, slices, floors, budgets.  All of them are evaluated; the gravest that stops
the candidate is the headline, and a failure is graver than what could not be settled.

Must-pass examples are no random sample, so each is held on its own; they stay in the counts of
the comparison too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from fftdeploy.evaluation.arms import CANDIDATE, LIVE
from fftdeploy.evaluation.gate import (
    gate_modes,
    gate_reasons,
    judge_facts,
    paired,
    statistics,
    wording,
)
from fftdeploy.evaluation.gate.gate_modes import Decision
from fftdeploy.evaluation.gate.judge_facts import JudgeFacts
from fftdeploy.evaluation.gate.paired import Bar
from fftdeploy.evaluation.gate.sizing import units_of
from fftdeploy.evaluation.results import (
    LOST,
    MARKS,
    MISSING,
    PASS,
    USABLE,
    Column,
    Results,
    tokens_of,
)
from fftdeploy.evaluation.verdict import (
    ArmResult,
    Comparison,
    Label,
    Reason,
    ReasonCode,
    SliceResult,
    Verdict,
)
from fftdeploy.policy.gate_rules import GateRules
from fftdeploy.policy.prices import Price, RequestCost

_GRAVITY: tuple[ReasonCode, ...] = (
    "too-few", "unreviewed", "must-pass", "worse", "slice", "floor", "threshold", "budget",
    "nothing", "judge", "no-baseline", "units", "margin", "better",
    "missing", "creep", "latency", "zero-failures",
)  # fmt: skip
_RULES = ("fail", "inconclusive", "")


class Best(NamedTuple):
    """The best passing evidence on the same examples, in their order and as often asked."""

    name: str
    column: Column


class _Compared(NamedTuple):
    """What comes of comparing candidate and live."""

    comparison: Comparison | None = None
    slices: tuple[SliceResult, ...] = ()
    broke: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    decision: Decision | None = None
    """None where the mode does not ask about live."""

    def settling_nothing(self, decision: Decision) -> "_Compared":
        """Return the same counts, of which nothing follows, for no slice either."""
        found = self.comparison and replace(self.comparison, label="inconclusive")
        return self._replace(comparison=found, reasons=(), decision=decision)


_NOTHING = _Compared()


def judge(
    rules: GateRules,
    results: Results,
    *,
    name: str,
    has_baseline: bool,
    reviewed: int,
    prices: Mapping[str, Price | None] | None = None,
    candidates: int = 1,
    best: Best | None = None,
    judged_by: JudgeFacts | None = None,
    models: Mapping[str, str] | None = None,
) -> Verdict:
    """Return the gate's verdict on the arm `candidate`, held against the arm `live`.

    Args:
        rules: The quality bar.
        results: Complete: every answer has come, or is missing for good.
        name: What sentences call the candidate.
        has_baseline: Whether there is an arm `live` to compare with.
        reviewed: How many of the examples somebody has reviewed.
        prices: By arm; an arm that is not named has none.
        candidates: How many were tried together.  They share the risk of a wrong pass: each
            is held to the confidence 1 - (1 - confidence) / candidates.
        best: The best evidence so far; to be worse than that is a notice.
        judged_by: The model judge that has marked answers, too.
        models: The model of each arm, for a notice where the judge is of the same family.

    Raises:
        UnverifiedError: Over 2 % of the answers of the candidate or of live are missing.
        ValueError: The results are not complete, or a budget of money has no price.
    """
    arms = tuple(summarize(results, arm, (prices or {}).get(arm)) for arm in results.arms)
    reasons = list(gate_reasons.integrity(rules, len(results), reviewed))
    if not len(results):
        return _verdict(rules, reasons, arms, has_baseline=has_baseline)
    gate_reasons.require_answers(results, (CANDIDATE, LIVE) if has_baseline else (CANDIDATE,))
    confidence = paired.shared_confidence(rules.confidence, candidates)
    bar = Bar(rules.margin, confidence, 1 - rules.confidence)
    by_name = {arm.arm: arm for arm in arms}
    failed = gate_reasons.failed_must_pass(results)
    reasons += gate_reasons.must_pass(results, failed, has_baseline=has_baseline)
    reasons += gate_reasons.floors(rules, results)
    reasons += gate_reasons.budgets(rules, by_name[CANDIDATE], results.arms[CANDIDATE])
    reasons += gate_reasons.missing(results)
    reasons += _creep(rules, results, best)
    if judged_by is not None:
        reports_only = rules.mode == "report-only"
        reasons += judge_facts.reasons(judged_by, models or {}, reports_only=reports_only)
    compared = _compare(rules, results, bar) if has_baseline else _NOTHING
    is_stopped = any(reason.rules for reason in reasons)
    compares = has_baseline and rules.mode != "threshold"
    live = by_name[LIVE] if compares else None
    if nothing := gate_modes.hold_nothing(rules, name, len(results), by_name[CANDIDATE], live):
        compared = compared.settling_nothing(nothing)
    decision = compared.decision or _alone(rules, name, results, bar, is_stopped=is_stopped)
    shown = [by_name[arm] for arm in (LIVE, CANDIDATE) if arm == CANDIDATE or has_baseline]
    detail = [wording.counts(compared.comparison, results.repeats, len(results) - reviewed, shown)]
    if judged_by is not None:
        detail += (f"judge: {text}" for text in judge_facts.said(judged_by, results))
    if candidates > 1:
        shared = wording.shared_risk(candidates)
        detail.append(f"{shared}: each is held to {wording.sureness(bar.confidence)} confidence")
    return _verdict(
        rules,
        [*reasons, *compared.reasons],
        arms,
        has_baseline=has_baseline,
        decision=decision,
        compared=compared,
        must_pass_failed=tuple(results.ids[place] for place in failed),
        detail=detail,
        failures=[text for arm in arms if (text := wording.failures(arm))],
    )


def summarize(results: Results, arm: str, price: Price | None) -> ArmResult:
    """Return the figures of `arm`.

    A lost answer counts as in the pairs: against the candidate, so as not passed of its own, and
    as passed of live.  Of an arm that stands beside them, where any number may be lost, the
    examples that were not answered, or that its own prompt shows, are left out.
    """
    column = results.arms[arm]
    forgives = arm == LIVE
    by_example = paired.passes(column, results.repeats, missing=forgives)
    usable = USABLE | LOST if forgives else USABLE
    answers, groups = len(column.marks), results.groups
    if arm not in {CANDIDATE, LIVE}:
        left = [*_answered(column, results.repeats)]
        by_example = bytes(by_example[place] for place in left)
        groups = [groups[place] for place in left]
        answers -= column.count(*LOST, "")
    n = len(by_example)
    share = sum(by_example) / results.repeats
    tested = units_of(groups).tested
    low, high = statistics.wilson(share if tested == n else share * tested / n, tested)
    marks = {mark: count for mark in MARKS[1:] if (count := column.count(mark))}
    latencies = sorted(value for value in column.latency_ms if value >= 0)
    came = len(column.marks) - column.count(MISSING, "")
    tokens_in, cached, out, reasoning = (
        sum(kind) / came if came else 0.0 for kind in tokens_of(column)
    )

    def latency(rank: int) -> int | None:
        return latencies[rank - 1] if 1 <= rank <= len(latencies) else None

    return ArmResult(
        arm,
        n,
        sum(2 * passed > results.repeats for passed in by_example),
        share / n if n else 0.0,
        low,
        high,
        sum(marks.get(mark, 0) for mark in usable) / answers if answers else 0.0,
        marks,
        {mark: results.first(arm, mark) for mark in marks if mark != PASS},
        latency(statistics.quantile_rank(len(latencies), 0.5)),
        latency(statistics.quantile_rank(len(latencies), 0.95)),
        latency(statistics.quantile_ranks(len(latencies), 0.95, sides=1)[0]),
        len(latencies),
        tokens_in,
        cached,
        out,
        reasoning,
        RequestCost(None if price is None else 1000 * price.usd(tokens_in, cached, out)),
    )


def _answered(column: Column, repeats: int) -> Iterator[int]:
    """Yield the places of the examples none of whose answers is lost."""
    lost = {MARKS.index(mark) for mark in {*LOST, ""}}
    marks = column.marks
    for place in range(len(marks) // repeats):
        if lost.isdisjoint(marks[place * repeats : (place + 1) * repeats]):
            yield place


def _compare(rules: GateRules, results: Results, bar: Bar) -> _Compared:
    arms = results.arms[LIVE], results.arms[CANDIDATE]
    pairs = paired.pair(results, *arms)
    comparison = paired.compare(pairs, bar)
    parts = list(paired.parts(results, pairs, arms))
    slices = paired.judge_parts(parts, bar)
    each = list(zip(parts, slices, strict=True))
    reasons = tuple(gate_reasons.slices(rules, results, each, bar))
    decision = None
    if rules.mode != "threshold":
        decision = gate_modes.hold_comparison(rules, pairs, comparison, bar)
    return _Compared(comparison, slices, *paired.ids_of(results, pairs), reasons, decision)


def _alone(
    rules: GateRules, name: str, results: Results, bar: Bar, *, is_stopped: bool
) -> Decision:
    if rules.mode == "threshold":
        return gate_modes.hold_threshold(rules, name, results, bar)
    return gate_modes.hold_alone(rules, name, results, is_stopped=is_stopped)


def _creep(rules: GateRules, results: Results, best: Best | None) -> Iterator[Reason]:
    """Yield a notice where the best so far may be further ahead than the margin, and looks so."""
    if best is None:
        return
    pairs = paired.pair(results, best.column, results.arms[CANDIDATE])
    found = paired.compare(pairs, Bar(rules.margin, rules.confidence, 1 - rules.confidence))
    if found.difference < 0 and found.lower < -rules.margin:
        could = f"could be up to {wording.points(-found.lower, rules.margin)} points worse"
        counts = f"{found.broke} broke, {found.fixed} fixed"
        message = f"{could} than the best evidence on these examples ({best.name}): {counts}"
        yield Reason("creep", "", message, paired.ids_of(results, pairs)[0])


def _verdict(
    rules: GateRules,
    reasons: Sequence[Reason],
    arms: tuple[ArmResult, ...],
    *,
    has_baseline: bool,
    decision: Decision | None = None,
    compared: _Compared = _NOTHING,
    must_pass_failed: tuple[str, ...] = (),
    detail: Sequence[str] = (),
    failures: Sequence[str] = (),
) -> Verdict:
    own = decision or Decision("")
    found = sorted(
        [*reasons, *([own.reason] if own.reason else [])],
        key=lambda one: (_RULES.index(one.rules), _GRAVITY.index(one.code)),
    )
    ruling = found[0].rules or "pass" if found else "pass"
    headline = own.statement if ruling == "pass" else found[0].message
    further = [own.statement] if own.statement and own.statement != headline else []
    said = {headline, own.statement}
    further += [f"also: {one.message}" for one in found if one.rules and one.message not in said]
    settling = own.settling if ruling == "inconclusive" else ""
    last = [text for text in (settling, own.consequence) if text]
    if not has_baseline and rules.mode != "threshold":
        alone = "nothing else is live to compare with"
        if headline == own.statement:
            headline = f"{alone}: {headline}"
        else:
            further.append(alone)
    label: Label = "inconclusive" if has_baseline else "no-baseline"
    if compared.comparison:
        label = compared.comparison.label
    return Verdict(
        ruling,
        label,
        headline,
        (*detail, *failures, *further, *last),
        tuple(found),
        compared.comparison,
        compared.slices,
        arms,
        compared.broke,
        compared.fixed,
        must_pass_failed,
        own.needed if settling else None,
        settling,
        rules.mode == "report-only",
    )
