"""The plain client: what a model is asked many times, over aiohttp and without the SDK.

It measures how long an API took: from when a request's body goes out to when its answer is in.
Both moments are those of the socket.  A body goes out in the moment in which it is begun, but a
busy event loop reads an answer up to a tenth of a second after it came, and would tell its own
load as the model's latency.  Linux knows how long ago a connection received its last bytes (to
4 ms, on most machines).  Elsewhere an answer counts as come when it was read.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from fftdeploy.api.client import incoming, outgoing
from fftdeploy.api.client.incoming import Intake, scrubber
from fftdeploy.api.client.outgoing import ENDPOINTS, HttpRequest
from fftdeploy.api.threads import begin
from fftdeploy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp.connector import Connection

    from fftdeploy.api.answers import Answer
    from fftdeploy.api.settings import Settings

_FIELD_BYTES = 64 << 10
"""Most bytes of one header."""

_LAST_DATA_RECEIVED = slice(52, 56)
"""`tcpi_last_data_recv` in the kernel's `struct tcp_info`: milliseconds, 32 bits."""


class Stopwatch:
    """Times one exchange; `seconds` is None until a whole answer to what went out is in."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds: float | None = None
        self._clock = clock
        self._sent_at: float | None = None

    def start(self) -> None:
        """Note that the body goes out now."""
        self._sent_at = self._clock()

    def stop(self, sock: socket.socket | None) -> None:
        """Note that the answer has been read to its end, from `sock`."""
        if self._sent_at is not None and sock is not None:
            self.seconds = max(0.0, self._clock() - self._sent_at - silence_s(sock))


def silence_s(sock: socket.socket | None) -> float:
    """Return how long ago the last bytes came in on `sock`; 0 where the system does not say."""
    if sys.platform != "linux" or sock is None:
        return 0.0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED.stop)
    except OSError:  # closed by the other side in this moment
        return 0.0
    return int.from_bytes(info[_LAST_DATA_RECEIVED], sys.byteorder) / 1000


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
            if connection.protocol and connection.protocol.should_close:
                raise _BrokenOffError  # what has come unasked would be taken for the answer
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
                intake = await self._exchange(request, time.monotonic() + timeout_s, most_bytes)
            return incoming.read(intake, self._scrub, self.settings)
        except aiohttp.ConnectionTimeoutError:
            return incoming.late(min(timeout_s, outgoing.CONNECT_S))
        except TimeoutError:
            return incoming.late(timeout_s)
        except aiohttp.ClientConnectorError as error:
            return incoming.unreached(error, self.settings)
        except aiohttp.ClientError as error:
            refused = aiohttp.ClientHttpProxyError
            return incoming.unreached(error, self.settings, refused, aiohttp.ClientError)
        except Exception as error:  # noqa: BLE001  a traceback may hold the key
            return incoming.failed("aiohttp", error)

    async def close(self) -> None:
        """Close the kept connections."""
        await self._session.close()

    async def _exchange(self, request: HttpRequest, deadline: float, most_bytes: int) -> Intake:
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
        intake.latency_s = exchange.stopwatch.seconds
        return intake


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
            return incoming.late(timeout_s)
        except RuntimeError:  # closed by now: nobody waits for what a thread still asks
            asked.close()
            return incoming.late(timeout_s)

    def close(self) -> None:
        """Cut what is under way, and close the kept connections."""
        self._loop.call_soon_threadsafe(self._is_over.set)
        self._life.result()
