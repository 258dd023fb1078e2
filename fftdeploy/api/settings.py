"""Reads where to ask, and as whom, from the environment and from nowhere else.

The environment is an argument.  Everything that could send the key to the wrong place, or in the
clear, is refused here, before a client exists.  The key never prints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fftdeploy import names
from fftdeploy.api import hosts
from fftdeploy.api.answers import plain
from fftdeploy.api.providers import NOTHING_SAID, OPENAI_KEY, Provider, Providers
from fftdeploy.errors import AuthError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DEFAULT_URL = "https://api.openai.com/v1"
ADDRESS = "OPENAI_BASE_URL"
WEBHOOK = "FFTDEPLOY_WEBHOOK_URL"
"""Has an address that whoever knows it may write to: it is shown nowhere."""
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that name a file, and a list of folders, of certificates."""

LONG_KEY = 20
"""So many characters no honest text has by chance, whatever is left out of it."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_QUOTES = "\"'`\u201c\u201d\u2018\u2019"


class Secret:
    """A string that prints as `<hidden>` wherever it is shown by accident."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the string itself."""
        return self._value

    def __repr__(self) -> str:
        return "<hidden>"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not to be pickled")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to ask and as whom, and which variable said so."""

    key: Secret
    """Nothing, where none is sent."""
    key_source: str
    """The variable that has the key; "" where none is sent."""
    base_url: str
    base_url_source: str
    """`default`, `OPENAI_BASE_URL`, or the file of providers."""
    organization: str | None
    project: str | None
    proxy: Secret | None
    proxy_source: str
    certificates: Mapping[str, str]
    """What to believe instead of the machine's certificates, by the variable that says so."""
    headers: tuple[tuple[str, Secret], ...]
    """Those that `OPENAI_CUSTOM_HEADERS` adds; their values are nobody's business."""
    provider: Provider = NOTHING_SAID

    @property
    def kind(self) -> hosts.Kind | None:
        """The kind of the host; None on this machine, until it says so itself."""
        return self.provider.kind or hosts.kind_of(self.base_url)

    @property
    def is_classic_azure(self) -> bool:
        """Whether it is Azure's older address: a deployment is part of the path, and a version."""
        is_azure = self.kind == hosts.AZURE and bool(self.provider.api_version)
        return is_azure and not self.base_url.endswith("/v1")

    @property
    def host(self) -> str:
        """The host, and the port where it is not the scheme's own."""
        return urlsplit(self.base_url).netloc

    @property
    def through(self) -> str:
        """Say through which proxy it is asked, without its password; "" where there is none."""
        if not self.proxy:
            return ""
        parts = urlsplit(self.proxy.reveal())
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return f"through proxy {shown} (from {self.proxy_source})"

    @property
    def origin(self) -> str:
        """Where the address comes from: `default`, or `from` what says so."""
        is_default = self.base_url_source == hosts.DEFAULT
        return hosts.DEFAULT if is_default else f"from {self.base_url_source}"

    def describe(self) -> str:
        """Say in one line which address is asked, and where that came from."""
        name = self.provider.name
        whose = "" if name == names.OPENAI else f" of {name}"
        line = f"API{whose}: {self.base_url} ({self.origin})"
        if self.through:
            line += f", {self.through}"
        if self.headers:
            added = ", ".join(name for name, _ in self.headers)
            line += f", with headers {added} (from OPENAI_CUSTOM_HEADERS)"
        if self.provider.kind and not whose:
            line += f", kind {self.provider.kind} (from {self.provider.source})"
        return line


def kind_at(environ: Mapping[str, str], provider: Provider) -> hosts.Kind | None:
    """Return the kind of the host by its address alone, which need not be one to ask at."""
    return provider.kind or hosts.kind_of(_address(environ, provider)[0])


def lack(environ: Mapping[str, str], providers: Providers, provider: str, environment: str) -> str:
    """Say what lacks to ask a provider with; "" where a key is set, well-formed or not."""
    try:
        variable = providers.get(provider).key_variable(environment)
    except AuthError as error:
        return error.message
    return "" if not variable or environ.get(variable) else f"{variable} is not set"


def settings(
    environ: Mapping[str, str], provider: Provider = NOTHING_SAID, environment: str = ""
) -> Settings:
    """Read key, address and proxy from the environment, before any client exists.

    `provider` is what the user's own file says of the host, and `environment` is where what is
    asked about serves, which may have a key of its own.

    Raises `AuthError` where the key is missing or is not the shape of one, and `ConfigError`
    where the address would send it in the clear, or is not an address.
    """
    variable = provider.key_variable(environment)
    key = _key(environ, provider.name, variable) if variable else ""
    base_url, source = _address(environ, provider)
    _require_address(base_url, source)
    proxy, proxy_source = _proxy(environ, base_url)
    is_openai = provider.name == names.OPENAI
    return Settings(
        key=Secret(key),
        key_source=variable,
        base_url=base_url,
        base_url_source=source,
        organization=_identifier(environ, "OPENAI_ORG_ID") if is_openai else None,
        project=_identifier(environ, "OPENAI_PROJECT_ID") if is_openai else None,
        proxy=Secret(proxy) if proxy else None,
        proxy_source=proxy_source,
        certificates={name: environ[name] for name in CERTIFICATES if environ.get(name)},
        headers=_headers(environ) if is_openai else (),
        provider=provider,
    )


def secrets_of(environ: Mapping[str, str], variable: str = OPENAI_KEY) -> list[str]:
    """Return a variable's key in every form in which something might quote it, the longest first.

    What looks like a key in `OPENAI_BASE_URL` is one, too, and so is the address of a webhook.
    """
    others = hosts.secret_parts(environ.get(ADDRESS, ""))
    webhook = environ.get(WEBHOOK, "").strip().partition("://")[2]
    return forms_of(environ.get(variable, "").strip(), *others, webhook)


def forms_of(key: str, *others: str) -> list[str]:
    """Return `others` and what of a key may be quoted: itself, its encodings, its beginning.

    A short one, such as a sandbox's "test", may be part of an honest model ID.
    """
    import json
    from os import fsencode
    from urllib.parse import quote

    raw = fsencode(key)
    forms = {key, json.dumps(key)[1:-1], quote(raw, safe=""), *_in_base64(raw)}
    if len(key) >= LONG_KEY:
        forms.add(key[:12])
    return sorted((one for one in forms.union(others) if len(one) >= 8), key=len, reverse=True)


def _in_base64(raw: bytes) -> Iterator[str]:
    """Yield what of base64 has the key alone, whatever is before and behind: `Bearer `, `user:`."""
    from base64 import b64encode

    for before in range(3):
        code = b64encode(bytes(before) + raw).decode()
        inner = code[(8 * before + 5) // 6 : 8 * (before + len(raw)) // 6]
        yield from (inner, inner.replace("+", "-").replace("/", "_"))


def _address(environ: Mapping[str, str], provider: Provider) -> tuple[str, str]:
    """Return the address of a provider, and what says so; the variable is of `openai` alone."""
    variable = environ.get(ADDRESS, "").strip() if provider.name == names.OPENAI else ""
    if variable:
        return variable.rstrip("/") or _DEFAULT_URL, ADDRESS
    if provider.base_url:
        return provider.base_url.rstrip("/"), provider.source
    return _DEFAULT_URL, hosts.DEFAULT


def _key(environ: Mapping[str, str], provider: str, variable: str) -> str:
    key = environ.get(variable)
    whose = "" if variable == OPENAI_KEY else f", the key of {provider}"
    if not key:
        state = "is empty" if key == "" else "is not set"
        raise AuthError(
            f"{variable}{whose}, {state}" if whose else f"{variable} {state}",
            hint=f"export {variable}=...",
            code="key-missing",
        )
    if wrong := shape_problem(key):
        raise AuthError(
            f"{variable} {wrong}",
            hint="set it again: the key itself, without quotes, blanks or line breaks",
            code="key-malformed",
        )
    return key


def shape_problem(value: str) -> str:
    """Say why `value` cannot be sent as a key, without quoting any of it; "" if it can."""
    if value != (bare := value.strip("\r\n")):
        return f"has a line break at its {'end' if value.startswith(bare) else 'start'}"
    if value != (bare := value.strip()):
        return f"has a blank at its {'end' if value.startswith(bare) else 'start'}"
    checks = (
        ("\n\r", "has a line break in it"),
        ("\0", "has a NUL character in it"),
        (" \t", "has a blank in it"),
        (_QUOTES, "has quotes in it"),
    )
    for characters, problem in checks:
        if any(char in characters for char in value):
            return problem
    if not value.isascii():
        return "has a character in it that is not ASCII"
    return "" if value.isprintable() else "has a control character in it"


def _identifier(environ: Mapping[str, str], name: str) -> str | None:
    value = environ.get(name)
    if not value:
        return None
    if wrong := shape_problem(value):
        raise AuthError(f"{name} {wrong}", hint=f"set {name} again", code="key-malformed")
    return value


def _require_address(base_url: str, source: str) -> None:
    """Refuse an address of the environment; the file's was looked at with the file."""
    if problem := hosts.address_problem(base_url):
        meant = hosts.repaired_address(base_url)
        hint = "an address is like https://api.openai.com/v1, or http:// of this machine"
        if meant and not hosts.address_problem(meant):
            hint = f"did you mean {meant}?"
        raise ConfigError(
            f"{source} {problem}",
            hint=hint,
            where=source,
            code="address",
        )


def _proxy(environ: Mapping[str, str], base_url: str) -> tuple[str, str]:
    """Return the proxy for `base_url` and the variable that names it; loopback never has one."""
    parts = urlsplit(base_url)
    host, own = parts.hostname or "", f"{parts.scheme}_proxy"
    variables = own, own.upper(), "all_proxy", "ALL_PROXY"
    name = next((each for each in variables if environ.get(each, "").strip()), "")
    if hosts.is_loopback(host) or not name:
        return "", ""
    if excluded := environ.get("no_proxy", environ.get("NO_PROXY", "")):
        from urllib import request  # 30 ms, paid only behind a proxy

        # typeshed knows this function only where the platform has no other one.
        if request.proxy_bypass_environment(host, {"no": excluded}):  # type: ignore[attr-defined]  # as said
            return "", ""
    return _proxy_address(environ[name].strip(), name), name


def _proxy_address(value: str, name: str) -> str:
    address = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(address)
        valid = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid or not address.isascii() or not address.isprintable():
        scheme, separator, rest = value.rpartition("://")
        host, colon, port = rest.rpartition("@")[2].partition(":")
        port = f":{port if port.rstrip('/').isdecimal() else '***'}" if colon else ""
        raise ConfigError(
            # What can be no password.
            f"{name} is not an address: {plain(scheme, 20)}{separator}{plain(host, 100)}{port}",
            hint=f"set {name} to one such as http://proxy.example:8080, or unset it",
            where=name,
        )
    return address


def _headers(environ: Mapping[str, str]) -> tuple[tuple[str, Secret], ...]:
    """Read `OPENAI_CUSTOM_HEADERS` as the SDK itself does."""
    lines = environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    pairs = [line.split(":", 1) for line in lines if ":" in line]
    for name, value in pairs:
        token = _HEADER_NAME.fullmatch(name.strip())
        if not token or not value.strip().isascii() or not value.strip().isprintable():
            raise ConfigError(
                "OPENAI_CUSTOM_HEADERS has a line that is not a header",
                hint="one `Name: value` a line, in ASCII",
                where="OPENAI_CUSTOM_HEADERS",
            )
    return tuple((name.strip(), Secret(value.strip())) for name, value in pairs)
