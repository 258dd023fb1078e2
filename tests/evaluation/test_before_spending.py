"""What is said and refused before an evaluation spends anything: cost, places, training files."""

import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from command_line import Command
from fault_server import FaultServer, Reply, echo, good_model, reply
from gated import EXAMPLES, POLICY, TARGET, evidence, paid, scene
from scenes import V8, V10, past, write

from fftdeploy.api.client.connection import PROBE_TEXT
from fftdeploy.evaluation.evidence.evidence import parse
from fftdeploy.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("repo", "sandbox")

PRICES = """
[prices]
date = 2026-11-20
"ft:gpt-4.1-mini-2025-04-14" = { input = 0.8, cached_input = 0.2, output = 3.2 }
"""


def used(path: Path) -> tuple[int, int]:
    """Return the tokens that the answers of evidence have taken."""
    arms = parse(path.read_bytes(), path.name)[1].results.arms.values()
    return sum(sum(arm.tokens_in) for arm in arms), sum(sum(arm.tokens_out) for arm in arms)


def labelled() -> None:
    """Make the examples those of a task whose answer is one letter."""
    lines = [json.loads(line) for line in EXAMPLES.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["messages"][-1]["content"] = "ABC"[number % 3]
    EXAMPLES.write_text("".join(json.dumps(line) + "\n" for line in lines))


def sized(command: Command) -> dict[str, Any]:
    return dict(json.loads(command("size", TARGET, "--json").out)["cost"])


def test_before_there_is_a_candidate_what_is_live_is_sized(command: Command) -> None:
    scene(V8, V10, policy=POLICY)
    write(past(TARGET, V8), policy=POLICY)

    early = command("size", TARGET, "--json")

    assert early.code == 0
    assert f"sized by what is live, {V8}" in early.err
    assert (
        json.loads(early.out)["smallest"]
        == json.loads(command("size", TARGET, V10, "--json").out)["smallest"]
    )
    assert command("eval", TARGET).code == 2


def test_a_guess_is_no_bound_and_what_is_on_record_is_no_guess(command: Command) -> None:
    scene(V8, V10, policy=POLICY + PRICES)
    guess = sized(command)
    judged = command("eval", TARGET)
    (path,) = evidence()
    tokens_in, tokens_out = used(path)
    known = sized(command)
    other = json.loads(command("size", TARGET, "gpt-6-luna@", "--json").out)["cost"]

    assert (guess["requests"], guess["estimated"]) == (134, True)
    assert tokens_out <= guess["tokens_out"] < 1.5 * tokens_out
    assert guess["tokens_in"] >= tokens_in
    note = next(text for text in judged.err.splitlines() if "2 models" in text)
    assert note.startswith(
        f"2 models x 67 examples: at most 134 requests, about {guess['tokens_in']:,} tokens in, "
        f"{guess['tokens_out']:,} out, {guess['usd']:.4f} USD (prices of 2026-11-20), "
    )
    assert (known["tokens_in"], known["tokens_out"]) == (tokens_in, tokens_out)
    assert known["estimated"] is False
    usd = (0.8 * tokens_in + 3.2 * tokens_out) / 1e6
    assert known["usd"] == pytest.approx(usd)
    assert other["estimated"] is True, "nothing is known of one of them"
    assert tokens_out <= other["tokens_out"] <= 1.1 * tokens_out


def test_a_letter_is_not_a_quarter_of_a_token(command: Command) -> None:
    label = 'type = "label"\nlabels = ["A", "B", "C"]'
    fields = POLICY.index('type = "json_fields"')
    scene(V8, V10, policy=POLICY[:fields] + label + "\n")
    labelled()

    assert sized(command)["tokens_out"] == 134 * 8


@pytest.mark.parametrize(
    ("confidence", "said"),
    [("0.95", "95% sure"), ("0.99999", "99.999% sure"), ("0.975", "97.5% sure")],
)
def test_a_bar_is_said_as_it_is(command: Command, confidence: str, said: str) -> None:
    scene(V8, V10, policy=POLICY.replace("slices =", f"confidence = {confidence}\nslices ="))

    first = command("size", TARGET).out.splitlines()[0]

    assert first == f"{TARGET}  67 examples, {said} that it is at most 5 points worse"


@pytest.mark.parametrize("way", ["link", "file", "link above"])
def test_A15_evidence_that_could_not_be_written_costs_nothing(
    repo: Path, sandbox: Sandbox, command: Command, way: str
) -> None:
    scene(V8, V10)
    outside = repo.parent / "outside"
    outside.mkdir()
    place = Path(".fftdeploy/evidence/triage")
    place.parent.parent.mkdir()
    if way == "link above":
        place.parent.symlink_to(outside)
    else:
        place.parent.mkdir()
        place.symlink_to(outside) if way == "link" else place.write_text("")

    ended = command("eval", TARGET)

    assert (ended.code, paid(sandbox)) == (3, 0)
    assert "a link or a file is where a folder has to be" in ended.err
    assert list(outside.iterdir()) == []
    assert not Path(".fftdeploy/runs").exists()


def test_a_broken_schema_has_a_place(sandbox: Sandbox, command: Command) -> None:
    schema = '\n[[tasks.triage.gate.graders]]\ntype = "json_schema"\nschema = { type = "objekt" }\n'
    policy = POLICY + schema
    scene(V8, V10, policy=policy)
    line = policy.splitlines().index('schema = { type = "objekt" }') + 1

    for verb in ("eval", "size"):
        ended = command(verb, TARGET)
        assert (ended.code, paid(sandbox)) == (3, 0)
        assert ended.err.splitlines()[-1] == (
            "error: grader 'json_schema': its schema is not valid at $.type "
            f"(fftdeploy.toml:{line}:1)"
        )


def test_a_training_file_that_says_nothing_is_not_without_overlap(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10)
    Path("empty.jsonl").write_text("\n\n")
    asked = json.loads(EXAMPLES.read_text().splitlines()[0])["messages"]
    silent = ['{"messages":[]}', '{"messages":[{"role":"user","content":"..."}]}']
    lines = [json.dumps({"messages": asked}), *silent, '{"messages":[{"role":"system"}]}']
    Path("training.jsonl").write_text("".join(f"{each}\n" for each in lines))

    empty = command("eval", TARGET, "--training", "empty.jsonl")
    assert (empty.code, paid(sandbox)) == (3, 0)
    assert f"error: the training file is empty ({repo}/empty.jsonl)" in empty.err

    ended = command("eval", TARGET, "--training", "training.jsonl")
    assert ended.code == 0
    assert (
        "warning: in 3 of 4 lines of the training file no user says anything: they are compared "
        "with nothing" in ended.err
    )
    (path,) = evidence()
    training = json.loads(path.read_text())["examples"]["training"]
    assert (training["exact"], training["near"]) == (1, 0)


HOUSE = "house-model"


@pytest.mark.parametrize("listed", [HOUSE, f"ft:gpt-4.1-mini-2025-04-14:acme:{HOUSE}:AbC12", ""])
def test_what_a_candidate_is_likely_to_be_is_asked_about_while_its_name_is_looked_up(
    repo: Path, command: Command, monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    """With a list that is answered last, and that knows better what the short name stands for."""
    scene(V8, V10, examples=60)
    means, before = listed or HOUSE, []

    def at_last(api: FaultServer, sock: socket.socket) -> None:
        for _ in range(500):
            if len(api.asked("POST")) >= 2 or api.stopping.wait(0.01):
                break
        before.extend(api.asked("POST"))
        entries = [{"id": listed, "object": "model"}] if listed else []
        sock.sendall(reply(body={"object": "list", "data": entries}).data)

    with FaultServer(is_openai=False) as api:
        api.probe(echo())
        for name in (HOUSE, means, V8):
            api.retrieve(good_model(id=name), model=quote(name, safe=":"))
        api.script("GET", "/v1/models", Reply("list", act=at_last))
        monkeypatch.setenv("OPENAI_BASE_URL", api.url)
        ended = command("eval", TARGET, HOUSE, "--json")
        posted = [each.json for each in api.log if each.method == "POST"]

    proofs = [body["model"] for body in posted if PROBE_TEXT in json.dumps(body)]
    examples = [body["model"] for body in posted[len(proofs) :]]
    assert (ended.code, len(before)) == (7, 2), ended
    assert json.loads(ended.out)["evaluations"][0]["candidate"] == means
    assert sorted(proofs) == sorted({HOUSE, V8, means})
    assert sorted(examples) == sorted([means, V8] * 60), "and each of them after the proofs"
