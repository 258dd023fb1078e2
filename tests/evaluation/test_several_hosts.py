"""An evaluation whose arms live on different hosts, and what its evidence is about."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from checkout import ROOT
from command_line import Command
from fault_server import FaultServer, echo, reply
from gated import POLICY, TARGET, evidence, paid, promote, scene
from scenes import LUNA, V7, V8, V10, read

from fftdeploy.sandbox import STORY_NOW, Sandbox

pytestmark = pytest.mark.usefixtures("sandbox")

SECOND = "sk-second-0123456789"


@pytest.fixture(name="second")
def second_host(repo: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Another host with the same models, which takes no key but its own."""
    with Sandbox(now=lambda: STORY_NOW, key=SECOND) as server:
        file = repo.parent / "providers.toml"
        name(file, server.url)
        monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(file))
        monkeypatch.setenv("SECOND_KEY", SECOND)
        yield server


def name(file: Path, url: str) -> None:
    file.write_text(f'[second]\nbase_url = "{url}"\napi_key_env = "SECOND_KEY"\n')


def test_an_arm_may_live_on_another_host_than_the_next_one(
    second: Sandbox, sandbox: Sandbox, command: Command, repo: Path
) -> None:
    scene(V8, V10, examples=60)

    made = command("eval", TARGET, f"second={V10}", "--json")
    size = command("size", TARGET, f"second={V10}")
    (path,) = evidence()
    document = json.loads(path.read_text())
    elsewhere = promote(command)  # from staging, which has it at openai
    counted = promote(command, "--model", V10, "--provider", "second", "--override", "order")
    read_back, report = command("verify"), command("report")

    assert (made.code, size.code) == (0, 0), made
    assert (paid(second), paid(sandbox)) == (60, 60)
    assert [host["provider"] for host in json.loads(made.out)["hosts"]] == ["second", "openai"]
    assert (document["address"], document["kind"]) == (second.url, "openai")
    assert document["hosts"] == {"live": {"address": sandbox.url, "kind": "openai"}}
    assert document["arms"]["candidate"]["provider"] == "second"
    assert document["arms"]["live"]["provider"] == "openai"
    assert (elsewhere.code, "no evidence about" in elsewhere.err) == (7, True)
    assert counted.code == 0, counted
    assert (read(TARGET).model, read(TARGET).provider) == (V10, "second")
    assert read(TARGET).releases[0].evidence == path.stem
    assert read_back.code == 0, read_back
    assert f"second={V10}" in report.out
    assert f"live was asked at {sandbox.url}" in report.out
    assert f"second={V10}" in counted.out


def test_evidence_counts_only_where_it_was_made(
    second: Sandbox, command: Command, repo: Path
) -> None:
    """A name is no identity: the address behind it may be another one tomorrow."""
    scene(V8, V10, examples=60)
    command("eval", TARGET, f"second={V10}")
    options = ("--model", V10, "--provider", "second", "--override", "order")

    with Sandbox(now=lambda: STORY_NOW, key=SECOND) as third:
        name(repo.parent / "providers.toml", third.url)
        moved = promote(command, *options)
        again = command("eval", TARGET, f"second={V10}", "--json")

        assert (moved.code, f"it was made at {second.url}, and {third.url}" in moved.err) == (
            7,
            True,
        ), moved
        assert f"fftdeploy eval {TARGET} second={V10}@" in moved.err
        assert (again.code, paid(third), len(evidence())) == (0, 60, 2)
        assert promote(command, *options).code == 0


def test_what_is_live_may_be_the_one_that_lives_elsewhere(
    second: Sandbox, command: Command, repo: Path
) -> None:
    scene(V8, V10, examples=60)
    options = ("--model", V8, "--provider", "second", "--override", "order")
    command("eval", TARGET, f"second={V8}")
    assert promote(command, *options).code == 0

    made = command("eval", TARGET, f"openai={V10}")
    moved = (repo.parent / "providers.toml").read_text()
    with Sandbox(now=lambda: STORY_NOW, key=SECOND) as third:
        name(repo.parent / "providers.toml", third.url)
        refused = promote(command, "--model", V10, "--provider", "openai")
    (repo.parent / "providers.toml").write_text(moved)
    counted = promote(command, "--model", V10, "--provider", "openai")

    assert made.code == 0, made
    assert (refused.code, "it was made for what is live at" in refused.err) == (7, True), refused
    assert counted.code == 0, counted
    back = command("rollback", TARGET, "--why", "x", "--yes")
    assert (back.code, read(TARGET).model, read(TARGET).provider) == (0, V8, "second")


TWO_PRICES = f"""
[prices]
date = 2026-11-20
[prices."second={LUNA}"]
input = USD
output = USD
[prices."{LUNA}"]
input = 1
output = 1
"""


def test_each_host_has_its_own_price(second: Sandbox, command: Command, repo: Path) -> None:
    """The same model at two hosts: what it costs, what may be spent and which is best differ."""
    Path("profiles").mkdir()
    Path("profiles/long.toml").write_text((ROOT / "profiles/triage-long.toml").read_text())
    to = (
        "--to",
        f"second={LUNA}@long,openai={LUNA}@long",
        "--dry-run",
        "--why",
        "x",
        "--override",
        "order",
    )
    best, times_openais = [], []
    for usd in ("0.5", "2"):
        scene(V7, V8, policy=POLICY + TWO_PRICES.replace("USD", usd))
        (found,) = json.loads(command("migrate", TARGET, *to, "--json").out)["targets"]
        best.append(found["successors"][0]["provider"])
        costs = {
            one["provider"]: arm["usd_per_1k_requests"]
            for one in found["successors"]
            for arm in one["evaluation"]["verdict"]["arms"]
            if arm["arm"] == "candidate"
        }
        times_openais.append(costs["second"] / costs["openai"])
    Path("fftdeploy.toml").write_text(
        (POLICY + TWO_PRICES.replace("USD", "1")).replace("second=", "third=")
    )
    unpriced = command("eval", TARGET, f"second={LUNA}@long", "--max-usd", "1")

    assert best == ["second", "openai"]
    assert times_openais == pytest.approx([0.5, 2], rel=1e-4)
    named = {key for path in evidence() for key in json.loads(path.read_text())["prices"]["models"]}
    assert named == {f"second={LUNA}", LUNA}
    assert command("verify").code == 0
    assert f"--max-usd needs the price of {V7}\n" in unpriced.err


def test_a_key_that_lacks_is_heard_before_anybody_is_asked(
    second: Sandbox, sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene(V8, V10, examples=60)
    monkeypatch.delenv("SECOND_KEY")

    ended = command("eval", TARGET, f"second={V10}")
    batched = command("eval", TARGET, f"second={V10}", "--batch")

    assert (ended.code, batched.code) == (10, 10)
    assert "error: SECOND_KEY, the key of second, is not set" in ended.err
    assert (paid(sandbox), second.requests) == (0, ())


def test_each_host_has_batches_of_its_own(
    second: Sandbox, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10, examples=60)

    ended = command("eval", TARGET, f"second={V10}", "--batch")

    document = json.loads(evidence()[0].read_text())
    assert (ended.code, paid(sandbox), paid(second)) == (0, 60, 60), ended
    assert (document["address"], document["hosts"]["live"]["address"]) == (second.url, sandbox.url)


GATEWAY = "sk-gateway-0123456789"
AWAY = "sk-away-0123456789"


def test_no_key_of_any_command_that_evaluates_goes_to_the_host_of_another(
    second: Sandbox,
    sandbox: Sandbox,
    command: Command,
    repo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The trap is what hears what it is not to hear: as a proxy, and where redirects lead."""
    scene(V7, V8, examples=20)
    Path("profiles").mkdir()
    Path("profiles/long.toml").write_text((ROOT / "profiles/triage-long.toml").read_text())
    with FaultServer() as trap, FaultServer(is_openai=False) as away:
        for variable in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, trap.url)
        monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Gateway: {GATEWAY}")
        monkeypatch.setenv("AWAY_KEY", AWAY)
        with (repo.parent / "providers.toml").open("a") as file:
            file.write(f'[away]\nbase_url = "{away.url}"\napi_key_env = "AWAY_KEY"\n')
        lead_away(away, trap)
        to = ("--why", "x", "--dry-run", "--to")
        ended = {
            "eval": command("eval", TARGET, f"second={LUNA}@long"),
            "batch": command("eval", TARGET, f"second={LUNA}@long", "--batch", "--fresh"),
            "migrate": command("migrate", TARGET, *to, f"second={LUNA}@long"),
            "record": command("migrate", TARGET, "--record"),
            "away": command("eval", TARGET, f"away={LUNA}@long"),
            "away-batch": command("eval", TARGET, f"away={LUNA}@long", "--batch"),
            "away-migrate": command("migrate", TARGET, *to, f"away={LUNA}@long"),
        }
        away.listing({"id": LUNA, "object": "model"})
        away.probe(echo(), *[reply(307, {}, headers=[("Location", f"{trap.url}/x")])] * 99)
        ended["away-later"] = command("eval", TARGET, f"away={LUNA}@long")
        away.probe(echo())
        ended["away-files"] = command("eval", TARGET, f"away={LUNA}@long", "--batch")

        assert trap.log == []
        assert {key for each in away.log for key in keys_in(each.headers)} == {f"Bearer {AWAY}"}
        assert "/v1/batches" in "".join(away.asked())
    for host, gateway in ((second, set()), (sandbox, {GATEWAY})):
        assert {request.is_authorised for request in host.requests} == {True}
        assert {key for each in host.requests for key in keys_in(each.headers)} == gateway
    judged = {name for name, done in ended.items() if done.code in {0, 5, 7}}
    assert judged >= {"eval", "batch", "record"}
    assert not [name for name in judged if name.startswith("away")]
    said = "".join(done.out + done.err for done in ended.values())
    assert not [key for key in (SECOND, AWAY, GATEWAY) if key in said]


def keys_in(headers: Mapping[str, str]) -> set[str]:
    names = ("authorization", "api-key", "x-gateway", "openai-organization", "proxy-authorization")
    return {headers[each] for each in names if each in headers}


def lead_away(host: FaultServer, trap: FaultServer) -> None:
    """Let every answer of a host be a redirect to another one."""
    for method, path in (
        *(("GET", each) for each in ("models", f"models/{LUNA}", "batches", "files")),
        *(("POST", each) for each in ("chat/completions", "responses", "files", "batches")),
    ):
        location = [("Location", f"{trap.url}/{path}")]
        host.script(method, f"/v1/{path}", reply(307, {}, headers=location))
