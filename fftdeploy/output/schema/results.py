"""JSON Schema of what every command prints with `--json`.

One document, told apart by its `schema`.  A failure has `error`, and whatever was known by then of
what a success has.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from fftdeploy.errors import OUTCOMES
from fftdeploy.output.results import properties
from fftdeploy.output.schema.parts import DIALECT, Schema, closed, many, text

_STOPPED = "stopped"
_NUMBER: Schema = {"type": "integer"}


def output(results: Mapping[str, type]) -> Schema:
    """Describe the one document that a command prints with `--json`; `results` is their types."""
    parts = _parts()
    commands = {name: _typed(name, kind, parts) for name, kind in results.items()}
    commands["usage"] = _command("usage", {}, ("error",))
    return {
        "$schema": DIALECT,
        "title": "What fftdeploy prints with --json",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in commands],
        "$defs": {**parts, **commands},
    }


def _typed(name: str, kind: type, parts: dict[str, Schema]) -> Schema:
    described, always = properties(kind, parts)
    finds = any(item.name == "findings" for item in fields(cast("Any", kind)))
    return _command(name, described, (*always, "findings") if finds else always)


def _command(name: str, properties: dict[str, Schema], required: tuple[str, ...]) -> Schema:
    """Describe one command's document: complete, or with an error and what was known by then."""
    base: dict[str, Schema] = {
        "schema": {"const": f"fftdeploy.{name}/1"},
        "outcome": {"enum": [*(outcome.name for outcome in OUTCOMES), _STOPPED]},
        "exit_code": _NUMBER,
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
                "line": _or_null(_NUMBER),
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
