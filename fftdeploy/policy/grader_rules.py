"""`[[tasks.TASK.gate.graders]]` of the policy: how answers are marked, as written.  Pure.

A closed set of types with closed tables.  Nothing here names code or holds a template: the one
form of `{{...}}` that is read is a lookup that stands alone.
"""

import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from fftdeploy import names
from fftdeploy.formats import document
from fftdeploy.formats.document import Document

MAX_FIELDS = 64
"""A run keeps the failed fields of an answer as the bits of one number."""

OUTPUT = re.compile(r"\{\{\s*sample\.output_text\s*\}\}")
LOOKUP = re.compile(r"\{\{\s*item\.([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\s*\}\}")
KINDS = ("exact", "casefold", "number", "date", "set", "list", "text", "ignore")
_MAX_PATTERN = 1000
_MAX_GRADERS = 32
OPERATIONS = {"eq": "eq", "ne": "ne", "neq": "ne", "like": "like", "ilike": "ilike"}
METRICS = ("rouge_l", "token_f1", "fuzzy_match")
_OTHER_METRICS = {
    "cosine": "it needs a paid embedding of each answer",
    "bleu": "it is meant for whole corpora and misleads on one answer",
    "gleu": "it is meant for whole corpora and misleads on one answer",
    "meteor": "it needs a dictionary of English",
    **dict.fromkeys((f"rouge_{n}" for n in range(1, 6)), "it ignores the order of what it counts"),
}
_OTHER_TYPES = {
    "python": ("Python graders are not supported: nothing in this file is run", ""),
    "score_model": ("model judges are not in this version of fftdeploy", "later"),
    "label_model": ("model judges are not in this version of fftdeploy", "later"),
    "multi": ("'multi' is not supported: an example passes when every grader passes", ""),
    "endpoint": ("graders behind an address are not supported", ""),
}
_CODE_KEYS = re.compile(
    r"(source|module|modules|function|func|callable|class|code|image_tag|jinja2?|format|shell|"
    r"calculate_output|templates?|scripts?|python|commands?|cmd|exec|plugins?)"
)


@dataclass(frozen=True, slots=True)
class GraderRules:
    """One grader.  `options` has what its type needs, checked; what is not said is not in it."""

    type: str
    name: str
    options: Mapping[str, Any]
    where: str = field(default="", compare=False)
    """Place of the schema, for what is found out only when that is used; "" without one."""

    @property
    def content(self) -> dict[str, Any]:
        """Return what decides a grade, as JSON has it."""
        return {"type": self.type, "name": self.name, **self.options}

    @property
    def fields(self) -> tuple[str, ...]:
        """Paths of the fields that are compared one by one, as written; most types have none."""
        kinds: Mapping[str, Any] = self.options.get("fields", {})
        return tuple(path for path, kind in kinds.items() if kind["kind"] != "ignore")


def field_names(graders: Sequence[GraderRules]) -> tuple[str, ...]:
    """Name the fields of all graders in order; after its grader where two have the same."""
    every = [path for rules in graders for path in rules.fields]
    return tuple(
        path if every.count(path) == 1 else f"{rules.name}: {path}"
        for rules in graders
        for path in rules.fields
    )


def parse_graders(doc: Document, path: document.Path, value: Any) -> tuple[GraderRules, ...]:
    """Read the array of graders at `path`.

    Raises:
        ConfigError: Located at whatever is not understood, or would have to be run.
    """
    tables = doc.array(value, path, "an array of tables")
    if not tables:
        raise doc.error(path, "'graders' is empty", 'add one with type = "string_check"')
    if len(tables) > _MAX_GRADERS:
        raise doc.error(path, f"more than {_MAX_GRADERS} graders")
    graders: list[GraderRules] = []
    for index, table in enumerate(tables):
        rules = _grader(_Table(doc, doc.table(table, (*path, index)), (*path, index)))
        if rules.name in {other.name for other in graders}:
            at = (*path, index, "name") if "name" in table else (*path, index)
            raise doc.error(at, f"two graders are called {rules.name!a}", 'add name = "..."')
        graders.append(rules)
    fields = field_names(graders)
    if len(fields) > MAX_FIELDS:
        raise doc.error(path, f"{len(fields)} fields are more than the {MAX_FIELDS} allowed")
    if len(set(fields)) != len(fields):
        raise doc.error(path, "two fields have the same name", "rename a grader")
    return tuple(graders)


class _Table:
    """A grader's table on its way into options, each fault with its place."""

    def __init__(self, doc: Document, table: Mapping[str, Any], path: document.Path) -> None:
        self.doc, self.table, self.path = doc, table, path

    def closed(self, known: Iterable[str]) -> None:
        known = {"type", "name", *known}
        for key in self.table:
            if key not in known and _CODE_KEYS.fullmatch(key.lower()):
                self.fail(key, f"{key!a}: a grader can't name code, or a template", "remove it")
        self.doc.closed(self.table, self.path, known)

    def fail(self, key: str, message: str, hint: str = "", code: str = "") -> NoReturn:
        place = (*self.path, key) if key in self.table else self.path
        raise self.doc.error(place, message, hint, code)

    def string(self, key: str) -> str:
        return self.doc.string(self.table, self.path, key)

    def choice(self, key: str, choices: Iterable[str]) -> str:
        value = self.string(key)
        if value not in choices:
            near = names.nearest(value, list(choices))
            named = " or ".join(f'"{choice}"' for choice in choices)
            self.fail(key, f"{key!r} is {named}", f"did you mean {near!r}?" if near else "")
        return value

    def flag(self, key: str) -> dict[str, Any]:
        value = self.table.get(key, False)
        if type(value) is not bool:
            raise self.doc.wrong_type((*self.path, key), value, "true or false")
        return {key: True} if value else {}

    def number(self, key: str, low: float, high: float) -> float:
        value = self.table[key]
        if type(value) not in {int, float}:
            raise self.doc.wrong_type((*self.path, key), value, "a number")
        if not low <= value <= high:  # NaN is in no range
            self.fail(key, f"{key!r} must be from {low:g} to {high:g}")
        return float(value)

    def tolerance(self, key: str) -> dict[str, Any]:
        found = self.number(key, 0.0, 1e15) if key in self.table else 0.0
        relative = self.flag("relative")
        return {"tolerance": found, **relative} if found else {}


def _grader(table: _Table) -> GraderRules:
    kind = table.string("type")
    if kind in _OTHER_TYPES:
        message, code = _OTHER_TYPES[kind]
        table.fail("type", message, f"known here: {', '.join(sorted(_PARSERS))}", code)
    if kind not in _PARSERS:
        near = names.nearest(kind, sorted(_PARSERS))
        hint = f"did you mean {near!r}?" if near else f"known here: {', '.join(sorted(_PARSERS))}"
        table.fail("type", f"there is no grader {kind[:80]!a}", hint)
    keys, parse = _PARSERS[kind]
    table.closed(keys)
    name = kind
    if "name" in table.table:
        name = table.doc.line_of_text(table.table, table.path, "name")
    where = table.doc.place((*table.path, "schema")) if "schema" in table.table else ""
    return GraderRules(kind, name, parse(table), where)


def _compared(table: _Table) -> dict[str, Any]:
    """Read OpenAI's `input` and `reference`, of which only what needs no template is taken."""
    if "input" in table.table and not OUTPUT.fullmatch(table.string("input")):
        table.fail(
            "input",
            "templates are not supported: 'input' is the whole output",
            'write input = "{{sample.output_text}}", or leave it out',
        )
    if "reference" not in table.table:
        return {}
    reference = table.string("reference")
    marked = "{{" in reference or "{%" in reference
    if marked and not LOOKUP.fullmatch(reference):
        table.fail(
            "reference",
            "templates are not supported: 'reference' is a text, or one lookup",
            'write "{{item.KEY}}", or leave it out for the reference of the example',
        )
    if not reference:
        table.fail("reference", "'reference' is empty", "leave it out for that of the example")
    return {"reference": reference}


def _string_check(table: _Table) -> dict[str, Any]:
    operation = OPERATIONS[table.choice("operation", OPERATIONS)]
    return {"operation": operation, **_compared(table)}


def _text_similarity(table: _Table) -> dict[str, Any]:
    metric = table.string("evaluation_metric")
    if metric in _OTHER_METRICS:
        table.fail(
            "evaluation_metric",
            f"{metric!r} is not supported: {_OTHER_METRICS[metric]}",
            'use "rouge_l" where the order of words counts, "token_f1" where it does not',
        )
    table.choice("evaluation_metric", METRICS)
    if "pass_threshold" not in table.table:
        table.fail("pass_threshold", "'pass_threshold' is missing", "add pass_threshold = 0.8")
    threshold = table.number("pass_threshold", 0.0, 1.0)
    if not threshold:
        table.fail("pass_threshold", "every answer reaches a 'pass_threshold' of 0")
    return {"evaluation_metric": metric, "pass_threshold": threshold, **_compared(table)}


def _json_schema(table: _Table) -> dict[str, Any]:
    if "schema" not in table.table:
        return {}
    schema = table.doc.table(table.table["schema"], (*table.path, "schema"))
    _refuse_untold(table.doc, schema, (*table.path, "schema"))
    return {"schema": schema}


def _refuse_untold(doc: Document, value: Any, path: document.Path) -> None:
    """Refuse what JSON can't say, and a reference that would have to be fetched."""
    if isinstance(value, dict):
        for key, below in value.items():
            if key in REFERENCES and isinstance(below, str) and not below.startswith("#"):
                raise doc.error(
                    (*path, key),
                    f"{key!r} leads out of the schema: nothing is fetched",
                    "copy what it names into $defs",
                )
            _refuse_untold(doc, below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            _refuse_untold(doc, below, (*path, index))
    elif not isinstance(value, str | int | float) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        raise doc.error(path, f"{document.toml_type(value)} of this value can't be JSON")


REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
"""Keys of a JSON Schema that name another; only parts of the same document are looked up."""


def _json_fields(table: _Table) -> dict[str, Any]:
    doc, place = table.doc, (*table.path, "fields")
    if "fields" not in table.table:
        table.fail("fields", "'fields' is missing", 'add fields = { name = "exact" }')
    fields = doc.table(table.table["fields"], place, "a table of path = kind")
    kinds = {path: _kind(doc, (*place, path), path, value) for path, value in fields.items()}
    compared = [path for path, kind in kinds.items() if kind["kind"] != "ignore"]
    if not compared:
        raise doc.error(place, "'fields' compares nothing", 'add fields = { name = "exact" }')
    if "required" not in table.table:
        return {"fields": kinds}
    required = doc.array(table.table["required"], (*table.path, "required"), "an array of paths")
    for index, path in enumerate(required):
        if path not in compared:
            near = names.nearest(path, compared) if isinstance(path, str) else ""
            hint = f"did you mean {near!r}?" if near else f"known here: {', '.join(compared)}"
            at = (*table.path, "required", index)
            raise doc.error(at, "'required' names no field that is compared", hint)
    if not required:
        table.fail("required", "'required' is empty: every answer would pass")
    every = set(required) == set(compared)
    return {"fields": kinds} if every else {"fields": kinds, "required": sorted(set(required))}


def _kind(doc: Document, place: document.Path, path: str, value: Any) -> dict[str, Any]:
    if document.text_problem(path) or "" in path.split("."):
        raise doc.error(place, f"{path[:80]!a} is not a path: write a.b.c")
    if isinstance(value, str):
        if value == "text":
            raise doc.error(place, "'text' needs a threshold", "write { text = 0.8 }")
        if value not in KINDS:
            near = names.nearest(value, list(KINDS))
            hint = f"did you mean {near!r}?" if near else f"known here: {', '.join(KINDS)}"
            raise doc.error(place, f"{value[:80]!a} is no kind of field", hint)
        return {"kind": value}
    table = _Table(doc, doc.table(value, place, 'a kind such as "exact", or a table'), place)
    if len({"number", "text"} & table.table.keys()) != 1 or any(
        isinstance(below, dict | str) for below in table.table.values()
    ):
        hint = 'a path is one quoted key: "a.b" = "exact"'
        raise doc.error(place, "a kind with options is { number = 0.01 } or { text = 0.8 }", hint)
    if "text" in table.table:
        doc.closed(table.table, place, ("text",))
        return {"kind": "text", "threshold": table.number("text", 0.01, 1.0)}
    doc.closed(table.table, place, ("number", "relative"))
    return {"kind": "number", **table.tolerance("number")}


def _regex(table: _Table) -> dict[str, Any]:
    pattern = table.string("pattern")
    problem = ""
    if not 1 <= len(pattern) <= _MAX_PATTERN:
        problem = f"must be 1 to {_MAX_PATTERN} characters"
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # what Python may soon read in another way
                re.compile(pattern)
        except (re.error, OverflowError, RecursionError, Warning) as error:
            problem = f"is not a regular expression: {str(error)[:80]}"
    if problem:
        table.fail("pattern", f"'pattern' {problem}", "Python's syntax, in '...' quotes")
    found = table.choice("match", ("full", "search")) if "match" in table.table else "full"
    match = {} if found == "full" else {"match": found}
    return {"pattern": pattern, **match, **table.flag("ignore_case")}


def _number(table: _Table) -> dict[str, Any]:
    return table.tolerance("tolerance")


LIMITS = ("min_chars", "max_chars", "min_words", "max_words")


def _length(table: _Table) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for key in LIMITS:
        if key in table.table:
            value = table.table[key]
            if type(value) is not int:
                raise table.doc.wrong_type((*table.path, key), value, "an integer")
            if not 0 <= value <= 1_000_000:
                table.fail(key, f"{key!r} must be from 0 to 1,000,000")
            limits[key] = value
    if not limits:
        table.fail("", "'length' has no limit", "add max_chars = 500")
    for unit in ("chars", "words"):
        if limits.get(f"min_{unit}", 0) > limits.get(f"max_{unit}", math.inf):
            table.fail(f"min_{unit}", f"'min_{unit}' is more than 'max_{unit}'")
    return limits


def _label(table: _Table) -> dict[str, Any]:
    place = (*table.path, "labels")
    if "labels" not in table.table:
        table.fail("labels", "'labels' is missing", 'add labels = ["yes", "no"]')
    labels = table.doc.array(table.table["labels"], place, "an array of strings")
    if len(labels) < 2:
        raise table.doc.error(place, "'labels' must name at least two")
    flag = table.flag("ignore_case")
    seen: set[str] = set()
    for index, label in enumerate(labels):
        if type(label) is not str:
            raise table.doc.wrong_type((*place, index), label, "a string")
        if problem := document.text_problem(label):
            raise table.doc.error((*place, index), f"a label {problem}")
        if label != label.strip():
            raise table.doc.error((*place, index), "a label has spaces around it")
        key = label.casefold() if flag else label
        if key in seen:
            raise table.doc.error((*place, index), f"the label {label[:80]!a} is there twice")
        seen.add(key)
    return {"labels": list(labels), **flag}


_COMPARED = ("input", "reference")
_PARSERS: dict[str, tuple[tuple[str, ...], Callable[[_Table], dict[str, Any]]]] = {
    "string_check": (("operation", *_COMPARED), _string_check),
    "text_similarity": (("evaluation_metric", "pass_threshold", *_COMPARED), _text_similarity),
    "json_schema": (("schema",), _json_schema),
    "json_fields": (("fields", "required"), _json_fields),
    "regex": (("pattern", "match", "ignore_case"), _regex),
    "number": (("tolerance", "relative"), _number),
    "length": (LIMITS, _length),
    "label": (("labels", "ignore_case"), _label),
}
