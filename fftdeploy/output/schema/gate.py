"""The part of the policy's JSON Schema that describes a gate and its graders.  Pure."""

from typing import get_args

from fftdeploy.output.schema.parts import DURATION, FLAG, LINE, Schema, about, closed, many, text
from fftdeploy.policy.gate_rules import MAX_REPEATS, Mode, OnInconclusive, SliceRule
from fftdeploy.policy.grader_rules import KINDS, LIMITS, METRICS, OPERATIONS

_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0}
_SIZE: Schema = {"type": "integer", "minimum": 0, "maximum": 1_000_000}
_DISTANCE: Schema = {"type": "number", "minimum": 0, "maximum": 1e15}


def gate() -> Schema:
    """Describe `[tasks.TASK.gate]`."""
    files = {**many(about("A path below the folder of this file.", text())), "minItems": 1}
    properties = {
        "examples": about("Paths of JSONL files with reviewed examples.", files),
        "graders": about(
            "How answers are marked; an example passes when every grader passes it.",
            {**many(about("One grader.", {"oneOf": _graders()})), "minItems": 1},
        ),
        **_rule(),
        **_watched(),
        **_asked(),
    }
    return closed(properties, ("examples", "graders"))


def _rule() -> dict[str, Schema]:
    """Describe the keys that say how good is good enough."""
    margin = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
    confidence = {"type": "number", "exclusiveMinimum": 0.5, "exclusiveMaximum": 1}
    return {
        "mode": about(
            "What is asked: not-worse than live (the default), better than live, a pass rate of "
            "its own (threshold), or nothing (report-only).",
            {"enum": list(get_args(Mode))},
        ),
        "margin": about(
            "How much worse than live is let through; 0.05, the default, is five points.", margin
        ),
        "confidence": about("How sure to be of that, one-sided; default 0.95.", confidence),
        "threshold": about(
            'The pass rate to be sure of; goes with mode = "threshold".',
            {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        ),
        "on_inconclusive": about(
            "What becomes of a candidate that the examples can't settle; default block.",
            {"enum": list(get_args(OnInconclusive))},
        ),
        "floors": about(
            "Shares that the candidate must reach, whatever is live.",
            closed(
                {
                    "pass_rate": about("Least share of examples that pass.", _SHARE),
                    "valid": about("Least share of answers that have the right shape.", _SHARE),
                }
            ),
        ),
        "budgets": about(
            "What the candidate may take and cost.",
            closed(
                {
                    "p95_latency_ms": about(
                        "Milliseconds within which 95 % of its answers come.", _POSITIVE
                    ),
                    "usd_per_1k_requests": about("USD for a thousand requests.", _POSITIVE),
                }
            ),
        ),
    }


def _watched() -> dict[str, Schema]:
    """Describe the keys that watch some of the examples apart."""
    return {
        "must_pass": about(
            "Tags; the candidate must pass each example that has one.",
            many(about("A tag.", LINE)),
        ),
        "slices": about(
            "Keys of the examples' `meta`; each of their values is watched on its own.",
            many(about("A key of `meta`.", LINE)),
        ),
        "slice_rule": about(
            "An alarm for each slice (no-harm, the default), or of every slice what is asked of "
            "the whole (not-worse).",
            {"enum": list(get_args(SliceRule))},
        ),
    }


def _asked() -> dict[str, Schema]:
    """Describe the keys about examples and evidence."""
    return {
        "repeats": about(
            "Answers to each example; default 1.",
            {"type": "integer", "minimum": 1, "maximum": MAX_REPEATS},
        ),
        "min_examples": about(
            "Fewer are inconclusive before anything is asked.", {"type": "integer", "minimum": 1}
        ),
        "require_reviewed": about("Whether an example that nobody has reviewed fails it.", FLAG),
        "max_age": about("How old evidence may be when it is used, such as 30d.", DURATION),
        "item": about(
            'For lines of evals, {"item": {...}}: which of an item\'s keys are which.',
            closed(
                {
                    "input": about("The key of the input.", LINE),
                    "reference": about("The key of the agreed answer.", LINE),
                }
            ),
        ),
    }


def _graders() -> list[Schema]:
    fields = _grader("json_fields", "The answer is JSON; field by field.", _fields(), "fields")
    return [*_text_graders(), fields, *_shape_graders()]


def _text_graders() -> list[Schema]:
    """Describe the graders that compare the answer with another text."""
    threshold = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
    compared = {
        "input": about("The whole output, which is the default.", text()),
        "reference": about(
            "What is compared with: a text or one lookup, {{item.KEY}}; default: the example's.",
            {**text(), "minLength": 1},
        ),
    }
    check = {"operation": about("How they are compared.", {"enum": list(OPERATIONS)})}
    alike = {
        "evaluation_metric": about("How that is measured.", {"enum": list(METRICS)}),
        "pass_threshold": about("How alike is enough, up to 1.", threshold),
    }
    return [
        _grader("string_check", "The answer as one text.", {**check, **compared}, *check),
        _grader("text_similarity", "How alike two texts are.", {**alike, **compared}, *alike),
    ]


def _shape_graders() -> list[Schema]:
    """Describe the graders that look at the answer alone, or at what it is."""
    ignore_case = {"ignore_case": about("Whether upper and lower case are the same.", FLAG)}
    schema = about(
        "A JSON Schema; default: that of the example's `response_schema`.",
        {"type": "object", "additionalProperties": True},
    )
    pattern = {"type": "string", "minLength": 1, "maxLength": 1000}
    regex = {
        "pattern": about("A regular expression of Python.", pattern),
        "match": about(
            "The whole answer (the default) or any part of it.", {"enum": ["full", "search"]}
        ),
    }
    labels = {**many(about("A label.", LINE)), "minItems": 2}
    number = {
        "tolerance": about("How far off is right; default 0.", _DISTANCE),
        "relative": about("Whether that is a share of the agreed number.", FLAG),
    }
    limits = {limit: about(f"The {_words(limit)} allowed.", _SIZE) for limit in LIMITS}
    label = {"labels": about("All of them.", labels)}
    return [
        _grader("json_schema", "The answer is JSON of a shape.", {"schema": schema}),
        _grader("regex", "The answer matches a pattern.", {**regex, **ignore_case}, "pattern"),
        _grader("number", "The answer is a number.", number),
        _grader("length", "The answer is neither too short nor too long.", limits),
        _grader("label", "The answer is one of some labels.", {**label, **ignore_case}, *label),
    ]


def _grader(kind: str, what: str, properties: dict[str, Schema], *required: str) -> Schema:
    first = {
        "type": about(what, {"const": kind}),
        "name": about("What reports call it; two graders of one type need one each.", LINE),
    }
    return about(what, closed({**first, **properties}, ("type", *required)))


def _fields() -> dict[str, Schema]:
    number = closed(
        {
            "number": about("How far off is right.", _DISTANCE),
            "relative": about("Whether that is a share of the agreed number.", FLAG),
        },
        ("number",),
    )
    alike = about("How alike is enough (ROUGE-L).", {**_SHARE, "minimum": 0.01})
    kinds = [
        {"enum": [kind for kind in KINDS if kind != "text"]},
        number,
        closed({"text": alike}, ("text",)),
    ]
    field = about("How the field is compared.", {"oneOf": kinds})
    fields = {"type": "object", "additionalProperties": field, "minProperties": 1}
    paths = {**many(about("A path of `fields`.", LINE)), "minItems": 1}
    return {
        "fields": about('How each field is compared; a path is one key, "a.b".', fields),
        "required": about("The fields that an answer passes by; default: all.", paths),
    }


def _words(limit: str) -> str:
    least, unit = limit.split("_")
    return f"{'least' if least == 'min' else 'most'} {'characters' if unit == 'chars' else unit}"
