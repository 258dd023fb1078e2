"""Carry a run out now, many requests at a time, and keep every answer as it comes.

A fixed set of workers takes requests from one place, so that memory does not grow with the
examples.  What stops a run (a limit, a refused key) stops it cleanly: the answers that have come
are in the log, and running it again goes on.  A signal lets what is under way come for a while, and
a second signal does not wait.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import cast

from fftdeploy.api.answers import Answer
from fftdeploy.api.client.plain import PlainClient
from fftdeploy.api.settings import Settings
from fftdeploy.errors import FftdeployError, UnverifiedError
from fftdeploy.evaluation.limits import CONCURRENCY
from fftdeploy.evaluation.outputs import ModelOutput, read_output
from fftdeploy.evaluation.results import MISSING, NOT_MEASURED, Results
from fftdeploy.evaluation.running import stopping
from fftdeploy.evaluation.running.attempts import (
    AGAIN,
    LONGEST_WAIT_S,
    OUTAGE,
    ROUNDS_IN_VAIN,
    Attempt,
    Attempts,
)
from fftdeploy.evaluation.running.requests import Ask
from fftdeploy.evaluation.running.run_answers import RunAnswers
from fftdeploy.evaluation.running.stopping import SharedLoop, Stop
from fftdeploy.evaluation.running.throttle import Throttle
from fftdeploy.names import plural

TIMEOUT_S = 300.0
"""Longest wait for one answer."""

GRACE_S = 7.0
"""How long a run that is told to stop waits for the answers that are under way."""

_ROUND_PAUSE_S = 2.0


class Execution:
    """One run on its way; its workers share this state.  Within one event loop.

    `clients` are by arm: each asks its own host, and all of them have one throttle.  `on_last` is
    called when no request is left that was not sent yet.
    """

    def __init__(
        self,
        answers: RunAnswers,
        clients: Mapping[str, PlainClient],
        throttle: Throttle,
        *,
        timeout_s: float = TIMEOUT_S,
        on_last: Callable[[], object] = lambda: None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._answers = answers
        self._run = answers.run
        self._spending = answers.spending
        self._clients = clients
        self._throttle = throttle
        self._timeout_s = timeout_s
        self._on_last = on_last
        self._sleep = sleep
        self._failed_in_row = 0
        self._lost: list[tuple[str, int, ModelOutput]] = []
        """Of which arm and place an answer did not come, and what came instead."""
        self._failure: FftdeployError | None = None
        self._is_stopped = False
        self._workers: list[asyncio.Task[None]] = []
        self._idle: set[asyncio.Task[None]] = set()
        """Workers that have nothing under way."""

    async def execute(self) -> None:
        """Ask for every answer that is wanted; those that are lost again and again are marked.

        What was lost is asked again in rounds: an outage passes, and a lost answer tells lies.
        """
        self._answers.begin()
        await self._ask_all(self._wanted())
        # A request that fails whenever it is sent is told from an outage by failing on.
        in_vain = 0
        while self._lost and in_vain < ROUNDS_IN_VAIN and not self._is_ending:
            lost, self._lost = self._lost, []
            note = f"asking again for {plural(len(lost), 'answer')} that did not come"
            self._answers.on_note(note)
            await self._rest(self._throttle.jitter(_ROUND_PAUSE_S * 2**in_vain))
            await self._ask_all(
                (self._run.ask(arm, place) for arm, place, _ in lost), is_again=True
            )
            in_vain = 0 if len(self._lost) < len(lost) else in_vain + 1
        if self._failure is not None:
            raise self._failure
        if self._is_stopped:
            return
        for arm, place, output in self._lost:
            ask = self._run.ask(arm, place)
            self._answers.keep(ask, output, NOT_MEASURED, self._answers.now())
        self._answers.finish()

    def _wanted(self) -> Iterator[Ask]:
        yield from self._run.pending()
        self._on_last()

    def stop(self) -> None:
        """Begin nothing new, and wait a while for what is under way."""
        self._is_stopped = True
        self._end_idle()
        if under_way := self._throttle.in_flight:
            self._answers.on_note(
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

    async def _ask_all(self, asks: Iterator[Ask], *, is_again: bool = False) -> None:
        """Ask until nothing is left, or the run is to end."""
        if self._is_ending:
            return
        concurrency = self._throttle.concurrency
        attempts = Attempts(asks, self._throttle.most_put_off, self._throttle.clock)
        self._workers = []
        try:
            for _ in range(concurrency):
                self._workers.append(asyncio.create_task(self._work(attempts, is_again)))
                # What all get ready together goes out, and comes back, together: each would wait
                # for all of it twice.
                await asyncio.sleep(0)
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
                    self._answers.reuse(taken.ask, record)
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
            self._lost.append((ask.arm, ask.place, output))
        else:
            seconds = answer.latency_s
            latency_ms = NOT_MEASURED if seconds is None else round(seconds * 1000)
            self._answers.keep(ask, output, latency_ms, self._answers.now())
        if self._throttle.closed_s > LONGEST_WAIT_S:
            self._fail(self._too_patient(ask, self._throttle.closed_s))

    async def _send(self, ask: Ask) -> Answer:
        with self._idling():
            ticket = await self._throttle.enter()
        answer = None
        try:
            answer = await self._clients[ask.arm].send(ask.endpoint, ask.body, self._timeout_s)
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
                    hint=AGAIN,
                    where=self._run.arms[ask.arm].address,
                    code="outage",
                )
            )

    def _too_patient(self, ask: Ask, seconds: float) -> UnverifiedError:
        return UnverifiedError(
            f"the API asks to wait for {seconds:.0f} s; {self._answers.kept}",
            hint=AGAIN,
            where=self._run.arms[ask.arm].address,
            code="rate-limited",
        )


class JointLoop(SharedLoop):
    """What evaluations at the same time share: a loop, its throttle, one client for each host."""

    def __init__(self, concurrency: int) -> None:
        super().__init__()
        self.throttle = Throttle(concurrency, random=random.random)
        self.turn = asyncio.Lock()
        """Whose requests begin: evaluations that began together would also end together, and leave
        nothing under way while all of them are judged."""
        self._clients: dict[int, PlainClient] = {}

    def client(self, settings: Settings) -> PlainClient:
        """Return the client for a host, made in the loop when it is first wanted."""
        if id(settings) not in self._clients:
            most = self.throttle.concurrency
            self._clients[id(settings)] = PlainClient(settings, max_connections=most)
        return self._clients[id(settings)]

    async def close(self) -> None:
        """Close all clients."""
        for client in self._clients.values():
            await client.close()


def evaluate(
    answers: RunAnswers,
    hosts: Mapping[str, Settings],
    *,
    concurrency: int = CONCURRENCY,
    together: JointLoop | None = None,
) -> Results:
    """Ask what is still to be asked, from the main thread, and return all results.

    `hosts` are by arm; those that have the same settings share their connections.  One of several
    evaluations at a time is asked from a work of `together`, which says how many requests may be
    out.

    Raises:
        AuthError: The key was refused, or the account is out of credit.
        ConflictError: The examples changed while it ran.
        DiskError: The disk refused the log.
        NotReadyError: An arm cannot be asked as its bundle is written.
        PolicyError: A limit of the spending.
        UnverifiedError: The API gives no answers.

    A signal ends it as its handler wants, after the log is safe.  Whatever ends it, the answers
    that have come are in the log.
    """
    shared = together or JointLoop(concurrency)

    async def main(stop: Stop) -> None:
        turn = ExitStack()
        clients = {arm: shared.client(settings) for arm, settings in hosts.items()}
        execution = Execution(answers, clients, shared.throttle, on_last=turn.close)
        stop.attach(execution.stop)
        try:
            await shared.turn.acquire()
            turn.callback(shared.turn.release)
            await execution.execute()
        finally:
            turn.close()
            if together is None:
                await shared.close()

    (together or stopping).run(main)
    return answers.run.results
