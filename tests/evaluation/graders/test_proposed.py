"""Graders that are proposed for examples: every agreed answer passes them."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fftdeploy.evaluation.examples.examples import open_examples
from fftdeploy.evaluation.graders import graders
from fftdeploy.evaluation.graders.proposed import ProposedBar, propose
from fftdeploy.formats import toml_reader
from fftdeploy.formats.document import Document
from fftdeploy.policy.grader_rules import parse_graders
from fftdeploy.releases.rendering import table


def proposed(folder: Path, answers: list[Any], **beside: list[Any]) -> ProposedBar:
    """Propose for such agreed answers; each is held against what is proposed, as it is written."""
    lines = []
    for number, answer in enumerate(answers):
        said = {"role": "assistant", "content": answer}
        if isinstance(answer, list):
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
        assert isinstance(grade, graders.Grade)
        assert grade.passed, (written, example.reference)
    return bar


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
    assert grader["type"] == "json_fields"
    return grader["fields"]


def test_objects_with_the_same_keys_are_compared_field_by_field(tmp_path: Path) -> None:
    bar = proposed(tmp_path, INVOICES)

    assert fields(bar) == {
        "currency": "exact",
        "total": "number",
        "paid": "exact",
        "due": "date",
        "vendor": "casefold",
        "note": {"text": 0.6},
        "items": "set",
        "address.city": "casefold",
        "address.zip": "exact",
    }
    assert bar.seen[0].startswith(
        "12 examples: JSON objects with currency (2 values), total (numbers), paid (2 values)"
    )


def test_a_field_that_some_lack_is_named_and_not_compared(tmp_path: Path) -> None:
    bar = proposed(tmp_path, [*INVOICES, {**INVOICES[0], "vat": 3}])

    assert "vat" not in fields(bar)
    assert "vat in 1 only, not compared" in bar.seen[0]


@pytest.mark.parametrize(
    ("answers", "grader"),
    [
        (LABELS * 4, {"type": "label", "labels": sorted(LABELS)}),
        (["1", "2.5", "-3"], {"type": "number"}),
        (["Oslo", "Paris"], {"type": "string_check", "operation": "eq"}),
        ([{"a": 1}, {"b": 2}], {"type": "json_schema", "schema": {"type": "object"}}),
        ([LONG, "No."], None),
    ],
)
def test_other_answers_have_graders_of_their_own(
    tmp_path: Path, answers: list[Any], grader: dict[str, Any] | None
) -> None:
    similar = {"type": "text_similarity", "evaluation_metric": "rouge_l", "pass_threshold": 0.6}

    assert proposed(tmp_path, answers).graders == (grader or similar,)


def test_tool_calls_are_compared_by_name_and_arguments(tmp_path: Path) -> None:
    one = [[("weather", {"city": city, "days": 1})] for city in ("Oslo", "Paris")]
    kinds = {"0.name": "exact", "0.arguments.city": "exact", "0.arguments.days": "number"}

    assert fields(proposed(tmp_path, one)) == kinds
    another = proposed(tmp_path, [*one, [("time", {"zone": "CET"})]])
    assert fields(another) == {"0.name": "exact", "0.arguments": "exact"}
    assert "time 1" in another.seen[0]
    several = [*one, [("weather", {"city": "Rome", "days": 1}), ("time", {})]]
    assert proposed(tmp_path, several).graders[0]["type"] == "string_check"


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
