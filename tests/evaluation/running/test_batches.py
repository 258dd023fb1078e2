"""A run by batches reports what the direct run does, whatever becomes of them, and pays once."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import openai
import pytest
from checkout import SUPPORT
from command_line import Command
from evaluating import arm, evaluate, evaluate_batched, make_run, rules, utc_now, verdicts
from gated import POLICY, TARGET, asked, evidence, paid, scene
from scenes import V8, V10

from fftdeploy.api.settings import settings
from fftdeploy.errors import FftdeployError, PolicyError, UnverifiedError
from fftdeploy.evaluation.results import BATCHED, MISSING
from fftdeploy.evaluation.running.batches import parcel
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.spending import Mean
from fftdeploy.files.folders import RUNS
from fftdeploy.sandbox import Sandbox

PLAN = 2 * 67
ARMS = ("v8", "v10")


def run_of(server: Sandbox) -> Run:
    return make_run(server.url, [arm(version) for version in ARMS])


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the direct run reports."""
    with Sandbox() as server:
        return verdicts(evaluate(run_of(server), tmp_path_factory.mktemp("direct"), server.url))


def said(path: Path) -> dict[str, Any]:
    """Return what evidence says, without what no two runs share."""
    document = json.loads(path.read_text())
    for own in ("run", "made_at", "concurrency", "cache", "address"):
        document.pop(own, None)
    for measured in (*document["answers"], *document["verdict"]["arms"]):
        for name in [name for name in measured if "latency" in name or name.startswith("p95")]:
            del measured[name]
        measured.pop("measured", None)
    return dict(document)


@pytest.mark.parametrize("how", ["calm", "whatever happens"])
def test_a_batch_makes_the_evidence_of_the_direct_run(
    repo: Path, sandbox: Sandbox, command: Command, how: str
) -> None:
    scene(V8, V10)
    assert command("eval", TARGET).code == 0
    (direct,) = evidence()
    wanted = said(direct)
    direct.unlink()
    shutil.rmtree(RUNS)
    if how != "calm":
        # Out of order, twice, in part, in other processes, the log of the first of them lost.
        trouble = {"shuffle": 5, "twice": 9, "ends": "expired", "answered": 40, "broken": 3}
        sandbox.fault("/batches", method="POST", batch=trouble, times=2)
        assert command("eval", TARGET, "--batch", "--wait", "0").code == 9
        shutil.rmtree(RUNS)
        assert command("eval", TARGET, "--batch", "--wait", "0").code == 9

    assert command("eval", TARGET, "--batch").code == 0
    (batched,) = evidence()
    found = json.loads(batched.read_text())
    assert said(batched) == wanted
    assert [each["latency_ms"] for each in found["answers"]] == [BATCHED, BATCHED]
    assert found["cache"]["answers"] == {"candidate": 0, "live": 0}
    assert paid(sandbox) == 2 * PLAN
    assert command("verify").code == 0


def test_submit_now_and_come_back_later(repo: Path, sandbox: Sandbox, command: Command) -> None:
    scene(V8, V10)
    sandbox.fault("/batches", method="POST", batch={"polls": 3})
    first = command("eval", TARGET, "--batch", "--wait", "0")
    assert first.code == 9
    assert paid(sandbox) == 0
    assert "2 batches under way at the host, 0 of 134 answers there: batch_0" in first.err
    assert f"hint: come back with: fftdeploy eval {TARGET} --batch\n" in first.err

    found = json.loads(command("eval", TARGET, "--batch", "--wait", "0", "--json").out)
    assert (found["exit_code"], len(found["batches"])) == (9, 2)

    at_once = command("eval", TARGET)
    assert at_once.code == 8
    assert "the same evaluation is running already, as batch batch_0" in at_once.err

    second = command("eval", TARGET, "--batch")
    assert second.code == 0
    assert "answered by a batch: candidate, live" in second.out
    assert paid(sandbox) == PLAN
    (path,) = evidence()

    assert command("eval", TARGET).code == 0
    assert command("eval", TARGET, "--batch").code == 0
    assert (paid(sandbox), made(sandbox)) == (PLAN, 2), "what is known is asked of nobody"
    assert evidence() == [path]
    assert command("report", path.stem, "-o", "report.html").code == 0
    assert "reproduce issue" in Path("report.html").read_text(), "outputs are there"


def test_results_in_any_order_and_twice(
    api: Sandbox, tmp_path: Path, direct: dict[str, Any]
) -> None:
    api.fault("/batches", method="POST", batch={"shuffle": 7, "twice": 20})
    run = run_of(api)

    assert verdicts(evaluate_batched(run, tmp_path, api.url)) == direct


@pytest.mark.parametrize("ends", ["expired", "completed"])
def test_what_a_batch_left_out_is_asked_for_again(
    api: Sandbox, tmp_path: Path, direct: dict[str, Any], ends: str
) -> None:
    lacking = {"answered": 30} if ends == "expired" else {"lost": 9, "broken": 4}
    api.fault("/batches", method="POST", batch={"ends": ends, **lacking}, times=2)
    run = run_of(api)

    assert verdicts(evaluate_batched(run, tmp_path, api.url)) == direct
    assert asked(api) == PLAN


def test_another_process_without_the_log_finds_the_batch(
    api: Sandbox, tmp_path: Path, direct: dict[str, Any]
) -> None:
    run = run_of(api)
    with pytest.raises(UnverifiedError, match="2 batches under way"):
        evaluate_batched(run, tmp_path / "one", api.url, wait_s=0)
    again = run_of(api)
    found = evaluate_batched(again, tmp_path / "two", api.url, since=utc_now() - timedelta(days=1))

    assert verdicts(found) == direct
    assert asked(api) == PLAN


@pytest.mark.parametrize("forged", [True, False])
def test_a_batch_that_only_says_that_it_asks_the_same_is_passed_over(
    api: Sandbox, tmp_path: Path, direct: dict[str, Any], *, forged: bool
) -> None:
    with pytest.raises(UnverifiedError, match="2 batches under way"):
        evaluate_batched(run_of(api), tmp_path / "one", api.url, wait_s=0)
    client = openai.OpenAI(base_url=api.url, api_key=api.key)
    for batch in client.batches.list().data:
        lines = client.files.content(batch.input_file_id).read()
        if forged:
            lines = lines.replace(b"refund", b"praise")
        file = client.files.create(file=("other.jsonl", lines), purpose="batch")
        client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={**(batch.metadata or {}), "fftdeploy_batch": f"other-{batch.id}"},
        )
    notes: list[str] = []
    since = utc_now() - timedelta(days=1)
    found = evaluate_batched(
        run_of(api), tmp_path / "two", api.url, since=since, on_note=notes.append
    )

    assert verdicts(found) == direct
    assert [note for note in notes if "does not: passed over" in note] == notes[: 2 * forged]
    taken = [note for note in notes if "asks the same: its answers are taken" in note]
    assert len(taken) == (2 if forged else 4), "those of the first run, and true copies of them"


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "list, 500": ("/batches?", {"status": 500}),
    "upload, reset": ("/files", {"method": "POST", "reset": True}),
    "upload, 429": ("/files", {"method": "POST", "status": 429, "headers": {"retry-after": "1"}}),
    "upload, cut": ("/files", {"method": "POST", "truncate": 9}),
    "create, 503": ("/batches", {"method": "POST", "status": 503}),
    "create, reset": ("/batches", {"method": "POST", "reset": True}),
    "create, made and cut": ("/batches", {"method": "POST", "truncate": 9}),
    "create, made and html": ("/batches", {"method": "POST", "content_type": "text/html"}),
    "retrieve, 502": ("/batches/", {"status": 502, "times": 9}),
    "retrieve, cut": ("/batches/", {"truncate": 30}),
    "content, cut": ("/content", {"truncate": 4000}),
    "content, reset": ("/content", {"reset": True}),
    "content, 500": ("/content", {"status": 500}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_on_the_way_costs_a_batch_or_an_answer(
    api: Sandbox, tmp_path: Path, direct: dict[str, Any], fault: str
) -> None:
    where, what = FAULTS[fault]
    api.fault(where, **{"times": 2, **what})
    run = run_of(api)

    assert verdicts(evaluate_batched(run, tmp_path, api.url)) == direct
    assert asked(api) == PLAN
    assert made(api) == 2


def made(server: Sandbox) -> int:
    """Count the batches that there are."""
    return len(ask(server, "batches?limit=100")["data"])


def ask(server: Sandbox, path: str) -> Any:
    headers = {"Authorization": f"Bearer {server.key}"}
    asked = Request(f"{server.url}/{path}", headers=headers)  # noqa: S310  on 127.0.0.1
    with urlopen(asked) as answer:  # noqa: S310  as above
        return json.load(answer)


def test_a_file_is_fetched_from_the_host_alone(
    api: Sandbox, tmp_path: Path, direct: dict[str, Any]
) -> None:
    with Sandbox() as elsewhere:
        api.fault("/content", status=302, headers={"location": f"{elsewhere.url}/files/x/content"})
        with pytest.raises(UnverifiedError, match="redirected to 127"):
            evaluate_batched(run_of(api), tmp_path, api.url)
        assert elsewhere.requests == ()
    api.clear_faults()

    assert verdicts(evaluate_batched(run_of(api), tmp_path, api.url)) == direct
    assert (asked(api), made(api)) == (PLAN, 2)


def test_half_a_file_is_kept_and_the_rest_fetched_later(
    api: Sandbox, tmp_path: Path, direct: dict[str, Any]
) -> None:
    api.fault("/content", truncate=9000)
    with pytest.raises(UnverifiedError, match="broke off its answer"):
        evaluate_batched(run_of(api), tmp_path, api.url)
    (log,) = (tmp_path / RUNS).glob("*.jsonl")
    kept = log.read_text().count('"text"')
    api.clear_faults()

    assert 0 < kept < 67
    assert verdicts(evaluate_batched(run_of(api), tmp_path, api.url)) == direct
    assert (asked(api), made(api)) == (PLAN, 2)
    assert log.read_text().count('"text"') == PLAN


def test_what_was_in_a_file_that_is_gone_is_asked_for_again(
    api: Sandbox, tmp_path: Path, direct: dict[str, Any]
) -> None:
    api.fault("/content", status=404, times=1)
    notes: list[str] = []
    found = evaluate_batched(run_of(api), tmp_path, api.url, on_note=notes.append)

    assert verdicts(found) == direct
    assert (asked(api), made(api)) == (PLAN + 67, 3)
    assert any("a file of it is gone: " in note for note in notes)


def test_each_host_has_its_own_batches_and_its_own_key(
    api: Sandbox, tmp_path: Path, direct: dict[str, Any]
) -> None:
    with Sandbox(key="sk-elsewhere") as other:
        there = settings({"OPENAI_API_KEY": other.key, "OPENAI_BASE_URL": other.url})
        arms = [arm("v8"), replace(arm("v10"), address=other.url)]
        run = make_run(api.url, arms)
        found = evaluate_batched(run, tmp_path, api.url, hosts={"v10": there})

        assert verdicts(found) == direct
        assert {made(api), made(other)} == {1}
        assert all(each.is_authorised for each in (*api.requests, *other.requests))


def test_repeats_and_the_other_endpoint_are_asked_alike(api: Sandbox, tmp_path: Path) -> None:
    def twice() -> Run:
        arms = [arm("v8", text='endpoint = "responses"\n'), arm("v10")]
        return make_run(api.url, arms, gate=rules(repeats=2))

    found = evaluate_batched(twice(), tmp_path / "batch", api.url)
    (tmp_path / "direct").mkdir()
    assert verdicts(found) == verdicts(evaluate(twice(), tmp_path / "direct", api.url))
    assert {each["endpoint"] for each in ask(api, "batches")["data"]} == {
        "/v1/responses",
        "/v1/chat/completions",
    }


def test_more_than_a_batch_holds_becomes_several(
    api: Sandbox, tmp_path: Path, direct: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcel, "MAX_REQUESTS", 30)
    with pytest.raises(UnverifiedError, match="6 batches under way"):
        evaluate_batched(run_of(api), tmp_path, api.url, wait_s=0)
    assert [each["metadata"]["fftdeploy_places"] for each in ask(api, "batches")["data"]] == [
        f"{first}-{min(67, first + 30)}" for first in (60, 30, 0) * 2
    ]
    assert verdicts(evaluate_batched(run_of(api), tmp_path, api.url)) == direct
    assert (asked(api), made(api)) == (PLAN, 6)


def test_no_file_is_larger_than_may_be(
    api: Sandbox, tmp_path: Path, direct: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcel, "MAX_BYTES", 5000)
    found = evaluate_batched(run_of(api), tmp_path, api.url)

    files = ask(api, "files?limit=100")["data"]
    sent = [file["bytes"] for file in files if file["purpose"] == "batch"]
    assert max(sent) <= 5000
    assert len(sent) == made(api) > 4
    assert verdicts(found) == direct


def test_a_full_queue_is_waited_for(
    api: Sandbox, tmp_path: Path, direct: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcel, "MAX_REQUESTS", 40)
    full = {"ends": "failed", "code": "token_limit_exceeded"}
    api.fault("/batches", method="POST", batch=full, after=1, times=3)
    notes: list[str] = []

    found = evaluate_batched(run_of(api), tmp_path, api.url, on_note=notes.append)
    assert verdicts(found) == direct
    assert asked(api) == PLAN
    assert any(note.startswith("waiting for a batch to end: the host takes no") for note in notes)


REFUSED = {
    "token_limit_exceeded": (9, "the host takes no batch now: token_limit_exceeded: "),
    "model_not_found": (4, "this key cannot use it: deleted, retired, or another project"),
    "insufficient_quota": (10, "the account is out of credit or over its limit"),
    "mismatched_model": (4, "the host refused batch batch_0"),
}


@pytest.mark.parametrize("code", REFUSED)
def test_a_batch_that_is_not_begun_is_explained(api: Sandbox, tmp_path: Path, code: str) -> None:
    api.fault("/batches", method="POST", batch={"ends": "failed", "code": code}, times=2)
    with pytest.raises(FftdeployError) as refused:
        evaluate_batched(run_of(api), tmp_path, api.url)
    exit_code, message = REFUSED[code]

    assert refused.value.outcome.exit_code == exit_code
    assert message in refused.value.message
    assert asked(api) == 0


def test_of_a_cancelled_batch_what_was_answered_is_kept(
    api: Sandbox, tmp_path: Path, direct: dict[str, Any]
) -> None:
    api.fault("/batches", method="POST", batch={"ends": "cancelled", "answered": 20}, times=1)
    with pytest.raises(UnverifiedError, match=r"batch_0+1 was cancelled; 20 of 134 answers"):
        evaluate_batched(run_of(api), tmp_path, api.url)

    assert verdicts(evaluate_batched(run_of(api), tmp_path, api.url)) == direct
    assert (asked(api), made(api)) == (PLAN, 3)


def test_what_never_comes_is_missing_after_two_batches_in_vain(
    api: Sandbox, tmp_path: Path
) -> None:
    api.fault("/batches", method="POST", batch={"answered": 66, "ends": "expired"}, times=2)
    api.fault("/batches", method="POST", batch={"answered": 0, "ends": "expired"})
    found = evaluate_batched(run_of(api), tmp_path, api.url)

    assert [column.count(MISSING) for column in found.arms.values()] == [1, 1]
    assert made(api) == 6


def test_limits_hold_before_anything_is_sent(
    api: Sandbox, tmp_path: Path, direct: dict[str, Any]
) -> None:
    means = {version: Mean(29, 0, 31, 0) for version in ARMS}
    dear = {"max_usd": PLAN * (29 * 0.4 + 31 * 1.6) / 1e6}
    for limits, said in (
        ({"max_requests": PLAN - 1}, "134 requests are more than the 133"),
        ({"max_usd": dear["max_usd"] * 0.99, "means": means}, "stopped before spending more"),
    ):
        with pytest.raises(PolicyError, match=said):
            evaluate_batched(run_of(api), tmp_path, api.url, limits=limits)
        assert made(api) == 0
        assert not any(request.method == "POST" for request in api.requests)
    found = evaluate_batched(run_of(api), tmp_path, api.url, limits={**dear, "means": means})
    assert verdicts(found) == direct


def test_a_batch_is_refused_where_it_could_outlast_the_model(
    repo: Path, sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene(V8, V10)
    for now, code in (("2027-01-12T23:00:00Z", 9), ("2027-01-13T00:30:00Z", 6)):
        monkeypatch.setenv("FFTDEPLOY_NOW", now)
        sandbox.set_now(datetime.fromisoformat(now))
        found = command("eval", TARGET, "--batch", "--wait", "0", "--fresh")
        assert found.code == code
    assert (
        f"error: candidate ({V10}) shuts down on 2027-01-14 (model), and a batch may " in found.err
    )
    assert "hint: leave out --batch: the same evaluation is made at once" in found.err
    assert made(sandbox) == 2


NO_BATCH = "error: there is no Batch API at {url}: it answers 404 to /batches\n"


def test_what_a_batch_can_not_do_is_said_before_it_is_made(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10)
    sandbox.fault("/batches", status=404, body={"detail": "Not Found"})
    found = command("eval", TARGET, "--batch")
    assert found.code == 4
    assert NO_BATCH.format(url=sandbox.url) in found.err
    sandbox.clear_faults()

    scene(V8, V10, policy=POLICY.replace("slices =", 'max_age = "30h"\nslices ='))
    found = command("eval", TARGET, "--batch")
    assert found.code == 6
    assert "error: evidence may be 30h old at most, and a batch may take 24 h" in found.err
    assert command("eval", TARGET, "--wait", "0").code == 2
    assert made(sandbox) == 0


def test_a_batch_holds_no_budget_of_latency_and_knows_its_own_price(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    budget = "budgets = { p95_latency_ms = 2500 }\nslices ="
    prices = '\n[prices]\ndate = 2026-11-20\n[prices."ft:gpt-4.1-mini-2025-04-14"]\ninput = 100\n'
    policy = f"{POLICY.replace('slices =', budget)}{prices}output = 200\n"
    scene(V8, V10, policy=policy)
    refused = command("eval", TARGET, "--batch", "--max-usd", "1")
    assert refused.code == 2
    assert f"error: --max-usd needs the price of {V10} in a batch\n" in refused.err

    scene(V8, V10, policy=f"{policy}batch = {{ input = 50, output = 100 }}\n")
    found = command("eval", TARGET, "--batch", "--max-usd", "1")
    assert found.code == 7
    assert "a batch measures no latency: the budget of 2500 ms can't be held" in found.err
    said = "the budget of 2500 ms can't be held; ask anew, and in no batch: --fresh"
    assert said in found.out
    assert "not measured" in found.out
    assert "0.88 USD (prices of 2026-11-20), a day" in found.err
    (path,) = evidence()
    assert json.loads(path.read_text())["prices"]["models"][V10]["input"] == 100.0


FORKS = """
import os, sys
from pathlib import Path
import fftdeploy.api.client.sdk as sdk
from evaluating import arm, evaluate_batched, make_run

sdk.import_sdk()
import openai.types.responses
for line in sys.stdin:
    url, root = line.split()
    if not (pid := os.fork()):
        evaluate_batched(make_run(url, [arm("v8"), arm("v10")]), Path(root), url)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def forks() -> Iterator[subprocess.Popen[str]]:
    """A process that has imported all it needs, and makes another one for each run."""
    with subprocess.Popen(
        [sys.executable, "-c", FORKS],
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.stdin.close()  # type: ignore[union-attr]  # it is a pipe


def test_a_host_that_keeps_no_metadata_is_asked_for_the_file(
    api: Sandbox, tmp_path: Path, direct: dict[str, Any]
) -> None:
    api.fault("/batches", method="POST", batch={"forgets": 1}, truncate=9, times=2)

    assert verdicts(evaluate_batched(run_of(api), tmp_path, api.url)) == direct
    assert (asked(api), made(api)) == (PLAN, 2)


def killed(forks: subprocess.Popen[str], server: Sandbox, root: Path, at: int) -> int:
    """Kill a run when the server has seen `at` requests, and return how it ended."""
    assert forks.stdin
    assert forks.stdout
    forks.stdin.write(f"{server.url} {root}\n")
    forks.stdin.flush()
    pid = int(forks.stdout.readline())
    give_up = time.monotonic() + 30
    while len(server.requests) < at and time.monotonic() < give_up:
        time.sleep(0.0005)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return int(forks.stdout.readline())


# The list, two uploads with their batches, each retrieved twice, with its answers and its file.
REQUESTS = 1 + 2 * 2 + 2 * 2 + PLAN + 2


@pytest.mark.parametrize("at", [*range(2, 8), REQUESTS])
def test_a_run_that_is_killed_pays_for_no_batch_twice(
    tmp_path: Path, direct: dict[str, Any], forks: subprocess.Popen[str], at: int
) -> None:
    with Sandbox() as api:
        if at > 2:
            api.fault("", delay_s=0.03, after=at - 1, times=1)
        ended = killed(forks, api, tmp_path, at)
        time.sleep(0.05)  # the server does what it was asked, whether or not somebody listens
        found = evaluate_batched(run_of(api), tmp_path, api.url)

        assert ended == -signal.SIGKILL
        assert verdicts(found) == direct
        assert (asked(api), made(api)) == (PLAN, 2)


def noted() -> int:
    """Count the batches whose IDs the log has."""
    return sum(log.read_text().count('"id":"batch_') for log in RUNS.glob("*.jsonl"))


def interrupt() -> None:
    """Press Ctrl-C when both batches are known."""
    give_up = time.monotonic() + 30
    while noted() < 2 and time.monotonic() < give_up:
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)


def test_whoever_stops_waiting_is_told_how_to_come_back(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10)
    sandbox.fault("/batches", method="POST", batch={"polls": 10_000})
    person = threading.Thread(target=interrupt)
    person.start()
    found = command("eval", TARGET, "--batch")
    person.join()

    assert (found.code, found.out) == (130, "")
    assert re.search(
        r"error: stopped by SIGINT\n"
        r"note: (batch_\S+, )+batch_\S+ go on at the host; "
        rf"come back with: fftdeploy eval {TARGET} --batch\n$",
        found.err,
    ), found.err
    assert paid(sandbox) == 0
