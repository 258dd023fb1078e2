"""Decides what goes out with a request, whom it may reach, and how, for every client alike."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fftdeploy import __version__
from fftdeploy.api.answers import plain
from fftdeploy.errors import ConfigError

if TYPE_CHECKING:
    import ssl

    from fftdeploy.api.settings import Settings

CONNECT_S = 5.0
"""Longest wait for a connection."""

IDLE_S = 30.0
"""How long a connection is kept that nothing goes over."""


def headers(settings: Settings) -> dict[str, str]:
    """Return what every request says: the user's own headers go before ours, but for one.

    A body that is packed is refused, so that none may be asked for.
    """
    ours = {
        "Accept": "application/json",
        "Authorization": f"Bearer {settings.key.reveal()}",
        "Content-Type": "application/json",
        "OpenAI-Organization": settings.organization,
        "OpenAI-Project": settings.project,
        "User-Agent": f"fftdeploy/{__version__}",
    }
    theirs = {name: value.reveal() for name, value in settings.headers}
    replaced = {name.lower() for name in theirs}
    said = {name: value for name, value in ours.items() if value and name.lower() not in replaced}
    said |= {name: value for name, value in theirs.items() if name.lower() != "accept-encoding"}
    return said | {"Accept-Encoding": "identity"}


def trust(settings: Settings) -> ssl.SSLContext:
    """Return whom to believe: the environment's certificates or the machine's.

    For http:// it is nobody: loading certificates costs 40 ms that a loopback address need not
    pay.

    Raises:
        ConfigError: The certificates that a variable names cannot be used.
    """
    import ssl

    if not settings.base_url.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    path, source = settings.certificates, settings.certificates_source
    if not path:
        import httpx2

        return httpx2.create_ssl_context()
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


def unusable(settings: Settings, reason: str) -> ConfigError:
    """Say that no client can be made of the settings; `reason` holds no key."""
    way = f" {settings.through}" if settings.through else ""
    return ConfigError(
        f"the connection to {settings.host}{way} cannot be set up: {reason}",
        hint=f"set {settings.proxy_source or 'OPENAI_BASE_URL'} again, or unset it",
        where=settings.base_url,
    )
