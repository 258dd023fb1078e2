"""Rows D through the command line: the exit code, the file, the key, and where bytes went.

The faults and what they prove are the table of `test_api_faults`; here a whole command meets them.
"""

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from api_faults import LOCATIONS, PROBES, RETRIEVES
from command_line import Command, Result
from fake_time import FakeTime
from fault_server import (
    GOOD,
    KEY,
    KEY_FORMS,
    MODEL,
    FaultServer,
    Reply,
    error,
    good_chat,
    good_model,
    hang,
    missing,
    model_body,
    reply,
)
from november import production
from scenes import V8

from fftdeploy.api.client import connection
from fftdeploy.commands import context

AUTH = {"key-refused", "forbidden", "billing", "key-scope"}


@dataclass
class World:
    """A repository, a server that fails, a trap that nobody may call, and counts."""

    api: FaultServer
    trap: FaultServer
    file: Path
    command: Command
    tried: int = 0
    sightings: int = 0

    def meet(self, text: str, *argv: str) -> tuple[Result, bool]:
        """Run a command on a file that says `text`; tell whether it changed the file."""
        self.file.write_text(text)
        self.api.log.clear()
        done = self.command(*argv)
        self.tried += 1
        after = self.file.read_text()
        printed = done.out + done.err + after
        self.sightings += sum(form in printed for form in KEY_FORMS)
        assert [path.name for path in self.file.parent.iterdir() if path.name != ".git"] == [
            "deployments.toml"
        ]
        assert "Traceback" not in printed
        assert done.code == 0 or done.err.count("error: ") == 1 or argv[0] in {"check", "status"}
        return done, after != text


@pytest.fixture
def world(repo: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with FaultServer() as api, FaultServer() as trap:
        monkeypatch.setenv("OPENAI_BASE_URL", api.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setattr(context, "system_clock", lambda: FakeTime().clock())
        yield World(api, trap, repo / "deployments.toml", command)


def exit_code(state: str, code: str) -> int:
    if state == "ready":
        return 0
    return 4 if state == "not-ready" else 10 if code in AUTH else 9


Spoil = Callable[[FaultServer], None]


def retrieves(*replies: Reply) -> Spoil:
    return lambda api: api.retrieve(*replies)


def probes(*replies: Reply) -> Spoil:
    return lambda api: api.probe(*replies)


def faults(trap: FaultServer) -> dict[str, tuple[Spoil, int]]:
    """Return what each row does to a server, and the exit code of a promotion that meets it."""
    rows: dict[str, tuple[Spoil, int]] = {}
    for name, (replies, state, code, _) in RETRIEVES.items():
        rows[name] = (retrieves(*replies), exit_code(state, code))
    for name, (replies, state, code, _) in PROBES.items():
        rows[name] = (probes(*replies), exit_code(state, code))
    trap.script("GET", "/v1/models/x", good_model())
    for shape, location in LOCATIONS.items():
        where = location.format(trap=trap.port)
        moved = reply(307, raw=b"", headers=[("Location", where)])
        rows[f"D23-{shape}"] = (retrieves(moved), 9)
        rows[f"D23-probe-{shape}"] = (probes(moved), 9)
    return rows


def settle(api: FaultServer) -> None:
    """Let everything be as it should be."""
    api.retrieve(good_model())
    api.probe(good_chat())
    api.script("GET", f"/v1/models/{V8}", reply(body=model_body(id=V8), name=GOOD))
    api.listing()


def test_promote(world: World) -> None:
    wrong = []
    done_rightly = 0
    rows = faults(world.trap)
    for name, (spoil, code) in rows.items():
        settle(world.api)
        spoil(world.api)
        done, changed = world.meet(
            production(V8),
            *("promote", "triage/production", "--model", MODEL, "--yes", "--by", "ci"),
            *("--wait", "0", "--json"),
        )
        said = json.loads(done.out)
        assert (said["exit_code"], said["schema"]) == (done.code, "fftdeploy.promote/1")
        assert done.out.isascii()
        if (done.code, changed) != (code, code == 0):
            wrong.append((name, done.code, code, changed))
        done_rightly += changed
    print(f"promote: {len(rows)} faults tried, {len(wrong)} wrong, {done_rightly} promoted")
    print(f"trap: {world.trap.accepted} connections; key: {world.sightings} sightings")
    assert wrong == []
    assert len(rows) >= 60
    assert (world.trap.accepted, world.sightings) == (0, 0)


def test_rollback(world: World) -> None:
    wrong = []
    rows = faults(world.trap)
    for name, (spoil, code) in rows.items():
        settle(world.api)
        spoil(world.api)
        done, changed = world.meet(
            production(MODEL, V8),
            *("rollback", "triage/production", "--yes", "--by", "ci", "--wait", "0"),
        )
        if (done.code, changed) != (code, code == 0):
            wrong.append((name, done.code, code, changed))
    print(f"rollback: {len(rows)} faults tried, {len(wrong)} wrong")
    assert wrong == []
    assert (world.trap.accepted, world.sightings) == (0, 0)


def test_looking_changes_nothing_and_never_calls_a_fault_a_missing_model(world: World) -> None:
    wrong = []
    for name, (replies, state, code, _) in RETRIEVES.items():
        settle(world.api)
        world.api.retrieve(*replies)
        status, changed = world.meet(production(MODEL), "status", "--json")
        shown = json.loads(status.out)["targets"][0]["readiness"]
        if (status.code, changed, shown["state"], shown["code"]) != (0, False, state, code):
            wrong.append((name, status.code, shown))

        world.api.retrieve(*replies)
        check, changed = world.meet(production(MODEL), "check", "--json")
        allowed = {"ready": {0}, "not-ready": {0, 12}, "unverified": {9, 10}}[state]
        if code == "missing":  # so it is for all of the target's models: the key is doubted
            allowed = {10}
        if "J3" in name:  # only a probe can tell
            allowed = {9}
        if check.code not in allowed or changed:
            wrong.append((name, check.code, check.out))

        settle(world.api)
        world.api.script("GET", "/v1/models", *replies)
        models, changed = world.meet(production(MODEL), "models")
        if models.code not in {4, 9, 10} or changed:
            wrong.append((name, models.code, models.out))
    print(f"status, check, models: {3 * len(RETRIEVES)} tried, {len(wrong)} wrong")
    assert wrong == []
    assert world.sightings == 0


def test_D22_D34_deadline_and_a_model_that_goes_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model gone at the second proof is refused; it is asked for when a minute has passed."""
    time = FakeTime()
    monkeypatch.setattr(context, "system_clock", time.clock)
    settle(world.api)
    world.api.retrieve(good_model(), missing())
    replace = context.Context.now

    def later(self: context.Context) -> object:
        # Between the proof and the write somebody thinks about it for an hour.
        if world.api.asked("POST"):
            time.slept.append(3600.0)
        return replace(self)

    monkeypatch.setattr(context.Context, "now", later)
    done, changed = world.meet(
        production(V8), "promote", "triage/production", "--model", MODEL, "--yes", "--by", "ci"
    )

    assert (done.code, changed) == (4, False)
    assert [entry.method for entry in world.api.log] == ["GET", "POST", "GET"]


def test_D42_D43_rollback_unverified(world: World) -> None:
    """A server that hangs up is set aside by `--unverified`; a proof is not."""
    rows = [("unreachable", error(503, None), 0), ("missing", missing(), 4)]
    for _, fault, code in rows:
        settle(world.api)
        world.api.retrieve(fault)
        done, changed = world.meet(
            production(MODEL, V8),
            *("rollback", "triage/production", "--yes", "--by", "ci", "--unverified"),
        )
        assert (done.code, changed) == (code, code == 0)
        assert ("verified = false" in world.file.read_text()) is (code == 0)


def test_D41_the_address_is_named_and_D40_a_plain_one_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(world.api)
    done, _ = world.meet(production(MODEL), "status")
    assert f"API: {world.api.url} (from OPENAI_BASE_URL)" in done.err
    accepted = world.api.accepted
    for address in (
        "http://api.example.com/v1",
        f"http://user:{KEY}@127.0.0.1:{world.trap.port}/v1",
        "ftp://127.0.0.1/",
        f"http://127.0.0.1:{world.trap.port}/v1?key={KEY}",
    ):
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        done, changed = world.meet(
            production(V8), "promote", "triage/production", "--model", MODEL, "--yes"
        )
        assert (done.code, changed) == (3, False)
    assert (world.trap.accepted, world.api.accepted, world.sightings) == (0, accepted, 0)


KEYS = {
    "absent": None,
    "empty": "",
    "newline": KEY + "\n",
    "return": KEY + "\r",
    "blank": f" {KEY}",
    "inner": f"{KEY[:20]} {KEY[20:]}",
    "quotes": f'"{KEY}"',
    "not-ascii": KEY + "\u00e9",
    "smart-quotes": f"\u201c{KEY}\u201d",
    "control": KEY + "\x1b",
}


@pytest.mark.parametrize("how", KEYS)
def test_D38_D39_a_key_that_is_no_key(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    value = KEYS[how]
    if value is None:
        monkeypatch.delenv("OPENAI_API_KEY")
    else:
        monkeypatch.setenv("OPENAI_API_KEY", value)
    refused: tuple[tuple[str, ...], ...] = (
        ("promote", "triage/production", "--model", MODEL, "--yes", "--json"),
        ("promote", "triage/production", "--model", MODEL, "--yes"),
        ("rollback", "triage/production", "--yes"),
        ("models",),
    )
    for argv in refused:
        done, changed = world.meet(production(MODEL, V8), *argv)
        assert (done.code, changed) == (10, False), argv
        assert "OPENAI_API_KEY" in done.err
    fine: tuple[tuple[str, ...], ...] = (
        ("status", "--offline"),
        ("check", "--offline"),
        ("history",),
    )
    for argv in fine:
        done, changed = world.meet(production(MODEL, V8), *argv)
        assert (done.code, changed) == (0, False), argv
    assert (world.api.accepted, world.sightings) == (0, 0)


def test_a_hang_ends_at_the_deadline(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = connection.Connection.retrieve
    monkeypatch.setattr(
        connection.Connection,
        "retrieve",
        lambda self, model, left: real(self, model, min(left, 0.3)),
    )
    settle(world.api)
    world.api.retrieve(Reply("hang", act=hang))

    done, changed = world.meet(
        production(V8), "promote", "triage/production", "--model", MODEL, "--yes", "--wait", "0"
    )

    assert (done.code, changed) == (9, False)
    world.api.stopping.set()


def test_control_the_bare_sdk_is_fooled(world: World) -> None:
    """`retrieve(); ok = True` promotes what no proof stands behind."""
    import openai

    fooled = []
    rows = {name: spoil for name, (spoil, code) in faults(world.trap).items() if code}
    elsewhere = f"http://127.0.0.1:{world.trap.port}/v1/models/x"
    moved = reply(302, raw=b"", headers=[("Location", elsewhere)])
    rows["D23-believed"] = retrieves(moved)
    with openai.OpenAI(api_key=KEY, base_url=world.api.url, timeout=2, max_retries=0) as bare:
        for name, spoil in rows.items():
            if name.startswith("D23-") and name != "D23-believed":
                continue
            settle(world.api)
            spoil(world.api)
            try:
                with warnings.catch_warnings(action="ignore"):
                    bare.models.retrieve(MODEL)
            except Exception:  # noqa: S112  whatever it raises is a refusal
                continue
            fooled.append(name)
    print(f"bare SDK: {len(rows)} tried, {len(fooled)} wrong promotions")
    assert len(fooled) >= 13
    assert world.trap.accepted == 1
