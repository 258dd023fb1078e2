"""JSON as dataclasses: exactly their shape, or an error.  Pure."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

_hints = cache(get_type_hints)


def read(kind: Any, value: Any) -> Any:
    """Return `value` as `kind`: a dataclass, a tuple or dict of kinds, or a plain type.

    Raises:
        TypeError: A key too many or too few, or a value of another kind.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _record(kind, value)
    if origin is UnionType:
        present = next(each for each in arguments if each is not NoneType)
        return None if value is None else read(present, value)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(read(arguments[0], item) for item in value)
    if origin is dict and isinstance(value, Mapping):
        return {read(str, key): read(arguments[1], item) for key, item in value.items()}
    return value if kind is Any else _plain(kind, value)


def _record(kind: Any, value: Any) -> Any:
    hints = _hints(kind)
    if not isinstance(value, Mapping) or value.keys() != hints.keys():
        raise TypeError(kind)
    return kind(**{key: read(hints[key], value[key]) for key in hints})


def _plain(kind: Any, value: Any) -> Any:
    if kind is float and type(value) in {int, float}:
        return float(value)
    if value in get_args(kind) if get_origin(kind) is Literal else type(value) is kind:
        return value
    raise TypeError(kind)
