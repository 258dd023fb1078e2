"""The demo is the main job, end to end, in a process of its own: the story must come true."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
from checkout import ROOT
from command_line import Command
from scenes import SHUT, V6, V7, V8, V9, V10

from fftdeploy.cli import demo as telling
from fftdeploy.commands.schema import output_schema

STORY = telling.read_story()
SKELETON = [
    ("git init", 0),
    ("fftdeploy init", 0),
    (
        rf"printf '\n[triage.production]\nmodel = " f'"{V6}"' r"\n' >> deployments.toml",
        0,
    ),
    ('git add . && git commit -m "Keep deployments in git"', 0),
    ('fftdeploy adopt triage/production --why "live since July" --yes --commit', 0),
    (f"fftdeploy promote triage/staging --model {V7} --yes --commit", 0),
    ('fftdeploy promote triage/production --why "reads German" --yes --commit', 0),
    ("fftdeploy promote triage/staging --job ftjob-v8 --yes --commit", 0),
    ('fftdeploy promote triage/production --why "PR #188" --yes --commit', 0),
    ("fftdeploy promote triage/staging --job ftjob-v9 --yes --commit", 0),
    ('fftdeploy promote triage/production --why "PR #212" --yes --commit', 0),
    ("fftdeploy promote triage/staging --job ftjob-running --wait 0 --yes --commit", 4),
    (f"fftdeploy promote triage/staging --model {SHUT} --yes --commit", 4),
    ('fftdeploy rollback triage/production --why "refunds misrouted, INC-88" --yes --commit', 0),
    ('fftdeploy promote triage/production --why "nightly" --yes --commit', 6),
    ("cat gate.toml >> fftdeploy.toml", 0),
    ("head -n 20 reviewed.jsonl > evals/triage.jsonl", 0),
    ("fftdeploy eval triage/production --quiet", 7),
    ("cp reviewed.jsonl evals/triage.jsonl", 0),
    ("fftdeploy eval triage/production --quiet", 5),
    ("fftdeploy report -o .fftdeploy/runs/report.html", 0),
    ('git add . && git commit -m "A quality bar for triage"', 0),
    ("fftdeploy promote triage/staging --job ftjob-v10 --yes --commit", 0),
    (
        "fftdeploy promote triage/production --eval --max-requests 200 "
        '--why "PR #219" --yes --commit --quiet',
        0,
    ),
    ('fftdeploy rollback triage/production --why "Polish misread, INC-91" --yes --commit', 0),
    ('fftdeploy rollback triage/production --why "INC-91, still" --yes --commit', 0),
    ("fftdeploy history triage/production", 0),
    ("fftdeploy status", 0),
    ("git log -p --oneline -U0 deployments.toml", 0),
]
RELEASES = {
    "production": [
        (8, V6, "2026-11-26T15:20", "rollback", 1),
        (7, V7, "2026-11-26T15:00", "rollback", 2),
        (6, V10, "2026-11-24T11:00", "staging", None),
        (5, V8, "2026-11-21T08:30", "rollback", 3),
        (4, V9, "2026-11-20T16:20", "staging", None),
        (3, V8, "2026-10-04T10:00", "staging", None),
        (2, V7, "2026-08-20T10:00", "staging", None),
        (1, V6, "2026-08-03T09:10", "adopt", None),
    ],
    "staging": [
        (4, V10, "2026-11-23T11:00", "job", None),
        (3, V9, "2026-11-18T09:12", "job", None),
        (2, V8, "2026-10-02T15:40", "job", None),
        (1, V7, "2026-08-18T10:00", "model", None),
    ],
}
# As `sitecustomize`, in the process that tells the story and in every command of it.
LATER = """
import datetime, time
moment = datetime.datetime(2027, 3, 1, tzinfo=datetime.UTC)
time.time = moment.timestamp
class Later(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return moment.astimezone(tz)
datetime.datetime = Later
"""


def demo(*argv: str, tmp: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the demo on a machine that nobody has set up: no git identity, a hostile one even."""
    home = tmp / "home"
    home.mkdir(exist_ok=True)
    (home / ".gitconfig").write_text("[commit]\n\tgpgsign = true\n[user]\n\tsigningkey = none\n")
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(tmp), "CI": "true"}
    environ |= {"GITHUB_ACTOR": "somebody", "OPENAI_API_KEY": "sk-" + "x" * 40, "LANG": "C"}
    environ |= {"PYTHONPATH": str(path)} if path else {}
    return subprocess.run(
        [sys.executable, "-P", "-m", "fftdeploy", "demo", *argv],
        capture_output=True,
        encoding="utf-8",
        env=environ,
        cwd=tmp,
        timeout=120,
        check=False,
    )


def test_the_story_comes_true_on_any_day(tmp_path: Path) -> None:
    """After January 2027, too, when every model of the story is gone."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(LATER)

    told = demo(tmp=tmp_path, path=tmp_path / "path")

    assert told.returncode == 0, told.stdout + told.stderr
    [folder] = tmp_path.glob("fftdeploy-demo-*")
    typed: list[tuple[str, int]] = []
    for row in told.stdout.splitlines():
        if row.startswith("$ "):
            typed.append((row.removeprefix("$ "), 0))
        elif found := re.fullmatch(r"exit (\d+)", row):
            typed[-1] = (typed[-1][0], int(found[1]))
    assert typed == SKELETON
    assert told.stderr == f"next: cd {folder} && fftdeploy status --offline\n"
    assert "\nEvery step ended as told.\n" in told.stdout
    assert "  passed over      #5 not ready, #4 on hold, #3 not ready\n" in told.stdout
    assert "INCONCLUSIVE  20 pairs can't settle it" in told.stdout
    assert "FAIL  topic=refund is worse: 8 broke, 0 fixed of 12" in told.stdout
    assert "\x1b" not in told.stdout
    triage = tomllib.loads((folder / "deployments.toml").read_text())["triage"]
    releases = {
        name: [
            (r["n"], r["model"], f"{r['at']:%Y-%m-%dT%H:%M}", r["via"], r.get("to"))
            for r in table["releases"]
        ]
        for name, table in triage.items()
    }
    assert releases == RELEASES
    assert [hold["model"] for hold in triage["production"]["holds"]] == [
        V7,
        V10,
        V9,
    ]
    newest = next(r for r in triage["production"]["releases"] if r["n"] == 6)
    evidence = folder / f".fftdeploy/evidence/triage/{newest['evidence']}.json"
    assert json.loads(evidence.read_text())["verdict"]["ruling"] == "pass"
    assert len([*evidence.parent.iterdir()]) == 3, "the failed attempts are kept"
    assert (folder / ".fftdeploy/runs/report.html").read_text().startswith("<!DOCTYPE html>")
    assert {r["by"] for table in triage.values() for r in table["releases"]} == {"ana@acme.example"}
    status = subprocess.run(
        ["git", "-C", str(folder), "status", "--short"], capture_output=True, check=True
    )
    assert status.stdout == b""


def test_the_story_as_json(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = STORY._replace(steps=STORY.steps[:5], live={"triage/production": V6}, held=frozenset())
    monkeypatch.setattr(telling, "read_story", lambda: short)

    told = command("demo", "--json", "--dir", tmp_path / "new")

    document = json.loads(told.out)
    assert told.code == 0, told.err
    assert [(step["command"], step["exit_code"]) for step in document["steps"]] == [
        *SKELETON[:5],
        SKELETON[-1],
    ]
    assert jsonschema.Draft202012Validator(output_schema()).is_valid(document)


def test_the_story_tells_of_the_examples_in_the_repository() -> None:
    templates = Path(telling.__file__).parents[1] / "templates"

    told = (templates / telling.EXAMPLES).read_bytes()

    assert told == (ROOT / "evals" / telling.EXAMPLES).read_bytes()


def test_a_story_that_goes_wrong_is_a_bug(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a step that does not end as told fails the demo."""
    *begun, step, _ = [*STORY.steps[:4], *STORY.steps[-2:]]
    wrong = STORY._replace(steps=(*begun, step._replace(exit_code=4)))
    monkeypatch.setattr(telling, "read_story", lambda: wrong)

    result = command("demo", "--dir", tmp_path / "new")

    assert result.code == 1
    assert "error: the story went wrong: `fftdeploy history triage/production`" in result.err


def test_a_folder_in_use_is_left_alone(tmp_path: Path, command: Command) -> None:
    (tmp_path / "mine").write_text("x")

    results = [command("demo", "--dir", path) for path in (tmp_path, tmp_path / "mine")]

    assert [(result.code, result.out) for result in results] == [(2, ""), (2, "")]
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_without_git_the_demo_says_so(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    result = command("demo", "--dir", tmp_path / "new")

    assert result.code == 2
    assert result.err == ("error: the demo needs git: there is no git on PATH\nhint: install git\n")
