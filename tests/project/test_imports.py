"""What a command does not need it does not import: the SDK costs half a second."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import PROGRAM
from gated import TARGET, scene
from scenes import V8, V9, V10

from fftdeploy.sandbox import Sandbox

FILE = f'version = 1\n\n[triage.production]\nmodel = "{V9}"\n'
HEAVY = (
    *("openai", "httpx2", "aiohttp", "tomlkit", "rich", "typer", "fftdeploy.sandbox"),
    *("asyncio", "jsonschema", "fftdeploy.evaluation.gate.gate"),
)

# In a process of its own: run the commands, and say after each what it has brought in.
PROBE = """
import contextlib, io, json, os, sys
from fftdeploy.cli.app import run
seen = []
for argv in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = run(argv)
    seen.append([code, [name for name in json.loads(sys.argv[2]) if name in sys.modules]])
print(json.dumps(seen))
"""
COMMANDS = (
    (["--help"], 0, ["typer"]),
    (["--version"], 0, ["typer"]),
    (["promote", "--help"], 0, ["typer"]),
    (["resolve", "triage/production"], 0, ["typer"]),
    (["nonsense"], 2, ["typer"]),
    (["promote", "triage/production", "--nonsense"], 2, ["typer"]),
    (["promote", "triage/nonsense", "--model", V9, "--yes"], 2, ["typer"]),
    (["resolve", "triage/production", "--json"], 0, ["typer"]),
    (["status", "--offline"], 0, ["rich", "typer"]),
    (["status"], 0, ["rich", "typer"]),  # there is no key
    (["history"], 0, ["rich", "typer"]),
    (["diff", "production", "production"], 0, ["rich", "typer"]),
    (["check", "--offline"], 0, ["rich", "typer"]),
    (["scan"], 0, ["rich", "typer"]),
    (["hold", "triage/production", "gpt-6-luna", "--why", "x", "--dry-run"], 0, None),
    (["adopt", "triage/production", "--why", "x", "--dry-run"], 0, None),
    (["promote", "triage/production", "--model", "gpt-6-luna", "--dry-run"], 10, None),
    (["eval", "--help"], 0, None),
    (["verify"], 0, None),
    (["eval", "triage/production", "gpt-6-luna"], 3, None),  # there is no gate
    (["size", "triage/production", "gpt-6-luna"], 3, None),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "deployments.toml").write_text(FILE)
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_G15_no_offline_command_imports_the_sdk(folder: Path) -> None:
    arguments = [json.dumps([argv for argv, _, _ in COMMANDS]), json.dumps(HEAVY)]
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROBE, *arguments], capture_output=True, text=True, check=True
    )

    for (argv, code, allowed), (got, imported) in zip(
        COMMANDS, json.loads(done.stdout), strict=True
    ):
        assert got == code, argv
        assert not {"openai", "httpx2", "aiohttp", "fftdeploy.sandbox"} & {*imported}, argv
        assert allowed is None or {*imported} <= {*allowed, "tomlkit"}, argv


def imported_by(*argv: str, **environ: str) -> list[str]:
    """Run the console script as it is and return the modules that it imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(PROGRAM), *argv],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environ},
    )
    return [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line]


def test_G15_resolve_imports_no_command_line(folder: Path) -> None:
    imported = imported_by("resolve", "triage/production")

    assert "fftdeploy.routing.runtime" in imported
    packages = {name.partition(".")[0] for name in imported}
    assert not packages & {"openai", "rich", "typer", "tomlkit", "dataclasses", "argparse"}


def test_G15_completion_imports_no_sdk(folder: Path) -> None:
    imported = imported_by(
        _FFTDEPLOY_COMPLETE="complete_bash",
        COMP_WORDS="fftdeploy status tri",
        COMP_CWORD="2",
    )

    assert not {name.partition(".")[0] for name in imported} & {"openai", "httpx2", "aiohttp"}


def test_G15_only_an_evaluation_goes_without_the_sdk(repo: Path, sandbox: Sandbox) -> None:
    scene(V8, V10)
    environ = {name: value for name, value in os.environ.items() if "OPENAI" in name}
    environ["FFTDEPLOY_NOW"] = os.environ["FFTDEPLOY_NOW"]
    clients = {"aiohttp.client", "openai", "httpx2"}

    for command, found in (("eval", {"aiohttp.client"}), ("status", {"openai", "httpx2"})):
        assert {*imported_by(command, TARGET, **environ)} & clients == found, command
