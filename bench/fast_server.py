"""A fast server of chat completions on loopback: `python bench/fast_server.py DELAY_S`.

Raw HTTP/1.1 on asyncio, in a process of its own, so that what is timed is the client.  It prints
its address, answers every POST after the delay with the same completion, serves as many
connections as come, and ends with its standard input.
"""

import asyncio
import json
import sys

ANSWER = '{"urgency": "high", "category": "refund", "next_step": "check refund eligibility"}'
_COMPLETION = {
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
_BODY = json.dumps(_COMPLETION).encode()
_REPLY = (
    b"HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 08:30:00 GMT\r\ncontent-type: application/json\r\n"
    b"x-request-id: req_bench\r\nx-ratelimit-remaining-requests: 9999\r\n"
    b"x-ratelimit-reset-requests: 6ms\r\ncontent-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class Server(asyncio.Protocol):
    """Answers one request after the other on a kept connection."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
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
            if self._delay_s:
                asyncio.get_running_loop().call_later(self._delay_s, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_REPLY)


async def main() -> None:
    loop = asyncio.get_running_loop()
    delay_s = float(sys.argv[1])
    server = await loop.create_server(lambda: Server(delay_s), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
