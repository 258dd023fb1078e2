"""Logs and exports of other programs: content -> what became rows, and what was left out."""

import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.evaluation.examples.production import ProductionRequest, RequestShapeError, Served
from fftdeploy.evaluation.review import openai_evals
from fftdeploy.evaluation.review.differing import InputSample
from fftdeploy.evaluation.review.fidelity import Fidelity, FidelityCount
from fftdeploy.evaluation.review.import_file import ImportFile
from fftdeploy.evaluation.review.key_traces import has_key

USER = {"role": "user", "content": "q?"}
ASKED = {"messages": [USER]}


def opened(content: Any, path: Path, *, indent: int | None = None) -> ImportFile:
    file = path / "log"
    data = content if isinstance(content, bytes) else json.dumps(content, indent=indent).encode()
    file.write_bytes(data)
    return ImportFile(file, "log")


def rows(content: Any, path: Path) -> tuple[list[tuple[Any, str, str]], dict[str, int]]:
    """Return content, output and agreed answer of each row, and what was left out."""
    source = opened(content, path)
    found = [(row.content, row.output, row.agreed) for row in source.rows()]
    return found, dict(source.left_out)


# LiteLLM.

SAID = {"role": "assistant", "content": "said", "tool_calls": None, "function_call": None}
PAYLOAD: dict[str, Any] = {
    "id": "chatcmpl-1",
    "call_type": "acompletion",
    "status": "success",
    "messages": [{**USER, "provider_specific_fields": None}],
    "response": {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"finish_reason": "stop", "index": 0, "message": SAID}],
    },
    "model_parameters": {"temperature": 0, "api_key": "hidden"},
    "metadata": {"user_api_key_hash": "0f0f"},
}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
LITELLM: dict[str, tuple[dict[str, Any], Any]] = {
    "payload": ({}, (ASKED, "said", "")),
    "tools": ({"model_parameters": {"tools": [TOOL]}}, ({**ASKED, "tools": [TOOL]}, "said", "")),
    "one-text": ({"messages": "q?"}, (ASKED, "said", "")),
    "answer-as-a-text": ({"response": "plain words"}, (ASKED, "plain words", "")),
    "no-answer": ({"response": None}, (ASKED, "", "")),
    "spend-log": (
        {"messages": {}, "proxy_server_request": json.dumps({"model": "m", **ASKED})},
        (ASKED, "said", ""),
    ),
    "spend-log-of-texts": (
        {"messages": json.dumps([USER]), "response": json.dumps(PAYLOAD["response"])},
        (ASKED, "said", ""),
    ),
    "failed": ({"status": "failure"}, "the request failed"),
    "embedding": ({"call_type": "aembedding"}, "no chat: embeddings, images and the like"),
    "redacted": (
        {"messages": [{"role": "user", "content": "redacted-by-litellm"}]},
        "its texts were redacted when it was logged",
    ),
    "nothing-logged": ({"messages": []}, "its texts were not logged"),
    "H-odd-messages": ({"messages": [1]}, "'messages' is no list of objects"),
    "H-odd-answer": (
        {"response": {"choices": 5}},
        "'response' is no answer: its choices is no list",
    ),
}


@pytest.mark.parametrize(("changed", "expected"), LITELLM.values(), ids=LITELLM)
@pytest.mark.parametrize("wrapped", [False, True], ids=["payload", "in-kwargs"])
def test_litellm(changed: dict[str, Any], expected: Any, wrapped: bool, tmp_path: Path) -> None:
    value: dict[str, Any] = {**PAYLOAD, **changed}
    found = rows({"standard_logging_object": value} if wrapped else value, tmp_path)
    assert found == (([], {expected: 1}) if isinstance(expected, str) else ([expected], {}))


# OpenTelemetry.

CALL = {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"n": 1}}
CALLED = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"n":1}'}}
INPUT = [{"role": "user", "parts": [{"type": "text", "content": "q?"}]}]
OUTPUT = [
    {
        "role": "assistant",
        "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "said"}],
        "finish_reason": "stop",
    }
]
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.input.messages": json.dumps(INPUT),
    "gen_ai.output.messages": json.dumps(OUTPUT),
}
SPANS: dict[str, tuple[dict[str, Any], Any]] = {
    "messages-as-texts": (CHAT, (ASKED, "said", "")),
    "messages-as-structures": (
        {"gen_ai.input.messages": INPUT, "gen_ai.output.messages": OUTPUT},
        (ASKED, "said", ""),
    ),
    "instructions-and-tools": (
        {
            **CHAT,
            "gen_ai.system_instructions": '[{"type": "text", "content": "be"}]',
            "gen_ai.tool.definitions": [{"type": "function", "name": "f", "parameters": {}}],
        },
        (
            {"messages": [{"role": "system", "content": "be"}, USER], "tools": [TOOL]},
            "said",
            "",
        ),
    ),
    "tools-were-used": (
        {
            **CHAT,
            "gen_ai.input.messages": [
                *INPUT,
                {"role": "assistant", "parts": [CALL]},
                {
                    "role": "tool",
                    "parts": [{"type": "tool_call_response", "id": "c1", "response": {"a": 1}}],
                },
            ],
        },
        (
            {
                "messages": [
                    USER,
                    {"role": "assistant", "content": None, "tool_calls": [CALLED]},
                    {"role": "tool", "tool_call_id": "c1", "content": '{"a":1}'},
                ]
            },
            "said",
            "",
        ),
    ),
    "numbered": (
        {
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "q?",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "said",
            "gen_ai.completion.0.finish_reason": "stop",
        },
        (ASKED, "said", ""),
    ),
    "numbered-call": (
        {
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "q?",
            "gen_ai.completion.0.tool_calls.0.name": "f",
            "gen_ai.completion.0.tool_calls.0.arguments": '{"n": 1}',
        },
        (ASKED, '[{"arguments":{"n":1},"name":"f"}]', ""),
    ),
    "of-a-tool": ({**CHAT, "gen_ai.operation.name": "execute_tool"}, "a span that asks no model"),
    "of-the-web": ({"http.request.method": "GET"}, "a span that asks no model"),
    "failed": ({**CHAT, "error.type": "timeout"}, "the request failed"),
    "without-texts": (
        {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"},
        "its texts were not recorded: instrumentations leave them out by default",
    ),
    "cut-off": (
        {**CHAT, "gen_ai.input.messages": '[{"role": "us'},
        "its texts were cut off when they were recorded",
    ),
    "image": (
        {**CHAT, "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "blob"}]}]},
        "a part of a message is neither a text nor a tool call",
    ),
}


def any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"kvlistValue": {"values": attributes(value)}}
    if isinstance(value, list):
        return {"arrayValue": {"values": list(map(any_value, value))}}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


def attributes(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": any_value(value)} for key, value in table.items()]


def spans_of(table: dict[str, Any]) -> Iterator[Any]:
    """Yield an export that says `table`, in each of its spellings."""
    span = {"traceId": "0f", "spanId": "0e", "name": "chat m"}
    otlp = {**span, "attributes": attributes(table)}
    yield {"resourceSpans": [{"scopeSpans": [{"spans": [otlp]}]}]}
    yield otlp
    yield {"name": "chat m", "context": {"trace_id": "0x0f"}, "attributes": table, "events": []}
    yield {**span, "attributes": [], "events": [{"name": "e", "attributes": attributes(table)}]}


@pytest.mark.parametrize(("table", "expected"), SPANS.values(), ids=SPANS)
def test_spans(table: dict[str, Any], expected: Any, tmp_path: Path) -> None:
    for value in spans_of(table):
        found = rows(value, tmp_path)
        assert found == (([], {expected: 1}) if isinstance(expected, str) else ([expected], {}))


def test_an_export_over_several_lines_and_one_with_many_spans(tmp_path: Path) -> None:
    spans: list[dict[str, Any]]
    spans = [{"traceId": "0f", "attributes": attributes(CHAT)} for _ in range(3)]
    spans.append({"traceId": "0f", "attributes": attributes(CHAT), "status": {"code": 2}})
    value = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}, {"scopeSpans": 5}]}
    for indent in (None, 2):
        source = opened(value, tmp_path, indent=indent)
        assert [row.place for row in source.rows()] == ["log:1", "log:1 (2)", "log:1 (3)"]
        assert source.left_out == {"the request failed": 1}
    source = opened([PAYLOAD, PAYLOAD], tmp_path, indent=1)
    assert [row.place for row in source.rows()] == ["log:1 (1)", "log:1 (2)"]


SERVED = Served("triage/production", "10", "m-1", 1_795_000_000.25, 1500.0, 40, 7)
IN_NANOSECONDS = {
    "startTimeUnixNano": "1795000000250000000",
    "endTimeUnixNano": 1795000001750000000,
}
IN_ISO = {"start_time": "2026-11-18T11:06:40.25Z", "end_time": "2026-11-18T11:06:41.750000Z"}
IN_ISO_OF_ROWS = {"startTime": IN_ISO["start_time"], "endTime": IN_ISO["end_time"]}


def test_how_requests_were_served_is_read_alike_from_each_format(tmp_path: Path) -> None:
    own = {"fftdeploy.target": "triage/production", "fftdeploy.release": 10}
    tokens = {"gen_ai.usage.input_tokens": 40, "gen_ai.usage.completion_tokens": 7}
    models = {"gen_ai.request.model": "asked", "gen_ai.response.model": "m-1"}
    table = {**CHAT, **own, **tokens, **models}
    sent = {"target": "triage/production", "release": "10"}
    counts = {"prompt_tokens": 40, "completion_tokens": 7}
    times = {"startTime": 1_795_000_000.25, "endTime": 1_795_000_001.75}
    litellm: dict[str, Any] = {**PAYLOAD, **counts, **times, "model": "m-1"}
    said = [{"role": "assistant", "content": "said"}]
    body: dict[str, Any] = {**PAYLOAD["response"], "model": "m-1", "usage": counts}
    plain: dict[str, Any] = {**sent}
    plain |= {"at": "2026-11-18T11:06:40.250Z", "latency_ms": 1500, "release": 10}
    lines = [
        {"traceId": "0f", "attributes": attributes(table), **IN_NANOSECONDS},
        {"context": {"trace_id": "0x0f"}, "attributes": table, **IN_ISO},
        {**litellm, "metadata": {"requester_metadata": sent}},
        {**litellm, **IN_ISO_OF_ROWS, "metadata": json.dumps({"spend_logs_metadata": sent})},
        {**plain, "messages": [USER, *said], "model": "m-1", "usage": counts},
        {**plain, "request": ASKED, "response": body, "model": "asked"},
    ]
    assert [row.served for row in opened(lines, tmp_path).rows()] == [SERVED] * len(lines)
    odd = {"target": 5, "release": [], "model": {}, "at": "then", "latency_ms": -1, "usage": 3}
    lines = [{**odd, "messages": [USER, *said]}, {**PAYLOAD, "metadata": 5, "startTime": "x"}]
    assert [row.served for row in opened(lines, tmp_path).rows()] == [Served()] * 2
    cut = {**table, "gen_ai.response.finish_reasons": ["length"]}
    cut["gen_ai.output.messages"] = [{"role": "assistant", "content": "sa"}]
    (row,) = opened({"traceId": "0f", "attributes": attributes(cut)}, tmp_path).rows()
    assert row.mark == "truncated"


# promptfoo.

CONFIG = b"""\
description: Triage
prompts:
  - file://prompt.txt
  - 'Triage: {{ticket}} ({{ lang }})'
  - '[{"role": "system", "content": "no"}, {"role": "user", "content": "{{ticket}}"}]'
providers: [openai:gpt-6-luna, file://run_me.py]
defaultTest:
  vars: {lang: de}
  assert: [{type: is-json, value: {type: object}}, {type: latency, threshold: 5}]
tests:
  - vars: {ticket: "Wo ist Bestellung 12?"}
    assert: [{type: equals, value: {category: shipping}}]
  - vars: {ticket: no, lang: 2026-11-28}
    assert: [{type: contains, value: 'for {{lang}}'}]
  - vars: {ticket: file://x.txt}
  - file://more.yaml
  - vars: {ticket: [a, b]}
  - vars: {ticket: "{{ evil }}"}
  - {}
  - vars: {ticket: 5}
    assert: [{type: contains, value: a}, {type: contains, value: b}]
  - vars: {ticket: seven}
    assert: [{type: javascript, value: 'process.exit(1)'}]
"""


def test_tests_of_promptfoo(tmp_path: Path) -> None:
    found, left_out = rows(CONFIG, tmp_path)
    schema = {"response_schema": {"type": "object"}}

    def row(said: str, agreed: str) -> Any:
        return {"messages": [{"role": "user", "content": said}], **schema}, "", agreed

    assert found == [
        row("Triage: Wo ist Bestellung 12? (de)", '{"category":"shipping"}'),
        row("Triage: no (2026-11-28)", "for 2026-11-28"),
        row("Triage: seven (de)", ""),
    ]
    assert left_out == {
        "an assertion of a kind that is not read, not its test": 4,
        "a variable is in a file, which is not opened": 1,
        "a test is in a file, which is not opened": 1,
        "a variable with several values": 1,
        "a variable with a template in it": 1,
        "a variable that has no value in the test": 1,
        "several answers or parts of one, all of which are asked for": 1,
    }
    assert not list(tmp_path.glob("*.txt"))


PROMPTS = {
    "chat": ('[{"role": "user", "content": "{{x}}"}]', [{"role": "user", "content": "1"}]),
    "raw": ({"raw": "a {{ x }} b", "label": "l"}, [{"role": "user", "content": "a 1 b"}]),
    "filter": ("{{ x | upper }}", "a template with more than {{name}}"),
    "block": ("{% include 'x' %}", "a template with more than {{name}}"),
    "environment": ("{{ env.HOME }}", "a template with more than {{name}}"),
    "file": ("prompts/a.txt", "its prompt is in a file, which is not opened, or is code"),
    "code": ({"id": "file://a.py:f"}, "its prompt is in a file, which is not opened, or is code"),
}


@pytest.mark.parametrize(("prompt", "expected"), PROMPTS.values(), ids=PROMPTS)
@pytest.mark.parametrize("indent", [None, 2])
def test_prompts_of_promptfoo_as_json(
    prompt: Any, expected: Any, indent: int | None, tmp_path: Path
) -> None:
    value = {"prompts": [prompt], "tests": [{"vars": {"x": 1}}]}
    source = opened(value, tmp_path, indent=indent)
    found = [row.content["messages"] for row in source.rows()]
    if isinstance(expected, str):
        assert (found, dict(source.left_out)) == ([], {expected: 1})
    else:
        assert found == [expected]


YAML_FAULTS = {
    "a-type-of-python": b"tests: !!python/object/apply:os.system [exit 1]\nprompts: [a]\n",
    "aliases-of-aliases": b"prompts: [a]\ntests:\n"
    + b"".join(
        b" - &a%d [%s]\n" % (n, b", ".join([b"*a%d" % (n - 1) if n else b"x"] * 9))
        for n in range(9)
    ),
    "an-alias-of-itself": b"prompts: &a [*a]\ntests: []\n",
    "deep": b"prompts: " + b"[" * 200 + b"]" * 200 + b"\n",
    "a-key-that-is-no-text": b"prompts: {1: a}\ntests: []\n",
    "broken": b"prompts: [a\ntests: 5: 6\n",
}


@pytest.mark.parametrize("data", YAML_FAULTS.values(), ids=YAML_FAULTS)
def test_H_hostile_yaml_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"YAML|aliases"):
        list(opened(data, tmp_path).rows())


# OpenAI's Evals.

ITEM = {"ticket": "q?", "label": "billing"}
RESULT = {"name": "label-3f9c2a61-d0b7-4e21-9a00-0123456789ab", "passed": True, "score": 1.0}
ROW = {
    "object": "eval.run.output_item",
    "id": "outputitem_1",
    "datasource_item": ITEM,
    "results": [RESULT],
    "sample": {"input": [USER], "output": [{"role": "assistant", "content": "billing"}]},
}


def test_rows_of_evals_have_item_output_and_verdicts(tmp_path: Path) -> None:
    with_input = {"item": {**ITEM, "input": [USER]}}
    for value in (
        ROW,
        {"object": "list", "data": [ROW]},
        {**ROW, "datasource_item": {"item": ITEM}},
    ):
        (row,) = opened(value, tmp_path).rows()
        assert (row.content, row.output, row.verdicts) == (with_input, "billing", {"label": True})
    plain = {"item": {"input": "q?"}, "sample": {"output_text": "x"}, "results": [RESULT]}
    (row,) = opened(plain, tmp_path).rows()
    assert (row.content, row.output, row.verdicts) == (
        {"item": {"input": "q?"}},
        "x",
        {"label": True},
    )


CRITERIA = {
    "string_check": (
        {"type": "string_check", "name": 'a "b"\u2028', "operation": "neq", "id": "x"}
        | {"input": "{{sample.output_text}}", "reference": "{{ item.label }}"},
        {"operation": "ne", "reference": "{{ item.label }}"},
    ),
    "text_similarity": (
        {"type": "text_similarity", "name": "s", "evaluation_metric": "rouge_l"}
        | {"reference": "{{item.label}}", "pass_threshold": 0.8},
        {"evaluation_metric": "rouge_l", "pass_threshold": 0.8, "reference": "{{item.label}}"},
    ),
    "a-judge": ({"type": "label_model", "name": "tone"}, "model judges are"),
    "code": ({"type": "python", "name": "p", "source": "x"}, "Python graders are not supported"),
    "template": (
        {"type": "string_check", "name": "t", "operation": "eq", "reference": "{{item.a}} b"},
        "templates are not supported",
    ),
    "H-a-key-of-ours-in-a-name": (
        {"type": "string_check", "name": 'x"\noperation = "eq', "operation": "eq"},
        "'name'",
    ),
    "H-nothing": (5, "a grader is no object"),
}


@pytest.mark.parametrize(("criterion", "expected"), CRITERIA.values(), ids=CRITERIA)
def test_graders_of_evals(criterion: Any, expected: Any) -> None:
    if isinstance(expected, str):
        with pytest.raises(RequestShapeError, match=expected):
            openai_evals.converted(criterion, "triage")
        return
    rules, text = openai_evals.converted({**criterion, "name": "g"}, "triage")
    assert (rules.type, rules.name, rules.options) == (criterion["type"], "g", expected)
    assert text.startswith("[[tasks.triage.gate.graders]]\n")


def test_an_output_is_held_against_no_answer_that_nobody_agreed_on() -> None:
    equal, short = (
        openai_evals.converted({"type": "string_check", "name": name, **more}, "t")[0]
        for name, more in (
            ("equal", {"operation": "eq"}),
            ("short", {"operation": "like", "reference": "a"}),
        )
    )
    example = Example("e", (), "said", place="x:1")

    count = FidelityCount([equal, short], {})
    count.add(example, "said", {"equal": True, "short": False}, is_agreed=False)
    found = count.result("")
    assert found is not None
    assert [(one.name, one.agreed) for one in found.graders] == [("short", 0)]

    alone = FidelityCount([equal], {})
    alone.add(example, "said", {"other": True}, is_agreed=False)
    assert alone.result("") == Fidelity(
        (), {"equal": "no row has an answer that was agreed on"}, ""
    )
    alone.add(example, "said", {"other": True}, is_agreed=True)
    again = alone.result("")
    assert again is not None
    assert [(one.name, one.compared, one.agreed) for one in again.graders] == [
        ("all graders", 1, 1)
    ]


# Any.


@pytest.mark.parametrize("value", [0, None, [], {}, "x", [5], {"a": [5]}, True, 1e300])
def test_H_no_member_of_any_type_is_a_crash(value: Any, tmp_path: Path) -> None:
    """Every member of every format, at two levels, once with each value."""
    for whole in (PAYLOAD, next(spans_of(CHAT)), ROW, {"prompts": ["{{x}}"], "tests": [{}]}):
        for key, inner in whole.items():
            changed = [{**whole, key: value}]
            if isinstance(inner, dict):
                changed += [{**whole, key: {**inner, name: value}} for name in inner]
            for each in changed:
                with suppress(ConfigError):
                    assert isinstance(list(opened(each, tmp_path).rows()), list)


def test_a_sample_is_bounded_and_the_same_for_the_same_inputs() -> None:
    def drawn(order: range) -> tuple[InputSample[int], list[int]]:
        sample: InputSample[int] = InputSample(most=50)
        for number in order:
            sample.add(f"input {number}", f"w{number} x{number} y{number}", number, 10)
        return sample, sorted(sample.all())

    tracemalloc.start()
    first, kept = drawn(range(2000))
    small = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    drawn(range(8000))
    large = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert large < 2 * small
    assert (len(kept), first.undrawn, kept) == (50, 1950, drawn(range(1999, -1, -1))[1])
    for number in kept:
        first.add(f"input {number}", "", number, 10)
    assert first.repeated == 50
    assert len(InputSample(max_chars=25).all()) == 0


def test_what_is_picked_differs() -> None:
    """Of 4 kinds of input, 15 of each, one is picked of each; boilerplate makes none alike."""
    words = ["refund order money", "crash login error", "invoice tax number", "ship parcel late"]
    texts = [f"Please sort this message for us: {words[n % 4]} {n}" for n in range(60)]
    sample: InputSample[int] = InputSample()
    for number, text in enumerate(texts):
        sample.add(text, text, number, 1)
    chosen, like, spare = sample.pick(4)
    assert Counter(number % 4 for number in chosen) == {0: 1, 1: 1, 2: 1, 3: 1}
    assert (like, spare) == (56, 0)
    assert (len(sample.pick(2)[0]), sample.pick(100)) == (2, (chosen, 56, 0))

    twins: InputSample[int] = InputSample()
    for number in range(2):
        text = f"the parcel with my shoes has not come for {number} days now, where is it?"
        twins.add(text, text, number, 1)
    twins.add("a", "something else entirely, about taxes", 2, 1)
    chosen, like, spare = twins.pick(10)
    assert (len(chosen), like, spare, 2 in chosen) == (2, 1, 0, True)


KEYS = {
    "sk-proj-abcDEF0123456789abcd": True,
    "Authorization: Bearer abcdefghij0123456789": True,
    "AKIAIOSFODNN7EXAMPLE": True,
    "postgres://app:hunter22@db/x": True,
    'password = "correct-horse-battery"': True,
    "-----BEGIN RSA PRIVATE KEY-----": True,
    "ft:gpt-4.1:acme:sk-learn:CdEf9": False,
    "my password does not work, the order is 123456789012345": False,
    "https://example.com/a:b@c": False,
}


@pytest.mark.parametrize(("text", "expected"), KEYS.items())
def test_H_what_looks_like_a_key_is_seen(text: str, expected: bool) -> None:
    assert has_key(f"so I wrote {text} there") is expected


def test_a_row_knows_that_it_is_of_another_program(tmp_path: Path) -> None:
    def is_converted(value: Any) -> bool:
        (row,) = opened(value, tmp_path).rows()
        assert isinstance(row, ProductionRequest)
        return row.is_converted

    assert is_converted(PAYLOAD)
    assert not is_converted({"messages": [USER]})
