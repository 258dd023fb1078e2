"""One evaluation: every example for every model, as often as asked; requests out, answers in.

It reads the examples and nothing else.  It does not know who carries the requests: answers may come
in any order, late, in part, or in another process than the one that asked.  What is held for each
answer is a few numbers; requests are made when they are wanted and examples read again for it.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from random import Random

from fftdeploy import __version__
from fftdeploy.api import verdicts
from fftdeploy.api.readiness import Readiness
from fftdeploy.evaluation.arms import Arm
from fftdeploy.evaluation.examples.examples import Example, ExampleSet
from fftdeploy.evaluation.graders.graders import Grading
from fftdeploy.evaluation.outputs import ModelOutput
from fftdeploy.evaluation.results import MISSING, NOT_MEASURED, PASS, Results, Sample, tokens_of
from fftdeploy.evaluation.running import requests
from fftdeploy.evaluation.running.requests import Ask
from fftdeploy.formats import strict_json
from fftdeploy.policy.gate_rules import GateRules

_RECENT = 512
"""Examples kept after reading: those whose answers are under way."""


class Run:
    """The requests of one evaluation, and its results so far.

    `random` decides the order only: examples are shuffled, and the arms of an example follow each
    other in random order, so that the time of day looks the same to all of them.  With a `purpose`,
    which no other run has, it shares its answers with no other, and is made once.
    """

    def __init__(
        self,
        task: str,
        arms: Sequence[Arm],
        examples: ExampleSet,
        rules: GateRules,
        grading: Grading,
        *,
        random: Random,
        purpose: str = "",
    ) -> None:
        self.task = task
        self.purpose = purpose
        self.arms = {arm.name: arm for arm in arms}
        self.examples = examples
        self.rules = rules
        self.done = 0
        """Answers that have come, outages among them."""
        self.oldest: datetime | None = None
        """When the oldest of them was given."""
        self.answered_by: dict[str, set[str]] = {}
        """The names by which arms have answered, where they are not the model's ID."""
        self._grading = grading
        self._random = random
        self._recent: dict[int, Example] = {}

    @property
    def size(self) -> int:
        """The number of answers wanted."""
        return len(self.examples) * len(self.arms) * self.rules.repeats

    @property
    def kept(self) -> int:
        """The number of answers that have come and will not be asked for again."""
        columns = self.results.arms.values()
        return self.done - sum(column.count(MISSING) for column in columns)

    @cached_property
    def parts(self) -> dict[str, str]:
        """What makes this run this one: short hashes by name.  Runs are one where all are equal."""
        arms = [
            (
                *(name, arm.bundle.model, arm.bundle.provider),
                arm.profile.sha if arm.profile else None,
                *filter(None, [arm.identity]),
            )
            for name, arm in sorted(self.arms.items())
        ]
        return {
            "address": " ".join(sorted({arm.address for arm in self.arms.values()})),
            "arms": _sha(arms),
            "examples": self.examples.sha,
            "graders": _sha([grader.content for grader in self.rules.graders]),
            "repeats": str(self.rules.repeats),
            "tool": __version__.partition(".")[0],
            **({"purpose": self.purpose} if self.purpose else {}),
        }

    @cached_property
    def results(self) -> Results:
        """What has come so far; the arrays are made on first use, after the number is allowed."""
        results = Results(self.rules.repeats, self.rules.slices, self._grading.fields)
        values: dict[tuple[str, ...], tuple[str, ...]] = {}
        must_pass = frozenset(self.rules.must_pass)
        for index, example_id in enumerate(self.examples.ids):
            meta = self.examples.meta(index)
            slices = tuple(meta.get(key, "") for key in self.rules.slices)
            results.add_example(
                example_id,
                self.examples.group(index),
                values.setdefault(slices, slices),  # many examples share few values
                must_pass=not must_pass.isdisjoint(self.examples.tags(index)),
            )
        for name in self.arms:
            results.add_arm(name)
        return results

    def pending(self) -> Iterator[Ask]:
        """Yield the requests whose answers have not come; each is made when it is its turn."""
        repeats = self.rules.repeats
        order = array("I", range(len(self.examples)))
        self._random.shuffle(order)
        for index in order:
            for place in range(index * repeats, (index + 1) * repeats):
                arms = [arm for arm in self.arms if not self.has(arm, place)]
                self._random.shuffle(arms)
                for arm in arms:
                    yield self.ask(arm, place)

    def rest(self, arm: str, is_wanted: Callable[[int], bool]) -> Iterator[Ask]:
        """Yield the same of one arm in order, for those places."""
        for place in range(len(self.examples) * self.rules.repeats):
            if not self.has(arm, place) and is_wanted(place):
                yield self.ask(arm, place)

    def lacking(self, arm: str, first: int, end: int) -> int:
        """Count the answers of an arm that have not come, from place `first` to before `end`."""
        return self.results.arms[arm].marks[first:end].count(0)

    def ask(self, arm: str, place: int) -> Ask:
        """Return the request for that answer, come or not."""
        index, repeat = divmod(place, self.rules.repeats)
        return requests.ask(self.arms[arm], self._example(index), place, repeat)

    def sample(self, count: int) -> Iterator[tuple[Ask, str]]:
        """Yield requests of every arm for `count` examples, spread evenly, with what was agreed."""
        step = max(1, len(self.examples) // count)
        for index in range(0, len(self.examples), step):
            for arm in self.arms:
                yield self.ask(arm, index * self.rules.repeats), self._example(index).reference

    def has(self, arm: str, place: int) -> bool:
        """Whether that answer has come."""
        return bool(self.results.arms[arm].marks[place])

    def require_own(self, arm: str, output: ModelOutput) -> None:
        """Refuse an answer of another model than the arm's: it is no evidence about that.

        Raises:
            UnverifiedError: It is one, or does not say of which model it is.
        """
        asked = self.arms[arm]
        if output.mark != MISSING and (wrong := self._other_model(arm, output)):
            subject = f"{arm} ({asked.bundle.model})"
            raise wrong.error(subject, asked.address, output.request_id)

    def can_use(self, arm: str, output: ModelOutput) -> bool:
        """Whether what was kept of a request is an answer, and one of this arm."""
        asked = self.arms[arm]
        if output.mark == MISSING:
            return False
        if asked.answered_as and output.model not in {"", asked.bundle.model, asked.answered_as}:
            return False
        return not output.model or self._other_model(arm, output) is None

    def _other_model(self, arm: str, output: ModelOutput) -> Readiness | None:
        asked = self.arms[arm]
        bundle = asked.bundle
        return verdicts.other_model(bundle.model, output.model, asked.known_as, bundle.provider)

    def expects(self, arm: str, place: int) -> bool:
        """Whether there is such an answer to wait for at all."""
        return arm in self.arms and 0 <= place < len(self.examples) * self.rules.repeats

    def accept(
        self, arm: str, place: int, output: ModelOutput, latency_ms: int, *, at: datetime
    ) -> None:
        """Grade one answer, given `at`, and put it into the results, in an earlier one's place.

        `latency_ms` is `NOT_MEASURED` where the answer was not measured in this run.
        """
        self.oldest = min(self.oldest or at, at)
        if output.model not in {"", self.arms[arm].bundle.model} and output.mark != MISSING:
            self.answered_by.setdefault(arm, set()).add(output.model)
        mark = output.mark
        failed: tuple[int, ...] = ()
        if not mark:
            grade = self._grading.grade(output.text, self._example(place // self.rules.repeats))
            mark, failed = PASS if grade.passed else grade.reason or "wrong", grade.failed
        measured = NOT_MEASURED if mark == MISSING else latency_ms
        sample = Sample(mark, failed, measured, *tokens_of(output))
        self.done += not self.has(arm, place)
        self.results.arms[arm].put(place, sample)

    def _example(self, index: int) -> Example:
        example = self._recent.pop(index, None) or self.examples.read(index)
        self._recent[index] = example  # the youngest is last
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        return example


def _sha(content: object) -> str:
    return strict_json.sha_of(content)[:16]
