"""`fftdeploy.client`: what is live answers each call, and its fallback once that is proved gone."""

import asyncio
import json
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from fault_server import FaultServer, Reply, chat_body, error, reply
from scenes import LUNA, V8, V9

import fftdeploy
from fftdeploy.errors import AuthError, UsageError
from fftdeploy.evaluation.arms import Arm
from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.evaluation.running import requests
from fftdeploy.policy import profiles
from fftdeploy.releases.deployments import Bundle
from fftdeploy.routing import routes
from fftdeploy.routing.client import UNPROVED_S
from fftdeploy.sandbox import Sandbox, State

TARGET = "triage/production"
HI: Any = [{"role": "user", "content": "hi"}]
KEY = "sk-of-the-other-host"
TOKEN = "eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl"
FALLBACK = f'version = 1\n[tasks.triage]\nfallback = [{{ model = "{LUNA}", profile = "brief" }}]\n'
SECRET_HEADERS = ("authorization", "api-key", "openai-organization", "openai-project", "x-gateway")


def live(model: str, more: str = "") -> None:
    new = Path("new")
    new.write_text(f'version = 1\n[triage.production]\nmodel = "{model}"\n{more}')
    new.replace("deployments.toml")


@pytest.fixture(autouse=True)
def files(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "FRESH_S", 0.0)  # it looks at the files at each call
    live(V8)
    Path("profiles").mkdir()
    Path("profiles/brief.toml").write_text('system = "Be brief."\nmax_completion_tokens = 64\n')


Make = Callable[..., Any]


@pytest.fixture(name="make")
def made_clients() -> Iterator[Make]:
    """Make clients that are closed in the end."""
    with ExitStack() as stack:
        yield lambda **more: stack.enter_context(fftdeploy.client(TARGET, max_retries=0, **more))


def counted(client: Any) -> Counter[str]:
    """Return the calls that were answered, by model, as the client counts them."""
    return Counter(client.calls.counts)


def chats(sandbox: Sandbox, since: int = 0) -> list[Any]:
    asked = sandbox.requests[since:]
    return [one.body for one in asked if one.path.endswith(("/completions", "/responses"))]


def test_each_call_goes_to_what_is_live_with_its_prompt_and_parameters(
    make: Make, sandbox: Sandbox
) -> None:
    client = make()

    first = client.chat.completions.create(messages=HI)
    live(LUNA, 'profile = "brief"\n')
    second = client.chat.completions.create(
        model=TARGET, messages=[{"role": "developer", "content": "Be long."}, *HI]
    )
    third = client.responses.create(model="production", input="hi", max_output_tokens=32)
    with client.with_options(timeout=9) as other:
        raw = other.chat.completions.with_raw_response.create(model=TARGET, messages=HI)

    assert isinstance(client, openai.OpenAI)
    assert [one.model for one in (first, second, third)] == [V8, LUNA, LUNA]
    assert raw.http_response.status_code == 200
    bodies = chats(sandbox)
    assert bodies[0] == {"model": V8, "messages": HI}
    brief = {"role": "system", "content": "Be brief."}
    assert bodies[1] == {"model": LUNA, "messages": [brief, *HI], "max_completion_tokens": 64}
    assert bodies[2] == {
        "model": LUNA, "input": "hi", "instructions": "Be brief.", "max_output_tokens": 32,
    }  # fmt: skip
    assert counted(client) == {V8: 1, LUNA: 3}
    assert V8 in {model.id for model in client.models.list()}
    with pytest.raises(UsageError, match=f"this client is of {TARGET}"):
        client.chat.completions.create(model=V9, messages=HI)


def test_J45_a_client_and_its_log_stay_with_their_files_wherever_the_process_goes(
    make: Make, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service may go to / once it runs; what lies there, or nothing, is not what it asks."""
    log = Path("log.jsonl").absolute()
    client = make(log=fftdeploy.RequestLog("log.jsonl"))
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    live(V9)
    for folder in (other, Path("/")):
        monkeypatch.chdir(folder)
        assert client.chat.completions.create(messages=HI).model == V8

    assert [len(log.read_text().splitlines()), len(sandbox.requests)] == [2, 2]


def test_other_options_have_the_same_connections_and_know_what_is_gone(
    make: Make, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """`client.with_options(timeout=5)` at each call is how the SDK is used."""
    Path("fftdeploy.toml").write_text(FALLBACK)
    client = make()
    sandbox.remove(V8)
    for options in ({"timeout": 9}, {"timeout": 9}, {"key": "ana"}, {"max_retries": 1}):
        with client.with_options(**options) as other:
            assert other.chat.completions.create(messages=HI).model == LUNA
            assert (other.calls.host(other.calls.ways()[0].route).client._client) is client._client
    assert client.chat.completions.create(messages=HI).model == LUNA
    assert [record.levelno for record in caplog.records if record.name == "fftdeploy"] == [
        logging.ERROR  # one proof for all
    ]
    assert counted(client) == {LUNA: 5}


@pytest.mark.parametrize("model", [V9, TARGET])
def test_no_model_is_said_past_the_client(make: Make, sandbox: Sandbox, model: str) -> None:
    client = make()

    with pytest.raises(UsageError, match="extra_body says a model"):
        client.chat.completions.create(messages=HI, extra_body={"model": model})
    with pytest.raises(UsageError, match="extra_body says a model"):
        client.responses.create(input="hi", extra_body={"model": model})
    assert len(sandbox.requests) == 0
    client.chat.completions.create(messages=HI, extra_body={"seed": 7})
    assert chats(sandbox) == [{"model": V8, "messages": HI, "seed": 7}]


def test_both_endpoints_are_asked_what_an_evaluation_asks(make: Make, sandbox: Sandbox) -> None:
    shots = "shots = [{ user = 'old', assistant = 'yes' }]\n"
    profile = f"endpoint = 'responses'\nsystem = 'Be brief.'\n{shots}"
    Path("profiles/shown.toml").write_text(profile)
    live(LUNA, 'profile = "shown"\n')
    client = make()

    said: tuple[Any, ...] = ("hi", HI, [{"role": "developer", "content": "Be long."}, *HI])
    for asked in said:
        client.responses.create(input=asked)
    client.responses.create(input="more", previous_response_id="resp_1")
    client.chat.completions.create(messages=iter(HI))
    with pytest.raises(openai.BadRequestError):
        client.responses.create()

    bodies = chats(sandbox)
    example = Example("e", tuple(HI), "yes")
    arm = Arm("a", Bundle(LUNA), profiles.parse(profile.encode(), "shown", "shown.toml"))
    due = requests.body(arm, example)
    shown = [{"role": "user", "content": "old"}, {"role": "assistant", "content": "yes"}]
    assert due["input"] == [*shown, *HI]
    assert bodies[:3] == [due, due, due]
    assert bodies[3]["input"] == "more"
    assert bodies[4]["messages"] == [{"role": "system", "content": "Be brief."}, *due["input"]]


def test_a_canary_answers_its_part_of_the_keys(make: Make, sandbox: Sandbox) -> None:
    since = "2026-11-22T09:00:00Z"
    live(V8, f'canary = {{ model = "{V9}", weight = 28, since = {since} }}\n')
    client = make()
    keys = (None, "ana", "ben")  # of the vectors of `split`: 80 and 28

    clients = [client.with_options(key=key) for key in keys]
    answers = [one.chat.completions.create(messages=HI).model for one in clients]

    assert answers == [V8, V8, V9]
    assert counted(client) == {V8: 2, V9: 1}
    for key in (42, b"ben", "a\ud800b", uuid.UUID(int=7)):
        client.with_options(key=key).chat.completions.create(messages=HI)
    sandbox.remove(V9)  # what is live stands in for it
    assert clients[-1].chat.completions.create(messages=HI).model == V8


def events(*said: dict[str, Any]) -> Reply:
    raw = "".join(f"data: {json.dumps(each)}\n\n" for each in said) + "data: [DONE]\n\n"
    return reply(raw=raw.encode(), content_type="text/event-stream", name="good")


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """Serve what a stream of either endpoint says."""
    chunk = chat_body(object="chat.completion.chunk", model=V8)
    chunk["choices"] = [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]
    answer = {"id": "r1", "object": "response", "model": V8, "created_at": 1, "output": [],
              "tools": [], "tool_choice": "auto", "parallel_tool_calls": True}  # fmt: skip
    kinds = ("response.created", "response.completed")
    turns = [{"type": kind, "response": answer, "sequence_number": 0} for kind in kinds]
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        server.probe(events(chunk))
        server.script("POST", "/v1/responses", events(*turns))
        yield server


@pytest.mark.parametrize("said", [{}, {"model": TARGET}])
def test_a_stream_is_one_call_too(make: Make, hosted: FaultServer, said: dict[str, str]) -> None:
    client = make()
    with client.chat.completions.stream(messages=iter(HI), **said) as stream:
        kinds = [event.type for event in stream]
    with client.responses.stream(input="hi", **said) as stream:
        kinds += [event.type for event in stream]
    with client.beta.chat.completions.stream(messages=HI, **said) as stream:
        stream.until_done()
    list(client.beta.chat.completions.create(messages=HI, stream=True, **said))

    assert {"content.done", "response.completed"} <= set(kinds)
    assert [request.json["model"] for request in hosted.log] == [V8] * 4
    assert counted(client) == {V8: 4}


def test_an_asynchronous_stream_needs_no_model_either(hosted: FaultServer) -> None:
    async def main() -> list[str]:
        async with fftdeploy.client(TARGET, True) as made:
            client: Any = made
            async with client.chat.completions.stream(messages=HI) as stream:
                kinds = [event.type async for event in stream]
            async with client.responses.stream(input="hi") as stream:
                return [*kinds, *[event.type async for event in stream]]

    assert {"content.done", "response.completed"} <= set(asyncio.run(main()))
    assert [request.json["model"] for request in hosted.log] == [V8] * 2


def test_the_asynchronous_one_follows_and_falls_back_too(sandbox: Sandbox) -> None:
    Path("fftdeploy.toml").write_text(FALLBACK)

    async def main() -> list[str]:
        async with fftdeploy.client(TARGET, True) as client:
            assert isinstance(client, openai.AsyncOpenAI)
            return await calls(client)

    async def calls(client: openai.AsyncOpenAI) -> list[str]:
        first = await client.chat.completions.create(model=TARGET, messages=HI)
        sandbox.remove(V8)
        rest = await asyncio.gather(  # what is said as what can be read once is sent again, too
            *(client.chat.completions.create(model=TARGET, messages=iter(HI)) for _ in range(5))
        )
        assert all(len(body["messages"]) > 0 for body in chats(sandbox))
        return [first.model, *(one.model for one in rest)]

    assert asyncio.run(main()) == [V8, *[LUNA] * 5]


PROVIDERS: dict[str, tuple[str, str, dict[str, str]]] = {
    # what providers.toml adds, the key, the headers that are sent
    "openai-compatible": ("", KEY, {"authorization": f"Bearer {KEY}"}),
    "azure, /v1": ('kind = "azure"\n', KEY, {"api-key": KEY}),
    "azure, classic": ('kind = "azure"\napi_version = "2024-10-21"\n', KEY, {"api-key": KEY}),
    "azure, a token": (
        'kind = "azure"\napi_version = "2024-10-21"\n', TOKEN, {"authorization": f"Bearer {TOKEN}"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("which", PROVIDERS)
def test_the_next_call_after_a_change_of_provider_goes_there_with_that_hosts_key_only(
    make: Make, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, which: str, tmp_path: Path
) -> None:
    more, key, headers = PROVIDERS[which]
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY", "AZURE_OPENAI_API_KEY",
                 "AZURE_OPENAI_AD_TOKEN"):  # fmt: skip
        monkeypatch.setenv(name, "of-another-host")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway: secret")
    with FaultServer(is_openai=False) as server:
        path = server.url.removesuffix("/v1") if "classic" in which or "token" in which else ""
        file = tmp_path / "providers.toml"
        file.write_text(f'[other]\nbase_url = "{path or server.url}"\napi_key_env = "K"\n{more}')
        monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(file))
        monkeypatch.setenv("K", key)
        for asked in ("/v1/chat/completions", "/deployments/m/chat/completions"):
            server.script("POST", asked, reply(body=chat_body(model="m"), name="good"))
        client = make()
        client.chat.completions.create(model=TARGET, messages=HI)
        live("m", 'provider = "other"\n')
        client.chat.completions.create(model=TARGET, messages=HI, extra_headers={"X-Own": "1"})
        live(V8)
        client.chat.completions.create(model=TARGET, messages=HI)

    (there,) = server.log
    assert {name: there.headers[name] for name in SECRET_HEADERS if name in there.headers} == (
        headers
    )
    assert there.headers["x-own"] == "1"
    here = [one.headers for one in sandbox.requests]
    assert len(here) == 2
    assert all(one["x-gateway"] == "secret" for one in here)
    assert all(one.is_authorised for one in sandbox.requests)


@pytest.mark.parametrize("option", ["base_url", "api_key", "http_client", "websocket_base_url"])
def test_no_option_leads_all_hosts_keys_to_one(make: Make, sandbox: Sandbox, option: str) -> None:
    del sandbox
    client = make(timeout=9, default_headers={"X-Own": "1"}, default_query={"a": "b"})
    for made in (make, client.with_options):
        with pytest.raises(UsageError, match=f"{option}: no option of a client that follows"):
            made(**{option: "http://127.0.0.1:9/v1"})


def test_no_key_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AuthError, match="OPENAI_API_KEY is not set"):
        fftdeploy.client(TARGET)


def test_a_redirect_takes_the_key_nowhere(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer() as other, FaultServer() as server:
        to = ("Location", f"{other.url}/chat/completions")
        server.probe(reply(307, {}, headers=[to]))
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        client = make()
        with pytest.raises(openai.APIStatusError):
            client.chat.completions.create(model=TARGET, messages=HI)
    assert other.log == []


def load(client: Any, calls: int) -> Counter[str]:
    """Make calls from 16 threads; count the models that answered, and errors by their names."""

    def call(_: int) -> str:
        try:
            return str(client.chat.completions.create(model=TARGET, messages=HI).model)
        except openai.APIError as raised:
            return type(raised).__name__

    with ThreadPoolExecutor(16) as pool:
        return Counter(pool.map(call, range(calls)))


def test_a_model_that_is_deleted_under_load_costs_no_call(
    make: Make, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    # The bench `route` does this with 1,000 calls.
    Path("fftdeploy.toml").write_text(FALLBACK)
    client = make()
    sandbox.remove(V8, after=40)

    answers = load(client, 120)

    assert answers == {V8: 40, LUNA: 80}
    assert counted(client) == answers
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    (line,) = told  # one proof, whoever met the 404
    assert f"{TARGET}: {V8} is proved gone (this key cannot use it" in line
    retrieved = [one.path for one in sandbox.requests if one.path.startswith("/v1/models/")]
    assert len([path for path in retrieved if "v8" in path]) == 1
    after = len(sandbox.requests)
    assert load(client, 5) == {LUNA: 5}
    assert {body["model"] for body in chats(sandbox, after)} == {LUNA}

    # Control: without a fallback each such call fails.
    Path("fftdeploy.toml").write_text("version = 1\n")
    assert load(make(), 4) == {"NotFoundError": 4}


def test_a_proof_is_looked_at_again_after_a_while_and_not_asked_of_what_is_promoted(
    make: Make, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("fftdeploy.toml").write_text(FALLBACK)
    client = make()
    sandbox.remove(V8)
    assert load(client, 1) == {LUNA: 1}

    live(V9)
    assert load(client, 1) == {V9: 1}
    live(V8)
    sandbox.restore(V8)
    assert load(client, 1) == {LUNA: 1}
    monkeypatch.setattr(time, "monotonic", lambda: 1e12)
    assert load(client, 1) == {V8: 1}


TROUBLE: dict[str, tuple[dict[str, Any], str]] = {
    "500": ({"status": 500}, "InternalServerError"),
    "429": ({"status": 429}, "RateLimitError"),
    "401": ({"status": 401}, "AuthenticationError"),
    "a proxy's 404": ({"status": 404, "body": "<html>"}, "NotFoundError"),
    "dropped": ({"reset": True}, "APIConnectionError"),
}


@pytest.mark.parametrize("which", TROUBLE)
def test_trouble_without_a_proof_never_switches(make: Make, sandbox: Sandbox, which: str) -> None:
    Path("fftdeploy.toml").write_text(FALLBACK)
    client = make()
    what, raised = TROUBLE[which]
    sandbox.fault("/chat/completions", **what)

    assert load(client, 6) == {raised: 6}
    sandbox.clear_faults()
    assert load(client, 6) == {V8: 6}


def test_a_404_of_a_model_that_is_still_there_never_switches_and_is_asked_about_once(
    make: Make,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    Path("fftdeploy.toml").write_text(FALLBACK)
    client = make()
    sandbox.set_state(V8, State.GHOST)  # known to a retrieve, and not answering: it may be loading

    def proofs() -> int:
        return sum(one.path.startswith("/v1/models/") for one in sandbox.requests)

    assert load(client, 40) == {"NotFoundError": 40}
    assert proofs() == 1
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + UNPROVED_S + 1)
    assert load(client, 40) == {"NotFoundError": 40}
    assert proofs() == 2
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert f"{TARGET}: {V8} answered 404" in warning

    sandbox.remove(V8)  # what was not proved is looked at again
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 3 * UNPROVED_S)
    assert load(client, 4) == {LUNA: 4}


def test_a_host_that_is_not_believed_about_missing_models_never_switches(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("fftdeploy.toml").write_text(FALLBACK)
    with FaultServer(is_openai=False) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        server.listing()
        server.probe(error(404, "model_not_found"))
        client = make()

        assert load(client, 2) == {"NotFoundError": 2}
