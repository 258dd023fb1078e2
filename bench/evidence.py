"""Evidence as a file: how large it is, and how long it takes beside reading JSON as large."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter

from measure import Row, Size, rounds

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from evaluated import busy, evidence_of

from fftdeploy.evaluation.evidence.evidence import with_id
from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder, recompute

_BYTES = 60
"""Most that an example of two models may take, as many as there are."""


def bench(folder: Path, runs: int, size: Size) -> list[Row]:
    """Write and verify evidence of 1,000 and of 100,000 examples of two models."""
    return [row for count in (1_000, 100_000) for row in _of(folder, runs, size(count))]


def _of(folder: Path, runs: int, examples: int) -> list[Row]:
    results = busy(examples, lambda number, _: f"ticket-{7 * number}", same_prompt=False)
    bare = evidence_of(results)
    made = replace(bare, verdict=recompute(bare).as_json())
    evidence_id, raw = with_id(made)
    path = folder / ".fftdeploy" / "evidence" / made.task / f"{evidence_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    sides: dict[str, Callable[[], object]] = {
        "write": lambda: with_id(made),
        "verify": lambda: EvidenceFolder(folder).read(path),
        "judge": lambda: recompute(made),
        "json": lambda: json.loads(raw),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for is_counted in rounds(runs):
        for name, act in sides.items():
            started = perf_counter()
            act()
            times[name] += [perf_counter() - started] if is_counted else []
    took = {name: median(values) for name, values in times.items()}
    what = f"evidence of {examples:,} examples"
    shares = f"{took['judge'] / took['verify']:.0%} of it judges the answers"
    return [
        Row(f"{what}: size", len(raw) / 1e3, _BYTES * examples / 1e3, "kB"),
        Row(f"{what}: write", took["write"], None, "s", f"{took['write'] / took['json']:.0f} x"),
        Row(f"{what}: verify", took["verify"], None, "s", shares),
    ]
