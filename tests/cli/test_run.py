"""`run`: another program with the model in its environment, and nothing of us left in its way."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import PROGRAM, Command
from scenes import V8, past, write, write_profile

SHOW = "import json, os, sys; print(json.dumps([dict(os.environ), sys.argv[1:], os.getpid()]))"


def run(*words: str, **more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [PROGRAM, "run", "triage/production", "--", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **more},
        text=True,
    )


@pytest.fixture(autouse=True)
def files(repo: Path) -> None:
    write(past("triage/production", V8))


def test_the_program_is_told_and_is_this_very_process(repo: Path) -> None:
    process = run(sys.executable, "-c", SHOW, "--json", "-x", "a b", FFTDEPLOY_PROFILE="stale")
    environ, arguments, pid = json.loads(process.communicate()[0])

    ours = {name: value for name, value in environ.items() if name.startswith("FFTDEPLOY_")}
    assert ours == {
        "FFTDEPLOY_TARGET": "triage/production",
        "FFTDEPLOY_MODEL": V8,
        "FFTDEPLOY_PROVIDER": "openai",
        "FFTDEPLOY_RELEASE": "1",
        "FFTDEPLOY_FILE": str(repo / "deployments.toml"),
    }
    assert arguments == ["--json", "-x", "a b"]
    assert pid == process.pid


def test_exit_code_and_signals_are_the_programs(repo: Path) -> None:
    failed = run("sh", "-c", "exit 37")
    failed.communicate()
    assert failed.returncode == 37
    asleep = run("sh", "-c", "trap 'echo got; exit 5' TERM; echo up; while :; do sleep 0.05; done")
    assert asleep.stdout
    assert asleep.stdout.readline() == "up\n"
    asleep.send_signal(signal.SIGTERM)
    assert (asleep.communicate()[0], asleep.returncode) == ("got\n", 5)
    # What Python ignores is not handed on: `yes` ends by the closed pipe, without a word.
    piped = run("sh", "-c", "yes | head -1; exit 0")
    assert piped.communicate() == ("y\n", "")


def test_what_cannot_be_run_is_told(command: Command) -> None:
    Path("plain").write_text("")
    none, denied = run("no-such-program"), run("./plain")
    assert "error: 'no-such-program' can't be run: No such file" in none.communicate()[1]
    assert "can't be run: Permission denied" in denied.communicate()[1]
    assert (none.returncode, denied.returncode) == (2, 2)
    assert "'' can't be run: no program has that name" in run("").communicate()[1]
    assert command("run", "triage/production").code == 2
    assert command("run", "triage/nowhere", "--", "true").code == 2


def test_json_shows_what_would_be_run(command: Command, repo: Path) -> None:
    profile = write_profile("brief", "Be brief.")
    assert profile
    write(
        past("triage/production", V8).replace(
            f'model = "{V8}"\n', f'model = "{V8}"\nprofile = "brief"\n'
        )
    )

    found = json.loads(command("run", "triage/production", "--json", "--", "false").out)

    assert found["command"] == ["false"]
    assert found["environment"]["FFTDEPLOY_PROFILE"] == str(repo / "profiles/brief.toml")
    assert "FFTDEPLOY_RELEASE" not in found["environment"]  # a hand edit
