"""Hears how a call of the SDK ended: what was answered, be it streamed, or why nothing was."""

from __future__ import annotations

import json
import weakref
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    Ending = Mapping[str, Any]
    """`response`; or `error`, and the `model` as far as it is known."""
    Tell = Callable[[Callable[[], Ending], bool], None]

_WHOLE = frozenset({"response.completed", "response.incomplete"})
_FAILED = frozenset({"error", "response.failed"})


def hear(answer: Any, tell: Tell) -> None:
    """Tell how a call ended, once, by a function that reads it: now, or when its stream ends.

    Args:
        answer: What the SDK has returned, a raw response or a stream too, or the error it raised.
        tell: Gets that function, and whether the stream ended because the garbage was collected:
            any lock may be held then.  It must not raise: an application reads or closes a stream.
    """
    if isinstance(answer, Exception):
        status = getattr(answer, "status_code", None)
        tell(lambda: _failure(type(answer).__name__, status=status), False)
    elif hasattr(answer, "model_dump"):
        tell(lambda: {"response": answer}, False)
    else:
        http = getattr(answer, "http_response", None) or answer.response
        if http.is_closed:
            tell(lambda: {"response": json.loads(http.content)}, False)
        else:
            _Reading(http, tell)


class _Reading:
    """Keeps what is read of an HTTP response, by whatever way of the SDK, until that ends."""

    def __init__(self, http: Any, tell: Tell) -> None:
        self._is_stream = "event-stream" in http.headers.get("content-type", "")
        self._tell: Tell | None = tell
        self._kept: list[bytes] = []
        self._fault = ""
        self._is_within = False
        """Whether it is closed by being read to its end: the last bytes are then still to come."""
        http.iter_bytes = partial(self._read, http.iter_bytes)
        http.aiter_bytes = partial(self._read_async, http.aiter_bytes)
        http.close = partial(self._close, http.close)
        http.aclose = partial(self._close_async, http.aclose)
        weakref.finalize(http, self._end, is_collected=True)

    def _read(
        self, read: Callable[..., Iterator[bytes]], *size: Any, **named: Any
    ) -> Iterator[bytes]:
        with self._reading():
            for piece in read(*size, **named):
                self._kept.append(piece)
                self._is_within = False
                yield piece
                self._is_within = True

    async def _read_async(
        self, read: Callable[..., AsyncIterator[bytes]], *size: Any, **named: Any
    ) -> AsyncIterator[bytes]:
        with self._reading():
            async for piece in read(*size, **named):
                self._kept.append(piece)
                self._is_within = False
                yield piece
                self._is_within = True

    def _close(self, close: Callable[[], None]) -> None:
        close()
        if not self._is_within:
            self._end()

    async def _close_async(self, close: Callable[[], Awaitable[None]]) -> None:
        await close()
        if not self._is_within:
            self._end()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self._is_within, is_collected = True, False
        try:
            yield
        except GeneratorExit:
            is_collected = True
            raise
        except Exception as error:
            self._fault = type(error).__name__
            raise
        finally:
            self._end(is_collected=is_collected)

    def _end(self, *, is_collected: bool = False) -> None:
        tell, self._tell = self._tell, None
        if tell is not None:
            raw, self._kept = b"".join(self._kept), []
            tell(partial(_ending, raw, self._is_stream, self._fault), is_collected)


def _ending(raw: bytes, is_stream: bool, fault: str) -> Ending:
    """Return what the bytes of a response say, as far as they were read."""
    if not is_stream:
        try:
            return {"response": json.loads(raw)}
        except ValueError:
            return _failure(fault or "abandoned")
    said = [line[5:].strip() for line in raw.splitlines() if line.startswith(b"data:")]
    is_done = b"[DONE]" in said
    whole = said if is_done or raw.endswith(b"\n") else said[:-1]
    events = [json.loads(each) for each in whole if each != b"[DONE]"]
    for event in events:
        if event.get("type") in _WHOLE:
            return {"response": event["response"]}
        if event.get("error") or event.get("type") in _FAILED:
            fault = "APIError"
    named = (each.get("model") or (each.get("response") or {}).get("model") for each in events)
    model = next(filter(None, named), None)
    chat = _chat(events)
    is_done |= bool(chat["choices"]) and all("finish_reason" in one for one in chat["choices"])
    if fault or not is_done:
        return _failure(fault or "abandoned", model=model)
    return {"response": chat}


def _failure(kind: str, *, status: int | None = None, model: str | None = None) -> Ending:
    error = {"type": kind} if status is None else {"type": kind, "status": status}
    return {"error": error} if model is None else {"model": model, "error": error}


def _chat(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the chunks of a chat say together, as a chat that is not streamed says it."""
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    calls: dict[tuple[int, int], dict[str, Any]] = {}
    for event in events:
        whole |= {key: value for key, value in event.items() if value is not None}
        for said in event.get("choices") or ():
            index, delta = said.get("index", 0), said.get("delta") or {}
            message = {"role": "assistant", "content": None}
            choice = choices.setdefault(index, {"index": index, "message": message})
            for key in ("content", "refusal"):
                if delta.get(key):
                    choice["message"][key] = (choice["message"].get(key) or "") + delta[key]
            for part in delta.get("tool_calls") or ():
                if (place := (index, part.get("index", 0))) not in calls:
                    calls[place] = {"type": "function", "function": {"name": "", "arguments": ""}}
                    choice["message"].setdefault("tool_calls", []).append(calls[place])
                calls[place] |= {"id": part["id"]} if part.get("id") else {}
                for key, value in (part.get("function") or {}).items():
                    calls[place]["function"][key] += value or ""
            if said.get("finish_reason"):
                choice["finish_reason"] = said["finish_reason"]
    found = [choices[index] for index in sorted(choices)]
    return {**whole, "object": "chat.completion", "choices": found}
