"""Carry a run out now, over one connection of many requests at a time.

The one way so far to execute a `Run`.  A signal ends it cleanly: what is under way is waited for
a while, and a second signal does not wait.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from fftdeploy.api.client.plain import PlainClient
from fftdeploy.api.settings import Settings
from fftdeploy.api.threads import begin
from fftdeploy.evaluation.results import Results
from fftdeploy.evaluation.running.execution import Execution
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.run_answers import Progress
from fftdeploy.evaluation.running.run_log import RunLog
from fftdeploy.evaluation.running.spending import Spending
from fftdeploy.evaluation.running.stopping import stoppable
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
        ConflictError: The examples changed while it ran.
        DiskError: The disk refused the log.
        NotReadyError: An arm cannot be asked as its bundle is written.
        PolicyError: A limit of `spending`.
        UnverifiedError: The API gives no answers.

    A signal ends it as its handler wants, after the log is safe.  Whatever ends it, the answers
    that have come are in the log.
    """

    async def main() -> None:
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

    with stoppable() as stop, suppress(asyncio.CancelledError):
        if _is_in_a_loop():
            begin(asyncio.run, main()).result()
        else:
            asyncio.run(main())
    return run.results


def _is_in_a_loop() -> bool:
    """Whether this thread runs an event loop, as a notebook's does: it can't run another one."""
    with suppress(RuntimeError):
        return asyncio.get_running_loop().is_running()
    return False
