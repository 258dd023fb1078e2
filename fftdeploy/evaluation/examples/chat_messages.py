"""Checks messages of a chat: as they are sent, and what the last one has agreed on."""

from typing import Any

from fftdeploy.evaluation.examples.json_places import (
    Place,
    PlaceError,
    Table,
    closed,
    json_array,
    json_object,
    type_name,
)
from fftdeploy.formats import strict_json
from fftdeploy.formats.strict_json import MISSING, StrictError

MESSAGE_KEYS = (
    *("role", "content", "name", "weight", "tool_calls", "tool_call_id"),
    *("refusal", "function_call", "annotations", "audio"),
)
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
TOOLS_HINT = (
    'write "tools": [{"type": "function", "function": {...}}] for \'functions\', and "tool_calls": '
    '[{"id": "call_1", "type": "function", "function": {...}}] for \'function_call\''
)
_NOT_SENT = {"weight", "annotations", "audio"}


def checked(value: Any, path: Place) -> list[Table]:
    """Return the messages of an array if each is one, of a role and with a content.

    Raises:
        PlaceError: One is not.
    """
    messages = json_array(value, path)
    if not messages:
        raise PlaceError(path, f"{path[-1]!r} is empty")
    for index, message in enumerate(messages):
        _check_message(json_object(message, (*path, index)), (*path, index))
    return messages


def _check_message(message: Table, path: Place) -> None:
    closed(message, path, MESSAGE_KEYS)
    role, weight = message.get("role"), message.get("weight")
    is_assistant = role == "assistant"
    if role not in _ROLES:
        problem = "'role' is missing" if role is None else "there is no such role"
        raise PlaceError((*path, "role"), problem, f"known here: {', '.join(_ROLES)}")
    if weight is not None and not (is_assistant and type(weight) is int and weight in {0, 1}):
        raise PlaceError((*path, "weight"), "'weight' is 0 or 1, for the assistant alone")
    if message.get("tool_calls") is not None:
        place = (*path, "tool_calls")
        if not is_assistant:
            raise PlaceError(place, "only the assistant calls tools")
        for index, call in enumerate(json_array(message["tool_calls"], place)):
            at = (*place, index, "function")
            function = json_object(json_object(call, at[:-1]).get("function"), at)
            for key in ("name", "arguments"):
                if not isinstance(function.get(key), str):
                    raise PlaceError((*at, key), f"{key!r} of a tool call is a text")
    _check_content(message, (*path, "content"))


def _check_content(message: Table, place: Place) -> None:
    content = message.get("content")
    if content is None:
        said = ("tool_calls", "function_call", "refusal")
        if message["role"] != "assistant" or not any(message.get(key) for key in said):
            raise PlaceError(place, "'content' is missing")
    elif isinstance(content, list):
        for index, part in enumerate(content):
            if not isinstance(json_object(part, (*place, index)).get("type"), str):
                raise PlaceError((*place, index), "a part of 'content' has a 'type'")
    elif not isinstance(content, str):
        what = type_name(content)
        raise PlaceError(place, f"'content' is a text or an array of parts, not {what}")


def sent(message: Table) -> Table:
    """Return what of a message is sent: `null` says nothing, except as the content."""
    return {
        key: value
        for key, value in message.items()
        if key not in _NOT_SENT and (value is not None or key == "content")
    }


def texts(message: Table) -> list[str]:
    """Return the texts that a message says: its content, or those of its parts."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    said = (part.get("text") for part in parts if isinstance(part, dict))
    return [text for text in said if isinstance(text, str)]


def agreed(message: Table, path: Place) -> str:
    """Return the text that an answer is held against; tool calls as canonical JSON.

    Raises:
        PlaceError: The message says nothing that another could say too.
    """
    if message.get("tool_calls"):
        calls = [call["function"] for call in message["tool_calls"]]
        place = (*path, "tool_calls")
        return strict_json.dumps(
            [_call(call, (*place, number, "function")) for number, call in enumerate(calls)]
        )
    if message.get("function_call"):
        place = (*path, "function_call")
        raise PlaceError(place, "'function_call' was replaced by 'tool_calls'", TOOLS_HINT)
    content = message.get("content")
    if isinstance(content, list):
        if not all(isinstance(part.get("text"), str) for part in content):
            raise PlaceError((*path, "content"), "the agreed answer is more than text")
        content = "".join(part["text"] for part in content)
    if not content:
        what = "a refusal" if message.get("refusal") else "empty"
        raise PlaceError((*path, "content"), f"the agreed answer is {what}: nothing can pass")
    return agreed_text(content, (*path, "content"))


def agreed_text(value: Any, path: Place) -> str:
    """Return an agreed answer as the text that an answer is held against.

    Raises:
        PlaceError: No answer can say that: it is empty, a whole message, or tool calls in another
            shape than answers have.
    """
    if value is None or value == "":
        raise PlaceError(path, "the agreed answer is empty")
    if isinstance(value, str):
        if value.lstrip().startswith("{") and '"assistant"' in value:
            _require_no_message(strict_json.read_or(value), path)
        return value
    for each in value if isinstance(value, list) else [value]:
        _require_no_message(each, path)
        called = each if isinstance(each, dict) else {}
        is_wrapped = called.get("type") == "function" and isinstance(called.get("function"), dict)
        is_text = isinstance(called.get("name"), str) and isinstance(called.get("arguments"), str)
        if is_wrapped or is_text:
            raise PlaceError(
                path,
                "the agreed tool calls have another shape than answers: nothing can pass",
                'write [{"name": "NAME", "arguments": {...}}], the arguments as an object',
            )
    return strict_json.canonical(value)


def _require_no_message(value: Any, path: Place) -> None:
    """Refuse a whole message; what is no object is a text like any other."""
    if not isinstance(value, dict) or value.get("role") != "assistant":
        return
    says = {"content", "tool_calls"} & value.keys()
    if says and value.keys() <= {*MESSAGE_KEYS, "id", "type"}:
        raise PlaceError(
            path,
            "the agreed answer is a whole message where a text is meant: nothing can pass",
            "write what the assistant says: the 'content' of that message",
        )


def _call(function: Table, path: Place) -> Table:
    place = (*path, "arguments")
    try:
        arguments = strict_json.read(function["arguments"])
    except StrictError as error:
        raise PlaceError(place, f"the arguments of the agreed tool call: {error}") from None
    if isinstance(arguments, dict):
        return {"name": function["name"], "arguments": arguments}
    what = type_name(arguments)
    if isinstance(arguments, str) and strict_json.read_or(arguments, MISSING) is not MISSING:
        what = "a text with JSON in it, encoded twice"
    raise PlaceError(
        place,
        f"the arguments of the agreed tool call are {what}: nothing can pass",
        'write the JSON of an object: "arguments": "{\\"city\\": \\"Oslo\\"}"',
    )
