"""Measure what the documentation says about speed: `python bench/run.py [--only NAME] [--runs N]`.

Prints one Markdown table of medians; every comparison is made in one go, its sides in turn.  With
`--tiny` each group runs once in a tiny size and nothing is judged: that it runs is all it shows,
and CI runs every group so.

A group is a function `bench(folder, runs, size)` that returns its `Row`s and has a line in
`BENCHES`.  `folder` is an empty git repository, `runs` how often each side is to run (`rounds` of
it: one ahead of several is not counted).  Every count that costs time goes through `size`:
`size(100_000)` is 100,000, and 20 in a tiny run; what the rows say they had, they say of that
count.  What depends on the machine's speed is a bar of a row, never an `assert`.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from measure import Row, Size, full, tiny

Bench = Callable[[Path, int, Size], list[Row]]

BENCHES = {
    "start": ("start.bench", 41),
    "route": ("routing.bench", 41),
    "canary": ("canary.bench", 1),
    "promote": ("online.promote", 21),
    "check": ("online.check", 11),
    "connections": ("online.connections", 5),
    "edits": ("edits.bench", 9),
    "changes": ("changes.bench", 11),
    "linear": ("linear.bench", 3),
    "evaluation": ("evaluation.bench", 5),
    "limits": ("limits.bench", 1),
    "batches": ("batches.bench", 1),
    "portfolio": ("portfolio.bench", 1),
    "kills": ("kills.bench", 1),
    "evidence": ("evidence.bench", 5),
    "gate": ("gate.bench", 5),
    "report": ("report.bench", 5),
    "scan": ("scan.bench", 5),
    "logs": ("logs.bench", 1),
    "peers": ("peers.bench", 3),
    "judge": ("judge.bench", 1),
    "wrong_ships": ("wrong_ships.bench", 1),
    "drift": ("drift.bench", 1),
}
"""The function of each, imported when it is asked for, and the runs that its noise asks for."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=BENCHES, help="run one of them")
    parser.add_argument("--runs", type=int, help="runs of each side; default: as each asks for")
    parser.add_argument("--tiny", action="store_true", help="only see that each of them runs")
    asked = parser.parse_args()
    print(f"{_cpu()}, {os.cpu_count()} cores; {platform.system()}; Python", end=" ")
    print(platform.python_version(), *(f"{name} {version(name)}" for name in _PACKAGES), sep=", ")
    print("\n| what | bar | figure | | medians |\n|---|---|---|---|---|", flush=True)
    missed = 0
    for name in [asked.only] if asked.only else list(BENCHES):
        where, runs = BENCHES[name]
        module, _, function = where.partition(".")
        bench: Bench = getattr(import_module(module), function)
        runs, size = (1, tiny) if asked.tiny else (asked.runs or runs, full)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["git", "init", "--quiet", folder], check=True)
            rows = bench(Path(folder), runs, size)
            for row in rows:
                print(replace(row, bar=None) if asked.tiny else row, flush=True)
                missed += not asked.tiny and row.bar is not None and row.figure > row.bar
            missed += not rows
    return 1 if missed else 0


_PACKAGES = ("fftdeploy", "openai", "aiohttp", "typer", "rich", "tomlkit")


def _cpu() -> str:
    """Name the processor, where the system says it."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


if __name__ == "__main__":
    sys.exit(main())
