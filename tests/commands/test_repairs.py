"""`adopt`, `hold` and `unhold`: each repairs one thing, and the last two never ask the API."""
# ruff: noqa: E501  a case is a line of its table

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from scenes import (
    FILE,
    GHOST,
    POLICY,
    RETIRED,
    V6,
    V7,
    V8,
    V9,
    hold,
    newest,
    past,
    read,
    row,
    sha,
    table,
    write,
    write_profile,
)

from fftdeploy.releases.deployments import Bundle, Hold, Release
from fftdeploy.sandbox import STORY_NOW, Sandbox

pytestmark = pytest.mark.usefixtures("repo", "sandbox")
NAME = "triage/production"
EDITED = table(NAME, V8, [row(1, V7)])
BARE = f'[triage.production]\nmodel = "{V8}"\n'


def test_adopt_records_a_hand_edit_that_answers(command: Command) -> None:
    write(EDITED, policy=POLICY)
    result = command("adopt", NAME, "--why", "INC-90", "--yes")
    assert result.code == 0, result.err
    assert newest(NAME) == Release(
        n=2, bundle=Bundle(V8), at=STORY_NOW, by="ana@acme.example", via="adopt", why="INC-90"
    )
    assert read(NAME).model == V8


@pytest.mark.parametrize("tables", [BARE, EDITED])
def test_adopt_without_a_key_says_that_it_is_not_verified(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch, tables: str
) -> None:
    write(tables)
    monkeypatch.delenv("OPENAI_API_KEY")
    result = command("adopt", NAME, "--why", "x", "--yes")
    assert (result.code, newest(NAME).verified, sandbox.requests) == (0, False, ())
    assert "not verified with the API" in result.err


@pytest.mark.parametrize("model", [GHOST, "ft:gpt-4.1-mini-2025-04-14:elsewhere:x:Yy1"])
def test_adopt_records_what_is_not_proved_dead(command: Command, model: str) -> None:
    write(f'[triage.production]\nmodel = "{model}"\n')
    result = command("adopt", NAME, "--why", "x", "--yes")
    assert (result.code, newest(NAME).verified) == (0, False), result.err


def test_adopting_an_old_bundle_shares_its_origin(command: Command) -> None:
    write(table(NAME, V7, [row(2, V8), row(1, V7)]))
    assert command("adopt", NAME, "--yes").code == 0
    assert (newest(NAME).n, newest(NAME).to) == (3, 1)


def test_adopt_records_a_prompt_changed_in_place(command: Command) -> None:
    write_profile("long")
    write(table(NAME, V8, [row(1, V8, "long")], profile="long"))
    assert command("adopt", NAME, "--yes").code == 0
    before = FILE.read_bytes()
    write_profile("long", "reworded")
    result = command("adopt", NAME, "--yes")
    assert (result.code, newest(NAME).bundle.profile_sha) == (0, sha("long", "reworded"))
    assert FILE.read_bytes() != before


def test_adopt_with_a_model_writes_what_is_live_and_records_it(command: Command) -> None:
    write(past("triage/staging", V8), policy=POLICY)
    argv = ("adopt", NAME, "--why", "since July", "--yes")
    by_hand = command(*argv)
    result = command(*argv, "--model", V6)
    assert by_hand.err.endswith(f'\nhint: fftdeploy adopt {NAME} --model ID --why "TEXT"\n')
    assert (by_hand.code, result.code) == (2, 0), result.err
    assert read(NAME).model == V6
    assert newest(NAME) == Release(
        n=1, bundle=Bundle(V6), at=STORY_NOW, by="ana@acme.example", via="adopt", why="since July"
    )
    again = command(*argv, "--model", V6)
    assert (again.code, read(NAME).newest) == (0, newest(NAME))


def test_adopt_with_a_model_creates_what_promote_would(command: Command) -> None:
    """Without a policy only by --create; by one, what it knows."""
    write(past("triage/staging", V8))
    argv = ["adopt", "triage/prod", "--model", V6, "--why", "x", "--yes"]
    refused, made = command(*argv), command(*argv, "--create")
    assert (refused.code, made.code, read("triage/prod").model) == (2, 0, V6)
    assert "--create adds it" in refused.err


NOT_ADOPTED = [
    ("another model", past(NAME, V8), POLICY, ["--model", V9], 2, f"promote {NAME} --model {V9}"),
    ("unplanned", past(NAME, V8), POLICY, ["--model", V9, "--create"], 2, "no target"),
    ("no model", past(NAME, V8), POLICY, ["--model", "ftjob-v8"], 2, "not a model"),
    ("recorded", past(NAME, V8), POLICY, [], 0, "records it already"),
    ("unknown target", past("triage/staging", V8), "", [], 2, "no target"),
    ("no prompt file", table(NAME, V8, [row(1, V7)], profile="none"), "", [], 3, "has no file"),
    ("protected", EDITED, POLICY, [], 6, "needs a reason"),
    ("first", BARE, "", [], 6, "has no releases yet"),
    ("held", table(NAME, V8, [row(1, V7)], [hold(V8)]), "", ["--why", "x"], 6, "on hold"),
    ("dead", table(NAME, RETIRED, [row(1, V7)]), "", ["--why", "x"], 4, "retired"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("tables", "rules", "argv", "code", "words"),
    [c[1:] for c in NOT_ADOPTED],
    ids=[c[0] for c in NOT_ADOPTED],
)
def test_adopt_leaves_the_file_alone(
    sandbox: Sandbox,
    command: Command,
    tables: str,
    rules: str,
    argv: list[str],
    code: int,
    words: str,
) -> None:
    before = write(tables, policy=rules)
    name = "triage/prod" if "--create" in argv else NAME
    result = command("adopt", name, *argv, "--yes")
    assert (result.code, FILE.read_bytes()) == (code, before), result.err
    assert words in result.out + result.err
    if code != 4:
        assert sandbox.requests == ()


def test_adopt_with_a_malformed_key_is_10(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write(EDITED)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-bad\r")
    assert (command("adopt", NAME, "--yes").code, FILE.read_bytes()) == (10, before)


# Holds.


def test_a_hold_and_its_end(sandbox: Sandbox, command: Command) -> None:
    before = write(past(NAME, V7, V8))
    result = command("hold", NAME, V9, "--why", "INC-88", "--until", "2026-12-24", "--yes")
    assert result.code == 0, result.err
    made = Hold(
        model=V9,
        since=STORY_NOW,
        by="ana@acme.example",
        why="INC-88",
        until=datetime(2026, 12, 24, tzinfo=UTC),
    )
    assert read(NAME).holds == (made,)
    assert FILE.read_bytes().startswith(before)
    result = command("unhold", NAME, "--why", "fixed", "--by", "bo", "--yes")
    assert result.code == 0, result.err
    assert read(NAME).holds == (
        Hold(
            **{each: getattr(made, each) for each in ("model", "since", "by", "why", "until")},
            lifted=STORY_NOW,
            lifted_by="bo",
            lifted_why="fixed",
        ),
    )
    assert sandbox.requests == ()


def test_holds_of_one_second_are_told_apart(command: Command) -> None:
    write(past(NAME, V7, V8))
    for _ in range(2):
        for argv in (["hold", NAME, V9], ["unhold", NAME]):
            result = command(*argv, "--why", "x", "--yes")
            assert result.code == 0, result.err
    assert [each.lifted for each in read(NAME).holds] == [STORY_NOW, STORY_NOW]


def test_holding_what_is_held_changes_nothing(command: Command) -> None:
    before = write(past(NAME, V7, V8, holds=[hold(V9)]))
    status = FILE.stat()
    result = command("hold", NAME, V9, "--why", "again", "--yes")
    assert (result.code, FILE.read_bytes(), FILE.stat().st_ino) == (0, before, status.st_ino)


def test_holding_what_is_live_says_so(command: Command) -> None:
    write(past(NAME, V7, V8))
    result = command("hold", NAME, V8, "--why", "x", "--yes")
    assert (result.code, "it is live here: a rollback takes it out" in result.out) == (0, True)


def test_a_hold_on_a_mistyped_id_says_that_it_holds_nothing_else(command: Command) -> None:
    write(past(NAME, V7, V8))
    result = command("hold", NAME, V8[:-1] + "9", "--why", "x", "--yes")
    assert result.code == 0
    assert f"and nothing else is put on hold: did you mean {V8}?\n" in result.err


def test_unhold_lifts_the_hold_of_one_release_too(command: Command) -> None:
    write_profile("a")
    rows = [row(2, V8), row(1, V8, "a")]
    write(table(NAME, V8, rows, [hold(V8, release=1)]))
    assert command("promote", NAME, "--model", V8, "--profile", "a", "--yes").code == 6
    assert command("unhold", NAME, V8, "--why", "x", "--yes").code == 0
    assert command("promote", NAME, "--model", V8, "--profile", "a", "--yes").code == 0


OVER = hold(V6, since=STORY_NOW - timedelta(days=2), until=STORY_NOW - timedelta(days=1))
REFUSED = [
    ("hold without why", ["hold", NAME, V9], [], 2, "--why is needed"),
    ("hold a job", ["hold", NAME, "ftjob-v9", "--why", "x"], [], 2, "not a model"),
    ("hold nowhere", ["hold", "triage/live", V9, "--why", "x"], [], 2, "no target"),
    ("hold until the past", ["hold", NAME, V9, "--why", "x", "--until", "2026-01-01"], [], 2, "passed already"),
    ("hold until soon", ["hold", NAME, V9, "--why", "x", "--until", "soon"], [], 2, "not a time"),
    ("hold until a naive time", ["hold", NAME, V9, "--why", "x", "--until", "2026-12-24T10:00"], [], 2, "no offset"),
    ("unhold without why", ["unhold", NAME, V9], [hold(V9)], 2, "--why is needed"),
    ("unhold of none", ["unhold", NAME, "--why", "x"], [], 2, "no active hold"),
    ("unhold of another", ["unhold", NAME, V6, "--why", "x"], [hold(V9)], 2, "no active hold on"),
    ("unhold of several", ["unhold", NAME, "--why", "x"], [hold(V9), hold(V6)], 2, "2 active holds"),
    ("unhold of one that is over", ["unhold", NAME, V6, "--why", "x"], [OVER], 2, "no active hold on"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "holds", "code", "words"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_a_refused_repair_changes_nothing(
    sandbox: Sandbox, command: Command, argv: list[str], holds: list[str], code: int, words: str
) -> None:
    before = write(past(NAME, V7, V8, holds=holds))
    for way in ("--yes", "--dry-run"):
        result = command(*argv, way)
        assert (result.code, FILE.read_bytes(), sandbox.requests) == (code, before, ())
        assert words in result.err


def test_a_layout_that_cannot_be_edited_is_named_before_anything_is_asked(
    sandbox: Sandbox, command: Command
) -> None:
    before = write(f'triage.production = {{ model = "{V8}" }}\n')
    calls: list[list[Any]] = [
        ["promote", NAME, "--model", V9],
        ["rollback", NAME],
        ["adopt", NAME],
        ["hold", NAME, V9],
    ]
    results = [command(*argv, "--why", "x", "--yes") for argv in calls]
    assert [result.code for result in results] == [3, 3, 3, 3]
    assert all("deployments.toml" in result.err for result in results)
    assert (FILE.read_bytes(), sandbox.requests, [*Path().glob("*.toml")]) == (before, (), [FILE])
