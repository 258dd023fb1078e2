"""A real llama.cpp: what it says of itself, and our commands against it."""

import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama
import pytest
from command_line import PROGRAM, Command
from llama import Gateway, Llama, Weights
from llama_scenes import (
    COUNT,
    LABELS,
    NOBODY,
    POLICY,
    PRODUCTION,
    PROFILE,
    STAGING,
    V1,
    V2,
    V3,
    answers,
    commit,
    content,
    hosts,
    passed,
    release,
    write_examples,
)
from scenes import FILE, V8, past, read, table, write

from fftdeploy.sandbox import Sandbox

pytestmark = pytest.mark.skipif(bool(llama.MISSING), reason=llama.MISSING)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Weights:
    base = tmp_path_factory.getbasetemp()
    return llama.weights((base if worker_id == "master" else base.parent) / "llama")


@pytest.fixture(scope="module")
def plain(weights: Weights) -> Iterator[Llama]:
    """The base model, which has two names."""
    with llama.serving(weights, "triage-v1", "triage-v2") as running:
        yield running


@pytest.fixture(scope="module")
def tuned(weights: Weights) -> Iterator[Llama]:
    """The same with a LoRA, which answers otherwise."""
    with llama.serving(weights, "triage-v3", is_tuned=True) as running:
        yield running


@pytest.fixture(scope="module")
def agreed(plain: Llama) -> list[str]:
    """The base's own answers, which the examples agree on."""
    return answers(plain, "triage-v1")


def test_two_models_answer_in_two_ways_and_the_same_again(
    plain: Llama, tuned: Llama, agreed: list[str]
) -> None:
    others = answers(tuned, "triage-v3")
    alike = sum(one == other for one, other in zip(agreed, others, strict=True))

    print(f"{alike} of {COUNT} alike")
    assert answers(plain, "triage-v2") == agreed
    assert {*agreed, *others} <= {f'{{"label":"{label}"}}' for label in LABELS}
    assert len({*agreed}) > 1
    assert COUNT // 4 < alike < COUNT // 2


@pytest.mark.parametrize("asked", ["triage-v1", "triage-v2", "nobody"])
def test_any_name_is_answered_by_what_is_loaded(plain: Llama, asked: str) -> None:
    body = {"model": asked, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    answer = plain.ask("/v1/chat/completions", body)

    assert (answer.status, answer.body["model"]) == (200, "triage-v1")


def test_its_list_gives_the_aliases_and_nothing_else_is_known_of_a_model(plain: Llama) -> None:
    not_found: dict[str, Any] = {
        "error": {"message": "File Not Found", "type": "not_found_error", "code": 404}
    }

    assert [(row["id"], row["aliases"]) for row in plain.ask("/v1/models").body["data"]] == [
        ("triage-v1", ["triage-v1", "triage-v2"])
    ]
    for path in ("/v1/models/triage-v1", "/v1/fine_tuning/jobs", "/v1/v1/models"):
        assert plain.ask(path) == llama.Answer(404, not_found)


# --- our commands ----------------------------------------------------------------------------


@pytest.fixture
def scene(repo: Path, monkeypatch: pytest.MonkeyPatch, agreed: list[str]) -> Path:
    """A repository in which the base is live, and which agrees on what the base answers."""
    write_examples(agreed)
    write(
        *(table(target, V1, [release(1, V1)], profile="label") for target in (STAGING, PRODUCTION)),
        policy=POLICY,
    )
    commit("the first release")
    monkeypatch.setenv("OPENAI_API_KEY", llama.KEY)
    return repo


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, plain: Llama, tuned: Llama) -> Iterator[Gateway]:
    """All models at one address."""
    with llama.gateway({V1: plain, V2: plain, V3: tuned}) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        yield running


def program(*argv: str) -> tuple[int, dict[str, Any]]:
    """Run the installed program and return how it ended and its document."""
    done = subprocess.run(
        [PROGRAM, *argv, "--json"], capture_output=True, text=True, check=False, timeout=120
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, document


@pytest.mark.usefixtures("forked_commands")
def test_worse_is_stopped_as_good_is_promoted_and_both_are_rolled_back(
    scene: Path, host: Gateway, tuned: Llama, agreed: list[str]
) -> None:
    alike = sum(one == other for one, other in zip(agreed, answers(tuned, V3), strict=True))

    assert program("promote", STAGING, "--model", V3, "--yes")[0] == 0
    code, document = program("eval", PRODUCTION)
    assert (code, passed(document)) == (5, {"live": (COUNT, COUNT), "candidate": (alike, COUNT)})
    assert program("promote", PRODUCTION, "--yes", "--why", "worse")[0] == 5
    assert read(PRODUCTION).model == V1
    assert program("rollback", STAGING, "--yes")[0] == 0
    assert read(STAGING).model == V1

    assert program("promote", STAGING, "--model", V2, "--yes")[0] == 0
    code, document = program("eval", PRODUCTION)
    assert (code, passed(document)) == (0, {"live": (COUNT, COUNT), "candidate": (COUNT, COUNT)})
    commit("evidence")
    assert program("promote", PRODUCTION, "--yes", "--why", "as good", "--commit")[0] == 0
    assert read(PRODUCTION).model == V2
    assert program("rollback", PRODUCTION, "--yes", "--why", "a rehearsal")[0] == 0
    assert read(PRODUCTION).model == V1


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, plain: Llama) -> Llama:
    """The base alone at the address, as llama.cpp is usually run."""
    monkeypatch.setenv("OPENAI_BASE_URL", plain.url)
    return plain


def test_J6_models_are_listed_where_there_are_no_jobs(
    scene: Path, alone: Llama, command: Command
) -> None:
    listed = command("models")

    assert (listed.code, listed.err.count("error:")) == (0, 0)
    assert V1 in listed.out
    assert "jobs: none here" in listed.out + listed.err


@pytest.mark.parametrize("base", ["/v1", ""], ids=["J3-as-it-is-meant", "J3-without-v1"])
def test_an_address_that_serves_serves_every_command(
    scene: Path, alone: Llama, command: Command, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", alone.origin + base)

    assert command("check").code == 0
    assert cells(command) == [(V1, "ready"), (V1, "ready")]
    assert command("promote", STAGING, "--model", V2, "--yes").code == 0
    assert command("rollback", STAGING, "--yes").code == 0
    assert read(STAGING).model == V1


def cells(command: Command) -> list[tuple[str, str]]:
    """Return what `status` says of each target: its model, and whether that is ready."""
    targets = json.loads(command("status", "--json").out)["targets"]
    return [(each["model"], each["readiness"]["state"]) for each in targets]


@pytest.mark.parametrize(
    "base",
    ["/v1/v1", "/v1/chat/completions", "/api/v1"],
    ids=["J3-twice", "J3-endpoint", "J3-else"],
)
def test_a_wrong_address_is_named_and_no_model_is_missing(
    scene: Path, alone: Llama, command: Command, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    url = alone.origin + base
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    write(
        table(STAGING, V2, [release(2, V2), release(1, V1)], profile="label"),
        table(PRODUCTION, V1, [release(1, V1)], profile="label"),
    )
    before = FILE.read_bytes()
    asked = {
        "promote": ("promote", STAGING, "--model", NOBODY, "--yes", "--wait", "0s"),
        "rollback": ("rollback", STAGING, "--yes", "--wait", "0s"),
        "eval": ("eval", PRODUCTION),
        "check": ("check", "--probe"),
        "models": ("models",),
    }
    ended = {name: command(*argv) for name, argv in asked.items()}

    assert {name: result.code for name, result in ended.items()} == dict.fromkeys(asked, 9)
    assert [name for name, result in ended.items() if url not in result.out + result.err] == []
    assert cells(command) == [(V2, "unverified"), (V1, "unverified")]
    assert FILE.read_bytes() == before


def test_J4_another_model_answers(scene: Path, alone: Llama, command: Command) -> None:
    write(
        table(STAGING, NOBODY, [release(2, NOBODY), release(1, V1)], profile="label"),
        table(PRODUCTION, V1, [release(2, V1), release(1, NOBODY)], profile="label"),
    )
    before = FILE.read_bytes()
    asked = {
        "promote": (9, ("promote", STAGING, "--model", "who", "--yes", "--wait", "0s")),
        "rollback": (9, ("rollback", PRODUCTION, "--yes", "--why", "INC-1", "--wait", "0s")),
        "eval": (9, ("eval", PRODUCTION)),
        "check": (12, ("check", "--probe")),
    }
    ended = {name: command(*argv) for name, (_, argv) in asked.items()}

    assert {name: result.code for name, result in ended.items()} == {
        name: code for name, (code, _) in asked.items()
    }
    for name, result in ended.items():
        said = result.out + result.err
        assert ("who" if name == "promote" else NOBODY) in said, name
        assert V1 in said, name
        assert "answered by" in said, name
    assert FILE.read_bytes() == before
    assert command("rollback", STAGING, "--yes").code == 0, "away from what another answers for"


def test_J4_what_the_user_allows_is_no_other_model(
    scene: Path,
    alone: Llama,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    allowed = tmp_path / "providers.toml"
    allowed.write_text(f'[openai]\nanswers_as = {{ {NOBODY} = ["{V1}"] }}\n')
    monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(allowed))

    assert command("promote", STAGING, "--model", NOBODY, "--yes").code == 0
    assert command("promote", STAGING, "--model", "who", "--yes", "--wait", "0s").code == 9


def test_J5_a_probe_is_bounded(scene: Path, host: Gateway, command: Command, plain: Llama) -> None:
    assert command("promote", STAGING, "--model", V2, "--yes").code == 0
    probes = [asked for asked in host.log if asked.path == "/v1/chat/completions"]
    unbounded = {key: value for key, value in probes[0].body.items() if "tokens" not in key}

    assert [asked.body["max_tokens"] for asked in probes] == [16] * len(probes)
    assert all(asked.answer["usage"]["completion_tokens"] <= 16 for asked in probes)
    answers = (plain.ask("/v1/chat/completions", unbounded) for _ in range(20))  # it draws lots
    used = (answer.body["usage"]["completion_tokens"] for answer in answers)
    assert any(tokens > 16 for tokens in used), "the control"


def test_a_wrong_key_is_refused(
    scene: Path, alone: Llama, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another")

    assert command("promote", STAGING, "--model", V2, "--yes").code == 10
    assert command("models").code == 10


CATEGORIES = {"shipping": "Tracking of {}?", "bug": "Order {}: the app crashes."}
CLOSED = PROFILE.replace("label =", "category =").replace('"label"', '"category"')
CLOSED = CLOSED.replace(
    '"refund", "billing", "bug", "other"', '"refund", "shipping", "billing", "bug"'
)


def understood(server: Llama, model: str, count: int) -> list[tuple[str, str]]:
    """Return messages that the model puts into the category in which they belong, with that."""
    shape = tomllib.loads(CLOSED)["response_format"]
    found: list[tuple[str, str]] = []
    for number in range(10 * count):
        for category, text in CATEGORIES.items():
            message = text.format(number * 37 % 997)
            if json.loads(content(server, model, message, shape))["category"] == category:
                found.append((message, category))
        if len(found) >= count:
            break
    return found[:count]


def test_off_a_dying_fine_tune_to_a_lora_of_ones_own(
    repo: Path,
    sandbox: Sandbox,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    weights: Weights,
    plain: Llama,
) -> None:
    def program(*argv: str) -> tuple[int, dict[str, Any]]:
        done = command(*argv, "--json")
        return done.code, json.loads(done.out)

    with llama.serving(weights, V3, is_tuned=True) as lora:
        said = understood(lora, V3, 80)
        hosts(monkeypatch, tmp_path, lora=lora, base=plain)
        dying(said)
        to = ("--to", f"base={V1}@closed,lora={V3}@closed", "--why", "it ends", "--yes")
        code, document = program("migrate", PRODUCTION, *to)

        (found,) = document["targets"]
        scores = {
            arm["provider"]: passed({"evaluations": [arm["evaluation"]]})["candidate"][0]
            for arm in found["successors"]
        }
        best = read(PRODUCTION)
        print(found["problem"])
        assert (code, found["state"], found["shutdown_date"]) == (0, "changed", "2027-01-14")
        assert scores["lora"] == len(said) > 2 * scores["base"]
        assert (best.model, best.provider, best.profile) == (V3, "lora", "closed")
        assert [one["rank"] for one in found["successors"]] == [1, None]
        assert [program(*argv)[0] for argv in (("check",), ("verify",))] == [0, 0]

    with llama.serving(weights, V3, is_other=True, port=lora.port):
        code, document = program("check")
        failed, status = program("status", "--fail-on", "dead")
        (found,) = [one for one in document["findings"] if one["code"] == "identity"]
        assert (code, failed, found["severity"], found["subject"]) == (12, 12, "error", PRODUCTION)
        assert found["message"].startswith(f"another model has the name {V3}: meta.")
        assert "meta.n_params '244096' and not '408192'" in found["message"]
        assert status["findings"] == [found]
        assert found["hint"].endswith(f", or fftdeploy rollback {PRODUCTION}")
        assert program("rollback", PRODUCTION, "--yes", "--why", "swapped")[0] == 0
    assert (read(PRODUCTION).model, read(PRODUCTION).provider) == (V8, "openai")
    assert program("check")[0] == 0


def dying(agreed: list[tuple[str, str]]) -> None:
    """Write a repository in which a fine-tune of OpenAI's is live, which ends in January."""
    Path("evals").mkdir()
    Path("profiles").mkdir()
    Path("profiles/closed.toml").write_text(CLOSED)
    with Path("evals/triage.jsonl").open("w") as examples:
        for number, (message, category) in enumerate(agreed):
            turns = [
                {"role": "user", "content": message},
                {"role": "assistant", "content": json.dumps({"category": category})},
            ]
            examples.write(json.dumps({"id": f"e-{number}", "messages": turns}) + "\n")
    policy = POLICY.replace("label =", "category =").replace('from = ["staging"]\n', "")
    write(past(PRODUCTION, V8), policy=policy.replace('"staging", ', ""))


@pytest.fixture
def named(
    scene: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plain: Llama, tuned: Llama
) -> None:
    """Each server by its own name and key, and the base live at its own; nothing at OpenAI."""
    hosts(monkeypatch, tmp_path, base=plain, lora=tuned)
    monkeypatch.delenv("OPENAI_API_KEY")
    text = FILE.read_text().replace(f'model = "{V1}"\n', f'model = "{V1}"\nprovider = "base"\n')
    FILE.write_text(text.replace(f'model = "{V1}",', f'model = "{V1}", provider = "base",'))
    commit("at home")


def test_two_hosts_by_name_are_two_models_by_proof(
    named: None, command: Command, tuned: Llama, agreed: list[str]
) -> None:
    def program(*argv: str) -> tuple[int, dict[str, Any]]:
        done = command(*argv, "--json")
        return done.code, json.loads(done.out)

    alike = sum(one == other for one, other in zip(agreed, answers(tuned, V3), strict=True))

    assert program("promote", STAGING, "--model", V3, "--provider", "lora", "--yes")[0] == 0
    code, document = program("eval", PRODUCTION)
    assert (code, passed(document)) == (5, {"live": (COUNT, COUNT), "candidate": (alike, COUNT)})
    assert [host["provider"] for host in document["hosts"]] == ["lora", "base"]
    assert program("promote", PRODUCTION, "--yes", "--why", "worse")[0] == 5
    assert program("check", "--probe")[0] == 0
    code, status = program("status")
    assert {one["provider"]: one["readiness"]["state"] for one in status["targets"]} == {
        "lora": "ready",
        "base": "ready",
    }
    assert program("rollback", STAGING, "--yes")[0] == 0
    assert (read(STAGING).model, read(STAGING).provider) == (V1, "base")
    # llama.cpp answers any name with what it has loaded: the wrong host is found out.
    code, document = program("promote", STAGING, "--model", V3, "--provider", "base", "--yes")
    assert (code, document["error"]["code"]) == (9, "other-model")
    assert "below [base] in" in document["error"]["hint"]
    assert program("models", "--provider", "lora")[1]["models"][0]["id"] == V3
