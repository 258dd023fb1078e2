"""Kinds of values that keys of files have."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from fftdeploy import names
from fftdeploy.formats.document import Document, Path, text_problem
from fftdeploy.formats.keys import Kind, Schema
from fftdeploy.times import duration

NAMES = "^(?!(version|model|job|rollback|adopt)$)[a-z0-9][a-z0-9_-]{0,62}$"
_NO_MODEL = "ftjob-|ftckpt_|file-|batch_"
_OPENAIS = rf"^(?!{_NO_MODEL})[A-Za-z0-9][A-Za-z0-9._:-]{{0,255}}$"
_MODELS = rf"^(?!{_NO_MODEL}|.*//|.*/$|.*/\.\.(/|$))[A-Za-z0-9][A-Za-z0-9._:#/+-]{{0,255}}$"
_LINES: Schema = {"minLength": 1, "maxLength": 500, "pattern": r"^[^\x00-\x1f\x7f]*$"}


def key_of(path: Path) -> str:
    """Name the key at `path`, or the array that it is an entry of."""
    key = next(part for part in reversed(path) if isinstance(part, str))
    return f"{key!r}" if path[-1] == key else f"an entry of {key!r}"


def of_type(*types: type, wanted: str) -> Callable[[Document, Path, Any], Any]:
    """Return a reader of values of exactly these types: `true` is no integer."""

    def read(doc: Document, path: Path, value: Any) -> Any:
        if type(value) not in types:
            raise doc.wrong_type(path, value, wanted)
        return value

    return read


_text, _whole = of_type(str, wanted="a string"), of_type(int, wanted="an integer")
_moment = of_type(datetime, wanted="a time")
FLAG = Kind(of_type(bool, wanted="true or false"), {"type": "boolean"})
DAY = Kind(
    of_type(date, wanted="a day such as 2026-12-20"),
    {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$", "format": "date"},
    "2026-12-20",
)


def _read_time(doc: Document, path: Path, value: Any) -> datetime:
    moment: datetime = _moment(doc, path, value)
    if moment.tzinfo is None:
        hint = f"write {moment.isoformat()}Z for UTC"
        raise doc.error(path, f"{path[-1]!r} has no offset", hint)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise doc.error(path, f"{path[-1]!r} is outside the calendar in UTC") from None


TIME = Kind(
    _read_time,
    {
        "type": "string",
        "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$",
        "format": "date-time",
    },
    "2026-11-21T08:30:00Z",
)
"""A time with an offset, read into UTC."""
STRING = Kind(_text, {"type": "string"}, '"..."')


def text(
    problem: Callable[[str], str],
    subject: Literal["", "key", "value"] = "",
    *,
    hint: str = "",
    wanted: str = "a string",
    **schema: Any,
) -> Kind:
    """Return the kind of strings without a `problem`, a sentence that `subject` stands before.

    `wanted` is what should stand where another type does, `schema` what JSON Schema says.
    """
    is_text = of_type(str, wanted=wanted)

    def read(doc: Document, path: Path, value: Any) -> Any:
        if found := problem(is_text(doc, path, value)):
            named = {"": "", "key": f"{key_of(path)} ", "value": f"{value[:80]!a} "}[subject]
            raise doc.error(path, f"{named}{found}", hint)
        return value

    return Kind(read, {"type": "string", **schema}, '"..."')


def matching(
    pattern: str, problem: str, subject: Literal["key", "value"], *, hint: str = ""
) -> Kind:
    """Return the kind of strings that `pattern` matches as a whole; `problem` is said of others."""
    like = re.compile(pattern)
    return text(
        lambda value: "" if like.fullmatch(value) else problem,
        subject,
        hint=hint,
        pattern=f"^{pattern}$",
    )


LINE = text(text_problem, "key", **_LINES)
NAME = text(names.name_problem, pattern=NAMES)
MODEL = text(lru_cache(maxsize=1024)(names.model_problem), pattern=_MODELS)
"""A model of any host; where a table names the host too, `require_hosted` holds it to that."""
HOSTED: Schema = {
    "if": {"properties": {"provider": {"const": names.OPENAI}}},
    "then": {"properties": {"model": {"pattern": _OPENAIS}}},
}
"""How JSON Schema says what `require_hosted` does: a table without a provider is OpenAI's."""


def require_hosted(doc: Document, path: Path, said: dict[str, Any]) -> None:
    """Refuse a model's ID that its provider, OpenAI where none is said, cannot have."""
    provider = said.get("provider", names.OPENAI)
    if provider == names.OPENAI and (problem := names.model_problem(said["model"], provider)):
        raise doc.error((*path, "model"), problem, 'name its host: provider = "NAME"')


def choice(choices: Sequence[str]) -> Kind:
    """Return the kind of strings that are one of `choices`."""
    named = " or ".join(f'"{each}"' for each in choices)

    def read(doc: Document, path: Path, value: Any) -> Any:
        if _text(doc, path, value) not in choices:
            raise doc.error(path, f"{key_of(path)} is {named}", names.meant(value, choices))
        return value

    return Kind(read, {"enum": list(choices)}, f'"{choices[0]}"')


def number(said: str = "", *, wanted: str = "a number", hint: str = "", **ends: float) -> Kind:
    """Return the kind of numbers between `ends`, which are called as in JSON Schema.

    `said` is the range in words, where its ends are not the best ones.
    """
    said = said or _range(ends)
    is_number = of_type(int, float, wanted=wanted)

    def read(doc: Document, path: Path, value: Any) -> float:
        is_number(doc, path, value)
        if not all(_ENDS[end][1](value, limit) for end, limit in ends.items()):  # no NaN is
            raise doc.error(path, f"{path[-1]!r} must be {said}", hint)
        return float(value)

    return Kind(read, {"type": "number", **ends})


_ENDS = {
    "minimum": ("at least", operator.ge),
    "exclusiveMinimum": ("more than", operator.gt),
    "maximum": ("at most", operator.le),
    "exclusiveMaximum": ("below", operator.lt),
}


def _range(ends: dict[str, float]) -> str:
    if ends.keys() == {"minimum", "maximum"}:
        return f"from {ends['minimum']:g} to {ends['maximum']:g}"
    return " and ".join(f"{_ENDS[end][0]} {limit:g}" for end, limit in ends.items())


def whole(least: int, most: int, said: str = "") -> Kind:
    """Return the kind of integers in a range; `said` is its words, where they are not its ends."""
    said = said or f"from {least} to {most:,}"

    def read(doc: Document, path: Path, value: Any) -> int:
        if not least <= _whole(doc, path, value) <= most:
            raise doc.error(path, f"{path[-1]!r} must be {said}, not {str(value)[:20]}")
        return int(value)

    return Kind(read, {"type": "integer", "minimum": least, "maximum": most})


def span(*examples: str) -> Kind:
    """Return the kind of durations, such as `examples`."""
    such = " or ".join(f'"{each}"' for each in examples)
    is_text = of_type(str, wanted=f"a duration such as {such}")

    def read(doc: Document, path: Path, value: Any) -> timedelta:
        found = duration(is_text(doc, path, value))
        if found is None:
            raise doc.error(path, f"{path[-1]!r} must be a duration such as {such}")
        return found

    return Kind(read, {"type": "string", "pattern": "^[1-9][0-9]{0,5}[smhdw]$"})


def many(
    each: Kind,
    means: str,
    what: str,
    *,
    unique: str = "",
    least: tuple[int, str] = (0, ""),
    hint: str = "",
) -> Kind:
    """Return the kind of arrays of `each`; an editor shows what one `means`.

    `what` the array is has an article.  Where no entry may be there twice, `unique` is what one
    is called.  `least` is the fewest entries, and what is said of fewer behind the key.
    """

    def read(doc: Document, path: Path, value: Any) -> tuple[Any, ...]:
        rows = doc.array(value, path, what)
        if len(rows) < least[0]:
            raise doc.error(path, f"{path[-1]!r} {least[1]}", hint)
        made = tuple(each.read(doc, (*path, index), row) for index, row in enumerate(rows))
        if unique and len(set(made)) != len(made):
            raise doc.error(path, f"{path[-1]!r} names {unique} twice")
        return made

    schema: Schema = {"type": "array", "items": {**each.schema, "description": means}}
    schema |= {"minItems": least[0]} if least[0] else {}
    return Kind(read, schema | ({"uniqueItems": True} if unique else {}))


def by_name(each: Kind, means: str, named: Kind = NAME) -> Kind:
    """Return the kind of tables whose keys are `named`, and whose values are all of one kind."""

    def read(doc: Document, path: Path, value: Any) -> dict[str, Any]:
        return {
            named.read(doc, (*path, name), name): each.read(doc, (*path, name), row)
            for name, row in doc.table(value, path).items()
        }

    described = {named.schema["pattern"]: {**each.schema, "description": means}}
    schema = {"type": "object", "patternProperties": described, "additionalProperties": False}
    return Kind(read, schema)


def _version(doc: Document, _: Path, value: Any) -> int:
    doc.version()
    return int(value)


VERSION = Kind(_version, {"const": 1, "type": "integer"})


def everything_in(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Yield a value and all that stands below it, each with its path."""
    yield path, value
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, below in pairs:
            yield from everything_in(below, (*path, key))


def is_json(value: Any) -> bool:
    """Tell whether JSON has such values: no dates, and no numbers that are not finite."""
    try:
        return isinstance(value, str | dict | list) or (
            isinstance(value, int | float) and math.isfinite(value)
        )
    except OverflowError:  # an integer that is more than any float
        return False
