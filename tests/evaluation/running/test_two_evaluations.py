"""Evaluations at the same time: each answer is paid for once, and shown where it was graded."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from checkout import SUPPORT
from command_line import PROGRAM, Command
from evaluating import arm, make_run, numbered, utc_now
from gated import TARGET, evidence, paid, scene
from scenes import V8, V9, V10

from fftdeploy.errors import ConflictError
from fftdeploy.evaluation.running import run_log
from fftdeploy.sandbox import Sandbox

RUNS = Path(".fftdeploy/runs")
PLAN = 2 * 67


def begun(least: int) -> subprocess.Popen[str]:
    """Start an evaluation, and return it when it has `least` answers."""
    process = subprocess.Popen(
        [PROGRAM, "eval", TARGET], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    give_up = time.monotonic() + 30
    while sum(path.read_bytes().count(b"\n") for path in RUNS.glob("*.jsonl")) <= least:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return process


@pytest.fixture
def slow(repo: Path, sandbox: Sandbox) -> Sandbox:
    scene(V8, V10)
    sandbox.fault("/chat/completions", delay_s=0.1)
    return sandbox


def test_E30_a_second_evaluation_of_the_same_is_refused_while_the_first_runs(
    slow: Sandbox, command: Command
) -> None:
    first = begun(5)
    first.send_signal(signal.SIGSTOP)  # however slow we are: it is not at its end
    second = command("eval", TARGET)
    fresh = command("eval", TARGET, "--fresh", "--max-requests", "1")
    first.send_signal(signal.SIGCONT)
    out, err = first.communicate(timeout=60)

    assert first.returncode == 0, err
    assert second.code == 8
    assert f"error: the same evaluation is running already: pid {first.pid} on " in second.err
    assert "hint: wait until it has ended: then its answers are there" in second.err
    assert fresh.code == 6, "it is another question, and only the limit stops it"
    assert paid(slow) == PLAN
    (path,) = evidence()

    third = command("eval", TARGET)
    assert third.code == 0
    assert paid(slow) == PLAN
    assert evidence() == [path]
    assert path.stem[:12] in out
    assert path.stem[:12] in third.out


def test_E20_a_killed_evaluation_is_gone_on_with_at_once(slow: Sandbox, command: Command) -> None:
    first = begun(20)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)

    second = command("eval", TARGET)

    assert second.code == 0
    assert "going on with the run that was stopped" in second.err
    assert PLAN <= paid(slow) <= PLAN + 16, "those under way, and no other, are paid for twice"
    assert len(list(RUNS.glob("*.jsonl"))) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_J15_a_stopped_evaluation_pays_for_nothing_twice(
    slow: Sandbox, command: Command, number: signal.Signals
) -> None:
    first = begun(20)
    first.send_signal(number)
    out, err = first.communicate(timeout=60)

    assert (first.returncode, out) == (128 + number, "")
    kept = sum('"text"' in line for line in next(RUNS.glob("*.jsonl")).read_text().splitlines())
    said = (
        r"stopping: waiting 7 s at most for [0-9]+ answers? under way, which would be paid for "
        rf"twice; stop again not to wait\n(.*\n)*error: stopped by {number.name}\n"
        rf"note: {kept} of {PLAN} answers are kept; run it again to go on from there\n$"
    )
    assert re.search(said, err), err
    assert paid(slow) == kept

    assert command("eval", TARGET).code == 0
    assert paid(slow) == PLAN


# Four processes have what they need and wait; once nobody can write to `go`, all of them begin.
OPENERS = """
import os, sys
from pathlib import Path
from evaluating import arm, make_run, utc_now
from fftdeploy.errors import ConflictError
from fftdeploy.evaluation.running import run_log

root = Path(sys.argv[1])
run = make_run("http://127.0.0.1:9/v1", [arm("v8")], Path(sys.argv[2]))
waiting, go = os.pipe()
ending, end = os.pipe()
said, say = os.pipe()
for number in range(4):
    if not os.fork():
        os.close(end)
        os.close(go)
        os.read(waiting, 1)
        try:
            with run_log.open_log(root, run, now=utc_now, token=f"{number:06x}"):
                os.write(say, b"held ")
                os.read(ending, 1)
        except ConflictError as error:
            os.write(say, f"{error.code} ".encode())
        os._exit(0)
os.close(go)
found = b""
while found.count(b" ") < 4:
    found += os.read(said, 100)
os.close(end)
print(found.decode())
"""


def test_E30_of_several_that_begin_at_once_one_has_the_log(tmp_path: Path) -> None:
    path = numbered(tmp_path / "examples.jsonl", 3)
    environ = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    tried = wrong = 0
    for round_ in range(2):
        root = tmp_path / str(round_)
        root.mkdir()
        argv = [sys.executable, "-c", OPENERS, str(root), str(path)]
        done = subprocess.run(argv, stdout=subprocess.PIPE, env=environ, text=True, check=True)
        tried += 1
        said = Counter(done.stdout.split())
        wrong += said != {"held": 1, "running": 3} or len(run_log.headers(root)) != 1
    print(f"{tried} tried, {wrong} wrong")
    assert wrong == 0


def test_E30_the_same_process_does_not_get_it_twice(tmp_path: Path) -> None:
    run = make_run("http://127.0.0.1:9/v1", [arm("v8")], numbered(tmp_path / "examples.jsonl", 3))
    with (
        run_log.open_log(tmp_path, run, now=utc_now, token="000000") as log,
        pytest.raises(ConflictError) as caught,
    ):
        run_log.open_log(tmp_path, run, now=utc_now, token="000001")
    assert (caught.value.code, caught.value.where) == ("running", str(log.path))
    with run_log.open_log(tmp_path, run, now=utc_now, token="000002") as again:
        assert (again.resumed, again.path) == (True, log.path)


def test_the_report_shows_the_answers_that_were_graded_and_no_others(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10)
    assert command("eval", TARGET).code == 0
    (log,) = RUNS.glob("*.jsonl")
    lines = log.read_text().splitlines()
    others = [json.loads(line) for line in lines if line.startswith('{"id"')]
    for other in others:
        other.update(text="another process has said this", latency_ms=other["latency_ms"] + 1)
    more = [json.dumps(other, separators=(",", ":")) for other in others]
    # As two processes at one log would have left it: theirs last for one half, ours for the other.
    log.write_text("\n".join([lines[0], *more[:67], *lines[1:-1], *more[67:], lines[-1]]) + "\n")

    assert command("report", "-o", "report.html").code == 0
    page = Path("report.html").read_text()
    assert "another process has said this" not in page
    assert "not in the log of the run" not in page

    log.write_text("\n".join([lines[0], *more, lines[-1]]) + "\n")
    assert command("report", "-o", "report.html").code == 0
    page = Path("report.html").read_text()
    assert "another process has said this" not in page
    assert "not in the log of the run" in page


def test_the_report_of_one_of_several_candidates_has_its_outputs(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10)
    command("eval", TARGET, f"{V9}@", f"{V10}@")
    (log,) = RUNS.glob("*.jsonl")
    answers = [json.loads(line) for line in log.read_text().splitlines() if '"text"' in line]
    said = {(each["arm"], each["example"]): each["text"] for each in answers}
    only = {
        version: {
            text
            for (arm_name, example), text in said.items()
            if arm_name == version and text not in {said[other, example], said["live", example]}
        }
        for version, other in ((V9, V10), (V10, V9))
    }
    assert len(only[V9]) == 3

    for path in evidence():
        assert command("report", path.stem, "-o", "report.html").code == 0
        page = re.sub(r"</?mark>", "", Path("report.html").read_text()).replace("&quot;", '"')
        candidate = json.loads(path.read_text())["arms"]["candidate"]["model"]
        missing = [text for text in only[candidate] if text not in page]
        assert (missing, "not in the log of the run" in page) == ([], False)
