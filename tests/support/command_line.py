"""A command line that a test runs in its own process, and how it ends."""

from collections.abc import Callable
from typing import NamedTuple


class Result(NamedTuple):
    """How a command ended, and everything it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Result]
