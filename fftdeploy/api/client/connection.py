"""The questions that a host is asked, one at a time: proofs of a model, jobs, and lists."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from fftdeploy.api.answers import Answer
from fftdeploy.api.client import reading
from fftdeploy.api.client.outgoing import ENDPOINTS, HttpRequest
from fftdeploy.api.hosts import COMPATIBLE, OPENAI, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fftdeploy.api.settings import Settings

PAGES = 100
"""Most pages of a list that are asked for."""

PROBE_TEXT = "Reply with the word ok."
PROBE_TOKENS = 16

_JOBS = ("fine_tuning", "jobs")
_USER_MESSAGE = {"role": "user", "content": PROBE_TEXT}


class Client(Protocol):
    """Whatever carries requests; threads share it."""

    def ask(self, request: HttpRequest, timeout_s: float) -> Answer:
        """Return what came back within about `timeout_s` seconds; raise nothing."""

    def close(self) -> None:
        """Close the kept connections."""


class Connection:
    """Asks one host for one command, over the SDK or, where `is_plain`, without it.

    Every method returns an `Answer` within about `timeout_s` seconds and raises for nothing that
    the network or the server does.  A request that hangs past that is left to a daemon thread.
    """

    def __init__(
        self, settings: Settings, *, max_connections: int = 20, is_plain: bool = False
    ) -> None:
        self.settings = settings
        self._client = _client(settings, max_connections, is_plain=is_plain)
        self._said: Kind | None = None

    @property
    def kind(self) -> Kind | None:
        """The kind of the host; None on this machine, until it has answered once."""
        return self.settings.kind or self._said

    def close(self) -> None:
        """Close the kept connections; an abandoned request ends with them or with the process."""
        self._client.close()

    def retrieve(self, model: str, timeout_s: float) -> Answer:
        """Ask for one model."""
        return self._ask(HttpRequest(("models", model)), timeout_s)

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
        limit = {limit_field: PROBE_TOKENS} if limit_field else {}
        turns = "input" if endpoint == "responses" else "messages"
        body = {turns: [_USER_MESSAGE], "model": model, **limit}
        return self._ask(HttpRequest(ENDPOINTS[endpoint], body=body), timeout_s)

    def job(self, job_id: str, timeout_s: float) -> Answer:
        """Ask for one fine-tuning job."""
        return self._ask(HttpRequest((*_JOBS, job_id)), timeout_s)

    def job_events(self, job_id: str, timeout_s: float) -> Answer:
        """Ask for the newest 100 events of a fine-tuning job."""
        return self._ask(HttpRequest((*_JOBS, job_id, "events"), "limit=100"), timeout_s)

    def jobs(self, timeout_s: float) -> Answer:
        """Ask for the newest 100 fine-tuning jobs."""
        return self._ask(HttpRequest(_JOBS, "limit=100"), timeout_s)

    def _models_page(self, after: str, timeout_s: float) -> Answer:
        query = urlencode({"after": after}) if after else ""
        return self._ask(HttpRequest(("models",), query), timeout_s)

    def _ask(self, request: HttpRequest, timeout_s: float) -> Answer:
        answer = self._client.ask(request, timeout_s) if timeout_s > 0 else reading.late(timeout_s)
        if answer.status and self._said != OPENAI:
            self._said = answer.kind
        return answer


def _client(settings: Settings, max_connections: int, *, is_plain: bool) -> Client:
    if is_plain:
        from fftdeploy.api.client.plain import ThreadedClient

        return ThreadedClient(settings, max_connections=max_connections)
    from fftdeploy.api.client.sdk import SdkClient

    return SdkClient(settings, max_connections=max_connections)


def _cursor(body: Mapping[str, Any], data: list[Any]) -> str:
    last = body.get("last_id")
    if not isinstance(last, str) and data and isinstance(data[-1], dict):
        last = data[-1].get("id")
    return last if isinstance(last, str) else ""
