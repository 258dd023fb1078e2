"""Review at a real terminal: before, keys, after; and the lines that it writes."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Command
from hypothesis import given, settings
from hypothesis import strategies as some
from reviewing import (
    AT,
    EXAMPLES,
    POLICY,
    PROMPT,
    REVIEWS,
    Step,
    answer,
    at_terminal,
    chat,
    editor,
    jsonl,
    scene,
    write_run,
)

from fftdeploy.errors import ConfigError
from fftdeploy.evaluation import reviewed
from fftdeploy.evaluation.outputs import Output
from fftdeploy.evaluation.production import read_requests
from fftdeploy.evaluation.reviewed import Review

REVIEWED = {"reviewed_by": "ana", "reviewed_at": AT}
BY = Review(by="ana", at=AT)
FROM = ["triage", "--from", "requests.jsonl", "--by", "ana"]


def requests(*values: Any) -> None:
    Path("requests.jsonl").write_bytes(jsonl(*values))


def after() -> bytes:
    """Return the examples, with the new IDs counted instead of drawn."""
    number = iter(range(1, 100))
    return re.sub(
        rb"r-20261121-[0-9a-hjkmnp-tv-z]{6}",
        lambda _: f"new-{next(number)}".encode(),
        EXAMPLES.read_bytes(),
    )


# Lines.

CALL = {"id": "c1", "type": "function", "function": {"name": "refund", "arguments": '{"n":1}'}}
CALLS = '[{"arguments":{"n":2},"name":"refund"}]'
TIGHT = '{"messages":[{"content":"q","role":"user"},{"content":"old: \\"a\\": 1","role":"assistant"}],"x":1e5}'
REVISED = {
    "kept-order-and-spacing": (
        '{ "id" : 7,\t"messages": [{"role": "user", "content": "q"}, {"weight": 1, "role": "assistant", "content": "old"}], "meta": {"a": "1.0"} }',
        Review("new", ("x",), "ana", AT),
        '{ "id" : 7,\t"messages": [{"role": "user", "content": "q"}, {"weight": 1, "role": "assistant", "content": "new"}], "meta": {"a": "1.0"}, "tags": ["x"], "reviewed_by": "ana", "reviewed_at": "2026-11-21T08:30:00Z" }',
    ),
    "tight": (
        TIGHT,
        Review("né", (), "ana", AT),
        TIGHT.replace('old: \\"a\\": 1', "né")[:-1]
        + ',"reviewed_by":"ana","reviewed_at":"2026-11-21T08:30:00Z"}',
    ),
    "escapes-stay-escapes": (
        r'{"messages": [{"role": "user", "content": "\u00fc"}, {"role": "assistant", "content": "a"}]}',
        Review("ü"),
        r'{"messages": [{"role": "user", "content": "\u00fc"}, {"role": "assistant", "content": "\u00fc"}]}',
    ),
    "an-equal-value-stays-as-it-is-spelt": (
        r'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "\u0061"}], "tags": [ "x" ]}',
        Review("a", ("x",)),
        r'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "\u0061"}], "tags": [ "x" ]}',
    ),
    "tags-null": (
        '{"tags": null, "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}',
        Review(tags=("x", "y")),
        '{"tags": ["x", "y"], "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}',
    ),
    "parts": (
        '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": [{"type": "text", "text": "a"}]}]}',
        Review("b"),
        '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}]}',
    ),
    "calls-stay-calls": (
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "content": None, "tool_calls": [CALL]},
                ]
            }
        ),
        Review(CALLS),
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": "q"},
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {**CALL, "function": {"name": "refund", "arguments": '{"n": 2}'}}
                        ],
                    },
                ]
            }
        ),
    ),
    "calls-become-text": (
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "tool_calls": [CALL], "weight": 0},
                ]
            }
        ),
        Review("no call"),
        '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "weight": 0, "content": "no call"}]}',
    ),
    "item": (
        '{"item": {"ideal": "a", "input": "q", "tags": ["x"], "reviewed_by": "bo"}, "sample": {}}',
        Review("b", ("y",), "ana", AT),
        '{"item": {"ideal": "b", "input": "q", "tags": ["x", "y"], "reviewed_by": "ana"}, "sample": {}, "reviewed_at": "2026-11-21T08:30:00Z"}',
    ),
    "item-of-json": (
        '{"item": {"input": "q", "reference": {"a": 1}}}',
        Review('{"a": 2}'),
        '{"item": {"input": "q", "reference": {"a": 2}}}',
    ),
}


@pytest.mark.parametrize(("before", "review", "expected"), REVISED.values(), ids=REVISED)
def test_a_line_keeps_what_was_not_decided(before: str, review: Review, expected: str) -> None:
    found = reviewed.revised(before.encode(), review, item_reference=None)
    assert found.decode() == expected


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("last", [True, False], ids=["final-newline", "no-final-newline"])
@pytest.mark.parametrize("bom", [b"", reviewed.BOM], ids=["plain", "bom"])
def test_E6_every_other_byte_of_a_file_stays(end: bytes, last: bool, bom: bytes) -> None:
    rows = [b'{"a": "1\xe2\x80\xa82"}', b"", b'{"b": 2}', b'{"c": 3}']
    data = bom + end.join(rows) + end * last

    for number in (1, 3, 4):
        changed = [*rows[: number - 1], b"NEW", *rows[number:]]
        expected = bom + end.join(changed) + end * last
        assert reviewed.replaced(data, number, rows[number - 1], b"NEW") == expected
    assert list(reviewed.lines(data))[:4] == rows
    added = reviewed.appended(data, {"é": 1})
    assert added == bom + end.join(rows) + end + '{"é": 1}'.encode() + end


def test_a_line_that_moved_is_found_and_one_that_changed_is_not() -> None:
    assert reviewed.replaced(b"a\nb\n", 1, b"b", b"NEW") == b"a\nNEW\n"
    assert reviewed.replaced(b"b\nb\n", 2, b"b", b"NEW") == b"b\nNEW\n"
    assert reviewed.replaced(b"b\nb\n", 3, b"b", b"NEW") is None
    assert reviewed.replaced(b"a\nB\n", 2, b"b", b"NEW") is None
    assert reviewed.appended(b"", {}) == b"{}\n"
    assert reviewed.appended(reviewed.BOM, {}) == reviewed.BOM + b"{}\n"


TEXTS = some.text(some.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
OTHERS = some.dictionaries(TEXTS.filter(lambda key: key not in REVIEWED), VALUES, max_size=3)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(OTHERS, TEXTS, some.booleans(), some.sampled_from([None, (",", ":"), (" , ", " : ")]))
def test_any_line_says_the_same_but_for_the_review(
    others: dict[str, Any], reference: str, ascii_only: bool, separators: tuple[str, str] | None
) -> None:
    """300 tried, 0 wrong."""
    content = {**others, **chat("q", "old")}
    line = json.dumps(content, ensure_ascii=ascii_only, separators=separators)
    found = reviewed.revised(
        line.encode(), Review(reference, by="ana", at=AT), item_reference=None
    ).decode()

    content["messages"][-1]["content"] = reference
    assert list(json.loads(found).items()) == [*content.items(), *REVIEWED.items()]
    untouched = line.partition('"messages"')[0]
    assert found.startswith(untouched)


# Requests.

USER = {"role": "user", "content": "q"}
COMPLETION = {
    "object": "chat.completion",
    "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "said"}}],
}
RESPONSE = {
    "object": "response",
    "status": "completed",
    "output": [
        {"type": "reasoning", "summary": []},
        {"type": "message", "content": [{"type": "output_text", "text": "said"}]},
    ],
}
CALLED = {
    "object": "response",
    "status": "completed",
    "output": [{"type": "function_call", "name": "refund", "arguments": '{"n": 2}'}],
}
SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "chat": (chat("q", "said", user="x", tags=["t"]), chat("q", "REF", tags=["t"]), "said"),
    "chat-without-an-output": (chat("q"), chat("q", "REF"), ""),
    "item": (
        {"item": {"input": "q", "id": 5, "tags": ["t"]}, "sample": {"output_text": "said"}},
        {"item": {"input": "q", "reference": "REF"}, "tags": ["t"]},
        "said",
    ),
    "logged-chat": (
        {"request": {"model": "m", "messages": [USER]}, "response": COMPLETION, "ms": 3},
        chat("q", "REF"),
        "said",
    ),
    "logged-response": (
        {"request": {"input": "q", "instructions": "be"}, "response": RESPONSE},
        {
            "messages": [
                {"role": "system", "content": "be"},
                USER,
                {"role": "assistant", "content": "REF"},
            ]
        },
        "said",
    ),
    "logged-items": (
        {
            "request": {
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "q"}]},
                    {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "1", "output": "done"},
                ],
                "tools": [{"type": "function", "name": "f", "parameters": {}}],
            }
        },
        {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "id": "1",
                            "type": "function",
                            "function": {"name": "f", "arguments": "{}"},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "1", "content": "done"},
                {"role": "assistant", "content": "REF"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        },
        "",
    ),
}


@pytest.mark.parametrize(("value", "expected", "output"), SHAPES.values(), ids=SHAPES)
def test_a_request_of_any_shape_becomes_an_example(
    value: dict[str, Any], expected: dict[str, Any], output: str
) -> None:
    (found,) = read_requests(jsonl(value), "r.jsonl")
    assert (found.example("REF", "reference"), found.output) == (expected, output)


def test_a_tool_call_that_was_answered_is_the_reference_as_a_call() -> None:
    (found,) = read_requests(jsonl({"request": {"input": "q"}, "response": CALLED}), "r.jsonl")
    (call,) = found.example(found.output, "reference")["messages"][-1]["tool_calls"]
    assert call["function"] == {"name": "refund", "arguments": '{"n": 2}'}


@pytest.mark.parametrize(
    ("line", "problem"),
    {
        "E7-array": (b"[]", "a line is no object"),
        "E3-nan": (b'{"messages": NaN}', "JSON with NaN"),
        "E4-key-twice": (b'{"item": {}, "item": {}}', "JSON with a key twice"),
        "broken": (b'{"messages": [', "broken JSON"),
        "not-utf-8": (b'"\xff"', "a line that is not UTF-8"),
        "E2-too-long": (b'"' + b"x" * 1024**2 + b'"', "a line of more than 1 MiB"),
        "nothing": (b"{}", "neither 'messages', 'item' nor 'request'"),
        "no-messages": (b'{"messages": "q"}', "'messages' is no list of objects"),
        "bad-response": (
            b'{"request": {"input": "q"}, "response": {"object": "page"}}',
            "'response' is no answer: the answer is no chat.completion",
        ),
        "a-file": (
            b'{"request": {"input": [{"role": "user", "content": [{"type": "input_file"}]}]}}',
            "a part of an input that is neither text nor an image",
        ),
    }.values(),
)
def test_a_line_that_is_no_request_is_located(line: bytes, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_requests(b'{"messages": []}\n\n' + (line + b"\n") * 30, "r.jsonl")
    assert (caught.value.message, caught.value.where) == (problem, "r.jsonl:3")
    assert len(caught.value.details) == 19
    assert caught.value.details[0] == f"r.jsonl:4: {problem}"
