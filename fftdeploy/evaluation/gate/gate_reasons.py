"""Finds what stops a candidate beside its mode: rules held exactly as they are written."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import Literal

from fftdeploy.errors import UnverifiedError
from fftdeploy.evaluation.arms import CANDIDATE, LIVE
from fftdeploy.evaluation.gate import wording
from fftdeploy.evaluation.gate.paired import Bar, Part, broke_in, passes
from fftdeploy.evaluation.results import (
    BATCHED,
    LOST,
    MISSING,
    NO_VERDICT,
    USABLE,
    Column,
    Results,
)
from fftdeploy.evaluation.verdict import ArmResult, Reason, SliceResult
from fftdeploy.names import plural
from fftdeploy.policy.gate_rules import GateRules

_TROUBLE = {MISSING: "the API failed for", NO_VERDICT: "the judge gave no verdict on"}
MOST_MISSING = Fraction(2, 100)
"""Share of an arm's answers that may be lost to the API before a run tells nothing."""


def require_answers(results: Results, arms: Sequence[str]) -> None:
    """Refuse to judge where an arm has lost more answers than can be imputed.

    Raises:
        UnverifiedError: Over 2 % of the answers of one of `arms` are missing, or their verdicts.
        ValueError: An answer has not come yet, or an arm is not in the results.
    """
    lost: dict[str, list[str]] = {MISSING: [], NO_VERDICT: []}
    for arm in arms:
        column = results.arms.get(arm)
        if column is None or column.count(""):
            raise ValueError(f"the run of {arm} is not complete")
        if lacks_answers(column):
            what = f"of {plural(len(column.marks), 'answer')} of {arm}"
            for mark in lost:
                lost[mark] += [f"{count} {what}"] if (count := column.count(mark)) else []
    for mark, said in lost.items():
        if said:
            message = f"{_TROUBLE[mark]} {' and '.join(said)}: over 2% are missing"
            raise UnverifiedError(message, hint="run it again: the answers that came are kept")


def lacks_answers(column: Column) -> bool:
    """Tell whether more of an arm's answers are lost than can be imputed."""
    return column.count(*LOST) > MOST_MISSING * len(column.marks)


def missing(results: Results) -> Iterator[Reason]:
    """Yield a notice for each arm that lost answers, with what they count as."""
    counted = {CANDIDATE: "counted as failed", LIVE: "counted as passed"}
    why = {MISSING: "missing (the API failed)", NO_VERDICT: "without a verdict of the judge"}
    for (arm, column), mark in product(results.arms.items(), why):
        if lost := column.count(mark):
            what = f"{lost} of {plural(len(column.marks), 'answer')} of {arm}"
            how = counted.get(arm, "left out of its figures")
            yield Reason("missing", "", f"{what} {why[mark]}: {how}")


def integrity(rules: GateRules, n: int, reviewed: int) -> Iterator[Reason]:
    """Yield what is wrong with the examples as a set."""
    least = max(1, rules.min_examples)
    if n == 0:
        message = f"0 reviewed examples: the gate asks for {least} or more"
        yield Reason("too-few", "inconclusive", message)
    elif n < least:
        message = f"{plural(n, 'example')}: the gate asks for {least} or more"
        yield Reason("too-few", "inconclusive", message)
    if rules.require_reviewed and reviewed < n:
        few = f"{n - reviewed} of {n}" if reviewed else f"0 reviewed examples: all {n}"
        yield Reason("unreviewed", "fail", f"{few} are unreviewed, the gate asks for review")


def must_pass(results: Results, *, has_baseline: bool) -> Iterator[Reason]:
    """Yield the must-pass examples that the candidate does not pass in most repeats.

    Those that live fails, too, are among them.
    """
    counts = passes(results.arms[CANDIDATE], results.repeats)
    places = zip(results.must_pass, counts, strict=True)
    failed = [
        place
        for place, (must, passed) in enumerate(places)
        if must and 2 * passed <= results.repeats
    ]
    if not failed:
        return
    ids = tuple(results.ids[place] for place in failed)
    message = f"fails {plural(len(ids), 'must-pass example')}: {wording.listed(ids)}"
    if has_baseline:
        live = passes(results.arms[LIVE], results.repeats, missing=True)
        old = tuple(results.ids[place] for place in failed if 2 * live[place] <= results.repeats)
        message += f" (live too: {wording.listed(old)})" if old else ""
    yield Reason("must-pass", "fail", message, ids)


def floors(rules: GateRules, results: Results) -> Iterator[Reason]:
    """Yield the floors that the candidate is under; exactly at a floor is enough."""
    column = results.arms[CANDIDATE]
    total = len(column.marks)
    reached = {
        "pass_rate": (rules.floors.pass_rate, column.count("pass")),
        "valid": (rules.floors.valid, column.count(*USABLE)),
    }
    for name, (floor, count) in reached.items():
        asked = f"{name} = {float(floor):.6g}"
        if count < floor * total:
            seen = f"{count} of {total} ({wording.points(count / total, float(floor))}%)"
            yield Reason("floor", "fail", f"under the floor {asked}: {seen}")
        if floor > 0 and total - floor * total < 1:
            message = f"the floor {asked} allows 0 failures of {total}"
            yield Reason("zero-failures", "", message)


def budgets(rules: GateRules, candidate: ArmResult, answers: Column) -> Iterator[Reason]:
    """Yield the budgets that the candidate is over.

    A latency fails only where its lower order-statistic bound is over the budget too.  Where fewer
    than half of the answers were measured in this run, what is slow may be among the others; where
    fewer than half say what they took, so may what is dear.

    Raises:
        ValueError: There is a budget of money and no price.
    """
    limit = rules.budgets.p95_latency_ms
    if limit is not None:
        yield from _latency(limit, candidate, is_batch=BATCHED in answers.latency_ms)
    if rules.budgets.needs_price and 2 * answers.told < answers.came:
        few = f"{answers.told} of {plural(answers.came, 'answer')}"
        most = f"the budget of ${rules.budgets.usd_per_1k_requests:.6g} can't be held"
        yield Reason("budget", "inconclusive", f"{few} say what tokens they took: {most}")
    elif excess := rules.budgets.excess(candidate.cost):
        yield Reason("budget", "fail", excess)


def _latency(limit: float, candidate: ArmResult, *, is_batch: bool) -> Iterator[Reason]:
    budget = f"the budget of {limit:g} ms"
    seen, sure = candidate.p95_latency_ms, candidate.p95_lower_ms
    came = sum(candidate.marks.values()) - candidate.marks.get(MISSING, 0)
    if seen is not None and sure is not None and sure > limit:
        message = f"p95 latency {seen} ms (95% sure: {sure} ms or more) is over {budget}"
        yield Reason("budget", "fail", message)
    elif 2 * candidate.measured < came:
        few = f"{candidate.measured} of {plural(came, 'answer')}"
        message = f"latency was measured of {few}: {budget} can't be held; "
        message += "ask anew, and in no batch: --fresh"
        if not is_batch:
            message = f"latency was measured of {few}, for the others were known already: {budget} "
            message += "is not judged; add --fresh to ask anew"
        yield Reason("latency", "inconclusive", message)
    elif seen is not None and seen > limit:
        message = f"p95 latency {seen} ms is over {budget}, but the answers measured are too few"
        yield Reason("latency", "", f"{message} to be sure ({candidate.measured})")


def slices(
    rules: GateRules,
    results: Results,
    found: Sequence[tuple[Part, SliceResult]],
    bar: Bar,
) -> Iterator[Reason]:
    """Yield the slices and fields that are harmed.

    With `slice_rule = "not-worse"` every slice must pass as the whole must: then nothing is
    adjusted for their number, because one is enough to stop the candidate.  In the mode
    `threshold`, which does not ask about live, harm is a notice.
    """
    for part, result in found:
        is_slice = result.kind == "slice"
        counts = f"{result.broke} broke, {result.fixed} fixed of {result.n}"
        ids = tuple(results.ids[place] for place in broke_in(part))
        harms: Literal["fail", ""] = "" if rules.mode == "threshold" else "fail"
        if rules.slice_rule == "no-harm" or not is_slice or not harms:
            if result.is_harmed:
                p = wording.p_value(result.p_adjusted)
                message = f"{result.name} is worse: {counts} (p {p} after Holm over {len(found)})"
                yield Reason("slice", harms, message, ids)
        elif result.lower < -rules.margin or part.pairs.effective().is_few:
            could = f"could be up to {wording.points(-result.lower, rules.margin)} points worse"
            limit = f"(limit {wording.points(rules.margin)})"
            if result.p <= bar.risk:
                p = wording.p_value(result.p)
                message = f"{result.name} is worse: {counts} (exact p {p}); {could}"
                yield Reason("slice", "fail", message, ids)
            else:
                message = f"{result.name}: {counts} can't settle it: {could} {limit}"
                yield Reason("slice", "inconclusive", message, ids)
