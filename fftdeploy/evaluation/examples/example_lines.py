"""Reads a line of an examples file as an `Example`, or says what is wrong with it and where.

Two shapes are read: OpenAI's fine-tuning chat format, whose last assistant message is the agreed
answer, and the item of its evals.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fftdeploy.evaluation.examples import chat_messages as chat
from fftdeploy.evaluation.examples import json_places
from fftdeploy.evaluation.examples.json_places import (
    Place,
    PlaceError,
    Table,
    closed,
    json_array,
    json_object,
    text_line,
    type_name,
)
from fftdeploy.formats import strict_json
from fftdeploy.formats.document import text_problem
from fftdeploy.formats.strict_json import StrictError

_BESIDE = ("id", "tags", "meta", "group", "reviewed_by", "reviewed_at")
_REQUEST = ("tools", "parallel_tool_calls", "response_schema")
_CHAT = ("messages", *_REQUEST, *_BESIDE)
_ITEM = ("item", "sample", *_REQUEST, *_BESIDE)
REFERENCE_KEYS = ("reference", "ideal", "expected", "correct_label")
ANY_OF = "ideal"
"""The key whose list is several agreed answers, as the evals have it."""

_INPUTS = ("messages", "input")
_OTHERS = (
    (
        {"preferred_output", "non_preferred_output"},
        "preference (DPO) data: two answers, and none that was agreed on",
    ),
    ({"prompt", "completion"}, "the old prompt and completion format"),
    ({"custom_id", "body"}, "a request of the Batch API"),
)


@dataclass(frozen=True, slots=True)
class Example:
    """One input and the answer that people agreed on."""

    id: str
    messages: tuple[Table, ...]
    """The input: without the reference, and without what only training reads."""
    reference: str
    """The agreed answer; tool calls as canonical JSON, a list of `{"arguments", "name"}`."""
    others: tuple[str, ...] = ()
    """Further answers that were agreed on: each of them is as good."""
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    """Examples of one group belong together; "" stands alone."""
    reviewed_by: str = ""
    """Who agreed on the answer; "" is nobody yet."""
    reviewed_at: str = ""
    response_schema: Mapping[str, Any] | None = None
    tools: list[Any] | None = None
    parallel_tool_calls: bool | None = None
    item: Mapping[str, Any] = field(default_factory=dict)
    """The whole item of an evals line; empty for a chat."""
    place: str = ""
    """`path:line`"""

    @property
    def input_key(self) -> str:
        """What is asked, as one text: equal for equal requests."""
        return strict_json.canonical(
            [list(self.messages), self.tools, self.parallel_tool_calls, self.response_schema]
        )


class LineError(ValueError):
    """A line can't be an example.

    `column` counts characters from 1.
    """

    def __init__(self, message: str, hint: str = "", column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.column = column


def parse_line(text: str, name: str, place: str, item: Mapping[str, str] | None) -> Example:
    """Read one line.

    Args:
        text: The line; a line break at its end is allowed.
        name: The ID of an example that has none of its own.
        place: Where the line is, for messages about the example.
        item: The keys of an evals item that are `input` and `reference`, where they are others
            than the usual ones.

    Raises:
        LineError: It is no example.
    """
    try:
        value = strict_json.read(text)
    except StrictError:
        at, message = json_places.fault(text)
        message = message or "not valid JSON"
        raise LineError(message, "each line is one JSON object", at + 1) from None
    try:
        return _example(value, name, place, item or {})
    except PlaceError as error:
        column = json_places.position(text, error.path) + 1
        raise LineError(error.message, error.hint, column) from None


def reference_column(text: str) -> int:
    """Return the column of the agreed answer in a line that is an example."""
    value = strict_json.read(text)
    path = ("messages", len(value.get("messages", ())) - 1, "content")
    return json_places.position(text, path if "messages" in value else ("item",)) + 1


def review_column(text: str) -> int:
    """Return the column of `reviewed_at` in a line that is an example and has it."""
    above = () if "reviewed_at" in strict_json.read(text) else ("item",)
    return json_places.position(text, (*above, "reviewed_at")) + 1


def _example(value: Any, name: str, place: str, keys: Mapping[str, str]) -> Example:
    if not isinstance(value, dict):
        raise PlaceError((), f"a line is one JSON object, not {type_name(value)}")
    for others, what in _OTHERS:
        if others <= value.keys():
            hint = 'write {"messages": [..., {"role": "assistant", "content": "the answer"}]}'
            raise PlaceError((), f"this is {what}", hint)
    item, is_item = {}, "item" in value
    if not is_item:
        _refuse_old_shapes(value)
    closed(value, (), _ITEM if is_item else _CHAT)
    if is_item:
        item = json_object(value["item"], ("item",))
        messages, references = _of_item(item, keys)
    elif "messages" in value:
        messages, references = _of_chat(value["messages"])
    else:
        raise PlaceError((), "'messages' is missing", "an evals line has 'item' instead")
    own = _beside(value, item)
    return Example(
        id=own.pop("id", "") or name,
        messages=messages,
        reference=references[0],
        others=references[1:],
        item=item,
        place=place,
        **own,
        **_request(value),
    )


def _refuse_old_shapes(value: Table) -> None:
    """Refuse old function calling, and data whose answer is beside the messages."""
    if "functions" in value:
        message = "'functions' was replaced by 'tools': this is data of the old function calling"
        raise PlaceError(("functions",), message, chat.TOOLS_HINT)
    messages = value.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    beside = next((key for key in value if key not in _CHAT), "")
    if not beside or not isinstance(last, dict) or last.get("role") == "assistant":
        return
    named = f".{beside}" if beside.isidentifier() and beside.isascii() else '."KEY"'
    raise PlaceError(
        (beside,),
        "this is data of reinforcement fine-tuning: its answer is beside the messages",
        f"where that is the agreed answer: jq -c '{{item: {{messages, reference: {named}}}}}' FILE",
    )


def _of_chat(value: Any) -> tuple[tuple[Table, ...], tuple[str, ...]]:
    *before, last = chat.checked(value, ("messages",))
    path: Place = ("messages", len(before))
    if last["role"] != "assistant":
        raise PlaceError(
            path,
            "the last message is not the assistant's: there is no agreed answer",
            'end with {"role": "assistant", "content": "the answer"}',
        )
    if not before:
        raise PlaceError(path, "there is nothing before the answer", "add the user's message")
    return tuple(map(chat.sent, before)), (chat.agreed(last, path),)


def _of_item(item: Table, keys: Mapping[str, str]) -> tuple[tuple[Table, ...], tuple[str, ...]]:
    asked = _one_of(item, "input", _INPUTS, keys)
    agreed = _one_of(item, "reference", REFERENCE_KEYS, keys)
    value, path = item[asked], ("item", asked)
    if isinstance(value, str) and value:
        messages: tuple[Table, ...] = ({"role": "user", "content": value},)
    elif isinstance(value, list):
        messages = tuple(map(chat.sent, chat.checked(value, path)))
    else:
        raise PlaceError(path, f"{asked!a} is a text or an array of messages")
    return messages, tuple(_references(item[agreed], ("item", agreed)))


def _references(value: Any, path: Place) -> Iterator[str]:
    """Yield the agreed answers: as in the evals, a list in `ideal` is any of these."""
    if path[-1] != ANY_OF or not isinstance(value, list):
        yield chat.agreed_text(value, path)
        return
    if not value:
        raise PlaceError(path, "the agreed answer is empty: none of no answers can pass")
    yield from dict.fromkeys(
        chat.agreed_text(each, (*path, number)) for number, each in enumerate(value)
    )


def _one_of(item: Table, what: str, usual: Sequence[str], keys: Mapping[str, str]) -> str:
    """Return the key of the item that is its input, or its reference."""
    wanted = (keys[what],) if what in keys else usual
    found = [key for key in wanted if key in item]
    if len(found) == 1:
        return found[0]
    named = " or ".join(f"'{key}'" for key in (found or wanted))
    hint = f'say which with item = {{ {what} = "KEY" }} in the gate'
    if found:
        raise PlaceError(("item",), f"the {what} of this item may be {named}", hint)
    raise PlaceError(("item",), f"the item has no {what}: no key {named}", hint)


def _beside(value: Table, item: Table) -> dict[str, Any]:
    """Read what people say about the example, beside `item` or inside of it."""
    found: dict[str, Any] = {}
    for key in _BESIDE:
        if key in value and key in item:
            raise PlaceError((key,), f"{key!r} is said twice: inside of 'item' too")
        above: Place = ("item",) if key in item else ()
        said = value.get(key, item.get(key))
        if said is not None:
            found[key] = _READ[key](said, (*above, key))
    if "reviewed_at" in found and "reviewed_by" not in found:
        path = ("reviewed_at",) if "reviewed_at" in value else ("item", "reviewed_at")
        raise PlaceError(path, "'reviewed_at' without 'reviewed_by'", "say who")
    return found


def _tags(value: Any, path: Place) -> tuple[str, ...]:
    tags = (text_line(tag, (*path, index)) for index, tag in enumerate(json_array(value, path)))
    return tuple(dict.fromkeys(tags))


def _meta(value: Any, path: Place) -> dict[str, str]:
    meta = json_object(value, path)
    for key in meta:
        if problem := text_problem(key):
            raise PlaceError((*path, key), f"a key of 'meta' {problem}")
    return {key: text_line(below, (*path, key)) for key, below in meta.items()}


def _time(value: Any, path: Place) -> str:
    said = text_line(value, path)
    try:
        is_aware = datetime.fromisoformat(said).tzinfo is not None
    except ValueError:
        is_aware = False
    if not is_aware:
        problem = f"{path[-1]!r} is no time with an offset"
        raise PlaceError(path, problem, 'write "2026-11-21T08:30:00Z"')
    return said


_READ: Mapping[str, Callable[[Any, Place], Any]] = {
    "id": lambda value, path: text_line(str(value) if type(value) is int else value, path),
    "tags": _tags,
    "meta": _meta,
    "group": text_line,
    "reviewed_by": text_line,
    "reviewed_at": _time,
}


def _request(value: Table) -> dict[str, Any]:
    """Read what goes out with the messages."""
    found = {key: value[key] for key in _REQUEST if value.get(key) is not None}
    if "tools" in found:
        for index, tool in enumerate(json_array(found["tools"], ("tools",))):
            if not isinstance(json_object(tool, ("tools", index)).get("type"), str):
                raise PlaceError(("tools", index), "a tool has a 'type'")
    if type(found.get("parallel_tool_calls", True)) is not bool:
        raise PlaceError(("parallel_tool_calls",), "'parallel_tool_calls' is true or false")
    if "response_schema" in found:
        schema = json_object(found["response_schema"], ("response_schema",))
        if schema.get("type") == "json_schema":
            message = "this is a response format: 'response_schema' is the schema inside of it"
            raise PlaceError(("response_schema",), message)
    return found
