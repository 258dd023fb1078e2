"""Interleaved timing of processes: one run of each in turn, so that noise meets all alike."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

PYTHON = sys.executable
FFTDEPLOY = str(Path(PYTHON).with_name("fftdeploy"))
TINY = 20

Size = Callable[[int], int]
"""Turns each count of a bench into how many there are this time."""


def full(count: int) -> int:
    """Return as many as the documentation speaks of."""
    return count


def tiny(count: int) -> int:
    """Return few: the bench has to run, and its figures mean nothing."""
    return min(count, TINY)


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure and the bar it is held against, both in `unit`."""

    what: str
    figure: float
    bar: float | None = None
    unit: str = "x"
    note: str = ""

    def __str__(self) -> str:
        bar = "" if self.bar is None else f"{self.bar:.4g} {self.unit}"
        verdict = "" if self.bar is None else ("pass" if self.figure <= self.bar else "MISS")
        return f"| {self.what} | {bar} | {self.figure:.3g} {self.unit} | {verdict} | {self.note} |"


def environment(folder: Path, **extra: str) -> dict[str, str]:
    """Return an environment in which bytecode is kept in `folder`, as an installed package has it.

    Every side of a comparison gets the same one.
    """
    strange = ("OPENAI_", "FFTDEPLOY_", "PYTHON", "GITHUB_", "GITLAB_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    kept = {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), **extra}


def processes(
    commands: Mapping[str, Sequence[str]],
    runs: int,
    *,
    cwd: Path,
    environ: Mapping[str, str],
    before: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    """Return the median seconds of each whole process, by `rounds`.

    `before` is called ahead of every process and is not timed.
    """
    times: dict[str, list[float]] = {name: [] for name in commands}
    for is_counted in rounds(runs):
        for name, command in commands.items():
            before()
            took = once(name, command, cwd=cwd, environ=environ)
            if is_counted:
                times[name].append(took)
    return {name: median(values) for name, values in times.items()}


def rounds(runs: int) -> Iterator[bool]:
    """Yield, for every round, whether it is counted: one ahead of several is not."""
    if runs > 1:
        yield False
    yield from [True] * runs


def once(name: str, command: Sequence[str], *, cwd: Path, environ: Mapping[str, str]) -> float:
    """Return the seconds of one whole process; one that fails ends the bench."""
    started = time.perf_counter()
    ended = subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - started
    if ended.returncode:
        sys.exit(f"{name} exited {ended.returncode}: {ended.stderr or ended.stdout}")
    return took


def most_mb() -> float:
    """Return the most memory that this process has held since it was started, in MB.

    `getrusage` does not know: on Linux a process begins with the most of the one that started it.
    """
    about = Path("/proc/self/status")
    if not about.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2  # macOS counts bytes
    most = next(line for line in about.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(most.split()[1]) / 1024


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"
