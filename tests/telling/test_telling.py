"""Telling people: each thing once, in the words of nobody else, and never at the cost of a run."""

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import certificates
import pytest
from forge import Forge, serve

from fftdeploy.monitoring import state_file
from fftdeploy.monitoring.watched import Look, Noticed, Watched, WatchState
from fftdeploy.planning.finding import Finding
from fftdeploy.telling import posting
from fftdeploy.telling.everybody import Telling
from fftdeploy.telling.issues import issue_text
from fftdeploy.telling.prometheus import exposition

PRODUCTION, STAGING = "triage/production", "triage/staging"
V8 = "ft:gpt-4.1-mini-2025-04-14:acme:triage-v8:BbCc8"
DAY = timedelta(days=1)
START = datetime(2026, 11, 21, 6, 17, tzinfo=UTC)
HOOK = "FFTDEPLOY_WEBHOOK_URL"


@pytest.fixture
def forge() -> Iterator[Forge]:
    with serve() as served:
        yield served


def watched(
    state: WatchState = "fine",
    *findings: Finding,
    target: str = PRODUCTION,
    previous: WatchState | None = "fine",
    at: datetime = START,
    passed: int = 61,
    **days: int,
) -> Watched:
    """Return a target after a look at it; `days` are left to `live` and to `back`."""
    answers = (passed, 67) if state in {"fine", "drift"} else (None, None)
    left = {role.replace("back", "way-back"): count for role, count in days.items()}
    return Watched(
        target=target,
        look=Look(at, state, V8, (), *answers),
        previous=previous,
        last_success=at if state == "fine" else START - DAY,
        calibrated_at=None,
        days_left=left,
        findings=findings,
    )


def finding(code: str, message: str = "wrong", hint: str = "", *, notice: bool = False) -> Finding:
    return Finding(code, "notice" if notice else "error", PRODUCTION, message, hint=hint)


class Days:
    """A run a day in one folder, each telling what was found."""

    def __init__(self, root: Path, environ: dict[str, str], forge: str = "") -> None:
        self.root, self.environ, self.forge = root, environ, forge
        self.now = START
        self.notes: list[str] = []

    def run(self, *found: Watched) -> None:
        for one in found:
            with state_file.opened(self.root, one.target) as state:
                state.add("look", Look(self.now, one.state, V8, ()))
        self.tell(*found)
        self.now += DAY

    def tell(self, *found: Watched) -> None:
        note, sleep = self.notes.append, lambda _: None
        Telling(self.root, self.environ, self.now, note, sleep, self.forge).tell(found)


def texts(forge: Forge) -> list[str]:
    """Return what the channel read, each message with its two parts the same."""
    for told in forge.told:
        (block,) = told["blocks"]
        assert block["text"] == {"type": "plain_text", "text": told["text"], "emoji": False}
    return [told["text"] for told in forge.told]


def test_a_channel_is_told_of_a_change_and_of_nothing_else(tmp_path: Path, forge: Forge) -> None:
    days = Days(tmp_path, {HOOK: forge.hook})

    days.run(watched("not-calibrated", previous=None))
    for _ in range(3):
        days.run(watched())
    days.run(watched("suspected"))
    assert texts(forge) == [], "nothing has happened yet"

    days.run(watched("drift", passed=40))
    days.run(watched("drift", passed=39, previous="drift"))
    days.run(watched("suspected", previous="drift"))
    days.run(watched("unverified", previous="drift"))
    drifted = f"{PRODUCTION}: drift, 40 of 67 examples pass ({V8})"
    assert texts(forge) == [f"fftdeploy: 1 change\n{drifted}"], "once"

    days.run(watched("unverified", previous="drift"))  # for a whole day by now
    days.run(watched("unverified", previous="drift"))
    assert texts(forge)[1:] == [f"fftdeploy: 1 change\n{PRODUCTION}: drift, unverified ({V8})"]

    days.run(watched(), watched("fine", finding("dead"), target=STAGING))
    days.run(watched(), watched("unverified", finding("dead"), target=STAGING))
    days.run(watched(), watched("unverified", finding("dead"), target=STAGING))
    (said,) = texts(forge)[2:]
    assert said.splitlines() == [
        "fftdeploy: 2 changes",
        f"{PRODUCTION}: fine again, 61 of 67 examples pass ({V8})",
        f"{STAGING}: dead, 61 of 67 examples pass ({V8})",
    ]
    assert days.notes == []


def test_one_whole_day_without_an_answer_is_told_and_an_hour_of_it_is_not(
    tmp_path: Path, forge: Forge
) -> None:
    days = Days(tmp_path, {HOOK: forge.hook})
    for _ in range(5):
        days.run(watched("unverified"))
        days.now += timedelta(hours=1) - DAY
    assert forge.told == []
    days.now = START + DAY
    days.run(watched("unverified"))
    since = "since 2026-11-20 06:17Z"
    assert texts(forge) == [f"fftdeploy: 1 change\n{PRODUCTION}: unverified {since} ({V8})"]


def test_each_step_before_an_end_is_told_once_a_model_and_role(
    tmp_path: Path, forge: Forge
) -> None:
    days = Days(tmp_path, {HOOK: forge.hook})
    near = (90, 89, 80, 79, 60, 59, 50, 49, 30, 29, 20, 19, 7, 6, 1, 0, -3, -4, -11)
    for left in (100, *near):
        days.run(watched(live=left, back=left + 10), watched(target=STAGING, live=left))

    lines = [line for text in texts(forge) for line in text.splitlines()[1:]]
    live = [line for line in lines if line.startswith(V8)]
    assert live == [
        f"{V8}, live in {PRODUCTION}, {STAGING}, shuts down in {step - 1} days: "
        f"fewer than {step} left"
        for step in (90, 60, 30, 7)
    ]
    assert [line for line in lines if line not in live] == [
        f"the way back of {PRODUCTION} shuts down in {step - 1} days: fewer than {step} left"
        for step in (90, 60, 30, 7)
    ]
    assert len(texts(forge)) == 8

    late = Days(tmp_path / "late", {HOOK: forge.hook})
    (tmp_path / "late").mkdir()
    late.run(watched(live=5))
    late.run(watched(live=4))
    assert [text.count("fewer than 7") for text in texts(forge)[8:]] == [1], "not of the others"


def test_nothing_is_lost_where_the_channel_refuses_and_its_address_is_nowhere(
    tmp_path: Path, forge: Forge
) -> None:
    with serve() as elsewhere:
        days = Days(tmp_path, {HOOK: forge.hook})
        for status, reason in ((500, "HTTP 500"), (404, "HTTP 404"), (307, "redirect")):
            forge.refuses, forge.location = {"POST": status}, elsewhere.hook
            days.run(watched("drift"))
            assert days.notes[-1] == f"note: whom {HOOK} names was not told: {reason}"
        assert elsewhere.asked == [], "no redirect is followed"
    forge.refuses, forge.location = {}, ""
    days.run(watched("drift"))
    days.run(watched("drift"))
    assert len(texts(forge)) == 1

    wrong = [
        "http://hooks.example/of",
        "hooks.example/of",
        "https://",
        "https://u:p@h.example/x",
        "?x",
    ]
    for address in [*wrong, "https://127.0.0.1:1/of/secretsecret", "https://no.invalid/s3cr3t"]:
        days.environ = {HOOK: address}
        days.run(watched("fine"))
    assert days.notes[3:8] == [f"note: {HOOK} is not an https:// address to ask at"] * 5
    assert {note.rpartition(": ")[2] for note in days.notes[8:]} == {"unreachable"}
    said = " ".join(days.notes) + "".join(p.read_text() for p in tmp_path.rglob("*.jsonl"))
    assert not re.search("127|secret|s3cr3t|hooks.example|h.example|invalid", said)


def test_a_channel_is_told_over_tls_alone_that_can_be_believed_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(certificates.served(tmp_path, certificates.GOOD)) as forge:
        days = Days(tmp_path, {HOOK: forge.hook})
        days.run(watched("drift"))
        assert (days.notes, forge.told) == ([f"note: whom {HOOK} names was not told: tls"], [])
        days.environ["SSL_CERT_FILE"] = str(tmp_path / "c.pem")
        days.run(watched("drift"))
        assert (len(days.notes), len(forge.told)) == (1, 1)

        monkeypatch.setattr(posting, "_DEADLINE_S", 0.2)
        over = threading.Event()
        forge.on_told = lambda: over.wait(5)
        days.run(watched("fine"))
        over.set()
        assert days.notes[1:] == [f"note: whom {HOOK} names was not told: timeout"]


def _two_tell(root: str, hook: str, times: int) -> None:
    days = Days(Path(root), {HOOK: hook})
    for _ in range(times):
        days.tell(watched("drift"), watched(target=STAGING, live=50))


def test_two_at_once_tell_a_thing_once(tmp_path: Path, forge: Forge) -> None:
    both = [
        get_context("fork").Process(target=_two_tell, args=(str(tmp_path), forge.hook, 5))
        for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
        assert one.exitcode == 0
    (text,) = texts(forge)
    assert text.startswith("fftdeploy: 2 changes\n")


def test_a_kill_between_telling_and_remembering_costs_one_repeat(
    tmp_path: Path, forge: Forge
) -> None:
    killed = get_context("fork").Process(target=_two_tell, args=(str(tmp_path), forge.hook, 1))
    forge.on_told = lambda: os.kill(killed.pid or 0, signal.SIGKILL)
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    forge.on_told = lambda: None
    told = tmp_path / ".fftdeploy/monitor/told.jsonl"
    assert (len(forge.told), told.read_bytes()) == (1, b"")
    told.write_text('{"told":{"about":"tri')  # as it may be if the kill comes a moment later

    _two_tell(str(tmp_path), forge.hook, 3)
    once, again = texts(forge)
    assert once == again
    about = [json.loads(line)["told"]["about"] for line in told.read_text().splitlines()]
    assert about == [f"live {V8}", PRODUCTION]


def test_a_long_message_says_how_much_more_there_is(tmp_path: Path, forge: Forge) -> None:
    days = Days(tmp_path, {HOOK: forge.hook})
    many = [watched("drift", target=f"task-{n}/production") for n in range(40)]
    days.run(*many)
    days.run(*many)
    (text,) = texts(forge)
    assert 2800 < len(text) <= 3000
    shown = text.count(": drift")
    assert text.endswith(f"\nand {40 - shown} more changes: fftdeploy monitor")


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_one_issue_a_target_is_opened_kept_current_and_closed(
    tmp_path: Path, forge: Forge, kind: str
) -> None:
    days = Days(tmp_path, forge.environ(kind), kind)
    for number in range(101):  # on the second page by the time
        forge.add(f"other {number}", f"{number} <!-- fftdeploy:monitor {PRODUCTION} [] -->")

    days.run(watched(), watched(target=STAGING))
    assert len(forge.issues) == 101

    days.run(watched("drift", finding("drift", "12 of 67 moved"), live=80), watched(target=STAGING))
    (issue,) = forge.issues[101:]
    assert issue["title"] == f"fftdeploy: {PRODUCTION} needs attention"
    assert issue["text"].startswith(
        f"<!-- fftdeploy:monitor {PRODUCTION} [drift,runway-90] -->\n"
        f"**{PRODUCTION}**: `drift`, `runway-90`\n\n- ✗ `drift` `12 of 67 moved`\n"
    )
    before = len(forge.asked)
    days.tell(watched("drift", finding("drift", "12 of 67 moved"), live=80))
    assert {method for method, _ in forge.asked[before:]} == {"GET"}, "all of it is there"

    for number in range(101):
        forge.add(f"new {number}", "")
    days.run(watched("drift", finding("drift", "13 of 67 moved"), live=59))
    assert "`13 of 67 moved`" in issue["text"]
    assert forge.comments == [(102, "New: `runway-60`. Gone: `runway-90`.")]
    days.run(watched("unverified", previous="drift"))  # a host that says nothing changes nothing
    assert issue["text"].startswith(f"<!-- fftdeploy:monitor {PRODUCTION} [drift,runway-60] -->")
    assert (len(forge.comments), issue["state"]) == (1, "open")

    days.run(watched())
    days.run(watched())
    assert (issue["state"], forge.comments[1:]) == ("closed", [(102, "All is well again.")])
    days.run(watched("fine", finding("no-rollback", notice=True)))
    assert [one["text"].partition("\n")[0] for one in forge.issues[203:]] == [
        f"<!-- fftdeploy:monitor {PRODUCTION} [no-rollback] -->"
    ]
    assert forge.tokens == {"Bearer token-of-the-job"}
    assert days.notes == []


def test_an_issue_of_a_stranger_is_not_ours(tmp_path: Path, forge: Forge) -> None:
    days = Days(tmp_path, forge.environ("github"), "github")
    text = issue_text(watched("drift"), ["drift"])
    stranger = {"user": {"type": "User"}}
    forge.add("x", text, **stranger)
    forge.add("x", text, pull_request={})
    days.run(watched("drift"))
    assert [one["text"] == text for one in forge.issues] == [True, True, True]
    forge.issues[0]["author_association"] = "MEMBER"  # control: one who may
    forge.issues.pop()
    days.run(watched("drift"))
    assert len(forge.issues) == 2


def test_no_job_of_a_proposed_change_and_no_refusal_costs_more_than_a_note(
    tmp_path: Path, forge: Forge
) -> None:
    for kind, event, value in (
        ("github", "GITHUB_EVENT_NAME", "pull_request"),
        ("github", "GITHUB_EVENT_NAME", "pull_request_target"),
        ("gitlab", "CI_PIPELINE_SOURCE", "merge_request_event"),
    ):
        days = Days(tmp_path, forge.environ(kind) | {event: value}, kind)
        days.run(watched("drift"))
        assert days.notes == ["note: a job of a proposed change keeps no issues"]
    assert forge.asked == []

    environ = forge.environ("github")
    for lacking, said in (
        ("GITHUB_TOKEN", "no issue was kept: GITHUB_TOKEN has no token"),
        ("GITHUB_API_URL", "GITHUB_API_URL is not set"),
        (
            "GITHUB_REPOSITORY",
            "GITHUB_REPOSITORY is not set: a forge is told from a job of its own",
        ),
    ):
        less = {name: value for name, value in environ.items() if name != lacking}
        days = Days(tmp_path, less, "github")
        days.run(watched("drift"))
        assert days.notes == [f"note: {said}"]
    forge.refuses = {"POST": 403}
    days = Days(tmp_path, environ | {HOOK: forge.hook}, "github")
    days.run(watched("drift"))
    assert days.notes == [
        f"note: whom {HOOK} names was not told: HTTP 403",
        "note: whom GITHUB_API_URL names was not told: HTTP 403",
    ]
    forge.refuses = {"GET": 200}  # and an object, which is no list
    days.run(watched("drift"))
    assert days.notes[-1] == "note: whom GITHUB_API_URL names has listed no issues"
    assert [method for method, path in forge.asked if path.startswith("/repos")][-1] == "GET"
    forge.refuses = {"GET": 410}
    days.run(watched("drift"))
    assert len(forge.told) == 1, "what refuses keeps nobody else from hearing"


HOSTILE = (
    "@acme/team #1 acme/desk#2 GH-3 !4 ~label %5 <b>x</b> <!-- --> [x](https://evil.example) "
    "https://evil.example www.evil.example `code` ```` ` \n/close\n# big\n| a | b | \u202e \x1b[31m"
)


def test_F5_what_stands_in_files_and_answers_is_shown_and_obeyed_by_no_forge() -> None:
    text = issue_text(watched("drift", finding("dead", HOSTILE, HOSTILE)), ["dead"])

    marker, *rows = text.splitlines()
    assert marker == f"<!-- fftdeploy:monitor {PRODUCTION} [dead] -->"
    assert len(rows) == 7, "nothing makes a line of its own"
    assert not any(row.startswith(("/", "#", "|", "<")) for row in rows)
    shown = [re.sub(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", "", row) for row in rows]
    assert shown[2:4] == ["- ✗  ", "  "], "all of it stands in code"
    assert "\\u202e" in text
    assert "\\x1b" in text


NAME, LABEL = "[a-zA-Z_:][a-zA-Z0-9_:]*", r'[a-zA-Z_]\w*="((?:[^"\\\n]|\\[\\"n])*)"'
LINE = re.compile(
    rf"# HELP {NAME} [^\n]+|# TYPE {NAME} gauge|{NAME}(\{{{LABEL}(,{LABEL})*\}})? -?[0-9.e+]+"
)
ODD = watched("drift", target='a"b\\c\nd/production', live=54, back=-3, passed=40)


def metrics() -> tuple[str, dict[str, float]]:
    fine = watched(target=STAGING, live=120, passed=67)
    silent = watched("unverified", previous="drift", target="labels/production")
    new = watched("not-calibrated", previous=None, target="labels/staging")
    text = exposition([ODD, fine, silent, new], START)
    found = dict(line.rpartition(" ")[::2] for line in text.splitlines() if line[0] != "#")
    return text, {name.removeprefix("fftdeploy_"): float(value) for name, value in found.items()}


def test_the_gauges_are_in_prometheus_text_format() -> None:
    text, found = metrics()

    odd = 'target="a\\"b\\\\c\\nd/production"'
    assert found == {
        "monitor_last_run_timestamp_seconds": START.timestamp(),
        "monitor_last_success_timestamp_seconds": (START - DAY).timestamp(),
        f"pass_ratio{{{odd}}}": pytest.approx(40 / 67),
        f'pass_ratio{{target="{STAGING}"}}': 1,
        f"drift{{{odd}}}": 1,
        f'drift{{target="{STAGING}"}}': 0,
        'drift{target="labels/production"}': 1,
        f'model_days_to_shutdown{{{odd},role="live"}}': 54,
        f'model_days_to_shutdown{{{odd},role="way-back"}}': -3,
        f'model_days_to_shutdown{{target="{STAGING}",role="live"}}': 120,
    }
    assert text.endswith("\n")
    assert all(LINE.fullmatch(line) for line in text[:-1].split("\n")), text
    assert not LINE.fullmatch('fftdeploy_drift{target="a"b"} 1'), "the control: not escaped"
    kinds = re.findall(r"# TYPE (\w+)", text)
    assert kinds == sorted(set(kinds), key=kinds.index), "each metric in one group"


def test_prometheus_own_client_reads_the_same_gauges() -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    text, found = metrics()

    read = [one for family in parser.text_string_to_metric_families(text) for one in family.samples]
    assert sorted(one.value for one in read) == sorted(found.values())
    assert {one.labels.get("target") for one in read} >= {ODD.target, STAGING}
    assert {one.timestamp for one in read} == {None}


def test_a_target_that_was_never_looked_at_with_success_is_a_success_at_0() -> None:
    never = Watched(
        target=STAGING,
        look=Look(START, "unverified", V8, ()),
        previous=None,
        last_success=None,
        calibrated_at=None,
        days_left={},
    )
    assert "monitor_last_success_timestamp_seconds 0\n" in exposition([watched(), never], START)


def test_what_is_calibrated_anew_is_not_fine_again(tmp_path: Path, forge: Forge) -> None:
    days = Days(tmp_path, forge.environ("github") | {HOOK: forge.hook}, "github")
    days.run(watched("drift"))
    days.run(watched("not-calibrated", previous="drift"))  # its gate is gone: nobody knows better
    assert len(texts(forge)) == 1
    fine = watched(previous="drift")
    noticed = (Noticed("calibrated-anew", "notice", "calibrated anew: --calibrate"),)
    days.run(replace(fine, look=replace(fine.look, noticed=noticed)))

    assert "calibrated anew" in texts(forge)[1]
    assert "fine again" not in texts(forge)[1]
    assert forge.comments[-1][1].startswith("Calibrated anew")


def test_a_calibration_that_was_stopped_is_no_success() -> None:
    stopped = replace(watched("not-calibrated", previous=None), why="no requests are left")
    stopped = replace(stopped, last_success=None)
    assert "\nfftdeploy_monitor_last_success_timestamp_seconds 0\n" in exposition([stopped], START)
