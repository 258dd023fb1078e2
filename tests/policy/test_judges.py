"""Graders that ask a model: what their tables say, and what is refused of them."""

import pytest

from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.examples.example_lines import parse_line
from fftdeploy.evaluation.graders.graders import build
from fftdeploy.evaluation.results import MISSING
from fftdeploy.policy import policy
from fftdeploy.policy.grader_rules import GraderRules
from fftdeploy.releases.deployments import Bundle

LENGTH = """
[[tasks.t.gate.graders]]
type = "length"
max_chars = 9
"""
LABEL = """
[[tasks.t.gate.graders]]
type = "label_model"
name = "tone"
model = "gpt-6-sol"
prompt = "Is {{ sample.output_text }} kind to {{item.input}}?"
labels = ["kind", "curt", "rude"]
passing_labels = ["kind", "curt"]
"""
SCORE = """
[[tasks.t.gate.graders]]
type = "score_model"
model = "acme/judge"
provider = "vllm"
range = [1, 5]
pass_threshold = 4
sampling_params = { temperature = 0, seed = 7, max_completions_tokens = 9 }
[[tasks.t.gate.graders.input]]
role = "system"
content = "Rate {{item.reference}}"
[[tasks.t.gate.graders.input]]
role = "user"
content = "{{sample.output_text}}"
"""
EXAMPLE = parse_line(
    '{"messages": [{"role": "user", "content": "{{sample.output_text}}"}, '
    '{"role": "assistant", "content": "ok"}]}',
    "e1",
    "e.jsonl:1",
    None,
)


def graders(*tables: str) -> tuple[GraderRules, ...]:
    head = 'version = 1\n[tasks.t.gate]\nexamples = ["e.jsonl"]\n'
    gate = policy.parse((head + "".join(tables)).encode()).gate("t")
    assert gate is not None
    return gate.graders


def test_a_label_model_asks_one_thing_and_reads_one_word() -> None:
    judge = build(graders(LENGTH, LABEL)).judge
    assert judge is not None

    # What stands in an answer or an input is no template, whatever it looks like.
    (turn,) = judge.messages("{{item.input}} and {{ item.x }}", EXAMPLE)
    assert turn["content"] == "Is {{item.input}} and {{ item.x }} kind to {{sample.output_text}}?"
    said = {text: judge.grade(text, EXAMPLE) for text in ('{"label":"curt"}', '{"label": "rude"}')}
    assert [(grade.passed, grade.reason) for grade in said.values()] == [
        (True, ""),
        (False, "wrong"),
    ]
    for nothing in ("kind", '{"label":"KIND"}', '{"label":"kind","why":1}', '["kind"]', "```", "1"):
        grade = judge.grade(nothing, EXAMPLE)
        assert (grade.passed, grade.reason) == (False, MISSING), nothing
    assert judge.bundle == Bundle("gpt-6-sol")
    assert [judge.passes(label) for label in judge.known] == [True, True, False, True, False]


def test_a_score_model_has_a_range_and_what_goes_out_with_it() -> None:
    judge = build(graders(SCORE, LENGTH)).judge
    assert judge is not None

    assert [turn["role"] for turn in judge.messages("x", EXAMPLE)] == ["system", "user"]
    assert judge.messages("x", EXAMPLE)[0]["content"] == "Rate ok"
    sent = {key: value for key, value in judge.profile.content.items() if key != "response_format"}
    assert sent == {"temperature": 0, "seed": 7, "max_completion_tokens": 9}
    marks = {"4": True, "5.0": True, "3.9": False}
    for number, passed in marks.items():
        assert judge.grade(f'{{"score": {number}}}', EXAMPLE).passed is passed
    for nothing in ("0.9", "6", "true", '"5"', "null"):
        assert judge.grade(f'{{"score": {nothing}}}', EXAMPLE).reason == MISSING, nothing


def test_another_prompt_or_parameter_is_another_judge() -> None:
    def sha(old: str = "", new: str = "") -> str:
        judge = build(graders(LENGTH, LABEL.replace(old, new))).judge
        assert judge is not None
        return judge.sha

    others = (("gpt-6-sol", "gpt-6-luna"), ("kind to", "nice to"), ('"kind", "curt"]', '"kind"]'))
    assert len({sha(), *(sha(*change) for change in others)}) == 4
    assert sha() == sha('["kind", "curt", "rude"]', '[ "kind", "curt", "rude" ]')


REFUSED = {
    "E26 alone": ((LABEL,), "never the only grader", 5),
    "two": ((LENGTH, LABEL, SCORE), "one model judge at most", 17),
    "nothing to judge": (
        (LENGTH, LABEL.replace("sample.output_text", "item.reference")),
        "not shown",
        13,
    ),
    "E17 template": ((LENGTH, LABEL.replace("item.input", "item.input|upper")), "is not read", 13),
    "E17 block": ((LENGTH, LABEL.replace("Is", "{% if x %}Is")), "'{%' is not read", 13),
    "both": ((LENGTH, LABEL + 'input = [{ role = "user", content = "x" }]\n'), "a 'prompt' or", 9),
    "no such label": ((LENGTH, LABEL.replace('"curt"]', '"nice"]')), "'nice' is not one of", 15),
    "all pass": ((LENGTH, LABEL.replace('"curt"]', '"curt", "rude"]')), "every label passes", 15),
    "threshold": ((LENGTH, SCORE.replace("= 4", "= 1")), "more than 1 and at most 5", 14),
    "range": ((LENGTH, SCORE.replace("[1, 5]", "[5, 1]")), "'range' is", 13),
    "host": ((LENGTH, SCORE.replace('provider = "vllm"\n', "")), "not an OpenAI model ID", 11),
}


@pytest.mark.parametrize(("tables", "message", "line"), REFUSED.values(), ids=REFUSED)
def test_what_no_judge_may_say(tables: tuple[str, ...], message: str, line: int) -> None:
    with pytest.raises(ConfigError) as error:
        graders(*tables)
    assert message in error.value.message
    assert error.value.where.split(":")[1] == str(line), error.value.where
