"""Logs of production held against one before: requests -> what is said, and what was kept."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import PROGRAM, Command
from gated import POLICY
from reviewing import PROMPT, at_terminal
from scenes import V7, V8, V9, past, row, table, write
from traffic import Traffic, changed, lines, more_of

TARGET = "triage/production"
KEPT = Path(".fftdeploy/monitor/logs/triage.production.jsonl")
BASELINE = Traffic(release=2)


@pytest.fixture(autouse=True)
def _scene(repo: Path) -> None:
    del repo
    write(past(TARGET, V7, V8), past("triage/staging", V7), policy=POLICY)
    Path("evals").mkdir()
    Path("evals/triage.jsonl").write_text("")


def log(name: str, traffic: Traffic, count: int = 800, seed: int = 7) -> str:
    Path(name).write_text(lines(traffic.requests(count, seed)))
    return name


def logs_of(command: Command, name: str, *more: str) -> tuple[int, dict[str, Any]]:
    found = command("monitor", TARGET, "--logs", name, *more, "--json")
    return found.code, json.loads(found.out)


def codes(document: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    measures = document["logs"]["measures"]
    return {one["measure"]: (one["code"], one["cause"]) for one in measures if one["code"]}


def test_a_model_that_changed_is_told_from_what_it_is_asked(command: Command) -> None:
    first = command("monitor", TARGET, "--logs", log("first.jsonl", BASELINE, seed=1))
    assert (first.code, "kept as what is normal" in first.out) == (0, True)
    kept = KEPT.read_bytes()
    assert not any(word in kept for word in (b"message", b"billing", b"refund", b"high"))
    assert KEPT.stat().st_mode & 0o777 == 0o600

    code, same = logs_of(command, log("same.jsonl", BASELINE))
    assert (code, codes(same), same["logs"]["then"]["requests"]) == (0, {}, 800)

    other_data = changed(release=2, asked=more_of("refund", 0.12))
    code, found = logs_of(command, log("data.jsonl", other_data, 1200))
    assert (code, codes(found)) == (0, {"field category": ("data-moved", "data")})
    assert logs_of(command, "data.jsonl", "--fail-on", "data-moved")[0] == 12

    other_model = changed(release=2, confuses=0.5)
    code, found = logs_of(command, log("model.jsonl", other_model))
    assert (code, codes(found)) == (12, {"field category": ("model-moved", "model")})
    assert {one["severity"] for one in found["findings"]} == {"error"}

    both = changed(release=2, invalid=0.06, refused=0.03, cut_off=0.03, latency_ms=900, model=V9)
    code, found = logs_of(command, log("worse.jsonl", both))
    worse = {name for name, (said, _) in codes(found).items() if said == "answers-worse"}
    assert (code, worse) == (12, {"valid", "refused", "truncated"})
    assert codes(found)["model"] == ("model-moved", "model")
    assert codes(found)["latency_ms"] == ("service-moved", None)
    assert KEPT.read_bytes() == kept

    slower = log("slower.jsonl", changed(release=2, latency_ms=900))
    screen = command("monitor", TARGET, "--logs", slower)
    assert (screen.code, "slower" in screen.out) == (0, True)
    against = logs_of(command, "model.jsonl", "--baseline", "model.jsonl")
    assert (against[0], codes(against[1])) == (0, {})


def test_a_promotion_in_the_middle_of_a_log_is_no_drift(command: Command) -> None:
    before, after = Traffic(release=2), changed(release=3, model=V9, confuses=0.9)
    log("first.jsonl", before)
    assert command("monitor", TARGET, "--logs", "first.jsonl").code == 0
    mixed = lines(before.requests(300, 3)) + lines(after.requests(350, 4))
    Path("mixed.jsonl").write_text(mixed)
    code, found = logs_of(command, "mixed.jsonl")
    assert (code, codes(found)) == (0, {})
    assert found["logs"]["left_out"] == {"of another release: live is 2": 350}

    write(past(TARGET, V7, V8, V9), past("triage/staging", V7), policy=POLICY)
    code, found = logs_of(command, "mixed.jsonl")
    assert (code, found["logs"]["then"], found["logs"]["release"]) == (0, None, "3")
    unnumbered = [json.loads(line) for line in mixed.splitlines()]
    for request in unnumbered:
        del request["release"]
    Path("mixed.jsonl").write_text(lines(iter(unnumbered)))
    code, found = logs_of(command, "mixed.jsonl")
    assert (code, found["logs"]["now"]["requests"]) == (0, 350)
    assert found["logs"]["left_out"] == {"answered by the model of another release": 300}
    assert len(KEPT.read_bytes().splitlines()) == 2


def test_too_few_requests_odd_lines_and_odd_calls(command: Command) -> None:
    few = command("monitor", TARGET, "--logs", log("few.jsonl", BASELINE, 150))
    assert (few.code, "few.jsonl: 150 requests" in few.err, KEPT.exists()) == (7, True, False)
    Path("odd.jsonl").write_text(lines(BASELINE.requests(300, 1)) + '{"what": 1}\n')
    odd = command("monitor", TARGET, "--logs", "odd.jsonl")
    assert (odd.code, "odd.jsonl:301" in odd.err, KEPT.exists()) == (3, True, False)
    assert command("monitor", TARGET, "--logs", "none.jsonl").code == 3
    assert command("monitor", "--logs", "few.jsonl").code == 2
    assert command("monitor", TARGET, "--baseline", "few.jsonl").code == 2
    assert command("monitor", TARGET, "--logs", "few.jsonl", "--fail-on", "x").code == 2
    log("first.jsonl", BASELINE, 300)
    assert command("monitor", TARGET, "--logs", "first.jsonl").code == 0
    times: list[Any] = [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "x",
        1e12,
        -1,
        1e30,
        10**300,
    ]
    timed = [json.loads(line) for line in lines(BASELINE.requests(len(times), 1)).splitlines()]
    strange = [{**line, "at": at} for line, at in zip(timed, times, strict=True)]
    strange.append({"request": {"messages": []}, "response": {"choices": []}})
    odd_lines = "".join(json.dumps(line) + "\n" for line in strange)
    Path("times.jsonl").write_text(Path("first.jsonl").read_text() + odd_lines)
    code, found = logs_of(command, "times.jsonl")
    assert (code, found["logs"]["now"]["requests"]) == (0, 300 + len(times))
    (left_out,) = found["logs"]["left_out"]
    assert left_out.endswith(", first at times.jsonl:308")
    KEPT.write_bytes(KEPT.read_bytes() + b'{"release": "cut')
    assert logs_of(command, "first.jsonl")[1]["logs"]["then"]["requests"] == 300
    KEPT.write_bytes(b"{}\n")
    assert command("monitor", TARGET, "--logs", "first.jsonl").code == 3


@pytest.mark.usefixtures("forked_commands")
@pytest.mark.parametrize("indent", [None, 1])
def test_what_is_piped_in_is_read_as_a_file_is(indent: int | None, command: Command) -> None:
    requests = [*BASELINE.requests(400, 1)]
    data = lines(iter(requests)) if indent is None else json.dumps(requests, indent=indent)
    piped = subprocess.run(
        [PROGRAM, "monitor", TARGET, "--logs", "-", "--json"],
        check=True,
        input=data.encode(),
        capture_output=True,
    )
    Path("same.jsonl").write_text(data)
    _, file = logs_of(command, "same.jsonl", "--baseline", "new")
    for document in (found := json.loads(piped.stdout), file):
        document.pop("request_id", None)
    assert found["logs"] == file["logs"]
    assert found["logs"]["now"]["requests"] == 400


def test_review_asks_first_about_what_moved(command: Command) -> None:
    log("first.jsonl", BASELINE, 400, seed=1)
    log("model.jsonl", changed(release=2, confuses=0.6, wavers=0.0), 400)
    words = ["triage", "--from", "model.jsonl", "--pick", "4", "--moved"]
    assert "monitor triage/" in command("review", *words, "--dry-run").err
    assert command("monitor", TARGET, "--logs", "first.jsonl").code == 0
    code, screen = at_terminal(words, *[(PROMPT, "s")] * 3, (PROMPT, "q"))
    assert (code, screen.count("another answer than before")) == (0, 4)
    code, screen = at_terminal(words[:-1], *[(PROMPT, "s")] * 3, (PROMPT, "q"))
    assert (code, "another answer" in screen) == (0, False)


def called(requests: Iterator[dict[str, Any]], arm: str) -> Iterator[dict[str, Any]]:
    """Have each caller ask twice."""
    for number, each in enumerate(requests):
        yield {**each, "caller": f"{arm}{number // 2}"}


def tries() -> int:
    """Have a canary since the moment that is returned."""
    since = 1_795_000_000
    began = datetime.fromtimestamp(since, UTC)
    rows = [
        row(3, V9, at=began, via="model", canary=25),
        row(2, V8, at=began - timedelta(days=2), via="model"),
    ]
    tried = f'canary = {{ model = "{V9}", weight = 25, since = {began:%Y-%m-%dT%H:%M:%SZ} }}\n'
    text = table(TARGET, V8, rows).replace("releases = [", f"{tried}releases = [", 1)
    write(text, policy=POLICY)
    return since


def test_a_canary_is_held_against_what_is_live(command: Command) -> None:
    since = tries()
    live = lines(called(changed(release=2).requests(900, 1, since), "a"))
    live += lines(called(changed(release=2).requests(300, 4, since), "b"))  # not merged yet
    before = lines(changed(release=3, invalid=0.9).requests(300, 3, since - 10_000_000))

    def seen(canary: Traffic, *more: str) -> tuple[int, dict[str, Any]]:
        tried = lines(called(canary.requests(300, 2, since), "b"))
        Path("log.jsonl").write_text(live + before + tried)
        code, document = logs_of(command, "log.jsonl", *more)
        return code, document

    code, found = seen(changed(release=3, model=V9), "--canary-abort")
    trial = found["canary"]
    assert (code, trial["weight"], trial["canary"]["callers"]) == (0, 25, 150)
    assert (trial["live"]["model"], trial["live"]["callers"]) == (V8, 600)
    assert trial["lower"] < 0 < trial["upper"]

    worse = changed(release=3, model=V9, invalid=0.2)
    code, found = seen(worse, "--baseline", "new")  # said, and no failure unless it is asked for
    assert (code, found["logs"]["canary"]["names_callers"]) == (0, True)
    code, found = seen(worse, "--canary-abort")
    assert (code, [one["code"] for one in found["findings"]]) == (12, ["canary-worse"])
    taken_off = f'fftdeploy rollback {TARGET} --canary --why "canary worse"'
    assert found["findings"][0]["hint"] == taken_off
    unnamed = Path("log.jsonl").read_text().replace('"caller"', '"who"')
    Path("unnamed.jsonl").write_text(unnamed)
    code, found = logs_of(command, "unnamed.jsonl", "--canary-abort")
    assert (code, found["canary"]["lower"] > 0) == (0, True)  # one caller's requests are alike
    said = command("monitor", TARGET, "--logs", "unnamed.jsonl", "--canary-abort").out
    assert "names no callers" in said
    screen = command("monitor", TARGET, "--logs", "log.jsonl", "--baseline", "new")
    assert "triage-v9" in screen.out
    assert "worse (+" in screen.out
    assert taken_off in screen.err
    assert "left out: 300 (of another release" in screen.out  # before it began; its own are counted
    assert command("monitor", TARGET, "--canary-abort").code == 2


def failing(
    requests: Iterator[dict[str, Any]], in_three: int, error: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Have so many of three calls end with an error in the place of the response."""
    for number, each in enumerate(requests):
        if number % 3 < in_three:
            del each["response"]
            each["error"] = error
        yield {**each, "caller": f"{each['release']}-{number}"}


BROKEN = {"type": "InternalServerError", "status": 500}
CUT = {"type": "LengthFinishReasonError"}
GIVEN_UP = {"type": "abandoned"}


@pytest.mark.usefixtures("forked_commands")
@pytest.mark.parametrize(
    ("live", "canary", "error", "code", "failed"),
    [
        (0, 3, CUT, 12, "fails 100.0% of 300 callers, live 0.0% of 600"),
        (0, 2, BROKEN, 12, "fails 66.7% of 300 callers, live 0.0% of 600"),
        (2, 2, BROKEN, 0, "fails 66.7% of 300 callers, live 66.7% of 600"),
        (0, 2, GIVEN_UP, 0, "fails 0.0% of 100 callers, live 0.0% of 600"),
        (0, 3, GIVEN_UP, 0, "no requests of it yet"),
    ],
)
@pytest.mark.parametrize("tells", ["release", "model"])
def test_J32_a_call_that_failed_is_a_failure_of_whom_it_has_asked(
    live: int, canary: int, error: dict[str, Any], code: int, failed: str, tells: str
) -> None:
    since = tries()
    flawless = changed(release=2, invalid=0, refused=0, cut_off=0)
    asked = [*failing(flawless.requests(600, 1, since), live, error)]
    tried = replace(flawless, release=3, model=V9)
    asked += failing(tried.requests(300, 2, since), canary, error)
    for each in asked:
        each["request"]["model"] = V8 if each["release"] == 2 else V9
        if tells == "model":
            del each["release"]
    Path("log.jsonl").write_text(lines(iter(asked)))
    words = [str(PROGRAM), "monitor", TARGET, "--logs", "log.jsonl", "--canary-abort"]
    found = subprocess.run(words, check=False, capture_output=True, text=True)
    assert (found.returncode, failed in " ".join(found.stdout.split())) == (code, True), found


def test_a_log_beneath_the_floor_is_wrong_although_nothing_is_known_of_before(
    command: Command,
) -> None:
    """The first log is what later ones are held against: with it none of them was worse."""
    policy = Path("fftdeploy.toml")
    policy.write_text(policy.read_text().replace("slices =", "floors = { valid = 0.9 }\nslices ="))
    code, found = logs_of(command, log("first.jsonl", changed(release=2, invalid=0.3)))
    (told,) = (one for one in found["findings"] if one["code"] == "answers-worse")
    assert (code, told["severity"], found["logs"]["then"]) == (12, "error", None)
    assert told["message"].startswith(f"{TARGET} valid answers: 68.")
    assert told["message"].endswith("%, the floor of the gate is 90%")
    assert logs_of(command, log("good.jsonl", BASELINE), "--baseline", "new")[0] == 0


def test_calls_that_failed_are_counted_beside_what_is_compared(command: Command) -> None:
    asked = [*failing(BASELINE.requests(600, 1), 1, BROKEN)]
    asked += failing(BASELINE.requests(9, 2), 3, GIVEN_UP)
    Path("log.jsonl").write_text(lines(iter(asked)))
    code, found = logs_of(command, "log.jsonl")
    assert (code, found["logs"]["now"]["requests"]) == (0, 400)
    assert found["logs"]["left_out"] == {"the call failed": 200, "the caller gave it up": 9}

    for number, each in enumerate(asked[:600]):
        if number % 3 and number < 30:  # a gateway's way to say so
            each["response"]["choices"][0] |= {"finish_reason": "error", "error": {"code": 502}}
    Path("log.jsonl").write_text(lines(iter(asked)))
    code, found = logs_of(command, "log.jsonl")
    assert (code, found["logs"]["left_out"]["the call failed"]) == (0, 220)

    asked = [*failing(BASELINE.requests(900, 3), 2, BROKEN), *asked[600:]]
    Path("log.jsonl").write_text(lines(iter(asked)))
    code, found = logs_of(command, "log.jsonl")
    strict, _ = logs_of(command, "log.jsonl", "--fail-on", "service-moved")
    (told,) = (one for one in found["findings"] if one["code"] == "service-moved")
    assert (code, strict, told["severity"]) == (0, 12, "notice")
    assert "failed calls: 33.3% then, 66.7% now: more" in told["message"]
