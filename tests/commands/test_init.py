"""Init looks before it writes: what is asked for, what is there, what a person answers."""

import json
import os
import tomllib
from pathlib import Path

import pytest
import terminal
from checkout import ROOT
from command_line import PROGRAM, Command, git
from scenes import LUNA, V8, V9, V10, read

import fftdeploy
from fftdeploy.errors import ConfigError
from fftdeploy.policy import policy
from fftdeploy.sandbox import Sandbox

POLICY, FILE = Path("fftdeploy.toml"), Path("deployments.toml")
INVOICES = "".join(
    json.dumps(
        {
            "messages": [
                {"role": "user", "content": f"Invoice {n}"},
                {"role": "assistant", "content": json.dumps({"currency": "EUR", "total": n})},
            ],
            "meta": {"language": "en" if n % 2 else "de"},
        }
    )
    + "\n"
    for n in range(60)
)


def rules() -> policy.Policy:
    return policy.parse(POLICY.read_bytes())


def answers(name: str = "answers.jsonl") -> str:
    Path(name).write_text(INVOICES)
    return name


def test_it_writes_what_it_is_told(repo: Path, command: Command) -> None:
    live = [f"--live=dev={V9}", f"--live={V8}"]
    argv = ["--task", "invoices", "--env", "dev,staging,production", "--examples", answers()]

    result = command("init", *argv, *live)

    assert result.code == 0, result.err
    assert result.err == "next: fftdeploy promote invoices/dev --model ID\n"
    assert "  60 examples: JSON objects with currency (words), total (numbers)\n" in result.out
    assert "  slices by language: de 30, en 30\n" in result.out
    for target, model in (("invoices/dev", V9), ("invoices/production", V8)):
        newest = read(target).newest
        assert newest is not None
        assert (newest.bundle.model, newest.via, newest.verified) == (model, "adopt", False)
    found = rules()
    assert (found.order, found.rules("production").sources) == (
        ("dev", "staging", "production"),
        ("staging",),
    )
    assert [found.rules(name).protected for name in found.order] == [False, False, True]
    gate = found.gate("invoices")
    assert gate is not None
    assert (gate.examples, gate.slices) == (("answers.jsonl",), ("language",))
    assert gate.graders[0].fields == ("currency", "total")
    assert command("check", "--offline").code == 0


def test_what_is_not_said_follows_from_what_is(repo: Path, command: Command) -> None:
    """The task from the file of examples, the environments from those where something is live."""
    answers("invoices.jsonl")

    assert command("init", "--examples", "invoices.jsonl", "--live", f"prod={LUNA}").code == 0

    assert rules().order == ("staging", "prod")
    assert read("invoices/prod").model == LUNA


def test_examples_that_lie_elsewhere_are_copied(repo: Path, command: Command) -> None:
    (repo.parent / "answers.jsonl").write_text(INVOICES)

    assert command("init", "--examples", "../answers.jsonl", "--task", "invoices").code == 0

    assert (repo / "evals/invoices.jsonl").read_text() == INVOICES


def test_off_a_terminal_it_asks_nothing_and_names_what_it_found(
    repo: Path, command: Command
) -> None:
    (repo / "app.py").write_text(f'call("{V8.replace("triage", "invoices")}")\n')
    git("add", "app.py")

    result = command("init")

    model = V8.replace("triage", "invoices")
    assert f"  found  {model}  app.py:1\n" in result.out
    typed = f'fftdeploy adopt invoices/production --model {model} --why "TEXT"'
    assert result.out.endswith(f"is it live? {typed}\n")
    assert (
        command("adopt", "invoices/production", "--model", model, "--why", "x", "--yes").code == 0
    )


def test_on_a_terminal_it_asks_for_what_is_missing(repo: Path) -> None:
    (repo / "app.py").write_text(f'a = "{V9}"\nb = "{V8}"\n')
    git("add", "app.py")
    answers()

    code, screen = terminal.run(
        [str(PROGRAM), "init"],
        dict(os.environ),
        ("the task? [triage]", "invoices"),
        ("the order of promotion? [staging,production]", ""),
        ("Enter for nothing?", "2"),
        ("or Enter for a few to replace?", "answers.jsonl"),
    )

    assert code == 0, screen
    assert f"  2  {V8}  app.py:2\n" in screen
    assert read("invoices/production").model == V8
    gate = rules().gate("invoices")
    assert gate is not None
    assert gate.examples == ("answers.jsonl",)


def test_yes_asks_nothing_on_a_terminal(repo: Path) -> None:
    code, screen = terminal.run([str(PROGRAM), "init", "--yes"], dict(os.environ))

    assert (code, "?" in screen) == (0, False), screen
    assert "triage" in rules().tasks


def test_the_example_passes_in_the_sandbox_by_one_command(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    begun = command("init", "--example")
    step = begun.err.removeprefix("next: fftdeploy ").split()

    passed = command(*step)

    assert (begun.code, passed.code) == (0, 0), passed.err
    assert "PASS" in passed.out
    assert (read("triage/staging").model, read("triage/production").model) == (V10, V8)
    assert Path("evals/triage.jsonl").read_bytes() == (ROOT / "evals/triage.jsonl").read_bytes()


def test_a_second_run_keeps_and_says_what_to_add(repo: Path, command: Command) -> None:
    assert command("init").code == 0
    before = {path: path.read_bytes() for path in (FILE, POLICY)}
    argv = ["--task", "invoices", "--env", "dev,production", "--live", V8]

    result = command("init", *argv, "--examples", answers(), "--json")

    assert {path: path.read_bytes() for path in before} == before
    adopt, order, task = json.loads(result.out)["to_add"]
    assert adopt["text"] == f'fftdeploy adopt invoices/production --model {V8} --why "TEXT"\n'
    assert order["text"] == 'order = ["dev", "production", "staging"]\n'
    merged = before[POLICY].decode().replace('order = ["staging", "production"]\n', order["text"])
    POLICY.write_text(f"{merged}\n{task['text']}")
    assert rules().gate("invoices") is not None
    assert command(*adopt["text"].split()[1:-1], "since July", "--yes").code == 0
    again = command("init", *argv, "--examples", "answers.jsonl", "--json")
    assert json.loads(again.out)["to_add"] == []


@pytest.mark.parametrize("ask", [True, False], ids=["asked", "flag"])
def test_a_guessed_shape_is_rewritten_when_somebody_says_so(
    repo: Path, command: Command, *, ask: bool
) -> None:
    text = f'# ours\n[production]\nmodel = "{V8}"  # since July\n'
    FILE.write_text(text)
    refused = command("init", "--yes")
    assert (refused.code, FILE.read_text(), POLICY.exists()) == (3, text, False)

    if ask:
        steps = [("rewrite it? [y/N]", "y"), ("the task?", ""), ("promotion?", ""), ("Enter", "")]
        code, screen = terminal.run([str(PROGRAM), "init"], dict(os.environ), *steps)
        assert code == 0, screen
    else:
        assert command("init", "--rewrite").code == 0

    right = f'version = 1\n\n# ours\n[triage.production]\nmodel = "{V8}"  # since July\n'
    assert FILE.read_text() == right
    assert command("check", "--offline").code == 0


REFUSED = [
    (["--task", "In voices"], "error: --task: 'In voices' is not a name"),
    (["--env", "dev,dev"], "error: --env names an environment twice: dev, dev\n"),
    (["--env", "dev,"], "error: --env: '' is not a name"),
    (["--env", "dev,prod", "--live", f"triage/prd={V8}"], "hint: did you mean triage/prod?\n"),
    (["--live", "ftjob-v8"], "error: 'ftjob-v8' is not a model but a fine-tuning job"),
    (["--live", V8, "--live", f"production={V9}"], "error: --live names two models"),
    (["--example", "--task", "invoices"], "leave out --task\nhint: fftdeploy init --example\n"),
]


@pytest.mark.parametrize(("argv", "words"), REFUSED)
def test_what_can_not_be_meant_is_refused_before_anything_is_written(
    repo: Path, command: Command, argv: list[str], words: str
) -> None:
    result = command("init", *argv)

    assert (result.code, words in result.err) == (2, True), result.err
    assert [path.name for path in repo.iterdir()] == [".git"]


@pytest.mark.parametrize(
    ("content", "where"),
    [("", "a.jsonl"), ('{"messages": []}\n', "a.jsonl:1:2"), (None, "a.jsonl")],
    ids=["empty", "no example", "missing"],
)
def test_examples_that_are_none_are_refused_before_anything_is_written(
    repo: Path, content: str | None, where: str
) -> None:
    if content is not None:
        Path("a.jsonl").write_text(content)

    with pytest.raises(ConfigError) as refused:
        fftdeploy.init(task="invoices", examples="a.jsonl")

    assert refused.value.where.endswith(where)
    assert not FILE.exists()


def test_from_python_it_has_the_same_options(repo: Path) -> None:
    result = fftdeploy.init(
        task="invoices", env=["staging", "production"], live=V8, examples=answers()
    )

    assert (result.task, result.environments) == ("invoices", ("staging", "production"))
    assert tomllib.loads(FILE.read_text())["invoices"]["production"]["model"] == V8
