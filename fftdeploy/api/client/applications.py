"""Makes clients of the SDK for applications: one of a host, and one that follows what is live."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache, cached_property, wraps
from typing import TYPE_CHECKING, Any, Protocol, cast

from fftdeploy.api.client import outgoing
from fftdeploy.api.client.sdk import import_sdk, proxy, sdk
from fftdeploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import openai

    from fftdeploy.api.settings import Settings

_CREDENTIALS = ("Authorization", "api-key", "OpenAI-Organization", "OpenAI-Project")
OPTIONS = frozenset({"timeout", "max_retries", "default_headers", "default_query"})
"""Options of the SDK's clients that are the same for every host; the others lead to one."""
_FOLLOWED = ("create", "parse")
"""Methods whose model and parameters are filled in; `stream` is by way of `create`."""
_RAW = "X-Stainless-Raw-Response"
"""The header by which the SDK remembers that a caller wants the raw response."""


class Way(Protocol):
    """A host, and what of a call it is asked."""

    @property
    def client(self) -> Any:
        """The SDK's client of the host."""

    def filled(self, endpoint: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call to `endpoint`, of which a caller has `said` some."""

    def ended(self, said: Mapping[str, Any], answer: Any, began: float) -> None:
        """Hear what it has answered to what a caller has `said`, or the error of the SDK."""


class Calls(Protocol):
    """Decides for each call where it goes."""

    is_async: bool
    target: str

    def ways(self) -> Iterable[Way]:
        """Return what to try, in turn: there is one at least."""

    def is_gone(self, way: Any, error: openai.NotFoundError) -> bool:
        """Find out whether a 404 means that the model is gone; this may take a few seconds."""

    def changed(self, options: Mapping[str, Any]) -> Calls:
        """Return the same with some other options of the SDK's clients."""

    def clients(self) -> Iterable[Any]:
        """Return the clients of hosts that there are by now."""


def host_client(
    settings: Settings, options: Mapping[str, Any], *, is_async: bool, like: Any = None
) -> Any:
    """Make the SDK's client of one host: what is found in the environment for others stays here.

    `options` are the SDK's own, such as `timeout`; a client `like` it, of the same host, lends
    its connections.  Redirects are not followed: they would take the key elsewhere.

    Raises:
        UsageError: An option is none of `OPTIONS`.
        ConfigError: The proxy or the certificates of this machine cannot be used.
    """
    if others := sorted(options.keys() - OPTIONS):
        raise UsageError(
            f"{', '.join(others)}: no option of a client that follows what is live",
            hint=f"these are: {', '.join(sorted(OPTIONS))}",
        )
    import_sdk()
    import openai

    own = {name: said for name, said in outgoing.headers(settings).items() if name in _CREDENTIALS}

    def only_its_own(request: Any) -> None:
        for name in _CREDENTIALS:
            request.headers.pop(name, None)
        request.headers.update(own)

    async def async_only_its_own(request: Any) -> None:
        only_its_own(request)

    make = openai.DefaultAsyncHttpxClient if is_async else openai.DefaultHttpxClient
    try:
        if like is None:
            trusted = outgoing.trust(settings)
            http = make(
                verify=trusted,
                proxy=proxy(settings, trusted),
                trust_env=False,
                follow_redirects=False,
                event_hooks={"request": [async_only_its_own if is_async else only_its_own]},
            )
        else:
            http = like._client  # noqa: SLF001  as `copy` of the SDK
        made = sdk(settings, is_async=is_async, http_client=http, **options)
    except (ImportError, OSError, ValueError) as error:
        raise outgoing.unusable(settings, error) from None
    theirs = {name: value.reveal() for name, value in settings.headers}
    made._custom_headers = {**theirs, **options.get("default_headers", {})}  # noqa: SLF001  no other way
    return made


def follow(calls: Calls) -> Any:
    """Make a client that sends each call of chat completions and responses where `calls` says.

    All else goes to the host that is first among the `ways`.
    """
    import_sdk()
    return _classes(calls.is_async)(calls)


class _Following:
    """What a client that follows does before the SDK's own class."""

    _followed_chat: Any
    _followed_responses: Any

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        first = next(iter(calls.ways())).client
        said = {"api_key": first.api_key or "none", "base_url": first.base_url}
        cast("Any", super()).__init__(**said, http_client=first._client)  # noqa: SLF001  as `copy` of the SDK

    @cached_property
    def chat(self) -> Any:
        return self._followed_chat(self)

    @cached_property
    def responses(self) -> Any:
        return self._followed_responses(self)

    @cached_property
    def beta(self) -> Any:
        found = cast("Any", super()).beta
        vars(found)["chat"] = self.chat  # the SDK makes another one there, which follows nothing
        return found

    def request(self, *said: Any, **named: Any) -> Any:
        """Send anything else, to the host of what is live."""
        return next(iter(self.calls.ways())).client.request(*said, **named)

    def copy(self, **options: Any) -> Any:
        """Return a client that follows the same target, with some options changed."""
        return type(self)(self.calls.changed(options))

    with_options = copy

    def close(self) -> Any:
        """Close the connections to all hosts; of an asynchronous client this is awaited."""
        closing = [one.close() for one in self.calls.clients()]
        return _each(closing) if self.calls.is_async else None


async def _each(waiting: Iterable[Any]) -> None:
    for one in waiting:
        await one


@cache
def _classes(is_async: bool) -> type[Any]:
    """Return the class of clients that follow, for the SDK is imported late."""
    import openai
    from openai.resources.chat import AsyncChat, AsyncCompletions, Chat, Completions
    from openai.resources.responses import AsyncResponses, Responses

    kinds: tuple[Any, ...] = (openai.OpenAI, Chat, Completions, Responses)
    if is_async:
        kinds = (openai.AsyncOpenAI, AsyncChat, AsyncCompletions, AsyncResponses)
    client, chat, completions, responses = kinds
    followed = _followed(completions, "chat", is_async)
    in_chat = cached_property(lambda self: followed(self._client))
    resources = {
        "_followed_chat": type("FollowedChat", (chat,), {"completions": in_chat}),
        "_followed_responses": _followed(responses, "responses", is_async),
    }
    return type(f"Following{client.__name__}", (_Following, client), resources)


def _followed(kind: type[Any], endpoint: str, is_async: bool) -> type[Any]:
    """Return a resource of the SDK whose calls go where the client's `calls` say."""

    def method(name: str) -> Any:
        theirs = getattr(kind, name)

        @wraps(theirs)
        def call(self: Any, **named: Any) -> Any:
            try:  # it never waits, as the SDK's client never does
                _answer(self._client.calls, name, endpoint, _given(named)).send(None)
            except StopIteration as done:
                return done.value

        @wraps(theirs)
        async def async_call(self: Any, **named: Any) -> Any:
            return await _answer(self._client.calls, name, endpoint, _given(named))

        return async_call if is_async else call

    @wraps(kind.stream)
    def stream(self: Any, **named: Any) -> Any:
        said = _given(named)
        model = {} if "response_id" in said else {"model": self._client.calls.target}
        return kind.stream(self, **{**model, **said})

    methods = {name: method(name) for name in _FOLLOWED}
    return type(f"Followed{kind.__name__}", (kind,), {**methods, "stream": stream})


async def _answer(calls: Calls, name: str, endpoint: str, said: Mapping[str, Any]) -> Any:
    """Send a call to the first of its ways that is not gone; waits only if `calls` do."""
    import openai

    ways = list(calls.ways())
    while True:
        way = ways.pop(0)
        asked, began = way.filled(endpoint, said), time.monotonic()
        resource = way.client.chat.completions if endpoint == "chat" else way.client.responses
        is_read = name == "parse" and _RAW not in (asked.get("extra_headers") or {})
        send = getattr(resource.with_raw_response if is_read else resource, name)
        try:
            answer = await send(**asked) if calls.is_async else send(**asked)
        # What is no JSON the SDK lets through as Python's own error.
        except (openai.OpenAIError, ValueError, RecursionError) as error:
            way.ended(said, error, began)
            if not ways or not isinstance(error, openai.NotFoundError):
                raise
            if calls.is_async:
                import asyncio

                is_gone = await asyncio.to_thread(calls.is_gone, way, error)
            else:
                is_gone = calls.is_gone(way, error)
            if not is_gone:
                raise
        else:
            try:  # it was answered, whatever the caller's form makes of it
                read = answer.parse() if is_read else answer
            except Exception:
                way.ended(said, answer, began)
                raise
            way.ended(said, read, began)
            return read


def _given(said: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the SDK's own helpers pass on without its having been said.

    What can be read but once is kept: a fallback may have to be sent it, too.
    """
    from openai import NotGiven, Omit

    return {
        key: list(value) if isinstance(value, Iterator) else value
        for key, value in said.items()
        if not isinstance(value, (NotGiven, Omit))
    }
