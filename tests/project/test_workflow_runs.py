"""The action and the workflows that users copy: what their steps do, run as a runner would."""

import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkout import ROOT
from command_line import Command, git
from forge import Forge, serve
from github_runner import ACTION, PULL_REQUEST, SHIPPED, Ran, Runner, steps_of, with_inputs
from proposals import Change
from scenes import POLICY, V8, V9, V10, newest, past, write

import fftdeploy
from fftdeploy.git.attestations import PREDICATE
from fftdeploy.sandbox import Sandbox

MARKER = "<!-- fftdeploy:check -->"
SHA = "5d0c1e7a9b42f0c85d0c1e7a9b42f0c85d0c1e7a"
CONTEXTS = {
    "github.event_name": "pull_request",
    "github.event.pull_request.number": "7",
    "github.event.pull_request.head.repo.full_name": "acme/desk",
    "github.event.before": "0" * 40,
    "github.event.repository.default_branch": "main",
    "github.ref": "refs/pull/7/merge",
    "github.ref_name": "7/merge",
    "github.ref_type": "branch",
    "github.repository": "acme/desk",
    "github.run_id": "99",
    "github.server_url": "https://github.com",
    "github.sha": SHA,
    "github.token": "ghs_token",
    "secrets.OPENAI_API_KEY": "sk-canary-canary-canary",
    "secrets.FFTDEPLOY_PROVIDERS": "",
    "secrets.FFTDEPLOY_WEBHOOK_URL": "",
    "secrets.FFTDEPLOY_PULL_REQUEST_TOKEN": "",
}
OURS = {
    "viewerDidAuthor": True,
    "body": f"{MARKER}\nold",
    "url": "https://github.com/acme/desk/pull/7#issuecomment-4242",
}
THEIRS = {**OURS, "viewerDidAuthor": False, "url": "https://github.com/x#issuecomment-1"}
OTHER = {**OURS, "body": f"Look: {MARKER}", "url": "https://github.com/x#issuecomment-2"}

needs_jq = pytest.mark.skipif(not shutil.which("jq"), reason="jq plays gh's --jq: none here")

Make = Callable[..., Runner]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a runner whose check ends as told and whose pull request has these comments."""

    def runner(
        code: int = 0,
        comment: str | None = f"{MARKER}\nnew\n",
        *,
        comments: list[dict[str, Any]] | None = None,
        refuses: tuple[str, ...] = (),
        **contexts: str,
    ) -> Runner:
        checkout = tmp_path / "checkout"
        checkout.mkdir(exist_ok=True)
        made = Runner(tmp_path / "job", checkout, CONTEXTS | contexts)
        ends = {"code": code, "outcome": "ok" if code == 0 else "policy"}
        ends |= {} if comment is None else {"comment": comment}
        (made.folder / "fftdeploy.json").write_text(json.dumps(ends))
        answers = {"pr view": {"comments": comments or []}, "refuses": refuses}
        (made.folder / "gh.json").write_text(json.dumps(answers))
        return made

    return runner


def run_action(runner: Runner, **inputs: str) -> list[Ran]:
    given = {name.replace("_", "-"): value for name, value in inputs.items()}
    runner.contexts = with_inputs(ACTION, runner.contexts, given)
    return runner.run(steps_of(ACTION))


def codes(ran: list[Ran]) -> dict[str, int]:
    return {step.name: step.code for step in ran}


@needs_jq
def test_the_action_checks_against_the_base_and_comments(make: Make) -> None:
    runner = make()

    ran = run_action(runner, api_key="sk-canary-canary-canary")

    assert codes(ran) == {"Install fftdeploy": 0, "Check": 0, "Comment": 0}
    assert runner.typed("python3") == [f"-I -m venv {runner.temp}/fftdeploy"]
    assert runner.typed("pip") == [
        "install --quiet --disable-pip-version-check --only-binary=:all: "
        f"fftdeploy=={fftdeploy.__version__}"
    ]
    assert runner.typed("fftdeploy") == [checks(runner, f"'--base={SHA}^1'", "--comment")]
    assert runner.typed("gh")[1:] == ["pr comment 7 --body-file fftdeploy-check.md"]
    posted = runner.calls[-1]
    assert (posted["cwd"], posted["body"]) == (str(runner.temp), f"{MARKER}\nnew\n")
    assert {call["name"]: call["secrets"] for call in runner.calls} == {
        "python3": [],
        "pip": [],
        "fftdeploy": ["OPENAI_API_KEY"],
        "gh": ["GH_TOKEN"],
    }
    assert outputs(runner) == {**NONE, "outcome": "ok", "exit_code": "0"}


NONE = {"model": "", "previous": "", "evidence": ""}


def checks(runner: Runner, *words: str) -> str:
    """Return what `fftdeploy` is called with; `--comment` stands for the flag and its file."""
    comment = f"--comment {runner.temp}/fftdeploy-check.md"
    return " ".join(["check --format github", *words]).replace("--comment", comment)


def outputs(runner: Runner) -> dict[str, str]:
    declared = yaml.safe_load(ACTION)["outputs"]
    return {name: runner.filled(output["value"]) for name, output in declared.items()}


@needs_jq
@pytest.mark.parametrize("code", [0, 6, 12])
def test_one_comment_is_kept_and_the_check_decides(make: Make, code: int) -> None:
    runner = make(code, comments=[THEIRS, OTHER, OURS, {**OURS, "url": "x#issuecomment-9"}])

    ran = run_action(runner)

    assert codes(ran) == {"Install fftdeploy": 0, "Check": code, "Comment": 0}
    assert runner.typed("gh")[1:] == [
        "api --silent --method PATCH repos/acme/desk/issues/comments/4242 "
        "--field body=@fftdeploy-check.md"
    ]
    assert runner.calls[-1]["body"] == f"{MARKER}\nnew\n"
    outcome = "policy" if code else "ok"
    assert outputs(runner) == {**NONE, "outcome": outcome, "exit_code": str(code)}


@needs_jq
def test_a_check_that_broke_off_takes_back_what_the_comment_said(make: Make) -> None:
    runner = make(3, None, comments=[OURS])

    ran = run_action(runner)

    assert codes(ran) == {"Install fftdeploy": 0, "Check": 3, "Comment": 0}
    log = "https://github.com/acme/desk/actions/runs/99"
    assert runner.calls[-1]["body"] == f"{MARKER}\n**Not checked**: see [the log]({log}).\n"


@needs_jq
@pytest.mark.parametrize(("refused", "code"), [("pr view", 6), ("pr comment", 0)])
def test_a_token_that_only_reads_changes_no_verdict(make: Make, refused: str, code: int) -> None:
    runner = make(code, refuses=(refused,))

    ran = run_action(runner)

    assert codes(ran) == {"Install fftdeploy": 0, "Check": code, "Comment": 0}
    assert "::warning title=fftdeploy::no comment: " in ran[-1].out


HOSTILE = {
    "base": "$(touch sentinel)",
    "file": "`touch sentinel` x",
    "args": " --rerun\n; 'touch sentinel' $(touch sentinel) *",
    "version": "1\ntouch sentinel",
    "comment": "false",
}
LITERAL = [
    "'--base=$(touch sentinel)'",
    "--comment",
    "'--file=`touch sentinel` x'",
    *map(shlex.quote, ["--rerun", ";", "'touch", "sentinel'", "$(touch", "sentinel)", "*"]),
]


@pytest.mark.parametrize(
    ("inputs", "event", "words"),
    [
        ({"comment": "false"}, "pull_request", [f"'--base={SHA}^1'", "--comment"]),
        ({}, "push", []),
        (
            {"base": "origin/main", "file": "a.toml"},
            "push",
            ["--base=origin/main", "--comment", "--file=a.toml"],
        ),
        (HOSTILE, "pull_request", LITERAL),
    ],
    ids=["no comment", "push", "given", "H5-nothing is expanded"],
)
def test_inputs_are_arguments_and_nothing_more(
    make: Make, inputs: dict[str, str], event: str, words: list[str]
) -> None:
    runner = make(**{"github.event_name": event})
    (runner.checkout / "for a glob").touch()

    run_action(runner, **inputs)

    assert runner.typed("fftdeploy") == [checks(runner, *words)]
    assert runner.typed("gh") == []
    assert list(runner.checkout.iterdir()) == [runner.checkout / "for a glob"]


@pytest.mark.parametrize(
    ("head", "jobs"), [("acme/desk", ["branch"]), ("eve/desk", ["fork"]), ("", ["fork"])]
)
def test_a_fork_gets_neither_key_nor_comment(make: Make, head: str, jobs: list[str]) -> None:
    runner = make(6, **{"github.event.pull_request.head.repo.full_name": head})
    document = yaml.safe_load(PULL_REQUEST)["jobs"]

    due = [name for name, job in document.items() if runner.value(job["if"]) == "true"]
    ran = codes(runner.run(steps_of(PULL_REQUEST, "fork")))

    assert due == jobs
    assert "secrets." not in yaml.safe_dump(document["fork"])
    assert document["fork"]["permissions"] == {"contents": "read"}
    assert ran == {"Install fftdeploy": 0, "Check": 6}
    assert runner.typed("fftdeploy") == [checks(runner, f"'--base={SHA}^1'")]
    assert all(call["secrets"] == [] for call in runner.calls)


@needs_jq
def test_a_branch_gets_both(make: Make) -> None:
    runner = make(6, comments=[OURS])

    ran = codes(runner.run(steps_of(PULL_REQUEST, "branch")))

    assert ran == {"Install fftdeploy": 0, "Check": 6, "Comment": 0}
    words = [f"'--base={SHA}^1'", "--comment", "--rerun --max-requests 5000"]
    assert runner.typed("fftdeploy") == [checks(runner, *words)]
    secrets = [call["secrets"] for call in runner.calls]
    assert secrets == [[], [], ["OPENAI_API_KEY"], ["GH_TOKEN"], ["GH_TOKEN"]]


# And what they do with everything but GitHub real.


@pytest.fixture
def origin(repo: Path, sandbox: Sandbox, tmp_path: Path) -> Path:
    """A bare repository that is pushed to, with the file's first state as `main`."""
    commit(past("triage/staging", V8, V9), past("triage/production", V8))
    bare = tmp_path / "server" / "acme" / "desk"
    git("clone", "--quiet", "--bare", str(repo), str(bare))
    return bare


def commit(*tables: str) -> None:
    write(*tables, policy=POLICY)
    git("add", ".")
    git("commit", "--quiet", "--message", "first")


def real_runner(tmp_path: Path, repo: Path, key: str, **contexts: str) -> Runner:
    secrets = {"github.sha": git("rev-parse", "HEAD"), "secrets.OPENAI_API_KEY": key}
    runner = Runner(tmp_path / "job", repo, CONTEXTS | secrets | contexts, is_real=True)
    runner.environ["GITHUB_SERVER_URL"] = f"file://{tmp_path / 'server'}"
    runner.environ["GITHUB_REF_NAME"] = "main"
    (runner.folder / "gh.json").write_text('{"issue list": []}')
    return runner


def button(**inputs: str) -> dict[str, str]:
    asked = {"target": "triage/production", "model": "", "current": V8, "why": "PR #212"} | inputs
    return {f"inputs.{name}": value for name, value in {**asked, "max-requests": "5000"}.items()}


def test_the_button_opens_a_pull_request(
    origin: Path, repo: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    runner = real_runner(tmp_path, repo, sandbox.key, **button(why="$(id) `id` PR #212"))
    runner.environ |= {"GITHUB_RUN_ID": "99", "GITHUB_RUN_ATTEMPT": "1"}

    ran = runner.run(steps_of(SHIPPED["promote.yml"], "promote"))

    assert codes(ran) == {"Install fftdeploy": 0, "Promote": 0, "Open the pull request": 0}, ran
    branch = "fftdeploy/promote-99-1"
    assert git("rev-parse", branch, folder=origin) == git("rev-parse", "HEAD")
    assert git("rev-parse", "main", folder=origin) == git("rev-parse", "HEAD^")
    assert git("show", "--name-only", "--format=", branch, folder=origin) == "deployments.toml"
    release = newest("triage/production")
    assert (release.bundle.model, release.why, release.by) == (V9, "$(id) `id` PR #212", "ana")
    created = runner.calls[-1]
    assert created["argv"][:6] == ["pr", "create", "--base", "main", "--head", branch]
    assert created["argv"][7] == git("log", "-1", "--format=%s")
    assert V9 in created["body"]
    assert [call["secrets"] for call in runner.calls] == [[], [], ["GH_TOKEN"]]


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"current": V9}, 8),
        ({"target": "--help"}, 2),
        ({"target": "triage/staging", "model": V9, "current": V9}, 0),
    ],
    ids=["stale", "H5-an option", "live already"],
)
def test_the_button_that_promotes_nothing_pushes_nothing(
    origin: Path, repo: Path, sandbox: Sandbox, tmp_path: Path, inputs: dict[str, str], code: int
) -> None:
    runner = real_runner(tmp_path, repo, sandbox.key, **button(**inputs))

    ran = runner.run(steps_of(SHIPPED["promote.yml"], "promote"))

    assert codes(ran)["Promote"] == code, ran
    assert git("branch", "--format=%(refname:short)", folder=origin) == "main"
    assert runner.typed("gh") == []
    assert git("status", "--short") == ""


@pytest.fixture
def forge() -> Iterator[Forge]:
    with serve() as served:
        yield served


def monitored(tmp_path: Path, repo: Path, key: str, forge: Forge, **contexts: str) -> Runner:
    runner = real_runner(tmp_path, repo, key, **contexts)
    runner.environ["GITHUB_API_URL"] = forge.address
    return runner


TELLING = (ROOT / "docs/telling.md").read_text(encoding="utf-8")
MONITOR = steps_of(SHIPPED["monitor.yml"], "monitor")
LOOKED = {"Install fftdeploy": 0, "Look and tell": 0}
BEGIN = "<!-- fftdeploy:monitor triage/production ["


def the_day_after(runner: Runner) -> list[Ran]:
    """Run the job once more, on another machine but for what the cache brings back."""
    shutil.rmtree(runner.temp / "fftdeploy")
    return runner.run(MONITOR)


def test_the_monitor_keeps_one_issue_a_target_and_tells_the_channel(
    repo: Path, sandbox: Sandbox, tmp_path: Path, forge: Forge
) -> None:
    well = past("triage/production", V8, V9)
    edited = well.replace(f'model = "{V9}"\n', f'model = "{V8}"\n', 1)
    commit(edited)
    told = {"secrets.FFTDEPLOY_WEBHOOK_URL": forge.hook}
    runner = monitored(tmp_path, repo, sandbox.key, forge, **told)

    ran = runner.run(MONITOR)
    assert codes(ran) == LOOKED, ran
    (issue,) = forge.open_ones()
    assert issue["text"].startswith(f"{BEGIN}hand-edit,no-rollback,runway-60] -->\n")
    assert "fftdeploy adopt triage/production" in issue["text"]
    assert f"triage/production: hand-edit ({V8})" in forge.told[0]["text"]
    assert "triage/production" in runner.summary.read_text()

    write(well, policy=POLICY)
    assert codes(the_day_after(runner)) == LOOKED
    assert issue["text"].startswith(f"{BEGIN}rollback-runway-60,runway-60] -->\n")
    assert (forge.open_ones(), len(forge.comments)) == ([issue], 1)
    assert [one["text"].count("fine again") for one in forge.told[1:]] == [1]
    before = len(forge.told), len(forge.comments)
    assert codes(the_day_after(runner)) == LOOKED
    assert (len(forge.told), len(forge.comments)) == before, "once"

    # What the steps beside keep is where it lies, and git sees nothing of it.
    kept = [step["with"]["path"] for step in MONITOR if "cache" in step.get("uses", "")]
    assert kept == [".fftdeploy/monitor"] * 2
    assert {path.name for path in (repo / kept[0]).iterdir()} >= {
        "told.jsonl",
        "triage.production.jsonl",
    }
    assert git("status", "--short", "--", kept[0]) == ""
    shared = {name for step in MONITOR for name in step.get("env", {}) if "TOKEN" in name}
    assert shared == {"GITHUB_TOKEN"}
    assert forge.tokens == {"Bearer ghs_token", ""}
    assert not any("s3cr3t" in step.out for step in ran)


@pytest.mark.parametrize("is_told", [True, False])
def test_the_monitor_asks_the_hosts_that_a_secret_names(
    repo: Path, sandbox: Sandbox, tmp_path: Path, forge: Forge, *, is_told: bool
) -> None:
    file = past("triage/production", V8, V8).replace(
        f'model = "{V8}"', f'model = "{V8}"\nprovider = "second"', 1
    )
    commit(file.replace(f'model = "{V8}",', f'model = "{V8}", provider = "second",'))
    told = f'[second]\nbase_url = "{sandbox.url}"\napi_key_env = "OPENAI_API_KEY"\n'
    secrets = {"secrets.FFTDEPLOY_PROVIDERS": told if is_told else ""}
    runner = monitored(tmp_path, repo, sandbox.key, forge, **secrets)

    ran = runner.run(MONITOR)

    assert ("is not known here" in ran[-1].out) is not is_told
    assert codes(ran)["Look and tell"] == (0 if is_told else 10)


@pytest.mark.parametrize(("key", "code"), [("sk-wrong-wrong-wrong-wrong", 10), ("", 1)])
def test_the_monitor_without_an_answer_fails_and_leaves_the_issue(
    repo: Path, sandbox: Sandbox, tmp_path: Path, forge: Forge, key: str, code: int
) -> None:
    commit(past("triage/production", V8, V9))
    text = f"{BEGIN}drift] -->\n"
    forge.add("fftdeploy: triage/production needs attention", text)
    runner = monitored(tmp_path, repo, key, forge)

    ran = runner.run(MONITOR)

    assert codes(ran) == {"Install fftdeploy": 0, "Look and tell": code}, ran
    assert [one["text"].startswith(text) for one in forge.open_ones()] == [True]
    assert forge.comments == []


PUSH = {"github.event_name": "push", "github.ref_name": "main"}
RECORD = SHIPPED["deployments.yml"]


@pytest.mark.parametrize("text", [RECORD, ACTION], ids=["workflow", "action"])
def test_a_merged_promotion_is_a_deployment_once(
    change: Change, tmp_path: Path, forge: Forge, text: str
) -> None:
    before = git("rev-parse", "main")
    change.good()
    change.edit('model = "gpt-6-luna"\nreleases', f'model = "{V8}"\nreleases')
    git("add", "--all")
    git("commit", "--quiet", "--message", "promote")
    runner = real_runner(tmp_path, change.folder, "", **PUSH, **{"github.event.before": before})
    runner.contexts = with_inputs(ACTION, runner.contexts, {"deployments": "true"})
    told = {"GITHUB_EVENT_NAME": "push", "GITHUB_REF_TYPE": "branch", "GITHUB_RUN_ID": "99"}
    runner.environ |= told | {"GITHUB_API_URL": forge.address}
    job = steps_of(text, "record" if text == RECORD else "")
    steps = [step for step in job if step["name"] in {"Install fftdeploy", "Record"}]
    page = f"{runner.environ['GITHUB_SERVER_URL']}/acme/desk"
    sha, evidence = git("rev-parse", "HEAD"), change.made.evidence["pass"]

    forge.refuses["statuses"] = 503  # cut short in between
    first = runner.run(steps)
    assert (first[-1].name, first[-1].code) == ("Record", 9), first
    assert [one["statuses"] for one in forge.deployments] == [[]]
    forge.refuses.clear()
    for _ in range(2):
        shutil.rmtree(runner.temp / "fftdeploy")
        ran = runner.run(steps)
        assert codes(ran) == {"Install fftdeploy": 0, "Record": 0}, ran

    made = {one["environment"]: one for one in forge.deployments}
    assert len(forge.deployments) == 2
    assert {*made} == {"triage/production", "refunds/staging"}
    production = made["triage/production"]
    assert (production["ref"], production["task"]) == (sha, "fftdeploy")
    assert production["description"] == f"release 4: {V10}"
    assert production["payload"]["previous"]["model"] == V8
    log = {"description": f"release 4: {V10}", "log_url": f"{page}/actions/runs/99"}
    link = f"{page}/blob/{sha}/.fftdeploy/evidence/triage/{evidence}.json"
    assert production["statuses"] == [{"state": "success", **log, "environment_url": link}]
    assert made["refunds/staging"]["description"] == f"hand edit: {V8}"
    assert "environment_url" not in made["refunds/staging"]["statuses"][0]
    assert forge.tokens == {"Bearer ghs_token"}
    assert not any(call["secrets"] for call in runner.calls)


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"github.ref_name": "feature"},
        {"github.ref_type": "tag"},
        {"github.event.before": "0" * 40},
        {"github.event_name": "pull_request", "github.ref_name": "7/merge"},
    ],
    ids=["control", "another branch", "a tag of that name", "a new branch", "a pull request"],
)
def test_only_the_default_branch_records_and_only_where_asked(
    make: Make, other: dict[str, str]
) -> None:
    runner = make(**PUSH | {"github.event.before": SHA} | other)
    job = yaml.safe_load(RECORD)["jobs"]["record"]

    asked = []
    for flag in ("true", "false"):
        shutil.rmtree(runner.temp / "fftdeploy", ignore_errors=True)
        run_action(runner, deployments=flag, comment="false")
        asked.append(sum(words.startswith("diff") for words in runner.typed("fftdeploy")))

    assert asked == [int(not other)] * 2
    assert (runner.value(job["if"].strip()) == "true") is (not other)
    assert job["permissions"] == {"contents": "read", "deployments": "write"}
    assert yaml.safe_load(RECORD)[True] == {"push": {"branches": ["main"]}}


def test_no_job_but_a_pushs_records(change: Change, forge: Forge) -> None:
    change.good()
    git("add", "--all")
    git("commit", "--quiet", "--message", "promote")

    done = change.command("diff", "main", "HEAD", "--record")

    assert (done.code, done.out) == (2, "")
    assert forge.asked == []
    assert change.command("diff", "main", "--record").code == 2


@needs_jq
@pytest.mark.parametrize(
    ("model", "ruling"), [(V10, "PASSED"), (V9, "FAILED"), ("gpt-nonsense", "")]
)
def test_the_button_of_evidence_signs_what_was_evaluated(
    change: Change, sandbox: Sandbox, tmp_path: Path, model: str, ruling: str
) -> None:
    inputs = {"target": "triage/production", "model": f"{model}@", "max-requests": "500"}
    asked = {f"inputs.{name}": value for name, value in inputs.items()}
    runner = real_runner(tmp_path, change.folder, sandbox.key, **asked)
    steps = steps_of(SHIPPED["evidence.yml"], "evidence")

    ran = codes(runner.run(steps))

    predicate = runner.temp / "predicate.json"
    assert ran["Evaluate"] == (0 if ruling else 2)
    assert predicate.exists() is bool(ruling)
    if not ruling:
        return
    sign = next(step for step in steps if step["name"] == "Sign")["with"]
    evidence = change.folder / runner.filled(sign["subject-path"])
    assert [evidence] == [*change.folder.glob(".fftdeploy/evidence/triage/*.json")]
    assert sign["predicate-type"] == PREDICATE
    policy = hashlib.sha256(Path("fftdeploy.toml").read_bytes()).hexdigest()
    assert json.loads(predicate.read_text()) == {
        "result": ruling,
        "configuration": [{"name": "fftdeploy.toml", "digest": {"sha256": policy}}],
        "url": "https://github.com/acme/desk/actions/runs/99",
    }


def propose(tmp_path: Path, origin: Path, *, depth: int = 2, head: str = "merge") -> str:
    """Merge the branch as GitHub does, check that out as actions/checkout does; return GITHUB_SHA.

    With `head`, what is checked out is the branch itself, as a careless workflow does.
    """
    git("checkout", "--quiet", "--detach", "main")
    git("merge", "--quiet", "--no-ff", "--message", "merge", "proposal")
    merged = git("rev-parse", "HEAD")
    git("push", "--quiet", str(origin), "HEAD:refs/pull/7/merge", "proposal:refs/pull/7/head")
    checkout = tmp_path / "checkout"
    git("init", "--quiet", str(checkout))
    ref = f"refs/pull/7/{head}"
    git("fetch", "--quiet", f"--depth={depth}", f"file://{origin}", ref, folder=checkout)
    git("checkout", "--quiet", "--detach", "FETCH_HEAD", folder=checkout)
    return merged


def promoted(command: Command, model: str, *, lowers: bool = False) -> None:
    """Make the branch `proposal`, which promotes to production, or `lowers` the bar first."""
    git("checkout", "--quiet", "-b", "proposal")
    if lowers:
        Path("fftdeploy.toml").write_text(POLICY.replace('from = ["staging"]', "from = []"))
        git("commit", "--quiet", "--all", "--message", "lower the bar")
    argv = ["--model", model, "--why", "PR #7", "--yes", "--commit"]
    assert command("promote", "triage/production", *argv).code == 0


@pytest.mark.parametrize(
    ("lowers", "depth", "head", "code"),
    [
        (True, 2, "merge", 12),
        (False, 1, "merge", 2),
        (True, 2, "head", 2),
        (True, 2, "control", 0),
    ],
    ids=["H8-bar lowered first", "C16-depth 1", "H8-head checked out", "H8-control"],
)
def test_the_workflow_judges_what_merging_would_change(
    origin: Path,
    repo: Path,
    tmp_path: Path,
    command: Command,
    lowers: bool,
    depth: int,
    head: str,
    code: int,
) -> None:
    workflow = PULL_REQUEST
    if head == "control":  # the obvious way to name the base, which a second commit fools
        head, workflow = "head", workflow.replace("$GITHUB_SHA^1", "HEAD^1")
    promoted(command, V10 if lowers else V9, lowers=lowers)
    sha = propose(tmp_path, origin, depth=depth, head=head)
    runner = real_runner(tmp_path, tmp_path / "checkout", "", **{"github.sha": sha})

    ran = runner.run(steps_of(workflow, "fork"))

    assert codes(ran) == {"Install fftdeploy": 0, "Check": code}, ran


@needs_jq
@pytest.mark.parametrize(
    ("steps", "lowers", "code", "outcome", "verdict"),
    [
        (steps_of(PULL_REQUEST, "branch"), False, 0, "ok", "May be merged"),
        (steps_of(ACTION), True, 12, "finding", "Blocked"),
    ],
    ids=["workflow", "H8-action"],
)
def test_the_comment_says_what_the_check_says(
    origin: Path,
    repo: Path,
    sandbox: Sandbox,
    tmp_path: Path,
    command: Command,
    steps: list[dict[str, Any]],
    lowers: bool,
    code: int,
    outcome: str,
    verdict: str,
) -> None:
    promoted(command, V10 if lowers else V9, lowers=lowers)
    sha = propose(tmp_path, origin)
    runner = real_runner(tmp_path, tmp_path / "checkout", sandbox.key, **{"github.sha": sha})
    runner.contexts = with_inputs(ACTION, runner.contexts, {"api-key": sandbox.key})
    (runner.folder / "gh.json").write_text(json.dumps({"pr view": {"comments": [OURS]}}))

    ran = runner.run(steps)

    assert codes(ran) == {"Install fftdeploy": 0, "Check": code, "Comment": 0}, ran
    said = runner.calls[-1]["body"]
    assert said.startswith(f"{MARKER}\n")
    assert verdict in said
    assert "Not verified" not in said
    if steps == steps_of(ACTION):
        made = {"model": V10, "previous": V8, "evidence": ""}
        assert outputs(runner) == {**made, "outcome": outcome, "exit_code": str(code)}


def gitlab_job(runner: Runner, name: str) -> tuple[dict[str, Any], Ran]:
    """Run a job of the pipeline that `init` wrote: `before_script` and `script`, in one shell."""
    jobs = yaml.safe_load(Path(".gitlab/fftdeploy.yml").read_text())
    job = jobs[jobs[name]["extends"]] | jobs[name]
    path = f'PATH="{runner.folder}/venv:$PATH"'
    script = "\n".join([path, *job["before_script"], *job["script"]])
    (ran,) = runner.run([{"name": name, "shell": "bash", "run": script}])
    assert runner.typed("pip") == [
        f"install --quiet --only-binary=:all: fftdeploy=={fftdeploy.__version__}"
    ]
    return job, ran


def test_H8_J21_the_pipeline_of_gitlab_judges_by_the_base(
    origin: Path, repo: Path, tmp_path: Path, command: Command
) -> None:
    promoted(command, V10, lowers=True)
    assert command("init", "--ci", "gitlab").code == 0
    runner = real_runner(tmp_path, repo, "")
    runner.environ["CI_MERGE_REQUEST_DIFF_BASE_SHA"] = git("rev-parse", "main")

    job, ran = gitlab_job(runner, "fftdeploy-merge-request")

    assert ran.code == 12, ran
    said = Path(*job["artifacts"]["paths"]).read_text()
    assert said.startswith(f"{MARKER}\n**Blocked")
    assert job["variables"] == {"GIT_DEPTH": "0"}


def test_J21_the_pipeline_of_gitlab_asks_the_api_on_the_default_branch(
    repo: Path, sandbox: Sandbox, tmp_path: Path, command: Command
) -> None:
    commit(past("triage/production", V8, V9))
    assert command("init", "--ci", "gitlab", "--file", "deployments.toml").code == 0
    runner = real_runner(tmp_path, repo, sandbox.key)
    runner.environ["OPENAI_API_KEY"] = sandbox.key

    _, ran = gitlab_job(runner, "fftdeploy-live")

    assert ran.code == 0, ran
    assert "1 target checked, 0 errors" in ran.out
    assert "NOT VERIFIED" not in ran.out


def test_the_scheduled_job_of_the_page_keeps_an_issue_on_gitlab(
    repo: Path, sandbox: Sandbox, tmp_path: Path, forge: Forge, command: Command
) -> None:
    commit(past("triage/production", V8, V9))
    assert command("init", "--ci", "gitlab").code == 0
    (job,) = re.findall(r"```yaml\n(fftdeploy-monitor:\n.*?)```", TELLING, re.DOTALL)
    with Path(".gitlab/fftdeploy.yml").open("a") as pipeline:
        pipeline.write(f"\n{job}")
    runner = real_runner(tmp_path, repo, sandbox.key)
    runner.environ |= {"OPENAI_API_KEY": sandbox.key, "CI_PIPELINE_SOURCE": "schedule"}
    runner.environ |= forge.environ("gitlab")
    sandbox.remove(V9)

    parsed, ran = gitlab_job(runner, "fftdeploy-monitor")

    assert ran.code == 0, ran
    (issue,) = forge.issues
    assert issue["text"].startswith(f"{BEGIN}dead] -->")
    assert Path(*parsed["cache"]["paths"], "told.jsonl").exists()


def test_J21_a_workflow_for_a_file_below_the_root_runs(
    make: Make, repo: Path, command: Command
) -> None:
    Path("desk").mkdir()
    assert command("init", "--ci", "github", "--file", "desk/deployments.toml").code == 0
    workflow = Path(".github/workflows/fftdeploy.yml").read_text()
    runner = make()

    ran = runner.run(steps_of(workflow, "fork"))

    assert codes(ran) == {"Install fftdeploy": 0, "Check": 0}
    file = ["--file", "desk/deployments.toml"]
    assert runner.typed("fftdeploy") == [checks(runner, f"'--base={SHA}^1'", *file)]
