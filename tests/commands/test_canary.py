"""A canary: a part of the keys for another model, step by step, and back."""

import json
from datetime import timedelta

import pytest
from command_line import Command
from scenes import FILE, POLICY, V6, V7, V8, V9, V10, past, read, row, table, write
from terminal import screen

from fftdeploy.releases.deployments import Bundle, Canary
from fftdeploy.sandbox import STORY_NOW, Sandbox

pytestmark = pytest.mark.usefixtures("repo", "sandbox")
NAME = "triage/production"
TABLES = [past("triage/staging", V7, V8, V9), past(NAME, V7, V8)]
SINCE = "2026-11-21T08:30:00Z"


def begin(command: Command, *argv: str, model: str = V9, code: int = 0) -> str:
    done = command("promote", NAME, "--model", model, "--why", "try it", "--yes", *argv)
    assert done.code == code, done.err
    return done.out + done.err


def test_a_canary_is_one_line_and_one_row(command: Command) -> None:
    before = write(*TABLES, policy=POLICY)

    said = begin(command, "--canary", "5")

    assert said.splitlines()[0] == f"{NAME}  5 % {V9}, the rest {V8}  release 3, from staging"
    line = f'canary = {{ model = "{V9}", weight = 5, since = {SINCE} }}\n'
    row = (
        f'  {{ n = 3, model = "{V9}", at = {SINCE}, by = "ana@acme.example", via = "staging", '
        'why = "try it", canary = 5 },\n'
    )
    head, _, tail = before.decode().rpartition(f'model = "{V8}"\nreleases = [\n')
    assert FILE.read_text() == f'{head}model = "{V8}"\n{line}releases = [\n{row}{tail}'
    assert read(NAME).canary == Canary(V9, 5, STORY_NOW)
    checked = command("check", "--json")
    assert checked.code == 0, checked.out
    assert command("resolve", NAME).out == f"{V8}\n"


def test_step_by_step_it_becomes_what_is_live(command: Command) -> None:
    write(*TABLES, policy=POLICY)
    begin(command, "--canary", "5")
    begin(command, "--canary", "25")
    at_25 = FILE.read_bytes()
    again = command("promote", NAME, "--canary", "25", "--yes")
    assert (again.code, FILE.read_bytes()) == (0, at_25), again.err
    assert "nothing to do" in again.out

    done = command("promote", NAME, "--why", "no worse for a day", "--yes", "--json")

    target = read(NAME)
    assert done.code == 0, done.err
    assert (target.model, target.canary) == (V9, None)
    rows = [(row.n, row.bundle.model, row.via, row.canary) for row in target.releases]
    assert rows == [
        (5, V9, "staging", None),
        (4, V9, "staging", 25),
        (3, V9, "staging", 5),
        (2, V8, "model", None),
        (1, V7, "model", None),
    ]
    assert json.loads(done.out)["before"]["canary"]["weight"] == 25
    history = command("history", NAME).out
    assert "canary, 25 %" in history
    back = command("rollback", NAME, "--yes")
    assert (back.code, read(NAME).model) == (0, V8)


def test_one_that_was_taken_off_is_no_way_back(command: Command) -> None:
    rows = [row(4, V10), row(3, V9, canary=5), row(2, V8), row(1, V7)]
    write(table(NAME, V10, rows), policy=POLICY)
    soaked = [read(NAME).soaked(Bundle(each), Bundle(V10), STORY_NOW) for each in (V9, V8)]
    assert soaked == [timedelta(), timedelta(days=2)]
    done = command("rollback", NAME, "--yes", "--json")
    assert (done.code, read(NAME).model) == (0, V8), done.err
    assert [one["n"] for one in json.loads(done.out)["candidates"]] == [2, 1]


def test_a_rollback_takes_off_the_canary_and_only_that(sandbox: Sandbox, command: Command) -> None:
    write(*TABLES, policy=POLICY)
    begin(command, "--canary", "5")
    canary = FILE.read_text()
    asked = len(sandbox.requests)

    done = command("rollback", NAME, "--why", "INC-9", "--yes")

    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == f"{NAME}  canary {V9} taken off, {V8} stays live"
    line = f'canary = {{ model = "{V9}", weight = 5, since = {SINCE} }}\n'
    hold = (
        f'holds = [\n  {{ model = "{V9}", since = {SINCE}, by = "ana@acme.example", '
        'why = "INC-9" },\n]\n'
    )
    assert FILE.read_text() == canary.replace(line, "") + hold
    assert len(sandbox.requests) == asked  # nothing is asked for going back to what is live
    assert "on hold" in begin(command, "--canary", "5", code=6)
    assert command("check").code == 0
    gone_back = command("rollback", NAME, "--yes")
    assert (gone_back.code, read(NAME).model) == (0, V7)


def test_what_is_live_can_be_rolled_back_beside_it(command: Command) -> None:
    write(*TABLES, policy=POLICY)
    begin(command, "--canary", "5")
    assert command("rollback", NAME, "--to", "3", "--yes").code == 2  # never what was live

    done = command("rollback", NAME, "--to", "1", "--yes")

    target = read(NAME)
    assert (done.code, target.model, target.canary) == (0, V7, None)
    assert [hold.model for hold in target.holds] == [V8]
    assert f"note: the canary, {V9}, is taken off, too\n" in done.out


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--model", V9, "--canary", "0"], 2, "--canary 0 is not 1 to 50"),
        (["--model", V9, "--canary", "51"], 2, "--canary 51 is not 1 to 50"),
        (["--model", V8, "--canary", "5"], 2, f"{V8} is live in {NAME} already"),
        (["--model", V10, "--why", "x", "--canary", "5"], 6, "was not live in triage/staging"),
        (["--model", V9, "--canary", "5"], 6, "is protected: the change needs a reason"),
    ],
)
def test_it_is_refused_as_a_promotion_is(
    command: Command, argv: list[str], code: int, words: str
) -> None:
    before = write(*TABLES, policy=POLICY)
    done = command("promote", NAME, *argv, "--yes")
    assert (done.code, FILE.read_bytes()) == (code, before), done.err
    assert words in done.err


def test_nothing_is_tried_beside_nothing(command: Command) -> None:
    write(TABLES[0], policy=POLICY)
    assert "--canary needs something live" in begin(command, "--canary", "5", code=2)


def test_while_one_runs_nothing_else_comes(command: Command) -> None:
    write(past("triage/staging", V6, V9), past(NAME, V7, V8), policy=POLICY)
    begin(command, "--canary", "5")
    before = FILE.read_bytes()
    done = command("promote", NAME, "--model", V6, "--why", "x", "--yes")
    assert (done.code, FILE.read_bytes()) == (6, before)
    assert f"a canary runs in {NAME}: {V9}, 5 %" in done.err
    assert f"fftdeploy rollback {NAME}" in done.err


def test_a_canary_elsewhere_is_no_source_and_gives_no_soak(command: Command) -> None:
    aside = ("--override", "order", "--why", "x")
    policy = POLICY.replace("protected = true\n", 'protected = true\nsoak = "24h"\n')
    write(past("triage/staging", V7, V8), past(NAME, V7), policy=policy)
    tried = command("promote", "triage/staging", "--model", V9, "--canary", "50", *aside, "--yes")
    assert tried.code == 0, tried.err
    done = command("promote", NAME, "--model", V9, "--why", "x", "--yes")
    assert (done.code, "was not live in triage/staging" in done.err) == (6, True)
    stays = command("promote", NAME, "--from", "staging", "--why", "x", "--dry-run")
    assert stays.code == 0, stays.err  # what is live there goes on soaking


def test_a_hand_written_line_is_found(command: Command) -> None:
    write(*TABLES, policy=POLICY)
    begin(command, "--canary", "5")
    FILE.write_text(FILE.read_text().replace("weight = 5", "weight = 50"))
    done = command("check", "--json")
    (finding,) = [f for f in json.loads(done.out)["findings"] if f["severity"] == "error"]
    assert (done.code, finding["code"]) == (12, "canary-edit")
    assert command("rollback", NAME, "--yes").code == 0
    assert command("check").code == 0


def test_one_that_is_what_is_live_is_found_and_holds_nothing(command: Command) -> None:
    """A promotion by hand that keeps the line: what is live is not put on hold and left live."""
    write(*TABLES, policy=POLICY)
    begin(command, "--canary", "5")
    (line,) = [line for line in FILE.read_text().splitlines() if line.startswith("canary = ")]
    assert command("promote", NAME, "--why", "no worse", "--yes").code == 0
    head, _, tail = FILE.read_text().rpartition(f'model = "{V9}"\n')
    kept = f'{head}model = "{V9}"\n{line}\n{tail}'
    FILE.write_text(kept)
    done = command("check", "--json")
    (finding,) = [f for f in json.loads(done.out)["findings"] if f["severity"] == "error"]
    assert (done.code, finding["code"]) == (12, "canary-live")

    assert command("rollback", NAME, "--canary", "--yes").code == 0
    assert (read(NAME).model, read(NAME).canary, read(NAME).holds) == (V9, None, ())
    assert command("check").code == 0
    FILE.write_text(kept)
    assert command("rollback", NAME, "--why", "bad", "--yes").code == 0
    assert (read(NAME).model, read(NAME).canary) == (V8, None)
    assert [hold.model for hold in read(NAME).holds] == [V9]
    assert command("check").code == 0


def test_one_that_died_is_found_and_shown(sandbox: Sandbox, command: Command) -> None:
    write(*TABLES, policy=POLICY)
    begin(command, "--canary", "5")
    shown = json.loads(command("status", NAME, "--json").out)["targets"][0]["canary"]
    assert (shown["model"], shown["weight"], shown["recorded"]) == (V9, 5, True)
    assert shown["readiness"]["state"] == "ready"
    sandbox.remove(V9)
    assert command("status", NAME, "--fail-on", "dead").code == 12

    done = command("check", "--json")

    found = [(f["code"], f["message"][:11]) for f in json.loads(done.out)["findings"]]
    assert done.code == 12
    assert ("missing", "the canary:") in found


def test_only_the_canary_is_taken_off_where_that_is_asked(command: Command) -> None:
    before = write(*TABLES, policy=POLICY)
    nothing = command("rollback", NAME, "--canary", "--yes")
    assert (nothing.code, FILE.read_bytes(), "no canary runs" in nothing.out) == (0, before, True)
    assert command("rollback", NAME, "--canary", "--to", "1", "--yes").code == 2
    begin(command, "--canary", "5")
    assert command("rollback", NAME, "--canary", "--yes").code == 0
    assert (read(NAME).model, read(NAME).canary) == (V8, None)
    shown = command("history", NAME)
    assert "canary, 5 %, taken off 2026-11-21: canary of 5 % taken off" in shown.out
    narrow = screen(["history", NAME], 80)[1]
    assert "taken off 2026-11-21: canary of 5 % taken off; try it" in " ".join(narrow.split())


def test_J25_nothing_goes_back_to_a_canary(command: Command) -> None:
    write(*TABLES, policy=POLICY)
    begin(command, "--canary", "5")
    row = FILE.read_text().replace('via = "staging", why = "try it", canary = 5', "ROW", 1)
    FILE.write_text(
        row.replace("ROW", 'via = "staging", why = "try it", canary = 5').replace(
            "releases = [\n  { n = 3",
            f'releases = [\n  {{ n = 4, model = "{V9}", at = {SINCE}, by = "a", '
            'via = "rollback", to = 3 },\n  { n = 3',
        )
    )
    done = command("check", "--offline")
    assert (done.code, "release 3 was a canary: release 4 can't go back" in done.err) == (3, True)


def test_a_row_says_no_rollback(command: Command) -> None:
    write(past(NAME, V7, V8).replace('via = "model"', 'via = "adopt", canary = 5', 1))
    done = command("check", "--offline")
    assert (done.code, "a canary does not come by 'adopt'" in done.err) == (3, True)
