"""A portfolio of targets held against their successors, against what its requests must take."""

import json
import os
import subprocess
import time
from pathlib import Path

from measure import FFTDEPLOY, Row, Size, environment
from world import SUCCESSORS, deployments, serving

from fftdeploy.sandbox.triage import V8, answer

TARGETS, EXAMPLES = 50, 200
DELAY_S = 0.1
AT_ONCE = 50
_GATE = """
[tasks.{task}]
successors = [{successors}]
[tasks.{task}.gate]
examples = ["{task}.jsonl"]
margin = 0.2
[[tasks.{task}.gate.graders]]
type = "json_fields"
fields = {{ urgency = "exact", category = "exact" }}
"""


def bench(folder: Path, _runs: int, size: Size) -> list[Row]:
    """Compare every target with all of its successors, and make none of them live."""
    targets, count = size(10 * TARGETS) // 10, size(EXAMPLES)
    portfolio(folder, targets, count)
    wanted = targets * count * (1 + len(SUCCESSORS))
    with serving(targets, DELAY_S) as server:
        environ = environment(folder, **server.environ())
        server.counts()
        words = ["migrate", "--dry-run", "--concurrency", str(AT_ONCE), "--max-requests", "99999"]
        wall, cpu = measured([FFTDEPLOY, *words], folder, environ)
        counts = server.counts()
    ideal = wanted / AT_ONCE * DELAY_S
    what = (
        f"`migrate` of {targets} targets x {len(SUCCESSORS)} successors x {count} examples at "
        f"100 ms, 50 at once, / the ideal {ideal:g} s"
    )
    note = (
        f"{wall:.1f} s; {counts['requests']:,} requests on {counts['connections']} connections; "
        f"CPU {1000 * cpu / wanted:.2f} ms a request"
    )
    return [Row(what, wall / ideal, 1.3, note=note)]


def portfolio(folder: Path, targets: int, count: int) -> None:
    """Write targets in as many tasks, each with examples of its own."""
    (folder / "deployments.toml").write_text(deployments(targets))
    named = ", ".join(f'{{ model = "{model}" }}' for model in SUCCESSORS)
    tasks = [f"task-{number:05}" for number in range(targets)]
    policy = "".join(_GATE.format(task=task, successors=named) for task in tasks)
    (folder / "fftdeploy.toml").write_text(f'version = 1\norder = ["production"]\n{policy}')
    for task in tasks:
        lines = [json.dumps(_example(task, number)) for number in range(count)]
        (folder / f"{task}.jsonl").write_text("\n".join(lines) + "\n")


def _example(task: str, number: int) -> dict[str, object]:
    asked = f"Refund for order {number} of {task}, or my lawyer will call."
    told = "Triage the customer message."
    turns = [("system", told), ("user", asked), ("assistant", answer(V8, told, asked))]
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"id": f"{task}-{number:06}", "messages": messages}


def measured(command: list[str], folder: Path, environ: dict[str, str]) -> tuple[float, float]:
    """Return seconds of wall and of CPU of a process."""
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - started
    assert status == 0, os.waitstatus_to_exitcode(status)
    return took, used.ru_utime + used.ru_stime
