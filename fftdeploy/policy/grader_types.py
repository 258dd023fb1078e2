"""The types of graders that the policy knows, and the keys of each.

Nothing here names code or holds a template: the one form of `{{...}}` that is read is a lookup
that stands alone.
"""

import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fftdeploy import names
from fftdeploy.formats.document import Document, Path, text_problem, toml_type
from fftdeploy.formats.keys import Key, Kind, Schema, needed, read_keys, table_schema
from fftdeploy.formats.kinds import (
    FLAG,
    LINE,
    STRING,
    choice,
    everything_in,
    is_json,
    many,
    number,
    of_type,
    text,
    whole,
)

OUTPUT = re.compile(r"\{\{\s*sample\.output_text\s*\}\}")
LOOKUP = re.compile(r"\{\{\s*item\.([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\s*\}\}")
EXACT = "exact"
KINDS = (EXACT, "casefold", "number", "date", "set", "list", "text", "ignore")
OF_WORDS = frozenset({EXACT, "casefold"})
"""Kinds of fields whose values are words or numbers, and may be few."""
_MAX_PATTERN = 1000
_OPERATIONS = {"eq": "eq", "ne": "ne", "neq": "ne", "like": "like", "ilike": "ilike"}
_METRICS = ("rouge_l", "token_f1", "fuzzy_match")
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
"""Keys of a JSON Schema that name another; only parts of the same document are looked up."""
_OTHER_METRICS = {
    "cosine": "it needs a paid embedding of each answer",
    "bleu": "it is meant for whole corpora and misleads on one answer",
    "gleu": "it is meant for whole corpora and misleads on one answer",
    "meteor": "it needs a dictionary of English",
    **dict.fromkeys((f"rouge_{n}" for n in range(1, 6)), "it ignores the order of what it counts"),
}


# --- the values of its keys --------------------------------------------------------------------


def _read_input(doc: Document, path: Path, value: Any) -> None:
    """Read OpenAI's `input`, of which only what needs no template is taken."""
    if not OUTPUT.fullmatch(_text(doc, path, value)):
        raise doc.error(
            path,
            "templates are not supported: 'input' is the whole output",
            'write input = "{{sample.output_text}}", or leave it out',
        )


def _reference_problem(value: str) -> str:
    marked = "{{" in value or "{%" in value
    if marked and not LOOKUP.fullmatch(value):
        return "templates are not supported: 'reference' is a text, or one lookup"
    return "" if value else "'reference' is empty"


def _read_metric(doc: Document, path: Path, value: Any) -> Any:
    if _text(doc, path, value) in _OTHER_METRICS:
        raise doc.error(
            path,
            f"{value!r} is not supported: {_OTHER_METRICS[value]}",
            'use "rouge_l" where the order of words counts, "token_f1" where it does not',
        )
    return _METRIC.read(doc, path, value)


def _read_threshold(doc: Document, path: Path, value: Any) -> Any:
    if type(value) in {int, float} and not value:
        raise doc.error(path, "every answer reaches a 'pass_threshold' of 0")
    return _THRESHOLD.read(doc, path, value)


def _read_schema(doc: Document, path: Path, value: Any) -> Any:
    """Refuse what JSON can't say, and a reference that would have to be fetched."""
    for place, below in everything_in(doc.table(value, path), path):
        if place[-1] in REFERENCES and isinstance(below, str) and not below.startswith("#"):
            raise doc.error(
                place,
                f"{place[-1]!r} leads out of the schema: nothing is fetched",
                "copy what it names into $defs",
            )
        if not is_json(below):
            raise doc.error(place, f"{toml_type(below)} of this value can't be JSON")
    return value


def _read_fields(doc: Document, path: Path, value: Any) -> dict[str, Any]:
    rows = doc.table(value, path, "a table of path = kind")
    return {name: _field(doc, (*path, name), name, row) for name, row in rows.items()}


def _field(doc: Document, place: Path, path: str, value: Any) -> dict[str, Any]:
    if text_problem(path) or "" in path.split("."):
        raise doc.error(place, f"{path[:80]!a} is not a path: write a.b.c")
    if isinstance(value, str):
        if value == "text":
            raise doc.error(place, "'text' needs a threshold", "write { text = 0.8 }")
        if value not in KINDS:
            hint = names.meant(value, KINDS, f"known here: {', '.join(KINDS)}")
            raise doc.error(place, f"{value[:80]!a} is no kind of field", hint)
        return {"kind": value}
    table = doc.table(value, place, 'a kind such as "exact", or a table')
    if len({"number", "text"} & table.keys()) != 1 or any(
        isinstance(below, dict | str) for below in table.values()
    ):
        hint = 'a path is one quoted key: "a.b" = "exact"'
        raise doc.error(place, "a kind with options is { number = 0.01 } or { text = 0.8 }", hint)
    if "text" in table:
        return {"kind": "text", "threshold": read_keys(doc, place, table, _ALIKE)["text"]}
    said = read_keys(doc, place, table, _NEAR)
    if not said["number"]:
        return {"kind": "number"}
    relative = {"relative": True} if said.get("relative") else {}
    return {"kind": "number", "tolerance": said["number"], **relative}


def _pattern_problem(pattern: str) -> str:
    if not 1 <= len(pattern) <= _MAX_PATTERN:
        return f"must be 1 to {_MAX_PATTERN} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python may soon read in another way
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        return f"is not a regular expression: {str(error)[:80]}"
    return ""


def _label_problem(label: str) -> str:
    problem = text_problem(label) or ("has spaces around it" if label != label.strip() else "")
    return problem and f"a label {problem}"


# --- what the keys of one type don't say together ----------------------------------------------


def _check_fields(doc: Document, path: Path, said: dict[str, Any]) -> None:
    compared = [path for path, kind in said["fields"].items() if kind["kind"] != "ignore"]
    if not compared and said.get("rest") != EXACT:
        at = (*path, "fields")
        raise doc.error(at, "'fields' compares nothing", 'add fields = { name = "exact" }')
    for index, name in enumerate(said.get("required", ())):
        if name not in compared:
            hint = names.meant(name, compared, f"known here: {', '.join(compared)}")
            at = (*path, "required", index)
            raise doc.error(at, "'required' names no field that is compared", hint)
    said["required"] = sorted(set(said.get("required", compared)))
    if said["required"] == sorted(compared):
        del said["required"]  # what `rest` compares is required in any case


def _check_relative(_: Document, __: Path, said: dict[str, Any]) -> None:
    if not said.get("tolerance"):
        said.pop("relative", None)


def _check_limits(doc: Document, path: Path, said: dict[str, Any]) -> None:
    if not any(limit in said for limit in LIMITS):
        raise doc.error(path, "'length' has no limit", "add max_chars = 500")
    for unit in ("chars", "words"):
        if said.get(f"min_{unit}", 0) > said.get(f"max_{unit}", math.inf):
            raise doc.error((*path, f"min_{unit}"), f"'min_{unit}' is more than 'max_{unit}'")


def _check_labels(doc: Document, path: Path, said: dict[str, Any]) -> None:
    seen: set[str] = set()
    for index, label in enumerate(said["labels"]):
        key = label.casefold() if said.get("ignore_case") else label
        if key in seen:
            at = (*path, "labels", index)
            raise doc.error(at, f"the label {label[:80]!a} is there twice")
        seen.add(key)


# --- the declarations --------------------------------------------------------------------------

_text = of_type(str, wanted="a string")
_OPERATION, _METRIC = choice(tuple(_OPERATIONS)), choice(_METRICS)
_THRESHOLD = number(minimum=0, maximum=1)
_DISTANCE = number(minimum=0, maximum=1e15)
_PATTERN = text(
    _pattern_problem,
    "key",
    hint="Python's syntax, in '...' quotes",
    minLength=1,
    maxLength=_MAX_PATTERN,
)
_LABELS = many(
    text(_label_problem, **LINE.schema),
    "A label.",
    "an array of strings",
    least=(2, "must name at least two"),
)
_IS_RELATIVE = Key("Whether that is a share of the agreed number.", FLAG, default=False)
_IGNORE_CASE = {
    "ignore_case": Key("Whether upper and lower case are the same.", FLAG, default=False)
}
_NEAR = {"number": needed("How far off is right.", _DISTANCE), "relative": _IS_RELATIVE}
_ALIKE = {"text": needed("How alike is enough (ROUGE-L).", number(minimum=0.01, maximum=1))}
_FIELD: Schema = {
    "oneOf": [
        {"enum": [kind for kind in KINDS if kind != "text"]},
        table_schema(_NEAR),
        table_schema(_ALIKE),
    ],
    "description": "How the field is compared.",
}
_TEXTS = {
    "input": Key(
        "The whole output, which is the default.", Kind(_read_input, STRING.schema), default=None
    ),
    "reference": Key(
        "What is compared with: a text or one lookup, {{item.KEY}}; default: the example's.",
        text(
            _reference_problem,
            hint='write "{{item.KEY}}", or leave it out for the reference of the example',
            minLength=1,
        ),
    ),
}
LIMITS = {
    f"{end}_{unit}": Key(f"The {said} {what} allowed.", whole(0, 1_000_000))
    for unit, what in (("chars", "characters"), ("words", "words"))
    for end, said in (("min", "least"), ("max", "most"))
}


@dataclass(frozen=True, slots=True)
class GraderType:
    """What a type of grader asks, and its own keys."""

    means: str
    keys: Mapping[str, Key]
    check: Callable[[Document, Path, dict[str, Any]], None] = lambda *_: None

    @property
    def every_key(self) -> Mapping[str, Key]:
        """Its keys and those that all graders have."""
        name = "What reports call it; two graders of one type need one each."
        return {"type": needed(self.means, STRING), "name": Key(name, LINE), **self.keys}

    def schema(self, name: str) -> Schema:
        """Describe the table of the grader called `name`."""
        described = table_schema(self.every_key)
        described["properties"]["type"] = {"const": name, "description": self.means}
        return {**described, "description": self.means}


TYPES: Mapping[str, GraderType] = {
    "string_check": GraderType(
        "The answer as one text.",
        {
            "operation": needed(
                "How they are compared.",
                Kind(lambda *value: _OPERATIONS[_OPERATION.read(*value)], _OPERATION.schema),
                '"..."',
            ),
            **_TEXTS,
        },
    ),
    "text_similarity": GraderType(
        "How alike two texts are.",
        {
            "evaluation_metric": needed(
                "How that is measured.", Kind(_read_metric, _METRIC.schema), '"..."'
            ),
            "pass_threshold": needed(
                "How alike is enough, up to 1.",
                Kind(_read_threshold, {"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
                "0.8",
            ),
            **_TEXTS,
        },
    ),
    "json_schema": GraderType(
        "The answer is JSON of a shape.",
        {
            "schema": Key(
                "A JSON Schema; default: that of the example's `response_schema`.",
                Kind(_read_schema, {"type": "object", "additionalProperties": True}),
            )
        },
    ),
    "json_fields": GraderType(
        "The answer is JSON; field by field.",
        {
            "fields": needed(
                'How each field is compared; a path is one key, "a.b".',
                Kind(_read_fields, {"type": "object", "additionalProperties": _FIELD}),
                '{ name = "exact" }',
            ),
            "required": Key(
                "The fields that an answer passes by; default: all.",
                many(
                    STRING,
                    "A path of `fields`.",
                    "an array of paths",
                    least=(1, "is empty: every answer would pass"),
                ),
            ),
            "rest": Key(
                "What no field names, and whether it is there: as agreed, or not looked at.",
                choice((EXACT, "ignore")),
                default="ignore",
            ),
        },
        _check_fields,
    ),
    "regex": GraderType(
        "The answer matches a pattern.",
        {
            "pattern": needed("A regular expression of Python.", _PATTERN),
            "match": Key(
                "The whole answer or any part of it.", choice(("full", "search")), default="full"
            ),
            **_IGNORE_CASE,
        },
    ),
    "number": GraderType(
        "The answer is a number.",
        {
            "tolerance": Key("How far off is right.", _DISTANCE, default=0.0),
            "relative": _IS_RELATIVE,
        },
        _check_relative,
    ),
    "length": GraderType("The answer is neither too short nor too long.", LIMITS, _check_limits),
    "label": GraderType(
        "The answer is one of some labels.",
        {
            "labels": needed("All of them.", _LABELS, '["yes", "no"]'),
            **_IGNORE_CASE,
        },
        _check_labels,
    ),
}
