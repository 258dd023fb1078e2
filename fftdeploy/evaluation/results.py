"""Holds graded answers of each model in columns: what the gate judges and evidence keeps.

A run of 100,000 examples is a few arrays here, not a million objects.  Outputs are not part of it:
they stay in the log of the run.
"""

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import NamedTuple

from fftdeploy.evaluation.arms import CANDIDATE, LIVE

PASS, MISSING = "pass", "api-error"
REJECTED, NO_VERDICT = "rejected", "no-verdict"
"""What a model judge makes of an answer that passes the other graders, apart from `pass`."""
MARKS = (
    "",
    PASS,
    "wrong",
    "unparsable",
    "invalid",
    "truncated",
    "refused",
    "filtered",
    "empty",
    MISSING,
    REJECTED,
    NO_VERDICT,
)
"""How one answer was graded: passed, or why not.  "" is an answer that has not come yet."""

LETTERS = " .wuitrfemjn"
"""How evidence writes them, a letter for each of `MARKS`: what stands out is what did not pass."""

LOST = frozenset({MISSING, NO_VERDICT})
"""Marks of what nobody can tell right from wrong: of an outage of the API, or of the judge."""

USABLE = frozenset({PASS, "wrong", REJECTED})
"""Marks of an answer of the right shape; the floor `valid` counts them."""

NOT_MEASURED = -1
BATCHED = -2
"""In a latency's place: asked for in a batch, which says nothing of how long an answer takes."""

TOKENS = ("tokens_in", "tokens_cached", "tokens_out", "tokens_reasoning")
tokens_of = attrgetter(*TOKENS)
"""Returns the four counts, in that order, of whatever has them."""

_CODES = {mark: code for code, mark in enumerate(MARKS)}


class Sample(NamedTuple):
    """One graded answer."""

    mark: str
    failed: tuple[int, ...] = ()
    """Indexes of the fields (`Results.fields`) that are not as agreed."""
    latency_ms: int = NOT_MEASURED
    """-1 where it was not measured in this run: a cached or recorded answer tells none; -2 where
    it is of a batch."""
    tokens_in: int = 0
    tokens_cached: int = 0
    """Part of `tokens_in` that the provider read from its own cache."""
    tokens_out: int = 0
    tokens_reasoning: int = 0
    """Part of `tokens_out`."""


@dataclass(slots=True)
class Column:
    """The answers of one arm; answer `repeat` of example `i` is at `i * repeats + repeat`."""

    marks: bytearray
    failed: "array[int]"
    """Bit `f` is set where field `f` failed."""
    latency_ms: "array[int]"
    tokens_in: "array[int]"
    tokens_cached: "array[int]"
    tokens_out: "array[int]"
    tokens_reasoning: "array[int]"

    @classmethod
    def empty(cls, size: int) -> "Column":
        """Return a column of `size` answers that have not come yet."""
        zeros = bytes(8 * size)
        return cls(
            bytearray(size),
            array("Q", zeros),
            array("q", [NOT_MEASURED]) * size,
            *(array("q", zeros) for _ in range(4)),
        )

    def put(self, place: int, sample: Sample) -> None:
        """Store one graded answer."""
        self.marks[place] = _CODES[sample.mark]
        self.failed[place] = sum(1 << index for index in sample.failed)
        self.latency_ms[place] = sample.latency_ms
        for column, count in zip(tokens_of(self), tokens_of(sample), strict=True):
            column[place] = count

    def get(self, place: int) -> Sample:
        """Return one graded answer."""
        bits = self.failed[place]
        return Sample(
            MARKS[self.marks[place]],
            tuple(index for index in range(bits.bit_length()) if bits >> index & 1),
            self.latency_ms[place],
            *(column[place] for column in tokens_of(self)),
        )

    def recorded(self, fields: Sequence[str], now: Sequence[str]) -> "Column":
        """Return the answers for another run, whose latencies were not measured then.

        `fields` and `now` are the same names, in the orders of the two runs.
        """
        places = [now.index(name) for name in fields]
        moved = {
            bits: sum(1 << to for at, to in enumerate(places) if bits >> at & 1)
            for bits in set(self.failed)
        }
        return replace(
            self,
            failed=array("Q", (moved[bits] for bits in self.failed)),
            latency_ms=array("q", [NOT_MEASURED]) * len(self.marks),
        )

    def at(self, places: Sequence[int | None]) -> "Column":
        """Return the answers at these places; None is one that has not come."""
        made = Column.empty(len(places))
        for to, place in enumerate(places):
            if place is not None:
                made.put(to, self.get(place))
        return made

    @property
    def came(self) -> int:
        """The number of answers that are none of an outage."""
        return len(self.marks) - self.count(MISSING, "")

    @property
    def told(self) -> int:
        """How many of them say what tokens they took; some hosts never do."""
        return len(self.tokens_in) - self.tokens_in.count(0)

    def count(self, *marks: str) -> int:
        """Count the answers with one of `marks`."""
        return sum(self.marks.count(_CODES[mark]) for mark in marks)

    def places(self, mark: str) -> list[int]:
        """List the places of the answers with `mark`."""
        return [place for place, code in enumerate(self.marks) if code == _CODES[mark]]

    def mark(self, place: int, mark: str) -> None:
        """Mark an answer that has come otherwise."""
        self.marks[place] = _CODES[mark]


@dataclass(slots=True)
class Results:
    """Examples in the order of their files, and the answers of every model to each of them.

    The lists have one entry an example; `slices[i]` has one value for each of `slice_keys`,
    "" where the example does not say.  `groups[i]` is "" for an example on its own.
    """

    repeats: int
    slice_keys: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    """Names of the fields that the graders tell apart, at most 64."""
    ids: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    slices: list[tuple[str, ...]] = field(default_factory=list)
    must_pass: bytearray = field(default_factory=bytearray)
    """1 where the candidate has to pass, whatever the statistics say."""
    arms: dict[str, Column] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def add_example(
        self, example_id: str, group: str, slices: Sequence[str], *, must_pass: bool
    ) -> None:
        """Append an example; every arm's column is made after the last one."""
        self.ids.append(example_id)
        self.groups.append(group)
        self.slices.append(tuple(slices))
        self.must_pass.append(must_pass)

    def add_arm(self, name: str) -> Column:
        """Add an arm none of whose answers has come yet."""
        self.arms[name] = Column.empty(len(self) * self.repeats)
        return self.arms[name]

    def samples(self, arm: str, index: int) -> Iterator[Sample]:
        """Yield the graded answers of `arm` to example `index`, one a repeat."""
        first = index * self.repeats
        return (self.arms[arm].get(place) for place in range(first, first + self.repeats))

    @property
    def batched(self) -> list[str]:
        """The arms some of whose answers are of a batch."""
        return [name for name, column in self.arms.items() if BATCHED in column.latency_ms]

    def first(self, arm: str, mark: str) -> str:
        """Return the ID of the first example to which `arm` has an answer with `mark`."""
        return self.ids[self.arms[arm].marks.index(_CODES[mark]) // self.repeats]

    def places(self, ids: Iterable[str], repeats: int = 0) -> list[int | None]:
        """Return where the answers to these examples are, None for one without.

        Of each example there are as many as it was asked, or the first `repeats`.
        """
        known = {example_id: index for index, example_id in enumerate(self.ids)}
        indexes = (known.get(example_id) for example_id in ids)
        return [
            None if index is None else index * self.repeats + repeat
            for index in indexes
            for repeat in range(repeats or self.repeats)
        ]

    def unlike(self, arms: Iterable[str]) -> set[str]:
        """Return the examples to which an answer of `arms` is not in all parts as agreed."""
        columns = [self.arms[arm] for arm in arms]
        return {
            self.ids[place // self.repeats]
            for column in columns
            for place, graded in enumerate(zip(column.marks, column.failed, strict=True))
            if graded != (_CODES[PASS], 0)
        }

    def broken(self, ids: Iterable[str]) -> list[str]:
        """Return which of these the candidate fails, and what is live passes, in some repeat.

        Of what its own prompt shows a failure still counts: the answer lay before its eyes, and
        who writes a prompt must not choose by it which failures are seen.
        """
        candidate, live = self.arms[CANDIDATE], self.arms.get(LIVE)
        found = []
        for name in ids:
            places = [place for place in self.places([name]) if place is not None]
            wrong = [p for p in places if candidate.get(p).mark not in {PASS, "", *LOST}]
            if any(live is None or live.get(place).mark == PASS for place in wrong):
                found.append(name)
        return found

    def without(self, ids: Collection[str]) -> "Results":
        """Return the results of the other examples."""
        known = {*ids}
        kept = [index for index, example_id in enumerate(self.ids) if example_id not in known]
        named = [self.ids[index] for index in kept]
        places = self.places(named)
        return replace(
            self,
            ids=named,
            groups=[self.groups[index] for index in kept],
            slices=[self.slices[index] for index in kept],
            must_pass=bytearray(self.must_pass[index] for index in kept),
            arms={name: column.at(places) for name, column in self.arms.items()},
        )

    def with_arms(self, named: Mapping[str, str]) -> "Results":
        """Return the same examples with the arms of `named`, new name -> present name."""
        return replace(self, arms={new: self.arms[old] for new, old in named.items()})


@dataclass(frozen=True, slots=True)
class ExampleText:
    """What was asked, what was agreed on, and what every arm answered.  Untrusted."""

    id: str
    input: str
    reference: str
    tags: tuple[str, ...]
    meta: Mapping[str, str]
    outputs: Mapping[str, tuple[str, ...]]
    """Arm -> its answers, one a repeat; "" where there was no text."""
    others: tuple[str, ...] = ()
    """Further answers that were agreed on."""
