"""Command lines that tests run: ours, in this process or another, and git's."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

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


def counted_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file that gets an `x` for each run of git from now on."""
    (tmp_path / "bin").mkdir()
    spy, count = tmp_path / "bin" / "git", tmp_path / "count"
    real = next(p for p in os.environ["PATH"].split(":") if Path(p, "git").exists())
    spy.write_text(f'#!/bin/sh\necho x >> {count}\nexec {real}/git "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy.parent}:{os.environ['PATH']}")
    return count
