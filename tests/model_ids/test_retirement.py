"""Dates and replacements are OpenAI's word of a day, and every screen says of which day."""

import json
import re
import subprocess
from datetime import date
from pathlib import Path

import pytest
from command_line import Command
from scenes import POLICY, V8, V9, past, write

from fftdeploy.api.readiness import replace_hint
from fftdeploy.model_ids import retirement
from fftdeploy.sandbox import Sandbox


def test_the_replacements_of_2026_12_11() -> None:
    found = {
        name: (row.itself, row.replacement)
        for name in ("gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5-pro", "o3", "o3-pro")
        if (row := retirement.row_for(name))
    }

    december = date(2026, 12, 11)
    assert found == {
        "gpt-5": (december, "gpt-6.1-sol"),
        "gpt-5-mini": (december, "gpt-6.1-terra"),
        "gpt-5-nano": (december, ""),
        "gpt-5-pro": (december, ""),
        "o3": (december, ""),
        "o3-pro": (december, ""),
    }
    assert replace_hint("gpt-5", "openai") == (
        "OpenAI's table of 2026-11-28 names gpt-6.1-sol as its replacement"
    )


def test_every_screen_with_a_date_of_the_table_says_of_which_day_the_table_is(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    write(past("triage/staging", V8, V9), past("triage/production", V8), policy=POLICY)
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "first")
    subprocess.run(["git", "add", "."], check=True)
    subprocess.run(git, check=True)
    write(past("triage/staging", V8, V9), past("triage/production", V8, V9), policy=POLICY)
    dated = f"table of {retirement.table().as_of}"
    screens = (
        ("status",),
        ("status", "--offline"),
        ("status", "--fail-on", "runway:90d"),
        ("check",),
        ("check", "--base", "HEAD"),
        ("models",),
        ("diff", "staging", "production"),
        ("promote", "triage/production", "--why", "x", "--dry-run"),
        ("rollback", "triage/production", "--why", "x", "--dry-run"),
        ("history", "triage/production"),
    )
    shown = 0

    for argv in screens:
        for form in ("text", "json", "markdown", "github"):
            done = command(*argv, "--format", form)
            said = (done.out + done.err).replace("\\", "")
            if "2027-01-14" in said:
                shown += 1
                assert dated in said, (argv, form)
            if form == "json":
                sources = re.findall(r'"shutdown_source": "([^"]*)', done.out)
                assert all(source.startswith((dated, "model", "base")) for source in sources)

    assert dated == retirement.table().dated == "table of 2026-11-28"
    assert shown >= 20


TABLE = """\
version = 1
as_of = 2026-11-30
source = "https://example.com/announcements"
[models]
"gpt-4.1-mini-2025-04-14" = { fine_tunes = 2026-12-20, replacement = "gpt-6-luna" }
[aliases]
"gpt-4.1-mini" = "gpt-4.1-mini-2025-04-14"
"""


def test_a_newer_table_of_the_users_dates_every_screen(
    repo: Path,
    sandbox: Sandbox,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(past("triage/production", V8, V9), policy=POLICY)
    table = tmp_path / "shutdowns.toml"
    table.write_text(TABLE)
    monkeypatch.setenv("FFTDEPLOY_SHUTDOWNS", str(table))

    for argv in (("status",), ("status", "--offline"), ("check",)):
        document = command(*argv, "--json").out
        assert "2026-12-20" in document, argv
        assert "2027-01-14" not in document, argv
        assert "table of 2026-11-30 (fine-tunes)" in document, argv
    assert "FFTDEPLOY_SHUTDOWNS" not in command("status", "--offline").err

    monkeypatch.setenv("FFTDEPLOY_NOW", "2026-12-31T09:00:00Z")
    said = command("status", "--offline").err
    assert "note: the table of 2026-11-30 is 31 days old: a newer one can be named in " in said

    table.write_text(TABLE.replace("2026-11-30", "2026-11-01"))
    found = command("status", "--offline")
    assert "names a table of 2026-11-01, older than the one that comes along" in found.err
    assert "table of 2026-11-28" in found.out


FAULTS = {
    "within-the-repository": ("repo/s.toml", TABLE, "it lies in the checkout"),
    "not-there": ("s.toml", None, "no such file"),
    "no-day": ("s.toml", TABLE.replace("fine_tunes = 2026-12-20, ", ""), "a model without a day"),
    "another-key": ("s.toml", TABLE.replace("as_of", "asof"), "unknown key"),
    "no-model": ("s.toml", TABLE.replace('"gpt-4.1-mini" =', '"ftjob-1" ='), "s.toml:7:"),
    "no-toml": ("s.toml", "{}", "s.toml:1:"),
}


@pytest.mark.parametrize(("name", "text", "said"), FAULTS.values(), ids=FAULTS)
def test_a_table_that_is_not_right_is_3(
    repo: Path,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    text: str | None,
    said: str,
) -> None:
    write(past("triage/production", V8), policy=POLICY)
    if text is not None:
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("FFTDEPLOY_SHUTDOWNS", str(tmp_path / name))

    found = command("status", "--offline")
    assert (found.code, said in found.err) == (3, True), found.err


def test_what_ends_soon_is_listed_fails_and_is_in_a_calendar(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    write(
        past("triage/staging", V8, "gpt-6-luna"), past("triage/production", V8, V9), policy=POLICY
    )

    listed = [
        one["shutdown_date"]
        for one in json.loads(command("models", "--retiring", "--json").out)["models"]
    ]
    assert listed == sorted(listed)
    assert listed[-1] >= "2027-01-14"
    assert len(listed) < len(json.loads(command("models", "--json").out)["models"])

    assert command("status", "--fail-on", "runway:54d").code == 0
    failed = command("status", "--fail-on", "runway:55d", "--json")
    assert failed.code == 12
    assert [(one["subject"], one["code"]) for one in json.loads(failed.out)["findings"]] == [
        ("triage/staging", "rollback-runway"),
        ("triage/production", "runway"),
    ]

    document = json.loads(command("status", "--calendar", "dates.ics", "--json").out)
    assert document["calendar"] == "dates.ics"
    assert document["targets"][0]["rollback_shutdown"]["runway_days"] == 54
    text = Path("dates.ics").read_bytes().decode().replace("\r\n ", "")
    assert text.count("BEGIN:VEVENT") == 2
    assert text.count("DTSTART;VALUE=DATE:20270114") == 2
    assert (
        "the way back of triage/staging (release 1)\\nthe way back of triage/production (release 1)"
        in text
    )
    assert command("status", "--calendar", "dates.txt").code == 2
