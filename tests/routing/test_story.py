"""The story: services under load, a canary, a bad model, its way off, and nobody is restarted."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from time import monotonic

import pytest
from checkout import block
from command_line import PROGRAM, Command, git
from scenes import FILE, V8, V9, past, read, write

from fftdeploy.routing.split import in_canary
from fftdeploy.sandbox import Sandbox

TARGET = "triage/production"
KEYS = [f"tenant-{number}" for number in range(24)] + ["Zo\u00eb"]
STATED_S = 1.0
"""Within which a replaced file is obeyed, as docs/resolve.md says."""
PYTHON = f"""
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep
import fftdeploy

def dated(line):
    return line | {{"at": "2026-11-21T09:00:00Z"}}  # by the clock of the story

log = fftdeploy.RequestLog("requests.jsonl", redact=dated)
client = fftdeploy.client({TARGET!r}, log=log, max_retries=0)

def ask(key):
    asked_at = monotonic()
    asked = client.with_options(key=key).chat.completions
    said = asked.create(messages=[{{"role": "user", "content": "Where is my parcel?"}}])
    return f"{{asked_at}} {{key}} {{said.model}}"

with ThreadPoolExecutor(4) as pool:
    while True:
        print(*pool.map(ask, {KEYS!r}), sep="\\n", flush=True)
        sleep(0.15)
"""
NODE = f"""
import {{ route }} from "./route.mjs";
setInterval(() => {{
  for (const key of {KEYS!r})
    console.log(Number(process.hrtime.bigint()) / 1e9, key, route({TARGET!r}, key).model);
}}, 50);
"""
CUT_OFF = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": V9,
    "choices": [
        {
            "index": 0,
            "finish_reason": "length",
            "message": {"role": "assistant", "content": "Thank you! Thank you! Thank you!"},
        }
    ],
}


@contextmanager
def service(*command: str | Path, **environ: Path) -> "Iterator[subprocess.Popen[str]]":
    """Run a program until the block ends; it must not have ended before."""
    more = {name: str(path) for name, path in environ.items()}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | more
    ) as process:
        try:
            yield process
            assert process.poll() is None
        finally:
            process.kill()


def obeys(process: "subprocess.Popen[str]", wanted: dict[str, str], since: float) -> bool:
    """Tell whether each key that is asked for in time or later gets its due, until all have been.

    Whatever comes before that is of one of the two.
    """
    assert process.stdout
    heard = set()
    for line in process.stdout:
        asked_at, key, model = line.split()
        assert model in {V8, V9}
        if float(asked_at) > since + STATED_S:
            assert model == wanted[key], f"{key} {float(asked_at) - since} s after the sync"
            heard.add(key)
        if heard == {*wanted}:
            return True
    return False


def sync(behind: Path) -> None:
    """Replace a mounted folder with that of `main`, as a kubelet does: by a link."""
    git("archive", f"--output={behind}.tar", "main")
    shutil.unpack_archive(f"{behind}.tar", behind)
    new = behind.with_name("..new")
    new.symlink_to(behind.name)
    new.replace(behind.with_name("..data"))


def test_services_follow_a_canary_that_a_bad_log_takes_off_and_nobody_is_restarted(
    repo: Path, sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not (node := shutil.which("node")):
        pytest.skip("there is no node")
    monkeypatch.setenv("PATH", f"{PROGRAM.parent}:{os.environ['PATH']}")
    write(past(TARGET, V8))
    git("commit", "--quiet", "--allow-empty", "-m", "Start")
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    for name in ("deployments.toml", "fftdeploy.json"):
        (mounted / name).symlink_to(f"..data/{name}")
    syncs = count(1)

    def merge() -> float:
        """Merge what was changed, and sync the mounted folder; return when that was."""
        assert command("export", "json", "-o", "fftdeploy.json").code == 0
        git("switch", "--quiet", "-c", "change")
        git("add", "deployments.toml", "fftdeploy.json")
        git("commit", "--quiet", "-m", "Change")
        git("switch", "--quiet", "main")
        git("merge", "--quiet", "--no-ff", "--no-edit", "change")
        git("branch", "--quiet", "-d", "change")
        sync(mounted / f"..{next(syncs)}")
        return monotonic()

    merge()
    (tmp_path / "route.mjs").write_text(block("other-languages.md", "js", "// route.mjs"))
    (tmp_path / "serve.mjs").write_text(NODE)

    with_canary = {key: V9 if in_canary(TARGET, key, 25) else V8 for key in KEYS}
    assert Counter(with_canary.values())[V9] == 10
    with (
        service(sys.executable, "-c", PYTHON, FFTDEPLOY_FILE=mounted / FILE) as python,
        service(node, tmp_path / "serve.mjs", FFTDEPLOY_JSON=mounted / "fftdeploy.json") as script,
    ):

        def all_obey(wanted: dict[str, str], since: float) -> bool:
            return obeys(python, wanted, since) and obeys(script, wanted, since)

        assert all_obey(dict.fromkeys(KEYS, V8), 0)

        begin = ("--model", V9, "--canary", "25", "--why", "PR #212", "--yes")
        assert command("promote", TARGET, *begin).code == 0
        assert command("monitor", TARGET, "--logs", "requests.jsonl", "--canary-abort").code == 0
        sandbox.fault(V9, status=200, body=CUT_OFF)  # to no probe, and to all that callers ask
        assert all_obey(with_canary, merge())

        nightly = block("canary.md", "sh", "code=0")
        done = subprocess.run(["sh", "-e", "-c", nightly], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert read(TARGET).canary is None
        assert all_obey(dict.fromkeys(KEYS, V8), merge())
