"""Finds what changed from the live model's answers to the candidate's, as patterns with an example.

All of it is counted, and known without asking anybody: which value of a field became which, and why
answers have not the agreed shape.  Where the outputs are gone only the marks of the answers are
left, which evidence keeps.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fftdeploy.evaluation.arms import CANDIDATE, LIVE
from fftdeploy.evaluation.gate.wording import REASONS
from fftdeploy.evaluation.outputs import tool_calls
from fftdeploy.evaluation.patterns.failure_reasons import is_long, parsed, reason
from fftdeploy.evaluation.results import MARKS, PASS, ExampleText, Results, Sample
from fftdeploy.formats import strict_json
from fftdeploy.formats.strict_json import lookup

WHOLE = ""
"""The field that is the whole answer, where what was agreed is a label or a text and not JSON."""
NO_VALUE = "no value"
ANOTHER = "another value"
"""What a value became where hardly two became the same."""
AGREED = "agreed"
"""What the candidate is held against where nothing else is live, or it has nothing right."""

MOST_CHARACTERS = 2_000
"""Of each text of an example; `…` stands for the rest."""
_MOST_PAIRS = 1_000
"""Pairs of values that are told apart: beyond, they are hardly patterns."""
_MOST_SINGLE = 3
"""So many pairs of a field that came once are shown; more of them are `ANOTHER`."""


@dataclass(frozen=True, slots=True)
class ChangedExample:
    """One example of a pattern.  Untrusted; each text has at most `MOST_CHARACTERS` of its own."""

    id: str
    input: str
    agreed: str
    old: str
    """What live answered; "" where there is no answer of its."""
    new: str


@dataclass(frozen=True, slots=True)
class Shift:
    """In how many examples one value of a field became another one from live to the candidate.

    Examples count in which one of the two is not as agreed; with repeats, in one of them.
    """

    field: str
    """"" is the whole answer."""
    old: str
    new: str
    count: int
    broke: int
    """Of these: right before, wrong now."""
    fixed: int
    example: ChangedExample


@dataclass(frozen=True, slots=True)
class FailureCause:
    """How many answers of one model failed for one reason."""

    arm: str
    mark: str
    """A mark of `results.MARKS`."""
    why: str
    count: int
    answers: int
    """Of so many."""
    example: ChangedExample
    """Without its texts where the outputs are gone."""


@dataclass(frozen=True, slots=True)
class WhatChanged:
    """The patterns, each kind in the order of their counts."""

    shifts: tuple[Shift, ...]
    causes: tuple[FailureCause, ...]
    against: str
    """What the old values are: those of `live`, or what was `agreed`."""
    outputs_gone: str
    """Why there are marks only; "" where the outputs were read."""


class ComparedField(NamedTuple):
    """A field to look at: its name in the results, its path in the answer, how it is compared."""

    name: str
    path: str
    kind: str = "exact"
    """Of `grader_types.KINDS`."""


def compared_fields(
    graders: Iterable[Mapping[str, Any]], names: Sequence[str]
) -> list[ComparedField]:
    """Return the whole answer, and the fields `names` of `graders` with how they are compared.

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
        ComparedField(WHOLE, "", "casefold" if whole else "exact"),
        *(ComparedField(*each) for each in found),
    ]


def value_of(parsed: Any, field: ComparedField) -> str:
    """Return the value of a field in a parsed answer, `NO_VALUE` where there is none."""
    if not field.path:
        return _text(None if isinstance(parsed, dict | list) else parsed, field.kind)
    return _text(lookup(parsed, field.path), field.kind)


def _text(value: Any, kind: str = "") -> str:
    if value is strict_json.MISSING or value is None or value == "":
        return NO_VALUE
    text = value.strip() if isinstance(value, str) else strict_json.dumps(value)
    return text.casefold() if kind == "casefold" else text


def compared_arms(results: Results) -> list[str]:
    """Return the arms whose answers are looked at: what is live, where it was asked, first."""
    return [arm for arm in (LIVE, CANDIDATE) if arm in results.arms]


_ALL_BROKE = 2


@dataclass(slots=True)
class _Tally:
    example: ChangedExample
    rank: int
    """How well the example shows it: 1 if the value got wrong, `_ALL_BROKE` if the example did."""
    count: int = 0
    broke: int = 0
    fixed: int = 0


_Key = tuple[str, str, str]


class Patterns:
    """Counts what changed, an example at a time."""

    def __init__(self, results: Results, graders: Iterable[Mapping[str, Any]]) -> None:
        """Take how the answers were graded, and by what."""
        self._results = results
        self._place = {example_id: place for place, example_id in enumerate(results.ids)}
        self._whole, *self._named = compared_fields(graders, results.fields)
        self._shifts: dict[_Key, _Tally] = {}
        self._causes: dict[_Key, _Tally] = {}
        self._arms = compared_arms(results)
        self._unlike = results.unlike(self._arms)
        passes_some = results.arms[CANDIDATE].count(PASS) > 0
        self._against = LIVE if LIVE in self._arms and passes_some else AGREED

    def add(self, text: ExampleText) -> None:
        """Count one example, unless all of it is as agreed."""
        if text.id not in self._unlike:
            return
        place = self._place[text.id]
        samples = {arm: [*self._results.samples(arm, place)] for arm in self._arms}
        agreed = parsed(text.reference)
        shifts: dict[_Key, _Tally] = {}
        for repeat, grades in enumerate(zip(*samples.values(), strict=True)):
            graded = dict(zip(self._arms, grades, strict=True))
            answers = {arm: text.outputs.get(arm, ()) for arm in self._arms}
            said = {arm: each[repeat] for arm, each in answers.items() if len(each) > repeat}
            texts = (text.input, text.reference, said.get(LIVE, ""), said.get(CANDIDATE, ""))
            example = ChangedExample(text.id, *map(_cut, texts))
            for arm in self._arms:
                if why := reason(graded[arm].mark, said.get(arm), text.reference, agreed):
                    _count(self._causes, (arm, graded[arm].mark, why), example)
            if len(said) == len(self._arms):
                all_broke = self._against == LIVE and graded[LIVE].mark == PASS
                all_broke = all_broke and graded[CANDIDATE].mark != PASS
                for key, was, now in self._compared(graded, said, agreed):
                    broke, fixed = was and not now, now and not was
                    _count(shifts, key, example, broke=broke, fixed=fixed, all_broke=all_broke)
        for key, found in shifts.items():
            broke, fixed = found.broke > 0, found.fixed > found.broke == 0
            all_broke = found.rank == _ALL_BROKE
            _count(self._shifts, key, found.example, broke=broke, fixed=fixed, all_broke=all_broke)

    def found(self) -> WhatChanged:
        """Return what was counted."""
        answers = len(self._results) * self._results.repeats
        causes = [
            FailureCause(*key, found.count, answers, found.example)
            for key, found in self._causes.items()
        ]
        return WhatChanged(tuple(_shifts(self._shifts)), _ordered(causes), self._against, "")

    def _compared(
        self, graded: Mapping[str, Sample], said: Mapping[str, str], agreed: Any
    ) -> Iterator[tuple[_Key, bool, bool]]:
        """Yield which values of live, or agreed ones, became others, and which were right."""
        right, new = self._values(agreed, agreed), self._values(parsed(said[CANDIDATE]), agreed)
        is_paired = self._against == LIVE
        old = self._values(parsed(said[LIVE]), agreed) if is_paired else right
        if old is None or new is None or right is None:
            return
        for name in dict.fromkeys((*old, *new)):
            before, after = old.get(name, NO_VALUE), new.get(name, NO_VALUE)
            was = not is_paired or self._is_right(name, graded[LIVE], before, right)
            now = self._is_right(name, graded[CANDIDATE], after, right)
            if before == after or (was and now) or (name == WHOLE and is_long(before, after)):
                continue
            key = (name, before, after)
            if is_long(before, after) or (
                key not in self._shifts and len(self._shifts) >= _MOST_PAIRS
            ):
                key = (name, "", ANOTHER)
            yield key, was, now

    def _values(self, answer: Any, agreed: Any) -> dict[str, str] | None:
        """Return the values of an answer by field; None where it is of another kind."""
        if not isinstance(agreed, dict | list):
            return {WHOLE: value_of(answer, self._whole)}
        if not isinstance(answer, dict | list):
            return None
        if self._named:
            return {field.name: value_of(answer, field) for field in self._named}
        if isinstance(agreed, list):
            return _arguments(answer) if tool_calls(agreed) is not None else None
        if not isinstance(answer, dict):
            return None
        return {key: _text(answer.get(key), self._whole.kind) for key in agreed}

    def _is_right(self, name: str, sample: Sample, value: str, agreed: Mapping[str, str]) -> bool:
        if name == WHOLE:
            return sample.mark == PASS
        if self._named:
            return self._results.fields.index(name) not in sample.failed
        return value == agreed.get(name, NO_VALUE)


def _count(
    tallies: dict[_Key, _Tally],
    key: _Key,
    example: ChangedExample,
    *,
    broke: bool = False,
    fixed: bool = False,
    all_broke: bool = False,
) -> None:
    """Count one; the example is the first that broke, else whose value did, else of all."""
    rank = broke + (broke and all_broke)
    tally = tallies.setdefault(key, _Tally(example, rank))
    if rank > tally.rank:
        tally.example, tally.rank = example, rank
    tally.count += 1
    tally.broke += broke
    tally.fixed += fixed


def _shifts(tallies: Mapping[_Key, _Tally]) -> Iterator[Shift]:
    """Yield the pairs of each field, those of the field that broke most often first.

    Those that came once are one, where they are many.
    """
    fields: dict[str, list[Shift]] = {}
    for (name, old, new), found in tallies.items():
        shift = Shift(name, old, new, found.count, found.broke, found.fixed, found.example)
        fields.setdefault(name, []).append(shift)
    for shifts in sorted(fields.values(), key=lambda each: -sum(one.broke for one in each)):
        shown, single = shifts, [one for one in shifts if one.count == 1]
        if len(single) > _MOST_SINGLE:
            quoted = next((one for one in single if one.broke), single[0]).example
            broke, fixed = sum(one.broke for one in single), sum(one.fixed for one in single)
            name, count = single[0].field, len(single)
            merged = Shift(name, "", ANOTHER, count, broke, fixed, quoted)
            shown = [*(one for one in shifts if one.count > 1), merged]
        yield from sorted(shown, key=lambda one: (one.new == ANOTHER, -one.broke, -one.count))


def _ordered(causes: Iterable[FailureCause]) -> tuple[FailureCause, ...]:
    """Return why answers failed, those of the candidate first, the commonest first."""
    return tuple(sorted(causes, key=lambda cause: (cause.arm != CANDIDATE, -cause.count)))


def by_marks(results: Results, outputs_gone: str) -> WhatChanged:
    """Return what evidence alone tells: how often each mark was given, and `outputs_gone`, why."""
    causes = []
    for arm in (CANDIDATE, LIVE):
        column = results.arms.get(arm)
        for mark in MARKS if column else ():
            if mark not in {"", PASS, "wrong"} and column and (count := column.count(mark)):
                shown = ChangedExample(results.first(arm, mark), "", "", "", "")
                answers = len(column.marks)
                causes.append(FailureCause(arm, mark, REASONS[mark], count, answers, shown))
    against = LIVE if LIVE in results.arms else AGREED
    return WhatChanged((), _ordered(causes), against, outputs_gone)


def _arguments(answer: Any) -> dict[str, str] | None:
    """Return the tools that are called, and each argument; None where the answer is no calls."""
    calls = tool_calls(answer)
    if calls is None:
        return None
    found = {"tool": ", ".join(str(call["name"]) for call in calls)}
    for call in calls:
        arguments = call["arguments"] if isinstance(call["arguments"], dict) else {}
        named = {f"{call['name']}.{key}": each for key, each in arguments.items()}
        found |= {name: _text(each) for name, each in named.items()}
    return found


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
