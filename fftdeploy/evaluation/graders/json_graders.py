"""Graders that read an answer as JSON.  `jsonschema` is imported when a schema is there."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from fftdeploy.api.answers import plain
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation import similarity
from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.evaluation.graders.grade import PASSED, Grade, Grader, failed, is_close
from fftdeploy.evaluation.graders.timebox import within
from fftdeploy.formats import strict_json
from fftdeploy.formats.strict_json import MISSING, StrictError, canonical, lookup
from fftdeploy.policy.gate_rules import exactly
from fftdeploy.policy.grader_types import EXACT, REFERENCES

MAX_SECONDS = 1.0
"""CPU time for one answer against one schema: its patterns are regular expressions."""

_REST = "what no field names"
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ].{1,30})?")
Kind = Mapping[str, Any]
"""A kind of `grader_types.KINDS` and its options."""


class _SchemaError(ValueError):
    """The schema can't be used; the text says why."""


@dataclass(frozen=True, slots=True)
class JsonSchema(Grader):
    """`json_schema`: JSON of the agreed shape, whatever it says."""

    def __post_init__(self) -> None:
        if "schema" in self.options:
            try:
                _validator(json.dumps(self.options["schema"]))
            except _SchemaError as error:
                what = f"grader '{plain(self.name, 60)}': its schema {error}"
                raise ConfigError(what, where=self.rules.where, code="schema") from None

    def grade(self, text: str, example: Example) -> Grade:
        """Validate against the grader's schema, or else that of the example."""
        schema = self.options.get("schema", example.response_schema)
        if schema is None:
            return failed("invalid", "there is no schema to validate against")
        try:
            value = strict_json.read(text)
        except StrictError as error:
            return failed("unparsable", str(error))
        try:
            validator = _validator(json.dumps(schema))
            fault = within(MAX_SECONDS, lambda: next(_faults(validator, value), ""))
        except (_SchemaError, TimeoutError) as error:
            return failed("invalid", f"the schema {error}")
        return failed("invalid", fault) if fault else PASSED

    def reference_problem(self, example: Example) -> str:
        """Say why the agreed answer does not have the shape, or what is wrong with the schema."""
        if "schema" not in self.options and example.response_schema is None:
            return "'response_schema' is missing, and the grader has no schema"
        return self.grade(example.reference, example).detail


@lru_cache(maxsize=256)
def _validator(text: str) -> Any:
    """Return a validator that fetches nothing, for a schema that is one."""
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    schema = json.loads(text)
    if any(not name.startswith("#") for name in _references(schema)):
        raise _SchemaError("refers to another document, and nothing is fetched")
    if not isinstance(schema.get("$schema", ""), str):
        raise _SchemaError("has a '$schema' that is no text")
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        within(MAX_SECONDS, lambda: kind.check_schema(schema))
    except SchemaError as error:
        raise _SchemaError(f"is not valid at {plain(error.json_path, 100)}") from None
    except TimeoutError as error:
        raise _SchemaError(str(error)) from None
    return kind(schema, registry=Registry())


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, below in value.items():
            if key in REFERENCES and isinstance(below, str):
                yield below
            yield from _references(below)
    elif isinstance(value, list):
        for below in value:
            yield from _references(below)


def _faults(validator: Any, value: Any) -> Iterator[str]:
    from referencing.exceptions import Unresolvable

    try:
        for error in validator.iter_errors(value):
            yield f"{plain(error.json_path, 100)} does not fit '{plain(str(error.validator), 40)}'"
    except Unresolvable:
        raise _SchemaError("refers to what is not in it") from None
    except re.error:
        raise _SchemaError("has a pattern that is no regular expression") from None
    except RecursionError:
        raise _SchemaError("never comes to an end") from None
    except (ArithmeticError, ValueError) as error:  # a number too large to be divided
        raise _SchemaError(f"can't be applied: {type(error).__name__}") from None


class JsonFields(Grader):
    """`json_fields`: each field as agreed, each in its own way, and with `rest` all else too."""

    __slots__ = ()

    def grade(self, text: str, example: Example) -> Grade:
        """Compare field by field; the score is the share of them that are as agreed.

        The rest counts as one more of them.  JSON without a required field that the reference has
        is of another shape: invalid.
        """
        paths, kinds = self.rules.fields, self.options["fields"]
        every = tuple(range(len(paths)))
        try:
            value, agreed = strict_json.read(text), strict_json.read(example.reference)
        except StrictError as error:
            return failed("unparsable", str(error), fields=every)
        if not isinstance(value, dict | list):
            return failed("invalid", "JSON, but no object", fields=every)
        found = [lookup(value, path) for path in paths]
        wrong = [
            index
            for index, path in enumerate(paths)
            if not _matches(kinds[path], lookup(agreed, path), found[index])
        ]
        has_rest = self.options.get("rest") == EXACT
        is_other = has_rest and self._rest(value) != self._rest(agreed)
        compared = len(every) + has_rest
        score = (compared - len(wrong) - is_other) / compared
        broken = [index for index in wrong if paths[index] in self._required]
        if not broken and not is_other:
            return Grade(passed=True, score=score, failed=tuple(wrong))
        lacks = any(found[index] is MISSING for index in broken)
        named = [plain(paths[index], 60) for index in broken] + [_REST] * is_other
        detail = f"not as agreed: {', '.join(named)}"
        return failed("invalid" if lacks else "wrong", detail, score, tuple(wrong))

    def reference_problem(self, example: Example) -> str:
        """Say what of the agreed answer can't be compared."""
        try:
            agreed = strict_json.read(example.reference)
        except StrictError as error:
            return f"no JSON to compare fields of: {error}"
        if not isinstance(agreed, dict | list):
            return "JSON, but no object with fields"
        for path in self.rules.fields:
            found = lookup(agreed, path)
            if found is MISSING and path in self._required:
                return f"the field '{plain(path, 60)}' is missing"
            if problem := _field_problem(self.options["fields"][path], found):
                return f"the field '{plain(path, 60)}' {problem}"
        return ""

    @property
    def _required(self) -> tuple[str, ...]:
        return tuple(self.options.get("required", self.rules.fields))

    def _rest(self, value: Any) -> str:
        """Write what no path names of a value that nobody else has, which loses the others."""
        for path in self.options["fields"]:
            strict_json.blank(value, path)
        return canonical(value)


def _matches(kind: Kind, reference: Any, value: Any) -> bool:
    """Say whether `value` is what was agreed on; both may be `MISSING`."""
    if reference is MISSING or value is MISSING:
        return reference is value
    way = _WAYS[kind["kind"]]
    agreed, said = way.read(reference), way.read(value)
    return agreed is not None and said is not None and way.is_same(kind, agreed, said)


def _field_problem(kind: Kind, reference: Any) -> str:
    """Say why nothing could match `reference`; "" if something can."""
    way = _WAYS[kind["kind"]]
    if reference is not MISSING and way.read(reference) is None:
        return f"must be {way.wanted}"
    try:
        if kind["kind"] == "text" and reference is not MISSING:
            similarity.words(reference)
    except similarity.TooLongError as error:
        return str(error)
    return ""


def _of(kind: type, made: Callable[[Any], object]) -> Callable[[Any], Any]:
    """Return what makes something of the values of a type, and None of others."""
    return lambda value: made(value) if isinstance(value, kind) else None


def _day(value: Any) -> date | None:
    """Return the day of an ISO date, or that which an ISO time was written with."""
    found = _DAY.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    try:
        datetime.fromisoformat(value)
        return date.fromisoformat(found[1])
    except ValueError:
        return None


def _exact_number(value: Any) -> Fraction | None:
    return exactly(value) if type(value) in {int, float} else None


def _is_near(kind: Kind, reference: Fraction, value: Fraction) -> bool:
    relative, tolerance = kind.get("relative", False), kind.get("tolerance", 0.0)
    return is_close(reference, value, tolerance, relative=relative)


def _is_alike(kind: Kind, reference: str, value: str) -> bool:
    try:
        return bool(similarity.rouge_l(reference, value) >= kind["threshold"])
    except similarity.TooLongError:
        return False


class _ValueKind(NamedTuple):
    """How values of a kind are compared."""

    wanted: str
    read: Callable[[Any], Any]
    """Returns what is compared of a value; None for one that can't be."""
    is_same: Callable[[Kind, Any, Any], bool] = lambda _kind, agreed, said: agreed == said


_WAYS = {
    "exact": _ValueKind("", canonical),
    "casefold": _ValueKind("a text", _of(str, lambda text: text.strip().casefold())),
    "number": _ValueKind("a number", _exact_number, _is_near),
    "date": _ValueKind("an ISO date, 2026-11-21", _day),
    "set": _ValueKind("an array", _of(list, lambda each: {*map(canonical, each)})),
    "list": _ValueKind("an array", _of(list, canonical)),
    "text": _ValueKind("a text", _of(str, str), _is_alike),
}
