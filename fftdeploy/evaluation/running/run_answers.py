"""Takes the answers of a run in, however it is carried out: from logs, and as they come.

Every answer is in the log before it is graded, and none that is known is asked for again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fftdeploy.api import verdicts
from fftdeploy.api.answers import Answer
from fftdeploy.errors import ConfigError, NotReadyError
from fftdeploy.evaluation.outputs import ModelOutput
from fftdeploy.evaluation.results import MISSING, NOT_MEASURED
from fftdeploy.evaluation.running import requests
from fftdeploy.evaluation.running.log_lines import Record
from fftdeploy.evaluation.running.requests import Ask
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.run_log import RunLog
from fftdeploy.evaluation.running.spending import Spending
from fftdeploy.times import CLOCK_SKEW


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    done: int
    total: int
    cached: int
    """Of `done`: taken from earlier runs, or from this one before it was stopped."""
    rate: float
    """Answers a second, over this command."""
    eta_s: float | None
    tokens_in: int
    tokens_out: int
    usd: float | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How far the batches are that a run waits for."""

    batches: int
    answered: int
    requests: int
    seconds: float
    """For how long this command has waited."""


@dataclass(slots=True)
class RunAnswers:
    """The answers of one run, as one command takes them in, and whom it tells of them."""

    run: Run
    log: RunLog
    spending: Spending
    on_progress: Callable[[Progress], None] = lambda _: None
    on_note: Callable[[str], None] = lambda _: None
    """Told in a line what is done beside asking."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _reused: int = field(default=0, init=False)
    _proved: set[str] = field(default_factory=set, init=False)
    """Arms that have given an answer."""
    _started: float = field(default_factory=time.monotonic, init=False)

    @property
    def kept(self) -> str:
        """How many of the answers need not be asked for again, in words."""
        return f"{self.run.kept:,} of {self.run.size:,} answers are kept"

    def begin(self) -> None:
        """Take the answers that the log has already; an outage is asked again.

        Raises:
            ConfigError: The log is of another run.
            PolicyError: What is left is more than may be asked.
        """
        # Far too many requests are refused before anything is made for each of them.
        at_least = self.run.size - self.spending.allowed - len(self.log.cache)
        if at_least > 0 and not self.log.resumed:
            self.spending.require_allowed(self.run.size - len(self.log.cache))
        newest, repeats = self.now() + CLOCK_SKEW, self.run.rules.repeats
        for record in self.log.records():
            place = record.index * repeats + record.repeat
            if record.repeat >= repeats or not self.run.expects(record.arm, place):
                where = f"{self.log.path.name}: {record.example}"
                raise ConfigError("the log of the run has an answer of another run", where=where)
            if record.at > newest or not self.run.can_use(record.arm, record.output):
                continue
            latency_ms = NOT_MEASURED if record.cached else record.latency_ms
            self.run.accept(record.arm, place, record.output, latency_ms, at=record.at)
            self._reused += 1
            self._proved.add(record.arm)
        to_ask = self.run.size - self.run.done
        if to_ask > self.spending.allowed and len(self.log.cache):
            to_ask = sum(self.known(ask) is None for ask in self.run.pending())
        self.spending.require_allowed(to_ask)
        self._started = time.monotonic()

    def known(self, ask: Ask) -> Record | None:
        """Return the answer to a request that an earlier run has kept, if it may be used."""
        record = self.log.cache.find(ask.id)
        return record if record and self.run.can_use(ask.arm, record.output) else None

    def reuse(self, ask: Ask, record: Record) -> None:
        """Take an answer of an earlier run."""
        self._reused += 1
        self.keep(ask, record.output, NOT_MEASURED, record.at, cached=True)

    def keep(
        self, ask: Ask, output: ModelOutput, latency_ms: int, at: datetime, *, cached: bool = False
    ) -> None:
        """Log, then grade: what a grader does cannot cost a paid answer."""
        index, repeat = divmod(ask.place, self.run.rules.repeats)
        example = self.run.examples.ids[index]
        self.log.add(
            Record(ask.id, ask.arm, index, repeat, example, at, output, latency_ms, cached)
        )
        self.run.accept(ask.arm, ask.place, output, latency_ms, at=at)
        if output.mark != MISSING and not cached:
            self._proved.add(ask.arm)
        self.on_progress(self._progress())

    def require_useful(self, ask: Ask, answer: Answer) -> None:
        """Raise where the answer says that asking on is in vain.

        Raises:
            AuthError: The key was refused, or the account is out of credit.
            NotReadyError: The arm cannot be asked as its bundle is written.
        """
        if answer.status not in {400, 401, 403, 404} and not answer.is_billing:
            return
        arm = self.run.arms[ask.arm]
        model = arm.bundle.model
        verdict = verdicts.judge_probe(model, ask.endpoint, answer, can_be_fresh=False)
        if verdict.is_auth or verdict.state == "not-ready":
            raise verdict.error(f"{ask.arm} ({model})", arm.address, answer.request_id)
        param = answer.param.partition(".")[0].partition("[")[0]
        if answer.status != 400 or ask.arm in self._proved:
            return
        if param in requests.profile_params(arm):
            profile = arm.bundle.profile
            hint = f"change the profile {profile}, or choose another one"
            raise NotReadyError(
                f"{ask.arm} ({model}): the API refuses the profile's {param}: {answer.message}",
                hint=hint if profile else f"change {param} of its grader, or choose another model",
                where=arm.address,
                code="profile-refused",
            )

    def finish(self) -> None:
        """Say in the log that all answers are there.

        Raises:
            ConflictError: The examples changed while it ran.
        """
        self.run.examples.require_unchanged()
        self.log.finish(self.run.done, self.now())

    def _progress(self) -> Progress:
        elapsed = time.monotonic() - self._started
        fresh = self.run.done - self._reused
        rate = fresh / elapsed if elapsed > 0 else 0.0
        left = self.run.size - self.run.done
        return Progress(
            done=self.run.done,
            total=self.run.size,
            cached=self._reused,
            rate=rate,
            eta_s=left / rate if rate else None,
            tokens_in=self.spending.tokens_in,
            tokens_out=self.spending.tokens_out,
            usd=self.spending.usd,
        )
