"""The openai clients as this package wants them, and the SDK imported without haste or waste."""

from __future__ import annotations

import gc
import logging
import sys
from typing import TYPE_CHECKING, Any, cast

from fftdeploy.answers import plain
from fftdeploy.errors import ConfigError
from fftdeploy.provider.transport import AsyncTransport, Transport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    import httpx2
    import openai

    from fftdeploy.settings import Settings

CONNECT_S = 5.0

# What the SDK tells of this machine with each request; a tenth of what a request costs here.
_MACHINE_HEADERS = tuple(
    f"X-Stainless-{name}"
    for name in ("Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version", "Async")
)


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


def client(
    settings: Settings, max_connections: int, scrub: Callable[[str], str]
) -> tuple[httpx2.Client, openai.OpenAI]:
    """Return a synchronous client and the pool of connections below it.

    Raises:
        ConfigError: The proxy or the certificates of this machine cannot be used.
    """
    import httpx2
    import openai

    try:
        inner = httpx2.HTTPTransport(**_transport_options(settings, max_connections))
        transport = cast("httpx2.BaseTransport", Transport(inner))
        http = httpx2.Client(transport=transport, follow_redirects=False, trust_env=False)
        return http, openai.OpenAI(http_client=http, **_options(settings))
    except (ImportError, OSError, ValueError) as error:
        raise _unusable(error, settings, scrub) from None


def async_client(
    settings: Settings, max_connections: int, scrub: Callable[[str], str]
) -> tuple[httpx2.AsyncClient, openai.AsyncOpenAI]:
    """Return the asynchronous pair; it fails as `client` does."""
    import httpx2
    import openai

    try:
        inner = httpx2.AsyncHTTPTransport(**_transport_options(settings, max_connections))
        transport = cast("httpx2.AsyncBaseTransport", AsyncTransport(inner))
        http = httpx2.AsyncClient(transport=transport, follow_redirects=False, trust_env=False)
        options = _options(settings)
        options["default_headers"] |= dict.fromkeys(_MACHINE_HEADERS, openai.Omit())
        return http, openai.AsyncOpenAI(http_client=http, **options)
    except (ImportError, OSError, ValueError) as error:
        raise _unusable(error, settings, scrub) from None


def _options(settings: Settings) -> dict[str, Any]:
    # Below INFO it quotes whole headers, whatever level the process asks for.
    logging.getLogger("httpcore2").setLevel(logging.INFO)
    return {
        "api_key": settings.key.reveal(),
        "organization": settings.organization,
        "project": settings.project,
        "base_url": settings.base_url,
        "max_retries": 0,
        "default_headers": {"Accept-Encoding": "identity"},
    }


def _transport_options(settings: Settings, max_connections: int) -> dict[str, Any]:
    import httpx2

    limits = httpx2.Limits(
        max_connections=max_connections,
        max_keepalive_connections=max_connections,
        keepalive_expiry=30.0,
    )
    proxy = settings.proxy.reveal() if settings.proxy else None
    return {"verify": _trust(settings.base_url), "limits": limits, "proxy": proxy}


def _unusable(error: Exception, settings: Settings, scrub: Callable[[str], str]) -> ConfigError:
    reason = plain(str(error)) if isinstance(error, ImportError) else type(error).__name__
    return ConfigError(
        f"the connection to {settings.host} cannot be set up: {scrub(reason)}",
        hint="look at the proxy and SSL_CERT_FILE variables",
        where=settings.base_url,
    )


def _trust(base_url: str) -> ssl.SSLContext | bool:
    """Return whom to believe: the machine's certificates, or for http:// nobody.

    Loading the machine's certificates costs 40 ms that a plain loopback address need not pay.
    """
    if base_url.startswith("https:"):
        return True
    import ssl

    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
