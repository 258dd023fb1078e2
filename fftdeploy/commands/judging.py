"""Ask a model judge: about the answers of an evaluation, or about outputs that people labelled."""

import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from fftdeploy.api.proof import Question
from fftdeploy.commands.context import Context
from fftdeploy.commands.evaluate_options import EvaluateOptions
from fftdeploy.commands.narrator import Narrator
from fftdeploy.evaluation.arms import JUDGE, AskedHost
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.evaluation.gate.judge_facts import JudgeFacts
from fftdeploy.evaluation.graders.judge import Judge
from fftdeploy.evaluation.judging.questions import (
    JudgedAnswers,
    JudgeQuestions,
    answered_by,
    run_of,
)
from fftdeploy.evaluation.running import run_log
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.run_answers import RunAnswers
from fftdeploy.evaluation.running.run_log import RunLog
from fftdeploy.evaluation.running.spending import Spending
from fftdeploy.names import plural

if TYPE_CHECKING:
    from fftdeploy.evaluation.running.online import JointLoop


@dataclass(frozen=True, slots=True)
class JudgeAsking:
    """The judge of one task, and how one command asks it: with its own host's key."""

    context: Context
    bar: QualityBar
    judge: Judge
    options: EvaluateOptions
    reuse: timedelta
    """How old a verdict may be to be taken again."""
    narrator: Narrator
    together: "JointLoop | None" = None
    """The loop of evaluations that are made together."""

    @property
    def host(self) -> AskedHost:
        """Who is asked, and what that says of the model once it was."""
        return self.bar.host(self.judge.bundle)

    @property
    def question(self) -> Question:
        """The question whether it can be asked."""
        bundle, environment = self.judge.bundle, self.bar.target.partition("/")[2]
        return Question(bundle.model, provider=bundle.provider, environment=environment)

    def prove(self) -> None:
        """Refuse, before anything is spent, a judge that cannot be asked.

        Raises:
            FftdeployError: As its host has it.
        """
        found = self.context.prover(is_plain=True).prove(self.question)
        if not found.is_ready:
            error = found.error()
            error.message = f"the judge {self.judge.name}: {error.message}"
            raise error

    def ask(self, questions: JudgeQuestions, spending: Spending) -> Run:
        """Ask all of `questions` that nobody has asked before; the run is over then.

        Raises:
            FftdeployError: As an evaluation does; the verdicts that came are kept.
        """
        from fftdeploy.evaluation.running import online  # it brings in the HTTP client

        hosts = self.context.prover(is_plain=True)
        arm = replace(
            self.judge.arm(self.host.address),
            identity=self.host.identity,
            known_as=hosts.known_as(self.question),
            limit_field=hosts.limit_field(self.question),
        )
        random = Random()  # noqa: S311  the order of the requests is no secret
        run = run_of(self.bar.task, arm, questions, random)
        with (
            run_log.open_log(
                self.bar.workspace.folder,
                run,
                now=self.context.clock.now,
                token=secrets.token_hex(3),
                fresh=self.options.fresh,
                max_age=self.reuse,
            ) as log,
            self.narrator.waiting("waiting for the first verdict"),
        ):
            narrator, now = self.narrator, self.context.clock.now
            online.evaluate(
                RunAnswers(run, log, spending, narrator, narrator.tell, now),
                {JUDGE: hosts.of(self.question).connection.settings},
                concurrency=self.options.concurrency,
                together=self.together,
            )
        return run

    def judge_answers(self, run: Run, log: RunLog, spending: Spending) -> JudgeFacts:
        """Mark the answers of a run as the judge has them; return what evidence has of it.

        Raises:
            FftdeployError: As `ask` does.
        """
        answers = JudgedAnswers(run, log, self.judge)
        count = plural(len(answers.questions), "different answer")
        self.narrator.tell(f"judge {self.judge.name}: {count} that passed the other graders")
        spending.go_on()
        asked = self.ask(answers.questions, spending)
        answers.take(asked)
        log.end()
        return self.facts(answered_by(asked))

    def facts(self, names: tuple[str, ...]) -> JudgeFacts:
        """Return what evidence has of the judge, who has answered by these names."""
        return JudgeFacts(
            self.judge.name,
            self.judge.bundle.model,
            self.judge.bundle.provider,
            self.judge.sha,
            self.host.address,
            self.host.kind,
            names,
            self.bar.calibrations.newest(self.bar.task, self.judge.sha),
        )
