"""Dates and replacements are OpenAI's word of a day, and every screen says of which day."""

import re
import subprocess
from datetime import date
from pathlib import Path

from command_line import Command
from scenes import POLICY, V8, V9, past, write

from fftdeploy.api.verdicts import replace_hint
from fftdeploy.model_ids import retirement
from fftdeploy.model_ids.retirement import AS_OF, DATED
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
    dated = f"table of {AS_OF}"
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

    assert (date(2026, 11, 28), dated) == (AS_OF, DATED)
    assert shown >= 20
