"""Hears how a call of the SDK ended: what was answered, be it streamed, or why nothing was."""

from __future__ import annotations

import json
import os
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
_NO_ANSWER = "APIResponseValidationError"
"""The SDK's name for what is no answer of the API, though it has a status of success."""
_MOST = 1 << 20
"""So many characters a line of a log may have; no more of a text is kept."""
_EMPTY = 50
"""So many characters at least a choice takes, or the call of a tool, without its text."""
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
    elif hasattr(answer, "model_dump"):
        tell(lambda: {"response": answer}, False)
    elif http := getattr(answer, "http_response", None) or getattr(answer, "response", None):
        if http.is_closed:
            tell(partial(_read_whole, http.content, http.status_code), False)
        else:
            _Reading(http, tell)
    else:  # a page of a gateway, which the SDK returns as a text
        tell(lambda: _failure(_NO_ANSWER, status=200), False)


def _read_whole(raw: bytes, status: int) -> Ending:
    try:
        return {"response": json.loads(raw)}
    except ValueError:
        return _failure(_NO_ANSWER, status=status)


class _Reading:
    """Keeps what is read of an HTTP response, by whatever way of the SDK, until that ends."""

    def __init__(self, http: Any, tell: Tell) -> None:
        is_stream = "event-stream" in http.headers.get("content-type", "")
        self._heard = _Events() if is_stream else _Body()
        self._tell: Tell | None = tell
        self._process = os.getpid()
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
        """Return what the bytes say, as far as they were read; `fault` is why no further."""
        if self._wrong is not None:
            raise self._wrong
        try:
            return {"response": json.loads(b"".join(self._kept))}
        except ValueError:
            return _failure(fault or "abandoned")


class _Events(_Body):
    """What is read of a stream: its events are put together as they come, and not kept."""

    def __init__(self) -> None:
        super().__init__()
        self._chat = _Chat()
        self._answer: Ending | None = None
        self._model: str | None = None
        self._fault = ""
        self._is_done = False

    def _add(self, piece: bytes) -> None:
        super()._add(piece)
        if b"\n" not in piece and b"\r" not in piece:
            return
        lines = b"".join(self._kept).splitlines(keepends=True)
        rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
        self._kept, self._size = [rest], len(rest)
        for line in lines:
            self._hear(line)

    def _hear(self, line: bytes) -> None:
        if not line.startswith(b"data:") or self._answer is not None:
            return
        said = line[5:].strip()
        if said == b"[DONE]":
            self._is_done = True
            return
        event = json.loads(said)
        if event.get("type") in _WHOLE:
            self._answer = {"response": event["response"]}
        if event.get("error") or event.get("type") in _FAILED:
            self._fault = "APIError"
        self._model = (
            self._model or event.get("model") or (event.get("response") or {}).get("model")
        )
        self._chat.add(event)

    def ending(self, fault: str) -> Ending:
        if self._wrong is not None:
            raise self._wrong
        if self._answer is not None:
            return self._answer
        if b"".join(self._kept).rstrip() in {b"data: [DONE]", b"data:[DONE]"}:
            self._is_done = True
        chat, fault = self._chat.whole(), self._fault or fault
        choices = chat["choices"]
        is_done = self._is_done or (
            bool(choices) and all("finish_reason" in one for one in choices)
        )
        if fault or not is_done:
            return _failure(fault or "abandoned", model=self._model)
        return {"response": chat}


def _failure(kind: str, *, status: int | None = None, model: str | None = None) -> Ending:
    error = {"type": kind} if status is None else {"type": kind, "status": status}
    return {"error": error} if model is None else {"model": model, "error": error}


class _Chat:
    """Puts the chunks of a chat together, as a chat that is not streamed says it."""

    def __init__(self) -> None:
        self._said: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._texts: dict[tuple[int, str], list[str]] = {}
        self._calls: dict[tuple[int, int], dict[str, Any]] = {}
        self._size = 0

    def add(self, event: dict[str, Any]) -> None:
        """Add a chunk; `LongLineError` where it would be more than a line holds."""
        self._said |= {key: value for key, value in event.items() if value is not None}
        for said in event.get("choices") or ():
            index, delta = said.get("index", 0), said.get("delta") or {}
            if index not in self._choices:
                self._choices[index] = {"index": index}
                self._grow(_EMPTY)
            choice = self._choices[index]
            for key in ("content", "refusal"):
                if delta.get(key):
                    self._texts.setdefault((index, key), []).append(delta[key])
                    self._grow(len(delta[key]))
            for part in delta.get("tool_calls") or ():
                self._add_call((index, part.get("index", 0)), part)
            if said.get("finish_reason"):
                choice["finish_reason"] = said["finish_reason"]

    def _add_call(self, place: tuple[int, int], part: dict[str, Any]) -> None:
        if place not in self._calls:
            self._calls[place] = {"function": {"name": [], "arguments": []}}
            self._grow(_EMPTY)
        call = self._calls[place]
        call |= {"id": part["id"]} if part.get("id") else {}
        for key, value in (part.get("function") or {}).items():
            call["function"][key].append(value or "")
            self._grow(len(value or ""))

    def _grow(self, more: int) -> None:
        self._size += more
        if self._size > _MOST:
            raise LongLineError

    def whole(self) -> dict[str, Any]:
        """Return what was said, as far as it was."""
        found = []
        for index in sorted(self._choices):
            message: dict[str, Any] = {"role": "assistant", "content": None}
            for (of, key), text in self._texts.items():
                message |= {key: "".join(text)} if of == index else {}
            calls = [_call(call) for (of, _), call in self._calls.items() if of == index]
            message |= {"tool_calls": calls} if calls else {}
            found.append({**self._choices[index], "message": message})
        return {**self._said, "object": "chat.completion", "choices": found}


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = {key: "".join(texts) for key, texts in call["function"].items()}
    return {"type": "function", **call, "function": function}
