"""The story: services under load, a canary, a bad model, its way off, and nobody is restarted."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkout import ROOT
from command_line import Command
from scenes import V8, V9, past, write

from fftdeploy.routing.split import first_weight, in_canary
from fftdeploy.sandbox import Sandbox

TARGET = "triage/production"
KEYS = [f"user-{number}" for number in range(24)] + ["Zo\u00eb"]
PYTHON = f"""
import fftdeploy
client = fftdeploy.client({TARGET!r}, max_retries=0)
while True:
    for key in {KEYS!r}:
        asked = client.with_options(key=key).chat.completions
        said = asked.create(messages=[{{"role": "user", "content": "hi"}}])
        print(key, said.model, flush=True)
"""
NODE = f"""
import {{ route }} from "./route.mjs";
setInterval(() => {{
  for (const key of {KEYS!r}) console.log(key, route({TARGET!r}, key).model);
}}, 50);
"""


def reader() -> str:
    """Return the reader of the documentation."""
    page = (ROOT / "docs/other-languages.md").read_text()
    (code,) = re.findall(r"```js\n(// route.mjs.*?)```", page, re.DOTALL)
    return str(code)


@contextmanager
def service(*command: str) -> "Iterator[subprocess.Popen[str]]":
    """Run a program until the block ends; it must not have ended before."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
            assert process.poll() is None
        finally:
            process.kill()


def heard(process: "subprocess.Popen[str]", wanted: dict[str, str]) -> bool:
    """Read answers until a whole round is as wanted; whatever comes meanwhile was live once."""
    assert process.stdout
    latest: dict[str, str] = {}
    for line in process.stdout:
        key, model = line.split()
        assert model in {V8, V9}
        latest[key] = model
        if latest == wanted:
            return True
    return False


def sync(mounted: Path, number: int) -> None:
    """Replace the mounted folder as a kubelet does: by a link."""
    behind = mounted / f"..{number}"
    behind.mkdir(parents=True)
    for name in ("deployments.toml", "fftdeploy.json"):
        shutil.copy(name, behind / name)
        if number == 1:
            (mounted / name).symlink_to(f"..data/{name}")
    (mounted / "..new").symlink_to(behind.name)
    (mounted / "..new").replace(mounted / "..data")


def test_services_follow_a_canary_and_its_way_off_without_a_restart(
    repo: Path, sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not (node := shutil.which("node")):
        pytest.skip("there is no node")
    write(past(TARGET, V8))
    mounted = tmp_path / "mounted"
    monkeypatch.setenv("FFTDEPLOY_JSON", str(mounted / "fftdeploy.json"))
    (tmp_path / "route.mjs").write_text(reader())
    (tmp_path / "serve.mjs").write_text(NODE)

    def merged(number: int) -> None:
        assert command("export", "json", "-o", "fftdeploy.json").code == 0
        sync(mounted, number)

    all_live = dict.fromkeys(KEYS, V8)
    with_canary = {key: V9 if in_canary(TARGET, key, 25) else V8 for key in KEYS}
    assert set(with_canary.values()) == {V8, V9}
    merged(1)
    monkeypatch.setenv("FFTDEPLOY_FILE", str(mounted / "deployments.toml"))
    file = ("--file", "deployments.toml", "--yes", "--why", "PR #212")
    with (
        service(sys.executable, "-c", PYTHON) as python,
        service(node, str(tmp_path / "serve.mjs")) as javascript,
    ):
        services = (python, javascript)
        assert [heard(one, all_live) for one in services] == [True, True]
        monkeypatch.delenv("FFTDEPLOY_FILE")
        assert command("promote", TARGET, "--model", V9, "--canary", "25", *file).code == 0
        merged(2)
        assert [heard(one, with_canary) for one in services] == [True, True]
        assert command("rollback", TARGET, *file).code == 0
        merged(3)
        assert [heard(one, all_live) for one in services] == [True, True]


def test_the_reader_in_javascript_splits_as_we_do(tmp_path: Path) -> None:
    if not (node := shutil.which("node")):
        pytest.skip("there is no node")
    keys = [*(f"user-{number}" for number in range(500)), "", "Zo\u00eb", "x" * 23, "x" * 300]
    (tmp_path / "route.mjs").write_text(reader())
    ask = f'import {{ firstWeight }} from "./route.mjs"; for (const key of {keys!r}) '
    (tmp_path / "ask.mjs").write_text(f"{ask}console.log(firstWeight({TARGET!r}, key));")

    done = subprocess.run([node, tmp_path / "ask.mjs"], capture_output=True, text=True, check=True)

    assert [int(line) for line in done.stdout.split()] == [first_weight(TARGET, k) for k in keys]
