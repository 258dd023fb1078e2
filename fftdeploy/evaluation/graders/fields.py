"""Compares fields of a JSON answer with those of the reference, each in its own way."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from fractions import Fraction
from typing import Any, NamedTuple

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
    way = _WAYS[kind["kind"]]
    return way.takes(reference) and way.takes(value) and way.is_same(kind, reference, value)


def reference_problem(kind: Kind, reference: Any) -> str:
    """Say why nothing could match `reference`; "" if something can."""
    if reference is MISSING:
        return ""
    way = _WAYS[kind["kind"]]
    if not way.takes(reference):
        return f"must be {way.wanted}"
    try:
        if kind["kind"] == "text":
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


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


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


def _same(made: Callable[[Any], object]) -> Callable[[Kind, Any, Any], bool]:
    """Compare what is made of the two."""
    return lambda _kind, reference, value: made(reference) == made(value)


def _number(kind: Kind, reference: float, value: float) -> bool:
    relative, tolerance = kind.get("relative", False), kind.get("tolerance", 0.0)
    return is_close(exactly(reference), exactly(value), tolerance, relative=relative)


def _text(kind: Kind, reference: str, value: str) -> bool:
    try:
        return bool(similarity.rouge_l(reference, value) >= kind["threshold"])
    except similarity.TooLongError:
        return False


class _Way(NamedTuple):
    """How values of a kind are compared, and which values can be."""

    is_same: Callable[[Kind, Any, Any], bool]
    wanted: str = ""
    takes: Callable[[Any], bool] = lambda _: True


_WAYS = {
    "exact": _Way(_same(canonical)),
    "casefold": _Way(_same(lambda text: text.strip().casefold()), "a text", _is_text),
    "number": _Way(_number, "a number", lambda value: type(value) in {int, float}),
    "date": _Way(_same(_day), "an ISO date, 2026-11-21", lambda value: _day(value) is not None),
    "set": _Way(_same(lambda each: {*map(canonical, each)}), "an array", _is_array),
    "list": _Way(_same(canonical), "an array", _is_array),
    "text": _Way(_text, "a text", _is_text),
}
