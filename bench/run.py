"""Measure what the documentation says about speed: `python bench/run.py [--only NAME] [--runs N]`.

Prints one Markdown table of medians; every comparison is made in one go, its sides in turn.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import changes
import edits
import evaluation
import gate
import online
import peers
import report
import scan
import start
from measure import Row

BENCHES: dict[str, tuple[Callable[[Path, int], list[Row]], int]] = {
    "start": (start.bench, 41),
    "promote": (online.promote, 21),
    "check": (online.check, 11),
    "connections": (online.connections, 5),
    "edits": (edits.bench, 9),
    "changes": (changes.bench, 11),
    "evaluation": (evaluation.bench, 5),
    "gate": (gate.bench, 5),
    "report": (report.bench, 5),
    "scan": (scan.bench, 5),
    "peers": (peers.bench, 3),
}
"""Each with the number of runs that its noise asks for."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=BENCHES, help="run one of them")
    parser.add_argument("--runs", type=int, help="runs of each side; default: as each asks for")
    asked = parser.parse_args()
    print(f"{_cpu()}, {os.cpu_count()} cores; {platform.system()}; Python", end=" ")
    print(platform.python_version(), *(f"{name} {version(name)}" for name in _PACKAGES), sep=", ")
    print("\n| what | bar | figure | | medians |\n|---|---|---|---|---|", flush=True)
    missed = 0
    for name in [asked.only] if asked.only else list(BENCHES):
        bench, runs = BENCHES[name]
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["git", "init", "--quiet", folder], check=True)
            for row in bench(Path(folder), asked.runs or runs):
                print(row, flush=True)
                missed += row.bar is not None and row.figure > row.bar
    return 1 if missed else 0


_PACKAGES = ("fftdeploy", "openai", "typer", "rich", "tomlkit")


def _cpu() -> str:
    """Name the processor, where the system says it."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


if __name__ == "__main__":
    sys.exit(main())
