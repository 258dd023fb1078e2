"""Carries what is told to an address of the environment, with the guards of the API's own client.

It goes over https:// alone, this machine aside, by the proxy and the certificates that the
environment names; it follows no redirect, reads no endless answer, and has an end.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from fftdeploy.api.answers import Answer
from fftdeploy.api.client.outgoing import HttpRequest
from fftdeploy.api.providers import Provider
from fftdeploy.api.settings import settings
from fftdeploy.errors import AuthError, ConfigError, UnverifiedError

_DEADLINE_S = 10.0
"""Longest that one request may take."""


class Post:
    """A conversation with whom the variable `address` names; a context manager.

    Raises:
        ConfigError: It is not set, or nothing may be sent there; the address is not quoted.
        AuthError: The variable `token` has none.
    """

    def __init__(self, environ: Mapping[str, str], address: str, token: str = "") -> None:
        from fftdeploy.api.client.plain import ThreadedClient

        said = environ.get(address, "").strip()
        base_url = said.partition("?")[0] or "-"  # which is no address; none would be OpenAI's
        provider = Provider("told", address, base_url=base_url, api_key_env=token)
        try:
            asked = replace(settings(environ, provider), base_url=said)
            self._client = ThreadedClient(asked, max_connections=1)
        except AuthError as error:
            raise AuthError(f"{token} has no token", code=error.code) from None
        except ConfigError as error:
            # Others say which proxy or certificates cannot be used; the address may be a secret.
            if error.where not in {address, said}:
                raise
            lack = "is not an https:// address to ask at" if said else "is not set"
            raise ConfigError(f"{address} {lack}", where=address) from None
        self._called = address

    def send(self, request: HttpRequest) -> Any:
        """Send `request`, and return what came back.

        Raises:
            UnverifiedError: It may not have arrived; the reason is nobody's words.
        """
        answer = self._client.ask(request, _DEADLINE_S)
        if not 200 <= answer.status < 300:
            raise self._refused(answer)
        return answer.body

    def _refused(self, answer: Answer) -> UnverifiedError:
        reason = answer.fault or f"HTTP {answer.status}"
        return UnverifiedError(f"whom {self._called} names was not told: {reason}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._client.close()
