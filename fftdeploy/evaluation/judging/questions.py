"""What a judge is asked about answers, as a run of its own: nothing else carries requests out."""

import hashlib
from random import Random

from fftdeploy.evaluation.arms import JUDGE, Arm
from fftdeploy.evaluation.examples.example_lines import Example
from fftdeploy.evaluation.examples.examples import ExampleSet, Spot
from fftdeploy.evaluation.graders.graders import Grading
from fftdeploy.evaluation.graders.judge import Judge
from fftdeploy.evaluation.results import NO_VERDICT, PASS, REJECTED
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.run_log import RunLog
from fftdeploy.formats import strict_json
from fftdeploy.policy.gate_rules import GateRules

_NOWHERE = Spot(0, 0, 0, 0)


class JudgeQuestions(ExampleSet):
    """Questions to a judge, in the place where a run has its examples.

    The same words about the same input are asked about once, whoever said them: their verdicts
    can't differ, and are paid for once.
    """

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self.judge = judge
        self._questions: list[Example] = []
        self._places: dict[str, int] = {}

    def add(self, text: str, example: Example) -> int:
        """Ask about an answer to an example; return the number of the question."""
        messages = self.judge.messages(text, example)
        known = self._places.setdefault(strict_json.dumps(messages), len(self))
        if known == len(self):
            name = f"{example.id}#{known}"
            self.append(name, _NOWHERE)
            self._questions.append(Example(name, messages, ""))
        return known

    @property
    def sha(self) -> str:
        """32 hex digits over all of them."""
        return hashlib.sha256("\n".join(self._places).encode()).hexdigest()[:32]

    def read(self, index: int) -> Example:
        """Return a question."""
        return self._questions[index]


def run_of(task: str, arm: Arm, questions: JudgeQuestions, random: Random) -> Run:
    """Return the run that asks a judge; its logs are no logs of the task."""
    judge = questions.judge
    rules = GateRules(("judged",), (judge.rules,))
    return Run(f"{task}~judge", [arm], questions, rules, Grading((judge,), ()), random=random)


def verdicts(asked: Run) -> list[str]:
    """Return a mark for each question of a run that is over: passed, rejected or no verdict."""
    column = asked.results.arms[JUDGE]
    meant = {PASS: PASS, "wrong": REJECTED}
    return [meant.get(column.get(place).mark, NO_VERDICT) for place in range(len(column.marks))]


class JudgedAnswers:
    """The answers of a run that pass the other graders, and what its judge is asked about them."""

    def __init__(self, run: Run, log: RunLog, judge: Judge) -> None:
        """Read them from the log of the run, which has every answer."""
        self._run = run
        self.questions = JudgeQuestions(judge)
        self._asked: dict[tuple[str, int], int] = {}
        passed = {arm: {*column.places(PASS)} for arm, column in run.results.arms.items()}
        for record in log.records():
            place = record.index * run.rules.repeats + record.repeat
            if place in passed[record.arm] and not record.output.mark:
                example = run.examples.read(record.index)
                number = self.questions.add(record.output.text, example)
                self._asked[record.arm, place] = number  # the last answer counts, as in the run

    def take(self, asked: Run) -> None:
        """Mark the answers as the judge has them."""
        found = verdicts(asked)
        for (arm, place), number in self._asked.items():
            self._run.results.arms[arm].mark(place, found[number])
        oldest = [at for at in (self._run.oldest, asked.oldest) if at is not None]
        self._run.oldest = min(oldest, default=None)


def answered_by(asked: Run) -> tuple[str, ...]:
    """Return the names by which a judge has answered, and what its host says of it: its snapshot.

    None where it was asked nothing.
    """
    arm = asked.arms[JUDGE]
    names = sorted(asked.answered_by.get(JUDGE, {arm.bundle.model}))
    said = (f"{key} {value}" for key, value in sorted(arm.identity.items()))
    return (*names, *said) if asked.oldest else ()
