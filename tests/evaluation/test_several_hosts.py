"""An evaluation whose arms live on different hosts, and what its evidence is about."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import ROOT
from command_line import Command
from fault_server import FaultServer
from gated import POLICY, TARGET, evidence, paid, promote, scene
from scenes import LUNA, V7, V8, V10, read

from fftdeploy.sandbox import STORY_NOW, Sandbox

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
    second: Sandbox, sandbox: Sandbox, command: Command, repo: Path
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
    second: Sandbox, sandbox: Sandbox, command: Command, repo: Path
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


def test_each_host_has_its_own_price(
    second: Sandbox, sandbox: Sandbox, command: Command, repo: Path
) -> None:
    """The same model at two hosts: what it costs, what may be spent and which is best differ."""
    Path("profiles").mkdir()
    Path("profiles/long.toml").write_text((ROOT / "profiles/triage-long.toml").read_text())
    to = ("--to", f"second={LUNA}@long,openai={LUNA}@long", "--dry-run", "--why", "x")
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


def test_no_key_of_an_evaluation_goes_to_the_host_of_another(
    second: Sandbox, sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrong one would be refused; the trap is the host that hears what it is not to hear."""
    with FaultServer() as trap:
        monkeypatch.setenv("http_proxy", trap.url)
        monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway: sk-gateway-0123456789")
        scene(V8, V10, examples=20)
        ended = command("eval", TARGET, f"second={V10}", "--json")

        assert (ended.code, trap.log) == (0, [])
    for host, gateway in ((second, None), (sandbox, "sk-gateway-0123456789")):
        assert {request.is_authorised for request in host.requests} == {True}
        assert {request.headers.get("x-gateway") for request in host.requests} == {gateway}
