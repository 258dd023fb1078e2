"""Whole commands on files as large as they may be: 40,000 releases of a target, 5,000 targets.

Each stands beside the floor of them all, `tomllib` reading the same file, and is timed in CPU
seconds of its process.  What is linear takes four times as long on four times as many rows.
"""

import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from measure import FFTDEPLOY, PYTHON, Row, Size, environment, milliseconds, once, rounds
from world import deployments, long_past, model_id, serving

RELEASES, TARGETS = 40_000, 5000
LONGEST_S = 10.0
PARSE = "tomllib"
COMMANDS = {
    PARSE: [PYTHON, "-c", "import tomllib; tomllib.load(open('deployments.toml', 'rb'))"],
    "resolve": [FFTDEPLOY, "resolve", "task-00000/production"],
    "history": [FFTDEPLOY, "history"],
    "status": [FFTDEPLOY, "status", "--offline"],
    "check": [FFTDEPLOY, "check", "--offline"],
    "diff": [FFTDEPLOY, "diff", "HEAD"],
    "promote": [FFTDEPLOY, "promote", "task-00000/production", "--model", model_id(0), "--yes"],
}


def bench(folder: Path, runs: int, size: Size) -> list[Row]:
    shapes: dict[tuple[int, str], Callable[[int], str]] = {
        (size(RELEASES), "releases of a target"): long_past,
        (size(TARGETS), "targets x 3 releases"): lambda count: deployments(count, 3),
    }
    with serving(1) as server:
        environ = environment(folder, **server.environ())
        found = [
            _rows(partial(_timed, folder, runs, environ), *shape, text)
            for shape, text in shapes.items()
        ]
    return [row for rows in found for row in rows]


def _rows(
    timed: Callable[[str, str], dict[str, float]], count: int, what: str, text: Callable[[int], str]
) -> list[Row]:
    quarter = timed(text(count // 4), text(count // 8))
    whole = timed(text(count), text(count // 2))
    growth = {name: took / quarter[name] / 4 for name, took in whole.items()}
    rows = [
        Row(
            f"{count:,} {what}: `{name}`",
            took,
            LONGEST_S,
            "s",
            f"{took / whole[PARSE]:.1f} x parse; {growth[name]:.2f} x a row of a quarter",
        )
        for name, took in whole.items()
        if name != PARSE
    ]
    worst = max((name for name in growth if name != PARSE), key=growth.__getitem__)
    note = f"`{worst}`; `{PARSE}` {growth[PARSE]:.2f} x, {milliseconds(whole[PARSE])}; linear is 1"
    return [
        *rows,
        Row(f"{count:,} {what}: the most growth of a row", growth[worst], 1.3, note=note),
    ]


def _timed(
    folder: Path, runs: int, environ: dict[str, str], text: str, old: str
) -> dict[str, float]:
    """Return the median CPU seconds of each command; `diff` has `old` to compare with."""
    file = folder / "deployments.toml"
    git = ["git", "-C", str(folder), "-c", "user.name=bench", "-c", "user.email=b@example.com"]
    file.write_text(old)
    subprocess.run([*git, "add", "deployments.toml"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "old"], check=True)
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    without_key = {name: value for name, value in environ.items() if name != "OPENAI_API_KEY"}
    for is_counted in rounds(runs):
        for name, command in COMMANDS.items():
            file.write_text(text)
            before = os.times()
            asks = name == "promote"
            once(name, command, cwd=folder, environ=environ if asks else without_key)
            after = os.times()
            if is_counted:
                used = after.children_user + after.children_system
                took[name].append(used - before.children_user - before.children_system)
    return {name: median(values) for name, values in took.items()}
