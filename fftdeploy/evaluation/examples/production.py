"""Reads requests that were answered in production: what an example of each would say.

Three shapes are read here: a chat in the fine-tuning format, an evals item with its sample, and a
logged pair of request and response of either endpoint.  What others log is brought to these.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from fftdeploy.api.answers import Answer, plain
from fftdeploy.evaluation.examples.reviewed import assistant
from fftdeploy.evaluation.outputs import FAILURES, ModelOutput, read_output
from fftdeploy.evaluation.results import MISSING

_KEPT = ("tags", "meta", "group", "response_schema", "tools", "parallel_tool_calls")
_REPLACED = frozenset({"id", "reviewed_by", "reviewed_at"})
_SHAPES = frozenset({"request", "item", "messages"})
ABANDONED = "abandoned"
"""The error of a call that the caller gave up."""
_MOST = 1 << 53
_LAST = datetime.max.replace(tzinfo=UTC).timestamp()
_TEXTS = frozenset({"input_text", "output_text", "text"})


class Served(NamedTuple):
    """How a request was served; "" and None are what the log does not say."""

    target: str = ""
    """`TASK/ENVIRONMENT`."""
    release: str = ""
    """Its number."""
    model: str = ""
    """The one that has answered; of a call that failed, the one that was asked."""
    at: float | None = None
    """Seconds since 1970."""
    latency_ms: float | None = None
    tokens_in: float | None = None
    tokens_out: float | None = None
    caller: str = ""
    """Who has asked: as much of it as the log says, to tell callers apart."""


UNSAID = Served()


class RequestShapeError(ValueError):
    """Something is no request that was answered; the text says why, and quotes nothing of it."""


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
    """Why the answer can't be used as it is: `truncated`, `refused`, `filtered` or `empty`."""
    like: Mapping[str, Any] = field(default_factory=dict)
    """The message that was answered."""
    agreed: str = ""
    """What the source says is right; "" where it says nothing."""
    verdicts: Mapping[str, bool] = field(default_factory=dict)
    """Whether graders of the source passed the output, by their names."""
    served: Served = UNSAID
    """What the source says of how it was answered."""
    error: str = ""
    """Of which type the error was, where the call failed and nothing was answered."""
    is_converted: bool = False
    """Whether it is from a log of another program: one that can't be an example is left out."""

    def example(self, reference: str, item_reference: str) -> dict[str, Any]:
        """Return an example's line whose reference is `reference`.

        `item_reference` is the key that it has in an evals item.
        """
        if "item" in self.content:
            return {**self.content, "item": {**self.content["item"], item_reference: reference}}
        messages = [*self.content["messages"], assistant(reference, self.like or None)]
        return {**self.content, "messages": messages}


def is_one(value: Any) -> bool:
    """Whether a value has the shape of one of the three, whatever is wrong with the rest."""
    return isinstance(value, dict) and not _SHAPES.isdisjoint(value)


def request(value: Any, place: str) -> ProductionRequest:
    """Read a line of one of the three shapes.

    Raises:
        RequestShapeError: It is none of them.
    """
    value = as_object(value, "a line")
    found, served = _request(value, place), read_served(value, value.get("response"))
    error = found.error or ("" if found.output or found.mark else _error(value.get("error")))
    if error and not served.model and "request" in value:  # nobody answered: who was asked
        served = served._replace(model=_short(value["request"].get("model")))
    return replace(found, served=served, error=error)


def _error(said: Any) -> str:
    kind = said.get("type") if isinstance(said, dict) else said
    return (_short(kind) or "error") if said else ""


def _request(value: Mapping[str, Any], place: str) -> ProductionRequest:
    kept = {key: value[key] for key in _KEPT if key in value}
    if "request" in value:
        return logged(value, place, kept)
    if "item" in value:
        sample = as_object(value.get("sample") or {}, "'sample'")
        output = as_text(sample.get("output_text") or "", "'output_text'")
        return of_item(as_object(value["item"], "'item'"), output, place, kept)
    if "messages" not in value:
        raise RequestShapeError("neither 'messages', 'item' nor 'request'")
    messages = as_objects(value["messages"], "'messages'")
    if not messages or messages[-1].get("role") != "assistant":
        return ProductionRequest(place, {"messages": messages, **kept})
    return answered(messages[:-1], messages[-1], place, kept)


def of_item(
    item: Mapping[str, Any], output: str, place: str, kept: Mapping[str, Any]
) -> ProductionRequest:
    """Return an evals item and what was answered to it; what is said of an example moves beside."""
    beside = {key: item[key] for key in _KEPT if key in item} | dict(kept)
    item = {key: item[key] for key in item if key not in _REPLACED and key not in _KEPT}
    return ProductionRequest(place, {"item": item, **beside}, output)


def answered(
    messages: list[dict[str, Any]],
    last: Mapping[str, Any],
    place: str,
    kept: Mapping[str, Any],
    finish: str = "stop",
) -> ProductionRequest:
    """Read the last message of a chat as the API's answer, to get the same text from it."""
    like = {key: last[key] for key in ("role", "content", "tool_calls") if last.get(key)}
    body = {"object": "chat.completion", "choices": [{"message": last, "finish_reason": finish}]}
    output = _output(body, "the last message")
    content = {"messages": messages, **kept}
    return ProductionRequest(place, content, output.text, output.mark, like)


def logged(value: Mapping[str, Any], place: str, kept: dict[str, Any]) -> ProductionRequest:
    """Read a logged pair of `request` and `response`, of either endpoint."""
    request = as_object(value["request"], "'request'")
    if "messages" in request:
        messages = as_objects(request["messages"], "'messages'")
    elif "input" in request:
        messages = _turns(request)
    else:
        raise RequestShapeError("a request with neither 'messages' nor 'input'")
    if request.get("tools"):
        kept["tools"] = [chat_tool(tool) for tool in as_objects(request["tools"], "'tools'")]
        if type(request.get("parallel_tool_calls")) is bool:
            kept["parallel_tool_calls"] = request["parallel_tool_calls"]
    content = {"messages": messages, **kept}
    body = as_object(value.get("response") or {}, "'response'")
    if not body:
        return ProductionRequest(place, content)
    if _read(body).problem in FAILURES:
        return ProductionRequest(place, content, error="APIError")
    output = _output(body, "'response'")
    if body.get("object") == "response":
        has_calls = any(entry.get("type") == "function_call" for entry in body["output"])
    else:
        has_calls = bool(body["choices"][0]["message"].get("tool_calls"))
    # Calls are known by their text: the same from both endpoints.
    like = {"role": "assistant", "tool_calls": [{}]} if has_calls else {}
    return ProductionRequest(place, content, output.text, output.mark, like)


def is_answer(body: Mapping[str, Any]) -> bool:
    """Whether a model has answered in it, by either endpoint."""
    return _read(body).mark != MISSING


def _read(body: Mapping[str, Any]) -> ModelOutput:
    endpoint = "responses" if body.get("object") == "response" else "chat"
    return read_output(Answer(status=200, body=body), endpoint)


def _output(body: Mapping[str, Any], what: str) -> ModelOutput:
    output = _read(body)
    if output.mark == MISSING:
        raise RequestShapeError(f"{what} is no answer: {output.problem}")
    return output


def _turns(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the Responses endpoint was asked as the messages of a chat."""
    turns: list[dict[str, Any]] = []
    if request.get("instructions"):
        text = as_text(request["instructions"], "'instructions'")
        turns.append({"role": "system", "content": text})
    asked = request["input"]
    if isinstance(asked, str):
        return [*turns, {"role": "user", "content": asked}]
    for entry in as_objects(asked, "'input'"):
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
        call = chat_call(entry.get("call_id"), entry.get("name"), entry.get("arguments"))
        return {"role": "assistant", "tool_calls": [call]}
    if kind == "function_call_output":
        said = {"tool_call_id": entry.get("call_id"), "content": entry.get("output")}
        return {"role": "tool", **said}
    if kind == "reasoning":  # what a model has thought is no input
        return {}
    raise RequestShapeError("an input that is neither a message nor a function call")


def _content(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    parts: list[dict[str, Any]] = []
    for part in as_objects(content, "'content'"):
        if part.get("type") in _TEXTS:
            parts.append({"type": "text", "text": as_text(part.get("text"), "a text")})
        elif part.get("type") == "input_image" and isinstance(part.get("image_url"), str):
            parts.append({"type": "image_url", "image_url": {"url": part["image_url"]}})
        else:
            raise RequestShapeError("a part of an input that is neither text nor an image")
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def chat_call(call_id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    """Return a call of a tool as a chat has it."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def chat_tool(tool: dict[str, Any]) -> dict[str, Any]:
    """Return a tool as a chat has it: the Responses endpoint has its members one level up."""
    if tool.get("type") != "function" or "function" in tool:
        return tool
    function = {key: value for key, value in tool.items() if key != "type"}
    return {"type": "function", "function": function}


def as_object(value: Any, what: str) -> Mapping[str, Any]:
    """Refuse what is no object."""
    if not isinstance(value, dict):
        raise RequestShapeError(f"{what} is no object")
    return value


def as_objects(value: Any, what: str) -> list[dict[str, Any]]:
    """Refuse what is no list of objects."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise RequestShapeError(f"{what} is no list of objects")
    return value


def objects_in(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list; what is something else is as good as not there."""
    listed = value if isinstance(value, list) else ()
    return [each for each in listed if isinstance(each, dict)]


def as_text(value: Any, what: str) -> str:
    """Refuse what is no text."""
    if not isinstance(value, str):
        raise RequestShapeError(f"{what} is no text")
    return value


def read_served(said: Mapping[str, Any], response: Any = None) -> Served:
    """Read the keys of a plain line; what those don't say of model and tokens, the response may.

    Whatever is not of its kind is as good as not said: a log is no reason to stop over that.
    """
    body: Mapping[str, Any] = response if isinstance(response, dict) else {}
    usage = said.get("usage") or body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    release = said.get("release")
    return Served(
        target=_short(said.get("target")),
        release=str(release) if type(release) is int else _short(release),
        model=_short(body.get("model")) or _short(said.get("model")),
        at=moment(said.get("at")),
        latency_ms=_number(said.get("latency_ms")),
        tokens_in=_number(usage.get("prompt_tokens", usage.get("input_tokens"))),
        tokens_out=_number(usage.get("completion_tokens", usage.get("output_tokens"))),
        caller=_short(said.get("caller")),
    )


def moment(value: Any) -> float | None:
    """Read an ISO time, in UTC where it says nothing else, or seconds since 1970.

    It is None outside of the years 1970 to 9999.
    """
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
            value = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    seconds = _number(value)
    return seconds if seconds is not None and seconds < _LAST else None


def elapsed_ms(start: Any, end: Any) -> float | None:
    """Return the milliseconds between two moments."""
    began, ended = moment(start), moment(end)
    return None if began is None or ended is None else (ended - began) * 1000


def _number(value: Any) -> float | None:
    return value if type(value) in {int, float} and 0 <= value <= _MOST else None


def _short(value: Any) -> str:
    return plain(value, 256) if isinstance(value, str) else ""
