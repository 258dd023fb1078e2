"""A wrong word is answered with the right one: of the same task, and as it can be typed."""
# ruff: noqa: E501  a case is a line of its table

from pathlib import Path

import gated
import pytest
from command_line import Command
from scenes import FILE, V7, V8, past, write, write_profile

import fftdeploy
from fftdeploy.errors import UsageError
from fftdeploy.names import target_meant
from fftdeploy.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("repo")
TONE = "tone/dev, tone/staging"
EVERY = "the file has: triage/staging, triage/production, tone/dev, tone/staging"

TARGETS = {
    "tone/production": "did you mean tone/dev or tone/staging?",
    "tone/prod": "did you mean tone/dev or tone/staging?",
    "tone/stagin": "did you mean tone/staging?",
    "tone": f"tone is a task: {TONE}?",
    "tone/": f"tone is a task: {TONE}?",
    "ton": "did you mean tone/dev or tone/staging?",
    "tone.production": "did you mean tone/dev or tone/staging?",
    "tone-staging": "did you mean tone/staging?",
    "Tone/Staging": "did you mean tone/staging?",
    "triag/production": "did you mean triage/production?",
    "production/triage": "did you mean triage/production?",
    "prod": "did you mean triage/production?",
    "staging": "did you mean triage/staging or tone/staging?",
    "refunds/production": EVERY,
    "refunds": EVERY,
    "a/b/c": EVERY,
}


@pytest.mark.parametrize("word", TARGETS)
def test_a_wrong_target_is_answered_with_those_of_its_own_task(word: str, command: Command) -> None:
    before = write(
        past("triage/staging", V7, V8),
        past("triage/production", V7, V8),
        past("tone/dev", V8),
        past("tone/staging", V8),
    )
    lines = [
        command(*argv).err.splitlines()
        for argv in (
            ("rollback", word, "--yes"),
            ("hold", word, V8, "--why", "x", "--yes"),
            ("adopt", word, "--yes", "--why", "x"),
            ("resolve", word),
        )
    ]
    assert {next(line for line in each if line.startswith("hint:")) for each in lines} == {
        f"hint: {TARGETS[word]}"
    }
    with pytest.raises(UsageError) as refused:
        fftdeploy.rollback(word)
    assert refused.value.hint == TARGETS[word]
    assert FILE.read_bytes() == before


def test_of_thousands_of_targets_a_few_are_named() -> None:
    known = [f"task{number}/dev" for number in range(5000)]
    listed = ", ".join(known[:8])
    assert target_meant("xyz/live", known) == f"the file has: {listed} and 4,992 more"
    assert target_meant("xyz/live", []) == "the file has: none yet"


OTHERS = [
    (["promote", "triage/production", "--from", "stagin", "--why", "x", "--yes"], "did you mean --from staging?"),
    (["promote", "triage/production", "--from", "x", "--why", "x", "--yes"], "triage is live in staging, production"),
    (["promote", "triage/staging", "--model", V8, "--profile", "lon", "--yes"], "did you mean long?"),
    (["rollback", "triage/staging", "--profile", "lonng", "--yes"], "did you mean long?"),
    (["eval", "triage/production", f"{V8}@lon"], "did you mean long?"),
    (["promote", "triage/production", "--model", V8, "--why", "x", "--override", "freez", "--yes"], "did you mean freeze?"),
    (["status", "--fail-on", "ded"], "did you mean dead?"),
    (["status", "--file", "deploments.toml"], "did you mean {folder}/deployments.toml?"),
    (["scan", "eval"], "did you mean evals?"),
    (["init", "--ci", "githb"], "did you mean github?"),
    (["schema", "deploymnts"], "did you mean deployments?"),
    (["report", "deadbeaf"], "did you mean deadbeef?"),
    (["verify", "deadbe0f"], "did you mean deadbeef?"),
    (["diff", "stagin", "production"], "did you mean staging?"),
    (["status", "trage/*"], "did you mean triage/staging or triage/production?"),
    (["size", "triage/prodution"], "did you mean triage/production?"),
]  # fmt: skip


@pytest.mark.parametrize(("argv", "hint"), OTHERS)
def test_a_wrong_word_is_answered_with_the_right_one(
    sandbox: Sandbox, command: Command, argv: list[str], hint: str
) -> None:
    gated.scene(V7, V8)
    write_profile("long")
    evidence = Path(".fftdeploy/evidence/triage")
    evidence.mkdir(parents=True)
    (evidence / f"deadbeef{'0' * 24}.json").write_text("{}")

    ended = command(*argv)

    assert (ended.code, ended.err.splitlines()[-1]) == (
        3 if argv[0] in {"status", "eval", "promote", "rollback"} and ended.code == 3 else 2,
        f"hint: {hint.format(folder=Path.cwd())}",
    ), ended.err


def test_a_missing_examples_file_is_answered_with_the_one_beside_it(command: Command) -> None:
    gated.scene(V7, V8, policy=gated.POLICY.replace("evals/triage.jsonl", "evals/trage.jsonl"))
    ended = command("size", "triage/production", V8)
    assert ended.code == 3
    assert ended.err.splitlines()[-1].endswith("evals/triage.jsonl?")


LINES = {
    "promot": "did you mean: fftdeploy promote TARGET",
    "promote triage/staging --modle x": "did you mean: fftdeploy promote triage/staging --model x",
    "--file x status": "options stand behind the command: fftdeploy status --file x",
    "rollback triage production": "did you mean: fftdeploy rollback triage/production",
    "status --format jsn": "fftdeploy status --help",
    "init --env dev production": "a list has commas and no blanks: --env dev,production",
    "promote triage/staging --override soak, order": "a list has commas and no blanks: "
    "--override soak,order",
    "report 05d6 05d6": "for example: fftdeploy report",
}


@pytest.mark.parametrize("line", LINES)
def test_a_wrong_command_or_flag_is_answered_with_the_right_one(
    line: str, command: Command
) -> None:
    ended = command(*line.split())
    assert (ended.code, ended.err.splitlines()[1]) == (2, f"hint: {LINES[line]}")
    assert "did you mean json?" in ended.err or "jsn" not in line
