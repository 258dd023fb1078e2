"""Checks the values of a line of JSON, and finds where in the text a fault stands."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from typing import Any, NamedTuple

from fftdeploy import names
from fftdeploy.api.answers import plain
from fftdeploy.formats.document import text_problem
from fftdeploy.formats.toml_reader import MAX_DEPTH

Place = tuple[str | int, ...]
Table = dict[str, Any]
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+|"', re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n]*")
_IS_KEY = re.compile(r"\s*:")
_SURROGATE = re.compile("[\ud800-\udfff]")
_DECODER = json.JSONDecoder()
_MAX_DIGITS = 4300


class JsonEntry(NamedTuple):
    """A member of an object, or an element of an array, by where it stands in the text."""

    key: str | int
    named: int
    """Where it begins: at its key, if it has one."""
    start: int
    """Where its value begins."""
    end: int


def entries(text: str, at: int) -> Iterator[JsonEntry]:
    """Yield what is in the object or array that begins at an index of valid JSON."""
    is_object, number = text[at] == "{", 0
    at = skip_blanks(text, at + 1)
    while text[at] not in "}]":
        key: str | int = number
        named = at
        if is_object:
            key, at = scanstring(text, at + 1)
            at = skip_blanks(text, skip_blanks(text, at) + 1)
        _, end = _DECODER.raw_decode(text, at)
        yield JsonEntry(key, named, at, end)
        at, number = skip_blanks(text, end), number + 1
        if text[at] == ",":
            at = skip_blanks(text, at + 1)


def position(text: str, path: Sequence[str | int]) -> int:
    """Return the index of the key or element at `path` in valid JSON; the nearest there is."""
    named = at = skip_blanks(text, 0)
    for part in path:
        inside = entries(text, at) if text[at] in "{[" else ()
        found = next((entry for entry in inside if entry.key == part), None)
        if found is None:
            return at
        named, at = found.named, found.start
    return named


def skip_blanks(text: str, at: int) -> int:
    """Return the index of what is not blank, from `at` on."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def fault(text: str) -> tuple[int, str]:
    """Return the index of what strict JSON does not allow, and its name; (0, "") if unknown."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return error.pos, "more than one JSON value on the line"
        what = error.msg[:1].lower() + error.msg[1:]
        return error.pos, f"not valid JSON: {what}"
    except (RecursionError, ValueError):
        pass
    keys: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        if token[0] in "{[":
            keys.append(set())
            if len(keys) > MAX_DEPTH:
                return token.start(), f"JSON nested deeper than {MAX_DEPTH} levels"
        elif token[0] in "}]":
            keys.pop()
        elif problem := _token_problem(text, token, keys):
            return token.start(), problem
    return 0, ""


def _token_problem(text: str, token: re.Match[str], keys: list[set[str]]) -> str:
    said = token[0]
    if said[0] == '"':
        value = json.loads(said)
        if _SURROGATE.search(value):
            return "half of a surrogate pair"
        if _IS_KEY.match(text, token.end()):
            if value in keys[-1]:
                return f"the key '{plain(value, 60)}' is there twice"
            keys[-1].add(value)
        return ""
    if said in {"NaN", "Infinity", "-Infinity"}:
        return f"{said} is no JSON"
    if said[-1].isdigit():
        is_long = len(said) > _MAX_DIGITS and said.lstrip("-").isdigit()
        if is_long or math.isinf(float(said)):
            return "a number out of range"
    return ""


class PlaceError(ValueError):
    """A fault at a path inside of the line."""

    def __init__(self, path: Place, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.path, self.message, self.hint = path, message, hint


def closed(table: Table, path: Place, known: Iterable[str]) -> None:
    """Refuse the first key of `table` that is not `known`."""
    for key in table:
        if key not in known:
            hint = names.meant(key, sorted(known), f"known here: {', '.join(sorted(known))}")
            raise PlaceError((*path, key), f"unknown key '{plain(key, 60)}'", hint)


def json_object(value: Any, path: Place) -> Table:
    """Refuse what is not an object, with its place."""
    if not isinstance(value, dict):
        raise PlaceError(path, f"{_name(path)} must be an object, not {type_name(value)}")
    return value


def json_array(value: Any, path: Place) -> list[Any]:
    """Refuse what is not an array, with its place."""
    if not isinstance(value, list):
        raise PlaceError(path, f"{_name(path)} must be an array, not {type_name(value)}")
    return value


def text_line(value: Any, path: Place) -> str:
    """Return `value` if it is one line of 1 to 500 visible characters."""
    if not isinstance(value, str):
        raise PlaceError(path, f"{_name(path)} must be a text, not {type_name(value)}")
    if problem := text_problem(value):
        raise PlaceError(path, f"{_name(path)} {problem}")
    return value


def _name(path: Place) -> str:
    words = [part for part in path if isinstance(part, str)]
    what = repr(plain(words[-1], 60)) if words else "a line"
    return f"an entry of {what}" if path and isinstance(path[-1], int) else what


def type_name(value: Any) -> str:
    """Name the JSON type of `value`, with an article."""
    if value is None:
        return "null"
    types = {bool: "a boolean", str: "a text", list: "an array", dict: "an object"}
    return types.get(type(value), "a number")
