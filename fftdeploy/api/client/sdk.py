"""The openai client as this package wants it, and the SDK imported without haste or waste."""

from __future__ import annotations

import gc
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, Self, cast

from fftdeploy.api.answers import plain
from fftdeploy.api.client import incoming, outgoing
from fftdeploy.api.client.incoming import Intake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import httpx2
    import openai

    from fftdeploy.api.settings import Settings


def import_sdk() -> None:
    """Import the SDK without the collector, which would walk its 900 modules over and over.

    They live as long as the process does, so they are kept out of later collections too: a sixth
    of the import and most of the way out.
    """
    if "openai" in sys.modules:
        return
    collecting = gc.isenabled()
    gc.disable()
    try:
        import openai
        import openai.resources.chat
        import openai.resources.models  # noqa: F401  every proof needs these two
    finally:
        if collecting:
            gc.freeze()
            gc.enable()


class Transport:
    """Sends a request of the SDK, and hands it a response that has nothing to look into.

    What was let in of the true one is in its extensions, as `received`.
    """

    def __init__(self, inner: httpx2.HTTPTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send and receive."""
        import httpx2

        path, timeout_s = request.url.path, request.extensions["timeout"]["read"]
        response = self._inner.handle_request(request)
        intake = Intake(
            response.status_code,
            response.headers.raw,
            most_bytes=incoming.most_bytes(path),
            deadline=time.monotonic() + timeout_s,
        )
        try:
            chunks = iter(cast("Iterable[bytes]", response.stream))
            while not intake.is_over and (chunk := next(chunks, None)) is not None:
                intake.take(chunk)
        finally:
            response.close()
        return httpx2.Response(response.status_code, extensions={"received": intake.received()})

    def close(self) -> None:
        """Close the pool of connections."""
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def client(
    settings: Settings, max_connections: int, scrub: Callable[[str], str]
) -> tuple[httpx2.Client, openai.OpenAI]:
    """Return a synchronous client and the pool of connections below it.

    Raises:
        ConfigError: The proxy or the certificates of this machine cannot be used.
    """
    import httpx2
    import openai

    # Below INFO it quotes whole headers, whatever level the process asks for.
    logging.getLogger("httpcore2").setLevel(logging.INFO)
    limits = httpx2.Limits(
        max_connections=max_connections,
        max_keepalive_connections=max_connections,
        keepalive_expiry=outgoing.IDLE_S,
    )
    proxy = settings.proxy.reveal() if settings.proxy else None
    verify = outgoing.trust(settings)
    options: dict[str, Any] = {"max_retries": 0, "default_headers": outgoing.headers(settings)}
    try:
        inner = httpx2.HTTPTransport(verify=verify, limits=limits, proxy=proxy)
        transport = cast("httpx2.BaseTransport", Transport(inner))
        http = httpx2.Client(transport=transport, follow_redirects=False, trust_env=False)
        key, address = settings.key.reveal(), settings.base_url
        return http, openai.OpenAI(api_key=key, base_url=address, http_client=http, **options)
    except (ImportError, OSError, ValueError) as error:
        reason = plain(str(error)) if isinstance(error, ImportError) else type(error).__name__
        raise outgoing.unusable(settings, scrub(reason)) from None


def is_refused(error: BaseException) -> bool:
    """Whether a proxy let nothing through."""
    import httpx2

    return isinstance(error, httpx2.ProxyError)


def is_dropped(error: BaseException) -> bool:
    """Whether a connection ended before the answer did."""
    import httpx2

    return isinstance(error, (httpx2.ReadError, httpx2.WriteError, httpx2.ProtocolError))
