"""Counts a run's cost: estimated before, added as answers come, never more than allowed.

USD come from the team's own table of prices; a model that it does not name has no cost that is
known, and no limit in USD is accepted for it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fftdeploy.errors import PolicyError, UsageError
from fftdeploy.evaluation.arms import JUDGE
from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder
from fftdeploy.evaluation.limits import Limits
from fftdeploy.evaluation.outputs import ModelOutput
from fftdeploy.evaluation.results import MISSING, Column
from fftdeploy.evaluation.running.requests import Ask
from fftdeploy.evaluation.running.run import Run
from fftdeploy.formats import strict_json
from fftdeploy.policy.prices import Prices
from fftdeploy.releases.deployments import Bundle

CHARS_PER_TOKEN = 4.0
"""Rule of thumb for English; only for what has not been asked before."""

_CHARS_PER_TOKEN_OUT = 2.0
"""Answers are often labels, JSON or another language, which take more; too many is the lesser
error about money."""

_LEAST_TOKENS_OUT = 8.0
"""A single letter is not a quarter of a token: an answer has an end, and more around it."""

SAMPLED = 50
"""Examples from which the cost of all of them is estimated."""
_GUESSED_LATENCY_S = 1.0
_GUESSED_TOKENS_PER_S = 60.0


class Mean(NamedTuple):
    """What one answer of an arm takes on average."""

    tokens_in: float
    tokens_cached: float
    tokens_out: float
    latency_s: float
    is_guess: bool = False
    """From the number of characters, not from answers."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run is going to take."""

    requests: int
    tokens_in: int
    tokens_out: int
    usd: float | None
    """None where a model has no price."""
    seconds: float = field(metadata={"digits": 1})
    is_guess: bool = field(metadata={"key": "estimated"})
    """Some of it is from the number of characters, not from earlier answers."""


class Spending:
    """Counts what is asked and paid in one command, and says when it is enough.

    Args:
        models: The model of each arm, as `[PROVIDER=]MODEL`.
        prices: What their tokens cost.
        limits: How much that may be.
        means: What is known of the arms before the first answer, for the limit in USD.
        is_batch: Whether the prices of batches count, for all but a judge, who is in none.
        beside: The evaluations that the limit in USD is for, too; this one is added to them.
        later: Most requests that follow once all of these are answered: those to a judge.

    Raises:
        UsageError: There is a limit in USD, and a model has no price.
    """

    def __init__(
        self,
        models: Mapping[str, str],
        prices: Prices,
        limits: Limits | None = None,
        *,
        means: Mapping[str, Mean] | None = None,
        is_batch: bool = False,
        beside: "list[Spending] | None" = None,
        later: int = 0,
    ) -> None:
        self._limits = limits or Limits()
        self._all = [] if beside is None else beside
        self._all.append(self)
        self.later = later
        self.begun = 0
        """Requests that were allowed last."""
        self.earlier = 0
        self.sent = 0
        """Requests that were let through, whatever came back for them."""
        self.tokens_in = 0
        self.tokens_out = 0
        self._prices = {
            arm: prices.price(model, is_batch=is_batch and arm != JUDGE)
            for arm, model in models.items()
        }
        self._means = means or {}
        self._spent: Counter[str] = Counter()
        self._lost = 0.0
        """Millionths of a USD that requests may have cost whose answers never came whole."""
        self._answers: Counter[str] = Counter()
        self._in_flight: Counter[str] = Counter()
        unpriced = sorted({models[arm] for arm, price in self._prices.items() if price is None})
        if self._limits.max_usd is not None and unpriced:
            of_batch = " in a batch" if is_batch else ""
            added = f"{'`batch`' if is_batch else 'it'} to [prices] in fftdeploy.toml"
            raise UsageError(
                f"--max-usd needs the price of {unpriced[0]}{of_batch}",
                hint=f"add {added}, or use --max-requests instead",
            )

    @property
    def usd(self) -> float | None:
        """What the answers cost so far; None where a model that answered has no price."""
        if any(self._prices[arm] is None for arm in self._answers):
            return None
        return sum(self._spent.values()) / 1e6

    @property
    def taken(self) -> float:
        """Millionths of a USD that are spent, or may be by what is under way or was lost."""
        under_way = sum(self._expected(arm) * n for arm, n in self._in_flight.items())
        return sum(self._spent.values()) + self._lost + under_way

    def go_on(self) -> None:
        """Let those requests follow that had to be allowed for from the start."""
        self.earlier, self.later = self.begun, 0

    @property
    def allowed(self) -> int:
        """How many requests may be sent now, so that those that follow may be, too."""
        return self._limits.most_requests - self.earlier - self.later

    def require_allowed(self, count: int) -> None:
        """Refuse `count` requests before the first one; PolicyError where they are too many."""
        if count:
            self._limits.require_requests(count + self.earlier + self.later)
        self.begun = count

    def admit(self, arm: str) -> bool:
        """Count one request as sent; False, and not counted, where it may cost too much.

        What is under way, or was lost, is taken to cost what the answers before it did.
        """
        most = self._limits.max_usd
        if most is not None:
            taken = sum(each.taken for each in self._all)
            if taken + self._expected(arm) > most * 1e6:
                return False
        self._in_flight[arm] += 1
        self.sent += 1
        return True

    def expect(self, arm: str, count: int) -> None:
        """Count requests as sent whose answers are still to come, by whomever they were sent."""
        self._in_flight[arm] += count

    def settle(self, arm: str, output: ModelOutput | None) -> None:
        """Count what has come back for a request; None where it was given up."""
        self._in_flight[arm] -= 1
        if output is None or output.mark == MISSING:
            return
        self.tokens_in += output.tokens_in
        self.tokens_out += output.tokens_out
        self._answers[arm] += 1
        if price := self._prices[arm]:
            used = 1e6 * price.usd(output.tokens_in, output.tokens_cached, output.tokens_out)
            self._spent[arm] += round(used if output.tokens_in else self._guessed(arm))

    def lose(self, arm: str) -> None:
        """Count a request as paid whose answer never came whole: the API may see it so."""
        self._lost += self._expected(arm)

    def stopped(self, kept: int, wanted: int) -> PolicyError:
        """Return the failure of a run that has reached its limit in USD."""
        return PolicyError(
            f"stopped before spending more than {self._limits.max_usd:g} USD: "
            f"{kept:,} of {wanted:,} answers are kept, {self.usd or 0:.4f} USD spent",
            hint="run it again with a higher --max-usd: it goes on from there",
            code="max-usd",
        )

    def _expected(self, arm: str) -> float:
        """Return the millionths of a USD that the next answer of an arm may cost."""
        if count := self._answers[arm]:
            return self._spent[arm] / count
        return self._guessed(arm)

    def _guessed(self, arm: str) -> float:
        """Return the same by what was known before the first answer: some hosts never say."""
        return 1e6 * (self._mean_usd(arm) or 0.0) if arm in self._means else 0.0

    def _mean_usd(self, arm: str) -> float | None:
        price, mean = self._prices[arm], self._means[arm]
        if price is None:
            return None
        return price.usd(mean.tokens_in, mean.tokens_cached, mean.tokens_out)

    def estimate(self, counts: Mapping[str, int], concurrency: int) -> Estimate:
        """Estimate what `counts[arm]` answers of each arm take, and those that follow them.

        An arm that is asked nothing needs no mean.
        """
        asked = Counter(counts) + Counter({JUDGE: self.later})
        means = [(count, self._means[arm]) for arm, count in asked.items()]
        usds = [(count, self._mean_usd(arm)) for arm, count in asked.items()]
        known = [count * usd for count, usd in usds if usd is not None]
        return Estimate(
            requests=asked.total(),
            tokens_in=round(sum(count * mean.tokens_in for count, mean in means)),
            tokens_out=round(sum(count * mean.tokens_out for count, mean in means)),
            usd=sum(known, 0.0) if len(known) == len(usds) else None,
            seconds=sum(count * mean.latency_s for count, mean in means) / concurrency,
            is_guess=any(mean.is_guess for _, mean in means),
        )


def guess(asks: Iterable[tuple[Ask, str]], *, tokens_out: float = 0.0) -> dict[str, Mean]:
    """Guess the mean of each arm from some requests and the answers that were agreed on.

    `tokens_out` is what answers to such requests are known to take, whichever model gave them.
    """
    asked: Counter[str] = Counter()
    said: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for ask, reference in asks:
        asked[ask.arm] += len(strict_json.dumps(ask.body))
        said[ask.arm] += len(reference)
        count[ask.arm] += 1
    means = {}
    for arm, number in count.items():
        guessed = max(_LEAST_TOKENS_OUT, said[arm] / number / _CHARS_PER_TOKEN_OUT)
        out = tokens_out or guessed
        tokens_in = asked[arm] / number / CHARS_PER_TOKEN
        means[arm] = Mean(tokens_in, 0.0, out, _guessed_latency_s(out), is_guess=True)
    return means


def means_of(run: Run, folder: EvidenceFolder) -> dict[str, Mean]:
    """Return what an answer of each arm takes: what is on record, or else a guess."""
    known: dict[Bundle, Mean] = {}
    timed: dict[Bundle, float] = {}  # of the newest of its answers that were asked anew
    for _, evidence in folder.unjudged(run.task):  # the newest first
        for name, column in evidence.results.arms.items():
            bundle = evidence.arms[name]
            if bundle not in known and (mean := _measured(column)):
                known[bundle] = mean
            if bundle not in timed and (seconds := _latency_s(column)) is not None:
                timed[bundle] = seconds
    most = max((mean.tokens_out for mean in known.values()), default=0.0)
    guessed = guess(run.sample(SAMPLED), tokens_out=most)
    means = guessed | {
        name: known[arm.bundle] for name, arm in run.arms.items() if arm.bundle in known
    }
    slowest = max(timed.values(), default=None)  # the host is likelier so than as guessed
    latencies = {name: timed.get(run.arms[name].bundle, slowest) for name in means}
    return {
        name: mean._replace(latency_s=found) if (found := latencies[name]) else mean
        for name, mean in means.items()
    }


def _measured(column: Column) -> Mean | None:
    """Return the mean of the answers that came; None where nothing says what they took."""
    came = column.came
    if not came or not sum(column.tokens_in):
        return None
    tokens_out = sum(column.tokens_out) / came
    seconds = _latency_s(column)
    return Mean(
        sum(column.tokens_in) / came,
        sum(column.tokens_cached) / came,
        tokens_out,
        _guessed_latency_s(tokens_out) if seconds is None else seconds,
    )


def _latency_s(column: Column) -> float | None:
    """Return how long an answer took on average; None where none was measured."""
    latencies = [each for each in column.latency_ms if each >= 0]
    return sum(latencies) / len(latencies) / 1000 if latencies else None


def _guessed_latency_s(tokens_out: float) -> float:
    return _GUESSED_LATENCY_S + tokens_out / _GUESSED_TOKENS_PER_S
