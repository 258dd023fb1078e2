"""Reads JSON values from people and models within bounds, and compares what they say."""

from typing import Any

from fftdeploy.formats import strict_json
from fftdeploy.formats.depth import MAX_DEPTH, is_deep
from fftdeploy.formats.strict_json import StrictError

MISSING = object()
"""What `lookup` finds where there is nothing; JSON's `null` is something."""


def read(text: str) -> Any:
    """Read one strict JSON value of at most `MAX_DEPTH` levels.

    Raises:
        StrictError: It is none.
    """
    value = strict_json.loads(text)
    may_be_deep = isinstance(value, dict | list) and text.count("[") + text.count("{") > MAX_DEPTH
    if may_be_deep and is_deep(value):
        raise StrictError("JSON nested too deep")
    return value


def canonical(value: Any) -> str:
    """Write a value so that equal ones are equal texts: 1 and 1.0 are, `true` and 1 are not."""
    return strict_json.dumps(_with_plain_numbers(value))


def lookup(value: Any, path: str) -> Any:
    """Return what stands at a dotted path; a number picks from an array, from 0."""
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and len(part) < 9:
            if int(part) >= len(value):
                return MISSING
            value = value[int(part)]
        else:
            return MISSING
    return value


def blank(value: Any, path: str) -> None:
    """Take away what `lookup` finds at a dotted path; in an array `null` stays in its place."""
    above, _, last = path.rpartition(".")
    there = lookup(value, above) if above else value
    if isinstance(there, dict):
        there.pop(last, None)
    elif isinstance(there, list) and lookup(there, last) is not MISSING:
        there[int(last)] = None


def _with_plain_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _with_plain_numbers(below) for key, below in value.items()}
    return [_with_plain_numbers(below) for below in value] if isinstance(value, list) else value
