"""The screens people live in, whole: as a terminal of some width shows them."""

import json
import os
import re
import threading
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import gated
import pytest
from command_line import PROGRAM, Command, git
from scenes import (
    COLD,
    GHOST,
    LUNA,
    RETIRED,
    SOON,
    V6,
    V7,
    V8,
    V9,
    V10,
    hold,
    past,
    row,
    table,
    write,
)
from terminal import MOVING, Terminal, run, screen

from fftdeploy.cli import app, command_groups
from fftdeploy.model_ids import retirement
from fftdeploy.output.streams import Output
from fftdeploy.sandbox import ACME, STORY_NOW, Sandbox

POLICY = """\
version = 1
order = ["dev", "staging", "production"]

[tasks.triage]
owner = "support-ml"
"""
API = "API: http://127.0.0.1/v1 (from OPENAI_BASE_URL)"
MORE = f"dates: OpenAI's table of {retirement.table().as_of}    more: fftdeploy status TARGET"
WHY = "refund tickets misrouted, INC-88"


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    with Sandbox(now=lambda: STORY_NOW) as server:
        yield server


@pytest.fixture(autouse=True)
def environ(api: Sandbox, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", api.url)
    monkeypatch.setenv("OPENAI_API_KEY", api.key)
    monkeypatch.setenv("FFTDEPLOY_NOW", STORY_NOW.isoformat())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")


def shown(api: Sandbox, columns: int, *argv: str) -> list[str]:
    """Return the lines of a screen, from which the sandbox's port is left out."""
    _, text = screen(argv, columns)
    lines = text.replace(api.url, "http://127.0.0.1/v1").splitlines()
    assert max(len(line) for line in lines if line != API) <= columns
    return lines


def three() -> None:
    write(
        past("triage/production", V9, V8, holds=[hold(V9, why=WHY)]),
        past("triage/staging", V8, V9),
        past("invoices/production", V8, LUNA),
        policy=POLICY,
    )


def twenty() -> None:
    """Write 20 targets, their names as long as names are."""
    tasks = ("triage", "invoices", "routing", "summaries", "complaints", "refunds", "claims")
    names = [*product(tasks, ("dev", "staging", "production"))][:20]
    models = (V6, V7, V8, V9, V10, LUNA)
    write(
        *(
            past(f"{task}/{place}", *(models[(n + k) % len(models)] for k in range(2)))
            for n, (task, place) in enumerate(names)
        ),
        policy=POLICY,
    )


@pytest.mark.parametrize("columns", [80, 120])
def test_one_target_is_one_line(api: Sandbox, columns: int) -> None:
    write(past("triage/production", V8, V9))

    assert shown(api, columns, "status") == [
        API,
        "TARGET             MODEL      STATE    LIVE        SHUTS DOWN      BACK TO",
        "triage/production  triage-v9  ✓ ready  38 days #2  2027-01-14 54d  #1 ✓",
        "! triage/production: no rollback target outlives the live model",
        MORE,
    ]


@pytest.mark.parametrize("columns", [80, 120])
def test_three_targets_are_three_lines_in_the_order_of_the_policy(
    api: Sandbox, columns: int
) -> None:
    three()

    assert shown(api, columns, "status") == [
        API,
        "TARGET               MODEL       STATE    LIVE        SHUTS DOWN      BACK TO",
        "triage/staging       triage-v9   ✓ ready  38 days #2  2027-01-14 54d  #1 ✓",
        "triage/production    triage-v8   ✓ ready  38 days #2  2027-01-14 54d  none",
        "invoices/production  gpt-6-luna  ✓ ready  38 days #2  -               #1 ✓",
        f"1 hold: triage/production triage-v9 ({WHY})",
        "! triage/staging: no rollback target outlives the live model",
        MORE,
    ]


def test_one_target_asked_for_is_a_card_with_everything(api: Sandbox) -> None:
    three()

    assert shown(api, 80, "status", "triage/production") == [
        API,
        "triage/production   owned by support-ml",
        f"  model       {V8}",
        "  live        38 days, since 2026-10-14 08:30Z, release 2",
        "  by          ci",
        "  via         model",
        "  state       ✓ ready: retrieved, probed",
        f"  shuts down  in 54 days (2027-01-14, table of {retirement.table().as_of} (fine-tunes))",
        f"  back to     #1 ✗ {V9}: on hold",
        "              none of them outlives the live model",
        f"  on hold     {V9} since 2026-11-21",
        "              08:30Z, by ana: refund tickets misrouted, INC-88",
    ]
    assert shown(api, 40, "status", "triage/production")[2:5] == [
        "  model       triage-v8",
        "  live        38 days, since 2026-10-14",
        "              08:30Z, release 2",
    ]


def test_a_card_asks_about_each_way_back(api: Sandbox) -> None:
    write(past("triage/production", V8, GHOST, SOON, V9))

    assert [row for row in shown(api, 120, "status", "triage/production") if "#" in row] == [
        f"  back to     #3 ✗ dead {SOON}: this key cannot use it: deleted, retired, or",
        f"              #2 ? loading {GHOST}: the API knows it, but it does not answer",
        f"              #1 ✓ ready {V8}",
    ]


def test_twenty_targets_are_a_screen(api: Sandbox) -> None:
    twenty()

    lines = shown(api, 80, "status")
    assert len(lines) <= 25
    assert lines[:4] == [
        API,
        "TARGET                 MODEL       STATE    LIVE        SHUTS DOWN      BACK TO",
        "triage/dev             triage-v7   ✓ ready  38 days #2  2027-01-14 54d  #1 ✓",
        "triage/staging         triage-v8   ✓ ready  38 days #2  2027-01-14 54d  #1 ✓",
    ]
    assert lines[21:] == [
        "claims/staging         triage-v8   ✓ ready  38 days #2  2027-01-14 54d  #1 ✓",
        "! 14 targets: no rollback target outlives the live model",
        MORE.replace("    ", ", the API    "),
    ]
    assert shown(api, 120, "status") == lines


def test_what_is_wrong_is_said_once_for_all_who_have_it(api: Sandbox) -> None:
    write(
        past("triage/production", V8, V9).replace(f'model = "{V9}"', f'model = "{GHOST}"', 1),
        past("tone/staging", SOON),
        past("tone/production", RETIRED),
        past("invoices/production", COLD),
    )

    assert shown(api, 80, "status", "--fail-on", "dead") == [
        API,
        "TARGET               MODEL         STATE  LIVE       SHUTS DOWN  BACK TO",
        "triage/production    triage-ghost  ?      hand edit  2027-01-14  #2 ✓",
        "tone/staging         triage-soon   ✗      39 days    2027-01-14  none",
        "tone/production      triage-v5     ✗      39 days    past        none",
        "invoices/production  triage-cold   ?      39 days    2027-01-14  none",
        '! triage/production: hand edit: fftdeploy adopt triage/production --why "TEXT"',
        "? triage/production: the API knows it, but it does not answer yet (404): it may",
        "  still be loading",
        "! triage/production: no rollback target outlives the live model",
        "✗ tone/staging: the live model is dead: this key cannot use it: deleted,",
        "  retired, or another project",
        "✗ tone/production: the live model is dead: OpenAI has retired it and no longer",
        "  serves it",
        "? invoices/production: it is still being loaded by the API (429)",
        MORE,
    ]


def test_sixteen_models_are_a_screen(api: Sandbox) -> None:
    twenty()
    assert len(ACME.models) == 19  # of which the key can see 16

    lines = shown(api, 80, "models")
    assert len(lines) <= 20
    assert lines[1:5] == [
        "NAME                      BASE          CREATED    SHUTS DOWN  LIVE IN",
        "triage-loading            gpt-4.1-mini  30 min     2027-01-14",
        "triage-v10                gpt-4.1-mini  23 h       2027-01-14  3 targets: …",
        "triage-v10:ckpt-step-200  gpt-4.1-mini  1 day      2027-01-14",
    ]
    assert lines[13] == "triage-nano               gpt-4.1-nano  17 months  past"
    assert lines[18:] == [
        "5 jobs running: ftjob-soon (running), ftjob-validating (validating_files), …",
        MORE.replace("    ", ", the API    ").replace("status TARGET", "models --wide"),
    ]
    wide = shown(api, 120, "models")
    assert wide[3].endswith("3 targets: invoices/dev, summaries/dev, refunds/dev")


def twelve() -> str:
    models = (V6, V7, V8, V9, V10, V8, V9, V10, LUNA, V9, V8, V9)
    rows = [
        row(n, model, by="ana@acme.example", why=f"PR #{200 + n}: better on refunds")
        if n != 6
        else row(n, model, by="ana@acme.example", via="rollback", to=4, why=WHY)
        for n, model in enumerate(models, 1)
    ]
    return table("triage/production", models[-1], reversed(rows))


def test_a_history_of_twelve_is_a_screen(api: Sandbox) -> None:
    write(twelve())

    lines = shown(api, 80, "history")
    assert len(lines) == 17, "all of each why is there"
    assert lines[:4] + lines[8:13] == [
        "triage/production",
        "#   MODEL       SINCE              BY   VIA          WHY/NOTES",
        "12  triage-v9   2026-10-24 08:30Z  ana  model        live; PR #212: better on",
        "                                                     refunds",
        "7   triage-v9   2026-10-19 08:30Z  ana  model        PR #207: better on refunds",
        "6   triage-v8   2026-10-18 08:30Z  ana  rollback #4  refund tickets misrouted,",
        "                                                     INC-88",
        "5   triage-v10  2026-10-17 08:30Z  ana  model        undone by 6; PR #205:",
        "                                                     better on refunds",
    ]
    assert shown(api, 120, "history")[2].endswith("live; PR #212: better on refunds")
    assert shown(api, 80, "history", "--at", "2026-10-18") == [
        "live at the end of 2026-10-18, UTC",
        "TARGET             MODEL      RELEASE  SINCE",
        "triage/production  triage-v8  6        2026-10-18 08:30Z",
    ]


def wrong() -> None:
    """Write what is wrong in several ways, and a program that names two of the models."""
    write(
        past("triage/production", V8, V9).replace(f'model = "{V9}"', f'model = "{GHOST}"', 1),
        past("tone/staging", SOON),
        past("tone/production", RETIRED),
        policy=POLICY,
    )
    Path("app.py").write_text(f'M = "{V8}"\nN = "{RETIRED}"\n')
    git("add", ".")


def test_each_finding_of_a_check_is_a_line(api: Sandbox) -> None:
    wrong()

    assert shown(api, 80, "check") == [
        API,
        "   ABOUT              AT       FINDING",
        "✗  triage/production  line 4   hand edit: triage-ghost is live, release 2 says",
        "                               triage-v9",
        "✗  tone/staging       line 10  the live model is dead: this key cannot use it:",
        "                               deleted, retired, or another project",
        "✗  tone/production    line 16  the live model is dead: OpenAI has retired it and",
        "                               no longer serves it",
        "!  tone               line 10  the policy has no [tasks.tone]: nobody owns it",
        "!  triage/production  line 3   the live model shuts down in 54 days (2027-01-14,",
        f"                               {retirement.table().dated} (fine-tunes)), and so does",
        "                               the way back: fewer than 60 left",
        "!  2 targets                   there is no release to go back to",
        "!  tone/staging       line 10  triage-soon was not live in tone/dev",
        "!  tone/staging       line 10  the live model shuts down in 54 days (2027-01-14,",
        f"                               {retirement.table().dated} (fine-tunes)): fewer than 60",
        "                               left",
        "!  tone/production    line 16  triage-v5 was not live in tone/staging",
        "!  tone/production    line 16  the live model has reached its last day",
        f"                               (2026-10-23, {retirement.table().dated} (fine-tunes))",
        "3 targets checked, 3 errors, 8 notices",
        'hint: fftdeploy adopt triage/production --why "TEXT", or undo the edit',
        "hint: fftdeploy promote triage/dev --model ID",
        "hint: fftdeploy rollback tone/staging",
        "hint: fftdeploy promote tone/dev --model ID",
        "hint: fftdeploy rollback tone/production",
    ]
    assert shown(api, 120, "check")[2] == (
        "✗  triage/production  line 4   hand edit: triage-ghost is live, release 2 says triage-v9"
    )
    assert shown(api, 40, "check")[1:6] == [
        "✗ triage/production",
        "  at       line 4",
        "  finding  hand edit: triage-ghost is",
        "           live, release 2 says",
        "           triage-v9",
    ]


def test_each_id_that_is_written_down_is_a_line(api: Sandbox) -> None:
    wrong()

    assert shown(api, 80, "scan") == [
        "   PLACE     FINDING",
        "✗  app.py:1  triage-v8 is released in triage/production",
        "✗  app.py:2  triage-v5 is live in tone/production",
        "1 file, 0.0 MB: 2 model IDs written down",
        'hint: fftdeploy.resolve("triage/production")',
        'hint: fftdeploy.resolve("tone/production")',
    ]


def test_what_a_change_does_is_said_once(api: Sandbox) -> None:
    write(past("triage/staging", V8, V9), past("triage/production", V7, V8), policy=POLICY)
    git("add", ".")
    git("commit", "-qm", "before")
    head = git("rev-parse", "HEAD")[:12]
    write(
        past("triage/staging", V8, V9, V10),
        past("triage/production", V7, V8).replace(f'model = "{V8}"', f'model = "{V9}"', 1),
    )

    assert shown(api, 80, "check", "--offline", "--base", "HEAD")[:7] == [
        f"changes against HEAD ({head}):",
        "TARGET             CHANGE       MODEL                   WHAT",
        "triage/staging     promote      triage-v9 → triage-v10  release 3, by its ID",
        "triage/production  unexplained",
        "   ABOUT              AT       FINDING",
        "✗  triage/staging     line 6   triage-v10 was not live in triage/dev",
        "✗  triage/production  line 12  the lines say triage-v9 and no release does: a",
    ]
    assert shown(api, 80, "diff", "triage/staging", "triage/production") == [
        "triage/staging → triage/production: 1 of 1 pair differs",
        "",
        "triage/staging → triage/production",
        "            STAGING                           PRODUCTION",
        "model       triage-v10                        triage-v9",
        "tuned as    DeFg0                             CdEf9",
        "release     3 of 2026-10-15 by ci, via model  hand edit after release 2",
        "shuts down  in 54 days (2027-01-14)           in 54 days (2027-01-14)",
        "rollback    release 2: triage-v9              release 2: triage-v8",
    ]


COMMANDS = ("status", "status --wide", "models", "history", "check", "scan", "diff tone")
MADE_FOR: dict[str, tuple[int, str, dict[str, str]]] = {
    "no-colour": (80, "utf-8", {"NO_COLOR": "1"}),
    "dumb": (80, "utf-8", {"TERM": "dumb", "NO_COLOR": ""}),
    "ascii": (80, "ascii", {"NO_COLOR": ""}),
    "narrow": (40, "latin-1", {"NO_COLOR": "1"}),
    "ci": (120, "utf-8", {"CI": "true", "GITLAB_CI": "true", "NO_COLOR": ""}),
}


@pytest.mark.parametrize("row", MADE_FOR)
@pytest.mark.parametrize("words", COMMANDS)
def test_no_screen_has_what_its_terminal_lacks(
    monkeypatch: pytest.MonkeyPatch, words: str, row: str
) -> None:
    columns, encoding, more = MADE_FOR[row]
    wrong()
    for name, value in more.items():
        monkeypatch.setenv(name, value)

    _, text = screen(words.split(), columns, encoding=encoding)

    has_color = os.environ["TERM"] != "dumb" and not more["NO_COLOR"]
    assert ("\x1b[" in text) is has_color
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert not re.search(r"\x1b|\\u|\ufffd", plain)
    assert encoding == "utf-8" or plain.isascii()
    if "--wide" not in words:
        long = [line for line in plain.splitlines() if len(line) > columns]
        assert [line for line in long if not line.startswith(("API: ", "hint: "))] == []
    ids = (V8, V9, RETIRED, GHOST, SOON)
    assert all(plain.startswith(ids, found.start()) for found in re.finditer("ft:", plain))


@pytest.mark.parametrize("words", COMMANDS)
def test_off_a_terminal_nothing_is_shortened(command: Command, words: str) -> None:
    wrong()

    result = command(*words.split())

    assert "\x1b" not in result.out + result.err
    assert not re.search("[…✓]", result.out)
    assert (V9 if words == "models" else RETIRED) in result.out


def test_help_lists_each_command_once_by_what_it_is_for(
    monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    lines = command("--help").out.splitlines()

    named = [name for group in command_groups.GROUPS.values() for name in group]
    assert sorted(named) == sorted(set(named))
    assert sorted(named) == sorted(str(info.name) for info in app.app.registered_commands)
    listed = [line.split()[0] for line in lines if re.match(r"  [a-z]+ +[A-Z]", line)]
    assert listed == named
    assert [line[:-1] for line in lines if re.fullmatch("[A-Z][a-z]+:", line)] == [
        *command_groups.GROUPS,
        "Options",
    ]
    assert not any(line.endswith("...") for line in lines[1:])
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("  Exit codes: ") for line in lines)
    for name in named:
        assert "  Examples:" in command(name, "--help").out.splitlines()


def test_a_narrow_screen_says_all_of_what_can_be_typed(api: Sandbox) -> None:
    three()

    lines = shown(api, 60, "status")

    assert " ".join(" ".join(lines).split()).endswith(" more: fftdeploy status TARGET")


def test_a_look_at_nothing_reviewed_leads_to_the_review(api: Sandbox) -> None:
    gated.scene(V8, V9)
    rows = map(json.loads, gated.EXAMPLES.read_text().splitlines())
    unreviewed = ({**row, "reviewed_by": None, "reviewed_at": None} for row in rows)
    lines = (json.dumps({k: v for k, v in row.items() if v is not None}) for row in unreviewed)
    gated.EXAMPLES.write_text("\n".join(lines))

    _, *looked = shown(api, 80, "monitor", gated.TARGET)

    assert looked[:2] == [
        "TARGET             STATE           COMPARED WITH",
        "triage/production  not-calibrated  nothing",
    ]
    assert "hint: fftdeploy review triage --unreviewed" in looked


def test_what_several_targets_have_in_common_is_said_once(api: Sandbox) -> None:
    gated.scene(V8, V9)

    planned = shown(api, 80, "migrate", "--plan")
    screen(["monitor"], 80)
    looked = shown(api, 80, "monitor")

    assert [line.split()[:2] for line in planned[:3]] == [
        ["triage/staging", "triage-v9"],
        ["triage/production", "triage-v8"],
        ["stays", "nothing"],
    ]
    assert [line.split()[0] for line in looked[2:4]] == ["triage/staging", "triage/production"]
    again = "2 targets: looked at 0 min ago, nobody was asked now; --fresh asks again"
    assert looked.count(again) == 1


def test_watch_shows_it_again_until_ctrl_c(repo: Path) -> None:
    write(past("triage/production", V8, V9))
    environ = {**os.environ, "COLUMNS": "80"}
    del environ["OPENAI_API_KEY"]
    steps = (
        ("more: ", lambda: Path("deployments.toml").write_text("version = ")),
        ("error:", "^C"),
    )

    words = [str(PROGRAM), "status", "--watch", "1s"]
    code, text = run(words, environ, *steps)

    first, second = text.split("\x1b[H\x1b[2J")[1:]
    assert code == 130
    assert first.startswith("2026-11-21 08:30Z, every 1 s; Ctrl-C stops\nTARGET ")
    assert first.endswith("more: fftdeploy status TARGET\n")
    assert second.startswith("2026-11-21 08:30Z, every 1 s; Ctrl-C stops\nerror: ")
    assert second.endswith("^C\r\x1b[K")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--watch", "30s"), "--watch needs a terminal"),
        (("--watch", "30s", "--json"), "--watch needs a terminal"),
        (("--watch", "0"), "--watch 0 would never rest"),
        (("--watch", "soon"), "--watch: 'soon' is not a duration"),
        (("--watch", "30s", "--fail-on", "dead"), "--watch never ends"),
    ],
)
def test_watch_refuses_what_it_cannot_do(
    command: Command, argv: tuple[str, ...], said: str
) -> None:
    write(past("triage/production", V8, V9))

    result = command("status", *argv)

    assert result.code == 2
    assert result.err.startswith(f"error: {said}")


def test_a_long_wait_is_shown_and_taken_away(api: Sandbox) -> None:
    write(past("triage/production", V8, V9))
    api.fault("/v1/models", delay_s=0.6, times=1)

    code, text = screen(["status"], 80, moving=True)

    moving = re.findall(r"[-|/\\\\] asking the API\r +\r", text)
    assert (code, len(moving) > 1) == (0, True)
    assert "\x1b" not in text
    assert MOVING.sub("", text).splitlines()[1].startswith("TARGET ")


def test_no_short_wait_is_shown_and_none_off_a_terminal(api: Sandbox, command: Command) -> None:
    output = Output(os.environ, stdout=Terminal(), stderr=(err := Terminal()))
    for _ in range(3):
        with output.waiting("asking the API"):
            pass
    with output.waiting("asking the API"):
        names = [thread.name for thread in threading.enumerate()]
    output.stop_progress()

    assert "fftdeploy-waiting" in names
    assert "fftdeploy-waiting" not in [thread.name for thread in threading.enumerate()]
    assert err.getvalue() == ""

    write(past("triage/production", V8, V9))
    api.fault("/v1/models", delay_s=0.5, times=1)
    assert "asking" not in command("status").err
