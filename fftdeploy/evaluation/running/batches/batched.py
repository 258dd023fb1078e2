"""Carry a run out by batches, the provider's own queue, as `online` does over one connection."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from fftdeploy.api.client.connection import BatchConnection
from fftdeploy.api.settings import Settings
from fftdeploy.evaluation.results import Results
from fftdeploy.evaluation.running import stopping
from fftdeploy.evaluation.running.batches.batch_execution import (
    BatchExecution,
    BatchOptions,
    Waiting,
)
from fftdeploy.evaluation.running.batches.host_queue import HostQueue
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.run_answers import Progress
from fftdeploy.evaluation.running.run_log import RunLog
from fftdeploy.evaluation.running.spending import Spending
from fftdeploy.evaluation.running.stopping import SharedLoop, Stop


def evaluate(
    run: Run,
    hosts: Mapping[str, Settings],
    log: RunLog,
    spending: Spending,
    options: BatchOptions,
    *,
    together: SharedLoop | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_waiting: Callable[[Waiting], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Results:
    """Have batches answer what is still to be asked, from the main thread; return all results.

    `hosts` are by arm; a batch is of one arm.  One of several evaluations at a time is asked from a
    work of `together`.

    Raises:
        AuthError: The key was refused, or the account is out of credit.
        ConflictError: The examples changed while it ran.
        DiskError: The disk refused the log or a file of requests.
        NotReadyError: There is no Batch API, or it refuses the requests.
        PolicyError: A limit of `spending`; nothing was sent.
        UnverifiedError: The time is over and batches are under way, or the host does not answer.

    A signal ends it at once as its handler wants: batches go on at the host.
    """

    async def main(stop: Stop) -> None:
        queues = {
            id(settings): HostQueue(
                BatchConnection(settings),
                settings,
                sleep=sleep,
                jitter=lambda seconds: seconds * (0.5 + random.random() / 2),  # noqa: S311  no secret
            )
            for settings in {id(each): each for each in hosts.values()}.values()
        }
        execution = BatchExecution(
            run,
            {arm: queues[id(settings)] for arm, settings in hosts.items()},
            log,
            spending,
            options,
            on_progress=on_progress,
            on_waiting=on_waiting,
            on_note=on_note,
            now=now,
            monotonic=monotonic,
            sleep=sleep,
        )
        task = asyncio.create_task(execution.execute())
        stop.attach(task.cancel)
        try:
            await task
        finally:
            for queue in queues.values():
                queue.close()

    (together or stopping).run(main)
    return run.results
