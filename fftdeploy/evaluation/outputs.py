"""Reads an API answer as a model's text, or why there is none, and what it cost.

The shapes of both endpoints are read strictly: a 200 that is not the endpoint's object says
nothing about the model, and is `api-error`, which counts as missing and not as wrong.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from fftdeploy.api.answers import Answer, plain
from fftdeploy.evaluation.results import MISSING
from fftdeploy.formats import strict_json

MAX_CHARS = 256 * 1024
"""Most characters of an answer that are kept and graded; a longer one is `truncated`."""

_ERROR = "the answer carries an error"
_UNFINISHED = "the answer is empty, and does not say that it is over"
FAILURES = frozenset({_ERROR, _UNFINISHED})
"""Problems by which a gateway tells, with a status of success, that the host behind it failed: what
came is no answer of the model."""

_FILTER_CODES = frozenset({"content_filter", "content_policy_violation", "moderation_blocked"})


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """One answer; `mark` is "" where it can be graded, else a mark of `results.MARKS`."""

    text: str = ""
    """What was said; tool calls as canonical JSON, a list of `{"arguments", "name"}`."""
    mark: str = ""
    problem: str = ""
    """Why it is `api-error`, one printable line."""
    tokens_in: int = 0
    tokens_cached: int = 0
    """Part of `tokens_in`."""
    tokens_out: int = 0
    tokens_reasoning: int = 0
    """Part of `tokens_out`."""
    model: str = ""
    """The model that the API says has answered."""
    fingerprint: str = ""
    request_id: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return what a log keeps: the fields that say something."""
        return {name: value for name in _FIELDS if (value := getattr(self, name))}


def output_from(content: Mapping[str, Any]) -> ModelOutput:
    """Read what `as_json` has written, and leave the rest of `content` aside."""
    return ModelOutput(**{name: content[name] for name in _FIELDS if name in content})


_FIELDS = tuple(ModelOutput.__dataclass_fields__)


class _ShapeError(ValueError):
    """The body is not the endpoint's object; the text says what is wrong with it."""


def read_output(answer: Answer, endpoint: str) -> ModelOutput:
    """Read an answer of `endpoint` (`chat` or `responses`); whatever came, it has a reading."""
    if answer.status == 400 and answer.has_error and {answer.code, answer.type} & _FILTER_CODES:
        return ModelOutput(mark="filtered", request_id=answer.request_id)
    if answer.fault == "too-large":
        return ModelOutput(mark="truncated", request_id=answer.request_id)
    if answer.status != 200 or answer.problem:
        return ModelOutput(mark=MISSING, problem=_failure(answer), request_id=answer.request_id)
    try:
        read = _chat if endpoint == "chat" else _response
        return replace(read(answer.body), request_id=answer.request_id)
    except _ShapeError as error:
        return ModelOutput(mark=MISSING, problem=str(error), request_id=answer.request_id)


def _failure(answer: Answer) -> str:
    if answer.problem:
        return answer.problem if not answer.status else f"HTTP {answer.status}: {answer.problem}"
    said = ": ".join(part for part in (answer.code, answer.message) if part)
    return plain(f"HTTP {answer.status}: {said}" if said else f"HTTP {answer.status}", 300)


def _chat(body: Any) -> ModelOutput:
    root = _object(body, "the answer")
    _require(root.get("object") == "chat.completion", "the answer is no chat.completion")
    choices = _list(root.get("choices"), "its choices")
    _require(bool(choices), "the answer has no choices")
    choice = _object(choices[0], "its choice")
    end = choice.get("finish_reason")
    _require(not (root.get("error") or choice.get("error") or end == "error"), _ERROR)
    message = _object(choice.get("message"), "its message")
    content = _text(message.get("content"), "its content")
    calls = [
        _call(_object(_object(call, "a tool call").get("function"), "a tool call"))
        for call in _list(message.get("tool_calls"), "its tool_calls")
    ]
    refusal = _text(message.get("refusal"), "its refusal")
    ends = {"content_filter": "filtered", "length": "truncated"}
    made = _made(root, content, calls, refusal, ends.get(str(end), ""))
    _require(end is not None or made.mark != "empty", _UNFINISHED)
    usage = _usage(root, "prompt", "completion")
    return replace(made, fingerprint=_short(root, "system_fingerprint"), **usage)


def _response(body: Any) -> ModelOutput:
    root = _object(body, "the answer")
    _require(root.get("object") == "response", "the answer is no response")
    status = root.get("status")
    _require(status is not None, "the response has no `status`")
    _require(status in {"completed", "incomplete"}, f"the response is {plain(str(status), 40)}")
    _require(not root.get("error"), _ERROR)
    details = root.get("incomplete_details")
    reason = _object(details, "its incomplete_details").get("reason") if details else None
    texts, refusals, calls = _items(root)
    end = "truncated" if status == "incomplete" else ""
    end = "filtered" if reason == "content_filter" else end
    made = _made(root, "".join(texts), calls, "".join(refusals), end)
    return replace(made, **_usage(root, "input", "output"))


def _made(
    root: Mapping[str, Any], content: str, calls: list[Any], refusal: str, end: str
) -> ModelOutput:
    """Make an output of what was said, in whichever shape; `end` marks one that was cut off."""
    text = (strict_json.dumps(calls) if calls else content) or refusal
    mark = end or ("" if content or calls else "empty")
    if refusal and end != "filtered":
        mark = "refused"
    if len(text) > MAX_CHARS:
        text, mark = text[:MAX_CHARS], mark or "truncated"
    return ModelOutput(text, mark, model=_short(root, "model"))


def tool_calls(value: Any) -> list[dict[str, Any]] | None:
    """Return the tool calls that the JSON of an answer is; None where it is something else."""
    is_calls = isinstance(value, list) and all(
        isinstance(call, dict) and call.keys() == {"name", "arguments"} for call in value
    )
    return value if is_calls else None


def _items(root: Mapping[str, Any]) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    texts: list[str] = []
    refusals: list[str] = []
    calls: list[dict[str, Any]] = []
    _require(isinstance(root.get("output"), list), "the response has no output")
    for entry in root["output"]:
        item = _object(entry, "an output item")
        if item.get("type") == "function_call":
            calls.append(_call(item))
        if item.get("type") != "message":
            continue
        for each in _list(item.get("content"), "its content"):
            part = _object(each, "a content part")
            if part.get("type") == "output_text":
                texts.append(_text(part.get("text"), "its text"))
            elif part.get("type") == "refusal":
                refusals.append(_text(part.get("refusal"), "its refusal"))
    return texts, refusals, calls


def _call(function: Mapping[str, Any]) -> dict[str, Any]:
    """Return name and arguments; arguments that are no JSON stay the text they are."""
    name, arguments = function.get("name"), function.get("arguments")
    _require(isinstance(name, str) and isinstance(arguments, str), "a tool call without a name")
    with suppress(strict_json.StrictError):
        arguments = strict_json.loads(str(arguments))
    return {"name": name, "arguments": arguments}


def _usage(root: Mapping[str, Any], asked: str, said: str) -> dict[str, Any]:
    usage = root.get("usage")
    if not isinstance(usage, dict):
        return {}
    tokens_in, tokens_out = _count(usage, f"{asked}_tokens"), _count(usage, f"{said}_tokens")
    cached = _count(usage.get(f"{asked}_tokens_details"), "cached_tokens")
    reasoning = _count(usage.get(f"{said}_tokens_details"), "reasoning_tokens")
    return {
        "tokens_in": tokens_in,
        "tokens_cached": min(cached, tokens_in),  # a part, whatever the host says
        "tokens_out": tokens_out,
        "tokens_reasoning": min(reasoning, tokens_out),
    }


def _count(table: Any, name: str) -> int:
    value = table.get(name) if isinstance(table, dict) else None
    return value if type(value) is int and 0 <= value < 1 << 40 else 0


def _short(root: Mapping[str, Any], name: str) -> str:
    value = root.get(name)
    return plain(value, 256) if isinstance(value, str) else ""


def _object(value: Any, what: str) -> Mapping[str, Any]:
    _require(isinstance(value, dict), f"{what} is no object")
    return value  # type: ignore[no-any-return]  # checked above


def _list(value: Any, what: str) -> list[Any]:
    _require(value is None or isinstance(value, list), f"{what} is no list")
    return value or []


def _text(value: Any, what: str) -> str:
    _require(value is None or isinstance(value, str), f"{what} is no text")
    return value or ""


def _require(is_so: bool, problem: str) -> None:
    if not is_so:
        raise _ShapeError(problem)
