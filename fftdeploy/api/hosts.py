"""Kinds of hosts: what their refusals prove, how they call a token limit, how they are mistyped.

A host's kind decides how far its word is trusted, so it comes from its address or from the user,
and from the host itself only where that is this machine.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from typing import Literal
from urllib.parse import urlsplit

from fftdeploy import names

Kind = Literal["openai", "azure", "openai-compatible"]
OPENAI: Kind = "openai"
AZURE: Kind = "azure"
COMPATIBLE: Kind = "openai-compatible"
KINDS: tuple[Kind, ...] = (OPENAI, AZURE, COMPATIBLE)

DEFAULT = "default"
"""Where an address comes from that nobody has set."""

PROVE_MISSING = frozenset[str]({OPENAI, AZURE})
"""Kinds whose 404 `model_not_found` is proof.  Others answer so about models that serve."""

SANDBOX_HEADER = "x-fftdeploy-sandbox"
"""With this the sandbox says that it answers as OpenAI does.

It is believed on this machine only.  Whoever can send it from there may call a model missing,
which never makes one live; and the user has sent them the key.
"""

CHAT_LIMITS = ("max_tokens", "max_completion_tokens")
"""What a limit of a chat's tokens may be called."""

_NOT_IN_ADDRESS = frozenset(' \\"<>^`{|}')
_OCTET = r"(?:[0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
_LOOPBACK = re.compile(rf"127(?:\.{_OCTET}){{3}}|localhost|::1")
_LONG_RUN, _OPENAIS = re.compile(r"[A-Za-z0-9]{16,}"), re.compile(r"\bsk-\w")
_AROUND = " \t\r\n\"'`<>"
"""What is pasted around an address."""
_ADDRESS = re.compile(
    r"(?:(?P<scheme>https?)[:;]?/+|[a-z]{2,6}:/+)?(?P<rest>[^/@][^@]*)", re.IGNORECASE
)
"""A host and a path, behind a scheme that may be mistyped or missing."""
_ENDPOINT = re.compile(
    r"/(?:chat/completions|completions|responses|embeddings|models|fine_tuning(?:/jobs)?)$"
)


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine."""
    return bool(_LOOPBACK.fullmatch(host))


def is_local(address: str) -> bool:
    """Whether an address is one of this machine."""
    try:
        return is_loopback(urlsplit(address).hostname or "")
    except ValueError:  # not an address at all
        return False


def secret_parts(address: str) -> list[str]:
    """Return what looks like a key in the path of an address: some gateways have it there."""
    found = []
    for part in address.split("/")[3:]:
        # Letters and digits without an end: a name has hyphens, and digits are no secret.
        is_long = any(not (run.isalpha() or run.isdigit()) for run in _LONG_RUN.findall(part))
        if is_long or _OPENAIS.search(part):
            found.append(part)
    return found


def without_secrets(address: str) -> str:
    """Return an address as it may be kept: what looks like a key is told from others by a hash."""
    for part in secret_parts(address):
        address = address.replace(part, f"***{sha256(part.encode()).hexdigest()[:8]}")
    return address


@lru_cache(maxsize=64)  # it is asked of each request
def kind_of(base_url: str) -> Kind | None:
    """Return the kind of the host at an address; None for this machine, where it says so itself."""
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:  # not an address at all
        return COMPATIBLE
    if is_loopback(host):
        return None
    return OPENAI if host == "openai.com" or host.endswith(".openai.com") else COMPATIBLE


def has_openais_dates(kind: Kind | None, provider: str) -> bool:
    """Whether OpenAI's dates count for what a provider serves, `kind` being that of its host.

    They are OpenAI's word about OpenAI.  Azure ends the same models on days of its own, and what
    the user has given a name of its own is another host.  Of what stands before the address that
    `openai` has been given nobody knows, and most often it is OpenAI.
    """
    return kind == OPENAI or (provider == names.OPENAI and kind != AZURE)


def limit_fields(kind: Kind, endpoint: str, known: str = "") -> tuple[str, ...]:
    """Return the names of the token limit to try in turn; "" is none at all.

    The one that is `known` to be right for chats comes first.  Only OpenAI is asked without one,
    where a model refuses both: some servers ignore a name that they do not know, and would
    generate for minutes.
    """
    found: tuple[str, ...] = CHAT_LIMITS if endpoint == "chat" else ("max_output_tokens",)
    if kind == OPENAI:
        found = (*reversed(found), "")
    first = (known,) if known and endpoint == "chat" else ()
    return (*first, *(name for name in found if name not in first))


def address_problem(address: str) -> str:
    """Say why a key must not be sent to an address; "" where it may."""
    if not (address.isascii() and address.isprintable()) or _NOT_IN_ADDRESS & set(address):
        return "has a character in it that no address has"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is not an address"
    checks = (
        ("@" in parts.netloc, "has a user name or password in it; only the key is sent"),
        ("://" not in address, "does not begin with https://, or http:// of this machine"),
        (parts.scheme not in {"http", "https"} or not host, "is not https:// with a host"),
        ("?" in address or "#" in address, "has a query or fragment"),
        (
            parts.scheme == "http" and not is_loopback(host),
            f"is http:// and would send the key to {host} in the clear",
        ),
    )
    return next((problem for failed, problem in checks if failed), "")


def better_address(base_url: str) -> str:
    """Return what `base_url` was probably meant to be; "" where it looks as addresses do."""
    meant = base_url
    while (bare := _ENDPOINT.sub("", meant)) != meant:
        meant = bare
    meant = re.sub(r"(?:/v1){2,}$", "/v1", meant)
    if not urlsplit(meant).path.strip("/"):
        meant = f"{meant.rstrip('/')}/v1"
    return meant if meant != base_url else ""


def repaired_address(said: str) -> str:
    """Return what a text that is no address to ask at was meant to be; "" where nobody can tell.

    What may be a password or a key is nothing to be shown again.
    """
    found = _ADDRESS.fullmatch(re.split("[?#]", said.strip(_AROUND), maxsplit=1)[0])
    if not found or {"@", "["} & set(said) or said.startswith("sk-"):
        return ""
    host = found["rest"].partition("/")[0].rpartition(":")[0] or found["rest"].partition("/")[0]
    if not (is_loopback(host) or "." in host):
        return ""
    scheme = (found["scheme"] or "http").lower() if is_loopback(host) else "https"
    meant = f"{scheme}://{found['rest']}".rstrip("/")
    return better_address(meant) or meant
