"""The plain client: what a model is asked many times, over aiohttp and without the SDK."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from fftdeploy.api.client import incoming, outgoing, reading
from fftdeploy.api.client.incoming import Intake, Received
from fftdeploy.api.client.outgoing import ENDPOINTS, HttpRequest
from fftdeploy.api.client.response_parts import scrubber
from fftdeploy.api.client.stopwatch import Stopwatch
from fftdeploy.api.threads import begin
from fftdeploy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp.connector import Connection

    from fftdeploy.api.answers import Answer
    from fftdeploy.api.settings import Settings

_FIELD_BYTES = 64 << 10
"""Most bytes of one header."""


class _BrokenOffError(aiohttp.ClientError):
    """The connection ended before the answer did; aiohttp would ask again by itself."""


@dataclass(slots=True)
class _Exchange:
    """A body on its way out, and what its answer comes in on."""

    content: bytes
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    transport: asyncio.Transport | None = None

    def stop(self) -> None:
        """Note that the answer is whole; the connection is another's from now on."""
        if self.transport is not None:
            self.stopwatch.stop(self.transport.get_extra_info("socket"))
            self.transport = None

    def cut(self) -> None:
        """Wait for nobody to read what is left."""
        if self.transport is not None:
            self.transport.abort()


_EXCHANGE: ContextVar[_Exchange] = ContextVar("exchange")


class _Response(aiohttp.ClientResponse):
    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """Send the body after the head that has just gone out, and wait for the answer's head.

        aiohttp would leave the body to a task, which Python before 3.12 begins when all that is
        ready now is done: what many wait for at a time comes to go out at one time.
        """
        transport = connection.transport
        if transport is not None and self.method != "CONNECT":  # that is for a proxy's eyes
            exchange = _EXCHANGE.get()
            exchange.transport = transport
            exchange.stopwatch.start()
            if exchange.content:
                transport.write(exchange.content)
        try:
            return await super().start(connection)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise _BrokenOffError from error


class _DaemonThreads(ThreadPoolExecutor):
    """Looks names up on threads that do not keep the process from ending."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn` at once."""
        return begin(lambda: fn(*args, **kwargs))


class PlainClient:
    """One client for one event loop, with as many kept-alive connections as it may have at once.

    It keeps the promises of `Connection`: an `Answer` for whatever the network or the server does.

    Raises:
        ConfigError: The proxy or the certificates of this machine cannot be used.
    """

    def __init__(self, settings: Settings, *, max_connections: int) -> None:
        self.settings = settings
        self._scrub = scrubber(settings.key.reveal())
        # With each request, and never the session's: that says its own to a proxy, in the clear.
        self._headers = outgoing.headers(settings)
        proxy = settings.proxy.reveal() if settings.proxy else None
        if proxy and not proxy.lower().startswith(("http:", "https:")):
            lack = ImportError("the aiohttp package knows no such proxy, of SOCKS or another kind")
            raise outgoing.unusable(settings, lack) from None
        asyncio.get_running_loop().set_default_executor(_DaemonThreads())
        connector = aiohttp.TCPConnector(
            limit=max_connections, keepalive_timeout=outgoing.IDLE_S, ssl=outgoing.trust(settings)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # A request has one deadline, and timers for its parts would cost their share.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=outgoing.CONNECT_S),
            proxy=proxy,
            response_class=_Response,
            max_line_size=_FIELD_BYTES,
            max_field_size=_FIELD_BYTES,
        )

    async def send(self, endpoint: str, body: Mapping[str, Any], timeout_s: float) -> Answer:
        """Send `body` as it is to `endpoint` (`chat` or `responses`) and wait for its end.

        `timeout_s` holds for the whole request, seconds.  Cancelling the task cuts the connection.
        """
        request = HttpRequest(ENDPOINTS[endpoint], body=body)
        return await self.ask(request, timeout_s, incoming.OUTPUT_BYTES)

    async def ask(self, request: HttpRequest, timeout_s: float, most_bytes: int = 0) -> Answer:
        """Send `request`; `most_bytes` is 0 for as many as its path asks for."""
        try:
            async with asyncio.timeout(timeout_s):
                received = await self._exchange(request, time.monotonic() + timeout_s, most_bytes)
            return reading.read(received, self._scrub, self.settings)
        except aiohttp.ConnectionTimeoutError:
            return reading.late(min(timeout_s, outgoing.CONNECT_S))
        except TimeoutError:
            return reading.late(timeout_s)
        except aiohttp.ClientError as error:
            return reading.unreached(error, self.settings, _is_refused, _is_dropped)
        except Exception as error:  # noqa: BLE001  a traceback may hold the key
            return reading.failed("aiohttp", error)

    async def close(self) -> None:
        """Close the kept connections."""
        await self._session.close()

    async def _exchange(self, request: HttpRequest, deadline: float, most_bytes: int) -> Received:
        url = URL(self.settings.base_url + outgoing.path(request, self.settings), encoded=True)
        exchange = _Exchange(b"" if request.body is None else request.content)
        _EXCHANGE.set(exchange)
        method = "GET" if request.body is None else request.change or "POST"
        length = {"Content-Length": str(len(exchange.content))} if exchange.content else {}
        headers = {**self._headers, **length}
        sending = self._session.request(method, url, headers=headers, allow_redirects=False)
        try:
            async with sending as response:
                intake = Intake(
                    response.status,
                    response.raw_headers,
                    most_bytes=most_bytes or incoming.most_bytes(url.path),
                    deadline=deadline,
                )
                # In the moment in which the last of it is read, not when this task has its turn.
                response.content.on_eof(exchange.stop)
                while not intake.is_over and (chunk := await response.content.readany()):
                    intake.take(chunk)
        except BaseException:
            exchange.cut()
            raise
        return intake.received(exchange.stopwatch.seconds)


class ThreadedClient:
    """The same client for threads, in an event loop on a thread of its own."""

    def __init__(self, settings: Settings, *, max_connections: int) -> None:
        made: Future[PlainClient] = Future()
        self._is_over = asyncio.Event()

        async def live() -> None:
            self._loop = asyncio.get_running_loop()
            self._loop.set_exception_handler(lambda *_: None)  # nothing is printed
            try:
                client = PlainClient(settings, max_connections=max_connections)
            except ConfigError as error:
                made.set_exception(error)
                return
            made.set_result(client)
            await self._is_over.wait()
            await client.close()

        self._life = begin(asyncio.run, live())
        self._client = made.result()

    def ask(self, request: HttpRequest, timeout_s: float) -> Answer:
        """Send it and wait no longer than `timeout_s`."""
        asked = self._client.ask(request, timeout_s)
        try:
            return asyncio.run_coroutine_threadsafe(asked, self._loop).result(timeout_s)
        except TimeoutError:
            return reading.late(timeout_s)

    def close(self) -> None:
        """Cut what is under way, and close the kept connections."""
        self._loop.call_soon_threadsafe(self._is_over.set)
        self._life.result()


def _is_refused(error: BaseException) -> bool:
    return isinstance(error, aiohttp.ClientHttpProxyError)


def _is_dropped(error: BaseException) -> bool:
    is_ours = isinstance(error, aiohttp.ClientError)
    return is_ours and not isinstance(error, aiohttp.ClientConnectorError)
