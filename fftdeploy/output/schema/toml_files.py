"""JSON Schemas (draft 2020-12) of the two files, for editors and for checks in other languages.

They say what a schema can say: keys, types, grammars, and what each key means.  What needs the
whole file (numbers going down, `to` naming an older release) only `fftdeploy check` knows.  TOML
dates are strings with a `format`, which editors take for dates and other checkers for text.  Pure.
"""

from fftdeploy.output.schema.parts import (
    DIALECT,
    LINE,
    NAME,
    Schema,
    about,
    closed,
    keyed,
    many,
    text,
    time,
)
from fftdeploy.policy.policy import POLICY
from fftdeploy.releases.deployments import OVERRIDES

_MODEL = r"^(?!ftjob-|ftckpt_|file-|batch_)[A-Za-z0-9][A-Za-z0-9._:-]{0,255}$"
_VIA = "^(?!version$)[a-z0-9][a-z0-9_-]{0,62}$"


def deployments() -> Schema:
    """Describe `deployments.toml`."""
    environments = keyed(NAME, about("A target: a task in an environment.", _ref("target")))
    return {
        "$schema": DIALECT,
        "title": "deployments.toml of fftdeploy",
        "description": "What is live where, newest release first.",
        "type": "object",
        "properties": {"version": _version()},
        "required": ["version"],
        "patternProperties": {
            NAME: about("A task: one narrow, repeated workflow that a model serves.", environments)
        },
        "additionalProperties": False,
        "$defs": {
            "target": _target(),
            "release": _release(),
            "hold": _hold(),
            "line": LINE,
            "number": {"type": "integer", "minimum": 1, "exclusiveMaximum": 2**53},
            "time": about("A date-time with an offset, without quotes in TOML.", time()),
            "model": text(_MODEL, "A model ID."),
            "name": text(NAME),
            "provider": {"const": "openai"},
            "digest": text("^[0-9a-f]{32}$"),
        },
    }


def policy() -> Schema:
    """Describe `fftdeploy.toml`."""
    return {
        "$schema": DIALECT,
        "title": "fftdeploy.toml, the policy of fftdeploy",
        **about("What a team asks of a promotion.", POLICY.schema),
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _version() -> Schema:
    return about("The version of this format.", {"const": 1, "type": "integer"})


def _target() -> Schema:
    properties = {
        "model": about("The model that is live.", _ref("model")),
        "provider": about("Who hosts it; default openai.", _ref("provider")),
        "profile": about("The prompt it is called with: profiles/NAME.toml.", _ref("name")),
        "releases": about(
            "What was made live, newest first; rows are only ever added, on top.",
            many(about("One release.", _ref("release"))),
        ),
        "holds": about("What may not be made live.", many(about("One hold.", _ref("hold")))),
    }
    return closed(properties, ("model",))


def _release() -> Schema:
    via = "An environment, or: model, job, rollback, adopt."
    override = about("A rule.", {"enum": list(OVERRIDES)})
    properties = {
        "n": about("The release's number; numbers go down the list.", _ref("number")),
        "model": about("The model that it made live.", _ref("model")),
        "provider": about("Who hosts it; default openai.", _ref("provider")),
        "profile": about("The prompt it was released with.", _ref("name")),
        "profile_sha": about("The hash of the prompt's content.", _ref("digest")),
        "at": about("When that was.", _ref("time")),
        "by": about("Who made it live.", _ref("line")),
        "via": about(f"How it came here. {via}", text(_VIA)),
        "job": about("The fine-tuning job it came from.", text("^ftjob-[A-Za-z0-9_-]{1,200}$")),
        "evidence": about("The evaluation it passed: 32 hex digits.", _ref("digest")),
        "why": about("The reason.", _ref("line")),
        "to": about("The older release that was gone back to.", _ref("number")),
        "verified": about("Only ever false: nobody asked the API.", {"const": False}),
        "overrides": about("Rules that were set aside for it.", many(override)),
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
        "model": about("The model that is blocked.", _ref("model")),
        "provider": about("Who hosts it; default openai.", _ref("provider")),
        "release": about("Block only this release's bundle.", _ref("number")),
        "since": about("When it was put on hold.", _ref("time")),
        "by": about("Who did that.", _ref("line")),
        "why": about("The reason.", _ref("line")),
        "until": about("When the hold ends by itself.", _ref("time")),
        "lifted": about("When it was lifted.", _ref("time")),
        "lifted_by": about("Who did that.", _ref("line")),
        "lifted_why": about("The reason.", _ref("line")),
    }
    return {
        **closed(properties, ("model", "since", "by", "why")),
        "dependentRequired": {key: [k for k in lifting if k != key] for key in lifting},
    }
