"""Reads JSON as its specification has it: what Python's reader takes beyond that is refused."""

import json
import math
from typing import Any

_HUGE = b"0" * 309
"""As many digits as the largest float has."""
_DIGITS = bytes(48 if 48 <= code < 58 else 32 for code in range(256))


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
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int if _may_be_huge(text) else None,
        )
        if "\\u" in text:  # only an escape can make half of a pair
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError:
        raise StrictError("broken JSON") from None
    except UnicodeEncodeError:
        raise SurrogateError("JSON with half of a surrogate pair") from None
    except RecursionError:
        raise StrictError("JSON nested too deep") from None
    except StrictError:
        raise
    return value


def dumps(value: Any) -> str:
    """Write `value` the one canonical way: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


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
