"""Carry the requests of a run out, many at a time, and keep every answer as it comes.

A fixed set of workers takes requests from one place, so that memory does not grow with the
examples.  What stops a run (a limit, a refused key) stops it cleanly: the answers that have come
are in the log, and running it again goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple, Protocol, cast

from fftdeploy.api.answers import Answer
from fftdeploy.errors import FftdeployError, UnverifiedError
from fftdeploy.evaluation.outputs import ModelOutput, read_output
from fftdeploy.evaluation.results import MISSING, NOT_MEASURED
from fftdeploy.evaluation.running.attempts import LONGEST_WAIT_S, Attempt, Attempts
from fftdeploy.evaluation.running.requests import Ask
from fftdeploy.evaluation.running.run import Place, Run
from fftdeploy.evaluation.running.run_answers import Progress, RunAnswers
from fftdeploy.evaluation.running.run_log import RunLog
from fftdeploy.evaluation.running.spending import Spending
from fftdeploy.evaluation.running.throttle import Throttle
from fftdeploy.names import plural

GRACE_S = 7.0
"""How long a run that is told to stop waits for the answers that are under way."""

OUTAGE = 20
"""So many failed requests in a row, and no good one between them, end the run."""

ROUNDS_IN_VAIN = 2
"""What was lost is asked again until so many rounds on end have brought nothing."""

_ROUND_PAUSE_S = 2.0
_AGAIN = "run the same command again later: it goes on from there"


class Sender(Protocol):
    """Whatever sends one request and returns its answer: an `PlainClient`."""

    async def send(self, endpoint: str, body: Any, timeout_s: float) -> Answer:
        """Send `body` to `endpoint`."""


class _Lost(NamedTuple):
    """An answer that did not come, and what came instead."""

    place: Place
    output: ModelOutput


class Execution:
    """One run on its way; its workers share this state.  Within one event loop.

    `senders` are by arm: each goes to its own host, and all of them have one throttle.
    `on_note` is told in a line what is done beside asking, and `on_last` is called when no request
    is left that was not sent yet.
    """

    def __init__(
        self,
        run: Run,
        senders: Mapping[str, Sender],
        log: RunLog,
        spending: Spending,
        throttle: Throttle,
        *,
        timeout_s: float,
        on_progress: Callable[[Progress], None],
        on_note: Callable[[str], None],
        on_last: Callable[[], object] = lambda: None,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self._run = run
        self._answers = RunAnswers(run, log, spending, on_progress=on_progress, now=now)
        self._senders = senders
        self._spending = spending
        self._throttle = throttle
        self._timeout_s = timeout_s
        self._on_note = on_note
        self._on_last = on_last
        self._now = now
        self._sleep = sleep
        self._failed_in_row = 0
        self._lost: list[_Lost] = []
        self._failure: FftdeployError | None = None
        self._is_stopped = False
        self._workers: list[asyncio.Task[None]] = []
        self._idle: set[asyncio.Task[None]] = set()
        """Workers that have nothing under way."""

    async def execute(self) -> None:
        """Ask for every answer that is wanted; those that are lost again and again are marked."""
        await self._answers.begin()
        await self._ask_all(self._wanted())
        await self._ask_for_the_lost()
        if self._failure is not None:
            raise self._failure
        if self._is_stopped:
            return
        for place, output in self._lost:
            (ask,) = self._run.asks([place])
            await self._answers.keep(ask, output, NOT_MEASURED, self._now())
        self._answers.finish()

    def _wanted(self) -> Iterator[Ask]:
        yield from self._run.pending()
        self._on_last()

    def stop(self) -> None:
        """Begin nothing new, and wait a while for what is under way."""
        self._is_stopped = True
        self._end_idle()
        if under_way := self._throttle.in_flight:
            self._on_note(
                f"stopping: waiting {GRACE_S:g} s at most for {plural(under_way, 'answer')} under "
                "way, which would be paid for twice; stop again not to wait"
            )
            asyncio.get_running_loop().call_later(GRACE_S, self._cut)

    def _cut(self) -> None:
        for worker in self._workers:
            worker.cancel()

    @property
    def _is_ending(self) -> bool:
        return self._is_stopped or self._failure is not None

    async def _ask_for_the_lost(self) -> None:
        """Ask again for what was lost, in rounds: an outage passes, and a lost answer tells lies.

        A request that fails whenever it is sent is told from an outage by failing on.
        """
        in_vain = 0
        while self._lost and in_vain < ROUNDS_IN_VAIN and not self._is_ending:
            lost, self._lost = self._lost, []
            self._on_note(f"asking again for {plural(len(lost), 'answer')} that did not come")
            await self._rest(self._throttle.jitter(_ROUND_PAUSE_S * 2**in_vain))
            await self._ask_all(self._run.asks(place for place, _ in lost), is_again=True)
            in_vain = 0 if len(self._lost) < len(lost) else in_vain + 1

    async def _ask_all(self, asks: Iterator[Ask], *, is_again: bool = False) -> None:
        """Ask until nothing is left, or the run is to end."""
        if self._is_ending:
            return
        concurrency = self._throttle.concurrency
        attempts = Attempts(asks, self._throttle.most_put_off, self._throttle.clock)
        self._workers = [
            asyncio.create_task(self._work(attempts, is_again)) for _ in range(concurrency)
        ]
        try:
            done, _ = await asyncio.wait(self._workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in done:
                if not worker.cancelled():
                    worker.result()  # a bug, if anything: failures are in `_failure`
        finally:
            self._cut()
            await asyncio.gather(*self._workers, return_exceptions=True)

    async def _rest(self, seconds: float) -> None:
        """Do nothing for a time, which a signal ends."""

        async def rest() -> None:
            with self._idling():
                await self._sleep(seconds)

        await asyncio.gather(asyncio.create_task(rest()), return_exceptions=True)

    async def _work(self, attempts: Attempts, is_again: bool) -> None:
        try:
            while not self._is_ending:
                taken = attempts.take()
                if taken is None:
                    return
                if isinstance(taken, float):
                    with self._idling():
                        await self._sleep(taken)
                elif taken.is_new and (record := self._answers.known(taken.ask)):
                    await self._answers.reuse(taken.ask, record)
                    await asyncio.sleep(0)  # nothing else lets a signal in
                elif not taken.is_new or self._spending.admit(taken.ask.arm):
                    await self._try(attempts, taken, is_again)
                else:
                    self._fail(self._spending.stopped(self._run.kept, self._run.size))
        except FftdeployError as error:
            self._fail(error)

    def _fail(self, error: FftdeployError) -> None:
        """Let nobody begin anything new; what is under way is paid for, and is waited for."""
        self._failure = self._failure or error
        self._end_idle()

    def _end_idle(self) -> None:
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

    async def _try(self, attempts: Attempts, attempt: Attempt, is_again: bool) -> None:
        """Send a request once; put it off where it is worth sending again, else take its answer."""
        ask, output = attempt.ask, None
        is_over = True
        try:
            answer = await self._send(ask)
            if answer.status == 429 and (answer.retry_after_s or 0) > LONGEST_WAIT_S:
                raise self._too_patient(ask, answer.retry_after_s or 0)
            self._answers.require_useful(ask, answer)
            pause_s = attempt.pause_s(answer, self._throttle.jitter)
            if pause_s is None:
                output = read_output(answer, ask.endpoint)
            elif not self._is_ending:
                attempts.put_off(attempt, pause_s)
                is_over = False
        finally:
            if is_over:
                self._spending.settle(ask.arm, output)
        if output is None:
            return
        if answer.status == 200 and not answer.problem:
            self._run.require_own(ask.arm, output)
        if not is_again:
            self._watch(ask, output)
        if output.mark == MISSING and answer.may_differ:
            self._lost.append(_Lost(Place(ask.arm, ask.index, ask.repeat), output))
        else:
            await self._answers.keep(ask, output, _milliseconds(answer.latency_s), self._now())
        if self._throttle.closed_s > LONGEST_WAIT_S:
            self._fail(self._too_patient(ask, self._throttle.closed_s))

    async def _send(self, ask: Ask) -> Answer:
        with self._idling():
            ticket = await self._throttle.enter()
        answer = None
        try:
            answer = await self._senders[ask.arm].send(ask.endpoint, ask.body, self._timeout_s)
        finally:
            self._throttle.leave(ticket, answer)
            if answer is None or answer.is_broken:
                self._spending.lose(ask.arm)
        return answer

    def _watch(self, ask: Ask, output: ModelOutput) -> None:
        """Count outages in a row: a run that only fails would take for ever and prove nothing."""
        if output.mark != MISSING:
            self._failed_in_row = 0
            return
        self._failed_in_row += 1
        if self._failed_in_row >= max(OUTAGE, 2 * self._throttle.concurrency):
            self._fail(
                UnverifiedError(
                    f"{self._failed_in_row} requests in a row failed, the last one by: "
                    f"{output.problem}; {self._answers.kept}",
                    hint=_AGAIN,
                    where=self._run.arms[ask.arm].address,
                    code="outage",
                )
            )

    def _too_patient(self, ask: Ask, seconds: float) -> UnverifiedError:
        return UnverifiedError(
            f"the API asks to wait for {seconds:.0f} s; {self._answers.kept}",
            hint=_AGAIN,
            where=self._run.arms[ask.arm].address,
            code="rate-limited",
        )


def _milliseconds(seconds: float | None) -> int:
    return NOT_MEASURED if seconds is None else round(seconds * 1000)
