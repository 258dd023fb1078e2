"""What the flags of `check` say about the ref to compare with, and whom to believe."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose word counts about evidence that came with a change."""

    accept_claimed: bool = False
    rerun: bool = False
    """Make the evidence again, by the base's examples and gate."""
    max_usd: float | None = None
    max_requests: int | None = None


@dataclass(frozen=True, slots=True)
class Against:
    """The ref that a change is to be merged into."""

    ref: str
    allow_policy_change: bool
    trust: Trust
    comment: Path | None = None
    """Where the comment for a pull request is written to."""
