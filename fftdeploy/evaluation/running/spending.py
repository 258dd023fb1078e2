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
from fftdeploy.evaluation.outputs import ModelOutput
from fftdeploy.evaluation.results import MISSING, Column
from fftdeploy.evaluation.running.requests import Ask
from fftdeploy.formats import strict_json
from fftdeploy.policy.prices import Price, Prices

MAX_REQUESTS = 50_000
"""Most requests of a run where nobody has said otherwise."""

CHARS_PER_TOKEN = 4.0
"""Rule of thumb for English; only for what has not been asked before."""

_CHARS_PER_TOKEN_OUT = 2.0
"""Answers are often labels, JSON or another language, which take more; too many is the lesser
error about money."""

_LEAST_TOKENS_OUT = 8.0
"""A single letter is not a quarter of a token: an answer has an end, and more around it."""

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
        max_usd: Most USD to spend; None where there is no limit.
        max_requests: Most requests to send; None for `MAX_REQUESTS`.
        means: What is known of the arms before the first answer, for the limit in USD.
        is_batch: Whether the prices of batches count, for all but a judge, who is in none.
        beside: The evaluations that `max_usd` is for, too; this one is added to them.
        later: Most requests that follow once all of these are answered: those to a judge.

    Raises:
        UsageError: `max_usd` is given, and a model has no price.
    """

    def __init__(
        self,
        models: Mapping[str, str],
        prices: Prices,
        *,
        max_usd: float | None = None,
        max_requests: int | None = None,
        means: Mapping[str, Mean] | None = None,
        is_batch: bool = False,
        beside: "list[Spending] | None" = None,
        later: int = 0,
    ) -> None:
        self.max_usd = max_usd
        self._all = [] if beside is None else beside
        self._all.append(self)
        self.max_requests = max_requests or MAX_REQUESTS
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
        if max_usd is not None and unpriced:
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
        return self.max_requests - self.earlier - self.later

    def require_allowed(self, count: int) -> None:
        """Refuse `count` requests before the first one; PolicyError where they are too many."""
        if count > max(0, self.allowed):
            every = count + self.earlier + self.later
            raise PolicyError(
                f"{every:,} requests are more than the {self.max_requests:,} that are allowed",
                hint=f"--max-requests {every} allows them",
                code="max-requests",
            )
        self.begun = count

    def admit(self, arm: str) -> bool:
        """Count one request as sent; False, and not counted, where it may cost too much.

        What is under way, or was lost, is taken to cost what the answers before it did.
        """
        if self.max_usd is not None:
            taken = sum(each.taken for each in self._all)
            if taken + self._expected(arm) > self.max_usd * 1e6:
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
            used = price.usd(output.tokens_in, output.tokens_cached, output.tokens_out)
            self._spent[arm] += round(used * 1e6)

    def lose(self, arm: str) -> None:
        """Count a request as paid whose answer never came whole: the API may see it so."""
        self._lost += self._expected(arm)

    def stopped(self, kept: int, wanted: int) -> PolicyError:
        """Return the failure of a run that has reached its limit in USD."""
        return PolicyError(
            f"stopped before spending more than {self.max_usd:g} USD: "
            f"{kept:,} of {wanted:,} answers are kept, {self.usd or 0:.4f} USD spent",
            hint="run it again with a higher --max-usd: it goes on from there",
            code="max-usd",
        )

    def _expected(self, arm: str) -> float:
        """Return the millionths of a USD that the next answer of an arm may cost."""
        if count := self._answers[arm]:
            return self._spent[arm] / count
        price, mean = self._prices[arm], self._means.get(arm)
        if price is None or mean is None:
            return 0.0
        return price.usd(mean.tokens_in, mean.tokens_cached, mean.tokens_out) * 1e6


def estimate(
    counts: Mapping[str, int],
    means: Mapping[str, Mean],
    prices: Mapping[str, Price | None],
    concurrency: int,
) -> Estimate:
    """Estimate what `counts[arm]` answers of each arm take, all of them asked for.

    An arm that is asked nothing needs no mean.
    """
    counts = {arm: count for arm, count in counts.items() if count}
    usd: float | None = 0.0
    for arm, count in counts.items():
        price, mean = prices[arm], means[arm]
        if price is None or usd is None:
            usd = None
        else:
            usd += count * price.usd(mean.tokens_in, mean.tokens_cached, mean.tokens_out)
    return Estimate(
        requests=sum(counts.values()),
        tokens_in=round(sum(count * means[arm].tokens_in for arm, count in counts.items())),
        tokens_out=round(sum(count * means[arm].tokens_out for arm, count in counts.items())),
        usd=usd,
        seconds=sum(count * means[arm].latency_s for arm, count in counts.items()) / concurrency,
        is_guess=any(means[arm].is_guess for arm in counts),
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


def measured(column: Column) -> Mean | None:
    """Return the mean of the answers that came; None where nothing says what they took."""
    came = len(column.marks) - column.count(MISSING)
    if not came or not sum(column.tokens_in):
        return None
    tokens_out = sum(column.tokens_out) / came
    seconds = latency_s(column)
    return Mean(
        sum(column.tokens_in) / came,
        sum(column.tokens_cached) / came,
        tokens_out,
        _guessed_latency_s(tokens_out) if seconds is None else seconds,
    )


def latency_s(column: Column) -> float | None:
    """Return how long an answer took on average; None where none was measured."""
    latencies = [each for each in column.latency_ms if each >= 0]
    return sum(latencies) / len(latencies) / 1000 if latencies else None


def _guessed_latency_s(tokens_out: float) -> float:
    return _GUESSED_LATENCY_S + tokens_out / _GUESSED_TOKENS_PER_S
