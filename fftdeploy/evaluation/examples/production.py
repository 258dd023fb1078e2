"""Reads requests that were answered in production: what an example of each would say.

Three shapes of line are read, mixed as they come: a chat in the fine-tuning format, an evals item
with its sample, and a logged pair of request and response of either endpoint.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fftdeploy.api.answers import Answer
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.examples.raw_lines import refuse_what_git_left
from fftdeploy.evaluation.examples.reviewed import assistant, lines
from fftdeploy.evaluation.outputs import read_output
from fftdeploy.evaluation.results import MISSING
from fftdeploy.formats import strict_json

MAX_BYTES = 256 * 1024 * 1024
MAX_LINE = 1024 * 1024
MAX_FAULTS = 20
_KEPT = ("tags", "meta", "group", "response_schema", "tools", "parallel_tool_calls")
_REPLACED = frozenset({"id", "reviewed_by", "reviewed_at"})
_PARTS = {"input_text": "text", "output_text": "text", "text": "text"}


class _RequestShapeError(ValueError):
    """A line is none of the shapes; the text says why, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class ProductionRequest:
    """What was asked in production, and what was answered.  Untrusted."""

    place: str
    """`path:line`."""
    content: Mapping[str, Any]
    """The line of an example, all but the reference and what a review says."""
    output: str = ""
    """What was answered; "" where nothing is known of it."""
    mark: str = ""
    """Why the answer can't be used as it is: `truncated`, `refused` or `filtered`."""
    like: Mapping[str, Any] = field(default_factory=dict)
    """The message that was answered."""

    def example(self, reference: str, item_reference: str) -> dict[str, Any]:
        """Return an example's line whose reference is `reference`.

        `item_reference` is the key that it has in an evals item.
        """
        if "item" in self.content:
            return {**self.content, "item": {**self.content["item"], item_reference: reference}}
        messages = [*self.content["messages"], assistant(reference, self.like or None)]
        return {**self.content, "messages": messages}


def read_requests(data: bytes, shown: str) -> list[ProductionRequest]:
    """Read the lines of a file; blank ones are left out.

    Raises:
        ConfigError: Located at the first line that is none of the shapes; further ones, up to
            20, are its details.  Or git has left something else in the file.
    """
    found, faults = [], []
    for number, row in enumerate(lines(data), 1):
        if not row.strip():
            continue
        refuse_what_git_left(row, number, shown)
        try:
            found.append(_request(_loaded(row), f"{shown}:{number}"))
        except _RequestShapeError as error:
            faults.append((f"{shown}:{number}", str(error)))
            if len(faults) == MAX_FAULTS:
                break
    if faults:
        raise _error(faults)
    return found


def _error(faults: Sequence[tuple[str, str]]) -> ConfigError:
    (where, problem), *rest = faults
    error = ConfigError(
        problem,
        hint='a line is {"messages": [...]}, {"item": {...}} or {"request": {...}}',
        where=where,
    )
    error.details = tuple(f"{place}: {text}" for place, text in rest)
    return error


def _loaded(row: bytes) -> Mapping[str, Any]:
    if len(row) > MAX_LINE:
        raise _RequestShapeError("a line of more than 1 MiB")
    try:
        value = strict_json.loads(row.decode())
    except UnicodeDecodeError:
        raise _RequestShapeError("a line that is not UTF-8") from None
    except strict_json.StrictError as error:
        raise _RequestShapeError(str(error)) from None
    return _object(value, "a line")


def _request(value: Mapping[str, Any], place: str) -> ProductionRequest:
    kept = {key: value[key] for key in _KEPT if key in value}
    if "request" in value:
        return _logged(value, place, kept)
    if "item" in value:
        sample = _object(value.get("sample") or {}, "'sample'")
        output = _text(sample.get("output_text") or "", "'output_text'")
        item = dict(_object(value["item"], "'item'"))
        kept.update({key: item.pop(key) for key in _KEPT if key in item and key not in kept})
        item = {key: item[key] for key in item if key not in _REPLACED}
        return ProductionRequest(place, {"item": item, **kept}, output)
    if "messages" not in value:
        raise _RequestShapeError("neither 'messages', 'item' nor 'request'")
    messages = _objects(value["messages"], "'messages'")
    if not messages or messages[-1].get("role") != "assistant":
        return ProductionRequest(place, {"messages": messages, **kept})
    return _answered(messages[:-1], messages[-1], place, kept)


def _answered(
    messages: list[dict[str, Any]], last: Mapping[str, Any], place: str, kept: Mapping[str, Any]
) -> ProductionRequest:
    """Read the last message of a chat as the API's answer, to get the same text from it."""
    like = {key: last[key] for key in ("role", "content", "tool_calls") if last.get(key)}
    body = {"object": "chat.completion", "choices": [{"message": last, "finish_reason": "stop"}]}
    output = read_output(Answer(status=200, body=body), "chat")
    if output.mark == MISSING:
        raise _RequestShapeError(f"the last message is no answer: {output.problem}")
    content = {"messages": messages, **kept}
    return ProductionRequest(place, content, output.text, _shown_mark(output.mark), like)


def _logged(value: Mapping[str, Any], place: str, kept: dict[str, Any]) -> ProductionRequest:
    request = _object(value["request"], "'request'")
    if "messages" in request:
        messages = _objects(request["messages"], "'messages'")
    elif "input" in request:
        messages = _turns(request)
    else:
        raise _RequestShapeError("a request with neither 'messages' nor 'input'")
    if request.get("tools"):
        kept["tools"] = [_tool(tool) for tool in _objects(request["tools"], "'tools'")]
        if type(request.get("parallel_tool_calls")) is bool:
            kept["parallel_tool_calls"] = request["parallel_tool_calls"]
    content = {"messages": messages, **kept}
    body = _object(value.get("response") or {}, "'response'")
    if not body:
        return ProductionRequest(place, content)
    output = read_output(
        Answer(status=200, body=body), "responses" if body.get("object") == "response" else "chat"
    )
    if output.mark == MISSING:
        raise _RequestShapeError(f"'response' is no answer: {output.problem}")
    # Calls are known by their text: the same from both endpoints.
    like = {"role": "assistant", "tool_calls": [{}]} if _has_calls(body) else {}
    return ProductionRequest(place, content, output.text, _shown_mark(output.mark), like)


def _has_calls(body: Mapping[str, Any]) -> bool:
    if body.get("object") == "response":
        return any(entry.get("type") == "function_call" for entry in body["output"])
    return bool(body["choices"][0]["message"].get("tool_calls"))


def _shown_mark(mark: str) -> str:
    return "" if mark == "empty" else mark


def _turns(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the Responses endpoint was asked as the messages of a chat."""
    turns: list[dict[str, Any]] = []
    if request.get("instructions"):
        text = _text(request["instructions"], "'instructions'")
        turns.append({"role": "system", "content": text})
    asked = request["input"]
    if isinstance(asked, str):
        return [*turns, {"role": "user", "content": asked}]
    for entry in _objects(asked, "'input'"):
        turn = _turn(entry)
        if turn.get("tool_calls") and turns and turns[-1]["role"] == "assistant":
            turns[-1].setdefault("tool_calls", []).extend(turn["tool_calls"])
        elif turn:
            turns.append(turn)
    return turns


def _turn(entry: Mapping[str, Any]) -> dict[str, Any]:
    kind = entry.get("type", "message")
    if kind == "message":
        return {"role": entry.get("role"), "content": _content(entry.get("content"))}
    if kind == "function_call":
        function = {"name": entry.get("name"), "arguments": entry.get("arguments")}
        call = {"id": entry.get("call_id"), "type": "function", "function": function}
        return {"role": "assistant", "tool_calls": [call]}
    if kind == "function_call_output":
        return {
            "role": "tool",
            "tool_call_id": entry.get("call_id"),
            "content": entry.get("output"),
        }
    if kind == "reasoning":  # what a model has thought is no input
        return {}
    raise _RequestShapeError("an input that is neither a message nor a function call")


def _content(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    parts = [_part(part) for part in _objects(content, "'content'")]
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind in _PARTS:
        return {"type": "text", "text": _text(part.get("text"), "a text")}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        return {"type": "image_url", "image_url": {"url": part["image_url"]}}
    raise _RequestShapeError("a part of an input that is neither text nor an image")


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """Return a tool as a chat has it: the Responses endpoint has its members one level up."""
    if tool.get("type") != "function" or "function" in tool:
        return tool
    return {
        "type": "function",
        "function": {key: value for key, value in tool.items() if key != "type"},
    }


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _RequestShapeError(f"{what} is no object")
    return value


def _objects(value: Any, what: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise _RequestShapeError(f"{what} is no list of objects")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise _RequestShapeError(f"{what} is no text")
    return value
