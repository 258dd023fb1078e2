"""Hears how a call of the SDK ended: what was answered, be it streamed, or why nothing was."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    Ending = Mapping[str, Any]
    """`response`; or `error`, and the `model` as far as it is known."""
    Tell = Callable[[Callable[[], Ending], bool], None]

_WHOLE = frozenset({"response.completed", "response.incomplete"})
_FAILED = frozenset({"error", "response.failed"})
_PENDING = frozenset({"queued", "in_progress", "cancelled"})
"""Of a response that is made in the background: nothing has been answered."""
_ABANDONED = "abandoned"
_NO_ANSWER = "APIResponseValidationError"
"""The SDK's name for what is no answer of the API, though it has a status of success."""
_NO_JSON = (json.JSONDecodeError, UnicodeDecodeError, RecursionError)
_MOST = 1 << 20
"""So many characters a line of a log may have; no more of a text is kept."""
_EMPTY = 50
"""So many characters at least a choice takes, or a part of the call of a tool, without its text."""
_MOST_BYTES = 12 * _MOST
"""A character takes at most twelve bytes of JSON."""


class LongLineError(ValueError):
    """An answer is longer than a line of a log may be."""

    def __init__(self) -> None:
        super().__init__("a line of more than 1 MiB")


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
    elif hasattr(answer, "model_dump") or isinstance(answer, str):  # a page is a text
        tell(lambda: {"response": answer}, False)
    else:
        http = getattr(answer, "http_response", None) or answer.response
        if http.is_closed:
            heard = _Body()
            heard.add(http.content)
            tell(partial(heard.ending, ""), False)
        else:
            _Reading(http, tell)


def told(ending: Ending) -> Ending:
    """Return how a call ended: what the API says is wrong, or what is no answer, is a failure.

    A page of a gateway is that, an error with a status of success, a response that has failed.
    """
    from fftdeploy.evaluation.examples.production import is_answer

    answer = ending.get("response")
    said = answer if isinstance(answer, Mapping) else {}
    if "error" in ending or said.get("status") in _PENDING or is_answer(said):
        return ending
    return _failure("APIError" if said.get("error") else "", model=said.get("model"))


class _Reading:
    """Keeps what is read of an HTTP response, by whatever way of the SDK, until that ends."""

    def __init__(self, http: Any, tell: Tell) -> None:
        is_stream = "event-stream" in http.headers.get("content-type", "")
        self._heard = _Events() if is_stream else _Body()
        self._tell: Tell | None = tell
        self._process = os.getpid()
        self._fault = _ABANDONED
        """Why it was not read to its end; "" where it was."""
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
                self._heard.add(piece)
                self._is_within = False
                yield piece
                self._is_within = True

    async def _read_async(
        self, read: Callable[..., AsyncIterator[bytes]], *size: Any, **named: Any
    ) -> AsyncIterator[bytes]:
        with self._reading():
            async for piece in read(*size, **named):
                self._heard.add(piece)
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
            self._fault = ""
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
        if tell is not None and self._process == os.getpid():  # else the parent tells it
            tell(partial(self._heard.ending, self._fault), is_collected)


class _Body:
    """What is read of an answer that is not streamed; no more of it than a line could hold."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._size = 0
        self._wrong: Exception | None = None

    def add(self, piece: bytes) -> None:
        """Keep a piece; what is wrong with it is raised by `ending`, not where it is read."""
        if self._wrong is None:
            try:
                self._add(piece)
            except Exception as error:  # noqa: BLE001  whatever it is, the application reads on
                self._wrong = error
                self._kept.clear()

    def _add(self, piece: bytes) -> None:
        self._kept.append(piece)
        self._size += len(piece)
        if self._size > _MOST_BYTES:
            raise LongLineError

    def ending(self, fault: str) -> Ending:
        """Return what the bytes say; `fault` is why they were not read to their end, or ""."""
        if self._wrong is not None:
            raise self._wrong
        return self._ending(fault, b"".join(self._kept))

    def _ending(self, fault: str, kept: bytes) -> Ending:
        try:
            return {"response": json.loads(kept)}
        except _NO_JSON:
            return _failure(fault)


class _Events(_Body):
    """What is read of a stream: its events are put together as they come, and not kept."""

    def __init__(self) -> None:
        super().__init__()
        self._chat = _Chat()
        self._answer: Ending | None = None
        self._said = bytearray()
        """What the event says that has not ended yet."""
        self._fault = ""
        self._is_done = False

    def _add(self, piece: bytes) -> None:
        super()._add(piece)
        if b"\n" not in piece and b"\r" not in piece:
            return
        lines = b"".join(self._kept).splitlines(keepends=True)
        rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
        for line in lines:
            try:
                self._hear(line)
            except _NO_JSON as error:  # the application is told of it by the SDK
                self._fault = type(error).__name__
        self._kept, self._size = [rest], len(rest) + len(self._said)

    def _hear(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._said += line[5:].strip() + b"\n"
        if line.strip() or not self._said:
            return
        said, self._said = self._said.strip(), bytearray()
        if said == b"[DONE]":
            self._is_done = True
        if self._answer is not None or self._is_done:
            return
        event = json.loads(said)
        if event.get("type") in _WHOLE:
            self._answer = {"response": event["response"]}
        if event.get("error") or event.get("type") in _FAILED:
            self._fault = "APIError"
        self._chat.add(event)

    def _ending(self, fault: str, kept: bytes) -> Ending:
        with suppress(*_NO_JSON):  # a last line without its end
            self._hear(kept)
            self._hear(b"")
        if self._answer is not None:
            return self._answer
        fault = self._fault or fault
        if fault in {"", _ABANDONED} and (self._is_done or self._chat.is_finished):
            return {"response": self._chat.whole()}
        said = self._chat.said
        return _failure(fault, model=said.get("model") or said.get("response", {}).get("model"))


def _failure(kind: str, *, status: int | None = None, model: str | None = None) -> Ending:
    """Return the ending of a call that failed; without a `kind` what came was no answer."""
    if not kind:
        kind, status = _NO_ANSWER, 200
    error = {"type": kind} if status is None else {"type": kind, "status": status}
    return {"error": error} if model is None else {"model": model, "error": error}


class _Chat:
    """Puts the chunks of a chat together, as a chat that is not streamed says it."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}
        self._texts: dict[tuple[Any, ...], list[str]] = {}
        """By the place of a choice, that of a call of a tool if it is of one, and its key."""
        self._reasons: dict[int, str] = {}
        self._size = 0

    def add(self, event: dict[str, Any]) -> None:
        """Add a chunk; `LongLineError` where it would be more than a line holds."""
        self.said |= {key: value for key, value in event.items() if value is not None}
        for said in event.get("choices") or ():
            index, delta = said.get("index", 0), said.get("delta") or {}
            for key in ("content", "refusal"):
                self._say(delta.get(key), index, key)
            for part in delta.get("tool_calls") or ():
                place = (index, part.get("index", 0))
                if part.get("id") and (*place, "id") not in self._texts:
                    self._say(part["id"], *place, "id")
                for key, value in (part.get("function") or {}).items():
                    self._say(value, *place, key)
            if said.get("finish_reason"):
                self._reasons[index] = said["finish_reason"]

    def _say(self, text: str | None, *place: Any) -> None:
        if place not in self._texts:
            self._texts[place] = []
            self._size += _EMPTY
        if text:
            self._texts[place].append(text)
            self._size += len(text)
        if self._size > _MOST:
            raise LongLineError

    @property
    def is_finished(self) -> bool:
        """Whether each choice has said why it ends."""
        return bool(self._texts) and {place[0] for place in self._texts} == self._reasons.keys()

    def whole(self) -> dict[str, Any]:
        """Return what was said, as far as it was."""
        messages: dict[int, dict[str, Any]] = {}
        calls: dict[tuple[Any, ...], dict[str, Any]] = {}
        for (*place, key), texts in self._texts.items():
            index, text = place[0], "".join(texts)
            message = messages.setdefault(index, {"role": "assistant", "content": None})
            if len(place) == 1:
                message |= {key: text} if text else {}
                continue
            if (call := calls.get(tuple(place))) is None:
                call = calls[tuple(place)] = {"type": "function", "function": {}}
                message.setdefault("tool_calls", []).append(call)
            (call if key == "id" else call["function"])[key] = text
        choices = [
            {"index": index, "message": messages[index], "finish_reason": self._reasons.get(index)}
            for index in sorted(messages)
        ]
        return {**self.said, "object": "chat.completion", "choices": choices}
