"""Counts what was answered where something else was agreed on, by field of few values."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from fftdeploy.evaluation.patterns.failure_reasons import is_long, parsed
from fftdeploy.evaluation.patterns.what_changed import NO_VALUE, ComparedField, value_of
from fftdeploy.evaluation.results import ExampleText

OTHER = "other"
_MOST_VALUES = 12
_OF_WORDS = frozenset({"exact", "casefold"})
"""Kinds of fields whose values are words or numbers, and may be few."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Of one field and one arm: how often each agreed value (row) got each answer (column).

    The columns are the agreed values, then anything else (`OTHER`), then `NO_VALUE`.
    """

    field: str
    arm: str
    values: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class Confusions:
    """Counts what was agreed and answered, an example at a time.

    A field gets a table where every agreed answer has it and they have 2 to 12 values in all.
    """

    def __init__(self, fields: Iterable[ComparedField], arms: Iterable[str]) -> None:
        self._arms = tuple(arms)
        self._agreed: dict[ComparedField, Counter[str]] = {
            field: Counter() for field in fields if field.kind in _OF_WORDS
        }
        self._pairs: Counter[tuple[ComparedField, str, str, str]] = Counter()

    def add(self, text: ExampleText) -> None:
        """Count one example."""
        if not self._agreed:
            return
        reference = parsed(text.reference)
        answers = [(arm, parsed(out)) for arm in self._arms for out in text.outputs.get(arm, ())]
        for field in list(self._agreed):
            value = value_of(reference, field)
            values = self._agreed[field]
            values[value] += 1
            if value == NO_VALUE or is_long(value) or len(values) > _MOST_VALUES:
                del self._agreed[field]
                continue
            for arm, answer in answers:
                self._pairs[field, arm, value, value_of(answer, field)] += 1

    def tables(self) -> list[Confusion]:
        """Return a table for each field and arm; the commonest agreed value first."""
        found = []
        for field, agreed in self._agreed.items():
            values = tuple(value for value, _ in agreed.most_common())
            if len(values) > 1:
                found += [self._table(field, arm, values) for arm in self._arms]
        return found

    def _table(self, field: ComparedField, arm: str, values: tuple[str, ...]) -> Confusion:
        columns = {value: number for number, value in enumerate(values)}
        columns[NO_VALUE] = len(values) + 1
        counts = [[0] * (len(values) + 2) for _ in values]
        for (of_field, of_arm, value, answer), n in self._pairs.items():
            if (of_field, of_arm) == (field, arm):
                counts[columns[value]][columns.get(answer, len(values))] += n
        return Confusion(field.name, arm, values, tuple(map(tuple, counts)))
