"""LiteLLM's proxy, for real: in front of a real llama.cpp, through every command; and as exported.

It takes 750 MB and has to be apart from what we need: `.ci/run --slow` installs it and runs this.
"""

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any

import llama
import pytest
from command_line import Command
from fault_server import FaultServer, error
from llama_scenes import COUNT, POLICY, SHA, answers, passed, write_examples
from scenes import FILE, LUNA, V8, V9, V10, read, row, table, write

from fftdeploy.sandbox import STORY_NOW, Sandbox

PROGRAM = os.environ.get("LITELLM", "")
pytestmark = [
    pytest.mark.skipif(not PROGRAM, reason="LiteLLM's proxy is for the slow job, .ci/run --slow"),
    pytest.mark.skipif(bool(llama.MISSING), reason=llama.MISSING),
]
KEY = "sk-gateway-0123456789"
BASE, SAME, LORA = "acme/triage-v1", "acme/triage-v2", "acme/triage-v3"
GONE, DARK, NEVER = "acme/gone", "acme/dark", "acme/never"
SERVING, LACKING = (BASE, SAME, LORA), (GONE, DARK, NEVER)
"""In turn: what its host has no more, whose host is off, and what no configuration names."""
STAGING, PRODUCTION = "triage/staging", "triage/production"
_START_S = 180


@dataclass(frozen=True)
class Proxy:
    """A running proxy, and what the models behind it answer themselves."""

    origin: str
    agreed: list[str]
    alike: int
    """How many of these answers the LoRA gives, too."""

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def ask(self, path: str, body: object = None, key: str = KEY) -> tuple[int, Any]:
        """Send one request, with no code of ours in between."""
        sent = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.origin}{path}", sent, headers)  # noqa: S310  ours
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310  ours
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.loads(refused.read() or b"null")

    def probe(self, model: str) -> int:
        turns = [{"role": "user", "content": "Hi"}]
        return self.ask("/v1/chat/completions", {"model": model, "messages": turns})[0]


def configuration(**served: tuple[str, str]) -> dict[str, Any]:
    """Say which model is where: `acme/NAME` -> what it is called there, and the address."""
    models = [
        {
            "model_name": f"acme/{name.replace('_', '-')}",
            "litellm_params": {
                "model": f"openai/{called}",
                "api_base": url,
                "api_key": llama.KEY,
            },
        }
        for name, (called, url) in served.items()
    ]
    return {
        "model_list": models,
        "router_settings": {"num_retries": 0, "cooldown_time": 600},
        "general_settings": {"master_key": KEY},
    }


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("litellm")
    weights = llama.weights(folder / "llama")
    with (
        llama.serving(weights, "triage-v1") as base,
        llama.serving(weights, "triage-v3", is_tuned=True) as lora,
        FaultServer(is_openai=False) as gone,
        socket.create_server(("127.0.0.1", 0)) as taken,
    ):
        gone.probe(error(404, "model_not_found", "The model `gone` does not exist."))
        port, off = taken.getsockname()[1], "http://127.0.0.1:9/v1"
        taken.close()
        served = {"triage_v1": ("triage-v1", base.url), "triage_v2": ("triage-v1", base.url)}
        served |= {"triage_v3": ("triage-v3", lora.url)}
        told = configuration(**served, gone=("gone", gone.url), dark=("dark", off))
        # It cools nothing down that is the only one of its name.
        again = configuration(gone=("gone", f"{gone.url}/"))
        told["model_list"] += again["model_list"]
        (folder / "config.yaml").write_text(json.dumps(told))
        agreed = answers(base, "triage-v1")
        others = answers(lora, "triage-v3")
        alike = sum(one == other for one, other in zip(agreed, others, strict=True))
        with started(folder, port):
            yield Proxy(f"http://127.0.0.1:{port}", agreed, alike)


@contextlib.contextmanager
def started(folder: Path, port: int, **more: str) -> Iterator[None]:
    """Start the proxy with the configuration in `folder`, and end it."""
    environ = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    environ |= more
    command = [PROGRAM, "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "log"
    with log.open("w") as said:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=said, stderr=said)
        try:
            deadline = time.monotonic() + _START_S
            while not is_up(port):
                assert process.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < deadline, log.read_text()[-2000:]
                time.sleep(0.2)
            yield
        finally:
            process.terminate()
            process.wait(20)


def is_up(port: int) -> bool:
    address = f"http://127.0.0.1:{port}/health/liveliness"
    with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
        return True
    return False


@pytest.fixture
def scene(repo: Path, monkeypatch: pytest.MonkeyPatch, proxy: Proxy) -> Proxy:
    """A target for each model, and a gated one, all at the proxy by name."""
    (repo.parent / "providers.toml").write_text(
        f'[lite]\nbase_url = "{proxy.url}"\napi_key_env = "LITE_KEY"\n'
    )
    monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(repo.parent / "providers.toml"))
    monkeypatch.setenv("LITE_KEY", KEY)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    write_examples(proxy.agreed)
    gated = [at(STAGING, BASE, profile="label"), at(PRODUCTION, BASE, profile="label")]
    write(*gated, *(at(f"{task(model)}/staging", model) for model in (*SERVING, *LACKING)))
    with Path("fftdeploy.toml").open("w") as policy:
        policy.write(POLICY)
    return proxy


def task(model: str) -> str:
    return f"of-{model.partition('/')[2]}"


def at(name: str, *models: str, profile: str = "") -> str:
    """Write a target whose releases are of the proxy, the newest one first."""
    more = {"profile_sha": SHA} if profile else {}
    count = len(models)
    rows = [
        row(count - n, model, profile, provider="lite", **more) for n, model in enumerate(models)
    ]
    live = f'model = "{models[0]}"\n'
    text = table(name, models[0], rows, profile=profile)
    return text.replace(live, f'{live}provider = "lite"\n', 1)


def states(command: Command, *argv: str) -> dict[str, str]:
    """Return what a command says of each model."""
    said = json.loads(command(*argv, "--json").out)["targets"]
    known = {each["target"].partition("/")[0]: each["readiness"] for each in said}
    found = {model: known[task(model)] for model in (*SERVING, *LACKING)}
    return {model: one if isinstance(one, str) else one["state"] for model, one in found.items()}


def test_none_that_serves_is_missing_and_none_that_lacks_is_ready(
    scene: Proxy, command: Command
) -> None:
    """Its upstream gone it says 404, and then 429 while that cools down: both are unverified."""
    seen = [scene.probe(GONE) for _ in range(3)]
    rounds = [states(command, "status"), states(command, "check", "--probe")]
    rounds += [states(command, "status")]
    before = FILE.read_bytes()
    for each in (*SERVING, *LACKING):
        name = f"{task(GONE if each == NEVER else NEVER)}/staging"
        argv = ("promote", name, "--model", each, "--provider", "lite", "--yes", "--wait", "0s")
        ended = command(*argv, "--dry-run")
        rounds.append({each: {0: "ready", 4: "not-ready", 9: "unverified"}[ended.code]})
    looked = states(command, "check")

    print(f"upstream gone: {seen}; {len(rounds)} rounds: {rounds[0]}")
    told = Counter((model, state) for one in rounds for model, state in one.items())
    assert {state for model, state in told if model in SERVING} == {"ready"}
    assert {state for model, state in told if model in {GONE, DARK}} == {"unverified"}
    assert {state for model, state in told if model == NEVER} == {"not-ready"}
    assert {looked[model] for model in SERVING} == {"ready"}  # it lists the others of its file, too
    assert {*seen} == {404, 429}
    assert FILE.read_bytes() == before


def test_what_is_live_is_moved_judged_and_rolled_back(scene: Proxy, command: Command) -> None:
    def program(*argv: str) -> tuple[int, dict[str, Any]]:
        done = command(*argv, "--json")
        return done.code, json.loads(done.out)

    lite = ("--provider", "lite", "--yes")
    assert program("promote", STAGING, "--model", LORA, *lite)[0] == 0
    code, document = program("eval", PRODUCTION)
    scores = {"live": (COUNT, COUNT), "candidate": (scene.alike, COUNT)}
    assert (code, passed(document)) == (5, scores)
    assert program("promote", PRODUCTION, "--yes", "--why", "worse")[0] == 5
    assert program("eval", PRODUCTION, f"lite={GONE}@label")[0] == 9
    assert program("eval", PRODUCTION, f"lite={NEVER}@label")[0] == 4
    (kept,) = Path(".fftdeploy/evidence/triage").glob("*.json")
    assert "identities" not in json.loads(kept.read_text()), "it says nothing of its models"

    assert program("rollback", STAGING, "--yes")[0] == 0
    to = ("--to", f"lite={SAME}@label,lite={GONE}@label", "--override", "order")
    code, document = program("migrate", PRODUCTION, *to, "--why", "a move", "--yes")
    (found,) = document["targets"]
    assert (code, found["state"]) == (0, "changed"), found["problem"]
    assert {one["model"]: one["readiness"]["state"] for one in found["successors"]} == {
        SAME: "ready",
        GONE: "unverified",
    }
    assert read(PRODUCTION).model == SAME
    assert program("rollback", PRODUCTION, "--yes", "--why", "a rehearsal")[0] == 0
    assert read(PRODUCTION).model == BASE
    # What is not proved to be gone is not passed over; what no configuration names is.
    write(at("a/staging", LORA, GONE, BASE), at("b/staging", LORA, NEVER, BASE))
    argv = ("--yes", "--wait", "0s")
    back = [program("rollback", name, *argv)[0] for name in ("a/staging", "b/staging")]
    assert (back, read("a/staging").model, read("b/staging").model) == ([9, 0], LORA, BASE)


def test_a_wrong_key_is_said_to_be_one(
    scene: Proxy, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so with 400 and no word of a key, where it has no database."""
    status, said = scene.ask("/v1/models", key="sk-another")
    monkeypatch.setenv("LITE_KEY", "sk-another")
    before = FILE.read_bytes()
    asked = {
        "promote": ("promote", STAGING, "--model", LORA, "--provider", "lite", "--yes"),
        "rollback": ("rollback", STAGING, "--yes"),
        "eval": ("eval", PRODUCTION, f"lite={LORA}@label"),
        "migrate": ("migrate", PRODUCTION, "--to", f"lite={LORA}@label", "--dry-run", "--why", "x"),
        "check": ("check", "--probe"),
        "status": ("status", "--fail-on", "dead"),
        "models": ("models", "--provider", "lite"),
    }
    write(at(STAGING, BASE, LORA, profile="label"), at(PRODUCTION, BASE, profile="label"))
    before = FILE.read_bytes()
    ended = {name: command(*argv) for name, argv in asked.items()}

    assert (status, said["error"]["type"]) == (400, "no_db_connection")
    assert {name: done.code for name, done in ended.items()} == dict.fromkeys(asked, 10)
    assert "the API refused the key (400)" in ended["promote"].err
    assert "check LITE_KEY" in ended["promote"].err
    assert FILE.read_bytes() == before


EXPORTED = f"""version = 1
[triage.production]
model = "{V8}"
canary = {{ model = "{V9}", weight = 25, since = 2026-11-20T09:00:00Z }}
[triage.staging]
model = "{V10}"
[no-url.dev]
model = "org/a"
provider = "no-url"
[no-key.dev]
model = "org/b"
provider = "no-key"
"""
CALLS, AT_RANDOM = 400, range(67, 135)
"""So many of 400 calls that go to one of four by chance: all but 1 in 10,000 of the times."""


def test_J31_an_exported_file_splits_falls_back_and_asks_no_other_host(
    repo: Path, command: Command, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its hosts are variables, and OpenAI's own point at a host that nothing may reach."""
    policy = f'version = 1\n[tasks.triage]\nfallback = [{{ model = "{LUNA}" }}]\n'
    (repo / "fftdeploy.toml").write_text(policy)
    (repo / "deployments.toml").write_text(EXPORTED)
    folder = tmp_path_factory.mktemp("exported")
    assert command("export", "litellm", "-o", str(folder / "config.yaml")).code == 0
    chances = [comb(CALLS, n) * 0.25**n * 0.75 ** (CALLS - n) for n in AT_RANDOM]
    assert sum(chances[1:-1]) < 0.9999 < sum(chances)
    with (
        Sandbox(now=lambda: STORY_NOW) as host,
        FaultServer() as other,
        FaultServer() as keyless,
        socket.create_server(("127.0.0.1", 0)) as taken,
    ):
        port = taken.getsockname()[1]
        taken.close()
        proxy = Proxy(f"http://127.0.0.1:{port}", [], 0)
        theirs = dict.fromkeys(("OPENAI_BASE_URL", "OPENAI_API_BASE"), other.url)
        said = {
            "FFTDEPLOY_OPENAI_BASE_URL": host.url, "FFTDEPLOY_OPENAI_API_KEY": host.key,
            "FFTDEPLOY_NO_URL_API_KEY": "sk-url", "FFTDEPLOY_NO_KEY_BASE_URL": keyless.url,
            "LITELLM_MASTER_KEY": KEY, "OPENAI_API_KEY": host.key,
        }  # fmt: skip
        with started(folder, port, **theirs, **said):
            with ThreadPoolExecutor(8) as pool:
                answers = Counter(pool.map(proxy.probe, [PRODUCTION] * CALLS))
            counted = asked(host)
            print(f"{CALLS} calls, canary 25 %: {counted}")
            assert answers == {200: CALLS}
            assert counted.keys() == {V8, V9}
            assert counted[V9] in AT_RANDOM

            assert proxy.probe(STAGING) == 200
            host.remove(V10)
            assert [proxy.probe(STAGING) for _ in range(3)] == [200] * 3
            assert asked(host)[LUNA] == 3

            keyless.probe(error(401, "invalid_api_key"))
            before, *refused = asked(host), proxy.probe("no-url/dev"), proxy.probe("no-key/dev")
            print(f"without an address: {refused[0]}; without a key: {refused[1]}")
            assert min(refused) >= 400
            assert (asked(host), other.log) == (before, [])
            sent = {one.headers.get("authorization") for one in keyless.log}
            assert {"Bearer not-set"} <= sent <= {"Bearer not-set", None}


def asked(host: Sandbox) -> Counter[str]:
    """Count the chats that a host has let in, by model."""
    bodies = (one.body for one in host.requests if one.path.endswith("/completions"))
    return Counter(body["model"] for body in bodies)
