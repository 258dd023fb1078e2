"""Decides what goes out with a request, whom it may reach, and how, for every client alike."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from fftdeploy import __version__
from fftdeploy.api.answers import plain
from fftdeploy.api.settings import CERTIFICATES
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
    if not settings.certificates:
        import httpx2

        return httpx2.create_ssl_context()
    named: dict[str, str] = {}
    for source, value in settings.certificates.items():
        try:
            _require_certificates(source, value)
            named[source] = value
            file, folders = map(named.get, CERTIFICATES)
            trusted = ssl.create_default_context(cafile=file, capath=folders)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.errno else ""
            is_tls = isinstance(error, ssl.SSLError)
            problem = "it holds no certificate" if is_tls else (reason or "it is no path").lower()
            raise ConfigError(
                f"{source} cannot be used: {problem}: {plain(value)}",
                hint=f"set {source} to certificates in PEM, or unset it",
                where=source,
                code="certificates",
            ) from None
    return trusted


def _require_certificates(source: str, value: str) -> None:
    """Raise OSError where a variable names no file, or a list of folders none of which is there.

    OpenSSL would wait for a pipe, and passes over folders.
    """
    folders = value.split(os.pathsep)
    if source == CERTIFICATES[0]:
        if not stat.S_ISREG(Path(value).stat().st_mode):
            raise OSError(errno.EINVAL, "it is no file")
    elif not any(map(os.path.isdir, folders)):
        os.scandir(folders[0]).close()


def unusable(settings: Settings, reason: str) -> ConfigError:
    """Say that no client can be made of the settings; `reason` holds no key."""
    way = f" {settings.through}" if settings.through else ""
    return ConfigError(
        f"the connection to {settings.host}{way} cannot be set up: {reason}",
        hint=f"set {settings.proxy_source or 'OPENAI_BASE_URL'} again, or unset it",
        where=settings.base_url,
    )
