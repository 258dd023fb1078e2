"""Carry a run out now, many requests at a time, over one client for each host.

A signal ends it cleanly: what is under way is waited for
a while, and a second signal does not wait.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime

from fftdeploy.api.client.plain import PlainClient
from fftdeploy.api.settings import Settings
from fftdeploy.evaluation.results import Results
from fftdeploy.evaluation.running import stopping
from fftdeploy.evaluation.running.execution import Execution
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.run_answers import Progress
from fftdeploy.evaluation.running.run_log import RunLog
from fftdeploy.evaluation.running.spending import Spending
from fftdeploy.evaluation.running.stopping import SharedLoop, Stop
from fftdeploy.evaluation.running.throttle import CONCURRENCY, Throttle

TIMEOUT_S = 300.0
"""Longest wait for one answer."""


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
    run: Run,
    hosts: Mapping[str, Settings],
    log: RunLog,
    spending: Spending,
    *,
    concurrency: int = CONCURRENCY,
    together: JointLoop | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
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
        PolicyError: A limit of `spending`.
        UnverifiedError: The API gives no answers.

    A signal ends it as its handler wants, after the log is safe.  Whatever ends it, the answers
    that have come are in the log.
    """
    shared = together or JointLoop(concurrency)

    async def main(stop: Stop) -> None:
        turn = ExitStack()
        execution = Execution(
            run,
            {arm: shared.client(settings) for arm, settings in hosts.items()},
            log,
            spending,
            shared.throttle,
            timeout_s=TIMEOUT_S,
            on_progress=on_progress,
            on_note=on_note,
            on_last=turn.close,
            now=now,
            sleep=asyncio.sleep,
        )
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
    return run.results
