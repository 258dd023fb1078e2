"""The request log: off by default, and read by what reads logs."""

import asyncio
import fcntl
import gc
import json
import logging
import math
import os
import resource
import signal
import socket
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from command_line import Command
from fault_server import FaultServer, Reply, chat_body, close_at_once, error, hang, reply
from pydantic import BaseModel, ValidationError
from scenes import LUNA, V8, V9, past, write

import fftdeploy
from fftdeploy import RequestLog
from fftdeploy.errors import UsageError
from fftdeploy.evaluation.examples.production import request
from fftdeploy.files import disk
from fftdeploy.routing import endings, request_log
from fftdeploy.sandbox import Sandbox

TARGET = "triage/production"
HI: Any = [{"role": "user", "content": "My card 4000 1234 was charged twice"}]


@pytest.fixture(autouse=True)
def files(repo: Path) -> None:
    write(past(TARGET, V8, V9))


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "fftdeploy"]


def call(log: RequestLog | None, times: int = 1) -> None:
    with fftdeploy.client(TARGET, log=log, max_retries=0) as client:
        for _ in range(times):
            client.chat.completions.create(model=TARGET, messages=HI)


def test_each_line_says_who_answered_what_and_is_read_as_a_request(
    sandbox: Sandbox, command: Command
) -> None:
    call(None)
    assert not Path("log.jsonl").exists()
    call(RequestLog("log.jsonl"), 2)
    with fftdeploy.client(TARGET, log=RequestLog("log.jsonl"), key="user-42") as client:
        client.responses.create(model=TARGET, input="hi")

    lines = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    assert stat.S_IMODE(Path("log.jsonl").stat().st_mode) == 0o600
    assert len(lines) == 3
    assert lines[0]["request"] == {"model": V9, "messages": HI}
    callers = [request(line, "log.jsonl:1").served.caller for line in lines]
    assert (callers[:2], len(callers[2]), "user-42" in str(lines)) == (["", ""], 16, False)
    for line in lines:
        served = request(line, "log.jsonl:1").served
        assert (served.target, served.release, served.model) == (TARGET, "2", V9)
        assert served.at
        assert served.tokens_in
        assert served.latency_ms is not None
    assert readable(command)


def readable(command: Command, *more: str) -> bool:
    """Tell whether both readers of logs take all of it."""
    rules = 'examples = ["e.jsonl"]\ngraders = [{ type = "string_check", operation = "eq" }]\n'
    Path("fftdeploy.toml").write_text(f"version = 1\n[tasks.triage.gate]\n{rules}")
    brought = command("review", "triage", "--from", "log.jsonl", *(more or ("--dry-run",)))
    watched = command("monitor", TARGET, "--logs", "log.jsonl")
    assert "200" in watched.err, watched.err  # so many are needed, and that is all
    return (brought.code, watched.code) == (0, 7)


def test_a_part_is_kept_without_what_is_nobodys_business(sandbox: Sandbox) -> None:
    chances = iter([0.09, 0.5, 0.0, 0.1])

    def redact(line: dict[str, Any]) -> dict[str, Any] | None:
        line["request"]["messages"] = [{"role": "user", "content": "(a card)"}]
        return line

    call(RequestLog("log.jsonl", sample=0.1, redact=redact, chance=lambda: next(chances)), 4)
    call(RequestLog("log.jsonl", redact=lambda _: None))

    text = Path("log.jsonl").read_text()
    assert len(text.splitlines()) == 2
    assert "4000 1234" not in text


def test_what_cannot_be_written_costs_no_call(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    call(RequestLog("no/such/folder.jsonl"), 3)
    assert [r.levelno for r in caplog.records if r.name == "fftdeploy"] == [logging.WARNING]
    for sample in (2, -0.1, math.nan, "10%"):
        with pytest.raises(UsageError, match="sample is a share from 0 to 1"):
            RequestLog("log.jsonl", sample=sample)  # type: ignore[arg-type]  # one is a text


def test_a_full_disk_leaves_no_half_line(sandbox: Sandbox, command: Command) -> None:
    log = RequestLog("log.jsonl")
    call(log)
    whole = Path("log.jsonl").stat().st_size
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole + 100, most))
    try:
        call(log)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        signal.signal(signal.SIGXFSZ, old)
    assert Path("log.jsonl").stat().st_size == whole
    call(log)
    assert readable(command)


def test_a_redact_of_any_kind_costs_no_call_and_changes_nothing_of_the_caller(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    def in_place(line: dict[str, Any]) -> dict[str, Any]:
        line["request"]["messages"][0]["content"] = "[redacted]"
        return line

    def wrong(line: dict[str, Any]) -> dict[str, Any]:
        in_place(line)
        raise KeyError("metadata")

    before = json.dumps(HI)

    def odd(line: dict[str, Any]) -> Any:
        return str(line)

    for redact in (in_place, wrong, odd):
        log = RequestLog("log.jsonl", redact=redact)
        call(log)

    assert json.dumps(HI) == before
    (line,) = Path("log.jsonl").read_text().splitlines()
    assert json.loads(line)["request"]["messages"][0]["content"] == "[redacted]"
    assert told(caplog)[0] == "a request was not written down: KeyError"
    assert len(told(caplog)) == 2


ODD: tuple[dict[str, Any], ...] = (
    {"choices": []},
    {"object": "other"},
    {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": 1}}]},
)
NO_ANSWER = "APIResponseValidationError"
HALF = "a\ud800b"


class Shape(BaseModel):
    """What an answer is parsed as."""

    category: str


def test_no_line_is_written_that_its_own_readers_refuse(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = chat_body()
    message = answer["choices"][0]["message"]
    whole = {"role": "assistant", "content": "x", "tool_calls": None}
    texts = (HALF, json.dumps(whole), '{"category": "yes"}')
    good = [
        chat_body(
            choices=[{"index": 0, "finish_reason": "stop", "message": {**message, "content": text}}]
        )
        for text in texts
    ]
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        odd = [{**answer, **change} for change in ODD]
        server.probe(*(reply(body=body, name="good") for body in [*odd, *good]))
        log = RequestLog("log.jsonl")
        call(log, len(odd))
        assert [line["error"]["type"] for line in written()] == [NO_ANSWER] * len(odd)
        Path("log.jsonl").unlink()
        with fftdeploy.client(TARGET, log=log, max_retries=0) as client:
            first = client.chat.completions.create(model=TARGET, messages=HI)
            answered: Any = first.choices[0].message  # as a conversation goes on
            assert answered.content == HALF
            answered.content = "which?"
            goes_on: Any = [*HI, answered, {"role": "user", "content": "and?"}]
            client.chat.completions.create(model=TARGET, messages=goes_on)
            client.chat.completions.parse(model=TARGET, messages=iter(HI), response_format=Shape)

    lines = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    answers = [line["response"]["choices"][0]["message"]["content"] for line in lines]
    assert answers == ["a\ufffdb", *texts[1:]]
    asked = [line["request"] for line in lines]
    assert [turn["role"] for turn in asked[1]["messages"]] == ["user", "assistant", "user"]
    assert asked[2]["messages"] == HI
    assert asked[2]["response_format"]["json_schema"]["name"] == "Shape"
    assert readable(command)


def test_what_the_caller_said_is_kept_apart_from_what_the_profile_adds(
    sandbox: Sandbox, command: Command
) -> None:
    Path("profiles").mkdir()
    Path("profiles/long.toml").write_text(
        'system = "You triage."\nshots = [{ user = "a shot", assistant = "yes" }]\n'
    )
    text = Path("deployments.toml").read_text().replace(f'model = "{V9}"', f'model = "{LUNA}"', 1)
    Path("deployments.toml").write_text(text.replace(LUNA, f'{LUNA}"\nprofile = "long', 1))
    with fftdeploy.client(TARGET, log=RequestLog("log.jsonl")) as client:
        client.chat.completions.create(model=TARGET, messages=HI)
        client.responses.create(model=TARGET, input="hi")

    first, second = map(json.loads, Path("log.jsonl").read_text().splitlines())
    assert (first["profile"], first["request"]) == ("long", {"model": LUNA, "messages": HI})
    assert second["request"] == {"model": LUNA, "input": "hi"}
    assert readable(command, "--unreviewed")
    added = [json.loads(line)["messages"] for line in Path("e.jsonl").read_text().splitlines()]
    assert [len(turns) for turns in added] == [2, 2]
    assert added[0][0] == HI[0]


class Tracer:
    """What an application's tracer is asked for; the package need not be installed for that."""

    class SpanKind:
        CLIENT = "client"

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []

    def get_tracer(self, name: str) -> "Tracer":
        assert name == "fftdeploy"
        return self

    def start_span(self, name: str, **said: Any) -> "Tracer":
        self.spans.append({"name": name, **said})
        return self

    class StatusCode:
        ERROR = "error"

    def set_status(self, status: str) -> None:
        self.spans[-1]["status"] = status

    def end(self, at: int) -> None:
        self.spans[-1]["ended"] = at


def test_a_span_has_the_names_of_the_conventions_and_no_text(
    hosted: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = reply(body=chat_body(model=V9, usage=USAGE))
    hosted.probe(answer, streamed(CHUNKS), error(400, "x"))
    tracer = Tracer()
    with monkeypatch.context() as patch:
        patch.setattr(request_log, "import_module", lambda _: tracer)
        log = RequestLog(trace=True)
        call(log)
        with fftdeploy.client(TARGET, log=log, max_retries=0, key="user-42") as client:
            for _ in client.chat.completions.create(model=TARGET, messages=HI, stream=True):
                pass
            with pytest.raises(openai.BadRequestError):
                client.chat.completions.create(model=TARGET, messages=HI)

    span, of_stream, failed = tracer.spans
    assert of_stream["attributes"]["gen_ai.usage.output_tokens"] == 5
    assert of_stream["attributes"]["gen_ai.response.finish_reasons"] == ["stop"]
    assert len(of_stream["attributes"]["fftdeploy.caller"]) == 16
    assert (failed["status"], failed["attributes"]["error.type"]) == ("error", "BadRequestError")
    assert failed["attributes"]["http.response.status_code"] == 400
    assert "gen_ai.response.model" not in failed["attributes"]
    said = span["attributes"]
    assert (span["name"], span["kind"]) == (f"chat {V9}", "client")
    assert span["start_time"] <= span["ended"]
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.response.model"] == V9
    assert said["gen_ai.usage.input_tokens"] > 0
    assert (said["fftdeploy.target"], said["fftdeploy.release"]) == (TARGET, 2)
    assert "charged twice" not in json.dumps(said)


def chunk(*choices: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": V9,
            "choices": list(choices), **more}  # fmt: skip


def delta(finish: str | None = None, **said: Any) -> dict[str, Any]:
    return {"index": 0, "delta": said, "finish_reason": finish}


USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
CHUNKS = (
    chunk(delta(role="assistant", content="")),
    chunk(delta(content="It is ")),
    chunk(delta(content="billing.")),
    chunk(delta("stop")),
    chunk(usage=USAGE),
)
CALLED = (
    chunk(delta(tool_calls=[{"index": 0, "id": "t", "type": "function",
                             "function": {"name": "look", "arguments": ""}}])),
    chunk(delta(tool_calls=[{"index": 0, "function": {"arguments": '{"id":'}}])),
    chunk(delta(tool_calls=[{"index": 0, "function": {"arguments": "7}"}}])),
    chunk(delta("tool_calls")),
)  # fmt: skip
PART: dict[str, Any] = {"type": "output_text", "text": "It is billing.", "annotations": []}
MESSAGE = {"type": "message", "id": "m", "role": "assistant", "status": "completed"}
RESPONSE: dict[str, Any] = {
    "id": "r", "object": "response", "created_at": 1, "model": V9, "status": "completed",
    "output": [{**MESSAGE, "content": [PART]}], "parallel_tool_calls": True, "tools": [],
    "tool_choice": "auto",
    "usage": {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14,
              "input_tokens_details": {"cached_tokens": 0},
              "output_tokens_details": {"reasoning_tokens": 0}},
}  # fmt: skip
EVENTS: tuple[dict[str, Any], ...] = (
    {"type": "response.created", "sequence_number": 0,
     "response": {**RESPONSE, "status": "in_progress", "output": [], "usage": None}},
    {"type": "response.completed", "sequence_number": 1, "response": RESPONSE},
)  # fmt: skip


def streamed(events: Iterable[dict[str, Any]], end: bytes = b"data: [DONE]\n\n") -> Reply:
    raw = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    return reply(raw=raw + end, content_type="text/event-stream", name="good")


BEGUN = streamed(CHUNKS[:2], b" " * 99).data[:-50]
"""The beginning of a stream."""


def stall(server: FaultServer, sock: socket.socket) -> None:
    sock.sendall(BEGUN)
    hang(server, sock)


STALLED = Reply("stalled", act=stall)


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        server.probe(streamed(CHUNKS))
        server.script("POST", "/v1/responses", streamed(EVENTS, b""))
        yield server


def written() -> list[dict[str, Any]]:
    path = Path("log.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


SAID: dict[str, Any] = {"model": TARGET, "messages": HI}
OF_RESPONSES: dict[str, Any] = {"model": TARGET, "input": "hi"}


def iterated(client: Any) -> None:
    for _ in client.chat.completions.create(**SAID, stream=True):
        assert written() == []


def in_a_block(client: Any) -> None:
    with client.chat.completions.create(**SAID, stream=True) as stream:
        list(stream)


def by_the_helper(client: Any) -> None:
    with client.chat.completions.stream(**SAID) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "It is billing."


def raw_stream(client: Any) -> None:
    raw = client.chat.completions.with_raw_response.create(**SAID, stream=True)
    list(raw.parse())


def raw_lines(client: Any) -> None:
    with client.chat.completions.with_streaming_response.create(**SAID, stream=True) as raw:
        list(raw.iter_lines())


def responses_stream(client: Any) -> None:
    list(client.responses.create(**OF_RESPONSES, stream=True))


def responses_helper(client: Any) -> None:
    with client.responses.stream(**OF_RESPONSES) as stream:
        stream.until_done()


@pytest.mark.parametrize(
    "ask",
    [iterated, in_a_block, by_the_helper, raw_stream, raw_lines, responses_stream,
     responses_helper],
)  # fmt: skip
def test_a_stream_is_kept_once_when_it_ends(
    hosted: FaultServer, ask: Callable[[Any], None]
) -> None:
    with fftdeploy.client(TARGET, log=RequestLog("log.jsonl"), key="user-42") as client:
        ask(client)

    (line,) = written()
    found = request(line, "log.jsonl:1")
    assert (found.output, found.mark) == ("It is billing.", "")
    served = found.served
    assert (served.target, served.release, served.model) == (TARGET, "2", V9)
    assert (served.tokens_in, served.tokens_out, len(served.caller)) == (9, 5, 16)
    assert "stream" in line["request"]


def test_asynchronous_streams_and_raw_answers_are_kept(hosted: FaultServer) -> None:
    async def ask() -> None:
        log = RequestLog("log.jsonl")
        async with fftdeploy.client(TARGET, asynchronous=True, log=log, max_retries=0) as client:
            chat = client.chat.completions
            async for _ in await chat.create(**SAID, stream=True):
                pass
            async with chat.stream(**SAID) as stream:
                await stream.until_done()
            async with chat.with_streaming_response.create(**SAID, stream=True) as raw:
                assert await raw.read()
            hosted.probe(STALLED)
            async with await chat.create(**SAID, stream=True) as stream:
                async for _ in stream:
                    break
            hosted.probe(reply(body=chat_body(model=V9)), error(429, "slow_down"))
            whole = await chat.with_raw_response.create(**SAID)
            assert whole.parse().model == V9
            with pytest.raises(openai.RateLimitError):
                await chat.create(**SAID)

    asyncio.run(ask())
    *streams, abandoned, whole, failed = written()
    assert [request(line, "").output for line in streams] == ["It is billing."] * 3
    assert abandoned["error"] == {"type": "abandoned"}
    assert whole["response"]["model"] == V9
    assert failed["error"] == {"type": "RateLimitError", "status": 429}


def test_calls_of_tools_are_put_together(hosted: FaultServer) -> None:
    hosted.probe(streamed(CALLED))
    with fftdeploy.client(TARGET, log=RequestLog("log.jsonl")) as client:
        iterated(client)

    (line,) = written()
    function = {"name": "look", "arguments": '{"id":7}'}
    (choice,) = line["response"]["choices"]
    assert choice["message"]["tool_calls"] == [
        {"type": "function", "function": function, "id": "t"}
    ]
    assert request(line, "").output == '[{"arguments":{"id":7},"name":"look"}]'


def test_what_failed_or_was_given_up_is_kept_once_and_is_nobodys_answer(
    hosted: FaultServer, command: Command
) -> None:
    cut = Reply("cut", act=lambda _, sock: sock.sendall(BEGUN))
    hosted.probe(
        error(429, "slow_down"), Reply("gone", act=close_at_once),
        STALLED, STALLED, STALLED, STALLED, cut,
        streamed([*CHUNKS[:2], {"error": {"message": "overloaded"}}]),
    )  # fmt: skip
    log = RequestLog("log.jsonl")
    with fftdeploy.client(TARGET, log=log, max_retries=0) as client:
        chat = client.chat.completions
        for wrong in (openai.RateLimitError, openai.APIConnectionError):
            with pytest.raises(wrong):
                chat.create(**SAID)
        with chat.create(**SAID, stream=True) as stream:
            next(stream)
        chat.create(**SAID, stream=True).close()
        dropped = chat.create(**SAID, stream=True)
        next(dropped)
        del dropped, stream
        chat.create(**SAID, stream=True)
        gc.collect()
        for broken in (openai.APIConnectionError, openai.APIError):
            with pytest.raises(broken):
                list(chat.create(**SAID, stream=True))

    errors = [line["error"] for line in written()]
    assert errors == [
        {"type": "RateLimitError", "status": 429}, {"type": "APIConnectionError"},
        *([{"type": "abandoned"}] * 4), {"type": "RemoteProtocolError"}, {"type": "APIError"},
    ]  # fmt: skip
    assert {"model": V9}.items() <= written()[2].items()
    assert "model" not in written()[0]
    for line in written():
        assert "response" not in line
        assert (request(line, "").output, request(line, "").mark) == ("", "")
    assert readable(command, "--unreviewed")


def said_by_chat(content: str, reason: str = "stop") -> Reply:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "finish_reason": reason, "message": message}
    return reply(body=chat_body(model=V9, choices=[choice]), name="good")


def said_in_response(text: str) -> Reply:
    part = {"type": "output_text", "text": text, "annotations": []}
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed",
               "content": [part]}  # fmt: skip
    body = {"id": "r", "object": "response", "model": V9, "created_at": 1, "output": [message],
            "status": "completed",
            "tools": [], "tool_choice": "auto", "parallel_tool_calls": True}  # fmt: skip
    return reply(body=body, name="good")


def test_an_answer_that_is_not_of_the_callers_form_is_an_answer(
    hosted: FaultServer, command: Command
) -> None:
    good, bad, cut = '{"category": "yes"}', "not json", '{"category": "ye'
    chats = (said_by_chat(bad), said_by_chat(cut, "length"), said_by_chat(good))
    hosted.probe(*chats, *chats, said_by_chat(good))
    two = (said_in_response(bad), said_in_response(good))
    hosted.script("POST", "/v1/responses", *two, *two)
    log = RequestLog("log.jsonl")
    wrong: tuple[type[Exception], ...] = (ValidationError, openai.LengthFinishReasonError)
    said: Any = {"messages": HI, "response_format": Shape}
    given: Any = {"input": HI, "text_format": Shape}

    with fftdeploy.client(TARGET, log=log, max_retries=0) as made:
        client: Any = made
        for raised in wrong:
            with pytest.raises(raised):
                client.chat.completions.parse(**said)
        assert client.chat.completions.parse(**said).choices[0].message.parsed.category == "yes"
        with pytest.raises(ValidationError):
            client.responses.parse(**given)
        assert client.responses.parse(**given).output_parsed.category == "yes"

    async def main() -> Any:
        async with fftdeploy.client(TARGET, True, log=log, max_retries=0) as made:
            client: Any = made
            for raised in wrong:
                with pytest.raises(raised):
                    await client.chat.completions.parse(**said)
            answer = await client.chat.completions.parse(**said)
            assert answer.choices[0].message.parsed.category == "yes"
            with pytest.raises(ValidationError):
                await client.responses.parse(**given)
            assert (await client.responses.parse(**given)).output_parsed.category == "yes"
            raw = await client.chat.completions.with_raw_response.parse(**said)
            assert raw.parse().choices[0].message.parsed.category == "yes"
            return client.calls.counts

    assert client.calls.counts == {V9: 5}
    assert asyncio.run(main()) == {V9: 6}
    assert not any("error" in line for line in written())
    outputs = [request(line, "").output for line in written()]
    assert outputs == [*[bad, cut, good, bad, good] * 2, good]
    assert readable(command)


def test_a_log_that_fails_costs_no_stream(
    hosted: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(line: dict[str, Any]) -> None:
        raise RuntimeError(line["at"])

    chances = iter([0.5, 0.05])
    odd = [chunk(), {**chunk(), "choices": [{"delta": {"tool_calls": [{"function": {"a": 1}}]}}]}]
    hosted.probe(streamed(CHUNKS), streamed(CHUNKS), streamed(odd), streamed(CHUNKS))
    for log in (
        RequestLog("log.jsonl", redact=wrong),
        RequestLog("no/folder.jsonl"),
        RequestLog("log.jsonl"),
        RequestLog("log.jsonl", sample=0.1, chance=lambda: next(chances)),
    ):
        with fftdeploy.client(TARGET, log=log) as client:
            said = list(client.chat.completions.create(**SAID, stream=True))
        assert len(said) in {2, 5}
    assert written() == []
    with fftdeploy.client(TARGET, log=log) as client:
        iterated(client)
    assert len(written()) == 1
    log = RequestLog("log.jsonl", redact=lambda line: {**line, "caller": "(nobody)"})
    with fftdeploy.client(TARGET, log=log) as client:
        list(client.chat.completions.create(**SAID, stream=True))
    assert written()[-1]["caller"] == "(nobody)"
    assert [r.levelno for r in caplog.records if r.name == "fftdeploy"] == [logging.WARNING] * 3


def test_while_a_canary_runs_its_weight_is_kept(sandbox: Sandbox) -> None:
    canary = f'canary = {{ model = "{V8}", weight = 50, since = 2026-11-22T09:00:00Z }}\n'
    text = Path("deployments.toml").read_text()
    Path("deployments.toml").write_text(text.replace("releases", f"{canary}releases", 1))
    with fftdeploy.client(TARGET, log=RequestLog("log.jsonl"), max_retries=0) as client:
        any_key: Any = client.with_options  # which is not the SDK's
        for key in ("ana", "ben"):  # at 80 and 28 of 100
            any_key(key=key).chat.completions.create(**SAID)

    assert [(line["weight"], line["model"]) for line in written()] == [(50, V9), (50, V8)]


def test_a_long_stream_is_put_together_as_it_comes_and_kept_to_what_a_line_holds(
    hosted: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    many = [*[chunk(delta(content="0123456789"))] * 8_000, chunk(delta("stop"))]
    long = [*[chunk(delta(content="x" * 1_024))] * 4_000, chunk(delta("stop"))]
    hosted.probe(streamed(many), streamed(long))
    raw = streamed(long).data
    raw = raw[raw.index(b"data:") :]
    most = longest = 0
    heard = endings._Events()
    for start in range(0, len(raw), 100):
        heard.add(raw[start : start + 100])
        most = max(most, sum(map(len, heard._kept)))
        longest = max(longest, heard._chat._size)
    assert most < 2_000  # an event and a piece
    assert (1 << 20) < longest <= (1 << 20) + 1_024
    with fftdeploy.client(TARGET, log=RequestLog("log.jsonl")) as client:
        assert len(list(client.chat.completions.create(**SAID, stream=True))) == 8_001
        assert len(written()[0]["response"]["choices"][0]["message"]["content"]) == 80_000
        assert len(list(client.chat.completions.create(**SAID, stream=True))) == 4_001

    assert len(written()) == 1
    (said,) = told(caplog)
    assert said.endswith("LongLineError: a line of more than 1 MiB")


def test_J35_a_call_waits_for_no_lock_and_its_line_is_written_with_the_next(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(RequestLog("log.jsonl"))
    monkeypatch.setattr(disk, "_POLL_S", "a call that would wait fails, and that is told")
    log = RequestLog("log.jsonl")
    with Path("log.jsonl").open("rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_SH)
        call(log, 3)
    assert (len(written()), len(told(caplog))) == (1, 0)
    call(log)
    assert len(written()) == 5
    with Path("log.jsonl").open("rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_SH)
        call(log)
        monkeypatch.setattr(request_log, "_MOST_HELD", len(log._held[0]) + 9)
        call(log, 2)
    assert len(told(caplog)) == 1
    assert f"ConflictError: {Path.cwd()}/log.jsonl is locked by" in told(caplog)[0]
    log._flush(1.0)
    assert (len(written()), log._held) == (6, [])


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # Python 3.12
def test_a_forked_child_leaves_the_streams_of_its_parent_to_it(hosted: FaultServer) -> None:
    log = RequestLog("log.jsonl")
    with fftdeploy.client(TARGET, log=log, max_retries=0) as client:
        stream = client.chat.completions.create(**SAID, stream=True)
        next(stream)
        log._waiting.append(("of the parent",))
        log._held.append("of the parent")
        child = os.fork()
        if not child:
            with suppress(BaseException):
                stream.close()
                os._exit(len(log._waiting) + len(log._held))
            os._exit(9)
        assert os.waitpid(child, 0)[1] == 0
        log._begin_anew()
        assert written() == []
        list(stream)
    assert len(written()) == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # Python 3.12
def test_a_child_that_is_forked_while_a_line_is_written_keeps_no_lock(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would keep it as long as it lives, and a server's workers live long."""
    theirs, children, (until, end) = os.write, list[int](), os.pipe()

    def write(file: int, data: bytes) -> int:
        if not children:
            children.append(os.fork())
            if not children[0]:
                os.close(end)
                os.read(until, 1)
                os._exit(0)
        return theirs(file, data)

    log = RequestLog("log.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        call(log)
    call(log)
    os.close(end)
    assert os.waitpid(children[0], 0)[1] == 0
    os.close(until)
    assert (len(written()), log._held) == (2, [])


def test_J34_what_is_no_answer_is_a_failed_call_however_it_was_asked_for(
    hosted: FaultServer, command: Command
) -> None:
    page = reply(raw=b"<html>Sign in</html>", content_type="text/html", name="good")
    failed = {**RESPONSE, "status": "failed", "output": [], "error": {"code": "server_error"}}
    queued = {**RESPONSE, "status": "queued", "output": []}
    cut = streamed(CHUNKS[:2], b"")
    refused = reply(body={"error": {"message": "no"}, "model": V8, "response": 1}, name="good")
    hosted.probe(page, page, page, cut, refused)
    hosted.script(
        "POST",
        "/v1/responses",
        *(reply(body=body, name="good") for body in (failed, queued)),
        streamed([{"type": "response.failed", "sequence_number": 0, "response": failed}]),
    )
    with fftdeploy.client(TARGET, log=RequestLog("log.jsonl"), max_retries=0) as client:
        chat = client.chat.completions
        chat.create(**SAID)
        chat.with_raw_response.create(**SAID)
        for events in (0, 2):  # of a page, and of a stream that its host does not finish
            assert len(list(chat.create(**SAID, stream=True))) == events
        chat.create(**SAID)
        for _ in range(2):  # failed, and not yet answered
            client.responses.create(**OF_RESPONSES)
        list(client.responses.create(**OF_RESPONSES, stream=True))

    said = [(line["error"]["type"], line.get("model")) for line in written()]
    assert said == [
        *[(NO_ANSWER, None)] * 3,
        (NO_ANSWER, V9),
        ("APIError", V8),
        *[("APIError", V9)] * 2,
    ]
    assert all(line["error"].get("status", 200) == 200 for line in written())
    assert [request(line, "").error for line in written()] == [kind for kind, _ in said]
    assert readable(command, "--unreviewed")


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b'{"id":', "JSONDecodeError"), (b'{"id":"\xff"}', "UnicodeDecodeError"),
     (b"[" * 100_000, "RecursionError")],
    ids=["cut", "not-utf8", "deep"],
)  # fmt: skip
def test_what_is_no_json_is_a_failed_call_though_the_sdk_says_so_in_an_error_of_pythons(
    hosted: FaultServer, body: bytes, kind: str
) -> None:
    """A canary whose host garbles its answers has failed, and is not left out."""
    hosted.probe(reply(raw=body, name="good"), streamed(CHUNKS[:2], b"data: " + body + b"\n\n"))
    with fftdeploy.client(TARGET, log=RequestLog("log.jsonl"), max_retries=0) as client:
        for is_streamed in (False, True):
            with pytest.raises((ValueError, RecursionError)):
                list(client.chat.completions.create(**SAID, stream=is_streamed))

    assert [line["error"] for line in written()] == [{"type": kind}] * 2


def test_an_event_of_several_lines_is_one(hosted: FaultServer) -> None:
    lines = (json.dumps(event, indent=1).splitlines() for event in CHUNKS)
    raw = b"".join(b"".join(f"data: {line}\n".encode() for line in each) + b"\n" for each in lines)
    hosted.probe(reply(raw=raw, content_type="text/event-stream", name="good"))
    with fftdeploy.client(TARGET, log=RequestLog("log.jsonl")) as client:
        assert len(list(client.chat.completions.create(**SAID, stream=True))) == len(CHUNKS)

    assert [request(line, "").output for line in written()] == ["It is billing."]
