"""The questions that a host is asked, one at a time: models, lists, jobs and batches."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fftdeploy.api.answers import Answer
from fftdeploy.api.client import incoming
from fftdeploy.api.client.outgoing import ENDPOINTS, HttpRequest
from fftdeploy.api.client.sdk import SdkClient
from fftdeploy.api.hosts import COMPATIBLE, OPENAI, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from fftdeploy.api.client.plain import ThreadedClient
    from fftdeploy.api.settings import Settings

PAGES = 100
"""Most pages of a list that are asked for."""

PROBE_TEXT = "Reply with the word ok."
PROBE_TOKENS = 16

_ASK_S = 60.0
"""Longest wait for an answer that is about one batch, or a page of them."""

_SLOWEST_BYTES_PER_S = 1 << 18
_LONGEST_DOWNLOAD_S = 3600.0
_WINDOW = "24h"
_JOBS = ("fine_tuning", "jobs")


class Connection:
    """Asks one host for one command, over the SDK or, where `is_plain`, without it.

    Every method returns an `Answer` within about `timeout_s` seconds and raises for nothing that
    the network or the server does.  A request that hangs past that is left to a daemon thread.
    """

    def __init__(
        self, settings: Settings, *, max_connections: int = 20, is_plain: bool = False
    ) -> None:
        self.settings = settings
        self._said: Kind | None = None
        self._client: SdkClient | ThreadedClient
        if is_plain:
            from fftdeploy.api.client.plain import ThreadedClient

            self._client = ThreadedClient(settings, max_connections=max_connections)
        else:
            self._client = SdkClient(settings, max_connections=max_connections)

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
        cursors = {""}
        after = ""
        for _ in range(PAGES):
            query = urlencode({"after": after}) if after else ""
            page = self._ask(HttpRequest(("models",), query), deadline - time.monotonic())
            body = page.body if isinstance(page.body, dict) else {}
            if isinstance(page.body, list) and page.kind == COMPATIBLE:
                body = {"data": page.body}
            data = body.get("data")
            if page.status != 200 or page.problem or not isinstance(data, list):
                return page
            entries += data
            if body.get("has_more") is not True:
                return replace(page, body={"object": "list", "data": entries})
            last = body.get("last_id")
            if not isinstance(last, str) and data and isinstance(data[-1], dict):
                last = data[-1].get("id")
            if not isinstance(last, str) or last in cursors:
                break
            after = last
            cursors.add(after)
        return Answer(200, fault="endless", problem="a list of models that does not end")

    def probe(self, model: str, endpoint: str, limit_field: str, timeout_s: float) -> Answer:
        """Send the fixed message to `endpoint` (`chat` or `responses`).

        `limit_field` is the name under which the token limit is sent; "" sends none.
        """
        limit = {limit_field: PROBE_TOKENS} if limit_field else {}
        turns = "input" if endpoint == "responses" else "messages"
        message = {"role": "user", "content": PROBE_TEXT}
        body = {turns: [message], "model": model, **limit}
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

    def _ask(self, request: HttpRequest, timeout_s: float) -> Answer:
        answer = self._client.ask(request, timeout_s) if timeout_s > 0 else incoming.late(timeout_s)
        if answer.status and self._said != OPENAI:
            self._said = answer.kind
        return answer


class BatchConnection:
    """Asks one host about batches.  Every method keeps the promises of `Connection`.

    Raises:
        ConfigError: The proxy or the certificates of this machine cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._client = SdkClient(settings, max_connections=4)

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def upload(self, file: BinaryIO, name: str) -> Answer:
        """Send a file of requests, as it is on the disk and called `name`."""
        size = file.seek(0, 2)
        form = {"purpose": "batch"}
        request = HttpRequest(("files",), body=form, upload=file, upload_name=name)
        return self._client.ask(request, _ASK_S + size / _SLOWEST_BYTES_PER_S)

    def create(self, file_id: str, endpoint: str, metadata: Mapping[str, str]) -> Answer:
        """Have the requests of a file answered, all of them for `endpoint`."""
        body = {
            "input_file_id": file_id,
            "endpoint": self.path_of(endpoint),
            "completion_window": _WINDOW,
            "metadata": dict(metadata),
        }
        return self._client.ask(HttpRequest(("batches",), body=body), _ASK_S)

    def path_of(self, endpoint: str) -> str:
        """Return what a request in a batch calls `chat` or `responses`."""
        return "/".join(("" if self.settings.is_classic_azure else "/v1", *ENDPOINTS[endpoint]))

    def retrieve(self, batch_id: str) -> Answer:
        """Ask for one batch."""
        return self._client.ask(HttpRequest(("batches", batch_id)), _ASK_S)

    def page(self, after: str) -> Answer:
        """Ask for the 100 newest batches that are older than `after`; "" for the newest."""
        query = {"limit": "100", **({"after": after} if after else {})}
        return self._client.ask(HttpRequest(("batches",), urlencode(query)), _ASK_S)

    def download(self, file_id: str, sink: BinaryIO) -> Answer:
        """Write the content of a file to `sink`; what has come of it stays there."""
        request = HttpRequest(("files", file_id, "content"), sink=sink)
        return self._client.ask(request, _LONGEST_DOWNLOAD_S)
