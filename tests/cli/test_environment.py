"""Rows G: what the process is given (environment, folders, signals), and what it does then."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import forked
import pytest
import typer.main
from command_line import PROGRAM, Command
from fake_time import FakeTime
from fault_server import KEY, KEY_FORMS, MODEL, FaultServer, Reply, error, good_model, hang, reply
from november import production
from scenes import V8

from fftdeploy import files, git
from fftdeploy.api import asked_hosts, proof
from fftdeploy.api.client import connection
from fftdeploy.cli import app, change_view
from fftdeploy.commands import context, status
from fftdeploy.planning import plan
from fftdeploy.policy import policy
from fftdeploy.releases import edit, text_diff

PROMOTE = ("promote", "triage/production", "--model", MODEL, "--yes", "--why", "x")


@pytest.fixture
def api(repo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FaultServer]:
    (repo / "deployments.toml").write_text(production(V8))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


def echo(server: FaultServer) -> Reply:
    """Answer with the key that was sent, in every place that is printed."""
    return error(
        400,
        f"code-{KEY}",
        f"your header was: Authorization: Bearer {KEY} {' '.join(KEY_FORMS[1:])}",
        headers=[("x-request-id", KEY), ("Retry-After", KEY)],
    )


FAILURES: dict[str, Any] = {
    "none": good_model(),
    "echo": echo,
    "401": error(401, "invalid_api_key", f"Incorrect API key provided: {KEY[:12]}***{KEY[-4:]}"),
    "type": reply(raw=b"x", content_type=f"text/{KEY}"),
    "redirect": reply(302, raw=b"", headers=[("Location", f"http://{KEY}@127.0.0.1:1/{KEY}")]),
    "encoded": reply(raw=b"x", headers=[("Content-Encoding", KEY)]),
    "owner": good_model(owned_by=KEY),
    "id": good_model(id=KEY),
    "date": good_model(shutdown_date=KEY),
    "not-json": reply(raw=KEY.encode()),
    "list": reply(
        body={"object": "list", "data": [{"id": KEY, "object": "model", "owned_by": KEY}]}
    ),
}
COMMANDS = (
    PROMOTE,
    (*PROMOTE, "--json"),
    (*PROMOTE, "--format", "github"),
    (*PROMOTE, "--format", "markdown"),
    (*PROMOTE, "--dry-run"),
    ("promote", "triage/production", "--job", "ftjob-abc", "--yes", "--why", "x", "--wait", "0"),
    ("rollback", "triage/production", "--yes", "--wait", "0"),
    ("rollback", "triage/production", "--yes", "--unverified", "--dry-run"),
    ("adopt", "triage/production", "--yes", "--why", "x"),
    ("hold", "triage/production", MODEL, "--yes", "--why", f"never {KEY}", "--dry-run"),
    ("status",),
    ("status", "--json"),
    ("check",),
    ("check", "--probe", "--json"),
    ("models",),
    ("models", "--json"),
    ("history",),
    ("resolve", "triage/production", "--json"),
    ("promote", KEY, "--model", KEY, "--yes"),
    ("status", KEY, "--json"),
    ("status", f"--{KEY}"),
)
ONLINE = tuple(argv for argv in COMMANDS if argv[0] in {"promote", "rollback", "models"})


def test_F10_the_key_is_nowhere(
    repo: Path, api: FaultServer, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command against every way in which a server, or a mistake, hands the key back."""
    monkeypatch.setattr(context, "system_clock", lambda: FakeTime().clock())
    environs = git_that_tells(tmp_path, monkeypatch)
    runs = 0
    sightings = []
    for name, failure in FAILURES.items():
        answer = failure(api) if callable(failure) else failure
        for model in (MODEL, V8):
            api.retrieve(answer, model=model)
        api.script("GET", "/v1/models", answer)
        api.script("GET", "/v1/fine_tuning/jobs", answer)
        api.script("GET", "/v1/fine_tuning/jobs/ftjob-abc", answer)
        for argv in COMMANDS if name in {"none", "echo"} else ONLINE:
            (repo / "deployments.toml").write_text(production(MODEL, V8))
            done = command(*argv)
            runs += 1
            texts = [done.out, done.err, *written(repo), *written(tmp_path / "tmp")]
            found = [form for form in KEY_FORMS if any(form in text for text in texts)]
            if found:
                sightings.append((name, argv, found, done))
            assert "Traceback" not in done.err
    told = environs.read_text()
    assert "GIT_TERMINAL_PROMPT" in told
    assert not [form for form in KEY_FORMS if form in told]
    print(f"{runs} runs, {len(sightings)} sightings of the key in {len(KEY_FORMS)} forms")
    assert sightings == []


def written(folder: Path) -> list[str]:
    return [
        path.read_text(errors="replace")
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    ]


def git_that_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a `git` first on PATH that writes down its arguments and environment (G4)."""
    real = subprocess.run(
        ["/bin/sh", "-c", "command -v git"], capture_output=True, text=True, check=True
    ).stdout.strip()
    told = tmp_path / "told"
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "git"
    script.write_text(f'#!/bin/sh\n(echo "$@"; env) >> {told}\nexec {real} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return told


def test_F10_control_a_traceback_of_the_bare_sdk_has_the_key(
    capfd: pytest.CaptureFixture[str], api: FaultServer
) -> None:
    import openai

    with openai.OpenAI(api_key=KEY + "\n", base_url=api.url, max_retries=0) as bare:
        try:
            bare.models.retrieve(MODEL)
        except openai.OpenAIError:
            traceback.print_exc()
    assert KEY in capfd.readouterr().err


def test_G3_no_option_takes_the_key() -> None:
    app.run(["--help"])
    group: Any = typer.main.get_command(app.app)
    options = {
        option
        for command in group.commands.values()
        for parameter in command.params
        for option in parameter.opts
    }
    assert len(options) > 20
    options -= {"--key"}  # who asks an application, which is no key of a host
    assert not [option for option in options if "key" in option or "token" in option]


SEAMS = {
    "find": (context, "find_file"),
    "read": (files, "read"),
    "open": (context, "open_workspace"),
    "policy": (policy, "parse"),
    "plan": (plan, "plan_promotion"),
    "edit": (edit, "rewrite"),
    "writable": (files, "check_writable"),
    "settings": (asked_hosts, "settings"),
    "connection": (connection, "Connection"),
    "prove": (proof.Prover, "prove"),
    "diff": (text_diff, "unified"),
    "git": (git, "user_email"),
    "replace": (files, "replace"),
    "status": (status, "run"),
}


@pytest.mark.parametrize("seam", SEAMS)
def test_G2_an_unexpected_failure_is_one_line_and_a_report(
    repo: Path,
    api: FaultServer,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seam: str,
) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise RuntimeError(f"token {KEY} \udcff") from ValueError(f"inner {KEY}")

    (repo / "fftdeploy.toml").write_text("version = 1\n")
    before = (repo / "deployments.toml").read_bytes()
    monkeypatch.setattr(*SEAMS[seam], fail)

    done = command(*(("status",) if seam == "status" else PROMOTE))

    errors = [line for line in done.err.splitlines() if not line.startswith("API: ")]
    assert done.code == 1
    assert errors[0] == "error: unexpected RuntimeError"
    assert errors[1].startswith("hint: please report it with ")
    (report,) = (tmp_path / "tmp").iterdir()
    assert str(report) in errors[1]
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    text = report.read_text()
    assert "RuntimeError: token [redacted]" in text
    assert "Traceback" not in done.err + text
    assert not any(form in done.out + done.err + text for form in KEY_FORMS)
    assert (repo / "deployments.toml").read_bytes() == before


def test_G2_a_failure_after_the_write_says_that_it_was_written(
    repo: Path, api: FaultServer, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise RuntimeError("late")

    monkeypatch.setattr(change_view, "report", fail)

    done = command(*PROMOTE, "--json")

    assert done.code == 1
    assert f'model = "{MODEL}"' in (repo / "deployments.toml").read_text()
    assert "deployments.toml WAS changed" in done.err
    assert "deployments.toml WAS changed" in done.out


def test_G5_home_is_not_needed(
    repo: Path, api: FaultServer, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for home in (None, "/nonexistent", "/proc"):
        monkeypatch.delenv("HOME", raising=False)
        if home:
            monkeypatch.setenv("HOME", home)
        assert command("status").code == 0
        assert command(*PROMOTE, "--dry-run").code == 0


def test_G6_the_working_directory_is_gone(
    repo: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = repo / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for argv in (
        ("status",),
        ("check",),
        ("history",),
        ("resolve", "a/b"),
        PROMOTE,
        ("--version",),
    ):
        done = command(*argv)
        assert done.code == (0 if argv == ("--version",) else 3), done
        assert len(done.err.splitlines()) == (0 if argv == ("--version",) else 2)


def test_G9_optimised_python_refuses_the_same(repo: Path, api: FaultServer) -> None:
    api.retrieve(good_model(id="gpt-4.1"))
    (repo / "hostile.toml").write_text('version = 1\nbase_url = "x"\n')
    code = (
        "import sys; from fftdeploy.cli.app import run; assert False;"
        "print([run(argv) for argv in ("
        f"{list(PROMOTE)!r}, ['status', '--offline', '--file', 'hostile.toml'],"
        "['status', '--offline'])], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-O", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "[9, 3, 0]"
    assert (repo / "deployments.toml").read_text() == production(V8)


def test_G13_without_a_key_nothing_is_claimed(
    repo: Path, api: FaultServer, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")

    for argv in (("check",), ("check", "--offline"), ("check", "--format", "markdown")):
        done = command(*argv)
        assert done.code == 0
        assert "NOT VERIFIED with the API" in done.out
    assert "not verified with the API" in command("status").out
    assert api.accepted == 0


def test_G14_time_zones_write_the_same_bytes(
    repo: Path, api: FaultServer, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    texts = set()
    monkeypatch.setenv("FFTDEPLOY_NOW", "2028-02-29T23:30:00Z")
    for zone in ("UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/St_Johns"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        (repo / "deployments.toml").write_text(production(V8))
        done = command("hold", "triage/production", MODEL, "--yes", "--why", "x", "--by", "a")
        assert done.code == 0
        texts.add((repo / "deployments.toml").read_text())
    monkeypatch.delenv("TZ")
    time.tzset()
    assert len(texts) == 1
    assert "since = 2028-02-29T23:30:00Z" in texts.pop()


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def started(api: FaultServer, *argv: str, **more: Any) -> subprocess.Popen[str]:
    """Start the console script, and return once it waits for the API."""
    api.retrieve(Reply("hang", act=hang))
    api.log.clear()
    process = subprocess.Popen(
        [PROGRAM, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )
    wait_for_request(api)
    return process


def wait_for_request(api: FaultServer) -> None:
    import time

    for _ in range(600):
        if api.log:
            return
        time.sleep(0.05)
    pytest.fail("nothing was asked")


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_while_the_api_is_asked_changes_nothing(
    repo: Path, api: FaultServer, number: signal.Signals
) -> None:
    # One is sent to the process of its own that anybody starts, the others are handed on to it.
    more = {} if number == signal.SIGTERM else {"PYTHONPATH": forked.path()}
    process = started(api, *PROMOTE, "--json", env={**os.environ, **more})
    process.send_signal(number)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 128 + number
    assert f"error: stopped by {number.name}; nothing was changed" in err
    assert '"outcome": "stopped"' in out
    assert f'"exit_code": {128 + number}' in out
    assert "Traceback" not in err
    assert (repo / "deployments.toml").read_text() == production(V8)
    assert sorted(path.name for path in repo.iterdir()) == [".git", "deployments.toml"]


def test_a_signal_after_the_write_says_that_it_was_written(
    repo: Path, api: FaultServer, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        return ""

    monkeypatch.setattr(change_view, "report", stop)

    done = command(*PROMOTE)

    assert done.code == 143
    assert "error: stopped by SIGTERM\n" in done.err
    assert f"note: deployments.toml WAS changed (triage/production: {V8} -> {MODEL})" in done.err
    assert f'model = "{MODEL}"' in (repo / "deployments.toml").read_text()


def test_G11_an_ignored_interrupt_stays_ignored(repo: Path, api: FaultServer) -> None:
    process = started(
        api, *PROMOTE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
    )
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)

    assert process.returncode == 143
    assert "stopped by SIGTERM; nothing was changed" in err


def test_G10_the_first_process_of_a_container_ends_on_SIGTERM(repo: Path, api: FaultServer) -> None:
    prefix = ["unshare", "-fp", "--mount-proc", "--kill-child"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this machine lets nobody make a PID namespace")
    api.retrieve(Reply("hang", act=hang))
    process = subprocess.Popen(
        [*prefix, PROGRAM, *PROMOTE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for_request(api)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)
    _, err = process.communicate(timeout=20)

    assert "stopped by SIGTERM; nothing was changed" in err
