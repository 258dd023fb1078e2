"""Where things stand in the text of a TOML file.

A scanner, not a parser: what TOML says is `tomllib`'s business, and this finds the place it is
said at.  Every function takes any text: on text that is not TOML it does its best, and it
always ends, in time linear in the text.  Offsets count characters from 0, lines and columns
count from 1.
"""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

Path = Sequence[str | int]
"""Where a value stands in a document: keys, and indexes of arrays."""

# Closing quotes are optional and every repeat is possessive, so nothing here can backtrack.
_QUOTED = (
    r'"""(?:[^"\\]++|\\(?s:.)|"(?!""))*+(?:"{3,5})?'
    r"|'''(?:[^']++|'(?!''))*+(?:'{3,5})?"
    r'|"(?:[^"\\\n]++|\\[^\n])*+"?'
    r"|'[^'\n]*+'?"
)
_STRING = re.compile(_QUOTED)
_NESTING = re.compile(rf"{_QUOTED}|#[^\n]*+|[\[\]{{}}]")
_BARE_VALUE = re.compile(r"\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]*+|[^\s,\]}#]*+")
_KEY = re.compile(r"""[A-Za-z0-9_-]++|"(?:[^"\\\n]++|\\[^\n])*+"|'[^'\n]*+'""")
_PART = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]++|\\[^\n])*+"?|'[^'\n]*+'?)"""
_PARTS = re.compile(_PART)
_BLANK = re.compile(r"[ \t]*+")
_FILLER = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_COMMAS = re.compile(r"(?:[ \t\r\n,]++|#[^\n]*+)*+")
"""What may stand before an element of an array, or a pair of an inline table."""


class Statement(NamedTuple):
    """A header, or a key with its value (also in an inline table), and where it stands."""

    path: tuple[str, ...]
    """The keys as written: of a header its whole name, of a dotted key its parts."""
    start: int
    """Offset of the key, or of the header's bracket."""
    value: int
    """Offset of the value; of a header, where its line goes on."""
    end: int
    """Offset behind the value or the header; a comment may follow."""
    brackets: int
    """0 for a key with its value, 1 for `[table]`, 2 for `[[array of tables]]`."""


class Array(NamedTuple):
    """The elements of an array as (start, end), and the offsets of its brackets."""

    start: int
    elements: list[tuple[int, int]]
    close: int


class Word(NamedTuple):
    """A bare word or quoted key, with those that dots join to it."""

    start: int
    parts: tuple[str, ...]
    """As written, quotes included."""
    is_number: bool
    """Whether it starts with a digit and is no key."""


def line_column(text: str, offset: int) -> tuple[int, int]:
    """Return the line and column of `offset`, both from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def end_of_line(text: str, offset: int) -> int:
    """Return the offset behind the line that `offset` is in, its line ending included."""
    found = text.find("\n", offset)
    return len(text) if found < 0 else found + 1


def position(text: str, path: Path) -> tuple[int, int]:
    """Return line and column of the key, table header or array element at `path`.

    Where the document has no such thing it is the place of the nearest parent that it has, and
    in the end (1, 1).
    """
    index = _index(text)
    node = index.root
    for depth, part in enumerate(path):
        child = node.children.get(part)
        if child is None:
            return index.place(index.inside(node, path[depth:]))
        node = child
    return index.place(node.start)


def words(text: str) -> Iterator[Word]:
    """Yield the keys, headers, numbers and other bare words, and the strings that could be keys."""
    # What may span lines is taken whole; a word is told from a comment by coming first.
    words = re.compile(rf"\"{{3}}|'{{3}}|#[^\n]*+|{_PART}(?:[ \t]*+\.[ \t]*+{_PART})*+")
    offset = 0
    while found := words.search(text, offset):
        offset = found.end()
        if found[0] in {'"""', "'''"}:
            offset = _skip(_STRING, text, found.start())
        elif found[0][0] != "#":
            parts = tuple(_PARTS.findall(found[0]))
            after = _skip(_BLANK, text, offset)
            is_number = parts[0].lstrip("-")[:1].isdecimal() and text[after : after + 1] != "="
            yield Word(found.start(), parts, is_number)


def deepest(text: str) -> int:
    """Return the offset of the bracket that most others are around."""
    depth = most = offset = 0
    for token in _NESTING.finditer(text):
        if token[0] in {"[", "{"}:
            depth += 1
            if depth > most:
                most, offset = depth, token.start()
        elif token[0] in {"]", "}"}:
            depth -= 1
    return offset


def redefinition(text: str, line: int) -> tuple[int, int] | None:
    """Return two offsets: what the statement at `line` defines again, and that statement.

    None where it defines something new.
    """
    limit = 0
    for _ in range(line):
        limit = end_of_line(text, limit)
    names = _Names()
    clash: int | None = None
    again = 0
    for statement in statements(text):
        if statement.start >= limit:
            break
        clash, again = names.add(statement), statement.start
    return None if clash is None else (clash, again)


def statements(text: str, start: int = 0) -> Iterator[Statement]:
    """Yield the statements from `start`, which must be between two of them."""
    offset = _skip(_FILLER, text, start)
    while offset < len(text):
        statement = _header(text, offset) if text[offset] == "[" else _pair(text, offset)
        if statement.path:
            yield statement
        offset = _skip(_FILLER, text, end_of_line(text, statement.end))


def array(text: str, start: int) -> Array:
    """Find the elements of the array whose `[` is at `start`."""
    elements: list[tuple[int, int]] = []
    offset = _skip(_COMMAS, text, start + 1)
    while text[offset : offset + 1] not in {"]", ""}:
        end = max(end_of_value(text, offset), offset + 1)
        elements.append((offset, end))
        offset = _skip(_COMMAS, text, end)
    return Array(start, elements, offset)


def inline_table(text: str, start: int) -> list[Statement]:
    """Find the keys and values of the inline table whose `{` is at `start`."""
    pairs: list[Statement] = []
    offset = _skip(_COMMAS, text, start + 1)
    while text[offset : offset + 1] not in {"}", ""}:
        pair = _pair(text, offset)
        if pair.path:
            pairs.append(pair)
        offset = _skip(_COMMAS, text, max(pair.end, offset + 1))
    return pairs


def end_of_value(text: str, start: int) -> int:
    """Return the offset behind the value that begins at `start`."""
    first = text[start : start + 1]
    if first in {'"', "'"}:
        return _skip(_STRING, text, start)
    if first not in {"[", "{"}:
        return _skip(_BARE_VALUE, text, start)
    depth = 0
    for token in _NESTING.finditer(text, start):
        if token[0] in {"[", "{"}:
            depth += 1
        elif token[0] in {"]", "}"}:
            depth -= 1
            if depth == 0:
                return token.end()
    return len(text)


def _skip(pattern: re.Pattern[str], text: str, offset: int) -> int:
    found = pattern.match(text, offset)
    return found.end() if found else offset


def _header(text: str, start: int) -> Statement:
    brackets = 2 if text.startswith("[[", start) else 1
    path, end = _key(text, start + brackets)
    if text.startswith("]" * brackets, end):
        end += brackets
    return Statement(path, start, end, end, brackets)


def _pair(text: str, start: int) -> Statement:
    path, offset = _key(text, start)
    if text[offset : offset + 1] != "=":
        return Statement(path, start, offset, offset, 0)
    value = _skip(_BLANK, text, offset + 1)
    return Statement(path, start, value, end_of_value(text, value), 0)


def _key(text: str, offset: int) -> tuple[tuple[str, ...], int]:
    path: list[str] = []
    while True:
        offset = _skip(_BLANK, text, offset)
        found = _KEY.match(text, offset)
        if not found:
            return tuple(path), offset
        path.append(_unquoted(found[0]))
        offset = _skip(_BLANK, text, found.end())
        if text[offset : offset + 1] != ".":
            return tuple(path), offset
        offset += 1


def _unquoted(key: str) -> str:
    if key[0] not in "\"'":
        return key
    if key[0] == '"' and "\\" in key:
        with suppress(ValueError):
            return str(tomllib.loads(f"key = {key}")["key"])  # no number, no key, no depth
    return key[1:-1]


class _Node:
    """One name of the document: where it was first written, and its value if it has one."""

    __slots__ = ("children", "kind", "start", "value")

    def __init__(self, start: int, kind: str) -> None:
        self.start = start
        self.kind = kind
        """How it was made: `parent` of a header, `header`, `array`, `dotted` or `value`."""
        self.value = -1
        self.children: dict[str | int, _Node] = {}

    def child(self, part: str | int, start: int, kind: str) -> "_Node":
        if part not in self.children:
            self.children[part] = _Node(start, kind)
        return self.children[part]


class _Names:
    """The names of a document, as a tree."""

    def __init__(self) -> None:
        self.root = self.table = _Node(0, "header")

    def add(self, statement: Statement) -> int | None:
        """Take in the next statement; return the offset of what it defines a second time."""
        if statement.brackets:
            return self._add_header(statement)
        node, clash = self.table, None
        for part in statement.path[:-1]:
            node = node.child(part, statement.start, "dotted")
            if node.kind != "dotted":
                clash = node.start
        last = node.children.get(statement.path[-1])
        if last is not None:
            return last.start
        last = node.child(statement.path[-1], statement.start, "value")
        last.value = statement.value
        return clash

    def _add_header(self, statement: Statement) -> int | None:
        node, clash = self.root, None
        for part in statement.path[:-1]:
            node = node.child(part, statement.start, "parent")
            if node.kind == "value":
                clash = node.start
            if node.kind == "array":
                node = node.children[len(node.children) - 1]
        kind = "header" if statement.brackets == 1 else "array"
        last = node.child(statement.path[-1], statement.start, kind)
        if (
            last.start != statement.start
            and last.kind != "parent"
            and {last.kind, kind} != {"array"}
        ):
            clash = last.start
        last.kind = kind
        if kind == "array":
            last = last.child(len(last.children), statement.start, "header")
        self.table = last
        return clash


class _NameIndex(_Names):
    """The names of a whole document, where its lines end, and the arrays that were looked into."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.arrays: dict[int, Array] = {}
        for statement in statements(text):
            self.add(statement)
        self.line_ends = [found.start() for found in re.finditer("\n", text)]

    def place(self, offset: int) -> tuple[int, int]:
        """Return the line and column of `offset`."""
        above = bisect_left(self.line_ends, offset)
        return above + 1, offset - (self.line_ends[above - 1] if above else -1)

    def inside(self, node: _Node, path: Path) -> int:
        """Follow `path` into the arrays and inline tables of a value; stop where it ends."""
        start, value = node.start, node.value
        while path and value >= 0:
            if self.text.startswith("[", value) and isinstance(path[0], int):
                elements = self.array(value).elements
                if not 0 <= path[0] < len(elements):
                    break
                start = value = elements[path[0]][0]
                path = path[1:]
            elif self.text.startswith("{", value):
                pairs = inline_table(self.text, value)
                found = next((pair for pair in pairs if _leads(pair.path, path)), None)
                if found is None:
                    break
                start, value = found.start, found.value
                path = path[len(found.path) :]
            else:
                break
        return start

    def array(self, start: int) -> Array:
        """Find the elements of the array whose `[` is at `start`, once."""
        if start not in self.arrays:
            self.arrays[start] = array(self.text, start)
        return self.arrays[start]


@lru_cache(maxsize=1)  # `check` asks for the line of every target, and release, of one text
def _index(text: str) -> _NameIndex:
    return _NameIndex(text)


def _leads(key: tuple[str, ...], path: Path) -> bool:
    return all(part == wanted for part, wanted in zip(key, path, strict=False))
