"""A run of the evaluation against an API that refuses some, and the latency that it tells."""

from pathlib import Path

from evaluation import examples, measured, serving
from measure import Row, Size

EXAMPLES = 1000
DELAY_S = 0.2
AT_ONCE = 16
RATE = 50
"""Requests a second that are let in; without a limit it would be 80."""

REFUSED = 0.2
CROWDS = (8, 50, 100)
SIDES = {"ours": "an evaluation", "retrying": "bare `AsyncOpenAI` loop with its own retries"}


def bench(folder: Path, runs: int, size: Size) -> list[Row]:
    few = size(EXAMPLES)
    path = examples(folder / "examples.jsonl", few)
    ideal = few / AT_ONCE * DELAY_S
    asked = f"{few:,} examples at 200 ms, {AT_ONCE} at once"
    return [
        *_refused(
            path,
            runs,
            f"{asked}, {RATE} a second let in",
            ("--rate", str(RATE)),
            few / RATE,
            1 / 0.9,
        ),
        *_refused(
            path,
            runs,
            f"{asked}, {REFUSED:.0%} refused at random",
            ("--refuse", str(REFUSED)),
            ideal,
            2,
        ),
        *_latency(path, runs),
    ]


def _refused(
    path: Path, runs: int, what: str, options: tuple[str, str], ideal: float, bar: float
) -> list[Row]:
    """Hold the sides against what the API lets in, each with a server of its own."""
    rows = []
    for side, name in SIDES.items():
        with serving(DELAY_S, *options) as url:
            wall = measured((side,), url, path, AT_ONCE, runs)[side]["wall"]
        note = f"{wall:.1f} s"
        is_ours = side == "ours"
        rows.append(
            Row(
                f"{what}, / {ideal:.3g} s: {name}",
                wall / ideal,
                bar if is_ours else None,
                note=note,
            )
        )
    return rows


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
