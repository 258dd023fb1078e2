"""Files and batches: what was uploaded, and batches that move on as they are looked at.

A batch is being validated when it is made, in progress when it is first retrieved, and over a
retrieve later, unless its `BatchFault` has it otherwise.  Then its requests are answered at once,
by the models as they are in that moment.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Literal

from fftdeploy.sandbox import refusals
from fftdeploy.sandbox.refusals import Reply

MAX_REQUESTS = 50_000
MAX_BYTES = 200_000_000
WINDOW = timedelta(hours=24)
ENDPOINTS = ("/v1/chat/completions", "/v1/responses")

Answerer = Callable[[str, Any], Reply]
"""Answers one request, to a path with a body."""


@dataclass(frozen=True, slots=True)
class BatchFault:
    """What goes wrong with a batch, as `batch` of a fault on `POST /v1/batches` takes it.

    It is over after `polls` retrieves and then as `ends` says, `failed` by the error `code`.  Of
    its requests the first `answered` are answered (None: all of them), but for the `broken` first,
    which are a 500 in the error file, and the `lost` last, which are in no file.  `twice` answers
    are there twice, and `shuffle` is the seed of their order.  `forgets` is 1 for a host that keeps
    no metadata.
    """

    polls: int = 2
    ends: Literal["completed", "expired", "cancelled", "failed"] = "completed"
    code: str = "invalid_json_line"
    answered: int | None = None
    broken: int = 0
    lost: int = 0
    twice: int = 0
    shuffle: int | None = None
    forgets: int = 0


@dataclass(slots=True)
class _File:
    id: str
    name: str
    content: bytes
    created: datetime
    purpose: str = "batch_output"


@dataclass(slots=True)
class _Batch:
    id: str
    file: _File
    endpoint: str
    metadata: Mapping[str, str]
    created: datetime
    fault: BatchFault
    status: str = "validating"
    retrieves: int = 0
    total: int = 0
    answered: int = 0
    failed: int = 0
    at: dict[str, int] = field(default_factory=dict)
    """When it came into a state, by its name."""
    errors: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return self.status in {"completed", "expired", "cancelled", "failed"}

    def enter(self, status: str, now: datetime) -> None:
        self.status = status
        self.at[status] = int(now.timestamp())


class BatchQueue:
    """The files and batches of one sandbox; safe to use from many threads."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.RLock()
        self._files: dict[str, _File] = {}
        self._batches: dict[str, _Batch] = {}

    def upload(self, form: Mapping[str, Any], content: bytes) -> dict[str, Any]:
        """Keep a file that was sent with `form`."""
        if not isinstance(form.get("file"), dict):
            raise refusals.missing_parameter("file")
        if form.get("purpose") != "batch":
            raise refusals.refusal(400, "The sandbox takes files for batches.", param="purpose")
        with self._lock:
            return _file_body(self._keep(form["file"]["filename"], content, "batch"))

    def file(self, file_id: str) -> dict[str, Any]:
        """Describe a file."""
        return _file_body(self._file(file_id))

    def files(self) -> list[dict[str, Any]]:
        """Describe all files, newest first."""
        with self._lock:
            return [_file_body(file) for file in reversed(self._files.values())]

    def content(self, file_id: str) -> bytes:
        """Return what is in a file."""
        return self._file(file_id).content

    def delete(self, file_id: str) -> dict[str, Any]:
        """Forget a file."""
        with self._lock:
            del self._files[self._file(file_id).id]
        return {"id": file_id, "object": "file", "deleted": True}

    def create(self, body: Any, fault: BatchFault) -> dict[str, Any]:
        """Make a batch of a file's requests."""
        if not isinstance(body, dict):
            raise refusals.unreadable_body()
        for name in ("input_file_id", "endpoint", "completion_window"):
            if name not in body:
                raise refusals.missing_parameter(name)
        if body["endpoint"] not in ENDPOINTS:
            raise refusals.invalid_type("endpoint", f"one of {', '.join(ENDPOINTS)}")
        if body["completion_window"] != "24h":
            raise refusals.invalid_type("completion_window", "24h")
        with self._lock:
            file = self._file(body["input_file_id"])
            number = len(self._batches) + 1
            batch = _Batch(
                f"batch_{number:024d}",
                file,
                body["endpoint"],
                {} if fault.forgets else body.get("metadata") or {},
                self._now(),
                fault,
            )
            self._batches[batch.id] = batch
            return _batch_body(batch)

    def retrieve(self, batch_id: str, answer: Answerer) -> dict[str, Any]:
        """Move a batch on and describe it."""
        with self._lock:
            batch = self._batch(batch_id)
            self._move(batch, answer)
            return _batch_body(batch)

    def batches(self) -> list[dict[str, Any]]:
        """Describe all batches, newest first."""
        with self._lock:
            return [_batch_body(batch) for batch in reversed(self._batches.values())]

    def cancel(self, batch_id: str, answer: Answerer) -> dict[str, Any]:
        """End a batch; what was answered by then stays."""
        with self._lock:
            batch = self._batch(batch_id)
            if not batch.is_over:
                self._end(batch, "cancelled", answer)
            return _batch_body(batch)

    def _move(self, batch: _Batch, answer: Answerer) -> None:
        if batch.is_over:
            return
        batch.retrieves += 1
        if batch.status == "validating":
            told = {"code": batch.fault.code, "message": "The sandbox was told so.", "line": 1}
            batch.errors = [told] if batch.fault.ends == "failed" else list(_errors(batch))
            batch.enter("failed" if batch.errors else "in_progress", self._now())
            batch.total = batch.file.content.count(b"\n") if not batch.errors else 0
            if batch.errors:
                return
        if self._now() >= batch.created + WINDOW:
            self._end(batch, "expired", answer)
        elif batch.retrieves >= batch.fault.polls:
            self._end(batch, batch.fault.ends, answer)

    def _end(self, batch: _Batch, status: str, answer: Answerer) -> None:
        """Answer what is to be answered, and write both files."""
        fault = batch.fault
        requests = [json.loads(line) for line in batch.file.content.splitlines()]
        batch.total = len(requests)
        most = len(requests) if fault.answered is None else fault.answered
        good: list[dict[str, Any]] = []
        bad: list[dict[str, Any]] = []
        for place, request in enumerate(requests):
            if place >= len(requests) - fault.lost:
                break
            if place >= most:
                bad.append(_line(place, request, None, status))
            elif place < fault.broken:
                bad.append(_line(place, request, _BROKEN))
            else:
                reply = answer(request["url"], request["body"])
                (good if reply.status == 200 else bad).append(_line(place, request, reply))
        batch.answered, batch.failed = len(good), len(bad)
        good += good[: fault.twice]
        if fault.shuffle is not None:
            Random(fault.shuffle).shuffle(good)  # noqa: S311  no secret
        for name, lines in (("output", good), ("error", bad)):
            if lines:
                text = "".join(f"{json.dumps(line)}\n" for line in lines)
                batch.files[name] = self._keep(f"{batch.id}_{name}.jsonl", text.encode()).id
        batch.enter(status, self._now())

    def _keep(self, name: str, content: bytes, purpose: str = "batch_output") -> _File:
        file = _File(f"file-{len(self._files) + 1:022d}", name, content, self._now(), purpose)
        self._files[file.id] = file
        return file

    def _file(self, file_id: Any) -> _File:
        with self._lock:
            if file_id not in self._files:
                raise refusals.refusal(404, f"No such File object: {file_id}", param="id")
            return self._files[file_id]

    def _batch(self, batch_id: str) -> _Batch:
        if batch_id not in self._batches:
            raise refusals.refusal(404, f"No batch found with id '{batch_id}'.")
        return self._batches[batch_id]


_BROKEN = Reply(
    500, {"error": {"message": "The server had an error.", "type": "server_error", "code": None}}
)


def _line(
    place: int, request: Mapping[str, Any], reply: Reply | None, status: str = ""
) -> dict[str, Any]:
    response, error = None, None
    if reply is None:
        message = "This request could not be executed before the completion window expired."
        error = {"code": f"batch_{status}", "message": message}
    else:
        request_id = f"req_batch_{place:022x}"
        response = {"status_code": reply.status, "request_id": request_id, "body": reply.body}
    named = {"id": f"batch_req_{place:024d}", "custom_id": request["custom_id"]}
    return {**named, "response": response, "error": error}


def _errors(batch: _Batch) -> Iterator[dict[str, Any]]:
    """Yield what keeps a batch from being begun, as far as the first line that is wrong."""
    content = batch.file.content
    count = content.count(b"\n")
    if not content:
        yield {"code": "empty_file", "message": "The input file is empty."}
    if count > MAX_REQUESTS:
        yield {"code": "too_many_tasks", "message": f"More than {MAX_REQUESTS} requests."}
    if len(content) > MAX_BYTES:
        yield {"code": "file_too_large", "message": f"More than {MAX_BYTES} bytes."}
    seen: set[str] = set()
    models: set[str] = set()
    for number, line in enumerate(content.splitlines(), 1):
        code = _line_error(line, batch.endpoint, seen, models)
        if code:
            yield {"code": code, "message": f"Line {number} is not right.", "line": number}
            return


def _line_error(line: bytes, endpoint: str, seen: set[str], models: set[str]) -> str:
    try:
        request = json.loads(line)
        name, body = request["custom_id"], request["body"]
        if request["method"] != "POST" or request["url"] != endpoint:
            return "url_mismatch"
        models.add(body["model"])
    except (ValueError, KeyError, TypeError):
        return "invalid_json_line"
    if name in seen:
        return "duplicate_custom_id"
    seen.add(name)
    return "mismatched_model" if len(models) > 1 else ""


def _file_body(file: _File) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": len(file.content),
        "created_at": int(file.created.timestamp()),
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
    }


def _batch_body(batch: _Batch) -> dict[str, Any]:
    states = ("in_progress", "completed", "failed", "expired", "cancelled")
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "input_file_id": batch.file.id,
        "completion_window": "24h",
        "status": batch.status,
        "output_file_id": batch.files.get("output"),
        "error_file_id": batch.files.get("error"),
        "created_at": int(batch.created.timestamp()),
        "expires_at": int((batch.created + WINDOW).timestamp()),
        **{f"{state}_at": batch.at.get(state) for state in states},
        "request_counts": {
            "total": batch.total,
            "completed": batch.answered,
            "failed": batch.failed,
        },
        "metadata": dict(batch.metadata),
    }


def parse_form(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes] | None:
    """Return the fields of a form and the content of its file; None where it is no form.

    A file's field is its name and its size.
    """
    kind, _, boundary = content_type.partition("boundary=")
    if not kind.startswith("multipart/form-data") or not boundary:
        return None
    form: dict[str, Any] = {}
    content = b""
    for part in body.split(b"--" + boundary.strip('"').encode())[1:-1]:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        value = value.removesuffix(b"\r\n")
        said = dict(
            pair.strip().split("=", 1)
            for pair in head.decode("utf-8", "replace").split("\r\n")[0].split(";")[1:]
            if "=" in pair
        )
        name = said.get("name", "").strip('"')
        if "filename" in said:
            form[name] = {"filename": said["filename"].strip('"'), "bytes": len(value)}
            content = value
        else:
            form[name] = value.decode("utf-8", "replace")
    return form, content
