"""A model may be typed by its short name: one place says which is meant, and its ID is said."""
# ruff: noqa: E501  a case is a line of its table

import json
import os
from dataclasses import replace

import gated
import pytest
import terminal
from command_line import PROGRAM, Command, git
from scenes import (
    FILE,
    LUNA,
    V6,
    V7,
    V8,
    V9,
    V10,
    hold,
    newest,
    past,
    read,
    write,
    write_profile,
)

import fftdeploy
from fftdeploy.errors import UsageError
from fftdeploy.output.streams import Output
from fftdeploy.sandbox import ACME, STORY_NOW, Sandbox

pytestmark = pytest.mark.usefixtures("repo", "sandbox")
NAME, STAGING = "triage/production", "triage/staging"
AGAIN = V9.replace("CdEf9", "GhIj2")
"""Another model with the suffix of V9, which the file has and the host's list has not."""
ABOVE = f"{V10}:ckpt-step-200"


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Output, "is_interactive", True)


def test_a_person_types_a_short_name_and_sees_the_whole_id_before_being_asked() -> None:
    write(past(STAGING, V7, V8))
    words = [str(PROGRAM), "promote", STAGING, "--model", "triage-v9"]
    code, screen = terminal.run(words, os.environ, ("[y/N]", "y"))

    assert (code, read(STAGING).model) == (0, V9), screen
    assert f"note: triage-v9 is {V9}\n" in screen[: screen.index("[y/N]")]


TYPED = [
    ("promote", [STAGING, "--model", "triage-v9"], V9, "triage-v9 is {V9}"),
    ("promote", [STAGING, "--model", "triage-v10:ckpt-step-200"], ABOVE, "is {ABOVE}"),
    ("promote", [STAGING, "--model", LUNA], LUNA, ""),
    ("rollback", [STAGING, "--to", "triage-v7"], V7, "release 2 is the newest of {V7}"),
    ("rollback", [STAGING, "--to", "#1"], V7, ""),
]


@pytest.mark.usefixtures("at_terminal")
@pytest.mark.parametrize(("verb", "argv", "live", "said"), TYPED)
def test_a_short_name_at_a_terminal(
    command: Command, verb: str, argv: list[str], live: str, said: str
) -> None:
    write(past(STAGING, V7, V7, V8))
    result = command(verb, *argv, "--yes")
    assert (result.code, read(STAGING).model) == (0, live), result.err
    assert said.format(V9=V9, ABOVE=ABOVE, V7=V7) in result.err
    assert FILE.read_text().count('"triage-v') == 0


@pytest.mark.usefixtures("at_terminal")
@pytest.mark.parametrize("word", ["triage-v9:GhIj2", AGAIN])
def test_what_tells_two_models_apart_means_one_of_them(command: Command, word: str) -> None:
    write(past(STAGING, AGAIN, V8), past(NAME, V7, V8))
    assert command("hold", NAME, word, "--why", "x", "--yes").code == 0
    assert [one.model for one in read(NAME).holds] == [AGAIN]


OVER = [hold(model, until=STORY_NOW) for model in (V6, V6.replace("AaBb6", "Zz"))]
# What is typed -> what is wrong with it, and what to type.
WRONG = [
    ("promote", [STAGING, "--model", "triage-v9"], f"triage-v9 is the name of 2 models: {V9}, {AGAIN}", "triage-v9:CdEf9, triage-v9:GhIj2"),
    ("eval", [NAME, "triage-v9"], f"{V9}, {AGAIN}", "triage-v9:CdEf9, triage-v9:GhIj2"),
    ("eval", [NAME, V8, "--against", "triage-v9"], f"{V9}, {AGAIN}", "triage-v9:CdEf9"),
    ("promote", [STAGING, "--model", "gpt-6-lunar"], "neither deployments.toml nor the API's list has a model 'gpt-6-lunar'", "did you mean gpt-6-luna?"),
    ("promote", [STAGING, "--model", "no-such"], "has a model 'no-such'", "fftdeploy models"),
    ("eval", [NAME, "triage-v99"], "has a model 'triage-v99'", "did you mean triage-v9?"),
    ("size", [NAME, "triage-v77"], "has a model 'triage-v77'", "did you mean triage-v7?"),
    ("promote", [STAGING, "--model", V9, "--expect-current", "triage-v6"], "triage-v6 is the name of 2 models", "triage-v6:AaBb6, triage-v6:Zz"),
    ("hold", [NAME, "triage-v88", "--why", "x"], "deployments.toml has no model 'triage-v88'", "did you mean triage-v8?"),
    ("hold", [NAME, V8.rpartition(":")[0], "--why", "x"], "deployments.toml has no model 'ft:", "did you mean ft:"),
    ("hold", [NAME, f" {V8}\n", "--why", "x"], "it contains a blank", f"did you mean {V8}?"),
    ("hold", [NAME, "gpt\u20136 luna", "--why", "x"], "U+2013", "did you mean gpt-6-luna?"),
    ("hold", [NAME, "nobody-knows", "--why", "x"], "deployments.toml has no model 'nobody-knows'", "fftdeploy models"),
    ("unhold", [NAME, "triage-v8", "--why", "x"], "triage/production has no active hold on 'triage-v8'", "did you mean triage-v7?"),
    ("rollback", [NAME, "--to", "triage-v9"], "triage/production has no release of 'triage-v9'", "did you mean triage-v8?"),
    ("rollback", [NAME, "--to", V9], f"triage/production has no release of '{V9}'", "did you mean"),
    ("rollback", [NAME, "--to", "nobody"], "has no release of 'nobody'", "fftdeploy history triage/production"),
    ("rollback", [NAME, "--to", "9" * 5000], "has no release '999999999999999'", "fftdeploy history triage/production"),
    ("rollback", [NAME, "--to", "-1"], "has no release '-1'", "fftdeploy history triage/production"),
]  # fmt: skip


@pytest.mark.usefixtures("at_terminal")
@pytest.mark.parametrize(("verb", "argv", "words", "hint"), WRONG)
def test_a_name_of_no_model_or_of_several_is_refused_with_what_to_type(
    command: Command, verb: str, argv: list[str], words: str, hint: str
) -> None:
    gated.scene(V8, V8)
    before = write(past(STAGING, AGAIN, V8), past(NAME, V7, V8, holds=[hold(V7), *OVER]))
    flags = ["--yes"] if verb not in {"eval", "size"} else []
    result = command(verb, *argv, *flags)
    assert (result.code, FILE.read_bytes()) == (2, before), result.err
    error, hinted = (line for line in result.err.splitlines() if line[:5] in {"error", "hint:"})
    assert words in error
    assert hint in hinted


OFF = [
    ("promote", [STAGING, "--model", "triage-v9"], f"--model {V9}"),
    ("promote", [STAGING, "--model", "triage-v99"], f"did you mean {V9}?"),
    ("rollback", [STAGING, "--to", "triage-v7"], f"--to {V7}"),
]


@pytest.mark.parametrize(("verb", "argv", "hint"), OFF)
def test_off_a_terminal_what_makes_a_model_live_names_it_in_full(
    command: Command, verb: str, argv: list[str], hint: str
) -> None:
    before = write(past(STAGING, V7, V8))
    result = command(verb, *argv, "--yes")
    assert (result.code, FILE.read_bytes()) == (2, before)
    assert result.err.splitlines()[-1] == f"hint: {hint}"
    if hint.startswith("--"):
        assert command(verb, STAGING, *hint.split(), "--yes").code == 0


def test_from_python_the_rules_are_those_off_a_terminal() -> None:
    write(past(STAGING, V7, V8))
    with pytest.raises(UsageError) as refused:
        fftdeploy.promote(STAGING, model="triage-v9")
    assert refused.value.hint == f"model {V9}"
    assert fftdeploy.hold(STAGING, "triage-v7", why="x").after.model == V8
    assert fftdeploy.unhold(STAGING, "triage-v7", why="x").plan.touched_holds[0].model == V7
    assert fftdeploy.rollback(STAGING, to=V7).after.model == V7


def test_a_whole_id_and_what_the_file_settles_cost_no_request(
    sandbox: Sandbox, command: Command
) -> None:
    gated.scene(V8, V8)
    write(past(STAGING, V7, V8), past(NAME, V7, V8))
    for argv in (
        ("size", NAME, "triage-v7"),
        ("hold", NAME, "triage-v7", "--why", "x", "--yes"),
        ("hold", NAME, AGAIN, "--why", "a whole ID need not be known", "--yes"),
        ("promote", NAME, "--model", "triage-v7", "--yes"),  # the reason is missing
    ):
        assert command(*argv).code == (6 if argv[0] == "promote" else 0)
    assert [one.model for one in read(NAME).holds] == [AGAIN, V7]
    assert sandbox.requests == ()


def test_without_a_key_only_what_the_file_knows_is_known(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(past(STAGING, V7, V8))
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setattr(Output, "is_interactive", True)
    for word in ("triage-v7", "triage-v9"):
        result = command("promote", STAGING, "--model", word, "--yes")
        assert result.code == 10
        assert (f"note: triage-v7 is {V7}" in result.err) == (word == "triage-v7")


def test_a_file_and_a_commit_carry_the_whole_id(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(past(STAGING, V7, V8))
    git("add", ".")
    git("commit", "-qm", "x")
    monkeypatch.setattr(Output, "is_interactive", True)
    result = command("promote", STAGING, "--model", "triage-v9", "--yes", "--commit")
    assert result.code == 0, result.err
    assert newest(STAGING).bundle.model == V9
    assert V9 in git("log", "-1", "--format=%B")


def test_a_mistyped_whole_id_is_answered_with_the_one_that_was_meant(command: Command) -> None:
    write(past(STAGING, V7, V8))
    for word, meant in ((V9[:-1], V9), (f"{V8}8", V8), (V9.replace("v9:CdEf9", "v99:Zz"), "")):
        ended = command("promote", STAGING, "--model", word, "--yes")
        hint = (
            f"did you mean {meant}?" if meant else "`fftdeploy models` lists what this key can see"
        )
        assert (ended.code, ended.err.splitlines()[-1]) == (4, f"hint: {hint}"), ended.err


@pytest.mark.usefixtures("at_terminal")
@pytest.mark.parametrize("listed", ["evil id/triage-v77", "evil\n/triage-v77", "/triage-v77"])
def test_a_list_of_what_are_no_ids_gives_no_name_a_meaning(
    command: Command, monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    before = write(past(STAGING, V7, V8))
    world = ACME.with_models(replace(ACME.models[V8], id=listed))
    with Sandbox(world, now=lambda: STORY_NOW) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", server.key)
        ended = command("promote", STAGING, "--model", "triage-v77", "--yes")
    assert (ended.code, FILE.read_bytes()) == (2, before)
    assert "evil" not in ended.err


def test_a_candidate_of_eval_and_size_may_be_named_short_with_its_profile(command: Command) -> None:
    gated.scene(V7, V8)
    write_profile("long")
    for verb in ("size", "eval"):
        ended = command(verb, NAME, "triage-v8@long", "--json")
        assert f"note: triage-v8 is {V8}\n" in ended.err, ended.err
    said = json.loads(ended.out)["evaluations"][0]
    assert (said["candidate"], said["profile"]) == (V8, "long")
