"""What an answer of each model takes: by the answers on record, or else by a guess."""

from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder
from fftdeploy.evaluation.graders.judge import Judge
from fftdeploy.evaluation.judging.questions import JudgeQuestions
from fftdeploy.evaluation.running import requests
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.spending import Mean, guess, latency_s, measured
from fftdeploy.releases.deployments import Bundle

_SAMPLED = 50
"""Examples from which the cost of all of them is estimated."""
_VERDICT = '{"label": "as long as a label"}'


def guess_of_judge(judge: Judge, run: Run) -> dict[str, Mean]:
    """Guess what a verdict takes, on answers as long as the agreed ones."""
    questions, examples = JudgeQuestions(judge), run.examples
    for index in range(0, len(examples), max(1, len(examples) // _SAMPLED)):
        example = examples.read(index)
        questions.add(example.reference, example)
    return guess_of(questions)


def guess_of(questions: JudgeQuestions) -> dict[str, Mean]:
    """Guess what a verdict takes, from what is asked."""
    arm = questions.judge.arm()
    asks = (requests.ask(arm, questions.read(n), n, 0) for n in range(len(questions)))
    return guess((ask, _VERDICT) for ask in asks)


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
