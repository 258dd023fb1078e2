"""TOML text -> values, within bounds that keep the reader linear and its numbers printable.

`tomllib` alone reads a hexadecimal number that Python then refuses to print, takes a time
quadratic in the parts of a key, and ends deep nesting in a `RecursionError`.  Standard library
only: applications pay for this import.
"""

import tomllib
from typing import Any

MAX_DEPTH = 100
"""Most arrays and tables, or objects, inside each other."""
MAX_DIGITS = 4_000
"""Decimal digits of a number, however it is written: Python prints no more than 4,300."""
MAX_PARTS = 16
"""Names that dots join in one key or header."""

_HEX_RUN = b"0" * 3_322
"""The shortest run of hexadecimal digits that may be a number of more than `MAX_DIGITS`."""
_HEX_DIGITS = bytes(48 if chr(code) in "0123456789abcdefABCDEF_." else 32 for code in range(256))


class BoundError(ValueError):
    """The text goes past a bound, at `offset`."""

    def __init__(self, message: str, hint: str, offset: int) -> None:
        super().__init__(message)
        self.hint = hint
        self.offset = offset


def loads(text: str) -> dict[str, Any]:
    """Read a TOML document.

    Raises:
        BoundError: A number or a key is too long, which `tomllib` then never sees, or the
            nesting too deep.
        tomllib.TOMLDecodeError: It is not TOML.
    """
    if _may_be_long(text):
        _refuse_long(text)
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise _too_deep(text) from None
    if is_deep(data):
        raise _too_deep(text)
    return data


def _may_be_long(text: str) -> bool:
    """Look quickly, and err to yes: only what is suspect is worth a look at every word."""
    if len(text) < len(_HEX_RUN) and text.count(".") < MAX_PARTS:
        return False
    digits = text.encode("ascii", "replace").translate(_HEX_DIGITS)
    return _HEX_RUN in digits or any(line.count(".") >= MAX_PARTS for line in text.split("\n"))


def _refuse_long(text: str) -> None:
    from fftdeploy.formats import positions

    for word in positions.words(text):
        if len(word.parts) > MAX_PARTS:
            said = f"a key of {len(word.parts):,} parts is more than the {MAX_PARTS} allowed"
            raise BoundError(said, "shorten it", word.start)
        if word.is_number and _decimal_digits("".join(word.parts)) > MAX_DIGITS:
            said = f"a number of more than {MAX_DIGITS:,} digits"
            raise BoundError(said, "shorten it", word.start)


def _decimal_digits(number: str) -> int:
    """Count the digits of a number as it would be written in decimal; one too many at most."""
    bits = {"0x": 4, "0o": 3, "0b": 1}.get(number[:2])
    if bits is None:
        return sum(map(str.isdecimal, number))
    digits = number[2:].replace("_", "").lstrip("0")
    return len(digits) * bits * 30_103 // 100_000 + 1  # the logarithm of 2


def _too_deep(text: str) -> BoundError:
    from fftdeploy.formats import positions

    said = f"arrays or tables are nested deeper than {MAX_DEPTH} levels"
    return BoundError(said, "flatten them", positions.deepest(text))


def is_deep(value: Any) -> bool:
    """Tell whether `value` is nested deeper than `MAX_DEPTH`; linear, without recursion."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            below
            for above in level
            for below in (above.values() if type(above) is dict else above)
            if type(below) is dict or type(below) is list
        ]
        if not level:
            return False
    return True
