"""Hands files of requests to a host's queue, each of them once, and fetches what came of them."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, BinaryIO

from fftdeploy.api.answers import Answer
from fftdeploy.api.batches import Batch, file_id, read_batch
from fftdeploy.api.client.connection import BatchConnection
from fftdeploy.api.client.incoming import scrubber
from fftdeploy.api.hosts import COMPATIBLE, Kind
from fftdeploy.api.readiness import explain
from fftdeploy.api.settings import Settings
from fftdeploy.api.threads import begin
from fftdeploy.errors import FftdeployError, NotReadyError, UnverifiedError
from fftdeploy.evaluation.running.attempts import AGAIN, Retries

PAGES = 100
"""Most pages of a list of batches that are asked for."""

NAME = "fftdeploy_batch"
"""Where a batch's metadata has the name that we gave it."""

REFUSED = "refused"
"""The code of a failure that will be the same again."""

_LATE_S = 5.0
"""What was made a moment ago may be missing in a list."""

_CLOCK_SKEW = timedelta(days=1)


class HostQueue:
    """The queue of the host that `settings` name.  Every method asks again where that may help.

    Raises:
        AuthError: The key was refused, or the account is out of credit.
        NotReadyError: There is no Batch API.
        UnverifiedError: The host gives no usable answer.
    """

    def __init__(
        self, settings: Settings, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        self.address = settings.base_url
        self.scrub = scrubber(settings.key.reveal())
        """Strikes the key out of what the host says."""
        self.kind: Kind = COMPATIBLE
        """The kind of the host, as its last answer has it."""
        self._connection = BatchConnection(settings)
        self.path_of, self.close = self._connection.path_of, self._connection.close
        self._sleep = sleep

    async def made(self, since: datetime) -> list[Batch]:
        """Return the batches that were made since then, newest first, whoever has made them."""
        found: list[Batch] = []
        after = ""
        for _ in range(PAGES):
            answer = await self._asked(partial(self._connection.page, after))
            entries = _entries(answer)
            if entries is None and answer.is_elsewhere:
                raise NotReadyError(
                    f"there is no Batch API at {self.address}: it answers {answer.status} to "
                    "/batches",
                    hint="leave out --batch: the same evaluation is made at once",
                    code="no-batch",
                )
            if entries is None:
                raise self._failure(answer, "the list of batches")
            read = [batch for entry in entries if (batch := read_batch(entry)) is not None]
            found += read
            is_last = not isinstance(answer.body, dict) or answer.body.get("has_more") is not True
            if is_last or not read or read[-1].id == after:
                break
            if read[-1].created_at < since - _CLOCK_SKEW:
                break
            after = read[-1].id
        return found

    async def find(self, file: str, since: datetime) -> Batch | None:
        """Return the batch of that file, which only we have the ID of.

        It is looked for twice, for it may have been made just now.
        """
        for pause_s in (0.0, _LATE_S):
            await self._sleep(pause_s)
            for batch in await self.made(since):
                if batch.input_file == file:
                    return batch
        return None

    async def upload(self, file: BinaryIO, name: str) -> str:
        """Send a file of requests and return its ID; sent twice it costs nothing."""
        answer = await self._asked(lambda: self._connection.upload(file, name))
        found = file_id(answer.body.get("id")) if isinstance(answer.body, dict) else ""
        if answer.status != 200 or not found:
            raise self._failure(answer, "the file of requests")
        return found

    async def create(
        self, file: str, endpoint: str, metadata: Mapping[str, str], since: datetime
    ) -> Batch:
        """Make the batch that `metadata` names, unless an answer that was lost has made it."""
        retries = Retries()
        while True:
            answer = await self._once(lambda: self._connection.create(file, endpoint, metadata))
            if answer.status == 200 and (batch := read_batch(answer.body)):
                return batch
            is_refused = 400 <= answer.status < 500 and answer.status not in {408, 409}
            if not is_refused and (batch := await self.find(file, since)):
                return batch
            pause_s = retries.pause_s(answer, _jittered)
            if pause_s is None:
                raise self._failure(answer, "the batch")
            await self._sleep(pause_s)

    async def retrieve(self, batch_id: str) -> Batch:
        """Return how a batch is now."""
        answer = await self._asked(lambda: self._connection.retrieve(batch_id))
        batch = read_batch(answer.body) if answer.status == 200 else None
        if batch is None or batch.id != batch_id:
            raise self._failure(answer, f"batch {batch_id}")
        return batch

    async def download(self, file: str, sink: BinaryIO) -> FftdeployError | None:
        """Write a file to `sink`, what has come of it in the end; return why it is not whole."""

        def fetch() -> Answer:
            sink.seek(0)
            sink.truncate()
            return self._connection.download(file, sink)

        answer = await self._asked(fetch)
        if answer.status == 200 and not answer.problem:
            return None
        return self._failure(answer, f"file {file}")

    async def _asked(self, question: Callable[[], Answer]) -> Answer:
        """Ask again as long as an answer of another kind may come; return the last one."""
        retries = Retries()
        while True:
            answer = await self._once(question)
            pause_s = retries.pause_s(answer, _jittered)
            if pause_s is None:
                return answer
            await self._sleep(pause_s)

    async def _once(self, question: Callable[[], Answer]) -> Answer:
        answer = await asyncio.wrap_future(begin(question))
        if answer.status:
            self.kind = answer.kind
        return answer

    def _failure(self, answer: Answer, what: str) -> FftdeployError:
        found = explain(answer)
        if found.code == REFUSED:
            said = answer.message or answer.code
            return UnverifiedError(
                f"{what}: the host refused the question (HTTP {answer.status}): {said}",
                hint=AGAIN,
                where=self.address,
                code=REFUSED,
            )
        return found.error(what, self.address, answer.request_id)


def _entries(answer: Answer) -> list[Any] | None:
    """Return the entries of a list; some hosts send them bare."""
    if answer.status != 200 or answer.problem:
        return None
    body = answer.body.get("data") if isinstance(answer.body, dict) else answer.body
    return body if isinstance(body, list) else None


def _jittered(seconds: float) -> float:
    return seconds * (0.5 + random.random() / 2)  # noqa: S311  no secret
