"""Reads what LiteLLM logs of each request: its standard payload, and rows of its proxy's spend log.

Source: `StandardLoggingPayload` in `litellm/types/utils.py` of LiteLLM 1.108.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from fftdeploy.evaluation.examples.chat_messages import MESSAGE_KEYS
from fftdeploy.evaluation.examples.production import (
    ProductionRequest,
    RequestShapeError,
    Served,
    as_objects,
    elapsed_ms,
    logged,
    read_served,
)
from fftdeploy.formats import strict_json

NAME = "LiteLLM's log"
_CHATS = frozenset({"completion", "acompletion", "responses", "aresponses"})
_REDACTED = "redacted-by-litellm"
_WRAPPED = "standard_logging_object"
_SENT = ("spend_logs_metadata", "requester_metadata")


def is_one(value: Mapping[str, Any]) -> bool:
    """Whether an object is what LiteLLM logs of a request."""
    if isinstance(value.get(_WRAPPED), dict):
        return True
    return isinstance(value.get("call_type"), str) and "messages" in value


def parts(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the one request of an object."""
    yield value[_WRAPPED] if isinstance(value.get(_WRAPPED), dict) else value


def request(part: Mapping[str, Any], place: str) -> ProductionRequest:
    """Read one request.

    Raises:
        RequestShapeError: It failed, is no chat, or its texts were not logged.
    """
    if str(part.get("call_type")) not in _CHATS:
        raise RequestShapeError("no chat: embeddings, images and the like")
    if part.get("status") == "failure":
        raise RequestShapeError("the request failed")
    asked = dict(_asked(part))
    if _REDACTED in strict_json.dumps([asked, part.get("response")]):
        raise RequestShapeError("its texts were redacted when it was logged")
    settings = part.get("model_parameters")
    if isinstance(settings, dict):
        asked = {"tools": settings.get("tools"), **asked}
    answer = _read(part.get("response"))
    if isinstance(answer, str) and answer:
        answer = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
    if isinstance(answer, dict) and "choices" in answer:
        # A stream's last piece says otherwise.
        answer = {**answer, "object": "chat.completion"}
    found = logged({"request": asked, "response": answer}, place, {})
    return replace(found, served=_served(part, answer))


def _served(part: Mapping[str, Any], answer: Any) -> Served:
    """Read how it was served; target and release are from the metadata that a caller has sent."""
    metadata = _read(part.get("metadata"))
    sent: dict[str, Any] = {}
    for table in (metadata.get(key) for key in _SENT) if isinstance(metadata, dict) else ():
        sent |= table if isinstance(table, dict) else {}
    start, end = part.get("startTime"), part.get("endTime")
    said = {"at": start, "latency_ms": elapsed_ms(start, end), "model": part.get("model")}
    return read_served({**sent, **said, "usage": part}, answer)


def _asked(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what was asked; the spend log may have it only as the proxy received it."""
    messages = part.get("messages")
    if isinstance(messages, str) and messages.startswith("["):
        messages = _read(messages)
    if isinstance(messages, str) and messages:
        return {"messages": [{"role": "user", "content": messages}]}
    if messages:
        turns = as_objects(messages, "'messages'")
        return {"messages": [{k: turn[k] for k in MESSAGE_KEYS if k in turn} for turn in turns]}
    received = _read(part.get("proxy_server_request"))
    if isinstance(received, dict) and (received.get("messages") or received.get("input")):
        return received
    raise RequestShapeError("its texts were not logged")


def _read(value: Any) -> Any:
    """Read JSON that is in a text; return anything else as it is."""
    return strict_json.read_or(value, value) if isinstance(value, str) else value
