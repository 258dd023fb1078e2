"""Decides whether a candidate may ship: rules and graded answers in, one verdict out.

The order of the rules is that of their gravity: the set of examples, must-pass examples, the
comparison with live, slices, floors, budgets.  All of them are evaluated; the gravest that stops
the candidate is the headline, and a failure is graver than what could not be settled.

Must-pass examples are no random sample, so each is held on its own; they stay in the counts of
the comparison too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True, slots=True, kw_only=True)
class GateQuestion:
    """Whether the arm `candidate` may ship, held against the arm `live`: all that decides it."""

    rules: GateRules
    results: Results
    """Complete: every answer has come, or is missing for good."""
    name: str
    """What sentences call the candidate."""
    has_baseline: bool
    """Whether there is an arm `live` to compare with."""
    reviewed: int
    """How many of the examples somebody has reviewed."""
    prices: Mapping[str, Price | None] = field(default_factory=dict)
    """By arm; an arm that is not named has none."""
    candidates: int = 1
    """How many were tried together.  They share the risk of a wrong pass: each is held to the
    confidence 1 - (1 - confidence) / candidates."""
    best: Best | None = None
    """The best evidence so far; to be worse than that is a notice."""
    judged_by: JudgeFacts | None = None
    """The model judge that has marked answers, too."""
    models: Mapping[str, str] = field(default_factory=dict)
    """The model of each arm, for a notice where the judge is of the same family."""

    @property
    def bar(self) -> Bar:
        """What pairs are held to."""
        confidence = paired.shared_confidence(self.rules.confidence, self.candidates)
        return Bar(self.rules.margin, confidence, 1 - self.rules.confidence)


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


def judge(question: GateQuestion) -> Verdict:
    """Return the gate's verdict.

    Raises:
        UnverifiedError: Over 2 % of the answers of the candidate or of live are missing.
        ValueError: The results are not complete, or a budget of money has no price.
    """
    rules, results = question.rules, question.results
    arms = {arm: summarize(results, arm, question.prices.get(arm)) for arm in results.arms}
    reasons = list(gate_reasons.integrity(rules, len(results), question.reviewed))
    if not len(results):
        return _verdict(question, arms, reasons, _NOTHING)
    judged = (CANDIDATE, LIVE) if question.has_baseline else (CANDIDATE,)
    gate_reasons.require_answers(results, judged)
    reasons += _beside_the_mode(question, arms[CANDIDATE])
    compared = _compare(question) if question.has_baseline else _NOTHING
    compares = question.has_baseline and rules.mode != "threshold"
    live, name = arms[LIVE] if compares else None, question.name
    if nothing := gate_modes.hold_nothing(rules, name, len(results), arms[CANDIDATE], live):
        compared = compared.settling_nothing(nothing)
    if compared.decision is None:
        is_stopped = any(reason.rules for reason in reasons)
        compared = compared._replace(decision=_alone(question, is_stopped=is_stopped))
    detail = [*_detail(question, arms, compared)]
    return _verdict(question, arms, [*reasons, *compared.reasons], compared, detail)


def _beside_the_mode(question: GateQuestion, candidate: ArmResult) -> Iterator[Reason]:
    """Yield what stops the candidate whatever the mode asks of the sample, and notices."""
    rules, results = question.rules, question.results
    yield from gate_reasons.must_pass(results, has_baseline=question.has_baseline)
    yield from gate_reasons.floors(rules, results)
    yield from gate_reasons.budgets(rules, candidate, results.arms[CANDIDATE])
    yield from gate_reasons.missing(results)
    yield from _creep(question)
    if question.judged_by is not None:
        reports_only = rules.mode == "report-only"
        yield from judge_facts.reasons(
            question.judged_by, question.models, reports_only=reports_only
        )


def _detail(
    question: GateQuestion, arms: Mapping[str, ArmResult], compared: _Compared
) -> Iterator[str]:
    """Yield the counts, what is known of the judge, the risk that is shared, and failures."""
    results = question.results
    shown = [arms[LIVE]] if question.has_baseline else []
    unreviewed = len(results) - question.reviewed
    yield wording.counts(
        compared.comparison, results.repeats, unreviewed, [*shown, arms[CANDIDATE]]
    )
    if question.judged_by is not None:
        yield from (f"judge: {text}" for text in judge_facts.said(question.judged_by, results))
    if question.candidates > 1:
        shared, sure = wording.shared_risk(question.candidates), question.bar.confidence
        yield f"{shared}: each is held to {wording.sureness(sure)} confidence"
    yield from filter(None, map(wording.failures, arms.values()))


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
    came = column.came
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
        RequestCost(
            1000 * price.usd(tokens_in, cached, out)
            if price is not None and 2 * column.told >= came
            else None
        ),
    )


def _answered(column: Column, repeats: int) -> Iterator[int]:
    """Yield the places of the examples none of whose answers is lost."""
    lost = {MARKS.index(mark) for mark in {*LOST, ""}}
    marks = column.marks
    for place in range(len(marks) // repeats):
        if lost.isdisjoint(marks[place * repeats : (place + 1) * repeats]):
            yield place


def _compare(question: GateQuestion) -> _Compared:
    rules, results, bar = question.rules, question.results, question.bar
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


def _alone(question: GateQuestion, *, is_stopped: bool) -> Decision:
    rules, name, results = question.rules, question.name, question.results
    if rules.mode == "threshold":
        return gate_modes.hold_threshold(rules, name, results, question.bar)
    return gate_modes.hold_alone(rules, name, results, is_stopped=is_stopped)


def _creep(question: GateQuestion) -> Iterator[Reason]:
    """Yield a notice where the best so far may be further ahead than the margin, and looks so."""
    rules, results, best = question.rules, question.results, question.best
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
    question: GateQuestion,
    arms: Mapping[str, ArmResult],
    reasons: Sequence[Reason],
    compared: _Compared,
    detail: Sequence[str] = (),
) -> Verdict:
    own, rules = compared.decision or Decision(""), question.rules
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
    if not question.has_baseline and rules.mode != "threshold":
        alone = "nothing else is live to compare with"
        if headline == own.statement:
            headline = f"{alone}: {headline}"
        else:
            further.append(alone)
    label: Label = "inconclusive" if question.has_baseline else "no-baseline"
    if compared.comparison:
        label = compared.comparison.label
    return Verdict(
        ruling,
        label,
        headline,
        (*detail, *further, *last),
        tuple(found),
        compared.comparison,
        compared.slices,
        tuple(arms.values()),
        compared.broke,
        compared.fixed,
        next((one.examples for one in reasons if one.code == "must-pass"), ()),
        own.needed if settling else None,
        settling,
        rules.mode == "report-only",
    )
