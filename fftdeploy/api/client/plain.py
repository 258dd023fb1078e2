"""The plain client: what a model is asked many times, over aiohttp and without the SDK."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp

from fftdeploy.api.client import outgoing, reading
from fftdeploy.api.client.incoming import OUTPUT_BYTES, Intake, Received
from fftdeploy.api.client.stopwatch import Stopwatch
from fftdeploy.api.client.wire import scrubber

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.connector import Connection

    from fftdeploy.api.answers import Answer
    from fftdeploy.api.settings import Settings

PATHS = {"chat": "/chat/completions", "responses": "/responses"}

_FIELD_BYTES = 64 << 10
"""Most bytes of one header."""


class _BrokenOffError(aiohttp.ClientError):
    """The connection ended before the answer did; aiohttp would ask again by itself."""


class _Response(aiohttp.ClientResponse):
    socket: Any = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """Wait for the head of the answer, and remember what it comes on."""
        if connection.transport is not None:
            self.socket = connection.transport.get_extra_info("socket")
        try:
            return await super().start(connection)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise _BrokenOffError from error


class _Body(aiohttp.Payload):
    """Starts a stopwatch when it goes out; bytes alone would also be warned of from a size on."""

    def __init__(self, value: bytes, stopwatch: Stopwatch) -> None:
        super().__init__(value)
        self._size = len(value)
        self._stopwatch = stopwatch

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return it as text."""
        return str(self._value, encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send it."""
        self._stopwatch.start()
        await writer.write(self._value)

    async def write_with_length(self, writer: AbstractStreamWriter, _: int | None) -> None:
        """Send it, as long as it is."""
        await self.write(writer)


class PlainClient:
    """One client for one event loop, with as many kept-alive connections as it may have at once.

    It keeps the promises of `Connection`: an `Answer` for whatever the network or the server does.
    """

    def __init__(self, settings: Settings, *, max_connections: int) -> None:
        self.settings = settings
        self._scrub = scrubber(settings.key.reveal())
        connector = aiohttp.TCPConnector(
            limit=max_connections, keepalive_timeout=outgoing.IDLE_S, ssl=outgoing.trust(settings)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=outgoing.headers(settings),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # A request has one deadline, and timers for its parts would cost their share.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=outgoing.CONNECT_S),
            proxy=settings.proxy.reveal() if settings.proxy else None,
            response_class=_Response,
            max_line_size=_FIELD_BYTES,
            max_field_size=_FIELD_BYTES,
        )

    async def send(self, endpoint: str, body: Mapping[str, Any], timeout_s: float) -> Answer:
        """Send `body` as it is to `endpoint` (`chat` or `responses`) and wait for its end.

        `timeout_s` holds for the whole request, seconds.  Cancelling the task cuts the connection.
        """
        try:
            async with asyncio.timeout(timeout_s):
                received = await self._exchange(PATHS[endpoint], body, timeout_s)
            return reading.read(received, self._scrub, self.settings.kind)
        except TimeoutError:
            return reading.late(timeout_s)
        except aiohttp.ClientError as error:
            return reading.unreached(error, self.settings, _is_refused, _is_dropped)
        except Exception as error:  # noqa: BLE001  a traceback may hold the key
            return reading.failed("aiohttp", error)

    async def _exchange(self, path: str, body: Mapping[str, Any], timeout_s: float) -> Received:
        deadline = time.monotonic() + timeout_s
        stopwatch = Stopwatch()
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        url = self.settings.base_url + path
        data = _Body(content, stopwatch)
        async with self._session.post(url, data=data, allow_redirects=False) as response:
            intake = Intake(
                response.status,
                response.raw_headers,
                most_bytes=OUTPUT_BYTES,
                deadline=deadline,
            )
            # Not here, but in the moment of reading: the connection may be another's by now.
            response.content.on_eof(lambda: stopwatch.stop(getattr(response, "socket", None)))
            while not intake.is_over and (chunk := await response.content.readany()):
                intake.take(chunk)
        return intake.received(stopwatch.seconds)

    async def close(self) -> None:
        """Close the kept connections."""
        await self._session.close()


def _is_refused(error: BaseException) -> bool:
    return isinstance(error, aiohttp.ClientHttpProxyError)


def _is_dropped(error: BaseException) -> bool:
    is_ours = isinstance(error, aiohttp.ClientError)
    return is_ours and not isinstance(error, aiohttp.ClientConnectorError)
