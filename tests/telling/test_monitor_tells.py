"""`monitor` tells people, on the command line: files, a channel and issues, and no exit code."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from command_line import Command
from forge import Forge, serve
from gated import scene
from scenes import POLICY, V7, V8, V10, past, write

from fftdeploy.sandbox import STORY_NOW, Sandbox

pytestmark = pytest.mark.usefixtures("repo")

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


def test_a_model_that_changes_behind_its_id_is_told_once_and_so_is_its_return(
    sandbox: Sandbox, forge: Forge, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene(V8, V10, examples=14)

    def look(day: int) -> tuple[int, list[str]]:
        now = STORY_NOW + timedelta(days=day)
        sandbox.set_now(now)
        monkeypatch.setenv("FFTDEPLOY_NOW", now.isoformat())
        before = len(forge.told)
        argv = [TARGET, "--issues", "github", "--prom-file", "x.prom"]
        code = command("monitor", *argv, "--max-requests", 2000).code
        return code, [told["text"].split("\n", 1)[1] for told in forge.told[before:]]

    first = look(0)
    assert (first[0], len(first[1]), first[1][0].count("fewer than 60")) == (0, 1, 1)
    assert look(1) == (0, [])
    gauge = f'fftdeploy_drift{{target="{TARGET}"}}'
    assert f"{gauge} 0\n" in Path("x.prom").read_text()

    sandbox.change(V8, like=V7)
    code, (told,) = look(2)
    assert code == 12
    assert re.fullmatch(rf"{TARGET}: drift(, [a-z-]+)*, \d+ of 14 examples pass \({V8}\)", told)
    assert f"{gauge} 1\n" in Path("x.prom").read_text()
    assert "- ✗ `drift` `" in forge.open_ones()[0]["text"]
    assert look(3) == (12, [])

    sandbox.restore(V8)
    code, (told,) = look(4)
    assert (code, told.partition(",")[0]) == (0, f"{TARGET}: fine again")
    (issue,) = forge.open_ones()
    assert [text.partition(": ")[0] for _, text in forge.comments] == ["New", "Gone"]
    assert "[no-rollback,runway-60]" in issue["text"]


def test_whom_nobody_could_tell_is_said_before_anything_is_asked(
    sandbox: Sandbox, command: Command
) -> None:
    write(past(TARGET, V7, V8), policy=POLICY)
    forge = command("monitor", "--issues", "gitub", "--json")
    assert (forge.code, json.loads(forge.out)["error"]["hint"]) == (2, "did you mean github?")
    file = command("monitor", "--prom-file", "no/where/x.prom")
    assert (file.code, file.err) == (2, "error: --prom-file: there is no folder no/where\n")
    logs = command("monitor", TARGET, "--logs", "x.jsonl", "--issues", "github")
    assert (logs.code, logs.err.splitlines()[0]) == (
        2,
        "error: --logs and --issues exclude each other",
    )
    assert not sandbox.requests
