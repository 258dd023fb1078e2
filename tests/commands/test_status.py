"""Status: the screen people live in, whole."""

import json
from itertools import count
from pathlib import Path

import pytest
from command_line import Command
from november import target, write
from scenes import GHOST, LUNA, V8, V9, V10

from fftdeploy.api.asking import Clock
from fftdeploy.commands import context
from fftdeploy.planning.findings import NO_WAY_BACK
from fftdeploy.sandbox import STORY_NOW, Sandbox

ENDS = "2027-01-14, table of 2026-11-28 (fine-tunes)"


def test_a_pipe_gets_one_line_a_target(repo: Path, sandbox: Sandbox, command: Command) -> None:
    write(repo, target("staging", V8, V9))

    result = command("status")

    assert result.code == 0
    assert result.out.splitlines() == [
        "TARGET          MODEL                                            "
        "STATE                      LIVE                  "
        "SHUTS DOWN                                                 "
        f"{'BACK TO':{len(V8) + 30}}  BY",
        f"triage/staging  {V9}  ready (retrieved, probed)  2026-11-02 09:00Z #2  "
        f"in 54 days ({ENDS})  #1 {V8}: ready (retrieved, probed)  ci",
        "triage/staging: no rollback target outlives the live model",
    ]
    assert result.err == f"API: {sandbox.url} (from OPENAI_BASE_URL)\n"


def test_a_dead_way_back_is_passed_over_and_the_next_is_proved(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    write(repo, target("staging", V8, V9, V10))
    sandbox.remove(V9)

    result = command("status", "--json")

    found = json.loads(result.out)["targets"][0]
    assert found["rollback"]["n"] == 1
    assert found["rollback"]["readiness"]["state"] == "ready"
    assert "passed over release 2" in command("status").out


def test_that_there_is_nothing_to_go_back_to_is_said_as_check_says_it(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    write(repo, target("staging", V9))

    lines = command("status").out.splitlines()

    assert lines[1].split()[-2:] == ["none", "ci"]
    assert len(lines) == 2, "the row says it"
    assert NO_WAY_BACK in command("check").out
    assert command("status", "--fail-on", "no-rollback").out.count(NO_WAY_BACK) == 1


def test_each_model_is_probed_once(repo: Path, sandbox: Sandbox, command: Command) -> None:
    write(repo, target("staging", V10, V8, V9), target("production", V8, V9))

    command("status")

    probed = [request.model for request in sandbox.requests if request.method == "POST"]
    assert sorted(str(model) for model in probed) == [V8, V9]


def test_J16_the_search_for_a_way_back_ends_with_the_command(
    repo: Path, sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ghosts = [f"{GHOST}{n}" for n in range(25)]
    write(repo, target("staging", *ghosts, V9))
    passing = count(step=0.5)  # half a second at each look at the clock
    clock = Clock(lambda: STORY_NOW, lambda: next(passing), lambda _: None)
    monkeypatch.setattr(context, "system_clock", lambda: clock)

    result = command("status")

    asked = {request.path for request in sandbox.requests if GHOST in request.path}
    assert result.code == 0
    assert "unverified: no time was left to ask" in result.out
    assert 2 <= len(asked) < 20


def test_without_a_key_it_says_so_and_dates_come_from_the_table(
    repo: Path, command: Command
) -> None:
    write(repo, target("staging", V8, V9))

    result = command("status")

    assert (result.code, result.err) == (0, "")
    assert "not verified with the API: OPENAI_API_KEY is not set" in result.out
    assert ENDS in result.out


def test_unverified_is_shown_and_plain_status_exits_0(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    write(repo, target("staging", V8, GHOST))

    result = command("status")

    assert result.code == 0
    assert "unverified: " in result.out


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("dead", 12),
        ("hand-edit", 0),
        ("no-rollback", 12),
        ("runway:90d", 12),
        ("runway:30d", 0),
        ("drift", 0),  # nothing is watched where nothing says what is good
        ("runway", 2),
        ("dying", 2),
    ],
)
def test_fail_on_turns_what_is_due_into_12(
    repo: Path, sandbox: Sandbox, command: Command, condition: str, code: int
) -> None:
    write(repo, target("staging", V9), target("production", V8, V9))
    sandbox.remove(V9)

    assert command("status", "--fail-on", condition).code == code


@pytest.mark.parametrize(("model", "key", "code"), [(GHOST, "", 9), (V8, "sk-wrong-wrong", 10)])
def test_fail_on_does_not_take_no_answer_for_a_good_one(
    repo: Path,
    sandbox: Sandbox,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    key: str,
    code: int,
) -> None:
    write(repo, target("staging", V9, model))
    monkeypatch.setenv("OPENAI_API_KEY", key or sandbox.key)

    assert command("status", "--fail-on", "dead").code == code
    assert command("status").code == 0


def test_holds_hand_edits_and_owners_are_said(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    path = write(repo, target("staging", V8, V9))
    row_ = f'{{ model = "{V10}", since = 2026-11-01T09:00:00Z, by = "ana", why = "slow" }}'
    hold = f"holds = [\n  {row_},\n]\n"
    text = path.read_text().replace(f'model = "{V9}"\nrel', 'model = "gpt-6-luna"\nrel') + hold
    path.write_text(text)
    (repo / "fftdeploy.toml").write_text(
        'version = 1\norder = ["staging"]\n[tasks.triage]\nowner = "support-ml"\n'
    )

    result = command("status")

    assert "hand edit #2" in result.out
    assert f"triage/staging: on hold: {V10} since 2026-11-01 09:00Z, by ana: slow" in result.out
    assert "triage: owned by support-ml" in result.out


def test_an_unknown_target_is_named_with_the_nearest(repo: Path, command: Command) -> None:
    write(repo, target("staging", V8))

    result = command("status", "triage/stagin")

    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "error: there is no target triage/stagin\nhint: did you mean triage/staging?\n"
    )


@pytest.mark.parametrize("is_gone", [False, True])
def test_it_says_what_applications_go_on_with(
    repo: Path, sandbox: Sandbox, command: Command, is_gone: bool
) -> None:
    write(repo, target("production", V8, V9))
    rows = f'{{ model = "{LUNA}" }}, {{ model = "{V8}" }}'
    policy = f"version = 1\n[tasks.triage]\nfallback = [{rows}]\n"
    (repo / "fftdeploy.toml").write_text(policy)
    if is_gone:
        sandbox.remove(V9)

    screen, card = command("status", "--wide").out, command("status", "triage/production").out
    found = json.loads(command("status", "--json").out)["targets"][0]["fallback"]
    sandbox.remove(LUNA)
    second = command("status", "--json").out
    sandbox.remove(V8)
    unproved = command("status").out

    assert (found["model"], found["readiness"]["state"]) == (LUNA, "ready")
    assert found["is_taken"] is is_gone
    said = f"{LUNA} takes the calls of `fftdeploy.client`"
    assert (said in screen, said in card) == (is_gone, is_gone)
    assert (f"the fallback answers: {LUNA}" in screen) is not is_gone
    assert json.loads(second)["targets"][0]["fallback"]["model"] == V8
    assert f"the fallback is missing: {LUNA}: this key cannot use it" in unproved


@pytest.mark.parametrize("is_live", [True, False])
def test_a_fallback_that_would_not_take_over_is_not_said_to(
    repo: Path, sandbox: Sandbox, command: Command, is_live: bool
) -> None:
    hold = f'{{ model = "{V8}", since = 2026-11-05T09:00:00Z, by = "ana", why = "slow" }}'
    write(repo, target("production", V8, V9) + f"holds = [{hold}]\n")
    model = V9 if is_live else V8
    policy = f'version = 1\n[tasks.triage]\nfallback = [{{ model = "{model}" }}]\n'
    (repo / "fftdeploy.toml").write_text(policy)
    sandbox.remove(V9)

    shown = command("status").out
    found = json.loads(command("status", "--json").out)["targets"][0]["fallback"]

    said = "is the live model" if is_live else "is on hold"
    assert f"triage/production: the fallback {said}: {model}" in shown
    assert "takes the calls" not in shown
    assert found["is_taken"] is False
    assert said in found["problem"]
