"""What one answer proves, and what it does not: pure, in the words of many hosts."""

from typing import Any

import pytest
from scenes import V8

from fftdeploy.api.answers import Answer
from fftdeploy.api.end_dates import deprecations, retirement_day
from fftdeploy.api.readiness import explain
from fftdeploy.api.verdicts import judge_probe
from fftdeploy.evaluation.running.attempts import Attempt
from fftdeploy.evaluation.running.requests import Ask
from fftdeploy.model_ids.model_names import is_answer_of, own_names

NAMED = {
    "overloaded": (400, "The model {} is currently overloaded", False),
    "loading": (400, "Model {} is loading, try again in 20 s", False),
    "budget": (422, "Budget for model={} exceeded", False),
    "verification": (400, "organization must be verified to use the model {}", False),
    "format": (400, "messages[0].content must be a list for model {}", False),
    "path": (404, "no page at /v1/{}/completions", False),
    "word": (404, "{}s are not found", False),
    "groq": (404, "The model `{}` does not exist or you do not have access to it.", True),
    "ollama": (404, "model '{}' not found", True),
    "openrouter": (400, "{} is not a valid model ID", True),
    "plain": (404, "no {}", True),
    "quoted": (404, 'no "{}" on this host', True),
    "decommissioned": (
        400,
        "The model `{}` has been decommissioned and is no longer supported",
        True,
    ),
    "litellm": (404, "litellm.NotFoundError: no model {}. LiteLLM Retried: 1 times", True),
    "404-loading": (404, "Model {} is loading", False),
    "404-overloaded": (404, "model {} is overloaded, try again later", False),
    "404-not-yet": (404, "The model {} is not available yet", False),
    "404-for-now": (404, "{} is currently not served", False),
    "404-bare": (404, "{}", False),
    "404-other": (404, "upstream of {} answered with 404", False),
}


@pytest.mark.parametrize("row", NAMED)
@pytest.mark.parametrize("model", ["chat", "o", "acme/triage-v3", V8])
def test_J3_a_refusal_that_names_a_model_may_be_about_something_else(row: str, model: str) -> None:
    status, message, is_absent = NAMED[row]
    assert Answer(status, body={}, message=message.format(model)).denies(model) is is_absent


@pytest.mark.parametrize(
    ("asked", "answered", "entries", "same"),
    [
        ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", {}, True),
        ("gpt-4", "gpt-4-0613", {}, True),
        ("gpt-4", "gpt-4-1399", {}, False),
        ("triage", "triage-0002", {"triage": {}, "triage-0002": {}}, False),
        ("acme", "acme-2024-13-45", {}, False),
        ("tuned", "base", {"tuned": {"root": "base", "parent": "base"}}, False),
        (
            "tuned",
            "/m/l",
            {"base": {"root": "/m/l"}, "tuned": {"root": "/m/l", "parent": "base"}},
            False,
        ),
        ("new", "old", {"new": {"aliases": ["old"]}, "old": {}}, False),
        ("new", "old", {"new": {"aliases": ["old"]}}, True),
        ("new", "/m/new", {"new": {"root": "/m/new"}}, True),
        ("new", "/m", {"new": {"root": "/m"}, "old": {"root": "/m"}}, False),
        ("new", "any", {"new": {"aliases": ["any"]}, "old": {"aliases": ["any"]}}, False),
        ("any", "new", {"new": {"aliases": ["any"]}, "old": {"aliases": ["any"]}}, False),
        ("any", "new", {"new": {"aliases": ["any"]}, "old": {"root": "any"}}, False),
        ("v2", "v1", {"v1": {"aliases": ["v1", "v2"]}}, True),
        ("v2", "v3", {"v1": {"aliases": ["v1", "v2", "v3"]}, "b": {"aliases": ["b"]}}, True),
        ("new", "old", {"new": {"aliases": ["old"]}, "old": {"aliases": ["new"]}}, False),
    ],
)
def test_J4_names_that_mean_one_model(
    asked: str, answered: str, entries: dict[str, Any], same: bool
) -> None:
    names = own_names({"id": name, **entry} for name, entry in entries.items())
    assert is_answer_of(asked, answered, names.get(asked, ())) is same


def test_J4_what_one_list_says_twice_is_said_of_nobody() -> None:
    twice = {"id": "new", "aliases": ["n"], "root": "/new"}, {"id": "new", "root": "/old"}
    assert own_names(twice) == {
        "new": frozenset(),
        "n": {"n", "/new"},
        "/new": {"n", "/new"},
        "/old": {"/old"},
    }
    assert own_names([*twice[:1], {**twice[0], "created": 1}])["n"] == {"new", "n", "/new"}


@pytest.mark.parametrize(
    ("entry", "day"),
    [
        ({"shutdown_date": "2026-12-01"}, "2026-12-01"),
        ({"expiration_date": "2026-12-01"}, "2026-12-01"),
        ({"modelLifecycle": {"endOfLifeTime": "2026-12-01T17:00:00Z"}}, "2026-12-02"),
        ({"modelLifecycle": {"endOfLifeTime": "2026-12-01T23:59:59-12:00"}}, "2026-12-03"),
        ({"modelLifecycle": {"endOfLifeTime": "2026-12-01T00:00:00Z"}}, "2026-12-01"),
        ({"deprecation": {"inference": 1796144400}}, "2026-12-02"),
        ({"deprecation": {"inference": 1796144400000}}, "2026-12-02"),
        ({"deprecation": {"inference": 1796144400000.5}}, "2026-12-02"),
    ],
)
def test_D27_a_moment_has_passed_when_its_day_is_over(entry: dict[str, Any], day: str) -> None:
    found = retirement_day(entry)
    assert found is not None
    assert str(found[0]) == day


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("false", []),
        ("?0", []),
        ("true", ["deprecated (header deprecation)"]),
        ("?1", ["deprecated (header deprecation)"]),
        ("1790856000000", ["deprecated from 2026-10-01 (header deprecation)"]),
        ("@1790856000", ["deprecated from 2026-10-01 (header deprecation)"]),
        ("soon", ["deprecated from soon (header deprecation)"]),
    ],
)
def test_J3_what_a_header_says_of_a_deprecation(value: str, said: list[str]) -> None:
    assert [*deprecations({}, {"deprecation": value})] == said


@pytest.mark.parametrize(
    ("kind", "message", "code"),
    [
        ("openai", "This model was blocked from deployment by our safety checks", "blocked"),
        (
            "openai-compatible",
            "Your IP address is blocked from accessing this deployment",
            "forbidden",
        ),
        ("openai-compatible", "This model was blocked from deployment", "forbidden"),
        ("openai", "Your address is blocked; see the deployment guide", "forbidden"),
    ],
)
def test_D11_only_openai_says_that_a_model_is_blocked(kind: Any, message: str, code: str) -> None:
    assert explain(Answer(403, body={}, message=message, has_error=True, kind=kind)).code == code


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"code": 502, "message": "upstream"}},
        {"choices": [{}]},
        {"choices": [{"index": 0, "finish_reason": "error"}]},
        {"choices": [{"index": 0, "error": {"code": 502}}]},
    ],
)
def test_D2_an_answer_that_carries_an_error_proves_nothing(said: dict[str, Any]) -> None:
    whole = {"object": "chat.completion", "model": V8, "choices": [{"index": 0}]}
    proof = judge_probe(V8, "chat", Answer(200, body=whole | said), can_be_fresh=False)
    assert (proof.state, proof.code) == ("unverified", "not-an-answer")
    assert judge_probe(V8, "chat", Answer(200, body=whole), can_be_fresh=False).state == "ready"


def test_D16_payment_required_is_about_money() -> None:
    assert explain(Answer(402, body={}, message="Insufficient credits")).is_auth


def test_J13_an_answer_of_a_host_that_loads_its_model_is_asked_for_again() -> None:
    loads = Answer(503, body={}, message="Loading model")
    attempt = Attempt(Ask("0" * 64, "live", 0, "chat", {}))

    pauses = [attempt.pause_s(loads, lambda seconds: seconds) for _ in range(4)]

    assert (loads.is_transient, loads.may_differ) == (False, True)
    assert [pause is not None for pause in pauses] == [True, True, True, False]
