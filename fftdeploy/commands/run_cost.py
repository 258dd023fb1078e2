"""What a run is going to take: by the answers on record, or else by a guess."""

from collections.abc import Mapping

from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.spending import (
    Estimate,
    Mean,
    estimate,
    guess,
    latency_s,
    measured,
)
from fftdeploy.policy.prices import Prices
from fftdeploy.releases.deployments import Bundle

_SAMPLED = 50
"""Examples from which the cost of all of them is estimated."""


def estimated(
    run: Run, means: Mapping[str, Mean], prices: Prices, concurrency: int, *, is_batch: bool
) -> Estimate:
    """Return what a run takes where every answer is asked for."""
    return estimate(
        {name: run.size // len(run.arms) for name in run.arms},
        means,
        {
            name: prices.price(arm.bundle.hosted, is_batch=is_batch)
            for name, arm in run.arms.items()
        },
        concurrency,
    )


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
