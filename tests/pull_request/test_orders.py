"""Promotions undone in the pull request that made them, in every order: live is what was live.

Each step is typed as it would be, a minute after the one before; the change is judged as a whole.
"""

import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from command_line import Command, Result
from scenes import V7, V8, V9, V10, past, read, write, write_profile

from fftdeploy.pull_request import change_rules
from fftdeploy.pull_request.changes import TargetChange
from fftdeploy.sandbox import STORY_NOW, Sandbox

TARGET = "triage/production"
POLICY = """\
version = 1
order = ["production"]

[environments.production]
from = []
protected = true
"""
BASE = ("check", "--base", "base", "--offline", "--json")

Act = Callable[..., Result]


@pytest.fixture
def act(repo: Path, sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch) -> Act:
    """Type a step, a minute after the one before; v8 is live where the change begins."""
    for name in ("short", "long"):
        write_profile(name, name)
    write(past(TARGET, V7, V8), policy=POLICY)
    for words in ("add -A", "commit -qm base", "branch base"):
        subprocess.run(["git", *words.split()], check=True)
    minutes = iter(range(1, 99))

    def step(text: str) -> Result:
        moment = STORY_NOW + timedelta(minutes=next(minutes))
        monkeypatch.setenv("FFTDEPLOY_NOW", moment.isoformat())
        name, *words = text.split()
        return command(name, TARGET, *words, "--why", "x", "--yes")

    return step


def promote(model: str, profile: str = "--no-profile") -> str:
    return f"promote --model {model} {profile}"


V9_SHORT, V9_LONG = (promote(V9, f"--profile {name}") for name in ("short", "long"))
UNHOLD = f"unhold {V9}"
ORDERS: dict[str, list[str]] = {
    "one": [promote(V9), "rollback"],
    "one-and-another": [promote(V9), "rollback", promote(V10), "rollback"],
    "two-then-two": [promote(V9), promote(V10), "rollback", "rollback"],
    "two-at-once": [promote(V9), promote(V10), "rollback --to 2"],
    "two-prompts": [V9_SHORT, V9_LONG, "rollback", "rollback"],
    "held-first": [promote(V9), f"hold {V9}", "rollback"],
    "held-after": [promote(V9), "rollback", f"hold {V10}"],
    "again": [promote(V9), "rollback", UNHOLD, promote(V9), "rollback"],
    "there-and-back-by-promotion": [promote(V9), promote(V8)],
}


def errors(done: Result) -> list[tuple[str, str, str]]:
    found = json.loads(done.out)["findings"]
    return [(f["code"], f["message"], f["hint"]) for f in found if f["severity"] == "error"]


@pytest.mark.parametrize("kind", ORDERS)
def test_J19_what_was_undone_may_be_merged_in_any_order(
    act: Act, command: Command, kind: str
) -> None:
    for text in ORDERS[kind]:
        assert act(text).code == 0, text

    done = command(*BASE)

    assert (read(TARGET).model, done.code, errors(done)) == (V8, 0, [])


def test_J19_from_where_a_rollback_has_led(act: Act, command: Command) -> None:
    """What is live is what the first rollback made live, and v8 and v9 are on hold."""
    for text in ("rollback", promote(V9), "rollback"):
        assert act(text).code == 0, text

    done = command(*BASE)

    found = read(TARGET)
    assert (found.model, [hold.model for hold in found.holds]) == (V7, [V9, V8])
    assert (done.code, errors(done)) == (0, [])


def test_J19_what_was_put_on_hold_and_is_live_is_refused_and_can_be_undone(
    act: Act, command: Command
) -> None:
    for text in (promote(V9), f"hold {V9}"):
        assert act(text).code == 0, text

    refused = command(*BASE)
    (_, _, hint), *_ = (found for found in errors(refused) if found[0] == "hold")
    typed = act(hint.replace(f"fftdeploy rollback {TARGET}", "rollback"))

    assert (refused.code, typed.code, read(TARGET).model) == (12, 0, V8)
    assert command(*BASE).code == 0


def test_J19_a_hint_helps_nothing_that_was_taken_off(act: Act, command: Command) -> None:
    """Written by hand: what is on hold was promoted all the same, and undone."""
    for text in (f"hold {V9}", f"unhold {V9}", promote(V9), "rollback"):
        assert act(text).code == 0, text
    file = Path("deployments.toml")
    (lifted,) = [line for line in file.read_text().splitlines() if "lifted" in line]
    file.write_text(file.read_text().replace(lifted, lifted.partition(", lifted")[0] + " },"))

    done = command(*BASE)

    assert done.code == 12
    assert [(code, hint) for code, _, hint in errors(done)] == [
        ("hold", "leave it out of this change")
    ]


def test_J19_control_rows_compared_by_number_refuse_what_is_as_it_was(
    act: Act, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule before: only a row of the base can be gone back to."""
    for text in ORDERS["two-then-two"]:
        assert act(text).code == 0, text
    real = change_rules._rollback

    def by_number(facts: change_rules.ChangeFacts, change: TargetChange) -> object:
        old, release = facts.old(change.target), change.release
        assert old is not None
        assert release is not None
        if release.to in old.by_number:
            yield from real(facts, change)
        else:
            yield facts.about(change, "rollback", "by number")

    monkeypatch.setitem(change_rules._JUDGES, "rollback", by_number)

    assert [code for code, _, _ in errors(command(*BASE))] == ["rollback"]
