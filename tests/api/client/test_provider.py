"""The environment, the client and its deadline: where the key goes, and where it never shows."""

import base64
import logging
import os
import pickle
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import certificates
import pytest
from api_faults import connected
from command_line import Command
from fault_server import (
    KEY,
    MODEL,
    FaultServer,
    Reply,
    chat_body,
    close_at_once,
    error,
    good_model,
    hang,
    model_body,
    reply,
)

from fftdeploy.api.answers import Answer
from fftdeploy.api.client import outgoing
from fftdeploy.api.client.connection import Connection
from fftdeploy.api.providers import Providers
from fftdeploy.api.settings import Settings, lack, settings, shape_problem
from fftdeploy.errors import AuthError, ConfigError, FftdeployError

over_both = pytest.mark.usefixtures("over")
FORMS = (KEY, base64.b64encode(KEY.encode()).decode().rstrip("="), quote(KEY, safe=""), KEY[:12])


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def sightings(text: str) -> list[str]:
    return [form for form in FORMS if form in text]


BAD_KEYS = {
    # the key, what is said about it
    "D38-missing": (None, "OPENAI_API_KEY is not set"),
    "D38-empty": ("", "OPENAI_API_KEY is empty"),
    "D39-newline": (f"{KEY}\n", "OPENAI_API_KEY has a line break at its end"),
    "D39-crlf": (f"{KEY}\r\n", "OPENAI_API_KEY has a line break at its end"),
    "D39-cr": (f"{KEY}\r", "OPENAI_API_KEY has a line break at its end"),
    "D39-first-newline": (f"\n{KEY}", "OPENAI_API_KEY has a line break at its start"),
    "D39-inner-newline": (f"{KEY}\n{KEY}", "OPENAI_API_KEY has a line break in it"),
    "D39-space": (f"{KEY} ", "OPENAI_API_KEY has a blank at its end"),
    "D39-first-space": (f" {KEY}", "OPENAI_API_KEY has a blank at its start"),
    "D39-inner-space": (f"Bearer {KEY}", "OPENAI_API_KEY has a blank in it"),
    "D39-tab": (f"{KEY}\t", "OPENAI_API_KEY has a blank at its end"),
    "D39-nul": (f"{KEY}\0", "OPENAI_API_KEY has a NUL character in it"),
    "D39-quotes": (f'"{KEY}"', "OPENAI_API_KEY has quotes in it"),
    "D39-curly": (f"\u201c{KEY}\u201d", "OPENAI_API_KEY has quotes in it"),
    "D39-accent": (f"{KEY}\u00e9", "OPENAI_API_KEY has a character in it that is not ASCII"),
    "D39-surrogate": (f"{KEY}\udcff", "OPENAI_API_KEY has a character in it that is not ASCII"),
    "D39-escape": (f"{KEY}\x1b[0m", "OPENAI_API_KEY has a control character in it"),
    "D39-only-blank": ("  ", "OPENAI_API_KEY has a blank at its end"),
}


@pytest.mark.parametrize("row", BAD_KEYS)
def test_key_that_is_none(row: str) -> None:
    key, said = BAD_KEYS[row]
    environ = {} if key is None else {"OPENAI_API_KEY": key}

    with pytest.raises(AuthError) as caught:
        settings(environ)

    shown = "".join(traceback.format_exception(caught.value)) + caught.value.hint
    assert (caught.value.message, caught.value.outcome.exit_code) == (said, 10)
    assert sightings(shown) == []
    assert bool(lack(environ, Providers(), "openai", "")) == (not key)


@pytest.mark.parametrize("name", ["OPENAI_ORG_ID", "OPENAI_PROJECT_ID"])
def test_identifiers_have_the_shape_of_one_too(name: str) -> None:
    with pytest.raises(AuthError, match=f"{name} has a line break at its end"):
        settings({"OPENAI_API_KEY": KEY, name: "org-x\n"})
    assert settings({"OPENAI_API_KEY": KEY, name: ""}).organization is None


BAD_ADDRESSES = {
    "D40-http": "http://api.openai.com/v1",
    "D40-http-lookalike": "http://127.0.0.1.evil.example/v1",
    "D40-http-localhost-lookalike": "http://localhost.evil.example/",
    "D40-http-zero": "http://0.0.0.0/v1",
    "D40-http-octal": "http://0177.0.0.1/v1",
    "D40-user": "https://user:pass@api.openai.com/v1",
    "D40-user-only": "https://api.openai.com@evil.example/v1",
    "D40-loopback-user": "http://127.0.0.1@evil.example/v1",
    "D40-no-host": "https:///v1",
    "D40-no-scheme": "api.openai.com/v1",
    "D40-ftp": "ftp://127.0.0.1/v1",
    "D40-file": "file:///etc/passwd",
    "D40-port": "https://api.openai.com:99999/v1",
    "D40-bracket": "https://[::1/v1",
    "D40-query": "https://api.openai.com/v1?key=1",
    "D40-fragment": "https://api.openai.com/v1#x",
    "D40-backslash": "https://api.openai.com\\@evil.example/v1",
    "D40-blank": "https://api.openai.com/ v1",
    "D40-homoglyph": "https://api.\u043epenai.com/v1",
    "D40-newline": "https://api.openai.com/\nv1",
}


@pytest.mark.parametrize("row", BAD_ADDRESSES)
def test_address_that_the_key_may_not_go_to(row: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": BAD_ADDRESSES[row]})

    assert caught.value.where == "OPENAI_BASE_URL"
    assert "pass" not in caught.value.message.replace("password", "")
    assert caught.value.message.isprintable()


DESCRIBED = {
    "default": ({}, "API: https://api.openai.com/v1 (default)"),
    "empty": ({"OPENAI_BASE_URL": ""}, "API: https://api.openai.com/v1 (default)"),
    "D41-base-url": (
        {"OPENAI_BASE_URL": "https://eu.api.openai.com/v1/"},
        "API: https://eu.api.openai.com/v1 (from OPENAI_BASE_URL)",
    ),
    "D40-loopback": (
        {"OPENAI_BASE_URL": "http://[::1]:8080/v1"},
        "API: http://[::1]:8080/v1 (from OPENAI_BASE_URL)",
    ),
    "D41-proxy": (
        {"HTTPS_PROXY": "http://me:secret@proxy.example:3128"},
        (
            "API: https://api.openai.com/v1 (default), "
            "through proxy http://proxy.example:3128 (from HTTPS_PROXY)"
        ),
    ),
    "D41-all-proxy": (
        {"all_proxy": "proxy.example:3128"},
        (
            "API: https://api.openai.com/v1 (default), "
            "through proxy http://proxy.example:3128 (from all_proxy)"
        ),
    ),
    "D41-no-proxy": (
        {"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "x.example,.openai.com"},
        "API: https://api.openai.com/v1 (default)",
    ),
    "D41-loopback-has-no-proxy": (
        {"ALL_PROXY": "http://proxy.example", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"},
        "API: http://127.0.0.1:1/v1 (from OPENAI_BASE_URL)",
    ),
    "D41-headers": (
        {"OPENAI_CUSTOM_HEADERS": "X-Team: secret\nX-Trace: 1"},
        (
            "API: https://api.openai.com/v1 (default), "
            "with headers X-Team, X-Trace (from OPENAI_CUSTOM_HEADERS)"
        ),
    ),
}


@pytest.mark.parametrize("row", DESCRIBED)
def test_every_online_command_can_say_whom_it_asks(row: str) -> None:
    environ, line = DESCRIBED[row]

    found = settings({"OPENAI_API_KEY": KEY} | environ)

    assert found.describe() == line
    assert sightings(repr(found)) == []
    assert "secret" not in repr(found) + found.describe()


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTPS_PROXY": "http://:0"},
        {"HTTPS_PROXY": "http://[::"},
        {"OPENAI_CUSTOM_HEADERS": "X Team: 1"},
        {"OPENAI_CUSTOM_HEADERS": "X-Team: \u00e9"},
        {"OPENAI_CUSTOM_HEADERS": "X-Team: a\rb"},
    ],
)
def test_D41_proxy_and_headers_must_be_some(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        settings({"OPENAI_API_KEY": KEY} | environ)


@over_both
def test_socks_without_its_package_is_a_config_error() -> None:
    environ = {"OPENAI_API_KEY": KEY, "HTTPS_PROXY": "socks5://127.0.0.1:1"}
    with pytest.raises(ConfigError) as caught:
        Connection(settings(environ))
    assert caught.value.__suppress_context__
    assert "SOCKS" in caught.value.message


BAD_PROXIES = {
    # the variable, its value, and what of it is shown
    "port-0": ("HTTPS_PROXY", "http://:0", "http://:0"),
    "brackets": ("https_proxy", "http://[::", "http://[:***"),
    "password": ("HTTPS_PROXY", "http://me:pa55word@:8080", "http://:8080"),
    "no-host": ("ALL_PROXY", "me:pa55word@", ""),
    "password-as-port": ("all_proxy", "http://proxy.example:pa55word", "http://proxy.example:***"),
    "control": ("HTTPS_PROXY", "http://p\x1b[2J.example:1", "http://p\\x1b[2J.example:1"),
}


@pytest.mark.parametrize("row", BAD_PROXIES)
def test_D41_a_malformed_proxy_is_named_by_its_variable(row: str) -> None:
    name, value, shown = BAD_PROXIES[row]
    with pytest.raises(ConfigError) as caught:
        settings({"OPENAI_API_KEY": KEY, name: value})

    assert (caught.value.message, caught.value.where) == (
        f"{name} is not an address: {shown}",
        name,
    )
    assert caught.value.hint == f"set {name} to one such as http://proxy.example:8080, or unset it"


@over_both
def test_D41_a_proxy_that_is_not_there_is_named() -> None:
    proxy = {"HTTPS_PROXY": "http://me:secret@127.0.0.1:9"}
    connection = Connection(settings({"OPENAI_API_KEY": KEY} | proxy))
    answer = connection.retrieve(MODEL, 5)
    connection.close()

    assert answer.problem == (
        "cannot reach api.openai.com through proxy http://127.0.0.1:9 (from HTTPS_PROXY): "
        "connection refused"
    )


CERTIFICATES: dict[str, tuple[str, bytes | None, str]] = {
    # the variable, the file's content (None: there is none), what is said of it
    "missing": ("SSL_CERT_FILE", None, "no such file or directory"),
    "empty": ("SSL_CERT_FILE", b"", "it holds no certificate"),
    "text": ("SSL_CERT_FILE", b"hello\n", "it holds no certificate"),
    "cut": ("SSL_CERT_FILE", b"-----BEGIN CERTIFICATE-----\nMII", "it holds no certificate"),
    "no-folder": ("SSL_CERT_DIR", None, "no such file or directory"),
    "file-as-folder": ("SSL_CERT_DIR", b"", "not a directory"),
    "folders": ("SSL_CERT_DIR", None, "no such file or directory"),
    "folder-as-file": ("SSL_CERT_FILE", None, "it is no file"),
    "pipe": ("SSL_CERT_FILE", None, "it is no file"),
}


@pytest.mark.parametrize("row", CERTIFICATES)
def test_D41_a_broken_file_of_certificates_is_named_by_its_variable_and_path(
    repo: Path, command: Command, monkeypatch: pytest.MonkeyPatch, row: str
) -> None:
    name, content, said = CERTIFICATES[row]
    path = repo.parent / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    elif row == "folder-as-file":
        path.mkdir()
    elif row == "pipe":
        os.mkfifo(path)  # nobody writes into it: to read it is to wait for ever
    elif row == "folders":
        path = Path(f"{path}:{path}2")
    good = repo.parent / "good.pem"
    good.write_text(certificates.GOOD)
    monkeypatch.setenv("SSL_CERT_FILE", str(good))  # that one is good hides nothing of the other
    monkeypatch.setenv("SSL_CERT_DIR", str(repo.parent))
    monkeypatch.setenv(name, str(path))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    done = command("models")

    assert (done.code, done.err.splitlines()[1:]) == (
        3,
        [
            f"error: {name} cannot be used: {said}: {path} ({name})",
            f"hint: set {name} to certificates in PEM, or unset it",
        ],
    )


@over_both
def test_D22_who_does_not_even_connect_is_told_by_the_time_of_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As behind a proxy of https:// that speaks no TLS."""
    monkeypatch.setattr(outgoing, "CONNECT_S", 0.6)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"https://127.0.0.1:{silent.getsockname()[1]}/v1"
        asked = Connection(settings({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": address}))
        answer = asked.retrieve(MODEL, 20)
        asked.close()

    assert (answer.fault, answer.problem) == ("timeout", "no answer in 1 s")


@over_both
@pytest.mark.parametrize("user", ["", "me:secret@"])
def test_D41_a_proxy_sees_no_key_and_nothing_that_is_for_the_api(
    api: FaultServer, user: str
) -> None:
    environ = {
        "OPENAI_BASE_URL": "https://api.test/v1",
        "HTTPS_PROXY": f"http://{user}127.0.0.1:{api.port}",
        "OPENAI_ORG_ID": "org-of-mine",
        "OPENAI_PROJECT_ID": "proj_of_mine",
        "OPENAI_CUSTOM_HEADERS": "X-Gateway-Key: of-the-gateway",
    }
    with connected(api, **environ) as connection:
        answer = connection.retrieve(MODEL, 5)

    assert (answer.fault, answer.problem) == (
        "unreachable",
        f"cannot reach api.test through proxy http://127.0.0.1:{api.port} (from HTTPS_PROXY): "
        "the proxy refused",
    )
    (connect,) = api.log
    assert connect.method == "CONNECT"
    assert sightings(str(connect)) == []
    assert "of-mine" not in str(connect).replace("_", "-")
    assert "of-the-gateway" not in str(connect)
    told = {name.lower() for name in connect.headers}
    usual = {"host", "accept", "accept-encoding", "user-agent", "connection"}
    assert told <= {*usual, "proxy-authorization"}
    assert ("proxy-authorization" in told) == bool(user)


class Tunnel:
    """A proxy that lets one connection through to `port`, and keeps what it can read of it."""

    def __init__(self, port: int, tls: ssl.SSLContext | None) -> None:
        self.head = b""
        self._to = port
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        near, _ = self._listener.accept()
        if self._tls:
            near = self._tls.wrap_socket(near, server_side=True)
        with near, socket.create_connection(("127.0.0.1", self._to)) as far:
            while b"\r\n\r\n" not in self.head:
                self.head += near.recv(65536)
            near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=[far, near])
            back.start()
            pump(near, far)
            back.join(5)


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@over_both
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_D41_a_proxy_lets_requests_through_and_reads_none(tmp_path: Path, scheme: str) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(certificates.GOOD + certificates.WRONG_HOST)
    far = certificates.served(tmp_path, certificates.WRONG_HOST)  # it is other.example
    near = certificates.served(tmp_path, certificates.GOOD) if scheme == "https" else None
    with FaultServer(tls=far) as api, Tunnel(api.port, near) as proxy:
        environ = {
            "OPENAI_BASE_URL": "https://other.example/v1",
            "HTTPS_PROXY": f"{scheme}://me:pa%40ss@127.0.0.1:{proxy.port}",
            "SSL_CERT_FILE": str(trusted),
        }
        with connected(api, **environ) as connection:
            answers = [
                connection.probe(MODEL, "chat", "max_tokens", 5),
                connection.retrieve(MODEL, 5),
            ]

    assert [answer.status for answer in answers] == [200, 200], answers
    assert api.accepted == 1
    head = proxy.head.decode()
    assert head.startswith("CONNECT other.example:443 HTTP/1.1\r\n")
    assert head.endswith("\r\n\r\n"), "and nothing after it"
    assert base64.b64encode(b"me:pa@ss").decode() in head
    assert sightings(head) == []


@over_both
def test_an_answer_may_have_long_headers_and_its_cookies_are_not_kept(api: FaultServer) -> None:
    headers = [("Set-Cookie", "a=b; Path=/"), ("Content-Security-Policy", "x" * 20_000)]
    early = Reply("early", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + good_model().data)
    api.retrieve(reply(body=model_body(), headers=headers), early)
    with connected(api) as connection:
        answers = [connection.retrieve(MODEL, 5) for _ in range(2)]

    assert [answer.problem for answer in answers] == ["", ""]
    assert "cookie" not in api.log[1].headers


@over_both
def test_what_the_server_is_sent(api: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    said = {
        "OPENAI_CUSTOM_HEADERS": "X-Team: ml\naccept-encoding: gzip\nACCEPT: text/html",
        "OPENAI_ORG_ID": "org-1",
        "OPENAI_PROJECT_ID": "proj-1",
    }
    with connected(api, **said) as connection:
        connection.retrieve(MODEL, 5)

    sent = api.log[0].headers
    names = (
        "authorization",
        "openai-organization",
        "openai-project",
        "x-team",
        "accept",
        "accept-encoding",
    )
    assert [sent.get(name) for name in names] == [
        f"Bearer {KEY}",
        "org-1",
        "proj-1",
        "ml",
        "text/html",
        "identity",
    ]


@over_both
def test_connections_are_kept_and_shared(api: FaultServer) -> None:
    with connected(api) as connection:
        for _ in range(5):
            connection.retrieve(MODEL, 5)
            connection.probe(MODEL, "chat", "max_tokens", 5)

    assert (len(api.log), api.accepted) == (10, 1)


@over_both
def test_J42_what_comes_unasked_is_no_answer_to_what_is_asked_next(api: FaultServer) -> None:
    """A gateway that tried twice answers twice; each answer after that would be the last one's."""
    sent_twice = threading.Event()

    def twice(server: FaultServer, sock: socket.socket) -> None:
        sock.sendall(good_model().data)
        time.sleep(0.05)
        sock.sendall(good_model(created=1).data)
        sent_twice.set()
        server.stopping.wait(30)

    api.retrieve(Reply("twice", act=twice), good_model(created=2))
    with connected(api) as connection:
        assert connection.retrieve(MODEL, 5).problem == ""
        sent_twice.wait(5)
        answers = [connection.retrieve(MODEL, 5) for _ in range(2)]

    assert [answer.body["created"] for answer in answers if not answer.problem][-1:] == [2]
    assert all(answer.body["created"] == 2 for answer in answers if not answer.problem)


@over_both
def test_an_answer_holds_what_was_said(api: FaultServer) -> None:
    headers = [
        ("x-request-id", "req_1"),
        ("Date", "Sat, 21 Nov 2026 12:00:00 GMT"),
        ("Retry-After", "7"),
    ]
    api.retrieve(error(429, "slow_down", "easy", param="p", type="t", headers=headers))
    with connected(api) as connection:
        answer = connection.retrieve(MODEL, 5)

    assert answer.date is not None
    assert (answer.date.isoformat(), answer.retry_after_s) == ("2026-11-21T12:00:00+00:00", 7.0)
    assert (answer.status, answer.code, answer.message, answer.param, answer.type) == (
        429,
        "slow_down",
        "easy",
        "p",
        "t",
    )
    assert (answer.request_id, answer.has_error, answer.problem) == ("req_1", True, "")


def all_methods(connection: Connection) -> list[Answer]:
    return [
        connection.retrieve(MODEL, 5),
        connection.list_models(5),
        connection.probe(MODEL, "chat", "max_completion_tokens", 5),
        connection.probe(MODEL, "responses", "max_output_tokens", 5),
        connection.job("ftjob-1", 5),
        connection.job_events("ftjob-1", 5),
        connection.jobs(5),
    ]


PATHS = [
    ("GET", f"/v1/models/{MODEL}"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/responses"),
    ("GET", "/v1/fine_tuning/jobs/ftjob-1"),
    ("GET", "/v1/fine_tuning/jobs/ftjob-1/events"),
    ("GET", "/v1/fine_tuning/jobs"),
]

ECHOES = {
    "401": error(401, "invalid_api_key", f"Incorrect API key provided: {KEY}"),
    "400": error(400, FORMS[1], FORMS[2], param=KEY[:12], type=KEY),
    "200": reply(body=chat_body(echo=[{KEY: FORMS}], object=KEY)),
    "header": reply(headers=[("x-request-id", KEY)], content_type=f"text/{KEY}", raw=b"x"),
    "redirect": reply(302, raw=b"", headers=[("Location", f"https://{KEY[8:]}.example/{KEY}")]),
    "closed": Reply("closed", act=close_at_once),
}


@pytest.mark.parametrize("echo", ECHOES)
def test_G1_key_is_in_no_answer_and_no_log(
    api: FaultServer,
    over: str,
    echo: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import openai._utils._logs

    monkeypatch.setenv("OPENAI_LOG", "debug")
    openai._utils._logs.setup_logging()
    for method, path in PATHS:
        api.script(method, path, ECHOES[echo])

    with caplog.at_level(logging.DEBUG), connected(api) as connection:
        answers = all_methods(connection)

    assert [(entry.method, entry.path.partition("?")[0]) for entry in api.log] == PATHS
    assert sightings(repr(answers)) == []
    logs = [record.getMessage() for record in caplog.records]
    assert logs
    assert sightings("\n".join(logs)) == []
    logging.getLogger("openai").setLevel(logging.NOTSET)


def test_a_secret_cannot_be_shown_or_copied() -> None:
    found = settings({"OPENAI_API_KEY": KEY})
    assert (repr(found.key), str(found.key), f"{found.key}") == ("<hidden>",) * 3
    with pytest.raises(TypeError, match="a secret is not to be pickled"):
        pickle.dumps(found)


def test_a_client_that_fails_in_itself_is_an_answer_too(
    api: FaultServer, over: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with connected(api) as connection:
        answers = [connection.retrieve(model, 5) for model in ("", ".", "..")]

    package = {"sdk": "openai", "plain": "aiohttp"}[over]
    assert {(answer.fault, answer.problem) for answer in answers} == {
        ("client", f"the {package} package failed: ValueError")
    }
    assert api.accepted == 0
    assert capfd.readouterr() == ("", "")


@over_both
def test_no_time_left_sends_nothing(api: FaultServer) -> None:
    with connected(api) as connection:
        assert connection.retrieve(MODEL, 0).fault == "timeout"
    assert api.accepted == 0


def every_subclass(kind: type) -> set[type]:
    children: list[type] = kind.__subclasses__()
    return {kind}.union(*(every_subclass(child) for child in children))


def test_every_error_of_the_sdk_is_translated_or_never_reaches_us() -> None:
    import openai

    translated = (openai.APIStatusError, openai.APIConnectionError)
    never = {
        "OpenAIError": "raised without credentials, which are checked first",
        "APIError": "raised by streams",
        "APIResponseValidationError": "raised by parsing, and nothing here is parsed by the SDK",
        "APIRemovedInV1": "raised by calls of the old module",
        "ContentFilterFinishReasonError": "raised by .parse()",
        "LengthFinishReasonError": "raised by .parse()",
        "MissingDependencyError": "raised by extras",
        "MutuallyExclusiveAuthError": "raised by the Azure client",
        "StreamAlreadyConsumed": "raised by streams",
        "SubjectTokenProviderError": "raised by workload identities",
        "WebSocketConnectionClosedError": "raised by websockets",
        "WebSocketQueueFullError": "raised by websockets",
        "_AmbiguousModuleClientUsageError": "raised by the module-level client",
    }
    found = {
        kind
        for kind in every_subclass(openai.OpenAIError)
        # imported only by what an application asks of the SDK itself
        if not kind.__module__.startswith(("openai.lib.azure", "openai.lib.beta"))
    }
    unknown = {
        kind.__name__
        for kind in found
        if not issubclass(kind, translated) and kind.__name__ not in never
    }
    assert unknown == set()


def run(script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if "OPENAI" not in key}
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=clean | environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_importing_costs_nothing_that_is_not_needed() -> None:
    script = (
        "import sys, fftdeploy.api.proof, fftdeploy.api.client, fftdeploy.api.jobs\n"
        "import fftdeploy.api.readiness\n"
        "print(sorted({'openai', 'httpx2', 'pydantic', 'rich', 'typer', 'tomlkit', 'asyncio',"
        " 'urllib.request', 'email'} & set(sys.modules)))"
    )
    assert run(script).stdout == "[]\n"


def test_D22_the_process_ends_although_a_request_hangs_or_a_name_is_looked_up_for_ever(
    api: FaultServer, over: str
) -> None:
    api.retrieve(Reply("hang", act=hang))
    script = (
        "import os, socket, time\n"
        "from fftdeploy.api.client.connection import Connection\n"
        "from fftdeploy.api.settings import settings\n"
        "from fftdeploy.api.asking import Asker\n"
        "from fftdeploy.api.proof import Prover, Question\n"
        "def connected(**more):\n"
        f"    return Connection(settings(os.environ | more), is_plain={over == 'plain'})\n"
        "look_up, socket.getaddrinfo = socket.getaddrinfo, lambda *_, **__: time.sleep(60)\n"
        "connection = connected(OPENAI_BASE_URL='https://slow.example/v1')\n"
        "print(connection.retrieve('m', 0.3).fault)\n"
        "connection.close()\n"
        "socket.getaddrinfo = look_up\n"
        "connection = connected()\n"
        "begun = time.monotonic()\n"  # all that is imported late is there
        "found = Prover(connection, Asker(deadline_s=0.3)).prove(Question(os.environ['MODEL']))\n"
        "print(found.code, time.monotonic() - begun < 2)\n"
        "connection.close()"
    )

    done = run(script, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=api.url, MODEL=MODEL)

    assert (done.stdout, done.stderr, done.returncode) == ("timeout\ntimeout True\n", "", 0)


def test_shape_problem_says_nothing_of_a_good_key() -> None:
    assert shape_problem(KEY) == ""


@over_both
def test_types_that_leave_the_module_are_our_own(api: FaultServer) -> None:
    with connected(api) as connection:
        answer = connection.retrieve(MODEL, 5)
        described: Any = connection.settings
    assert type(answer) is Answer
    assert type(described) is Settings
    assert issubclass(AuthError, FftdeployError)
