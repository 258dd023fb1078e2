"""An evaluation against the same one by its neighbours: `python bench/peers.py [--peers FOLDER]`.

Two models answer the same examples.  Whole commands, in turn, on one local server whose answers
are known, in a network namespace that has loopback alone.  A first round, in which the server
answers one order in a hundred wrongly, is not timed: every side has to find those, and none after
that.
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
LIVE, CANDIDATE = ARMS = ("bench-old", "bench")
DELAY_S = 0.2
AT_ONCE = 50
WRONG = 0.01
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
PEERS = CACHE / "fftdeploy-peers"
_Command = tuple[list[str], dict[str, str]]
_Ended = subprocess.CompletedProcess[str]
NAMED = {
    "ours": "`fftdeploy eval`",
    "llmshift": "`llmshift compare`",
    "default": "`promptfoo eval`",
    "best": "`promptfoo eval --no-write`, no logs, no scheduler",
}
_LIVE = f"""version = 1

[bench.production]
model = "{LIVE}"
profile = "bench"
"""
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
INSTALLED = {
    "llmshift": (
        ("llmshift/bin/llmshift",),
        "python3 -m venv {0}/llmshift && {0}/llmshift/bin/pip install llmshift==0.1.4",
    ),
    "promptfoo": (
        ("node_modules/.bin/node", "node_modules/.bin/promptfoo"),
        "npm install --prefix {0} promptfoo@0.123 node@26",
    ),
}
"""The programs of each peer below its folder, and what puts them there."""

_OF = {"llmshift": "llmshift", "default": "promptfoo", "best": "promptfoo"}
_BARS = {"llmshift": 1.0, "default": 1 / 2.2, "best": None}
"""The most of each side's time that ours may take."""

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
    """Return each side's wall time over the ideal, and what each peer takes longer."""
    alone = _loopback_alone()
    missing = {name: _missing(peers, name) for name in INSTALLED}
    if not alone:
        missing = dict.fromkeys(missing, "no network namespaces here")
    sides = [side for side in NAMED if side == "ours" or not missing[_OF[side]]]
    examples = size(EXAMPLES)
    command = [*alone, PYTHON, __file__, "--peers", str(peers), "--runs", str(runs)]
    command += ["--examples", str(examples), "--inside", str(folder), *sides]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = {
        side: [Run(**each) for each in measured]
        for side, measured in json.loads(ended.stdout).items()
    }
    rows = [_over_ideal(side, measured, examples) for side, measured in found.items()]
    lacking = {side: missing[_OF[side]] for side in _BARS if side not in found}
    rows += [Row(NAMED[side], float("nan"), None, note=why) for side, why in lacking.items()]
    return rows + [_against(side, found, bar) for side, bar in _BARS.items() if side in found]


def _over_ideal(side: str, runs: Sequence[Run], examples: int) -> Row:
    asked = len(ARMS) * examples
    ideal_s = asked / AT_ONCE * DELAY_S
    walls = sorted(run.wall_s for run in runs)
    cpu, held = (median(getattr(run, key) for run in runs) for key in ("cpu_s", "held_s"))
    return Row(
        f"{NAMED[side]}: 2 x {examples:,} at 200 ms, 50 at once, / the ideal {ideal_s:g} s",
        median(walls) / ideal_s,
        1.12 if side == "ours" else None,
        note=f"{median(walls):.2f} s ({walls[0]:.2f} to {walls[-1]:.2f}), "
        f"CPU {cpu:.2f} s, {cpu / asked * 1000:.2f} ms a request; held up {held * 1000:.1f} ms",
    )


def _against(side: str, found: Mapping[str, Sequence[Run]], bar: float | None) -> Row:
    ours, theirs = (median(run.wall_s for run in found[name]) for name in ("ours", side))
    return Row(
        f"{NAMED['ours']} / {NAMED[side]}",
        ours / theirs,
        bar,
        note=f"theirs / ours {theirs / ours:.2f}",
    )


def _missing(peers: Path, name: str) -> str:
    """Say how to install a peer, with a Node that is new enough; nothing where it is."""
    programs, how = INSTALLED[name]
    if all((peers / program).exists() for program in programs):
        return ""
    return f"not installed: `{how.format(peers)}`"


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
    (folder / "deployments.toml").write_text(_LIVE)
    (folder / "fftdeploy.toml").write_text(_GATE)
    (folder / "profiles").mkdir()
    (folder / "profiles/bench.toml").write_text("temperature = 0\n")
    with (folder / "bench.jsonl").open("w") as ours, (folder / "shift.jsonl").open("w") as shift:
        for order in range(examples):
            name = {"id": f"e-{order:06}"}
            asked = {"role": "user", "content": question(order)}
            agreed = {"role": "assistant", "content": answer(order)}
            ours.write(json.dumps({**name, "messages": [asked, agreed]}) + "\n")
            sent = {"messages": [asked], "params": {"temperature": 0}}
            checks = [{"type": "equals", "value": answer(order)}]
            shift.write(json.dumps({**name, "input": sent, "checks": checks}) + "\n")


def _run(side: str, folder: Path, peers: Path, examples: int, wrong: int) -> Run:
    """Run one whole command, and see that it asked and found what there was.

    Whether it was asked as fast as it should be is only seen in the full size.
    """
    counts: dict[str, float] = {}
    with _serving(wrong, counts) as url:
        command, environ = _COMMANDS[side](folder, peers, url, examples)
        cpu, started = _cpu_s(), time.perf_counter()
        ended = subprocess.run(
            command, cwd=folder, env=environ, capture_output=True, text=True, check=False
        )
        wall, cpu = time.perf_counter() - started, _cpu_s() - cpu
    found = _FINDINGS[side](folder, ended)
    assert found == (examples - wrong, wrong), (side, found, ended.stdout, ended.stderr)
    assert counts["requests"] == counts["different"] == len(ARMS) * examples, (side, counts)
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


def _ours(folder: Path, _: Path, url: str, __: int) -> _Command:
    shutil.rmtree(folder / ".fftdeploy", ignore_errors=True)  # answers and evidence of a run before
    command = [FFTDEPLOY, "eval", "bench/production", f"{CANDIDATE}@bench", "--json"]
    return [*command, "--concurrency", str(AT_ONCE)], _asking(folder, url)


def _asking(folder: Path, url: str) -> dict[str, str]:
    return environment(folder, OPENAI_API_KEY="sk-sandbox", OPENAI_BASE_URL=url)


def _by_ours(_: Path, ended: _Ended) -> tuple[int, int]:
    """Return how many of either model passed and failed, as our command says it."""
    assert ended.returncode == 0, ended.stderr
    arms = json.loads(ended.stdout)["evaluations"][0]["verdict"]["arms"]
    ((passed, n),) = {(arm["passed"], arm["n"]) for arm in arms}
    assert len(arms) == len(ARMS)
    return passed, n - passed


def _llmshift(folder: Path, peers: Path, url: str, _: int) -> _Command:
    """Return the command for the same evaluation, with no cache and one report."""
    command = [str(peers / "llmshift/bin/llmshift"), "compare", "--to", f"openai:{CANDIDATE}"]
    command += ["--baseline-model", f"openai:{LIVE}", "--tests", "shift.jsonl", "--no-cache"]
    command += ["--concurrency", str(AT_ONCE), "--no-report", "--json", "shift.json"]
    return command, _asking(folder, url)


def _by_llmshift(folder: Path, ended: _Ended) -> tuple[int, int]:
    """Return the same as LLMShift says it, which passes over what both models fail."""
    assert ended.returncode == 0, ended.stderr
    checked = json.loads((folder / "shift.json").read_text())["summary"]["by_check"]["equals"]
    assert not {*checked} - {"pass", "skip"}, checked
    return checked["pass"], checked.get("skip", 0)


def _promptfoo(folder: Path, peers: Path, url: str, examples: int) -> _Command:
    """Return the command for the same evaluation; its database is kept, and with it made once."""
    path = folder / "promptfooconfig.json"
    path.write_text(json.dumps(_their_config(url, examples)))
    programs = peers / "node_modules/.bin"
    command = [str(programs / "node"), str(programs / "promptfoo"), "eval", "-c", str(path)]
    command += ["-j", str(AT_ONCE), "--no-cache", "--no-share", "--no-table", "--no-progress-bar"]
    return command, environment(folder, **_QUIET, PROMPTFOO_CONFIG_DIR=str(folder / "promptfoo"))


def _promptfoo_at_its_best(folder: Path, peers: Path, url: str, examples: int) -> _Command:
    """Return what writes a file in the place of the database, with no log and no scheduler.

    It keeps compiled code as Python does.
    """
    command, environ = _promptfoo(folder, peers, url, examples)
    more = _BEST | {"NODE_COMPILE_CACHE": str(folder / "compiled")}
    return [*command, "--no-write", "-o", str(folder / "results.json")], environ | more


def _their_config(url: str, examples: int) -> dict[str, object]:
    settings = {"apiBaseUrl": url, "apiKey": "sk-sandbox", "temperature": 0}
    return {
        "prompts": [json.dumps([{"role": "user", "content": question("{{order}}")}])],
        "providers": [{"id": f"openai:chat:{name}", "config": settings} for name in ARMS],
        "tests": [
            {
                "vars": {"order": str(order)},
                "assert": [{"type": "equals", "value": answer(order)}],
            }
            for order in range(examples)
        ],
    }


def _by_promptfoo(_: Path, ended: _Ended) -> tuple[int, int]:
    """Return how many of either model passed and failed, as promptfoo says it of both."""
    assert ended.returncode in {0, 100}, ended.stderr  # 100: a test failed
    found = re.search(
        r"([\d,]+) passed.*?([\d,]+) failed.*?([\d,]+) errors?", ended.stdout, re.DOTALL
    )
    assert found, ended.stdout
    passed, failed, errors = (int(each.replace(",", "")) for each in found.groups())
    assert errors == passed % len(ARMS) == failed % len(ARMS) == 0
    return passed // len(ARMS), failed // len(ARMS)


_COMMANDS = {
    "ours": _ours,
    "llmshift": _llmshift,
    "default": _promptfoo,
    "best": _promptfoo_at_its_best,
}
_FINDINGS = {
    "ours": _by_ours,
    "llmshift": _by_llmshift,
    "default": _by_promptfoo,
    "best": _by_promptfoo,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, default=PEERS, help="where the peers are installed")
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
