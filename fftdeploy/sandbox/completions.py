"""One request for an answer -> one complete `chat.completion` or `response` object."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fftdeploy.sandbox import refusals, triage
from fftdeploy.sandbox.world import Model

_TOKEN = re.compile(r"\s*\w{1,6}|\s*[^\w\s]|\s+")
_REASONING_TOKENS = {"none": 0, "minimal": 8, "low": 16}
_USUAL_REASONING_TOKENS = 24
_LEAST_REASONED = 16
"""A reasoning model says nothing at all below this many tokens."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SHARED_KEYS = """
    model metadata temperature top_p user safety_identifier prompt_cache_key service_tier store
    prompt_cache_retention stream stream_options tools tool_choice parallel_tool_calls top_logprobs
"""
CHAT_KEYS = _words(
    _SHARED_KEYS
    + """
    messages modalities verbosity reasoning_effort max_completion_tokens frequency_penalty
    presence_penalty response_format stop logit_bias logprobs max_tokens n seed
    """
)
RESPONSE_KEYS = _words(
    _SHARED_KEYS
    + """
    input instructions truncation reasoning include max_output_tokens text max_tool_calls
    background previous_response_id
    """
)
_EFFORTS = _words("none minimal low medium high xhigh max")
_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


@dataclass(frozen=True, slots=True)
class _Answer:
    text: str
    is_cut: bool
    prompt_tokens: int
    answer_tokens: int
    reasoning_tokens: int


def tokens(text: str) -> list[str]:
    """Cut `text` into what the sandbox counts as tokens; joined they are `text` again."""
    return _TOKEN.findall(text)


def chat(model: Model, body: Mapping[str, Any], number: int, now: datetime) -> dict[str, Any]:
    """Answer a chat completion; refused where the body is not one that `model` takes."""
    _require(body, CHAT_KEYS, "messages")
    if not isinstance(body["messages"], list) or not body["messages"]:
        raise refusals.invalid_type("messages", "a non-empty array")
    for name, instead in _LIMITS.items():
        if body.get(name) is not None and model.refuses == name:
            raise refusals.unsupported_parameter(name, instead)
    limit = _limit(body, "max_completion_tokens", 1) or _limit(body, "max_tokens", 1)
    if body.get("n") not in (None, 1):
        raise refusals.refusal(400, "The sandbox gives one choice.", param="n")
    system, message = _conversation(body["messages"], "messages")
    system += _format_names(_table(body, "response_format"))
    wanted = _table(_table(body, "response_format"), "json_schema")
    if model.judges and triage.asks_verdict(_table(wanted, "schema")):
        prompt = f"{system}\n{message}"
        full = tokens(triage.verdict(model.judges, prompt, _table(wanted, "schema")))
        said = _Answer("".join(full), False, len(tokens(prompt)) + 8, len(full), 0)
    else:
        said = _say(model, system, message, limit, body.get("reasoning_effort"))
    choice = {
        "index": 0,
        "message": {
            "role": "assistant",
            "content": said.text,
            "refusal": None,
            "annotations": [],
        },
        "logprobs": None,
        "finish_reason": "length" if said.is_cut else "stop",
    }
    return {
        "id": f"chatcmpl-{number:024d}",
        "object": "chat.completion",
        "created": int(now.timestamp()),
        "model": model.id,
        "choices": [choice],
        "usage": _chat_usage(said),
        "service_tier": "default",
        "system_fingerprint": model.fingerprint,
    }


def respond(model: Model, body: Mapping[str, Any], number: int, now: datetime) -> dict[str, Any]:
    """Answer a request to `/v1/responses`; refused where the body is not one."""
    _require(body, RESPONSE_KEYS, "input")
    limit = _limit(body, "max_output_tokens", 16)
    turns = body["input"]
    if isinstance(turns, str):
        turns = [{"role": "user", "content": turns}]
    if not isinstance(turns, list) or not turns:
        raise refusals.invalid_type("input", "a string or a non-empty array")
    system, message = _conversation(turns, "input")
    reasoning = _table(body, "reasoning")
    text_format = _table(_table(body, "text"), "format") or {"type": "text"}
    instructions = body.get("instructions")
    system = f"{instructions or ''}{system}{_format_names(text_format)}"
    said = _say(model, system, message, limit, reasoning.get("effort"))
    created = int(now.timestamp())
    return {
        "id": f"resp_{number:024d}",
        "object": "response",
        "created_at": created,
        "status": "incomplete" if said.is_cut else "completed",
        "completed_at": None if said.is_cut else created,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if said.is_cut else None,
        "instructions": instructions,
        "max_output_tokens": limit,
        "model": model.id,
        "output": _output(said, number),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": None},
        "store": False,
        "temperature": body.get("temperature"),
        "text": {"format": text_format},
        "tool_choice": "auto",
        "tools": [],
        "top_p": body.get("top_p"),
        "truncation": "disabled",
        "usage": _response_usage(said),
        "metadata": body.get("metadata") or {},
    }


def _say(model: Model, system: str, message: str, limit: int | None, effort: Any) -> _Answer:
    if effort is not None and not (isinstance(effort, str) and effort in _EFFORTS):
        raise refusals.invalid_type("reasoning_effort", f"one of {', '.join(sorted(_EFFORTS))}")
    prompt_tokens = len(tokens(system)) + len(tokens(message)) + 8
    thinking = _REASONING_TOKENS.get(effort or "", _USUAL_REASONING_TOKENS) if model.reasons else 0
    if limit is not None and model.reasons and (limit < _LEAST_REASONED or limit <= thinking):
        return _Answer(
            "",
            is_cut=True,
            prompt_tokens=prompt_tokens,
            answer_tokens=limit,
            reasoning_tokens=limit,
        )
    full = tokens(triage.answer(model.skill, system, message))
    kept = full if limit is None else full[: limit - thinking]
    return _Answer(
        "".join(kept), len(kept) < len(full), prompt_tokens, thinking + len(kept), thinking
    )


def _require(body: Mapping[str, Any], known: frozenset[str], required: str) -> None:
    for name in body:
        if name not in known:
            raise refusals.unknown_parameter(name)
    for name, most in (("temperature", 2), ("top_p", 1)):
        value = body.get(name)
        if not (value is None or (isinstance(value, int | float) and 0 <= value <= most)):
            raise refusals.invalid_type(name, f"a number from 0 to {most}")
    if required not in body:
        raise refusals.missing_parameter(required)
    if body.get("stream"):
        raise refusals.refusal(
            400,
            "The sandbox does not stream: leave `stream` out, or send false.",
            param="stream",
            code="unsupported_value",
        )


def _table(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if not isinstance(value, dict | None):
        raise refusals.invalid_type(name, "an object")
    return value or {}


def _limit(body: Mapping[str, Any], name: str, least: int) -> int | None:
    limit = body.get(name)
    if limit is None:
        return None
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise refusals.invalid_type(name, "an integer")
    if limit < least:
        raise refusals.too_small(name, least, limit)
    return limit


def _conversation(turns: list[Any], name: str) -> tuple[str, str]:
    """Return what was told and shown before, joined, and the last thing the user said."""
    system: list[str] = []
    shown: list[str] = []
    message = ""
    for place, turn in enumerate(turns):
        if not isinstance(turn, dict) or not isinstance(turn.get("role"), str):
            raise refusals.invalid_type(f"{name}[{place}]", "a message with a role")
        if turn["role"] in {"system", "developer"}:
            system.append(_text(turn.get("content")))
        elif turn["role"] == "user":
            shown.append(message)
            message = _text(turn.get("content"))
        else:
            shown.append(_text(turn.get("content")))
    return "\n".join(filter(None, [*system, *shown])), message


def _text(content: Any) -> str:
    if isinstance(content, list):
        parts = (part.get("text", "") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _format_names(wanted: Mapping[str, Any]) -> str:
    """Return the field names of a JSON schema: they are instructions too."""
    schema = _table(_table(wanted, "json_schema") or wanted, "schema")
    return "\n" + " ".join(_table(schema, "properties")) if schema else ""


def _output(said: _Answer, number: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if said.reasoning_tokens:
        items.append({"id": f"rs_{number:024d}", "type": "reasoning", "summary": []})
    if said.text:
        part = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
        items.append(
            {
                "id": f"msg_{number:024d}",
                "type": "message",
                "role": "assistant",
                "status": "incomplete" if said.is_cut else "completed",
                "content": [part],
            }
        )
    return items


def _chat_usage(said: _Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": said.prompt_tokens,
        "completion_tokens": said.answer_tokens,
        "total_tokens": said.prompt_tokens + said.answer_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": said.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _response_usage(said: _Answer) -> dict[str, Any]:
    return {
        "input_tokens": said.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": said.answer_tokens,
        "output_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
        "total_tokens": said.prompt_tokens + said.answer_tokens,
    }
