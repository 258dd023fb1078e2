"""A run of the evaluation against an API that refuses some, and the latency that it tells."""

from pathlib import Path

from evaluation import examples, measured, serving
from measure import Row, Size

EXAMPLES = 1000
DELAY_S = 0.2
AT_ONCE = 16
RATES = (20, 50)
"""Requests a second that are let in; without a limit it would be 80."""

REFUSED = 0.2
CROWDS = (8, 50, 100)
SIDES = {"ours": "an evaluation", "retrying": "bare `AsyncOpenAI` loop with its own retries"}


def bench(folder: Path, runs: int, size: Size) -> list[Row]:
    path = examples(folder / "examples.jsonl", size(EXAMPLES))
    return [*_rates(path, runs, size), *_random(path, runs, size), *_latency(path, runs)]


def _rates(path: Path, runs: int, size: Size) -> list[Row]:
    """Time the sides against a limit, each with a server of its own whose store is empty."""
    rows = []
    for rate in RATES:
        ideal = size(EXAMPLES) / rate
        for side, name in SIDES.items():
            with serving(DELAY_S, "--rate", str(rate)) as url:
                used = measured((side,), url, path, AT_ONCE, runs)[side]
            rows.append(
                Row(
                    f"{size(EXAMPLES):,} examples, {rate} a second let in, / {ideal:g} s: {name}",
                    used["wall"] / ideal,
                    1 / 0.9 if side == "ours" else None,
                    note=f"{used['wall']:.1f} s, {size(EXAMPLES) / used['wall']:.1f} a second",
                )
            )
    return rows


def _random(path: Path, runs: int, size: Size) -> list[Row]:
    with serving(DELAY_S) as url:
        free = measured(tuple(SIDES), url, path, AT_ONCE, runs)
    with serving(DELAY_S, "--refuse", str(REFUSED)) as url:
        refused = measured(tuple(SIDES), url, path, AT_ONCE, runs)
    return [
        Row(
            f"{size(EXAMPLES):,} examples, {REFUSED:.0%} refused at random, / none: {name}",
            refused[side]["wall"] / free[side]["wall"],
            2 if side == "ours" else None,
            note=f"{refused[side]['wall']:.1f} s, {free[side]['wall']:.1f} s",
        )
        for side, name in SIDES.items()
    ]


def _latency(path: Path, runs: int) -> list[Row]:
    rows = []
    for crowd in CROWDS:
        own: list[float] = []
        with serving(DELAY_S, took_ms=own) as url:
            told = measured(("ours",), url, path, crowd, runs)["ours"]
        rows += [
            Row(
                f"latency told over the server's own, {crowd} at once: {name}",
                abs(told[name] - theirs),
                10,
                "ms",
                f"{told[name]:.0f} ms, {theirs:.0f} ms",
            )
            for name, theirs in zip(("p50", "p95"), own, strict=True)
        ]
    return rows
