"""Reads spans of OpenTelemetry about generative AI: OTLP as JSON, and one span an object.

Source: the semantic conventions for generative AI, from 1.37 on (`gen_ai.input.messages`), and the
numbered attributes that instrumentations wrote before (`gen_ai.prompt.0.content`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from fftdeploy.evaluation.examples.production import (
    ProductionRequest,
    RequestShapeError,
    Served,
    answered,
    as_objects,
    as_text,
    chat_call,
    chat_tool,
    elapsed_ms,
    moment,
    objects_in,
    read_served,
)
from fftdeploy.formats import strict_json
from fftdeploy.formats.strict_json import StrictError

NAME = "OpenTelemetry's spans"
_ASKING = frozenset({"", "chat", "text_completion", "generate_content"})
_FAILED = (2, "STATUS_CODE_ERROR", "ERROR")
_NOT_RECORDED = "its texts were not recorded: instrumentations leave them out by default"
_NUMBERED = re.compile(r"gen_ai\.(prompt|completion)\.([0-9]{1,4})\.([a-z_0-9.]{1,80})")
_PLAIN = ("stringValue", "boolValue", "doubleValue")
_TOKENS = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
"""How token counts are called, and were before 1.27 of the conventions."""
_FINISH = {"length": "length", "max_tokens": "length", "content_filter": "content_filter"}


def is_one(value: Mapping[str, Any]) -> bool:
    """Whether an object is an export of spans, or a span."""
    if isinstance(value.get("resourceSpans"), list):
        return True
    is_span = any(key in value for key in ("traceId", "trace_id", "context"))
    return is_span and isinstance(value.get("attributes"), list | dict)


def parts(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the spans of an object."""
    if "resourceSpans" not in value:
        yield value
        return
    for resource in objects_in(value.get("resourceSpans")):
        for scope in objects_in(resource.get("scopeSpans")):
            yield from objects_in(scope.get("spans"))


def request(part: Mapping[str, Any], place: str) -> ProductionRequest:
    """Read one span.

    Raises:
        RequestShapeError: It asks no model, failed, or its texts were not recorded.
    """
    said: dict[str, Any] = {}
    for told in (*objects_in(part.get("events")), part):  # its texts may be in one of its events
        said |= _attributes(told.get("attributes"))
    operation = str(said.get("gen_ai.operation.name", ""))
    if operation not in _ASKING or not any(key.startswith("gen_ai.") for key in said):
        raise RequestShapeError("a span that asks no model")
    status = part.get("status")
    code = (status.get("code") or status.get("status_code")) if isinstance(status, dict) else None
    if code in _FAILED or "error.type" in said:
        raise RequestShapeError("the request failed")
    if "gen_ai.input.messages" in said:
        asked, answers = _messages(said)
    else:
        asked, answers = _numbered(said, "prompt"), _numbered(said, "completion")
    if not asked:
        raise RequestShapeError(_NOT_RECORDED)
    tools = _read(said.get("gen_ai.tool.definitions"))
    kept = {"tools": [chat_tool(tool) for tool in as_objects(tools, "tools")]} if tools else {}
    served = _served(part, said)
    if not answers:
        return ProductionRequest(place, {"messages": asked, **kept}, served=served)
    finish = said.get("gen_ai.response.finish_reasons")
    first = str(finish[0]) if isinstance(finish, list) and finish else ""
    said_last = answers[0].pop("finish_reason", "") or first
    found = answered(asked, answers[0], place, kept, _FINISH.get(said_last, "stop"))
    return replace(found, served=served)


def _served(part: Mapping[str, Any], said: Mapping[str, Any]) -> Served:
    """Read how it was served; OTLP has nanoseconds, an SDK prints ISO times."""
    moments: list[float | None] = []
    for side in ("start", "end"):
        nanoseconds = str(part.get(f"{side}TimeUnixNano", ""))
        if re.fullmatch("[0-9]{1,20}", nanoseconds):
            moments.append(int(nanoseconds) / 1_000_000_000)
        else:
            moments.append(moment(part.get(f"{side}_time")))
    usage = {
        to: said.get(f"gen_ai.usage.{to}", said.get(f"gen_ai.usage.{before}"))
        for to, before in _TOKENS.items()
    }
    own = {key: said.get(f"fftdeploy.{key}") for key in ("target", "release", "caller")}
    model = said.get("gen_ai.response.model") or said.get("gen_ai.request.model")
    times = {"at": moments[0], "latency_ms": elapsed_ms(*moments)}
    return read_served({**own, **times, "model": model, "usage": usage})


def _attributes(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    named = [entry for entry in objects_in(value) if isinstance(entry.get("key"), str)]
    return {entry["key"]: _any_value(entry.get("value")) for entry in named}


def _any_value(value: Any) -> Any:
    """Return what an `AnyValue` of OTLP holds."""
    if not isinstance(value, dict):
        return None
    for key in _PLAIN:
        if key in value:
            return value[key]
    if "intValue" in value:  # 64 bits are a text in JSON
        found = str(value["intValue"])
        return int(found) if re.fullmatch("-?[0-9]{1,20}", found) else None
    if isinstance(inner := value.get("arrayValue"), dict):
        return [_any_value(each) for each in objects_in(inner.get("values"))]
    if isinstance(inner := value.get("kvlistValue"), dict):
        return _attributes(inner.get("values"))
    return None


def _read(value: Any) -> Any:
    """Read what a span has as JSON in a text; one that takes structures has it as it is."""
    if not isinstance(value, str):
        return value
    try:
        return strict_json.read(value)
    except StrictError:
        raise RequestShapeError("its texts were cut off when they were recorded") from None


def _messages(said: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what was asked and answered as messages of a chat."""
    asked = []
    if instructions := _read(said.get("gen_ai.system_instructions")):
        texts = [_part_text(part) for part in as_objects(instructions, "instructions")]
        asked.append({"role": "system", "content": "".join(texts)})
    for entry in as_objects(_read(said["gen_ai.input.messages"]), "its messages"):
        asked += _turns(entry)
    answers = []
    for entry in as_objects(_read(said.get("gen_ai.output.messages")) or [], "its answers"):
        finish = str(entry.get("finish_reason", ""))
        answers += [turn | {"finish_reason": finish} for turn in _turns(entry)]
    return asked, answers


def _turns(entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a message, and one for each result of a tool that is in it."""
    role = entry.get("role")
    if "parts" not in entry:
        yield {"role": role, "content": as_text(entry.get("content"), "a message")}
        return
    texts, calls = [], []
    for part in as_objects(entry["parts"], "its parts"):
        kind = part.get("type")
        if kind == "tool_call":
            calls.append(_call(part.get("id"), part.get("name"), part.get("arguments")))
        elif kind == "tool_call_response":
            text = strict_json.text_of(part.get("response", part.get("result")))
            yield {"role": "tool", "tool_call_id": part.get("id"), "content": text}
        elif kind != "reasoning":  # what a model has thought is no input
            texts.append(_part_text(part))
    if calls:
        yield {"role": role, "content": "".join(texts) or None, "tool_calls": calls}
    elif texts:
        yield {"role": role, "content": "".join(texts)}


def _part_text(part: Mapping[str, Any]) -> str:
    if part.get("type") != "text":
        raise RequestShapeError("a part of a message is neither a text nor a tool call")
    return as_text(part.get("content"), "a part of a message")


def _call(name_of_call: Any, name: Any, arguments: Any) -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else strict_json.dumps(arguments or {})
    return chat_call(name_of_call or "call_1", name, text)


def _numbered(said: Mapping[str, Any], which: str) -> list[dict[str, Any]]:
    """Return the messages that numbered attributes say."""
    found: dict[int, dict[str, Any]] = {}
    for key, value in said.items():
        match = _NUMBERED.fullmatch(key)
        if match and match[1] == which:
            found.setdefault(int(match[2]), {})[match[3]] = value
    turns = []
    for _, table in sorted(found.items()):
        role = as_text(table.get("role", "assistant"), "a role")
        turn: dict[str, Any] = {"role": role, "content": table.get("content")}
        if isinstance(table.get("finish_reason"), str):
            turn["finish_reason"] = table["finish_reason"]
        if "tool_call_id" in table:
            turn["tool_call_id"] = table["tool_call_id"]
        calls: list[dict[str, Any]] = []
        while (name := f"tool_calls.{len(calls)}.name") in table:
            call_id, arguments = (f"tool_calls.{len(calls)}.{key}" for key in ("id", "arguments"))
            calls.append(_call(table.get(call_id), table[name], table.get(arguments)))
        turns.append(turn | ({"tool_calls": calls} if calls else {}))
    return turns
