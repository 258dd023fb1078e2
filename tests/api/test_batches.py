"""What a host says about batches is read as strictly as any answer, and the key is struck out."""

import json
from typing import Any

import pytest

from fftdeploy.api.batches import Batch, read_batch, read_line, request_line
from fftdeploy.api.client.incoming import scrubber
from fftdeploy.api.hosts import OPENAI

KEY = "sk-verysecret-0123456789"
BATCH = {
    "id": "batch_1",
    "object": "batch",
    "status": "completed",
    "created_at": 1_763_710_000,
    "output_file_id": "file-1",
    "error_file_id": None,
    "errors": {"data": [{"code": "x", "message": "two\nlines", "line": 3, "param": None}]},
    "request_counts": {"total": 3, "completed": 2, "failed": 1},
    "metadata": {"fftdeploy_run": "r", "number": 5},
}


def test_a_batch_is_read() -> None:
    found = read_batch(BATCH)

    assert isinstance(found, Batch)
    assert (found.is_over, found.completed, found.failed) == (True, 2, 1)
    assert (found.output_file, found.error_file) == ("file-1", "")
    assert found.metadata == {"fftdeploy_run": "r"}
    assert [(error.message, error.line) for error in found.errors] == [("two\\nlines", 3)]


@pytest.mark.parametrize(
    "odd",
    [
        {"id": "../files/x"},
        {"id": ""},
        {"id": 5},
        {"object": "list"},
        {"status": None},
        {"created_at": "yesterday"},
        {"created_at": True},
        {"created_at": -1},
        {"created_at": 10**15},
        {"created_at": 500_000_000_000},  # a year that no datetime has
    ],
)
def test_what_is_no_batch_is_none(odd: dict[str, Any]) -> None:
    assert read_batch({**BATCH, **odd}) is None
    assert read_batch([BATCH]) is None


@pytest.mark.parametrize("odd", [None, [], 3, {"data": 3}, {"data": [3]}, {"completed": "many"}])
def test_odd_parts_of_a_batch_say_nothing(odd: Any) -> None:
    parts = ("errors", "request_counts", "metadata", "output_file_id")
    found = read_batch({**BATCH, **dict.fromkeys(parts, odd)})

    assert found is not None
    assert (found.completed, found.failed, found.output_file) == (0, 0, "")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{",
        b"[]",
        b"\xff",
        b"{}",
        b'{"custom_id": 5}',
        b'{"custom_id":"a","custom_id":"b"}',
    ],
)
def test_a_line_of_nobody_is_none(line: bytes) -> None:
    assert read_line(line, scrubber(KEY), OPENAI) is None


def answer_of(**said: Any) -> Any:
    line = json.dumps({"custom_id": "7-abc", **said}).encode()
    found = read_line(line, scrubber(KEY), OPENAI)
    assert found is not None
    assert found[0] == "7-abc"
    return found[1]


def test_an_answer_in_a_line_is_an_answer() -> None:
    good = answer_of(response={"status_code": 200, "request_id": "req_1", "body": {"x": KEY}})
    error = {"code": "rate", "message": f"slow down, {KEY}", "type": "t", "param": None}
    bad = answer_of(response={"status_code": 429, "body": {"error": error}})
    late = answer_of(response=None, error={"code": "batch_expired", "message": "too late"})

    assert (good.status, good.body, good.request_id) == (200, {"x": "[key]"}, "req_1")
    assert (bad.status, bad.code, bad.message) == (429, "rate", "slow down, [key]")
    assert (late.status, late.problem) == (0, "batch_expired: too late")
    assert (good.may_differ, bad.may_differ, late.may_differ) == (True, True, True)


@pytest.mark.parametrize("response", [None, 5, {}, {"status_code": "200"}, {"status_code": True}])
def test_a_line_without_an_answer_says_so(response: Any) -> None:
    assert answer_of(response=response).problem == "the batch has no answer to it"


@pytest.mark.parametrize("body", [None, [], "text", 5])
def test_a_body_that_is_no_object_is_no_answer(body: Any) -> None:
    found = answer_of(response={"status_code": 200, "body": body})
    assert found.problem == "an answer that is no object"


def test_a_request_is_one_line_whatever_it_says() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "a\nb\u2028c"}]}
    line = request_line("1-a", "/v1/chat/completions", body)

    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "custom_id": "1-a",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": body,
    }
