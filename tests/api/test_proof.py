"""The conversation: waiting, many at once, what a question costs, jobs, and who is dead."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from fake_time import NOW, FakeTime
from fault_server import (
    KEY,
    MODEL,
    FaultServer,
    Reply,
    close_at_once,
    echo,
    error,
    good_chat,
    good_model,
    loading,
    missing,
    model_body,
    reply,
)

from fftdeploy.api import jobs
from fftdeploy.api.asking import Asker
from fftdeploy.api.client.connection import Connection
from fftdeploy.api.proof import Prover, Question
from fftdeploy.api.readiness import Shutdown
from fftdeploy.api.settings import settings
from fftdeploy.errors import AuthError, NotReadyError, UnverifiedError, UsageError

Q = Question(MODEL)
JOB = "ftjob-abc123"
OLDER = "ft:gpt-4.1-mini-2025-04-14:acme:triage-v8:BbCc8"
OTHER_TASK = "ft:gpt-4o-mini-2024-07-18:acme::Zz9"
STRANGER = "ft:gpt-4o-mini-2024-07-18:globex::Zz9"
OCTOBER = "ft:gpt-4.1-nano-2025-04-14:acme::Aa1"


@dataclass
class Scene:
    """A server, a prover with a clock that passes only while it sleeps, and what was said."""

    api: FaultServer
    connection: Connection
    slept: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    ticks: list[str] = field(default_factory=list)

    def prover(self, wait_s: float = 60.0, *, probes_early: bool = False, **more: Any) -> Prover:
        asker = Asker(
            FakeTime(NOW, self.slept).clock(),
            wait_s=wait_s,
            say=self.said.append,
            progress=self.ticks.append,
            **more,
        )
        return Prover(self.connection, asker, probes_early=probes_early)


@contextmanager
def scene() -> Iterator[Scene]:
    with FaultServer() as api:
        environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": api.url}
        connection = Connection(settings(environ))
        yield Scene(api, connection)
        connection.close()


@pytest.fixture(name="on")
def on_a_scene() -> Iterator[Scene]:
    with scene() as found:
        yield found


def job(status: str, **changes: Any) -> Reply:
    body = {"object": "fine_tuning.job", "id": JOB, "status": status, "fine_tuned_model": None}
    return reply(body=body | {"error": {}} | changes)


def succeeded(**changes: Any) -> Reply:
    return job("succeeded", **({"fine_tuned_model": MODEL, "finished_at": 1795262100} | changes))


def events(*entries: dict[str, Any]) -> Reply:
    return reply(body={"object": "list", "data": [*entries], "has_more": False})


def script_job(on: Scene, *replies: Reply, log: Reply | None = None) -> None:
    on.api.script("GET", f"/v1/fine_tuning/jobs/{JOB}", *replies)
    on.api.script("GET", f"/v1/fine_tuning/jobs/{JOB}/events", log or events())


def test_a_loading_model_is_waited_for(on: Scene) -> None:
    on.api.probe(loading(), loading(), missing(), good_chat())

    readiness = on.prover().prove(Q)

    assert (readiness.state, on.slept) == ("ready", [1.0, 2.0, 4.0])
    assert on.said == [f"{MODEL}: not answering yet, asking again"]
    assert on.ticks[-1] == f"{MODEL}: not answering yet, asking again (3 s of 60 s)"


def test_waiting_ends(on: Scene) -> None:
    on.api.probe(loading())

    readiness = on.prover(wait_s=10).prove(Q)

    assert (readiness.state, readiness.code) == ("unverified", "loading")
    assert readiness.message == "it is still being loaded by the API (429), after 10 s of waiting"
    assert sum(on.slept) == 10


def test_wait_0_asks_once(on: Scene) -> None:
    on.api.probe(loading())

    readiness = on.prover(wait_s=0).prove(Q)

    assert (readiness.code, on.slept, len(on.api.asked("POST"))) == ("loading", [], 1)


def test_one_wait_for_the_whole_command(on: Scene) -> None:
    on.api.probe(loading())
    prover = on.prover(wait_s=10)

    prover.prove(Q)
    before = len(on.api.log)
    prover.prove(replace(Q, endpoint="chat", project_models=frozenset({"x"})))

    assert (sum(on.slept), len(on.api.log) - before) == (10, 2)


def test_loading_takes_the_wait_that_the_api_asks_for(on: Scene) -> None:
    message = "The model is still being loaded."
    on.api.probe(error(429, None, message, headers=[("Retry-After", "20")]), good_chat())

    assert (on.prover().prove(Q).state, on.slept) == ("ready", [20.0])


def test_a_fresh_404_is_asked_again_and_a_plain_one_is_not(on: Scene) -> None:
    on.api.retrieve(missing(), missing(), good_model())
    fresh = on.prover().prove(replace(Q, fresh=True))
    on.api.retrieve(missing(), good_model())
    plain = on.prover().prove(Q)
    on.api.retrieve(missing())
    never = on.prover(wait_s=5).prove(replace(Q, fresh=True))

    assert (fresh.state, plain.state, never.state) == ("ready", "not-ready", "unverified")
    assert isinstance(never.error(), UnverifiedError)


def test_the_responses_endpoint(on: Scene) -> None:
    body = {"object": "response", "model": MODEL, "output": [{"type": "reasoning"}]}
    on.api.script(
        "POST",
        "/v1/responses",
        error(400, None, "Unsupported parameter", param="max_output_tokens"),
        reply(body=body),
    )

    readiness = on.prover().prove(replace(Q, endpoint="responses"))

    assert (readiness.state, on.api.asked("POST")) == ("ready", ["/v1/responses"] * 2)
    on.api.script("POST", "/v1/responses", reply(body=body | {"output": []}))
    assert on.prover().prove(replace(Q, endpoint="responses")).code == "not-an-answer"


def test_no_probe_rests_on_the_retrieve(on: Scene) -> None:
    readiness = on.prover().prove(replace(Q, probe=False))

    assert (readiness.state, readiness.basis) == ("ready", ("retrieved",))
    assert on.api.asked("POST") == []


def test_shutdown_dates_in_their_order(on: Scene) -> None:
    base = "gpt-5-mini"
    tuned = f"ft:{base}:acme::A1"
    body = model_body(id=tuned)
    on.api.probe(good_chat(model=tuned))
    on.api.retrieve(reply(body=body | {"shutdown_date": "2027-02-02"}), model=tuned)
    found = [on.prover().prove(Question(tuned)).shutdown]
    on.api.retrieve(reply(body=body), model=tuned)
    on.api.retrieve(good_model(id=base, shutdown_date="2027-03-03"), model=base)
    found.append(on.prover().prove(Question(tuned)).shutdown)
    on.api.retrieve(good_model(id=base), model=base)
    found.append(on.prover().prove(Question(tuned)).shutdown)
    found.append(on.prover().prove(Q).shutdown)

    assert found == [
        Shutdown(date(2027, 2, 2), "model"),
        Shutdown(date(2027, 3, 3), "base model"),
        Shutdown(date(2026, 12, 11), "table of 2026-11-28 (gpt-5-mini)"),
        Shutdown(date(2027, 1, 14), "table of 2026-11-28 (fine-tunes)"),
    ]
    assert on.api.asked("GET").count(f"/v1/models/{base}") == 2


@pytest.mark.parametrize("broken", [error(500, None), error(403, None), error(401, None)])
def test_a_failing_base_look_up_changes_no_state(on: Scene, broken: Reply) -> None:
    tuned = "ft:gpt-9:acme::A1"
    on.api.retrieve(good_model(id=tuned), model=tuned)
    on.api.retrieve(broken, model="gpt-9")
    on.api.probe(good_chat(model=tuned))

    readiness = on.prover().prove(Question(tuned))

    assert (readiness.state, readiness.shutdown) == ("ready", None)
    assert readiness.runway_days(NOW.date()) is None


def test_a_past_date_in_the_table_proves_nothing_by_itself(on: Scene) -> None:
    on.api.retrieve(good_model(id=OCTOBER), model=OCTOBER)
    on.api.probe(good_chat(model=OCTOBER))

    probed = on.prover().prove(Question(OCTOBER))
    retrieved = on.prover().prove(Question(OCTOBER, probe=False))

    source = "table of 2026-11-28 (fine-tunes)"
    assert (probed.state, probed.dead, probed.warnings) == (
        "ready",
        False,
        (f"its shutdown date 2026-10-23 ({source}) has passed; it answers still",),
    )
    assert (retrieved.state, retrieved.code) == ("unverified", "shutdown-unproved")


DEAD = {
    # the model, its answer, what the list has, the models of its project; dead?
    "own-date-past": (MODEL, good_model(shutdown_date="2026-11-01"), [], (), True),
    "sees-project": (MODEL, missing(), [OLDER], (OLDER,), True),
    "sees-same-organisation": (MODEL, missing(), [OTHER_TASK], (), True),
    "sees-project-of-other-organisation": (MODEL, missing(), [STRANGER], (STRANGER,), True),
    "sees-strangers": (MODEL, missing(), [STRANGER], (), False),
    "sees-base-models-only": (MODEL, missing(), ["gpt-6-luna"], ("gpt-6-luna",), False),
    "sees-nothing": (MODEL, missing(), [], (), False),
    "table-date-past": (OCTOBER, missing(), [], (), True),
    "404-without-code": (MODEL, error(404, None), [OLDER], (OLDER,), False),
    "403": (MODEL, error(403, "model_not_found"), [OLDER], (OLDER,), False),
    "500": (OCTOBER, error(500, None), [OLDER], (OLDER,), False),
    "retired-and-sees-project": (MODEL, missing("has been deprecated"), [OLDER], (OLDER,), True),
}


@pytest.mark.parametrize("row", DEAD)
def test_dead(on: Scene, row: str) -> None:
    model, answer, listed, project_models, dead = DEAD[row]
    on.api.retrieve(answer, model=model)
    on.api.probe(answer)
    on.api.listing(*[model_body(id=name) for name in listed])

    readiness = on.prover().prove(Question(model, project_models=frozenset(project_models)))

    assert (readiness.dead, readiness.is_ready) == (dead, False)


def test_a_list_that_fails_makes_nobody_dead(on: Scene) -> None:
    on.api.retrieve(missing())
    on.api.script("GET", "/v1/models", error(503, None))

    readiness = on.prover().prove(replace(Q, project_models=frozenset({OLDER})))

    assert (readiness.state, readiness.code, readiness.dead) == ("not-ready", "missing", False)


def test_each_distinct_question_is_asked_once_and_sixteen_at_a_time() -> None:
    gate = threading.Barrier(16, timeout=5)

    def together(server: FaultServer, sock: Any) -> None:
        gate.wait()
        sock.sendall(server.signed(error(503, None).data))

    with scene() as on:
        names = [f"gpt-{n}" for n in range(16)]
        for name in names:
            on.api.retrieve(Reply("x", act=together), good_model(id=name), model=name)
        on.api.probe(echo())
        questions = [Question(name) for name in names]
        found = on.prover().prove_all(questions + questions)

    assert list(found) == questions
    assert {item.state for item in found.values()} == {"ready"}
    assert len(on.api.asked("GET")) == 32
    assert len(on.api.asked("POST")) == 16


def test_a_bug_in_a_thread_is_raised_to_the_caller(on: Scene) -> None:
    with pytest.raises(KeyError):
        on.prover().prove_all([Q, replace(Q, endpoint="nowhere")])
    for thread in threading.enumerate():
        if thread.name == "fftdeploy-request":  # the other's; its connection is closed below
            thread.join(20)


def test_200_listed_models_cost_one_request(on: Scene) -> None:
    names = [f"ft:gpt-4.1-mini-2025-04-14:acme::m{n}" for n in range(200)]
    on.api.listing(*[model_body(id=name) for name in names])

    found = on.prover().check_listed(map(Question, names))

    assert {(item.state, item.basis) for item in found.values()} == {("ready", ("listed",))}
    assert on.api.asked() == ["/v1/models"]


def test_what_the_list_lacks_is_retrieved(on: Scene) -> None:
    on.api.listing(model_body(id=OLDER), model_body(id="gpt-4.1", shutdown_date="2026-11-01"))
    other = Question(OTHER_TASK, project_models=frozenset({OLDER}))

    found = on.prover().check_listed([Question(OLDER), Q, other, Question("gpt-4.1")])

    assert [(item.model, item.state, item.basis, item.dead) for item in found.values()] == [
        (OLDER, "ready", ("listed",), False),
        (MODEL, "ready", ("retrieved",), False),
        (OTHER_TASK, "not-ready", (), True),
        ("gpt-4.1", "not-ready", ("listed",), True),
    ]
    assert len(on.api.asked()) == 3


NO_LIST = {
    # the list's answer, the code of every model, requests in all
    "D16-billing": (error(429, "insufficient_quota"), "billing", 1),
    "D10-401": (error(401, "invalid_api_key"), "key-refused", 1),
    "D17-503": (error(503, None), "no-answer", 3),
    "D44-dies": (Reply("x", act=close_at_once), "no-answer", 3),
    "D23-redirect": (reply(302, raw=b"", headers=[("Location", "http://x/")]), "redirect", 1),
    "scope": (error(403, None, "Missing scopes: api.model.list"), "ready", 3),
    "405": (error(405, None), "ready", 3),
    "not-a-list": (reply(body={"object": "list"}), "ready", 3),
}


@pytest.mark.parametrize("row", NO_LIST)
def test_without_a_list(on: Scene, row: str) -> None:
    answer, code, requests = NO_LIST[row]
    on.api.script("GET", "/v1/models", answer)
    on.api.retrieve(good_model(id=OLDER), model=OLDER)

    found = on.prover().check_listed([Q, Question(OLDER)])

    assert [item.code for item in found.values()] == [code] * 2
    assert len(on.api.log) == requests


def test_confirm_after_a_probe_alone_probes_again(on: Scene) -> None:
    on.api.retrieve(error(405, None))
    on.api.probe(good_chat(), error(401, "invalid_api_key"))
    prover = on.prover()

    assert prover.prove(Q).basis == ("probed",)
    with pytest.raises(AuthError):
        prover.confirm(Q)

    assert [entry.method for entry in on.api.log] == ["GET", "POST", "POST"]


def test_confirm_without_a_first_proof_is_a_whole_one(on: Scene) -> None:
    assert on.prover().confirm(Q).basis == ("retrieved", "probed")


def test_confirm_keeps_what_the_probe_proved(on: Scene) -> None:
    on.api.retrieve(good_model(id=OCTOBER), model=OCTOBER)
    on.api.probe(good_chat(model=OCTOBER))
    prover = on.prover()

    prover.prove(Question(OCTOBER))

    assert prover.confirm(Question(OCTOBER)).basis == ("retrieved", "probed")
    assert len(on.api.asked("POST")) == 1


def test_confirm_gives_up_on_an_unusable_answer(on: Scene) -> None:
    on.api.retrieve(good_model(), error(500, None))
    prover = on.prover()
    prover.prove(Q)

    with pytest.raises(UnverifiedError):
        prover.confirm(Q)


def test_models(on: Scene) -> None:
    on.api.listing(
        model_body(created=1),
        model_body(id="gpt-4.1", created=2),
        {"id": 7},
        model_body(id="x", created="y"),
    )

    found = on.prover().models()

    assert [(model.id, model.base, model.owned_by) for model in found] == [
        ("gpt-4.1", "", "acme"),
        (MODEL, "gpt-4.1-mini-2025-04-14", "acme"),
        ("x", "", "acme"),
    ]
    assert found[0].shutdown == Shutdown(
        date(2027, 1, 14), "table of 2026-11-28 (gpt-4.1-2025-04-14)"
    )
    on.api.script("GET", "/v1/models", error(401, "invalid_api_key"))
    with pytest.raises(AuthError):
        on.prover().models()


def test_running_jobs(on: Scene) -> None:
    states = ("running", "queued", "paused", "failed", "succeeded", "cancelled")
    entries = [
        {"object": "fine_tuning.job", "id": f"ftjob-{state}", "status": state} for state in states
    ]
    on.api.script("GET", "/v1/fine_tuning/jobs", reply(body={"data": [*entries, 5]}))

    found = jobs.running(on.prover())

    assert found is not None
    assert [job.id for job in found] == ["ftjob-running", "ftjob-queued", "ftjob-paused"]


def test_D30_a_job_is_followed_to_its_model(on: Scene) -> None:
    script_job(
        on, job("validating_files"), job("queued"), job("running"), job("running"), succeeded()
    )

    found = jobs.follow(on.prover(), JOB)

    assert (found.id, found.model) == (JOB, MODEL)
    assert found.finished_at == datetime(2026, 11, 21, 11, 55, tzinfo=UTC)
    assert on.said == [f"{JOB}: validating files", f"{JOB}: queued", f"{JOB}: running"]
    assert len(on.ticks) == 4
    assert found.is_fresh(NOW + timedelta(minutes=54))
    assert not found.is_fresh(NOW + timedelta(minutes=55))


def test_a_job_survives_a_moment_without_network(on: Scene) -> None:
    lost = [Reply("x", act=close_at_once)] * 3
    script_job(on, job("running"), *lost, job("running"), succeeded())

    assert jobs.follow(on.prover(), JOB).model == MODEL
    assert on.said == [f"{JOB}: running", f"{JOB}: no answer, asking again", f"{JOB}: running"]


BLOCKED = {"type": "moderation_checks", "message": "Model blocked: hate", "level": "error"}
PASSED = {"type": "moderation_checks", "message": "Passed; nothing was blocked", "level": "info"}
JOBS: dict[str, tuple[Reply, Reply | None, str, str, str]] = {
    # the job, its events, the outcome, the code, what is said
    "D30-running": (job("running"), None, "not-ready", "job-running", "it is running"),
    "D30-paused": (job("paused"), None, "not-ready", "job-paused", "it is paused"),
    "D31-failed": (
        job("failed", error={"code": "bad_file", "message": "line 3\n\x1b[2J"}),
        None,
        "not-ready",
        "job-failed",
        "it failed: bad_file: line 3\\n\\x1b[2J",
    ),
    "D31-failed-silently": (job("failed"), None, "not-ready", "job-failed", "it failed"),
    "D31-cancelled": (job("cancelled"), None, "not-ready", "job-cancelled", "it was cancelled"),
    "D32-unknown": (
        job("brand_new_state"),
        None,
        "unverified",
        "job-status",
        "its status 'brand_new_state' is not known to this version",
    ),
    "D33-no-model": (
        succeeded(fine_tuned_model=None),
        None,
        "not-ready",
        "job-succeeded",
        "it succeeded but names no model",
    ),
    "D33-another-job": (
        succeeded(id="ftjob-other"),
        None,
        "unverified",
        "not-an-answer",
        "the API's answer is not about this job",
    ),
    "D33-not-a-model": (
        succeeded(fine_tuned_model="../x"),
        None,
        "unverified",
        "not-an-answer",
        "the model it names is none: '../x' is not a model ID",
    ),
    "blocked": (
        succeeded(),
        events(PASSED, BLOCKED),
        "not-ready",
        "blocked",
        "OpenAI's safety checks blocked its model from deployment: Model blocked: hate",
    ),
    "blocked-by-data": (
        succeeded(fine_tuned_model=None),
        events({"type": "moderation_checks", "message": "", "data": {"blocked": True}}),
        "not-ready",
        "blocked",
        "OpenAI's safety checks blocked its model from deployment",
    ),
    "events-fail": (
        succeeded(),
        error(500, None),
        "unverified",
        "no-answer",
        "the API could not answer (HTTP 500)",
    ),
    "events-are-none": (
        succeeded(),
        reply(body={"data": None}),
        "unverified",
        "not-an-answer",
        "the API's list of its events is not a list",
    ),
    "404": (missing(), None, "not-ready", "missing", "this key cannot see this job"),
    "401": (error(401, None), None, "auth", "key-refused", "the API refused the key (401)"),
    "500": (error(500, None), None, "unverified", "no-answer", "the API could not answer"),
    "billing": (error(429, "insufficient_quota"), None, "auth", "billing", "the account is out"),
}


@pytest.mark.parametrize("row", JOBS)
def test_job_without_a_model(on: Scene, row: str) -> None:
    answer, log, outcome, code, said = JOBS[row]
    script_job(on, answer, log=log)
    kinds = {"not-ready": NotReadyError, "unverified": UnverifiedError, "auth": AuthError}

    with pytest.raises(kinds[outcome]) as caught:
        jobs.follow(on.prover(wait_s=0), JOB)

    assert caught.value.message.startswith(f"{JOB}: {said}")
    assert (caught.value.code, caught.value.where) == (code, on.api.url)
    assert caught.value.hint
    assert caught.value.message.isprintable()


def test_a_passed_check_and_other_events_block_nothing(on: Scene) -> None:
    noise = {"type": "message", "message": "blocked a bad line", "level": "error"}
    script_job(on, succeeded(), log=events(PASSED, noise))

    assert jobs.follow(on.prover(), JOB).model == MODEL


@pytest.mark.parametrize("name", ["", "ft:x", "ftjob-", "ftjob-../x", "ftjob-a\n", "ftjob-\u0430"])
def test_what_is_no_job_is_not_asked_about(on: Scene, name: str) -> None:
    with pytest.raises(UsageError):
        jobs.follow(on.prover(), name)
    assert on.api.accepted == 0


def once_probed(answer: Reply) -> Reply:
    """Answer when a probe is in, and call the model missing where none comes."""

    def act(api: FaultServer, sock: socket.socket) -> None:
        for _ in range(500):
            if api.asked("POST") or api.stopping.wait(0.01):
                break
        sock.sendall(api.signed((answer if api.asked("POST") else missing()).data))

    return Reply(answer.name, act=act)


def test_an_early_probe_does_not_wait_for_the_retrieve(on: Scene) -> None:
    on.api.retrieve(once_probed(good_model()))

    readiness = on.prover(probes_early=True).prove(Q)

    assert (readiness.state, readiness.basis) == ("ready", ("retrieved", "probed"))
    assert len(on.api.log) == 2, "and none is sent again"


@pytest.mark.parametrize(
    "answer", [missing(), good_model(shutdown_date="2026-11-21"), error(401, None)]
)
def test_an_early_probe_saves_no_model_that_the_retrieve_rules_out(
    on: Scene, answer: Reply
) -> None:
    on.api.retrieve(once_probed(answer))
    found = [on.prover(probes_early=early).prove(Q) for early in (True, False)]

    assert found[0] == found[1]
    assert not found[0].is_ready


def test_what_was_begun_is_asked_once(on: Scene) -> None:
    prover = on.prover()
    for _ in range(2):
        prover.begin(Q)
    found = [prover.prove(Q), *prover.prove_all([Q, replace(Q, environment="staging")]).values()]
    prover.begin(Q)

    assert {readiness.state for readiness in found} == {"ready"}
    assert len(on.api.log) == 2


def test_a_past_own_date_is_never_probed(on: Scene) -> None:
    on.api.retrieve(good_model(shutdown_date="2026-11-21"))

    readiness = on.prover().prove(Q)

    assert (readiness.state, readiness.dead, on.api.asked("POST")) == ("not-ready", True, [])
    assert readiness.hint == "OpenAI's table of 2026-11-28 names gpt-6-luna as its replacement"
    assert readiness.runway_days(NOW.date()) == 0
