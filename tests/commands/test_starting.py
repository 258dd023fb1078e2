"""init, schema, sandbox, and the example at the top of this repository."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import yaml
from checkout import ROOT
from command_line import Command
from scenes import V8, V9

from fftdeploy.policy import policy, profiles
from fftdeploy.releases import deployments
from fftdeploy.sandbox import ACME, Sandbox

MODULE = [sys.executable, "-P", "-m", "fftdeploy"]
FIRST = [
    *("evals/triage.jsonl", "deployments.toml", "fftdeploy.toml", ".fftdeploy/.gitignore"),
    *(".fftdeploy/schemas/deployments.json", ".fftdeploy/schemas/policy.json"),
]
GITHUB = [".github/workflows/fftdeploy.yml", ".pre-commit-config.yaml"]
GITLAB = [".gitlab/fftdeploy.yml", ".gitlab-ci.yml", ".pre-commit-config.yaml"]


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts[:1]
    }


@pytest.mark.parametrize(
    ("argv", "wrote"),
    [([], FIRST), (["--ci", "github"], FIRST + GITHUB), (["--ci", "gitlab"], FIRST + GITLAB)],
    ids=["alone", "github", "gitlab"],
)
def test_init_writes_what_every_command_reads(
    repo: Path, command: Command, argv: list[str], wrote: list[str]
) -> None:
    result = command("init", *argv)

    assert result.code == 0
    assert result.out == "".join(f"  wrote  {name}\n" for name in wrote) + (
        "gate of triage, inferred from evals/triage.jsonl:\n"
        "  3 examples: JSON objects with urgency (short texts), category (short texts), "
        "next_step (short texts); all else as agreed\n"
        "  slices by language: en 2, de 1\n"
        "  for must_pass: edge-case, 1 example\n"
    )
    assert result.err == "next: fftdeploy promote triage/staging --model ID\n"
    assert sorted(tree(repo)) == sorted(wrote)
    assert deployments.parse((repo / "deployments.toml").read_bytes()).targets == {}
    rules = policy.parse((repo / "fftdeploy.toml").read_bytes())
    assert (rules.order, rules.knows("triage", "staging")) == (("staging", "production"), True)
    gate = rules.gate("triage")
    assert gate is not None
    assert gate.examples == ("evals/triage.jsonl",)
    assert (repo / gate.examples[0]).read_text().count("\n") == 3
    assert command("check", "--offline").code == 0
    assert command("status").out == command("status", "--offline").out


def test_init_twice_keeps_every_byte(repo: Path, command: Command) -> None:
    mine = {"deployments.toml": b"version = 1  # mine\n", ".pre-commit-config.yaml": b"repos: []\n"}
    for name, content in mine.items():
        (repo / name).write_bytes(content)

    first = command("init", "--ci", "github")
    before = tree(repo)
    second = command("init", "--ci", "github", "--json")

    assert first.code == 0
    assert "  kept   deployments.toml\n" in first.out
    assert "  add to .pre-commit-config.yaml:\n    repos:\n      - repo: local\n" in first.out
    assert {name: before[name] for name in mine} == mine
    document = json.loads(second.out)
    assert (document["wrote"], document["kept"]) == ([], FIRST + GITHUB)
    assert [each["path"] for each in document["to_add"]] == [".pre-commit-config.yaml"]
    assert tree(repo) == before


def test_init_below_the_root_puts_the_workflow_where_it_runs(repo: Path, command: Command) -> None:
    (repo / "desk").mkdir()

    result = command("init", "--ci", "github", "--file", "desk/deployments.toml")

    assert result.code == 0
    assert sorted(tree(repo)) == sorted([*(f"desk/{name}" for name in FIRST), *GITHUB])
    workflow = (repo / GITHUB[0]).read_text()
    assert (
        workflow.count(" --file desk/deployments.toml\n") == workflow.count(" check --format ") == 2
    )
    hook = (repo / ".pre-commit-config.yaml").read_text()
    assert "entry: fftdeploy check --offline --file desk/deployments.toml\n" in hook


def test_J21_the_hook_runs_for_every_file_that_check_reads(repo: Path, command: Command) -> None:
    """The file of another name, and examples that are elsewhere than usual."""
    (repo / "x").mkdir()
    grader = '[[tasks.triage.gate.graders]]\ntype = "label"\nlabels = ["a", "b"]\n'
    examples = 'examples = ["evals/a.jsonl", "data/it\'s.jsonl"]\n'
    exports = '[exports]\n"deploy/flags" = "flagd"\n'
    text = f"version = 1\n[tasks.triage.gate]\n{examples}{grader}{exports}"
    (repo / "x/fftdeploy.toml").write_text(text)
    policy.parse(text.encode())

    assert command("init", "--ci", "gitlab", "--file", "x/other.toml").code == 0

    config = yaml.safe_load((repo / ".pre-commit-config.yaml").read_text())
    pattern = re.compile(config["repos"][0]["hooks"][0]["files"])
    read = ["x/other.toml", "x/fftdeploy.toml", "x/evals/a.jsonl", "x/data/it's.jsonl"]
    read += ["x/profiles/short.toml", "x/deploy/flags", "x/deploy/values.yaml"]
    others = ["x/another.toml", "x/other.toml.md", "x/otherstoml", "x/data/b.jsonl"]
    assert [name for name in (*read, *others) if pattern.search(name)] == read


@pytest.mark.parametrize("name", ["a b", "-x", "x;id", "$(id)", "ü"])
def test_F_a_name_that_a_shell_would_read_is_in_no_workflow(
    repo: Path, command: Command, name: str
) -> None:
    result = command("init", "--ci", "github", f"--file={name}")

    assert (result.code, result.out) == (2, "")
    assert "can't stand in a workflow unquoted\n" in result.err
    assert tree(repo) == {}


@pytest.mark.parametrize(
    ("argv", "code", "error"),
    [
        (["init", "--ci", "jenkins"], 2, "error: --ci 'jenkins' is not one of github, gitlab\n"),
        (["init", "--file", "no/such/deployments.toml"], 11, "error: "),
        (
            ["schema", "policies"],
            2,
            "error: schema 'policies' is not one of deployments, policy, output\n",
        ),
        (["sandbox", "--port", "70000"], 2, "error: --port '70000' is more than 65535"),
        (["sandbox", "--now", "noon"], 2, "error: --now: 'noon' is not a time\n"),
    ],
)
def test_a_wrong_call_is_refused(
    repo: Path, command: Command, argv: list[str], code: int, error: str
) -> None:
    result = command(*argv)

    assert (result.code, result.out) == (code, "")
    assert result.err.startswith(error)
    assert tree(repo) == {}


@pytest.mark.parametrize("link", ["evals", ".fftdeploy", ".github"])
def test_init_writes_through_no_link(
    repo: Path, tmp_path: Path, command: Command, link: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (repo / link).symlink_to(tmp_path / "elsewhere")

    result = command("init", "--ci", "github")

    assert result.code == 3
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM")]
)
def test_the_sandbox_serves_until_it_is_stopped(number: signal.Signals, name: str) -> None:
    argv = [*MODULE, "sandbox", "--port", "0", "--now", "2026-11-21T08:30:00Z"]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        exports = dict(
            process.stdout.readline().strip().removeprefix("export ").split("=") for _ in range(3)
        )
        request = Request(  # noqa: S310  the sandbox's own address - the address is ours
            f"{exports['OPENAI_BASE_URL']}/models",
            headers={"authorization": f"Bearer {exports['OPENAI_API_KEY']}"},
        )
        with urlopen(request, timeout=30) as answer:  # noqa: S310  the sandbox's own address
            listed = {model["id"] for model in json.load(answer)["data"]}
            date = answer.headers["date"]
        process.send_signal(number)
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (128 + number, "")
    assert err.endswith("Ctrl-C ends it\nsandbox stopped; nothing of it is kept\n")
    assert all(f"\n{model} " in err for model in ACME.models)
    assert listed == {model.id for model in ACME.models.values() if model.state.is_listed}
    assert date == "Sat, 21 Nov 2026 08:30:00 GMT"
    assert exports["FFTDEPLOY_NOW"] == "2026-11-21T08:30:00Z"


def test_the_sandbox_tells_its_key_where_it_is_exported() -> None:
    argv = [*MODULE, "sandbox", "--port", "0", "--json"]
    environ = {**os.environ, "OPENAI_API_KEY": "sk-sandbox"}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environ, text=True) as process:
        assert process.stdout is not None
        document = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
        process.send_signal(signal.SIGTERM)

    assert document["key"] == "sk-sandbox"


def test_a_taken_port_is_a_wrong_call(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = command("sandbox", "--port", port)

    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f"error: port {port} of 127.0.0.1 can't be used: Address already in use\n"
        "hint: --port 0 picks a free one\n"
    )


@pytest.fixture
def example(repo: Path) -> Path:
    for name in ("deployments.toml", "fftdeploy.toml"):
        shutil.copy(ROOT / name, repo / name)
    for name in ("evals", "profiles"):
        shutil.copytree(ROOT / name, repo / name)
    return repo


def test_the_example_checks_clean_offline(example: Path, command: Command) -> None:
    result = command("check", "--offline")

    assert result.code == 0
    assert "2 targets checked, 0 errors" in result.out


def test_the_example_has_the_hash_of_its_profile() -> None:
    raw = (ROOT / "profiles/triage-long.toml").read_bytes()
    recorded = tomllib.loads((ROOT / "deployments.toml").read_text())["triage"]["staging"]

    sha = profiles.parse(raw, "triage-long", "triage-long.toml").sha

    assert recorded["releases"][0]["profile_sha"] == sha


def test_the_example_has_a_way_back_and_a_hold(
    example: Path, sandbox: Sandbox, command: Command
) -> None:
    result = command("status", "--json")

    assert result.code == 0
    staging, production = json.loads(result.out)["targets"]
    assert (staging["readiness"]["state"], staging["rollback"]["n"]) == ("ready", 12)
    assert (production["model"], production["readiness"]["state"]) == (V8, "ready")
    assert production["rollback"]["n"] == 7
    assert production["rollback"]["readiness"]["state"] == "ready"
    assert [hold["model"] for hold in production["holds"]] == [V9]
    assert command("check", "--probe").code == 0
