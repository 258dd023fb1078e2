"""The JSON of a result, and its JSON Schema (draft 2020-12), both from the result's own types.

A result is a frozen dataclass.  Its fields are the keys, in their order; a field made by `omitted`
is left out where it is None, one made by `unprinted` always is, and the keys of one with the
metadata `FLAT` are its owner's.  Other metadata: `key`, where that is not the field's name, and
`digits`, to which a number is rounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from fftdeploy.errors import OUTCOMES
from fftdeploy.formats.keys import Schema as Schema  # noqa: PLC0414  its users take it from here

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DAY = r"^\d{4}-\d{2}-\d{2}$"
_STOPPED = "stopped"


def text(pattern: str = "") -> Schema:
    """Describe a string."""
    return {"type": "string"} | ({"pattern": pattern} if pattern else {})


def closed(properties: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """Describe an object that has these properties and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def many(items: Schema) -> Schema:
    """Describe an array."""
    return {"type": "array", "items": items}


def about(description: str, schema: Schema) -> Schema:
    """Describe `schema` in words too, as an editor shows them."""
    return {**schema, "description": description}


_SIMPLE: dict[Any, Schema] = {
    str: text(),
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: text(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$"),
    date: text(_DAY),
    Path: text(),
    NoneType: {"type": "null"},
    Any: {},
}
_PLAIN = frozenset({str, int, float, bool, NoneType})


OMITTED = {"json": "omitted"}
"""Metadata of a field that is None until it is known, and left out of the JSON while it is."""
UNPRINTED = {"json": "unprinted"}
"""Metadata of a field for whoever shows the result: the JSON has no such key."""


def as_json(value: Any) -> Any:  # noqa: PLR0911  one for each kind of value
    """Return a result, or a part of one, as the JSON output has it; times in UTC, by the second."""
    if is_dataclass(value):
        if hasattr(value, "as_json"):  # evidence rounds its numbers; what is empty is null
            return cast("dict[str, Any]", value.as_json())
        return _document(value)
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return [as_json(item) for item in value]
    if isinstance(value, Mapping):
        return {key: as_json(item) for key, item in value.items()}
    return value


def _document(value: Any) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, key, is_flat, may_lack, digits in _keys(value.__class__):
        found = getattr(value, name)
        if digits is not None:
            found = round(found, digits)
        if is_flat:
            document |= as_json(found)
        elif found is not None or not may_lack:  # a target has 40,000 releases of 11 values
            document[key] = found if type(found) in _PLAIN else as_json(found)
    return document


def schema(kind: Any, parts: dict[str, Schema]) -> Schema:  # noqa: PLR0911  as above
    """Describe the JSON of a type; dataclasses go to `parts`, by name, and are referred to.

    Types are the JSON ones, days, times, paths, sequences, mappings, literals, dataclasses, and
    unions of them; `Annotated[str, {"pattern": "..."}]` adds keywords.
    """
    if isinstance(kind, type) and is_dataclass(kind):
        name = kind.__name__
        if name not in parts:
            parts[name] = {}  # it may contain itself
            parts[name] = closed(*properties(kind, parts))
        return {"$ref": f"#/$defs/{name}"}
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return {**schema(arguments[0], parts), **arguments[1]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in {Union, UnionType}:
        return {"anyOf": [schema(argument, parts) for argument in arguments]}
    if origin in {tuple, list, Sequence}:
        return many(schema(arguments[0], parts))
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": schema(arguments[1], parts)}
    return _SIMPLE[kind]


def properties(kind: Any, parts: dict[str, Schema]) -> tuple[dict[str, Schema], tuple[str, ...]]:
    """Describe each key of a dataclass's JSON, and name those that are always there."""
    described: dict[str, Schema] = {}
    always: list[str] = []
    for item in _printed(kind):
        found: Any = item.type
        if isinstance(found, str):  # of a module that evaluates its annotations late
            found = get_type_hints(kind, include_extras=True)[item.name]
        if _is_flat(item):
            flat, required = properties(found, parts)
            described |= flat
            always += required
        elif _may_lack(item):
            described[_key(item)] = schema(_known(found), parts)
        else:
            described[_key(item)] = schema(found, parts)
            always.append(_key(item))
    return described, tuple(always)


@cache
def _keys(kind: Any) -> list[tuple[str, str, bool, bool, int | None]]:
    """List what is printed of a dataclass: name, key, if it is flat, if it may lack, digits."""
    return [
        (item.name, _key(item), _is_flat(item), _may_lack(item), item.metadata.get("digits"))
        for item in _printed(kind)
    ]


def _printed(kind: Any) -> list[Field[Any]]:
    return [item for item in fields(kind) if item.metadata.get("json") != "unprinted"]


def _may_lack(item: Field[Any]) -> bool:
    return item.metadata.get("json") == "omitted"


def _is_flat(item: Field[Any]) -> bool:
    return item.metadata.get("json") == "flat"


def _key(item: Field[Any]) -> str:
    return str(item.metadata.get("key", item.name))


def _known(kind: Any) -> Any:
    """Return a type without None, for a key that is left out instead."""
    parts = tuple(part for part in get_args(kind) if part is not NoneType)
    return parts[0] if len(parts) == 1 else Union[parts]  # noqa: UP007  counted at run time


def output(results: Mapping[str, Any]) -> Schema:
    """Describe the one document that a command prints with `--json`, told apart by its `schema`.

    A failure has `error`, and whatever was known by then of what a success has; `results` are the
    types of the commands' results.
    """
    parts = _parts()
    commands = {}
    for name, kind in results.items():
        described, always = properties(kind, parts)
        finds = any(item.name == "findings" for item in fields(kind))
        commands[name] = _command(name, described, (*always, "findings") if finds else always)
    commands["usage"] = _command("usage", {}, ("error",))
    return {
        "$schema": DIALECT,
        "title": "What fftdeploy prints with --json",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in commands],
        "$defs": {**parts, **commands},
    }


def _command(name: str, properties: dict[str, Schema], required: tuple[str, ...]) -> Schema:
    """Describe one command's document: complete, or with an error and what was known by then."""
    base: dict[str, Schema] = {
        "schema": {"const": f"fftdeploy.{name}/1"},
        "outcome": {"enum": [*(outcome.name for outcome in OUTCOMES), _STOPPED]},
        "exit_code": _SIMPLE[int],
        "retry": {"enum": ["no", "later", "replan"]},
        "error": _ref("error"),
        "api": _ref("api"),
        "hosts": many(_ref("host")),
        "findings": many(_ref("finding")),
    }
    return {
        **closed(base | properties, ("schema", "outcome", "exit_code", "retry")),
        "if": {"required": ["error"]},
        "then": {"properties": {"exit_code": {"not": {"const": 0}}}},
        "else": {"required": list(required)},
    }


def _parts() -> dict[str, Schema]:
    return {
        "api": _whole({"address": text(), "from": text()}),
        "host": _whole(
            {"provider": text(), "address": text(), "from": text(), "key": _or_null(text())}
        ),
        "error": _whole(
            {"code": text(), "message": text(), "details": many(text())}
            | {key: _or_null(text()) for key in ("where", "hint", "changed")}
        ),
        "finding": _whole(
            {
                "code": text(),
                "severity": {"enum": ["error", "notice"]},
                "subject": text(),
                "message": text(),
                "path": _or_null(text()),
                "line": _or_null(_SIMPLE[int]),
                "hint": _or_null(text()),
            }
        ),
    }


def _whole(properties: dict[str, Schema]) -> Schema:
    return closed(properties, tuple(properties))


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _or_null(schema: dict[str, Any]) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}
