"""The request log: off by default, and read by what reads logs."""

import json
import logging
import stat
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from scenes import V8, V9, past, write

import fftdeploy
from fftdeploy import RequestLog
from fftdeploy.evaluation.examples.production import request
from fftdeploy.routing import request_log
from fftdeploy.sandbox import Sandbox

TARGET = "triage/production"
HI: Any = [{"role": "user", "content": "My card 4000 1234 was charged twice"}]


@pytest.fixture(autouse=True)
def files(repo: Path) -> None:
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
    with fftdeploy.client(TARGET, log=RequestLog("log.jsonl")) as client:
        client.responses.create(model=TARGET, input="hi")

    lines = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    assert stat.S_IMODE(Path("log.jsonl").stat().st_mode) == 0o600
    assert len(lines) == 3
    assert lines[0]["request"] == {"model": V9, "messages": HI}
    for line in lines:
        served = request(line, "log.jsonl:1").served
        assert (served.target, served.release, served.model) == (TARGET, "2", V9)
        assert served.at
        assert served.tokens_in
        assert served.latency_ms is not None
    rules = 'examples = ["e.jsonl"]\ngraders = [{ type = "label", labels = ["yes", "no"] }]\n'
    Path("fftdeploy.toml").write_text(f"version = 1\n[tasks.triage.gate]\n{rules}")
    brought = command("review", "triage", "--from", "log.jsonl", "--dry-run")
    assert brought.code == 0, brought.err


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
