"""Finds where in a line of JSON a fault stands, once it is known that there is one."""

import json
import math
import re
from collections.abc import Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out

from fftdeploy.api.answers import plain
from fftdeploy.formats.toml_reader import MAX_DEPTH

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+|"', re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n]*")
_IS_KEY = re.compile(r"\s*:")
_SURROGATE = re.compile("[\ud800-\udfff]")
_DECODER = json.JSONDecoder()
_MAX_DIGITS = 4300


def position(text: str, path: Sequence[str | int]) -> int:
    """Return the index of the key or element at `path` in valid JSON; the nearest there is."""
    at = _skip(text, 0)
    for part in path:
        found = _member(text, at, part) if text[at] == "{" else _element(text, at, part)
        if found is None:
            return at
        named, at = found
    return named if path else at


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


def _member(text: str, at: int, wanted: str | int) -> tuple[int, int] | None:
    at = _skip(text, at + 1)
    while text[at] == '"':
        named = at
        key, at = scanstring(text, at + 1)
        at = _skip(text, _skip(text, at) + 1)
        if key == wanted:
            return named, at
        at = _next(text, at)
    return None


def _element(text: str, at: int, wanted: str | int) -> tuple[int, int] | None:
    if text[at] != "[":
        return None
    at = _skip(text, at + 1)
    index = 0
    while text[at] != "]":
        if index == wanted:
            return at, at
        at, index = _next(text, at), index + 1
    return None


def _next(text: str, at: int) -> int:
    """Skip a value and the comma after it; at the end of the array or object stop there."""
    at = _skip(text, _DECODER.raw_decode(text, at)[1])
    return _skip(text, at + 1) if text[at] == "," else at


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
