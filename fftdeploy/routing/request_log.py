"""Writes down what an application was answered, as `review --from` and `monitor --logs` read it."""

from __future__ import annotations

import atexit
import logging
import os
import random
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

from fftdeploy.errors import ConfigError, ConflictError, DiskError, UsageError
from fftdeploy.files import journal
from fftdeploy.formats import strict_json
from fftdeploy.routing.endings import LongLineError, hear, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from fftdeploy.routing.runtime import Resolution

_log = logging.getLogger("fftdeploy")
_MOST_HELD = 4 << 20
"""So many characters are held at most while another process has the file locked."""
_EXIT_S = 1.0
"""How long the end of the process, unlike a call, waits for that."""
_OURS = (ConfigError, ConflictError, DiskError, LongLineError)
"""Errors without a word of a request in their text."""


class _Call(NamedTuple):
    """One call of an application."""

    live: Resolution
    request: Mapping[str, Any] | None
    """What the caller said; None where it is not to be kept."""
    began: float
    key: object

    def facts(self) -> dict[str, Any]:
        """Return what tells which release was asked, and by whom."""
        live = self.live
        facts: dict[str, Any] = {"target": live.target, "release": live.release}
        facts |= {} if self.key is None else {"caller": _hash(live.target, self.key)}
        return facts | ({"weight": live.weight} if live.weight else {})


class RequestLog:
    """Keeps requests in a file of JSON lines, as spans of OpenTelemetry, or both.

    Each line has `at`, `target`, `release`, `model` (the one that answered), `latency_ms`, for a
    client with a key `caller` (a hash of it, by which a canary's callers are told apart), while a
    canary runs its `weight`, `request` and `response`; they may be personal data, so the file is
    made for its owner alone.  `request` is what the caller said: prompt and parameters of the
    `profile` are git's.  A stream is kept when it ends, as if it had been answered whole.  What
    failed has `error` (its `type`, and the `status`) and no response, and so has a stream that was
    not read to its end: `abandoned`.  What can't be written, or could not be read again, is told
    to the logger `fftdeploy`, once, and costs no call.

    Args:
        path: The file, which is appended to; None for none.
        sample: Share of the calls, 0 to 1, that is written to the file, by chance.
        redact: Gets each line before it is written, as a copy, and returns what is, or None to
            leave it out; where it raises anything, nothing is written.
        trace: Whether to make a span of each call on the application's own tracer, with
            OpenTelemetry's names for generative models and no text, where `opentelemetry-api` is
            installed.
        chance: Returns a number from 0 to 1.

    Raises:
        UsageError: `sample` is no share.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        sample: float = 1.0,
        redact: Callable[[dict[str, Any]], dict[str, Any] | None] | None = None,
        trace: bool = False,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if type(sample) not in {int, float} or not 0 <= sample <= 1:
            raise UsageError(f"sample is a share from 0 to 1, not {sample!a}")
        self._path = Path(path).absolute() if path is not None else None  # a service may go to /
        self._sample = sample
        self._redact = redact
        self._chance = chance
        self._tracer: Any = None
        self._has_told = False
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._held: list[str] = []
        """Lines for which the file was locked: they are written with the next."""
        self._writing = RLock()
        atexit.register(self._flush, _EXIT_S)
        os.register_at_fork(after_in_child=self._begin_anew)  # the parent writes what waits
        if trace:
            try:
                self._tracer = import_module("opentelemetry.trace").get_tracer("fftdeploy")
            except ImportError:
                _log.warning("requests are not traced: opentelemetry-api is not installed")

    def note(
        self, live: Resolution, said: Mapping[str, Any], answer: Any, began: float, key: object
    ) -> None:
        """Keep one call, once it has ended; what goes wrong with that is told, and not raised.

        Args:
            live: What was asked.
            said: What the caller has said.
            answer: What the SDK has returned, or the error that it raised.
            began: When, by the clock of `time.monotonic`.
            key: Who has asked: no more than a hash is kept, by which callers are told apart.
        """
        with self._told():
            request = None
            if self._path is not None and self._chance() < self._sample:
                asked = {key: said[key] for key in said if not key.startswith("extra_")}
                request = _plain({**asked, "model": live.model})
            if request is not None or self._tracer is not None:
                hear(answer, partial(self._ended, _Call(live, request, began, key)))

    def _ended(
        self, call: _Call, read: Callable[[], Mapping[str, Any]], is_collected: bool
    ) -> None:
        """Keep a call that has ended; one that was collected with the garbage at the next call."""
        self._waiting.append((call, read, time.time(), time.monotonic() - call.began))
        if not is_collected:
            self._flush()

    def _begin_anew(self) -> None:
        self._waiting.clear()
        self._held.clear()
        self._writing = RLock()

    def _flush(self, wait_s: float = 0) -> None:
        with suppress(IndexError):
            while True:
                call, read, at, took_s = self._waiting.popleft()
                with self._told():
                    ending = told(_plain(read()))
                    if self._tracer is not None:
                        with self._told():
                            self._span(call, ending, at, took_s)
                    if call.request is not None and self._path is not None:
                        self._write(self._path, call, ending, at, took_s)
        if wait_s and self._held and self._path is not None:
            with self._told():
                self._append(self._path, "", wait_s)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  redact and tracer are the application's
            if not self._has_told:
                why = f": {error}" if type(error) in _OURS else ""
                _log.warning("a request was not written down: %s%s", type(error).__name__, why)
            self._has_told = True

    def _write(
        self, path: Path, call: _Call, ending: Mapping[str, Any], at: float, took_s: float
    ) -> None:
        model = (ending.get("response") or {}).get("model")
        line: dict[str, Any] | None = {
            "at": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
            **call.facts(),
            "profile": call.live.profile_name,
            **({} if model is None else {"model": model}),
            "latency_ms": round(took_s * 1000),
            "request": call.request,
            **ending,
        }
        if self._redact is not None:
            line = self._redact(line or {})
        if line is not None:
            text = strict_json.dumps(_plain(line))
            _require_readable(text)
            self._append(path, f"{text}\n")

    def _append(self, path: Path, text: str, wait_s: float = 0) -> None:
        """Write what is held and a line; a file that is locked costs a call one try.

        Raises:
            ConflictError: It is locked, and as much is held as may be; the line is lost.
            ConfigError, DiskError: As `journal.append_text` does; what is held is tried again.
        """
        with self._writing:
            held = (*self._held, text)
            try:
                journal.append_text(path, *held, make=True, wait_s=wait_s)
                del self._held[: len(held) - 1]
            except ConflictError as error:
                if wait_s or error.code != "locked" or sum(map(len, held)) > _MOST_HELD:
                    raise
                self._held.append(text)

    def _span(self, call: _Call, ending: Mapping[str, Any], at: float, took_s: float) -> None:
        """Make a span of the conventions for generative models, which are still in development."""
        trace, live = import_module("opentelemetry.trace"), call.live
        response, failed = ending.get("response") or {}, ending.get("error") or {}
        usage = response.get("usage") or {}
        said = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": live.provider,
            "gen_ai.request.model": live.model,
            "gen_ai.response.model": response.get("model", ending.get("model")),
            "gen_ai.response.id": response.get("id"),
            "gen_ai.response.finish_reasons": [
                choice["finish_reason"]
                for choice in response.get("choices", ())
                if choice.get("finish_reason")
            ],
            "gen_ai.usage.input_tokens": usage.get("prompt_tokens", usage.get("input_tokens")),
            "gen_ai.usage.output_tokens": usage.get(
                "completion_tokens", usage.get("output_tokens")
            ),
            "error.type": failed.get("type"),
            "http.response.status_code": failed.get("status"),
            **{f"fftdeploy.{name}": value for name, value in call.facts().items()},
        }
        span = self._tracer.start_span(
            f"chat {live.model}",
            kind=trace.SpanKind.CLIENT,
            attributes={name: value for name, value in said.items() if value not in (None, [])},
            start_time=int((at - took_s) * 1e9),
        )
        if failed:
            span.set_status(trace.StatusCode.ERROR)
        span.end(int(at * 1e9))


def _plain(value: Any) -> Any:
    """Copy what the SDK is given or has answered as JSON; what is none is left as it is.

    Half of a surrogate pair, which no reader takes, becomes U+FFFD.
    """
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, Mapping):
        return {_plain(key): _plain(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below) for below in value]
    if isinstance(value, type) and hasattr(value, "model_json_schema"):
        shape = {"name": value.__name__, "schema": value.model_json_schema()}
        return {"type": "json_schema", "json_schema": shape}
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump(exclude_none=True, warnings=False))
    return value


def _require_readable(text: str) -> None:
    """Refuse what `review --from` or `monitor --logs` would, which take a whole file or none.

    Raises:
        LongLineError: It has more than 1 MiB.
        ValueError: It is no answered request to them, or its messages can't be an example's.
    """
    from fftdeploy.evaluation.examples import example_lines, production, raw_lines
    from fftdeploy.formats import strict_json

    if len(text) > raw_lines.MAX_LINE:
        raise LongLineError
    found = production.request(strict_json.read(text), "")
    content = found.example("-", example_lines.REFERENCE_KEYS[0])
    example_lines.parse_line(strict_json.dumps(content), "", "", None)


def _hash(target: str, key: object) -> str:
    raw = f"{target}\n{key}".encode("utf-8", "surrogatepass")
    return blake2b(raw, digest_size=8).hexdigest()
