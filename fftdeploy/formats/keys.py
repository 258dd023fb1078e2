"""Keys of a file, each declared once: its type and range, its default, and what it means.

A table is a dataclass whose fields are made by `key(meaning, kind, default)`.  The reader (a fault
has its line, column and the nearest key), the JSON Schema, the rows of the reference page and the
canonical content that hashes are taken over all come from that.  `kinds` has the kinds of values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import date, timedelta
from functools import cache
from numbers import Rational
from typing import Any

from fftdeploy.formats.document import Document, Path
from fftdeploy.names import FLAT
from fftdeploy.times import short_duration

Schema = dict[str, Any]
Check = Callable[[Document, Path, dict[str, Any]], None]
"""Raises for what the values of a table, by attribute, don't say together; may add to them."""


_NO_DEFAULT = object()


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value may be: how it is read, and how JSON Schema says that."""

    read: Callable[[Document, Path, Any], Any]
    schema: Schema
    example: str = ""
    """How a value is written, for the hint where a required one is missing."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table."""

    means: str
    kind: Kind
    name: str = ""
    """Where the file calls it otherwise than Python, as `from`."""
    missing: str = "is missing"
    hint: str = ""
    """What to type where it is missing; `PATH` stands for the table's."""
    decides: bool = True
    """Whether it is part of the canonical content."""
    required: bool = False
    default: Any = _NO_DEFAULT
    shown: str = ""
    """The default in words, for the page, where its value says nothing."""
    group: str = ""
    """Keys of one group are all there, or none."""
    after: str = ""
    """The key that it stands behind in the file, where that is not the one declared before it."""
    attribute: str = ""
    within: str = ""
    """The attribute that holds it, where its table is written inline."""


def key(means: str, kind: Kind, default: Any = _NO_DEFAULT, **more: Any) -> Any:
    """Declare a field of a dataclass as a key, required without a default; `more` is of `Key`."""
    only: dict[str, Any] = {}
    declared = Key(means, kind, default=default, **{"required": default is _NO_DEFAULT, **more})
    if isinstance(default, dict):
        only["default_factory"] = dict
    elif default is not _NO_DEFAULT:
        only["default"] = default
    return field(metadata={"declared": declared}, **only)


def needed(means: str, kind: Kind, example: str = "") -> Key:
    """Return a key that a table must have; `example` shows its value."""
    return Key(means, replace(kind, example=example or kind.example), required=True)


def inline(declared: type[Any]) -> Any:
    """Declare a field whose own keys stand beside the others."""
    return field(metadata={**FLAT, "inline": declared})


@cache
def keys_of(table: type[Any]) -> Mapping[str, Key]:
    """Return the keys of a declared table by their names in the file, in its order."""
    found = {}
    for each in fields(table):
        if key := each.metadata.get("declared"):
            found[key.name or each.name] = replace(key, attribute=each.name)
        elif inner := each.metadata.get("inline"):
            found |= {n: replace(k, within=each.name) for n, k in keys_of(inner).items()}
    order = [name for name, key in found.items() if not key.after]
    for name, key in found.items():
        if key.after:
            order.insert(order.index(key.after) + 1, name)
    return {name: found[name] for name in order}


def read_keys(
    doc: Document,
    path: Path,
    value: Any,
    keys: Mapping[str, Key],
    what: str = "a table",
) -> dict[str, Any]:
    """Return what a table says, by attribute; only what is written.

    Raises:
        ConfigError: Located; not a table, a key that is unknown or missing, or a wrong value.
    """
    table = doc.table(value, path, what)
    if not table.keys() <= keys.keys():
        doc.closed(table, path, keys)
    said = {}
    for name, key in keys.items():
        if name in table:
            said[key.attribute or name] = key.kind.read(doc, (*path, name), table[name])
        elif key.required:
            added = f"add {name} = {key.kind.example}" if key.kind.example else ""
            hint = key.hint.replace("PATH", ".".join(map(str, path))) or added
            raise doc.error(path, f"{name!r} {key.missing}", hint)
    return said


def table(declared: type, what: str = "a table", check: Check | None = None, **schema: Any) -> Kind:
    """Return the kind of a table that is declared by a dataclass, which it is read into.

    `what` is said where it is no table; `schema` is how JSON Schema says what `check` does.
    """
    keys = keys_of(declared)
    named = dict.fromkeys(key.group for key in keys.values() if key.group)
    groups = [[name for name, key in keys.items() if key.group == group] for group in named]
    inner = [
        (each.name, kind, [key.attribute for key in keys_of(kind).values()])
        for each in fields(declared)
        if (kind := each.metadata.get("inline"))
    ]

    def read(doc: Document, path: Path, value: Any) -> Any:
        said = read_keys(doc, path, value, keys, what)
        for group in groups:
            there = [name for name in group if name in value]
            if there and len(there) != len(group):
                *most, last = map(repr, group)
                message = f"{', '.join(most)} and {last} go together"
                raise doc.error((*path, there[0]), message)
        if check:
            check(doc, path, said)
        for attribute, kind, own in inner:
            said[attribute] = kind(**{name: said.pop(name) for name in own if name in said})
        return declared(**said)

    together = {name: [n for n in group if n != name] for group in groups for name in group}
    schema |= {"dependentRequired": together} if together else {}
    return Kind(read, {**table_schema(keys), **schema})


def written(value: Any) -> dict[str, Any]:
    """Return what a file says of a declared value: its keys in order, without their defaults."""
    said = {}
    for name, key in keys_of(value.__class__).items():
        owner = getattr(value, key.within) if key.within else value
        found = getattr(owner, key.attribute)
        if key.required or found != key.default:
            said[name] = list(found) if isinstance(found, tuple) else found
    return said


def table_schema(keys: Mapping[str, Key]) -> Schema:
    """Describe a table that has these keys and no others."""
    described = {}
    for name, key in keys.items():
        described[name] = {**key.kind.schema, "description": key.means}
        has_default = not key.shown and isinstance(key.default, int | float | str | timedelta)
        if has_default and key.default != "":
            described[name]["default"] = content(key.default)
    return {
        "type": "object",
        "properties": described,
        "required": [name for name, key in keys.items() if key.required],
        "additionalProperties": False,
    }


def content(value: Any) -> Any:
    """Return the canonical content of a declared value, as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            name: content(getattr(value, key.attribute))
            for name, key in keys_of(type(value)).items()
            if key.decides
        }
    if isinstance(value, tuple):
        return [content(each) for each in value]
    if isinstance(value, Mapping):
        return {key: content(below) for key, below in value.items()}
    if isinstance(value, timedelta):
        return short_duration(value)
    if isinstance(value, date):
        return value.isoformat()
    is_fraction = isinstance(value, Rational) and not isinstance(value, int)
    return float(value) if is_fraction else value


def page(declared: type | Mapping[str, Key]) -> Iterator[str]:
    """Yield the lines of the table that a reference page has of some keys."""
    keys = keys_of(declared) if isinstance(declared, type) else declared
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    for name, key in keys.items():
        yield f"| `{name}` | {key.shown or _default(key)} | {key.means} |"


def _default(key: Key) -> str:
    if key.required:
        return "required"
    if is_dataclass(key.default) or key.default == {}:
        return "`{}`"
    is_none = key.default in {None, "", _NO_DEFAULT}
    return "none" if is_none else f"`{json.dumps(content(key.default))}`"
