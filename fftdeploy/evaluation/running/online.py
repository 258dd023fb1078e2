"""Carry the requests of a run out now, many at a time, and keep every answer as it comes.

The one way so far to execute a `Run`.  A fixed set of workers takes requests from one iterator,
so that memory does not grow with the examples.  What stops a run (a signal, a limit, a refused
key) stops it cleanly: the answers that have come are in the log, and running it again goes on.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, cast

from fftdeploy import verdicts
from fftdeploy.answers import Answer
from fftdeploy.errors import ConfigError, FftdeployError, NotReadyError, UnverifiedError
from fftdeploy.evaluation.outputs import Output, read_output
from fftdeploy.evaluation.results import MISSING, NOT_MEASURED, Results
from fftdeploy.evaluation.running import requests
from fftdeploy.evaluation.running.log_lines import CLOCK_SKEW, Record
from fftdeploy.evaluation.running.requests import Ask
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.run_log import RunLog
from fftdeploy.evaluation.running.spending import Spending
from fftdeploy.evaluation.running.stopping import stoppable
from fftdeploy.evaluation.running.throttle import Throttle
from fftdeploy.provider.async_connection import AsyncConnection
from fftdeploy.settings import Settings

CONCURRENCY = 16
TIMEOUT_S = 300.0
"""Longest wait for one answer."""

TRIES = 4
"""How often a request is sent whose answers are outages."""

LIMITED_TRIES = 30
"""How often it is sent where each is refused for the rate."""

LONGEST_WAIT_S = 120.0
"""A server that asks for more patience than this ends the run; it can go on later."""

OUTAGE = 20
"""So many failed requests in a row, and no good one between them, end the run."""

_AGAIN = "run the same command again later: it goes on from there"


class Sender(Protocol):
    """Whatever sends one request and returns its answer: an `AsyncConnection`."""

    async def send(self, endpoint: str, body: Any, timeout_s: float) -> Answer:
        """Send `body` to `endpoint`."""


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


def evaluate(
    run: Run,
    settings: Settings,
    log: RunLog,
    spending: Spending,
    *,
    concurrency: int = CONCURRENCY,
    on_progress: Callable[[Progress], None] = lambda _: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Results:
    """Ask what is still to be asked, from the main thread, and return all results.

    Raises:
        AuthError: The key was refused, or the account is out of credit.
        ConflictError: The examples changed while it ran.
        DiskError: The disk refused the log.
        NotReadyError: An arm cannot be asked as its bundle is written.
        PolicyError: A limit of `spending`.
        UnverifiedError: The API gives no answers.

    A signal ends it as its handler wants, after the log is safe.  Whatever ends it, the answers
    that have come are in the log.
    """

    async def main() -> None:
        stop.attach()
        connection = AsyncConnection(settings, max_connections=concurrency)
        throttle = Throttle(concurrency, random=random.random)
        try:
            await execute(
                run, connection, log, spending, throttle, on_progress=on_progress, now=now
            )
        finally:
            await connection.close()

    with stoppable() as stop, suppress(asyncio.CancelledError):
        asyncio.run(main())
    return run.results


async def execute(
    run: Run,
    sender: Sender,
    log: RunLog,
    spending: Spending,
    throttle: Throttle,
    *,
    timeout_s: float = TIMEOUT_S,
    on_progress: Callable[[Progress], None] = lambda _: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Do what `evaluate` does, within an event loop; cancelling it loses what is under way."""
    await _Execution(
        run, sender, log, spending, throttle, timeout_s, on_progress, now, sleep
    ).execute()


class _Execution:
    """The state that the workers of one run share."""

    def __init__(
        self,
        run: Run,
        sender: Sender,
        log: RunLog,
        spending: Spending,
        throttle: Throttle,
        timeout_s: float,
        on_progress: Callable[[Progress], None],
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self._run = run
        self._sender = sender
        self._log = log
        self._spending = spending
        self._throttle = throttle
        self._timeout_s = timeout_s
        self._on_progress = on_progress
        self._now = now
        self._sleep = sleep
        self._reused = 0
        self._failed_in_row = 0
        self._proved: set[str] = set()
        """Arms that have given an answer."""
        self._failure: FftdeployError | None = None
        self._idle: set[asyncio.Task[None]] = set()
        """Workers that wait for their turn."""
        self._started = time.monotonic()

    async def execute(self) -> None:
        self._require_possible()
        await self._replay()
        self._spending.require_allowed(self._to_ask())
        self._started = time.monotonic()
        asks = self._run.pending()
        workers = [asyncio.create_task(self._work(asks)) for _ in range(self._throttle.concurrency)]
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in done:
                if not worker.cancelled():
                    worker.result()  # a bug, if anything: failures are in `_failure`
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if self._failure is not None:
            raise self._failure
        self._run.examples.require_unchanged()
        self._log.finish(self._run.done, self._now())

    def _require_possible(self) -> None:
        """Refuse far too many requests before anything is made for each of them."""
        at_least = self._run.size - self._spending.max_requests - len(self._log.cache)
        if at_least > 0 and not self._log.resumed:
            self._spending.require_allowed(self._run.size - len(self._log.cache))

    async def _replay(self) -> None:
        """Take the answers that the log has already; an outage is asked again."""
        newest = self._now() + CLOCK_SKEW
        for record in self._log.records():
            if not self._run.expects(record.arm, record.index, record.repeat):
                where = f"{self._log.path.name}: {record.example}"
                raise ConfigError("the log of the run has an answer of another run", where=where)
            if record.output.mark == MISSING or record.at > newest:
                continue
            latency_ms = NOT_MEASURED if record.cached else record.latency_ms
            await self._run.accept(
                record.arm,
                record.index,
                record.repeat,
                record.output,
                latency_ms,
                at=record.at,
            )
            self._reused += 1
            self._proved.add(record.arm)

    def _to_ask(self) -> int:
        """Count what has to be asked, exactly only where the cache may decide about the limit."""
        left = self._run.size - self._run.done
        if left <= self._spending.max_requests or not len(self._log.cache):
            return left
        return sum(self._log.cache.find(ask.id) is None for ask in self._run.pending())

    async def _work(self, asks: Iterator[Ask]) -> None:
        try:
            for ask in asks:
                if record := self._log.cache.find(ask.id):
                    await self._reuse(ask, record)
                    await asyncio.sleep(0)  # nothing else lets a signal in
                elif self._spending.admit(ask.arm):
                    await self._ask(ask)
                else:
                    self._fail(self._spending.stopped(self._run.kept, self._run.size))
                if self._failure is not None:
                    return
        except FftdeployError as error:
            self._fail(error)

    def _fail(self, error: FftdeployError) -> None:
        """Let nobody begin anything new; what is under way is paid for, and is waited for."""
        self._failure = self._failure or error
        for worker in self._idle:
            worker.cancel()

    @contextmanager
    def _idling(self) -> Iterator[None]:
        """Mark the current worker as one that has nothing under way."""
        worker = cast("asyncio.Task[None]", asyncio.current_task())
        self._idle.add(worker)
        try:
            yield
        finally:
            self._idle.discard(worker)

    async def _reuse(self, ask: Ask, record: Record) -> None:
        self._reused += 1
        await self._keep(ask, record.output, NOT_MEASURED, record.at, cached=True)

    async def _ask(self, ask: Ask) -> None:
        output = None
        try:
            answer, latency_ms = await self._answer(ask)
            output = read_output(answer, ask.endpoint)
        finally:
            self._spending.settle(ask.arm, output)
        self._watch(ask, output)
        await self._keep(ask, output, latency_ms, self._now())
        if self._throttle.wait_s > LONGEST_WAIT_S:
            self._fail(self._too_patient())

    async def _keep(
        self, ask: Ask, output: Output, latency_ms: int, at: datetime, *, cached: bool = False
    ) -> None:
        """Log, then grade: what a grader does cannot cost a paid answer."""
        example = self._run.examples.ids[ask.index]
        self._log.add(
            Record(ask.id, ask.arm, ask.index, ask.repeat, example, at, output, latency_ms, cached)
        )
        await self._run.accept(ask.arm, ask.index, ask.repeat, output, latency_ms, at=at)
        self._on_progress(self._progress())

    async def _answer(self, ask: Ask) -> tuple[Answer, int]:
        """Send a request until it has an answer, or no hope; with the latency of the last try."""
        outages = 0
        for _ in range(LIMITED_TRIES):
            answer, latency_ms = await self._send(ask)
            self._require_useful(ask, answer)
            is_limited = answer.status == 429
            if not (is_limited or answer.is_transient or answer.fault == "timeout"):
                break
            outages += not is_limited
            if outages >= TRIES or self._failure is not None:
                break
            if not is_limited:
                with self._idling():
                    await self._sleep(self._throttle.jitter(0.25 * 2**outages))
        return answer, latency_ms

    async def _send(self, ask: Ask) -> tuple[Answer, int]:
        with self._idling():
            ticket = await self._throttle.enter()
        answer = None
        started = time.monotonic()
        try:
            answer = await self._sender.send(ask.endpoint, ask.body, self._timeout_s)
        finally:
            self._throttle.leave(ticket, answer)
        return answer, round((time.monotonic() - started) * 1000)

    def _require_useful(self, ask: Ask, answer: Answer) -> None:
        """Raise where the answer says that asking on is in vain."""
        arm = self._run.arms[ask.arm]
        model = arm.bundle.model
        if answer.status == 429 and self._throttle.wait_s > LONGEST_WAIT_S:
            raise self._too_patient()
        if answer.status not in {400, 401, 403, 404} and not answer.is_billing:
            return
        verdict = verdicts.judge_probe(model, ask.endpoint, answer, can_be_fresh=False)
        if verdict.is_auth or verdict.state == "not-ready":
            raise verdict.error(f"{ask.arm} ({model})", self._run.address, answer.request_id)
        param = answer.param.partition(".")[0].partition("[")[0]
        if answer.status != 400 or ask.arm in self._proved:
            return
        if param in requests.profile_params(arm):
            raise NotReadyError(
                f"{ask.arm} ({model}): the API refuses the profile's {param}: {answer.message}",
                hint=f"change the profile {arm.bundle.profile}, or choose another one",
                where=self._run.address,
                code="profile-refused",
            )

    def _watch(self, ask: Ask, output: Output) -> None:
        """Count outages in a row: a run that only fails would take for ever and prove nothing."""
        if output.mark != MISSING:
            self._failed_in_row = 0
            self._proved.add(ask.arm)
            return
        self._failed_in_row += 1
        if self._failed_in_row >= max(OUTAGE, 2 * self._throttle.concurrency):
            self._fail(
                UnverifiedError(
                    f"{self._failed_in_row} requests in a row failed, the last one by: "
                    f"{output.problem}; {self._kept}",
                    hint=_AGAIN,
                    where=self._run.address,
                    code="outage",
                )
            )

    def _too_patient(self) -> UnverifiedError:
        return UnverifiedError(
            f"the API asks to wait for {self._throttle.wait_s:.0f} s; {self._kept}",
            hint=_AGAIN,
            where=self._run.address,
            code="rate-limited",
        )

    @property
    def _kept(self) -> str:
        return f"{self._run.kept:,} of {self._run.size:,} answers are kept"

    def _progress(self) -> Progress:
        elapsed = time.monotonic() - self._started
        fresh = self._run.done - self._reused
        rate = fresh / elapsed if elapsed > 0 else 0.0
        left = self._run.size - self._run.done
        return Progress(
            done=self._run.done,
            total=self._run.size,
            cached=self._reused,
            rate=rate,
            eta_s=left / rate if rate else None,
            tokens_in=self._spending.tokens_in,
            tokens_out=self._spending.tokens_out,
            usd=self._spending.usd,
        )
