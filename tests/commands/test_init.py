"""Init looks before it writes: what is asked for, what is there, what a person answers."""

import json
import os
import re
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

pytestmark = pytest.mark.usefixtures("repo")

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


def test_it_writes_what_it_is_told(command: Command) -> None:
    live = [f"--live=dev={V9}", f"--live={V8}"]
    argv = ["--task", "invoices", "--env", "dev,staging,production", "--examples", answers()]

    result = command("init", *argv, *live)

    assert result.code == 0, result.err
    assert result.err == "next: fftdeploy promote invoices/staging\n"
    assert "  60 examples: JSON objects with currency (short texts), total (num" in result.out
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


def test_what_is_not_said_follows_from_what_is(command: Command) -> None:
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
        ("the task? [triage]", "In voices"),
        ("the task? [triage]", "invoices"),
        ("the order of promotion? [staging,production]", "dev, dev"),
        ("the order of promotion? [staging,production]", "staging production"),
        ("Enter for nothing?", "3"),
        ("Enter for nothing?", "2"),
        ("or Enter for a few to replace?", "answer.jsonl"),
        ("or Enter for a few to replace?", "answers.jsonl"),
    )

    assert code == 0, screen
    assert f"  2  {V8}  app.py:2\n" in screen
    refused = [
        "  'In voices' is not a name: 1 to 63 of a-z",
        "  an environment is named twice: dev, dev\n",
        "  the numbers go from 1 to 2\n",
        "  no such file: answer.jsonl (did you mean ",
    ]
    assert [words for words in refused if words not in screen] == [], screen
    assert read("invoices/production").model == V8
    gate = rules().gate("invoices")
    assert gate is not None
    assert gate.examples == ("answers.jsonl",)


def test_a_task_more_takes_the_environments_of_the_policy(command: Command) -> None:
    command("init", "--task", "triage", "--env", "dev,qa,production")
    answers()

    code, screen = terminal.run(
        [str(PROGRAM), "init", "--task", "invoices"],
        dict(os.environ),
        ("or Enter for a few to replace?", "answers.jsonl"),
    )

    assert (code, "its environments" in screen) == (0, False), screen
    assert "`fftdeploy size invoices/production MODEL`" in screen


TO_DO = [
    ([], "promote lab/staging --model ID", "size lab/production MODEL"),
    ([f"production={V8}"], "promote lab/staging --model ID", "size lab/production live"),
    ([f"staging={V9}"], "eval lab/production", "size lab/production"),
    ([f"staging={V9}", f"production={V8}"], "eval lab/production", "size lab/production"),
    ([f"{at}={V8}" for at in ("staging", "production")], "promote lab/staging --model ID", ""),
    (["alone"], "eval lab/production ID", "size lab/production MODEL"),
]


@pytest.mark.parametrize(("live", "step", "sized"), TO_DO)
def test_what_it_says_to_type_can_be_typed_in_that_order(
    sandbox: Sandbox, command: Command, live: list[str], step: str, sized: str
) -> None:
    """None of it is refused because of what has to come before."""
    argv = ["--env=production"] if live == ["alone"] else [f"--live={each}" for each in live]

    result = command("init", "--task", "lab", "--examples", answers(), *argv)

    assert result.err == f"next: fftdeploy {step}\n"
    assert f"# `fftdeploy {sized}` says" in POLICY.read_text() or not sized
    assert '\n# description = "what goes in, and what comes out"\n' in POLICY.read_text()
    dry = ["--dry-run"] if step.startswith("promote") else []
    for words in filter(None, (step, sized)):
        typed = re.sub("(ID|MODEL)$", V10, words).split()
        typed_result = command(*typed, *(dry if words == step else []))
        assert typed_result.code in {0, 1, 5}, (words, typed_result.err)


def test_yes_asks_nothing_on_a_terminal() -> None:
    code, screen = terminal.run([str(PROGRAM), "init", "--yes"], dict(os.environ))

    assert (code, "?" in screen) == (0, False), screen
    assert "triage" in rules().tasks


def test_the_example_passes_in_the_sandbox_by_one_command(
    sandbox: Sandbox, command: Command
) -> None:
    begun = command("init", "--example")
    step = begun.err.removeprefix("next: fftdeploy ").split()

    passed = command(*step)

    assert (begun.code, passed.code) == (0, 0), passed.err
    assert "PASS" in passed.out
    assert (read("triage/staging").model, read("triage/production").model) == (V10, V8)
    assert Path("evals/triage.jsonl").read_bytes() == (ROOT / "evals/triage.jsonl").read_bytes()


def test_a_second_run_keeps_and_says_what_to_add(command: Command) -> None:
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
    bare = command("init", "--task", "invoices", "--json")
    assert json.loads(bare.out)["to_add"] == []
    assert not Path("evals/invoices.jsonl").exists()  # its gate has others


def test_a_second_run_with_other_examples_says_what_they_are_in_place_of(command: Command) -> None:
    Path("few.jsonl").write_text("".join(INVOICES.splitlines(keepends=True)[:5]))
    assert command("init", "--task", "invoices", "--examples", answers()).code == 0

    result = command("init", "--task", "invoices", "--examples", "few.jsonl")

    assert "    # in place of every table of tasks.invoices:\n" in result.out
    assert "    [tasks.invoices]\n" in result.out
    assert result.err == ""  # what is to be added comes first


@pytest.mark.parametrize("ask", [True, False], ids=["asked", "flag"])
def test_a_guessed_shape_is_rewritten_when_somebody_says_so(command: Command, *, ask: bool) -> None:
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
    (["--env", "dev,dev"], "error: --env: an environment is named twice: dev, dev\n"),
    (["--env", "dev,"], "error: --env: '' is not a name"),
    (["--env", "dev,prod", "--live", f"triage/prd={V8}"], "hint: did you mean triage/prod?\n"),
    (["--live", "ftjob-v8"], "error: 'ftjob-v8' is not a model but a fine-tuning job"),
    (["--live", V8, "--live", f"production={V9}"], "error: --live names two models"),
    (["--env", "dev production", "--live", f"stage={V8}"], "triage/dev, triage/production\n"),
    (["--example", "--task", "invoices"], "leave out --task\nhint: fftdeploy init --example\n"),
]


@pytest.mark.parametrize(("argv", "words"), REFUSED)
def test_what_can_not_be_meant_is_refused_before_anything_is_written(
    repo: Path, command: Command, argv: list[str], words: str
) -> None:
    result = command("init", *argv)

    assert (result.code, words in result.err) == (2, True), result.err
    assert [path.name for path in repo.iterdir()] == [".git"]


@pytest.mark.parametrize("name", [FILE.name, POLICY.name])
def test_a_file_that_is_not_valid_is_told_before_anything_is_written(
    repo: Path, command: Command, name: str
) -> None:
    Path(name).write_text("version = 1\n[[x\n")

    result = command("init")

    assert result.code == 3
    assert "error: not valid TOML" in result.err
    assert f"({name}:2:4)" in result.err
    assert {path.name for path in repo.iterdir()} == {".git", name}


def test_another_model_than_the_live_one_is_not_kept_quiet_about(command: Command) -> None:
    assert command("init", "--live", V8).code == 0

    result = command("init", "--live", V9)

    assert result.code == 2
    assert result.err == (
        f"error: --live: triage/production has {V8} live, not {V9}\n"
        f"hint: fftdeploy promote triage/production --model {V9}\n"
    )


@pytest.mark.parametrize(
    ("content", "where"),
    [("", "a.jsonl"), ('{"messages": []}\n', "a.jsonl:1:2"), (None, "a.jsonl")],
    ids=["empty", "no example", "missing"],
)
def test_examples_that_are_none_are_refused_before_anything_is_written(
    content: str | None, where: str
) -> None:
    if content is not None:
        Path("a.jsonl").write_text(content)

    with pytest.raises(ConfigError) as refused:
        fftdeploy.init(task="invoices", examples="a.jsonl")

    assert refused.value.where.endswith(where)
    assert not FILE.exists()


def test_J2_a_file_below_another_one_is_told(
    repo: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "already" not in command("init", "--yes").err
    Path("app/web").mkdir(parents=True)
    monkeypatch.chdir("app/web")
    result = command("init", "--yes")
    assert (result.code, FILE.is_file()) == (0, True)
    said = "deployments.toml is there already: what runs in this folder asks the new file now"
    assert f"warning: {repo}/{said}\n" in result.err


def test_from_python_it_has_the_same_options() -> None:
    result = fftdeploy.init(
        task="invoices", env=["staging", "production"], live=V8, examples=answers()
    )

    assert (result.task, result.environments) == ("invoices", ("staging", "production"))
    assert tomllib.loads(FILE.read_text())["invoices"]["production"]["model"] == V8
