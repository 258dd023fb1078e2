"""Graders that are proposed for examples: every agreed answer passes them."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.evaluation.examples.examples import ExampleSet, open_examples
from fftdeploy.evaluation.graders import graders
from fftdeploy.evaluation.graders.proposed import ProposedBar, propose
from fftdeploy.formats import toml_reader
from fftdeploy.formats.document import Document
from fftdeploy.policy.grader_rules import parse_graders
from fftdeploy.releases.rendering import table


def proposed(folder: Path, answers: list[Any], **beside: list[Any]) -> ProposedBar:
    """Propose for such agreed answers; each is held against what is proposed, as it is written."""
    return held(folder, answers, **beside)[0]


def held(
    folder: Path, answers: list[Any], **beside: list[Any]
) -> tuple[ProposedBar, graders.Grading, ExampleSet]:
    lines = []
    for number, answer in enumerate(answers):
        said = {"role": "assistant", "content": answer}
        if isinstance(answer, list) and isinstance(answer[0], tuple):
            calls = [{"name": n, "arguments": json.dumps(a)} for n, a in answer]
            said = {"role": "assistant", "tool_calls": [{"function": call} for call in calls]}
        elif not isinstance(answer, str):
            said["content"] = json.dumps(answer)
        messages = [{"role": "user", "content": f"question {number}"}, said]
        more = {key: values[number] for key, values in beside.items()}
        lines.append(json.dumps({"messages": messages, **more}))
    path = folder / "a.jsonl"
    path.write_text("\n".join(lines) + "\n")
    examples = open_examples([(path, "a.jsonl")], root=folder)
    bar = propose(examples)
    written = "".join(table("[[graders]]", grader) for grader in bar.graders)
    data = toml_reader.loads(written)
    rules = parse_graders(Document("x", written, data), ("graders",), data["graders"])
    grading = graders.build(rules)
    for example in examples:
        grade = grading.grade(example.reference, example)
        assert grading.reference_problem(example) == ""
        assert grade.passed, (written, example.reference)
    return bar, grading, examples


LABELS = ["refund", "billing", "bug"]
LONG = "We are sorry. " * 8
INVOICES = [
    {
        "currency": "EUR" if n % 2 else "USD",
        "total": n + 0.5,
        "paid": n % 3 == 0,
        "due": f"2026-11-{n + 1:02}",
        "vendor": f"Vendor No {n}",
        "note": f"{LONG}{n}",
        "items": [{"sku": n}, {"sku": n + 1}],
        "address": {"city": "Oslo Vest", "zip": f"0{n}00"},
    }
    for n in range(12)
]


def fields(bar: ProposedBar) -> Any:
    (grader,) = bar.graders
    assert (grader["type"], grader["rest"]) == ("json_fields", "exact")
    return grader["fields"]


def test_objects_with_the_same_keys_are_compared_field_by_field(tmp_path: Path) -> None:
    bar = proposed(tmp_path, INVOICES)

    assert fields(bar) == {
        "currency": "exact",
        "total": "number",
        "paid": "exact",
        "due": "exact",
        "vendor": "exact",
        "note": {"text": 0.8},
        "items": "list",
        "address.city": "exact",
        "address.zip": "exact",
    }
    assert bar.seen[0].startswith(
        "12 examples: JSON objects with currency (2 values), total (numbers), paid (2 values)"
    )


def test_a_field_that_some_lack_is_named_and_compared_with_the_rest(tmp_path: Path) -> None:
    bar = proposed(tmp_path, [*INVOICES, {**INVOICES[0], "vat": 3}])

    assert "vat" not in fields(bar)
    assert bar.seen[0].endswith("; as agreed, there or not: vat in 1; all else as agreed")


def test_more_fields_than_have_a_row_each_are_compared_and_counted(tmp_path: Path) -> None:
    many = [{f"f{n}": n for n in range(70)}] * 3

    bar, grading, examples = held(tmp_path, many)

    assert len(fields(bar)) == 64
    assert "f19 (numbers) and 44 more; as agreed, there or not: f64, f65" in bar.seen[0]
    assert not passes(grading, next(iter(examples)), {**many[0], "f69": 0})


@pytest.mark.parametrize(
    ("answers", "grader"),
    [
        (LABELS * 4, {"type": "label", "labels": sorted(LABELS)}),
        (["1", "2.5", "-3"], {"type": "number"}),
        (["Oslo", "Paris"], {"type": "string_check", "operation": "eq"}),
        (["007", "1"], {"type": "string_check", "operation": "eq"}),
        ([{"a": 1}, {"b": 2}], {"type": "json_fields", "fields": {}, "rest": "exact"}),
        (["[1]", "{}"], {"type": "json_fields", "fields": {}, "rest": "exact"}),
        ([LONG, "No."], None),
    ],
)
def test_other_answers_have_graders_of_their_own(
    tmp_path: Path, answers: list[Any], grader: dict[str, Any] | None
) -> None:
    similar = {"type": "text_similarity", "evaluation_metric": "rouge_l", "pass_threshold": 0.8}

    assert proposed(tmp_path, answers).graders == (grader or similar,)


def test_tool_calls_are_compared_by_name_and_arguments(tmp_path: Path) -> None:
    one = [[("weather", {"city": city, "days": 1})] for city in ("Oslo", "Paris")]
    kinds = {"0.name": "exact", "0.arguments.city": "exact", "0.arguments.days": "number"}

    assert fields(proposed(tmp_path, one)) == kinds
    another = proposed(tmp_path, [*one, [("time", {"zone": "CET"})]])
    assert fields(another) == {}
    assert "time 1" in another.seen[0]
    several = [*one, [("weather", {"city": "Rome", "days": 1}), ("time", {})]]
    assert fields(proposed(tmp_path, several)) == {}


STEPS = ["open a ticket", "call the customer", "refund"]
TICKETS: list[Any] = [
    {"label": LABELS[n % 3], "amount": n, "steps": [*STEPS, str(n)], "due": f"2026-11-{n + 1:02}"}
    for n in range(12)
]
KINDS_OF_ANSWERS: dict[str, list[Any]] = {
    "objects": TICKETS,
    "nested objects": [{"a": {"b": each}} for each in TICKETS],
    "objects with nothing in common": [{"refund": 5}, {"order": "7"}] * 4,
    "objects with a field that some lack": [*TICKETS, {**TICKETS[0], "amount": 30, "vat": 3}],
    "objects, one of them empty": [{}, *TICKETS],
    "lists": [each["steps"] for each in TICKETS],
    "labels": LABELS * 4,
    "numbers": ["1", "-2.5", "30"],
    "names of digits": ["01234", "90210"],
    "short texts": ["Refund the order.", "Call the customer."],
    "a call": [[("pay", {"amount": n, "steps": STEPS})] for n in (1, 2)],
    "calls of several": [[("pay", {"amount": 1})], [("pay", {"amount": 2}), ("close", {})]],
    "objects with a free text": [{**each, "note": f"{LONG}{each['amount']}"} for each in TICKETS],
    "free texts": [LONG, "The customer may have the whole refund, and keeps the order as it is."],
}
NOT_JUDGED = {
    (kind, wrong)
    for kind in ("free texts", "objects with a free text")
    for wrong in ("negated", "in capitals", "its end changed", "with a time")
}
"""Wrong answers that pass: `not_judged` says so wherever one can."""


def wrong_answers(agreed: Any) -> Iterator[tuple[str, str]]:
    """Yield answers that are not what was agreed, each after what is wrong with it."""
    yield from ({"no JSON": "?", "null": "null", "no fields": "{}", "no members": "[]"}).items()
    for said, value in changed(agreed):
        yield said, value if isinstance(agreed, str) else json.dumps(value)


def changed(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield copies of a value with one thing in it dropped, added, reversed or changed."""
    if isinstance(value, dict):
        yield "a field added", {**value, "another": 1}
        for key, below in value.items():
            yield f"no {key}", {other: value[other] for other in value if other != key}
            yield f"{key} is null", {**value, key: None}
            yield from ((said, {**value, key: each}) for said, each in changed(below))
    elif isinstance(value, list):
        yield "a member added", [*value, "another"]
        yield "a member dropped", value[1:]
        if len(value) > 1:
            yield "reversed", value[::-1]
        yield from ((said, [each, *value[1:]]) for said, each in changed(value[0]))
    elif isinstance(value, str):
        yield from {"empty": "", "another": "gratitude", "half": value[: len(value) // 2]}.items()
        yield "with a time", f"{value}T23:59:59-11:00"
        yield "its end changed", f"{value[:-1]}#"
        if value.upper() != value:
            yield "in capitals", value.upper()
        if " " in value:
            yield "negated", value.replace(" ", " not ", 1)
    else:
        yield "another amount", value + 1
        yield "an amount as text", str(value)


@pytest.mark.parametrize("kind", KINDS_OF_ANSWERS)
def test_a_wrong_answer_fails_what_is_proposed(tmp_path: Path, kind: str) -> None:
    """Whatever the agreed answers are, a candidate that gives others is not let through."""
    bar, grading, examples = held(tmp_path, KINDS_OF_ANSWERS[kind])

    passed = {
        (kind, said)
        for example in examples
        for said, wrong in wrong_answers(_meant(example.reference))
        if wrong != example.reference and passes(grading, example, wrong)
    }

    assert passed == {each for each in NOT_JUDGED if each[0] == kind}
    assert bool(bar.not_judged) == bool(passed)


def _meant(reference: str) -> Any:
    """Return an agreed answer as JSON where it is some with parts."""
    try:
        value = json.loads(reference)
    except ValueError:
        return reference
    return value if isinstance(value, dict | list) else reference


def passes(grading: graders.Grading, example: Example, answer: Any) -> bool:
    given = answer if isinstance(answer, str) else json.dumps(answer)
    return grading.grade(given, example).passed


def test_slices_and_tags_come_from_what_most_examples_have(tmp_path: Path) -> None:
    meta = [{"language": "en" if n % 2 else "de", "ticket": f"T-{n}"} for n in range(24)]
    tags = [["edge-case"] if n < 2 else ["refund"] for n in range(24)]

    bar = proposed(tmp_path, LABELS * 8, meta=meta, tags=tags)

    assert (bar.slices, bar.must_pass) == (("language",), ("edge-case",))
    assert bar.seen == (
        "24 examples: 3 labels",
        "slices by language: de 12, en 12",
        "for must_pass: edge-case, 2 examples",
    )


def test_whatever_the_answers_are_they_pass_what_is_proposed(tmp_path: Path) -> None:
    """80 files of random answers: each is graded by what was proposed, as a file has it."""
    chance = random.Random(11)
    texts = ["a", "Yes", "x y", "2026-11-21", "1", "", LONG, '{"a": 1}', "ünïcode", "a\tb", "!?"]

    def value(depth: int) -> Any:
        kind = chance.randrange(8 if depth else 6)
        if kind == 6:
            return [value(depth - 1) for _ in range(chance.randrange(4))]
        plain = [None, True, 3, 2.5, 10**20, chance.choice(texts)]
        return some_object(depth) if kind == 7 else plain[kind]

    def some_object(depth: int) -> dict[str, Any]:
        keys = chance.sample(["a", "b.c", "d e", "", "ä", "long_name", "0"], 3)
        return {key: value(depth - 1) for key in keys}

    makers: list[Callable[[], Any]] = [
        lambda: chance.choice(texts) or "none",
        lambda: {"a": value(2), "b": value(2)},
        lambda: some_object(2),
        lambda: [(chance.choice("fg"), {"x": value(1), "y": value(1)})],
    ]
    for number in range(80):
        make = makers[number % 4]
        proposed(tmp_path, [make() for _ in range(chance.randrange(1, 8))])
