"""What a host says about a batch, and the lines of a batch's files.

A line is read as strictly as an answer that came by itself, and is judged as one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fftdeploy.api.answers import Answer, error_fields, plain
from fftdeploy.api.client.incoming import may_quote, scrub_all
from fftdeploy.api.end_dates import moment
from fftdeploy.formats import strict_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from fftdeploy.api.hosts import Kind

MAX_REQUESTS = 50_000
"""Most requests of one batch."""

MAX_BYTES = 200_000_000
"""Most bytes of its file."""

LINE_BYTES = 16 << 20
"""Most bytes of an answer in a file."""

_OVER = frozenset({"cancelled", "completed", "expired", "failed"})
_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")


@dataclass(frozen=True, slots=True)
class BatchError:
    """Why a batch was not begun."""

    code: str
    message: str
    param: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch, as its host has it."""

    id: str
    status: str
    created_at: datetime
    completed: int = 0
    failed: int = 0
    input_file: str = ""
    output_file: str = ""
    error_file: str = ""
    errors: tuple[BatchError, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether no more of its requests will be answered, and its files are there."""
        return self.status in _OVER


def read_batch(body: Any) -> Batch | None:
    """Read a batch object; None where it is none, or lacks what we have to know."""
    if not isinstance(body, dict) or body.get("object") != "batch":
        return None
    created = moment(body.get("created_at"))
    batch_id, status = file_id(body.get("id")), body.get("status")
    if not batch_id or not isinstance(status, str) or created is None:
        return None
    counts, metadata = _table(body.get("request_counts")), _table(body.get("metadata"))
    errors = _table(body.get("errors")).get("data")
    return Batch(
        id=batch_id,
        status=plain(status, 40),
        created_at=created,
        completed=_count(counts.get("completed")),
        failed=_count(counts.get("failed")),
        input_file=file_id(body.get("input_file_id")),
        output_file=file_id(body.get("output_file_id")),
        error_file=file_id(body.get("error_file_id")),
        errors=tuple(map(_error, errors)) if isinstance(errors, list) else (),
        metadata={k: v for k, v in metadata.items() if isinstance(v, str)},
    )


def file_id(value: Any) -> str:
    """Return an ID that a host has given; "" where it is none that we would ask for."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def request_line(custom_id: str, address: str, body: Mapping[str, Any]) -> bytes:
    """Write one request of a batch, to `address` below the host's."""
    line = {"custom_id": custom_id, "method": "POST", "url": address, "body": body}
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def read_line(line: bytes, scrub: Callable[[str], str], kind: Kind) -> tuple[str, Answer] | None:
    """Return what a request of a batch was called, and its answer; None where nothing says so."""
    try:
        text = line.decode()
        value = strict_json.loads(text)
    except (UnicodeDecodeError, strict_json.StrictError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("custom_id"), str):
        return None
    custom_id = value["custom_id"]
    if may_quote(text, scrub):
        value = scrub_all(value, scrub)
    return custom_id, _answer(value, kind)


def _answer(value: Mapping[str, Any], kind: Kind) -> Answer:
    response = value.get("response")
    if not isinstance(response, dict) or type(response.get("status_code")) is not int:
        said = error_fields({"error": value.get("error")})
        parts = (said.get("code", ""), said.get("message", ""))
        problem = ": ".join(part for part in parts if part) or "the batch has no answer to it"
        return Answer(fault="unanswered", problem=plain(problem, 300), kind=kind)
    body, request_id = response.get("body"), response.get("request_id")
    return Answer(
        status=response["status_code"],
        body=body,
        problem="" if isinstance(body, dict) else "an answer that is no object",
        kind=kind,
        request_id=plain(request_id, 80) if isinstance(request_id, str) else "",
        **error_fields(body),
    )


def _error(value: Any) -> BatchError:
    table = _table(value)
    line = table.get("line")
    code, message, param = (
        plain(str(table.get(name) or ""), 300) for name in ("code", "message", "param")
    )
    return BatchError(code, message, param, line if type(line) is int else None)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value <= MAX_REQUESTS else 0
