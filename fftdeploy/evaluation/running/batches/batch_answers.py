"""Takes in what a host has made of a batch: its answers, or why it was not begun."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import BinaryIO

from fftdeploy.api.answers import Answer
from fftdeploy.api.batches import LINE_BYTES, Batch, read_line
from fftdeploy.errors import FftdeployError, NotReadyError, UnverifiedError
from fftdeploy.evaluation.outputs import read_output
from fftdeploy.evaluation.results import BATCHED, MISSING
from fftdeploy.evaluation.running.batches.host_queue import HostQueue
from fftdeploy.evaluation.running.batches.parcel import ask_for
from fftdeploy.evaluation.running.log_lines import BatchNote
from fftdeploy.evaluation.running.requests import Ask
from fftdeploy.evaluation.running.run_answers import RunAnswers

BREATH = 256
"""So many lines are read or written before signals are looked at."""

FULL = "queue-full"
"""The code of a refusal that others under way are the reason for."""

_FULL_CODES = frozenset({"rate_limit_exceeded", "token_limit_exceeded"})


class BatchAnswers:
    """Takes the answers of batches, each once: a second one, or one of no request, is passed over.

    An answer after which asking is in vain does not keep the others from being taken.
    """

    def __init__(self, answers: RunAnswers) -> None:
        self.failure: FftdeployError | None = None
        """Why asking on is in vain."""
        self.problems: dict[str, str] = {}
        """Why the last answer of an arm did not come."""
        self._answers = answers
        self._run = answers.run

    async def take(self, file: BinaryIO, note: BatchNote, batch: Batch, queue: HostQueue) -> int:
        """Keep the answers in a file that has come; return how many there were."""
        given_at = min(batch.created_at, self._answers.now())
        came = count = 0
        file.seek(0)
        while line := file.readline(LINE_BYTES):
            count += 1
            found = read_line(line, queue.scrub, queue.kind)
            ask = ask_for(found[0], note, self._run) if found else None
            if found and ask and not self._run.has(ask.arm, ask.place):
                came += self._accept(ask, found[1], given_at)
            if count % BREATH == 0:
                await asyncio.sleep(0)
        return came

    def _accept(self, ask: Ask, answer: Answer, given_at: datetime) -> bool:
        """Keep an answer; False where it did not come, or says that something is wrong."""
        output = read_output(answer, ask.endpoint)
        try:
            self._answers.require_useful(ask, answer)
            if answer.status == 200 and not answer.problem:
                self._run.require_own(ask.arm, output)
        except FftdeployError as error:
            self.failure = self.failure or error
            return False
        if output.mark == MISSING and answer.may_differ:
            self.problems[ask.arm] = output.problem
            return False
        self._answers.spending.settle(ask.arm, output)
        self._answers.keep(ask, output, BATCHED, given_at)
        return True

    def refusal(self, note: BatchNote, batch: Batch, queue: HostQueue) -> FftdeployError:
        """Return why a host did not begin a batch; of code `FULL` where it may begin it later."""
        if not batch.errors:
            return _refused(note, batch, queue, "it does not say why")
        first = batch.errors[0]
        said = f"{first.code}: {first.message}"
        answer = Answer(
            429, code=first.code, message=first.message, has_error=True, kind=queue.kind
        )
        if not answer.is_billing:
            status = 404 if first.code == "model_not_found" else 400
            answer = replace(answer, status=status, param=first.param)
        ask = self._run.ask(note.arm, note.first)
        try:
            self._answers.require_useful(ask, answer)
        except FftdeployError as error:
            return error
        if first.code in _FULL_CODES or "nqueued" in first.message:
            return UnverifiedError(
                f"the host takes no batch now: {said}",
                hint="run the same command again later",
                where=queue.address,
                code=FULL,
            )
        return _refused(note, batch, queue, said)


def _refused(note: BatchNote, batch: Batch, queue: HostQueue, said: str) -> NotReadyError:
    return NotReadyError(
        f"{note.arm}: the host refused batch {batch.id}: {said}",
        hint="leave out --batch: the same evaluation is made at once",
        where=queue.address,
        code="batch-refused",
    )
