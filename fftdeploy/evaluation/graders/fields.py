"""Compares fields of a JSON answer with those of the reference, each in its own way."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from fftdeploy.evaluation import similarity
from fftdeploy.formats.strict_json import MISSING, canonical
from fftdeploy.policy.gate_rules import exactly

_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ].{1,30})?")
Kind = Mapping[str, Any]
"""A kind of `grader_types.KINDS` and its options."""


def matches(kind: Kind, reference: Any, value: Any) -> bool:
    """Say whether `value` is what was agreed on; both may be `MISSING`."""
    if reference is MISSING or value is MISSING:
        return reference is value
    return _COMPARE[kind["kind"]](kind, reference, value)


def reference_problem(kind: Kind, reference: Any) -> str:
    """Say why nothing could match `reference`; "" if something can."""
    wanted, has_type = _WANTED.get(kind["kind"], ("", _any))
    if reference is not MISSING and not has_type(reference):
        return f"must be {wanted}"
    if kind["kind"] != "text" or reference is MISSING:
        return ""
    try:
        similarity.words(reference)
    except similarity.TooLongError as error:
        return str(error)
    return ""


def is_close(reference: Fraction, value: Fraction, tolerance: float, *, relative: bool) -> bool:
    """Say whether two numbers differ by at most the tolerance.

    A relative tolerance is a share of the reference's size.
    """
    allowed = exactly(tolerance) * (abs(reference) if relative else 1)
    return abs(reference - value) <= allowed


def _any(_value: Any) -> bool:
    return True


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) in {int, float}


def _is_array(value: Any) -> bool:
    return isinstance(value, list)


def _day(value: Any) -> date | None:
    """Return the day of an ISO date, or that which an ISO time was written with."""
    found = _DAY.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    try:
        datetime.fromisoformat(value)
        return date.fromisoformat(found[1])
    except ValueError:
        return None


def _exact(_kind: Kind, reference: Any, value: Any) -> bool:
    return canonical(reference) == canonical(value)


def _casefold(_kind: Kind, reference: Any, value: Any) -> bool:
    if not (_is_text(reference) and _is_text(value)):
        return False
    return str(reference).strip().casefold() == str(value).strip().casefold()


def _number(kind: Kind, reference: Any, value: Any) -> bool:
    if not (_is_number(reference) and _is_number(value)):
        return False
    relative, tolerance = kind.get("relative", False), kind.get("tolerance", 0.0)
    return is_close(exactly(reference), exactly(value), tolerance, relative=relative)


def _date(_kind: Kind, reference: Any, value: Any) -> bool:
    day = _day(reference)
    return day is not None and day == _day(value)


def _set(_kind: Kind, reference: Any, value: Any) -> bool:
    if not (_is_array(reference) and _is_array(value)):
        return False
    return {canonical(each) for each in reference} == {canonical(each) for each in value}


def _list(kind: Kind, reference: Any, value: Any) -> bool:
    return _is_array(reference) and _exact(kind, reference, value)


def _text(kind: Kind, reference: Any, value: Any) -> bool:
    if not (_is_text(reference) and _is_text(value)):
        return False
    try:
        return bool(similarity.rouge_l(reference, value) >= kind["threshold"])
    except similarity.TooLongError:
        return False


_COMPARE: dict[str, Callable[[Kind, Any, Any], bool]] = {
    "exact": _exact,
    "casefold": _casefold,
    "number": _number,
    "date": _date,
    "set": _set,
    "list": _list,
    "text": _text,
}
_WANTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "casefold": ("a text", _is_text),
    "number": ("a number", _is_number),
    "date": ("an ISO date, 2026-11-21", lambda value: _day(value) is not None),
    "set": ("an array", _is_array),
    "list": ("an array", _is_array),
    "text": ("a text", _is_text),
}
