"""The action, the workflows and the hooks that users copy: what they may do."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Command
from github_runner import ACTION, PULL_REQUEST, ROOT, SHIPPED, steps_of

import fftdeploy


def problems(text: str) -> list[str]:
    """Return the rules of safe workflows that a workflow or action breaks."""
    document = yaml.safe_load(text)
    jobs: dict[str, Any] = document.get("jobs", {})
    steps = [step for job in jobs.values() for step in job["steps"]]
    steps += document.get("runs", {}).get("steps", [])
    found = [_step_problem(step) for step in steps]
    if jobs:
        found += [_job_problem(job) for job in jobs.values()]
        found.append("" if document.get("permissions") == {} else "permissions at the top")
        found.append("" if "concurrency" in document else "no concurrency")
        triggers = set(document[True])  # YAML 1.1 reads the key `on` as a boolean
        found.append("trigger" if triggers & {"pull_request_target", "workflow_run"} else "")
    return [problem for problem in found if problem]


def _step_problem(step: dict[str, Any]) -> str:
    script, uses = step.get("run", ""), step.get("uses", "")
    if "${{" in script:
        return "template in a script"
    if re.search(r"(?<!/)\bpython3?\b(?! -I)|\bpip\b.* -m\b|-m pip|\buv run\b", script):
        return "code of the checkout"
    if uses and not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", uses):
        return "not pinned"
    if "checkout" in uses and step.get("with", {}).get("persist-credentials") is not False:
        return "token in the checkout"
    return ""


def _job_problem(job: dict[str, Any]) -> str:
    if not {"name", "permissions", "timeout-minutes"} <= set(job):
        return "job without name, permissions or timeout"
    if "secrets." in yaml.safe_dump(job) and "environment" not in job:
        return "secret without environment"
    return ""


def rendered(command: Command, *argv: str) -> str:
    assert command("init", "--ci", "github", *argv).code == 0
    return Path(".github/workflows/fftdeploy.yml").read_text()


@pytest.mark.parametrize("name", SHIPPED)
def test_H16_what_is_shipped_keeps_every_rule(name: str) -> None:
    assert problems(SHIPPED[name]) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('--base="$GITHUB_SHA^1"', '--base="${{ github.base_ref }}"', "template in a script"),
        ("python3 -I -m venv", "python3 -m venv", "code of the checkout"),
        ('"$RUNNER_TEMP/fftdeploy/bin/pip" install', "python3 -m pip install", "code of"),
        ("08c6903cd8c0fde910a37f88322edcfb5dd907a8", "v5", "not pinned"),
        ("persist-credentials: false", "persist-credentials: true", "token in the checkout"),
        ("permissions: {}", "permissions: write-all", "permissions at the top"),
        ("concurrency:", "x-concurrency:", "no concurrency"),
        ("  pull_request:\n", "  pull_request_target:\n", "trigger"),
        ("timeout-minutes: 10", "", "job without"),
        ("environment: fftdeploy-review", "", "secret without environment"),
    ],
)
def test_H16_a_broken_rule_is_found(old: str, new: str, problem: str) -> None:
    assert old in PULL_REQUEST

    assert any(found.startswith(problem) for found in problems(PULL_REQUEST.replace(old, new)))


def zizmor(*paths: Path) -> tuple[int, list[str]]:
    """Return how zizmor ended and the audits that found something."""
    program = shutil.which("zizmor", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")
    if not program:
        pytest.skip("zizmor is not installed")
    flags = ["--offline", "--no-progress", "--strict-collection", "--persona=pedantic"]
    done = subprocess.run(
        [program, *flags, "--format=json-v1", *paths], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, [finding["ident"] for finding in json.loads(done.stdout)]


def test_F16_zizmor_finds_nothing(repo: Path, command: Command) -> None:
    written = [repo / "init.yml", repo / "file.yml", repo / "bad.yml"]
    written[0].write_text(rendered(command))
    shutil.rmtree(repo / ".github")
    written[1].write_text(rendered(command, "--file", "desk.toml"))
    written[2].write_text(PULL_REQUEST.replace("08c6903cd8c0fde910a37f88322edcfb5dd907a8", "v5"))
    shipped = [
        ROOT / "action.yml",
        *ROOT.glob("docs/workflows/*.yml"),
        *ROOT.glob(".github/**/*.yml"),
    ]

    assert zizmor(*shipped, *written[:2]) == (0, [])
    assert zizmor(written[2])[1] == ["unpinned-uses", "unpinned-uses"]
    print(f"{len(shipped) + 2} files tried by zizmor, 0 findings; control: 2 findings")


def test_init_writes_the_workflow_that_the_documentation_shows(
    repo: Path, command: Command
) -> None:
    assert rendered(command) == PULL_REQUEST


def test_one_version_is_installed_everywhere(repo: Path, command: Command) -> None:
    command("init", "--ci", "gitlab")
    texts = [*SHIPPED.values(), rendered(command), Path(".gitlab/fftdeploy.yml").read_text()]
    texts.append(Path(".pre-commit-config.yaml").read_text())

    pins = re.findall(r"fftdeploy==([^\"]+)", "".join(texts))

    assert set(pins) == {fftdeploy.__version__, "$VERSION"}
    assert yaml.safe_load(ACTION)["inputs"]["version"]["default"] == fftdeploy.__version__


def test_the_action_and_the_workflow_share_their_scripts() -> None:
    action = {step["name"]: step for step in steps_of(ACTION)}
    branch = {step["name"]: step for step in steps_of(PULL_REQUEST, "branch")}

    assert branch["Comment"]["run"] == action["Comment"]["run"]
    install = action["Install fftdeploy"]["run"].split("\n", 1)[1]
    assert branch["Install fftdeploy"]["run"] == install.replace("$VERSION", fftdeploy.__version__)


def test_G7_python_is_isolated_from_the_checkout(tmp_path: Path) -> None:
    (tmp_path / "venv.py").write_text("open('sentinel', 'w').close()\n")

    for flag, runs in (("-I", False), ("-B", True)):
        subprocess.run(
            ["python3", flag, "-m", "venv", "--help"], cwd=tmp_path, capture_output=True, check=True
        )
        assert (tmp_path / "sentinel").exists() is runs


def hooks(command: Command) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the hooks of this repository and those that `init` writes, by their IDs."""
    command("init", "--ci", "github")
    ours = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    written = yaml.safe_load(Path(".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    return {hook["id"]: hook for hook in ours}, {hook["id"]: hook for hook in written}


def test_the_hooks_are_the_same_from_here_and_from_init(repo: Path, command: Command) -> None:
    ours, written = hooks(command)

    assert list(ours) == ["fftdeploy-check", "fftdeploy-scan"]
    pin = {"additional_dependencies": [f"fftdeploy=={fftdeploy.__version__}"]}
    for name, hook in ours.items():
        assert hook.pop("description")
        assert hook | pin == written[name]


def test_the_hooks_run_as_they_are_written(repo: Path, command: Command) -> None:
    ours, _ = hooks(command)
    names = [["deployments.toml", "desk/fftdeploy.toml", "desk/profiles/a.toml", "evals/a.jsonl"]]
    names.append(["deployments.toml.orig", "my-fftdeploy.toml", "profiles/a.md", "medievals/a"])

    files = re.compile(ours["fftdeploy-check"]["files"])
    assert [[bool(files.search(name)) for name in part] for part in names] == [
        [True] * 4,
        [False] * 4,
    ]
    check = ours["fftdeploy-check"]["entry"].split()
    assert command(*check[1:]).code == 0
    Path("app.py").write_text('MODEL = "ft:gpt-4.1-mini-2025-04-14:acme:triage-v9:CdEf9"\n')
    subprocess.run(["git", "add", "app.py"], check=True)  # as it is when a hook runs
    scan = ours["fftdeploy-scan"]["entry"].split()
    assert command(*scan[1:], "fftdeploy.toml", "deployments.toml", "evals/example.jsonl").code == 0
    assert command(*scan[1:], "app.py").code == 12
