"""How often the interval of a judged rate has the truth in it: 10 cells, 20,000 draws of each."""

import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from measure import Row, Size

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

import corrected

_MISSES = 6.0
"""Percent of the draws that may miss it; 5 are meant to."""


def bench(_folder: Path, _runs: int, size: Size) -> list[Row]:
    """Count the draws that miss the truth, for sensitivity and specificity of so many labels."""
    draws = size(20_000)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return [_row(labels, draws, pool) for labels in corrected.LABELS]


def _row(labels: int, draws: int, pool: ProcessPoolExecutor) -> Row:
    ask = partial(corrected.coverage, labels=labels, draws=draws, seed=labels)
    found = [*pool.map(ask, corrected.CELLS)]
    worst = {rule: 100 * (1 - min(each[rule] for each in found)) for rule in corrected.RULES}
    ours = worst.pop("ours")
    others = ", ".join(f"{rule} {missed:.1f}" for rule, missed in worst.items())
    what = f"corrected rate, {labels} labels: missed in the worst of {len(found)} cells"
    return Row(what, ours, _MISSES, "%", others)
