"""Carry a run out by batches, the provider's own queue, as `online` does over one connection."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fftdeploy.api.settings import Settings
from fftdeploy.evaluation.results import Results
from fftdeploy.evaluation.running import stopping
from fftdeploy.evaluation.running.batches.batch_execution import BatchExecution, BatchOptions
from fftdeploy.evaluation.running.batches.host_queue import HostQueue
from fftdeploy.evaluation.running.run_answers import RunAnswers, Waiting
from fftdeploy.evaluation.running.stopping import SharedLoop, Stop


def evaluate(
    answers: RunAnswers,
    hosts: Mapping[str, Settings],
    options: BatchOptions,
    *,
    together: SharedLoop | None = None,
    on_waiting: Callable[[Waiting], None] = lambda _: None,
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
        PolicyError: A limit of the spending; nothing was sent.
        UnverifiedError: The time is over and batches are under way, or the host does not answer.

    A signal ends it at once as its handler wants: batches go on at the host.
    """

    async def main(stop: Stop) -> None:
        each_once = {id(settings): settings for settings in hosts.values()}
        queues = {key: HostQueue(settings, sleep) for key, settings in each_once.items()}
        execution = BatchExecution(
            answers,
            {arm: queues[id(settings)] for arm, settings in hosts.items()},
            options,
            on_waiting=on_waiting,
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
    return answers.run.results
