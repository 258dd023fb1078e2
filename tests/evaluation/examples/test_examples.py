"""Examples: whole files checked before anything is asked, and read again one by one."""

import gc
import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from checkout import ROOT
from example_files import Table, chat, one, opened, put

from fftdeploy.errors import ConfigError, ConflictError
from fftdeploy.evaluation.examples.example_lines import LineError, parse_line
from fftdeploy.evaluation.examples.examples import MAX_FAULTS, Example, open_examples
from fftdeploy.evaluation.examples.json_places import position
from fftdeploy.evaluation.examples.overlap import overlap, shown_in
from fftdeploy.evaluation.examples.raw_lines import meaning
from fftdeploy.evaluation.graders.graders import Grade, build
from fftdeploy.evaluation.outputs import ModelOutput, read_output
from fftdeploy.formats import document
from fftdeploy.policy.gate_rules import GATE
from fftdeploy.policy.grader_rules import parse_graders


def fault(path: Path, *more: Path, **options: Any) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        opened(path, *more, **options)
    assert len(caught.value.message) < 200
    return caught.value.where, caught.value.message


# What is read


def test_a_chat_with_everything(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    line = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "2+2?", "name": "ana"},
            {"role": "assistant", "content": "5", "weight": 0, "refusal": None},
            {"role": "user", "content": [{"type": "text", "text": "no"}]},
            {"role": "assistant", "content": "4", "weight": 1},
        ],
        "id": "t-1",
        "tags": ["edge-case", "math", "math"],
        "meta": {"language": "en"},
        "group": "g1",
        "reviewed_by": "ana@acme.example",
        "reviewed_at": "2026-11-02T09:07:00Z",
        "response_schema": {"type": "string"},
        "tools": tools,
        "parallel_tool_calls": False,
    }

    assert one(tmp_path, line) == Example(
        id="t-1",
        messages=(
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "2+2?", "name": "ana"},
            {"role": "assistant", "content": "5"},
            {"role": "user", "content": [{"type": "text", "text": "no"}]},
        ),
        reference="4",
        tags=("edge-case", "math"),
        meta={"language": "en"},
        group="g1",
        reviewed_by="ana@acme.example",
        reviewed_at="2026-11-02T09:07:00Z",
        response_schema={"type": "string"},
        tools=tools,
        parallel_tool_calls=False,
        item={},
        place="suite.jsonl:1",
    )


def test_an_agreed_tool_call_is_the_text_that_an_answer_with_it_has(tmp_path: Path) -> None:
    function = {"name": "weather", "arguments": '{"unit": "c",  "city": "Oslo"}'}
    call = {"id": "call_1", "type": "function", "function": function}
    agreed: Table = {"role": "assistant", "content": None, "tool_calls": [call]}

    example = one(tmp_path, {"messages": [{"role": "user", "content": "Oslo?"}, agreed]})

    assert example.reference == '[{"arguments":{"city":"Oslo","unit":"c"},"name":"weather"}]'
    assert example.reference == _answer(agreed).text


def _answer(message: Table) -> ModelOutput:
    from fftdeploy.api.answers import Answer

    choice = {"finish_reason": "tool_calls", "message": message}
    body = {"object": "chat.completion", "model": "m", "choices": [choice]}
    return read_output(Answer(status=200, body=body), "chat")


ITEMS: dict[str, tuple[Table, dict[str, str] | None, str, str]] = {
    "text": ({"input": "q", "reference": "a"}, None, "q", "a"),
    "ideal": ({"input": "q", "ideal": "a"}, None, "q", "a"),
    "label": ({"input": "q", "correct_label": "a"}, None, "q", "a"),
    "object": ({"input": "q", "expected": {"b": 1.0, "a": None}}, None, "q", '{"a":null,"b":1}'),
    "number": ({"input": "q", "expected": 12.5}, None, "q", "12.5"),
    "messages": (
        {"messages": [{"role": "user", "content": "q"}], "reference": "a"},
        None,
        "q",
        "a",
    ),
    "named": (
        {"ticket": "q", "input": "other", "label": "a", "ideal": "b"},
        {"input": "ticket", "reference": "label"},
        "q",
        "a",
    ),
}


@pytest.mark.parametrize("case", ITEMS)
def test_an_item_of_the_evals(tmp_path: Path, case: str) -> None:
    item, keys, asked, agreed = ITEMS[case]

    example = one(tmp_path, {"item": item, "sample": {"output_text": "old"}}, item=keys)

    assert example.messages == ({"role": "user", "content": asked},)
    assert (example.reference, example.item) == (agreed, item)


def test_what_people_say_stands_beside_the_item_or_inside_of_it(tmp_path: Path) -> None:
    facts: Table = {"id": "x", "tags": ["t"], "meta": {"k": "v"}, "group": "g", "reviewed_by": "b"}
    base = {"input": "q", "reference": "a"}

    beside = one(tmp_path, {"item": base, **facts})
    inside = one(tmp_path, {"item": {**base, **facts}})

    for example in (beside, inside):
        assert (example.id, example.tags, example.meta) == ("x", ("t",), {"k": "v"})
        assert (example.group, example.reviewed_by) == ("g", "b")


def test_ids_are_given_or_made_of_the_line(tmp_path: Path) -> None:
    first = put(tmp_path, [chat("1", id=7), chat("2")], "a/suite.jsonl")
    second = put(tmp_path, [chat("3"), chat("4", id="own")], "b/suite.jsonl")
    third = put(tmp_path, [chat("5")], "b/more.jsonl")

    paths = [(path, str(path.relative_to(tmp_path))) for path in (first, second, third)]
    examples = open_examples(paths, root=tmp_path)

    assert examples.ids == ["7", "a/suite:2", "b/suite:1", "own", "more:1"]
    assert [each.id for each in examples] == examples.ids
    assert [each.place for each in examples][-1] == "b/more.jsonl:1"
    assert [name for name, _ in examples.files] == [
        "a/suite.jsonl",
        "b/suite.jsonl",
        "b/more.jsonl",
    ]


def test_facts_are_kept_without_reading_again(tmp_path: Path) -> None:
    lines = [
        chat("1", tags=["a", "b"]),
        chat("2"),
        chat("3", meta={"k": "ä"}, group="g", reviewed_by="ana"),
        chat("4", reviewed_by="ben", reviewed_at="2026-11-02T09:07:00+01:00"),
    ]
    examples = opened(put(tmp_path, lines))

    assert [examples.tags(at) for at in range(4)] == [("a", "b"), (), (), ()]
    assert [examples.meta(at) for at in range(4)] == [{}, {}, {"k": "ä"}, {}]
    assert [examples.group(at) for at in range(4)] == ["", "", "g", ""]
    assert (len(examples), examples.reviewed, examples.duplicates) == (4, 2, 0)
    for at, example in enumerate(examples):
        facts = (example.tags, example.meta, example.group)
        assert facts == (examples.tags(at), examples.meta(at), examples.group(at))


def test_the_hash_is_over_the_lines_in_order(tmp_path: Path) -> None:
    one_, two = put(tmp_path, [chat("1")], "1.jsonl"), put(tmp_path, [chat("2")], "2.jsonl")

    both, swapped = opened(one_, two), opened(two, one_)

    assert re.fullmatch("[0-9a-f]{32}", both.sha)
    assert both.sha != swapped.sha
    assert opened(one_, two).sha == both.sha
    one_.write_bytes(one_.read_bytes().replace(b'"1"', b'"3"'))
    assert opened(one_, two).sha != both.sha


SAME_LINES: dict[str, Callable[[bytes], bytes]] = {
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "a byte-order mark": lambda data: b"\xef\xbb\xbf" + data,
    "blank lines": lambda data: b"\n" + data.replace(b"\n", b"\n\n \t\r\n"),
    "no final newline": lambda data: data.rstrip(b"\n"),
    "spaces around a line": lambda data: data.replace(b"\n", b" \t\n "),
    "all of it": lambda data: b"\xef\xbb\xbf\r\n" + data.replace(b"\n", b"\r\n\r\n").rstrip(),
}


@pytest.mark.parametrize("case", SAME_LINES)
def test_J10_the_same_lines_are_the_same_examples(tmp_path: Path, case: str) -> None:
    raw = put(tmp_path, [chat("q1"), chat("q2", id="x"), chat("q3")], "plain.jsonl").read_bytes()
    path = put(tmp_path, SAME_LINES[case](raw))

    before, after = opened(put(tmp_path, raw, "a/suite.jsonl")), opened(path)

    assert (after.sha, after.ids) == (before.sha, before.ids)
    assert [each.messages for each in after] == [each.messages for each in before]
    assert meaning(path.read_bytes()) == meaning(raw) == raw
    lines = path.read_bytes().split(b"\n")
    for each in after:  # where it stands is a line of the file as it is
        asked = each.messages[0]["content"]
        assert asked in lines[int(each.place.rpartition(":")[2]) - 1].decode()


OTHER_LINES: dict[str, Callable[[bytes], bytes]] = {
    "another order": lambda data: b"".join(reversed(data.splitlines(keepends=True))),
    "one less": lambda data: data[data.index(b"\n") + 1 :],
    "another word": lambda data: data.replace(b"q1", b"q4"),
    "a line end in a text": lambda data: data.replace(b"q1", b"q1\\r"),
}


@pytest.mark.parametrize("case", OTHER_LINES)
def test_J10_control_other_lines_are_other_examples(tmp_path: Path, case: str) -> None:
    path = put(tmp_path, [chat("q1"), chat("q2"), chat("q3")])
    before = opened(path).sha
    path.write_bytes(OTHER_LINES[case](path.read_bytes()))

    assert opened(path).sha != before


def test_J10_the_line_of_a_fault_is_that_of_the_file(tmp_path: Path) -> None:
    good = json.dumps(chat("q1"))

    where, _ = fault(put(tmp_path, f"\ufeff\r\n{good}\r\n\r\n\n{{x\r\n"))

    assert where == "suite.jsonl:5:2"


POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 12345\n"
)


@pytest.mark.parametrize("text", [POINTER, POINTER.replace("\n", "\r\n"), f"\ufeff{POINTER}"])
def test_J11_a_pointer_of_git_lfs_is_called_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(put(tmp_path, text))

    assert (caught.value.message, caught.value.where, caught.value.hint) == (
        "a Git LFS pointer: the file itself is not here",
        "suite.jsonl:1:1",
        "git lfs pull",
    )


@pytest.mark.parametrize(
    ("mark", "number"),
    [("<<<<<<< HEAD", 1), ("||||||| 1a2b3c", 3), ("=======", 2), (">>>>>>> theirs: Fix it", 3)],
)
def test_J11_an_unresolved_conflict_is_called_so_at_its_line(
    tmp_path: Path, mark: str, number: int
) -> None:
    rows = [json.dumps(chat(f"q{place}")) for place in range(3)]
    rows.insert(number - 1, mark)

    with pytest.raises(ConfigError) as caught:
        opened(put(tmp_path, "\r\n".join(rows)))

    assert (caught.value.message, caught.value.where, caught.value.hint) == (
        f"unresolved merge conflict at line {number}",
        f"suite.jsonl:{number}:1",
        "keep the lines that are right, then: git add suite.jsonl",
    )
    assert caught.value.details == (), "what else is wrong may be of the other side"


def test_J11_control_text_that_looks_like_git_is_text(tmp_path: Path) -> None:
    texts = [POINTER, "<<<<<<< HEAD\n=======\n>>>>>>> x"]

    assert [each.reference for each in opened(put(tmp_path, [chat(t, t) for t in texts]))] == texts


def test_an_empty_file_has_no_examples(tmp_path: Path) -> None:
    assert [len(opened(put(tmp_path, text))) for text in ("", "\n\n", "\ufeff\r\n")] == [0, 0, 0]


# Bytes and lines


def test_E6_marks_and_ends_of_lines_change_nothing(tmp_path: Path) -> None:
    odd = json.dumps(chat("a\u2028b\u2029c\u0085d"), ensure_ascii=False)
    plain = json.dumps(chat("plain"))
    text = f"\ufeff{odd}\r\n\n  \t\r\n{plain}\n\r\n" + json.dumps(chat("no final newline", "b"))

    examples = opened(put(tmp_path, text))

    assert [each.place for each in examples] == [
        "suite.jsonl:1",
        "suite.jsonl:4",
        "suite.jsonl:6",
    ]
    asked = [each.messages[0]["content"] for each in examples]
    assert asked == ["a\u2028b\u2029c\u0085d", "plain", "no final newline"]


def test_E1_line_5731_of_10000(tmp_path: Path) -> None:
    good = json.dumps(chat("q{}")).replace("{", "{{").replace("}", "}}").replace("{{}}", "{}")
    lines = [good.format(number) for number in range(1, 10_001)]
    lines[5_730] = '{"messages"; []}'
    path = put(tmp_path, "\n".join(lines))

    assert fault(path) == ("suite.jsonl:5731:12", "not valid JSON: expecting ':' delimiter")


def test_E1_twenty_different_faults_and_the_number_of_the_rest(tmp_path: Path) -> None:
    lines = [chat(str(at), tagz=1) if at % 2 else chat(str(at)) for at in range(100)]
    lines += [{**chat(f"more {at}"), f"key{at}": 1} for at in range(30)]

    with pytest.raises(ConfigError) as caught:
        opened(put(tmp_path, lines))

    error = caught.value
    said = "unknown key 'tagz' (in 50 lines)"
    assert (error.where, error.message) == ("suite.jsonl:2:89", said)
    assert error.hint == "did you mean 'tags'?"
    assert len(error.details) == MAX_FAULTS
    assert error.details[0] == "suite.jsonl:101:94: unknown key 'key0'"
    assert error.details[-1] == "11 more lines have other faults"


def test_E1_what_is_quoted_is_short_and_printable(tmp_path: Path) -> None:
    key = "\x1b[2J\u202e::error::" + "k" * 5000
    where, message = fault(put(tmp_path, [{**chat(), key: 1}]))

    assert where.startswith("suite.jsonl:1:")
    assert message.isprintable()
    assert message.startswith("unknown key '\\x1b[2J\\u202e::error::kkk")


COLUMNS = {
    "unknown key": (chat(tagz=1), "tagz", "unknown key 'tagz'"),
    "key of a message": (
        {"messages": [{"role": "user", "contnet": "x"}]},
        "contnet",
        "unknown key 'contnet'",
    ),
    "role": (
        {"messages": [{"role": "robot", "content": "x"}]},
        "role",
        "there is no such role",
    ),
    "tags": (chat(tags="x"), "tags", "'tags' must be an array, not a text"),
    "tag": (chat(tags=["x", 1]), "1]", "an entry of 'tags' must be a text, not a number"),
    "meta": (chat(meta={"k": 1}), "k", "'k' must be a text, not a number"),
    "group": (chat(group=""), "group", "'group' must be 1 to 500 characters, not 0"),
    "hidden": (
        chat(id="a\u200bb"),
        "id",
        "'id' must be one line of visible text: it contains U+200B",
    ),
    "time": (chat(reviewed_by="a", reviewed_at="2026-11-02"), "reviewed_at", "is no time with"),
    "nobody": (chat(reviewed_at="2026-11-02T00:00Z"), "reviewed_at", "without 'reviewed_by'"),
    "weight": (
        {"messages": [{"role": "user", "content": "x", "weight": 1}]},
        "weight",
        "'weight' is 0 or 1, for the assistant alone",
    ),
    "schema": (
        chat(response_schema={"type": "json_schema"}),
        "response_schema",
        "this is a response format",
    ),
    "parallel": (chat(parallel_tool_calls=1), "parallel_tool_calls", "is true or false"),
    "tools": (chat(tools=[{}]), "{}", "a tool has a 'type'"),
    "messages": ({"messages": {}}, "messages", "'messages' must be an array, not an object"),
    "said twice": (
        {"item": {"input": "q", "reference": "a", "id": "x"}, "id": "x"},
        '"id": "x"}',
        "'id' is said twice",
    ),
    "empty item": ({"item": {"input": "q", "reference": ""}}, "reference", "is empty"),
    "item input": ({"item": {"input": 1, "reference": "a"}}, "input", "is a text or an array"),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_a_fault_is_at_its_column(tmp_path: Path, case: str) -> None:
    line, at, message = COLUMNS[case]
    text = json.dumps(line, ensure_ascii=False)
    found = text.rindex(at)
    column = found if text[found] in '1{"' else found - 1

    where, said = fault(put(tmp_path, text))

    assert message in said
    assert where == f"suite.jsonl:1:{column + 1}"


WHOLE: dict[str, tuple[Any, str]] = {
    "no object": ([1], "this looks like one JSON array"),
    "DPO": (
        {"input": {"messages": []}, "preferred_output": [], "non_preferred_output": []},
        "this is preference (DPO) data",
    ),
    "completion": ({"prompt": "q", "completion": "a"}, "this is the old prompt and completion"),
    "batch": ({"custom_id": "1", "body": {}}, "this is a request of the Batch API"),
    "no messages": ({"id": "x"}, "'messages' is missing"),
    "no answer": (
        {"messages": [{"role": "user", "content": "q"}]},
        "the last message is not the assistant's",
    ),
    "no question": (
        {"messages": [{"role": "assistant", "content": "q"}]},
        "there is nothing before the answer",
    ),
    "empty answer": (chat("q", ""), "the agreed answer is empty: nothing can pass"),
    "no content": (
        {"messages": [{"role": "user"}, {"role": "assistant", "content": "a"}]},
        "'content' is missing",
    ),
    "refusal": (
        {
            "messages": [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": None, "refusal": "no"},
            ]
        },
        "the agreed answer is a refusal: nothing can pass",
    ),
    "tool call": (
        {
            "messages": [
                {"role": "user", "content": "q"},
                {
                    "role": "assistant",
                    "tool_calls": [{"function": {"name": "f", "arguments": "{'a': 1}"}}],
                },
            ]
        },
        "the arguments of the agreed tool call: broken JSON",
    ),
    "old function": (
        {
            "messages": [
                {"role": "user", "content": "q"},
                {"role": "assistant", "function_call": {"name": "f"}},
            ]
        },
        "'function_call' was replaced by 'tool_calls'",
    ),
    "no reference": ({"item": {"input": "q"}}, "the item has no reference: no key 'reference' or"),
    "two references": (
        {"item": {"input": "q", "ideal": "a", "expected": "b"}},
        "the reference of this item may be 'ideal' or 'expected'",
    ),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_line_that_is_no_example_is_called_what_it_is(tmp_path: Path, case: str) -> None:
    line, message = WHOLE[case]

    where, said = fault(put(tmp_path, [line]))

    assert where.startswith("suite.jsonl:1:")
    assert said.startswith(message), said


def test_the_mapping_names_the_key_that_is_missing(tmp_path: Path) -> None:
    path = put(tmp_path, [{"item": {"input": "q", "reference": "a"}}])

    _, said = fault(path, item={"reference": "label"})

    assert said == "the item has no reference: no key 'label'"


DEEP = '{"a":' * 200 + "1" + "}" * 200
STRICT = {
    "E3 NaN": ('"meta": {"a": NaN}', "NaN", "NaN is no JSON"),
    "E3 Infinity": ('"meta": {"a": -Infinity}', "-Inf", "-Infinity is no JSON"),
    "E3 1e999": ('"meta": {"a": [1.5, 1e999]}', "1e999", "a number out of range"),
    "E4": ('"id": "NaN", "meta": {}, "id": "2"', '"id": "2"', "the key 'id' is there twice"),
    "E4 below": (
        '"meta": {"a": "1", "a": "1"}',
        '"a": "1"}',
        "the key 'a' is there twice",
    ),
    "E4 escaped": ('"tags": [], "ta\\u0067s": []', '"ta\\', "the key 'tags' is there twice"),
    "E5 deep": (f'"response_schema": {DEEP}', "", "JSON nested deeper than 100 levels"),
    "E5 deeper": (
        f'"response_schema": {"[" * 100_000}{"]" * 100_000}',
        "",
        "JSON nested deeper than 100 levels",
    ),
    "E5 digits": (f'"meta": {{"a": {"9" * 5000}}}', "9", "a number out of range"),
    "E5 surrogate": ('"id": "\\ud800"', '"\\ud', "half of a surrogate pair"),
    "E5 surrogate key": ('"\\udc00": 1', '"\\udc', "half of a surrogate pair"),
}


@pytest.mark.parametrize("case", STRICT)
def test_strict_json_only(tmp_path: Path, case: str) -> None:
    extra, at, message = STRICT[case]
    good = json.dumps(chat('[{"NaN": 1e999}]'))
    text = f"{good[:-1]}, {extra}}}"
    path = put(tmp_path, f"{json.dumps(chat('x'))}\n{text}\n")

    where, said = fault(path)

    assert said == message
    assert where.startswith("suite.jsonl:2:")
    if at:
        assert where == f"suite.jsonl:2:{text.index(at, len(good)) + 1}"


def test_a_whole_pair_of_surrogates_is_one_character(tmp_path: Path) -> None:
    text = json.dumps(chat("😀"))
    assert "\\ud83d\\ude00" in text

    assert opened(put(tmp_path, text)).read(0).messages[0]["content"] == "😀"


OTHERS: dict[str, tuple[bytes, str, str]] = {
    "array": (b'[\n{"messages": []}\n]', "one JSON array", "1:1"),
    "array of one line": (b'\n[{"messages": []}]', "one JSON array", "2:1"),
    "pretty": (b'{\n  "messages": []\n}', "JSON over several lines", "1:1"),
    "gzip": (gzip.compress(b"{}"), "gzip", "1:1"),
    "zip": (b"PK\x03\x04xx", "a zip archive or a spreadsheet", "1:1"),
    "CSV": (b"input,reference\nq,a\n", "CSV", "1:1"),
    "TSV": (b"\xef\xbb\xbfinput\treference\n", "CSV", "1:1"),
    "UTF-16 with a mark": ('{"a": 1}'.encode("utf-16"), "UTF-16", "1:1"),
    "UTF-16 without": ('{"a": 1}'.encode("utf-16-le"), "a binary file, or UTF-16", "1:1"),
    "binary": (b"\x7fELF\0\0", "a binary file, or UTF-16", "1:1"),
    "text": (b"Hello\n", "something else than JSON Lines", "1:1"),
    "YAML": (b"messages:\n", "something else than JSON Lines", "1:1"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_E7_a_file_of_another_kind_is_called_what_it_is(tmp_path: Path, case: str) -> None:
    content, what, place = OTHERS[case]

    assert fault(put(tmp_path, content)) == (f"suite.jsonl:{place}", f"this looks like {what}")


def test_E7_two_objects_on_a_line(tmp_path: Path) -> None:
    line = json.dumps(chat("1"))

    assert fault(put(tmp_path, f"{line} {line}")) == (
        f"suite.jsonl:1:{len(line) + 2}",
        "more than one JSON value on the line",
    )


def test_bytes_that_are_no_utf8_have_a_column(tmp_path: Path) -> None:
    line = json.dumps(chat("ä|"), ensure_ascii=False).encode()
    bad = line.replace(b"|", b"\xff")

    where, message = fault(put(tmp_path, bad))

    assert message == "not UTF-8: byte 0xff"
    assert where == f"suite.jsonl:1:{bad[: bad.index(0xFF)].decode().__len__() + 1}"


def test_E2_a_line_at_the_limit_and_one_over_it(tmp_path: Path) -> None:
    empty = len(json.dumps(chat("")))
    full = json.dumps(chat("x" * (1024 * 1024 - empty)))
    assert len(full) == 1024 * 1024

    assert len(opened(put(tmp_path, f"{full}\n{json.dumps(chat('2'))}"))) == 2
    text = f"{json.dumps(chat('1'))}\n{full} \n{json.dumps(chat('2'))}\n\nx"
    with pytest.raises(ConfigError) as caught:
        opened(put(tmp_path, text))
    message = "this line is longer than the 1,048,576 bytes allowed"
    assert (caught.value.where, caught.value.message) == ("suite.jsonl:2:1", message)
    assert caught.value.details == ("suite.jsonl:5:1: not valid JSON: expecting value",)


MEMORY = """
import re, sys
from pathlib import Path
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.examples.examples import open_examples
path = Path(sys.argv[1])
try:
    examples = open_examples([(path, path.name)], root=path.parent)
    kept = list(examples) if sys.argv[2:] else []
    for at in range(0, len(examples), 97):
        examples.read(at), examples.meta(at)
    examples.require_unchanged()
    print(len(examples), end=" ")
except ConfigError as error:
    print(error.where, end=" ")
# Not getrusage: its peak is also that of the process this one was forked from.
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def memory(path: Path, *keep: str) -> tuple[str, int]:
    """Open a file in a process of its own: how many examples, and the most MiB it had."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path), *keep], capture_output=True, text=True, check=True
    )
    said, mib = done.stdout.split()
    return said, int(mib)


def test_15000_examples_cost_little_more_than_1000(tmp_path: Path) -> None:
    def line(at: int) -> Table:
        meta = {"language": "de" if at % 2 else "en", "customer": f"c-{at}"}
        return chat(f"question {at}", id=f"example-{at:06}", tags=["edge-case"], meta=meta)

    small = memory(put(tmp_path, map(line, range(1000)), "small.jsonl"))
    large = memory(put(tmp_path, map(line, range(15_000)), "large.jsonl"))

    kept = memory(tmp_path / "large.jsonl", "keep")

    print(f"1,000 examples: {small[1]} MiB; 15,000: {large[1]} MiB; all kept: {kept[1]} MiB")
    assert (small[0], large[0]) == ("1000", "15000")
    assert large[1] - small[1] < 10 < kept[1] - small[1]  # the control: what it is not to be


def test_E2_a_line_of_200_mb_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "suite.jsonl"
    with path.open("wb") as file:
        file.write(b'{"id": "')
        file.truncate(8)
        for _ in range(200):
            file.write(b"x" * 1024 * 1024)
        file.write(b'"}\n')

    where, mib = memory(path)

    print(f"a line of 200 MiB: {mib} MiB")
    assert where == "suite.jsonl:1:1"
    assert mib < 150


# Twice the same


def test_E10_an_id_twice_names_both_lines(tmp_path: Path) -> None:
    first = put(tmp_path, [chat("1"), chat("2", id="x")], "a.jsonl")
    second = put(tmp_path, [chat("3"), chat("4"), chat("5", id="x")], "b.jsonl")

    where, message = fault(first, second)

    assert where == "b.jsonl:3:1"
    assert message == "the ID 'x' is there twice: first at a.jsonl:2"


def test_E10_an_id_that_is_the_name_of_another_line(tmp_path: Path) -> None:
    path = put(tmp_path, [chat("1", id="suite:2"), chat("2")])

    assert fault(path) == (
        "suite.jsonl:2:1",
        "the ID 'suite:2' is there twice: first at suite.jsonl:1",
    )


def test_E10_one_input_with_two_answers_names_both_lines(tmp_path: Path) -> None:
    line = chat("q", "other")
    path = put(tmp_path, [chat("1"), chat("q", "one"), line])
    column = position(json.dumps(line), ("messages", 1, "content")) + 1

    assert fault(path) == (
        f"suite.jsonl:3:{column}",
        "the same input as at suite.jsonl:2, with another answer",
    )


def test_E10_one_input_with_two_sets_of_tags(tmp_path: Path) -> None:
    path = put(tmp_path, [chat("q"), chat("q", tags=["edge-case"])])

    assert fault(path) == (
        "suite.jsonl:2:1",
        "the same input as at suite.jsonl:1, with other tags, meta or group",
    )


def test_E10_one_input_with_one_answer_is_one_example(tmp_path: Path) -> None:
    again = {"messages": [dict(reversed(each.items())) for each in chat("q")["messages"]]}
    path = put(tmp_path, [chat("1"), chat("q"), again, chat("q", id="x"), chat("2")])

    examples = opened(path)

    assert (examples.ids, examples.duplicates) == (["suite:1", "suite:2", "suite:5"], 2)
    assert [each.messages[0]["content"] for each in examples] == ["1", "q", "2"]


def test_what_is_sent_beside_the_messages_makes_another_input(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]

    examples = opened(put(tmp_path, [chat("q", "1"), chat("q", "2", tools=tools)]))

    assert (len(examples), examples.duplicates) == (2, 0)


# Files


def test_E11_no_file_outside_of_the_root_is_read(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    (root / "evals").mkdir(parents=True)
    outside = put(tmp_path, "canary-secret", "secret.jsonl")
    (root / "link.jsonl").symlink_to(outside)
    (root / "parent").symlink_to(tmp_path)
    (root / "environ.jsonl").symlink_to("/proc/self/environ")
    (root / "dangling.jsonl").symlink_to("nowhere")
    (root / "loop.jsonl").symlink_to("loop.jsonl")
    for path in (
        outside,
        root / ".." / "secret.jsonl",
        root / "link.jsonl",
        root / "parent" / "secret.jsonl",
        root / "environ.jsonl",
        root / "dangling.jsonl",
        root / "loop.jsonl",
        root / "missing.jsonl",
        Path("~/secret.jsonl"),
        Path("/proc/self/environ"),
        Path("//server/share/x.jsonl"),
    ):
        with pytest.raises(ConfigError) as caught:
            open_examples([(path, "shown.jsonl")], root=root)
        assert "canary" not in str(vars(caught.value))


def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    put(tmp_path, [chat()], "real.jsonl")
    (tmp_path / "link.jsonl").symlink_to("real.jsonl")

    assert len(opened(tmp_path / "link.jsonl")) == 1


def test_E12_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")

    for name in ("fifo", "folder", "zero"):
        with pytest.raises(ConfigError):
            opened(tmp_path / f"{name}.jsonl")
    with pytest.raises(ConfigError, match="is not a regular file"):
        open_examples([(Path("/dev/zero"), "zero")], root=Path("/dev"))


def rewritten(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"q1", b"Q1"))


def replaced(path: Path) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(path.read_bytes() + b"\n")
    new.replace(path)


def linked(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("change", [rewritten, replaced, linked, Path.unlink])
def test_E13_a_file_that_changes_while_it_is_in_use(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = put(tmp_path, [chat("q1"), chat("q2")])
    examples = opened(path)
    examples.require_unchanged()
    before = path.stat()

    change(path)
    if path.is_file():
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(ConflictError, match=r"suite.jsonl changed while it was in use"):
        examples.require_unchanged()


def test_E13_a_replaced_file_is_read_as_it_was_checked(tmp_path: Path) -> None:
    path = put(tmp_path, [chat("q1"), chat("q2")])
    examples = opened(path)
    replaced(path)

    assert [each.messages[0]["content"] for each in examples] == ["q1", "q2"]


def test_E13_a_file_cut_in_place_is_a_conflict_and_no_other_example(tmp_path: Path) -> None:
    path = put(tmp_path, [chat("q1"), chat("q2", id="x")])
    examples = opened(path)

    path.write_bytes(path.read_bytes().replace(b'"x"', b'"y"'))
    with pytest.raises(ConflictError):
        examples.read(1)
    path.write_bytes(b"")
    with pytest.raises(ConflictError):
        examples.read(0)


def test_no_file_stays_open_longer_than_its_examples(tmp_path: Path) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    path, bad = put(tmp_path, [chat()]), put(tmp_path, "x,y", "bad.csv")
    gc.collect()  # errors of other tests have been through frames that held files
    before = count()

    examples = opened(path)
    assert count() == before + 1
    del examples
    assert count() == before
    fault(bad)
    gc.collect()
    assert count() == before


# The agreed answer


def test_a_wrong_answer_key_is_a_fault_at_its_place(tmp_path: Path) -> None:
    lines = [chat("1", "yes"), chat("2", "maybe"), chat("3", "no"), chat("4", "perhaps")]

    def check(example: Example) -> str:
        return "" if example.reference in {"yes", "no"} else "not one of the labels"

    with pytest.raises(ConfigError) as caught:
        opened(put(tmp_path, lines), check=check)

    column = position(json.dumps(lines[1]), ("messages", 1, "content")) + 1
    assert caught.value.where == f"suite.jsonl:2:{column}"
    assert caught.value.message == "the agreed answer: not one of the labels (in 2 lines)"
    assert caught.value.details == ()


@pytest.mark.parametrize("is_item", [False, True], ids=["chat", "inside-of-an-item"])
def test_a_review_of_the_future_is_a_fault_at_its_place(tmp_path: Path, is_item: bool) -> None:
    now = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)

    def line(at: str) -> Table:
        said = {"reviewed_by": "ana", "reviewed_at": at}
        return {"item": {"input": "q", "reference": "a", **said}} if is_item else chat(**said)

    for at in ("2036-11-21T08:30:00Z", "2026-11-22T09:00:00Z"):
        column = json.dumps(line(at)).index('"reviewed_at"') + 1
        expected = f"suite.jsonl:1:{column}", "'reviewed_at' is in the future"
        assert fault(put(tmp_path, [line(at)]), now=now) == expected
        one(tmp_path, line(at))  # control: without a clock nothing is
    one(tmp_path, line("2026-11-22T09:30:00+02:00"), now=now)


def test_the_examples_of_this_repository_open_and_agree_with_themselves() -> None:
    path = ROOT / "evals" / "triage.jsonl"
    text = (
        '[[g]]\ntype = "json_fields"\n'
        'fields = { urgency = "exact", category = "exact", next_step = "casefold" }\n'
    )
    doc = document.parse(text.encode(), "fftdeploy.toml")
    grading = build(parse_graders(doc, ("g",), doc.data["g"]))

    examples = open_examples(
        [(path, "evals/triage.jsonl")], root=ROOT, check=grading.reference_problem
    )

    assert (len(examples), examples.reviewed, examples.duplicates) == (67, 67, 0)
    assert grading.fields == ("urgency", "category", "next_step")
    for example in examples:
        assert grading.grade(example.reference, example) == Grade(passed=True, score=1.0)


# Anything else

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 1.5, "", "x", "\u200b", [], [1], [None], {}, {"k": 1}, [[]], [{}]),
    *({"role": "user"}, [{"role": "assistant", "content": [{"type": "text", "text": 1}]}]),
)
FULL = {
    **chat("q", "a", id="x", tags=["t"], meta={"k": "v"}, group="g", reviewed_by="b"),
    "reviewed_at": "2026-11-02T09:07:00Z",
    "response_schema": {},
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "parallel_tool_calls": True,
}
ITEM = {"item": {"input": [{"role": "user", "content": "q"}], "reference": "a", "tags": ["t"]}}


def spoilt(value: Any, random: Random) -> Any:
    """Return `value` with one part of it replaced, removed or renamed."""
    if not isinstance(value, dict | list) or not value or random.random() < 0.2:
        return random.choice(VALUES)
    if isinstance(value, list):
        at = random.randrange(len(value))
        return [*value[:at], *([spoilt(value[at], random)] * random.randrange(3)), *value[at + 1 :]]
    key = random.choice(list(value))
    rest = {each: below for each, below in value.items() if each != key}
    if random.random() < 0.2:
        return {**rest, random.choice(["kez", "\x00", "a" * 600, ""]): value[key]}
    return {**rest, key: spoilt(value[key], random)}


def parsed(text: str) -> Example | LineError:
    try:
        return parse_line(text, "name", "place", None)
    except LineError as error:
        return error


def test_no_line_ends_in_anything_but_an_example_or_a_located_fault() -> None:
    random = Random(11)
    tried = faults = 0
    for _ in range(6000):
        text = json.dumps(spoilt(random.choice([FULL, ITEM]), random))
        if random.random() < 0.3:
            at = random.randrange(len(text))
            text = text[:at] + random.choice('{}[]",:\\0\u2028\x00') * 2 + text[at + 1 :]
        tried += 1
        found = parsed(text)
        if isinstance(found, Example):
            assert all((found.messages, found.reference, found.input_key))
            continue
        faults += 1
        assert 1 <= found.column <= len(text) + 1
        assert found.message.isprintable()
        assert len(found.message) < 200
    print(f"{tried} tried, {faults} of them faults, 0 wrong")
    assert 1000 < faults < tried - 500


# What a training file has too


def words(first: int, last: int) -> str:
    return " ".join(f"word{number}" for number in range(first, last))


def test_examples_that_a_training_file_has_too(tmp_path: Path) -> None:
    lines = [
        chat(words(0, 20), id="same"),
        chat(words(100, 120), id="near"),
        chat(words(200, 220), id="half"),
        chat(words(300, 320), id="other"),
        chat("Yes, please!", id="short"),
        chat("No, thanks", id="short other"),
    ]
    training = put(
        tmp_path,
        [
            {
                "messages": [
                    {"role": "system", "content": "x"},
                    *chat(words(0, 20).upper())["messages"],
                ]
            },
            chat(words(100, 108) + " changed " + words(109, 120), "b"),
            chat(words(200, 209) + " " + words(900, 911)),
            chat("yes please"),
            {"input": {"messages": [{"role": "user", "content": "dpo"}]}, "preferred_output": []},
            {"item": {"input": "rft", "answer": "x"}},
        ],
        "training.jsonl",
    )

    found = overlap(opened(put(tmp_path, lines)), training, root=tmp_path)

    assert (found.exact, found.near) == (("same", "short"), ("near",))
    assert found.file_sha == hashlib.sha256(training.read_bytes()).hexdigest()


def test_boilerplate_does_not_make_inputs_alike(tmp_path: Path) -> None:
    frame = words(0, 60)
    lines = [chat(f"{frame} {words(1000 * at, 1000 * at + 8)}", id=str(at)) for at in range(1, 50)]
    training = put(tmp_path, [chat(f"{frame} {words(90_000, 90_008)}")], "training.jsonl")

    found = overlap(opened(put(tmp_path, lines)), training, root=tmp_path)

    assert (found.exact, found.near) == ((), ())


def test_a_few_examples_are_compared_word_by_word(tmp_path: Path) -> None:
    """The control of the test above: among few examples, what they share is no boilerplate."""
    frame = words(0, 60)
    training = put(tmp_path, [chat(f"{frame} {words(90_000, 90_008)}")], "training.jsonl")

    found = overlap(
        opened(put(tmp_path, [chat(f"{frame} {words(1000, 1008)}")])), training, root=tmp_path
    )

    assert (found.exact, found.near) == ((), ("suite:1",))


def test_a_prompt_shows_neither_a_short_example_nor_boilerplate(tmp_path: Path) -> None:
    frame = words(0, 60)
    asked = [
        "hi",
        "Refund, please",
        *(f"{frame} {words(1000 * at, 1000 * at + 8)}" for at in range(1, 50)),
    ]
    examples = opened(put(tmp_path, [chat(text) for text in asked]))
    prompt = f"Say hi. For 'refund please' be brief. {frame}"

    assert shown_in(examples, prompt, []) == []
    assert shown_in(examples, prompt, ["HI!"]) == [0]
    assert shown_in(examples, f"{prompt} {words(3000, 3008)}", []) == [4]
    assert shown_in(examples, words(3000, 3008), []) == [4]


def runs(text: str) -> set[tuple[str, ...]]:
    said = text.split()
    return {tuple(said[at : at + 3]) for at in range(len(said) - 2)}


def test_nearness_is_what_comparing_all_pairs_finds(tmp_path: Path) -> None:
    random = Random(3)
    base = [" ".join(random.choices("abcdefghijkl", k=14)) for _ in range(60)]

    def changed(text: str, times: int) -> str:
        said = text.split()
        for _ in range(times):
            said[random.randrange(len(said))] = random.choice("xyz")
        return " ".join(said)

    asked = list(dict.fromkeys(base))
    seen = list(dict.fromkeys(changed(text, random.randrange(1, 5)) for text in base))
    examples = opened(put(tmp_path, [chat(text, id=text) for text in asked]))
    training = put(tmp_path, [chat(text) for text in seen], "training.jsonl")
    expected = {
        ours
        for ours in asked
        for theirs in seen
        if ours != theirs and len(runs(ours) & runs(theirs)) >= 0.5 * len(runs(ours) | runs(theirs))
    } - set(seen)

    found = overlap(examples, training, root=tmp_path)

    wrong = len(set(found.near) ^ expected)
    print(f"{len(asked)} tried, {wrong} wrong, {len(expected)} near")
    assert wrong == 0
    assert 5 < len(expected) < len(asked)


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b'{"messages": [{"role": "user", "content": "q"}]}\n{\n', ":2:1"),
        (b'{"text": "q"}\n', ":1:1"),
        (b"a,b\n", ":1:1"),
        (b'{"a": "' + b"x" * 1024 * 1024 + b'"}', ":1:1"),
    ],
)
def test_a_training_file_that_is_none(tmp_path: Path, content: bytes, where: str) -> None:
    examples = opened(put(tmp_path, [chat()]))
    training = put(tmp_path, content, "training.jsonl")

    with pytest.raises(ConfigError) as caught:
        overlap(examples, training, root=tmp_path)

    assert caught.value.where == f"{training}{where}"


# The page about all this

PAGE = "".join(
    (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("examples.md", "graders.md")
)
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_line_of_json_on_the_page_is_an_example(tmp_path: Path) -> None:
    blocks = [text for kind, text in BLOCKS if kind == "json"]
    assert len(blocks) >= 4

    for text in blocks:
        (count,) = {len(opened(put(tmp_path, text), item=_mapping(text)))}
        assert count == len(text.strip().splitlines())


def _mapping(text: str) -> dict[str, str] | None:
    return {"input": "ticket", "reference": "label"} if '"ticket"' in text else None


def test_every_piece_of_toml_on_the_page_is_a_gate() -> None:
    blocks = [text for kind, text in BLOCKS if kind == "toml"]
    assert len(blocks) >= 4

    for text in blocks:
        path = ("tasks", "triage", "gate")
        whole = text
        if "[tasks.triage.gate]\n" not in whole:
            whole = f'[tasks.triage.gate]\nexamples = ["evals/triage.jsonl"]\n{whole}'
        if ".graders]]" not in whole:
            whole += '[[tasks.triage.gate.graders]]\ntype = "number"\n'
        doc = document.parse(whole.encode(), "fftdeploy.toml")
        gate = tomllib.loads(whole)["tasks"]["triage"]["gate"]

        assert build(GATE.read(doc, path, gate).graders).graders


def test_the_page_names_every_grader_and_kind() -> None:
    from fftdeploy.policy import grader_types

    named = set(re.findall(r"`([a-z0-9_]+)`", PAGE))

    assert set(grader_types.KINDS) <= named
    assert set(grader_types.TYPES) <= named
