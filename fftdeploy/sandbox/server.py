"""The sandbox on a socket: HTTP/1.1 on 127.0.0.1, kept alive, one write an answer."""

import contextlib
import json
import socket
import struct
import threading
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any, Self

from fftdeploy.api.hosts import SANDBOX_HEADER
from fftdeploy.sandbox import api, refusals
from fftdeploy.sandbox.batches import BatchFault, parse_form
from fftdeploy.sandbox.control import control
from fftdeploy.sandbox.faults import Fault, Faults
from fftdeploy.sandbox.ledger import Clock, Ledger, Request
from fftdeploy.sandbox.refusals import Reply
from fftdeploy.sandbox.world import ACME, ORGANISATION, PROJECT, State, World

_MAX_BODY_BYTES = 16 * 1024 * 1024
_MAX_FILE_BYTES = 512 * 1024 * 1024
_NO_FAULT = Fault()
_RESET = struct.pack("ii", 1, 0)  # linger on, for no time: close() sends RST


class Sandbox:
    """A local server that speaks OpenAI's API and knows `world`; a context manager.

    As a context manager it serves from a thread until the block ends; `serve_forever` serves
    from the calling thread instead.  The socket is bound on construction: OSError where `port`
    is taken, 0 picks a free one.
    """

    def __init__(
        self,
        world: World | None = None,
        *,
        port: int = 0,
        now: Clock = lambda: datetime.now(UTC),
        key: str = "sk-sandbox",
    ) -> None:
        self._ledger = Ledger(world or ACME, now)
        self._faults = Faults()
        self._server = _Server(port, self._ledger, self._faults, key)
        self._thread: threading.Thread | None = None
        self._is_serving = False
        self.key = key
        # What may be changed while it serves, as the ledger has it.
        self.set_now = self._ledger.set_now
        self.set_state = self._ledger.set_state
        self.change = self._ledger.change
        self.restore = self._ledger.restore
        self.clear_faults = self._faults.clear

    @property
    def port(self) -> int:
        """The port that was asked for, or found."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """The value for `OPENAI_BASE_URL`."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> tuple[Request, ...]:
        """What was asked of `/v1` so far, in order of arrival."""
        return self._ledger.requests()

    def __enter__(self) -> Self:
        self._is_serving = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def serve_forever(self) -> None:
        """Serve until `close` from another thread, or an exception such as KeyboardInterrupt."""
        self._is_serving = True
        try:
            self._server.serve_forever(0.1)
        finally:
            self._is_serving = False

    def close(self) -> None:
        """Stop serving, cut every connection and free the port; harmless when closed already."""
        if self._is_serving:
            self._is_serving = False
            self._server.shutdown()
        self._server.end()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def remove(self, model: str, *, after: int = 0) -> None:
        """Make `model` disappear, at once or after `after` more requests that name it."""
        self._ledger.set_state(model, State.GONE, after=after)

    def fault(self, match: str = "", **what: Any) -> Fault:
        """Spoil the requests that match, with the fields of `Fault`; ValueError for a wrong one."""
        fault = Fault(match, **what)
        self._faults.add(fault)
        return fault


class _Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def __init__(self, port: int, ledger: Ledger, faults: Faults, key: str) -> None:
        self.ledger = ledger
        self.faults = faults
        self.key = key
        self.ending = threading.Event()
        self._connections: set[socket.socket] = set()
        self._workers: set[threading.Thread] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own looks the host name up, which can take seconds without a resolver.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._connections.add(request)
            self._workers.add(threading.current_thread())
        try:
            if not self.ending.is_set():
                super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                self._connections.discard(request)
                self._workers.discard(threading.current_thread())
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        import sys

        # A client that hangs up is its own business; anything else is a bug of the sandbox.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def end(self) -> None:
        """Wake every handler, cut its connection and wait for it."""
        self.ending.set()
        self.server_close()
        with self._guard:
            connections, workers = list(self._connections), list(self._workers)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for worker in workers:
            worker.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:  # the name that http.server looks for
        """Answer any method: the routes know which one each address has."""
        started = monotonic()
        body = self._read_body()
        if body is None:
            return
        path = self.path.split("?")[0]
        if path.startswith("/control/"):
            server = self.server
            reply = control(server.ledger, server.faults, self.command, path, _parsed(body))
            self._send(reply, started)
        elif path.startswith("/v1/"):
            self._answer(body, started)
        else:
            self._send(refusals.unknown_url(self.command, path).reply, started)

    do_POST = do_DELETE = do_PUT = do_PATCH = do_OPTIONS = do_GET  # noqa: N815 - as above

    def _answer(self, body: bytes, started: float) -> None:
        ledger = self.server.ledger
        refused = self._refused_key()
        headers = {
            name.lower(): value
            for name, value in self.headers.items()
            if name.lower() != "authorization"
        }
        form = parse_form(self.headers.get("content-type", ""), body)
        parsed, content = form or (_parsed(body), b"")
        request = ledger.record(
            self.command,
            self.path,
            headers,
            parsed,
            is_authorised=refused is None,
            content=content,
        )
        fault = self.server.faults.hit(request) or _NO_FAULT
        if not self._suffer(fault):
            return
        if fault.status is not None or fault.body is not None:
            reply = Reply(fault.status or 200, fault.payload())
        else:
            reply = refused or api.answer(ledger, request, BatchFault(**fault.batch))
        self._send(reply, started, fault, request)

    def _suffer(self, fault: Fault) -> bool:
        """Wait and reset as `fault` says; false where no answer follows."""
        if fault.delay_s and self.server.ending.wait(fault.delay_s):
            self.close_connection = True
            return False
        if fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.connection.close()
            self.close_connection = True
            return False
        return True

    def _refused_key(self) -> Reply | None:
        scheme, _, key = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return refusals.missing_key().reply
        if key.strip() != self.server.key:
            return refusals.wrong_key(key.strip()).reply
        return None

    def _read_body(self) -> bytes | None:
        """Return the body; None where the request was refused for its length."""
        length = self.headers.get("content-length", "0")
        if self.headers.get("transfer-encoding") or not (length.isascii() and length.isdecimal()):
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
            return None
        if int(length) > (_MAX_FILE_BYTES if self.path == "/v1/files" else _MAX_BODY_BYTES):
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):  # the client hung up
            self.close_connection = True
            return None
        return body

    def _send(
        self,
        reply: Reply,
        started: float,
        fault: Fault = _NO_FAULT,
        request: Request | None = None,
    ) -> None:
        status, body = HTTPStatus(reply.status), reply.body
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = self._usual_headers(started, request)
        headers |= {name.lower(): value for name, value in fault.headers.items()}
        if fault.content_type is not None:
            headers["content-type"] = fault.content_type
        if status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            payload = b""
        else:
            headers.setdefault("content-length", str(len(payload)))
        is_short = headers.get("content-length", str(len(payload))) != str(len(payload))
        if self.close_connection or is_short or fault.truncate is not None:
            # Without the hang-up a client would wait for bytes that never come.
            self.close_connection = True
            headers["connection"] = "close"
        lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self._write(head, b"" if self.command == "HEAD" else payload, fault)

    def _write(self, head: bytes, payload: bytes, fault: Fault) -> None:
        payload = payload[: fault.truncate]
        if not fault.drip_s:
            self.wfile.write(head + payload)  # one segment: no wait for a delayed ACK
            return
        self.wfile.write(head)
        for place in range(len(payload)):
            if self.server.ending.wait(fault.drip_s):
                self.close_connection = True
                return
            self.wfile.write(payload[place : place + 1])

    def _usual_headers(self, started: float, request: Request | None) -> dict[str, str]:
        number = 0 if request is None else request.index + 1
        return {
            "date": format_datetime(self.server.ledger.now(), usegmt=True),
            "content-type": "application/json",
            "x-request-id": f"req_{number:032x}",
            SANDBOX_HEADER: "1",
            "openai-version": "2020-10-01",
            "openai-organization": ORGANISATION,
            "openai-project": PROJECT,
            "openai-processing-ms": str(int((monotonic() - started) * 1000)),
        }

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 - the base class's signature
        """Answer a request that is not even HTTP with the API's error object, and hang up."""
        self.close_connection = True
        self._send(refusals.refusal(code, message or HTTPStatus(code).phrase).reply, monotonic())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the requests are in the ledger."""


def _parsed(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
