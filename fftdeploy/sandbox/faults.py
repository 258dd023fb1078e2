"""Faults on request: which requests they hit, and what they do to the answer."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from http import HTTPStatus
from typing import Any

from fftdeploy.sandbox.batches import BatchFault
from fftdeploy.sandbox.ledger import Request


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with the requests that it matches, as `POST /control/faults` takes it.

    It matches where `match` is part of the path or is the model asked for, from request
    `after` + 1 on, `times` times (None: for ever).  With `status` or `body` it replaces the
    answer, else it spoils the true one.  `truncate` sends that many bytes of the body under the
    full content length, `reset` closes with RST before any byte, `drip_s` is the pause in
    seconds between single bytes of the body.  `batch` has the fields of `BatchFault`, for the
    batch that the request makes.
    """

    match: str = ""
    method: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str | None = None
    delay_s: float = 0.0
    drip_s: float = 0.0
    truncate: int | None = None
    reset: bool = False
    times: int | None = None
    after: int = 0
    batch: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not each.default and not _CHECKS[each.name](value):
                raise ValueError(f"`{each.name}` is not what a fault takes")

    def matches(self, request: Request) -> bool:
        """Say whether `request` is one of those to spoil, the counts apart."""
        if self.method not in {None, request.method}:
            return False
        return self.match in request.path or self.match == request.model

    def payload(self) -> bytes:
        """Return the body to send instead of the true answer."""
        if self.body is None:
            phrase = HTTPStatus(self.status or 200).phrase
            error = {"message": phrase, "type": "sandbox_fault", "param": None, "code": None}
            return json.dumps({"error": error}).encode()
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


def parse_fault(data: Mapping[str, Any]) -> Fault:
    """Build a fault from JSON; ValueError names the key that is unknown or has a wrong value."""
    known = {each.name for each in fields(Fault)}
    if unknown := sorted(set(data) - known):
        raise ValueError(f"unknown key `{unknown[0]}`; known are {', '.join(sorted(known))}")
    return Fault(**data)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_seconds(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= float(value) <= 3600  # type: ignore[arg-type] # a number here


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not set(value) & {"\r", "\n"}


def _is_headers(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        _is_text(text) and str(text).isascii() for item in value.items() for text in item
    )


def _is_status(value: object) -> bool:
    # 1xx would announce a second answer, which never comes.
    return _is_count(value) and value in set(HTTPStatus) and value >= 200  # type: ignore[operator] # a count is an int


def _is_batch_fault(value: object) -> bool:
    if not isinstance(value, Mapping) or not set(value) <= {each.name for each in _BATCH}:
        return False
    counts = {key: count for key, count in value.items() if key not in {"ends", "code"}}
    ends = value.get("ends", "completed") in {"completed", "expired", "cancelled", "failed"}
    return ends and _is_text(value.get("code", "")) and all(map(_is_count, counts.values()))


_BATCH = fields(BatchFault)
_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "match": _is_text,
    "method": _is_text,
    "status": _is_status,
    "headers": _is_headers,
    "body": lambda _: True,
    "content_type": _is_text,
    "delay_s": _is_seconds,
    "drip_s": _is_seconds,
    "truncate": _is_count,
    "reset": lambda value: isinstance(value, bool),
    "times": lambda value: _is_count(value) and value > 0,
    "after": _is_count,
    "batch": _is_batch_fault,
}


class Faults:
    """The faults that are set, oldest first, and how often each was met."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._met: list[tuple[Fault, int]] = []

    def add(self, fault: Fault) -> None:
        """Set one more fault; the oldest that matches a request is the one that hits it."""
        with self._lock:
            self._met.append((fault, 0))

    def clear(self) -> None:
        """Remove every fault."""
        with self._lock:
            self._met.clear()

    def hit(self, request: Request) -> Fault | None:
        """Count `request` against the faults it matches and return the one that hits it."""
        with self._lock:
            for place, (fault, met) in enumerate(self._met):
                if not fault.matches(request):
                    continue
                self._met[place] = (fault, met + 1)
                is_over = fault.times is not None and met >= fault.after + fault.times
                if met >= fault.after and not is_over:
                    return fault
        return None
