"""Verdicts as people see them: at terminals of several widths, in pipes, in ASCII."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import terminal
from command_line import PROGRAM, Command
from gated import TARGET, evidence, scene
from scenes import V8, V9, V10

from fftdeploy.cli.verdict_blocks import packed

pytestmark = pytest.mark.usefixtures("repo", "sandbox")

MINUS = "\N{MINUS SIGN}"
POLICY = """\
version = 1
order = ["staging", "production"]

[environments.production]
from = ["staging"]
protected = true

[tasks.triage.gate]
examples = ["evals/triage.jsonl"]
must_pass = ["edge-case"]
slices = ["topic"]
floors = { pass_rate = 0.85 }

[[tasks.triage.gate.graders]]
type = "json_fields"
fields = { urgency = "exact", category = "exact", next_step = "casefold" }
"""
V9_FAILS = f"""\
FAIL  fails 3 must-pass examples: t-001, t-018, t-064 (live too: t-001, t-018)
  also        under the floor pass_rate = 0.85: 53 of 67 (79.1%)
  live        triage-v8  51/67  76.1%  ███████████████▎
  candidate   triage-v9  53/67  79.1%  ███████████████▉      +10 fixed  {MINUS}8 broke
  difference  {MINUS}7.9 ───┊───┼─●────────── +13.9 points  limit {MINUS}5
  topic=refund  8 broke, 0 fixed of 12  p 0.043  t-003 t-014 t-033 …
  category    refund → billing 10 wrong, question → billing 3 (1 right), 3 more
  t-003       I was charged twice for order 88213. Please fix this.
  cost/1,000  no price  p95 N ms (16 at once)  tokens 29/31
  weak spots  9 of 10 values of next_step in under 10 examples
  evidence    ID   next: fftdeploy report ID --open
"""


def shown(columns: int, *words: str, **environ: str) -> str:
    """Return what a terminal shows of a command, without what two runs say differently."""
    environment = {**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1", **environ}
    _, text = terminal.run([str(PROGRAM), *words], environment)
    text = re.sub(r"\b[0-9a-f]{12}\b", "ID", text)
    return re.sub(r"\d+ (?:→|->) \d+ ms|\d+ ms", "N ms", text)


def test_a_verdict_is_read_at_a_glance(command: Command) -> None:
    scene(V8, V9, policy=POLICY)
    judged = command("eval", TARGET)
    (path,) = evidence()
    short = path.stem[:12]

    wide, narrow = (shown(columns, "report", short) for columns in (80, 40))
    ascii_ = shown(80, "report", short, PYTHONIOENCODING="ascii")
    whole = shown(80, "report", short, "--all")

    assert judged.code == 5
    assert wide.partition("\n")[2] == V9_FAILS, "after the heading"
    assert len(V9_FAILS.splitlines()) <= 12
    assert max(map(len, wide.splitlines()[1:])) <= 80
    assert max(map(len, narrow.splitlines()[:-1])) <= 40
    assert ascii_.isascii()
    assert "difference  -7.9 ---:---+-o---------- +13.9 points  limit -5" in ascii_
    assert "  live        triage-v8  51/67  76.1%  ###############" in ascii_
    for part in ("topic=account", "fixed (10): t-006", "agreed      {", "question → account 2"):
        assert part in whole
        assert part not in wide
    assert f"  live        {V8}  51/67  76.1%" in judged.out, "whole IDs off a terminal"


def test_several_candidates_begin_with_a_line_each(command: Command) -> None:
    scene(V8, V9, policy=POLICY)

    text = shown(80, "eval", TARGET, V9, V10)

    start = text[text.index("CANDIDATE") :].splitlines()
    assert [line.split()[:2] for line in start[1:3]] == [
        ["triage-v9", "FAIL"],
        ["triage-v10", "PASS"],
    ]
    assert text.count("  risk        2 candidates share it: each is held to 97.5% confidence") == 2
    assert max(map(len, start[:-1])) <= 80


def test_nothing_is_said_twice_to_a_person_who_is_asked() -> None:
    scene(V8, V10, policy=POLICY)
    environ = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}

    code, screen = terminal.run(
        [str(PROGRAM), "promote", TARGET],
        environ,
        ("why?", "PR #7"),
        ("evaluate now? [y/N]", "y"),
        ("make this change? [y/N]", "n"),
    )
    _, again = terminal.run([str(PROGRAM), "eval", TARGET], environ)

    assert (code, screen.count("PASS"), screen.count("134 requests")) == (130, 1, 1), screen
    assert "all answers were known: nobody was asked\n" in again, again


def test_a_list_that_does_not_fit_a_line_goes_on_below_its_label() -> None:
    costs = ("0.12 → 0.15 USD", "p95 640 → 1,702 ms (16 at once)", "tokens 29/31 → 375/31")

    two, one = (packed("cost", costs[:to], mark="  ") for to in (3, 2))

    assert ["".join(map(str, line.cells)) for line in two] == [
        "  cost        0.12 → 0.15 USD  p95 640 → 1,702 ms (16 at once)",
        "              tokens 29/31 → 375/31",
    ]
    assert len([*one]) == 1
    assert [line.cells[1].text for line in packed("a", ["b", "c"])] == ["b, c"]


def test_what_is_live_is_called_so_and_judged_as_no_candidate(command: Command) -> None:
    scene(V8, V9, policy=POLICY)

    judged = command("eval", TARGET, "live")

    first, *rest = judged.out.splitlines()
    assert (judged.code, first) == (0, "ON RECORD  what is live: candidates are compared with it")
    assert not any("candidate " in line for line in rest)
    assert f"  live        {V8}  51/67" in judged.out
    assert "taken for" in judged.out


def test_outputs_that_are_gone_are_told(command: Command) -> None:
    scene(V8, V9, policy=POLICY)
    command("eval", TARGET)
    for log in Path(".fftdeploy/runs").glob("*.jsonl"):
        log.unlink()

    said = command("report")

    assert said.code == 0
    assert "  changed     not known here: " in said.out
    assert "refund → billing" not in said.out
    command("report", "-o", "report.html")
    spot = said.out.partition("  weak spots  ")[2].partition("\n")[0]
    assert " in under 10 examples" in spot  # which are there
    assert spot in Path("report.html").read_text(encoding="utf-8")


def test_a_promotion_that_is_stopped_shows_the_verdict(command: Command) -> None:
    scene(V8, V9, policy=POLICY)

    tried = command("promote", TARGET, "--why", "PR #7", "--yes", "--eval", "--max-requests", "200")

    assert tried.code == 5
    for part in (
        "FAIL  fails 3 must-pass examples",
        "  category    refund → billing",
        "  difference",
    ):
        assert part in tried.err
    assert tried.err.splitlines()[-1].startswith("hint: fftdeploy report ")


def test_a_page_opens_in_the_browser_of_who_is_at_the_terminal(command: Command) -> None:
    scene(V8, V9, policy=POLICY)
    command("eval", TARGET)
    short = evidence()[0].stem[:12]
    page = Path(".fftdeploy/pages", f"{short}.html")
    browser = Path("browser")
    browser.write_text('#!/bin/sh\necho "$1" > opened\n')
    browser.chmod(0o755)

    opened = shown(80, "report", short, "--open", BROWSER=f"{browser.resolve()} %s")
    without = shown(80, "report", "--open", "-o", "here.html", BROWSER="", DISPLAY="")
    piped = command("report", "triage", "--open")

    assert f"opened {page.parent}/" in opened
    assert Path("opened").read_text() == f"{page.resolve().as_uri()}\n"
    assert "What changed" in page.read_text()
    assert subprocess.run(["git", "check-ignore", "-q", page], check=False).returncode == 0
    assert without == "note: no browser was found to open it\nwrote here.html\n"
    assert (piped.code, piped.out) == (0, f"wrote {page}\n")
