"""What is sent for an example, what an answer says, and how fast one may ask."""

import asyncio
import json
import socket
from dataclasses import replace
from typing import Any, cast

import pytest
from evaluating import PROFILE, arm, make_run, profile, spending
from fault_server import KEY, FaultServer, Reply, close_at_once, error, hang, reply

from fftdeploy.api.answers import Answer
from fftdeploy.api.client.incoming import duration_s, rate_limits
from fftdeploy.api.client.plain import PlainClient
from fftdeploy.api.settings import settings
from fftdeploy.errors import ConfigError, PolicyError
from fftdeploy.evaluation.arms import Arm
from fftdeploy.evaluation.examples.examples import Example
from fftdeploy.evaluation.outputs import ModelOutput, read_output
from fftdeploy.evaluation.running import requests
from fftdeploy.evaluation.running.attempts import Attempt
from fftdeploy.evaluation.running.requests import Ask
from fftdeploy.evaluation.running.spending import Mean, Spending, guess
from fftdeploy.evaluation.running.throttle import Throttle
from fftdeploy.policy.prices import Price, Prices
from fftdeploy.releases.deployments import Bundle

TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}}
MESSAGES = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Look"}, IMAGE]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "found"},
    {"role": "assistant", "content": [{"type": "text", "text": "Well"}]},
    {"role": "user", "content": "And?"},
)
IDENTITY = "ebddc1bc38edbb72442620b52cf6a9c6f501df4cda118bd9f0e00822ad3c3aec"
SCHEMA = '{ name = "t", strict = true, schema = { type = "object" } }'
FULL = (
    f'{PROFILE}reasoning_effort = "low"\n'
    f'response_format = {{ type = "json_schema", json_schema = {SCHEMA} }}\n'
)


def example(**more: Any) -> Example:
    return Example("e", MESSAGES, "ref", **more)


def bare(text: str | None = None, model: str = "m", address: str = "https://a.example") -> Arm:
    known = None if text is None else profile(text)
    return Arm("a", Bundle(model), known, address=address)


def test_a_bare_model_is_sent_the_example_and_nothing_else() -> None:
    assert requests.body(bare(), example()) == {"model": "m", "messages": [*MESSAGES]}


def test_a_chat_completion_as_the_profile_has_it() -> None:
    schema = {"name": "t", "strict": True, "schema": {"type": "object"}}
    assert requests.body(bare(FULL), example(tools=[TOOL], parallel_tool_calls=False)) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Triage the customer message."},
            *MESSAGES[1:],
        ],
        "temperature": 0,
        "max_completion_tokens": 200,
        "response_format": {"type": "json_schema", "json_schema": schema},
        "reasoning_effort": "low",
        "tools": [TOOL],
        "parallel_tool_calls": False,
    }


def test_a_response_as_the_profile_has_it() -> None:
    text = f'{FULL}endpoint = "responses"\n'
    assert requests.body(bare(text), example(tools=[TOOL], parallel_tool_calls=True)) == {
        "model": "m",
        "instructions": "Triage the customer message.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look"},
                    {
                        "type": "input_image",
                        "image_url": "https://x.example/a.png",
                        "detail": "low",
                    },
                ],
            },
            {"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"a": 1}'},
            {"type": "function_call_output", "call_id": "c1", "output": "found"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Well"}]},
            {"role": "user", "content": "And?"},
        ],
        "temperature": 0,
        "max_output_tokens": 200,
        "text": {
            "format": {
                "type": "json_schema",
                "name": "t",
                "strict": True,
                "schema": {"type": "object"},
            }
        },
        "reasoning": {"effort": "low"},
        "tools": [
            {
                "type": "function",
                "strict": False,
                "name": "find",
                "parameters": {"type": "object"},
            }
        ],
        "parallel_tool_calls": True,
    }


SHOTS = """
[[shots]]
user = "Look here"
assistant = "A door"
[[shots]]
user = "And there?"
assistant = "A window"
"""
WORKED = [
    {"role": "user", "content": "Look here"},
    {"role": "assistant", "content": "A door"},
    {"role": "user", "content": "And there?"},
    {"role": "assistant", "content": "A window"},
]


def test_worked_examples_go_between_the_instructions_and_what_is_asked() -> None:
    """Theirs or the example's own, at either endpoint; and they are part of what is hashed."""
    told = {"role": "system", "content": "Triage the customer message."}
    here = requests.body(bare(FULL + SHOTS), example())
    assert here["messages"] == [told, *WORKED, *MESSAGES[1:]]
    own = requests.body(bare(SHOTS), example())
    assert own == {"model": "m", "messages": [MESSAGES[0], *WORKED, *MESSAGES[1:]]}
    response = requests.body(bare(f'{FULL}endpoint = "responses"\n{SHOTS}'), example())
    assert response["instructions"] == told["content"]
    assert response["input"][:4] == WORKED
    assert response["input"][4]["role"] == "user"
    assert len(response["input"]) == 4 + len(MESSAGES[1:])
    assert profile(FULL + SHOTS).sha != profile(FULL).sha
    other = profile(FULL + SHOTS.replace("A door", "A Door"))
    assert other.sha != profile(FULL + SHOTS).sha


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('shots = "x"', "an array of { user, assistant }"),
        ('shots = [{ user = "x" }]', "'assistant' is missing"),
        ('shots = [{ user = "x", asistant = "y" }]', "asistant"),
        ("shots = [{ user = 1, assistant = 'y' }]", "a string"),
    ],
)
def test_a_worked_example_that_is_none_is_located(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        profile(text)
    assert message in raised.value.message
    assert raised.value.where.startswith("profiles/short.toml:1:")


def test_without_instructions_in_the_profile_the_example_has_its_own() -> None:
    body = requests.body(bare('endpoint = "responses"\n'), example())
    assert body["input"][0] == {"role": "system", "content": "Be brief."}
    assert "instructions" not in body


def test_an_id_is_made_of_what_is_sent() -> None:
    usual = requests.ask(bare(FULL), example(), 3, 0)
    same = requests.ask(replace(bare(f"# the same\n{FULL}"), name="b"), example(), 7, 0)
    others = [
        requests.ask(bare(FULL), example(), 3, 1),
        requests.ask(bare(FULL, address="https://b.example"), example(), 3, 0),
        requests.ask(bare(PROFILE), example(), 3, 0),
        requests.ask(bare(FULL, "n"), example(), 3, 0),
        requests.ask(bare(FULL), example(tools=[TOOL]), 3, 0),
        requests.ask(bare(f'{FULL}endpoint = "responses"'), example(), 3, 0),
    ]
    assert same.id == usual.id
    assert len({usual.id, *(ask.id for ask in others)}) == 7
    assert usual.id == IDENTITY


def test_parameters_of_a_profile_as_a_refusal_names_them() -> None:
    assert "response_format" in requests.profile_params(bare(FULL))
    names = requests.profile_params(bare(f'{FULL}endpoint = "responses"'))
    assert {"text", "max_output_tokens", "reasoning", "temperature"} <= names
    assert requests.profile_params(bare()) == frozenset()


def response(*output: Any, **more: Any) -> Answer:
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
    }
    body = {"object": "response", "status": "completed", "model": "m", "usage": usage}
    return Answer(200, {**body, "output": [*output], **more}, request_id="req_1")


@pytest.mark.parametrize(
    ("beside", "in_choice"),
    [
        ({"error": {"code": 502, "message": "upstream"}}, {}),
        ({}, {"error": {"code": 502}}),
        ({}, {"finish_reason": "error"}),
    ],
)
def test_J38_a_failure_behind_a_gateway_is_no_answer_of_the_model(
    beside: dict[str, Any], in_choice: dict[str, Any]
) -> None:
    """It was an empty one: live lost a quarter of its answers so, and any candidate was better."""
    said = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "{"}}
    whole = {"object": "chat.completion", "model": "m", "choices": [said]}
    spoiled = {**whole, **beside, "choices": [said | in_choice]}
    assert read_output(Answer(200, whole), "chat").mark == ""
    assert read_output(Answer(200, whole | {"error": None}), "chat").mark == ""
    for end, mark in (("stop", "empty"), (None, "api-error")):
        empty = said | {"finish_reason": end, "message": {"role": "assistant", "content": None}}
        assert read_output(Answer(200, whole | {"choices": [empty]}), "chat").mark == mark
    found = read_output(Answer(200, spoiled), "chat")
    assert (found.mark, found.problem) == ("api-error", "the answer carries an error")


def test_no_part_of_the_tokens_is_more_than_all() -> None:
    """A host's mistake would make a request cost less than nothing."""
    usage = {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 1 << 30}}
    usage |= {"output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 6}}
    found = read_output(response(message(TEXT), usage=usage), "responses")
    assert (found.tokens_in, found.tokens_cached) == (9, 9)
    assert (found.tokens_out, found.tokens_reasoning) == (5, 5)


def message(*parts: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [*parts]}


TEXT = {"type": "output_text", "text": "yes"}
CUT = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
CENSORED = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
FUNCTION = {"type": "function_call", "name": "find", "arguments": '{"b": 2, "a": 1}'}
RESPONSES: dict[str, tuple[Answer, str, str]] = {
    "text": (response({"type": "reasoning"}, message(TEXT, TEXT)), "", "yesyes"),
    "E15-truncated": (response(message(TEXT), **CUT), "truncated", "yes"),
    "E15-filtered": (response(**CENSORED), "filtered", ""),
    "E15-refused": (
        response(message({"type": "refusal", "refusal": "no"})),
        "refused",
        "no",
    ),
    "E15-empty": (response({"type": "reasoning"}), "empty", ""),
    "call": (response(FUNCTION), "", '[{"arguments":{"a":1,"b":2},"name":"find"}]'),
    "failed": (response(status="failed"), "api-error", ""),
    "error": (response(message(TEXT), error={"code": "server_error"}), "api-error", ""),
    "no-error": (response(message(TEXT), error=None), "", "yes"),
    "chat": (Answer(200, {"object": "chat.completion"}), "api-error", ""),
    "no-output": (response(output=None), "api-error", ""),
    "list": (Answer(200, []), "api-error", ""),
    "part": (response(message("text")), "api-error", ""),
    "text-number": (response(message({"type": "output_text", "text": 1})), "api-error", ""),
}


@pytest.mark.parametrize("row", RESPONSES)
def test_a_response_is_read_strictly(row: str) -> None:
    answer, mark, text = RESPONSES[row]
    output = read_output(answer, "responses")
    assert (output.mark, output.text) == (mark, text)
    assert bool(output.problem) == (mark == "api-error")
    if mark != "api-error":
        counts = (
            output.tokens_in,
            output.tokens_cached,
            output.tokens_out,
            output.tokens_reasoning,
        )
        assert counts == (9, 4, 5, 2)
        assert (output.model, output.request_id) == ("m", "req_1")


def test_tool_calls_of_a_chat_are_canonical_json() -> None:
    said = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    choice = {"message": said, "finish_reason": "tool_calls"}
    body = {"object": "chat.completion", "choices": [choice], "usage": {"prompt_tokens": -1}}
    output = read_output(Answer(200, body), "chat")
    assert output == ModelOutput(text='[{"arguments":{"a":1},"name":"find"}]')


SPANS = {"6m0s": 360, "20ms": 0.02, "1.2s": 1.2, "1h2m3s": 3723, "1d": 86400, "0s": 0}


@pytest.mark.parametrize("value", [*SPANS, "", "6", "s", "soon", "-1s", "1s!", "\u0661s", "1e9s"])
def test_spans_of_rate_limits(value: str) -> None:
    assert duration_s(value) == SPANS.get(value)


def test_rate_limits_of_headers() -> None:
    prefix = "x-ratelimit"
    headers = {
        f"{prefix}-remaining-requests": "0",
        f"{prefix}-reset-requests": "6m0s",
        f"{prefix}-remaining-tokens": "many",
        f"{prefix}-reset-tokens": "1s",
    }
    assert rate_limits(headers) == {"remaining_requests": 0, "reset_requests_s": 360.0}


class Time:
    """A clock that a sleep sets forward."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


LIMITED = Answer(429)
GOOD = Answer(200)


def throttle(concurrency: int, random: float = 1.0) -> tuple[Throttle, Time]:
    time = Time()
    made = Throttle(concurrency, random=lambda: random, clock=time.clock, sleep=time.sleep)
    return made, time


async def pass_through(gate: Throttle, *answers: Answer | None) -> None:
    """Send so many requests at a time, and have them answered in order."""
    tickets = [await gate.enter() for _ in answers]
    for ticket, answer in zip(tickets, answers, strict=True):
        gate.leave(ticket, answer)


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (Answer(429, retry_after_s=7.0), 0.0),
        (LIMITED, 0.0),
        (Answer(200, remaining_requests=0, reset_requests_s=3.0), 3.0),
        (Answer(200, remaining_tokens=0, reset_tokens_s=2.0), 2.0),
        (Answer(200, remaining_requests=1, reset_requests_s=3.0), 0.0),
        (Answer(200, remaining_requests=0), 0.0),
        (Answer(500), 0.0),
        (None, 0.0),
    ],
)
def test_everybody_waits_where_nothing_is_left(answer: Answer | None, wait: float) -> None:
    gate, time = throttle(4)

    async def main() -> None:
        await pass_through(gate, answer)
        await pass_through(gate, GOOD)

    asyncio.run(main())
    assert time.now == wait


def pauses(*answers: Answer, random: float = 1.0) -> list[float | None]:
    """Return how long one request waits after each of its answers."""
    gate, _ = throttle(4, random)
    attempt = Attempt(cast("Ask", None))
    return [attempt.pause_s(answer, gate.jitter) for answer in answers]


def test_J14_a_refused_request_waits_as_long_as_it_is_told() -> None:
    told = Answer(429, retry_after_s=7.0)
    assert (pauses(told), pauses(told, random=0.0)) == ([7.0], [8.75])
    assert pauses(Answer(429, retry_after_s=0.0), GOOD) == [0.0, None]
    assert pauses(Answer(503, retry_after_s=600.0)) == [120.0]


def test_pauses_grow_are_jittered_and_end() -> None:
    assert pauses(*[LIMITED] * 9)[:4] == [0.5, 0.75, 1.125, 1.6875]
    assert pauses(*[LIMITED] * 30)[-3:] == [8.0, 8.0, None]
    assert pauses(*[Answer(500)] * 4) == [0.5, 1.0, 2.0, None]
    assert pauses(*[Answer(500)] * 4, random=0.0) == [0.25, 0.5, 1.0, None]
    assert pauses(*[Answer(fault="timeout")] * 2) == [0.5 * 2, None]
    assert pauses(Answer(400)) == [None]


def test_no_more_are_out_than_the_limit_allows() -> None:
    gate, _ = throttle(8)
    most = 0

    async def work(number: int) -> None:
        nonlocal most
        for _ in range(20):
            ticket = await gate.enter()
            most = max(most, gate.in_flight)
            assert gate.in_flight <= 8
            await asyncio.sleep(0)
            gate.leave(ticket, LIMITED if number == 0 else GOOD)

    async def main() -> None:
        await asyncio.gather(*(work(number) for number in range(20)))

    asyncio.run(main())
    assert (most, gate.in_flight) == (8, 0)


def test_a_cancelled_wait_passes_its_turn_on() -> None:
    gate, _ = throttle(1)

    async def main() -> None:
        ticket = await gate.enter()
        first, second = (asyncio.create_task(gate.enter()) for _ in range(2))
        await asyncio.sleep(0)
        gate.leave(ticket, GOOD)
        first.cancel()
        await asyncio.wait_for(second, 5)

    asyncio.run(main())


def ask_directly(url: str, timeout_s: float = 5.0, content: object = None) -> Answer:
    known = settings({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": url})
    body = {"model": "m", "messages": content or []}

    async def main() -> Answer:
        connection = PlainClient(known, max_connections=2)
        try:
            return await connection.send("chat", body, timeout_s)
        finally:
            await connection.close()

    return asyncio.run(main())


FAULTS: dict[str, tuple[Reply, int, str]] = {
    "D22-hang": (Reply("hang", act=hang), 0, "timeout"),
    "D21-closed": (Reply("closed", act=close_at_once), 0, "dropped"),
    "D23-redirect": (reply(302, headers=[("Location", "https://evil.example/x")]), 302, "redirect"),
    "D8-encoded": (reply(body={}, headers=[("Content-Encoding", "gzip")]), 200, "encoded"),
    "D3-html": (reply(raw=b"<html>", content_type="text/html"), 200, "not-json"),
    "D5-twice": (reply(raw=b'{"a": 1, "a": 2}'), 200, "not-json"),
    "D2-null": (reply(body=None, raw=b"null"), 200, "not-json"),
    "401": (error(401, "invalid_api_key", f"wrong key {KEY}"), 401, ""),
}


@pytest.mark.parametrize("row", FAULTS)
def test_the_asynchronous_connection_raises_for_nothing(row: str) -> None:
    given, status, fault = FAULTS[row]
    with FaultServer() as api:
        api.probe(given)
        answer = ask_directly(api.url, 0.3 if row == "D22-hang" else 5.0)
        sent = api.log[0] if api.log else None
    assert (answer.status, answer.fault, len(api.log)) == (status, fault, 1)
    assert KEY not in repr(answer)
    assert sent is not None
    assert not [name for name in sent.headers if name in {"x-stainless-os", "x-stainless-arch"}]
    assert sent.headers["accept-encoding"] == "identity"
    assert sent.json == {"model": "m", "messages": []}


def test_a_long_request_arrives_whole_and_nobody_waits_for_who_reads_none_of_it() -> None:
    long = ["\u00e4" * 4_000_000]
    with FaultServer() as api, socket.create_server(("127.0.0.1", 0)) as deaf:
        whole = ask_directly(api.url, 20, long)
        lost = ask_directly(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1", 0.3, long)

    assert (whole.status, lost.fault) == (200, "timeout")
    assert api.log[0].json["messages"] == long


@pytest.mark.parametrize("escaped", [False, True])
def test_the_key_is_struck_out_of_an_answer(escaped: bool) -> None:
    text = json.dumps({"object": "x", "text": f"your key is {KEY}"})
    text = text.replace("sk-proj", "\\u0073k-proj") if escaped else text
    with FaultServer() as api:
        api.probe(reply(raw=text.encode()))
        answer = ask_directly(api.url)
    assert answer.body["text"] == "your key is [key]"


def test_rate_limits_and_request_ids_come_along() -> None:
    headers = [
        ("X-RateLimit-Remaining-Requests", "7"),
        ("X-RateLimit-Reset-Requests", "20ms"),
        ("X-Request-Id", "req_9"),
        ("Retry-After", "3"),
    ]
    with FaultServer() as api:
        api.probe(reply(429, {"error": {"code": "slow_down"}}, headers=headers))
        answer = ask_directly(api.url)
    found = (answer.remaining_requests, answer.reset_requests_s, answer.remaining_tokens)
    assert found == (7, 0.02, None)
    assert (answer.request_id, answer.retry_after_s, answer.code) == ("req_9", 3.0, "slow_down")


def test_estimates() -> None:
    known = Mean(100, 0, 50, 0.5)
    means = {"a": known, "b": known._replace(is_guess=True)}
    wanted = Spending({"a": "m", "b": "n"}, Prices(models={"m": Price(1, 1, 2)}), means=means)
    one = wanted.estimate({"a": 1000}, 10)
    assert (one.requests, one.tokens_in, one.tokens_out) == (1000, 100_000, 50_000)
    assert one.usd == pytest.approx(0.2)
    assert (one.seconds, one.is_guess) == (50, False)
    both = wanted.estimate({"a": 1, "b": 1}, 1)
    assert (both.usd, both.is_guess) == (None, True)


def test_a_guess_counts_characters() -> None:
    run = make_run("http://127.0.0.1:1/v1", [arm("v8")])
    (mean,) = guess(run.sample(len(run.examples))).values()
    assert 50 < mean.tokens_in < 100
    assert 30 < mean.tokens_out < 60
    assert mean.is_guess


def test_spending_counts_what_is_under_way() -> None:
    run = make_run("http://127.0.0.1:1/v1", [arm("v8")])
    budget = spending(run, max_usd=0.001, means={"v8": Mean(500, 0, 0, 1)})
    assert [budget.admit("v8") for _ in range(4)] == [True, True, False, False]
    budget.settle("v8", ModelOutput(tokens_in=250))
    assert budget.usd == 0.0002
    assert [budget.admit("v8") for _ in range(4)] == [True, True, True, False]
    budget.settle("v8", None)
    assert budget.admit("v8")
    assert budget.stopped(3, 10).code == "max-usd"
    silent = spending(run, max_usd=0.001, means={"v8": Mean(500, 0, 0, 1)})
    assert silent.admit("v8")
    silent.settle("v8", ModelOutput("yes"))  # of a host that does not say what it took
    assert silent.usd == 0.0004
    assert [silent.admit("v8") for _ in range(2)] == [True, False]
    budget.require_allowed(50_000)
    with pytest.raises(PolicyError, match="50,001 requests are more than the 50,000"):
        budget.require_allowed(50_001)
