"""Stands in for a forge's issues and deployments, and for a webhook: real sockets, and the log."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

DEPLOYMENTS = "/repos/acme/desk/deployments"
GITHUB, GITLAB = "/repos/acme/desk/issues", "/projects/42/issues"
_CLOSING = {"state": "closed", "state_event": "close"}


@dataclass
class Forge:
    """The issues of one repository, as GitHub or GitLab serves them, and a hook at `/hook`."""

    address: str
    issues: list[dict[str, Any]] = field(default_factory=list)
    comments: list[tuple[int, str]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path with query, in order."""
    tokens: set[str] = field(default_factory=set)
    told: list[dict[str, Any]] = field(default_factory=list)
    """What came in at the hook."""
    on_told: Callable[[], object] = lambda: None
    """Called before the hook answers."""
    deployments: list[dict[str, Any]] = field(default_factory=list)
    """What was asked for, each with its `statuses`; the newest first."""
    refuses: dict[str, int] = field(default_factory=dict)
    """By method, or the end of a path, the status that it is answered with instead."""
    location: str = ""
    """Where a refusal sends people."""

    @property
    def hook(self) -> str:
        return f"{self.address}/hook/of/secretsecret?sig=s3cr3t"

    def environ(self, kind: str) -> dict[str, str]:
        """Return what a job of that forge has in its environment."""
        if kind == "github":
            names = "GITHUB_API_URL", "GITHUB_TOKEN", "GITHUB_REPOSITORY", "acme/desk"
        else:
            names = "CI_API_V4_URL", "GITLAB_TOKEN", "CI_PROJECT_ID", "42"
        return dict(zip(names[:3], (self.address, "token-of-the-job", names[3]), strict=True))

    def open_ones(self) -> list[dict[str, Any]]:
        return [issue for issue in self.issues if issue["state"] == "open"]

    def answer(self, method: str, target: str, body: Any) -> tuple[int, Any]:
        """Do what one request asks for."""
        self.asked.append((method, target))
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if status := self.refuses.get(method) or self.refuses.get(path.rpartition("/")[2]):
            return status, {"message": f"see {self.hook}"}
        if path.startswith(DEPLOYMENTS):
            return self._deploy(method, path.removeprefix(DEPLOYMENTS).strip("/"), query, body)
        if path.startswith("/hook/"):
            self.told.append(body)
            self.on_told()
            return 200, None
        root, _, rest = path.partition("/issues")
        number, _, below = rest.strip("/").partition("/")
        is_github = f"{root}/issues" == GITHUB
        assert is_github or f"{root}/issues" == GITLAB, target
        if method == "GET":
            page, size = int(query["page"][0]), int(query["per_page"][0])
            there = self.open_ones()[::-1][(page - 1) * size : page * size]
            return 200, [self._shown(issue, is_github) for issue in there]
        text = body.get("body" if is_github or below else "description")
        if method == "POST" and not number:
            self.add(body["title"], text)
            return 201, self._shown(self.issues[-1], is_github)
        issue = self.issues[int(number) - 1]
        if method == "POST":
            assert below == ("comments" if is_github else "notes")
            self.comments.append((int(number), text))
            return 201, {}
        assert method == ("PATCH" if is_github else "PUT")
        issue["text"] = issue["text"] if text is None else text
        if any(body.get(key) == value for key, value in _CLOSING.items()):
            issue["state"] = "closed"
        return 200, self._shown(issue, is_github)

    def _deploy(
        self, method: str, below: str, query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any]:
        if below:
            number, _, rest = below.partition("/")
            assert rest == "statuses"
            one = next(each for each in self.deployments if each["id"] == int(number))
            if method == "POST":
                one["statuses"].insert(0, body)
            return (201, body) if method == "POST" else (200, one["statuses"])
        if method == "POST":
            assert (body["auto_merge"], body["required_contexts"]) == (False, [])
            made = {"id": 7000 + len(self.deployments), **body, "statuses": []}
            self.deployments.insert(0, made)
            return 201, made
        asked = {key: query[key][0] for key in ("sha", "environment", "task")}
        keys = {"sha": "ref", "environment": "environment", "task": "task"}
        there = [
            each
            for each in self.deployments
            if all(each[keys[key]] == value for key, value in asked.items())
        ]
        return 200, there[: int(query["per_page"][0])]

    def add(self, title: str, text: str, **more: Any) -> None:
        """Open an issue, by a bot unless `more` says otherwise."""
        own = {"user": {"type": "Bot"}, "author_association": "NONE"}
        new = {"number": len(self.issues) + 1, "title": title, "text": text, "state": "open"}
        self.issues.append(new | own | more)

    @staticmethod
    def _shown(issue: dict[str, Any], is_github: bool) -> dict[str, Any]:
        names = ("number", "body") if is_github else ("iid", "description")
        shown = {names[0]: issue["number"], names[1]: issue["text"], "title": issue["title"]}
        about = {key: issue[key] for key in issue if key not in {"number", "text"}}
        return shown | about if is_github else shown


@contextmanager
def serve(tls: ssl.SSLContext | None = None) -> Iterator[Forge]:
    """Run one until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            forge.tokens.add(self.headers.get("Authorization", ""))
            status, said = forge.answer(self.command, self.path, body)
            content = b"ok" if said is None else json.dumps(said).encode()
            self.send_response(status)
            kind = "text/plain" if said is None else "application/json; charset=utf-8"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            if forge.location:
                self.send_header("Location", forge.location)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = _do  # noqa: N815  as the base class calls them

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    forge = Forge(f"{scheme}://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield forge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
