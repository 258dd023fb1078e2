"""JSON Schemas (draft 2020-12) of the two files, for editors and for checks in other languages.

They say what a schema can say: keys, types, grammars.  What needs the whole file (numbers going
down, `to` naming an older release) only `fftdeploy check` knows.  TOML dates are the strings
that editors' TOML plug-ins make of them.  Pure.
"""

from collections.abc import Mapping
from typing import Any, get_args

from fftdeploy.deployments import OVERRIDES
from fftdeploy.gate_rules import MAX_REPEATS, Mode, OnInconclusive, SliceRule

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$"
DAY = r"^\d{4}-\d{2}-\d{2}$"
NAME = "^(?!(version|model|job|rollback|adopt)$)[a-z0-9][a-z0-9_-]{0,62}$"
_MODEL = r"^(?!ftjob-|ftckpt_|file-|batch_)[A-Za-z0-9][A-Za-z0-9._:-]{0,255}$"
_VIA = "^(?!version$)[a-z0-9][a-z0-9_-]{0,62}$"
_DURATION = "^[1-9][0-9]{0,5}[smhdw]$"


def text(pattern: str = "", description: str = "") -> Schema:
    """Describe a string."""
    described: Schema = {"type": "string"}
    if pattern:
        described["pattern"] = pattern
    return described | ({"description": description} if description else {})


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


def keyed(pattern: str, value: Schema) -> Schema:
    """Describe an object whose keys follow a grammar."""
    return {
        "type": "object",
        "patternProperties": {pattern: value},
        "additionalProperties": False,
    }


def deployments() -> Schema:
    """Describe `deployments.toml`."""
    ref = {"$ref": "#/$defs/target"}
    return {
        "$schema": DIALECT,
        "title": "deployments.toml of fftdeploy",
        "type": "object",
        "properties": {"version": {"const": 1, "type": "integer"}},
        "required": ["version"],
        "patternProperties": {NAME: keyed(NAME, ref)},
        "additionalProperties": False,
        "$defs": {
            "target": _target(),
            "release": _release(),
            "hold": _hold(),
            "line": _line(),
            "number": {"type": "integer", "minimum": 1, "exclusiveMaximum": 2**53},
            "time": text(TIME, "A date-time with an offset, without quotes in TOML."),
            "model": text(_MODEL, "A model ID."),
            "name": text(NAME),
            "provider": {"const": "openai"},
            "digest": text("^[0-9a-f]{32}$"),
        },
    }


def policy() -> Schema:
    """Describe `fftdeploy.toml`."""
    base = closed({"model": text(_MODEL, "A model ID."), "profile": text(NAME)}, ("model",))
    task = closed({"description": _line(), "owner": _line(), "base": base, "gate": _gate()})
    return {
        "$schema": DIALECT,
        "title": "fftdeploy.toml, the policy of fftdeploy",
        **closed(
            {
                "version": {"const": 1, "type": "integer"},
                "order": {
                    **many(text(NAME)),
                    "uniqueItems": True,
                    "description": "Environments in the order of promotion.",
                },
                "allow_overrides": {"type": "boolean"},
                "environments": keyed(NAME, _rules()),
                "tasks": keyed(NAME, task),
                "prices": _prices(),
            },
            ("version",),
        ),
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _line() -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": 500, "pattern": r"^[^\x00-\x1f\x7f]*$"}


def _bundle() -> dict[str, Schema]:
    return {"model": _ref("model"), "provider": _ref("provider"), "profile": _ref("name")}


def _target() -> Schema:
    return closed(
        {**_bundle(), "releases": many(_ref("release")), "holds": many(_ref("hold"))}, ("model",)
    )


def _release() -> Schema:
    properties = {
        "n": _ref("number"),
        **_bundle(),
        "profile_sha": _ref("digest"),
        "at": _ref("time"),
        "by": _ref("line"),
        "via": text(_VIA, "An environment, or: model, job, rollback, adopt."),
        "job": text("^ftjob-[A-Za-z0-9_-]{1,200}$"),
        "evidence": _ref("digest"),
        "why": _ref("line"),
        "to": _ref("number"),
        "verified": {"const": False},
        "overrides": many({"enum": list(OVERRIDES)}),
    }
    return {
        **closed(properties, ("n", "model", "at", "by", "via")),
        "dependentRequired": {"profile": ["profile_sha"], "profile_sha": ["profile"]},
        "allOf": [
            _if_via("job", {"required": ["job"]}, {"not": {"required": ["job"]}}),
            _if_via("rollback", {"required": ["to"]}, {}),
            {
                "if": {"required": ["to"]},
                "then": {"properties": {"via": {"enum": ["rollback", "adopt"]}}},
            },
        ],
    }


def _if_via(value: str, then: Schema, otherwise: Schema) -> Schema:
    return {"if": {"properties": {"via": {"const": value}}}, "then": then, "else": otherwise}


def _hold() -> Schema:
    lifting = ("lifted", "lifted_by", "lifted_why")
    properties = {
        "model": _ref("model"),
        "provider": _ref("provider"),
        "release": _ref("number"),
        "since": _ref("time"),
        "by": _ref("line"),
        "why": _ref("line"),
        "until": _ref("time"),
        "lifted": _ref("time"),
        "lifted_by": _ref("line"),
        "lifted_why": _ref("line"),
    }
    return {
        **closed(properties, ("model", "since", "by", "why")),
        "dependentRequired": {key: [k for k in lifting if k != key] for key in lifting},
    }


def _rules() -> Schema:
    day = text(DAY, "A day in UTC, without quotes in TOML.")
    freeze = closed({"from": day, "to": day, "why": _line()}, ("from", "to", "why"))
    return closed(
        {
            "from": many(text(NAME)),
            "protected": {"type": "boolean"},
            "soak": text(_DURATION, "Unbroken time live in a source, such as 24h."),
            "min_runway": text(_DURATION, "Time left until the model's shutdown, such as 30d."),
            "freeze": many(freeze),
            "allow_overrides": {"type": "boolean"},
        }
    )


def _gate() -> Schema:
    share = {"type": "number", "minimum": 0, "maximum": 1}
    positive = {"type": "number", "exclusiveMinimum": 0}
    properties: dict[str, Schema] = {
        "examples": {**many(text()), "minItems": 1, "description": "Paths of JSONL files."},
        "graders": {**many({"type": "object", "required": ["type"]}), "minItems": 1},
        "mode": {"enum": list(get_args(Mode))},
        "margin": {
            "type": "number",
            "exclusiveMinimum": 0,
            "exclusiveMaximum": 1,
            "description": "How much worse than live is let through: 0.05 is five points.",
        },
        "confidence": {
            "type": "number",
            "exclusiveMinimum": 0.5,
            "exclusiveMaximum": 1,
            "description": "One-sided.",
        },
        "threshold": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        "must_pass": {**many(_line()), "description": "Tags of examples that have to pass."},
        "slices": {**many(_line()), "description": "Keys of the examples' `meta`."},
        "slice_rule": {"enum": list(get_args(SliceRule))},
        "repeats": {"type": "integer", "minimum": 1, "maximum": MAX_REPEATS},
        "min_examples": {"type": "integer", "minimum": 1},
        "require_reviewed": {"type": "boolean"},
        "max_age": text(_DURATION, "How old evidence may be, such as 30d."),
        "on_inconclusive": {"enum": list(get_args(OnInconclusive))},
        "floors": closed({"pass_rate": share, "valid": share}),
        "budgets": closed({"p95_latency_ms": positive, "usd_per_1k_requests": positive}),
        "item": closed({"input": _line(), "reference": _line()}),
    }
    return closed(properties, ("examples", "graders"))


def _prices() -> Schema:
    usd = {"type": "number", "minimum": 0, "description": "USD per million tokens."}
    price = closed({"input": usd, "cached_input": usd, "output": usd}, ("input", "output"))
    return {
        "type": "object",
        "properties": {"date": text(DAY, "The day on which these prices were true.")},
        "required": ["date"],
        "additionalProperties": price,
    }
