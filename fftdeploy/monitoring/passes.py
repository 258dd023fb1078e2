"""Answers to the watched examples, as they are kept: marks and counts, without what was said."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median
from typing import Literal

from fftdeploy.evaluation.results import LETTERS, MARKS, MISSING, PASS, USABLE, Results
from fftdeploy.evaluation.running.log_lines import Record
from fftdeploy.formats import json_shapes, strict_json
from fftdeploy.monitoring.drift import Counts
from fftdeploy.releases.deployments import Bundle

PassKind = Literal["calibration", "daily", "confirmation"]
_MARK_OF = dict(zip(LETTERS, MARKS, strict=True))


@dataclass(frozen=True, slots=True)
class Pass:
    """The watched examples asked, each `repeats` times; one entry an example, in their order."""

    at: datetime
    kind: PassKind
    repeats: int
    marks: str
    """A letter an answer, as evidence has them; those to one example are side by side."""
    tokens_out: tuple[int, ...]
    """What the answers to each example took together."""
    models: tuple[str, ...]
    """The names that answers came by."""
    fingerprints: tuple[str, ...]
    latency_ms: int | None
    """The median; None where none was measured."""
    run: str
    """The name of the log that has the outputs."""
    of: str = ""
    """The `sha` of what was asked."""

    def only(self, places: Sequence[int]) -> "Pass":
        """Return the answers to the examples at these places, in this order."""
        size = self.repeats
        marks = "".join(self.marks[at * size : (at + 1) * size] for at in places)
        return replace(self, marks=marks, tokens_out=tuple(self.tokens_out[at] for at in places))

    def counts(self) -> list[tuple[int, int]]:
        """Return how often each example passed, and was answered: an outage is no answer."""
        marks = [_MARK_OF[letter] for letter in self.marks]
        given = [marks[at : at + self.repeats] for at in range(0, len(marks), self.repeats)]
        return [(each.count(PASS), len(each) - each.count(MISSING)) for each in given]

    def count(self, marks: Iterable[str]) -> int:
        """Count the answers with one of these marks."""
        wanted = set(marks)
        return sum(_MARK_OF[letter] in wanted for letter in self.marks)

    @property
    def answered(self) -> int:
        """The answers that are none of an outage."""
        return self.count(set(MARKS) - {"", MISSING})

    @property
    def passed(self) -> int:
        """The answers that passed."""
        return self.count({PASS})

    @property
    def valid(self) -> int:
        """The answers of the right shape."""
        return self.count(USABLE)


@dataclass(frozen=True, slots=True)
class WatchedSet:
    """What answers are compared only within: who is asked what, and how it is marked."""

    bundle: Bundle
    address: str
    graders: str
    """32 hex digits over them."""
    examples: tuple[str, ...]
    """32 hex digits over each watched example."""
    ids: tuple[str, ...]

    @property
    def sha(self) -> str:
        """32 hex digits over all of it."""
        return strict_json.sha_of(json_shapes.written(self))[:32]

    def has_most(self, count: int) -> bool:
        """Tell whether so many are enough of these examples to stand for them."""
        return 2 * count > len(self.ids)

    def places(self, of: "WatchedSet") -> list[int]:
        """Return where the examples of another set are in this one; those that differ are not."""
        mine = {each: at for at, each in enumerate(zip(self.ids, self.examples, strict=True))}
        theirs = zip(of.ids, of.examples, strict=True)
        return [mine[each] for each in theirs if each in mine]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How what is live answered when it was made live: what its later answers are held against."""

    of: WatchedSet
    answers: Pass


def pass_of(
    results: Results, arm: str, kind: PassKind, at: datetime, records: Iterable[Record], run: str
) -> Pass:
    """Return a run's answers of one arm as they are kept; `records` are those in its log."""
    column, size = results.arms[arm], results.repeats
    tokens = [sum(column.tokens_out[n : n + size]) for n in range(0, len(column.marks), size)]
    latencies = [each for each in column.latency_ms if each >= 0]
    given = [record.output for record in records if record.output.mark != MISSING]
    return Pass(
        at,
        kind,
        size,
        "".join(LETTERS[code] for code in column.marks),
        tuple(tokens),
        tuple(sorted({output.model for output in given} - {""})),
        tuple(sorted({output.fingerprint for output in given} - {""})),
        round(median(latencies)) if latencies else None,
        run,
    )


def compared(then: Pass, now: Pass) -> list[Counts]:
    """Return the counts of each example, in their order."""
    return [Counts(*a, *b) for a, b in zip(then.counts(), now.counts(), strict=True)]
