"""How much an evaluation may take: said on a command line, held by who counts what is spent."""

import math
from dataclasses import dataclass
from typing import Any

from fftdeploy.errors import PolicyError, UsageError

CONCURRENCY = 16
"""Requests that are out at a time where nobody says otherwise."""
MAX_REQUESTS = 50_000
"""Most requests of a run where nobody has said otherwise."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much an evaluation may take; without a limit it is stopped by none."""

    max_usd: float | None = None
    max_requests: int | None = None

    @property
    def most_requests(self) -> int:
        """How many requests may be sent, where nobody has said so, too."""
        return self.max_requests or MAX_REQUESTS

    @property
    def given(self) -> dict[str, float]:
        """The limits there are, by their flags."""
        found = {"--max-usd": self.max_usd, "--max-requests": self.max_requests}
        return {flag: value for flag, value in found.items() if value is not None}

    def require_sane(self) -> None:
        """Refuse limits that limit nothing.

        Raises:
            UsageError: One is no number, infinite, or below what may be asked.
        """
        usd, requests = self.max_usd, self.max_requests
        if usd is not None and not 0 <= usd < math.inf:
            raise UsageError(f"--max-usd {usd} is not 0 or more")
        if requests is not None and (not requests >= 1 or requests % 1):
            raise UsageError(f"--max-requests {requests} is not 1 or more")

    def within(self) -> dict[str, Any]:
        """Return them as options of another command."""
        return {"max_usd": self.max_usd, "max_requests": self.max_requests}

    def after(self, usd: float, requests: int) -> "Limits":
        """Return what is left of them once so much was spent and sent.

        Raises:
            PolicyError: No request is left.
        """
        left = None if self.max_requests is None else self.max_requests - requests
        if left is not None and left < 1:
            hint = "give a higher --max-requests: what was asked is kept"
            raise PolicyError("no requests are left", hint=hint, code="max-requests")
        most = None if self.max_usd is None else max(0.0, self.max_usd - usd)
        return Limits(max_usd=most, max_requests=left)

    def require_requests(self, count: int) -> None:
        """Refuse `count` requests before the first one; PolicyError where they are too many."""
        if count > self.most_requests:
            raise PolicyError(
                f"{count:,} requests are more than the {self.most_requests:,} that are allowed",
                hint=f"--max-requests {count} allows them",
                code="max-requests",
            )
