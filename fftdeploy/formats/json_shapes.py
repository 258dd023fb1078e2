"""Reads JSON as dataclasses: exactly their shape, or an error."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

from fftdeploy.names import FLAT

_hints = cache(get_type_hints)


def read(kind: Any, value: Any) -> Any:  # noqa: PLR0911  one for each kind of kind
    """Return `value` as `kind`: a dataclass, an array or object of kinds, a time, or a plain type.

    Raises:
        TypeError: A key too many or too few, or a value of another kind.
        ValueError: A time that is none, or without its offset.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        made: Any = kind
        return made(**_members(kind, value))
    if is_typeddict(kind):
        _members(kind, value)
        return value  # as it is written: 1 stays 1 where a number is asked for
    if origin is UnionType:
        present = next(each for each in arguments if each is not NoneType)
        return None if value is None else read(present, value)
    if origin in {tuple, Sequence} and isinstance(value, list | tuple):
        if len(arguments) == 1 or arguments[1] is ...:  # of any length
            return tuple(read(arguments[0], item) for item in value)
        return tuple(read(each, item) for each, item in zip(arguments, value, strict=True))
    if origin in {dict, Mapping} and isinstance(value, Mapping):
        return {read(str, key): read(arguments[1], item) for key, item in value.items()}
    if kind is datetime:
        return _moment(read(str, value))
    if kind is float and type(value) in {int, float}:
        return float(value)
    is_one = value in arguments if origin is Literal else type(value) is kind
    if kind is Any or is_one:
        return value
    raise TypeError(kind)


def written(value: Any, digits: int | None = None) -> Any:
    """Return a value that `read` has made, or could have, as JSON has it; floats to `digits`."""
    if is_dataclass(value):
        found: dict[str, Any] = {}
        for item in fields(value):
            each = written(getattr(value, item.name), digits)
            found |= each if item.metadata == FLAT else {item.name: each}
        return found
    if isinstance(value, Mapping):
        return {key: written(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [written(item, digits) for item in value]
    if isinstance(value, float) and digits is not None:
        return round(value, digits)
    return time_text(value) if isinstance(value, datetime) else value


def time_text(moment: datetime) -> str:
    """Write a time in UTC, whole seconds."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without an offset")
    return moment.astimezone(UTC)


def _members(kind: Any, value: Any) -> dict[str, Any]:
    hints = _hints(kind)
    if not isinstance(value, Mapping):
        raise TypeError(kind)
    members = dict(value)
    for name in _flat(kind):
        members[name] = {key: members.pop(key) for key in _hints(hints[name]) if key in members}
    if members.keys() != hints.keys():
        raise TypeError(kind)
    return {key: read(hints[key], members[key]) for key in hints}


@cache
def _flat(kind: Any) -> list[str]:
    """Name the members whose own keys, in JSON, stand beside the others."""
    members = fields(kind) if is_dataclass(kind) else ()
    return [item.name for item in members if item.metadata == FLAT]
