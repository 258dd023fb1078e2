"""A sandbox that counts connections; told by its standard input what to do.

`delay SECONDS` holds up every answer, `handshake SECONDS` every new connection; `counts`, like
both of them, answers with the requests and connections since the last line, how many of the
requests were about an example, and how many made a batch.
"""

import json
import sys
import time
from datetime import datetime
from socketserver import ThreadingMixIn
from typing import Any

from world import NOW, SUCCESSORS, model_id

from fftdeploy.sandbox import ACME, Request, Sandbox
from fftdeploy.sandbox.world import Model

accepted = 0
handshake_s = 0.0


class Counting(ThreadingMixIn):
    """Counts what the sandbox's server accepts, and holds each connection up in the beginning."""

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Count one more connection, wait as TCP and TLS would, and handle it."""
        global accepted  # noqa: PLW0603 - one process, one count
        accepted += 1
        time.sleep(handshake_s)
        plain(self, request, client_address)


plain = ThreadingMixIn.process_request_thread
setattr(ThreadingMixIn, "process_request_thread", Counting.process_request_thread)  # noqa: B010 - it counts in every server


def is_paid(request: Request) -> bool:
    """Say whether it is about an example, in a batch or not, and no probe."""
    body = request.body if isinstance(request.body, dict) else {}
    return "order" in str(body.get("messages", ""))


def is_batch(request: Request) -> bool:
    """Say whether it makes a batch."""
    return request.method == "POST" and request.path == "/v1/batches"


def main() -> None:
    global handshake_s  # noqa: PLW0603 - as above
    names = [*map(model_id, range(int(sys.argv[1]))), *SUCCESSORS]
    models = map(Model, names)
    seen = connections = 0
    with Sandbox(ACME.with_models(*models)) as sandbox:
        sandbox.set_now(datetime.fromisoformat(NOW))
        print(json.dumps(sandbox.url), flush=True)
        for line in sys.stdin:
            word, _, value = line.strip().partition(" ")
            if word == "delay":
                sandbox.clear_faults()
                if float(value):
                    sandbox.fault(delay_s=float(value))
            elif word == "handshake":
                handshake_s = float(value)
            asked, opened = sandbox.requests[seen:], accepted - connections
            seen, connections = seen + len(asked), accepted
            told = {"requests": len(asked), "connections": opened}
            told |= {"paid": sum(map(is_paid, asked)), "made": sum(map(is_batch, asked))}
            print(json.dumps(told), flush=True)


main()
