"""Counts what was answered where something else was agreed on, by field of few values."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fftdeploy.evaluation.texts import ExampleText
from fftdeploy.formats import strict_json

WHOLE = ""
"""The field that is the whole answer, where what was agreed is a label and not JSON."""
NO_VALUE, OTHER = "no value", "other"
_MOST_VALUES = 12
_LONGEST_VALUE = 60


@dataclass(frozen=True, slots=True)
class Confusion:
    """Of one field and one arm: how often each agreed value (row) got each answer (column).

    The columns are the agreed values, then anything else (`OTHER`), then `NO_VALUE`.
    """

    field: str
    arm: str
    values: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class Asked(NamedTuple):
    """A field to look at: its name in the results, its path in the answer, how it is compared."""

    name: str
    path: str
    ignores_case: bool


def asked(graders: Iterable[Mapping[str, Any]], names: Sequence[str]) -> list[Asked]:
    """Return the whole answer, and those of the fields `names` that `graders` compare as words.

    A field is found by its name: evidence has the keys of its graders in another order.
    """
    graders = list(graders)
    compared = [
        (grader.get("name"), path, kind.get("kind"))
        for grader in graders
        for path, kind in grader.get("fields", {}).items()
        if kind.get("kind") != "ignore"
    ]
    often = Counter(path for _, path, _ in compared)
    kinds = {
        path if often[path] == 1 else f"{grader}: {path}": (path, kind)
        for grader, path, kind in compared
    }
    whole = any(grader.get("type") == "label" and grader.get("ignore_case") for grader in graders)
    found = [(name, *kinds[name]) for name in names if name in kinds]
    return [
        Asked(WHOLE, "", whole),
        *(
            Asked(name, path, kind == "casefold")
            for name, path, kind in found
            if kind in {"exact", "casefold"}
        ),
    ]


class Confusions:
    """Counts what was agreed and answered, an example at a time.

    A field gets a table where every agreed answer has it and they have 2 to 12 values in all.
    """

    def __init__(self, fields: Iterable[Asked], arms: Iterable[str]) -> None:
        self._arms = tuple(arms)
        self._agreed: dict[Asked, Counter[str]] = {field: Counter() for field in fields}
        self._pairs: Counter[tuple[Asked, str, str, str]] = Counter()

    def add(self, text: ExampleText) -> None:
        """Count one example."""
        if not self._agreed:
            return
        reference = _parsed(text.reference)
        answers = [(arm, _parsed(out)) for arm in self._arms for out in text.outputs.get(arm, ())]
        for field in list(self._agreed):
            value = _value(reference, field)
            values = self._agreed[field]
            values[value] += 1
            if value == NO_VALUE or len(value) > _LONGEST_VALUE or len(values) > _MOST_VALUES:
                del self._agreed[field]
                continue
            for arm, answer in answers:
                self._pairs[field, arm, value, _value(answer, field)] += 1

    def tables(self) -> list[Confusion]:
        """Return a table for each field and arm; the commonest agreed value first."""
        found = []
        for field, agreed in self._agreed.items():
            values = tuple(value for value, _ in agreed.most_common())
            if len(values) > 1:
                found += [self._table(field, arm, values) for arm in self._arms]
        return found

    def _table(self, field: Asked, arm: str, values: tuple[str, ...]) -> Confusion:
        columns = {value: number for number, value in enumerate(values)}
        columns[NO_VALUE] = len(values) + 1
        counts = [[0] * (len(values) + 2) for _ in values]
        for (of_field, of_arm, value, answer), n in self._pairs.items():
            if (of_field, of_arm) == (field, arm):
                counts[columns[value]][columns.get(answer, len(values))] += n
        return Confusion(field.name, arm, values, tuple(map(tuple, counts)))


def _value(parsed: Mapping[str, Any] | str, field: Asked) -> str:
    found: Any = parsed
    for key in field.path.split(".") if field.path else ():
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, dict | list) or found is None or found == "":
        return NO_VALUE
    text = found.strip() if isinstance(found, str) else strict_json.dumps(found)
    return text.casefold() if field.ignores_case else text


def _parsed(text: str) -> dict[str, Any] | str:
    """Return the JSON object that `text` is, or the text."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        value = strict_json.loads(text)
    except strict_json.StrictError:
        return text
    return value if isinstance(value, dict) else text
