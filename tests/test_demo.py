"""The demo is the main job, end to end, in a process of its own: the story must come true."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from conftest import Command

from fftdeploy import output_schema
from fftdeploy.cli import story

SKELETON = [
    ("git init", 0),
    ("fftdeploy init", 0),
    (story.BY_HAND_SHOWN, 0),
    ('git add . && git commit -m "Keep deployments in git"', 0),
    ('fftdeploy adopt triage/production --why "live since July" --yes --commit', 0),
    (f"fftdeploy promote triage/staging --model {story.V7} --yes --commit", 0),
    ('fftdeploy promote triage/production --why "reads German" --yes --commit', 0),
    ("fftdeploy promote triage/staging --job ftjob-v8 --yes --commit", 0),
    ('fftdeploy promote triage/production --why "PR #188" --yes --commit', 0),
    ("fftdeploy promote triage/staging --job ftjob-v9 --yes --commit", 0),
    ('fftdeploy promote triage/production --why "PR #212" --yes --commit', 0),
    ("fftdeploy promote triage/staging --job ftjob-running --wait 0 --yes --commit", 4),
    (f"fftdeploy promote triage/staging --model {story.NANO} --yes --commit", 4),
    ('fftdeploy rollback triage/production --why "refunds misrouted, INC-88" --yes --commit', 0),
    ('fftdeploy rollback triage/production --why "INC-88, still" --yes --commit', 0),
    ('fftdeploy promote triage/production --why "nightly" --yes --commit', 6),
    ("fftdeploy history triage/production", 0),
    ("fftdeploy status", 0),
    ("git log -p --oneline -U0 deployments.toml", 0),
]
RELEASES = {
    "production": [
        (6, story.V6, "2026-11-21T08:50", "rollback", 1),
        (5, story.V7, "2026-11-21T08:30", "rollback", 2),
        (4, story.V9, "2026-11-20T16:20", "staging", None),
        (3, story.V8, "2026-10-04T10:00", "staging", None),
        (2, story.V7, "2026-08-20T10:00", "staging", None),
        (1, story.V6, "2026-08-03T09:10", "adopt", None),
    ],
    "staging": [
        (3, story.V9, "2026-11-18T09:12", "job", None),
        (2, story.V8, "2026-10-02T15:40", "job", None),
        (1, story.V7, "2026-08-18T10:00", "model", None),
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


def plain(text: str, folder: Path) -> str:
    """Leave out what differs from run to run: the folder and the port."""
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text.replace(str(folder), "FOLDER"))


def test_the_story_comes_true_today_and_after_january(tmp_path: Path) -> None:
    told = demo(tmp=tmp_path)

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
    assert f"  release 3  {story.V8}  this key cannot use it: deleted" in told.stdout
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
    assert [hold["model"] for hold in triage["production"]["holds"]] == [story.V7, story.V9]
    assert {r["by"] for table in triage.values() for r in table["releases"]} == {"ana@acme.example"}
    status = subprocess.run(
        ["git", "-C", str(folder), "status", "--short"], capture_output=True, check=True
    )
    assert status.stdout == b""
    _tell_it_again(tmp_path, plain(told.stdout, folder), (folder / "deployments.toml").read_bytes())


def _tell_it_again(tmp: Path, before: str, file: bytes) -> None:
    (tmp / "path").mkdir()
    (tmp / "path" / "sitecustomize.py").write_text(LATER)
    folder = tmp / "later"

    told = demo("--json", "--dir", str(folder), tmp=tmp, path=tmp / "path")

    assert told.returncode == 0, told.stderr
    document = json.loads(plain(told.stdout, folder))
    assert [(step["command"], step["exit_code"]) for step in document["steps"]] == SKELETON
    # Commit IDs, too: nothing of the day or the machine is in them.
    assert [step["output"] for step in document["steps"] if step["output"] not in before] == []
    assert jsonschema.Draft202012Validator(output_schema.output()).is_valid(document)
    assert (folder / "deployments.toml").read_bytes() == file


def test_a_story_that_goes_wrong_is_a_bug(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a step that does not end as told fails the demo."""
    wrong = story.STEPS[-2]._replace(exit_code=4)
    monkeypatch.setattr(story, "STEPS", (wrong,))

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
