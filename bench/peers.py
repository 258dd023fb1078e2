"""An evaluation against the same one by promptfoo: `python bench/peers.py [--peers FOLDER]`.

Whole commands, in turn, on one local server whose answers are known, in a network namespace that
has loopback alone.  A first round, in which the server answers one order in a hundred wrongly, is
not timed: every side has to find those, and none after that.
"""

import argparse
import json
import math
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from measure import FFTDEPLOY, PYTHON, Row, Size, environment, full
from peers_server import answer, question

EXAMPLES = 1000
DELAY_S = 0.2
AT_ONCE = 50
WRONG = 0.01
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
PEERS = CACHE / "fftdeploy-peers"
NAMED = {
    "ours": "`fftdeploy eval`",
    "default": "`promptfoo eval`",
    "best": "`promptfoo eval --no-write`, no logs, no scheduler",
}
_GATE = """version = 1
order = ["production"]

[tasks.bench.gate]
examples = ["bench.jsonl"]
mode = "threshold"
threshold = 0.5

[[tasks.bench.gate.graders]]
type = "string_check"
operation = "eq"
"""
_QUIET = {
    **dict.fromkeys(
        (
            "PROMPTFOO_DISABLE_TELEMETRY",
            "PROMPTFOO_DISABLE_UPDATE",
            "PROMPTFOO_DISABLE_SHARING",
            "PROMPTFOO_DISABLE_REMOTE_GENERATION",
            "PROMPTFOO_DISABLE_REDTEAM_REMOTE_GENERATION",
        ),
        "1",
    ),
    "PROMPTFOO_CACHE_ENABLED": "false",
}
_BEST = dict.fromkeys(
    (
        "PROMPTFOO_DISABLE_ADAPTIVE_SCHEDULER",
        "PROMPTFOO_DISABLE_DEBUG_LOG",
        "PROMPTFOO_DISABLE_ERROR_LOG",
    ),
    "1",
)


@dataclass(frozen=True, slots=True)
class Run:
    """What one whole command took."""

    wall_s: float
    cpu_s: float
    held_s: float
    """The server's own delay, the median."""


def bench(folder: Path, runs: int, size: Size, peers: Path = PEERS) -> list[Row]:
    """Return each side's wall time over the ideal, and what promptfoo takes longer."""
    alone = _loopback_alone()
    missing = _missing(peers) or ("" if alone else "no network namespaces here")
    sides = ["ours"] if missing else list(NAMED)
    examples = size(EXAMPLES)
    command = [*alone, PYTHON, __file__, "--peers", str(peers), "--runs", str(runs)]
    command += ["--examples", str(examples), "--inside", str(folder), *sides]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = {
        side: [Run(**each) for each in measured]
        for side, measured in json.loads(ended.stdout).items()
    }
    rows = [_over_ideal(side, measured, examples) for side, measured in found.items()]
    if missing:
        return [*rows, Row(NAMED["default"], float("nan"), None, note=missing)]
    bars = {"default": 0.5, "best": None}
    return rows + [_against(side, found, bar) for side, bar in bars.items()]


def _over_ideal(side: str, runs: Sequence[Run], examples: int) -> Row:
    ideal_s = examples / AT_ONCE * DELAY_S
    walls = sorted(run.wall_s for run in runs)
    cpu, held = (median(getattr(run, key) for run in runs) for key in ("cpu_s", "held_s"))
    return Row(
        f"{NAMED[side]}: {examples:,} examples at 200 ms, 50 at once, / the ideal {ideal_s:g} s",
        median(walls) / ideal_s,
        note=f"{median(walls):.2f} s ({walls[0]:.2f} to {walls[-1]:.2f}), "
        f"CPU {cpu:.2f} s; held up {held * 1000:.1f} ms",
    )


def _against(side: str, found: Mapping[str, Sequence[Run]], bar: float | None) -> Row:
    ours, theirs = (median(run.wall_s for run in found[name]) for name in ("ours", side))
    return Row(
        f"{NAMED['ours']} / {NAMED[side]}",
        ours / theirs,
        bar,
        note=f"theirs / ours {theirs / ours:.2f}",
    )


def _missing(peers: Path) -> str:
    """Say how to install promptfoo, with a Node that is new enough; nothing where it is."""
    if all((peers / "node_modules/.bin" / name).exists() for name in ("node", "promptfoo")):
        return ""
    return f"not installed: `npm install --prefix {peers} promptfoo@0.123 node@26`"


def _loopback_alone() -> list[str]:
    """Return what runs a command where there is no network but loopback; empty: can't be had."""
    mapped = ["--map-root-user"] if os.geteuid() else []
    up = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    prefix = ["unshare", *mapped, "--net", *up]
    try:
        tried = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return []
    return [] if tried.returncode else prefix


def inside(
    folder: Path, runs: int, examples: int, peers: Path, sides: Sequence[str]
) -> dict[str, list[Run]]:
    """Run `sides` in turn, the round with wrong answers first."""
    if len(sides) > 1:
        assert [name for _, name in socket.if_nameindex()] == ["lo"]
    _repository(folder, examples)
    found: dict[str, list[Run]] = {side: [] for side in sides}
    for number in range(runs + 1):
        for side in sides:
            run = _run(side, folder, peers, examples, 0 if number else math.ceil(examples * WRONG))
            if number:
                found[side].append(run)
    return found


def _repository(folder: Path, examples: int) -> None:
    (folder / "deployments.toml").write_text("version = 1\n")
    (folder / "fftdeploy.toml").write_text(_GATE)
    (folder / "profiles").mkdir()
    (folder / "profiles/bench.toml").write_text("temperature = 0\n")
    with (folder / "bench.jsonl").open("w") as file:
        for order in range(examples):
            turns = [
                {"role": "user", "content": question(order)},
                {"role": "assistant", "content": answer(order)},
            ]
            file.write(json.dumps({"id": f"e-{order:06}", "messages": turns}) + "\n")


def _run(side: str, folder: Path, peers: Path, examples: int, wrong: int) -> Run:
    """Run one whole command, and see that it asked and found what there was.

    Whether it was asked as fast as it should be is only seen in the full size.
    """
    counts: dict[str, float] = {}
    with _serving(wrong, counts) as url:
        if side == "ours":
            command, environ = _ours(folder, url)
        else:
            command, environ = _theirs(folder, peers, url, examples, best=side == "best")
        cpu, started = _cpu_s(), time.perf_counter()
        ended = subprocess.run(
            command, cwd=folder, env=environ, capture_output=True, text=True, check=False
        )
        wall, cpu = time.perf_counter() - started, _cpu_s() - cpu
    passed, failed = _by_ours(ended) if side == "ours" else _by_theirs(ended, wrong)
    assert (passed, failed) == (examples - wrong, wrong), (side, ended.stdout, ended.stderr)
    assert counts["requests"] == counts["orders"] == examples, (side, counts)
    if examples == EXAMPLES:
        assert counts["at_once"] == AT_ONCE, (side, counts)
        assert DELAY_S <= counts["least_s"] <= counts["median_s"] < 1.1 * DELAY_S, (side, counts)
    return Run(wall, cpu, counts["median_s"])


def _cpu_s() -> float:
    """Return the CPU seconds of all children that ended; the server has not when this is asked."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _serving(wrong: int, counts: dict[str, float]) -> Iterator[str]:
    """Serve answers, yield the address, and fill `counts` in the end."""
    command = [PYTHON, str(Path(__file__).with_name("peers_server.py")), str(DELAY_S), str(wrong)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()  # the server ends with its input
            counts.update(json.loads(process.stdout.readline()))
            process.wait(10)


def _ours(folder: Path, url: str) -> tuple[list[str], dict[str, str]]:
    shutil.rmtree(folder / ".fftdeploy", ignore_errors=True)  # answers and evidence of a run before
    known = {"OPENAI_API_KEY": "sk-sandbox", "OPENAI_BASE_URL": url}
    command = [FFTDEPLOY, "eval", "bench/production", "bench@bench", "--json"]
    return [*command, "--concurrency", str(AT_ONCE)], environment(folder, **known)


def _by_ours(ended: subprocess.CompletedProcess[str]) -> tuple[int, int]:
    """Return how many passed and failed, as our command says it."""
    assert ended.returncode == 0, ended.stderr
    arm = json.loads(ended.stdout)["evaluations"][0]["verdict"]["arms"][0]
    return arm["passed"], arm["n"] - arm["passed"]


def _theirs(
    folder: Path, peers: Path, url: str, examples: int, *, best: bool
) -> tuple[list[str], dict[str, str]]:
    """Return the command for the same evaluation; its database is kept, and with it made once.

    At its `best` it writes a file in the place of the database, has no log and no scheduler, and
    keeps compiled code as Python does.
    """
    path = folder / "promptfooconfig.json"
    path.write_text(json.dumps(_their_config(url, examples)))
    programs = peers / "node_modules/.bin"
    command = [str(programs / "node"), str(programs / "promptfoo"), "eval", "-c", str(path)]
    command += ["-j", str(AT_ONCE), "--no-cache", "--no-share", "--no-table", "--no-progress-bar"]
    environ = environment(folder, **_QUIET, PROMPTFOO_CONFIG_DIR=str(folder / "promptfoo"))
    if best:
        command += ["--no-write", "-o", str(folder / "results.json")]
        environ |= _BEST | {"NODE_COMPILE_CACHE": str(folder / "compiled")}
    return command, environ


def _their_config(url: str, examples: int) -> dict[str, object]:
    settings = {"apiBaseUrl": url, "apiKey": "sk-sandbox", "temperature": 0}
    return {
        "prompts": [json.dumps([{"role": "user", "content": question("{{order}}")}])],
        "providers": [{"id": "openai:chat:bench", "config": settings}],
        "tests": [
            {
                "vars": {"order": str(order)},
                "assert": [{"type": "equals", "value": answer(order)}],
            }
            for order in range(examples)
        ],
    }


def _by_theirs(ended: subprocess.CompletedProcess[str], wrong: int) -> tuple[int, int]:
    """Return how many passed and failed, as promptfoo says it."""
    assert ended.returncode == (100 if wrong else 0), ended.stderr  # 100: a test failed
    found = re.search(
        r"([\d,]+) passed.*?([\d,]+) failed.*?([\d,]+) errors?", ended.stdout, re.DOTALL
    )
    assert found, ended.stdout
    passed, failed, errors = (int(each.replace(",", "")) for each in found.groups())
    assert errors == 0
    return passed, failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, default=PEERS, help="where promptfoo is installed")
    parser.add_argument("--runs", type=int, default=3, help="runs of each side")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help=argparse.SUPPRESS)
    parser.add_argument("--inside", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    peers = asked.peers.resolve()
    if asked.inside:
        folder, *sides = asked.inside
        found = inside(Path(folder), asked.runs, asked.examples, peers, sides)
        json.dump({side: [asdict(run) for run in runs] for side, runs in found.items()}, sys.stdout)
        return
    print(f"load {os.getloadavg()[0]:.2f} before")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "init", "--quiet", folder], check=True)
        print(*bench(Path(folder), asked.runs, full, peers), sep="\n")


if __name__ == "__main__":
    main()
