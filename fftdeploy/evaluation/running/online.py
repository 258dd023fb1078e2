"""Carry a run out now, over one connection of many requests at a time.

A signal ends it cleanly: what is under way is waited for
a while, and a second signal does not wait.
"""

import asyncio
import random
from collections.abc import Callable
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
    settings: Settings,
    log: RunLog,
    spending: Spending,
    *,
    concurrency: int = CONCURRENCY,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Results:
    """Ask what is still to be asked, from the main thread, and return all results.

    Raises:
        AuthError: The key was refused, or the account is out of credit.
        ConflictError: The examples changed while it ran, or a batch is to answer them.
        DiskError: The disk refused the log.
        NotReadyError: An arm cannot be asked as its bundle is written.
        PolicyError: A limit of `spending`.
        UnverifiedError: The API gives no answers.

    A signal ends it as its handler wants, after the log is safe.  Whatever ends it, the answers
    that have come are in the log.
    """
    log.require_no_batch()

    async def main(stop: Stop) -> None:
        connection = PlainClient(settings, max_connections=concurrency)
        execution = Execution(
            run,
            connection,
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
            await connection.close()

    stopping.run(main)
    return run.results
