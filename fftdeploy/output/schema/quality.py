"""JSON Schema of what the commands about quality print.  Pure."""

from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from fftdeploy.evaluation.verdict import Verdict
from fftdeploy.output.schema.parts import Schema, closed, many, text

_SHA = text("^[0-9a-f]{32}$")
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: _FLAG,
    int: {"type": "integer"},
    float: _NUMBER,
}


def verdict() -> Schema:
    """Describe the gate's verdict."""
    return of_type(Verdict)


def of_type(kind: Any) -> Schema:
    """Describe the JSON of a value of the type `kind`: a dataclass, and what it is made of."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        names = [item.name for item in fields(kind)]
        return closed({name: of_type(hints[name]) for name in names}, tuple(names))
    if origin is UnionType:
        present = next(each for each in arguments if each is not NoneType)
        return {"anyOf": [of_type(present), {"type": "null"}]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return many(of_type(arguments[0]))
    if origin is dict:
        return {"type": "object", "additionalProperties": of_type(arguments[1])}
    return dict(_PLAIN[kind])


def commands(target: Schema) -> dict[str, tuple[dict[str, Schema], tuple[str, ...]]]:
    """Return the properties of each command's document, and those that a success has."""
    return {
        "eval": ({"target": target, "evaluations": many(_evaluation())}, ("target", "evaluations")),
        "size": _size(target),
        "review": _review(),
    }


def _evaluation() -> Schema:
    return _whole(
        {
            "evidence": _SHA,
            "candidate": text(),
            "profile": _or_null(text()),
            "baseline": {"enum": ["fresh", "recorded", "none"]},
            "attempt": _COUNT,
            "verdict": {"$ref": "#/$defs/verdict"},
        }
    )


def _size(target: Schema) -> tuple[dict[str, Schema], tuple[str, ...]]:
    one = _whole({"disagreement": _NUMBER, "needed": _COUNT, "chance": _NUMBER})
    cost = _whole(
        {
            "requests": _COUNT,
            "tokens_in": _COUNT,
            "tokens_out": _COUNT,
            "usd": _or_null(_NUMBER),
            "seconds": _NUMBER,
            "estimated": _FLAG,
        }
    )
    properties = {
        "target": target,
        "examples": _COUNT,
        "groups": _COUNT,
        "units": _COUNT,
        "reviewed": _COUNT,
        "mode": text(),
        "margin": _NUMBER,
        "confidence": _NUMBER,
        "repeats": _COUNT,
        "smallest": _or_null(_COUNT),
        "sizes": many(one),
        "cost": cost,
        "refused": _or_null(text()),
    }
    return properties, tuple(properties)


def _review() -> tuple[dict[str, Schema], tuple[str, ...]]:
    counts = ("accepted", "edited", "rejected", "skipped", "left")
    properties = {"task": text(), "file": text(), **dict.fromkeys(counts, _COUNT)}
    return properties, tuple(properties)


def _whole(properties: dict[str, Schema]) -> Schema:
    return closed(properties, tuple(properties))


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}
