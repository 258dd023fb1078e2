"""How one answer was graded, and what a grader is."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from fftdeploy.evaluation.examples.example_lines import Example


@dataclass(frozen=True, slots=True)
class Grade:
    """The grade of one answer."""

    passed: bool
    score: float
    """From 0 to 1."""
    reason: str = ""
    """Why it did not pass, a mark of `results.MARKS`; "" if it did."""
    failed: tuple[int, ...] = ()
    """Indexes of the fields that are not as agreed."""
    detail: str = ""
    """One line for people; nothing of the answer is in it."""


PASSED = Grade(passed=True, score=1.0)


class Grader(Protocol):
    """Output and example in, grade out; one that has to ask somebody returns an awaitable."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def fields(self) -> tuple[str, ...]:
        """What it tells apart in an answer, at most `grader_rules.MAX_FIELDS`."""

    def grade(self, text: str, example: Example) -> Grade | Awaitable[Grade]:
        """Grade an answer."""

    def reference_problem(self, example: Example) -> str:
        """Say why no answer, or not the agreed one, could pass; "" if it can."""


def failed(reason: str, detail: str, score: float = 0.0, fields: tuple[int, ...] = ()) -> Grade:
    """Return the grade of an answer that does not pass."""
    return Grade(passed=False, score=score, reason=reason, failed=fields, detail=detail)
