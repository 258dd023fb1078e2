"""Rows D1 to D45: whatever the API, a proxy or the network does, only a proof makes a model ready.

Each row has its own server on real sockets and either real client; time is a fake clock, except
where something hangs.
"""

import gzip
import json
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import certificates
import pytest
from api_faults import LOCATIONS, PROBES, RETRIEVES, connected
from fake_time import NOW, FakeTime
from fault_server import (
    GOOD,
    KEY,
    MODEL,
    FaultServer,
    Reply,
    drip_body,
    drip_headers,
    error,
    good_chat,
    good_model,
    hang,
    loading,
    missing,
    model_body,
    reply,
)

from fftdeploy.api.answers import Answer
from fftdeploy.api.asking import Asker
from fftdeploy.api.client.connection import Connection
from fftdeploy.api.proof import Prover, Question
from fftdeploy.api.readiness import Readiness
from fftdeploy.api.settings import settings
from fftdeploy.errors import NotReadyError

pytestmark = pytest.mark.usefixtures("over")
Q = Question(MODEL)


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def prove(
    api: FaultServer, question: Question = Q, time: FakeTime | None = None, **more: Any
) -> Readiness:
    """Prove with a fake clock, no waiting unless asked for, and look for the key in the result."""
    with connected(api) as connection:
        more.setdefault("wait_s", 0.0)
        readiness = Prover(connection, Asker((time or FakeTime()).clock(), **more)).prove(question)
    assert KEY[:12] not in repr(readiness) + repr(readiness.error()) + readiness.error().hint
    return readiness


@pytest.mark.parametrize("row", RETRIEVES)
def test_retrieve(api: FaultServer, row: str) -> None:
    replies, state, code, requests = RETRIEVES[row]
    api.retrieve(*replies)
    api.listing()

    readiness = prove(api)

    assert (readiness.state, readiness.code) == (state, code)
    assert len(api.asked("GET")) - api.asked().count("/v1/models") == requests
    assert len(api.asked("POST")) == (1 if state == "ready" else 0)
    assert not readiness.dead or code == "shutdown"
    assert readiness.message.isprintable()


@pytest.mark.parametrize("row", PROBES)
def test_probe(api: FaultServer, row: str) -> None:
    replies, state, code, requests = PROBES[row]
    api.probe(*replies)

    readiness = prove(api)

    assert (readiness.state, readiness.code) == (state, code)
    assert len(api.asked("POST")) == requests
    assert readiness.basis == (("retrieved", "probed") if state == "ready" else ("retrieved",))
    assert api.asked("GET").count("/v1/models/" + MODEL) == 1


def test_the_probe_sends_one_fixed_message_and_a_small_limit(api: FaultServer) -> None:
    refused = error(400, None, "no such field", param="max_completion_tokens")
    api.probe(refused, error(400, None, "max_tokens is too small"), good_chat())

    prove(api)

    message = [{"role": "user", "content": "Reply with the word ok."}]
    bodies = [entry.json for entry in api.log if entry.method == "POST"]
    common = {"model": MODEL, "messages": message}
    assert bodies == [
        {**common, "max_completion_tokens": 16},
        {**common, "max_tokens": 16},
        common,
    ]


ALONE = {
    "D9-405": error(405, None),
    "scope-403": error(403, None, "insufficient permissions. Missing scopes: api.model.read"),
    "scope-401": error(401, None, "Missing scopes: api.model.read"),
    "no-such-endpoint": reply(404, {"detail": "Not Found"}),
}


@pytest.mark.parametrize("row", ALONE)
def test_the_probe_alone_can_prove_it(api: FaultServer, row: str) -> None:
    api.retrieve(ALONE[row])

    ready = prove(api)
    api.probe(missing())
    gone = prove(api)
    unasked = prove(api, replace(Q, probe=False))

    assert (ready.state, ready.basis) == ("ready", ("probed",))
    assert (gone.state, gone.code) == ("not-ready", "missing")
    assert unasked.state == "unverified"


def test_D13_404_without_an_error_object_is_no_missing_model(api: FaultServer) -> None:
    api.retrieve(reply(404, {"detail": "Not Found"}))
    api.probe(reply(404, {"detail": "Not Found"}))

    assert prove(api).state == "unverified"


RETRY_AFTER = {
    # value of the header, seconds slept before the second and third try
    "D15-none": (None, [0.5, 1.0]),
    "D15-3": ("3", [3.0, 3.0]),
    "D15-0": ("0", [0.0, 0.0]),
    "D15-600": ("600", []),
    "D15-nan": ("nan", [0.5, 1.0]),
    "D15-negative": ("-5", [0.5, 1.0]),
    "D15-soon": ("soon", [0.5, 1.0]),
    "D15-inf": ("inf", [0.5, 1.0]),
    "D15-past": ("Wed, 21 Oct 2015 07:28:00 GMT", [0.5, 1.0]),
    "D15-year-9999": ("Fri, 31 Dec 9999 23:59:59 GMT", []),
    "D15-date": ("Sat, 21 Nov 2026 12:00:04 GMT", [4.0, 4.0]),
}


@pytest.mark.parametrize("row", RETRY_AFTER)
def test_retry_after(api: FaultServer, row: str) -> None:
    value, slept = RETRY_AFTER[row]
    headers = [("Date", "Sat, 21 Nov 2026 12:00:00 GMT")]
    headers += [("Retry-After", value)] if value else []
    api.retrieve(error(429, "rate_limit_exceeded", headers=headers))
    said: list[str] = []
    passed = FakeTime()

    readiness = prove(api, time=passed, say=said.append)

    assert (readiness.code, passed.slept) == ("rate-limited", slept)
    if not slept:
        assert readiness.hint.startswith("retry after ")
    if max(slept, default=0) >= 2:
        assert said == [f"too many requests (429); asking again in {slept[0]:.0f} s"] * 2


def test_D8_a_compressed_answer_is_not_unpacked(api: FaultServer) -> None:
    packed = gzip.compress(json.dumps(model_body()).encode())
    api.retrieve(reply(raw=packed, headers=[("Content-Encoding", "gzip")]))

    said = "no usable answer: a body in the encoding 'gzip', unasked"
    assert prove(api).message == said


def test_D8_a_flood_is_cut_off_after_a_mebibyte(api: FaultServer) -> None:
    sent = 0

    def flood(server: FaultServer, sock: socket.socket) -> None:
        nonlocal sent
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
        sock.sendall(server.signed(head))
        while sent < 200:
            sock.sendall(b" " * (1 << 20))
            sent += 1

    api.retrieve(Reply("flood", act=flood))

    readiness = prove(api)

    assert readiness.message == "no usable answer: an answer of more than 1 MiB"
    assert sent < 50


def test_D19_refused_port() -> None:
    with FaultServer() as api:
        pass

    readiness = prove(api)

    assert (readiness.state, readiness.code) == ("unverified", "unreachable")
    assert readiness.message == f"cannot reach 127.0.0.1:{api.port}: connection refused"
    assert readiness.hint == "look at the address: nothing listens there now"


TLS = {"D20-wrong-host": certificates.WRONG_HOST, "D20-expired": certificates.EXPIRED}


@pytest.mark.parametrize("row", TLS)
def test_certificate_of_a_trusted_signer_that_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "c.pem"))
    with FaultServer(tls=certificates.served(tmp_path, TLS[row])) as api:
        readiness = prove(api)

        assert (readiness.state, readiness.code, api.log) == ("unverified", "tls", [])


def test_D20_self_signed_unless_SSL_CERT_FILE_trusts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer(tls=certificates.served(tmp_path, certificates.GOOD)) as api:
        before = prove(api)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "c.pem"))
        after = prove(api)

    assert (before.code, after.code) == ("tls", "ready")


def test_D20_both_variables_and_a_list_of_folders_are_believed(tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text(certificates.EXPIRED)
    (tmp_path / "84cfa336.0").write_text(certificates.GOOD)  # OpenSSL's hash of its name
    trusted = {"SSL_CERT_FILE": str(other), "SSL_CERT_DIR": f"/nowhere:{tmp_path}"}
    with FaultServer(tls=certificates.served(tmp_path, certificates.GOOD)) as api:
        file_only = asked_once(api.url, SSL_CERT_FILE=str(other))
        both = asked_once(api.url, **trusted)

    assert (file_only.fault, both.status) == ("tls", 200)
    assert file_only.problem.endswith(f", by {other} (from SSL_CERT_FILE)")


def test_D20_a_server_without_tls_has_no_certificate_that_is_not_valid() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse_plainly, args=[listener])
        thread.start()
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        answer = asked_once(f"https://{host}/v1")
        thread.join()

    problem = f"cannot reach {host}: it does not speak TLS"
    assert (answer.fault, answer.problem) == ("unreachable", problem)


def refuse_plainly(listener: socket.socket) -> None:
    sock, _ = listener.accept()
    with sock:
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def asked_once(url: str, **environ: str) -> Answer:
    connection = Connection(settings({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": url} | environ))
    try:
        return connection.retrieve(MODEL, 5)
    finally:
        connection.close()


@pytest.mark.parametrize(
    "act", [hang, drip_headers, drip_body], ids=["D22-hang", "D22-headers", "D22-body"]
)
def test_the_deadline_holds_against_a_server_that_never_ends(
    api: FaultServer, act: Callable[..., None]
) -> None:
    api.retrieve(Reply("slow", act=act))
    begun = time.monotonic()

    with connected(api) as connection:
        readiness = Prover(connection, Asker(deadline_s=0.4)).prove(Q)

    assert (readiness.state, readiness.code) == ("unverified", "timeout")
    assert time.monotonic() - begun < 1.4
    api.stopping.set()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("shape", LOCATIONS, ids=lambda shape: f"D23-D24-{shape}")
def test_redirect(api: FaultServer, status: int, shape: str) -> None:
    with FaultServer() as trap:
        location = LOCATIONS[shape].format(trap=trap.port)
        api.retrieve(reply(status, raw=b"", headers=[("Location", location)]))

        readiness = prove(api)

        assert (readiness.state, readiness.code, trap.accepted) == ("unverified", "redirect", 0)
        assert len(api.asked()) == 1
        assert "redirected" in readiness.message


def test_D23_redirected_probe_and_its_key(api: FaultServer) -> None:
    with FaultServer() as trap:
        api.probe(reply(307, raw=b"", headers=[("Location", trap.url)]))

        assert (prove(api).code, trap.accepted) == ("redirect", 0)
        assert f"127.0.0.1:{trap.port}" in prove(api).message


LISTS = {
    "D25-endless": ({"data": [model_body(id="a")], "has_more": True}, 2),
    "D26-empty": ({"data": []}, 1),
    "D26-more-of-nothing": ({"data": [], "has_more": True}, 1),
    "D26-no-data": ({}, 1),
    "D26-bare-array": ([model_body()], 1),
    "D26-contradicting": ({"data": [model_body(), model_body(owned_by="evil")]}, 1),
}


@pytest.mark.parametrize("row", LISTS)
@pytest.mark.parametrize("present", [True, False], ids=["retrieved", "404"])
def test_list_that_lacks_the_model(api: FaultServer, row: str, present: bool) -> None:
    body, pages = LISTS[row]
    api.script("GET", "/v1/models", reply(body=body))
    api.retrieve(good_model() if present else missing())

    with connected(api) as connection:
        found = Prover(connection, Asker(FakeTime().clock())).check_listed([Q])[Q]

    assert (found.state, found.dead) == ("ready" if present else "not-ready", False)
    assert found.basis == (("retrieved",) if present else ())
    assert len([path for path in api.asked() if path.startswith("/v1/models?")]) == pages - 1


def test_D25_a_hundred_pages_are_the_end(api: FaultServer) -> None:
    pages = [reply(body={"data": [model_body(id=f"m{n}")], "has_more": True}) for n in range(150)]
    api.script("GET", "/v1/models", *pages)
    with connected(api) as connection:
        answer = connection.list_models(20)

    assert (answer.fault, len(api.asked())) == ("endless", 100)


def test_D26_ten_thousand_models_in_one_list(api: FaultServer) -> None:
    api.listing(*[model_body(id=f"m{n}") for n in range(12_000)], model_body())
    with connected(api) as connection:
        found = Prover(connection, Asker(FakeTime().clock())).check_listed([Q, Question("m77")])

    assert [(item.state, item.basis) for item in found.values()] == [("ready", ("listed",))] * 2
    assert api.asked() == ["/v1/models"]


def test_D34_deleted_between_the_two_proofs(api: FaultServer) -> None:
    api.retrieve(good_model(), missing())
    with connected(api) as connection:
        prover = Prover(connection, Asker(FakeTime().clock()))
        assert prover.prove(Q).is_ready
        with pytest.raises(NotReadyError) as caught:
            prover.confirm(Q)

    assert caught.value.code == "missing"
    assert [(entry.method, entry.reply) for entry in api.log] == [
        ("GET", GOOD),
        ("POST", GOOD),
        ("GET", "model_not_found"),
    ]


def test_D35_a_proof_is_stale_after_a_minute(api: FaultServer) -> None:
    passed = FakeTime()
    with connected(api) as connection:
        prover = Prover(connection, Asker(passed.clock()))
        ages = [prover.is_stale(Q)]
        prover.prove(Q)
        for more in (0, 60, 1):
            passed.slept.append(more)
            ages.append(prover.is_stale(Q))
        prover.confirm(Q)
        ages.append(prover.is_stale(Q))

    assert ages == [True, False, False, True, False]
    assert len(api.asked("GET")) == 2


DOUBTED = ("unverified", 0)
SKEWS = {
    # the local clock, the server's date, the state of a model that ends on 2026-12-01
    "D37-day-behind": (NOW, "Wed, 02 Dec 2026 12:00:00 GMT", "not-ready", 1),
    "D37-29-days-ahead": (
        datetime(2026, 12, 20, tzinfo=UTC),
        "Sat, 21 Nov 2026 12:00:00 GMT",
        "ready",
        1,
    ),
    "J20-1970": (datetime(1970, 1, 2, tzinfo=UTC), "Sat, 21 Nov 2026 12:00:00 GMT", *DOUBTED),
    "J20-2038": (datetime(2038, 1, 19, tzinfo=UTC), "Sat, 21 Nov 2026 12:00:00 GMT", *DOUBTED),
    "J20-31-days": (NOW, "Tue, 22 Dec 2026 12:00:01 GMT", *DOUBTED),
    "J20-year-9999": (NOW, "Fri, 31 Dec 9999 23:59:59 GMT", *DOUBTED),
    "J20-year-1": (NOW, "Mon, 01 Jan 0001 00:00:00 GMT", *DOUBTED),
    "D37-four-minutes": (NOW, "Sat, 21 Nov 2026 12:04:00 GMT", "ready", 0),
    "D37-no-date": (NOW, "never", "ready", 0),
}


@pytest.mark.parametrize("row", SKEWS)
def test_wrong_local_clock(api: FaultServer, row: str) -> None:
    local, date, state, warned = SKEWS[row]
    body = model_body(shutdown_date="2026-12-01")
    api.retrieve(reply(body=body, headers=[("Date", date)]))
    said: list[str] = []

    readiness = prove(api, time=FakeTime(local), say=said.append)

    assert (readiness.state, len(said)) == (state, warned)


def schedule(random: Random) -> tuple[list[Reply], list[Reply]]:
    """Draw what the API does to a promotion: mostly faults, sometimes the truth."""
    bad = [replies for replies, state, _, _ in RETRIEVES.values() if state != "ready"]
    good = [replies for replies, state, _, _ in RETRIEVES.values() if state == "ready"]
    retrieves = [step for _ in range(random.randint(1, 3)) for step in random.choice(bad)]
    if random.random() < 0.7:
        retrieves = [*retrieves[: random.randint(0, 2)], *random.choice(good)]
    probes = [*random.choice([replies for replies, *_ in PROBES.values()])]
    if random.random() < 0.6:
        probes = [loading()] * random.randint(0, 3) + [good_chat()]
    return retrieves, probes


def proved(api: FaultServer) -> bool:
    """Whether the log holds what a ready model needs: its last answers were the true ones.

    A 404 that does not say that there is no such model leaves that to the probe.
    """
    last = {entry.method: entry.reply for entry in api.log if entry.path != "/v1/models"}
    return last.get("POST") == GOOD and last.get("GET") in {GOOD, "404"}


def test_D45_random_schedules() -> None:
    ready = wrong = missed = 0
    with FaultServer() as api, connected(api) as connection:
        for seed in range(200):
            random = Random(seed)
            retrieves, probes = schedule(random)
            api.retrieve(*retrieves)
            api.probe(*probes)
            api.log.clear()
            prover = Prover(connection, Asker(FakeTime().clock(), wait_s=30.0))
            readiness = prover.prove(Q)
            ready += readiness.is_ready
            wrong += readiness.is_ready and not proved(api)
            missed += proved(api) and not readiness.is_ready
    print(f"D45: 200 tried, {ready} ready, {wrong} wrong, {missed} missed")
    assert (wrong, missed) == (0, 0)
    assert 20 < ready < 180


def test_control_the_bare_sdk_is_fooled(api: FaultServer) -> None:
    import openai

    fooled = []
    rows = {row: replies for row, (replies, state, *_) in RETRIEVES.items() if state != "ready"}
    rows["D23-redirect"] = []
    with (
        FaultServer() as trap,
        openai.OpenAI(api_key=KEY, base_url=api.url, timeout=2, max_retries=0) as bare,
    ):
        trap.script("GET", "/believed", good_model())
        elsewhere = f"http://127.0.0.1:{trap.port}/believed"
        for row, replies in rows.items():
            api.retrieve(*replies or [reply(302, raw=b"", headers=[("Location", elsewhere)])])
            try:
                with warnings.catch_warnings(action="ignore"):
                    bare.models.retrieve(MODEL)
            except Exception:  # noqa: S112  the control's whole idea of proof
                continue
            fooled.append(row)
        assert trap.accepted == 1
    print(f"bare SDK: {len(rows)} tried, {len(fooled)} wrong; fftdeploy: 0 wrong")
    assert len(fooled) >= 13
