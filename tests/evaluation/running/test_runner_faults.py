"""What the API may answer to a request of a run, and what becomes of the run."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from evaluating import (
    PRICES,
    PROFILE,
    Haste,
    arm,
    counted,
    evaluate,
    make_run,
    model,
    numbered,
    rules,
    spending,
    truth,
)
from fault_server import KEY, FaultServer, Reply, error, hang, missing, reply

from fftdeploy.errors import (
    AuthError,
    ConflictError,
    FftdeployError,
    NotReadyError,
    PolicyError,
    UnverifiedError,
    UsageError,
)
from fftdeploy.evaluation.limits import Limits
from fftdeploy.evaluation.outputs import MAX_CHARS
from fftdeploy.evaluation.running import online, run_log
from fftdeploy.evaluation.running.spending import Spending
from fftdeploy.policy.prices import Prices
from fftdeploy.sandbox import Sandbox

RIGHT = '{"urgency": "high", "category": "refund", "next_step": "check refund eligibility"}'


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


def said(content: Any = RIGHT, finish: str = "stop", **more: Any) -> Reply:
    message = {"role": "assistant", "content": content, "refusal": None, **more}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    body = {"object": "chat.completion", "model": model("v8"), "choices": [choice]}
    return reply(body=body, name="said")


def one_answer(api: FaultServer, tmp_path: Path, *replies: Reply) -> tuple[str, str, int]:
    """Ask one example, and return its mark, what the log keeps as its text, and the requests."""
    api.probe(*replies)
    path = numbered(tmp_path / "examples.jsonl", 1)
    run = make_run(api.url, [arm("v8")], path)
    timeout_s = 0.2 if replies[0].act is hang else 20.0
    results = evaluate(run, tmp_path, api.url, key=KEY, time=Haste(), timeout_s=timeout_s)
    (record,) = run_log.read_records(run_log.headers(tmp_path)[0].path, tmp_path)
    return next(results.samples("v8", 0)).mark, record.output.text, len(api.log)


HUGE = "x" * 10_000_000
CONTENT_POLICY = {"type": "invalid_request_error", "param": "messages"}
ANSWERS: dict[str, tuple[Reply, tuple[str, str, int]]] = {
    "right": (said(), ("pass", RIGHT, 1)),
    "wrong": (said('{"urgency": "low"}'), ("invalid", '{"urgency": "low"}', 1)),
    "unparsable": (said("no"), ("unparsable", "no", 1)),
    "E15-truncated": (said(RIGHT, "length"), ("truncated", RIGHT, 1)),
    "E15-refused": (said(None, refusal="I will not"), ("refused", "I will not", 1)),
    "E15-filtered": (said("", "content_filter"), ("filtered", "", 1)),
    "E15-filtered-400": (error(400, "content_policy_violation"), ("filtered", "", 1)),
    "E15-empty": (said(""), ("empty", "", 1)),
    "E15-null": (said(None), ("empty", "", 1)),
    "E15-10-MB": (said(HUGE), ("truncated", "x" * MAX_CHARS, 1)),
    "E15-over-16-MiB": (reply(raw=b" " * (17 << 20)), ("truncated", "", 1)),
    "E14-500": (error(500, None), ("api-error", "", 12)),
    "E14-hang": (Reply("hang", act=hang), ("api-error", "", 6)),
    "E14-html": (reply(raw=b"<html>", content_type="text/html"), ("api-error", "", 3)),
    "E14-other-object": (reply(body={"object": "list"}), ("api-error", "", 3)),
    "E14-no-choices": (
        reply(body={"object": "chat.completion", "choices": []}),
        ("api-error", "", 3),
    ),
    "E14-no-message": (
        reply(body={"object": "chat.completion", "choices": [{}]}),
        ("api-error", "", 3),
    ),
    "E14-content-number": (said(5), ("api-error", "", 3)),
    "E14-redirect": (
        reply(302, headers=[("Location", "https://evil.example/")]),
        ("api-error", "", 1),
    ),
    "E14-twice": (reply(raw=b'{"object": 1, "object": 2}'), ("api-error", "", 3)),
    "E14-404-html": (reply(404, raw=b"<html>", content_type="text/html"), ("api-error", "", 1)),
    "E14-400": (error(400, "string_too_long", param="messages[0].content"), ("api-error", "", 1)),
}


@pytest.mark.parametrize("row", ANSWERS)
def test_one_answer(api: FaultServer, tmp_path: Path, row: str) -> None:
    given, expected = ANSWERS[row]
    assert one_answer(api, tmp_path, given) == expected


FATAL: dict[str, tuple[Reply, type[FftdeployError], str]] = {
    "401": (error(401, "invalid_api_key"), AuthError, "key-refused"),
    "403": (error(403, "no_access"), AuthError, "forbidden"),
    "D16-billing": (error(429, "insufficient_quota"), AuthError, "billing"),
    "E29-404": (missing(), NotReadyError, "missing"),
    "profile-temperature": (
        error(400, "unsupported_value", param="temperature"),
        NotReadyError,
        "profile-refused",
    ),
    "other-endpoint": (
        error(404, None, "This model is only supported in v1/responses"),
        NotReadyError,
        "not-chat",
    ),
    "long-wait": (
        error(429, None, headers=[("Retry-After", "3600")]),
        UnverifiedError,
        "rate-limited",
    ),
    "long-reset": (
        reply(
            body=json.loads(said().data.partition(b"\r\n\r\n")[2]),
            headers=[
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "23h59m0s"),
            ],
        ),
        UnverifiedError,
        "rate-limited",
    ),
}


@pytest.mark.parametrize("row", FATAL)
def test_one_answer_ends_the_run(api: FaultServer, tmp_path: Path, row: str) -> None:
    given, kind, code = FATAL[row]
    api.probe(said(), given) if row.startswith("E29") else api.probe(given)
    path = numbered(tmp_path / "examples.jsonl", 10)
    run = make_run(api.url, [arm("v8", name="live")], path)

    with pytest.raises(kind) as caught:
        evaluate(run, tmp_path, api.url, key=KEY, concurrency=1)

    assert (type(caught.value), caught.value.code) == (kind, code)
    assert KEY not in caught.value.message
    if kind is NotReadyError:
        assert f"live ({model('v8')})" in caught.value.message
    assert len(api.log) == (2 if row.startswith("E29") else 1)
    kept = list(run_log.read_records(run_log.headers(tmp_path)[0].path, tmp_path))
    assert len(kept) == (row in {"E29-404", "long-reset"})


def test_a_refused_parameter_of_an_arm_that_answers_is_an_api_error(
    api: FaultServer, tmp_path: Path
) -> None:
    api.probe(said(), error(400, "unsupported_value", param="temperature"), said())
    path = numbered(tmp_path / "examples.jsonl", 5)
    run = make_run(api.url, [arm("v8")], path)

    results = evaluate(run, tmp_path, api.url, key=KEY, concurrency=1)

    assert results.arms["v8"].count("api-error") == 1
    assert run.done == 5


KINDS: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "headers": {"retry-after": "1"}},
    "500": {"status": 500},
    "reset": {"reset": True},
    "truncated": {"truncate": 20},
    "html-502": {"status": 502, "body": "<html>", "content_type": "text/html"},
}
SPOILT = {kind: (0.2, [kind]) for kind in KINDS} | {
    "all": (0.2, [*KINDS]),
    "much": (0.6, [*KINDS]),
}


def spoil(box: Sandbox, share: float, kinds: list[str], requests: int) -> None:
    """Spoil that share of so many requests, drawn at random, in one of these ways each."""
    random = Random(f"{share} {kinds}")
    for number in range(requests):
        if random.random() < share:
            box.fault(times=1, after=number, **KINDS[random.choice(kinds)])


AT_ONCE = [(kind, 16) for kind in KINDS] + [
    (row, concurrency) for row in ("all", "much") for concurrency in (1, 16, 64)
]


@pytest.mark.parametrize(("row", "concurrency"), AT_ONCE)
def test_J13_counts_are_the_truth(box: Sandbox, tmp_path: Path, row: str, concurrency: int) -> None:
    arms = [arm("v6"), arm("v10")]
    run = make_run(box.url, arms, numbered(tmp_path / "examples.jsonl", 20))
    spoil(box, *SPOILT[row], requests=4 * run.size)

    results = evaluate(run, tmp_path, box.url, concurrency=concurrency, time=Haste())

    for each in arms:
        assert counted(results, each.name) == truth(run, each.name)
    assert len(box.requests) > 1.1 * run.size


def test_J13_without_rounds_they_are_not(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The control: a runner that gives up after its tries could not pass the test above.
    monkeypatch.setattr(online, "ROUNDS_IN_VAIN", 0)
    run = make_run(box.url, [arm("v10")], numbered(tmp_path / "examples.jsonl", 20))
    box.fault(status=500, times=4 * run.size)  # as many as all of its tries
    results = evaluate(run, tmp_path, box.url, time=Haste())
    assert results.arms["v10"].count("api-error") > 0
    assert counted(results, "v10") != truth(run, "v10")


def test_J13_what_an_outage_has_cost_is_asked_again_before_the_end(
    box: Sandbox, tmp_path: Path
) -> None:
    path = numbered(tmp_path / "examples.jsonl", 100)
    box.fault(status=500, times=20, after=10)
    run = make_run(box.url, [arm("v8")], path)
    notes: list[str] = []

    results = evaluate(run, tmp_path, box.url, concurrency=1, time=Haste(), on_note=notes.append)

    assert counted(results, "v8") == truth(run, "v8")
    (note,) = notes
    assert re.fullmatch(r"asking again for \d answers? that did not come", note)
    assert len(box.requests) == 120


def test_J13_a_request_that_always_fails_is_not_waited_for(box: Sandbox, tmp_path: Path) -> None:
    path = numbered(tmp_path / "examples.jsonl", 10)
    box.fault(model("v10"), status=500)
    arms = [arm("v8"), arm("v10")]
    run = make_run(box.url, arms, path)
    notes: list[str] = []

    results = evaluate(run, tmp_path, box.url, time=Haste(), on_note=notes.append)

    assert counted(results, "v8") == truth(run, "v8")
    assert results.arms["v10"].count("api-error") == 10
    assert notes == ["asking again for 10 answers that did not come"] * 2
    asked = len(box.requests)
    assert asked == 10 + 10 * 3 * 4
    box.clear_faults()
    again = make_run(box.url, arms, path)
    results = evaluate(again, tmp_path, box.url)
    assert counted(results, "v10") == truth(again, "v10")
    assert len(box.requests) == asked + 10


@pytest.mark.parametrize("limit", [0.003, 0.0035])
def test_J13_rounds_keep_to_the_limit_in_usd(box: Sandbox, tmp_path: Path, limit: float) -> None:
    # 60 answers cost 0.0046: what was lost may have been paid for, and counts as if it was.
    path = numbered(tmp_path / "examples.jsonl", 60)
    spoil(box, 0.6, ["reset", "truncated"], requests=1000)
    run = make_run(box.url, [arm("v8")], path)
    budget = spending(run, max_usd=limit)

    with pytest.raises(PolicyError) as caught:
        evaluate(run, tmp_path, box.url, budget=budget, time=Haste())

    assert caught.value.code == "max-usd"
    assert len(box.requests) * 0.0046 / 60 <= limit + 16 * 0.0046 / 60


def test_E14_an_outage_ends_the_run_and_it_goes_on_later(box: Sandbox, tmp_path: Path) -> None:
    path = numbered(tmp_path / "examples.jsonl", 100)
    box.fault(status=503, after=30)
    run = make_run(box.url, [arm("v8")], path)

    with pytest.raises(UnverifiedError) as caught:
        evaluate(run, tmp_path, box.url, concurrency=1, time=Haste())

    assert caught.value.message.startswith("20 requests in a row failed, the last one by: HTTP 503")
    assert caught.value.message.endswith("; 30 of 100 answers are kept")
    box.clear_faults()
    again = make_run(box.url, [arm("v8")], path)
    assert counted(evaluate(again, tmp_path, box.url), "v8") == truth(again, "v8")


def test_E29_the_baseline_is_deleted_in_the_middle(box: Sandbox, tmp_path: Path) -> None:
    box.remove(model("v8"), after=10)
    run = make_run(box.url, [arm("v10", name="candidate"), arm("v8", name="live")])

    with pytest.raises(NotReadyError, match=r"live .*this key cannot use it"):
        evaluate(run, tmp_path, box.url, concurrency=4)

    assert run.results.arms["live"].count("api-error") == 0


def test_E13_examples_that_change_while_it_runs(box: Sandbox, tmp_path: Path) -> None:
    path = numbered(tmp_path / "examples.jsonl", 10)
    run = make_run(box.url, [arm("v8")], path)

    def change(_: object) -> None:
        path.write_bytes(path.read_bytes().replace(b"n-000001", b"n-000x01"))

    with pytest.raises(ConflictError):
        evaluate(run, tmp_path, box.url, on_progress=change)

    assert not run_log.is_finished(run_log.headers(tmp_path)[0].path, tmp_path)


@pytest.mark.parametrize("endpoint", ["chat", "responses"])
def test_both_endpoints_give_the_same_results(box: Sandbox, tmp_path: Path, endpoint: str) -> None:
    text = f'{PROFILE}endpoint = "{endpoint}"\n'
    run = make_run(box.url, [arm("v8", text=text)])

    results = evaluate(run, tmp_path, box.url)

    assert counted(results, "v8") == truth(run, "v8")
    assert min(results.arms["v8"].tokens_in) > 0
    assert min(results.arms["v8"].tokens_out) > 0
    assert min(results.arms["v8"].latency_ms) >= 0
    path = {"chat": "/v1/chat/completions", "responses": "/v1/responses"}[endpoint]
    assert {request.path for request in box.requests} == {path}


def test_repeats_are_asked_each(box: Sandbox, tmp_path: Path) -> None:
    path = numbered(tmp_path / "examples.jsonl", 10)
    run = make_run(box.url, [arm("v8")], path, gate=rules(repeats=3))

    results = evaluate(run, tmp_path, box.url)

    assert len(box.requests) == run.size == 30
    assert all(len({s.mark for s in results.samples("v8", index)}) == 1 for index in range(10))


@pytest.mark.parametrize(
    ("limit", "wanted"), [(100, 134), (133, 134)], ids=["E27-far-over", "E27-one-over"]
)
def test_E27_too_many_requests_are_refused_before_the_first(
    box: Sandbox, tmp_path: Path, limit: int, wanted: int
) -> None:
    run = make_run(box.url, [arm("v6"), arm("v8")])

    with pytest.raises(PolicyError) as caught:
        evaluate(run, tmp_path, box.url, limits={"max_requests": limit})

    said_so = f"{wanted} requests are more than the {limit} that are allowed"
    assert (caught.value.message, caught.value.outcome.exit_code) == (said_so, 6)
    assert box.requests == ()


def test_E27_a_million_requests_cost_no_memory(box: Sandbox, tmp_path: Path) -> None:
    run = make_run(box.url, [arm("v6")], gate=rules(repeats=10**9))
    with pytest.raises(PolicyError, match="67,000,000,000 requests"):
        evaluate(run, tmp_path, box.url)


def test_E27_known_answers_and_retries_do_not_count(box: Sandbox, tmp_path: Path) -> None:
    evaluate(make_run(box.url, [arm("v6")]), tmp_path, box.url)
    run = make_run(box.url, [arm("v6"), arm("v8")])
    box.fault(status=500, times=9)
    evaluate(run, tmp_path, box.url, limits={"max_requests": 67}, time=Haste())
    assert len(box.requests) == 134 + 9


@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_limit_in_usd_stops_in_the_middle_and_the_run_goes_on(
    box: Sandbox, tmp_path: Path, concurrency: int
) -> None:
    path = numbered(tmp_path / "examples.jsonl", 60)
    run = make_run(box.url, [arm("v8")], path)
    budget = spending(run, max_usd=0.003)

    with pytest.raises(PolicyError) as caught:
        evaluate(run, tmp_path, box.url, concurrency=concurrency, budget=budget)

    assert caught.value.code == "max-usd"
    assert budget.usd is not None
    # What is under way counts at the mean of what has come: eight can be a little dearer than that.
    assert 0.0025 < budget.usd <= (0.003 if concurrency == 1 else 0.0031)
    assert 0 < run.done == len(box.requests) < 60
    again = make_run(box.url, [arm("v8")], path)
    assert counted(evaluate(again, tmp_path, box.url), "v8") == truth(again, "v8")
    assert len(box.requests) == 60


def test_a_limit_in_usd_needs_prices() -> None:
    with pytest.raises(UsageError, match=f"--max-usd needs the price of {model('v8')}"):
        Spending({"v8": model("v8")}, Prices(), Limits(max_usd=1))
    assert Spending({"v8": model("v8")}, PRICES, Limits(max_usd=1)).usd == 0


def test_workers_that_wait_for_hours_do_not_hold_the_end_up(
    api: FaultServer, tmp_path: Path
) -> None:
    # The first burst halves the limit: when the second comes, half of the workers wait.
    soon, late = (error(429, None, headers=[("Retry-After", s)]) for s in ("0.05", "3600"))
    api.probe(*[soon] * 8, late)
    run = make_run(api.url, [arm("v8")], numbered(tmp_path / "examples.jsonl", 50))

    with pytest.raises(UnverifiedError, match="asks to wait for 3600 s; 0 of 50 answers are kept"):
        evaluate(run, tmp_path, api.url, key=KEY, concurrency=8)


def test_what_is_under_way_when_a_run_ends_is_kept(box: Sandbox, tmp_path: Path) -> None:
    path = numbered(tmp_path / "examples.jsonl", 30)
    box.fault("/v1/chat", status=401, body={"error": {"code": "x"}}, times=1, after=3)
    box.fault(delay_s=0.2)
    run = make_run(box.url, [arm("v8")], path)

    with pytest.raises(AuthError):
        evaluate(run, tmp_path, box.url, concurrency=8)

    assert len(box.requests) == 8
    assert run.kept == 7
