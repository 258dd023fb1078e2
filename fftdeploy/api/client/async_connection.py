"""The asynchronous connection: many answers of models at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fftdeploy.api.answers import Answer
from fftdeploy.api.client import reading, sdk
from fftdeploy.api.client.wire import scrubber

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fftdeploy.api.settings import Settings

PATHS = {"chat": "/chat/completions", "responses": "/responses"}


class AsyncConnection:
    """One client for one event loop, with as many kept-alive connections as it may have at once.

    It keeps the promises of `Connection`: an `Answer` for whatever the network or the server does.
    """

    def __init__(self, settings: Settings, *, max_connections: int) -> None:
        self.settings = settings
        sdk.import_sdk()
        import httpx2
        import openai

        self._plain = httpx2.Response
        self._scrub = scrubber(settings.key.reveal())
        self._http, self._sdk = sdk.async_client(settings, max_connections, self._scrub)
        self._options: Any = {
            # Reads and writes have one deadline, the request's: timers for each cost their share.
            "timeout": httpx2.Timeout(None, connect=sdk.CONNECT_S),
            # For the SDK's own retries, of which there are none.
            "idempotency_key": "",
            "headers": {"X-Stainless-Retry-Count": openai.Omit()},
        }

    async def send(self, endpoint: str, body: Mapping[str, Any], timeout_s: float) -> Answer:
        """Send `body` as it is to `endpoint` (`chat` or `responses`) and wait for its end.

        `timeout_s` holds for the whole request, seconds.  Cancelling the task cuts the connection.
        """
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._sdk.post(
                    PATHS[endpoint], cast_to=self._plain, body=body, options=self._options
                )
            return reading.read(response, self._scrub, self.settings.kind)
        except TimeoutError:
            return reading.late(timeout_s)
        except Exception as error:  # noqa: BLE001  a traceback may hold the key
            return reading.failed(error, self.settings, self._scrub, timeout_s)

    async def close(self) -> None:
        """Close the kept connections."""
        await self._http.aclose()
