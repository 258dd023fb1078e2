"""Reads strict JSON, without what Python takes beyond it, and compares values."""

import json
import math
from hashlib import sha256
from typing import Any

from fftdeploy.formats.toml_reader import MAX_DEPTH, is_deep

MISSING = object()
"""What `lookup` finds where there is nothing; JSON's `null` is something."""

_HUGE = b"0" * 309
"""As many digits as the largest float has."""
_DIGITS = bytes.maketrans(b"123456789", b"000000000")


class StrictError(ValueError):
    """Text that is no strict JSON; the message quotes nothing of it."""


class SurrogateError(StrictError):
    """Half of a surrogate pair, which is in no text that UTF-8 can hold."""


def loads(text: str) -> Any:
    """Read one JSON value.

    Raises:
        StrictError: Not JSON, a key twice, `NaN` or a number out of range, half of a surrogate
            pair, or nested past reason.
    """
    try:
        value = (_HUGE_READER if _may_be_huge(text) else _READER).decode(text)
        if "\\u" in text:  # only an escape can make half of a pair
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError:
        raise StrictError("broken JSON") from None
    except UnicodeEncodeError:
        raise SurrogateError("JSON with half of a surrogate pair") from None
    except RecursionError:
        raise StrictError("JSON nested too deep") from None
    return value


def read(text: str) -> Any:
    """Read one strict value of at most `MAX_DEPTH` levels, or raise StrictError."""
    value = loads(text)
    may_be_deep = isinstance(value, dict | list) and text.count("[") + text.count("{") > MAX_DEPTH
    if may_be_deep and is_deep(value):
        raise StrictError("JSON nested too deep")
    return value


def read_or(text: str, otherwise: Any = None) -> Any:
    """Read one JSON value as `read` does; return `otherwise` where the text is none."""
    try:
        return read(text)
    except StrictError:
        return otherwise


def text_of(value: Any) -> str:
    """Return a text as it is, and any other value as JSON."""
    return value if isinstance(value, str) else dumps(value)


def dumps(value: Any) -> str:
    """Write `value` the one canonical way: sorted keys, no spaces, ASCII."""
    return _CANONICAL.encode(value)


def line(value: Any) -> bytes:
    """Write `value` as one line of a file, its keys in their order."""
    return _LINE.encode(value).encode() + b"\n"


def sha_of(value: Any) -> str:
    """Return 64 hex digits over the canonical form of `value`."""
    return sha256(dumps(value).encode()).hexdigest()


def canonical(value: Any) -> str:
    """Write a value so that equal ones are equal texts: 1 and 1.0 are, `true` and 1 are not."""
    return dumps(_with_plain_numbers(value))


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


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise StrictError("JSON with a key twice")
    return members


def _constant(name: str) -> None:
    raise StrictError(f"JSON with {name}")


def _may_be_huge(text: str) -> bool:
    """Look quickly for as many digits in a row as no float has; a hook for each costs more."""
    if len(text) < len(_HUGE):
        return False
    return _HUGE in text.encode("ascii", "replace").translate(_DIGITS)


def _int(text: str) -> int:
    if len(text) >= len(_HUGE):
        _float(text)
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise StrictError("JSON with a number out of range")
    return number


# Made once: `json` would make one for each text.
_READER, _HUGE_READER = (
    json.JSONDecoder(
        object_pairs_hook=_object,
        parse_constant=_constant,
        parse_float=_float,
        parse_int=parse_int,
    )
    for parse_int in (None, _int)
)
_LINE = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_CANONICAL = json.JSONEncoder(separators=(",", ":"), allow_nan=False, sort_keys=True)


def _with_plain_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _with_plain_numbers(below) for key, below in value.items()}
    return [_with_plain_numbers(below) for below in value] if isinstance(value, list) else value
