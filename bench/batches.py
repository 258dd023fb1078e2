"""A run by batches: what it holds in memory, and what it takes beside the provider's time."""

from pathlib import Path

from evaluation import EXAMPLES, MANY, examples, measured, serving
from measure import Row, Size


def bench(folder: Path, runs: int, size: Size) -> list[Row]:
    few, many = size(EXAMPLES), size(MANY)
    found = {}
    with serving(server="batch_server.py") as url:
        for count in (few, many):
            path = examples(folder / f"{count}.jsonl", count)
            found[count] = measured(("batch",), url, path, 1, runs)["batch"]
    grown, memory = found[many]["mb"], found[few]["mb"]
    each = (found[many]["cpu"] - found[few]["cpu"]) / max(1, many - few)
    return [
        Row(
            f"a batch: memory for {many:,} examples over that for {few:,}",
            grown - memory,
            60,
            "MB",
            f"{grown:.0f} MB, {memory:.0f} MB; CPU {each * 1000:.2f} ms a request",
        )
    ]
