"""Monitor: a change is found and confirmed, and trouble is never one."""

import json
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import gated
import pytest
from command_line import PROGRAM, Command, git
from scenes import V7, V8, V9, past, write

from fftdeploy.evaluation.limits import CONCURRENCY
from fftdeploy.monitoring import state_file
from fftdeploy.monitoring.watched import path_of
from fftdeploy.sandbox import STORY_NOW, Sandbox

TARGET = gated.TARGET
POLICY = gated.POLICY.replace(
    'slices = ["language"]', 'must_pass = ["edge-case"]\nfloors = { valid = 0.9 }'
)
WATCHED = 14


Monitor = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def monitor(
    repo: Path, sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> Monitor:
    """Run the command on a day of the story, and return its exit code and its target's JSON."""
    gated.scene(V8, V9, policy=POLICY, examples=WATCHED)

    def run(day: int, *flags: str) -> tuple[int, dict[str, Any]]:
        now = STORY_NOW + timedelta(days=day)
        monkeypatch.setenv("FFTDEPLOY_NOW", now.isoformat())
        sandbox.set_now(now)
        result = command("monitor", TARGET, "--json", *flags)
        document = json.loads(result.out)
        (target,) = document.get("targets") or [{}]
        return result.code, {**target, "found": _codes(document), "document": document}

    return run


def _codes(document: Mapping[str, Any]) -> list[str]:
    """Name the findings, errors first, without those of the way back, which there is none of."""
    found = [one for one in document.get("findings", ()) if one["code"] != "no-rollback"]
    return [one["code"] for one in sorted(found, key=lambda one: str(one["severity"]))]


_USUAL = ("runway", "no-record", "few-watched-examples")


def test_a_model_that_changes_behind_its_id_is_found_confirmed_and_found_again(
    sandbox: Sandbox, monitor: Monitor
) -> None:
    code, first = monitor(0)
    assert (code, first["state"], first["previous"]) == (0, "fine", None)
    assert gated.paid(sandbox) == 10 * WATCHED
    code, _ = monitor(0)
    assert gated.paid(sandbox) == 10 * WATCHED  # once a day
    code, usual = monitor(39)
    passed = usual["passed"]
    assert (code, usual["state"], usual["p"], usual["previous"]) == (0, "fine", 1.0, "fine")
    assert gated.paid(sandbox) == 11 * WATCHED
    sandbox.change(V8, fingerprint="fp_new")
    sandbox.fault("/v1/chat/completions", delay_s=0.3)
    code, noted = monitor(39, "--fresh")
    assert (code, noted["state"]) == (0, "fine")  # what makes no answer worse is a note
    assert {*noted["found"]} - {"slower"} == {*_USUAL, "fingerprint"}

    sandbox.clear_faults()
    sandbox.change(V8, like=V7)
    before = gated.paid(sandbox)
    code, found = monitor(40)

    assert (code, found["state"], found["previous"]) == (12, "drift", "fine")
    assert found["found"][0] == "drift"
    assert gated.paid(sandbox) - before == (1 + 5) * WATCHED  # confirmed at once
    fell = {one["id"] for one in found["moved"]}
    assert len(fell) == passed - found["passed"] > 0
    assert all(one["passed_then"] == 10 and one["passed"] == 0 for one in found["moved"])
    said = "\n".join(one["message"] for one in found["document"]["findings"])
    assert f"drift: {found['passed']} of 14 examples pass, and {passed} did on 2026-11-21" in said
    hints = [one["hint"] for one in found["document"]["findings"] if one.get("hint")]
    assert (hints[0], [hint for hint in hints if "--record" in hint]) == (
        f"fftdeploy eval {TARGET} live",
        [],
    )
    code, again = monitor(40, "-o", "page.html")
    assert (code, again["state"], again["is_new"]) == (12, "drift", False)
    page = Path("page.html").read_text()
    assert (page.count('<li class="fine"'), page.count('<li class="drift"')) == (3, 1)
    assert page.count("<td>10/10</td><td>0/5</td>") == len(fell)
    assert page.count("{&quot;urgency&quot;") == 2 * len(fell)  # what was said then, and now
    shutil.rmtree(".fftdeploy/runs")
    monitor(40, "-o", "page.html")
    assert Path("page.html").read_text().count("(not on this machine)") == 2 * len(fell)
    assert monitor(40, "-o", "page.txt")[0] == 2
    code, still = monitor(41)
    assert (code, still["state"], still["previous"]) == (12, "drift", "drift")
    assert gated.paid(sandbox) - before == (2 + 5) * WATCHED  # a day that confirms it is enough

    sandbox.restore(V8)
    code, back = monitor(42)
    assert (code, back["state"], back["previous"], back["is_confirmed"]) == (
        0,
        "fine",
        "drift",
        True,
    )
    sandbox.change(V8, like=V7)
    code, taken = monitor(43, "--calibrate")
    assert (code, taken["state"]) == (0, "fine")
    assert monitor(44)[1]["passed"] == found["passed"]  # and that is how it is from now on
    kept = state_file.read_state(Path(), TARGET)
    text = path_of(Path(), TARGET).read_text()
    assert [look.state for look in kept.looks].count("drift") == 2
    assert not any(word in text for word in ("urgency", "lock account", "question"))


def fail(sandbox: Sandbox, status: int, of_ten: int) -> None:
    """Have so many of ten requests fail, once the probe is over."""
    for round_ in range(60):
        good = 1 + (10 - of_ten) * round_
        sandbox.fault("/v1/chat/completions", status=status, after=good, times=of_ten)


@pytest.mark.usefixtures("haste")
@pytest.mark.parametrize(("status", "of_ten"), [(429, 7), (500, 2)])
def test_J28_a_storm_is_no_drift_and_no_part_of_what_is_compared(
    sandbox: Sandbox, monitor: Monitor, status: int, of_ten: int
) -> None:
    fail(sandbox, status, of_ten)
    first = monitor(0)
    stormed = monitor(1)
    sandbox.clear_faults()
    quiet = monitor(2)

    assert [(code, found["state"]) for code, found in (first, stormed, quiet)] == [(0, "fine")] * 3
    assert stormed[1]["answered"] == quiet[1]["answered"] == WATCHED
    assert stormed[1]["passed"] == quiet[1]["passed"]
    calibration = state_file.read_state(Path(), TARGET).calibration
    assert calibration is not None
    assert set(calibration.answers.counts()) == {(10, 10), (0, 10)}
    refused = sum(request.path == "/v1/chat/completions" for request in sandbox.requests)
    assert refused - gated.paid(sandbox) < 10 < gated.paid(sandbox) - 12 * WATCHED


def _key_is_revoked(sandbox: Sandbox) -> None:
    body = {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}
    sandbox.fault("/v1/chat/completions", status=401, body=body, after=6)


def _model_is_deleted(sandbox: Sandbox) -> None:
    sandbox.remove(V8, after=6)


def _host_falls_silent(sandbox: Sandbox) -> None:
    sandbox.fault("/v1/chat/completions", reset=True, after=6)


def _another_model_answers(sandbox: Sandbox) -> None:
    answer = {
        "object": "chat.completion",
        "model": "gpt-6-luna",
        "choices": [{"index": 0, "message": {"content": "{}"}, "finish_reason": "stop"}],
    }
    sandbox.fault("/v1/chat/completions", status=200, body=answer, after=6)


TROUBLES: tuple[tuple[Callable[[Sandbox], None], int, str], ...] = (
    (_key_is_revoked, 10, ""),
    (_host_falls_silent, 9, ""),
    (_model_is_deleted, 12, "missing"),
    (_another_model_answers, 12, "other-model"),
)


@pytest.mark.usefixtures("haste")
def test_D44_J4_trouble_on_the_way_is_told_as_what_it_is_and_nothing_is_lost(
    sandbox: Sandbox, monitor: Monitor
) -> None:
    monitor(0)
    for day, (trouble, exit_code, finding) in enumerate(TROUBLES, 1):
        before = gated.paid(sandbox)
        trouble(sandbox)
        code, found = monitor(day)

        assert (code, found["state"], found["previous"]) == (exit_code, "unverified", "fine")
        assert ([one for one in found["found"] if one not in _USUAL] or [""])[0] == finding
        assert found["last_success"].startswith(f"2026-11-{20 + day}")
        assert found["why"]
        answered = gated.paid(sandbox) - before
        sandbox.clear_faults()
        sandbox.restore(V8)
        code, later = monitor(day)
        assert (code, later["state"]) == (0, "fine")
        assert gated.paid(sandbox) - before < WATCHED + answered  # it went on


def test_what_is_missing_is_not_asked_a_limit_refuses_and_a_batch_asks_by_the_queue(
    sandbox: Sandbox, monitor: Monitor
) -> None:
    def batches() -> int:
        return sum(r.method == "POST" and r.path == "/v1/batches" for r in sandbox.requests)

    sandbox.remove(V8)
    code, found = monitor(0)
    assert (code, found["state"], gated.paid(sandbox)) == (12, "unverified", 0)
    assert state_file.read_state(Path(), TARGET).calibration is None
    sandbox.restore(V8)
    code, refused = monitor(0, "--max-requests", f"{10 * WATCHED - 1}")
    assert (code, refused["state"], gated.paid(sandbox)) == (6, "not-calibrated", 0)
    code, done = monitor(0, "--max-requests", f"{10 * WATCHED}", "--batch")
    assert (code, done["state"], batches()) == (0, "fine", 1)

    code, under_way = monitor(1, "--batch", "--wait", "0")
    assert (code, under_way["state"], batches()) == (9, "unverified", 2)
    code, taken = monitor(2, "--batch")
    assert (code, taken["state"], batches()) == (0, "fine", 2)
    sandbox.change(V8, like=V7)
    code, found = monitor(3, "--batch")
    assert (code, found["state"], batches()) == (12, "drift", 3)  # confirmed directly


def started(*, limit: int = 0) -> "subprocess.Popen[str]":
    """Start the console script, its files no longer than `limit` bytes."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    argv = [str(PROGRAM), "monitor", TARGET]
    before = limited if limit else None
    return subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, preexec_fn=before)  # noqa: PLW1509  it sets a limit and nothing else


def test_a_kill_and_a_full_disk_lose_nothing_that_was_paid(
    sandbox: Sandbox, monitor: Monitor
) -> None:
    killed = started()
    while gated.paid(sandbox) < 3 * WATCHED:
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    before = gated.paid(sandbox)
    with started(limit=30_000) as full:
        assert full.stderr is not None
        said = full.stderr.read()
    assert (full.returncode, "writing" in said) == (11, True), said
    assert monitor(0)[1]["state"] == "fine"

    in_flight = 2 * CONCURRENCY
    assert before < gated.paid(sandbox) <= 10 * WATCHED + in_flight


def test_of_two_at_once_one_looks_and_a_damaged_past_is_not_taken_for_none(
    sandbox: Sandbox, monitor: Monitor
) -> None:
    monitor(0)
    with state_file.opened(Path(), TARGET):
        code, found = monitor(1)
    assert (code, found["state"], found["last_success"]) == (
        8,
        "unverified",
        "2026-11-21T08:30:00Z",
    )
    asked = gated.paid(sandbox)
    path = path_of(Path(), TARGET)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert monitor(1)[0] == 0  # the look of the first day is gone, its calibration is not
    path.write_bytes(whole[9:])
    code, found = monitor(2)
    assert (code, found["document"]["error"]["code"]) == (3, "state-damaged")
    assert gated.paid(sandbox) == asked + WATCHED


def test_status_shows_the_newest_look_which_counts_for_what_it_was_made_of_alone(
    sandbox: Sandbox, monitor: Monitor, command: Command
) -> None:
    def status() -> int:
        return command("status", "--offline", "--fail-on", "drift", TARGET).code

    unknown = command("status", "--offline", "--fail-on", "drift", TARGET)  # nobody has looked
    assert (unknown.code, f"looked at it: fftdeploy monitor {TARGET}" in unknown.out) == (9, True)
    monitor(0)
    assert status() == 0
    sandbox.change(V8, like=V7)
    assert monitor(1)[0] == 12
    failed = command("status", "--offline", "--fail-on", "drift", TARGET)
    shown = command("status", "--offline", TARGET, "--json")
    assert (failed.code, "drift, found 2026-11-22" in failed.out) == (12, True)
    (target,) = json.loads(shown.out)["targets"]
    assert target["watched"] == {
        "state": "drift",
        "at": "2026-11-22T08:30:00Z",
        "settled": "drift",
        "settled_at": "2026-11-22T08:30:00Z",
    }

    live = Path("deployments.toml").read_text()
    write(past("triage/staging", V7, V9), past(TARGET, V8, V9), policy=POLICY)
    assert status() == 9  # nobody has looked at the one that is live by now
    before = gated.paid(sandbox)
    code, other = monitor(1)
    assert (code, other["state"], other["is_new"], status()) == (0, "fine", True, 0)
    assert gated.paid(sandbox) - before == 10 * WATCHED
    assert "calibrated-anew" in other["found"]
    Path("deployments.toml").write_text(live)
    assert status() == 9


def test_J29_a_typo_that_is_mended_a_grader_or_no_gate_end_no_drift(
    sandbox: Sandbox, monitor: Monitor, command: Command
) -> None:
    monitor(0)
    sandbox.change(V8, like=V7)
    monitor(1)
    lines = gated.EXAMPLES.read_text().splitlines(keepends=True)
    lines[0] = lines[0].replace("refund eligibility", "refund  eligibility", 1)
    gated.EXAMPLES.write_text("".join(lines))
    sandbox.restore(V8)
    code, asked = monitor(1)  # today's look was of other examples
    assert (code, asked["state"], asked["answered"]) == (12, "drift", WATCHED - 1)
    policy = Path("fftdeploy.toml")
    whole = policy.read_text()
    policy.write_text(whole.replace('"casefold"', '"exact"'))
    code, graded = monitor(2)
    assert (code, graded["state"], graded["passed"]) == (12, "drift", None)
    policy.write_text(whole.partition("[tasks.triage.gate]")[0])
    assert (monitor(3)[0], command("status", "--offline", "--fail-on", "drift").code) == (12, 12)
    policy.write_text(whole)
    code, anew = monitor(4, "--calibrate")
    assert (code, anew["state"], anew["answered"]) == (0, "fine", None)
    assert "calibrated-anew" in anew["found"]
    assert monitor(5)[1]["answered"] == WATCHED  # the changed one is in again


@pytest.mark.parametrize("how", ["committed", "a link"])
def test_looks_of_others_count_for_nothing(
    monitor: Monitor, command: Command, tmp_path: Path, how: str
) -> None:
    monitor(0)
    if how == "committed":
        git("add", "--force", str(path_of(Path(), TARGET)))
    else:
        shutil.move(".fftdeploy/monitor", tmp_path / "elsewhere")
        Path(".fftdeploy/monitor").symlink_to(tmp_path / "elsewhere")
    code, refused = monitor(0)
    failed = command("status", "--offline", "--fail-on", "drift")
    shown = json.loads(command("status", TARGET, "--offline", "--json").out)

    assert (code, failed.code, how in refused["document"]["error"]["message"]) == (3, 3, True)
    assert shown["targets"][0]["watched"] is None
