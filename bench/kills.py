"""A migration that is killed at 20 points and goes on: what it pays twice, and what it says."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from measure import FFTDEPLOY, Row, Size, environment
from portfolio import portfolio
from world import SUCCESSORS, Server, serving

TARGETS, EXAMPLES, KILLS = 3, 100, 20
AT_ONCE = 8
WORDS = [FFTDEPLOY, "migrate", "--dry-run", "--json", "--concurrency", str(AT_ONCE)]


def bench(folder: Path, _runs: int, size: Size) -> list[Row]:
    """Kill the direct run at so many answers, and the one by batches at so many requests."""
    count, kills = size(EXAMPLES), size(10 * KILLS) // 10
    rows = []
    for how, delay_s in (("", 0.03), ("--batch", 0.01)):
        place = folder / (how or "direct")
        place.mkdir()
        subprocess.run(["git", "init", "--quiet", place], check=True)
        portfolio(place, TARGETS, count)
        with serving(TARGETS, delay_s) as server:
            rows.append(_killed(place, server, [*WORDS, *filter(None, [how])], count, kills))
    return rows


def _killed(folder: Path, server: Server, words: list[str], count: int, kills: int) -> Row:
    environ = environment(folder, **server.environ())
    wanted = TARGETS * count * (1 + len(SUCCESSORS))
    is_batch = "--batch" in words
    # By batches all is paid for at the host at once: there the requests for that are counted.
    key, end = ("requests", 12 * 7) if is_batch else ("paid", wanted)
    done = {"paid": 0, "requests": 0, "made": 0}
    times = 0
    for point in range(1, kills + 1):
        with subprocess.Popen(words, cwd=folder, env=environ, **_QUIET) as process:
            begun = done["requests"] if is_batch else 0
            least = begun + point * end // (kills + 1)
            while process.poll() is None and done[key] < least:
                time.sleep(0.01)
                _count(server, done)
            times += process.poll() is None
            process.kill()
    said = _said(words, folder, environ)
    _count(server, done)
    again = _said(words, folder, environ)
    assert said == again, "the table is another one"
    assert len(said) == TARGETS
    assert all(len(rows) == len(SUCCESSORS) for rows in said), said
    what = "batches" if is_batch else f"{AT_ONCE} at once"
    return Row(
        f"`migrate` by {what}, killed {times} times: answers paid twice a kill",
        (done["paid"] - wanted) / max(1, times),
        0 if is_batch else AT_ONCE,
        "answers",
        f"{done['paid']:,} paid, {wanted:,} wanted; {done['made']} batches made",
    )


_QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def _count(server: Server, done: dict[str, int]) -> None:
    for key, more in server.counts().items():
        if key in done:
            done[key] += more


def _said(words: list[str], folder: Path, environ: dict[str, str]) -> list[list[Any]]:
    """Return the table of each target, but for the time that answers took."""
    ended = subprocess.run(
        words, cwd=folder, env=environ, capture_output=True, text=True, check=True
    )
    tables = []
    for target in json.loads(ended.stdout)["targets"]:
        verdicts = [(each["model"], each["evaluation"]) for each in target["successors"]]
        rows = [
            (name, one["verdict"]["comparison"], one["verdict"]["ruling"]) for name, one in verdicts
        ]
        tables.append(sorted(rows, key=lambda row: str(row[0])))
    return tables
