"""Review at a real terminal: before, keys, after; and the lines that it writes."""
# ruff: noqa: E501  a line of examples is one line

import json
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from command_line import Command
from reviewing import (
    AT,
    EXAMPLES,
    POLICY,
    PROMPT,
    REVIEWS,
    answer,
    at_terminal,
    chat,
    editor,
    jsonl,
    scene,
    write_run,
)
from terminal import Step

from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.examples import reviewed
from fftdeploy.evaluation.examples.production import ProductionRequest
from fftdeploy.evaluation.examples.raw_lines import BOM
from fftdeploy.evaluation.examples.reviewed import ReviewDecision
from fftdeploy.evaluation.outputs import ModelOutput
from fftdeploy.evaluation.review.import_file import ImportFile

REVIEWED = {"reviewed_by": "ana", "reviewed_at": AT}
BY = ReviewDecision(by="ana", at=AT)
FROM = ["triage", "--from", "requests.jsonl", "--by", "ana"]


def requests(*values: Any) -> None:
    Path("requests.jsonl").write_bytes(jsonl(*values))


def read_requests(data: bytes, name: str) -> list[ProductionRequest]:
    with TemporaryDirectory() as folder:
        Path(folder, name).write_bytes(data)
        return list(ImportFile(Path(folder, name), name).rows())


def after() -> bytes:
    """Return the examples, with the new IDs counted instead of drawn."""
    number = iter(range(1, 100))
    return re.sub(
        rb"r-20[0-9]{6}-[0-9a-hjkmnp-tv-z]{6}",
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
        ReviewDecision("new", ("x",), "ana", AT),
        '{ "id" : 7,\t"messages": [{"role": "user", "content": "q"}, {"weight": 1, "role": "assistant", "content": "new"}], "meta": {"a": "1.0"}, "tags": ["x"], "reviewed_by": "ana", "reviewed_at": "2026-11-21T08:30:00Z" }',
    ),
    "tight": (
        TIGHT,
        ReviewDecision("né", (), "ana", AT),
        TIGHT.replace('old: \\"a\\": 1', "né")[:-1]
        + ',"reviewed_by":"ana","reviewed_at":"2026-11-21T08:30:00Z"}',
    ),
    "escapes-stay-escapes": (
        r'{"messages": [{"role": "user", "content": "\u00fc"}, {"role": "assistant", "content": "a"}]}',
        ReviewDecision("ü"),
        r'{"messages": [{"role": "user", "content": "\u00fc"}, {"role": "assistant", "content": "\u00fc"}]}',
    ),
    "an-equal-value-stays-as-it-is-spelt": (
        r'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "\u0061"}], "tags": [ "x" ]}',
        ReviewDecision("a", ("x",)),
        r'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "\u0061"}], "tags": [ "x" ]}',
    ),
    "tags-null": (
        '{"tags": null, "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}',
        ReviewDecision(tags=("x", "y")),
        '{"tags": ["x", "y"], "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}',
    ),
    "parts": (
        '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": [{"type": "text", "text": "a"}]}]}',
        ReviewDecision("b"),
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
        ReviewDecision(CALLS),
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
        ReviewDecision("no call"),
        '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "weight": 0, "content": "no call"}]}',
    ),
    "item": (
        '{"item": {"ideal": "a", "input": "q", "tags": ["x"], "reviewed_by": "bo"}, "sample": {}}',
        ReviewDecision("b", ("y",), "ana", AT),
        '{"item": {"ideal": "b", "input": "q", "tags": ["x", "y"], "reviewed_by": "ana"}, "sample": {}, "reviewed_at": "2026-11-21T08:30:00Z"}',
    ),
    "item-of-json": (
        '{"item": {"input": "q", "reference": {"a": 1}}}',
        ReviewDecision('{"a": 2}'),
        '{"item": {"input": "q", "reference": {"a": 2}}}',
    ),
}


@pytest.mark.parametrize(("before", "review", "expected"), REVISED.values(), ids=REVISED)
def test_a_line_keeps_what_was_not_decided(
    before: str, review: ReviewDecision, expected: str
) -> None:
    found = reviewed.revised(before.encode(), review, item_reference=None)
    assert found.decode() == expected


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("last", [True, False], ids=["final-newline", "no-final-newline"])
@pytest.mark.parametrize("bom", [b"", BOM], ids=["plain", "bom"])
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
    assert reviewed.appended(BOM, {}) == BOM + b"{}\n"


MARKS = '"\\/{}[]:,.-0 \t\n\r\x00\x7fa\u00e9\u2028\u202e\ufeff\U0001f600'
NUMBERS = (0, -1, 10**40, 0.5, -0.0, 1e300, 5e-324)


def odd_text(random: Random) -> str:
    return "".join(random.choices(MARKS, k=random.randrange(9)))


def odd_value(random: Random, depth: int = 3) -> Any:
    inner = [odd_value(random, depth - 1) for _ in range(random.randrange(4) if depth else 0)]
    named = {odd_text(random): value for value in inner}
    return random.choice(
        [None, True, False, random.choice(NUMBERS), odd_text(random), inner, named]
    )


def test_any_line_says_the_same_but_for_the_review() -> None:
    random = Random(11)
    for separators in 100 * (None, (",", ":"), (" , ", " : ")):
        reference, others = odd_text(random), {odd_text(random): odd_value(random) for _ in "abc"}
        content = {**others, **chat("q", "old")}
        line = json.dumps(content, ensure_ascii=random.random() < 0.5, separators=separators)
        found = reviewed.revised(
            line.encode(), ReviewDecision(reference, by="ana", at=AT), item_reference=None
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


FAULTS = {
    "E7-array": (b"[]", "a line is no object"),
    "E3-nan": (b'{"messages": NaN}', "JSON with NaN"),
    "E4-key-twice": (b'{"item": {}, "item": {}}', "JSON with a key twice"),
    "broken": (b'{"messages": [', "broken JSON"),
    "not-utf-8": (b'"\xff"', "a line that is not UTF-8"),
    "E2-too-long": (b'"' + b"x" * 1024**2 + b'"', "a line of more than 1 MiB"),
    "nothing": (b"{}", "neither 'messages', 'item' nor 'request'"),
}
ODD = {
    "response-without-status": (
        b'{"request": {"input": "q"}, "response": {"object": "response", "output": []}}',
        "'response' is no answer: the response has no `status`",
    ),
    "no-messages": (b'{"messages": "q"}', "'messages' is no list of objects"),
    "bad-response": (
        b'{"request": {"input": "q"}, "response": {"object": "page"}}',
        "'response' is no answer: the answer is no chat.completion",
    ),
    "a-file": (
        b'{"request": {"input": [{"role": "user", "content": [{"type": "input_file"}]}]}}',
        "a part of an input that is neither text nor an image",
    ),
    "no-choices": (
        b'{"request": {"input": "q"}, "response": {"object": "chat.completion", "choices": []}}',
        "'response' is no answer: ",
    ),
    "E5-surrogate": (
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        "JSON with half of a surrogate pair",
    ),
}


@pytest.mark.parametrize(("line", "problem"), ODD.values(), ids=ODD)
def test_a_line_that_is_no_answer_is_left_out_beside_others(
    line: bytes, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"messages": []}\n' + (line + b"\n") * 30)
    source = ImportFile(path, "r.jsonl")
    assert [row.place for row in source.rows()] == ["r.jsonl:1"]
    ((said, count),) = source.left_out.items()
    assert (said.startswith(problem[:40]), said.endswith(", first at r.jsonl:2"), count) == (
        True,
        True,
        30,
    )
    path.write_bytes(line + b"\n")
    with pytest.raises(ConfigError) as caught:
        list(ImportFile(path, "r.jsonl").rows())
    assert caught.value.where == "r.jsonl:1"


@pytest.mark.parametrize(("line", "problem"), FAULTS.values(), ids=FAULTS)
def test_a_line_that_is_no_request_is_located(line: bytes, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_requests(b'{"messages": []}\n\n' + (line + b"\n") * 30, "r.jsonl")
    assert (caught.value.message, caught.value.where) == (problem, "r.jsonl:3")
    assert len(caught.value.details) == 19
    assert caught.value.details[0] == f"r.jsonl:4: {problem}"


# At the terminal: requests of production.

OLD = jsonl(chat("old?", answer(), id="e1"))
OLD_SIMPLE = jsonl(chat("old?", "refund", id="e1"))


@pytest.mark.usefixtures("repo")
def test_each_decision_is_written_as_it_is_made() -> None:
    scene(OLD)
    questions = [chat(f"{n}?", answer()) for n in range(1, 5)]
    requests(chat("old?", answer("high")), *questions, chat("5?"), chat("1?", answer("high")))
    edited = answer("high", "edited")
    states = []
    code, screen = at_terminal(
        FROM,
        (PROMPT, "t"),
        ("(now: none):", " vip , edge-case,vip"),
        (PROMPT, "a"),
        ("2 of 5", lambda: states.append(after())),
        (PROMPT, "e"),
        ("3 of 5", lambda: states.append(after())),
        (PROMPT, "r"),
        (PROMPT, "s"),
        (PROMPT, "a"),
        ("there is no output to accept", "e"),
        VISUAL=editor(edited + "\n"),
        EDITOR="/no/such/editor",
    )

    first = chat("1?", answer(), id="new-1", tags=["vip", "edge-case"], **REVIEWED)
    second = chat("2?", edited, id="new-2", **REVIEWED)
    third = chat("5?", edited, id="new-3", **REVIEWED)
    assert states == [OLD + jsonl(first), OLD + jsonl(first, second)]
    assert after() == OLD + jsonl(first, second, third)
    assert code == 0, screen
    assert "triage: 1 accepted, 2 edited, 1 rejected, 1 skipped, 1 left" in screen
    assert screen.rstrip().endswith("next: fftdeploy eval triage/production")
    assert Path("editor.log").read_text() == answer() + "\n"


@pytest.mark.usefixtures("repo")
def test_what_was_decided_is_not_asked_again_and_what_was_skipped_is() -> None:
    scene(OLD)
    requests(*(chat(f"{n} secret?", answer()) for n in range(1, 5)))
    at_terminal(FROM, (PROMPT, "a"), (PROMPT, "r"), (PROMPT, "s"), (PROMPT, "q"))
    before = after()
    code, screen = at_terminal(FROM, ("1 of 2", "s"), ("2 of 2", "a"))
    assert (code, after()) == (
        0,
        before + jsonl(chat("4 secret?", answer(), id="new-2", **REVIEWED)),
    )
    assert "3 secret?" in screen
    assert "2 secret?" not in screen

    assert stat.S_IMODE(REVIEWS.stat().st_mode) == 0o600
    header, rejected = map(json.loads, REVIEWS.read_text().splitlines())
    assert (len(header["key"]), rejected.keys()) == (64, {"digest", "by", "at"})
    assert "secret" not in REVIEWS.read_text()
    assert "runs/" in Path(".fftdeploy/.gitignore").read_text()
    assert at_terminal(FROM, (PROMPT, "r"))[0] == 0
    said = "requests.jsonl: 4 rows of requests and answers\nleft out: 2 (an example already);"
    screen = f"{said} 2 (rejected before)\ntriage: nothing to review\n"
    assert at_terminal(FROM) == (0, screen)


@pytest.mark.usefixtures("repo")
def test_a_rejection_that_a_kill_has_cut_short_is_asked_again() -> None:
    scene(OLD)
    requests(chat("1?", answer()), chat("2?", answer()))
    at_terminal(FROM, (PROMPT, "r"), (PROMPT, "r"))
    REVIEWS.write_bytes(REVIEWS.read_bytes()[:-9])
    assert "1 rejected" in at_terminal(FROM, ("1 of 1", "r"))[1]
    assert len(REVIEWS.read_bytes().splitlines()) == 3
    assert at_terminal(FROM)[1].endswith("\ntriage: nothing to review\n")


@pytest.mark.usefixtures("repo")
@pytest.mark.parametrize(
    ("examples", "expected"),
    {
        "missing": (None, b"%s\n"),
        "empty": (b"", b"%s\n"),
        "no-final-newline": (OLD[:-1], OLD + b"%s\n"),
        "E6-bom-crlf": (
            BOM + OLD.replace(b"\n", b"\r\n"),
            BOM + OLD.replace(b"\n", b"\r\n") + b"%s\r\n",
        ),
    }.values(),
    ids=["missing", "empty", "no-final-newline", "E6-bom-crlf"],
)
def test_an_example_is_appended_to_what_there_is(examples: bytes | None, expected: bytes) -> None:
    scene(examples)
    requests(chat("new?", answer()))
    assert at_terminal(FROM, (PROMPT, "a"))[0] == 0
    new = jsonl(chat("new?", answer(), id="new-1", **REVIEWED))[:-1]
    assert after() == expected % new


@pytest.mark.usefixtures("repo")
def test_another_file_can_be_named_inside_of_the_folder_only(tmp_path: Path) -> None:
    scene(OLD)
    requests(chat("new?", answer()))
    assert at_terminal([*FROM, "--to", "evals/more/new.jsonl"], (PROMPT, "a"))[0] == 0
    assert after() == OLD
    assert b'"new?"' in Path("evals/more/new.jsonl").read_bytes()
    screen = at_terminal([*FROM, "--to", "evals/more/new.jsonl"])[1]
    assert screen.endswith("\nleft out: 1 (an example already)\ntriage: nothing to review\n")

    code, screen = at_terminal([*FROM, "--to", tmp_path / "out.jsonl"], (PROMPT, "a"))
    assert (code, (tmp_path / "out.jsonl").exists()) == (3, False)
    assert "is outside of" in screen


@pytest.mark.usefixtures("repo")
def test_an_item_becomes_an_item() -> None:
    scene(b"", POLICY.replace("[[", 'item = { input = "text", reference = "label" }\n[['))
    requests({"item": {"text": "q?", "lang": "de"}, "sample": {"output_text": answer()}})
    assert at_terminal(FROM, ("│ q?", ""), (PROMPT, "a"))[0] == 0
    item = {"text": "q?", "lang": "de", "label": answer()}
    assert after() == jsonl({"item": item, "id": "new-1", **REVIEWED})


INTERRUPTED = [chat(f"{n}?", answer()) for n in range(1, 6)]

# A variant that writes at the end only, to see that the test below would find it.
LATE = [
    sys.executable,
    "-c",
    "import sys\n"
    "from fftdeploy.cli import app\n"
    "from fftdeploy.evaluation.review.queue import ReviewQueue\n"
    "real, late = ReviewQueue.change, []\n"
    "def change(self, *args, **more):\n"
    "    late.append((self, args, more))\n"
    "    self.has_written = True\n"
    "ReviewQueue.change = change\n"
    "code = app.run(sys.argv[1:])\n"
    "if code == 0:\n"
    "    [real(self, *args, **more) for self, args, more in late]\n"
    "sys.exit(code)\n",
]


def lost_at(prompt: int, in_tags: bool, program: list[str]) -> int:
    """Press Ctrl-C at a prompt of a session of five; return how many decisions are lost."""
    scene(OLD)
    requests(*INTERRUPTED)
    steps: list[Step] = [(PROMPT, "a")] * prompt
    steps += [(PROMPT, "t"), ("(now: none):", "^C")] if in_tags else [(PROMPT, "^C")]
    code, screen = at_terminal(FROM, *steps, program=program)
    assert code == 130, screen
    kept = (
        f"{prompt} decision{'s' if prompt != 1 else ''} kept" if prompt else "nothing was changed"
    )
    assert "stopped by SIGINT" in screen
    assert kept in screen
    written = after().removeprefix(OLD).splitlines(keepends=True)
    whole = [chat(f"{n}?", answer(), id=f"new-{n}", **REVIEWED) for n in range(1, prompt + 1)]
    assert written == [jsonl(each) for each in whole[: len(written)]]
    return prompt - len(written)


@pytest.mark.usefixtures("repo")
@pytest.mark.parametrize("in_tags", [False, True], ids=["prompt", "tags"])
def test_E19_ctrl_c_at_each_prompt_loses_nothing(in_tags: bool) -> None:
    """8 tried, 0 wrong."""
    prompts = (0, 2, 4) if in_tags else range(5)
    assert [lost_at(prompt, in_tags, []) for prompt in prompts] == [0] * len(prompts)


@pytest.mark.usefixtures("repo")
def test_E19_control_a_review_that_writes_at_the_end_loses_all() -> None:
    assert [lost_at(prompt, False, LATE) for prompt in (1, 4)] == [1, 4]


@pytest.mark.usefixtures("repo")
def test_E19_the_end_of_input_keeps_what_was_decided() -> None:
    scene(OLD)
    requests(*INTERRUPTED)
    code, screen = at_terminal(FROM, (PROMPT, "a"), (PROMPT, "^D"))
    assert (code, len(after().splitlines())) == (0, 2)
    assert "triage: 1 accepted, 0 edited, 0 rejected, 0 skipped, 4 left" in screen


# Other programs' files.

SIMPLE = """\
version = 1
[tasks.triage.gate]
examples = ["evals/triage.jsonl"]
[[tasks.triage.gate.graders]]
type = "string_check"
operation = "eq"
"""
PROMPTFOO = """\
prompts: ['Sort: {{text}}']
tests:
  - {vars: {text: one}, assert: [{type: equals, value: refund}]}
  - {vars: {text: two}}
  - {vars: {text: my key is sk-abcdef0123456789}, assert: [{type: equals, value: billing}]}
  - {vars: {text: file://three.txt}}
"""
CODES = {"type": "string_check", "operation": "eq", "input": "{{sample.output_text}}"}


def result(text: str, output: str, **verdicts: bool) -> dict[str, Any]:
    results = [{"name": name, "passed": passed, "score": 1.0} for name, passed in verdicts.items()]
    item = {"input": text, "label": "refund"}
    sample = {"output": [{"role": "assistant", "content": output}]}
    return {"datasource_item": item, "sample": sample, "results": results}


@pytest.mark.usefixtures("repo")
def test_without_a_terminal_rows_come_in_unreviewed_and_with_their_number(
    command: Command,
) -> None:
    scene(OLD_SIMPLE, SIMPLE)
    Path("promptfooconfig.yaml").write_text(PROMPTFOO)
    argv = ["review", "triage", "--from", "promptfooconfig.yaml"]
    would = command(*argv, "--dry-run")
    assert (would.code, after()) == (0, OLD_SIMPLE)
    assert would.out == "triage: 1 example would be added (evals/triage.jsonl)\n"

    found = command(*argv, "--unreviewed", "--json")
    document = json.loads(found.out)
    assert (document["added"], document["read"], document["left"]) == (1, 4, 0)
    assert document["left_out"] == {
        "a variable is in a file, which is not opened": 1,
        "no answer is known": 1,
        "something in it looks like a key or a password": 1,
    }
    assert after() == OLD_SIMPLE + jsonl(chat("Sort: one", "refund", id="new-1"))
    said = command(*argv, "--unreviewed").err
    assert "promptfooconfig.yaml: 4 rows of promptfoo's tests\n" in said
    assert "1 of 2 have something in them that looks like a key or a password" in said


@pytest.mark.usefixtures("repo")
def test_the_answer_that_a_test_states_is_accepted_as_it_stands() -> None:
    scene(OLD_SIMPLE, SIMPLE)
    Path("promptfooconfig.yaml").write_text(PROMPTFOO)
    argv = ["triage", "--from", "promptfooconfig.yaml", "--by", "ana"]
    code, screen = at_terminal(
        argv,
        (PROMPT, "a"),
        (PROMPT, "a"),
        ("there is no output to accept", "s"),
        ("looks like a key", "q"),
    )
    assert (code, "1 accepted, 0 edited, 0 rejected, 1 skipped, 2 left" in screen) == (0, True)
    one = chat("Sort: one", "refund", id="new-1", **REVIEWED)
    assert after() == OLD_SIMPLE + jsonl(one)


@pytest.mark.usefixtures("repo")
def test_verdicts_of_evals_are_compared_with_those_of_the_converted_graders(
    command: Command,
) -> None:
    scene(OLD_SIMPLE, SIMPLE)
    Path("evals.jsonl").write_bytes(
        jsonl(
            result("1?", "refund", code=True, tone=True),
            result("2?", "billing", code=False, tone=True),
            result("3?", "billing", code=True, tone=False),  # what is recorded is wrong
            {
                "object": "eval",
                "testing_criteria": [
                    {**CODES, "name": "code", "reference": "{{item.label}}"},
                    {"type": "label_model", "name": "tone"},
                ],
            },
        )
    )
    argv = ["review", "triage", "--from", "evals.jsonl", "--dry-run"]
    found = command(*argv)
    assert found.code == 0
    assert (
        "code: the recorded verdict again in 2 of 3 (66.7 %); not at evals.jsonl:3\n" in found.out
    )
    assert "tone: not compared: model judges are" in found.out
    assert 'compare with item.label: say item = { reference = "label" } in the gate' in found.err
    assert '.gate.graders]]\n  type = "string_check"\n  name = "code"\n' in found.out
    (one,) = json.loads(command(*argv, "--json").out)["fidelity"]["graders"]
    assert one == {"name": "code", "compared": 3, "agreed": 2, "differs_at": ["evals.jsonl:3"]}


# Editors.

BROKEN = {
    "fails": (lambda: editor("x", 3), "ended with 3"),
    "unchanged": (lambda: editor(answer() + "\n"), "the text is unchanged"),
    "emptied": (lambda: editor(" \n"), "the text is empty"),
    "not-there": (lambda: "/no/such/editor", "did not start: No such file or directory"),
    "unnamed": (lambda: "", "no editor is named: set VISUAL or EDITOR"),
    "H5-not-a-shell": (lambda: "touch sentinel; true", "the text is unchanged"),
    "quotes": (lambda: "'vi", "VISUAL is no command line"),
}


@pytest.mark.usefixtures("repo")
@pytest.mark.parametrize(("named", "problem"), BROKEN.values(), ids=BROKEN)
def test_an_editor_that_gives_nothing_changes_nothing(
    named: Callable[[], str], problem: str
) -> None:
    scene(OLD)
    requests(chat("1?", answer()))
    code, screen = at_terminal(
        FROM, (PROMPT, "e"), (problem, ""), (PROMPT, "q"), VISUAL=named(), EDITOR=""
    )
    assert (code, after()) == (0, OLD)
    assert f"{problem}" in screen
    assert "nothing was taken" in screen
    assert not Path("sentinel").exists()


@pytest.mark.usefixtures("repo")
def test_an_answer_that_no_grader_could_pass_is_asked_for_again() -> None:
    scene(OLD)
    requests(chat("1?", "no JSON"))
    broken = editor("still none\n")
    code, screen = at_terminal(
        FROM,
        (PROMPT, "a"),
        ("can't be the agreed answer", ""),
        (PROMPT, "e"),
        ("can't be the agreed answer", lambda: editor(answer() + "\n")),
        (PROMPT, "e"),
        VISUAL=broken,
    )
    assert (code, after()) == (0, OLD + jsonl(chat("1?", answer(), id="new-1", **REVIEWED))), screen
    assert Path("editor.log").read_text() == "no JSON\nstill none\n"


# What is shown.

HOSTILE = (
    "\x1b[31m\x07\x9b2J\u202e\u2066\u200b\x00\r::error::x\n::set-env name=A::b\n##[group]\nPASS"
    + " " * 200
    + "PASS"
)


@pytest.mark.usefixtures("repo")
def test_F1_F3_H13_hostile_text_shows_as_text_with_a_bar_before_each_row() -> None:
    scene(OLD)
    turns = [{"role": "system", "content": HOSTILE}, {"role": "user", "content": "漢" * 100}]
    requests({"messages": [*turns, {"role": "assistant", "content": HOSTILE}]})
    code, screen = at_terminal(FROM, (PROMPT, "a"), (PROMPT, "q"), NO_COLOR="1", TERM="xterm")
    assert code == 0
    assert (
        re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", screen)
        == []
    )
    assert not re.search(r"(?m)^\s*(::|##\[|PASS)", screen)
    body = screen.partition("\nsystem\n")[2].partition("\n\n[a]ccept")[0].split("\n")
    assert {row for row in body if not row.startswith("│")} == {"user", "output"}
    assert max(len(row) + row.count("漢") for row in body) < 80
    assert screen.count("\\x1b[31m") == 2


@pytest.mark.usefixtures("repo")
def test_what_was_said_is_broken_between_words() -> None:
    scene(OLD)
    requests(chat("seven " * 20 + "x" * 90, answer()))
    _, screen = at_terminal(FROM, (PROMPT, "q"), NO_COLOR="1", TERM="xterm", COLUMNS="40")
    body = screen.partition("\nuser\n")[2].partition("\noutput")[0].split("\n")
    assert max(map(len, body)) < 40
    assert [row.removeprefix("│ ").strip() for row in body] == [
        *["seven " * 5 + "seven"] * 3,
        "seven seven " + "x" * 25,
        "x" * 37,
        "x" * 28,
    ]


# At the terminal: failures of a run.

THREE = [
    chat("1?", answer("low"), id="e1", meta={"language": "de"}),
    chat("2?", answer("mid"), id="e2", tags=["x"], reviewed_by="bo", reviewed_at="2026-11-01T00:00:00Z"),
    chat("3?", answer("high"), id="e3"),
    chat("4?", answer("high"), id="e4"),
]  # fmt: skip
ANSWERS = [("e1", answer("high")), ("e2", answer("high")), ("e3", answer("HIGH")), ("e4", answer("high"))]  # fmt: skip


@pytest.mark.usefixtures("repo")
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["lf", "E6-bom-crlf-no-final-newline"])
def test_failures_are_rewritten_where_they_are(end: bytes) -> None:
    def as_file(*values: Any) -> bytes:
        data = jsonl(*values)
        return data if end == b"\n" else BOM + data.replace(b"\n", end)[:-2]

    scene(as_file(*THREE))
    write_run(*ANSWERS)
    states: list[bytes] = []
    code, screen = at_terminal(
        ["triage", "--by", "ana"],
        ("1 of 3", ""),
        ("wrong; urgency", "a"),
        (PROMPT, "t"),
        ("(now: x):", "y"),
        (PROMPT, lambda: states.append(EXAMPLES.read_bytes())),
        ("", "r"),
        (PROMPT, "e"),
        EDITOR=editor(answer("none")),
        VISUAL="",
    )
    first = {**chat("1?", answer("high"), id="e1", meta={"language": "de"}), **REVIEWED}
    second = {**THREE[1], "tags": ["x", "y"]}
    third = {**chat("3?", answer("none"), id="e3"), **REVIEWED}
    assert code == 0, screen
    assert states == [as_file(first, second, *THREE[2:])]
    assert EXAMPLES.read_bytes() == as_file(first, {**second, **REVIEWED}, third, THREE[3])
    assert "1 accepted, 1 edited, 1 rejected, 0 skipped, 0 left" in screen
    assert at_terminal(["triage"])[1] == "triage: nothing to review\n"


@pytest.mark.usefixtures("repo")
def test_a_run_is_found_by_part_of_its_name_and_shows_what_happened() -> None:
    scene(jsonl(*THREE))
    write_run(
        ("e1", ModelOutput("cut", "truncated")),
        ("e2", ModelOutput("", "api-error")),
        suffix="0ddba1",
    )
    write_run(*ANSWERS, suffix="ffffff")
    code, screen = at_terminal(["triage", "--run", "0ddba1"], ("truncated", "q"))
    assert code == 0
    assert "1 of 1" in screen
    code, screen = at_terminal(["triage", "--run", "20261121"])
    assert (code, screen.splitlines()[0]) == (2, "error: several runs are called '20261121'")
    code, screen = at_terminal(["triage", "--run", "nothing"])
    assert (code, screen.splitlines()[0]) == (
        2,
        "error: no run on this machine is called 'nothing'",
    )


@pytest.mark.usefixtures("repo")
def test_an_input_that_is_there_twice_is_left_out() -> None:
    scene(jsonl(*THREE, {**THREE[0], "id": "again"}))
    write_run(*ANSWERS)
    code, screen = at_terminal(["triage"], ("1 of 2", "q"))
    assert code == 0
    assert "note: e1 is left out: keep one of the lines with its input" in screen


# Colleagues.


@pytest.mark.usefixtures("repo")
def test_a_change_elsewhere_in_the_file_is_kept() -> None:
    scene(jsonl(*THREE))
    write_run(*ANSWERS)
    inserted = jsonl(chat("0?", answer(), id="e0"))
    code, screen = at_terminal(
        ["triage", "--by", "ana"],
        ("1 of 3", lambda: EXAMPLES.write_bytes(inserted + EXAMPLES.read_bytes())),
        (PROMPT, "a"),
        (PROMPT, "q"),
    )
    first = {**chat("1?", answer("high"), id="e1", meta={"language": "de"}), **REVIEWED}
    assert (code, EXAMPLES.read_bytes()) == (0, inserted + jsonl(first, *THREE[1:])), screen


@pytest.mark.usefixtures("repo")
def test_a_change_of_the_example_itself_is_a_conflict() -> None:
    scene(jsonl(*THREE))
    write_run(*ANSWERS)
    theirs = jsonl(THREE[0], {**THREE[1], "tags": ["theirs"]}, *THREE[2:])
    states: list[bytes] = []

    def change() -> None:
        mine = EXAMPLES.read_bytes().splitlines(keepends=True)
        EXAMPLES.write_bytes(mine[0] + b"".join(theirs.splitlines(keepends=True)[1:]))
        states.append(EXAMPLES.read_bytes())

    code, screen = at_terminal(["triage"], (PROMPT, "a"), ("2 of 3", change), (PROMPT, "a"))
    assert (code, [EXAMPLES.read_bytes()]) == (8, states)
    assert "error: e2 was changed in evals/triage.jsonl by somebody else" in screen
    assert "note: 1 decision kept" in screen


@pytest.mark.usefixtures("repo")
def test_an_input_that_a_colleague_has_added_meanwhile_is_a_conflict() -> None:
    scene(OLD)
    requests(chat("1?", answer()), chat("2?", answer()))
    theirs = OLD + jsonl(chat("1?", answer("high"), id="theirs"))
    code, screen = at_terminal(
        FROM, ("1 of 2", lambda: EXAMPLES.write_bytes(theirs)), (PROMPT, "a")
    )
    assert (code, EXAMPLES.read_bytes()) == (8, theirs), screen


# Calls that can't be.


@pytest.mark.usefixtures("repo")
@pytest.mark.parametrize("flags", [[], ["--json"], ["--quiet"], ["--from", "missing.jsonl"]])
def test_F12_off_a_terminal_it_says_so_at_once(command: Command, flags: list[str]) -> None:
    scene(OLD)
    result = command("review", "triage", *flags)
    assert result.code == 2
    assert "review shows and asks: it needs a terminal" in result.out + result.err


@pytest.mark.usefixtures("repo")
@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["triage", "--json"], 2, "it needs a terminal"),
        (["triage", "--quiet"], 2, "it needs a terminal"),
        (["triage", "--run", "x", "--from", "y"], 2, "exclude each other"),
        (["triage", "--to", "y"], 2, "--to goes with --from"),
        (["other"], 3, "task 'other' has no gate"),
        (["triage"], 2, "there is no run of triage on this machine"),
        (["triage"], 2, "hint: fftdeploy review triage --unreviewed\n"),
        (["triage", "--unreviewed", "--run", "x"], 2, "exclude each other"),
        (["triage", "--from", "missing.jsonl"], 3, "no such file: "),
        (["triage", "--from", "fftdeploy.toml"], 3, "something else than JSON Lines (fftdeploy"),
        (["triage", "--from", "fftdeploy.toml"], 3, "hint: read are requests and answers as JSON"),
        (["triage", "--from", "x", "--pick", "0"], 2, "is not a number from 1 to 2,000"),
        (["triage", "--pick", "5"], 2, "--pick goes with --from"),
        (["triage", "--unreviewed", "--dry-run"], 2, "--dry-run goes with --from"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_reviewed_is_said_at_once(flags: list[str], code: int, said: str) -> None:
    scene(OLD)
    found, screen = at_terminal(flags)
    assert (found, said in screen) == (code, True), screen
    assert after() == OLD


@pytest.mark.usefixtures("repo")
def test_the_sdk_is_not_loaded() -> None:
    scene(OLD)
    requests(chat("1?", answer()))
    loaded = (
        "import sys\nfrom fftdeploy.cli.app import run\ncode = run(sys.argv[1:])\n"
        "print('loaded:', {'openai', 'httpx2'} & {*sys.modules})"
    )
    screen = at_terminal(FROM, (PROMPT, "a"), program=[sys.executable, "-c", loaded])[1]
    assert "loaded: set()" in screen


@pytest.mark.usefixtures("repo")
def test_ctrl_c_in_the_editor_is_the_editors() -> None:
    scene(OLD)
    requests(chat("1?", answer()))
    Path("ed.py").write_text(
        "import signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})\n"
        "print('editing', flush=True)\n"
        "signal.sigwait({signal.SIGINT})\n"
        f"open(sys.argv[1], 'w').write({answer('high')!r})\n"
    )
    own = {"PYTHONPATH": ""}  # the editor has the terminal of the command, so that none is forked
    code, screen = at_terminal(
        FROM, (PROMPT, "e"), ("editing", "^C"), VISUAL=f"'{sys.executable}' ed.py", **own
    )
    expected = OLD + jsonl(chat("1?", answer("high"), id="new-1", **REVIEWED))
    assert (code, after()) == (0, expected), screen


# At the terminal: examples that nobody has reviewed.

UNREVIEWED = [
    chat("1?", answer("low"), id="e1"),
    THREE[1],
    chat("3?", answer("high"), id="e3"),
    chat("4?", answer("mid"), id="e4"),
]


@pytest.mark.usefixtures("repo")
def test_what_nobody_has_reviewed_is_reviewed_in_place_without_a_run() -> None:
    """The gate takes reviewed examples only, and there is none of its evaluations to review."""
    strict = POLICY.replace('jsonl"]\n', 'jsonl"]\nmust_pass = ["edge"]\nrequire_reviewed = true\n')
    scene(jsonl(*UNREVIEWED), strict)
    code, screen = at_terminal(
        ["triage", "--unreviewed", "--by", "ana"],
        ("1 of 3", ""),
        ("nobody has reviewed it", "r"),
        ("a  accept: the answer is right", "a"),
        ("2 of 3", "t"),
        ("(now: none):", "edge"),
        (PROMPT, "e"),
        (PROMPT, "s"),
        EDITOR=editor(answer("none")),
        VISUAL="",
    )
    first = {**UNREVIEWED[0], **REVIEWED}
    third = {**chat("3?", answer("none"), id="e3"), "tags": ["edge"], **REVIEWED}
    assert code == 0, screen
    assert EXAMPLES.read_bytes() == jsonl(first, THREE[1], third, UNREVIEWED[3])
    assert "[r]eject" not in screen
    assert "1 accepted, 1 edited, 0 rejected, 1 skipped, 1 left" in screen
    code, screen = at_terminal(["triage", "--unreviewed"], ("1 of 1", "a"))
    assert code == 0
    assert at_terminal(["triage", "--unreviewed"])[1] == "triage: nothing to review\n"


@pytest.mark.usefixtures("repo")
def test_an_answer_that_is_confirmed_stays_as_it_is_spelt() -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [CALL]}]
    scene(jsonl({"messages": turns}), POLICY.partition("type =")[0] + LENGTH)
    code, screen = at_terminal(["triage", "--unreviewed", "--by", "ana"], (PROMPT, "a"))
    assert (code, EXAMPLES.read_bytes()) == (0, jsonl({"messages": turns, **REVIEWED})), screen


LENGTH = 'type = "length"\nmax_chars = 1000\n'
