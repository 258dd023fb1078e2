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
from checkout import ROOT
from command_line import Command
from github_runner import ACTION, PULL_REQUEST, SHIPPED, steps_of

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
    if uses and not re.fullmatch(r"[\w-]+(/[\w-]+)+@[0-9a-f]{40}", uses):
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


# What GitLab's reference of `.gitlab-ci.yml` allows, as far as it goes here.
GITLAB_KEYS = {
    "job": {"after_script", "allow_failure", "artifacts", "before_script", "cache", "environment",
            "extends", "image", "interruptible", "needs", "retry", "rules", "script", "services",
            "stage", "tags", "timeout", "variables", "when"},
    "artifacts": {"access", "exclude", "expire_in", "expose_as", "name", "paths", "public",
                  "reports", "untracked", "when"},
    "rule": {"allow_failure", "changes", "exists", "if", "interruptible", "needs", "variables",
             "when"},
}  # fmt: skip
SCRIPTS = ("run", "script", "before_script", "after_script")


def misread(value: Any) -> list[str]:
    """List the scripts in a parsed file that a runner would not get as lines of text."""
    if isinstance(value, list):
        return [said for item in value for said in misread(item)]
    if not isinstance(value, dict):
        return []
    found = [said for key, item in value.items() if key not in SCRIPTS for said in misread(item)]
    for key in SCRIPTS:
        lines = value.get(key, [])
        is_text = isinstance(lines, str) or all(isinstance(line, str) for line in lines)
        found += [] if is_text else [f"{key}: {lines!r}"]
    return found


def gitlab_problems(text: str) -> list[str]:
    """List what GitLab would reject in a pipeline that `init` writes."""
    jobs = yaml.safe_load(text)
    found = misread(jobs)
    for name, job in jobs.items():
        artifacts, rules = job.get("artifacts", {}), job.get("rules", [])
        for what, keys in (("job", job), ("artifacts", artifacts), *(("rule", r) for r in rules)):
            found += [f"{name}: {what}: {key}" for key in set(keys) - GITLAB_KEYS[what]]
        found += [f"{name}: {rule}" for rule in rules if not isinstance(rule["if"], str)]
        found += [f"{name}: {value!r}" for value in job.get("variables", {}).values()
                  if not isinstance(value, str)]  # fmt: skip
        if job.get("extends", ".fftdeploy") not in jobs:
            found.append(f"{name}: extends nothing")
        if "script" not in job and not name.startswith("."):
            found.append(f"{name}: no script")
        # `expose_as` takes plain words, and paths without variables and patterns.
        exposed = [str(artifacts.get("expose_as", "")), *artifacts.get("paths", [])]
        found += [
            f"{name}: {said}" for said in exposed if not re.fullmatch(r"[\w. /-]{0,100}", said)
        ]
        if artifacts.get("when", "always") not in {"on_success", "on_failure", "always"}:
            found.append(f"{name}: artifacts: when")
    return found


@pytest.mark.parametrize("file", ["deployments.toml", "desk/deployments.toml"])
def test_J21_what_init_writes_for_gitlab_is_what_gitlab_takes(
    repo: Path, command: Command, file: str
) -> None:
    Path("desk").mkdir()
    assert command("init", "--ci", "gitlab", "--file", file).code == 0
    text = Path(".gitlab/fftdeploy.yml").read_text()

    assert gitlab_problems(text) == []
    assert yaml.safe_load(Path(".gitlab-ci.yml").read_text()) == {
        "include": [{"local": "/.gitlab/fftdeploy.yml"}]
    }


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (r"- '(pip .*?)'", r"- \1", "before_script: [{'pip install --quiet --only-binary=:all'"),
        ("always", "ever", "fftdeploy-merge-request: artifacts: when"),
        ("expose_as", "expose", "fftdeploy-merge-request: artifacts: expose"),
        (r"\[fftdeploy-check.md\]", '["*.md"]', "fftdeploy-merge-request: *.md"),
        ("extends: .fftdeploy", "extends: .other", "fftdeploy-merge-request: extends nothing"),
    ],
)
def test_J21_control_what_gitlab_rejects_is_found(old: str, new: str, problem: str) -> None:
    text = (ROOT / "fftdeploy/templates/gitlab.yml").read_text("utf-8")
    broken, count = re.subn(old, new, text)

    assert count
    assert any(found.startswith(problem) for found in gitlab_problems(broken))


def test_J21_every_script_that_is_shipped_or_shown_is_text(repo: Path, command: Command) -> None:
    command("init", "--ci", "github")
    shown = [
        block
        for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
        for block in re.findall(
            r"^```ya?ml\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
    ]
    written = [Path(".pre-commit-config.yaml"), ROOT / ".pre-commit-hooks.yaml"]
    texts = [*SHIPPED.values(), *shown, *(path.read_text("utf-8") for path in written)]

    assert [said for text in texts for said in misread(yaml.safe_load(text))] == []
    print(f"J21: {len(texts)} files and blocks parsed, 0 scripts misread")


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
    names[0] += [
        "deploy/flags.json",
        "a.yml",
        "b.yaml",
        "live.auto.tfvars",
        "app/.env",
        ".env.prod",
    ]
    names.append(["deployments.toml.orig", "my-fftdeploy.toml", "profiles/a.md", "medievals/a"])

    files = re.compile(ours["fftdeploy-check"]["files"])
    assert [[bool(files.search(name)) for name in part] for part in names] == [
        [True] * 10,
        [False] * 4,
    ]
    check = ours["fftdeploy-check"]["entry"].split()
    assert command(*check[1:]).code == 0
    Path("app.py").write_text('MODEL = "ft:gpt-4.1-mini-2025-04-14:acme:triage-v9:CdEf9"\n')
    subprocess.run(["git", "add", "app.py"], check=True)  # as it is when a hook runs
    scan = ours["fftdeploy-scan"]["entry"].split()
    assert command(*scan[1:], "fftdeploy.toml", "deployments.toml", "evals/triage.jsonl").code == 0
    assert command(*scan[1:], "app.py").code == 12
