"""Measures how long an API took: from when a request's body goes out to when its answer is in.

Both moments are those of the socket.  A body goes out in the moment in which it is begun, but a
busy event loop reads an answer up to a tenth of a second after it came, and would tell its own
load as the model's latency.  Linux knows how long ago a connection received its last bytes (to
4 ms, on most machines).  Elsewhere an answer counts as come when it was read.
"""

from __future__ import annotations

import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LAST_DATA_RECEIVED = slice(52, 56)
"""`tcpi_last_data_recv` in the kernel's `struct tcp_info`: milliseconds, 32 bits."""


class Stream(Protocol):
    """What httpcore says of the connection that an answer came on."""

    def get_extra_info(self, info: str) -> Any:
        """Return what is known as `info`, None where nothing is."""


class Stopwatch:
    """Times one exchange."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sent_at: float | None = None

    async def trace(self, event: str, _info: Mapping[str, Any]) -> None:
        """Hear what httpcore does, as its `trace` extension."""
        # Not its end, which httpcore tells one turn of the event loop after it was written.
        if event == "http11.send_request_body.started":
            self._sent_at = self._clock()

    def seconds(self, stream: Stream | None) -> float | None:
        """Return how long the answer took that has just been read to its end from `stream`.

        None where no request went out, or nobody knows on what.
        """
        if self._sent_at is None or stream is None:
            return None
        return max(0.0, self._clock() - self._sent_at - silence_s(stream.get_extra_info("socket")))


def silence_s(sock: socket.socket | None) -> float:
    """Return how long ago the last bytes came in on `sock`; 0 where the system does not say."""
    if sys.platform != "linux" or sock is None:
        return 0.0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED.stop)
    except OSError:  # closed by the other side in this moment
        return 0.0
    return int.from_bytes(info[_LAST_DATA_RECEIVED], sys.byteorder) / 1000
