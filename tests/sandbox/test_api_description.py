"""The sandbox, and what the SDK sends for us, agree with OpenAI's published description."""

import json
from http.client import HTTPConnection
from io import BytesIO
from typing import Any

import api_description as description
import openai
import pytest
from scenes import V10

from fftdeploy.sandbox import ACME, Sandbox, State

if description.MISSING:
    pytest.skip(description.MISSING, allow_module_level=True)  # one skipped test, not all of them

HELLO = [{"role": "user", "content": "Reply with OK."}]


def ask(sandbox: Sandbox, method: str, path: str, body: Any = None, key: str = "") -> list[str]:
    """Send one request and return what the description says is wrong with the answer."""
    connection = HTTPConnection("127.0.0.1", sandbox.port, timeout=20)
    try:
        sent = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {key or sandbox.key}"}
        connection.request(method, path, sent, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    finally:
        connection.close()
    return description.check_response(method, path, response.status, answer)


def test_every_address_in_every_state_answers_as_described(sandbox: Sandbox) -> None:
    tried: list[tuple[str, str, Any]] = [("GET", "/v1/models", None)]
    for model in (*ACME.models, "nobody"):
        tried.append(("GET", f"/v1/models/{model}", None))
        for limits in ({}, {"max_tokens": 16}, {"max_completion_tokens": 16}):
            body = {"model": model, "messages": HELLO, **limits}
            tried.append(("POST", "/v1/chat/completions", body))
        for text in ("Reply with OK.", "I want a refund"):
            body = {"model": model, "input": text, "max_output_tokens": 16}
            tried.append(("POST", "/v1/responses", body))
    for job in (*ACME.jobs, "ftjob-nobody"):
        path = f"/v1/fine_tuning/jobs/{job}"
        tried += [
            ("GET", f"{path}{rest}", None) for rest in ("", "", "", "/events", "/checkpoints")
        ]
    tried += [("GET", f"/v1/fine_tuning/jobs{query}", None) for query in ("", "?limit=2")]

    wrong = [
        problem for method, path, body in tried for problem in ask(sandbox, method, path, body)
    ]

    print(f"{len(tried)} tried, {len(wrong)} wrong")
    assert wrong == []


def test_files_and_batches_answer_as_described(sandbox: Sandbox) -> None:
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions"}
    good = {**line, "body": {"model": V10, "messages": HELLO}}
    wrong: list[str] = []
    for number, (request, fault) in enumerate(
        [(good, {}), (good, {"ends": "expired", "answered": 0}), (line, {}), (good, {"polls": 9})]
    ):
        file = BytesIO(json.dumps(request).encode() + b"\n")
        with openai.OpenAI(base_url=sandbox.url, api_key=sandbox.key) as client:
            sent = client.files.create(file=("requests.jsonl", file), purpose="batch")
        body = {"input_file_id": sent.id, "endpoint": line["url"], "completion_window": "24h"}
        if fault:
            sandbox.fault("/batches", method="POST", batch=fault, times=1)
        wrong += description.check_request("POST", "/v1/batches", body)
        wrong += ask(sandbox, "POST", "/v1/batches", body)
        made = f"/v1/batches/batch_{number + 1:024d}"
        for path in (made, made, "/v1/batches?limit=2", f"/v1/files/{sent.id}", "/v1/files"):
            wrong += ask(sandbox, "GET", path)
        wrong += ask(sandbox, "POST", f"{made}/cancel")
    wrong += ask(sandbox, "DELETE", f"/v1/files/{sent.id}")
    for path in (f"/v1/files/{sent.id}", "/v1/batches/batch_x", f"/v1/files/{sent.id}/content"):
        wrong += ask(sandbox, "GET", path)
    assert wrong == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/nothing", None),
        ("DELETE", f"/v1/models/{V10}", None),
        ("POST", "/v1/chat/completions", {}),
        ("POST", "/v1/chat/completions", {"model": V10}),
        ("POST", "/v1/chat/completions", {"model": V10, "messages": HELLO, "stream": True}),
        ("POST", "/v1/chat/completions", {"model": V10, "messages": HELLO, "colour": "red"}),
        ("POST", "/v1/responses", {"model": V10, "input": "hi", "max_output_tokens": 1}),
        ("GET", "/v1/fine_tuning/jobs?after=nobody", None),
    ],
)
def test_refusals_are_the_described_error_object(
    sandbox: Sandbox, method: str, path: str, body: Any
) -> None:
    assert ask(sandbox, method, path, body) == []


def test_wrong_keys_and_all_states_are_described(sandbox: Sandbox) -> None:
    assert ask(sandbox, "GET", "/v1/models", key="sk-wrong") == []
    for state in State:
        sandbox.set_state(V10, state)
        assert ask(sandbox, "GET", f"/v1/models/{V10}") == []
        body = {"model": V10, "messages": HELLO}
        assert ask(sandbox, "POST", "/v1/chat/completions", body) == []


def test_what_the_sdk_sends_for_a_probe_is_described(sandbox: Sandbox) -> None:
    client = openai.OpenAI(base_url=sandbox.url, api_key=sandbox.key, max_retries=0)
    with client:
        chat: Any = client.chat.completions
        for limits in ({"max_completion_tokens": 16}, {"max_tokens": 16}, {}):
            chat.create(model=V10, messages=HELLO, **limits)
        client.responses.create(model=V10, input="Reply with OK.", max_output_tokens=16)
        client.models.retrieve(V10)
        client.models.list()
        jobs = client.fine_tuning.jobs
        jobs.retrieve("ftjob-v10")
        jobs.list_events("ftjob-v10", limit=1)
        jobs.checkpoints.list("ftjob-v10")
        assert len(list(jobs.list(limit=5))) == len(ACME.jobs)

    sent = sandbox.requests
    wrong = [
        problem
        for request in sent
        for problem in description.check_request(request.method, request.path, request.body)
    ]
    print(f"{len(sent)} tried, {len(wrong)} wrong")
    assert (len(sent), wrong) == (12, [])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/chat/completions", {"model": V10}),
        ("POST", "/v1/chat/completions", {"model": V10, "messages": []}),
        (
            "POST",
            "/v1/chat/completions",
            {"model": V10, "messages": HELLO, "max_output_tokens": 16},
        ),
        ("POST", "/v1/responses", {"model": V10, "input": "hi", "max_output_tokens": 1}),
        ("GET", "/v1/models", {"model": V10}),
        ("GET", "/v1/fine_tuning/jobs?page=2", None),
        ("GET", "/v1/models/a/b", None),
        ("PUT", "/v1/models", None),
    ],
)
def test_control_a_wrong_request_is_found(method: str, path: str, body: Any) -> None:
    assert description.check_request(method, path, body) != []


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/v1/models", 200, {"object": "list", "data": [{"id": "x"}]}),
        ("GET", "/v1/models/x", 404, {"detail": "Not Found"}),
        ("GET", "/v1/models/x", 204, None),
        ("POST", "/v1/chat/completions", 200, {"object": "chat.completion", "choices": []}),
        ("POST", "/v1/responses", 200, {"object": "response"}),
        ("GET", "/v1/fine_tuning/jobs/ftjob-v8", 200, {"status": "brand_new"}),
    ],
)
def test_control_a_wrong_response_is_found(method: str, path: str, status: int, body: Any) -> None:
    assert description.check_response(method, path, status, body) != []
