"""What agreed answers have in common, as a prompt says it: their JSON Schema, or their labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fftdeploy.evaluation.graders.proposed import NUMBER, as_json, is_calls, is_closed
from fftdeploy.formats import strict_json
from fftdeploy.formats.strict_json import MISSING, lookup

Schema = dict[str, Any]
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


@dataclass(frozen=True, slots=True)
class AnswerShape:
    """The shape that all agreed answers of a task have."""

    schema: Schema | None
    """Of JSON objects; None for answers of another kind."""
    labels: tuple[str, ...]
    """The paths of the fields that have one of a closed set; "" for the whole answer."""
    rules: tuple[str, ...]
    """Sentences that say how to answer, a line each."""

    def labels_in(self, answer: str) -> Iterator[tuple[str, str]]:
        """Yield the values of closed sets that an answer has, each with its path."""
        value = as_json(answer) if self.schema else None
        for path in self.labels:
            found = lookup(value, path) if path else answer
            if found is not MISSING:
                yield path, str(found)


def shape_of(agreed: Sequence[str]) -> AnswerShape:
    """Infer the shape of agreed answers, as the graders of a new gate are inferred."""
    values = [as_json(text) for text in agreed]
    if all(map(is_calls, values)):
        return AnswerShape(None, (), ())  # every request has their shape with it
    if all(isinstance(value, dict) for value in values):
        schema = _schema(values)
        labels = tuple(path for path, one in _fields(schema) if "enum" in one)
        return AnswerShape(schema, labels, tuple(_object_rules(schema)))
    distinct = sorted({*agreed})
    if all(map(NUMBER.fullmatch, agreed)):
        return AnswerShape(None, (), ("Answer with one number and nothing else.",))
    if is_closed(distinct, len(agreed)):
        rule = f"Answer with one of these, word for word, and nothing else: {_listed(distinct)}."
        return AnswerShape(None, ("",), (rule,))
    if all(isinstance(value, list) for value in values):
        return AnswerShape(None, (), ("Answer with one JSON array and nothing else: no fence.",))
    return AnswerShape(None, (), ())


def is_strict(schema: Any) -> bool:
    """Tell whether OpenAI takes a schema as strict: every key is required, every type known."""
    if not schema:
        return False
    if "anyOf" in schema:
        return all(map(is_strict, schema["anyOf"]))
    if "items" in schema:
        return is_strict(schema["items"])
    fields = schema.get("properties", {})
    return len(fields) == len(schema.get("required", ())) and all(map(is_strict, fields.values()))


def _schema(values: Sequence[Any]) -> Schema:
    """Return the schema of such values; {} where there are none to tell."""
    kinds: dict[type, list[Any]] = {}
    for value in values:
        kinds.setdefault(type(value), []).append(value)
    if {*kinds} == {int, float}:
        return {"type": "number"}
    made = [_of_kind(kind, found) for kind, found in kinds.items()]
    return made[0] if len(made) == 1 else {"anyOf": made} if made else {}


def _of_kind(kind: type, values: Sequence[Any]) -> Schema:
    if kind is dict:
        keys = dict.fromkeys(key for value in values for key in value)
        there = {key: [value[key] for value in values if key in value] for key in keys}
        return {
            "type": "object",
            "properties": {key: _schema(found) for key, found in there.items()},
            "required": [key for key, found in there.items() if len(found) == len(values)],
            "additionalProperties": False,
        }
    if kind is list:
        return {"type": "array", "items": _schema([each for value in values for each in value])}
    made: Schema = {"type": _TYPES[kind]}
    distinct = sorted({*values}) if kind is str else []
    return {**made, "enum": distinct} if is_closed(distinct, len(values)) else made


def _fields(schema: Schema, above: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield the fields of a schema by their paths, of objects those below."""
    for key, below in schema.get("properties", {}).items():
        if below.get("type") == "object":
            yield from _fields(below, f"{above}{key}.")
        else:
            yield above + key, below


def _object_rules(schema: Schema) -> Iterator[str]:
    yield "Answer with one raw JSON object and nothing else: no text around it, no Markdown fence."
    yield "Its fields:"
    for path, below in _fields(schema):
        kinds = (each.get("type", "any value") for each in below.get("anyOf", [below]))
        said = f"one of {_listed(below['enum'])}" if "enum" in below else " or ".join(kinds)
        yield f"- {path}: {said}"


def _listed(values: Sequence[str]) -> str:
    return ", ".join(map(strict_json.canonical, values))
