"""What a run reports is the truth, however it was disturbed, and nothing is paid for twice."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from checkout import SUPPORT
from evaluating import (
    Haste,
    arm,
    counted,
    evaluate,
    make_run,
    numbered,
    paid,
    spending,
    truth,
    utc_now,
    verdicts,
)

from fftdeploy.api.settings import settings
from fftdeploy.cli import signals
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.running import online, run_log
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.run_answers import Progress, RunAnswers
from fftdeploy.sandbox import Sandbox

ALL = ("v6", "v7", "v8", "v9", "v10")


def disturb(server: Sandbox) -> None:
    """Spoil a good part of the first requests in every way that a retry mends."""
    server.fault(status=429, headers={"retry-after": "0.02"}, times=2, after=5)
    server.fault(status=429, headers={"retry-after": "0"}, times=2, after=12)
    server.fault(status=500, times=3, after=20)
    server.fault(status=503, body="<html>", content_type="text/html", times=2, after=30)
    server.fault(reset=True, times=3, after=40)
    server.fault(truncate=20, times=3, after=50)
    server.fault(delay_s=0.1, times=5, after=60)
    server.fault(status=408, times=1, after=70)
    server.fault(status=409, times=1, after=75)


@pytest.mark.parametrize(
    ("concurrency", "faults"), [(1, False), (16, False), (64, False), (16, True)]
)
def test_E28_counts_are_the_truth(
    api: Sandbox, tmp_path: Path, concurrency: int, faults: bool
) -> None:
    versions = ("v6", "v10") if concurrency == 1 else ALL
    if faults:
        disturb(api)
    run = make_run(api.url, [arm(version) for version in versions], seed=concurrency)

    results = evaluate(run, tmp_path, api.url, concurrency=concurrency, time=Haste())

    for version in versions:
        assert counted(results, version) == truth(run, version)
    assert run.done == run.size == len(run.examples) * len(versions)
    assert (len(api.requests) > run.size) == faults


def test_the_truth_tells_models_apart(api: Sandbox) -> None:
    # The control of the test above: a runner that mixes arms up could not pass it.
    run = make_run(api.url, [])
    truths = [truth(run, version) for version in ALL]
    assert all(truths.count(each) == 1 for each in truths)


def test_E28_order_and_concurrency_change_nothing(api: Sandbox, tmp_path: Path) -> None:
    found = []
    for concurrency in (1, 16):
        run = make_run(api.url, [arm("v8"), arm("v10")], seed=concurrency)
        results = evaluate(run, tmp_path, api.url, concurrency=concurrency, fresh=True)
        found.append(verdicts(results))
    assert found[0] == found[1]


def stop_at(count: int, number: signal.Signals, progress: Progress) -> None:
    if progress.done == count:
        signal.raise_signal(number)


def stopped_run(
    api: Sandbox,
    root: Path,
    run: Run,
    number: signal.Signals,
    *,
    concurrency: int = 4,
    **hooks: Any,
) -> Path:
    """Ask with the real waits until this signal ends it, and return the log."""
    known = settings({"OPENAI_API_KEY": api.key, "OPENAI_BASE_URL": api.url})
    with (
        run_log.open_log(root, run, now=utc_now, token="000000") as log,
        signals.raised(),
        pytest.raises(signals.Stopped) as caught,
    ):
        answers = RunAnswers(run, log, spending(run), **hooks)
        online.evaluate(answers, dict.fromkeys(run.arms, known), concurrency=concurrency)
    assert caught.value.number == number
    return log.path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_J15_E19_stopped_at_each_of_10_points_and_run_again(
    api: Sandbox, tmp_path: Path, number: signal.Signals
) -> None:
    path = numbered(tmp_path / "examples.jsonl", 10)
    arms = [arm("v6"), arm("v10")]
    expected = {version: truth(make_run(api.url, arms, path), version) for version in ("v6", "v10")}
    points = range(1 + (number == signal.SIGTERM), 21, 2)
    wrong = []
    for point in points:
        root = tmp_path / str(point)
        root.mkdir()
        asked = len(api.requests)
        stopped = make_run(api.url, arms, path, seed=point)
        log = stopped_run(api, root, stopped, number, on_progress=partial(stop_at, point, number))
        kept = {record.id for record in run_log.read_records(log, root)}
        again = make_run(api.url, arms, path, seed=point + 1)
        results = evaluate(again, root, api.url, concurrency=4)

        times = paid(api, asked)
        found = {version: counted(results, version) for version in expected}
        is_right = found == expected and point <= len(kept) <= point + 8
        if not is_right or len(times) != 20 or max(times.values()) > 1:
            wrong.append((point, len(kept), times.most_common(1)[0][1], found))
        assert [header.path for header in run_log.headers(root)] == [log]
    print(f"{len(points)} tried, {len(wrong)} wrong")
    assert wrong == []


@pytest.mark.parametrize(
    ("signals_sent", "kept"), [(1, 9), (2, 5)], ids=["one-waits", "two-do-not"]
)
def test_J15_one_signal_waits_for_what_is_under_way(
    api: Sandbox, tmp_path: Path, signals_sent: int, kept: int
) -> None:
    path = numbered(tmp_path / "examples.jsonl", 20)
    api.fault(delay_s=0.3, after=5)
    run = make_run(api.url, [arm("v8")], path)
    notes: list[str] = []
    tasks: list[object] = []

    async def later() -> None:
        await asyncio.sleep(0.1)
        for _ in range(signals_sent):
            signal.raise_signal(signal.SIGTERM)

    def told(progress: Progress) -> None:
        if progress.done == 5:
            tasks.append(asyncio.ensure_future(later()))

    log = stopped_run(api, tmp_path, run, signal.SIGTERM, on_progress=told, on_note=notes.append)

    assert run.kept == len(list(run_log.read_records(log, tmp_path))) == kept
    assert notes == [
        "stopping: waiting 7 s at most for 4 answers under way, which would be paid for twice; "
        "stop again not to wait"
    ]
    asked = len(api.requests)
    assert asked == 9
    api.clear_faults()
    again = make_run(api.url, [arm("v8")], path)
    assert counted(evaluate(again, tmp_path, api.url), "v8") == truth(again, "v8")
    assert len(api.requests) == asked + 20 - kept


def test_J15_what_does_not_come_in_time_is_left(
    api: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online, "GRACE_S", 0.1)
    path = numbered(tmp_path / "examples.jsonl", 20)
    api.fault(delay_s=30, after=5)
    run = make_run(api.url, [arm("v8")], path)
    stopped_run(api, tmp_path, run, signal.SIGINT, on_progress=partial(stop_at, 5, signal.SIGINT))
    assert run.kept == 5


def test_J15_a_signal_ends_the_wait_for_the_lost(api: Sandbox, tmp_path: Path) -> None:
    path = numbered(tmp_path / "examples.jsonl", 5)
    api.fault(status=200, body={"object": "list"}, times=1)
    run = make_run(api.url, [arm("v8")], path)

    def noted(_: str) -> None:
        signal.raise_signal(signal.SIGINT)

    log = stopped_run(api, tmp_path, run, signal.SIGINT, concurrency=16, on_note=noted)
    assert (run.kept, len(api.requests)) == (4, 5)
    assert not run_log.is_finished(log, tmp_path)


ZYGOTE = """
import os, sys
from pathlib import Path
from evaluating import arm, evaluate, make_run

for line in sys.stdin:  # one process for each line, the imports paid once
    url, root, path, seed = line.split()
    child = os.fork()
    if not child:
        run = make_run(url, [arm("v6"), arm("v10")], Path(path), seed=int(seed))
        evaluate(run, Path(root), url, concurrency=4)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_E20_killed_at_20_random_moments_and_run_again(api: Sandbox, tmp_path: Path) -> None:
    path = numbered(tmp_path / "examples.jsonl", 40)
    reference = make_run(api.url, [arm("v6"), arm("v10")], path)
    expected = {version: truth(reference, version) for version in ("v6", "v10")}
    random = Random(20)
    killed, wrong, roots, between = 0, 0, 0, 0
    kills, began = 0, 0
    environ = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    with subprocess.Popen(
        [sys.executable, "-c", ZYGOTE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
    ) as zygote:
        assert zygote.stdin
        assert zygote.stdout
        while killed < 20:
            root = tmp_path / str(roots)
            root.mkdir(exist_ok=True)
            zygote.stdin.write(f"{api.url} {root} {path} {killed}\n")
            zygote.stdin.flush()
            child = int(zygote.stdout.readline())
            time.sleep(random.uniform(0.02, 0.12))
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            code = int(zygote.stdout.readline())
            killed += code == -signal.SIGKILL
            kills += code == -signal.SIGKILL
            logs = run_log.headers(root)
            between += bool(logs) and not run_log.is_finished(logs[0].path, root)
            if code == 0 or killed == 20:
                roots += 1
                asked = len(api.requests)
                run = make_run(api.url, [arm("v6"), arm("v10")], path)
                results = evaluate(run, root, api.url)
                found = {version: counted(results, version) for version in expected}
                wrong += found != expected
                assert code != 0 or len(api.requests) == asked, "a whole run was asked again"
                twice = sum(count - 1 for count in paid(api, began).values())
                assert twice <= 4 * kills, f"{twice} paid for twice by {kills} kills"
                kills, began = 0, len(api.requests)
        zygote.stdin.close()
    print(f"{killed} tried, {wrong} wrong; {between} in the middle of a run")
    assert (wrong, between > 3) == (0, True)


def test_E20_a_torn_last_line_is_asked_again(api: Sandbox, tmp_path: Path) -> None:
    path = numbered(tmp_path / "examples.jsonl", 6)
    whole = make_run(api.url, [arm("v8")], path)
    expected = verdicts(evaluate(whole, tmp_path, api.url, concurrency=1))
    log = run_log.headers(tmp_path)[0].path
    lines = log.read_bytes().splitlines(keepends=True)
    cuts = [1, 2, 8, 40, 100, len(lines[-2]) // 2, len(lines[-2]) - 1]
    wrong = 0
    for cut in cuts:
        log.write_bytes(b"".join(lines[:-2]) + lines[-2][:cut])
        asked = len(api.requests)
        run = make_run(api.url, [arm("v8")], path)
        found = verdicts(evaluate(run, tmp_path, api.url))
        wrong += found != expected or len(api.requests) != asked + 1
        assert run_log.is_finished(log, tmp_path)
        assert len(list(run_log.read_records(log, tmp_path))) == 6
    print(f"{len(cuts)} tried, {wrong} wrong")
    assert wrong == 0


@pytest.mark.parametrize("spoil", ["cut", "zeros", "other"])
def test_E20_any_other_torn_line_is_refused(api: Sandbox, tmp_path: Path, spoil: str) -> None:
    path = numbered(tmp_path / "examples.jsonl", 6)
    evaluate(make_run(api.url, [arm("v8")], path), tmp_path, api.url, concurrency=1)
    log = run_log.headers(tmp_path)[0].path
    lines = log.read_bytes().splitlines(keepends=True)[:-1]
    line = {"cut": lines[3][:60] + b"\n", "zeros": bytes(50) + b"\n", "other": b"{}\n"}[spoil]
    log.write_bytes(b"".join([*lines[:3], line, *lines[4:]]))
    asked = len(api.requests)

    with pytest.raises(ConfigError) as caught:
        evaluate(make_run(api.url, [arm("v8")], path), tmp_path, api.url)

    assert (caught.value.where, caught.value.code) == (f"{log}:4", "log-damaged")
    assert len(api.requests) == asked


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_E19_any_signal_ends_waits_at_once_and_only_the_first_counts(
    api: Sandbox, tmp_path: Path, number: signal.Signals
) -> None:
    path = numbered(tmp_path / "examples.jsonl", 10)
    api.fault(delay_s=30, after=5)
    run = make_run(api.url, [arm("v8")], path)

    def told(progress: Progress) -> None:
        if progress.done == 5:
            signal.raise_signal(number)
            signal.raise_signal(signal.SIGINT)

    log = stopped_run(api, tmp_path, run, number, on_progress=told)

    assert len(list(run_log.read_records(log, tmp_path))) == run.kept == 5


def test_an_ignored_signal_stays_ignored(api: Sandbox, tmp_path: Path) -> None:
    path = numbered(tmp_path / "examples.jsonl", 5)
    run = make_run(api.url, [arm("v8")], path)
    known = settings({"OPENAI_API_KEY": api.key, "OPENAI_BASE_URL": api.url})
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with run_log.open_log(tmp_path, run, now=utc_now, token="000000") as log:
            online.evaluate(
                RunAnswers(
                    run,
                    log,
                    spending(run),
                    on_progress=lambda _: signal.raise_signal(signal.SIGHUP),
                ),
                dict.fromkeys(run.arms, known),
            )
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert run.kept == 5
