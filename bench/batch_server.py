"""A server of files and batches on loopback, for clients whose memory is measured.

It prints its address, keeps files in a folder of its own, answers every request of a batch with
the same completion when the batch is made, out of order, and ends with its standard input.
"""

import json
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from shutil import copyfileobj
from time import time
from typing import Any

from fast_server import COMPLETION

_CHUNK = 1 << 16


class Shelf:
    """The files and batches that there are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.batches: dict[str, dict[str, Any]] = {}
        self._count = 0

    def new(self) -> Path:
        """Name a file that is not there yet."""
        self._count += 1
        return self.folder / f"file-{self._count}"

    def answer(self, asked: Path) -> Path:
        """Write the answers to a file of requests, in a random order."""
        answers = self.new()
        response = {"status_code": 200, "request_id": "req_bench", "body": COMPLETION}
        with asked.open("rb") as file:
            names = [json.loads(line)["custom_id"] for line in file if line.startswith(b"{")]
        Random(1).shuffle(names)  # noqa: S311  a bench, not a secret
        with answers.open("w") as file:
            for name in names:
                file.write(json.dumps({"custom_id": name, "response": response}) + "\n")
        return answers


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    shelf: Shelf

    def do_GET(self) -> None:  # the name that http.server looks for
        """Answer what is asked about a batch or a file."""
        match self.path.partition("?")[0].split("/")[2:]:
            case ["batches"]:
                self._send({"object": "list", "data": [], "has_more": False})
            case ["batches", batch]:
                self._send(self.shelf.batches[batch])
            case ["files", name, "content"]:
                with (self.shelf.folder / name).open("rb") as file:
                    self._head((self.shelf.folder / name).stat().st_size)
                    copyfileobj(file, self.wfile)

    def do_POST(self) -> None:  # as above
        """Keep a file, or answer the requests in one."""
        left = int(self.headers["content-length"])
        if self.path.endswith("/files"):
            path = self.shelf.new()
            with path.open("wb") as file:
                while left:
                    left -= file.write(self.rfile.read(min(left, _CHUNK)))
            self._send({"id": path.name, "object": "file"})
            return
        said = json.loads(self.rfile.read(left))
        output = self.shelf.answer(self.shelf.folder / said["input_file_id"])
        batch = f"batch_{len(self.shelf.batches)}"
        self.shelf.batches[batch] = {
            "id": batch,
            "object": "batch",
            "status": "completed",
            "created_at": int(time()),
            "output_file_id": output.name,
            "metadata": said["metadata"],
        }
        self._send(self.shelf.batches[batch])

    def _send(self, body: Any) -> None:
        content = json.dumps(body).encode()
        self._head(len(content))
        self.wfile.write(content)

    def _head(self, length: int) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(length))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Say nothing."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Handler.shelf = Shelf(Path(folder))
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
