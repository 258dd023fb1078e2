"""Grades recorded outputs again, and counts how often the verdict is the recorded one."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.evaluation.graders import graders
from fftdeploy.evaluation.graders.form import compares
from fftdeploy.evaluation.graders.graders import Grading
from fftdeploy.policy.grader_rules import GraderRules

MAX_PLACES = 5
"""Disagreements that are named, of each grader."""

ALL = "all graders"


@dataclass(frozen=True, slots=True)
class GraderFidelity:
    """How often one grader says again what was recorded."""

    name: str
    compared: int
    agreed: int
    differs_at: tuple[str, ...]
    """Places of the first rows where it does not."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How often verdicts agree, grader by grader."""

    graders: tuple[GraderFidelity, ...]
    not_converted: Mapping[str, str]
    """Recorded graders that have no counterpart here, and why."""
    policy: str
    """The converted graders as the policy has them; "" where those of the gate were taken."""


class FidelityCount:
    """Counts, row by row, how the verdicts of graders compare with recorded ones."""

    def __init__(self, rules: Sequence[GraderRules], why_not: Mapping[str, str]) -> None:
        """Take the graders; `why_not` says of others why they are not among them."""
        self.why_not = dict(why_not)
        self._gradings: dict[str, Grading] = {}
        self._comparing = {rule.name for rule in rules if compares(rule)}
        for rule in rules:
            if rule.is_judge:
                self.why_not[rule.name] = "a model judge is asked in an evaluation only"
                continue
            try:
                self._gradings[rule.name] = graders.build((rule,))
            except ConfigError as error:  # a package is not installed
                self.why_not[rule.name] = error.message
        self._compared, self._agreed = Counter[str](), Counter[str]()
        self._differs_at: defaultdict[str, list[str]] = defaultdict(list)
        self._has_verdicts = False

    def add(
        self, example: Example, output: str, verdicts: Mapping[str, bool], *, is_agreed: bool
    ) -> None:
        """Compare the verdicts about one output, by the names of the graders.

        Where no name is known here, the verdict of all there are stands against all recorded.  An
        answer that nobody has agreed on is compared with by none.
        """
        self._has_verdicts = True
        known = self._gradings.keys() & verdicts.keys()
        for name in known:
            if name in self._comparing and not is_agreed:
                continue
            self._count(name, example, output, [self._gradings[name]], verdicts[name])
        if not known and self._gradings and not self.why_not:
            if self._comparing and not is_agreed:
                return
            everyone = list(self._gradings.values())
            self._count(ALL, example, output, everyone, all(verdicts.values()))
            return
        for name in verdicts.keys() - known:
            self.why_not.setdefault(name, "no grader here has its name")

    def result(self, policy: str) -> Fidelity | None:
        """Return what was counted; None where nothing was recorded."""
        why_not = self.why_not
        if not self._compared:
            lacking = "no row has an answer that was agreed on"
            unknown = lacking if self._has_verdicts else "no verdict is recorded"
            why_not = dict.fromkeys(self._gradings, unknown) | why_not
        if not self._compared and not why_not:
            return None
        counted = (
            GraderFidelity(name, count, self._agreed[name], tuple(self._differs_at[name]))
            for name, count in sorted(self._compared.items())
        )
        return Fidelity(tuple(counted), dict(sorted(why_not.items())), policy)

    def _count(
        self, name: str, example: Example, output: str, by: Iterable[Grading], recorded: bool
    ) -> None:
        is_same = recorded == all(grading.grade(output, example).passed for grading in by)
        self._compared[name] += 1
        self._agreed[name] += is_same
        if not is_same and len(self._differs_at[name]) < MAX_PLACES:
            self._differs_at[name].append(example.place)
