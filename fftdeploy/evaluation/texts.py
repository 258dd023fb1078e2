"""The texts of one example, as reports show them: they stay in the log of a run."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExampleText:
    """What was asked, what was agreed on, and what every arm answered.  Untrusted."""

    id: str
    input: str
    reference: str
    tags: tuple[str, ...]
    meta: Mapping[str, str]
    outputs: Mapping[str, tuple[str, ...]]
    """Arm -> its answers, one a repeat; "" where there was no text."""
    others: tuple[str, ...] = ()
    """Further answers that were agreed on."""
