"""A verdict as evidence has stored it, back as a `Verdict`: that shape or an error.  Pure."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.verdict import Verdict


def read_verdict(stored: Mapping[str, Any]) -> Verdict:
    """Return what `Verdict.as_json` has written.

    Raises:
        ConfigError: It is not that: a key too many or too few, or a value of another kind.
    """
    try:
        return cast("Verdict", _read(Verdict, stored))
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(
            "the verdict in this evidence has another shape than fftdeploy gives it",
            hint="check it: fftdeploy verify",
            code="evidence",
        ) from None


def _read(kind: Any, value: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _record(kind, value)
    if origin is UnionType:
        present = next(each for each in arguments if each is not NoneType)
        return None if value is None else _read(present, value)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_read(arguments[0], item) for item in value)
    if origin is dict and isinstance(value, Mapping):
        return {_read(str, key): _read(arguments[1], item) for key, item in value.items()}
    return _plain(kind, value)


def _record(kind: Any, value: Any) -> Any:
    hints = get_type_hints(kind)
    if not isinstance(value, Mapping) or value.keys() != hints.keys():
        raise TypeError(kind)
    return kind(**{key: _read(hints[key], value[key]) for key in hints})


def _plain(kind: Any, value: Any) -> Any:
    if kind is float and type(value) in {int, float}:
        return float(value)
    if value in get_args(kind) if get_origin(kind) is Literal else type(value) is kind:
        return value
    raise TypeError(kind)
