"""What a task's graders know of an answer without an agreed one: its form, its closed values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.evaluation.graders import graders
from fftdeploy.evaluation.graders.proposed import schema_fields
from fftdeploy.formats.strict_json import MISSING, canonical, lookup, read_or
from fftdeploy.policy.grader_rules import GraderRules
from fftdeploy.policy.grader_types import LOOKUP, OF_WORDS

ANSWER = "answer"
"""Names the values of an answer that is one label or short text."""

MAX_CLOSED = 16
"""Fields whose values are told apart."""

_SHAPED = frozenset({"json_schema", "regex", "length"})
_MALFORMED = frozenset({"invalid", "unparsable"})


def compares(rule: GraderRules) -> bool:
    """Whether a grader holds an answer against the agreed one of the example."""
    return "reference" not in rule.options and rule.type not in _SHAPED


class AnswerForm:
    """Whether an answer has the form that is asked for, and the values it has of closed sets."""

    def __init__(self, rules: Sequence[GraderRules]) -> None:
        """Take the graders of a task; ConfigError where one needs what is not installed."""
        self._judges = []
        for rule in filter(_knows_form, rules):
            # What it may compare with where nothing was agreed on: of the right form.
            zero = "0" if rule.type == "number" else ""
            agreed = next(iter(rule.options.get("labels", ())), zero)
            self._judges.append((graders.build((rule,)), compares(rule), agreed))
        self._required = [
            path
            for rule in rules
            if rule.type == "json_fields"
            for path in rule.options.get("required", rule.fields)
        ]
        closed = dict.fromkeys(path for rule in rules for path in _closed(rule))
        self._closed = tuple(closed)[:MAX_CLOSED]

    def is_valid(self, text: str, schema: Mapping[str, Any] | None) -> bool:
        """Tell whether every grader that can tell so finds the form right; none is never right."""
        if not text:
            return False
        if self._required:
            value = read_or(text)
            if any(lookup(value, path) is MISSING for path in self._required):
                return False
        for judge, is_compared, agreed in self._judges:
            grade = judge.grade(text, Example("", (), agreed, response_schema=schema))
            if not grade.passed and (not is_compared or grade.reason in _MALFORMED):
                return False
        return True

    def values(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield the name of each closed set and the value of it that an answer has."""
        paths = [path for path in self._closed if path != ANSWER]
        if len(paths) < len(self._closed):
            yield ANSWER, text.strip()
        value = read_or(text) if paths else None
        if isinstance(value, dict | list):
            for path in paths:
                found = lookup(value, path)
                if found is MISSING:
                    found = "(none)"
                yield path, found if isinstance(found, str) else canonical(found)


def _knows_form(rule: GraderRules) -> bool:
    if "reference" in rule.options:
        return not LOOKUP.fullmatch(str(rule.options["reference"]))
    return rule.type in {*_SHAPED, "label", "number"}


def _closed(rule: GraderRules) -> Iterator[str]:
    """Yield where an answer may have one of a few values, as far as the grader says."""
    is_text = rule.type == "string_check" and compares(rule)
    if rule.type == "label" or (is_text and rule.options["operation"] == "eq"):
        yield ANSWER
    kinds: Mapping[str, Any] = rule.options.get("fields", {})
    yield from (path for path, kind in kinds.items() if kind["kind"] in OF_WORDS)
    for path, below in schema_fields(rule.options.get("schema", {})):
        if "enum" in below or below.get("type") == "boolean":
            yield path
