"""The request log: off by default, and read by what reads logs."""

import json
import logging
import math
import resource
import signal
import stat
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from fault_server import FaultServer, chat_body, reply
from pydantic import BaseModel
from scenes import LUNA, V8, V9, past, write

import fftdeploy
from fftdeploy import RequestLog
from fftdeploy.errors import UsageError
from fftdeploy.evaluation.examples.production import request
from fftdeploy.routing import request_log, routes
from fftdeploy.sandbox import Sandbox

TARGET = "triage/production"
HI: Any = [{"role": "user", "content": "My card 4000 1234 was charged twice"}]


@pytest.fixture(autouse=True)
def files(repo: Path) -> None:
    routes._kept.clear()
    write(past(TARGET, V8, V9))


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
    told = [record.getMessage() for record in caplog.records if record.name == "fftdeploy"]
    assert told[0] == "a request was not written down: KeyError: 'metadata'"
    assert len(told) == 2


ODD: tuple[dict[str, Any], ...] = (
    {"choices": []},
    {"object": "other"},
    {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": 1}}]},
)
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
        assert not Path("log.jsonl").exists()
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

    def end(self, at: int) -> None:
        self.spans[-1]["ended"] = at


def test_a_span_has_the_names_of_the_conventions_and_no_text(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tracer = Tracer()
    with monkeypatch.context() as patch:
        patch.setattr(request_log, "import_module", lambda _: tracer)
        call(RequestLog(trace=True))

    (span,) = tracer.spans
    said = span["attributes"]
    assert (span["name"], span["kind"]) == (f"chat {V9}", "client")
    assert span["start_time"] <= span["ended"]
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.response.model"] == V9
    assert said["gen_ai.usage.input_tokens"] > 0
    assert (said["fftdeploy.target"], said["fftdeploy.release"]) == (TARGET, 2)
    assert "charged twice" not in json.dumps(said)
