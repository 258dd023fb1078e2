"""`rollback`: further back and never forward, past what is dead or held, and never on a guess."""
# ruff: noqa: E501  a case is a line of its table

import json
import os
import subprocess
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from command_line import Command, Result
from others import aged, meanwhile
from scenes import (
    COLD,
    FILE,
    GHOST,
    LOADING,
    LUNA,
    OTHER,
    POLICY,
    RETIRED,
    SHUT,
    V6,
    V7,
    V8,
    V9,
    V10,
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

from fftdeploy import names
from fftdeploy.api.asking import Clock
from fftdeploy.commands import context
from fftdeploy.releases.deployments import Bundle, Hold, Release
from fftdeploy.sandbox import STORY_NOW, Sandbox

pytestmark = pytest.mark.usefixtures("repo", "sandbox")
NAME = "triage/production"


def back(command: Command, *argv: object) -> Result:
    return command("rollback", NAME, *argv, "--yes")


def live() -> str:
    return read(NAME).model


def holds() -> list[tuple[str, int | None]]:
    return [(hold.model, hold.release) for hold in read(NAME).holds if hold.lifted is None]


def candidates(result: Result) -> list[tuple[int, str]]:
    return [(each["n"], each["fate"]) for each in json.loads(result.out)["candidates"]]


def test_a_rollback_holds_what_it_removes(command: Command) -> None:
    write(past(NAME, V7, V8))
    result = back(command, "--why", "INC-88")
    assert result.code == 0, result.err
    assert newest(NAME) == Release(
        n=3,
        bundle=Bundle(V7),
        at=STORY_NOW,
        by="ana@acme.example",
        via="rollback",
        why="INC-88",
        to=1,
    )
    assert read(NAME).holds == (
        Hold(model=V8, since=STORY_NOW, by="ana@acme.example", why="INC-88"),
    )
    refused = command("promote", NAME, "--model", V8, "--yes")
    assert (refused.code, "unhold" in refused.err) == (6, True)


def test_twice_goes_further_back(command: Command) -> None:
    write(past(NAME, V6, V7, V8))
    assert [back(command).code, live(), back(command).code, live()] == [0, V7, 0, V6]
    last = back(command)
    assert (last.code, live(), holds()) == (4, V6, [(V7, None), (V8, None)])
    assert f"nothing to roll back to in {NAME}" in last.err


def test_what_is_expected_to_be_live_is_rolled_back_once(command: Command) -> None:
    write(past(NAME, V6, V7, V8))
    again = ("--expect-current", "triage-v8")
    assert [back(command, *again).code, live()] == [0, V7]
    before = FILE.read_bytes()
    second = back(command, *again)
    assert (second.code, live()) == (8, V7)
    assert f"{V7} is live in {NAME}, not {V8}: " in second.err
    assert back(command, *again, "--to", 1).code == 8
    assert back(command, "--expect-current", "").code == 8, "a variable that is not set"
    assert back(command, *again, "--to", 2).code == 0, "it is what is live"
    assert FILE.read_bytes() == before


def test_after_to_never_forward(command: Command) -> None:
    write(past(NAME, V6, V7, V8, V9))
    assert back(command, "--to", 1).code == 0
    assert (live(), newest(NAME).to, holds()) == (V6, 1, [(V9, None)])
    before = FILE.read_bytes()
    again = back(command)
    assert (again.code, FILE.read_bytes()) == (4, before)


def test_an_overshoot_is_corrected(command: Command) -> None:
    write(past(NAME, V6, V7, V8))
    assert back(command, "--to", 1).code == 0
    result = back(command, "--to", 2)
    assert (result.code, live(), holds()) == (0, V7, [(V8, None)])
    assert "release 2 is newer than what is live: nothing is put on hold" in result.out
    assert (back(command).code, live()) == (0, V6)


def test_an_unheld_model_is_a_candidate_again(command: Command) -> None:
    write(past(NAME, V6, V7, V8, holds=[hold(V7)]))
    assert (back(command, "--dry-run").code, live()) == (0, V8)
    assert candidates(back(command, "--dry-run", "--json")) == [(2, "held"), (1, "ready")]
    assert command("unhold", NAME, V7, "--why", "it was the router", "--yes").code == 0
    assert (back(command).code, live()) == (0, V7)


def test_prompts_alone_roll_back_twice(command: Command) -> None:
    for name in ("a", "b", "c"):
        write_profile(name)
    rows = [row(3, V9, "c"), row(2, V9, "b"), row(1, V9, "a")]
    write(table(NAME, V9, rows, profile="c"))
    assert back(command).code == 0
    assert (read(NAME).profile, holds()) == ("b", [(V9, 3)])
    assert back(command).code == 0
    assert (read(NAME).profile, holds()) == ("a", [(V9, 4), (V9, 3)])
    assert newest(NAME).bundle == Bundle(V9, profile="a", profile_sha=sha("a"))
    assert back(command).code == 4
    refused = command("promote", NAME, "--model", V9, "--profile", "c", "--yes")
    assert refused.code == 6


def test_dead_and_held_ones_are_passed_by_with_their_reasons(
    sandbox: Sandbox, command: Command
) -> None:
    models = [V6, V7, RETIRED, SHUT, V8, V9]
    before = write(past(NAME, *models, V10, holds=[hold(V9)]))
    sandbox.remove(V8)
    dry = back(command, "--dry-run")
    assert (dry.code, FILE.read_bytes()) == (0, before)
    lines = [
        line.split(maxsplit=3) for line in dry.out.splitlines() if line.startswith("  release ")
    ]
    assert [(int(number), model) for _, number, model, _ in lines if number.isdigit()] == [
        (6, V9),
        (5, V8),
        (4, SHUT),
        (3, RETIRED),
        (2, V7),
        (1, V6),
    ]
    reasons = [rest for *_, rest in lines]
    for reason, words in zip(
        reasons,
        ["on hold since", "cannot use it", "shut down on", "retired", "ready: taken", "not needed"],
        strict=True,
    ):
        assert words in reason
    result = back(command, "--json")
    assert (result.code, live()) == (0, V7)
    assert candidates(result) == [
        (6, "held"),
        (5, "missing"),
        (4, "shutdown"),
        (3, "retired"),
        (2, "ready"),
        (1, "passed-over"),
    ]


@pytest.mark.parametrize("model", [GHOST, LOADING])
def test_an_unverified_one_stops_the_search(command: Command, model: str) -> None:
    before = write(past(NAME, V6, model, V8))
    result = back(command, "--wait", "0")
    assert (result.code, FILE.read_bytes()) == (9, before)
    assert all(flag in result.err for flag in ("--wait", "--to N", "--unverified"))
    dry = back(command, "--wait", "0", "--dry-run")
    assert (dry.code, "unverified: " in dry.err, "not looked at" in dry.err) == (9, True, True)
    assert [n for n, _ in candidates(back(command, "--wait", "0", "--json"))] == [2, 1]
    assert (back(command, "--to", 1, "--wait", "0").code, live()) == (0, V6)


@pytest.mark.usefixtures("no_waiting")
def test_one_that_loads_is_waited_for(command: Command) -> None:
    write(past(NAME, V6, COLD, V8))
    assert (back(command, "--wait", "60s").code, live()) == (0, COLD)


def test_a_search_through_dead_ones_has_an_end(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = [f"ft:gpt-4.1-mini-2025-04-14:acme:old-{n}:Old{n:02}" for n in range(40)]
    before = write(past(NAME, V6, *gone, V8))
    clock = Clock(lambda: STORY_NOW, count(step=2.0).__next__, lambda _: None)
    monkeypatch.setattr(context, "system_clock", lambda: clock)

    ended = back(command, "--wait", "0", "--json")

    fates = candidates(ended)
    asked = sum(fate == "missing" for _, fate in fates)
    after = 41 - asked
    assert (ended.code, FILE.read_bytes(), len(fates)) == (9, before, 41)
    assert (0 < asked < 40, fates[asked:]) == (
        True,
        [(n, "passed-over") for n in range(after, 0, -1)],
    )
    error, hint = ended.err.splitlines()[-2:]
    assert error.startswith(f"error: none of {asked} candidates asked about in 120 s can be used, ")
    assert f"{after} are left, from release {after} down" in error
    assert hint.startswith(f"hint: fftdeploy rollback {NAME} --to {after}, ")
    monkeypatch.setattr(context, "system_clock", lambda: replace(clock, monotonic=lambda: 0.0))
    assert (back(command).code, live()) == (0, V6), "control: with time, it gets there"


# --to and --unverified.

TO = [
    ("unknown", past(NAME, V6, V8), ["--to", 9], 2, "has no release 9"),
    ("held", past(NAME, V6, V8, holds=[hold(V6)]), ["--to", 1], 6, "on hold since"),
    ("held, unverified", past(NAME, V6, V8, holds=[hold(V6)]), ["--to", 1, "--unverified"], 6, "unhold"),
    ("retired", past(NAME, RETIRED, V8), ["--to", 1], 4, "retired"),
    ("D43 retired, unverified", past(NAME, RETIRED, V8), ["--to", 1, "--unverified"], 4, "retired"),
    ("D43 shut, unverified", past(NAME, SHUT, V8), ["--unverified"], 4, "nothing to roll back to"),
    ("B27 no history", f'[triage.production]\nmodel = "{V8}"\n', [], 4, "nothing to roll back to"),
    ("B27 one release", past(NAME, V8), [], 4, "nothing to roll back to"),
    ("one on hold", past(NAME, V6, V8, holds=[hold(V6)]), [], 4, f"lift a hold: fftdeploy unhold {NAME} {V6} --why"),
    ("B27 all gone", past(NAME, SHUT, RETIRED, V8), [], 4, "nothing to roll back to"),
    ("unknown target", past("triage/staging", V8), [], 2, "triage/staging"),
    ("profile without file", past(NAME, V6, V8), ["--profile", "none"], 3, "has no file"),
    ("invalid", past(NAME, V6, V8) + "x", [], 3, "deployments.toml"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("tables", "argv", "code", "words"), [c[1:] for c in TO], ids=[c[0] for c in TO]
)
def test_refused(
    sandbox: Sandbox, command: Command, tables: str, argv: list[Any], code: int, words: str
) -> None:
    before = write(tables)
    result = back(command, *argv)
    assert (result.code, FILE.read_bytes()) == (code, before), result.err
    assert words in result.err
    if code in {2, 3, 6}:
        assert sandbox.requests == ()


def test_to_what_is_live_changes_nothing(sandbox: Sandbox, command: Command) -> None:
    before = write(past(NAME, V6, V8))
    status = FILE.stat()
    result = back(command, "--to", 2)
    assert (result.code, FILE.read_bytes(), sandbox.requests) == (0, before, ())
    assert (FILE.stat().st_mtime_ns, FILE.stat().st_ino) == (status.st_mtime_ns, status.st_ino)


def test_D42_unverified_goes_back_while_the_api_is_down(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write(past(NAME, V6, V8))
    sandbox.fault(status=400, body="<html>", content_type="text/html")
    assert (back(command).code, FILE.read_bytes()) == (9, before)
    result = back(command, "--unverified")
    assert (result.code, live(), newest(NAME).verified) == (0, V6, False)
    assert "warning: not verified" in result.err


@pytest.mark.parametrize("key", [None, "", "sk-bad\n", "sk-wrong"])
def test_D42_unverified_goes_back_without_a_good_key(
    command: Command, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    before = write(past(NAME, V6, V8))
    if key is None:
        monkeypatch.delenv("OPENAI_API_KEY")
    else:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    assert (back(command).code, FILE.read_bytes()) == (10, before)
    result = back(command, "--unverified")
    assert (result.code, live(), newest(NAME).verified) == (0, V6, False)
    assert "warning: not verified" in result.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FFTDEPLOY_PROVIDERS", "{}/own.toml"),
        ("OPENAI_BASE_URL", "http://u:p@127.0.0.1:9/v1"),
    ],
)
def test_D42_unverified_goes_back_where_nobody_can_be_asked(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    value: str,
) -> None:
    (tmp_path / "own.toml").write_text("x =")
    before = write(past(NAME, V7, V8))
    monkeypatch.setenv(name, value.format(tmp_path))
    refused = back(command)
    assert (refused.code, FILE.read_bytes()) == (3, before)
    assert "or go back --unverified\n" in refused.err
    result = back(command, "--unverified")
    assert (result.code, live(), newest(NAME).verified) == (0, V7, False), result.err


def test_unverified_is_verified_where_it_can_be(command: Command) -> None:
    write(past(NAME, V6, V8))
    assert (back(command, "--unverified").code, newest(NAME).verified) == (0, True)


def test_unverified_takes_one_that_is_loading(command: Command) -> None:
    write(past(NAME, V6, LOADING, V8))
    result = back(command, "--unverified", "--wait", "0")
    assert (result.code, live(), newest(NAME).verified) == (0, LOADING, False)


def test_a_key_of_another_project_rules_nothing_out(command: Command) -> None:
    """A 404 for the live model and every candidate says more about the key than about them."""
    foreign = [f"ft:gpt-4.1-mini-2025-04-14:elsewhere:triage-v{n}:Xx{n}" for n in (1, 2, 3)]
    before = write(past(NAME, *foreign))
    result = back(command)
    assert (result.code, FILE.read_bytes()) == (10, before)
    assert "is this the key of another project?" in result.err


def test_a_key_without_access_is_no_missing_model(command: Command) -> None:
    before = write(past(NAME, V6, OTHER, V8))
    assert (back(command).code, FILE.read_bytes()) == (10, before)


# Profiles.


@pytest.mark.parametrize(
    ("present", "words"),
    [
        (None, "profiles/long.toml is missing"),
        ("reworded", "profiles/long.toml is not what it was"),
    ],
    ids=["missing", "changed"],
)
def test_a_prompt_that_is_not_on_disk_stops_the_search(
    sandbox: Sandbox, command: Command, present: str | None, words: str
) -> None:
    write_profile("short")
    if present:
        write_profile("long", present)
    rows = [row(3, V9), row(2, V8, "long"), row(1, V6)]
    before = write(table(NAME, V9, rows))
    result = back(command)
    assert (result.code, FILE.read_bytes(), sandbox.requests) == (6, before, ())
    assert words in result.err
    assert "; no commit here has that prompt\nhint: git log --oneline -- profiles" in result.err
    assert "--profile P" in result.err
    assert back(command, "--to", 2).code == 6
    result = back(command, "--profile", "short")
    assert result.code == 0, result.err
    found = newest(NAME)
    assert (found.bundle, found.to) == (Bundle(V8, profile="short", profile_sha=sha("short")), 2)
    assert (back(command).code, live()) == (0, V6)


def test_the_hint_restores_the_prompt(command: Command, repo: Path) -> None:
    write_profile("long")
    write(table(NAME, V9, [row(2, V9), row(1, V8, "long")]))
    when = {"GIT_COMMITTER_DATE": "2026-10-01T00:00:00Z", "GIT_AUTHOR_DATE": "2026-10-01T00:00:00Z"}
    subprocess.run(["git", "add", "."], check=True)
    subprocess.run(["git", "commit", "-qm", "first"], check=True, env=os.environ | when)
    write_profile("long", "reworded")
    subprocess.run(["git", "commit", "-qam", "second"], check=True)
    refused = back(command)
    assert refused.code == 6
    line = refused.err.split("hint: ")[1].splitlines()[0]
    subprocess.run(["sh", "-c", line], check=True)
    result = back(command)
    assert (result.code, read(NAME).profile) == (0, "long"), result.err


def test_a_live_prompt_that_is_gone_stops_no_rollback(command: Command) -> None:
    write(table(NAME, V9, [row(2, V9, "lost"), row(1, V8)], profile="lost"))
    assert (back(command).code, live(), holds()) == (0, V8, [(V9, None)])
    assert [release.n for release in read(NAME).releases] == [3, 2, 1]


@pytest.mark.parametrize(("edited", "held"), [(V9, []), (V10, [(V10, None)])])
def test_a_hand_edit_to_a_lost_prompt_is_rolled_back(
    command: Command, edited: str, held: list[tuple[str, int | None]]
) -> None:
    write(table(NAME, edited, [row(2, V9), row(1, V8)], profile="lost"))
    result = back(command)
    assert (result.code, live(), read(NAME).profile, holds()) == (0, V9, None, held)
    assert "profiles/lost.toml is missing" in result.out


# Hand edits and policy.


def test_a_hand_edit_is_recorded_and_rolled_back_even_where_protected(command: Command) -> None:
    write(table(NAME, V10, [row(2, V9), row(1, V8)]), past("triage/staging", V9), policy=POLICY)
    result = back(command, "--why", "INC-89")
    assert result.code == 0, result.err
    rolled, adopted, *_ = read(NAME).releases
    assert (rolled.n, rolled.to, rolled.bundle.model) == (4, 2, V9)
    assert (adopted.n, adopted.via, adopted.bundle.model, adopted.verified) == (
        3,
        "adopt",
        V10,
        False,
    )
    assert holds() == [(V10, None)]


def test_a_hand_edit_to_an_old_release_shares_its_origin(command: Command) -> None:
    write(table(NAME, V7, [row(3, V9), row(2, V7), row(1, V6)]))
    assert (back(command).code, live()) == (0, V6)
    assert [(r.n, r.via, r.to) for r in read(NAME).releases[:2]] == [
        (5, "rollback", 1),
        (4, "adopt", 2),
    ]


def test_neither_freeze_nor_soak_nor_order_nor_why_stops_it(command: Command) -> None:
    freeze = '[{ from = 2026-11-20, to = 2026-11-22, why = "holidays" }]'
    rules = POLICY.replace(
        "protected = true", f'protected = true\nsoak = "60d"\nmin_runway = "90d"\nfreeze = {freeze}'
    )
    write(past(NAME, LUNA, V10), policy=rules)
    assert (back(command).code, live()) == (0, LUNA)


def test_a_way_back_that_is_live_already_is_passed_by(command: Command) -> None:
    rows = [row(3, V8), row(2, V8), row(1, V6)]
    write(table(NAME, V8, rows))
    result = back(command, "--json")
    assert (result.code, live(), candidates(result)) == (0, V6, [(2, "live"), (1, "ready")])


def test_an_origin_that_is_no_longer_kept_is_one(command: Command) -> None:
    rows = [row(9, V8, via="rollback", to=4), row(8, V9), row(3, V7)]
    write(table(NAME, V8, rows))
    assert (back(command).code, live()) == (0, V7)


def test_B16_a_change_that_nothing_could_read_is_not_written(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound every command would refuse the file, and applications would not start."""
    before = write(past(NAME, V7, V8)) + b"# all of our files are read\n" * 200
    FILE.write_bytes(before)
    monkeypatch.setattr(names, "MAX_FILE_BYTES", len(before) + 100)
    result = back(command)
    assert (result.code, FILE.read_bytes()) == (3, before)
    assert "the changed file could not be read: " in result.err
    assert "nothing was changed (deployments.toml)" in result.err


def test_what_is_held_already_is_held_once(command: Command) -> None:
    write(past(NAME, V7, V8, holds=[hold(V8)]))
    assert (back(command).code, holds()) == (0, [(V8, None)])


def test_J33_a_hold_that_ends_is_not_the_one_that_a_rollback_puts_on(command: Command) -> None:
    until = STORY_NOW + timedelta(days=1)
    write(past(NAME, V7, V8, holds=[hold(V8, until=until)]))
    assert (back(command).code, [held.until for held in read(NAME).holds]) == (0, [None, until])


def test_a_hold_that_is_over_blocks_nothing(command: Command) -> None:
    over = hold(V7, since=STORY_NOW - timedelta(days=2), until=STORY_NOW)
    write(past(NAME, V6, V7, V8, holds=[over]))
    assert (back(command).code, live()) == (0, V7)


def test_C1_the_second_of_two_rollbacks_is_not_told_to_run_again(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take off the good model that the first one went back to."""
    write(past(NAME, V6, V7, V8))
    meanwhile(monkeypatch, lambda: back(command))
    second = back(command)
    assert (second.code, live(), holds()) == (8, V7, [(V8, None)])
    assert f"a second rollback goes further back: fftdeploy status {NAME}\n" in second.err
    assert "run it again" not in second.err


def test_D34_a_candidate_deleted_meanwhile_is_not_made_live(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write(past(NAME, V6, V7, V8))
    aged(monkeypatch, 61)
    meanwhile(monkeypatch, lambda: sandbox.remove(V7))
    assert (back(command).code, FILE.read_bytes()) == (4, before)


def test_D37_the_servers_clock_dates_a_rollback(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(past(NAME, V6, V7))
    monkeypatch.setenv("FFTDEPLOY_NOW", "2026-12-10T00:00:00Z")
    assert (back(command).code, newest(NAME).at, read(NAME).holds[0].since) == (
        0,
        STORY_NOW,
        STORY_NOW,
    )
