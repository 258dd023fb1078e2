"""What a run is going to take: by the answers on record, or else by a guess."""

from collections.abc import Mapping
from types import MappingProxyType

from fftdeploy.commands.evaluate_options import EvaluateOptions
from fftdeploy.evaluation.arms import JUDGE
from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.evaluation.graders.judge import Judge
from fftdeploy.evaluation.judging.questions import JudgeQuestions
from fftdeploy.evaluation.running import requests
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.spending import (
    Estimate,
    Mean,
    Spending,
    estimate,
    guess,
    latency_s,
    measured,
)
from fftdeploy.policy.prices import Price
from fftdeploy.releases.deployments import Bundle

_SAMPLED = 50
"""Examples from which the cost of all of them is estimated."""


class RunCosts:
    """The costs of one run, its judge's among them: asked about each answer at most once."""

    def __init__(
        self,
        bar: QualityBar,
        options: EvaluateOptions,
        run: Run,
        beside: list[Spending] | None = None,
    ) -> None:
        self.bar, self.options, self.run, self.beside = bar, options, run, beside
        self.judge: Judge | None = bar.grading.judge
        self.means = means_of(run, bar.folder) | self._of_judge()

    @property
    def _models(self) -> dict[str, str]:
        judged = {JUDGE: self.judge.bundle.hosted} if self.judge else {}
        return {name: arm.bundle.hosted for name, arm in self.run.arms.items()} | judged

    @property
    def _judged(self) -> int:
        return self.run.size if self.judge else 0

    def spending(self) -> Spending:
        """Return who counts what is spent, and says when it is enough."""
        return Spending(
            self._models,
            self.bar.workspace.policy.prices,
            **self.options.within(),
            means=self.means,
            is_batch=self.options.batch,
            later=self._judged,
            beside=self.beside,
        )

    def estimate(self, known: Mapping[str, int] = MappingProxyType({})) -> Estimate:
        """Estimate what all of it takes, but for the answers of each arm that are `known`."""
        each = self.run.size // len(self.run.arms)
        counts = {name: each - known.get(name, 0) for name in self.run.arms}
        prices = {name: self._price(name, model) for name, model in self._models.items()}
        judged = {JUDGE: self._judged}
        return estimate(counts | judged, self.means, prices, self.options.concurrency)

    def _price(self, name: str, model: str) -> Price | None:
        is_batch = self.options.batch and name != JUDGE
        return self.bar.workspace.policy.prices.price(model, is_batch=is_batch)

    def _of_judge(self) -> dict[str, Mean]:
        """Guess what a verdict takes, on answers as long as the agreed ones."""
        if self.judge is None:
            return {}
        questions, examples = JudgeQuestions(self.judge), self.run.examples
        for index in range(0, len(examples), max(1, len(examples) // _SAMPLED)):
            example = examples.read(index)
            questions.add(example.reference, example)
        return guess_of(questions)


def guess_of(questions: JudgeQuestions) -> dict[str, Mean]:
    """Guess what a verdict takes, from what is asked."""
    arm = questions.judge.arm()
    asks = (requests.ask(arm, questions.read(n), n, 0, "") for n in range(len(questions)))
    return guess((ask, _VERDICT) for ask in asks)


_VERDICT = '{"label": "as long as a label"}'


def means_of(run: Run, folder: EvidenceFolder) -> dict[str, Mean]:
    """Return what an answer of each arm takes: what is on record, or else a guess."""
    known: dict[Bundle, Mean] = {}
    timed: dict[Bundle, float] = {}  # of the newest of its answers that were asked anew
    for _, evidence in folder.unjudged(run.task):  # the newest first
        for name, column in evidence.results.arms.items():
            bundle = evidence.arms[name]
            if bundle not in known and (mean := measured(column)):
                known[bundle] = mean
            if bundle not in timed and (seconds := latency_s(column)) is not None:
                timed[bundle] = seconds
    most = max((mean.tokens_out for mean in known.values()), default=0.0)
    guessed = guess(run.sample(_SAMPLED), tokens_out=most)
    means = guessed | {
        name: known[arm.bundle] for name, arm in run.arms.items() if arm.bundle in known
    }
    slowest = max(timed.values(), default=None)  # the host is likelier so than as guessed
    latencies = {name: timed.get(run.arms[name].bundle, slowest) for name in means}
    return {
        name: mean._replace(latency_s=found) if (found := latencies[name]) else mean
        for name, mean in means.items()
    }
