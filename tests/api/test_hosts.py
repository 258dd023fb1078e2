"""Rows J3 to J6: other hosts' answers over a real socket, and addresses that are not quite right.

Bodies as vLLM 0.32, llama.cpp, LiteLLM 1.108 and transformers 5.19 were seen to send them; those of
the other hosts are from their documentation or source, and were not tried against them.
"""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from command_line import Command
from fake_time import FakeTime
from fault_server import (
    GOOD,
    KEY,
    MODEL,
    FaultServer,
    Reply,
    chat_body,
    close_at_once,
    echo,
    error,
    good_chat,
    good_model,
    missing,
    reply,
)
from gated import TARGET, scene
from scenes import FILE, LUNA, V7, V8, V10, past, read, row, table, write

from fftdeploy.api.asking import Asker
from fftdeploy.api.client.connection import PROBE_TEXT, Connection
from fftdeploy.api.hosts import KINDS as KINDS_OF_HOSTS
from fftdeploy.api.hosts import Kind, better_address, kind_of, limit_fields
from fftdeploy.api.proof import Prover, Question
from fftdeploy.api.providers import NOTHING_SAID, Provider
from fftdeploy.api.readiness import Readiness
from fftdeploy.api.settings import settings
from fftdeploy.commands import context
from fftdeploy.model_ids.model_names import is_answer_of
from fftdeploy.policy import profiles
from fftdeploy.sandbox import Sandbox

LIMITS = ("max_tokens", "max_completion_tokens")
Q = Question(MODEL)


def text(status: int, body: str = "Not Found", kind: str = "text/plain") -> Reply:
    return reply(status, raw=body.encode(), content_type=kind, name=str(status))


def body(status: int, value: Any) -> Reply:
    return reply(status, value, name=str(status))


def entries(*values: Any, **more: Any) -> Reply:
    return reply(body={"object": "list", "data": [*values]} | more)


def listed(model: str = MODEL, **more: Any) -> dict[str, Any]:
    return {"id": model, "object": "model", "created": 1760000000, "owned_by": "x"} | more


DETAIL = body(404, {"detail": "Not Found"})
NO_ROUTE = body(
    404, {"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}
)
VLLM = {
    "message": f"The model `{MODEL}` does not exist. Valid aliases: tiny.",
    "type": "NotFoundError",
    "param": "model",
    "code": 404,
}
LITELLM = {
    "message": f"Invalid model name passed in model={MODEL}. Call `/v1/models`",
    "type": "None",
    "param": "None",
    "code": "400",
}
OLLAMA = {
    "message": f"model '{MODEL}' not found",
    "type": "not_found_error",
    "param": None,
    "code": None,
}
GROQ = {
    "message": f"The model `{MODEL}` does not exist or you do not have access to it.",
    "type": "invalid_request_error",
    "code": "model_not_found",
}
INVALID_URL = {
    "message": "Invalid URL (GET /models)",
    "type": "invalid_request_error",
    "code": None,
}
OPENROUTER = {"message": f"{MODEL} is not a valid model ID", "code": 400}
TOGETHER = {
    "message": f"Unable to access non-serverless model {MODEL}.",
    "type": "invalid_request_error",
    "param": None,
    "code": "model_not_available",
}


class Host(NamedTuple):
    """What one host answers about a model that it serves, and about one that it does not."""

    retrieve: Reply
    listing: Reply
    listing_without: Reply
    refusal: Reply
    lost: str = "not-served"
    """What is said of the other one."""
    answered: Reply = echo()


HOSTS = {
    "vllm": Host(DETAIL, entries(listed(root="/m")), entries(), body(404, {"error": VLLM})),
    "vllm-resolver": Host(DETAIL, entries(), entries(), body(404, {"error": VLLM})),
    "llama.cpp": Host(
        NO_ROUTE,
        entries(listed(aliases=[], meta={}), models=[{"name": MODEL}]),
        entries(listed("tiny")),
        good_chat(model="tiny"),
        "other-model",
    ),
    "litellm": Host(
        body(404, {"detail": f"The model {MODEL} does not exist or is not accessible"}),
        entries(listed(owned_by="openai")),
        entries(),
        body(400, {"error": LITELLM}),
    ),
    "litellm-upstream-gone": Host(
        good_model(),
        entries(listed(owned_by="openai")),
        entries(listed(owned_by="openai")),
        body(404, {"error": {"message": f"litellm.NotFoundError: {MODEL}", "code": "404"}}),
        "refused",
    ),
    "transformers": Host(
        DETAIL,
        text(500, "Internal Server Error"),
        text(500, "Internal Server Error"),
        body(400, {"detail": "Server is pinned to tiny"}),
        "refused",
    ),
    "sglang-adapter": Host(missing(), entries(listed()), entries(), body(404, {"error": GROQ})),
    "together": Host(
        DETAIL, reply(body=[listed()]), reply(body=[]), body(400, {"error": TOGETHER})
    ),
    "groq": Host(
        body(404, {"error": GROQ}), entries(listed()), entries(), body(404, {"error": GROQ})
    ),
    "openrouter": Host(DETAIL, entries(listed()), entries(), body(400, {"error": OPENROUTER})),
    "ollama": Host(text(404), entries(listed()), entries(), body(404, {"error": OLLAMA})),
    "lm-studio": Host(DETAIL, entries(listed()), entries(), good_chat(model="b"), "other-model"),
    "tgi": Host(text(404, "-"), entries(listed(created=0)), entries(), text(404), "not-an-answer"),
    "mistral": Host(
        body(404, {"detail": "x"}), entries(listed()), entries(), text(400, "-"), "not-an-answer"
    ),
    "error-as-string": Host(
        body(404, {"error": "Not Found"}),
        entries(listed()),
        entries(),
        body(404, {"error": f"no model {MODEL}"}),
    ),
    "gateway-html": Host(
        text(404, "<html>", "text/html"), entries(listed()), entries(), text(502), "no-answer"
    ),
    "no-list": Host(DETAIL, DETAIL, DETAIL, body(404, {"error": GROQ}), "refused"),
    "no-models": Host(text(405), text(501), text(501), body(404, {"error": GROQ}), "refused"),
    "invalid-url": Host(
        body(404, {"error": INVALID_URL}), entries(listed()), entries(), body(404, {"error": VLLM})
    ),
    "azure": Host(
        body(404, {"error": {"code": "404", "message": "Resource not found"}}),
        entries(listed("gpt-4.1-mini-2025-04-14", lifecycle_status="generally-available")),
        entries(),
        body(404, {"error": {"code": "DeploymentNotFound", "message": "no such deployment"}}),
        "refused",
    ),
}
KINDS: dict[str, tuple[str, Kind | None]] = {"azure-told": ("azure", "azure")}
for each in HOSTS.keys() - {"azure"}:
    KINDS[f"{each}-told"] = (each, "openai-compatible")
    KINDS[f"{each}-found-out"] = (each, None)


@pytest.fixture(name="api")
def another_host() -> Iterator[FaultServer]:
    with FaultServer(is_openai=False) as server:
        yield server


@contextmanager
def asking(
    api: FaultServer, provider: Provider = NOTHING_SAID, wait_s: float = 0
) -> Iterator[Prover]:
    known = settings({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": api.url}, provider)
    connection = Connection(known)
    try:
        yield Prover(connection, Asker(FakeTime().clock(), wait_s=wait_s))
    finally:
        connection.close()


def prove(
    api: FaultServer, kind: Kind | None = None, asked: Question = Q, **more: Any
) -> Readiness:
    with asking(api, Provider(kind=kind, **more)) as prover:
        found = prover.prove(asked)
    assert found.error().message.isprintable()
    return found


@pytest.fixture
def site(repo: Path, api: FaultServer, monkeypatch: pytest.MonkeyPatch) -> FaultServer:
    """The host that the commands of a repository ask."""
    monkeypatch.setenv("OPENAI_BASE_URL", api.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return api


def serves(api: FaultServer, host: Host) -> None:
    api.retrieve(host.retrieve)
    api.script("GET", "/v1/models", host.listing)
    api.probe(host.answered)


def lacks(api: FaultServer, host: Host) -> None:
    api.retrieve(host.retrieve)
    api.script("GET", "/v1/models", host.listing_without)
    api.probe(host.refusal)


@pytest.mark.parametrize("row", sorted(KINDS))
def test_J3_no_model_that_answers_is_called_missing(api: FaultServer, row: str) -> None:
    name, kind = KINDS[row]
    host = HOSTS[name]
    serves(api, host)

    found = prove(api, kind)
    with asking(api, Provider(kind=kind)) as prover:
        looked = prover.check_listed([Q])[Q]

    assert (found.state, found.dead, found.basis[-1]) == ("ready", False, "probed")
    assert (looked.state in {"ready", "unverified"}, looked.dead) == (True, False)


@pytest.mark.parametrize("row", sorted(KINDS))
def test_J3_a_model_that_is_not_there_is_never_dead(api: FaultServer, row: str) -> None:
    name, kind = KINDS[row]
    host = HOSTS[name]
    lacks(api, host)

    found = prove(api, kind)

    state = "not-ready" if host.lost == "not-served" else "unverified"
    assert (found.state, found.code, found.dead) == (state, host.lost, False)


@pytest.mark.parametrize("code", ["model_not_found", None])
def test_J3_a_404_that_speaks_of_a_while_is_no_absence(api: FaultServer, code: str | None) -> None:
    """Where there is no list and no record, neither is it an address without an API."""
    api.retrieve(DETAIL)
    api.probe(error(404, code, f"The model {MODEL} is loading, try again"))
    api.listing()
    unlisted = prove(api)
    api.script("GET", "/v1/models", DETAIL)

    assert (unlisted.state, unlisted.code) == ("unverified", "refused")
    assert prove(api).code == "refused"


LOADING = {"message": "Loading model", "type": "unavailable_error", "code": 503}


def test_J3_a_model_that_is_loaded_at_the_start_is_waited_for(api: FaultServer) -> None:
    """llama.cpp answers 503 to all questions until then, and its list is asked for again."""
    loads, good = body(503, {"error": LOADING}), good_chat(model="tiny")
    api.script("GET", "/v1/models", *[loads] * 3, entries(listed("tiny", aliases=[MODEL])))
    api.probe(*[loads] * 5, good)

    with asking(api, wait_s=60) as prover:
        found = prover.prove(Q)
    assert (found.state, found.basis) == ("ready", ("listed", "probed"))
    api.script("GET", "/v1/models", loads)
    api.probe(loads)
    with asking(api) as prover:
        (looked,) = prover.check_listed([Q]).values()
    for lost in (prove(api), looked):
        assert (lost.state, lost.code) == ("unverified", "loading")
        assert "still being loaded by the API (503)" in lost.message


def test_J3_a_wrong_key_is_one_whatever_the_status(api: FaultServer) -> None:
    """LiteLLM without a database answers 400 to it, and says nothing of a key."""
    said = {"message": "No connected db.", "type": "no_db_connection", "param": None}
    refused = body(400, {"error": said | {"code": "400"}})
    api.retrieve(refused)
    api.script("GET", "/v1/models", refused)
    api.probe(refused)

    found = prove(api)
    with asking(api) as prover:
        (looked,) = prover.check_listed([Q]).values()

    assert {(one.code, one.is_auth) for one in (found, looked)} == {("key-refused", True)}
    assert found.message == "the API refused the key (400)"
    api.probe(body(400, {"error": said | {"type": "invalid_request_error"}}))
    api.listing(listed())
    assert not prove(api).is_auth, "the control"


def test_J3_control_believed_as_openai_some_that_answer_are_missing(api: FaultServer) -> None:
    wrong = []
    for name, host in HOSTS.items():
        serves(api, host)
        if prove(api, "openai").state == "not-ready":
            wrong.append(name)

    assert wrong == ["sglang-adapter", "groq"]


def test_J3_only_the_word_of_openai_itself_is_believed(api: FaultServer) -> None:
    """A number as the code is none, and a sandbox is believed only on this machine."""
    api.retrieve(missing())
    api.probe(missing())
    api.listing()
    numbered = error(404, None, "no")
    told = prove(api, "openai")
    api.retrieve(numbered)
    api.probe(numbered)

    assert (told.state, told.code) == ("not-ready", "missing")
    assert prove(api, "openai").code == "refused"
    assert [
        kind_of(f"https://{host}/v1")
        for host in (
            "api.openai.com",
            "eu.api.openai.com",
            "openai.com.evil.example",
            "xopenai.com",
        )
    ] == ["openai", "openai", "openai-compatible", "openai-compatible"]
    assert kind_of("https://acme.openai.azure.com/openai/v1") == "openai-compatible"
    assert kind_of("http://127.0.0.1:8080/v1") is None


ADDRESSES = {
    # what was set, what was meant; "" where nothing is known to be wrong
    "http://127.0.0.1:8000": "http://127.0.0.1:8000/v1",
    "https://h.example": "https://h.example/v1",
    "https://h.example/v1/v1": "https://h.example/v1",
    "https://h.example/v1/v1/v1": "https://h.example/v1",
    "https://h.example/v1/chat/completions": "https://h.example/v1",
    "https://h.example/v1/models": "https://h.example/v1",
    "https://h.example/v1/responses": "https://h.example/v1",
    "https://h.example/chat/completions": "https://h.example/v1",
    "https://h.example/v1/v1/chat/completions": "https://h.example/v1",
    "https://h.example/api": "",
    "https://h.example/v1": "",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_J3_what_an_address_was_meant_to_be(address: str) -> None:
    assert better_address(address) == ADDRESSES[address]


NO_ADDRESSES = {
    # what was set, what is proposed; "" where nobody can tell, or it may be a password
    "localhost:8190/v1": "http://localhost:8190/v1",
    "127.0.0.1:8190": "http://127.0.0.1:8190/v1",
    "api.openai.com/v1/": "https://api.openai.com/v1",
    "http://gateway.example": "https://gateway.example/v1",
    "https//h.example/v1": "https://h.example/v1",
    "http:/127.0.0.1:8190/v1": "http://127.0.0.1:8190/v1",
    "htps://h.example/v1": "https://h.example/v1",
    '"http://127.0.0.1:8190/v1"': "http://127.0.0.1:8190/v1",
    "https://h.example/v1?api-version=2": "https://h.example/v1",
    "https://me:hunter2@h.example/v1": "",
    "sk-proj-abc.def": "",
    "hunter2": "",
    "http://": "",
    "[h.example/v1": "",
    "https://h.example/v1 https://h.example": "",
}


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_J3_what_is_no_address_is_told_with_the_one_that_was_meant(
    repo: None, command: Command, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    write(past("triage/production", V7, V8))
    meant = NO_ADDRESSES[address]
    like = "an address is like https://api.openai.com/v1, or http:// of this machine"
    for argv in (*ONLINE.values(), ("eval", "triage/production", "live")):
        if argv[0] == "eval":
            scene(V8, V10)
        done = command(*argv)
        assert done.code == 3, done.err
        error, hint = done.err.splitlines()[-2:]
        assert error.startswith("error: OPENAI_BASE_URL ")
        first = f"did you mean {meant}? or" if meant else f"{like}; or"
        others = f"{first} name another release with --to N, or go back --unverified"
        usual = f"did you mean {meant}?" if meant else like
        assert hint == f"hint: {others if argv[0] == 'rollback' else usual}"
        assert "hunter2" not in done.err


ONLINE = {
    "check": ("check",),
    "check-probe": ("check", "--probe"),
    "status": ("status", "--fail-on", "dead"),
    "promote": ("promote", "triage/production", "--model", LUNA, "--yes", "--by", "ci"),
    "promote-job": ("promote", "triage/production", "--job", "ftjob-v9", "--yes", "--by", "ci"),
    "rollback": ("rollback", "triage/production", "--yes", "--by", "ci"),
    "models": ("models",),
}


@pytest.mark.parametrize("path", ["", "/v1/v1", "/v1/chat/completions", "/v2"])
def test_J3_a_wrong_address_is_told_the_same_by_every_command(
    repo: None, command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    address = sandbox.url.removesuffix("/v1") + path
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    before = write(past("triage/production", V7, V8))
    hint = f"export OPENAI_BASE_URL={sandbox.url}"
    said = f"{address} is no OpenAI-compatible API ('Invalid URL')"
    said += "" if path == "/v1/v1" else ": the address usually ends in /v1"
    unprobed = {}
    if path == "/v2":
        hint = "look at OPENAI_BASE_URL"
        none = "the host has no list of models (HTTP 404), and nothing was probed"
        unprobed = {
            "check": (none, "fftdeploy check --probe"),
            "models": (none, "`fftdeploy check --probe` asks the models themselves"),
            "promote-job": ("this host has no such job, or no jobs at all", "name the model"),
        }

    for name, argv in ONLINE.items():
        done = command(*argv)
        told = " ".join((done.out + done.err).split())
        what, how = unprobed.get(name, (said, hint))
        assert (name, done.code) == (name, 9)
        assert (name, address in told, what in told) == (name, True, True)
        assert (name, how in told) == (name, name not in {"status", "rollback"})
    assert FILE.read_bytes() == before


@pytest.mark.parametrize("status", [404, 405, 501])
def test_J3_a_host_without_a_list_is_asked_by_a_probe(
    command: Command, site: FaultServer, status: int
) -> None:
    """As Vertex is; no command calls its address wrong, and all that probe agree."""
    for path in ("models", f"models/{V8}", f"models/{LUNA}"):
        site.script("GET", f"/v1/{path}", text(status))
    site.probe(echo())
    write(past("triage/production", V7, V8))

    ended = {name: command(*argv) for name, argv in ONLINE.items() if name != "promote-job"}

    assert {name: done.code for name, done in ended.items()} == {
        "check": 9,
        "check-probe": 0,
        "status": 0,
        "promote": 0,
        "rollback": 0,
        "models": 9,
    }
    assert not any("no API" in done.out + done.err for done in ended.values())
    assert "fftdeploy check --probe" in " ".join(ended["check"].out.split())


@pytest.mark.parametrize("said", [{}, {"models": []}, {"data": {}}])
def test_J3_what_is_no_list_is_not_told_as_one_that_lacks_the_model(
    api: FaultServer, said: dict[str, Any]
) -> None:
    api.script("GET", "/v1/models", reply(body=said))

    with asking(api) as prover:
        looked = prover.check_listed([Q])[Q]

    assert (looked.state, looked.code) == ("unverified", "not-an-answer")
    assert "does not list it" not in looked.message


def test_J3_a_model_that_a_host_neither_lists_nor_serves(
    command: Command, site: FaultServer
) -> None:
    """Every command says so, and none calls it dead: a rollback passes over it."""

    def answer(asked: Any) -> Reply:
        if asked["model"] in {V8, LUNA}:
            return body(404, {"error": VLLM | {"message": f"no {asked['model']}"}})
        return good_chat(model=asked["model"])

    site.listing(listed(V7), listed(V10))
    site.probe(Reply(GOOD, made=answer))
    write(past("triage/production", V7, V8, V10), past("triage/staging", V8))
    said = "the host neither lists nor serves it (HTTP 404: no "

    promoted = command(*ONLINE["promote"])
    status = command("status", "--fail-on", "dead", "--json")
    looked, probed = command("check"), command("check", "--probe", "--json")
    back = command(*ONLINE["rollback"], "--json")

    assert promoted.code == 4
    assert promoted.err.splitlines()[1] == f"error: {LUNA}: {said}{LUNA}) ({site.url})"
    rows = {row["target"]: row for row in json.loads(status.out)["targets"]}
    known = rows["triage/staging"]["readiness"]
    assert (status.code, known["state"], known["code"], known["dead"]) == (
        0,
        "not-ready",
        "not-served",
        False,
    )
    assert rows["triage/production"]["rollback"]["model"] == V7
    assert (looked.code, probed.code) == (9, 0)
    assert "the host does not list it, which proves nothing without a probe" in looked.out
    found = {row["code"]: row for row in json.loads(probed.out)["findings"]}
    assert (found["not-ready"]["severity"], found["not-ready"]["subject"]) == (
        "notice",
        "triage/staging",
    )
    assert back.code == 0
    reasons = {one["model"]: one["reason"] for one in json.loads(back.out)["candidates"]}
    assert reasons[V8] == f"{said}{V8})"
    assert read("triage/production").model == V7


@pytest.mark.parametrize("model", ["acme/triage-v3", "accounts/a/models/m#d", "a+b"])
def test_J3_an_id_of_another_host_needs_the_name_of_that_host(
    repo: Path, command: Command, model: str
) -> None:
    write(past("triage/production", V8))

    ended = command("promote", "triage/production", "--model", model, "--yes", "--by", "ci")

    said, hint = ended.err.splitlines()
    wrong = next(char for char in model if char in "/#+")
    assert ended.code == 2
    assert said == f"error: {model!r} is not an OpenAI model ID: it contains {wrong!r}"
    assert hint == "hint: name the host that has it: --provider NAME"


def test_J3_an_evaluation_at_a_wrong_address_says_so_too(
    repo: Path, command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene(V8, V10)
    address = sandbox.url.removesuffix("/v1")
    monkeypatch.setenv("OPENAI_BASE_URL", address)

    ended = command("eval", "triage/production")

    said, hint = ended.err.splitlines()[1:]
    told = f"{address} is no OpenAI-compatible API ('Invalid URL'): the address usually ends in /v1"
    assert (ended.code, hint) == (9, f"hint: export OPENAI_BASE_URL={sandbox.url}")
    assert said.startswith(f"error: {told}")


ANOTHER = "gpt-4.1-nano-2025-04-14"
SNAPSHOTS = {
    # asked, answered, whether that is the same model
    "itself": (MODEL, MODEL, True),
    "base": ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", True),
    "old-base": ("gpt-4", "gpt-4-0613", True),
    "tuned": ("ft:gpt-4.1-mini:acme:x:A1", "ft:gpt-4.1-mini-2025-04-14:acme:x:A1", True),
    "tuned-of-other-suffix": ("ft:gpt-4.1-mini:acme:x:A1", f"ft:{LUNA}:acme:x:A1", False),
    "tuned-by-its-base": (MODEL, "gpt-4.1-mini-2025-04-14", False),
    "family": ("gpt-4.1", "gpt-4.1-mini-2025-04-14", False),
    "undated": ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini", False),
    "variant": ("gpt-4", "gpt-4-0613-preview", False),
    "other-case": ("Tiny", "tiny", False),
    "other": (LUNA, ANOTHER, False),
}


@pytest.mark.parametrize("row", SNAPSHOTS)
def test_J4_which_names_mean_one_model(row: str) -> None:
    asked, answered, same = SNAPSHOTS[row]

    assert is_answer_of(asked, answered) == same
    assert is_answer_of(asked, answered, {answered})


ALIASES: dict[str, tuple[list[dict[str, Any]], bool]] = {
    # the list, and whether the model asked for may answer as `tiny`
    "alias": ([listed("tiny", aliases=[MODEL, "small"])], True),
    "own-alias": ([listed(aliases=["tiny"])], True),
    "root": ([listed(root="tiny")], True),
    "adapter": ([listed(root="tiny"), listed("tiny", root="tiny")], False),
    "shared-root": ([listed(root="tiny"), listed("b", root="tiny")], False),
    "shared-alias": ([listed(aliases=["tiny"]), listed("b", aliases=["tiny"])], False),
    "parent": ([listed(parent="tiny"), listed("tiny")], False),
    "no-names": ([listed(aliases=None, root=7), listed("tiny")], False),
    "nothing": ([], False),
}


@pytest.mark.parametrize("row", ALIASES)
def test_J4_an_alias_that_the_list_gives_is_the_model(api: FaultServer, row: str) -> None:
    known, same = ALIASES[row]
    api.listing(*known)
    api.probe(good_chat(model="tiny"))

    found = prove(api)
    allowed = prove(api, answers_as={MODEL: frozenset({"tiny"})})

    assert found.code == ("ready" if same else "other-model")
    assert allowed.is_ready


def test_J3_an_alias_is_listed_as_much_as_the_id(api: FaultServer) -> None:
    """So llama.cpp lists its model: `check` need not probe it."""
    api.retrieve(NO_ROUTE)
    api.listing(listed("tiny", aliases=["tiny", MODEL]), listed("b", aliases="abc"))
    api.probe(good_chat(model="tiny"))

    with asking(api) as prover:
        looked = prover.check_listed([Q, Question("a")])

    assert [(found.state, found.basis) for found in looked.values()] == [
        ("ready", ("listed",)),
        ("unverified", ()),
    ]
    assert prove(api).basis == ("listed", "probed")
    api.probe(body(404, {"error": VLLM}))
    assert prove(api).code == "refused"
    api.listing(listed("tiny", aliases=[MODEL]), listed("b", aliases=[MODEL]))
    with asking(api) as prover:  # which of the two it is, with whose dates, is not known
        assert prover.check_listed([Q])[Q].code == "unlisted"
    assert prove(api).code == "refused"


def test_J4_every_command_says_that_another_model_answers(
    repo: Path, command: Command, site: FaultServer
) -> None:
    site.listing(listed(LUNA), listed(V7), listed(V8))
    site.probe(good_chat(model=ANOTHER))
    before = write(past("triage/production", V7, V8))
    argvs = {**ONLINE, "check": ("check", "--probe")}

    ended = {}
    for name in ("check", "status", "promote", "rollback"):
        done = command(*argvs[name])
        ended[name] = done.code
        told = " ".join((done.out + done.err).split())
        assert f"it was answered by another model, '{ANOTHER}'" in told, name
        assert V8 in told or LUNA in told or V7 in told

    assert ended == {"check": 12, "status": 12, "promote": 9, "rollback": 9}
    assert FILE.read_bytes() == before

    allowed = {model: [ANOTHER] for model in (V7, V8, LUNA)}
    file = repo.parent / "home/.config/fftdeploy/providers.toml"
    file.parent.mkdir(parents=True)
    rows = ", ".join(f'"{model}" = {json.dumps(names)}' for model, names in allowed.items())
    file.write_text(f"[openai]\nanswers_as = {{ {rows} }}\n")

    assert [command(*argvs[name]).code for name in ended] == [0, 0, 0, 0]
    assert [release.bundle.model for release in read("triage/production").releases] == [
        V8,
        LUNA,
        V8,
        V7,
    ]


def gated(api: FaultServer, answer: Callable[[Any], Reply]) -> None:
    """Write a gated target, and let the host answer probes rightly and examples by `answer`."""
    Path("profiles").mkdir()
    Path("profiles/short.toml").write_text("max_completion_tokens = 200\n")
    scene(V8, V10)
    hashed = profiles.content_sha({"max_completion_tokens": 200})
    tables = [
        table(name, model, [row(1, model, "short", profile_sha=hashed)], profile="short")
        for name, model in (("triage/staging", V10), ("triage/production", V8))
    ]
    write(*tables)
    api.listing(listed(V8), listed(V10))

    def made(asked: Any) -> Reply:
        is_probe = asked["messages"][-1]["content"] == PROBE_TEXT
        return good_chat(model=asked["model"]) if is_probe else answer(asked)

    api.probe(Reply(GOOD, made=made))


@pytest.mark.parametrize("shared", [[], ["tiny"]])
def test_J4_anothers_answers_are_no_evidence(
    command: Command, site: FaultServer, shared: list[str]
) -> None:
    """Where the probe was answered by the ID and later answers by a name of the list, too."""
    gated(site, lambda asked: good_chat(model="tiny" if asked["model"] == V10 else V8))
    given = [listed(V8, aliases=shared), listed(V10, aliases=shared)]
    site.listing(*given)

    ended = command("eval", "triage/production")
    site.listing(given[0] | {"aliases": []}, listed(V10, aliases=["tiny"]))
    named = command("eval", "triage/production")

    assert (ended.code, named.code in {0, 7}) == (9, True)
    assert f"candidate ({V10}): it was answered by another model, 'tiny'" in ended.err
    (evidence,) = Path(".fftdeploy").glob("evidence/**/*.json")
    assert json.loads(evidence.read_text())["answered_by"] == {"candidate": ["tiny"]}


def forever(server: FaultServer, sock: socket.socket) -> None:
    """Generate as a host does that has found no limit."""
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while not server.stopping.wait(0.02):
        sock.sendall(b" ")


def limited(asked: Any) -> Reply:
    """Answer as a host that knows `max_tokens` only, and passes over any other name."""
    bounded = 0 < asked.get("max_tokens", 0) <= 200
    return good_chat(model=asked["model"]) if bounded else Reply("forever", act=forever)


def sent(api: FaultServer) -> list[dict[str, Any]]:
    return [entry.json for entry in api.log if entry.method == "POST"]


def test_J5_a_host_that_passes_over_an_unknown_limit_is_bounded(api: FaultServer) -> None:
    api.listing(listed())
    api.probe(Reply(GOOD, made=limited))

    assert prove(api).is_ready
    assert [asked["max_tokens"] for asked in sent(api)] == [16]


def test_J5_no_host_but_openai_is_ever_asked_without_a_limit(api: FaultServer) -> None:
    api.listing(listed())
    api.probe(error(400, None, "no such limit: max_tokens, max_completion_tokens"))

    found = [prove(api, kind).state for kind in KINDS_OF_HOSTS]

    assert found == ["unverified"] * 3
    fields = [{*asked} & {"max_tokens", "max_completion_tokens"} for asked in sent(api)]
    assert fields == [
        {"max_completion_tokens"},
        {"max_tokens"},
        set(),  # openai
        {"max_tokens"},
        {"max_completion_tokens"},  # azure
        {"max_tokens"},
        {"max_completion_tokens"},  # others
    ]
    assert [limit_fields(kind, "responses") for kind in KINDS_OF_HOSTS] == [
        ("max_output_tokens", ""),
        ("max_output_tokens",),
        ("max_output_tokens",),
    ]


def test_J4_evidence_says_by_which_names_a_model_has_answered(
    repo: Path, command: Command, site: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of what kind the host was: evidence made with another kind does not count."""
    gated(site, lambda asked: good_chat(model="tiny" if asked["model"] == V10 else V8))
    file = repo.parent / "p.toml"
    monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(file))
    file.write_text(f'[openai]\nanswers_as = {{ "{V10}" = ["tiny", "small"] }}\n')
    promotion = ("promote", "triage/production", "--yes", "--why", "PR #7", "--dry-run")

    evaluated = command("eval", "triage/production")
    (path,) = Path(".fftdeploy").glob("evidence/**/*.json")
    said = json.loads(path.read_text())
    counted = command(*promotion)
    file.write_text(file.read_text() + 'kind = "openai"\n')
    site.retrieve(good_model(id=V10), model=V10)
    not_counted = command(*promotion)

    assert evaluated.code in {0, 7}
    assert (said["kind"], said["answered_by"]) == ("openai-compatible", {"candidate": ["tiny"]})
    assert path.stem[:12] in counted.out + counted.err
    assert not_counted.code == 7
    assert "made with another kind of host, openai-compatible and not openai" in not_counted.err


@pytest.mark.parametrize("known", ["max_tokens", "max_completion_tokens"])
def test_J5_an_evaluation_sends_the_limit_by_the_name_that_the_host_knows(
    command: Command, site: FaultServer, known: str
) -> None:
    def answer(asked: Any) -> Reply:
        if known in asked:
            return good_chat(model=asked["model"])
        return error(400, None, f"unknown: {({*asked} & set(LIMITS)).pop()}")

    gated(site, answer)
    site.probe(Reply(GOOD, made=answer))

    ended = command("eval", "triage/production")

    assert ended.code in {0, 7}  # an empty answer is wrong, whichever arm gives it
    asked = [body for body in sent(site) if body["messages"][-1]["content"] != PROBE_TEXT]
    assert len(asked) == 134
    assert {(known in body, len({*body} & set(LIMITS)), body[known]) for body in asked} == {
        (True, 1, 200)
    }


JOBS_ROUTES = {
    "vllm": DETAIL,
    "llama.cpp": NO_ROUTE,
    "litellm": text(500, "Internal Server Error"),
    "not-implemented": body(501, {"error": {"message": "not implemented"}}),
    "method": text(405),
}


@pytest.mark.parametrize("row", JOBS_ROUTES)
def test_J6_a_host_without_jobs_lists_its_models(
    command: Command, site: FaultServer, monkeypatch: pytest.MonkeyPatch, row: str
) -> None:
    site.listing(listed("tiny"))
    site.script("GET", "/v1/fine_tuning/jobs", JOBS_ROUTES[row])
    monkeypatch.setattr(context, "system_clock", lambda: FakeTime().clock())

    shown, data = command("models"), command("models", "--json")

    assert (shown.code, shown.out.splitlines()[1].split()[0]) == (0, "tiny")
    assert shown.out.splitlines()[-1] == "jobs: none here"
    said = json.loads(data.out)
    assert (said["jobs"], said["jobs_unknown"]) == (None, None)


SCOPES = error(403, None, "You have insufficient permissions. Missing scopes: api.x.read, b.y.")
UNKNOWN_JOBS = {
    # what the route answers, exit code, what is said of the jobs, what is hinted
    "key": (error(401, "invalid_api_key"), 10, "the API refused the key (401)", "check OPENAI"),
    "forbidden": (error(403, None), 10, "the key's project may not use", "allow the model"),
    "scopes": (
        SCOPES,
        10,
        "the key lacks the permission",
        "give the key the scopes api.x.read, b.y",
    ),
    "failed": (error(500, None), 9, "the API could not answer (HTTP 500)", "ask again later"),
    "page": (text(200, "<html>", "text/html"), 9, "no usable answer", "look at the address"),
    "page-500": (text(500, "<html>", "text/html"), 9, "the API could not answer", "ask again"),
    "redirect": (reply(302, headers=[("Location", "/login")]), 9, "no usable answer", "a redirect"),
    "no-list": (body(200, {}), 9, "the API's answer is not the object", "look at the address"),
    "closed": (Reply("closed", act=close_at_once), 9, "127.0.0.1", "ask again later"),
}


@pytest.mark.parametrize("is_openai", [True, False])
@pytest.mark.parametrize("row", UNKNOWN_JOBS)
def test_J6_jobs_that_are_not_known_do_not_take_the_models_along(
    command: Command,
    site: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    row: str,
    is_openai: bool,
) -> None:
    answer, code, why, hint = UNKNOWN_JOBS[row]
    site.is_openai = is_openai
    site.listing(listed("tiny"))
    site.script("GET", "/v1/fine_tuning/jobs", answer)
    monkeypatch.setattr(context, "system_clock", lambda: FakeTime().clock())

    shown, data = command("models"), command("models", "--json")

    table, advice = shown.out.split("jobs: not known: ")
    assert (shown.code, table.splitlines()[1].split()[0]) == (code, "tiny")
    assert (why in advice, f"hint: {hint}" in advice) == (True, True)
    said = json.loads(data.out)
    assert (data.code, said["models"][0]["id"], said["jobs"]) == (code, "tiny", None)
    assert why in said["jobs_unknown"]


def test_J6_a_job_of_a_host_without_jobs_is_not_called_missing(
    command: Command, site: FaultServer
) -> None:
    site.listing(listed("tiny"))
    site.script("GET", "/v1/fine_tuning/jobs/ftjob-a1", NO_ROUTE)
    write(past("triage/production", V8))

    ended = command("promote", "triage/production", "--job", "ftjob-a1", "--yes", "--by", "ci")

    said = f"ftjob-a1: this host has no such job, or no jobs at all (HTTP 404) ({site.url})"
    hint = "hint: name the model that it made: --model ID"
    assert (ended.code, ended.err.splitlines()[1:]) == (9, [f"error: {said}", hint])


DATES: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    # what the list says of a model, its shutdown and who says so, and the notices
    "openai": ({"shutdown_date": "2027-03-01"}, "2027-03-01 model", ()),
    "azure": (
        {"deprecation": {"inference": 1803859200, "fine_tune": 1}, "lifecycle_status": "preview"},
        "2027-03-01 model, deprecation.inference",
        (),
    ),
    "azure-status": ({"lifecycle_status": "deprecating"}, "", ("deprecating (lifecycle_status)",)),
    "openrouter": (
        {"expiration_date": "2027-03-01"},
        "2027-03-01 model, expiration_date",
        (),
    ),
    "bedrock": (
        {"modelLifecycle": {"status": "LEGACY", "endOfLifeTime": "2027-03-01T00:00:00Z"}},
        "2027-03-01 model, modelLifecycle.endOfLifeTime",
        (),
    ),
    "fireworks": (
        {"deprecationDate": {"year": 2027, "month": 3, "day": 1}},
        "2027-03-01 model, deprecationDate",
        (),
    ),
    "mistral": (
        {"deprecation": "2026-10-01T12:00:00Z", "deprecation_replacement_model": "m-2"},
        "",
        (
            "deprecated from 2026-10-01 (deprecation)",
            "the host names m-2 as its replacement (deprecation_replacement_model)",
        ),
    ),
    "mistral-archived": (
        {"archived": True, "deprecated": False},
        "",
        ("archived, which is no longer to be served (archived)",),
    ),
    "cohere": ({"is_deprecated": True}, "", ("deprecated (is_deprecated)",)),
    "past-but-only-deprecated": (
        {"deprecation": "2020-01-01"},
        "",
        ("deprecated from 2020-01-01 (deprecation)",),
    ),
    "nothing": ({"deprecation": None, "expiration_date": None, "is_deprecated": False}, "", ()),
    "nonsense": (
        {
            "expiration_date": "soon",
            "deprecationDate": {"year": 2027},
            "deprecation": {"inference": 1},
        },
        "",
        (),
    ),
    "far": ({"expiration_date": "9999-12-31", "deprecation": {"inference": 1e18}}, "", ()),
}


@pytest.mark.parametrize("row", DATES)
def test_only_what_retires_a_model_fills_its_runway(api: FaultServer, row: str) -> None:
    entry, shutdown, notices = DATES[row]
    api.listing(listed("m", **entry))
    api.probe(echo())

    found = prove(api, asked=Question("m"))

    said = f"{found.shutdown.date} {found.shutdown.source}" if found.shutdown else ""
    assert (found.state, found.dead, said, found.notices) == ("ready", False, shutdown, notices)


def test_a_date_of_its_own_that_has_passed_is_not_ready_and_never_dead(api: FaultServer) -> None:
    api.listing(listed("m", expiration_date="2026-11-20"))
    api.probe(echo())

    found = prove(api, asked=Question("m"))

    assert (found.state, found.code, found.dead) == ("not-ready", "shutdown", False)


TURBO = "gpt-4-turbo"


@pytest.mark.parametrize("kind", KINDS_OF_HOSTS)
def test_J3_openais_table_is_about_openai(api: FaultServer, kind: Kind) -> None:
    """On Azure no date is of it; before another address most often OpenAI itself stands.

    But no 404 there makes a model dead by it, and no replacement is named.
    """
    is_openai, is_dated = kind == "openai", kind != "azure"
    for model in (MODEL, LUNA, TURBO):
        api.retrieve(good_model(id=model), model=model)
    api.listing(listed(), listed(TURBO))
    api.probe(echo())
    tuned, turbo = prove(api, kind), prove(api, kind, Question(TURBO))
    with asking(api, Provider(kind=kind)) as prover:
        shown = {model.id: model.shutdown for model in prover.models()}
        kind_unasked = prover.connection.settings.kind
    api.retrieve(missing(), model=TURBO)
    api.probe(missing())
    gone = prove(api, kind, Question(TURBO))
    api.retrieve(good_model(id=TURBO, shutdown_date="2026-10-23"), model=TURBO)
    api.listing(listed(TURBO, shutdown_date="2026-10-23"))
    ended = prove(api, kind, Question(TURBO))

    assert (tuned.state, turbo.state, kind_unasked) == ("ready", "ready", kind)
    for found in (tuned.shutdown, turbo.shutdown, *shown.values()):
        assert (found is not None) is is_dated
    assert (gone.dead, gone.state) == (is_openai, gone.state)
    assert ended.code == "shutdown"
    assert ("OpenAI's table" in ended.hint) is is_openai


def test_J3_openais_table_counts_before_a_gateway_and_not_on_azure(
    repo: Path,
    command: Command,
    api: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    api.listing(listed(V7), listed(V8))
    api.probe(echo())
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    write(past("triage/production", V7))
    Path("fftdeploy.toml").write_text(
        'version = 1\n[environments.production]\nmin_runway = "90d"\n'
    )

    providers = tmp_path / "providers.toml"
    providers.write_text('[openai]\nkind = "azure"\n')
    monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(providers))
    monkeypatch.setenv("OPENAI_BASE_URL", "https://acme.openai.azure.com/openai/v1")
    told = [command("status", "--offline").out, command("check", "--offline").out]
    monkeypatch.delenv("FFTDEPLOY_PROVIDERS")
    monkeypatch.setenv("OPENAI_BASE_URL", api.url)
    told += [command(*ONLINE[name]).out for name in ("check-probe", "status", "models")]
    promoted = command("promote", "triage/production", "--model", V8, "--yes", "--by", "ci")
    monkeypatch.delenv("OPENAI_BASE_URL")

    assert promoted.code == 6, "a gateway before OpenAI hides no end"
    assert not any("2027-01-14" in out or "days" in out for out in told[:2])
    assert all("2027-01-14" in out for out in told[2:])
    assert "2027-01-14" in command("status", "--offline").out


HEADERS = {
    ("Deprecation", "@1790856000"): "deprecated from 2026-10-01 (header deprecation)",
    ("Deprecation", "true"): "deprecated (header deprecation)",
    ("x-model-deprecation-timestamp", "1790856000"): (
        "deprecated from 2026-10-01 (header x-model-deprecation-timestamp)"
    ),
    ("Sunset", "Thu, 01 Oct 2026 12:00:00 GMT"): (
        "the address, not the model, is to end on 2026-10-01 (header sunset)"
    ),
}


@pytest.mark.parametrize("header", HEADERS)
def test_a_deprecation_in_a_header_is_a_notice_with_its_source(
    command: Command, site: FaultServer, header: tuple[str, str]
) -> None:
    site.listing(listed(V8))
    answer = reply(body=chat_body(model=V8), headers=[header])
    site.probe(answer)
    write(past("triage/production", V8))

    status, check = command("status", "--fail-on", "dead"), command("check", "--probe", "--json")

    assert (status.code, check.code) == (0, 0)
    assert f"triage/production: notice: {HEADERS[header]}" in status.out.splitlines()
    found = {row["code"]: row for row in json.loads(check.out)["findings"]}["deprecated"]
    assert (found["severity"], found["message"]) == ("notice", HEADERS[header])


@pytest.mark.parametrize("year", [1970, 2020, 2030, 9999])
def test_J20_a_clock_years_away_is_neither_believed_nor_written(
    repo: Path, command: Command, sandbox: Sandbox, year: int
) -> None:
    sandbox.set_now(datetime(year, 12, 31, tzinfo=UTC))
    before = write(past("triage/production", V7, V8))
    said = f"the API's clock says {year}-12-31 00:00Z and this machine's 2026-11-21 08:30Z"

    for name in ("promote", "promote-job", "rollback", "models", "check", "status"):
        done = command(*ONLINE[name])
        assert (name, done.code) == (name, 9)
        assert said in " ".join((done.out + done.err).split())
    assert FILE.read_bytes() == before


# --- every host at once, by name, through the commands ---------------------------------------


@dataclass
class Everybody:
    """Two servers for each row: one that serves the model, and one that has not got it."""

    serving: dict[str, FaultServer]
    lacking: dict[str, FaultServer]

    def told(self) -> str:
        """Return a `providers.toml` with all of them; of Azure only the user knows the kind."""
        text = ""
        for servers, what in ((self.serving, "has"), (self.lacking, "lacks")):
            for name, server in servers.items():
                kind = '\nkind = "azure"\napi_key_env = "AZ_KEY"' if name == "azure" else ""
                text += f'[{named(name, what)}]\nbase_url = "{server.url}"{kind}\n'
        return text


def named(host: str, what: str) -> str:
    return f"{what}-{host.replace('.', '-')}"


@pytest.fixture
def everybody(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Everybody]:
    with ExitStack() as stack:

        def servers(script: Callable[[FaultServer, Host], None]) -> dict[str, FaultServer]:
            made = {name: stack.enter_context(FaultServer(is_openai=False)) for name in HOSTS}
            for name, server in made.items():
                script(server, HOSTS[name])
            return made

        found = Everybody(servers(serves), servers(lacks))
        (repo.parent / "providers.toml").write_text(found.told())
        monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(repo.parent / "providers.toml"))
        monkeypatch.setenv("AZ_KEY", KEY)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        yield found


def at(provider: str) -> str:
    """Write a target whose model is live at `provider`, with a way back to where it was before."""
    name = f"{provider}/production"
    rows = [row(2, MODEL, provider=provider), row(1, V8, provider="has-vllm")]
    text = table(name, MODEL, rows)
    return text.replace(f'model = "{MODEL}"\n', f'model = "{MODEL}"\nprovider = "{provider}"\n', 1)


@pytest.mark.usefixtures("no_waiting")
def test_J3_through_every_command_none_that_serves_is_missing_and_none_that_lacks_is_ready(
    everybody: Everybody, command: Command
) -> None:
    has = [named(each, "has") for each in HOSTS]
    lacks_it = {named(each, "lacks"): host.lost for each, host in HOSTS.items()}
    write(*map(at, [*has, *lacks_it]))

    status = json.loads(command("status", "--json").out)
    probed = json.loads(command("check", "--probe", "--json").out)
    looked = json.loads(command("check", "--json").out)

    found = {one["target"].partition("/")[0]: one["readiness"] for one in status["targets"]}
    assert {name: found[name]["state"] for name in has} == dict.fromkeys(has, "ready")
    assert {name: found[name]["code"] for name in lacks_it} == lacks_it
    assert not any(one["dead"] for one in found.values())
    for document, sure in ((probed, {"ready"}), (looked, {"ready", "unverified"})):
        states = {one["target"].partition("/")[0]: one["readiness"] for one in document["targets"]}
        assert {states[name] for name in has} <= sure
        if document is probed:  # a list that has it is believed where nothing is probed
            assert {states[name] for name in lacks_it} <= {"not-ready", "unverified"}
    write(*(back_past(each) for each in HOSTS))
    for each, host in HOSTS.items():
        is_gone = host.lost == "not-served"
        options = ("--model", MODEL, "--provider", named(each, "lacks"), "--create", "--wait", "0s")
        promoted = command("promote", "new/dev", *options, "--yes", "--dry-run")
        assert promoted.code == (4 if is_gone else 9), promoted
        # What is proved not to be there is passed over, and the next one is, by name, elsewhere.
        target = f"{named(each, 'back')}/dev"
        ended = command("rollback", target, "--yes", "--why", "x", "--wait", "0s")
        assert ended.code == (0 if is_gone else 9), ended
        assert read(target).provider == (named(each, "has") if is_gone else "openai")


def back_past(host: str) -> str:
    """Write a target with two ways back: to where MODEL is not, and then to where it is."""
    newer = row(2, MODEL, provider=named(host, "lacks"))
    rows = [row(3, V8), newer, row(1, MODEL, provider=named(host, "has"))]
    return table(f"{named(host, 'back')}/dev", V8, rows)


@pytest.mark.usefixtures("no_waiting")
def test_J3_an_evaluation_asks_all_of_them_at_once_and_none_that_lacks_it(
    everybody: Everybody, command: Command
) -> None:
    scene(V8, V8, examples=20)
    text = FILE.read_text().replace(f'model = "{V8}"\n', f'model = "{V8}"\nprovider = "has-vllm"\n')
    FILE.write_text(text.replace(f'model = "{V8}",', f'model = "{V8}", provider = "has-vllm",'))
    words = [f"{named(each, 'has')}={MODEL}@" for each in HOSTS]

    ended = json.loads(command("eval", TARGET, *words, "--json").out)
    refused = {
        each: command("eval", TARGET, f"{named(each, 'lacks')}={MODEL}@").code for each in HOSTS
    }

    assert ended["exit_code"] in {5, 7}, ended  # they all say nothing, and that is no answer
    assert len(ended["evaluations"]) == len(HOSTS)
    assert {host["address"] for host in ended["hosts"]} == {
        server.url for server in everybody.serving.values()
    }
    assert refused == {each: 4 if host.lost == "not-served" else 9 for each, host in HOSTS.items()}
