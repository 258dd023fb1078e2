"""Writes reviewed examples into a JSONL file's text: no byte of another line changes.

A line that is rewritten keeps its members, their order and their spacing; only the values that
the review has decided are replaced, in place.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fftdeploy.evaluation.examples.example_lines import ANY_OF, REFERENCE_KEYS
from fftdeploy.evaluation.examples.json_places import JsonEntry, entries, skip_blanks
from fftdeploy.evaluation.examples.raw_lines import BOM
from fftdeploy.formats.strict_json import read_or

_Members = Mapping[str | int, JsonEntry]


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
    """Return a line that was read as an example before as `review` has it.

    `item_reference` is the key of an evals item that holds its reference, where it is none of the
    usual ones.
    """
    text = row.decode()
    writer = _Writer(text)
    top = writer.members(skip_blanks(text, 0))
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
    calls = read_or(reference) if before.get("tool_calls") else None
    is_call = isinstance(calls, list) and all(
        isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls
    )
    if not calls or not is_call:
        kept = {key: value for key, value in before.items() if key not in _SAYING}
        return {**kept, "content": reference}
    made = []
    for place, call in enumerate(calls):
        old = before["tool_calls"][place] if place < len(before["tool_calls"]) else {}
        arguments = call.get("arguments", {})
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
        function = {"name": call["name"], "arguments": written}
        # The IDs are those that were there, by place.
        called = {"id": old.get("id", f"call_{place + 1}"), "type": "function"}
        made.append({**called, "function": function})
    return {**before, "tool_calls": made}


_SAYING = frozenset({"content", "tool_calls", "refusal", "function_call", "audio"})


class _Writer:
    """One line of JSON, and what will be other in it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._changes: list[tuple[int, int, str]] = []
        self._is_ascii = text.isascii() and "\\u" in text
        first = next(entries(text, skip_blanks(text, 0)))
        self._is_tight = text[first.start - 1] == ":"

    def members(self, start: int) -> dict[str | int, JsonEntry]:
        """Return where the values of the object or array at `start` are."""
        return {entry.key: entry for entry in entries(self._text, start)}

    def value(self, entry: JsonEntry) -> Any:
        return json.loads(self._text[entry.start : entry.end])

    def set(self, entry: JsonEntry, value: Any) -> None:
        """Write another value where one is; an equal one stays as it is spelt."""
        if self.value(entry) != value or type(self.value(entry)) is not type(value):
            self._changes.append((entry.start, entry.end, self._dumped(value)))

    def put(self, members: _Members, key: str, value: Any) -> None:
        """Write a member of an object that has some: in its place, or after the last one."""
        if key in members:
            self.set(members[key], value)
            return
        end = max(entry.end for entry in members.values())
        comma, colon = (",", ":") if self._is_tight else (", ", ": ")
        self._changes.append((end, end, f'{comma}"{key}"{colon}{self._dumped(value)}'))

    def result(self) -> str:
        """Return the line with every change in it."""
        parts, done = [], 0
        for start, end, new in sorted(self._changes, key=lambda change: change[:2]):
            parts += [self._text[done:start], new]
            done = end
        return "".join([*parts, self._text[done:]])

    def _dumped(self, value: Any) -> str:
        separators = (",", ":") if self._is_tight else (", ", ": ")
        return json.dumps(value, ensure_ascii=self._is_ascii, separators=separators)


def _put_reference(
    writer: _Writer, top: _Members, reference: str, item_reference: str | None
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
    turns = reversed(writer.members(top["messages"].start).values())
    last = next(turn for turn in turns if writer.value(turn).get("role") == "assistant")
    before = writer.value(last)
    after = assistant(reference, before)
    if before.keys() != after.keys():
        writer.set(last, after)
        return
    for name, entry in writer.members(last.start).items():
        writer.set(entry, after[str(name)])


def _as_item(reference: str, before: Any) -> Any:
    """Return a reference as the JSON value that it replaces was: a text, or something else."""
    return reference if isinstance(before, str) else read_or(reference, reference)
