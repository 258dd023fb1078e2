"""Writes reviewed examples into a JSONL file's text: no byte of another line changes.

A line that is rewritten keeps its members, their order and their spacing; only the values that
the review has decided are replaced, in place.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fftdeploy.evaluation.examples.example_lines import ANY_OF, REFERENCE_KEYS
from fftdeploy.formats import strict_json

BOM = b"\xef\xbb\xbf"
_BLANKS = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class ReviewDecision:
    """What a person has decided about one example; None and () leave what is there."""

    reference: str | None = None
    tags: tuple[str, ...] = ()
    """Added to those that the example has."""
    by: str = ""
    """Who answers for the reference; "" leaves the last review as it is."""
    at: str = ""


def lines(data: bytes) -> Iterator[bytes]:
    """Yield the lines of a file without their ends and the byte order mark."""
    for row in data.removeprefix(BOM).split(b"\n"):
        yield row.removesuffix(b"\r")


def appended(data: bytes, *contents: Mapping[str, Any]) -> bytes:
    """Return `data` with more lines at its end, ended as its other lines are."""
    end = b"\r\n" if b"\r\n" in data else b"\n"
    missing = b"" if data.endswith(b"\n") or data in {b"", BOM} else end
    rows = (json.dumps(each, ensure_ascii=False).encode() + end for each in contents)
    return b"".join([data, missing, *rows])


def replaced(data: bytes, number: int, old: bytes, new: bytes) -> bytes | None:
    """Return `data` with `new` in the place of the line `old`; None where that is not there.

    It is looked for at its `number`, counted from 1; where something else is there by now,
    anywhere, and has to be unique.
    """
    head = BOM if data.startswith(BOM) else b""
    rows = data[len(head) :].split(b"\n")
    found = [place for place, row in enumerate(rows) if row.removesuffix(b"\r") == old]
    if number - 1 not in found and len(found) != 1:
        return None
    place = number - 1 if number - 1 in found else found[0]
    rows[place] = new + rows[place][len(old) :]
    return head + b"\n".join(rows)


def revised(row: bytes, review: ReviewDecision, *, item_reference: str | None) -> bytes:
    """Return one line of examples as `review` has it.

    Args:
        row: A line that was read as an example before.
        review: What to write into it.
        item_reference: The key of an evals item that holds its reference, where it is none of
            the usual ones.
    """
    text = row.decode()
    writer = _Writer(text)
    top = writer.members(_BLANKS.match(text).end())  # type: ignore[union-attr]  # may be empty
    if review.reference is not None:
        _put_reference(writer, top, review.reference, item_reference)
    item = writer.members(top["item"].start) if "item" in top else {}
    # What is said about the example may be inside of the item: once, there or here.
    homes = {key: item if key in item else top for key in ("tags", "reviewed_by", "reviewed_at")}
    tags = (writer.value(homes["tags"]["tags"]) if "tags" in homes["tags"] else None) or []
    if new := [tag for tag in review.tags if tag not in tags]:
        writer.put(homes["tags"], "tags", [*tags, *new])
    if review.by:
        writer.put(homes["reviewed_by"], "reviewed_by", review.by)
        writer.put(homes["reviewed_at"], "reviewed_at", review.at)
    return writer.result().encode()


def assistant(reference: str, like: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the message that says `reference`: text, or tool calls where `like` makes some.

    Other members of `like`, such as `weight`, are kept.
    """
    before = dict(like or {"role": "assistant"})
    calls = _calls(reference) if before.get("tool_calls") else None
    if calls is None:
        kept = {key: value for key, value in before.items() if key not in _SAYING}
        return {**kept, "content": reference}
    return {**before, "tool_calls": _with_ids(calls, before["tool_calls"])}


_SAYING = frozenset({"content", "tool_calls", "refusal", "function_call", "audio"})


class _Span(NamedTuple):
    start: int
    end: int


class _Writer:
    """One line of JSON, and what will be other in it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._changes: list[tuple[_Span, str]] = []
        self._is_ascii = text.isascii() and "\\u" in text
        _, end = _DECODER.raw_decode(text, text.index('"'))  # the first key
        self._is_tight = not text[text.index(":", end) + 1].isspace()

    def members(self, start: int) -> dict[str, _Span]:
        """Return where the values of the object at `start` are, by key."""
        return dict(self._entries(start, "}"))

    def elements(self, start: int) -> list[_Span]:
        """Return where the values of the array at `start` are."""
        return [span for _, span in self._entries(start, "]")]

    def value(self, span: _Span) -> Any:
        return json.loads(self._text[span.start : span.end])

    def set(self, span: _Span, value: Any) -> None:
        """Write another value where one is; an equal one stays as it is spelt."""
        if self.value(span) != value or type(self.value(span)) is not type(value):
            self._changes.append((span, self._dumped(value)))

    def put(self, members: Mapping[str, _Span], key: str, value: Any) -> None:
        """Write a member of an object that has some: in its place, or after the last one."""
        if key in members:
            self.set(members[key], value)
            return
        end = max(span.end for span in members.values())
        comma, colon = (",", ":") if self._is_tight else (", ", ": ")
        self._changes.append((_Span(end, end), f'{comma}"{key}"{colon}{self._dumped(value)}'))

    def result(self) -> str:
        """Return the line with every change in it."""
        parts, done = [], 0
        for span, new in sorted(self._changes, key=lambda change: change[0]):
            parts += [self._text[done : span.start], new]
            done = span.end
        return "".join([*parts, self._text[done:]])

    def _entries(self, start: int, closing: str) -> Iterator[tuple[str, _Span]]:
        text, place = self._text, self._skip(start + 1)
        while text[place] != closing:
            key = ""
            if closing == "}":
                key, place = _DECODER.raw_decode(text, place)
                place = self._skip(self._skip(place) + 1)
            _, end = _DECODER.raw_decode(text, place)
            yield key, _Span(place, end)
            place = self._skip(end)
            if text[place] == ",":
                place = self._skip(place + 1)

    def _skip(self, place: int) -> int:
        found = _BLANKS.match(self._text, place)
        return found.end() if found else place

    def _dumped(self, value: Any) -> str:
        separators = (",", ":") if self._is_tight else (", ", ": ")
        return json.dumps(value, ensure_ascii=self._is_ascii, separators=separators)


def _put_reference(
    writer: _Writer, top: Mapping[str, _Span], reference: str, item_reference: str | None
) -> None:
    if "item" in top:
        item = writer.members(top["item"].start)
        key = item_reference or next(key for key in REFERENCE_KEYS if key in item)
        before = writer.value(item[key])
        if key == ANY_OF and isinstance(before, list):  # the first is shown; the others stay
            writer.put(item, key, [_as_item(reference, before[0]), *before[1:]])
        else:
            writer.put(item, key, _as_item(reference, before))
        return
    turns = writer.elements(top["messages"].start)
    last = next(span for span in reversed(turns) if writer.value(span).get("role") == "assistant")
    before = writer.value(last)
    after = assistant(reference, before)
    if before.keys() != after.keys():
        writer.set(last, after)
        return
    members = writer.members(last.start)
    for key, value in after.items():
        writer.set(members[key], value)


def _as_item(reference: str, before: Any) -> Any:
    """Return a reference as the JSON value that it replaces was: a text, or something else."""
    if isinstance(before, str):
        return reference
    try:
        return strict_json.loads(reference)
    except strict_json.StrictError:
        return reference


def _calls(reference: str) -> list[Mapping[str, Any]] | None:
    """Read the calls that a reference lists; None where it is something else."""
    try:
        calls = strict_json.loads(reference)
    except strict_json.StrictError:
        return None
    if not isinstance(calls, list) or not calls:
        return None
    is_call = all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls)
    return calls if is_call else None


def _with_ids(
    calls: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return calls as a message has them; the IDs are those that were there, by place."""
    made = []
    for place, call in enumerate(calls):
        old = before[place] if place < len(before) else {}
        arguments = call.get("arguments", {})
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
        function = {"name": call["name"], "arguments": written}
        made.append({"id": old.get("id", f"call_{place + 1}"), "type": "function"})
        made[-1]["function"] = function
    return made
