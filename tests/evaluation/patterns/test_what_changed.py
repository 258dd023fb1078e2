"""What changed and why answers fail, counted from graded answers, with an example of each."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from evaluated import GRADER, evidence_of, graded, story

from fftdeploy.evaluation.patterns.weak_spots import WeakSpots
from fftdeploy.evaluation.patterns.what_changed import (
    MOST_CHARACTERS,
    Patterns,
    WhatChanged,
    by_marks,
)
from fftdeploy.evaluation.results import ExampleText, Results, Sample

FENCED = '```json\n{"urgency": "high"}\n```'


class Answered(NamedTuple):
    """One example: the agreed answer, and what live and the candidate said, each with its mark."""

    agreed: str
    live: tuple[str, str] | None
    candidate: tuple[str, str]


def changed(
    rows: Sequence[Answered], fields: Sequence[str] = (), graders: Sequence[Any] = ()
) -> WhatChanged:
    results = Results(1, fields=tuple(fields))
    for number in range(len(rows)):
        results.add_example(f"e{number}", "", (), must_pass=False)
    arms = ("candidate", "live") if rows[0].live else ("candidate",)
    for arm in arms:
        column = results.add_arm(arm)
        for place, row in enumerate(rows):
            said, mark = getattr(row, arm)
            column.put(place, Sample(mark, _failed(said, row.agreed, fields)))
    patterns = Patterns(results, graders)
    for place, row in enumerate(rows):
        outputs = {arm: (getattr(row, arm)[0],) for arm in arms}
        patterns.add(ExampleText(f"e{place}", f"input {place}", row.agreed, (), {}, outputs))
    return patterns.found()


def _failed(said: str, agreed: str, fields: Sequence[str]) -> tuple[int, ...]:
    try:
        wanted, values = json.loads(agreed), json.loads(said)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        return tuple(range(len(fields)))
    return tuple(n for n, name in enumerate(fields) if values.get(name) != wanted.get(name))


def shifts(found: WhatChanged) -> list[tuple[str, str, str, int, int, int]]:
    return [(s.field, s.old, s.new, s.count, s.broke, s.fixed) for s in found.shifts]


def causes(found: WhatChanged) -> list[tuple[str, str, int]]:
    return [(cause.arm, cause.why, cause.count) for cause in found.causes]


def test_each_field_has_its_commonest_pairs_with_an_example() -> None:
    texts = story()
    results = graded(texts)
    patterns = Patterns(results, [GRADER.content])
    for text in texts:
        patterns.add(text)

    found = patterns.found()

    assert shifts(found)[:3] == [
        ("category", "refund", "billing", 12, 12, 0),
        ("category", "question", "account", 1, 0, 1),
        ("category", "question", "refund", 1, 0, 1),
    ]
    assert {shift.field for shift in found.shifts} == {"category", "next_step", "urgency"}
    first = found.shifts[0].example
    by_id = {text.id: text for text in texts}[first.id]
    assert (first.input, first.agreed) == (by_id.input, by_id.reference)
    assert (first.old, first.new) == (by_id.outputs["live"][0], by_id.outputs["candidate"][0])
    assert found.causes == ()


def test_what_is_quoted_broke_where_any_with_those_values_did() -> None:
    agreed = '{"a": "x", "b": "y"}'
    still = Answered(agreed, ('{"a": "x", "b": "z"}', "wrong"), ('{"a": "w", "b": "z"}', "wrong"))
    broke = Answered(agreed, (agreed, "pass"), ('{"a": "w", "b": "y"}', "wrong"))

    right = Answered(agreed, (agreed, "pass"), (agreed, "pass"))

    found = changed([still, broke, broke, right], ["a", "b"])

    assert shifts(found)[0] == ("a", "x", "w", 3, 3, 0)
    assert found.shifts[0].example.id == "e1"


RIGHT = '{"urgency": "high"}'


@pytest.mark.parametrize(
    ("said", "mark", "why"),
    [
        (FENCED, "unparsable", "in a code fence"),
        (f"Sure! {RIGHT} Anything else?", "unparsable", "text around the JSON"),
        ("I can't say.", "unparsable", "no JSON in it"),
        ('{"urgency": "hi', "unparsable", "JSON without its end"),
        ("{'urgency': 'high'}", "unparsable", "broken JSON"),
        ('{"category": "refund"}', "invalid", "lacks urgency"),
        ('["high"]', "invalid", "JSON of another shape"),
        ('{"urg', "truncated", "cut off: max_completion_tokens"),
        ("I'd rather not", "refused", "refused"),
        ("", "empty", "empty"),
        ("", "api-error", "no answer, API error"),
    ],
)
def test_why_json_is_none_is_seen_in_the_answer(said: str, mark: str, why: str) -> None:
    rows = [Answered(RIGHT, (RIGHT, "pass"), (said, mark))] * 2
    rows += [Answered(RIGHT, (RIGHT, "pass"), (RIGHT, "pass"))]

    found = changed(rows, ["urgency"], [GRADER.content])

    assert causes(found) == [("candidate", why, 2)]
    assert (found.causes[0].answers, found.causes[0].example.new) == (3, said)
    assert {shift.new for shift in found.shifts} <= {"no value"}


@pytest.mark.parametrize(
    ("agreed", "said", "mark", "why"),
    [
        ("refund", "Refund", "wrong", "only the case differs"),
        ("refund", "refund.", "wrong", "only blanks or punctuation differ"),
        ("refund", "The label is refund, I think", "invalid", "text around the agreed answer"),
        ("refund", "```\nrefund now\n```", "invalid", "in a code fence"),
        ("refund", "money", "invalid", "not one of the labels"),
        ("12.5", "It is 12 or so", "unparsable", "text around a number"),
        ("12.5", "many", "unparsable", "no number in it"),
        ("word " * 20, "word " * 60 + "end", "wrong", "text around the agreed answer"),
        ("word " * 20, "other " * 60, "wrong", "over twice as long as agreed"),
        ("word " * 20, "short", "wrong", "less than half as long as agreed"),
        ("word " * 20, "other " * 20, "wrong", "another text"),
    ],
)
def test_how_a_text_differs_is_seen_in_it(agreed: str, said: str, mark: str, why: str) -> None:
    found = changed([Answered(agreed, (agreed, "pass"), (said, mark))])

    assert causes(found) == [("candidate", why, 1)]


def test_labels_are_pairs_of_the_whole_answer() -> None:
    rows = [Answered("refund", ("refund", "pass"), ("billing", "wrong"))] * 3
    rows += [Answered("bug", ("billing", "wrong"), ("bug", "pass"))]
    rows += [Answered("bug", ("bug", "pass"), ("bug", "pass"))]

    found = changed(rows)

    assert shifts(found) == [("", "refund", "billing", 3, 3, 0), ("", "billing", "bug", 1, 0, 1)]
    assert (found.against, found.causes) == ("live", ())


def test_tool_calls_are_told_by_tool_and_argument() -> None:
    def call(name: str, **arguments: str) -> str:
        return json.dumps([{"name": name, "arguments": arguments}])

    right = call("weather", city="Oslo")
    rows = [
        Answered(right, (right, "pass"), (call("weather", city="Bergen"), "wrong")),
        Answered(right, (right, "pass"), (call("forecast", city="Oslo"), "wrong")),
        Answered(right, (right, "pass"), ("It rains.", "wrong")),
    ]

    found = changed(rows)

    assert causes(found) == [("candidate", "text instead of a tool call", 1)]
    assert set(shifts(found)) == {
        ("weather.city", "Oslo", "Bergen", 1, 1, 0),
        ("weather.city", "Oslo", "no value", 1, 1, 0),
        ("tool", "weather", "forecast", 1, 1, 0),
        ("forecast.city", "no value", "Oslo", 1, 1, 0),
    }


def test_values_that_never_come_twice_are_one_pattern() -> None:
    rows = [
        Answered(json.dumps({"n": 0}), ('{"n": 0}', "pass"), (json.dumps({"n": each}), "wrong"))
        for each in range(1, 9)
    ]

    assert shifts(changed(rows)) == [("n", "", "another value", 8, 8, 0)]


def test_without_live_or_with_nothing_right_the_agreed_answer_is_what_is_compared_with() -> None:
    alone = changed([Answered("refund", None, ("billing", "wrong"))] * 2)
    hopeless = changed([Answered("refund", ("billing", "wrong"), ("billing", "wrong"))] * 2)

    for found in (alone, hopeless):
        assert found.against == "agreed"
        assert shifts(found) == [("", "refund", "billing", 2, 2, 0)]


def test_an_example_that_is_asked_often_is_one_example() -> None:
    results = Results(3)
    results.add_example("e0", "", (), must_pass=False)
    for arm, marks in (("live", ["pass"] * 3), ("candidate", ["wrong", "pass", "wrong"])):
        column = results.add_arm(arm)
        for place, mark in enumerate(marks):
            column.put(place, Sample(mark))
    outputs = {"live": ("refund",) * 3, "candidate": ("billing", "refund", "billing")}
    patterns = Patterns(results, ())
    patterns.add(ExampleText("e0", "", "refund", (), {}, outputs))

    assert shifts(patterns.found()) == [("", "refund", "billing", 1, 1, 0)]


def test_where_the_outputs_are_gone_the_marks_are_counted() -> None:
    texts = story(40)
    results = graded(texts)
    results.arms["candidate"].put(0, Sample("truncated"))
    results.arms["candidate"].put(1, Sample("truncated"))

    found = by_marks(results, "the log is not here")

    assert causes(found) == [("candidate", "cut off: max_completion_tokens", 2)]
    assert (found.causes[0].example.id, found.causes[0].example.new) == ("t-001", "")
    assert (found.shifts, found.outputs_gone) == ((), "the log is not here")


def test_a_text_of_an_example_has_an_end() -> None:
    found = changed([Answered(RIGHT, (RIGHT, "pass"), ("x" * 5_000, "unparsable"))], ["urgency"])

    assert found.causes[0].example.new == "x" * MOST_CHARACTERS + "…"


def test_what_examples_could_not_have_shown() -> None:
    texts = story(60)
    evidence = evidence_of(graded(texts))
    spots = WeakSpots(evidence)
    for text in texts:
        spots.add(text)
    assert spots.found() == ("9 of 10 values of next_step in under 10 examples",)

    many = WeakSpots(evidence)
    for number in range(900):
        intent = f"common-{number % 40}" if number < 840 else f"rare-{number % 10}"
        agreed = json.dumps({"urgency": "low", "category": intent, "next_step": "none"})
        many.add(replace(texts[0], id=f"m-{number}", reference=agreed, meta={}))
    assert many.found() == (
        "10 of 50 values of category in under 10 examples: one that breaks entirely moves the rate "
        "by less than a point",
    )

    bare = Results(1, fields=evidence.results.fields, ids=evidence.results.ids)
    bare.groups = evidence.results.groups
    bare.slices = [()] * len(bare.ids)
    bare.must_pass = bytearray(len(bare.ids))
    bare.arms = evidence.results.arms
    found = WeakSpots(evidence_of(bare))
    for text in texts:
        if text.meta["language"] == "en":
            found.add(text)
    assert found.found()[:3] == ("no must-pass", "no slices", "one language (en)")
    assert WeakSpots(evidence_of(bare)).found() == ("no must-pass", "no slices")
