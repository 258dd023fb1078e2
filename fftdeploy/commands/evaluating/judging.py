"""Ask models, and a judge about their answers, or about outputs that people labelled."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from fftdeploy.api.proof import Question
from fftdeploy.api.settings import Settings
from fftdeploy.commands.context import Context
from fftdeploy.commands.evaluating.narrator import Narrator
from fftdeploy.commands.options.asking import AskOptions
from fftdeploy.evaluation.arms import JUDGE, Arm, AskedHost
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.evaluation.gate.judge_facts import JudgeFacts
from fftdeploy.evaluation.graders.judge import Judge
from fftdeploy.evaluation.judging.questions import (
    JudgedAnswers,
    JudgeQuestions,
    answered_by,
    run_of,
)
from fftdeploy.evaluation.results import Results
from fftdeploy.evaluation.running import requests, run_log
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.run_answers import RunAnswers
from fftdeploy.evaluation.running.run_log import RunLog
from fftdeploy.evaluation.running.spending import SAMPLED, Mean, Spending, guess
from fftdeploy.names import plural

if TYPE_CHECKING:
    from fftdeploy.evaluation.running.online import JointLoop


_VERDICT = '{"label": "as long as a label"}'


@dataclass(frozen=True, slots=True)
class ModelAsking:
    """How one command asks models, and whom it tells how far that is."""

    context: Context
    bar: QualityBar
    options: AskOptions
    reuse: timedelta
    """How old an answer may be to be taken again."""
    narrator: Narrator
    together: "JointLoop | None" = None
    """The loop of evaluations that are made together."""

    def open_log(self, run: Run) -> RunLog:
        """Open the log of a run, or go on with that of one that was stopped."""
        return run_log.open_log(
            self.bar.workspace.folder,
            run,
            now=self.context.clock.now,
            token=secrets.token_hex(3),
            fresh=self.options.fresh,
            max_age=self.reuse,
        )

    def ask(
        self, run: Run, hosts: Mapping[str, Settings], log: RunLog, spending: Spending
    ) -> Results:
        """Ask what nobody has asked before, now and not by a batch.

        Raises:
            FftdeployError: The API, the disk or a limit stops it; the answers that came are kept.
        """
        from fftdeploy.evaluation.running import online  # it brings in the HTTP client

        narrator, now = self.narrator, self.context.clock.now
        return online.evaluate(
            RunAnswers(run, log, spending, narrator, narrator.tell, now),
            hosts,
            concurrency=self.options.concurrency,
            together=self.together,
        )

    def as_proved(self, arm: Arm, question: Question) -> Arm:
        """Add what the proof of the arm's model found out about how it is asked and answers."""
        host = self.context.prover(is_plain=True).of(question)
        known_as, limit_field = host.known_as(question), host.limit_field(question)
        return replace(arm, known_as=known_as, limit_field=limit_field)


@dataclass(frozen=True, slots=True)
class JudgeAsking:
    """The judge of one task, and how one command asks it: with its own host's key."""

    asking: ModelAsking
    judge: Judge

    @property
    def host(self) -> AskedHost:
        """Who is asked, and what that says of the model once it was."""
        return self.asking.bar.host(self.judge.bundle)

    @property
    def question(self) -> Question:
        """The question whether it can be asked."""
        bundle, environment = self.judge.bundle, self.asking.bar.target.partition("/")[2]
        return Question(bundle.model, provider=bundle.provider, environment=environment)

    def prove(self) -> None:
        """Refuse, before anything is spent, a judge that cannot be asked."""
        found = self.asking.context.prover(is_plain=True).prove(self.question)
        if not found.is_ready:
            error = found.error()
            error.message = f"the judge {self.judge.name}: {error.message}"
            raise error

    def ask(self, questions: JudgeQuestions, spending: Spending) -> Run:
        """Ask all of `questions` that nobody has asked before; the run is over then.

        Raises:
            FftdeployError: As an evaluation does; the verdicts that came are kept.
        """
        asking, host = self.asking, self.host
        arm = replace(self.judge.arm(host.address), identity=host.identity)
        random = Random()  # noqa: S311  the order of the requests is no secret
        run = run_of(asking.bar.task, asking.as_proved(arm, self.question), questions, random)
        known = asking.context.prover(is_plain=True).of(self.question)
        waiting = asking.narrator.waiting("waiting for the first verdict")
        with asking.open_log(run) as log, waiting:
            asking.ask(run, {JUDGE: known.connection.settings}, log, spending)
        return run

    def judge_answers(self, run: Run, log: RunLog, spending: Spending) -> JudgeFacts:
        """Mark the answers of a run as the judge has them; return what evidence has of it."""
        answers = JudgedAnswers(run, log, self.judge)
        count = plural(len(answers.questions), "different answer")
        self.asking.narrator.tell(f"judge {self.judge.name}: {count} that passed the other graders")
        spending.go_on()
        asked = self.ask(answers.questions, spending)
        answers.take(asked)
        log.end()
        return self.facts(answered_by(asked))

    def facts(self, names: tuple[str, ...]) -> JudgeFacts:
        """Return what evidence has of the judge, who has answered by these names."""
        bar = self.asking.bar
        return JudgeFacts(
            self.judge.name,
            self.judge.bundle.model,
            self.judge.bundle.provider,
            self.judge.sha,
            self.host.address,
            self.host.kind,
            names,
            bar.calibrations.newest(bar.task, self.judge.sha, self.host.address),
        )


def guess_of_judge(judge: Judge, run: Run) -> dict[str, Mean]:
    """Guess what a verdict takes, on answers as long as the agreed ones."""
    questions, examples = JudgeQuestions(judge), run.examples
    for index in range(0, len(examples), max(1, len(examples) // SAMPLED)):
        example = examples.read(index)
        questions.add(example.reference, example)
    return guess_of(questions)


def guess_of(questions: JudgeQuestions) -> dict[str, Mean]:
    """Guess what a verdict takes, from what is asked."""
    arm = questions.judge.arm()
    asks = (requests.ask(arm, questions.read(n), n, 0) for n in range(len(questions)))
    return guess((ask, _VERDICT) for ask in asks)
