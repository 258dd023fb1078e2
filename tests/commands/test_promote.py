"""`promote`: what it makes live, what it refuses and at what cost, and what it records."""
# ruff: noqa: E501  a case is a line of its table

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from command_line import PROGRAM, Command
from others import aged, meanwhile
from scenes import (
    COLD,
    FILE,
    GHOST,
    LOADING,
    LUNA,
    OTHER,
    POLICY,
    POLICY_FILE,
    RETIRED,
    SHUT,
    SOON,
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

from fftdeploy.releases.deployments import Bundle, Release
from fftdeploy.sandbox import STORY_NOW, Sandbox

pytestmark = pytest.mark.usefixtures("repo", "sandbox")


def policy(**production: str) -> str:
    lines = "".join(f"{key} = {value}\n" for key, value in production.items())
    return POLICY.replace("protected = true\n", "protected = true\n" + lines)


FREEZE = '[{ from = 2026-11-20, to = 2026-11-22, why = "holidays" }]'


def asked(sandbox: Sandbox) -> list[str]:
    return [f"{request.method} {request.path} {request.model}" for request in sandbox.requests]


def test_a_model_is_promoted_and_recorded(command: Command) -> None:
    before = write(past("triage/staging", V7, V8), past("chat/staging", V6))
    result = command("promote", "triage/staging", "--model", V9, "--why", "better", "--yes")
    assert (result.code, result.err.count("error")) == (0, 0)
    assert newest("triage/staging") == Release(
        n=3,
        bundle=Bundle(V9),
        at=STORY_NOW,
        by="ana@acme.example",
        via="model",
        why="better",
    )
    line = (
        f'  {{ n = 3, model = "{V9}", at = 2026-11-21T08:30:00Z, by = "ana@acme.example", '
        'via = "model", why = "better" },\n'
    )
    expected = before.decode().replace(
        f'model = "{V8}"\nreleases = [\n', f'model = "{V9}"\nreleases = [\n{line}', 1
    )
    assert FILE.read_text() == expected
    assert [*Path().glob("*.toml*"), *Path().glob(".fft*")] == [FILE]
    assert result.err.endswith("next: git add deployments.toml && git commit\n")


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["--from", "staging"], ["--why", "again"]),
        (["--from", "staging"], []),  # nothing changes, so nobody has to say why
        (["--model", V8], []),
        (["--model", V8, "--expect-current", V6], []),
        (["--model", V8, "--dry-run"], []),
    ],
)
def test_B26_what_is_live_already_stays_as_it_is(
    sandbox: Sandbox, command: Command, argv: list[str], why: list[str]
) -> None:
    before = write(past("triage/staging", V7, V8), past("triage/production", V7, V8), policy=POLICY)
    status = FILE.stat()
    result = command("promote", "triage/production", *argv, *why, "--yes")
    after = FILE.stat()
    assert (result.code, FILE.read_bytes()) == (0, before)
    assert (after.st_mtime_ns, after.st_ino) == (status.st_mtime_ns, status.st_ino)
    assert "nothing to do: it is live already" in result.out
    assert sandbox.requests == ()


STAGED = [past("triage/staging", V7, V8, V9), past("triage/production", V7)]
REFUSED_OFFLINE = [
    # id, tables, policy, arguments, exit, words
    ("unknown flag", STAGED, POLICY, ["--nope"], 2, "has no option '--nope'"),
    ("no source", [past("triage/dev", V7)], POLICY, ["triage/dev"], 2, "nothing says what"),
    ("source has no target", [past("triage/dev", V7)], POLICY, ["triage/production", "--why", "x"], 2, "no target triage/staging"),
    ("two sources", STAGED, POLICY, ["--model", V9, "--from", "staging"], 2, "exclude each other"),
    ("two profiles", STAGED, POLICY, ["--no-profile", "--profile", "p"], 2, "exclude each other"),
    ("job as model", STAGED, POLICY, ["--model", "ftjob-v9"], 2, "use --job"),
    ("model as job", STAGED, POLICY, ["--job", V9], 2, "not a fine-tuning job"),
    ("homoglyph", STAGED, POLICY, ["--model", "ft:g\u0440t"], 2, "U+0440"),
    ("unknown override", STAGED, POLICY, ["--override", "frieze", "--why", "x"], 2, "freeze"),
    ("override without why", STAGED, POLICY, ["--override", "soak"], 2, "--override needs a reason"),
    ("why of two lines", STAGED, POLICY, ["--why", "a\nb"], 2, "--why"),
    ("why too long", STAGED, POLICY, ["--why", "a" * 501], 2, "--why"),
    ("wait", STAGED, POLICY, ["--wait", "soon"], 2, "not a duration"),
    ("misspelt task", STAGED, POLICY, ["triaje/production", "--why", "x"], 2, "did you mean triage/production?"),
    ("misspelt environment", STAGED, POLICY, ["triage/prodution", "--why", "x"], 2, "did you mean triage/production?"),
    ("unknown without policy", [past("triage/dev", V7)], "", ["triage/live", "--model", V8], 2, "--create"),
    ("provider", STAGED, POLICY, ["--provider", "acme", "--why", "x"], 2, "'acme' is not known here"),
    ("profile without a file", STAGED, POLICY, ["--profile", "none", "--why", "x"], 3, "has no file"),
    ("unknown key", [*STAGED, "[triage.dev]\nmodle = 1\n"], POLICY, [], 3, "model"),
    ("environment not in order", [*STAGED, past("triage/live", V7)], POLICY, ["--why", "x"], 3, "'live'"),
    ("gate", STAGED, POLICY + '[tasks.triage.gate]\nexamples = ["e"]\n', ["--why", "x"], 3, "gate"),
    ("why", STAGED, POLICY, [], 6, "needs a reason"),
    ("why before the job", STAGED, POLICY, ["--job", "ftjob-v9"], 6, "needs a reason"),
    ("hold", [STAGED[0], past("triage/production", V7, holds=[hold(V9)])], POLICY, ["--why", "x"], 6, "on hold"),
    ("hand edit", [STAGED[0], table("triage/production", V6, [row(1, V7)])], POLICY, ["--why", "x"], 6, "adopt triage/production"),
    ("freeze", STAGED, policy(freeze=FREEZE), ["--why", "x"], 6, "holidays"),
    ("soak", STAGED, policy(soak='"60d"'), ["--why", "x"], 6, "60d are asked"),
    ("order", STAGED, POLICY, ["--model", LUNA, "--why", "x"], 6, "was not live in triage/staging"),
    ("not a source", [*STAGED, past("triage/dev", V8)], POLICY, ["--from", "dev", "--why", "x"], 6, "dev is not a source"),
    ("overrides forbidden", STAGED, policy(freeze=FREEZE, allow_overrides="false"), ["--why", "x", "--override", "freeze"], 6, "forbidden"),
    ("hold is no override", [STAGED[0], past("triage/production", V7, holds=[hold(V9)])], POLICY, ["--why", "x", "--override", "order,soak,freeze,runway"], 6, "on hold"),
    ("expect-current", STAGED, POLICY, ["--why", "x", "--expect-current", V8], 8, f"{V7} is live"),
    ("policy before conflict", STAGED, policy(freeze=FREEZE), ["--why", "x", "--expect-current", V8], 6, "holidays"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("tables", "rules", "argv", "code", "words"),
    [case[1:] for case in REFUSED_OFFLINE],
    ids=[case[0] for case in REFUSED_OFFLINE],
)
def test_refused_before_anything_is_asked(
    sandbox: Sandbox,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tables: list[str],
    rules: str,
    argv: list[str],
    code: int,
    words: str,
) -> None:
    before = write(*tables, policy=rules)
    named = argv if argv and "/" in argv[0] else ["triage/production", *argv]
    if code == 6:
        monkeypatch.delenv("OPENAI_API_KEY")  # policy comes before the key
    result = command("promote", *named, "--yes")
    assert (result.code, FILE.read_bytes()) == (code, before), result.err
    assert words in result.err
    assert "Traceback" not in result.err
    assert sandbox.requests == ()
    dry = command("promote", *named, "--dry-run")
    assert (dry.code, dry.err.splitlines()[0]) == (code, result.err.splitlines()[0])


NOT_READY = [
    ("another project's", OTHER, 10, "project"),
    ("retired", RETIRED, 4, "retired"),
    ("D27 shut down", SHUT, 4, "shut down on 2026-10-23"),
    ("embedding", "text-embedding-3-small", 4, "not a chat"),
    ("never made", f"{V8}9", 4, "this key cannot use it"),
    ("listed, 404 on use", GHOST, 9, "may still be loading"),
    ("loading", LOADING, 9, "load"),
]


@pytest.mark.parametrize(
    ("model", "code", "words"), [c[1:] for c in NOT_READY], ids=[c[0] for c in NOT_READY]
)
def test_a_model_that_is_not_proved_ready_is_not_promoted(
    command: Command, model: str, code: int, words: str
) -> None:
    before = write(past("triage/staging", V7))
    result = command(
        "promote", "triage/staging", "--model", model, "--wait", "0", "--yes", "--json"
    )
    assert (result.code, FILE.read_bytes()) == (code, before)
    document = json.loads(result.out)
    assert (document["exit_code"], document["schema"]) == (code, "fftdeploy.promote/1")
    assert words in document["error"]["message"]
    again = command("promote", "triage/staging", "--model", V8, "--yes")  # nothing to clean up
    assert again.code == 0


@pytest.mark.usefixtures("no_waiting")
def test_loading_models_are_waited_for(command: Command) -> None:
    write(past("triage/staging", V7))
    result = command("promote", "triage/staging", "--model", COLD, "--wait", "60s", "--yes")
    assert (result.code, read("triage/staging").model) == (0, COLD)
    assert f"{COLD}: not answering yet, asking again" in result.err


def test_no_probe_believes_the_record(sandbox: Sandbox, command: Command) -> None:
    write(past("triage/staging", V7))
    result = command("promote", "triage/staging", "--model", GHOST, "--no-probe", "--yes")
    assert (result.code, read("triage/staging").model) == (0, GHOST)
    assert not any("completions" in line for line in asked(sandbox))


JOBS = [
    ("D30", "ftjob-queued", 4, "queued"),
    ("D30", "ftjob-validating", 4, "validating"),
    ("D30", "ftjob-running", 4, "running"),
    ("D30", "ftjob-paused", 4, "paused"),
    ("D31", "ftjob-failed", 4, "Line 17 of the training file"),
    ("D31", "ftjob-cancelled", 4, "was cancelled"),
    ("D33", "ftjob-null", 4, "names no model"),
    ("blocked", "ftjob-blocked", 4, "safety"),
    ("unknown", "ftjob-unheard-of", 4, "ftjob-unheard-of"),
    ("still running", "ftjob-soon", 4, "running"),
]


@pytest.mark.parametrize(
    ("job", "code", "words"), [c[1:] for c in JOBS], ids=[f"{c[0]}-{c[1]}" for c in JOBS]
)
def test_a_job_without_a_usable_model_promotes_nothing(
    command: Command, job: str, code: int, words: str
) -> None:
    before = write(past("triage/staging", V7))
    result = command("promote", "triage/staging", "--job", job, "--wait", "0", "--yes")
    assert (result.code, FILE.read_bytes()) == (code, before)
    assert words in result.err
    assert job in result.err


@pytest.mark.usefixtures("no_waiting")
def test_a_job_is_followed_to_its_model(command: Command) -> None:
    write(past("triage/dev", V7), policy=POLICY)
    result = command("promote", "triage/dev", "--job", "ftjob-soon", "--wait", "60s", "--yes")
    assert result.code == 0
    found = newest("triage/dev")
    assert (found.bundle.model, found.via, found.job) == (SOON, "job", "ftjob-soon")
    assert "ftjob-soon: running" in result.err


@pytest.mark.parametrize(
    ("key", "status", "words"),
    [
        (None, None, "OPENAI_API_KEY"),
        ("sk-bad\n", None, "OPENAI_API_KEY"),
        ("sk-wrong", 401, "key"),
    ],
    ids=["D38 missing", "D39 line break", "refused"],
)
def test_without_a_good_key_nothing_is_promoted(
    sandbox: Sandbox,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
    status: int | None,
    words: str,
) -> None:
    before = write(past("triage/staging", V7))
    if key is None:
        monkeypatch.delenv("OPENAI_API_KEY")
    else:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    result = command("promote", "triage/staging", "--model", V9, "--yes")
    assert (result.code, FILE.read_bytes()) == (10, before)
    assert words in result.err
    assert bool(sandbox.requests) == (status is not None)


def test_D42_an_api_that_is_down_is_not_a_missing_model(sandbox: Sandbox, command: Command) -> None:
    before = write(past("triage/staging", V7))
    sandbox.fault(V9, status=400, body="<html>", content_type="text/html")
    result = command("promote", "triage/staging", "--model", V9, "--wait", "0", "--yes")
    assert (result.code, FILE.read_bytes()) == (9, before)


def test_A15_a_file_that_cannot_be_written_is_found_first(
    sandbox: Sandbox, command: Command
) -> None:
    before = write(past("triage/staging", V7))
    FILE.chmod(0o444)
    result = command("promote", "triage/staging", "--model", V9, "--yes")
    assert (result.code, FILE.read_bytes(), sandbox.requests) == (11, before, ())


def test_off_a_terminal_a_change_needs_yes(sandbox: Sandbox, command: Command) -> None:
    before = write(past("triage/staging", V7))
    result = command("promote", "triage/staging", "--model", V9)
    assert (result.code, FILE.read_bytes(), sandbox.requests) == (2, before, ())
    assert "--yes" in result.err


# The policy and what is dead.

LIFTED = [
    ("freeze", policy(freeze=FREEZE), ["--from", "staging"]),
    ("soak", policy(soak='"60d"'), ["--from", "staging"]),
    ("order", POLICY, ["--model", LUNA]),
    ("runway", policy(min_runway='"90d"'), ["--model", V10]),
    ("all", policy(freeze=FREEZE, soak='"60d"', min_runway='"90d"'), ["--model", V10]),
]


@pytest.mark.parametrize(
    ("rules", "argv"), [case[1:] for case in LIFTED], ids=[case[0] for case in LIFTED]
)
def test_no_policy_keeps_a_dead_model_live(
    sandbox: Sandbox, command: Command, rules: str, argv: list[str]
) -> None:
    tables = [past("triage/staging", V8, V9), past("triage/production", V6, V7)]
    before = write(*tables, policy=rules)
    refused = command("promote", "triage/production", *argv, "--why", "x", "--yes")
    assert (refused.code, FILE.read_bytes()) == (6, before)
    sandbox.remove(V7)
    result = command("promote", "triage/production", *argv, "--why", "x", "--yes")
    assert result.code == 0, result.err
    assert f"{V7} is dead" in result.err
    assert newest("triage/production").overrides == ()


def test_a_live_model_of_another_project_lifts_no_policy(command: Command) -> None:
    stranger = "ft:gpt-4.1-mini-2025-04-14:other-org:triage-v1:Xx1"
    tables = [
        past("triage/staging", V8, V9),
        table("triage/production", stranger, [row(1, stranger)]),
    ]
    before = write(*tables, policy=policy(freeze=FREEZE))
    result = command("promote", "triage/production", "--why", "x", "--yes")
    assert (result.code, FILE.read_bytes()) == (6, before)


@pytest.mark.parametrize(
    ("codes", "rules", "argv"), [(c[0], *c[1:]) for c in LIFTED[:4]], ids=[c[0] for c in LIFTED[:4]]
)
def test_an_override_is_recorded(command: Command, codes: str, rules: str, argv: list[str]) -> None:
    write(past("triage/staging", V8, V9), past("triage/production", V7), policy=rules)
    more = ["--override", f"inconclusive,{codes}"] + (
        ["--override", "order,runway"] if codes == "runway" else []
    )
    used = ("order", "runway") if codes == "runway" else (codes,)
    result = command("promote", "triage/production", *argv, "--why", "x", *more, "--yes")
    assert result.code == 0, result.err
    assert set(newest("triage/production").overrides) == set(used)


WAYS = {
    "order": (POLICY, "fftdeploy promote triage/dev --model gpt-6-luna, or set it aside: "),
    "order and soak": (
        policy(soak='"1d"'),
        "fftdeploy promote triage/dev --model gpt-6-luna, then wait, or set it aside: ",
    ),
    "freeze": (
        policy(freeze=FREEZE, allow_overrides="false"),
        "wait, then fftdeploy promote triage/dev --model gpt-6-luna, overrides are forbidden",
    ),
}


@pytest.mark.parametrize(("rules", "hint"), WAYS.values(), ids=WAYS)
def test_a_refusal_hints_at_the_step_that_ends_it(command: Command, rules: str, hint: str) -> None:
    write(*STAGED, policy=rules)

    refused = command("promote", "triage/production", "--model", LUNA, "--why", "x", "--yes")

    assert refused.code == 6
    assert refused.err.splitlines()[-1].startswith(f"hint: {hint}")


def test_a_mistyped_id_is_answered_with_the_right_one(command: Command) -> None:
    write(*STAGED, policy=POLICY)

    refused = command("promote", "triage/production", "--model", f"{V7[:-1]}0", "--why=x", "--yes")

    assert refused.code == 6
    assert refused.err.splitlines()[-1].startswith(f"hint: did you mean {V7}?, or set it aside")


def test_the_steps_of_refusals_end_them(command: Command) -> None:
    write(*STAGED, policy=POLICY)
    argv = ["promote", "triage/production", "--model", LUNA, "--why", "x", "--yes"]
    steps = []
    while (ended := command(*argv)).code == 6:
        step = ended.err.splitlines()[-1].removeprefix("hint: ").partition(", ")[0]
        steps.append([*step.split()[1:], "--yes"])
        assert command(*steps[-1]).code == 0

    assert [step[1] for step in steps] == ["triage/dev", "triage/staging"]
    assert ended.code == 0


def test_min_runway_asks_the_api_for_the_date(command: Command) -> None:
    tables = [past("triage/staging", V10), past("triage/production", V7)]
    before = write(*tables, policy=policy(min_runway='"90d"'))
    result = command("promote", "triage/production", "--why", "x", "--yes")
    assert (result.code, FILE.read_bytes()) == (6, before)
    assert "the model shuts down in 54 days; 90 days are asked" in result.err


def test_a_past_date_without_min_runway_is_a_warning(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = datetime(2027, 2, 1, tzinfo=UTC)
    sandbox.set_now(later)
    monkeypatch.setenv("FFTDEPLOY_NOW", later.isoformat())
    write(past("triage/staging", V7))
    result = command("promote", "triage/staging", "--model", V9, "--yes")
    assert result.code == 0, result.err
    assert "has passed; it answers still" in result.out


def test_D37_a_clock_set_back_opens_no_freeze(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write(*STAGED, policy=policy(freeze=FREEZE))
    monkeypatch.setenv("FFTDEPLOY_NOW", (STORY_NOW - timedelta(days=10)).isoformat())
    result = command("promote", "triage/production", "--why", "x", "--yes")
    assert (result.code, FILE.read_bytes()) == (6, before)
    assert "holidays" in result.err


def test_D37_a_release_carries_the_servers_time(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(past("triage/staging", V7))
    monkeypatch.setenv("FFTDEPLOY_NOW", "2026-11-01T00:00:00Z")
    result = command("promote", "triage/staging", "--model", V9, "--yes")
    assert (result.code, newest("triage/staging").at) == (0, STORY_NOW)


# Where a bundle comes from.


def test_a_source_gives_its_whole_bundle(command: Command) -> None:
    write_profile("long")
    staged = table("triage/staging", V9, [row(2, V9, "long"), row(1, V8)], profile="long")
    write(staged, past("triage/production", V7), policy=POLICY)
    for argv, via in (([], "staging"), (["--model", V9], "staging")):
        before = FILE.read_bytes()
        result = command("promote", "triage/production", *argv, "--why", "x", "--yes")
        assert result.code == 0, result.err
        found = newest("triage/production")
        assert (found.bundle, found.via) == (
            Bundle(V9, profile="long", profile_sha=sha("long")),
            via,
        )
        assert read("triage/production").profile == "long"
        FILE.write_bytes(before)


def test_a_bundle_that_was_live_in_a_source_comes_from_there(command: Command) -> None:
    write(*STAGED, policy=POLICY)
    result = command("promote", "triage/production", "--model", V8, "--why", "x", "--yes")
    assert (result.code, newest("triage/production").via) == (0, "staging")


def test_C12_a_bundle_held_at_its_source_does_not_come_from_there(command: Command) -> None:
    staged = past("triage/staging", V7, V8, V9, holds=[hold(V8)])
    before = write(staged, past("triage/production", V7), policy=POLICY)
    result = command("promote", "triage/production", "--model", V8, "--why", "x", "--yes")
    assert (result.code, FILE.read_bytes()) == (6, before)
    assert "is on hold in triage/staging" in result.err


@pytest.mark.parametrize(
    ("argv", "profile"),
    [([], "long"), (["--no-profile"], None), (["--profile", "short"], "short")],
    ids=["kept", "none", "asked"],
)
def test_a_model_without_a_source_keeps_the_targets_profile(
    command: Command, argv: list[str], profile: str | None
) -> None:
    write_profile("long")
    write_profile("short")
    write(table("triage/dev", V7, [row(1, V7, "long")], profile="long"), policy=POLICY)
    result = command("promote", "triage/dev", "--model", V9, *argv, "--yes")
    assert result.code == 0, result.err
    expected = Bundle(V9, profile=profile, profile_sha=sha(profile) if profile else None)
    assert newest("triage/dev").bundle == expected
    assert read("triage/dev").profile == profile
    assert ("profile long is kept from what is live" in result.out) == (not argv)


def test_a_prompt_alone_is_a_promotion(command: Command) -> None:
    write_profile("long")
    write(past("triage/dev", V9), policy=POLICY)
    result = command("promote", "triage/dev", "--model", V9, "--profile", "long", "--yes")
    assert (result.code, newest("triage/dev").n) == (0, 2)


def test_a_prompt_changed_in_place_stops_its_promotion_from_the_past(
    sandbox: Sandbox, command: Command
) -> None:
    write_profile("long", "reworded")
    staged = table("triage/staging", V9, [row(2, V9), row(1, V8, "long")])
    before = write(staged, past("triage/production", V7), policy=POLICY)
    result = command("promote", "triage/production", "--model", V8, "--why", "x", "--yes")
    assert (result.code, FILE.read_bytes(), sandbox.requests) == (6, before, ())
    assert "profiles/long.toml is not what it was" in result.err


def test_the_profiles_endpoint_is_probed(sandbox: Sandbox, command: Command) -> None:
    Path("profiles").mkdir()
    Path("profiles/r.toml").write_text('endpoint = "responses"\n')
    write(past("triage/dev", V7), policy=POLICY)
    result = command("promote", "triage/dev", "--model", LUNA, "--profile", "r", "--yes")
    assert result.code == 0, result.err
    assert [r.path for r in sandbox.requests if r.method == "POST"] == ["/v1/responses"]


# New targets and unrecorded ones.


@pytest.mark.parametrize(
    ("rules", "argv"), [(POLICY, []), ("", ["--create"])], ids=["policy", "--create"]
)
def test_a_planned_target_is_created_at_the_end(
    command: Command, rules: str, argv: list[str]
) -> None:
    before = write(past("triage/staging", V7, V8), policy=rules)
    result = command("promote", "triage/dev", "--model", V9, *argv, "--yes")
    assert result.code == 0, result.err
    after = FILE.read_bytes()
    assert after.startswith(before)
    assert after[len(before) :].decode() == (
        f'\n[triage.dev]\nmodel = "{V9}"\nreleases = [\n'
        f'  {{ n = 1, model = "{V9}", at = 2026-11-21T08:30:00Z, by = "ana@acme.example", via = "model" }},\n]\n'
    )


def test_the_first_target_of_an_empty_file(command: Command) -> None:
    write(policy=POLICY)
    assert command("promote", "triage/dev", "--model", V9, "--yes").code == 0
    assert read("triage/dev").model == V9


def test_a_hand_edit_is_recorded_on_the_way(command: Command) -> None:
    write(table("triage/staging", V8, [row(1, V7)]))
    result = command("promote", "triage/staging", "--model", V9, "--why", "x", "--yes")
    assert result.code == 0, result.err
    promoted, adopted, first = read("triage/staging").releases
    assert (promoted.n, promoted.bundle.model, promoted.why) == (3, V9, "x")
    assert (adopted.n, adopted.bundle.model, adopted.via, adopted.why) == (2, V8, "adopt", None)
    assert (adopted.verified, first.n) == (False, 1)
    assert "what is live was not recorded: release 2 records it" in result.out


def test_a_bare_model_line_is_recorded_as_release_1(command: Command) -> None:
    write(f'[triage.production]\nmodel = "{V8}"\n', past("triage/staging", V9), policy=POLICY)
    result = command("promote", "triage/production", "--why", "x", "--yes")
    assert result.code == 0, result.err
    assert [(r.n, r.bundle.model, r.via) for r in read("triage/production").releases] == [
        (2, V9, "staging"),
        (1, V8, "adopt"),
    ]


def test_promoting_an_unrecorded_live_model_records_it_as_proved(command: Command) -> None:
    write(f'[triage.dev]\nmodel = "{V8}"\n', policy=POLICY)
    result = command("promote", "triage/dev", "--model", V8, "--why", "first", "--yes")
    assert result.code == 0, result.err
    assert newest("triage/dev") == Release(
        n=1, bundle=Bundle(V8), at=STORY_NOW, by="ana@acme.example", via="adopt", why="first"
    )


@pytest.mark.parametrize("live", [V8, V6], ids=["as recorded", "and another model"])
def test_a_live_prompt_that_is_gone_stops_no_promotion(command: Command, live: str) -> None:
    write(table("triage/dev", live, [row(1, V8, "lost")], profile="lost"), policy=POLICY)
    result = command("promote", "triage/dev", "--model", V9, "--no-profile", "--yes")
    assert result.code == 0, result.err
    assert [r.n for r in read("triage/dev").releases] == [2, 1]
    assert (live == V8) == ("is missing" not in result.out)


# What others do meanwhile.


def test_C1_C3_what_another_wrote_into_the_task_is_kept(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(past("triage/staging", V7))
    other = past("triage/staging", V7, V8).encode()
    meanwhile(monkeypatch, lambda: FILE.write_bytes(b"version = 1\n" + other))
    result = command("promote", "triage/staging", "--model", V9, "--yes", "--json")
    assert (result.code, FILE.read_bytes()) == (8, b"version = 1\n" + other)
    assert json.loads(result.out)["retry"] == "replan"


def test_C3_a_saved_comment_survives(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    before = write(past("triage/staging", V7))
    meanwhile(monkeypatch, lambda: FILE.write_bytes(b"# mine\n" + before))
    result = command("promote", "triage/staging", "--model", V9, "--yes")
    assert (result.code, read("triage/staging").model) == (0, V9)
    assert FILE.read_bytes().startswith(b"# mine\nversion = 1\n")


@pytest.mark.parametrize(
    "argv", [["promote", "triage/staging", "--model", V9], ["rollback", "triage/staging"]]
)
@pytest.mark.parametrize("other", ["triage/dev", "chat/staging"])
def test_C7_another_targets_change_is_built_upon(
    command: Command, monkeypatch: pytest.MonkeyPatch, other: str, argv: list[str]
) -> None:
    write(past("triage/staging", V9, V7), past(other, V6))
    fresh = ["version = 1\n", past("triage/staging", V9, V7), past(other, V6, V8)]
    meanwhile(monkeypatch, lambda: FILE.write_text("\n".join(fresh)))
    result = command(*argv, "--yes")
    assert result.code == 0, result.err
    assert (read("triage/staging").model, read(other).model) == (V9, V8)


def test_C7_a_hold_put_on_at_the_source_meanwhile_is_a_conflict(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(*STAGED, policy=POLICY)
    held = past("triage/staging", V7, V8, V9, holds=[hold(V9)])
    fresh = "\n".join(["version = 1\n", held, STAGED[1]])
    meanwhile(monkeypatch, lambda: FILE.write_text(fresh))
    result = command("promote", "triage/production", "--why", "x", "--yes")
    assert (result.code, FILE.read_text()) == (8, fresh)


@pytest.mark.parametrize("touched", [b"", b"# touched\n"])
def test_C7_a_changed_policy_is_a_conflict(
    command: Command, monkeypatch: pytest.MonkeyPatch, touched: bytes
) -> None:
    before = write(past("triage/dev", V7), policy=POLICY)

    def act() -> None:
        POLICY_FILE.write_text(policy(freeze=FREEZE))
        FILE.write_bytes(before + touched)

    meanwhile(monkeypatch, act)
    result = command("promote", "triage/dev", "--model", V9, "--yes")
    assert (result.code, FILE.read_bytes()) == (8, before + touched)
    assert "fftdeploy.toml has changed since this was planned" in result.err


@pytest.mark.parametrize(
    "argv", [("promote", "triage/dev", "--model", V9), ("rollback", "triage/dev")]
)
def test_C7_a_prompt_that_was_edited_meanwhile_is_not_made_live(
    command: Command, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    write_profile("short")
    rows = [row(2, V8, "short"), row(1, V7, "short")]
    before = write(table("triage/dev", V8, rows, profile="short"))
    meanwhile(monkeypatch, lambda: write_profile("short", "worse"))
    result = command(*argv, "--why", "x", "--yes")
    assert (result.code, FILE.read_bytes()) == (8, before)
    assert "profiles/short.toml has changed since this was planned" in result.err


@pytest.mark.parametrize(("age_s", "retrieves"), [(59, 1), (61, 2)])
def test_D35_an_old_proof_is_made_again_under_the_lock(
    sandbox: Sandbox,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    age_s: float,
    retrieves: int,
) -> None:
    write(past("triage/staging", V7))
    aged(monkeypatch, age_s)
    result = command("promote", "triage/staging", "--model", V9, "--yes")
    assert result.code == 0, result.err
    assert asked(sandbox).count(f"GET /v1/models/{V9} {V9}") == retrieves


def test_D34_a_model_deleted_meanwhile_is_not_promoted(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write(past("triage/staging", V7))
    aged(monkeypatch, 61)
    sandbox.remove(V9, after=2)  # a retrieve and a probe
    result = command("promote", "triage/staging", "--model", V9, "--yes")
    assert (result.code, FILE.read_bytes()) == (4, before)
    assert asked(sandbox)[-1] == f"GET /v1/models/{V9} {V9}"
    assert not any(Path().glob(".fft*"))


@pytest.mark.usefixtures("forked_commands")
def test_C1_C2_processes_at_once_lose_nothing(sandbox: Sandbox, repo: Path) -> None:
    """Those that asked while another wrote are refused or build upon it; 0 means recorded."""
    write(past("triage/staging", V7), past("chat/staging", V7))
    sandbox.fault("/v1/chat/completions", delay_s=0.8)
    calls = [("triage/staging", V8), ("triage/staging", V9), ("chat/staging", V6)]
    running = [
        subprocess.Popen(
            [PROGRAM, "promote", target, "--model", model, "--yes"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for target, model in calls
    ]
    codes = [child.wait(60) for child in running]
    won = {model for (_, model), code in zip(calls, codes, strict=True) if code == 0}
    assert {*codes} <= {0, 8}
    assert codes[2] == 0
    recorded = [*read("triage/staging").releases[:-1], *read("chat/staging").releases[:-1]]
    assert {release.bundle.model for release in recorded} == won
    assert len(recorded) == codes.count(0) >= 2


# Dry runs.

DRY = [
    ("promotion", lambda: write(past("triage/staging", V7)), ["promote", "triage/staging", "--model", V9]),
    ("new target", lambda: write(past("triage/staging", V7)), ["promote", "triage/dev", "--model", V9, "--create"]),
    ("no final newline", lambda: FILE.write_bytes(write(past("triage/staging", V7)).rstrip(b"\n")), ["promote", "triage/dev", "--model", V9, "--create"]),
    ("CRLF", lambda: FILE.write_bytes(write(past("triage/staging", V7)).replace(b"\n", b"\r\n")), ["promote", "triage/staging", "--model", V9]),
    ("BOM", lambda: FILE.write_bytes(b"\xef\xbb\xbf" + write(past("triage/staging", V7))), ["promote", "triage/staging", "--model", V9]),
    ("rollback", lambda: write(past("triage/staging", V7, V9)), ["rollback", "triage/staging"]),
    ("hold", lambda: write(past("triage/staging", V7, V9)), ["hold", "triage/staging", V7, "--why", "x"]),
    ("one line", lambda: FILE.write_text(f'version = 1\n[triage.staging]\nmodel = "{V8}"\nreleases = [{row(1, V8)}]\n'), ["promote", "triage/staging", "--model", V9]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("prepare", "argv"), [case[1:] for case in DRY], ids=[case[0] for case in DRY]
)
@pytest.mark.parametrize("below", [".", "src"])
def test_the_diff_of_a_dry_run_is_a_patch(
    command: Command,
    repo: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[], object],
    argv: list[str],
    below: str,
) -> None:
    prepare()
    before = FILE.read_bytes()
    Path("src").mkdir()
    monkeypatch.chdir(repo / below)
    dry = command(*argv, "--dry-run", "--json")
    assert (dry.code, (repo / FILE).read_bytes()) == (0, before)
    document = json.loads(dry.out)
    assert (document["dry_run"], document["changed"]) == (True, False)
    real = command(*argv, "--yes", "--json")
    assert real.code == 0
    done = json.loads(real.out)
    assert (done["diff"], done["changed"]) == (document["diff"], True)
    after = (repo / FILE).read_bytes()
    (repo / FILE).write_bytes(before)
    subprocess.run(["git", "apply"], input=document["diff"].encode(), check=True, cwd=repo)
    assert (repo / FILE).read_bytes() == after


def test_one_document_whatever_happens(command: Command) -> None:
    write(*STAGED, policy=POLICY)
    done = json.loads(command("promote", "triage/production", "--why", "x", "--yes", "--json").out)
    assert {k: done[k] for k in ("schema", "outcome", "exit_code", "target", "changed")} == {
        "schema": "fftdeploy.promote/1",
        "outcome": "ok",
        "exit_code": 0,
        "target": "triage/production",
        "changed": True,
    }
    assert (done["release"]["model"], done["readiness"]["state"]) == (V9, "ready")
