"""A real llama.cpp: what it says of itself, and our commands against it."""

from collections.abc import Iterator
from typing import Any

import llama
import pytest
from llama import Llama, Weights

pytestmark = pytest.mark.skipif(bool(llama.MISSING), reason=llama.MISSING)

COUNT = 64
LABELS = ["refund", "billing", "bug", "other"]
SHAPE = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": LABELS}},
    "required": ["label"],
    "additionalProperties": False,
}
FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "triage", "strict": True, "schema": SHAPE},
}


def question(number: int) -> str:
    return f"Order {number * 37 % 101} has not arrived, what now?"


def answers(server: Llama, model: str) -> list[str]:
    """Ask the server itself, with no code of ours in between."""
    return [content(server, model, question(number)) for number in range(COUNT)]


def content(server: Llama, model: str, text: str) -> str:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
        "max_completion_tokens": 64,
        "response_format": FORMAT,
    }
    said: str = server.ask("/v1/chat/completions", body).body["choices"][0]["message"]["content"]
    return said


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Weights:
    base = tmp_path_factory.getbasetemp()
    return llama.weights((base if worker_id == "master" else base.parent) / "llama")


@pytest.fixture(scope="module")
def plain(weights: Weights) -> Iterator[Llama]:
    """The base model, which has two names."""
    with llama.serving(weights, "triage-v1", "triage-v2") as running:
        yield running


@pytest.fixture(scope="module")
def tuned(weights: Weights) -> Iterator[Llama]:
    """The same with a LoRA, which answers otherwise."""
    with llama.serving(weights, "triage-v3", is_tuned=True) as running:
        yield running


@pytest.fixture(scope="module")
def agreed(plain: Llama) -> list[str]:
    """The base's own answers, which the examples agree on."""
    return answers(plain, "triage-v1")


def test_two_models_answer_in_two_ways_and_the_same_again(
    plain: Llama, tuned: Llama, agreed: list[str]
) -> None:
    others = answers(tuned, "triage-v3")
    alike = sum(one == other for one, other in zip(agreed, others, strict=True))

    print(f"{alike} of {COUNT} alike")
    assert answers(plain, "triage-v2") == agreed
    assert {*agreed, *others} <= {f'{{"label":"{label}"}}' for label in LABELS}
    assert len({*agreed}) > 1
    assert COUNT // 4 < alike < COUNT // 2


@pytest.mark.parametrize("asked", ["triage-v1", "triage-v2", "nobody"])
def test_any_name_is_answered_by_what_is_loaded(plain: Llama, asked: str) -> None:
    body = {"model": asked, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    answer = plain.ask("/v1/chat/completions", body)

    assert (answer.status, answer.body["model"]) == (200, "triage-v1")


def test_its_list_gives_the_aliases_and_nothing_else_is_known_of_a_model(plain: Llama) -> None:
    not_found: dict[str, Any] = {
        "error": {"message": "File Not Found", "type": "not_found_error", "code": 404}
    }

    assert [(row["id"], row["aliases"]) for row in plain.ask("/v1/models").body["data"]] == [
        ("triage-v1", ["triage-v1", "triage-v2"])
    ]
    for path in ("/v1/models/triage-v1", "/v1/fine_tuning/jobs", "/v1/v1/models"):
        assert plain.ask(path) == llama.Answer(404, not_found)
