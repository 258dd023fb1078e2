"""The gate on many paired examples, beside one plain loop that sums as many numbers."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from measure import Row, Size

from fftdeploy.evaluation.gate import gate
from fftdeploy.evaluation.gate.gate import GateQuestion
from fftdeploy.evaluation.results import Results, Sample
from fftdeploy.policy.gate_rules import GateRules

EXAMPLES = 100_000
_SLICES = {"language": 8, "channel": 4, "plan": 3}
_FIELDS = ("urgency", "category", "next_step", "summary")


def world(examples: int, repeats: int, *, grouped: bool) -> Results:
    """Return made-up answers of two models that disagree on about a tenth of the examples."""
    dice = random.Random(7)  # noqa: S311  a world to measure, not a secret
    results = Results(repeats, tuple(_SLICES), _FIELDS)
    for number in range(examples):
        values = [f"{key}{dice.randrange(size)}" for key, size in _SLICES.items()]
        group = f"g{number // 5}" if grouped else ""
        results.add_example(f"e{number}", group, values, must_pass=number % 50 == 0)
    for arm in ("live", "candidate"):
        column = results.add_arm(arm)
        for place in range(examples * repeats):
            is_right = dice.random() < 0.95
            sample = Sample("pass" if is_right else "wrong", () if is_right else (place % 4,))
            column.put(place, sample._replace(latency_ms=dice.randrange(100, 900), tokens_in=300))
    return results


def bench(_folder: Path, runs: int, size: Size) -> list[Row]:
    """Judge answers that are in memory: pairs, pairs in groups of five, and three repeats."""
    examples = size(EXAMPLES)
    numbers = list(range(examples))

    def add() -> None:
        total = 0
        for number in numbers:
            total += number

    plain = _median(add, runs)
    shapes = {"pairs": (1, False), "pairs in groups of 5": (1, True), "3 repeats": (3, False)}
    rows = []
    for name, (repeats, grouped) in shapes.items():
        results = world(examples, repeats, grouped=grouped)
        rules = GateRules((), (), slices=tuple(_SLICES), repeats=repeats)

        def judge(results: Results = results, rules: GateRules = rules) -> None:
            asked = GateQuestion(
                rules=rules, results=results, name="m", has_baseline=True, reviewed=examples
            )
            gate.judge(asked)

        took = _median(judge, runs)
        what = f"the gate on {examples:,} examples, {name}"
        rows.append(Row(what, took, 2, "s", f"{took / plain:.0f} x a loop that sums as many"))
    return rows


def _median(work: Callable[[], None], runs: int) -> float:
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return median(times)
