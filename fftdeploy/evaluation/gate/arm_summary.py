"""Sums one model up on its own: rates, latency, tokens and cost."""

from collections.abc import Iterator

from fftdeploy.evaluation.arms import CANDIDATE, LIVE
from fftdeploy.evaluation.gate import statistics
from fftdeploy.evaluation.gate.paired import passes
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
from fftdeploy.evaluation.verdict import ArmResult
from fftdeploy.policy.prices import Price


def summarize(results: Results, arm: str, price: Price | None) -> ArmResult:
    """Return the figures of `arm`.

    A lost answer counts as in the pairs: against the candidate, so as not passed of its own, and
    as passed of live.  Of an arm that stands beside them, where any number may be lost, the
    examples that were not answered, or that its own prompt shows, are left out.
    """
    column = results.arms[arm]
    forgives = arm == LIVE
    by_example = passes(column, results.repeats, missing=forgives)
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
        None if price is None else 1000 * price.usd(tokens_in, cached, out),
    )


def _answered(column: Column, repeats: int) -> Iterator[int]:
    """Yield the places of the examples none of whose answers is lost."""
    lost = {MARKS.index(mark) for mark in {*LOST, ""}}
    marks = column.marks
    for place in range(len(marks) // repeats):
        if lost.isdisjoint(marks[place * repeats : (place + 1) * repeats]):
            yield place
