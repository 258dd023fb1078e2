"""Proposes graders, slices and tags for examples, from what their agreed answers have in common.

Graders come as the tables of the policy, each with what was seen; somebody reads them before they
judge anything.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fftdeploy.api.answers import plain
from fftdeploy.evaluation.examples.examples import ExampleSet
from fftdeploy.evaluation.graders import fields
from fftdeploy.formats import json_values
from fftdeploy.formats.document import text_problem
from fftdeploy.formats.json_values import MISSING, lookup
from fftdeploy.formats.strict_json import StrictError
from fftdeploy.names import plural
from fftdeploy.policy.grader_rules import MAX_FIELDS

Table = Mapping[str, Any]

_MUST_PASS = {
    *("edge-case", "edge_case", "must-pass", "must_pass", "critical", "regression", "golden"),
}
_MOST_LABELS = 200
_SEEN_THRICE = 3
"""Examples for each label, on average, by which a set of them counts as closed."""
_SHORT = 60
"""Characters up to which a text is one that can be given word for word."""
_ALIKE = 0.6
_NAMED = 4
"""Values that are named, the commonest first."""
_SLICES = (2, 12)
"""Values that a key of `meta` may have to be worth a look at each of them."""
_NUMBER = re.compile(r"\s*[-+]?[0-9]+(?:\.[0-9]+)?\s*")


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


def propose(examples: ExampleSet) -> ProposedBar:
    """Propose graders that every agreed answer passes, slices, and tags that must pass."""
    agreed = [each for example in examples for each in (example.reference, *example.others)]
    graders, said = _graders(agreed)
    meta, tags = _counted(examples)
    fit = [key for key, values in meta.items() if _is_slice(values, len(examples))]
    slices = tuple(sorted(fit, key=lambda key: -len(meta[key]))[:1])
    must_pass = tuple(tag for tag in tags if tag in _MUST_PASS)
    seen = [f"{plural(len(examples), 'example')}: {said}"]
    seen += [f"slices by {key}: {_listed(meta[key])}" for key in slices]
    seen += [f"for slices: {key}, {len(meta[key])} values" for key in fit if key not in slices]
    seen += [f"for must_pass: {tag}, {plural(tags[tag], 'example')}" for tag in must_pass]
    return ProposedBar(graders, slices, must_pass, tuple(seen))


def _counted(examples: ExampleSet) -> tuple[dict[str, Counter[str]], Counter[str]]:
    """Return how often each value of each key of `meta` is there, and each tag."""
    meta: dict[str, Counter[str]] = {}
    tags: Counter[str] = Counter()
    for index in range(len(examples)):
        tags.update(examples.tags(index))
        for key, value in examples.meta(index).items():
            meta.setdefault(key, Counter())[value] += 1
    return meta, tags


def _is_slice(values: Counter[str], examples: int) -> bool:
    least, most = _SLICES
    return least <= len(values) <= most and 2 * values.total() >= examples


def _graders(agreed: Sequence[str]) -> tuple[tuple[Table, ...], str]:
    """Return the graders for such answers, and what these have in common."""
    values = [_json(text) for text in agreed]
    if all(_is_calls(value) for value in values):
        return _of_calls(values)
    if all(isinstance(value, dict) and value for value in values):
        kinds, said = _fields(values, "")
        if kinds:
            return ({"type": "json_fields", "fields": kinds},), f"JSON objects with {said}"
        return (
            {"type": "json_schema", "schema": {"type": "object"}},
        ), "JSON objects, no two alike"
    return _of_texts(agreed)


def _of_texts(agreed: Sequence[str]) -> tuple[tuple[Table, ...], str]:
    distinct = list(dict.fromkeys(agreed))
    if all(map(_NUMBER.fullmatch, agreed)):
        return ({"type": "number"},), "numbers"
    if _is_closed(distinct, len(agreed)):
        return ({"type": "label", "labels": sorted(distinct)},), f"{len(distinct)} labels"
    if all(map(_is_short, agreed)):
        return ({"type": "string_check", "operation": "eq"},), "short texts, to be given exactly"
    similar = {"evaluation_metric": "rouge_l", "pass_threshold": _ALIKE}
    said = "free texts; ROUGE-L says how alike two are, and not whether one is right"
    return ({"type": "text_similarity", **similar},), said


def _of_calls(values: Sequence[Any]) -> tuple[tuple[Table, ...], str]:
    """Compare a single call by its name and arguments, and several as a whole."""
    names = Counter(call["name"] for value in values for call in value)
    said = f"tool calls: {_listed(names)}"
    if any(len(value) > 1 for value in values):
        return ({"type": "string_check", "operation": "eq"},), said
    found: dict[str, Any] = {}
    if len(names) == 1:
        found, _ = _fields([value[0]["arguments"] for value in values], "0.arguments.")
    found = found or {"0.arguments": "exact"}
    return ({"type": "json_fields", "fields": {"0.name": "exact", **found}},), said


def _fields(values: Sequence[Table], above: str) -> tuple[dict[str, Any], str]:
    """Return the kind of each field that all of `values` have, and what it is in words."""
    found: dict[str, Any] = {}
    said: list[str] = []
    rare: Counter[str] = Counter()
    for path in field_paths(values):
        there = [value for each in values if (value := lookup(each, path)) is not MISSING]
        if len(there) < len(values):
            rare[path] = len(there)
        elif len(found) < MAX_FIELDS - 1:  # one more is the name of a call
            found[above + path], words = _kind(there)
            said.append(f"{path} ({words})")
    said += [f"{path} in {count} only, not compared" for path, count in rare.items()]
    return found, plain(", ".join(said), 400)


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
    if all(isinstance(value, str) for value in values):
        return _kind_of_texts(values)
    if all(type(value) in {int, float} for value in values):
        return "number", "numbers"
    if all(isinstance(value, list) for value in values):
        is_set = all(len({*map(json_values.canonical, value)}) == len(value) for value in values)
        return ("set", "lists in any order") if is_set else ("list", "lists")
    distinct = len({*map(json_values.canonical, values)})
    return "exact", plural(distinct, "value")


def _kind_of_texts(values: Sequence[str]) -> tuple[Any, str]:
    distinct = list(dict.fromkeys(values))
    has_blanks = any(" " in value for value in distinct)
    if not any(fields.reference_problem({"kind": "date"}, value) for value in distinct):
        return "date", "dates"
    if _is_closed(distinct, len(values)):
        return "casefold" if has_blanks else "exact", f"{len(distinct)} values"
    if all(map(_is_short, distinct)):
        return ("casefold", "short texts") if has_blanks else ("exact", "words")
    if any(fields.reference_problem({"kind": "text"}, value) for value in distinct):
        return "casefold", "long texts"
    return {"text": _ALIKE}, "free texts, to be alike"


def _is_closed(distinct: Sequence[str], count: int) -> bool:
    """Tell whether a few short texts stand for all: each is there three times on average."""
    few = 2 <= len(distinct) <= _MOST_LABELS and _SEEN_THRICE * len(distinct) <= count
    return few and all(map(_is_short, distinct))


def _is_short(text: str) -> bool:
    return len(text) <= _SHORT and not text_problem(text) and text == text.strip()


def _is_calls(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(call, dict) and call.keys() == {"name", "arguments"} for call in value)
    )


def _json(text: str) -> Any:
    with suppress(StrictError):
        return json_values.read(text)
    return None


def _listed(counts: Counter[str]) -> str:
    shown = ", ".join(f"{plain(name, 40)} {count}" for name, count in counts.most_common(_NAMED))
    more = len(counts) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown
