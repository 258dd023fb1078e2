"""The log of a run on the disk: what it says, who may read it, and when its answers count."""

import errno
import itertools
import json
import os
import re
import resource
import stat
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from evaluating import arm, counted, evaluate, make_run, numbered, rules, truth, utc_now

from fftdeploy import __version__
from fftdeploy.errors import ConfigError, DiskError
from fftdeploy.evaluation.outputs import ModelOutput
from fftdeploy.evaluation.running import run_log
from fftdeploy.evaluation.running.log_lines import (
    Header,
    Record,
    header_line,
    read_records,
    record_line,
)
from fftdeploy.evaluation.running.run import Run
from fftdeploy.files import journal
from fftdeploy.sandbox import Sandbox


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    return numbered(tmp_path / "examples.jsonl", 8)


def log_of(root: Path) -> Path:
    return run_log.headers(root)[0].path


def test_the_log_of_a_run(api: Sandbox, tmp_path: Path, examples: Path) -> None:
    evaluate(make_run(api.url, [arm("v8")], examples), tmp_path, api.url, concurrency=1)

    header, *answers, end = [json.loads(line) for line in log_of(tmp_path).read_text().splitlines()]
    assert (header["v"], header["task"], list(header["arms"])) == (1, "triage", ["v8"])
    assert header["parts"]["tool"] == __version__.partition(".")[0]
    assert end["done"] == len(answers) == 8
    assert {answer["example"] for answer in answers} == {f"n-{n:06}" for n in range(8)}
    first = answers[0]
    assert list(first)[:6] == ["id", "arm", "index", "repeat", "example", "at"]
    assert len(first["id"]) == 64
    assert (first["arm"], first["repeat"], first["request_id"]) == ("v8", 0, f"req_{1:032x}")
    assert json.loads(first["text"]).keys() == {"urgency", "category", "next_step"}
    texts = run_log.outputs(log_of(tmp_path), tmp_path)
    assert {name: list(arms) for name, arms in texts.items()} == {
        f"n-{n:06}": ["v8"] for n in range(8)
    }


def test_of_some_examples_only_their_answers_are_read(tmp_path: Path) -> None:
    """Whatever they are called, and whatever is said in others."""
    names = ['a"b', "é\\", "plain", 'x","index":0,"repeat":0,"example":"plain']
    said = [ModelOutput(text=f'"repeat":0,"example":"{name}"') for name in names]
    records = [
        Record(f"{n:064x}", name, n, 0, name, utc_now().replace(microsecond=0), output)
        for n, (name, output) in enumerate(zip(names, said, strict=True))
    ]
    header = Header(tmp_path, "0" * 32, "triage", utc_now(), {}, {})
    whole = [header_line(header), *map(record_line, records)]
    spoilt = [*whole[:-1], whole[-1].replace(b'"at":"', b'"at":"x')]

    for name, record in zip(names, records, strict=True):
        assert [*read_records(whole, tmp_path, {name})] == [record]
    assert [*read_records(whole, tmp_path, ())] == []
    assert [*read_records(whole, tmp_path)] == records
    assert [*read_records(spoilt, tmp_path, names[:-1])] == records[:-1]
    with pytest.raises(ConfigError, match="damaged"):
        [*read_records(spoilt, tmp_path, names[-1:])]


def test_E31_only_the_owner_reads_it_and_git_does_not_see_it(
    api: Sandbox, tmp_path: Path, examples: Path
) -> None:
    before = os.umask(0)
    try:
        evaluate(make_run(api.url, [arm("v8")], examples), tmp_path, api.url)
    finally:
        os.umask(before)

    assert stat.S_IMODE(log_of(tmp_path).stat().st_mode) == 0o600
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    seen = subprocess.run(
        ["git", "status", "--porcelain", "-uall"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert seen.splitlines() == ["?? .fftdeploy/.gitignore", "?? examples.jsonl"]


def test_a_gitignore_that_is_there_stays(api: Sandbox, tmp_path: Path, examples: Path) -> None:
    ignored = tmp_path / ".fftdeploy" / ".gitignore"
    ignored.parent.mkdir()
    ignored.write_text("*\n")
    evaluate(make_run(api.url, [arm("v8")], examples), tmp_path, api.url)
    assert ignored.read_text() == "*\n"


def test_answers_are_not_paid_for_twice_and_have_no_latency_then(
    api: Sandbox, tmp_path: Path, examples: Path
) -> None:
    first = evaluate(make_run(api.url, [arm("v8")], examples), tmp_path, api.url)
    run = make_run(api.url, [arm("v8"), arm("v9")], examples)
    second = evaluate(run, tmp_path, api.url, now=lambda: utc_now() + timedelta(hours=1))

    assert len(api.requests) == 16
    assert second.arms["v8"].marks == first.arms["v8"].marks
    assert min(first.arms["v8"].latency_ms) >= 0
    assert set(second.arms["v8"].latency_ms) == {-1}
    assert min(second.arms["v9"].latency_ms) >= 0
    records = list(run_log.read_records(log_of(tmp_path), tmp_path))
    assert {(record.arm, record.cached) for record in records} == {("v8", True), ("v9", False)}


def changed(what: str, url: str, examples: Path) -> Run:
    if what == "model":
        return make_run(url, [arm("v9", name="candidate")], examples)
    if what == "prompt":
        return make_run(url, [arm("v8", name="candidate", text='system = "Triage."\n')], examples)
    if what == "examples":
        examples.write_bytes(examples.read_bytes().replace(b"(7)", b"(seven)"))
    if what == "repeats":
        gate = rules(repeats=2)
        return make_run(url, [arm("v8", name="candidate")], examples, gate=gate)
    return make_run(url, [arm("v8", name="candidate")], examples)


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("model", "arms"),
        ("prompt", "arms"),
        ("examples", "examples"),
        ("repeats", "repeats"),
        ("nothing", ""),
    ],
)
def test_E22_an_unfinished_run_is_gone_on_with_only_where_it_is_the_same(
    api: Sandbox, tmp_path: Path, examples: Path, what: str, named: str
) -> None:
    run = make_run(api.url, [arm("v8", name="candidate")], examples)
    evaluate(run, tmp_path, api.url)
    log = log_of(tmp_path)
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:5]))

    again = changed(what, api.url, examples)
    with run_log.open_log(tmp_path, again, now=utc_now, token="ffffff") as opened:
        found = (opened.path == log, opened.resumed, opened.unlike)

    words = f"{log.name} is unfinished and another run: its {named} differ"
    assert found == ((False, False, words) if named else (True, True, ""))


def test_E22_the_version_of_the_tool_is_part_of_a_run(
    api: Sandbox, tmp_path: Path, examples: Path
) -> None:
    run = make_run(api.url, [arm("v8")], examples)
    with run_log.open_log(tmp_path, run, now=utc_now, token="000000") as log:
        path = log.path
    path.write_text(
        path.read_text().replace('"tool":"0"', '"tool":"9"').replace('"run":"', '"run":"0')
    )
    with run_log.open_log(tmp_path, run, now=utc_now, token="000001") as log:
        assert log.unlike.endswith("its tool differ")


def test_fresh_answers_are_asked_for(api: Sandbox, tmp_path: Path, examples: Path) -> None:
    for count, fresh in ((8, False), (16, True), (16, False), (24, True)):
        evaluate(make_run(api.url, [arm("v8")], examples), tmp_path, api.url, fresh=fresh)
        assert len(api.requests) == count


def test_old_answers_are_asked_for_again(api: Sandbox, tmp_path: Path, examples: Path) -> None:
    start = utc_now()
    for count, age in ((8, timedelta()), (8, timedelta(days=6)), (16, timedelta(days=7, hours=1))):

        def clock(moment: datetime = start + age) -> datetime:
            return moment

        run = make_run(api.url, [arm("v8")], examples)
        evaluate(run, tmp_path, api.url, now=clock)
        assert len(api.requests) == count


def test_a_copied_answer_is_as_old_as_it_was(api: Sandbox, tmp_path: Path, examples: Path) -> None:
    start = utc_now()
    for count, days in ((8, 0), (8, 5), (16, 10)):

        def clock(moment: datetime = start + timedelta(days=days)) -> datetime:
            return moment

        evaluate(make_run(api.url, [arm("v8")], examples), tmp_path, api.url, now=clock)
        assert len(api.requests) == count


def test_answers_of_another_address_are_not_ours(
    api: Sandbox, tmp_path: Path, examples: Path
) -> None:
    evaluate(make_run(api.url, [arm("v8")], examples), tmp_path, api.url)
    with Sandbox() as other:
        evaluate(make_run(other.url, [arm("v8")], examples), tmp_path, other.url)
        assert len(other.requests) == 8


@pytest.mark.parametrize(("finished", "taken"), [(True, "newer"), (False, "older")])
def test_of_several_runs_the_newest_that_was_finished_is_taken(
    api: Sandbox, tmp_path: Path, examples: Path, *, finished: bool, taken: str
) -> None:
    def clock(hours: int) -> datetime:
        return utc_now() + timedelta(hours=hours)

    for hours, name in enumerate(("older", "newer")):
        run = make_run(api.url, [arm("v8")], examples)
        evaluate(run, tmp_path, api.url, fresh=True, now=partial(clock, hours))
        log = log_of(tmp_path)
        log.write_text(log.read_text().replace('"fingerprint":"', f'"fingerprint":"{name} '))
    if not finished:
        log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))

    run = make_run(api.url, [arm("v8"), arm("v9")], examples)
    evaluate(run, tmp_path, api.url, now=partial(clock, 2))

    records = [each for each in run_log.read_records(log_of(tmp_path), tmp_path) if each.cached]
    assert {each.output.fingerprint.split()[0] for each in records} == {taken}
    assert len(records) == 8


def respelled(log: Path, *, finished: bool, **facts: object) -> None:
    """Write other facts into the answer on line 5, and cut the end off a log that has one."""
    lines = log.read_text().splitlines(keepends=True)
    lines[4] = json.dumps(json.loads(lines[4]) | facts, separators=(",", ":")) + "\n"
    log.write_text("".join(lines if finished else lines[:-1]))


def test_E20_a_damaged_line_of_a_whole_run_is_refused_too(
    api: Sandbox, tmp_path: Path, examples: Path
) -> None:
    evaluate(make_run(api.url, [arm("v8")], examples), tmp_path, api.url, concurrency=1)
    log = log_of(tmp_path)
    whole = log.read_text()
    lines = whole.splitlines(keepends=True)
    spoiled = {
        "garbage": "garbage\n",
        "empty": "\n",
        "cut": f"{lines[4][:200]}\n",
        "id": lines[4].replace('{"id":"', '{"id":"x'),
        "no hex": '{"id":"z' + lines[4][len('{"id":"z') :],
        "latency": re.sub(r'"latency_ms":[0-9]+', '"latency_ms":-7', lines[4]),
        "index": lines[4].replace('"index":', '"index":-'),
        "json": lines[4].replace('"arm"', "arm"),
    }
    wrong = 0
    for line in spoiled.values():
        log.write_text("".join([*lines[:4], line, *lines[5:]]))
        with pytest.raises(ConfigError) as caught:
            evaluate(make_run(api.url, [arm("v8")], examples), tmp_path, api.url)
        error = caught.value
        wrong += (error.where, error.code) != (f"{log}:5", "log-damaged")
        wrong += error.hint != "move the file away: what only it has is asked for again"
        for other in log.parent.glob("*.jsonl"):  # the run that was refused
            if other != log:
                other.unlink()
    print(f"{len(spoiled)} tried, {wrong} wrong")
    assert wrong == 0
    assert len(api.requests) == 8

    log.rename(tmp_path / "away")
    evaluate(make_run(api.url, [arm("v8")], examples), tmp_path, api.url)
    assert len(api.requests) == 16


@pytest.mark.parametrize("finished", [True, False])
def test_an_answer_from_the_future_is_asked_for_again(
    api: Sandbox, tmp_path: Path, examples: Path, *, finished: bool
) -> None:
    evaluate(make_run(api.url, [arm("v8")], examples), tmp_path, api.url)
    log = log_of(tmp_path)
    for minutes, asked in ((4, 8), (6, 9), (525_600, 10)):
        for other in log.parent.glob("*.jsonl"):
            if other != log:
                other.unlink()
        at = f"{utc_now() + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
        lines = log.read_text().splitlines(keepends=True)
        log.write_text("".join(lines[:9]) + '{"done":8,"at":"2026-01-01T00:00:00Z"}\n')
        respelled(log, finished=finished, at=at)
        run = make_run(api.url, [arm("v8")], examples)
        found = evaluate(run, tmp_path, api.url)
        assert len(api.requests) == asked
        assert counted(found, "v8") == truth(run, "v8")


def test_E21_the_disk_is_full(api: Sandbox, tmp_path: Path, examples: Path) -> None:
    run = make_run(api.url, [arm("v8")], examples)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(DiskError) as caught:
            evaluate(run, tmp_path, api.url, concurrency=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    log = log_of(tmp_path)
    assert caught.value.where == str(log)
    assert caught.value.message.endswith(f"writing {log}; what it holds already is kept")
    kept = len(list(run_log.read_records(log, tmp_path)))
    assert 0 < kept < 8
    assert log.read_bytes().endswith(b"\n"), "no torn line is left"
    again = make_run(api.url, [arm("v8")], examples)
    assert counted(evaluate(again, tmp_path, api.url), "v8") == truth(again, "v8")
    assert len(api.requests) == 8 + 1  # the one whose answer found no room


WRITER = """
import sys
from pathlib import Path
from fftdeploy.files import journal

root = Path(sys.argv[1])
with journal.open_journal(root / "log", root=root) as log:
    sys.stdin.readline()
    for number in range(200):
        log.append(f"{sys.argv[2]} {number} {'x' * (number * 97 % 9000)}\\n".encode())
"""


def test_E30_eight_processes_append_whole_lines(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(name)], stdin=subprocess.PIPE
        )
        for name in range(8)
    ]
    for writer in writers:
        writer.communicate(b"go\n", timeout=60)
    assert [writer.returncode for writer in writers] == [0] * 8

    lines = (tmp_path / "log").read_text().splitlines()
    expected = {
        f"{name} {number} {'x' * (number * 97 % 9000)}"
        for name in range(8)
        for number in range(200)
    }
    print(f"{len(expected)} tried, {len(expected ^ set(lines))} wrong")
    assert sorted(lines) == sorted(expected)


@pytest.mark.parametrize("what", ["folder", "log", "runs", "fifo"])
def test_nothing_is_written_through_a_link(
    api: Sandbox, tmp_path: Path, examples: Path, what: str
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    (root / ".fftdeploy" / "runs").mkdir(parents=True)
    if what == "folder":
        (root / ".fftdeploy" / "runs").rmdir()
        (root / ".fftdeploy").rmdir()
        (root / ".fftdeploy").symlink_to(outside)
    elif what == "runs":
        (root / ".fftdeploy" / "runs").rmdir()
        (root / ".fftdeploy" / "runs").symlink_to(outside)
    elif what == "log":
        (outside / "x").write_text("kept")
        (root / ".fftdeploy" / "runs" / "a.jsonl").symlink_to(outside / "x")
    else:
        os.mkfifo(root / ".fftdeploy" / "runs" / "a.jsonl")
    before = {path: path.read_bytes() for path in outside.iterdir()}

    with pytest.raises(ConfigError):
        evaluate(make_run(api.url, [arm("v8")], examples), root, api.url)

    assert {path: path.read_bytes() for path in outside.iterdir()} == before
    assert api.requests == ()


def test_a_journal_says_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "log"
    with journal.open_journal(path, root=tmp_path) as log:
        log.append(b"one\n")
        log.append(b"two\n")
        assert list(log.lines()) == [b"one\n", b"two\n"]
    path.write_bytes(path.read_bytes() + b"thr")
    with journal.open_journal(path, root=tmp_path) as log:
        assert (log.drop_torn(), log.drop_torn()) == (True, False)
        log.append(b"three\n")
    log.close()
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    assert journal.listing(path.parent, root=tmp_path) == ["log"]
    assert journal.listing(tmp_path / "none", root=tmp_path) == []


@pytest.mark.parametrize("is_refused", [False, True])
def test_J46_a_slow_disk_holds_no_line_up_and_what_it_refuses_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_refused: bool
) -> None:
    """Each line is due here, and is written while the disk has not taken the one before."""
    goes_on, began, asked = threading.Event(), threading.Event(), []

    def fsync(file: int) -> None:
        asked.append(file)
        began.set()
        assert goes_on.wait(20), "a line waited for the disk"
        if is_refused:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    ticks = itertools.count(step=journal.SYNC_S)
    log = journal.open_journal(tmp_path / "log", root=tmp_path, clock=lambda: next(ticks))
    monkeypatch.setattr(os, "fsync", fsync)
    for number in range(3):
        log.append(f"{number}\n".encode())

    assert [*log.lines()] == [b"0\n", b"1\n", b"2\n"]
    assert began.wait(20)
    assert len(asked) == 1
    goes_on.set()
    if is_refused:
        with pytest.raises(DiskError, match="input/output error writing"):
            log.sync()
    else:
        log.sync()
        assert len(asked) == 2, "for what was written since"
    monkeypatch.undo()
    log.close()
