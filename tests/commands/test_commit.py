"""`--commit`: one commit of the named files, in a person's words, or none and a clear word on it;
and the question on a terminal that comes before."""
# ruff: noqa: E501  a case is a line of its table

import errno
import os
import select
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forked
import pytest
from command_line import PROGRAM, Command
from others import meanwhile
from scenes import (
    FILE,
    POLICY,
    V6,
    V7,
    V8,
    V9,
    hold,
    newest,
    past,
    read,
    row,
    table,
    write,
    write_profile,
)

from fftdeploy.files import disk
from fftdeploy.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("repo", "sandbox")
NAME = "triage/production"


def git(*argv: str) -> str:
    return subprocess.run(["git", *argv], check=True, capture_output=True, text=True).stdout


def committed(*tables: str, policy: str = "") -> bytes:
    data = write(*tables, policy=policy)
    git("add", ".")
    git("commit", "-qm", "first")
    return data


def changed_files(commit: str = "HEAD") -> list[str]:
    return git("show", "--name-only", "--format=", commit).split()


CHANGES = [
    (
        ["promote", NAME, "--model", V9, "--why", "PR #212"],
        f"Promote triage-v9 to {NAME}\n\nPR #212\n\nTask: triage\nEnvironment: production\nModel: {V9}\nRelease: 3\n",
    ),
    (
        ["promote", NAME, "--model", "gpt-6-luna"],
        f"Promote gpt-6-luna to {NAME}\n\nTask: triage\nEnvironment: production\nModel: gpt-6-luna\nRelease: 3\n",
    ),
    (
        ["rollback", NAME, "--why", "INC-88"],
        f"Roll {NAME} back to release 1 (triage-v7)\n\nINC-88\n\nTask: triage\nEnvironment: production\nModel: {V7}\nRelease: 3\n",
    ),
    (
        ["hold", NAME, V9, "--why", "INC-88"],
        f"Hold triage-v9 in {NAME}\n\nINC-88\n\nTask: triage\nEnvironment: production\nModel: {V9}\n",
    ),
    (
        ["unhold", NAME, V6, "--why", "fixed"],
        f"Unhold triage-v6 in {NAME}\n\nfixed\n\nTask: triage\nEnvironment: production\nModel: {V6}\n",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "message"), CHANGES, ids=["promote", "base", "rollback", "hold", "unhold"]
)
def test_a_change_becomes_one_commit_of_its_file(
    command: Command, argv: list[str], message: str
) -> None:
    committed(past(NAME, V7, V8, holds=[hold(V6)]))
    Path("staged.txt").write_text("mine")
    Path("loose.txt").write_text("mine")
    git("add", "staged.txt")
    result = command(*argv, "--yes", "--commit")
    assert result.code == 0, result.err
    assert git("log", "-1", "--format=%B") == message + "\n"
    assert git("interpret-trailers", "--parse") == ""
    assert changed_files() == ["deployments.toml"]
    assert git("status", "--porcelain").split("\n") == ["A  staged.txt", "?? loose.txt", ""]
    short = git("rev-parse", "--short", "HEAD").strip()
    assert f"committed as {short}" in result.out
    assert result.err.endswith(f"next: fftdeploy status {NAME}\n"), "there is no remote"


def test_trailers_are_gits(command: Command) -> None:
    committed(past(NAME, V7, V8))
    assert (
        command("promote", NAME, "--model", V9, "--why", "PR #212", "--yes", "--commit").code == 0
    )
    trailers = git("log", "-1", "--format=%(trailers)")
    assert trailers.splitlines()[:4] == [
        "Task: triage",
        "Environment: production",
        f"Model: {V9}",
        "Release: 3",
    ]


def test_an_adopted_hand_edit_is_committed_with_the_line_it_records(command: Command) -> None:
    committed(table(NAME, V8, [row(1, V7)]))
    assert command("adopt", NAME, "--why", "x", "--yes", "--commit").code == 0
    assert git("log", "-1", "--format=%s").strip() == f"Record triage-v8 as live in {NAME}"


def test_the_new_releases_profile_goes_along(command: Command) -> None:
    committed(past(NAME, V7, V8))
    write_profile("long")
    write_profile("other")
    result = command("promote", NAME, "--model", V9, "--profile", "long", "--yes", "--commit")
    assert result.code == 0, result.err
    assert changed_files() == ["deployments.toml", "profiles/long.toml"]
    assert git("status", "--porcelain") == "?? profiles/other.toml\n"


def test_a_hold_takes_no_profile_along(command: Command) -> None:
    write_profile("long")
    committed(table(NAME, V8, [row(1, V8, "long")], profile="long"))
    write_profile("long", "a draft")
    assert command("hold", NAME, V9, "--why", "x", "--yes", "--commit").code == 0
    assert changed_files() == ["deployments.toml"]


def test_a_dry_run_commits_nothing(command: Command) -> None:
    before = committed(past(NAME, V7, V8))
    head = git("rev-parse", "HEAD")
    result = command("promote", NAME, "--model", V9, "--dry-run", "--commit")
    assert (result.code, FILE.read_bytes(), git("rev-parse", "HEAD")) == (0, before, head)


def no_repository() -> None:
    Path(".git").rename("git")


def no_identity() -> None:
    (Path.home() / ".gitconfig").unlink()


def uncommitted() -> None:
    FILE.write_text(FILE.read_text() + "# mine\n")


def staged() -> None:
    uncommitted()
    git("add", "deployments.toml")


def merging() -> None:
    Path(".git/MERGE_HEAD").write_text(git("rev-parse", "HEAD"))


def ignored_profile() -> None:
    Path(".gitignore").write_text("profiles/\n")


UNCOMMITTABLE: list[tuple[Callable[[], None], str]] = [
    (no_repository, "not in a git work tree"),
    (no_identity, "git does not know who you are"),
    (uncommitted, "has uncommitted changes"),
    (staged, "has uncommitted changes"),
    (merging, "a merge is under way"),
    (ignored_profile, "is ignored by git"),
]


@pytest.mark.parametrize(("spoil", "words"), UNCOMMITTABLE)
def test_what_cannot_be_committed_is_not_written(
    command: Command, spoil: Callable[[], None], words: str
) -> None:
    committed(past(NAME, V7, V8))
    write_profile("long")
    spoil()
    before = FILE.read_bytes()
    argv = ["promote", NAME, "--model", V9, "--profile", "long", "--commit"]
    for way in ("--yes", "--dry-run"):
        result = command(*argv, way)
        assert (result.code, FILE.read_bytes()) == (2, before), result.err
        assert words in result.err


def test_without_git_there_is_no_commit(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = committed(past(NAME, V7, V8))
    monkeypatch.setenv("PATH", "/nowhere")
    result = command("promote", NAME, "--model", V9, "--yes", "--commit")
    assert (result.code, FILE.read_bytes(), sandbox.requests) == (2, before, ())
    assert command("promote", NAME, "--model", V9, "--yes").code == 0  # and none is needed


def test_a_hook_that_refuses_leaves_the_change_and_says_so(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFTDEPLOY_WEBHOOK_URL", "https://hooks.example/of/secret")
    committed(past(NAME, V7, V8))
    write_profile("long")
    hook = Path(".git/hooks/pre-commit")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nenv > seen.txt\necho no tests were run >&2\nexit 1\n")
    hook.chmod(0o755)
    head = git("rev-parse", "HEAD")
    result = command("promote", NAME, "--model", V9, "--profile", "long", "--yes", "--commit")
    assert (result.code, newest(NAME).bundle.model, git("rev-parse", "HEAD")) == (11, V9, head)
    assert "deployments.toml WAS changed, not committed" in result.err
    assert "no tests were run" in result.err
    assert "OPENAI_API_KEY" not in Path("seen.txt").read_text()
    assert "WEBHOOK" not in Path("seen.txt").read_text()
    assert sandbox.key not in Path("seen.txt").read_text()
    hook.unlink()
    line = result.err.split("hint: ")[1].splitlines()[0]
    subprocess.run(["sh", "-c", line], check=True, capture_output=True)
    assert changed_files() == ["deployments.toml", "profiles/long.toml"]
    assert git("log", "-1", "--format=%s").strip() == f"Promote triage-v9 to {NAME}"


def test_A14_a_commit_that_is_stopped_half_way_leaves_nothing_staged_against_it(
    sandbox: Sandbox, command: Command
) -> None:
    """Git moves HEAD first and its index then: the next commit of anything would take it back."""
    committed(past(NAME, V7, V8))
    Path("mine.txt").write_text("staged")
    git("add", "mine.txt")
    hook = Path(".git/hooks/reference-transaction")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\n[ "$1" != committed ] || kill -TERM $PPID\n')
    hook.chmod(0o755)
    head = git("rev-parse", "HEAD")
    assert command("promote", NAME, "--model", V9, "--yes", "--commit").code == 11
    assert git("rev-parse", "HEAD") != head
    assert git("status", "--porcelain") == "A  mine.txt\n"


def test_C7_a_commit_takes_nobody_elses_change_along(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed(past(NAME, V7, V8), past("chat/production", V6))
    theirs = FILE.read_bytes().replace(b"[chat", b"# theirs\n[chat")
    meanwhile(monkeypatch, lambda: FILE.write_bytes(theirs))
    result = command("promote", NAME, "--model", V9, "--yes", "--commit")
    assert (result.code, FILE.read_bytes()) == (8, theirs)


# The line to type next.


def follow(err: str) -> str:
    """Type the line that stderr ends with, as it stands; return it."""
    line = err.splitlines()[-1].removeprefix("next: ")
    environ = {**os.environ, "GIT_EDITOR": "echo done >"}
    subprocess.run(["sh", "-c", line], check=True, capture_output=True, env=environ)
    return line


def test_what_comes_next_commits_whatever_the_release_needs(command: Command) -> None:
    write(past(NAME, V7, V8))
    write_profile("long")
    Path("loose.txt").write_text("mine")
    argv = ("promote", NAME, "--model", V9, "--profile", "long", "--yes")
    new = "git add deployments.toml profiles/long.toml && git commit"
    assert follow(command(*argv).err) == new
    assert changed_files() == ["deployments.toml", "profiles/long.toml"]
    assert follow(command("rollback", NAME, "--yes").err) == "git commit deployments.toml"
    assert git("status", "--porcelain") == "?? loose.txt\n"


def test_a_file_named_like_an_option_is_committed_all_the_same(command: Command) -> None:
    write(past(NAME, V7, V8), file=Path("-x.toml"))
    argv = ("hold", NAME, V9, "--why", "x", "--yes", "--file=-x.toml")
    assert follow(command(*argv).err) == "git add -- -x.toml && git commit"
    assert changed_files() == ["-x.toml"]


def test_what_was_committed_is_pushed_where_there_is_a_place_for_it(
    command: Command, tmp_path: Path
) -> None:
    committed(past(NAME, V7, V8))
    git("init", "-q", "--bare", str(tmp_path / "hub"))
    git("remote", "add", "hub", str(tmp_path / "hub"))
    first = command("hold", NAME, V9, "--why", "x", "--yes", "--commit")
    assert follow(first.err) == "git push -u hub main"
    again = command("unhold", NAME, "--why", "x", "--yes", "--commit")
    assert follow(again.err) == "git push"
    assert git("rev-parse", "hub/main") == git("rev-parse", "main")


def test_what_is_held_while_it_is_live_is_rolled_back_next(
    command: Command, tmp_path: Path
) -> None:
    write(past(NAME, V7, V8), file=tmp_path / "other.toml")
    other = ("--file", str(tmp_path / "other.toml"), "--yes")
    held = command("hold", NAME, V8, "--why", "x", *other)
    assert held.err == f"next: fftdeploy rollback {NAME} --file {tmp_path}/other.toml\n"
    back = command("rollback", NAME, *other)
    assert back.err.endswith(f"next: fftdeploy status {NAME} --file {tmp_path}/other.toml\n")


def test_what_is_held_and_answers_is_rolled_back_next_and_nothing_else(command: Command) -> None:
    write(past(NAME, V6, V7, V8))
    write_profile("long")
    argv = ("promote", NAME, "--model", V8, "--profile", "long", "--canary", "5", "--yes")
    assert command(*argv).code == 0
    off = command("rollback", NAME, "--yes")
    assert off.err == "next: git add deployments.toml && git commit\n"  # live is not what is held

    assert command(*argv[:3], V9, "--canary", "5", "--yes").code == 0
    held = command("hold", NAME, V9, "--why", "x", "--yes")
    assert "it is a canary here: a rollback takes it out of service" in held.out
    assert held.err == f"next: fftdeploy rollback {NAME} --canary\n"
    Path("profiles/long.toml").write_text("not TOML")  # stops no rescue
    assert command("hold", NAME, V8, "--why", "x", "--yes").code == 0
    assert command("rollback", NAME, "--yes").err == f"next: fftdeploy rollback {NAME}\n"
    assert command("rollback", NAME, "--yes").err.endswith("&& git commit\n")
    assert read(NAME).model == V7


# The question on a terminal.


def on_a_terminal(argv: list[str], *answers: tuple[str, str], pasted: str = "") -> tuple[int, str]:
    """Run the real command on a terminal, answering what it asks; return its code and screen.

    What is `pasted` is there before the command is.
    """
    master, slave = os.openpty()
    os.write(master, pasted.encode())
    environ = {**os.environ, "PYTHONPATH": forked.path()}
    child = subprocess.Popen([PROGRAM, *argv], stdin=slave, stdout=slave, stderr=slave, env=environ)
    os.close(slave)
    screen, waiting = "", list(answers)
    while data := _read(master):
        screen += data
        if waiting and waiting[0][0] in screen:
            os.write(master, (waiting.pop(0)[1] + "\n").encode())
    os.close(master)
    return child.wait(60), screen


def _read(master: int) -> str:
    """Return what was printed next; "" once the other side is closed."""
    ready, _, _ = select.select([master], [], [], 60)
    try:
        return os.read(master, 65536).decode(errors="replace") if ready else ""
    except OSError:
        return ""


@pytest.mark.parametrize(("answer", "code", "live"), [("n", 130, V7), ("", 130, V7), ("y", 0, V9)])
def test_a_person_sees_the_plan_and_is_asked(repo: Path, answer: str, code: int, live: str) -> None:
    before = write(past("triage/staging", V8, V9), past(NAME, V7), policy=POLICY)
    argv = ["promote", NAME]
    answers = [("why?", "PR #212"), ("make this change? [y/N]", answer)]
    found, screen = on_a_terminal(argv, *answers)
    assert (found, read(NAME).model) == (code, live), screen
    plan = screen.replace("\r", "").split("make this change?")[0]
    assert plan.endswith(
        f"{NAME}  triage-v7 → triage-v9  release 2, from staging\n"
        "  ✓ ready          shuts down 2027-01-14 (54 days)\n"
    )
    if code:
        assert FILE.read_bytes() == before
        assert "nothing was changed" in screen
    else:
        assert newest(NAME).why == "PR #212"


@pytest.mark.parametrize("command", ["promote", "adopt"])
def test_a_hold_refuses_before_a_person_is_asked_why(repo: Path, command: str) -> None:
    live = V9 if command == "adopt" else V7
    held = table(NAME, live, [row(1, V7)], [hold(V9)])
    write(past("triage/staging", V8, V9), held, policy=POLICY)

    code, screen = on_a_terminal([command, NAME])

    assert (code, "why?" in screen) == (6, False), screen
    assert "is on hold in triage/production" in screen


@pytest.mark.parametrize(
    "argv", [["hold", NAME, V9], ["unhold", NAME], ["promote", NAME], ["adopt", "chat/production"]]
)
def test_yes_asks_nothing_and_takes_no_pasted_line_for_a_reason(argv: list[str]) -> None:
    held = past(NAME, V7, holds=[hold(V6)])
    chat = table("chat/production", V6, [row(1, V7)])
    before = write(past("triage/staging", V8, V9), held, chat, policy=POLICY)
    found, screen = on_a_terminal([*argv, "--yes"], pasted="fftdeploy history\n")
    assert (found, FILE.read_bytes()) == (2 if "hold" in argv[0] else 6, before), screen
    assert screen.replace("\r", "").endswith('hint: add --why "TEXT"\n')


def test_what_was_pasted_before_a_question_is_no_answer_to_it() -> None:
    write(past(NAME, V7))
    answers = [("why?", "INC-88"), ("make this change? [y/N]", "y")]
    pasted = "fftdeploy history\ny\nfftdeploy status\n"
    found, screen = on_a_terminal(["hold", NAME, V9], *answers, pasted=pasted)
    assert (found, read(NAME).holds[0].why) == (0, "INC-88"), screen


EXPORTED = """version = 1
[exports]
"deploy/flags.json" = "flagd"
"live.env" = "dotenv"
"built/x.tfvars" = "tfvars"
"""


def exported(command: Command, *tables: str) -> None:
    """Commit exports of `tables`, one of which git does not keep."""
    Path(".gitignore").write_text("built/\n")
    write(*tables, policy=EXPORTED)
    assert command("export").code == 0
    committed(*tables, policy=EXPORTED)


@pytest.mark.parametrize("argv", [["promote", NAME, "--model", V9], ["rollback", NAME]])
def test_exports_go_along_with_what_makes_them_stale(command: Command, argv: list[str]) -> None:
    exported(command, past(NAME, V7, V8))
    Path("loose.txt").write_text("mine")

    done = command(*argv, "--why", "x", "--yes", "--commit")

    assert done.code == 0, done.err
    assert " and 3 exports, committed as " in done.out
    assert changed_files() == ["deploy/flags.json", "deployments.toml", "live.env"]
    assert git("status", "--porcelain") == "?? loose.txt\n"
    assert command("check", "--offline").code == command("export", "--check").code == 0


@pytest.mark.parametrize("argv", [["promote", NAME, "--model", V9], ["rollback", NAME]])
def test_the_next_line_writes_the_exports_first(command: Command, argv: list[str]) -> None:
    exported(command, past(NAME, V7, V8))
    before = Path("live.env").read_bytes()

    done = command(*argv, "--why", "x", "--yes")

    assert (done.code, Path("live.env").read_bytes()) == (0, before)
    line = done.err.rpartition("next: ")[2].strip()
    assert line == ("fftdeploy export && git commit deployments.toml deploy/flags.json live.env")
    export, _, commit = line.partition(" && ")
    assert command(*export.split()[1:]).code == 0
    git(*commit.split()[1:2], "-m", "x", *commit.split()[2:])
    assert command("check", "--offline").code == 0
    assert git("status", "--porcelain") == ""


def test_an_export_that_cannot_be_written_stops_a_promotion_and_no_rollback(
    command: Command,
) -> None:
    exported(command, past(NAME, V7, V8))
    Path("live.env").write_text("# mine\n")
    before = FILE.read_bytes(), Path("deploy/flags.json").read_bytes()

    refused = command("promote", NAME, "--model", V9, "--why", "x", "--yes", "--commit")
    assert (refused.code, FILE.read_bytes()) == (2, before[0])
    assert "live.env is there, and is no export of dotenv" in refused.err
    back = command("rollback", NAME, "--why", "x", "--yes", "--commit")

    assert back.code == 0
    assert "warning: exports are left as they are: live.env is there" in back.err
    assert changed_files() == ["deployments.toml"]
    assert Path("deploy/flags.json").read_bytes() == before[1]
    Path("live.env").unlink()
    shutil.rmtree("deploy")
    Path("deploy").touch()
    rolled_back = FILE.read_bytes()
    no_folder = command("promote", NAME, "--model", V9, "--why", "x", "--yes", "--commit")
    assert (no_folder.code, FILE.read_bytes()) == (11, rolled_back)
    assert "writing deploy/flags.json" in no_folder.err


def test_a_disk_that_refuses_an_export_leaves_the_change_and_says_what_to_type(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(command, past(NAME, V7, V8))

    def full(*_: Any, **__: Any) -> bool:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(disk, "publish", full)  # deployments.toml is replaced another way
    done = command("promote", NAME, "--model", V9, "--why", "x", "--yes", "--commit")

    assert (done.code, newest(NAME).bundle.model) == (11, V9)
    assert "deployments.toml WAS changed, not committed: " in done.err
    assert "hint: fftdeploy export && git add deployments.toml deploy/flags.json" in done.err
