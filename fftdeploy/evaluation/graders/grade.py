"""The grade of one answer, and what every grader can do."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from fftdeploy.evaluation.examples.example_lines import Example


@dataclass(frozen=True, slots=True)
class Grade:
    """Whether one answer passed, how nearly, and why not."""

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
        """Compare an answer with the example's; what has to ask somebody returns an awaitable."""

    def reference_problem(self, example: Example) -> str:
        """Say why no answer, or not the agreed one, could pass; "" if it can."""


def failed(reason: str, detail: str, score: float = 0.0, fields: tuple[int, ...] = ()) -> Grade:
    """Return the grade of an answer that does not pass."""
    return Grade(passed=False, score=score, reason=reason, failed=fields, detail=detail)
