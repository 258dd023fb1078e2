"""The only door to the API: requests go out through the openai client, `Answer`s come back.

The client is of our own configuration: no redirects, no retries, no environment proxies that we
have not named, bodies capped and read as strict JSON, and a deadline that holds for the whole
request.  Importing this module does not import `openai`; constructing a `Connection` does.  No
type or exception of the SDK leaves it, so that no chained traceback can carry the key.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlsplit

from fftdeploy.answers import Answer, error_fields, plain
from fftdeploy.errors import ConfigError
from fftdeploy.settings import Settings, has_key, settings
from fftdeploy.wire import http_date, parse_body, retry_after, scrub_all, scrubber

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

    import httpx2
    import openai

__all__ = ["LIMIT_FIELDS", "Connection", "Settings", "has_key", "settings"]

ONE_BYTES = 1 << 20
"""Most bytes of a body about one thing."""

LIST_BYTES = 8 << 20
"""Most bytes of one page of a list."""

PAGES = 100
"""Most pages of a list that are asked for."""

PROBE_TEXT = "Reply with the word ok."
PROBE_TOKENS = 16
LIMIT_FIELDS = {
    "chat": ("max_completion_tokens", "max_tokens", ""),
    "responses": ("max_output_tokens", "max_tokens", ""),
}
"""The names a model may have for the token limit, in the order in which a probe tries them."""

_KEPT = frozenset({"content-type", "date", "retry-after", "x-request-id"})
_LIST_PATHS = ("/models", "/jobs", "/events")
_CONNECT_S = 5.0


class _Transport:
    """Sends a request, and lets back only a whole, plain, capped body from the host asked.

    A refused answer arrives empty, with the reason in its extensions: raising here would make
    the SDK call a redirect or a gzip bomb a "Connection error."
    """

    def __init__(self, inner: httpx2.HTTPTransport, scrub: Callable[[str], str]) -> None:
        self._inner = inner
        self._scrub = scrub

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        import httpx2

        response = self._inner.handle_request(request)
        try:
            fault, problem, body = self._receive(request, response)
        finally:
            response.close()
        pairs = response.headers.items()
        return httpx2.Response(
            response.status_code,
            headers=[(name, self._scrub(value)) for name, value in pairs if name in _KEPT],
            content=body,
            extensions={"fault": fault, "problem": problem},
        )

    def _receive(
        self, request: httpx2.Request, response: httpx2.Response
    ) -> tuple[str, str, bytes]:
        if 300 <= response.status_code < 400:
            return "redirect", _redirect_problem(response.headers.get("location", "")), b""
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            return "encoded", f"a body in the encoding {plain(encoding, 40)!r}, unasked", b""
        limit = LIST_BYTES if request.url.path.endswith(_LIST_PATHS) else ONE_BYTES
        deadline = time.monotonic() + request.extensions["timeout"]["read"]
        body = bytearray()
        for chunk in cast("Iterator[bytes]", response.stream):
            body += chunk
            if len(body) > limit:
                return "too-large", f"an answer of more than {limit >> 20} MiB", b""
            if time.monotonic() > deadline:
                return "timeout", "an answer that did not end in time", b""
        return "", "", bytes(body)

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _redirect_problem(location: str) -> str:
    try:
        host = urlsplit(location).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    return f"redirected to {plain(host, 100)}" if host else "redirected"


class Connection:
    """One client for the whole command; its kept-alive connections are shared by threads.

    Every method returns an `Answer` within about `timeout_s` seconds and raises for nothing that
    the network or the server does.  A request that hangs past that is left to a daemon thread.
    """

    def __init__(self, settings: Settings, *, max_connections: int = 20) -> None:
        self.settings = settings
        _import_sdk()
        self._scrub = scrubber(settings.key.reveal())
        try:
            self._http, self._sdk = _client(settings, max_connections, self._scrub)
        except (ImportError, OSError, ValueError) as error:
            reason = plain(str(error)) if isinstance(error, ImportError) else type(error).__name__
            raise ConfigError(
                f"the connection to {settings.host} cannot be set up: {self._scrub(reason)}",
                hint="look at the proxy and SSL_CERT_FILE variables",
                where=settings.base_url,
            ) from None

    def close(self) -> None:
        """Close the kept connections; an abandoned request ends with them or with the process."""
        self._http.close()

    def retrieve(self, model: str, timeout_s: float) -> Answer:
        """Ask for one model."""
        raw = self._sdk.models.with_raw_response
        return self._ask(lambda t: raw.retrieve(model, timeout=t), timeout_s)

    def list_models(self, timeout_s: float) -> Answer:
        """Ask for every model that the key can see, as one body, however many pages it took."""
        deadline = time.monotonic() + timeout_s
        entries: list[Any] = []
        cursors: set[str] = set()
        after = ""
        for _ in range(PAGES):
            page = self._models_page(after, deadline - time.monotonic())
            data = page.body.get("data") if isinstance(page.body, dict) else None
            if page.status != 200 or page.problem or not isinstance(data, list):
                return page
            entries += data
            if page.body.get("has_more") is not True:
                return replace(page, body={"object": "list", "data": entries})
            after = _cursor(page.body, data)
            if not after or after in cursors:
                break
            cursors.add(after)
        return Answer(200, fault="endless", problem="a list of models that does not end")

    def probe(self, model: str, endpoint: str, limit_field: str, timeout_s: float) -> Answer:
        """Send the fixed message to `endpoint` (`chat` or `responses`).

        `limit_field` is the name under which the token limit is sent; "" sends none.
        """
        limit = {limit_field: PROBE_TOKENS} if limit_field else None
        if endpoint == "responses":
            responses = self._sdk.responses.with_raw_response
            return self._ask(
                lambda t: responses.create(
                    model=model, input=[_USER_MESSAGE], extra_body=limit, timeout=t
                ),
                timeout_s,
            )
        chat = self._sdk.chat.completions.with_raw_response
        return self._ask(
            lambda t: chat.create(
                model=model, messages=[_USER_MESSAGE], extra_body=limit, timeout=t
            ),
            timeout_s,
        )

    def job(self, job_id: str, timeout_s: float) -> Answer:
        """Ask for one fine-tuning job."""
        raw = self._sdk.fine_tuning.jobs.with_raw_response
        return self._ask(lambda t: raw.retrieve(job_id, timeout=t), timeout_s)

    def job_events(self, job_id: str, timeout_s: float) -> Answer:
        """Ask for the newest 100 events of a fine-tuning job."""
        raw = self._sdk.fine_tuning.jobs.with_raw_response
        return self._ask(lambda t: raw.list_events(job_id, limit=100, timeout=t), timeout_s)

    def jobs(self, timeout_s: float) -> Answer:
        """Ask for the newest 100 fine-tuning jobs."""
        raw = self._sdk.fine_tuning.jobs.with_raw_response
        return self._ask(lambda t: raw.list(limit=100, timeout=t), timeout_s)

    def _models_page(self, after: str, timeout_s: float) -> Answer:
        raw = self._sdk.models.with_raw_response
        query = {"after": after} if after else None
        return self._ask(lambda t: raw.list(extra_query=query, timeout=t), timeout_s)

    def _ask(self, send: Callable[[httpx2.Timeout], Any], timeout_s: float) -> Answer:
        """Run one request on a thread of its own and wait no longer than `timeout_s`.

        The SDK's timeouts are per read, so a server that drips bytes would outlast any of them.
        """
        late = Answer(fault="timeout", problem=f"no answer in {max(timeout_s, 0):.0f} s")
        if timeout_s <= 0:
            return late
        answers: list[Answer] = []
        done = threading.Event()

        def run() -> None:
            try:
                answers.append(self._exchange(send, timeout_s))
            # The SDK encodes, parses and logs: what it raises beyond its own errors says nothing
            # about the model, and the traceback that a thread would print may hold the key.
            except Exception as error:  # noqa: BLE001  see above
                problem = f"the openai package failed: {_kind(error)}"
                answers.append(Answer(fault="client", problem=problem))
            done.set()

        threading.Thread(target=run, daemon=True, name="fftdeploy-request").start()
        return answers[0] if done.wait(timeout_s) else late

    def _exchange(self, send: Callable[[httpx2.Timeout], Any], timeout_s: float) -> Answer:
        import httpx2
        import openai

        timeout = httpx2.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_S))
        try:
            return self._read(send(timeout).http_response)
        except openai.APIStatusError as error:
            return self._read(error.response)
        except openai.APITimeoutError:
            return Answer(fault="timeout", problem=f"no answer in {timeout_s:.0f} s")
        except openai.APIConnectionError as error:
            return self._unreached(error)

    def _unreached(self, error: Exception) -> Answer:
        import httpx2

        host = self.settings.host
        for cause in _causes(error):
            if (reason := getattr(cause, "verify_message", "")) or _kind(cause) == "SSLError":
                said = f": {plain(str(reason))}" if reason else ""
                return Answer(fault="tls", problem=f"the certificate of {host} is not valid{said}")
            if isinstance(cause, httpx2.ProxyError):
                return Answer(fault="unreachable", problem=f"the proxy refused to reach {host}")
            if isinstance(cause, (httpx2.ReadError, httpx2.WriteError, httpx2.ProtocolError)):
                return Answer(fault="dropped", problem=f"{host} broke off its answer")
        reason = next((c.strerror for c in _causes(error) if isinstance(c, OSError)), "") or ""
        said = f": {plain(reason.lower())}" if reason else ""
        return Answer(fault="unreachable", problem=f"cannot reach {host}{said}")

    def _read(self, response: httpx2.Response) -> Answer:
        """Turn a received response into an `Answer`, with the key struck out of all of it."""
        headers = response.headers
        date = http_date(headers.get("date", ""))
        answer = Answer(
            status=response.status_code,
            content_type=plain(headers.get("content-type", ""), 80),
            request_id=plain(headers.get("x-request-id", ""), 80),
            date=date,
            retry_after_s=retry_after(headers.get("retry-after", ""), date),
            fault=response.extensions.get("fault", ""),
            problem=response.extensions.get("problem", ""),
        )
        if answer.problem:
            return replace(answer, problem=self._scrub(answer.problem))
        problem, body = parse_body(answer.content_type, response.content)
        if problem:
            return replace(answer, fault="not-json", problem=self._scrub(problem))
        body = scrub_all(body, self._scrub)
        return replace(answer, body=body, **error_fields(body))


_USER_MESSAGE: Any = {"role": "user", "content": PROBE_TEXT}


def _client(
    settings: Settings, max_connections: int, scrub: Callable[[str], str]
) -> tuple[httpx2.Client, openai.OpenAI]:
    import logging

    import httpx2
    import openai

    # Below INFO it quotes whole headers, whatever level the process asks for.
    logging.getLogger("httpcore2").setLevel(logging.INFO)

    limits = httpx2.Limits(
        max_connections=max_connections,
        max_keepalive_connections=max_connections,
        keepalive_expiry=30.0,
    )
    transport = httpx2.HTTPTransport(
        verify=_trust(settings.base_url),
        limits=limits,
        proxy=settings.proxy.reveal() if settings.proxy else None,
    )
    http = httpx2.Client(
        transport=cast("httpx2.BaseTransport", _Transport(transport, scrub)),
        follow_redirects=False,
        trust_env=False,
    )
    sdk = openai.OpenAI(
        api_key=settings.key.reveal(),
        organization=settings.organization,
        project=settings.project,
        base_url=settings.base_url,
        max_retries=0,
        default_headers={"Accept-Encoding": "identity"},
        http_client=http,
    )
    return http, sdk


def _import_sdk() -> None:
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


def _trust(base_url: str) -> ssl.SSLContext | bool:
    """Return whom to believe: the machine's certificates, or for http:// nobody.

    Loading the machine's certificates costs 40 ms that a plain loopback address need not pay.
    """
    if base_url.startswith("https:"):
        return True
    import ssl

    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _cursor(body: Mapping[str, Any], data: list[Any]) -> str:
    last = body.get("last_id")
    if not isinstance(last, str) and data and isinstance(data[-1], dict):
        last = data[-1].get("id")
    return last if isinstance(last, str) else ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _kind(error: BaseException) -> str:
    return type(error).__name__
