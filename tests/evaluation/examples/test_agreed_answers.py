"""Agreed answers that no answer can meet, several that any may meet, and data of old shapes."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from example_files import Table, chat, one, opened, put
from gated import EXAMPLES, TARGET, scene
from reviewing import at_terminal
from scenes import V8, V10

from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.examples.reviewed import ReviewDecision, revised
from fftdeploy.evaluation.graders.graders import Grading, build
from fftdeploy.formats import document
from fftdeploy.policy.grader_rules import parse_graders


def called(arguments: str) -> Table:
    function = {"name": "weather", "arguments": arguments}
    message = {
        "role": "assistant",
        "tool_calls": [{"id": "1", "type": "function", "function": function}],
    }
    return {"messages": [{"role": "user", "content": "Oslo?"}, message]}


def item(**agreed: Any) -> Table:
    return {"item": {"input": "q", **agreed}}


ENCODED = json.dumps(json.dumps({"city": "Oslo"}))
MESSAGE = {"role": "assistant", "content": "refund"}
CALL = {"name": "f", "arguments": '{"a": 1}'}
WHOLE = "the agreed answer is a whole message where a text is meant: nothing can pass"
SHAPE = "the agreed tool calls have another shape than answers: nothing can pass"

UNMET: dict[str, tuple[Table, str, str]] = {
    "arguments encoded twice": (
        called(ENCODED),
        "the arguments of the agreed tool call are a text with JSON in it, encoded twice: "
        "nothing can pass",
        '"arguments"',
    ),
    "arguments that are a list": (
        called("[1]"),
        "the arguments of the agreed tool call are an array: nothing can pass",
        '"arguments"',
    ),
    "arguments that are a text": (
        called('"Oslo"'),
        "the arguments of the agreed tool call are a text: nothing can pass",
        '"arguments"',
    ),
    "arguments that are null": (
        called("null"),
        "the arguments of the agreed tool call are null: nothing can pass",
        '"arguments"',
    ),
    "arguments that are no JSON": (
        called("{'city': 1}"),
        "the arguments of the agreed tool call: broken JSON",
        '"arguments"',
    ),
    "a message": (item(reference=MESSAGE), WHOLE, '"reference"'),
    "a list of one message": (item(expected=[MESSAGE]), WHOLE, '"expected"'),
    "a message as text": (item(ideal=json.dumps(MESSAGE)), WHOLE, '"ideal"'),
    "a message as the text of one": (chat("q", json.dumps(MESSAGE)), WHOLE, '"content"'),
    "a message with calls": (
        item(reference={"role": "assistant", "content": None, "tool_calls": []}),
        WHOLE,
        '"reference"',
    ),
    "calls with encoded arguments": (item(reference=[CALL]), SHAPE, '"reference"'),
    "calls as a message has them": (
        item(reference=[{"id": "1", "type": "function", "function": CALL}]),
        SHAPE,
        '"reference"',
    ),
    "none of no answers": (
        item(ideal=[]),
        "the agreed answer is empty: none of no answers can pass",
        '"ideal"',
    ),
    "an empty one of several": (item(ideal=["a", ""]), "the agreed answer is empty", '""'),
    "a message, one of several": (item(ideal=["a", MESSAGE]), WHOLE, '{"role"'),
}


@pytest.mark.parametrize("case", UNMET)
def test_J12_an_agreed_answer_that_nothing_can_meet_is_refused_at_its_line(
    tmp_path: Path, case: str
) -> None:
    line, message, at = UNMET[case]
    good, text = json.dumps(chat("first")), json.dumps(line)

    with pytest.raises(ConfigError) as caught:
        opened(put(tmp_path, f"{good}\n{text}\n"))

    column = text.rindex(at) + 1
    assert (caught.value.message, caught.value.where) == (message, f"suite.jsonl:2:{column}")


MET: dict[str, tuple[Table, str]] = {
    "an object": (called('{"city": "Oslo"}'), '[{"arguments":{"city":"Oslo"},"name":"weather"}]'),
    "no arguments": (called("{}"), '[{"arguments":{},"name":"weather"}]'),
    "JSON that has a role": (item(reference={"role": "assistant"}), '{"role":"assistant"}'),
    "a person's role": (
        chat("q", '{"role": "assistant", "name": "Ana", "salary": 3}'),
        '{"role": "assistant", "name": "Ana", "salary": 3}',
    ),
    "another's message": (
        item(reference={"role": "user", "content": "x"}),
        '{"content":"x","role":"user"}',
    ),
    "a form with content": (
        item(reference={"role": "assistant", "content": "x", "subject": "y"}),
        '{"content":"x","role":"assistant","subject":"y"}',
    ),
    "calls as answers have them": (
        item(reference=[{"name": "f", "arguments": {"a": 1}}]),
        '[{"arguments":{"a":1},"name":"f"}]',
    ),
    "a list elsewhere": (item(expected=["a", "b"]), '["a","b"]'),
}


@pytest.mark.parametrize("case", MET)
def test_J12_control_what_an_answer_can_say_is_an_agreed_answer(tmp_path: Path, case: str) -> None:
    line, agreed = MET[case]

    assert one(tmp_path, line).reference == agreed


# Any of these.

STRING = b'[[graders]]\ntype = "string_check"\noperation = "eq"\n'


def grading(text: bytes = STRING) -> Grading:
    made = document.parse(text, "fftdeploy.toml")
    return build(parse_graders(made, ("graders",), made.data["graders"]))


def test_J12_a_list_of_ideal_answers_is_any_of_these(tmp_path: Path) -> None:
    example = one(tmp_path, item(ideal=["refund", "a refund", 7, "refund"]))

    assert (example.reference, example.others) == ("refund", ("a refund", "7"))
    graded = {said: grading().grade(said, example) for said in ("refund", "a refund", "7", "no")}
    passed = {said: grade.passed for said, grade in graded.items()}
    assert passed == {"refund": True, "a refund": True, "7": True, "no": False}


def test_J12_the_best_of_several_answers_gives_the_reason(tmp_path: Path) -> None:
    fields = b'[[graders]]\ntype = "json_fields"\nfields = { a = "exact", b = "exact" }\n'
    example = one(tmp_path, item(ideal=[{"a": 1, "b": 1}, {"a": 2, "b": 2}]))

    grade = grading(fields).grade('{"a": 2, "b": 1.5}', example)

    assert (grade.passed, grade.score, grade.failed) == (False, 0.5, (1,))


def test_J12_each_of_several_answers_is_checked(tmp_path: Path) -> None:
    number = b'[[graders]]\ntype = "number"\n'
    path = put(tmp_path, [item(ideal=["7", "seven"])])

    with pytest.raises(ConfigError, match="the agreed answer: ") as caught:
        opened(path, check=grading(number).reference_problem)

    assert caught.value.where.startswith("suite.jsonl:1:")


def test_J12_one_input_with_two_sets_of_answers_is_a_fault(tmp_path: Path) -> None:
    path = put(tmp_path, [item(ideal=["a", "b"]), item(ideal=["a", "c"])])

    with pytest.raises(ConfigError, match=r"the same input as at suite.jsonl:1, with another"):
        opened(path)


def test_J12_a_review_replaces_the_one_that_it_shows(tmp_path: Path) -> None:
    row = json.dumps(item(ideal=["a", "b"])).encode()

    new = json.loads(revised(row, ReviewDecision("c"), item_reference=None))

    assert new["item"]["ideal"] == ["c", "b"]


def test_J12_a_report_shows_each_of_several_answers(
    repo: Path, sandbox: Any, command: Command
) -> None:
    scene(V8, V10)
    lines = [json.loads(line) for line in EXAMPLES.read_text().splitlines()]
    for line in lines:
        asked, agreed = line["messages"][1]["content"], line["messages"][2]["content"]
        other = {**json.loads(agreed), "next_step": "wait for the parcel"}
        del line["messages"]
        line["item"] = {"input": asked, "ideal": [json.loads(agreed), other]}
    EXAMPLES.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command("eval", TARGET)

    assert command("report", "-o", "report.html").code == 0

    assert Path("report.html").read_text().count("<dt>Or</dt>") == len(lines)


# Data of other shapes, each with a hint of its own.


def test_reinforcement_data_is_told_how_to_become_items(tmp_path: Path) -> None:
    """The line of the hint is run, and what it writes is read."""
    line = {
        "messages": [{"role": "user", "content": "2 + 2?"}],
        "reference_answer": {"answer": 4},
        "difficulty": "easy",
    }
    path = put(tmp_path, [line])

    with pytest.raises(ConfigError) as caught:
        opened(path)

    said = "this is data of reinforcement fine-tuning: its answer is beside the messages"
    assert caught.value.message == said
    _, command = caught.value.hint.split(": ", 1)
    assert command == "jq -c '{item: {messages, reference: .reference_answer}}' FILE"
    if shutil.which("jq"):
        made = subprocess.run(
            ["sh", "-c", command.replace("FILE", str(path))], check=True, capture_output=True
        )
        assert one(tmp_path, json.loads(made.stdout)).reference == '{"answer":4}'


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ({"messages": chat()["messages"], "functions": [{"name": "f"}]}, '[{"name"'),
        (
            {
                "messages": [
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
                ]
            },
            '{"name"',
        ),
    ],
    ids=["functions", "function_call"],
)
def test_data_of_old_functions_is_told_the_new_shape(
    tmp_path: Path, line: Table, column: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(put(tmp_path, [line]))

    assert "was replaced by 'tool" in caught.value.message
    assert '"tools": [{"type": "function", "function": {...}}]' in caught.value.hint
    assert '"tool_calls"' in caught.value.hint


def test_J11_what_git_left_in_place_of_a_file_is_named_by_each_command(
    repo: Path, sandbox: Any, command: Command
) -> None:
    """In every command that reads examples, before anything is asked."""
    scene(V8, V10)
    whole = EXAMPLES.read_text()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 9\n"
    lines = whole.splitlines(keepends=True)
    lines[2:2] = ["<<<<<<< HEAD\n", lines[2], "=======\n", lines[3], ">>>>>>> theirs\n"]
    commands = (
        ("eval", TARGET),
        ("size", TARGET),
        ("check",),
        ("check", "--offline"),
        ("promote", TARGET, "--why", "x", "--yes", "--eval", "--max-requests", "9"),
    )
    tried = 0
    for content, said, hint in (
        (
            pointer,
            "a Git LFS pointer: the file itself is not here (evals/triage.jsonl:1:1)",
            "pull",
        ),
        (
            "".join(lines),
            "unresolved merge conflict at line 3 (evals/triage.jsonl:3:1)",
            "git add evals/triage.jsonl",
        ),
    ):
        EXAMPLES.write_text(content)
        for argv in commands:
            ended = command(*argv)
            tried += 1
            assert (ended.code, f"error: {said}" in ended.err, hint in ended.err) == (
                3,
                True,
                True,
            ), (argv, ended)
        code, shown = at_terminal(["triage", "--unreviewed"])
        assert (code, said in " ".join(shown.split())) == (3, True), shown
    print(f"{tried} commands, none of them took it for examples")
    assert not sandbox.requests


@pytest.mark.parametrize("start", ["version https://git-lfs.github.com/spec/v1", "<<<<<<< HEAD"])
def test_J11_answers_to_review_are_no_pointer(repo: Path, start: str) -> None:
    scene(V8, V10)
    Path("answers.jsonl").write_text(f"{start}\n" + json.dumps(chat("q", "a")) + "\n")

    code, shown = at_terminal(["triage", "--from", "answers.jsonl"])

    assert code == 3
    assert "a Git LFS pointer" in shown or "unresolved merge conflict" in shown
