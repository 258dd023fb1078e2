"""The demo is the main job, end to end, in a process of its own: the story must come true."""

import json
import os
import re
import tomllib
from pathlib import Path

import forked
import jsonschema
import pytest
import terminal
from checkout import ROOT
from command_line import PROGRAM, Command
from scenes import V7, V8, V9, V10

from fftdeploy.cli import demo as telling
from fftdeploy.commands.schema import output_schema

STORY = telling.read_story()
SKELETON = [
    ("git init && head -n 20 reviewed.jsonl > evals/triage.jsonl", 0),
    (f"fftdeploy init --live {V7} -q", 0),
    ('git add . && git commit -m "Keep deployments in git"', 0),
    ('fftdeploy promote triage/production --why "#188" -yq --commit', 0),
    ("fftdeploy promote triage/staging --job ftjob-v9 -yq --commit", 0),
    ("fftdeploy eval triage/production -q", 7),
    ("cp reviewed.jsonl evals/triage.jsonl", 0),
    ("fftdeploy eval triage/production -q", 5),
    ("fftdeploy promote triage/staging --job ftjob-v10 -yq --commit", 0),
    (
        'fftdeploy promote triage/production --eval --max-requests 200 --why "#219" -yq --commit',
        0,
    ),
    ('fftdeploy rollback triage/production --why "Polish, INC-91" -yq', 0),
    ('fftdeploy promote triage/production --why "nightly" -yq', 6),
    ("fftdeploy history triage/production -q", 0),
    ("fftdeploy status -q", 0),
    ("git log -p --oneline -U0 -n 1 deployments.toml", 0),
]
RELEASES = {
    "production": [
        (4, V7, "2026-11-26T15:00", "rollback", 1),
        (3, V10, "2026-11-24T11:00", "staging", None),
        (2, V8, "2026-11-06T10:00", "staging", None),
        (1, V7, "2026-11-04T09:00", "adopt", None),
    ],
    "staging": [
        (3, V10, "2026-11-23T11:00", "job", None),
        (2, V9, "2026-11-18T09:12", "job", None),
        (1, V8, "2026-11-04T15:40", "job", None),
    ],
}
# In the process that tells the story and in every command of it.
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


def demo(*argv: str, tmp: Path, steps: int = 0, path: str = "") -> tuple[int, list[str]]:
    """Run the demo at a terminal of 80 columns, on a machine that nobody has set up.

    There is no git identity, a hostile one even.  Enter is pressed after so many steps.  Returns
    the exit code, and the lines of the screen.
    """
    home = tmp / "home"
    home.mkdir(exist_ok=True)
    (home / ".gitconfig").write_text("[commit]\n\tgpgsign = true\n[user]\n\tsigningkey = none\n")
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(tmp), "COLUMNS": "80"}
    environ |= {"GITHUB_ACTOR": "somebody", "OPENAI_API_KEY": "sk-" + "x" * 40, "TERM": "xterm"}
    environ |= {"LANG": "C.UTF-8", "NO_COLOR": "1"}
    environ |= {"PYTHONPATH": path} if path else {}
    pressed = [("-- Enter --", "")] * steps
    code, screen = terminal.run([str(PROGRAM), "demo", *argv], environ, *pressed, within_s=120)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", screen).splitlines()
    return code, [line[n : n + 80] for line in lines for n in range(0, len(line) or 1, 80)]


def test_the_story_comes_true_on_any_day(tmp_path: Path) -> None:
    """After January 2027, too, when every model of the story is gone."""
    code, told = demo(tmp=tmp_path, path=forked.path(LATER))

    assert code == 0, told
    begun = next(number for number, row in enumerate(told) if row.startswith("# "))
    assert len(told) - begun <= 148, "three lines above that are its opening, but for long folders"
    [folder] = tmp_path.glob("fftdeploy-demo-*")
    typed: list[tuple[str, int]] = []
    for row in told:
        if row.startswith("$ "):
            typed.append((row.removeprefix("$ "), 0))
        elif row == "  --commit":  # what goes on behind column 80
            typed[-1] = (f"{typed[-1][0]} --commit", 0)
        elif found := re.fullmatch(r"exit (\d+)", row):
            typed[-1] = (typed[-1][0], int(found[1]))
    assert typed == SKELETON
    assert "Every step ended as told. What comes next: fftdeploy demo --act 2" in told
    assert "  passed over      #2 not ready" in told
    triage = tomllib.loads((folder / "deployments.toml").read_text())["triage"]
    releases = {
        name: [
            (r["n"], r["model"], f"{r['at']:%Y-%m-%dT%H:%M}", r["via"], r.get("to"))
            for r in table["releases"]
        ]
        for name, table in triage.items()
    }
    assert releases == RELEASES
    assert [hold["model"] for hold in triage["production"]["holds"]] == [V10]
    newest = next(r for r in triage["production"]["releases"] if r["n"] == 3)
    evidence = folder / f".fftdeploy/evidence/triage/{newest['evidence']}.json"
    assert json.loads(evidence.read_text())["verdict"]["ruling"] == "pass"
    assert len([*evidence.parent.iterdir()]) == 4, "the failed attempts are kept"
    assert {r["by"] for table in triage.values() for r in table["releases"]} == {"ana@acme.example"}


def test_the_short_story_is_one_screen_and_waits_for_enter(tmp_path: Path) -> None:
    code, told = demo("--short", "--step", tmp=tmp_path, steps=3)

    assert code == 0, told
    assert len(told) - told.count("-- Enter -- ") <= 34, "the folder's name takes some"
    assert [row.split()[2] for row in told if row.startswith("$ ")] == ["promote"] * 2 + [
        "rollback"
    ]
    assert told.count("exit 5") == 1


def test_the_second_act_moves_off_the_fine_tunes_to_a_newer_model_and_to_an_own_host(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "new"
    code, told = demo("--act", "2", "--dir", str(folder), tmp=tmp_path)

    assert code == 0, told
    begun = next(number for number, row in enumerate(told) if row.startswith("# "))
    ended = told.index("Every step ended as told. What comes next: fftdeploy demo --act 3")
    assert ended - begun <= 115, "two lines above that are its opening, two follow"
    asked = [row.split()[3:] for row in told if row.startswith("$ fftdeploy migrate")]
    assert [words[0] for words in asked] == ["--record", "--plan", "--why", "triage"]
    # A row that its latency makes too wide stands below itself, each value with its name.
    text, gap = "\n".join(told), r"\s(?:(?!\n\$).)*?"
    for cells in (
        ("gpt-6-luna@triage-long", "94.0%", "12", "0.15", "better"),
        ("llama=triage-8b", "97.0%", "2", "0.01", "not worse"),
    ):
        row = re.compile(rf"^1\s+{gap.join(map(re.escape, cells))}$", re.MULTILINE | re.DOTALL)
        assert len(row.findall(text)) == 2, cells
    assert any("a second sandbox stands in for llama.cpp" in row for row in told)
    live = tomllib.loads((folder / "deployments.toml").read_text())["triage"]
    assert {(one["provider"], one["model"]) for one in live.values()} == {("llama", "triage-8b")}
    evidence = [json.loads(each.read_text()) for each in (folder / ".fftdeploy").rglob("*/*.json")]
    assert len({one["address"] for one in evidence if "address" in one}) == 2, "two hosts"


def test_without_a_terminal_nobody_presses_enter(tmp_path: Path, command: Command) -> None:
    result = command("demo", "--step", "--dir", tmp_path / "new")

    assert (result.code, result.out) == (2, "")
    assert result.err == "error: --step needs a terminal\nhint: fftdeploy demo\n"


def test_the_story_as_json(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = STORY._replace(steps=STORY.steps[:3], live={"triage/production": V7}, held=frozenset())
    monkeypatch.setattr(telling, "read_story", lambda _: short)

    told = command("demo", "--json", "--dir", tmp_path / "new")

    document = json.loads(told.out)
    assert told.code == 0, told.err
    assert [(step["command"], step["exit_code"]) for step in document["steps"]] == [
        *SKELETON[:3],
        SKELETON[-1],
    ]
    assert jsonschema.Draft202012Validator(output_schema()).is_valid(document)


def test_the_story_tells_of_the_examples_in_the_repository() -> None:
    templates = Path(telling.__file__).parents[1] / "templates"

    told = (templates / telling.EXAMPLES).read_bytes()
    prompt = (templates / "triage-long.toml").read_bytes()

    assert told == (ROOT / "evals" / telling.EXAMPLES).read_bytes()
    assert prompt == (ROOT / "profiles" / "triage-long.toml").read_bytes()


def test_a_story_that_goes_wrong_is_a_bug(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a step that does not end as told fails the demo."""
    *begun, step, _ = [*STORY.steps[:3], *STORY.steps[-2:]]
    wrong = STORY._replace(steps=(*begun, step._replace(exit_code=4)))
    monkeypatch.setattr(telling, "read_story", lambda _: wrong)

    result = command("demo", "--dir", tmp_path / "new")

    assert result.code == 1
    assert "error: the story went wrong: `fftdeploy history triage/production -q`" in result.err


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


def test_the_third_act_watches_a_month_and_finds_what_changed_behind_the_id(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "new"
    code, told = demo("--act", "3", "--dir", str(folder), tmp=tmp_path)

    assert code == 0, told
    begun = next(number for number, row in enumerate(told) if row.startswith("# "))
    ended = told.index("Every step ended as told. What comes next: fftdeploy sandbox")
    assert ended - begun <= 80
    states = [row.split()[1] for row in told if row.startswith("triage/production  ")]
    assert states[:3] == ["fine", "fine", "drift"]
    assert told.count("exit 12") == 1
    looks = (folder / ".fftdeploy/monitor/triage.production.jsonl").read_text()
    assert [looks.count(f'"state":"{state}"') for state in ("fine", "drift")] == [29, 1]
