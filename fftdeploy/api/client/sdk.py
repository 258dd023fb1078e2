"""The openai clients as this package wants them, and the SDK imported without haste or waste."""

from __future__ import annotations

import gc
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, cast

from fftdeploy.api.answers import plain
from fftdeploy.api.client.transport import AsyncTransport, Transport
from fftdeploy.errors import ConfigError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    import httpx2
    import openai

    from fftdeploy.api.settings import Settings

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
    return {"verify": _trust(settings), "limits": limits, "proxy": proxy}


def _unusable(error: Exception, settings: Settings, scrub: Callable[[str], str]) -> ConfigError:
    reason = plain(str(error)) if isinstance(error, ImportError) else type(error).__name__
    way = f" {settings.through}" if settings.through else ""
    return ConfigError(
        f"the connection to {settings.host}{way} cannot be set up: {scrub(reason)}",
        hint=f"set {settings.proxy_source or 'OPENAI_BASE_URL'} again, or unset it",
        where=settings.base_url,
    )


def _trust(settings: Settings) -> ssl.SSLContext | bool:
    """Return whom to believe: the environment's certificates or the machine's.

    For http:// it is nobody: loading certificates costs 40 ms that a loopback address need not
    pay.
    """
    import ssl

    if not settings.base_url.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    path, source = settings.certificates, settings.certificates_source
    if not path:
        return True
    try:
        if source == "SSL_CERT_DIR":
            os.scandir(path).close()  # OpenSSL passes over a folder that is not there
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.errno else ""
        is_tls = isinstance(error, ssl.SSLError)
        problem = "it holds no certificate" if is_tls else (reason or "it is no path").lower()
        raise ConfigError(
            f"{source} cannot be used: {problem}: {plain(path)}",
            hint=f"set {source} to certificates in PEM, or unset it",
            where=source,
            code="certificates",
        ) from None
