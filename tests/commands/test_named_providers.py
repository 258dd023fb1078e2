"""Hosts by name: a bundle's provider moves with it, and each host is asked with its own key."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import gated
import pytest
from command_line import Command, git
from fault_server import FaultServer, echo, missing, reply
from scenes import FILE, POLICY, V7, V8, past, read, row, table, write

from fftdeploy.sandbox import Sandbox

ORDER = POLICY.replace('"dev", ', "")
LORA, NEWER = "acme/triage-lora", "accounts/acme/models/triage#d+1"
KEY, PROD = "vllm-key-0123456789", "vllm-production-0123456789"


@dataclass
class Hosts:
    """OpenAI's sandbox, and two other hosts: one with a key, and one that wants none."""

    openai: Sandbox
    vllm: FaultServer
    llama: FaultServer
    file: Path

    def tell(self, more: str = "") -> None:
        self.file.write_text(
            f'[vllm]\nbase_url = "{self.vllm.url}"\napi_key_env = "VLLM_KEY"\n{more}\n'
            f'[llama]\nbase_url = "{self.llama.url}"\n'
        )


@pytest.fixture(name="hosts")
def several_hosts(repo: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """Two loopback hosts beside the sandbox, each of which lists and answers its own models."""
    with FaultServer(is_openai=False) as vllm, FaultServer(is_openai=False) as llama:
        for host in (vllm, llama):
            host.listing(*({"id": name, "object": "model"} for name in (LORA, NEWER)))
            host.probe(echo())
        found = Hosts(sandbox, vllm, llama, repo.parent / "providers.toml")
        found.tell()
        monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(found.file))
        monkeypatch.setenv("VLLM_KEY", KEY)
        yield found


def said_to(host: FaultServer) -> set[str]:
    """Return what a host was sent as keys, and of what else is secret."""
    names = ("authorization", "api-key", "openai-organization", "openai-project", "x-gateway")
    return {asked.headers[name] for asked in host.log for name in names if name in asked.headers}


def test_a_provider_moves_with_promote_and_rollback(hosts: Hosts, command: Command) -> None:
    write(past("triage/staging", V8), past("triage/production", V7, V8), policy=ORDER)

    named = ("--model", LORA, "--provider", "vllm", "--yes", "--by", "ci")
    first = command("promote", "triage/staging", *named)
    then = command("promote", "triage/production", "--why", "off", "--yes", "--by", "ci", "--json")
    live = FILE.read_text()
    resolved = json.loads(command("resolve", "triage/production", "--json").out)
    status = json.loads(command("status", "--json").out)
    history = json.loads(command("history", "triage/production", "--json").out)
    back = command("rollback", "triage/production", "--why", "worse", "--yes", "--by", "ci")

    assert (first.code, then.code, back.code) == (0, 0, 0), (first, then, back)
    assert live.count(f'model = "{LORA}"\nprovider = "vllm"\n') == 2
    assert f'model = "{LORA}", provider = "vllm", at = ' in live
    made = json.loads(then.out)
    assert (made["before"]["provider"], made["after"]["provider"]) == ("openai", "vllm")
    assert made["release"]["provider"] == "vllm"
    assert [(host["provider"], host["address"], host["key"]) for host in made["hosts"]] == [
        ("vllm", hosts.vllm.url, "VLLM_KEY")
    ]
    assert (resolved["model"], resolved["provider"]) == (LORA, "vllm")
    assert {one["target"]: one["provider"] for one in status["targets"]} == {
        "triage/staging": "vllm",
        "triage/production": "vllm",
    }
    assert {one["readiness"]["state"] for one in status["targets"]} == {"ready"}
    assert status["targets"][1]["rollback"]["provider"] == "openai"
    assert sorted(host["provider"] for host in status["hosts"]) == ["openai", "vllm"]
    assert [one["provider"] for one in history["targets"][0]["releases"]] == [
        "vllm",
        "openai",
        "openai",
    ]
    sides = json.loads(command("diff", "staging", "production", "--json").out)["comparisons"][0]
    assert {"model", "provider"} <= set(sides["fields"])
    assert (sides["before"]["provider"], sides["after"]["provider"]) == ("vllm", "openai")
    target = read("triage/production")
    assert (target.model, target.provider, 'provider = "vllm"' in live) == (V8, "openai", True)
    assert 'model = "' + V8 + '"\nreleases' in FILE.read_text().partition("[triage.production]")[2]
    assert [(held.model, held.provider, held.release) for held in target.holds] == [
        (LORA, "vllm", None)
    ]
    assert said_to(hosts.vllm) == {f"Bearer {KEY}"}
    assert f"{V8} → vllm={LORA}" in first.out
    assert f"vllm={LORA} → {V8}" in back.out


def test_openais_dates_are_not_those_of_another_host(hosts: Hosts, command: Command) -> None:
    """One may serve the same weights, by the same name, for as long as one likes."""
    hosts.vllm.listing({"id": V8, "object": "model"})
    write(past("triage/staging", V8), hosted("triage/production", V8, "vllm"))

    for options in ((), ("--offline",)):
        status = json.loads(command("status", "--json", *options).out)
        dates = {one["target"]: one["shutdown_date"] for one in status["targets"]}
        assert dates == {"triage/staging": "2027-01-14", "triage/production": None}
    listed = json.loads(command("models", "--provider", "vllm", "--json").out)["models"]
    (listed,) = listed
    assert (listed["shutdown_date"], listed["live_in"]) == (None, ["triage/production"])


def test_a_host_is_asked_with_the_limit_that_it_is_said_to_know(
    hosts: Hosts, command: Command
) -> None:
    hosts.tell('limit_field = "max_completion_tokens"\n')
    write(hosted("triage/production", LORA, "vllm"))

    command("status")

    (probe,) = (asked.json for asked in hosts.vllm.log if asked.method == "POST")
    assert (probe["max_completion_tokens"], "max_tokens" in probe) == (16, False)


def test_what_is_live_at_another_host_is_adopted_with_it(hosts: Hosts, command: Command) -> None:
    write(past("triage/staging", V8), policy=ORDER)
    why = ("--why", "since May", "--yes", "--by", "ana")

    unnamed = command("adopt", "triage/production", "--model", LORA, "--create", *why)
    made = command(
        "adopt", "triage/production", "--model", LORA, "--provider", "vllm", *why, "--create"
    )
    other = command("adopt", "triage/staging", "--model", V8, "--provider", "vllm", *why)

    assert (unnamed.code, made.code, other.code) == (2, 0, 2), (unnamed, made, other)
    assert unnamed.err.splitlines()[-1] == "hint: name the host that has it: --provider NAME"
    target = read("triage/production")
    assert (target.model, target.provider, target.releases[0].verified) == (LORA, "vllm", True)
    assert f"has {V8} live, not {V8} at vllm" in other.err


def test_no_hook_of_git_sees_the_key_of_any_host(
    hosts: Hosts, command: Command, repo: Path
) -> None:
    seen = repo.parent / "seen"
    write(hosted("triage/production", LORA, "vllm"))
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    hook = repo / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nenv >{seen}\n")
    hook.chmod(0o755)

    ended = command("hold", "triage/production", LORA, "--why", "x", "--yes", "--commit")

    assert (ended.code, hosts.vllm.log) == (0, []), ended
    assert "HOME=" in seen.read_text()
    assert KEY not in seen.read_text()


def test_an_id_of_another_host_is_asked_about_by_its_whole_name(
    hosts: Hosts, command: Command
) -> None:
    hosts.vllm.script("GET", "/v1/models", missing())  # then the probe alone can prove it
    write(past("triage/staging", V8), policy=ORDER)

    options = ("--model", NEWER, "--provider", "vllm", "--yes", "--by", "ci")
    ended = command("promote", "triage/staging", *options)

    assert (ended.code, read("triage/staging").model) == (0, NEWER), ended
    assert {asked.json["model"] for asked in hosts.vllm.log if asked.method == "POST"} == {NEWER}


def test_what_is_named_nowhere_is_refused_before_anything_is_asked(
    hosts: Hosts, command: Command
) -> None:
    before = write(past("triage/staging", V8), policy=ORDER)

    mistyped = command("promote", "triage/staging", "--model", LORA, "--provider", "vlm", "--yes")
    unnamed = command("promote", "triage/staging", "--model", LORA, "--yes")
    listed = command("models", "--provider", "together")

    assert mistyped.err == (
        f"error: provider 'vlm' is not known here: no [vlm] in {hosts.file}\n"
        "hint: did you mean 'vllm'?\n"
    )
    assert unnamed.err.splitlines()[-1] == "hint: name the host that has it: --provider NAME"
    assert "known here: llama, openai, vllm; or name another file" in listed.err
    assert [ended.code for ended in (mistyped, unnamed, listed)] == [2, 2, 2]
    assert FILE.read_bytes() == before
    assert not [*hosts.vllm.log, *hosts.openai.requests]


def test_a_key_that_lacks_is_named_with_whose_it_is(
    hosts: Hosts, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLLM_KEY")
    write(past("triage/staging", V8), hosted("triage/production", LORA, "vllm"), policy=ORDER)

    promoted = command("promote", "triage/staging", "--model", LORA, "--provider", "vllm", "--yes")
    status = json.loads(command("status", "--json").out)
    strict = command("status", "--fail-on", "dead")
    looked = json.loads(command("check", "--json").out)
    probed = json.loads(command("check", "--probe", "--json").out)

    assert promoted.code == 10
    assert promoted.err.startswith("error: VLLM_KEY, the key of vllm, is not set\n")
    states = {one["target"]: one["readiness"] for one in status["targets"]}
    assert states["triage/staging"]["state"] == "ready"
    assert (states["triage/production"]["state"], states["triage/production"]["code"]) == (
        "unverified",
        "key-missing",
    )
    assert (status["exit_code"], status["unverified_because"]) == (0, "VLLM_KEY is not set")
    assert (strict.code, "not all verified with the API: VLLM_KEY is not set" in strict.out) == (
        10,
        True,
    )
    found = {one["target"]: one["readiness"] for one in looked["targets"]}
    assert found == {"triage/staging": "ready", "triage/production": "not-asked"}
    assert (looked["exit_code"], looked["unverified_because"]) == (0, "VLLM_KEY is not set")
    assert probed["exit_code"] == 10
    assert hosts.vllm.log == []


def test_each_environment_may_have_a_key_of_its_own(
    hosts: Hosts, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts.tell('[vllm.environments.production]\napi_key_env = "VLLM_PROD"\n')
    monkeypatch.setenv("VLLM_PROD", PROD)
    write(
        hosted("triage/dev", LORA, "vllm"),
        hosted("triage/staging", LORA, "vllm"),
        hosted("triage/production", LORA, "vllm"),
    )

    ended = json.loads(command("status", "--json").out)

    assert [host["key"] for host in ended["hosts"]] == ["VLLM_KEY", "VLLM_PROD"]
    probes = [asked for asked in hosts.vllm.log if asked.method == "POST"]
    assert sorted(asked.headers["authorization"] for asked in probes) == [
        f"Bearer {KEY}",  # once for the two environments that share it
        f"Bearer {PROD}",
    ]


def test_the_same_name_at_two_hosts_is_two_models(hosts: Hosts, command: Command) -> None:
    hosts.llama.listing()
    hosts.llama.probe(reply(404, {"error": {"message": f"The model `{LORA}` does not exist."}}))
    write(
        hosted("triage/staging", LORA, "vllm"),
        hosted("triage/production", LORA, "llama"),
    )

    status = json.loads(command("status", "--json").out)
    held = command("hold", "triage/staging", LORA, "--why", "slow", "--yes", "--by", "ci")
    again = command(
        "promote", "triage/staging", "--model", LORA, "--provider", "llama", "--yes", "--by", "ci"
    )

    states = [one["readiness"]["state"] for one in status["targets"]]
    assert states == ["ready", "not-ready"]
    assert status["targets"][1]["readiness"]["code"] == "not-served"
    assert held.code == 0
    assert [(one.model, one.provider) for one in read("triage/staging").holds] == [(LORA, "vllm")]
    assert (again.code, "neither lists nor serves" in again.err) == (4, True)
    assert "on hold" not in again.err
    assert said_to(hosts.llama) == set()  # it wants no key


def test_no_key_is_sent_to_the_host_of_another(
    hosts: Hosts, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each host is a trap for what is meant for the others: redirects, proxies, headers too."""
    hidden = "sk-of-the-gateway-0123456789"
    for name, value in {
        "OPENAI_ORG_ID": "org-secret",
        "OPENAI_PROJECT_ID": "proj_secret",
        "OPENAI_ADMIN_KEY": "sk-admin-0123456789",
        "OPENAI_CUSTOM_HEADERS": f"X-Gateway: {hidden}",
        "http_proxy": hosts.llama.url,
        "ALL_PROXY": hosts.llama.url,
    }.items():
        monkeypatch.setenv(name, value)
    away = [("Location", f"{hosts.llama.url}/models")]
    hosts.vllm.script("GET", "/v1/models", reply(307, {}, headers=away))
    hosts.vllm.probe(reply(307, {}, headers=away))
    write(past("triage/staging", V8), hosted("triage/production", LORA, "vllm"))

    ended = command("status", "--json", "--fail-on", "dead")
    listed = command("models", "--provider", "vllm")
    mine = command("models", "--provider", "llama")

    assert (ended.code, listed.code, mine.code) == (9, 9, 0)
    assert f"base_url in {hosts.file} must be the final address" in listed.err
    assert said_to(hosts.vllm) == {f"Bearer {KEY}"}
    assert said_to(hosts.llama) == set()
    assert hosts.llama.asked() == ["/v1/models", "/v1/fine_tuning/jobs?limit=100"]
    said = ended.out + ended.err + listed.out + listed.err
    assert (KEY in said, hidden in said) == (False, False)


def test_a_key_in_the_path_of_an_address_is_shown_and_kept_nowhere(
    hosts: Hosts, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some gateways have it there; it is told from another one's by a hash."""
    keys = {"vllm": "a1B2c3D4e5F6a7B8c9D0", "openai": "sk-proj-Path0123456789"}
    origin = hosts.vllm.url.removesuffix("/v1")
    gated.scene(V8, V8, examples=20)
    write(past("triage/staging", V8), past("triage/production", V8), policy=gated.POLICY)
    hosts.tell(f'[gw]\nbase_url = "{origin}/{keys["vllm"]}/v1"')
    at = f"/{keys['vllm']}/v1/models"
    hosts.vllm.script("GET", at, reply(body={"data": [{"id": LORA, "object": "model"}]}))
    hosts.vllm.script("POST", f"/{keys['vllm']}/v1/chat/completions", echo())
    named = ("--model", LORA, "--provider", "gw", "--yes", "--by", "ci", "--no-profile")

    told = [command("promote", "triage/staging", *named)]
    told += [command("promote", "triage/staging", *named, "--json"), command("status")]
    told += [command("eval", "triage/production", "--json")]
    (evidence,) = gated.evidence()
    monkeypatch.setenv("OPENAI_BASE_URL", f"{hosts.openai.url}/{keys['openai']}")
    told += [command("models"), command("eval", "triage/production"), command("check", "--probe")]
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://acme.example/{keys['openai']}/v1")
    told += [command("models")]

    assert [done.code for done in told[:3]] == [0, 0, 0], told[0]
    said = "".join(done.out + done.err for done in told)
    assert f"API of gw: {origin}/[redacted]/v1" in said
    assert "/[redacted] (from OPENAI_BASE_URL)" in said
    for secret in keys.values():
        assert (secret in said, secret in evidence.read_text()) == (False, False)
    kept = json.loads(evidence.read_text())["address"]
    digest = sha256(keys["vllm"].encode()).hexdigest()
    assert kept == f"{origin}/***{digest[:8]}/v1"


def test_an_unknown_provider_of_a_change_is_not_waved_through(
    hosts: Hosts, command: Command
) -> None:
    write(past("triage/staging", V8), hosted("triage/production", LORA, "elsewhere"))

    ended = json.loads(command("check", "--json").out)
    status = json.loads(command("status", "--json").out)
    offline = command("status", "--offline")
    resolved = command("resolve", "triage/production")

    said = f"provider 'elsewhere' is not known here: no [elsewhere] in {hosts.file}"
    assert (ended["verified"], ended["unverified_because"]) == (False, said)
    assert status["targets"][1]["readiness"]["code"] == "provider-unknown"
    assert (offline.code, resolved.out) == (0, f"{LORA}\n")


def hosted(name: str, model: str, provider: str) -> str:
    """Write a target whose one release is of another host."""
    text = table(name, model, [row(1, model, provider=provider)])
    return text.replace(f'model = "{model}"\n', f'model = "{model}"\nprovider = "{provider}"\n', 1)
