"""A LoRA's name can be swapped under you: what is kept of it with evidence, and who says so."""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from fault_server import GOOD, FaultServer, Reply, chat_body, reply
from gated import EXAMPLES, TARGET, evidence, promote, scene
from scenes import V8, V10, past, read, row, table, write

KEY = "vllm-key-0123456789"
OLD, NEW = "triage-v3", "triage-v4"
STAGING = "triage/staging"


class Vllm:
    """A vLLM with two LoRAs, each at a path; it answers every example as agreed."""

    def __init__(self, server: FaultServer) -> None:
        self.server = server
        self.roots = {OLD: "/models/3", NEW: "/models/4"}
        self.starts = 0
        self.names: dict[str, str] = {}
        """What models call themselves when they answer."""
        self.tell()
        server.probe(Reply(GOOD, made=self._answer))

    def tell(self, **swapped: str) -> None:
        """Start (again), with other paths behind some names; each time it is another time."""
        self.starts += 1
        self.roots |= {name.replace("_", "-"): root for name, root in swapped.items()}
        more = {"parent": "tiny", "created": 1795900000 + self.starts, "max_model_len": self.starts}
        entries = [{"id": name, "root": root} | more for name, root in self.roots.items()]
        self.server.listing({"id": "tiny", "root": "tiny", "parent": None}, *entries)

    @property
    def paid(self) -> int:
        return sum(len(entry.json["messages"]) > 1 for entry in self.server.log if entry.body)

    def _answer(self, asked: Any) -> Reply:
        text = asked["messages"][-1]["content"]
        found = self._agreed.get(text, "OK.")
        message = {"role": "assistant", "content": found}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        name = self.names.get(asked["model"], asked["model"])
        return reply(body=chat_body(model=name, choices=[choice]))

    @cached_property
    def _agreed(self) -> dict[str, str]:
        turns = [json.loads(line)["messages"] for line in EXAMPLES.read_text().splitlines()]
        return {said[-2]["content"]: said[-1]["content"] for said in turns}


@pytest.fixture(name="vllm")
def one_of_ones_own(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vllm]:
    """A host by name, at which one LoRA is live in production and another one waits in staging."""
    with FaultServer(is_openai=False) as server:
        file = repo.parent / "providers.toml"
        file.write_text(f'[vllm]\nbase_url = "{server.url}"\napi_key_env = "VLLM_KEY"\n')
        monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(file))
        monkeypatch.setenv("VLLM_KEY", KEY)
        scene(V8, V10, examples=60)
        write(there(STAGING, OLD, NEW), there(TARGET, OLD))
        yield Vllm(server)


def there(name: str, *models: str) -> str:
    rows = [row(n, model, provider="vllm") for n, model in enumerate(models, 1)]
    text = table(name, models[-1], reversed(rows))
    live = f'model = "{models[-1]}"\n'
    return text.replace(live, f'{live}provider = "vllm"\n', 1)


def found(command: Command, *argv: str) -> tuple[int, dict[str, tuple[str, str, str]]]:
    """Return how a command ends, and what it finds of other models behind a name, by target."""
    done = command(*argv, "--json")
    rows = [each for each in json.loads(done.out)["findings"] if each["code"] == "identity"]
    return done.code, {
        each["subject"]: (each["severity"], each["message"], each["hint"]) for each in rows
    }


def test_a_name_that_means_another_model_is_found_out(vllm: Vllm, command: Command) -> None:
    made = command("eval", TARGET)
    (path,) = evidence()
    document = json.loads(path.read_text())
    vllm.tell()  # a restart that changes nothing
    after_restart = found(command, "check"), found(command, "status", "--fail-on", "dead")
    counted = promote(command, "--dry-run")

    assert made.code == 0, made
    assert document["identities"] == {
        "candidate": {"root": "/models/4", "parent": "tiny"},
        "live": {"root": "/models/3", "parent": "tiny"},
    }
    assert command("verify").code == 0
    assert after_restart == ((0, {}), (0, {}))
    assert (counted.code, path.stem[:12] in counted.out) == (0, True), counted

    vllm.tell(triage_v4="/models/5")
    refused = promote(command)
    code, notices = found(command, "check")
    said = "root '/models/5' and not '/models/4'"
    assert refused.code == 7
    assert f"does not count: another model has the name {NEW} now: {said}" in refused.err
    assert (code, [*notices], notices[STAGING][0]) == (0, [STAGING], "notice")

    vllm.tell(triage_v3="/models/6", triage_v4="/models/4")
    refused = promote(command)
    asked = {"check": ("check",), "probe": ("check", "--probe")}
    asked["status"] = ("status", "--fail-on", "dead")
    findings = {name: found(command, *argv) for name, argv in asked.items()}
    offline = command("check", "--offline"), command("status")
    said = "root '/models/6' and not '/models/3'"
    assert (refused.code, read(TARGET).model) == (7, OLD)
    assert f"another model has the name {OLD} now: {said}" in refused.err
    when = f"{path.stem[:12]} of {document['made_at'][:10]}"
    message = f"another model has the name {OLD}: {said} (evidence {when})"
    hint = f"fftdeploy eval {TARGET} live, or fftdeploy rollback {TARGET}"
    assert findings == dict.fromkeys(asked, (12, {TARGET: ("error", message, hint)}))
    assert [done.code for done in offline] == [0, 0]

    before = vllm.paid
    again = command("eval", TARGET, "live")
    assert (again.code, vllm.paid - before) == (0, 60), "no answer of the other model is taken"
    assert found(command, "check") == (0, {})
    assert promote(command).code == 7, "what is live was another one for that evidence"
    assert command("eval", TARGET).code == 0
    assert promote(command).code == 0


def test_evidence_of_who_answered_by_a_name_is_of_nobody_else_by_that_name(
    vllm: Vllm, command: Command, repo: Path
) -> None:
    """A deployment is given another model, and both are allowed: one of them was judged."""
    with (repo.parent / "providers.toml").open("a") as file:
        file.write(f'answers_as = {{ "{NEW}" = ["judged", "other"] }}\n')
    vllm.names[NEW] = "judged"
    assert command("eval", TARGET).code == 0
    as_judged, paid = promote(command, "--dry-run"), vllm.paid

    vllm.names[NEW] = "other"
    swapped = promote(command)
    made = command("eval", TARGET)  # and none of the answers is taken for the other's
    counted = promote(command)

    assert (as_judged.code, swapped.code, read(TARGET).model) == (0, 7, NEW), swapped
    assert f"{NEW} answered as judged, and now as other" in swapped.err
    assert (made.code, vllm.paid - paid, counted.code) == (0, 60, 0), (made, counted)


def test_evidence_of_what_others_host_is_as_it_was(
    repo: Path, sandbox: Any, command: Command
) -> None:
    scene(V8, V10, examples=60)
    write(past(STAGING, V8, V10), past(TARGET, V8))
    assert command("eval", TARGET).code == 0
    (path,) = evidence()

    assert "identit" not in path.read_text()
    assert command("verify").code == 0
    said: dict[str, str]
    for arm, said in (("nobody", {"root": "x"}), ("candidate", {}), ("candidate", {"hue": "red"})):
        document = json.loads(path.read_text()) | {"identities": {arm: said}}
        edited = path.with_name(f"{'0' * 32}.json")
        edited.write_text(json.dumps(document))
        assert "is not evidence of fftdeploy" in command("verify", str(edited)).err
        edited.unlink()
