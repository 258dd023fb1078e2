"""`[[tasks.TASK.gate.graders]]` of the policy: how answers are marked, as written.

A closed set of types with closed tables.  Nothing here names code.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fftdeploy import names
from fftdeploy.formats.document import Document, Path
from fftdeploy.formats.keys import Kind, Schema, content, read_keys
from fftdeploy.policy.grader_types import TYPES as PLAIN_TYPES
from fftdeploy.policy.grader_types import GraderType
from fftdeploy.policy.judges import JUDGES

TYPES: Mapping[str, GraderType] = {**PLAIN_TYPES, **JUDGES}

MAX_FIELDS = 64
"""A run keeps the failed fields of an answer as the bits of one number."""

_MAX_GRADERS = 32
_OTHER_TYPES = {
    "python": ("Python graders are not supported: nothing in this file is run", ""),
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

    @property
    def is_judge(self) -> bool:
        """Whether a model is asked for the grade."""
        return self.type in JUDGES


def field_names(graders: Sequence[GraderRules]) -> tuple[str, ...]:
    """Name the fields of all graders in order; after its grader where two have the same."""
    every = [path for rules in graders for path in rules.fields]
    return tuple(
        path if every.count(path) == 1 else f"{rules.name}: {path}"
        for rules in graders
        for path in rules.fields
    )


def parse_graders(doc: Document, path: Path, value: Any) -> tuple[GraderRules, ...]:
    """Read the array of graders at `path`; ConfigError, located, for all else."""
    tables = doc.array(value, path, "an array of tables")
    if not tables:
        raise doc.error(path, "'graders' is empty", 'add one with type = "string_check"')
    if len(tables) > _MAX_GRADERS:
        raise doc.error(path, f"more than {_MAX_GRADERS} graders")
    graders: list[GraderRules] = []
    for index, row in enumerate(tables):
        table = doc.table(row, (*path, index))
        rules = _grader(doc, (*path, index), table)
        if rules.name in {other.name for other in graders}:
            at = (*path, index, "name") if "name" in table else (*path, index)
            raise doc.error(at, f"two graders are called {rules.name!a}", 'add name = "..."')
        graders.append(rules)
    _check_judges(doc, path, graders)
    fields = field_names(graders)
    if len(fields) > MAX_FIELDS:
        raise doc.error(path, f"{len(fields)} fields are more than the {MAX_FIELDS} allowed")
    if len(set(fields)) != len(fields):
        raise doc.error(path, "two fields have the same name", "rename a grader")
    return tuple(graders)


def _check_judges(doc: Document, path: Path, graders: Sequence[GraderRules]) -> None:
    """Refuse several judges, whose errors nobody can tell apart, and one that is alone."""
    judges = [index for index, rules in enumerate(graders) if rules.is_judge]
    if len(judges) > 1:
        at = (*path, judges[1])
        raise doc.error(at, "a gate has one model judge at most", "ask for all in one prompt")
    if judges and len(graders) == 1:
        message = "a model judge is never the only grader: it can be talked into a pass"
        raise doc.error((*path, 0), message, 'add another one: type = "length", max_chars = 2000')


def _grader(doc: Document, path: Path, table: Mapping[str, Any]) -> GraderRules:
    kind = doc.string(table, path, "type")
    known = f"known here: {', '.join(sorted(TYPES))}"
    if kind in _OTHER_TYPES:
        message, code = _OTHER_TYPES[kind]
        raise doc.error((*path, "type"), message, known, code)
    if kind not in TYPES:
        hint = names.meant(kind, sorted(TYPES), known)
        raise doc.error((*path, "type"), f"there is no grader {kind[:80]!a}", hint)
    form = TYPES[kind]
    for word in table:
        if word not in form.every_key and _CODE_KEYS.fullmatch(word.lower()):
            problem = f"{word!a}: a grader can't name code, or a template"
            raise doc.error((*path, word), problem, "remove it")
    said = read_keys(doc, path, table, form.every_key)
    form.check(doc, path, said)
    options = {
        key: content(said[key])
        for key, declared in form.keys.items()
        if key in said and said[key] != declared.default
    }
    where = doc.place((*path, "schema")) if "schema" in table else ""
    return GraderRules(kind, said.get("name", kind), options, where)


_ONE: Schema = {
    "oneOf": [kind.schema(name) for name, kind in TYPES.items()],
    "description": "One grader.",
}
GRADERS = Kind(parse_graders, {"type": "array", "items": _ONE, "minItems": 1})
