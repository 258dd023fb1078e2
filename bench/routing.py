"""What an application pays to be told what to ask, and what it hears while models are promoted."""

import json
import os
import subprocess
import time
import timeit
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import sqrt
from pathlib import Path
from typing import Any

from measure import PYTHON, Row, Size, environment, milliseconds, processes
from openai import APIError, OpenAI
from world import deployments

from fftdeploy import client, route
from fftdeploy.routing.split import first_weight
from fftdeploy.sandbox import Sandbox

TARGET = "task-00001/production"
WEIGHTS = (0, 5, 25, 50)
PROCESSES, THREADS = 4, 8
ASKING = f"""
import json, sys, threading, time, fftdeploy
last, newest, wrong = {{}}, int(sys.argv[1]), []
def ask():
    at = 0
    while at < newest:
        began = time.monotonic()
        found = fftdeploy.route("a/b")
        at = found.release or 0
        last[at] = max(began, last.get(at, began))
        if found != f"m-{{at}}": wrong.append(found)
threads = [threading.Thread(target=ask) for _ in range({THREADS})]
for thread in threads: thread.start()
print("ready", flush=True)
for thread in threads: thread.join()
print(json.dumps([last, wrong]))
"""


def bench(folder: Path, runs: int, size: Size) -> list[Row]:
    file = folder / "deployments.toml"
    file.write_text(deployments(3, 3))
    rows = [_cold(folder, runs), _warm(file, size), *_split(size(1_000_000)), *_hot(folder, size)]
    return [*rows, *_gone(folder, size)]


def _cold(folder: Path, runs: int) -> Row:
    commands = {
        "tomllib": [PYTHON, "-c", "import tomllib"],
        "route": [PYTHON, "-c", f"import fftdeploy; fftdeploy.route({TARGET!r})"],
    }
    took = processes(commands, runs, cwd=folder, environ=environment(folder))
    what = "`import fftdeploy; route()` / `import tomllib`, whole processes"
    note = f"{milliseconds(took['route'])}, `import tomllib` {milliseconds(took['tomllib'])}"
    return Row(what, took["route"] / took["tomllib"], 1.2, note=note)


def _warm(file: Path, size: Size) -> Row:
    times = size(100_000)
    took = min(timeit.repeat(lambda: route(TARGET, file=file), number=times, repeat=5))
    return Row("`route()` again", took / times * 1e6, 2, "\u00b5s", f"{times:,} times in a row")


def _split(keys: int) -> list[Row]:
    """Sort keys by the least weight that takes them in; a share is off by standard errors."""
    first = [first_weight("triage/production", f"user-{number}") for number in range(keys)]
    inside = {weight: [at <= weight for at in first] for weight in WEIGHTS}
    off = {
        weight: abs(sum(inside[weight]) / keys - weight / 100)
        / sqrt(weight / 100 * (1 - weight / 100) / keys)
        for weight in WEIGHTS[1:]
    }
    left = sum(
        was and not is_in
        for before, after in pairwise(WEIGHTS)
        for was, is_in in zip(inside[before], inside[after], strict=True)
    )
    shares = ", ".join(f"{w} %: {sum(inside[w]) / keys:.3%}" for w in WEIGHTS[1:])
    what = f"a share of {keys:,} keys, off what is due"
    return [
        Row(what, max(off.values()), 3, "standard errors", shares),
        Row("keys that leave as the weight grows", left, 0, "keys", f"of {keys:,}"),
    ]


def _hot(folder: Path, size: Size) -> list[Row]:
    """Replace a file under threads of several processes; each says when it last heard of each."""
    count, file = size(1_000), folder / "deployments.toml"
    promoted = [_promote(file, 1)]
    asking = [
        subprocess.Popen(
            [PYTHON, "-c", ASKING, str(count)],
            cwd=folder,
            env=environment(folder),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for process in asking:
        assert process.stdout
        process.stdout.readline()
    for number in range(2, count + 1):
        time.sleep(0.002)
        promoted.append(_promote(file, number))
    said = [json.loads(process.communicate()[0]) for process in asking]
    late = [at - promoted[int(n)] for last, _ in said for n, at in last.items() if int(n) < count]
    wrong = sum(len(wrong) for _, wrong in said)
    who = f"{THREADS} threads in each of {PROCESSES} processes, {count:,} promotions"
    return [
        Row("answers that were never live", wrong, 0, "answers", who),
        Row("the oldest answer, since its model was replaced", max(late, default=0), 1, "s", who),
    ]


def _gone(folder: Path, size: Size) -> list[Row]:
    """Delete the live model under calls of 16 threads; the policy has a fallback."""
    calls, model = size(1_000), "ft:gpt-4.1-mini-2025-04-14:acme:triage-v9:CdEf9"
    (folder / "deployments.toml").write_text(f'version = 1\n[a.b]\nmodel = "{model}"\n')
    policy = 'version = 1\n[tasks.a]\nfallback = [{ model = "gpt-6-luna" }]\n'
    (folder / "fftdeploy.toml").write_text(policy)
    with Sandbox() as sandbox:
        os.environ |= {"OPENAI_BASE_URL": sandbox.url, "OPENAI_API_KEY": sandbox.key}
        sandbox.remove(model, after=calls // 2)
        with client("a/b", file=folder / "deployments.toml", max_retries=0) as following:
            answers = _load(following, calls)
            counted: Counter[str] = Counter(vars(following)["calls"].counts)
    failed = calls - answers.total()
    what = f"{calls:,} calls, {answers['gpt-6-luna']:,} by the fallback"
    return [
        Row("calls that failed as their model was deleted", failed, 0, "calls", what),
        Row("calls that were not counted", (answers - counted).total(), 0, "calls", what),
    ]


def _load(following: OpenAI, calls: int) -> Counter[str]:
    """Make calls from 16 threads; count those that were answered, by model."""

    def call(_: int) -> str:
        try:
            said: Any = {"model": "a/b", "messages": [{"role": "user", "content": "hi"}]}
            return str(following.chat.completions.create(**said).model)
        except APIError:
            return ""

    with ThreadPoolExecutor(16) as pool:
        return Counter(filter(None, pool.map(call, range(calls))))


def _promote(file: Path, number: int) -> float:
    """Make a model live in one step, and return when that was."""
    row = f'{{ n = {number}, model = "m-{number}", at = 2026-11-20T16:20:31Z, by = "ci", '
    new = file.with_name("new")
    new.write_text(
        f'version = 1\n[a.b]\nmodel = "m-{number}"\nreleases = [{row}via = "model" }}]\n'
    )
    new.replace(file)
    return time.monotonic()
