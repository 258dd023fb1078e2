"""Check: every finding with its line, and the gravest decides the exit code."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Command, git
from november import row, target, write
from scenes import GHOST, LOADING, V8, V9, V10

from fftdeploy.sandbox import Sandbox

POLICY = """\
version = 1
order = ["staging", "production"]
[environments.production]
min_runway = "90d"
[tasks.triage]
owner = "support-ml"
"""


HOLD = f'holds = [{{ model = "{V9}", since = 2026-11-05T09:00:00Z, by = "ana", why = "slow" }}]\n'


@pytest.fixture(autouse=True)
def november(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be 54 days before the end of all fine-tunes here, and nobody be there to ask."""
    monkeypatch.setenv("FFTDEPLOY_NOW", "2026-11-21T08:30:00Z")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")


RUNWAY = ("runway", "notice", 3)
ENDS = (
    "the live model shuts down in 54 days (2027-01-14, table of 2026-11-28 (fine-tunes)), and so "
    "does the way back: fewer than 60 left"
)


def codes(result_out: str) -> list[tuple[str, str, int | None]]:
    found = json.loads(result_out).get("findings", [])
    return [(item["code"], item["severity"], item["line"]) for item in found]


def policy(repo: Path, text: str = POLICY) -> None:
    (repo / "fftdeploy.toml").write_text(text, encoding="utf-8")


def test_a_clean_file_offline(repo: Path, command: Command) -> None:
    write(repo, target("staging", V8, V9))
    policy(repo)

    result = command("check", "--offline")

    assert (result.code, result.err) == (0, "")
    assert result.out.count("notice") == 2
    assert ENDS in result.out
    assert result.out.endswith(
        "\n1 target checked, 0 errors, 1 notice\n"
        "NOT VERIFIED with the API: no model was asked about\n"
    )


def test_a_clean_file_online_says_nothing_of_offline(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    write(repo, target("staging", V8, V9))
    policy(repo)

    result = command("check")

    assert (result.code, result.out.splitlines()[-1]) == (
        0,
        "1 target checked, 0 errors, 1 notice",
    )
    assert [request.path for request in sandbox.requests] == ["/v1/models"]


def test_a_hand_edit_is_named_with_its_line(repo: Path, command: Command) -> None:
    path = write(repo, target("staging", V8, V9))
    path.write_text(path.read_text().replace(f'model = "{V9}"\nrel', f'model = "{V10}"\nrel'))
    policy(repo)

    result = command("check", "--offline", "--json")

    assert (result.code, codes(result.out)) == (12, [("hand-edit", "error", 4), RUNWAY])
    assert json.loads(result.out)["findings"][0]["message"] == (
        f"hand edit: {V10} is live, release 2 says {V9}"
    )


def test_a_profile_changed_in_place_is_a_hand_edit(repo: Path, command: Command) -> None:
    (repo / "profiles").mkdir()
    (repo / "profiles" / "short.toml").write_text('system = "Triage."\n')
    sha = "0" * 32
    rows = row(1, V8, f'via = "model", profile = "short", profile_sha = "{sha}"')
    text = f'[triage.staging]\nmodel = "{V8}"\nprofile = "short"\nreleases = [\n{rows}]\n'
    write(repo, text)
    policy(repo)

    result = command("check", "--offline", "--json")

    assert (result.code, codes(result.out)[0]) == (12, ("hand-edit", "error", 4))
    assert "changed in place" in result.out


def test_a_held_bundle_that_is_live(repo: Path, command: Command) -> None:
    write(repo, target("staging", V8, V9) + HOLD)
    policy(repo)

    result = command("check", "--offline", "--json")

    assert (result.code, codes(result.out)) == (12, [("held-live", "error", 3), RUNWAY])


def test_a_release_whose_source_has_held_it_since(repo: Path, command: Command) -> None:
    rows = row(2, V9, 'via = "staging"') + row(1, V8, 'via = "staging"')
    production = f'\n[triage.production]\nmodel = "{V9}"\nreleases = [\n{rows}]\n'
    write(repo, target("staging", V9, V8) + HOLD, production)
    policy(repo, POLICY.replace("90d", "1d"))

    result = command("check", "--offline", "--json")

    assert result.code == 0
    assert ("held-at-source", "notice", 11) in codes(result.out)


@pytest.mark.parametrize(
    ("live", "code", "found"),
    [(V9, 12, "dead"), (GHOST, 0, ""), ("gpt-unheard-of", 12, "dead")],
    ids=["gone", "ghost-is-listed", "never-there"],
)
def test_a_dead_live_model(
    repo: Path, sandbox: Sandbox, command: Command, live: str, code: int, found: str
) -> None:
    write(repo, target("staging", V8, live))
    policy(repo)
    sandbox.remove(V9)

    result = command("check", "--json")

    assert result.code == code
    assert (found in {name for name, *_ in codes(result.out)}) == bool(found)


@pytest.mark.parametrize("base", [(), ("--base", "HEAD")], ids=["alone", "base"])
def test_a_fallback_that_would_not_take_over_is_found(
    repo: Path, sandbox: Sandbox, command: Command, base: tuple[str, ...]
) -> None:
    write(repo, target("staging", V8, V10), target("production", V8, V10) + HOLD)
    rows = ", ".join(f'{{ model = "{model}" }}' for model in (V8, V9, V10))
    local = '{ model = "qwen", provider = "local" }'  # nobody here can ask it
    policy(repo, f"{POLICY}fallback = [{rows}, {local}]\n")
    git("init", "-q", folder=repo)
    git("add", ".", folder=repo)
    git("commit", "-q", "-m", "Start", folder=repo)
    sandbox.remove(V8)

    result = command("check", "--json", *base)

    found = [item for item in json.loads(result.out)["findings"] if item["code"] == "fallback"]
    said = {(item["subject"][7:], item["severity"], item["message"][:48]) for item in found}
    assert result.code == 0
    assert said == {
        ("staging", "notice", f"the fallback is dead: {V8}"[:48]),
        ("staging", "notice", f"the fallback is the live model: {V10}"[:48]),
        ("production", "notice", f"the fallback is dead: {V8}"[:48]),
        ("production", "notice", f"the fallback is on hold: {V9}"[:48]),
        ("production", "notice", f"the fallback is the live model: {V10}"[:48]),
    }


def test_a_probe_finds_what_a_list_hides(repo: Path, sandbox: Sandbox, command: Command) -> None:
    write(repo, target("staging", V8, GHOST))
    policy(repo)

    result = command("check", "--probe", "--json")

    assert result.code == 9
    asked = [(request.method, request.path) for request in sandbox.requests]
    assert asked[0] == ("GET", "/v1/models")
    assert {method for method, _ in asked[1:]} == {"POST"}
    assert [name for name, *_ in codes(result.out)] == ["unverified", "runway"]


REFUSED = {"message": "no", "type": "x", "param": None, "code": "invalid_api_key"}


@pytest.mark.parametrize(
    ("fault", "code"),
    [({"status": 401, "body": {"error": REFUSED}}, 10), ({"status": 503}, 9)],
    ids=["auth", "overload"],
)
@pytest.mark.usefixtures("no_waiting")
def test_trouble_is_neither_no_nor_fine(
    repo: Path, sandbox: Sandbox, command: Command, fault: dict[str, Any], code: int
) -> None:
    write(repo, target("staging", V8, V9))
    policy(repo)
    sandbox.fault(**fault)

    assert command("check").code == code


def test_findings_go_before_trouble(repo: Path, sandbox: Sandbox, command: Command) -> None:
    write(repo, target("staging", V8, V9) + HOLD)
    sandbox.fault(status=401)

    assert command("check").code == 12


def test_runway_no_policy_and_no_way_back_are_notices(repo: Path, command: Command) -> None:
    write(repo, target("production", V10))

    result = command("check", "--offline", "--json")

    assert result.code == 0
    assert [name for name, *_ in codes(result.out)] == ["no-policy", "no-rollback", "runway"]

    policy(repo)
    again = command("check", "--offline", "--json")
    assert [name for name, *_ in codes(again.out)] == ["no-rollback", "policy-order", "runway"]


@pytest.mark.parametrize(
    ("now", "ends"),
    [("2027-01-05", "shuts down in 9 days"), ("2027-02-05", "has reached its last day")],
)
def test_a_last_day_is_said_in_words_that_fit_the_date(
    repo: Path, command: Command, monkeypatch: pytest.MonkeyPatch, now: str, ends: str
) -> None:
    monkeypatch.setenv("FFTDEPLOY_NOW", f"{now}T09:00:00Z")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")  # nobody is asked
    write(repo, target("production", V9))

    found = json.loads(command("check", "--offline", "--json").out)["findings"]

    [said] = [one["message"] for one in found if one["code"] == "runway"]
    assert said.startswith(f"the live model {ends} (2027-01-14, table of ")


def test_targets_that_share_an_override_variable(repo: Path, command: Command) -> None:
    text = "".join(
        f'[{name}.staging]\nmodel = "{V8}"\nreleases = [\n{row(1, V8)}]\n'
        for name in ("a-b", "a_b")
    )
    write(repo, text)

    result = command("check", "--offline", "--json")

    assert result.code == 12
    assert "FFTDEPLOY_MODEL_A_B_STAGING" in result.out


def test_a_layout_that_cannot_be_edited_is_said_before_a_rollback_needs_it(
    repo: Path, command: Command
) -> None:
    write(repo, f'[triage]\nstaging = {{ model = "{V8}" }}\n')

    result = command("check", "--offline", "--json")

    assert result.code == 12
    assert "layout" in {name for name, *_ in codes(result.out)}


def test_github_gets_annotations(repo: Path, command: Command) -> None:
    path = write(repo, target("staging", V8, V9))
    path.write_text(path.read_text().replace(f'model = "{V9}"\nrel', f'model = "{V10}"\nrel'))
    policy(repo)

    result = command("check", "--offline", "--format", "github")

    assert result.out.splitlines()[0] == (
        f"::error file=deployments.toml,line=4,title=hand-edit::triage/staging: hand edit: "
        f"{V10} is live, release 2 says {V9}"
    )
    assert [line[:9] for line in result.out.splitlines() if line[:2] == "::"] == [
        "::error f",
        "::notice ",
    ]


def test_a_missing_key_that_was_asked_for_is_10(repo: Path, command: Command) -> None:
    write(repo, target("staging", V8))

    assert command("check").code == 0
    assert command("check", "--probe").code == 10


def unproved(repo: Path, model: str) -> None:
    rows = row(2, model, 'via = "rollback", to = 1, verified = false') + row(1, V8)
    write(repo, f'[triage.staging]\nmodel = "{model}"\nreleases = [\n{rows}]\n')
    policy(repo)


def test_only_a_probe_proves_what_was_made_live_unverified(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    unproved(repo, V9)

    listed = command("check", "--json")
    probed = command("check", "--probe", "--json")

    assert ("unproved", "notice", 5) in codes(listed.out)
    assert "unproved" not in {name for name, *_ in codes(probed.out)}


def test_a_key_that_sees_no_model_of_a_target_is_doubted(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    ours = "ft:gpt-4.1-mini-2025-04-14:zeta:x:Ab1"
    policy(repo)
    for models in ((ours, "gpt-9-nope"), (ours,)):
        write(repo, target("staging", *models))
        for probe in ((), ("--probe",)):
            result = command("check", *probe)

            assert result.code == 10
            assert "is this the key of another project?" in result.out


def test_no_probe_is_proposed_where_one_has_failed(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    unproved(repo, LOADING)

    result = command("check", "--probe")

    assert result.code == 9
    assert "was made live without proof" in result.out
    assert "--probe" not in result.out


def test_a_live_profile_without_a_file_is_an_error(repo: Path, command: Command) -> None:
    write(repo, f'[triage.staging]\nmodel = "{V8}"\nprofile = "nope"\n')
    policy(repo)

    result = command("check", "--offline", "--json")

    assert result.code == 12
    assert "profile-missing" in {name for name, *_ in codes(result.out)}


def test_annotations_start_at_the_root_of_the_repository(
    repo: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repo / "svc").mkdir()
    write(repo / "svc", target("staging", V9))
    monkeypatch.chdir(repo / "svc")

    result = command("check", "--offline", "--format", "github")

    assert "::notice file=svc/deployments.toml,line=3," in result.out
