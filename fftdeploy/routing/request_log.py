"""Writes down what an application was answered, as `review --from` and `monitor --logs` read it."""

from __future__ import annotations

import logging
import os
import random
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fftdeploy.errors import FftdeployError
from fftdeploy.files import journal
from fftdeploy.formats import strict_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fftdeploy.routing.runtime import Resolution

_log = logging.getLogger("fftdeploy")


class RequestLog:
    """Keeps answered requests in a file of JSON lines, as spans of OpenTelemetry, or both.

    Each line has `at`, `target`, `release`, `model` (the one that answered), `latency_ms`,
    `request` and `response`; they may be personal data, so the file is made for its owner alone.
    What can't be written is told to the logger `fftdeploy`, once, and costs no call.  Streamed
    and raw answers, and calls that fail, are not in it.

    Args:
        path: The file, which is appended to; None for none.
        sample: Share of the calls, 0 to 1, that is written to the file, by chance.
        redact: Gets each line before it is written, and returns what is, or None to leave it out.
        trace: Whether to make a span of each call on the application's own tracer, with
            OpenTelemetry's names for generative models and no text, where `opentelemetry-api` is
            installed.
        chance: Returns a number from 0 to 1.
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
        self._path = Path(path) if path is not None else None
        self._sample = sample
        self._redact = redact
        self._chance = chance
        self._tracer: Any = None
        self._has_told = False
        if trace:
            try:
                self._tracer = import_module("opentelemetry.trace").get_tracer("fftdeploy")
            except ImportError:
                _log.warning("requests are not traced: opentelemetry-api is not installed")

    def note(self, live: Resolution, asked: Mapping[str, Any], answer: Any, took_s: float) -> None:
        """Keep one call; raises for nothing that the disk does."""
        if not hasattr(answer, "model_dump"):
            return
        response: dict[str, Any] = answer.model_dump(mode="json", exclude_none=True)
        if self._tracer is not None:
            self._span(live, response, took_s)
        if self._path is None or self._chance() >= self._sample:
            return
        line: dict[str, Any] | None = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "target": live.target,
            "release": live.release,
            "model": response.get("model"),
            "latency_ms": round(took_s * 1000),
            "request": {key: asked[key] for key in asked if not key.startswith("extra_")},
            "response": response,
        }
        try:
            if self._redact is not None:
                line = self._redact(line or {})
            if line is not None:
                journal.append_text(self._path, f"{strict_json.dumps(line)}\n", make=True)
        except (FftdeployError, OSError, TypeError, ValueError) as error:
            if not self._has_told:
                _log.warning("a request was not written down: %s", error)
            self._has_told = True

    def _span(self, live: Resolution, response: Mapping[str, Any], took_s: float) -> None:
        """Make a span of the conventions for generative models, which are still in development."""
        usage = response.get("usage") or {}
        said = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": live.provider,
            "gen_ai.request.model": live.model,
            "gen_ai.response.model": response.get("model"),
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
            "fftdeploy.target": live.target,
            "fftdeploy.release": live.release,
        }
        ended = time.time_ns()
        span = self._tracer.start_span(
            f"chat {live.model}",
            kind=import_module("opentelemetry.trace").SpanKind.CLIENT,
            attributes={name: value for name, value in said.items() if value not in (None, [])},
            start_time=ended - int(took_s * 1e9),
        )
        span.end(ended)
