"""Fills the tables of the report's page: fields, what was taken for what, costs."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from fftdeploy.evaluation.arms import BASE, CANDIDATE, LIVE
from fftdeploy.evaluation.patterns.failure_reasons import is_long, parsed
from fftdeploy.evaluation.patterns.what_changed import NO_VALUE, WHOLE, ComparedField, value_of
from fftdeploy.evaluation.results import ExampleText, Results
from fftdeploy.evaluation.verdict import ArmResult, Verdict
from fftdeploy.output.words import signed
from fftdeploy.policy.grader_types import OF_WORDS
from fftdeploy.policy.prices import RequestCost

_MUCH_CACHED = 0.2
"""From this share of a prompt on, what the provider's cache takes off is worth a sentence."""
_OTHER = "other"
_MOST_VALUES = 12


@dataclass(frozen=True, slots=True)
class Confusion:
    """Of one field and one arm: how often each agreed value (row) got each answer (column).

    The columns are the agreed values, then anything else (`other`), then `NO_VALUE`.
    """

    field: str
    arm: str
    values: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class Confusions:
    """Counts what was agreed and answered, an example at a time.

    A field gets a table where every agreed answer has it and they have 2 to 12 values in all.
    """

    def __init__(self, fields: Iterable[ComparedField], arms: Iterable[str]) -> None:
        self._arms = tuple(arms)
        self._agreed: dict[ComparedField, Counter[str]] = {
            field: Counter() for field in fields if field.kind in OF_WORDS
        }
        self._pairs: Counter[tuple[ComparedField, str, str, str]] = Counter()

    def add(self, text: ExampleText) -> None:
        """Count one example."""
        if not self._agreed:
            return
        reference = parsed(text.reference)
        answers = [(arm, parsed(out)) for arm in self._arms for out in text.outputs.get(arm, ())]
        for field in list(self._agreed):
            value = value_of(reference, field)
            values = self._agreed[field]
            values[value] += 1
            if value == NO_VALUE or is_long(value) or len(values) > _MOST_VALUES:
                del self._agreed[field]
                continue
            for arm, answer in answers:
                self._pairs[field, arm, value, value_of(answer, field)] += 1

    def tables(self) -> list[Confusion]:
        """Return a table for each field and arm; the commonest agreed value first."""
        found = []
        for field, agreed in self._agreed.items():
            values = tuple(value for value, _ in agreed.most_common())
            if len(values) > 1:
                found += [self._table(field, arm, values) for arm in self._arms]
        return found

    def _table(self, field: ComparedField, arm: str, values: tuple[str, ...]) -> Confusion:
        columns = {value: number for number, value in enumerate(values)}
        columns[NO_VALUE] = len(values) + 1
        counts = [[0] * (len(values) + 2) for _ in values]
        for (of_field, of_arm, value, answer), n in self._pairs.items():
            if (of_field, of_arm) == (field, arm):
                counts[columns[value]][columns.get(answer, len(values))] += n
        return Confusion(field.name, arm, values, tuple(map(tuple, counts)))


def percent(share: float) -> str:
    """Return a share as `91.2%`."""
    return f"{100 * share:.1f}%"


def fields(
    results: Results, verdict: Verdict, confusions: Sequence[Confusion]
) -> dict[str, Any] | None:
    """Return what is known by field: how often it was wrong, and for what; None if nothing is."""
    compared = {part.key: part for part in verdict.slices if part.kind == "field"}
    arms = [arm for arm in (LIVE, CANDIDATE) if arm in results.arms]
    patterns = [Counter(results.arms[arm].failed) for arm in arms]
    rows = [
        {
            "name": name,
            "wrong": [sum(n for bits, n in each.items() if bits >> place & 1) for each in patterns],
            "part": compared.get(name),
        }
        for place, name in enumerate(results.fields)
    ]
    mistaken = [
        {
            "field": "the whole answer" if field == WHOLE else field,
            "is_open": field in compared and compared[field].broke > 0,
            "tables": [_confusion(one) for one in found],
        }
        for field, found in groupby(confusions, lambda confusion: confusion.field)
    ]
    about = {"arms": arms, "rows": rows}
    return {"table": about if rows else None, "mistaken": mistaken} if rows or mistaken else None


def _confusion(one: Confusion) -> dict[str, Any]:
    columns = [*one.values, _OTHER, NO_VALUE]
    used = [
        n for n in range(len(columns)) if n < len(one.values) or any(row[n] for row in one.counts)
    ]
    rows = []
    for number, (value, counts) in enumerate(zip(one.values, one.counts, strict=True)):
        kinds = ["zero" if not counts[n] else "right" if n == number else "off" for n in used]
        cells = [{"kind": kind, "n": counts[n]} for n, kind in zip(used, kinds, strict=True)]
        rows.append({"agreed": value, "cells": cells})
    return {"arm": one.arm, "columns": [columns[n] for n in used], "rows": rows}


def _tokens(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 or not number else f"{number:.1f}"


def _milliseconds(number: float) -> str:
    return f"{number:,.0f}\N{NO-BREAK SPACE}ms"


def _dollars(number: float) -> str:
    return f"${number:,.2f}" if number >= 10 else f"${number:.3f}"


_MEANS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("tokens in", "tokens_in", _tokens),
    ("of them cached", "tokens_cached", _tokens),
    ("tokens out", "tokens_out", _tokens),
    ("of them reasoning", "tokens_reasoning", _tokens),
    ("latency, median", "p50_latency_ms", _milliseconds),
    ("latency, 95th percentile", "p95_latency_ms", _milliseconds),
    ("USD per 1,000 requests", "cost.usd_per_1k_requests", _dollars),
)
"""Name, attribute of an arm, and how it is written."""
_PARTS = frozenset({"tokens_cached", "tokens_reasoning"})
"""Of the number before: how that changed says nothing by itself."""


def costs(verdict: Verdict) -> dict[str, Any]:
    """Return every arm beside the others, and in words whether tuning saved."""
    order = {CANDIDATE: 0, LIVE: 1, BASE: 2}
    arms = sorted(verdict.arms, key=lambda arm: order.get(arm.arm, len(order)))
    candidate = verdict.candidate
    others = [arm for arm in arms if arm.arm in {LIVE, BASE}]
    return {
        "arms": arms,
        "others": [
            {
                "other": arm.arm,
                "rate_gap": candidate.rate - arm.rate,
                "valid_gap": candidate.valid - arm.valid,
            }
            for arm in others
        ],
        "means": list(_means(arms, candidate, others)),
        "savings": [_saving(candidate, other) for other in others],
        "measured": ", ".join(f"{arm.arm} {arm.measured:,}" for arm in arms),
        "at_least": ", ".join(
            f"{arm.arm} {_milliseconds(arm.p95_lower_ms)}"
            for arm in arms
            if arm.p95_lower_ms is not None
        ),
    }


def changes(verdict: Verdict) -> dict[str, dict[str, float]]:
    """Return by how much the candidate's means differ from another arm's, as shares of those."""
    found: dict[str, dict[str, float]] = {}
    for arm in verdict.arms:
        if arm.arm != CANDIDATE:
            changed = found[arm.arm] = {}
            for _, path, _ in _MEANS:
                new, old = map(attrgetter(path), (verdict.candidate, arm))
                if old and new is not None:
                    changed[path.rpartition(".")[2]] = new / old - 1
    return found


def dearer(verdict: Verdict) -> Iterator[str]:
    """Say of each arm against which the candidate's fewer tokens cost more money."""
    ours = verdict.candidate
    for other in verdict.arms:
        fewer = ours.tokens_in + ours.tokens_out < other.tokens_in + other.tokens_out
        if fewer and ours.cost.is_known and RequestCost(0.0) < other.cost < ours.cost:
            yield _saving(ours, other)


def _means(
    arms: Sequence[ArmResult], candidate: ArmResult, others: Sequence[ArmResult]
) -> Iterator[dict[str, Any]]:
    for name, key, show in _MEANS:
        mean: Callable[[ArmResult], float | None] = attrgetter(key)
        found = [mean(arm) for arm in arms]
        most = max(number or 0 for number in found)
        if all(number == 0 for number in found):
            continue
        ours = None if key in _PARTS else mean(candidate)
        yield {
            "name": name,
            "figures": [
                {"shown": show(number), "bar": percent(number / most)}
                if number is not None and most
                else {"shown": "", "bar": ""}
                for number in found
            ],
            "changes": [_change(ours, mean(other)) for other in others],
        }


def _change(number: float | None, other: float | None) -> str:
    if number is None or not other:
        return ""
    shown = signed(100 * (number / other - 1), 0)
    return "same" if shown == "0" else f"{shown}%"


def _saving(candidate: ArmResult, other: ArmResult) -> str:
    """Say of another arm whether the candidate saves prompt, and whether that saves money."""
    read, instead = (arm.tokens_in + arm.tokens_out for arm in (candidate, other))
    prompt = (
        f"Against {other.arm} the candidate reads and writes {_ratio(read, instead, 'tokens')} per "
        f"request ({_tokens(read)} instead of {_tokens(instead)})"
    )
    ours, theirs = (arm.cost.usd_per_1k_requests for arm in (candidate, other))
    if ours is None or theirs is None:
        return f"{prompt}; what that costs is not known without prices of both."
    joint = "and" if (ours <= theirs) == (read <= instead) else "but"
    money = (
        f"{prompt}, {joint} costs {_ratio(ours, theirs)}: {_dollars(ours)} instead of "
        f"{_dollars(theirs)} for 1,000 requests."
    )
    share = other.tokens_cached / other.tokens_in if other.tokens_in else 0.0
    if share < _MUCH_CACHED:
        return money
    return (
        f"{money} {percent(share)} of what {other.arm} reads comes from the provider's cache at a "
        "lower price, so that fewer tokens save less money than it seems."
    )


def _ratio(ours: float, theirs: float, noun: str = "") -> str:
    """Say `38% fewer tokens`, or of money `38% less`."""
    if abs(ours - theirs) < 0.005 * max(theirs, 1e-9):
        return f"as many {noun}" if noun else "the same"
    if not theirs:
        return f"more {noun}".strip()
    change = 100 * (ours / theirs - 1)
    word = "more" if change > 0 else "fewer" if noun else "less"
    return f"{abs(change):,.0f}% {word} {noun}".strip()
