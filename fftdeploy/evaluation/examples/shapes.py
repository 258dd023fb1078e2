"""Checks values of a JSON document; each fault has the path at which it stands."""

from collections.abc import Iterable
from typing import Any

from fftdeploy import names
from fftdeploy.api.answers import plain
from fftdeploy.formats.document import text_problem

Place = tuple[str | int, ...]
Table = dict[str, Any]


class PlaceError(ValueError):
    """A fault at a path inside of the line."""

    def __init__(self, path: Place, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.path, self.message, self.hint = path, message, hint


def closed(table: Table, path: Place, known: Iterable[str]) -> None:
    """Refuse the first key of `table` that is not `known`."""
    for key in table:
        if key not in known:
            hint = names.meant(key, sorted(known), f"known here: {', '.join(sorted(known))}")
            raise PlaceError((*path, key), f"unknown key '{plain(key, 60)}'", hint)


def json_object(value: Any, path: Place) -> Table:
    """Refuse what is not an object, with its place."""
    if not isinstance(value, dict):
        raise PlaceError(path, f"{_name(path)} must be an object, not {type_name(value)}")
    return value


def json_array(value: Any, path: Place) -> list[Any]:
    """Refuse what is not an array, with its place."""
    if not isinstance(value, list):
        raise PlaceError(path, f"{_name(path)} must be an array, not {type_name(value)}")
    return value


def text_line(value: Any, path: Place) -> str:
    """Return `value` if it is one line of 1 to 500 visible characters."""
    if not isinstance(value, str):
        raise PlaceError(path, f"{_name(path)} must be a text, not {type_name(value)}")
    if problem := text_problem(value):
        raise PlaceError(path, f"{_name(path)} {problem}")
    return value


def _name(path: Place) -> str:
    words = [part for part in path if isinstance(part, str)]
    what = repr(plain(words[-1], 60)) if words else "a line"
    return f"an entry of {what}" if path and isinstance(path[-1], int) else what


def type_name(value: Any) -> str:
    """Name the JSON type of `value`, with an article."""
    if value is None:
        return "null"
    types = {bool: "a boolean", str: "a text", list: "an array", dict: "an object"}
    return types.get(type(value), "a number")
