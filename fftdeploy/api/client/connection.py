"""The synchronous connection: proofs of a model, jobs, and lists."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fftdeploy.api.answers import Answer
from fftdeploy.api.client import reading, sdk
from fftdeploy.api.client.outgoing import CONNECT_S
from fftdeploy.api.client.wire import scrubber
from fftdeploy.api.hosts import COMPATIBLE, OPENAI, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx2

    from fftdeploy.api.settings import Settings

PAGES = 100
"""Most pages of a list that are asked for."""

PROBE_TEXT = "Reply with the word ok."
PROBE_TOKENS = 16

_USER_MESSAGE: Any = {"role": "user", "content": PROBE_TEXT}


class Connection:
    """One client for the whole command; its kept-alive connections are shared by threads.

    Every method returns an `Answer` within about `timeout_s` seconds and raises for nothing that
    the network or the server does.  A request that hangs past that is left to a daemon thread.
    """

    def __init__(self, settings: Settings, *, max_connections: int = 20) -> None:
        self.settings = settings
        sdk.import_sdk()
        self._scrub = scrubber(settings.key.reveal())
        self._http, self._sdk = sdk.client(settings, max_connections, self._scrub)
        self._said: Kind | None = None

    @property
    def kind(self) -> Kind | None:
        """The kind of the host; None on this machine, until it has answered once."""
        return self.settings.kind or self._said

    def close(self) -> None:
        """Close the kept connections; an abandoned request ends with them or with the process."""
        self._http.close()

    def retrieve(self, model: str, timeout_s: float) -> Answer:
        """Ask for one model."""
        raw = self._sdk.models.with_raw_response
        return self._ask(lambda t: raw.retrieve(model, timeout=t), timeout_s)

    def list_models(self, timeout_s: float) -> Answer:
        """Ask for every model that the key can see, as one body, however many pages it took."""
        deadline = time.monotonic() + timeout_s
        entries: list[Any] = []
        cursors: set[str] = set()
        after = ""
        for _ in range(PAGES):
            page = self._models_page(after, deadline - time.monotonic())
            body = page.body if isinstance(page.body, dict) else {}
            if isinstance(page.body, list) and page.kind == COMPATIBLE:
                body = {"data": page.body}
            data = body.get("data")
            if page.status != 200 or page.problem or not isinstance(data, list):
                return page
            entries += data
            if body.get("has_more") is not True:
                return replace(page, body={"object": "list", "data": entries})
            after = _cursor(body, data)
            if not after or after in cursors:
                break
            cursors.add(after)
        return Answer(200, fault="endless", problem="a list of models that does not end")

    def probe(self, model: str, endpoint: str, limit_field: str, timeout_s: float) -> Answer:
        """Send the fixed message to `endpoint` (`chat` or `responses`).

        `limit_field` is the name under which the token limit is sent; "" sends none.
        """
        limit = {limit_field: PROBE_TOKENS} if limit_field else None
        if endpoint == "responses":
            responses = self._sdk.responses.with_raw_response
            return self._ask(
                lambda t: responses.create(
                    model=model, input=[_USER_MESSAGE], extra_body=limit, timeout=t
                ),
                timeout_s,
            )
        chat = self._sdk.chat.completions.with_raw_response
        return self._ask(
            lambda t: chat.create(
                model=model, messages=[_USER_MESSAGE], extra_body=limit, timeout=t
            ),
            timeout_s,
        )

    def job(self, job_id: str, timeout_s: float) -> Answer:
        """Ask for one fine-tuning job."""
        raw = self._sdk.fine_tuning.jobs.with_raw_response
        return self._ask(lambda t: raw.retrieve(job_id, timeout=t), timeout_s)

    def job_events(self, job_id: str, timeout_s: float) -> Answer:
        """Ask for the newest 100 events of a fine-tuning job."""
        raw = self._sdk.fine_tuning.jobs.with_raw_response
        return self._ask(lambda t: raw.list_events(job_id, limit=100, timeout=t), timeout_s)

    def jobs(self, timeout_s: float) -> Answer:
        """Ask for the newest 100 fine-tuning jobs."""
        raw = self._sdk.fine_tuning.jobs.with_raw_response
        return self._ask(lambda t: raw.list(limit=100, timeout=t), timeout_s)

    def _models_page(self, after: str, timeout_s: float) -> Answer:
        raw = self._sdk.models.with_raw_response
        query = {"after": after} if after else None
        return self._ask(lambda t: raw.list(extra_query=query, timeout=t), timeout_s)

    def _ask(self, send: Callable[[httpx2.Timeout], Any], timeout_s: float) -> Answer:
        """Run one request on a thread of its own and wait no longer than `timeout_s`.

        The SDK's timeouts are per read, so a server that drips bytes would outlast any of them.
        """
        if timeout_s <= 0:
            return reading.late(timeout_s)
        answers: list[Answer] = []
        done = threading.Event()

        def run() -> None:
            answers.append(self._exchange(send, timeout_s))
            done.set()

        threading.Thread(target=run, daemon=True, name="fftdeploy-request").start()
        answer = answers[0] if done.wait(timeout_s) else reading.late(timeout_s)
        if answer.status and self._said != OPENAI:
            self._said = answer.kind
        return answer

    def _exchange(self, send: Callable[[httpx2.Timeout], Any], timeout_s: float) -> Answer:
        import httpx2
        import openai

        timeout = httpx2.Timeout(timeout_s, connect=min(timeout_s, CONNECT_S))
        try:
            return self._read(send(timeout).http_response)
        except openai.APIStatusError as error:
            return self._read(error.response)
        except openai.APITimeoutError as error:
            is_unconnected = isinstance(error.__cause__, httpx2.ConnectTimeout)
            return reading.late(min(timeout_s, CONNECT_S) if is_unconnected else timeout_s)
        except openai.APIConnectionError as error:
            return reading.unreached(error, self.settings, sdk.is_refused, sdk.is_dropped)
        except Exception as error:  # noqa: BLE001  a thread's traceback may hold the key
            return reading.failed("openai", error)

    def _read(self, response: httpx2.Response) -> Answer:
        return reading.read(response.extensions["received"], self._scrub, self.settings.kind)


def _cursor(body: Mapping[str, Any], data: list[Any]) -> str:
    last = body.get("last_id")
    if not isinstance(last, str) and data and isinstance(data[-1], dict):
        last = data[-1].get("id")
    return last if isinstance(last, str) else ""
