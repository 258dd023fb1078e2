"""The openai client as this package wants it, and the SDK imported without haste or waste."""

from __future__ import annotations

import gc
import logging
import sys
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from fftdeploy.api.client import incoming, outgoing
from fftdeploy.api.client.incoming import Intake, scrubber
from fftdeploy.api.threads import begin

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    import httpx2
    import openai

    from fftdeploy.api.answers import Answer
    from fftdeploy.api.client.outgoing import HttpRequest
    from fftdeploy.api.settings import Settings


def import_sdk() -> None:
    """Import the SDK without the collector, which would walk its 900 modules over and over.

    They live as long as the process does, so they are kept out of later collections too: a sixth
    of the import and most of the way out.  The command line has it without aiohttp, a quarter of
    the import, which the SDK takes where it finds it, for a class that nobody here asks for; an
    application may have its use for that.
    """
    if "openai" in sys.modules:
        return
    modules: dict[str, Any] = sys.modules
    is_hidden = "fftdeploy.cli.app" in modules and modules.setdefault("aiohttp", None) is None
    collecting = gc.isenabled()
    gc.disable()
    try:
        import openai  # noqa: F401  that it is loaded is the point
    finally:
        if is_hidden:
            del modules["aiohttp"]
        if collecting:
            gc.freeze()
            gc.enable()


_SINK: ContextVar[BinaryIO | None] = ContextVar("sink", default=None)
"""Where the body of the answer to the request of this thread goes."""


class Transport:
    """Sends a request of the SDK, and hands it a response that has nothing to look into.

    What was let in of the true one is in its extensions, as `intake`.  Of the headers only those
    that are `said` go out: the SDK adds what it finds in the environment, which may be for another
    host.
    """

    def __init__(self, inner: httpx2.HTTPTransport, said: Iterable[str]) -> None:
        self._inner = inner
        self._said = {"host", "content-length", *map(str.lower, said)}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send and receive."""
        import httpx2

        for name in [name for name in request.headers if name not in self._said]:
            del request.headers[name]
        path, timeout_s = request.url.path, request.extensions["timeout"]["read"]
        response = self._inner.handle_request(request)
        intake = Intake(
            response.status_code,
            response.headers.raw,
            most_bytes=incoming.most_bytes(path),
            deadline=time.monotonic() + timeout_s,
            sink=_SINK.get(),
        )
        try:
            chunks = iter(cast("Iterable[bytes]", response.stream))
            while not intake.is_over and (chunk := next(chunks, None)) is not None:
                intake.take(chunk)
        finally:
            response.close()
        return httpx2.Response(response.status_code, extensions={"intake": intake})

    def close(self) -> None:
        """Close the pool of connections."""
        self._inner.close()


class SdkClient:
    """The SDK's client; its kept-alive connections are shared by threads.

    Raises:
        ConfigError: The proxy or the certificates of this machine cannot be used.
    """

    def __init__(self, settings: Settings, *, max_connections: int) -> None:
        import_sdk()
        import httpx2

        self._settings = settings
        self._scrub = scrubber(settings.key.reveal())
        # Below INFO it quotes whole headers, whatever level the process asks for.
        logging.getLogger("httpcore2").setLevel(logging.INFO)
        limits = httpx2.Limits(
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=outgoing.IDLE_S,
        )
        trusted = outgoing.trust(settings)
        try:
            inner = httpx2.HTTPTransport(
                verify=trusted, limits=limits, proxy=proxy(settings, trusted)
            )
            headers = outgoing.headers(settings)
            transport = cast("httpx2.BaseTransport", Transport(inner, headers))
            self._http = httpx2.Client(transport=transport, follow_redirects=False, trust_env=False)
            self._sdk: openai.OpenAI = sdk(
                settings, default_headers=headers, http_client=self._http, max_retries=0
            )
        except (ImportError, OSError, ValueError) as error:
            raise outgoing.unusable(settings, error) from None

    def ask(self, request: HttpRequest, timeout_s: float) -> Answer:
        """Send on a thread of its own and wait no longer than `timeout_s`.

        The SDK's timeouts are per read, so a server that drips bytes would outlast any of them.
        """
        try:
            return begin(self._exchange, request, timeout_s).result(timeout_s)
        except TimeoutError:
            return incoming.late(timeout_s)

    def close(self) -> None:
        """Close the kept connections."""
        self._http.close()

    def _exchange(self, request: HttpRequest, timeout_s: float) -> Answer:
        import httpx2
        import openai

        _SINK.set(request.sink)
        connect_s = min(timeout_s, outgoing.CONNECT_S)
        timeout = httpx2.Timeout(timeout_s, connect=connect_s)
        try:
            return self._read(self._send(request, timeout))
        except openai.APIStatusError as error:
            return self._read(error.response)
        except openai.APITimeoutError as error:
            is_unconnected = isinstance(error.__cause__, httpx2.ConnectTimeout)
            return incoming.late(connect_s if is_unconnected else timeout_s)
        except openai.APIConnectionError as error:
            dropped = (httpx2.ReadError, httpx2.WriteError, httpx2.ProtocolError)
            return incoming.unreached(error, self._settings, httpx2.ProxyError, dropped)
        except Exception as error:  # noqa: BLE001  a thread's traceback may hold the key
            return incoming.failed("openai", error)

    def _send(self, request: HttpRequest, timeout: httpx2.Timeout) -> httpx2.Response:
        import httpx2

        plain: Any = {"cast_to": httpx2.Response, "options": {"timeout": timeout}}
        response: httpx2.Response
        path = outgoing.path(request, self._settings)
        if request.body is None:
            response = self._sdk.get(path, **plain)
        elif request.upload is not None:
            plain["options"]["headers"] = {"Content-Type": "multipart/form-data"}
            file = (request.upload_name, request.upload, "application/jsonl")
            files: Any = {"file": file}
            response = self._sdk.post(path, body=request.body, files=files, **plain)
        else:
            response = self._sdk.post(path, body=request.body, **plain)
        return response

    def _read(self, response: httpx2.Response) -> Answer:
        return incoming.read(response.extensions["intake"], self._scrub, self._settings)


def sdk(settings: Settings, *, is_async: bool = False, **more: Any) -> Any:
    """Make the SDK's client for a kind of host; "none" stands for no key, and is not sent."""
    import openai

    key = settings.key.reveal() or "none"
    more = {"base_url": settings.base_url, **more}
    if not settings.is_classic_azure:
        return (openai.AsyncOpenAI if is_async else openai.OpenAI)(api_key=key, **more)
    is_token = outgoing.is_token(key)
    return (openai.AsyncAzureOpenAI if is_async else openai.AzureOpenAI)(
        api_key=None if is_token else key,
        azure_ad_token=key if is_token else None,
        api_version=settings.provider.api_version,
        **more,
    )


def proxy(settings: Settings, trusted: ssl.SSLContext) -> httpx2.Proxy | None:
    """Return the proxy; the certificate of one of https:// is believed as the host's is."""
    import httpx2

    if settings.proxy is None:
        return None
    address = settings.proxy.reveal()
    is_encrypted = address.lower().startswith("https:")
    return httpx2.Proxy(address, ssl_context=trusted if is_encrypted else None)
