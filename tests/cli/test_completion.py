"""The shell completes what the files know, at each place where it may stand, and nothing else."""
# ruff: noqa: E501  a case is a line of its table

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import forked
import gated
import pytest
import typer
from command_line import PROGRAM, Command
from scenes import FILE, V7, V8, V9, V10, hold, past, write, write_profile

from fftdeploy.cli import app

pytestmark = pytest.mark.usefixtures("repo")
NAME = "triage/production"
AGAIN = V9.replace("CdEf9", "GhIj2")
RUN = "triage-20261121T090000Z-abc123"
ID = "5fcb2a35d0c1" + "0" * 20

FREE = {
    # What no file here knows, by its parameter.
    *("help", "why", "by", "wait_s", "until", "within_days", "at", "watch", "base", "job", "port", "now"),
    *("max_usd", "max_requests", "repeats", "concurrency", "pick", "key", "canary", "act"),
    # Paths, which the shell completes itself.
    *("file", "comment", "paths", "training", "out", "output", "requests", "to", "folder", "examples", "calendar"),
    *("report", "logs", "baseline", "prom_file", "labels"),
    # Another program's.
    "words",
    # Names that are new, and a name that is asked for before there are files.
    *("env", "live"),
}  # fmt: skip


def scene() -> None:
    """Write one of everything that is completed."""
    gated.scene(V7, V8)
    write(
        past("triage/staging", V7, V8, V9, AGAIN),
        past(NAME, V7, V8, holds=[hold(V9), hold(V10, lifted="x")]),
        past("tone/dev", "gpt-6-luna"),
        policy=gated.POLICY,
    )
    write_profile("long")
    evidence = Path(".fftdeploy/evidence/triage")
    evidence.mkdir(parents=True)
    (evidence / f"{ID}.json").write_text("{}")
    Path(".fftdeploy/runs").mkdir()
    Path(f".fftdeploy/runs/{RUN}.jsonl").write_text("")


Complete = Callable[..., list[str]]


@pytest.fixture
def complete(command: Command, monkeypatch: pytest.MonkeyPatch) -> Complete:
    def run(*words: str) -> list[str]:
        """Return what bash is told behind `words`, of which the last one is typed on."""
        split = [part for word in ("fftdeploy", *words) for part in _as_bash_splits(word)]
        monkeypatch.setenv("_FFTDEPLOY_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", "\n".join(split))
        monkeypatch.setenv("COMP_CWORD", str(len(split) - 1))
        ended = command()
        assert ended.err == ""
        return [line for line in ended.out.splitlines() if line]

    return run


def _as_bash_splits(word: str) -> list[str]:
    return [part for part in re.split("(:+)", word) if part] or [""]


SHORT = ["triage-v7", "triage-v8", "triage-v9:CdEf9", "triage-v9:GhIj2"]
WORDS = [
    # what is typed, what the shell is told
    ("status t", ["triage/staging", NAME, "tone/dev", "triage", "tone"]),
    ("resolve triage/p", [NAME]),
    ("promote ", ["triage/staging", NAME, "tone/dev"]),
    (f"promote {NAME} --from ", ["staging", "production", "dev"]),
    (f"promote {NAME} --model triage", SHORT),
    (f"promote {NAME} --model ft", [V7, V8, V9, AGAIN]),
    (f"promote {NAME} --model {V8[:-3]}", ["BbCc8"]),
    (f"promote {NAME} --model ft:", [V7[3:], V8[3:], V9[3:], AGAIN[3:]]),
    (f"promote {NAME} --model triage-v9:", ["CdEf9", "GhIj2"]),
    (f"promote {NAME} --override soak,o", ["soak,order"]),
    (f"promote {NAME} --expect-current ", ["triage-v8"]),
    (f"promote {NAME} --profile ", ["long"]),
    (f"rollback {NAME} --to ", ["2", "1", "triage-v7", "triage-v8"]),
    (f"unhold {NAME} ", ["triage-v9"]),
    (f"hold {NAME} triage-v8", ["triage-v8"]),
    (f"eval {NAME} triage-v8@", ["triage-v8@long"]),
    (f"eval {NAME} --against live,b", ["live,base"]),
    ("status --fail-on dead,", ["dead,runway:30d", "dead,hand-edit", "dead,no-rollback", "dead,stale", "dead,drift"]),
    ("report 5", [ID[:12]]),
    ("verify ", [ID[:12]]),
    ("review ", ["triage", "tone"]),
    ("review triage --run ", [RUN]),
    ("diff t", ["triage/staging", NAME, "tone/dev", "triage", "tone"]),
    ("diff staging ", ["staging", "production", "dev", "triage/staging", NAME, "tone/dev", "triage", "tone"]),
    ("init --ci ", ["github", "gitlab"]),
    ("schema ", ["deployments", "policy", "output"]),
    ("status --format j", ["json"]),
    ("resolve x", []),
]  # fmt: skip


@pytest.mark.parametrize(("line", "told"), WORDS)
def test_F17_what_the_files_know_is_completed(
    line: str, told: list[str], complete: Complete
) -> None:
    scene()
    assert complete(*line.split(" ")) == told


def test_F17_each_parameter_of_a_known_kind_is_completed(complete: Complete) -> None:
    scene()
    complete("")  # registers all commands
    before = {"target": NAME, "task": "triage", "a": "staging"}
    empty = []
    for name, command in typer.main.get_command(app.app).commands.items():  # type: ignore[attr-defined]  # of a group
        given: list[str] = []
        for parameter in command.params:
            is_flag = getattr(parameter, "is_flag", False)
            is_argument = parameter.param_type_name == "argument"
            flag = [] if is_argument else [parameter.opts[0]]
            is_free = parameter.name in FREE and (name, parameter.name) != ("rollback", "to")
            if not is_flag and not is_free and not complete(name, *given, *flag, ""):
                empty.append((name, parameter.name))
            if is_argument:
                given += [before.get(parameter.name or "", "x")]
    assert empty == []


def test_F17_a_file_that_says_anything_completes_names_only(complete: Complete) -> None:
    owned = '["$(touch owned)"."`id`"]\nmodel = "m"\n["\\u001b[2J".x]\n'
    models = '[a.b]\nmodel = "$(touch owned)"\nreleases = [{ n = "$(id)", model = [] }, 7]\n'
    FILE.write_text("\ufeff" + past(NAME, V8) + owned + models)
    Path("fftdeploy.toml").write_text('order = [[1], "`id`"]\ntasks = 3\nenvironments = []\n')
    assert complete("resolve", "") == [NAME, "a/b"]
    assert complete("promote", "a/b", "--model", "") == ["triage-v8"]
    assert complete("rollback", "a/b", "--to", "") == []
    assert complete("promote", "a/b", "--from", "") == ["production", "b"]
    for text in ("version = ", "", "x = [" + "[" * 5000, "x = 1\nx.y = 2"):
        FILE.write_text(text)
        assert complete("status", "") == []
    FILE.unlink()
    assert complete("status", "") == []
    os.mkfifo(FILE)
    assert complete("status", "") == []


def test_F17_bash_itself_completes_by_the_console_script() -> None:
    scene()
    script = """
        source <(fftdeploy --show-completion bash)
        said() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _fftdeploy_completion fftdeploy
                 printf '%s ' "${COMPREPLY[@]}"; echo; }
        said fftdeploy rollback triage/production --to tri
        said fftdeploy hold triage/production ft : gpt-4.1-mini-2025-04-14 : acme : triage-v8 :
    """
    environ = os.environ | {"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}
    environ["PYTHONPATH"] = forked.path()
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("triage-v7 triage-v8 \nBbCc8 \n", "")
