"""`monitor` tells people, on the command line: files, a channel and issues, and no exit code."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Command
from forge import Forge, serve
from scenes import POLICY, V7, V8, past, write

from fftdeploy.sandbox import Sandbox

TARGET = "triage/production"


@pytest.fixture
def forge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    with serve() as served:
        for name, value in served.environ("github").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("FFTDEPLOY_WEBHOOK_URL", served.hook)
        yield served


def test_monitor_tells_everybody_and_ends_as_it_would_alone(
    repo: Path, sandbox: Sandbox, forge: Forge, command: Command
) -> None:
    write(past(TARGET, V7, V8), policy=POLICY)
    tells = ["--issues", "github", "--prom-file", "x.prom"]

    well = command("monitor", *tells)
    (issue,) = forge.issues
    near = f"<!-- fftdeploy:monitor {TARGET} [rollback-runway-60,runway-60] -->\n"
    assert (well.code, issue["text"].startswith(near)) == (0, True)
    assert f'fftdeploy_model_days_to_shutdown{{target="{TARGET}",role="live"}} 54\n' in (
        Path("x.prom").read_text()
    )
    (told,) = forge.told
    assert told["text"].splitlines()[1:] == [
        f"{V8}, live in {TARGET}, shuts down in 54 days: fewer than 60 left",
        f"the way back of {TARGET} shuts down in 54 days: fewer than 60 left",
    ]

    sandbox.remove(V8)
    alone = command("monitor", "--fresh")
    assert [one["text"].splitlines()[1:] for one in forge.told[1:]] == [[f"{TARGET}: dead ({V8})"]]
    for refuses in ({}, {"GET": 500, "POST": 500}):
        forge.refuses = refuses
        dead = command("monitor", "--fresh", *tells)
        assert dead.code == alone.code == 12
        assert dead.out == alone.out
    assert "note: whom GITHUB_API_URL names was not told: HTTP 500\n" in dead.err
    assert forge.issues == [issue]
    assert [text.partition(".")[0] for _, text in forge.comments] == ["New: `dead`"]
    assert "- ✗ `dead` `the live model is dead: " in issue["text"]
    assert "`fftdeploy rollback triage/production`" in issue["text"]
    assert (repo / ".fftdeploy/monitor/told.jsonl").stat().st_mode & 0o777 == 0o600
    shown = "".join(command("monitor", "--json", *tells)[1:]) + dead.out + dead.err
    assert not any(part in shown for part in ("secretsecret", "s3cr3t", "token-of-the-job"))


def test_whom_nobody_could_tell_is_said_before_anything_is_asked(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    write(past(TARGET, V7, V8), policy=POLICY)
    forge = command("monitor", "--issues", "gitub", "--json")
    assert (forge.code, json.loads(forge.out)["error"]["hint"]) == (2, "did you mean github?")
    file = command("monitor", "--prom-file", "no/where/x.prom")
    assert (file.code, file.err) == (2, "error: --prom-file: there is no folder no/where\n")
    assert not sandbox.requests
