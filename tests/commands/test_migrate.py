"""Migrate: off models that end, to the cheapest successor that is no worse."""

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import terminal
from checkout import ROOT
from command_line import PROGRAM, Command, git
from gated import EXAMPLES, POLICY, TARGET, asked, evidence, paid
from scenes import (
    FILE,
    LUNA,
    POLICY_FILE,
    V6,
    V7,
    V8,
    V10,
    hold,
    newest,
    past,
    read,
    write,
)

import fftdeploy
from fftdeploy.commands.schema import output_schema
from fftdeploy.errors import ConfigError, PolicyError
from fftdeploy.sandbox import Sandbox
from fftdeploy.sandbox.triage import Skill
from fftdeploy.sandbox.world import ACME, Model, State

pytestmark = pytest.mark.usefixtures("portfolio")

STAGING, LABELS = "triage/staging", "labels/staging"
TERRA, NANO, SMALL = "gpt-6-terra", "gpt-6-nano", "gpt-6-small"
"""Successors that last: a good and dear one, a bad and cheap one, a good one at a fair price."""
WORLD = ACME.with_models(
    Model(TERRA, Skill(6), owned_by="system"),
    Model(NANO, Skill(2), owned_by="system"),
    Model(SMALL, Skill(6), owned_by="system"),
)
TASKS = f"""
[tasks.triage]
successors = [{{ model = "{TERRA}" }}, {{ model = "{NANO}" }}, {{ model = "{SMALL}" }}]

[tasks.labels]
successors = [{{ model = "{LUNA}" }}]
"""
PRICES = f"""
[prices]
date = 2026-11-20
"ft:gpt-4.1-mini-2025-04-14" = {{ input = 0.80, output = 3.20 }}
{TERRA} = {{ input = 4, output = 16 }}
{NANO} = {{ input = 0.1, output = 0.4 }}
{SMALL} = {{ input = 0.2, output = 0.8 }}
{LUNA} = {{ input = 0.3, output = 1.2 }}
"""
RUN = 67 * 4
DRY = ("--dry-run", "--why", "end")
FIGURES = ["76.1% &#8594; 97.0%", "14", "0", "0.12 &#8594; 0.03"]
DO = "review the change below, and make it"


@pytest.fixture
def portfolio(repo: Path, sandbox: Sandbox) -> Sandbox:
    """Three targets on fine-tunes that end in 54 days; the last one's task has no gate."""
    EXAMPLES.parent.mkdir()
    EXAMPLES.write_text((ROOT / EXAMPLES).read_text())
    gate = POLICY.replace("[tasks.triage.gate]", f"{TASKS}\n[tasks.triage.gate]", 1)
    write(
        past(STAGING, V7, V8),
        past(TARGET, V6, V8),
        past(LABELS, V7, V8),
        policy=gate + PRICES,
    )
    git("add", ".")
    git("commit", "--quiet", "-m", "Begin")
    return sandbox


@cache
def _schema() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(output_schema())


def found(command: Command, *words: str, code: int = 0) -> dict[str, Any]:
    ended = command("migrate", *words, "--json")
    assert ended.code == code, ended
    said = dict(json.loads(ended.out))
    _schema().validate(said)
    return said


def test_a_plan_says_what_it_would_cost_and_asks_nobody(
    portfolio: Sandbox, command: Command
) -> None:
    before = FILE.read_bytes()
    said = found(command, "--plan", code=7)

    assert not portfolio.requests
    assert [(one["target"], one["state"]) for one in said["targets"]] == [
        (STAGING, "estimated"),
        (TARGET, "estimated"),
        (LABELS, "failed"),
    ]
    costs = [one["cost"] for one in said["targets"] if one["cost"]]
    assert [cost["requests"] for cost in costs] == [RUN, RUN]
    assert said["cost"]["requests"] == 2 * RUN
    assert said["cost"]["usd"] == pytest.approx(sum(cost["usd"] for cost in costs))
    assert said["targets"][0]["too_few"].startswith("67 examples: fewer than 83 examples can't")
    text = command("migrate", "--plan")
    assert f"in all, at most {2 * RUN} requests, about " in text.out
    assert text.err == "next: fftdeploy migrate --dry-run\n"
    assert FILE.read_bytes() == before


def test_three_targets_go_to_the_cheapest_that_is_no_worse_one_commit_each(
    portfolio: Sandbox, command: Command
) -> None:
    dry = found(command, "--dry-run", "--why", "fine-tunes end", code=7)
    assert git("status", "--porcelain", "--", "deployments.toml") == ""
    assert paid(portfolio) == RUN, "the answers of one target are those of the other"
    ranks = [(one["model"], one["rank"]) for one in dry["targets"][0]["successors"]]
    assert ranks == [(SMALL, 1), (TERRA, 2), (NANO, None)]
    patch = dry["diff"]

    ended = command("migrate", "--yes", "--why", "fine-tunes end", "--commit")

    assert ended.code == 7, "labels has no gate"
    assert paid(portfolio) == RUN
    assert (newest(STAGING).bundle.model, newest(STAGING).via) == (SMALL, "model")
    assert (newest(TARGET).bundle.model, newest(TARGET).via) == (SMALL, "staging")
    assert newest(TARGET).evidence in {path.stem for path in evidence()}
    assert read(LABELS).model == V8
    assert git("log", "--format=%s") == (
        f"Promote {SMALL} to {TARGET}\nPromote {SMALL} to {STAGING}\nBegin"
    )
    assert git("diff", "--name-only", "HEAD~", "HEAD") == "deployments.toml"
    assert re.search(r"committed as \w{7}, \w{7}; 1 target left as before\n$", ended.out)
    assert "  stays       task 'labels' has no gate:\n" in ended.out
    assert f"1  {SMALL}" in ended.out
    made = git("diff", "HEAD~2", "HEAD", "--", "deployments.toml")
    assert _rows(patch) == _rows(made)

    again = command("migrate", "--yes", "--why", "twice")
    assert (again.code, again.out.splitlines()[0].split()[0]) == (7, LABELS)
    assert paid(portfolio) == RUN, "what is live now lasts"


def test_a_dry_run_needs_no_reason_and_what_is_known_to_be_refused_is_not_paid_for(
    portfolio: Sandbox, command: Command
) -> None:
    refused = found(command, TARGET, "--dry-run", code=6)["targets"][0]
    assert (refused["problem"]["code"], paid(portfolio)) == ("order", 0)
    assert refused["problem"]["hint"] == f"fftdeploy promote {STAGING} --model {TERRA}"
    assert "was not live in triage/staging" in refused["successors"][0]["barred"]
    text = command("migrate", TARGET, "--dry-run").out
    assert (text.count("not yet"), text.count("hint        fftdeploy promote")) == (3, 1)

    planned = command("migrate", "--plan").err.removeprefix("next: fftdeploy ").split()
    both = command(*planned)
    assert (both.code, 'why = "TEXT"' in both.out) == (7, True), "labels has no gate"
    assert paid(portfolio) == RUN

    again = found(command, "--dry-run", "--max-requests", "1", "--report", "page.html", code=7)
    assert (again["cost"]["requests"], paid(portfolio)) == (0, RUN)
    assert "Asked for" not in Path("page.html").read_text()
    assert found(command, "--plan", code=7)["cost"]["requests"] == 0
    fresh = found(command, "--dry-run", "--fresh", "--max-requests", "1", code=6)
    assert f"{2 * RUN} requests are more than the 1" in json.dumps(fresh)
    for name in (STAGING, TARGET):
        (short,) = re.findall(r"of them differed \((\w+)\)", command("size", name, SMALL).out)
        (path,) = [path for path in evidence() if path.stem.startswith(short)]
        assert json.loads(path.read_bytes())["target"] == name


def _rows(patch: str) -> list[str]:
    rows = [row for row in patch.splitlines() if re.match(r"[-+](?![-+])", row)]
    return [re.sub(r" at = \S+", "", row) for row in rows]


def test_nothing_is_asked_where_nobody_could_say_yes_or_no_reason_is_given(
    portfolio: Sandbox, command: Command
) -> None:
    unasked = command("migrate", "--why", "end")
    assert (unasked.code, "hint: add --yes to make the change" in unasked.err) == (2, True)
    unexplained = command("migrate", "--yes")
    assert unexplained.code == 6
    assert f"{TARGET} is protected: the change needs a reason" in unexplained.err
    many = command("migrate", "--yes", "--why", "end", "--max-requests", str(2 * RUN - 1))
    assert (many.code, f"hint: --max-requests {2 * RUN} allows them" in many.err) == (6, True)
    POLICY_FILE.write_text(POLICY_FILE.read_text().replace(f"{NANO} = ", "# "))
    unpriced = command("migrate", "--yes", "--why", "end", "--max-usd", "5")
    assert (unpriced.code, f"--max-usd needs the price of {NANO}" in unpriced.err) == (2, True)
    assert paid(portfolio) == 0


def test_a_limit_in_usd_is_for_all_targets_together(command: Command) -> None:
    EXAMPLES.with_name("labels.jsonl").write_text(EXAMPLES.read_text())
    gate = POLICY.partition("[tasks.triage.gate]")[2].replace("triage", "labels")
    POLICY_FILE.write_text(POLICY_FILE.read_text() + f"\n[tasks.labels.gate]{gate}")
    said = found(command, "--dry-run", "--why", "x", "--max-usd", "0.03", code=6)
    told = [one["problem"]["message"] for one in said["targets"]]
    assert all("stopped before spending more than 0.03 USD: " in each for each in told[:2])
    spent = [re.search(r"([\d.]+) USD spent", each) for each in told]
    assert 0.01 < sum(float(one[1]) for one in spent if one) <= 0.03, (
        "labels may have had its share"
    )


def test_where_none_is_good_enough_it_is_said_how_far_short_and_what_to_look_at(
    command: Command,
) -> None:
    words = (STAGING, "--to", f"{NANO},{LUNA}", "--yes")
    before = FILE.read_bytes()
    ended = command("migrate", *words)
    assert FILE.read_bytes() == before
    (target,) = found(command, *words, code=ended.code)["targets"]
    rulings = {one["model"]: one["evaluation"]["verdict"]["ruling"] for one in target["successors"]}
    assert rulings[NANO] == "fail"
    assert ended.code == (7 if "inconclusive" in rulings.values() else 5)
    short = target["shortfall"]
    assert short["parts"]
    assert short["examples"]
    assert re.search(r"  closest     gpt-6-\w+; ", ended.out)
    assert "  lost on     " in ended.out
    assert f"  look at     {', '.join(short['examples'][:3])} and " in ended.out
    assert re.search(r"  hint +fftdeploy report \w{12} --open\n", ended.out)

    only = found(command, STAGING, "--to", NANO, "--yes", code=5)["targets"][0]
    assert only["problem"]["message"] == "the successor is not good enough"


def test_what_can_not_replace_a_model_is_not_paid_for_and_said_of_it(
    portfolio: Sandbox, command: Command
) -> None:
    portfolio.set_state(TERRA, State.LOADING)
    portfolio.remove(NANO)
    write(past(STAGING, V7, V8, holds=[hold(SMALL, why="INC-9")]), past(TARGET, V6, V8))
    said = found(command, STAGING, "--dry-run", code=9)["targets"][0]
    by_model = {one["model"]: one for one in said["successors"]}
    assert by_model[SMALL]["hold"]["why"] == "INC-9"
    assert by_model[NANO]["readiness"]["state"] == "not-ready"
    assert by_model[TERRA]["readiness"]["state"] == "unverified"
    assert paid(portfolio) == 0

    short = found(command, TARGET, "--to", V10, "--dry-run", "--why", "x", code=6)["targets"][0]
    assert short["successors"][0]["ends"] == "2027-01-14"
    assert short["problem"]["code"] == "runway"
    assert paid(portfolio) == 0


def test_what_the_policy_refuses_is_said_of_its_target_and_stops_no_other(command: Command) -> None:
    freeze = 'soak = "24h"\n'
    text = POLICY_FILE.read_text().replace("protected = true\n", f"protected = true\n{freeze}")
    POLICY_FILE.write_text(text)
    said = found(command, "triage", "--yes", "--why", "fine-tunes end", code=6)
    first, second = said["targets"]
    assert (first["state"], second["state"]) == ("changed", "failed")
    assert second["problem"]["outcome"] == "policy"
    assert "24h are asked" in second["problem"]["message"]
    assert (read(STAGING).model, read(TARGET).model) == (SMALL, V8)


def test_what_is_live_is_recorded_and_compared_with_after_its_end(
    portfolio: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = json.loads(command("check", "--json").out)["findings"]
    lacking = [one["subject"] for one in checked if one["code"] == "no-record"]
    assert lacking == [STAGING, TARGET], "labels has no examples to ask"
    assert {one["hint"] for one in checked if one["code"] == "no-record"} == {
        "fftdeploy migrate --record"
    }
    shown = terminal.screen(["status"], 80)[1]
    assert "! 2 targets: no answers of live on record: fftdeploy migrate --record\n" in shown

    said = found(command, "--record")
    assert paid(portfolio) == 67
    assert [one["state"] for one in said["targets"]] == ["recorded", "recorded", "no-gate"]
    assert {one["record"] for one in said["targets"][:2]} == {evidence()[0].stem}
    assert found(command, "--record")["targets"][0]["record"] == evidence()[0].stem
    assert paid(portfolio) == 67, "once"
    assert "no-record" not in command("check", "--json").out
    assert "not on record" not in terminal.screen(["status"], 80)[1]

    later = datetime(2027, 1, 15, 9, tzinfo=UTC)
    monkeypatch.setenv("FFTDEPLOY_NOW", later.isoformat())
    portfolio.set_now(later)
    portfolio.remove(V8)
    ended = command("migrate", "triage", "--yes", "--why", "it is dead")
    assert ended.code == 0, ended
    assert f"{STAGING}  {V8}  is dead\n" in ended.out
    assert re.search(rf"-  {re.escape(V8)} .* recorded 2026-11-21\n", ended.out)
    assert paid(portfolio) == 67 * 4
    assert (newest(STAGING).bundle.model, newest(TARGET).bundle.model) == (SMALL, SMALL)


def test_a_dead_model_that_was_never_recorded_can_not_be_any_more(
    portfolio: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = datetime(2027, 1, 15, 9, tzinfo=UTC)
    monkeypatch.setenv("FFTDEPLOY_NOW", later.isoformat())
    portfolio.set_now(later)
    portfolio.remove(V8)
    said = found(command, STAGING, "--record", code=4)
    assert said["targets"][0]["problem"]["code"] == "dead"
    assert paid(portfolio) == 0


def test_a_person_sees_the_table_and_is_asked_once() -> None:
    environ = {**os.environ, "COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"}
    words = [str(PROGRAM), "migrate", "triage"]
    code, screen = terminal.run(
        words, environ, ("is protected: why? ", "they end"), ("make 2 changes? [y/N] ", "y")
    )
    assert code == 0, screen
    screen = terminal.MOVING.sub("", screen).partition("triage/staging  triage-v8")[2]
    assert max(map(len, screen.splitlines())) <= 80
    row = r"\n1  gpt-6-small +97.0% +14 +0 +29/31 +0.03 +(\d+ ms|-) +better\n"
    assert re.search(row, screen), screen
    assert screen.count("make 2 changes") == 1
    assert "migrated 2 targets" in screen
    assert newest(TARGET).why == "they end"


def test_a_page_has_a_row_a_target_and_each_of_them_and_no_script_and_markdown_a_table(
    portfolio: Sandbox, command: Command
) -> None:
    why = "<script>alert(1)</script>"
    write(past(STAGING, V7, V8, holds=[hold(TERRA, why=why)]), past(TARGET, V6, V8))
    assert command("migrate", "--report", "page.pdf").code == 2
    assert paid(portfolio) == 0
    ended = command("migrate", *DRY, "--report", "page.html", "--format", "markdown")
    assert (ended.code, "wrote page.html" in ended.out.splitlines()[-3:]) == (0, True), ended
    row = rf"\| 1 +\| {SMALL} +\| 97.0% +\| 14 +\| 0 +\| 29/31 +\| 0.03 +\| \d+ ms +\| better +\|\n"
    assert re.search(row, ended.out), ended.out
    assert "```diff\n--- a/deployments.toml" in ended.out
    page = Path("page.html").read_text()
    first, _, rest = page.partition('<section id="t1">')
    rows = [re.sub("<[^>]*>", "|", row) for row in first.split("<tr>")[2:]]
    assert [re.sub(r"\|+", "|", row).split("|")[1:11] for row in rows] == [
        [name, "triage-v8", "54", SMALL, *FIGURES, "better", DO] for name in (STAGING, TARGET)
    ]
    assert "on hold: &lt;script&gt;alert(1)" in rest
    assert "+model = &quot;gpt-6-small&quot;" in page
    assert "<script" not in page
    used = page.partition("<style>")[2].partition("</style>")[0]
    style = base64.b64encode(hashlib.sha256(used.encode()).digest())
    assert f"style-src &#x27;sha256-{style.decode()}&#x27;; base-uri" in page
    assert "script-src" not in page


def test_a_budget_of_latency_wants_answers_of_its_own(portfolio: Sandbox, command: Command) -> None:
    budget = "budgets = { p95_latency_ms = 60000 }\nslices ="
    POLICY_FILE.write_text(POLICY_FILE.read_text().replace("slices =", budget, 1))
    shared = found(command, "triage", *DRY, "--to", SMALL, code=7)["targets"]
    assert [one["state"] for one in shared] == ["planned", "failed"]
    assert "--fresh" in shared[1]["shortfall"]["headline"]
    before = paid(portfolio)
    shutil.rmtree(".fftdeploy/evidence")  # the clock stands still: none would be the newest
    anew = found(command, "triage", *DRY, "--to", SMALL, "--fresh")["targets"]
    assert [one["state"] for one in anew] == ["planned", "planned"]
    assert paid(portfolio) - before == 2 * 2 * 67


def test_a_commit_that_is_refused_stops_the_changes_after_it(command: Command) -> None:
    hook = Path(".git/hooks/pre-commit")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    ended = command("migrate", "triage", "--yes", "--why", "end", "--commit")
    assert ended.code == 11
    assert "deployments.toml WAS changed, not committed" in ended.out
    assert ended.out.endswith("1 change not made: run it again\n")
    assert (read(STAGING).model, read(TARGET).model) == (SMALL, V8)


def test_it_is_a_function_of_python() -> None:
    said = fftdeploy.migrate(STAGING, to=[TERRA, SMALL], dry_run=True, max_requests=999)
    (target,) = said.targets
    assert [one.bundle.model for one in target.successors] == [SMALL, TERRA]
    assert target.change is not None
    assert not target.change.changed
    with pytest.raises(PolicyError, match="needs a reason"):
        fftdeploy.migrate(TARGET)
    POLICY_FILE.write_text(
        POLICY_FILE.read_text().replace(f'"{TERRA}" }}', f'"{TERRA}", profile = "x" }}')
    )
    with pytest.raises(ConfigError, match="profile 'x' has no file"):
        fftdeploy.migrate(STAGING)


def test_it_says_what_to_type_where_nothing_names_a_successor(
    portfolio: Sandbox, command: Command
) -> None:
    POLICY_FILE.write_text(re.sub("successors = .*", "", POLICY_FILE.read_text()))
    ended = command("migrate", STAGING, "--yes")
    assert ended.code == 2
    assert f"or --to {LUNA}\n" in ended.out
    assert asked(portfolio) == 0
    lasting = command("migrate", "--within", "30d")
    assert (lasting.code, lasting.out) == (0, "no model ends within 30 days: nothing to do\n")


@pytest.fixture
def two_tasks(portfolio: Sandbox) -> Sandbox:
    """The same, where the last task has a gate, too, and production another model than staging."""
    EXAMPLES.with_name("labels.jsonl").write_text(EXAMPLES.read_text())
    gate = POLICY.partition("[tasks.triage.gate]")[2].replace("triage", "labels")
    text = POLICY_FILE.read_text().replace(f'model = "{LUNA}"', f'model = "{SMALL}"')
    POLICY_FILE.write_text(f"{text}\n[tasks.labels.gate]{gate}")
    write(past(STAGING, V8, V7), past(TARGET, V6, V8), past(LABELS, V7, V8))
    return portfolio


def _made(server: Sandbox) -> list[str]:
    """Return what was asked of the batches in its order: made, or looked at."""
    asked = [one for one in server.requests if one.path.startswith("/v1/batches")]
    return ["made" if one.method == "POST" else "looked" for one in asked]


def _tables(said: dict[str, Any]) -> list[Any]:
    """Return what a person is told of each target, but for time and the place of the evidence."""
    found = []
    for one in said["targets"]:
        rows = []
        for each in one["successors"]:
            verdict = each["evaluation"]["verdict"]
            arms = [
                {
                    key: value
                    for key, value in arm.items()
                    if not re.search("latency|p95|measured", key)
                }
                for arm in verdict["arms"]
            ]
            told = (arms, verdict["comparison"], verdict["ruling"], verdict["slices"])
            rows.append((each["model"], told))
        found.append((one["target"], sorted(rows, key=lambda row: row[0])))
    return found


@pytest.mark.usefixtures("no_waiting")
def test_batches_of_all_targets_are_sent_and_then_waited_for_and_say_the_same(
    two_tasks: Sandbox, command: Command
) -> None:
    direct = found(command, *DRY)
    shutil.rmtree(".fftdeploy")
    before = paid(two_tasks)
    two_tasks.fault("/batches", method="POST", batch={"polls": 4})

    sent = found(command, *DRY, "--batch", "--wait", "0", code=9)
    states = {one["target"]: one["state"] for one in sent["targets"]}
    assert states == dict.fromkeys((STAGING, TARGET, LABELS), "under-way")
    made = _made(two_tasks)
    for one in sent["targets"][:2]:
        assert sorted(re.findall(r"batch_\w+", one["problem"]["message"])) == sorted(one["batches"])
    # V7 and three successors for staging, V8 of production beside it, V8 and one for labels.
    assert made.count("made") == 4 + 1 + 2
    shutil.rmtree(".fftdeploy/runs")  # another machine
    text = command("migrate", *DRY, "--batch", "--wait", "0")
    assert text.code == 9
    assert text.err.endswith("next: fftdeploy migrate --batch --dry-run --why end\n")
    assert text.out.count("  waits       ") == 3
    assert _made(two_tasks).count("made") == made.count("made"), "they are found again"

    came = found(command, *DRY, "--batch")
    assert _tables(came) == _tables(direct)
    assert [one["state"] for one in came["targets"]] == ["planned"] * 3
    assert _made(two_tasks).count("made") == made.count("made")
    assert paid(two_tasks) == 2 * before, "each answer was paid for once by batch"


def test_what_no_batch_can_ask_is_said_of_its_target(
    two_tasks: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("migrate", "--wait", "0").code == 2
    two_tasks.fault("/batches", status=404)
    said = found(command, *DRY, "--batch", "--wait", "0", code=4)
    assert [one["problem"]["code"] for one in said["targets"]] == ["no-batch"] * 3
    assert "leave out --batch" in said["targets"][0]["problem"]["hint"]
    two_tasks.clear_faults()

    eve = datetime(2027, 1, 13, 12, tzinfo=UTC)
    monkeypatch.setenv("FFTDEPLOY_NOW", eve.isoformat())
    two_tasks.set_now(eve)
    said = found(command, *DRY, "--batch", code=6)
    assert {one["problem"]["code"] for one in said["targets"]} == {"batch-window"}
    assert paid(two_tasks) == 0
    planned = found(command, "labels", "--plan", "--batch")
    assert planned["cost"]["usd"] is None, "what a batch costs stands in the policy, or nowhere"


def test_E20_killed_at_several_points_it_pays_for_nothing_twice(
    portfolio: Sandbox, command: Command
) -> None:
    portfolio.fault("/chat/completions", delay_s=0.03)
    words = [str(PROGRAM), "migrate", "triage", "--yes", "--why", "end", "--concurrency", "8"]
    kills = 0
    for least in (20, 120, 220):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and paid(portfolio) < least:
            time.sleep(0.01)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    portfolio.clear_faults()
    said = found(command, "triage", "--yes", "--why", "end")
    assert kills >= 2
    assert RUN <= paid(portfolio) <= RUN + 8 * kills
    ranks = [(one["model"], one["rank"]) for one in said["targets"][0]["successors"]]
    assert ranks == [(SMALL, 1), (TERRA, 2), (NANO, None)]
    assert len(list(Path(".fftdeploy/runs").glob("*.jsonl"))) == 2
