"""A run by batches reports what the direct run does, whatever becomes of them, and pays once."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from evaluating import arm, evaluate, evaluate_batched, make_run, utc_now, verdicts
from gated import TARGET, asked, evidence, paid, scene
from scenes import V8, V10

from fftdeploy.errors import UnverifiedError
from fftdeploy.evaluation.results import BATCHED
from fftdeploy.evaluation.running.run import Run
from fftdeploy.sandbox import Sandbox

PLAN = 2 * 67
ARMS = ("v8", "v10")


@pytest.fixture
def api() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


def run_of(server: Sandbox) -> Run:
    return make_run(server.url, [arm(version) for version in ARMS])


def direct(tmp_path: Path) -> dict[str, Any]:
    """Return what the direct run reports."""
    with Sandbox() as server:
        (tmp_path / "direct").mkdir()
        return verdicts(evaluate(run_of(server), tmp_path / "direct", server.url))


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


def test_a_batch_makes_the_evidence_of_the_direct_run(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10)
    found = command("eval", TARGET, "--batch")
    (batched,) = evidence()
    content = batched.read_text()
    batched.unlink()
    assert command("eval", TARGET, "--fresh").code == found.code == 0
    (direct,) = evidence()
    batched.write_text(content)

    assert said(batched) == said(direct)
    assert [each["latency_ms"] for each in json.loads(content)["answers"]] == [BATCHED, BATCHED]
    assert json.loads(content)["cache"]["answers"] == {"candidate": 0, "live": 0}
    assert paid(sandbox) == 2 * PLAN
    assert "2 batches under way  0/134 answers" in found.err
    assert command("verify").code == 0


def test_submit_now_and_come_back_later(repo: Path, sandbox: Sandbox, command: Command) -> None:
    scene(V8, V10)
    first = command("eval", TARGET, "--batch", "--wait", "0")
    assert first.code == 9
    assert paid(sandbox) == 0
    assert "2 batches under way at the host, 0 of 134 answers there: batch_0" in first.err
    assert f"hint: come back with: fftdeploy eval {TARGET} --batch\n" in first.err

    at_once = command("eval", TARGET)
    assert at_once.code == 8
    assert "the same evaluation is running already, as batch batch_0" in at_once.err

    second = command("eval", TARGET, "--batch")
    assert second.code == 0
    assert paid(sandbox) == PLAN
    assert len(evidence()) == 1


def test_results_in_any_order_and_twice(api: Sandbox, tmp_path: Path) -> None:
    api.fault("/batches", method="POST", batch={"shuffle": 7, "twice": 20})
    run = run_of(api)

    assert verdicts(evaluate_batched(run, tmp_path, api.url)) == direct(tmp_path)


@pytest.mark.parametrize("ends", ["expired", "completed"])
def test_what_a_batch_left_out_is_asked_for_again(api: Sandbox, tmp_path: Path, ends: str) -> None:
    lacking = {"answered": 30} if ends == "expired" else {"lost": 9, "broken": 4}
    api.fault("/batches", method="POST", batch={"ends": ends, **lacking}, times=2)
    run = run_of(api)

    assert verdicts(evaluate_batched(run, tmp_path, api.url)) == direct(tmp_path)
    assert asked(api) == PLAN


def test_another_process_without_the_log_finds_the_batch(api: Sandbox, tmp_path: Path) -> None:
    run = run_of(api)
    with pytest.raises(UnverifiedError, match="2 batches under way"):
        evaluate_batched(run, tmp_path / "one", api.url, wait_s=0)
    again = run_of(api)
    found = evaluate_batched(again, tmp_path / "two", api.url, since=utc_now() - timedelta(days=1))

    assert verdicts(found) == direct(tmp_path)
    assert asked(api) == PLAN
