"""Carry a run out by batches, the provider's own queue, as `online` does over one connection.

Answers are taken in whenever they come.  The log says which batches there are before anything
depends on it, and each batch says in its metadata which run it is of: whatever ends the process,
running it again finds them.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import BinaryIO

from fftdeploy.api.batches import LINE_BYTES, Batch
from fftdeploy.api.settings import Settings
from fftdeploy.errors import UnverifiedError
from fftdeploy.evaluation.outputs import ModelOutput
from fftdeploy.evaluation.results import MISSING, NOT_MEASURED, Results
from fftdeploy.evaluation.running import stopping
from fftdeploy.evaluation.running.attempts import OUTAGE, ROUNDS_IN_VAIN
from fftdeploy.evaluation.running.batches.batch_answers import BREATH, FULL, BatchAnswers
from fftdeploy.evaluation.running.batches.host_queue import NAME, REFUSED, HostQueue
from fftdeploy.evaluation.running.batches.parcel import Packer, Parcel, is_as_sent
from fftdeploy.evaluation.running.log_lines import BatchNote
from fftdeploy.evaluation.running.requests import endpoint_of
from fftdeploy.evaluation.running.run_answers import RunAnswers, Waiting
from fftdeploy.evaluation.running.stopping import SharedLoop, Stop
from fftdeploy.files import journal
from fftdeploy.names import plural

_RUN, _ARM, _PLACES, _REQUESTS = (
    f"fftdeploy_{name}" for name in ("run", "arm", "places", "requests")
)
"""Where a batch's metadata says what it is."""

_NUMBER = re.compile(r"[0-9]{1,9}")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """How a run is carried out by batches."""

    wait_s: float | None
    """How long to wait for them; None until all of them are over."""
    since: datetime | None
    """Batches of the same run that others have made since then are taken; None for none."""
    again: str
    """The command that comes back to them."""


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
        execution = _Execution(
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


class _Execution:
    """One run on its way.  Within one event loop."""

    def __init__(
        self,
        answers: RunAnswers,
        queues: Mapping[str, HostQueue],
        options: BatchOptions,
        *,
        on_waiting: Callable[[Waiting], None],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self._answers = answers
        self._run, self._log, self._spending = answers.run, answers.log, answers.spending
        self._taken = BatchAnswers(answers)
        self._queues = queues
        """By arm; arms of one host have the same."""
        self._options = options
        self._on_waiting = on_waiting
        self._monotonic = monotonic
        self._sleep = sleep
        self._notes: dict[str, BatchNote] = {}
        self._in_vain: Counter[str] = Counter()
        """Batches of an arm, one after the other, that have brought nothing."""
        self._is_full = False
        self._started = monotonic()

    @property
    def _open(self) -> list[BatchNote]:
        """The batches whose answers are not in the log yet."""
        return [note for note in self._notes.values() if not note.status]

    async def execute(self) -> None:
        """Have every answer that is wanted, or say what is under way when the time is over."""
        self._answers.begin()
        self._notes = self._log.batches()
        for ask in self._run.pending() if len(self._log.cache) else ():
            if record := self._answers.known(ask):
                self._answers.reuse(ask, record)
            await asyncio.sleep(0)
        if self._run.done < self._run.size:
            await self._find_batches()
        for note in self._open:
            self._spending.expect(note.arm, self._run.lacking(note.arm, note.first, note.end))
        while self._run.done < self._run.size:
            if self._is_full and self._open:
                self._is_full = False  # until one of them is over
            else:
                await self._submit()
            if not self._open:
                break
            await self._wait()
        for arm in self._run.arms:
            for ask in self._run.rest(arm, lambda _: True):
                problem = self._taken.problems.get(arm, "no answer")
                output = ModelOutput(mark=MISSING, problem=problem)
                self._answers.keep(ask, output, NOT_MEASURED, self._answers.now())
        self._answers.finish()

    async def _find_batches(self) -> None:
        """Find the batches that were made and not written down, and those of others."""
        unsure = [note for note in self._open if not note.id]
        oldest = [note.at for note in unsure]
        oldest += [self._options.since] if self._options.since else []
        since = min(oldest, default=self._answers.now())
        for queue in dict.fromkeys(self._queues.values()):
            made = await queue.made(since)
            for note in unsure:
                if self._queues[note.arm] is queue:
                    await self._settle_unsure(note, made)
            if self._options.since:
                for batch in made:
                    await self._adopt(batch, queue, self._options.since)

    async def _settle_unsure(self, note: BatchNote, made: Iterable[Batch]) -> None:
        """Find the batch of a process that ended while it was made, or make it now."""
        found = next((each for each in made if each.input_file == note.file), None)
        found = found or await self._queues[note.arm].find(note.file, note.at)
        if found:
            self._answers.on_note(f"found batch {found.id} again")
            self._note(replace(note, id=found.id))
            return
        try:
            await self._create(note)
        except UnverifiedError as error:
            if error.code != REFUSED:
                raise
            self._note(replace(note, status="lost"))  # the file is gone: all is asked anew

    async def _adopt(self, batch: Batch, queue: HostQueue, since: datetime) -> None:
        """Take part in a batch that asks the same for another log of this run.

        What it says of itself only finds it: anyone with a key of the project may have made it.
        """
        said = batch.metadata
        if said.get(_RUN) != self._log.run or said.get(NAME, "") in {"", *self._notes}:
            return
        first, _, end = said.get(_PLACES, "").partition("-")
        requests = said.get(_REQUESTS, "")
        is_sound = all(_NUMBER.fullmatch(number) for number in (first, end, requests))
        arm = said.get(_ARM, "")
        if not is_sound or self._queues.get(arm) is not queue or batch.created_at < since:
            return
        made_at = batch.created_at
        note = BatchNote(said[NAME], made_at, arm, int(first), int(end), int(requests), id=batch.id)
        is_wanted = batch.status not in {"failed", "cancelling", "cancelled"}
        if not (is_wanted and self._run.lacking(arm, note.first, note.end)):
            return
        if await self._asks_the_same(note, batch, queue):
            self._answers.on_note(f"batch {batch.id} asks the same: its answers are taken")
            self._note(note)
        else:
            self._answers.on_note(
                f"batch {batch.id} says that it asks the same, and does not: passed over"
            )

    async def _asks_the_same(self, note: BatchNote, batch: Batch, queue: HostQueue) -> bool:
        """Whether each request of the batch that concerns us is the one that we would send."""
        with closing(self._scratch()) as sink:
            if not batch.input_file or await queue.download(batch.input_file, sink):
                return False
            sink.seek(0)
            for count, line in enumerate(iter(partial(sink.readline, LINE_BYTES), b"")):
                if not is_as_sent(line, note, self._run, queue.path_of):
                    return False
                if count % BREATH == 0:
                    await asyncio.sleep(0)
        return True

    async def _submit(self) -> None:
        """Send what no batch is on its way to, once all of it is allowed."""
        self._is_full = False
        packer = Packer(lambda arm, endpoint: self._queues[arm].path_of(endpoint), self._scratch)
        with closing(packer):
            for arm in self._run.arms:
                if self._in_vain[arm] < ROUNDS_IN_VAIN:
                    await self._pack(arm, packer)
            for parcel in packer.parcels:
                await self._send(parcel)

    def _scratch(self) -> BinaryIO:
        return journal.scratch(self._log.path.parent)

    async def _pack(self, arm: str, packer: Packer) -> None:
        under_way = [note for note in self._open if note.arm == arm]

        def is_free(place: int) -> bool:
            return not any(note.covers(arm, place) for note in under_way)

        for count, ask in enumerate(self._run.rest(arm, is_free)):
            if not self._spending.admit(arm):
                raise self._spending.stopped(self._run.kept, self._run.size)
            packer.add(ask)
            if count % BREATH == 0:
                await asyncio.sleep(0)

    async def _send(self, parcel: Parcel) -> None:
        name = f"{self._log.path.stem}-{len(self._notes) + 1}"
        file = await self._queues[parcel.arm].upload(parcel.file, f"{name}.jsonl")
        note = BatchNote(
            name, self._answers.now(), parcel.arm, parcel.first, parcel.end, parcel.requests, file
        )
        self._note(note)
        await self._create(note)

    async def _create(self, note: BatchNote) -> None:
        said = {
            NAME: note.batch,
            _RUN: self._log.run,
            _ARM: note.arm,
            _PLACES: f"{note.first}-{note.end}",
            _REQUESTS: str(note.requests),
        }
        endpoint = endpoint_of(self._run.arms[note.arm])
        batch = await self._queues[note.arm].create(note.file, endpoint, said, note.at)
        self._note(replace(note, id=batch.id))
        self._answers.on_note(f"batch {batch.id}: {plural(note.requests, 'request')} of {note.arm}")

    def _note(self, note: BatchNote) -> None:
        self._log.note_batch(note)
        self._notes[note.batch] = note

    async def _wait(self) -> None:
        """Wait until at least one batch is over, and take its answers."""
        pause_s, count, outages = _FIRST_PAUSE_S, len(self._open), 0
        while True:
            try:
                seen = {
                    note.batch: await self._queues[note.arm].retrieve(note.id)
                    for note in self._open
                }
            except UnverifiedError as error:
                outages += 1
                if outages >= OUTAGE or self._left_s <= 0:
                    raise
                self._answers.on_note(
                    f"the batches go on, and are asked about again: {error.message}"
                )
            else:
                outages = 0
                for name, batch in seen.items():
                    if batch.is_over:
                        await self._take(self._notes[name], batch)
                open_ones = [each for each in seen.values() if not each.is_over]
                answered = sum(each.completed + each.failed for each in open_ones)
                if len(self._open) < count:
                    return
                requests = sum(note.requests for note in self._open)
                waited_s = self._monotonic() - self._started
                self._on_waiting(Waiting(count, answered, requests, waited_s))
                if self._left_s <= 0:
                    raise self._still_going(answered, requests)
            await self._sleep(min(pause_s, self._left_s))
            pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)

    @property
    def _left_s(self) -> float:
        """How long this command may go on waiting."""
        if self._options.wait_s is None:
            return float("inf")
        return self._started + self._options.wait_s - self._monotonic()

    def _still_going(self, answered: int, requests: int) -> UnverifiedError:
        named = ", ".join(note.id for note in self._open)
        return UnverifiedError(
            f"{plural(len(self._open), 'batch')} under way at the host, {answered:,} of "
            f"{plural(requests, 'answer')} there: {named}",
            hint=f"come back with: {self._options.again}",
            where=" ".join(dict.fromkeys(self._queues[note.arm].address for note in self._open)),
            code="batch-under-way",
        )

    async def _take(self, note: BatchNote, batch: Batch) -> None:
        """Take the answers of a batch that is over, and say so in the log when they are in it."""
        wanted = self._run.lacking(note.arm, note.first, note.end)
        came = 0
        for file in filter(None, (batch.output_file, batch.error_file)):
            with closing(self._scratch()) as sink:
                broken = await self._queues[note.arm].download(file, sink)
                came += await self._taken.take(sink, note, batch, self._queues[note.arm])
            if broken and broken.code != REFUSED:
                raise broken
            if broken:  # it is kept for a while only
                self._answers.on_note(f"batch {batch.id}: a file of it is gone: {broken.message}")
        self._note(replace(note, status=batch.status))
        self._spending.expect(note.arm, came - wanted)
        if batch.status != "failed" and note.file:
            self._in_vain[note.arm] = 0 if came else self._in_vain[note.arm] + 1
        said = f"{came:,} of {plural(note.requests, 'answer')} of {note.arm}"
        self._answers.on_note(f"batch {batch.id} {batch.status}: {said}")
        if self._taken.failure is not None:
            raise self._taken.failure
        if batch.status == "failed":
            # Nobody has begun it; it may be begun once another one is over.
            error = self._taken.refusal(note, batch, self._queues[note.arm])
            self._is_full = error.code == FULL
            if not (self._is_full and self._open):
                raise error
            self._answers.on_note(f"waiting for a batch to end: {error.message}")
        if batch.status == "cancelled":
            raise UnverifiedError(
                f"batch {batch.id} was cancelled; {self._answers.kept}",
                hint=f"what is missing is asked for by: {self._options.again}",
                where=self._queues[note.arm].address,
                code="batch-cancelled",
            )
