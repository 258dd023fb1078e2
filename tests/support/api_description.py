"""OpenAI's published API description as a judge of requests and responses.

The description is not part of the repository; where it is absent, `MISSING` says so and the
tests that need it are skipped as one.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qs

from checkout import ROOT
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

DESCRIPTION = ROOT.parent / "shared" / "data" / "openapi-trimmed.json"
MISSING = "" if DESCRIPTION.is_file() else f"the API description is not at {DESCRIPTION}"

_BASE = "urn:openai"

# What the live API says and its description does not know.  Each is a place (a suffix of the
# path of the error) with the one value that is forgiven there.
KNOWN_DEVIATIONS: dict[tuple[str, Any], str] = {
    ("status", "paused"): "the pause endpoint's own example answers with it",
    ("type", "moderation_checks"): "the fine-tuning guide names this type of event",
    **{
        (name, None): "the example of a batch has null where nothing is said yet"
        for name in (
            *("errors", "output_file_id", "error_file_id", "in_progress_at", "finalizing_at"),
            *("completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at"),
        )
    },
}


def check_request(method: str, path: str, body: Any) -> list[str]:
    """Return what is wrong with one request; empty where it agrees with the description.

    `path` is what was sent, from `/v1` on, with its query; `body` is parsed JSON or None.
    """
    operation = _operation(method, path)
    if operation is None:
        return [f"{method} {path}: no such operation"]
    template, described = operation
    wrong = _wrong_queries(path, described)
    pointer = f"{_pointer(template, method)}/requestBody/content/application~1json/schema"
    if "requestBody" in described:
        wrong += _errors(pointer, body) + _unknown_keys(described, body)
    elif body is not None:
        wrong.append("a body where none belongs")
    return [f"{method} {path}: {each}" for each in wrong]


def check_response(method: str, path: str, status: int, body: Any) -> list[str]:
    """Return what is wrong with one response; empty where it agrees with the description."""
    operation = _operation(method, path)
    if operation is None:
        pointer = "#/components/schemas/ErrorResponse"
        return _errors(pointer, body) if status >= 400 else [f"{method} {path}: no such operation"]
    template, described = operation
    code = str(status) if "content" in described["responses"].get(str(status), {}) else "default"
    if code == "default" and status < 400:
        return [f"{method} {path}: status {status} is not described"]
    pointer = f"{_pointer(template, method)}/responses/{code}/content/application~1json/schema"
    return [f"{method} {path} {status}: {each}" for each in _errors(pointer, body)]


@cache
def _description() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    return loaded


@cache
def _registry() -> Registry[Any]:
    empty: Registry[Any] = Registry()
    resource = DRAFT202012.create_resource(_description())
    filled: Registry[Any] = empty.with_resource(_BASE, resource)
    return filled


@cache
def _validator(pointer: str) -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": f"{_BASE}{pointer}"}, registry=_registry(), format_checker=FormatChecker()
    )


def _errors(pointer: str, body: Any) -> list[str]:
    return [
        f"{error.json_path}: {error.message[:200]}"
        for error in _validator(pointer).iter_errors(body)
        if (str(error.path[-1]) if error.path else "", _hashable(error.instance))
        not in KNOWN_DEVIATIONS
    ]


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str | None) else ""


def _pointer(template: str, method: str) -> str:
    escaped = template.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
    return f"#/paths/{escaped}/{method.lower()}"


def _operation(method: str, path: str) -> tuple[str, dict[str, Any]] | None:
    parts = path.partition("?")[0].removeprefix("/v1").split("/")
    for template, operations in _description()["paths"].items():
        names = template.split("/")
        if len(names) == len(parts) and all(
            name == part or (name.startswith("{") and part)
            for name, part in zip(names, parts, strict=True)
        ):
            described = operations.get(method.lower())
            return (template, described) if described else None
    return None


def _wrong_queries(path: str, described: Mapping[str, Any]) -> list[str]:
    known = {
        each["name"]: each for each in described.get("parameters", []) if each["in"] == "query"
    }
    wrong = []
    for name, values in parse_qs(path.partition("?")[2]).items():
        if name not in known:
            wrong.append(f"unknown query parameter {name}")
        elif known[name]["schema"].get("type") == "integer" and not values[-1].isdecimal():
            wrong.append(f"{name}={values[-1]} is not an integer")
    return wrong


def _unknown_keys(described: Mapping[str, Any], body: Any) -> list[str]:
    """Name the keys the description lacks: its schemas are open, the live API is not."""
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    known = _properties(schema)
    return [f"unknown key {name}" for name in body if name not in known] if body else []


def _properties(schema: Mapping[str, Any]) -> set[str]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _properties(_description()["components"]["schemas"][name])
    found = set(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        found |= _properties(part)
    return found
