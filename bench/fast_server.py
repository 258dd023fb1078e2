"""A fast server of chat completions on loopback: `fast_server.py DELAY_S [--rate R|--refuse P]`.

Raw HTTP/1.1 on asyncio, in a process of its own, so that what is timed is the client.  It prints
its address, answers every POST after the delay with the same completion, serves as many
connections as come, and ends with its standard input.  With `--rate` it lets so many a second in,
with a second's worth in store, and with `--refuse` all but that share, drawn at random;
the rest gets 429 at once, and is not told when to come again.  Its last line has p50 and p95 of
what its own answers took, ms, from when the kernel got each request.
"""

import argparse
import asyncio
import json
import sys
import time
from random import Random

from fftdeploy.api.client.plain import silence_s

ANSWER = '{"urgency": "high", "category": "refund", "next_step": "check refund eligibility"}'
COMPLETION = {
    "id": "chatcmpl-000000000000000000000001",
    "object": "chat.completion",
    "created": 1763710000,
    "model": "bench",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": ANSWER, "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 42,
        "completion_tokens": 24,
        "total_tokens": 66,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    },
    "service_tier": "default",
    "system_fingerprint": "fp_bench",
}
_BODY = json.dumps(COMPLETION).encode()
_REPLY = (
    b"HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 08:30:00 GMT\r\ncontent-type: application/json\r\n"
    b"x-request-id: req_bench\r\nx-ratelimit-remaining-requests: 9999\r\n"
    b"x-ratelimit-reset-requests: 6ms\r\ncontent-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


_LIMITED = b"HTTP/1.1 429 Too Many\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Door:
    """Lets `rate` requests a second in, or all but `refuse` of them."""

    def __init__(self, rate: float, refuse: float) -> None:
        self._rate = rate
        self._refuse = refuse
        self._random = Random(1)  # noqa: S311  a bench, not a secret
        self._store, self._last = 0.0, time.monotonic()

    def lets_in(self) -> bool:
        """Count a request that comes now."""
        if not self._rate:
            return self._random.random() >= self._refuse
        now = time.monotonic()
        self._store += (now - self._last) * self._rate
        self._store, self._last = min(self._store, self._rate), now
        if self._store < 1:
            return False
        self._store -= 1
        return True


class Server(asyncio.Protocol):
    """Answers one request after the other on a kept connection."""

    def __init__(self, delay_s: float, door: Door, took_ms: list[float]) -> None:
        self._delay_s = delay_s
        self._door = door
        self._took_ms = took_ms
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer as soon as a request is whole."""
        self._received += data
        while (head := self._received.find(b"\r\n\r\n")) >= 0:
            lengths = (
                line.partition(b":")[2]
                for line in bytes(self._received[:head]).lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            end = head + 4 + int(next(lengths, b"0"))
            if len(self._received) < end:
                return
            del self._received[:end]
            if not self._door.lets_in():
                self._transport.write(_LIMITED)
            elif self._delay_s:
                loop = asyncio.get_running_loop()
                came = time.monotonic() - silence_s(self._transport.get_extra_info("socket"))
                loop.call_later(self._delay_s, self._answer, came)
            else:
                self._answer(time.monotonic())

    def _answer(self, asked: float) -> None:
        if not self._transport.is_closing():
            self._transport.write(_REPLY)
            self._took_ms.append((time.monotonic() - asked) * 1000)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("delay_s", type=float)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--refuse", type=float, default=0.0)
    asked = parser.parse_args()
    loop = asyncio.get_running_loop()
    door = Door(asked.rate, asked.refuse)
    took: list[float] = []
    server = await loop.create_server(
        lambda: Server(asked.delay_s, door, took), "127.0.0.1", 0, backlog=1024
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    took.sort()
    print(json.dumps([took[int(len(took) * rank)] for rank in (0.5, 0.95)] if took else []))


if __name__ == "__main__":
    asyncio.run(main())
