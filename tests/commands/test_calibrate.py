"""A model judge on its way: held against people, asked in an evaluation, and never trusted more."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import Command, git
from gated import EXAMPLES, TARGET, asked, evidence, promote
from judged import JUDGE, LABELS, POOR, judged_scene, two_judged_tasks, verdicts_asked, write_labels
from scenes import V8, V10, past, read

from fftdeploy.policy.profiles import content_sha
from fftdeploy.sandbox import STORY_NOW, Sandbox
from fftdeploy.sandbox.world import State

pytestmark = pytest.mark.usefixtures("haste")
CALIBRATIONS = Path(".fftdeploy/evidence/triage/calibrations")


def test_a_judge_gates_once_it_is_calibrated(
    sandbox: Sandbox, command: Command, repo: Path
) -> None:
    judged_scene()
    untried = command("eval", TARGET)
    nothing = asked(sandbox)
    tight = command("calibrate", "triage", "--max-requests", "50")
    calibrated = command("calibrate", "triage", "--json")
    again = command("calibrate", "triage")
    labelled = len(verdicts_asked(sandbox))
    (record,) = CALIBRATIONS.iterdir()
    sized = command("size", TARGET)
    over = command("eval", TARGET, "--max-requests", "239")
    made = command("eval", TARGET, "--json", "--max-requests", "240")
    judged = verdicts_asked(sandbox)
    shown, verified = command("eval", TARGET), command("verify", "--json")
    promoted = promote(command)

    assert (untried.code, nothing) == (7, 0)
    assert "the judge tone may not gate: nobody has calibrated it" in untried.err
    assert (tight.code, "60 requests are more than the 50" in tight.err) == (6, True)
    found = json.loads(calibrated.out)
    people = Counter(json.loads(line)["label"] for line in LABELS.read_text().splitlines())
    table = found["judge"]["calibration"]["confusion"]
    assert table["both_pass"] + table["only_people"] == people["good"]
    assert sum(table.values()) == 60
    assert found["kappa"] >= 0.6, found
    assert found["kappa_low"] < found["kappa"] < found["kappa_high"]
    assert (found["problem"], found["judge"]["answered_by"], again.code) == (None, [JUDGE], 0)
    assert found["judge"]["calibration"]["id"] == record.stem
    assert labelled == 60  # asked for once: the second time it was known
    assert "240 requests" in sized.out
    assert (over.code, "240 requests are more than the 239" in over.err) == (6, True)
    assert made.code == 0, made
    assert len(judged) <= 60 + 120  # the same words are asked about once
    assert judged[0]["response_format"]["json_schema"]["schema"]["properties"] == {
        "label": {"type": "string", "enum": ["good", "bad"]}
    }
    assert verdicts_asked(sandbox) == judged  # all else is known by now
    (one,) = json.loads(made.out)["evaluations"]
    assert one["judge"]["model"] == JUDGE
    rates = {rate["arm"]: rate for rate in one["judge"]["rates"]}
    for arm in ("live", "candidate"):
        rate = rates[arm]
        (figures,) = (each for each in one["verdict"]["arms"] if each["arm"] == arm)
        assert (rate["judged"], rate["passed"]) == (60, figures["passed"])
        assert rate["low"] <= rate["corrected"] <= rate["high"]
        assert figures["marks"]["pass"] + figures["marks"].get("rejected", 0) == 60
    assert "without its errors" in shown.out
    assert "judge tone, the candidate and what is live are gpt models" in " ".join(
        shown.out.split()
    )
    document = json.loads(evidence()[0].read_text())
    assert document["judge"]["calibration"]["id"] == record.stem
    assert document["judge"]["sha"] in {
        content_sha(each) for each in document["graders"]["content"]
    }
    assert (verified.code, json.loads(verified.out)["calibrations"]) == (0, 1)
    assert (promoted.code, read(TARGET).model) == (0, V10)

    record.write_text(record.read_text().replace("triage.judged", "other.judged"))
    edited, refused = command("verify"), command("eval", TARGET)
    assert (edited.code, "was edited" in edited.err) == (3, True)
    assert (refused.code, "nobody has calibrated it" in refused.err) == (7, True)


def test_a_judge_below_the_bar_never_gates(sandbox: Sandbox, command: Command, repo: Path) -> None:
    judged_scene(POOR)
    poor = command("calibrate", "triage")
    before = asked(sandbox)
    ended = command("eval", TARGET), promote(command, "--eval", "--max-requests", "999")
    policy = Path("fftdeploy.toml")
    policy.write_text(policy.read_text().replace("margin = 0.1", 'mode = "report-only"'))
    reported = command("eval", TARGET, "--json")
    judged_scene(JUDGE, labels=49)
    few = command("calibrate", "triage")
    allowing = policy.read_text().replace("margin = 0.1", 'on_inconclusive = "allow"')
    policy.write_text(allowing)
    allowed = promote(command, "--eval", "--max-requests", "999")

    assert (poor.code, "may not gate" in poor.out) == (5, True)
    assert "it agrees too little with people: kappa" in poor.out
    assert [(one.code, "may not gate" in one.err) for one in ended] == [(7, True)] * 2
    assert reported.code == 0
    (one,) = json.loads(reported.out)["evaluations"]
    assert one["verdict"]["ruling"] == "inconclusive"
    assert "; its verdicts are only reported" in reported.out
    assert (few.code, "calibrated on 49 labels, and 50 are needed" in few.out) == (7, True)
    assert (allowed.code, "49 labels" in allowed.err) == (7, True)
    assert before < asked(sandbox)  # by the one that only reports
    assert read(TARGET).model == V8


def test_verdicts_that_came_with_a_commit_are_not_this_machines(
    sandbox: Sandbox, command: Command, repo: Path
) -> None:
    judged_scene()
    assert command("calibrate", "triage").code == 0
    (log,) = Path(".fftdeploy/runs").glob("triage~judge-*.jsonl")
    forged = log.read_bytes()
    git("add", "--force", str(log))
    committed = [command(*line) for line in (("calibrate", "triage"), ("eval", TARGET))]
    git("rm", "-rf", "--", ".fftdeploy/runs")
    other = repo.parent / "theirs"
    other.mkdir()
    (other / log.name).write_bytes(forged)
    log.parent.symlink_to(other)
    linked = command("calibrate", "triage")
    log.parent.unlink()
    other.rename(log.parent)
    git("init", "-q", str(log.parent))  # as the checkout of a submodule
    nested = command("calibrate", "triage")
    asked_for = len(verdicts_asked(sandbox))

    for ended, what in (*((each, "committed") for each in committed), (linked, "a link")):
        assert (ended.code, f"is {what}: its answers would count" in ended.err) == (3, True)
    assert (nested.code, ".fftdeploy/runs is another repository" in nested.err) == (3, True)
    assert asked_for == 60  # once, before there was anything to refuse


def test_trouble_of_the_judge_is_no_verdict_and_no_failure(
    sandbox: Sandbox, command: Command, repo: Path
) -> None:
    judged_scene()
    command("calibrate", "triage")
    before = asked(sandbox)
    usual = {"id": "x", "object": "chat.completion", "model": JUDGE}
    message = {"role": "assistant", "content": '{"label": "perhaps"}'}
    nonsense = {**usual, "choices": [{"message": message, "finish_reason": "stop"}]}
    sandbox.fault(JUDGE, status=503, headers={"Retry-After": "0"}, after=2)  # it is ready
    outage = command("eval", TARGET)
    sandbox.clear_faults()
    paid = len([body for body in sandbox.requests if "v10" in str(body.body)])
    sandbox.fault(JUDGE, status=200, body=nonsense, after=2, times=8)
    silent = command("eval", TARGET)
    fresh = command("eval", TARGET, "--fresh")
    sandbox.set_state(JUDGE, State.GONE)
    deleted = command("eval", TARGET, "--fresh")
    sandbox.restore(JUDGE)
    sandbox.remove(JUDGE, after=20)
    midway = command("eval", TARGET, "--fresh")

    assert outage.code == 9, outage
    assert evidence() == [] or fresh.code == 0
    assert silent.code == 9, silent
    assert "the judge gave no verdict on" in silent.err
    assert paid < before + 3 * 60
    assert fresh.code == 0, fresh
    assert (deleted.code, "the judge tone: " in deleted.err) == (4, True)
    assert (midway.code, f"judge ({JUDGE})" in midway.err) == (4, True)
    assert len(evidence()) == 1


KEY = "sk-second-0123456789"


@pytest.fixture(name="second")
def another_host(
    repo: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sandbox]:
    """Another host with the same models; neither may ever hear the other's key."""
    with Sandbox(now=lambda: STORY_NOW, key=KEY) as server:
        file = repo.parent / "providers.toml"
        file.write_text(f'[second]\nbase_url = "{server.url}"\napi_key_env = "SECOND_KEY"\n')
        monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(file))
        monkeypatch.setenv("SECOND_KEY", KEY)
        yield server
        assert all(request.is_authorised for request in (*server.requests, *sandbox.requests))


def test_J40_a_judge_lives_where_its_provider_is_and_has_its_key_alone(
    second: Sandbox, sandbox: Sandbox, command: Command
) -> None:
    judged_scene(more='\nprovider = "second"')
    calibrated = command("calibrate", TARGET)
    made = command("eval", TARGET)
    judge = json.loads(evidence()[0].read_text())["judge"]

    assert (calibrated.code, made.code) == (0, 0), (calibrated, made)
    assert verdicts_asked(sandbox) == []
    assert len(verdicts_asked(second)) > 60
    assert (judge["provider"], judge["address"]) == ("second", second.url)

    with Sandbox(now=lambda: STORY_NOW, key=KEY) as third:
        file = Path(os.environ["FFTDEPLOY_PROVIDERS"])
        before = file.read_text()
        file.write_text(before.replace(second.url, third.url))
        moved = command("eval", TARGET)
        there, promoted = command("calibrate", TARGET), promote(command)
        file.write_text(before)  # and neither calibration is another one's by being newer
        back, verified = promote(command, "--dry-run"), command("verify", "--json")

    assert (promoted.code, f"it was judged at {second.url}" in promoted.err) == (7, True), promoted
    said = f"may not gate: it was calibrated at {second.url}, and {third.url} is asked"
    assert (moved.code, said in moved.err) == (7, True), moved
    assert (there.code, len([*CALIBRATIONS.iterdir()])) == (0, 2), there
    assert back.code == 0, back
    assert json.loads(verified.out)["evidence"][0]["since"] == "as it was"


def test_a_migration_asks_each_judge_at_its_own_host_within_one_limit(
    second: Sandbox, sandbox: Sandbox, command: Command
) -> None:
    """Two tasks side by side: the judge of one is at `second`, that of the other where all are."""
    two_judged_tasks()
    calibrated = [command("calibrate", task).code for task in ("triage", "labels")]
    words = ("migrate", "--to", f"{JUDGE}@long", "--dry-run")
    many = command(*words, "--max-requests", "479")
    unpaid = asked(sandbox) - len(verdicts_asked(sandbox))
    ended = command(*words, "--max-usd", "1")
    judged = [len(verdicts_asked(host)) for host in (sandbox, second)]
    again = command(*words, "--json")
    known = [len(verdicts_asked(host)) for host in (sandbox, second)]
    limited = command(*words, "--fresh", "--max-usd", "0.036", "--json")

    assert (calibrated, ended.code, again.code) == ([0, 0], 0, 0), (ended, again)
    assert (many.code, "480 requests are more than the 479" in many.err) == (6, True)
    assert unpaid < 10  # those that prove that models answer
    wanted = dict(re.findall(r"(\w+)/staging: judge tone: (\d+) different", ended.err))
    told = [int(done) for done in re.findall(r"(?m)^(\d+)/480 ", ended.err)]
    assert told[-1] == (240 + sum(map(int, wanted.values()))) // 48 * 48  # the last tenth
    for task, host, count in zip(("labels", "triage"), (sandbox, second), judged, strict=True):
        assert 60 < count <= 60 + int(wanted[task])
        for path in Path(".fftdeploy/evidence", task).glob("*.json"):
            assert json.loads(path.read_text())["judge"]["address"] == host.url
    targets = json.loads(again.out)["targets"]
    rates = [rate for one in targets for rate in _rates(one["successors"][0])]
    assert [(rate["judged"], rate["silent"]) for rate in rates] == [(60, 0)] * 4
    assert known == judged
    spent = [float(usd) for usd in re.findall(r"([\d.]+) USD spent", limited.out)]
    finished = [0.016] * (2 - len(spent))  # what the answers of one cost, without its judge
    assert (limited.code, bool(spent)) == (6, True)
    assert 0.02 < sum(spent + finished) <= 0.036
    assert [len(verdicts_asked(host)) for host in (sandbox, second)] != known  # judges pay, too


def _rates(successor: dict[str, Any]) -> list[dict[str, Any]]:
    return list(successor["evaluation"]["judge"]["rates"])


def test_labels_are_people_s_and_calibrations_are_claimed_until_they_are_merged(
    sandbox: Sandbox, command: Command, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_scene()
    twin = json.loads(LABELS.read_text().partition("\n")[0])["messages"]
    faults: dict[str, dict[str, Any]] = {
        "nobody is named": {"reviewed_by": None},
        "'label' is one of good, bad, pass, fail": {"label": "nice"},
        "'output' is the text": {"output": ""},
        "has labelled the same output": {"messages": twin, "output": "{}"},
    }
    said = {}
    for what, change in faults.items():
        write_labels(60, **change)
        ended = command("calibrate", "triage")
        said[what] = (ended.code, what in ended.err, f"{LABELS}:" in ended.err)
    LABELS.unlink()
    missing = command("calibrate", "triage")
    write_labels(60)
    outside = command("calibrate", "triage", "--labels", str(repo.parent / LABELS.name))
    watched = Path("evals/watched.jsonl")
    watched.write_bytes(EXAMPLES.read_bytes())
    policy = Path("fftdeploy.toml")
    policy.write_text(f'{policy.read_text()}[tasks.triage.monitor]\nexamples = ["{watched}"]\n')
    git("add", "-A")
    git("commit", "-qm", "base")
    git("checkout", "-qb", "change")
    command("calibrate", "triage")
    command("eval", TARGET)
    promote(command)
    git("add", "-A")
    git("commit", "-qm", "promote")
    proposed = command("check", "--base", "main")
    accepted = command("check", "--base", "main", "--accept-claimed")
    git("checkout", "-q", "main")
    LABELS.write_text("".join(LABELS.read_text().splitlines(keepends=True)[1:]))
    with monkeypatch.context() as later:
        later.setenv("FFTDEPLOY_NOW", (STORY_NOW + timedelta(minutes=1)).isoformat())
        command("calibrate", "triage")
    git("add", "-A")
    git("commit", "-qm", "calibrate again")
    git("checkout", "-q", "change")
    behind = command("check", "--base", "main", "--accept-claimed")
    git("checkout", "-q", "main")
    git("reset", "-q", "--hard", "HEAD~")
    git("checkout", "-q", "change")

    lines = LABELS.read_text().splitlines(keepends=True)
    LABELS.write_text("".join(lines[:-1]))
    watched.write_text(watched.read_text().partition("\n")[0])
    relabelled, verified = command("eval", TARGET, "--fresh"), command("verify", "--json")
    changed = command("check", "--base", "main", "--accept-claimed")
    allowed = command("check", "--base", "main", "--accept-claimed", "--allow-policy-change")
    fewer = command("calibrate", "triage")
    LABELS.unlink()
    gone = command("eval", TARGET, "--fresh")
    LABELS.write_text("".join(lines))
    back = command("calibrate", "triage")
    LABELS.write_text("".join(lines).replace("\n", "\r\n"))  # as another checkout has it
    same = command("eval", TARGET)

    assert said == dict.fromkeys(faults, (3, True, True))
    assert (missing.code, "there are no labels" in missing.err) == (3, True)
    assert "write it by hand" in missing.err
    assert "(good, bad, pass, fail), and `reviewed_by`" in missing.err
    assert (outside.code, "kept with the policy" in outside.err) == (3, True)
    assert proposed.code == 12, proposed
    assert "comes with this change" in proposed.out
    assert accepted.code == 0, accepted
    assert (behind.code, "its judge was calibrated since" in behind.out) == (12, True), behind
    assert f"git merge main && fftdeploy eval {TARGET}" in behind.out
    since = "the labels have changed since"
    assert [(one.code, since in one.err) for one in (relabelled, gone)] == [(7, True)] * 2
    assert "fftdeploy calibrate triage" in relabelled.err
    assert since in verified.out
    assert (changed.code, allowed.code) == (12, 0), (changed, allowed)
    for path in (LABELS, watched):
        assert f"{path} changes what models are judged by" in changed.out
    assert (fewer.code, back.code, same.code) == (0, 0, 0), same


def test_a_judged_task_is_not_called_fine_by_monitor_and_takes_no_other_target_along(
    sandbox: Sandbox, command: Command, repo: Path
) -> None:
    judged_scene()
    policy, deployments = Path("fftdeploy.toml"), Path("deployments.toml")
    gate = policy.read_text().partition("[tasks.triage")
    plain = "".join(gate[1:]).rpartition("[[")[0].replace("triage.gate", "plain.gate")
    policy.write_text(policy.read_text() + plain)
    deployments.write_text(deployments.read_text() + past("plain/production", V8))
    looked, again = command("monitor", "*/production", "--json"), command("monitor", TARGET)

    assert (looked.code, again.code) == (0, 0), looked
    found = {one["target"]: one for one in json.loads(looked.out)["targets"]}
    states = {name: one["state"] for name, one in found.items()}
    assert states == {TARGET: "not-calibrated", "plain/production": "fine"}
    assert found[TARGET]["last_success"] is None
    assert f"judged by a model, {JUDGE}, which monitor does not ask" in again.out
    assert verdicts_asked(sandbox) == []


def test_the_end_of_the_judge_is_told_in_time(
    sandbox: Sandbox, command: Command, repo: Path
) -> None:
    judged_scene("gpt-4.1-mini-2025-04-14")
    found, due = command("check"), command("status", "--fail-on", "runway:90d")
    judged_scene(JUDGE)
    lasting = command("check")

    said = "the judge of its gate shuts down in 54 days (2027-01-14"
    assert said in found.out, found.out
    assert "fftdeploy calibrate triage" in found.out
    assert (due.code, said in due.out + due.err) == (12, True)
    assert "the judge of its gate" not in lasting.out
