"""What agreed answers have in common: graders that a gate may have, and rules for a prompt.

Graders come as the tables of the policy, each with what was seen; somebody reads them before they
judge anything.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fftdeploy.api.answers import plain
from fftdeploy.evaluation import similarity
from fftdeploy.evaluation.examples.examples import ExampleSet
from fftdeploy.evaluation.outputs import tool_calls
from fftdeploy.formats.document import text_problem
from fftdeploy.formats.strict_json import MISSING, canonical, lookup, read_or
from fftdeploy.names import plural
from fftdeploy.policy.grader_rules import MAX_FIELDS
from fftdeploy.policy.grader_types import EXACT

Table = Mapping[str, Any]
Schema = Mapping[str, Any]

_MUST_PASS = {
    *("edge-case", "edge_case", "must-pass", "must_pass", "critical", "regression", "golden"),
}
_MOST_LABELS = 200
_SEEN_THRICE = 3
"""Examples for each label, on average, by which a set of them counts as closed."""
_SHORT = 60
"""Characters up to which a text is one that can be given word for word."""
_ALIKE = 0.8
"""How alike free texts are to be: with less, half of what was agreed may be missing."""
_FREE = "free texts"
_NAMED = 4
"""Values that are named, the commonest first."""
_SAID = 20
"""Fields that are named."""
_SLICES = (2, 12)
"""Values that a key of `meta` may have to be worth a look at each of them."""
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?")
"""One that has no other spelling: 007 and 1.10 may be names, which 7 and 1.1 are not."""
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


@dataclass(frozen=True, slots=True)
class ProposedBar:
    """What a gate may ask, and what was seen that speaks for it."""

    graders: tuple[Table, ...]
    slices: tuple[str, ...]
    """One key: each more takes from the power of all."""
    must_pass: tuple[str, ...]
    """Tags that say so by their name; what is live may not pass them either."""
    seen: tuple[str, ...]
    """What was inferred, a line each."""
    not_judged: tuple[str, ...]
    """What the graders can't tell, a line each; empty where they compare exactly."""


class _Found(NamedTuple):
    """The grader for some answers, what these are, and which of their texts it can't judge."""

    table: Table
    said: str
    texts: Sequence[str] = ()


def propose(examples: ExampleSet) -> ProposedBar:
    """Propose graders that every agreed answer passes, slices, and tags that must pass.

    Answers are compared exactly, all of them: whatever lets more through is for a person to write.
    Only long texts are not, which hardly any model gives word for word.
    """
    agreed = [each for example in examples for each in (example.reference, *example.others)]
    found = _graders(agreed)
    tags = Counter(tag for index in range(len(examples)) for tag in examples.tags(index))
    meta: dict[str, Counter[str]] = {}
    for index in range(len(examples)):
        for key, value in examples.meta(index).items():
            meta.setdefault(key, Counter())[value] += 1
    least, most = _SLICES
    fit = [
        key
        for key, values in meta.items()
        if least <= len(values) <= most and 2 * values.total() >= len(examples)
    ]
    slices = tuple(sorted(fit, key=lambda key: -len(meta[key]))[:1])
    must_pass = tuple(tag for tag in tags if tag in _MUST_PASS)
    seen = [f"{plural(len(examples), 'example')}: {found.said}"]
    seen += [f"slices by {key}: {_counted(meta[key])}" for key in slices]
    seen += [f"for slices: {key}, {len(meta[key])} values" for key in fit if key not in slices]
    seen += [f"for must_pass: {tag}, {plural(tags[tag], 'example')}" for tag in must_pass]
    return ProposedBar((found.table,), slices, must_pass, tuple(seen), _not_judged(found.texts))


def _not_judged(texts: Sequence[str]) -> tuple[str, ...]:
    """Return what no grader of free texts can say, for those that are called so."""
    if not texts:
        return ()
    named = _several([plain(name, 60) for name in texts], _NAMED)
    what = f"whether {named} says what was agreed"
    passes = f'{_ALIKE:.0%} of the words alike pass, also with a "not" that turns it round'
    return (f"{what}: {passes}; what is right in other words fails",)


def _graders(agreed: Sequence[str]) -> _Found:
    """Return the grader for such answers, and what these have in common."""
    values = [read_or(text) for text in agreed]
    if all(map(_is_calls, values)):
        return _of_calls(values)
    if all(isinstance(value, dict) for value in values):
        return _of_fields(values, "JSON objects ")
    if all(isinstance(value, dict | list) for value in values):
        return _Found(_fields_table({}), "JSON, to be given exactly, lists in their order")
    return _of_texts(agreed)


def _of_texts(agreed: Sequence[str]) -> _Found:
    if all(map(_NUMBER.fullmatch, agreed)):
        return _Found({"type": "number"}, "numbers")
    distinct = sorted({*agreed})
    if _is_closed(distinct, len(agreed)):
        return _Found({"type": "label", "labels": distinct}, f"{len(distinct)} labels")
    if all(map(_is_short, agreed)) or not all(map(_has_likeness, agreed)):
        return _Found({"type": "string_check", "operation": "eq"}, "texts, to be given exactly")
    similar = {"evaluation_metric": "rouge_l", "pass_threshold": _ALIKE}
    return _Found({"type": "text_similarity", **similar}, "free texts", ("an answer",))


def _of_calls(values: Sequence[Any]) -> _Found:
    """Compare single calls of one function argument by argument, and others as a whole."""
    names = Counter(call["name"] for value in values for call in value)
    said = f"tool calls: {_counted(names)}"
    arguments = [value[0]["arguments"] for value in values]
    if len(names) > 1 or any(len(value) > 1 for value in values):
        return _Found(_fields_table({}), f"{said}; to be given exactly")
    if not all(isinstance(each, dict) for each in arguments):
        return _Found(_fields_table({"0.name": EXACT}), said)
    return _of_fields(arguments, f"{said}; ", {"0.name": EXACT}, "0.arguments.")


def _of_fields(
    values: Sequence[Table], said: str, above: Table | None = None, path: str = ""
) -> _Found:
    """Compare each field that all of `values` have by its kind, and all else as it is."""
    found = dict(above or {})
    texts: list[str] = []
    common: list[str] = []
    rare: list[str] = []
    for place in field_paths(values):
        there = [value for each in values if (value := lookup(each, place)) is not MISSING]
        if len(there) < len(values):
            rare.append(f"{place} in {len(there)}")
        elif len(found) == MAX_FIELDS:
            rare.append(place)
        else:
            found[path + place], words = _kind(there)
            common.append(f"{place} ({words})")
            texts += [place] if words == _FREE else []
    with_all, with_some = (plain(_several(each, _SAID), 60 * _SAID) for each in (common, rare))
    parts = [f"with {with_all}" if common else "without a field that all have"]
    parts += [f"as agreed, there or not: {with_some}"] if rare else []
    parts.append("all else as agreed")
    return _Found(_fields_table(found), said + "; ".join(parts), tuple(texts))


def _fields_table(kinds: Table) -> Table:
    """Return the grader that compares such fields, and exactly what they don't name."""
    return {"type": "json_fields", "fields": kinds, "rest": EXACT}


def _several(words: Sequence[str], most: int) -> str:
    """Name the first of them, and say how many there are beside."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def field_paths(values: Sequence[Table], above: str = "") -> Iterator[str]:
    """Yield the paths of the fields of objects: of one that always is an object, those below."""
    for key in dict.fromkeys(key for value in values for key in value):
        there = [value[key] for value in values if key in value]
        if not key or "." in key or text_problem(key):
            continue
        if len(there) == len(values) and all(isinstance(each, dict) and each for each in there):
            yield from field_paths(there, f"{above}{key}.")
        else:
            yield above + key


def _kind(values: Sequence[Any]) -> tuple[Any, str]:
    """Return how a field of such values is compared, and what they are."""
    if all(type(value) in {int, float} for value in values):
        return "number", "numbers"
    if all(isinstance(value, list) for value in values):
        return "list", "lists in their order"
    distinct = {*map(canonical, values)}
    if not all(isinstance(value, str) for value in values):
        return EXACT, plural(len(distinct), "value")
    if _is_closed([*{*values}], len(values)):
        return EXACT, f"{len(distinct)} values"
    if all(map(_is_short, values)):
        return EXACT, "short texts"
    return ({"text": _ALIKE}, _FREE) if all(map(_has_likeness, values)) else (EXACT, "long texts")


def _has_likeness(text: str) -> bool:
    """Tell whether `text` has words, and no more than are compared."""
    try:
        return bool(similarity.words(text))
    except similarity.TooLongError:
        return False


def _is_closed(distinct: Sequence[str], count: int) -> bool:
    """Tell whether a few short texts stand for all: each is there three times on average."""
    few = 2 <= len(distinct) <= _MOST_LABELS and _SEEN_THRICE * len(distinct) <= count
    return few and all(map(_is_short, distinct))


def _is_short(text: str) -> bool:
    return len(text) <= _SHORT and not text_problem(text) and text == text.strip()


def _is_calls(value: Any) -> bool:
    return bool(value) and tool_calls(value) is not None


def _counted(counts: Counter[str]) -> str:
    said = [f"{plain(name, 40)} {count}" for name, count in counts.most_common()]
    return _several(said, _NAMED)


@dataclass(frozen=True, slots=True)
class AnswerShape:
    """The shape that all agreed answers of a task have."""

    schema: Schema | None = None
    """Of JSON objects; None for answers of another kind."""
    labels: tuple[str, ...] = ()
    """The paths of the fields that have one of a closed set; "" for the whole answer."""
    rules: tuple[str, ...] = ()
    """Sentences that say how to answer, a line each."""

    def labels_in(self, answer: str) -> Iterator[tuple[str, str]]:
        """Yield the values of closed sets that an answer has, each with its path."""
        value = read_or(answer) if self.schema else None
        for path in self.labels:
            found = lookup(value, path) if path else answer
            if found is not MISSING:
                yield path, str(found)


def shape_of(agreed: Sequence[str]) -> AnswerShape:
    """Infer the shape of agreed answers, as the graders of a new gate are inferred."""
    values = [read_or(text) for text in agreed]
    if all(map(_is_calls, values)):
        return AnswerShape()  # every request has their shape with it
    if all(isinstance(value, dict) for value in values):
        schema = _schema(values)
        fields = [each for each in schema_fields(schema) if each[1].get("type") != "object"]
        labels = tuple(path for path, one in fields if "enum" in one)
        alone = "nothing else: no text around it, no Markdown fence."
        said = [f"Answer with one raw JSON object and {alone}", "Its fields:"]
        for path, one in fields:
            kinds = (each.get("type", "any value") for each in one.get("anyOf", [one]))
            what = f"one of {_spelt(one['enum'])}" if "enum" in one else " or ".join(kinds)
            said.append(f"- {path}: {what}")
        return AnswerShape(schema, labels, tuple(said))
    distinct = sorted({*agreed})
    if all(map(_NUMBER.fullmatch, agreed)):
        return AnswerShape(rules=("Answer with one number and nothing else.",))
    if _is_closed(distinct, len(agreed)):
        rule = f"Answer with one of these, word for word, and nothing else: {_spelt(distinct)}."
        return AnswerShape(labels=("",), rules=(rule,))
    if all(isinstance(value, list) for value in values):
        return AnswerShape(rules=("Answer with one JSON array and nothing else: no fence.",))
    return AnswerShape()


def _spelt(values: Sequence[str]) -> str:
    return ", ".join(map(canonical, values))


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


def schema_fields(schema: Schema, above: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield the fields of a schema by their paths, each before those that are in it."""
    properties = schema.get("properties")
    for key, below in properties.items() if isinstance(properties, dict) else ():
        if isinstance(below, dict):
            yield above + key, below
            yield from schema_fields(below, f"{above}{key}.")


def _schema(values: Sequence[Any]) -> Schema:
    """Return the schema of such values; {} where there are none to tell."""
    kinds: dict[type, list[Any]] = {}
    for value in values:
        kinds.setdefault(type(value), []).append(value)
    if {*kinds} == {int, float}:
        return {"type": "number"}
    made = [_schema_of(kind, found) for kind, found in kinds.items()]
    return made[0] if len(made) == 1 else {"anyOf": made} if made else {}


def _schema_of(kind: type, values: Sequence[Any]) -> Schema:
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
    return {**made, "enum": distinct} if _is_closed(distinct, len(values)) else made
