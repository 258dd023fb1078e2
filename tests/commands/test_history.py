"""History, models: what was live when, and what there is."""

import json
from pathlib import Path

import pytest
from command_line import Command
from november import row, target, write
from scenes import POLICY, V8, V9

from fftdeploy.sandbox import Sandbox

ROLLED_BACK = (
    f'[triage.production]\nmodel = "{V8}"\nreleases = [\n'
    + row(5, V8, 'via = "rollback", to = 1, why = "refunds", verified = false')
    + row(3, V9, 'via = "staging", why = "PR #212", overrides = ["freeze"]')
    + row(1, V8)
    + "]\n"
)


def test_history_says_what_undid_what(repo: Path, command: Command) -> None:
    write(repo, ROLLED_BACK)

    result = command("history")

    wide = len(V8)
    assert result.out.splitlines() == [
        "triage/production",
        f"#  {'MODEL':{wide}}  SINCE              BY  VIA          WHY/NOTES",
        f"5  {V8}  2026-11-05 09:00Z  ci  rollback #1  live; unverified; refunds",
        f"3  {V9}  2026-11-03 09:00Z  ci  staging      undone by 5; overrode freeze; PR #212",
        f"1  {V8}  2026-11-01 09:00Z  ci  model",
    ]
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize(
    ("at", "model"),
    [
        ("2026-11-04T00:00Z", V9),
        ("2026-11-03T10:00+01:00", V9),
        ("2026-11-03T09:59+01:00", V8),
        ("2026-12-01", V8),
        ("2026-10-31", None),
        ("2026-11-02", V8),
        ("2026-11-03", V9),
        ("9999-12-31", V8),
    ],
)
def test_what_was_live_at_a_moment(
    repo: Path, command: Command, at: str, model: str | None
) -> None:
    write(repo, ROLLED_BACK)

    found = json.loads(command("history", "--at", at, "--json").out)["targets"][0]["release"]

    assert (found["model"] if found else None) == model


@pytest.mark.parametrize(
    ("at", "heading"),
    [
        ("2026-11-03", "live at the end of 2026-11-03, UTC"),
        ("2026-11-03T10:00:30+01:00", "live at 2026-11-03 09:00:30Z"),
    ],
)
def test_the_heading_says_which_moment_a_day_stands_for(
    repo: Path, command: Command, at: str, heading: str
) -> None:
    write(repo, ROLLED_BACK)

    assert command("history", "--at", at).out.splitlines()[0] == heading


def test_a_moment_that_has_not_come_is_now(
    repo: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFTDEPLOY_NOW", "2026-11-21T08:30:00Z")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    write(repo, ROLLED_BACK)

    result = command("history", "--at", "2027-03-01")

    assert result.out.splitlines()[0] == "live at 2026-11-21 08:30:00Z"
    assert "has not come yet" in result.err


def test_before_the_oldest_nothing_is_recorded(repo: Path, command: Command) -> None:
    write(repo, ROLLED_BACK)

    assert "not recorded" in command("history", "--at", "2026-10-01").out


@pytest.mark.parametrize("argv", [["history"], ["history", "--at", "2026-11-01"], ["status"]])
@pytest.mark.parametrize(
    ("policy", "rest"),
    [
        ("", "TASK/ENVIRONMENT --model ID --create"),
        ("version = 1\n", "TASK/ENVIRONMENT --model ID"),
        (POLICY, "triage/dev --model ID"),
    ],
)
def test_without_a_target_the_line_that_makes_one_is_said(
    repo: Path, command: Command, argv: list[str], policy: str, rest: str
) -> None:
    write(repo, "")
    if policy:
        Path("fftdeploy.toml").write_text(policy)

    said = command(*argv)

    line = f"no targets yet: fftdeploy promote {rest}\n"
    assert (said.code, said.out) == (0, line)


@pytest.mark.parametrize("policy", [False, True])
def test_adopt_says_how_it_records_what_the_file_lacks(
    repo: Path, command: Command, *, policy: bool
) -> None:
    write(repo, "")
    if policy:
        Path("fftdeploy.toml").write_text("version = 1\n")
    create = "" if policy else " --create"

    refused = command("adopt", "triage/production", "--why", "x", "--yes")

    typed = f'fftdeploy adopt triage/production --model ID{create} --why "TEXT"'
    assert (refused.code, refused.err.splitlines()[-1]) == (2, f"hint: {typed}")


def test_a_name_is_refused_as_it_was_typed(repo: Path, command: Command) -> None:
    write(repo, ROLLED_BACK)

    assert "error: there is no target 'triage' (" in command("resolve", "triage").err


@pytest.mark.parametrize("at", ["2026-11-04T00:00", "yesterday", "2026-13-01"])
def test_a_moment_needs_an_offset(repo: Path, command: Command, at: str) -> None:
    write(repo, ROLLED_BACK)

    result = command("history", "--at", at)

    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: --at")


def test_models_are_listed_with_dates_and_places(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    write(repo, target("staging", V8, V9))

    result = command("models", "--json")

    found = {model["id"]: model for model in json.loads(result.out)["models"]}
    assert result.code == 0
    assert found[V9]["live_in"] == ["triage/staging"]
    assert found[V9]["shutdown_date"] == "2027-01-14"
    assert found[V9]["shutdown_source"] == "table of 2026-11-28 (fine-tunes)"
    assert found["gpt-4.1-mini-2025-04-14"]["shutdown_source"] == "model"
    assert "ftjob-running" in {job["id"] for job in json.loads(result.out)["jobs"]}


def test_models_need_no_file_but_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)

    assert command("models").code == 0
    monkeypatch.delenv("OPENAI_API_KEY")
    assert command("models").code == 10
