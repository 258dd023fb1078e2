"""Logs of production: what is found where nothing has changed and where labels have, and the speed.

The windows are of 2,000 requests of a triage task, drawn from one distribution or, where labels
moved, from one in which 10 of 100 requests have another.  Beside ours stands the rule that people
write first: any share that differs by 3 points.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

from measure import FFTDEPLOY, Row, Size, environment
from world import deployments

from fftdeploy.monitoring.logs.compared import compare
from fftdeploy.monitoring.logs.window import LogWindow, bucket

REQUESTS, PAIRS, SHIFTED = 2000, 20_000, 2000
LINES = 1_000_000
CATEGORIES = {"billing": 0.30, "shipping": 0.22, "refund": 0.18, "account": 0.12, "bug": 0.18}
URGENCY = {"low": 0.3, "normal": 0.5, "high": 0.2}
RATES = {"valid": 0.99, "refused": 0.003, "truncated": 0.002}
SIZES = {"length": (60, 0.3), "latency_ms": (400, 0.5), "tokens_in": (300, 0.4)}
NAIVE = 0.03
MOST_MB = 150


def bench(folder: Path, runs: int, size: Size) -> list[Row]:
    del runs
    return [*_found(size), *_speed(folder, size)]


def window(random: Random, shift: float = 0.0) -> LogWindow:
    """Draw a window of a task: counts, as a log of it would be counted."""
    shares = {**CATEGORIES, "billing": 0.30 - shift, "refund": 0.18 + shift}
    counts = {"field category": _drawn(random, shares), "field urgency": _drawn(random, URGENCY)}
    for name, rate in RATES.items():
        counts[name] = _drawn(random, {"yes": rate, "no": 1 - rate})
    for name, (middle, spread) in SIZES.items():
        sizes = (middle * random.lognormvariate(0, spread) for _ in range(REQUESTS))
        counts[name] = _counted(map(bucket, sizes))
    return LogWindow("00", REQUESTS, counts=counts)


def naive(then: LogWindow, now: LogWindow) -> bool:
    """Tell whether any share differs by 3 points."""
    return any(
        abs(then.counts[name].get(value, 0) - now.counts[name].get(value, 0)) >= NAIVE * REQUESTS
        for name in ("field category", "field urgency", *RATES)
        for value in {*then.counts[name], *now.counts[name]}
    )


def _found(size: Size) -> list[Row]:
    random = Random(20261128)  # noqa: S311  the same pairs each time
    pairs, shifted = size(PAIRS), size(SHIFTED)
    ours = theirs = missed = 0
    for _ in range(pairs):
        then, now = window(random), window(random)
        ours += any(shift.code for shift in compare(then, now))
        theirs += naive(then, now)
    for _ in range(shifted):
        shifts = compare(window(random), window(random, 0.1))
        missed += not any(one.code for one in shifts if one.measure == "field category")
    said = f"of 2 x {REQUESTS:,} requests"
    note = f"any 3 points: {theirs / pairs:.1%}"
    return [
        Row(f"{pairs:,} unchanged pairs {said}: found in", 100 * ours / pairs, 6, "%", note),
        Row(f"{shifted:,} pairs {said}, labels moved by 10 points: missed in",
            100 * missed / shifted, 5, "%"),
    ]  # fmt: skip


def _speed(folder: Path, size: Size) -> list[Row]:
    """Read a log twice as large as another: what it takes, and whether memory stays."""
    (folder / "deployments.toml").write_text(deployments(1, 3))
    lines = size(LINES)
    took = {count: _run(folder, count) for count in (lines // 2, lines)}
    (half, _), (whole, seconds) = took[lines // 2], took[lines]
    megabytes = (folder / "log.jsonl").stat().st_size / 1e6
    note = f"{half:.0f} MB for half; {megabytes / seconds:.1f} MB/s, {seconds:.0f} s"
    return [Row(f"log of {megabytes:,.0f} MB: memory", whole, MOST_MB, "MB", note)]


def _run(folder: Path, lines: int) -> tuple[float, float]:
    """Return the memory, in MB, and the seconds of a look at a log of so many lines."""
    log = folder / "log.jsonl"
    _write(log, lines)
    command = [FFTDEPLOY, "monitor", "task-00000/production", "--logs", "log.jsonl"]
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in {0, 7}:
        sys.exit(f"{command} failed")
    return used.ru_maxrss / 1024, time.perf_counter() - started


def _write(log: Path, lines: int) -> None:
    random = Random(1)  # noqa: S311  the same log each time
    filler = "The parcel has not come, and nobody answers the telephone. " * 12
    with log.open("w") as file:
        for number in range(lines):
            category = random.choice([*CATEGORIES])
            asked = {"role": "user", "content": f"{number % 300_000}: {category}. {filler}"}
            said = {"role": "assistant", "content": json.dumps({"category": category})}
            value = {"at": number, "latency_ms": number % 900, "messages": [asked, said]}
            file.write(json.dumps(value) + "\n")


def _drawn(random: Random, shares: dict[str, float]) -> dict[str, int]:
    return _counted(random.choices([*shares], [*shares.values()], k=REQUESTS))


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values))
