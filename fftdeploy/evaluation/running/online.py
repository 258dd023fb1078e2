"""Carry a run out now, many requests at a time, over one client for each host.

A signal ends it cleanly: what is under way is waited for
a while, and a second signal does not wait.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
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
from fftdeploy.evaluation.running.stopping import Stop
from fftdeploy.evaluation.running.throttle import CONCURRENCY, Throttle

TIMEOUT_S = 300.0
"""Longest wait for one answer."""


def evaluate(
    run: Run,
    hosts: Mapping[str, Settings],
    log: RunLog,
    spending: Spending,
    *,
    concurrency: int = CONCURRENCY,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Results:
    """Ask what is still to be asked, from the main thread, and return all results.

    `hosts` are by arm; those that have the same settings share their connections.

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

    async def main(stop: Stop) -> None:
        clients = {
            id(settings): PlainClient(settings, max_connections=concurrency)
            for settings in {id(each): each for each in hosts.values()}.values()
        }
        execution = Execution(
            run,
            {arm: clients[id(settings)] for arm, settings in hosts.items()},
            log,
            spending,
            Throttle(concurrency, random=random.random),
            timeout_s=TIMEOUT_S,
            on_progress=on_progress,
            on_note=on_note,
            now=now,
            sleep=asyncio.sleep,
        )
        stop.attach(execution.stop)
        try:
            await execution.execute()
        finally:
            for client in clients.values():
                await client.close()

    stopping.run(main)
    return run.results
