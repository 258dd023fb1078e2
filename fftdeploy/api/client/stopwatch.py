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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LAST_DATA_RECEIVED = slice(52, 56)
"""`tcpi_last_data_recv` in the kernel's `struct tcp_info`: milliseconds, 32 bits."""


class Stopwatch:
    """Times one exchange; `seconds` is None until a whole answer to what went out is in."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds: float | None = None
        self._clock = clock
        self._sent_at: float | None = None

    def start(self) -> None:
        """Note that the body goes out now."""
        self._sent_at = self._clock()

    def stop(self, sock: socket.socket | None) -> None:
        """Note that the answer has been read to its end, from `sock`."""
        if self._sent_at is not None and sock is not None:
            self.seconds = max(0.0, self._clock() - self._sent_at - silence_s(sock))


def silence_s(sock: socket.socket | None) -> float:
    """Return how long ago the last bytes came in on `sock`; 0 where the system does not say."""
    if sys.platform != "linux" or sock is None:
        return 0.0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED.stop)
    except OSError:  # closed by the other side in this moment
        return 0.0
    return int.from_bytes(info[_LAST_DATA_RECEIVED], sys.byteorder) / 1000
