"""Decides what goes out with a request, whom it may reach, and how, for every client alike."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from fftdeploy import __version__
from fftdeploy.api.answers import plain
from fftdeploy.api.hosts import AZURE
from fftdeploy.api.settings import CERTIFICATES
from fftdeploy.errors import ConfigError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from typing import BinaryIO

    from fftdeploy.api.settings import Settings

CONNECT_S = 5.0
"""Longest wait for a connection."""

IDLE_S = 30.0
"""How long a connection is kept that nothing goes over."""

_SEGMENT = "!$&'()*+,;=:@"
"""What RFC 3986 lets stand in a segment of a path, beside letters and digits."""

_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+){2}")
_OURS_ALONE = {"accept-encoding", "content-length", "transfer-encoding"}

ENDPOINTS = {"chat": ("chat", "completions"), "responses": ("responses",)}
"""Where a model is asked, by the endpoint's name."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request to the API: a GET, or with a body a POST of it as JSON, or as a form with a file.

    Files go over the SDK only.
    """

    segments: tuple[str, ...]
    """Of its path below the address, as they are: a model may have any name."""
    query: str = ""
    body: Mapping[str, Any] | None = None
    upload: BinaryIO | None = None
    """A file that goes with the body, read as it is sent."""
    upload_name: str = ""
    sink: BinaryIO | None = None
    """Where the body of a 200 is written as it comes, whatever it is."""
    change: str = ""
    """The method that changes something, where that is no POST; over the plain client only."""

    @property
    def content(self) -> bytes:
        """The body as it is sent.

        Raises:
            ValueError: It is not JSON.
        """
        text = json.dumps(self.body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode()


def headers(settings: Settings) -> dict[str, str]:
    """Return what every request says: the user's own headers go before ours, but for a few.

    A body that is packed is refused, so that none may be asked for, and the length is the body's.
    """
    key = settings.key.reveal()
    credentials = {"Authorization": f"Bearer {key}"} if key else {}
    if settings.kind == AZURE and not is_token(key):  # it has a header of its own for them
        credentials = {"api-key": key}
    ours = {
        "Accept": "application/json",
        **credentials,
        "Content-Type": "application/json",
        "OpenAI-Organization": settings.organization,
        "OpenAI-Project": settings.project,
        "User-Agent": f"fftdeploy/{__version__}",
    }
    theirs = {name: value.reveal() for name, value in settings.headers}
    replaced = {name.lower() for name in theirs}
    said = {name: value for name, value in ours.items() if value and name.lower() not in replaced}
    said |= {name: value for name, value in theirs.items() if name.lower() not in _OURS_ALONE}
    return said | {"Accept-Encoding": "identity"}


def is_token(key: str) -> bool:
    """Whether a key is a token such as Entra gives out: a JWT, which no key of Azure's is."""
    return bool(_TOKEN.fullmatch(key))


def path(request: HttpRequest, settings: Settings) -> str:
    """Return path and query of `request` below the address: Azure's classic one has its own.

    Raises:
        ValueError: A segment is empty or would lead elsewhere.
    """
    segments, query = request.segments, request.query
    if version := settings.provider.api_version:
        said = urlencode({"api-version": version})
        query = f"{query}&{said}" if query else said
    if settings.is_classic_azure and request.body and segments == ENDPOINTS["chat"]:
        segments = ("deployments", str(request.body["model"]), *segments)
    if not {"", ".", ".."}.isdisjoint(segments):
        raise ValueError("no path has such a segment")
    path = "".join(f"/{quote(segment, safe=_SEGMENT)}" for segment in segments)
    return f"{path}?{query}" if query else path


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


def unusable(settings: Settings, error: Exception) -> ConfigError:
    """Say that no client can be made of the settings, and for the want of which package."""
    reason = plain(str(error)) if isinstance(error, ImportError) else type(error).__name__
    way = f" {settings.through}" if settings.through else ""
    return ConfigError(
        f"the connection to {settings.host}{way} cannot be set up: {reason}",
        hint=f"set {settings.proxy_source or settings.base_url_source} again, or unset it",
        where=settings.base_url,
    )
