"""A prompt drafted from reviewed examples, without a model, and judged like any other."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from command_line import Command
from gated import EXAMPLES, POLICY, TARGET, evidence, paid, scene
from scenes import LUNA, POLICY_FILE, V8, V9, past, write, write_profile

from fftdeploy.commands.schema import output_schema
from fftdeploy.evaluation.graders.proposed import is_strict, shape_of
from fftdeploy.sandbox import Sandbox

DRAFT = Path("profiles/triage-draft.toml")
RULES = POLICY.replace("slices", 'must_pass = ["edge-case"]\nslices')


def lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in EXAMPLES.read_text().splitlines()]


def rewrite(change: Callable[[int, dict[str, Any]], dict[str, Any]]) -> None:
    changed = [json.dumps(change(number, line)) for number, line in enumerate(lines())]
    EXAMPLES.write_text("\n".join(changed) + "\n")


def drafted(command: Command, *words: str, code: int = 0) -> dict[str, Any]:
    ended = command("migrate", *words, "--draft-profile", "--json")
    assert ended.code == code, ended
    said = dict(json.loads(ended.out))
    jsonschema.Draft202012Validator(output_schema()).validate(said)
    return said


def test_a_draft_says_what_the_examples_show_and_the_gate_judges_it(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    """A model without tuning fails without a prompt, and with the draft is as good as it can be."""
    scene(V8, V9, policy=RULES)

    (made,) = drafted(command, "triage")["drafts"]
    written = DRAFT.read_bytes()
    said = tomllib.loads(written.decode())
    form = said["response_format"]["json_schema"]

    assert not sandbox.requests
    assert (made["profile"], made["path"], made["examples"]) == ("triage-draft", str(DRAFT), 67)
    assert written.startswith(b"# A DRAFT, which no model wrote")
    assert said["system"].startswith("Triage the customer message.\nAnswer with one raw JSON")
    assert '- urgency: one of "high", "low", "medium"\n' in said["system"]
    assert (form["name"], form["strict"]) == ("triage", True)
    answers = [json.loads(line["messages"][-1]["content"]) for line in lines()]
    for answer in answers:
        jsonschema.validate(answer, form["schema"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**answers[0], "urgency": "soon"}, form["schema"])

    known = {line["id"]: line for line in lines()}
    shown = [known[example_id] for example_id in made["shots"]]
    assert len(shown) == 8, "67 less the 59 that the gate needs"
    assert said["shots"] == [
        {
            "user": line["messages"][-2]["content"],
            "assistant": line["messages"][-1]["content"],
        }
        for line in shown
    ]
    assert not any("edge-case" in line.get("tags", ()) for line in shown)
    found = {json.loads(line["messages"][-1]["content"])["category"] for line in shown}
    assert found == {answer["category"] for answer in answers}, "every category"
    assert {line["meta"]["language"] for line in shown} == {"de", "en"}
    assert made["not_shown"] == ["next_step=page on-call", "next_step=send replacement"]

    again = command("migrate", "triage", "--draft-profile")
    assert (again.code, f"{DRAFT} is there already" in again.err) == (8, True), again
    assert DRAFT.read_bytes() == written
    DRAFT.unlink()
    told = command("migrate", TARGET, "--draft-profile")
    assert DRAFT.read_bytes() == written, "the same files give the same draft"
    assert f"wrote {DRAFT}: a draft from 67 reviewed examples of triage\n" in told.out
    assert "@triage-draft --dry-run\n" in told.err

    words = ("migrate", TARGET, "--to", f"{LUNA}@triage-draft,{LUNA}@", "--dry-run", "--why", "x")
    compared = json.loads(command(*words, "--override", "order", "--json").out)
    successors = compared["targets"][0]["successors"]
    ranked = [(one["profile"], one["rank"]) for one in successors]
    assert ranked == [("triage-draft", 1), (None, None)]
    judged = {path.stem: json.loads(path.read_text()) for path in evidence()}
    draft, bare = (judged[one["evaluation"]["evidence"]] for one in successors)
    assert draft["left_out"] == sorted(made["shots"])
    assert "left_out" not in bare
    rates = [one["verdict"]["arms"][0] for one in (draft, bare)]
    assert (rates[0]["n"], rates[0]["rate"] > 0.9) == (59, True)
    assert (rates[1]["passed"], rates[1]["marks"]) == (0, {"unparsable": 67})


def test_what_can_not_be_drafted_is_refused_and_nothing_is_written(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V9, policy=RULES)
    for flag in (("--plan",), ("--record",), ("--dry-run",), ("--commit",), ("--to", LUNA)):
        both = command("migrate", "--draft-profile", *flag)
        assert (both.code, f"--draft-profile and {flag[0]} exclude" in both.err) == (2, True), both
    rewrite(lambda _, line: {k: v for k, v in line.items() if not k.startswith("reviewed")})
    unreviewed = command("migrate", TARGET, "--draft-profile")
    assert (unreviewed.code, "no example of triage is reviewed" in unreviewed.err) == (7, True)
    POLICY_FILE.write_text(POLICY[: POLICY.index("[tasks.triage.gate]")])
    assert "task 'triage' has no gate" in command("migrate", TARGET, "--draft-profile").err
    assert not DRAFT.exists()


def test_only_tasks_whose_successors_lack_a_prompt_are_drafted_unasked(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V9)
    write_profile("long")
    named = f'[tasks.triage]\nsuccessors = [{{ model = "{LUNA}", profile = "long" }}]\n\n'
    gate = POLICY.index("[tasks.triage.gate]")
    POLICY_FILE.write_text(POLICY[:gate] + named + POLICY[gate:])
    write(past(TARGET, V8), past("labels/production", V8))
    assert drafted(command)["drafts"] == []
    POLICY_FILE.write_text(POLICY_FILE.read_text().replace(', profile = "long"', ""))
    (made,) = drafted(command)["drafts"]
    assert made["task"] == "triage"


def test_no_example_is_shown_that_the_gate_can_not_spare(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V9, policy=RULES, examples=60)
    (made,) = drafted(command, "triage")["drafts"]
    assert len(made["shots"]) == 1
    DRAFT.unlink()
    scene(V8, V9, policy=RULES, examples=59)
    (made,) = drafted(command, "triage")["drafts"]
    assert made["shots"] == []
    assert "shots" not in tomllib.loads(DRAFT.read_text())
    assert paid(sandbox) == 0


LABELS = ["spam", "ham", "spam", "ham", "spam", "ham"]
SHAPES: dict[str, tuple[list[str], Any, tuple[str, ...], str]] = {
    "labels": (LABELS, None, ("",), 'word for word, and nothing else: "ham", "spam".'),
    "numbers": (["1", "2.5", "-3"], None, (), "one number"),
    "texts": (["A long way.", "No way at all."], None, (), ""),
    "calls": (['[{"name":"f","arguments":{}}]'] * 3, None, (), ""),
    "arrays": (["[1]", "[2, 3]"], None, (), "one JSON array"),
    "optional": (
        ['{"a": 1}', '{"a": 2, "b": null}', '{"a": 2.5, "b": "x"}'],
        {
            "a": {"type": "number"},
            "b": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        },
        (),
        "- b: null or string",
    ),
    "nested": (
        [f'{{"to": {{"team": "{one}"}}, "why": [{{"n": 1}}], "is": true}}' for one in LABELS],
        {
            "to": {
                "type": "object",
                "properties": {"team": {"type": "string", "enum": ["ham", "spam"]}},
                "required": ["team"],
                "additionalProperties": False,
            },
            "why": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"n": {"type": "integer"}},
                    "required": ["n"],
                    "additionalProperties": False,
                },
            },
            "is": {"type": "boolean"},
        },
        ("to.team",),
        '- to.team: one of "ham", "spam"',
    ),
    "empty-list": (['{"tags": []}'] * 3, {"tags": {"type": "array", "items": {}}}, (), "tags"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_shape_of_answers_as_a_prompt_says_it(name: str) -> None:
    answers, fields, labels, rule = SHAPES[name]
    shape = shape_of(answers)
    assert (shape.schema or {}).get("properties") == fields
    assert shape.labels == labels
    assert rule in "\n".join(shape.rules)
    if shape.schema:
        for answer in answers:
            jsonschema.validate(json.loads(answer), shape.schema)
        assert is_strict(shape.schema) == (name == "nested")
