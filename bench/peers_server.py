"""A server that knows the right answers and keeps count: `peers_server.py DELAY_S WRONG`.

Chat completions on loopback as in `fast_server`, but each answer is of the model and about the
order that its request asks for, so that one from a cache, or one for another request, is wrong.
The orders below WRONG are answered wrongly.  It prints its address and, when its standard input
ends, what it counted.
"""

import asyncio
import json
import re
import sys
from email.utils import formatdate
from statistics import median

_ORDER = re.compile(rb"order (\d+)")
_ASKED = re.compile(rb'"model": ?"([^"]+)"|^get \S*/models/(\S+)')
_HEAD = (
    b"HTTP/1.1 200 OK\r\ndate: " + formatdate(usegmt=True).encode() + b"\r\n"
    b"content-type: application/json\r\nx-request-id: req_bench\r\ncontent-length: %d\r\n\r\n%s"
)


def question(order: object) -> str:
    return f"Triage: refund for order {order}, or my lawyer will call."


def answer(order: object) -> str:
    """Return the right answer to `question(order)`."""
    return json.dumps({"urgency": "high", "category": "refund", "next_step": f"check {order}"})


def model(name: str) -> bytes:
    body = {"id": name, "object": "model", "created": 1763710000, "owned_by": "system"}
    return json.dumps(body).encode()


def completion(name: str, text: str) -> bytes:
    body = {
        "id": "chatcmpl-000000000000000000000001",
        "object": "chat.completion",
        "created": 1763710000,
        "model": name,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 42, "completion_tokens": 24, "total_tokens": 66},
        "service_tier": "default",
        "system_fingerprint": "fp_bench",
    }
    return json.dumps(body).encode()


class World:
    """What was asked, and how long it was held up."""

    def __init__(self, delay_s: float, wrong: int) -> None:
        self.delay_s = delay_s
        self.wrong = wrong
        self.orders: list[tuple[str, int]] = []
        self.others = 0
        self.waits: list[float] = []
        self.under_way = self.at_once = 0

    def counts(self) -> dict[str, float]:
        """Return how many asked, how many of them differ, and what else was asked; in seconds."""
        return {
            "requests": len(self.orders),
            "different": len(set(self.orders)),
            "others": self.others,
            "at_once": self.at_once,
            "least_s": min(self.waits, default=0),
            "median_s": median(self.waits or [0]),
        }


class Server(asyncio.Protocol):
    """Answers one request after the other on a kept connection."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take every request that is whole."""
        self._received += data
        while (head := self._received.find(b"\r\n\r\n")) >= 0:
            lines = bytes(self._received[:head]).lower().split(b"\r\n")
            lengths = (line[15:] for line in lines if line.startswith(b"content-length:"))
            end = head + 4 + int(next(lengths, b"0"))
            if len(self._received) < end:
                return
            body = bytes(self._received[head + 4 : end])
            del self._received[:end]
            self._take(body or lines[0])

    def _take(self, asked: bytes) -> None:
        """Hold up the body of a request, or the first line of one without."""
        loop, world = asyncio.get_running_loop(), self._world
        found, named = _ORDER.search(asked), _ASKED.search(asked)
        name = (named[1] or named[2]).decode() if named else ""
        if found is None:  # about the model, or a trial message
            world.others += 1
            about = model(name) if asked.startswith(b"get ") else completion(name, "OK")
            loop.call_later(world.delay_s, self._write, about)
            return
        order = int(found[1])
        world.orders.append((name, order))
        world.under_way += 1
        world.at_once = max(world.at_once, world.under_way)
        loop.call_later(world.delay_s, self._answer, name, order, loop.time())

    def _answer(self, name: str, order: int, asked_at: float) -> None:
        world = self._world
        world.under_way -= 1
        world.waits.append(asyncio.get_running_loop().time() - asked_at)
        self._write(completion(name, answer(order if order >= world.wrong else -1)))

    def _write(self, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(_HEAD % (len(body), body))


async def main() -> None:
    loop = asyncio.get_running_loop()
    world = World(float(sys.argv[1]), int(sys.argv[2]))
    server = await loop.create_server(lambda: Server(world), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps(world.counts()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
