"""A run of the evaluation against loops that anyone would write, on the same fast server."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from fast_server import ANSWER
from measure import PYTHON, Row, Size, environment, milliseconds

EXAMPLES = 1000
MANY = 100_000
DELAY_S = 0.2
AT_ONCE = 50
HERE = Path(__file__).parent


@contextmanager
def serving(
    delay_s: float = 0,
    *options: str,
    took_ms: list[float] | None = None,
    server: str = "fast_server.py",
) -> Iterator[str]:
    """Serve chat completions, each after `delay_s`, or what another `server` does; yield where.

    In the end `took_ms` gets p50 and p95 of what the answers took there.
    """
    delay = [str(delay_s)] if server == "fast_server.py" else []
    command = [PYTHON, str(HERE / server), *delay, *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            own = process.stdout.readline()
            process.wait(10)
        if took_ms is not None:
            took_ms[:] = json.loads(own)


def examples(path: Path, count: int) -> Path:
    """Write `count` examples, no two alike."""
    with path.open("w") as file:
        for number in range(count):
            turns = [
                {"role": "system", "content": "Triage the customer message."},
                {"role": "user", "content": f"Refund for order {number}, or my lawyer will call."},
                {"role": "assistant", "content": ANSWER},
            ]
            example = {"id": f"e-{number:06}", "messages": turns, "meta": {"language": "en"}}
            file.write(json.dumps(example) + "\n")
    return path


def measured(
    sides: Sequence[str], url: str, path: Path, concurrency: int, runs: int
) -> Mapping[str, Mapping[str, float]]:
    """Return the medians of each side's wall and CPU seconds and MB, the sides in turn."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    environ = environment(path.parent)
    for _ in range(runs):
        for side in sides:
            ended = subprocess.run(
                [PYTHON, str(HERE / "evaluate.py"), side, url, str(path), str(concurrency)],
                env=environ,
                capture_output=True,
                text=True,
                check=True,
            )
            found[side].append(json.loads(ended.stdout))
    return {
        side: {key: median(each[key] for each in figures) for key in figures[0]}
        for side, figures in found.items()
    }


def bench(folder: Path, runs: int, size: Size) -> list[Row]:
    few, many = size(EXAMPLES), size(MANY)
    path = examples(folder / "examples.jsonl", few)
    with serving(DELAY_S) as url:
        waited = measured(("ours", "create", "post", "threads"), url, path, AT_ONCE, runs)
    ideal = few / AT_ONCE * DELAY_S
    named = {
        "ours": "an evaluation",
        "create": "bare `AsyncOpenAI` loop",
        "post": "its `post` with a plain cast",
        "threads": "threads over the synchronous client",
    }
    what = f"{few:,} examples at 200 ms, 50 at once, / the ideal {ideal:g} s"
    rows = [
        Row(
            f"{what}: {named[side]}",
            used["wall"] / ideal,
            1.12 if side == "ours" else None,
            note=f"{used['wall']:.2f} s, CPU {used['cpu']:.2f} s",
        )
        for side, used in waited.items()
    ]
    with serving(0) as url:
        busy = measured(("ours", "create", "post"), url, path, 16, runs)
        long = examples(folder / "many.jsonl", many)
        grown = measured(("ours",), url, long, 16, 1)["ours"]["mb"]
    memory = busy["ours"]["mb"]
    best = min(busy["create"]["cpu"], busy["post"]["cpu"])
    each = {side: milliseconds(used["cpu"] / few) for side, used in busy.items()}
    return [
        *rows,
        Row(
            "CPU of a request without latency, evaluation / best bare loop",
            busy["ours"]["cpu"] / best,
            0.8,
            note=", ".join(f"{side} {used}" for side, used in each.items()),
        ),
        Row(
            f"memory for {many:,} examples over that for {few:,}",
            grown - memory,
            60,
            "MB",
            f"{grown:.0f} MB, {memory:.0f} MB",
        ),
    ]
