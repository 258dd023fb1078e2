"""A threaded server on raw loopback sockets that answers in every wrong way there is.

`http.server` repairs or forbids half of the faults that are wanted here.  Each path has a script
of replies; the last one is repeated.  Everything asked is kept in `log`, with the reply's name.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

MODEL = "ft:gpt-4.1-mini-2025-04-14:acme:triage-v9:CdEf9"
KEY = "sk-proj-CANARY/0123+456789abcdefghijKLMN"
KEY_FORMS = (
    KEY,
    b64encode(KEY.encode()).decode().rstrip("="),
    quote(KEY, safe=""),
    KEY[:12],
    b64encode(f"Bearer {KEY}".encode()).decode()[10:62],
)
"""How the key may be spelled where it leaks; of base64 with a word before it, what is its own."""
GOOD = "good"


@dataclass(frozen=True)
class Reply:
    """What is sent: bytes on a connection that stays open, or an act after which it closes."""

    name: str
    data: bytes = b""
    act: Callable[[FaultServer, socket.socket], None] | None = None
    made: Callable[[Any], Reply] | None = None
    """Makes the reply to a request of this JSON."""


@dataclass(frozen=True)
class Request:
    """One request, and which reply it was given."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    reply: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def reply(
    status: int = 200,
    body: Any = None,
    *,
    name: str = "bad",
    content_type: str | None = "application/json",
    headers: Iterable[tuple[str, str]] = (),
    raw: bytes | None = None,
    length: int | None = None,
) -> Reply:
    """Return one HTTP answer; `raw` is a body that is no JSON, `length` a lie about its size."""
    content = json.dumps(body).encode() if raw is None else raw
    lines = [f"HTTP/1.1 {status} Whatever"]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    lines.append(f"Content-Length: {len(content) if length is None else length}")
    lines += [f"{key}: {value}" for key, value in headers]
    return Reply(name, "\r\n".join(lines).encode() + b"\r\n\r\n" + content)


def error(status: int, code: str | None, message: str = "no", **more: Any) -> Reply:
    """Return an error as the API shapes it; keyword `headers` go to the answer."""
    headers = more.pop("headers", ())
    fields = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return reply(status, {"error": fields | more}, name=str(code or status), headers=headers)


def model_body(**changes: Any) -> dict[str, Any]:
    return {"id": MODEL, "object": "model", "created": 1760000000, "owned_by": "acme"} | changes


def chat_body(**changes: Any) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": ""},
        "finish_reason": "length",
    }
    return {"id": "c1", "object": "chat.completion", "model": MODEL, "choices": [choice]} | changes


def good_model(**changes: Any) -> Reply:
    return reply(body=model_body(**changes), name="changed" if changes else GOOD)


def good_chat(**changes: Any) -> Reply:
    return reply(body=chat_body(**changes), name="changed" if changes else GOOD)


def echo() -> Reply:
    """Answer as whatever model is asked for."""
    return Reply(GOOD, made=lambda body: good_chat(model=body["model"]))


def missing(
    message: str = "The model `x` does not exist or you do not have access to it.",
) -> Reply:
    return error(404, "model_not_found", message, param="model")


def loading() -> Reply:
    return error(429, None, "The model is still being loaded. Please try again later.")


def reset_mid_body(server: FaultServer, sock: socket.socket) -> None:
    sock.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    )
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def cut_short(server: FaultServer, sock: socket.socket) -> None:
    sock.sendall(reply(body=model_body(), length=5000).data)


def close_at_once(server: FaultServer, sock: socket.socket) -> None:
    """Say nothing."""


def ssh_banner(server: FaultServer, sock: socket.socket) -> None:
    sock.sendall(b"SSH-2.0-OpenSSH_9.7\r\n")


def hang(server: FaultServer, sock: socket.socket) -> None:
    server.stopping.wait(30)


def drip(server: FaultServer, sock: socket.socket, prefix: bytes, drop: bytes) -> None:
    sock.sendall(prefix)
    for _ in range(600):
        if server.stopping.wait(0.05):
            return
        sock.sendall(drop)


def drip_headers(server: FaultServer, sock: socket.socket) -> None:
    drip(server, sock, b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n")


def drip_body(server: FaultServer, sock: socket.socket) -> None:
    drip(server, sock, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" ")


@dataclass
class FaultServer:
    """Listens on 127.0.0.1 until it is left; `accepted` counts connections, `log` requests."""

    tls: ssl.SSLContext | None = None
    is_openai: bool = True
    """Whether it says, as the sandbox does, that it answers as OpenAI."""
    scripts: dict[str, list[Reply]] = field(default_factory=dict)
    log: list[Request] = field(default_factory=list)
    accepted: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.script("GET", f"/v1/models/{MODEL}", good_model())
        self.script("POST", "/v1/chat/completions", good_chat())

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/v1"

    def script(self, method: str, path: str, *replies: Reply) -> None:
        self.scripts[f"{method} {path}"] = list(replies)

    def retrieve(self, *replies: Reply, model: str = MODEL) -> None:
        self.script("GET", f"/v1/models/{model}", *replies)

    def probe(self, *replies: Reply) -> None:
        self.script("POST", "/v1/chat/completions", *replies)

    def listing(self, *entries: Any, **more: Any) -> None:
        self.script("GET", "/v1/models", reply(body={"object": "list", "data": [*entries]} | more))

    def asked(self, method: str = "") -> list[str]:
        """Return the paths asked for, of one method or of all."""
        with self._lock:
            return [entry.path for entry in self.log if entry.method.startswith(method)]

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(2)

    def _spawn(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._spawn(self._serve, sock)

    def _serve(self, plain: socket.socket) -> None:
        sock = plain
        try:
            plain.settimeout(30)
            if self.tls:
                sock = self.tls.wrap_socket(plain, server_side=True)
            while self._exchange(sock):
                pass
        except OSError:
            pass
        finally:
            sock.close()

    def _exchange(self, sock: socket.socket) -> bool:
        head = self._read_head(sock)
        if head is None:
            return False
        first, headers, rest = head
        method, path, _ = first.split(" ", 2)
        while len(rest) < int(headers.get("content-length", "0")):
            rest += sock.recv(65536)
        with self._lock:
            script = self.scripts.get(f"{method} {path.partition('?')[0]}") or [missing()]
            chosen = script.pop(0) if len(script) > 1 else script[0]
            self.log.append(Request(method, path, headers, rest, chosen.name))
        if chosen.made:
            chosen = chosen.made(json.loads(rest))
        if chosen.act:
            chosen.act(self, sock)
            return False
        sock.sendall(self.signed(chosen.data))
        return True

    def signed(self, data: bytes) -> bytes:
        """Return an answer with the header that says which kind of host this is."""
        said = b"\r\nX-Fftdeploy-Sandbox: 1\r\n" if self.is_openai else b"\r\n"
        return data.replace(b"\r\n", said, 1)

    def _read_head(self, sock: socket.socket) -> tuple[str, dict[str, str], bytes] | None:
        data = b""
        # A short poll, so that leaving does not wait for a kept-alive client.
        sock.settimeout(0.02)
        while b"\r\n\r\n" not in data:
            try:
                chunk = sock.recv(65536)
            except TimeoutError:
                if self.stopping.is_set():
                    return None
                continue
            if not chunk:
                return None
            data += chunk
        sock.settimeout(30)
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return first, {name.lower(): value.strip() for name, _, value in pairs}, rest
