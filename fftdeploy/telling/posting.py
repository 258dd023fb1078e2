"""Carries what is told to an address of the environment, with the guards of the API's own client.

It goes over https:// alone, this machine aside, by the proxy and the certificates that the
environment names; it follows no redirect, reads no endless answer, and has an end.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from fftdeploy.api.client.outgoing import HttpRequest
from fftdeploy.api.providers import Provider
from fftdeploy.api.settings import settings
from fftdeploy.errors import AuthError, ConfigError, UnverifiedError

_DEADLINE_S = 10.0
"""Longest that one request may take."""


Send = Callable[[HttpRequest], Any]
"""Sends a request and returns what came back; UnverifiedError where it may not have arrived."""


@contextmanager
def conversation(environ: Mapping[str, str], address: str, token: str = "") -> Iterator[Send]:
    """Talk to whom the variable `address` names, with the token that the variable `token` has.

    Raises:
        ConfigError: It is not set, or nothing may be sent there; the address is not quoted.
        AuthError: There is no token.
    """
    from fftdeploy.api.client.plain import ThreadedClient

    said = environ.get(address, "").strip()
    base_url = said.partition("?")[0] or "-"  # which is no address; none would be OpenAI's
    provider = Provider("told", address, base_url=base_url, api_key_env=token)
    try:
        asked = replace(settings(environ, provider), base_url=said)
        client = ThreadedClient(asked, max_connections=1)
    except AuthError as error:
        raise AuthError(f"{token} has no token", code=error.code) from None
    except ConfigError as error:
        # Others say which proxy or certificates cannot be used; the address may be a secret.
        if error.where not in {address, said}:
            raise
        lack = "is not an https:// address to ask at" if said else "is not set"
        raise ConfigError(f"{address} {lack}", where=address) from None

    def send(request: HttpRequest) -> Any:
        answer = client.ask(request, _DEADLINE_S)
        if not 200 <= answer.status < 300:  # the host's words are nobody's business
            reason = answer.fault or f"HTTP {answer.status}"
            raise UnverifiedError(f"whom {address} names was not told: {reason}")
        return answer.body

    try:
        yield send
    finally:
        client.close()
