"""Command lines that tests run: ours, in this process or another, and git's."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PROGRAM = Path(sys.executable).with_name("fftdeploy")


class Result(NamedTuple):
    """How a command ended, and everything it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Result]


def git(*argv: str | bytes, folder: Path | None = None) -> str:
    """Run git, which must succeed, and return what it printed, stripped."""
    done = subprocess.run(["git", *argv], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()
