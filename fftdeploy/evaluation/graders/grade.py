"""The grade of one answer, and what every grader can do."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.policy.gate_rules import exactly
from fftdeploy.policy.grader_rules import GraderRules


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


def failed(reason: str, detail: str, score: float = 0.0, fields: tuple[int, ...] = ()) -> Grade:
    """Return the grade of an answer that does not pass."""
    return Grade(passed=False, score=score, reason=reason, failed=fields, detail=detail)


@dataclass(frozen=True, slots=True)
class Grader:
    """Output and example in, grade out, by the rules of the policy."""

    rules: GraderRules

    @property
    def name(self) -> str:
        """What the policy calls it."""
        return self.rules.name

    @property
    def options(self) -> Mapping[str, Any]:
        """The keys of its type, as the policy has them."""
        return self.rules.options

    def grade(self, text: str, example: Example) -> Grade:
        """Compare an answer with the example's."""
        raise NotImplementedError

    def reference_problem(self, example: Example) -> str:
        """Say why no answer, or not the agreed one, could pass; "" if it can."""
        return self.grade(example.reference, example).detail


def is_close(reference: Fraction, value: Fraction, tolerance: float, *, relative: bool) -> bool:
    """Say whether two numbers differ by at most the tolerance.

    A relative tolerance is a share of the reference's size.
    """
    allowed = exactly(tolerance) * (abs(reference) if relative else 1)
    return abs(reference - value) <= allowed
