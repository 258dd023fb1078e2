"""What a host is asked about batches, the provider's own queue; over the SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fftdeploy.api.client.outgoing import ENDPOINTS, HttpRequest
from fftdeploy.api.client.sdk import SdkClient

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from fftdeploy.api.answers import Answer
    from fftdeploy.api.settings import Settings

_ASK_S = 60.0
"""Longest wait for an answer that is about one batch, or a page of them."""

_SLOWEST_BYTES_PER_S = 1 << 18
_LONGEST_DOWNLOAD_S = 3600.0
_WINDOW = "24h"


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
