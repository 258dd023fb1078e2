"""The one boundary: exit codes, two lines of error, one JSON document, pipes and terminals."""

import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import PROGRAM, Command
from fake_time import FakeTime
from fault_server import KEY, MODEL, FaultServer, error, missing, reply
from november import production
from scenes import V8

from fftdeploy import errors
from fftdeploy.commands import context
from fftdeploy.errors import FftdeployError

PROMOTE = ("promote", "triage/production", "--model", MODEL, "--yes", "--why", "x")


@pytest.fixture
def api(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    (repo / "deployments.toml").write_text(production(MODEL, V8))
    with FaultServer() as server:
        server.script("GET", f"/v1/models/{V8}", missing())
        server.script("GET", "/v1/fine_tuning/jobs", reply(body={"object": "list", "data": []}))
        server.listing()
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


COMMANDS = {
    "status": ("status",),
    "check": ("check",),
    "history": ("history",),
    "models": ("models",),
    "resolve": ("resolve", "triage/production"),
    "promote": PROMOTE,
    "rollback": ("rollback", "triage/production", "--yes"),
    "adopt": ("adopt", "triage/production", "--yes", "--why", "x"),
    "hold": ("hold", "triage/production", V8, "--yes", "--why", "x"),
    "unhold": ("unhold", "triage/production", "--yes", "--why", "x"),
}
SITUATIONS = (
    "good",
    "usage",
    "unknown",
    "broken-file",
    "no-file",
    "no-key",
    "down",
    "401",
    "missing",
)


def arrange(situation: str, repo: Path, api: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    file = repo / "deployments.toml"
    if situation == "broken-file":
        file.write_text("version = ")
    elif situation == "no-file":
        file.unlink()
    elif situation == "no-key":
        monkeypatch.delenv("OPENAI_API_KEY")
    elif situation in {"down", "401", "missing"}:
        fault = {"down": error(503, None), "401": error(401, "x"), "missing": missing()}[situation]
        for model in (MODEL, V8):
            api.retrieve(fault, model=model)
        api.script("GET", "/v1/models", fault)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_F8_json_is_one_document_whatever_happens(
    repo: Path,
    api: FaultServer,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    situation: str,
) -> None:
    monkeypatch.setattr(context, "system_clock", lambda: FakeTime().clock())
    arrange(situation, repo, api, monkeypatch)
    names = {outcome.exit_code: outcome for outcome in errors.OUTCOMES}
    for name, argv in COMMANDS.items():
        more = {"usage": ("--nonsense",), "unknown": ("--file", "else.toml")}.get(situation, ())
        before = {path.name: path.read_bytes() for path in repo.glob("*.toml")}
        done = command(*argv, *more, "--json")
        said = json.loads(done.out)

        assert done.out.isascii()
        assert said["schema"] == f"fftdeploy.{name}/1"
        outcome = names[done.code]
        assert said["outcome"] == outcome.name, done
        assert (said["exit_code"], said["retry"]) == (done.code, outcome.retry)
        if "error" in said:
            assert done.code not in {0, 12}
            first = next(text for text in done.err.splitlines() if not text.startswith("API: "))
            assert first.startswith(f"error: {said['error']['message']}"), done
            assert {path.name: path.read_bytes() for path in repo.glob("*.toml")} == before
        else:
            assert done.code in {0, 9, 10, 12}


EXITS = {
    # what is asked, the exit code
    "ok": (("history",), 0),
    "usage-flag": (("history", "--nonsense"), 2),
    "usage-command": (("nonsense",), 2),
    "usage-format": (("history", "--format", "xml"), 2),
    "usage-missing": (("promote",), 2),
    "usage-number": (("rollback", "production", "--to", "x", "--yes"), 2),
    "usage-target": (("history", "triage/prod"), 2),
    "F12-no-terminal": (("promote", "triage/production", "--model", MODEL), 2),
    "config": (("history", "--file", "none.toml"), 3),
    "unknown provider": ((*PROMOTE, "--provider", "azure"), 2),
    "not-ready": (("promote", "triage/production", "--model", "gpt-4.1", "--yes"), 4),
    "conflict": ((*PROMOTE, "--expect-current", "gpt-x"), 8),
    "help": (("--help",), 0),
    "version": (("--version",), 0),
}


@pytest.mark.parametrize("row", EXITS)
def test_exit_codes_and_two_lines(repo: Path, api: FaultServer, command: Command, row: str) -> None:
    argv, code = EXITS[row]
    before = (repo / "deployments.toml").read_bytes()

    done = command(*argv)

    assert done.code == code, done
    lines = [text for text in done.err.splitlines() if not text.startswith("API: ")]
    if code:
        assert lines[0].startswith("error: "), lines
        assert lines[1].startswith("hint: "), lines
        assert all(text.startswith("Usage: ") for text in lines[2:]), lines
        assert done.out == ""
    assert (repo / "deployments.toml").read_bytes() == before


@pytest.mark.parametrize("broken", [True, False], ids=["broken", "absent"])
def test_F17_help_needs_nothing(repo: Path, command: Command, broken: bool) -> None:
    if broken:
        (repo / "deployments.toml").write_bytes(b"\xff\xfe<<<<<<<")
        (repo / "fftdeploy.toml").write_text("version = ")
    for name in COMMANDS:
        assert command(name, "--help").code == 0
    assert command("--version").out == "0.1.0\n"


def test_a_mistake_in_the_environment_is_no_bug(
    repo: Path, api: FaultServer, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value, code in (
        ("FFTDEPLOY_NOW", "soon", 2),
        ("OPENAI_BASE_URL", "::", 3),
        ("OPENAI_CUSTOM_HEADERS", "a b: c", 3),
        ("OPENAI_ORG_ID", "a\nb", 10),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            done = command("models")
            assert done.code == code, (name, done)
            assert done.err.startswith(("error: ", "API: "))
            assert "error: " in done.err


def shell(script: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `$F` is the console script."""
    environ = {**os.environ, "F": str(PROGRAM)}
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=environ, check=False
    )


@pytest.mark.usefixtures("forked_commands")
def test_F9_a_reader_that_goes_away(repo: Path, api: FaultServer) -> None:
    """A read-only command is quiet and exits 141, however its reader went."""
    for argv in ("status --offline", "history --json", "--help", "resolve production"):
        for end in ("| true", ">&-"):
            done = shell(f'exec 3>&1; (sleep 0.1; "$F" {argv}; echo "code $?" >&3) {end}'
                         if end == "| true" else f'"$F" {argv} {end}; echo "code $?"')  # fmt: skip
            quiet_help = argv == "--help" and end == ">&-"
            assert done.stdout == f"code {0 if quiet_help else 141}\n", (argv, end, done)
            assert done.stderr == "", (argv, end)


@pytest.mark.usefixtures("forked_commands")
def test_F9_F10_promote_has_changed_the_file_and_says_so(repo: Path, api: FaultServer) -> None:
    text = production(MODEL, V8)
    for end, code in (("| true", 141), (">&-", 141), (">/dev/full", 11)):
        (repo / "deployments.toml").write_text(text)
        line = f'"$F" {" ".join(PROMOTE)}'
        done = shell(f'({line}; echo "code $?" >&2) {end}' if "|" in end else f'{line} {end}; echo "code $?" >&2')  # noqa: E501  a command line is one line  # fmt: skip
        after = (repo / "deployments.toml").read_text()
        assert f"code {code}\n" in done.stderr, (end, done.stderr)
        assert f"deployments.toml WAS changed (triage/production: {V8} -> {MODEL})" in done.stderr
        assert f'production]\nmodel = "{MODEL}"' in after
        assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("forked_commands")
def test_F10_a_full_disk_under_stdout(repo: Path, api: FaultServer) -> None:
    for argv in ("history", "history --json", "--help", "--version", "resolve production"):
        done = shell(f'"$F" {argv} > /dev/full; echo "code $?"')
        assert done.stdout == "code 11\n", (argv, done)
        assert done.stderr.splitlines()[0] == "error: No space left on device writing to stdout"
        assert "Exception" not in done.stderr
    done = shell('"$F" history --file none.toml --json > /dev/full; echo "code $?"')
    assert done.stdout == "code 3\n"


@pytest.mark.usefixtures("forked_commands")
def test_F12_without_a_terminal_nothing_is_asked_or_coloured(repo: Path, api: FaultServer) -> None:
    done = subprocess.run(
        [PROGRAM, "promote", "production", "--model", MODEL, "--why", "x"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "nobody can be asked here" in done.stderr
    assert "--yes" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_F15_the_cursor_comes_back(
    repo: Path, api: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A progress line that is killed gives the cursor back."""
    job: dict[str, object] = {
        "id": "ftjob-abc",
        "object": "fine_tuning.job",
        "status": "running",
        "model": "gpt-4.1",
    }
    job |= {"created_at": 1, "fine_tuned_model": None, "finished_at": None, "error": None}
    api.script("GET", "/v1/fine_tuning/jobs/ftjob-abc", reply(body=job))
    api.script("GET", "/v1/fine_tuning/jobs/ftjob-abc/events", reply(body={"data": []}))
    monkeypatch.setenv("TERM", "xterm-256color")
    controller, terminal = pty.openpty()
    argv = ["promote", "production", "--job", "ftjob-abc", "--why", "x", "--wait", "60s", "--yes"]
    process = subprocess.Popen(
        [PROGRAM, *argv], stdin=terminal, stdout=terminal, stderr=terminal, close_fds=True
    )
    os.close(terminal)
    shown = read_until(controller, b" s of 60 s)")
    process.terminate()
    shown += read_until(controller, b"nothing was changed")
    assert process.wait(20) == 143
    os.close(controller)
    assert b"\rftjob-abc: running (" in b"\r" + shown.replace(b"\n", b"\r")
    assert shown.rfind(b"\x1b[?25h") >= shown.rfind(b"\x1b[?25l")
    assert b"\r\x1b[1;31merror:\x1b[0m stopped by SIGTERM; nothing was changed" in shown


def read_until(controller: int, wanted: bytes) -> bytes:
    shown = b""
    deadline = time.monotonic() + 30
    while wanted not in shown and time.monotonic() < deadline:
        if select.select([controller], [], [], 0.2)[0]:
            try:
                shown += os.read(controller, 65536)
            except OSError:  # the other end is closed
                break
    return shown


@pytest.mark.usefixtures("forked_commands")
def test_a_declined_plan_changes_nothing(repo: Path, api: FaultServer) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "promote", "production", "--model", MODEL, "--why", "x"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        close_fds=True,
    )
    os.close(terminal)
    shown = read_until(controller, b"[y/N]")
    os.write(controller, b"no\xff\n")
    shown += read_until(controller, b"nothing was changed")
    assert process.wait(20) == 130
    os.close(controller)
    assert shown.count(b"production") == 1, "the plan is shown once"
    assert (repo / "deployments.toml").read_text() == production(MODEL, V8)


def test_every_failure_that_the_boundary_meets_is_two_lines() -> None:
    for failure in FftdeployError.__subclasses__():
        made = failure("what", hint="type", where="place")
        assert (str(made), made.hint, made.where, made.code) == (
            "what",
            "type",
            "place",
            failure.outcome.name,
        )
