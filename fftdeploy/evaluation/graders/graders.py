"""Answers against agreed ones: every grader of a task, and the one grade that comes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.evaluation.graders.grade import Grade, Grader, failed
from fftdeploy.evaluation.graders.json_graders import JsonFields, JsonSchema
from fftdeploy.evaluation.graders.judge import Judge
from fftdeploy.evaluation.graders.text_graders import (
    TEXT_TYPES,
    TextGrader,
    require_rapidfuzz,
)
from fftdeploy.evaluation.outputs import MAX_CHARS
from fftdeploy.policy.grader_rules import GraderRules, field_names

__all__ = ["Grade", "Grading", "build"]


@dataclass(frozen=True, slots=True)
class Grading:
    """The graders of a task.  An example passes when every one of them passes it."""

    graders: tuple[Grader, ...]
    fields: tuple[str, ...]
    """Names of what all of them tell apart; `Grade.failed` has indexes into it."""
    judge: Judge | None = None
    """Who is asked about what passes all of them; whoever carries out the run asks."""

    def grade(self, text: str, example: Example) -> Grade:
        """Grade an answer.

        The score is the mean; the reason is that of the first grader it does not pass.  Where
        several answers were agreed on, the grade is the best that one of them gives.
        """
        if len(text) > MAX_CHARS:
            every = tuple(range(len(self.fields)))
            detail = f"{len(text):,} characters are more than are graded"
            return failed("invalid", detail, fields=every)
        grades = [self._combined(text, each) for each in _each_agreed(example)]
        return max(grades, key=lambda grade: (grade.passed, grade.score))

    def reference_problem(self, example: Example) -> str:
        """Say why no answer, or not one of the agreed ones, could pass; "" if it can."""
        for each in _each_agreed(example):
            if len(each.reference) > MAX_CHARS:
                return f"{len(each.reference):,} characters are more than are graded"
            for grader in self.graders:
                if problem := grader.reference_problem(each):
                    return self._named(grader, problem)
            if self.judge and (problem := self.judge.reference_problem(each)):
                return problem
        return ""

    def _combined(self, text: str, example: Example) -> Grade:
        grades = [grader.grade(text, example) for grader in self.graders]
        score = sum(grade.score for grade in grades) / len(grades)
        places: list[int] = []
        offset = 0
        for grader, grade in zip(self.graders, grades, strict=True):
            places += (offset + index for index in grade.failed)
            offset += len(grader.rules.fields)
        for grader, grade in zip(self.graders, grades, strict=True):
            if not grade.passed:
                detail = self._named(grader, grade.detail)
                return failed(grade.reason, detail, score, tuple(places))
        return Grade(passed=True, score=score, failed=tuple(places))

    def _named(self, grader: Grader, detail: str) -> str:
        return f"{grader.name}: {detail}" if len(self.graders) > 1 else detail


def _each_agreed(example: Example) -> list[Example]:
    """Return the example with each of its agreed answers alone."""
    if not example.others:
        return [example]
    every = (example.reference, *example.others)
    return [replace(example, reference=agreed, others=()) for agreed in every]


def build(rules: Sequence[GraderRules]) -> Grading:
    """Make the graders.

    Raises:
        ConfigError: A schema is none, or a package that one of them needs is not installed.
    """
    if any(rule.options.get("evaluation_metric") == "fuzzy_match" for rule in rules):
        require_rapidfuzz()
    graders = tuple(_TYPES[rule.type](rule) for rule in rules if not rule.is_judge)
    judge = next((Judge(rule) for rule in rules if rule.is_judge), None)
    return Grading(graders, field_names(rules), judge)


_TYPES: dict[str, type[Grader]] = {
    **dict.fromkeys(TEXT_TYPES, TextGrader),
    "json_schema": JsonSchema,
    "json_fields": JsonFields,
}
