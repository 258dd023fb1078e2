"""Questions to git that start nothing, and the one commit."""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from fftdeploy import git
from fftdeploy.errors import DiskError, UnansweredError, UsageError
from fftdeploy.git.process import executable

KEY = "sk-canary-0123456789abcdef"
OLD, NEW = b"version = 1\n", b"version = 1\n# new\n"


class Repo:
    """A real repository with one commit of deployments.toml, and what a user would type in it."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.environ = environ
        self.file = folder / "deployments.toml"
        folder.mkdir(exist_ok=True)
        self.run("init", "--quiet", "--initial-branch=main")

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env=dict(self.environ),
            capture_output=True,
            check=True,
            text=True,
        )
        return done.stdout

    def committed(self) -> "Repo":
        self.file.write_bytes(OLD)
        self.run("add", "deployments.toml")
        self.run("commit", "--quiet", "-m", "start")
        return self

    def open(self) -> git.Repository:
        return git.open_repository(self.folder, self.environ)

    def commit(self, *others: Path, message: str = "triage/production: a -> b") -> str:
        opened = git.check_committable(self.file, others, self.environ, secrets=[KEY])
        self.file.write_bytes(NEW)
        paths = [self.file, *others]
        return git.commit(opened, paths, message, self.environ, secrets=[KEY], timeout_s=20)

    def hook(self, name: str, script: str) -> None:
        hook = self.folder / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{script}\n")
        hook.chmod(0o755)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Ana\n\temail = ana@acme.example\n")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(tmp_path),
        "OPENAI_API_KEY": KEY,
        "OTHER_SECRET": KEY,
        "HARMLESS": "yes",
    }


@pytest.fixture
def repo(tmp_path: Path, environ: dict[str, str]) -> Repo:
    return Repo(tmp_path / "repo", environ).committed()


def fake_git(folder: Path, script: str, environ: Mapping[str, str]) -> dict[str, str]:
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)
    return {**environ, "PATH": f"{folder}:{environ['PATH']}"}


# --- no git, no answer -------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", ":", ".", "bin", "/nonexistent"])
def test_C14_no_git(
    repo: Repo, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    fake_git(repo.folder / "bin", "touch ../sentinel", environ)
    (repo.folder / "git").write_text("#!/bin/sh\ntouch sentinel\n")
    (repo.folder / "git").chmod(0o755)
    monkeypatch.chdir(repo.folder)

    with pytest.raises(UsageError, match=r"^there is no git on PATH$"):
        git.open_repository(repo.folder, {**environ, "PATH": path})

    assert git.user_email(repo.folder, {**environ, "PATH": path}) is None
    assert not list(repo.folder.rglob("sentinel"))


def _plain(repo: Repo) -> None:
    (repo.folder / ".git").rename(repo.folder / "was-git")


def _bare(repo: Repo) -> None:
    repo.run("config", "core.bare", "true")


def _foreign(repo: Repo) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving a folder away needs root")
    for path in (repo.folder, repo.folder / ".git"):
        os.chown(path, 12345, 12345)


def _corrupt(repo: Repo) -> None:
    (repo.folder / ".git" / "HEAD").write_bytes(b"\0\xff")


def _bad_config(repo: Repo) -> None:
    with (repo.folder / ".git" / "config").open("a") as file:
        file.write("[what\n")


_REPAIR = "put .git right, or clone it again"
_WAYS_OUT = {
    _plain: "git init",
    _bare: _REPAIR,
    _foreign: "git config --global --add safe.directory REPO",
    _corrupt: _REPAIR,
    _bad_config: _REPAIR,
}


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(_plain, id="C15-no-repository"),
        pytest.param(_bare, id="C15-bare"),
        pytest.param(_foreign, id="C15-dubious-ownership"),
        pytest.param(_corrupt, id="C15-corrupt"),
        pytest.param(_bad_config, id="J1-bad-configuration"),
    ],
)
def test_no_work_tree(repo: Repo, make: "object") -> None:
    assert callable(make)
    make(repo)

    with pytest.raises(UsageError, match=r"is not in a git work tree") as error:
        repo.open()

    assert error.value.message.isprintable()
    assert error.value.hint == _WAYS_OUT[make].replace("REPO", str(repo.folder))
    assert git.user_email(repo.folder.parent, repo.environ) == "ana@acme.example"


def test_J1_a_work_tree_elsewhere_is_none(repo: Repo, tmp_path: Path) -> None:
    repo.run("config", "core.worktree", str(tmp_path))

    with pytest.raises(UsageError, match="for the work tree of") as error:
        repo.open()
    repo.run(*error.value.hint.split()[1:])

    assert repo.open().toplevel == repo.folder


def test_C15_lost_objects_are_no_answer(repo: Repo) -> None:
    opened = repo.open()
    for thing in (repo.folder / ".git" / "objects").rglob("*"):
        if thing.is_file():
            thing.unlink()

    for ask in (opened.is_modified, lambda file: opened.text("HEAD", file)):
        with pytest.raises(UnansweredError, match=r"^the commit of 'HEAD', [0-9a-f]{12}, is not"):
            ask(repo.file)


def test_C20_git_hangs(repo: Repo, environ: dict[str, str], tmp_path: Path) -> None:
    slow = fake_git(tmp_path / "bin", "sleep 30 & echo $! > $HOME/pid; wait", environ)

    with pytest.raises(UsageError, match=r"^git did not answer in 0.5 s$"):
        git.open_repository(repo.folder, slow, timeout_s=0.5)

    sleeper = int((Path(environ["HOME"]) / "pid").read_text())
    state = Path(f"/proc/{sleeper}/stat")
    # Ended with its parent: gone, or a zombie that init has yet to collect; the signal may be on
    # its way still.
    until = time.monotonic() + 20
    while (alive := state.exists() and " Z " not in state.read_text()) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive


def test_C20_a_question_never_goes_to_the_network(
    repo: Repo, environ: dict[str, str], tmp_path: Path
) -> None:
    sentinel = tmp_path / "sentinel"
    absent = "a" * 40
    repo.run("config", "core.sshCommand", f"touch {sentinel}; false")
    repo.run("config", "remote.origin.url", "ssh://git@host.invalid/x")
    repo.run("config", "remote.origin.promisor", "true")
    repo.run("config", "remote.origin.partialclonefilter", "blob:none")
    repo.run("config", "extensions.partialClone", "origin")
    repo.run("config", "core.repositoryformatversion", "1")

    with pytest.raises(UsageError):
        repo.open().text(absent, repo.file)
    assert not sentinel.exists()

    control = ["git", "-C", str(repo.folder), "cat-file", "-e", f"{absent}^{{commit}}"]
    subprocess.run(control, env=environ, capture_output=True, check=False)
    assert sentinel.exists()


# --- questions ---------------------------------------------------------------------------------


def test_C16_odd_states(repo: Repo, environ: dict[str, str], tmp_path: Path) -> None:
    unborn = Repo(tmp_path / "unborn", environ)
    unborn.file.write_bytes(OLD)
    repo.run("worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"))
    shallow = tmp_path / "shallow"
    repo.file.write_bytes(NEW)
    repo.run("commit", "--quiet", "-am", "more")
    repo.run("clone", "--quiet", "--depth=1", repo.folder.as_uri(), str(shallow))

    tree = git.open_repository(tmp_path / "tree", environ)
    clone = git.open_repository(shallow, environ)

    place = tmp_path / "tree" / "deployments.toml"
    assert (tree.toplevel, tree.git_dir.name) == (tmp_path / "tree", "tree")
    assert (tree.text("HEAD", place), tree.is_modified(place)) == (OLD, False)
    assert clone.text("HEAD", shallow / "deployments.toml") == NEW
    with pytest.raises(UnansweredError) as error:
        clone.text("HEAD~1", shallow / "deployments.toml")
    assert (error.value.message, error.value.hint) == (
        "git has no commit 'HEAD~1' here (it is shallow; fetch-depth: 0 in CI)",
        "git fetch --unshallow origin",
    )
    opened = unborn.open()
    assert (opened.is_modified(unborn.file), opened.is_tracked(unborn.file)) == (False, False)
    assert (opened.short_head(), opened.under_way()) == ("", "")


def test_text_of_a_ref(repo: Repo) -> None:
    repo.run("tag", "before")
    repo.file.write_bytes(NEW)
    repo.run("commit", "--quiet", "-am", "more")
    opened = repo.open()

    assert [opened.text(ref, repo.file) for ref in ("before", "HEAD")] == [OLD, NEW]
    assert opened.text("HEAD", repo.folder / "absent.toml") is None
    for ref in ("absent", "--output=x", "HEAD:deployments.toml", ""):
        with pytest.raises(UsageError):
            opened.text(ref, repo.file)


NO_COMMITS = {
    "a-tree": ("tree", "'tree' is a tree here, and no commit", "git branch --all"),
    "a-file": ("blob", "'blob' is a blob here, and no commit", "git branch --all"),
    "a-range": (
        "main..tree",
        "'main..tree' is a range, and not one commit",
        "name one, such as tree",
    ),
    "all-but-one": ("^HEAD", "'^HEAD' is a range, and not one commit", "name one, such as HEAD"),
    "nothing": (
        "0" * 40,
        f"'{'0' * 40}' stands for no commit: that of a branch which is new, or gone",
        "git branch --all",
    ),
    "part-of-an-id": ("abcdef12", "git has no commit 'abcdef12' here", "git fetch origin"),
    "no-such-text": (":/nobody", "git has no commit ':/nobody' here", "git fetch origin"),
}


@pytest.mark.parametrize("kind", NO_COMMITS)
def test_J1_what_names_no_commit_is_said_and_not_fetched(repo: Repo, kind: str) -> None:
    repo.run("tag", "tree", "HEAD^{tree}")
    repo.run("tag", "-a", "-m", "x", "blob", "HEAD:deployments.toml")
    repo.run("remote", "add", "origin", ".")
    ref, message, hint = NO_COMMITS[kind]

    with pytest.raises(UnansweredError) as error:
        repo.open().commit_id(ref)

    assert (error.value.message, error.value.hint) == (message, hint)
    words = hint.split() if hint.startswith("git ") else ["git", "rev-parse", hint.split()[-1]]
    repo.run(*words[1:])  # it can be typed


def test_J1_what_git_finds_by_its_text_is_a_commit(repo: Repo) -> None:
    head = repo.run("rev-parse", "HEAD").strip()
    repo.run("tag", "-a", "-m", "x", "noted")

    assert {repo.open().commit_id(ref) for ref in (":/start", "noted", "HEAD^{/start}")} == {head}


def test_J1_without_a_common_history_the_beginnings_are_shown(repo: Repo) -> None:
    base = repo.run("rev-parse", "HEAD").strip()
    repo.run("checkout", "--quiet", "--orphan", "other")
    repo.run("commit", "--quiet", "-m", "other")

    with pytest.raises(UnansweredError) as error:
        repo.open().merge_base(base)

    assert error.value.message == f"HEAD and {base[:12]} have no commit in common"
    assert len(repo.run(*error.value.hint.split()[1:]).splitlines()) == 2


def test_J1_a_name_of_several_refs_names_those_that_are_there(
    repo: Repo, environ: dict[str, str]
) -> None:
    """In whatever language git speaks."""
    for ref in ("refs/tags/x", "refs/remotes/x", "refs/heads/x/y"):
        repo.run("update-ref", ref, "HEAD")
    for words in ({}, {"LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de"}):
        with pytest.raises(UsageError) as error:
            git.open_repository(repo.folder, environ | words).commit_id("x")

        assert error.value.message == (
            "'x' is the name of several refs here: refs/remotes/x, refs/tags/x"
        )
        assert error.value.hint == "write the whole name, such as refs/remotes/x"


def test_J1_how_several_ids_begin_is_no_name(repo: Repo) -> None:
    seen: dict[str, str] = {}
    for text in map(str, range(10_000)):
        begins = git.blob_id(text.encode(), "0" * 40)[:4]
        if begins in seen:
            break
        seen[begins] = text
    for content in (text, seen[begins]):
        (repo.folder / "x").write_text(content)
        repo.run("hash-object", "-w", "x")

    with pytest.raises(UsageError) as error:
        repo.open().commit_id(begins)

    assert error.value.message == f"'{begins}' is how several IDs begin"
    assert len(repo.run(*error.value.hint.split()[1:]).splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "stage", "expected"),
    [
        (OLD, False, False),
        (OLD.replace(b"\n", b"\r\n"), False, False),  # C21: as core.autocrlf checks it out
        (NEW, False, True),
        (NEW, True, True),
        (None, False, True),
    ],
)
def test_is_modified(repo: Repo, content: bytes | None, stage: bool, expected: bool) -> None:
    if content is None:
        repo.file.unlink()
    else:
        repo.file.write_bytes(content)
    if stage:
        repo.run("add", "deployments.toml")
        repo.file.write_bytes(OLD)

    assert repo.open().is_modified(repo.file) is expected


def test_C18_git_variables_of_a_hook_are_ignored(
    repo: Repo, environ: dict[str, str], tmp_path: Path
) -> None:
    other = Repo(tmp_path / "other", environ)
    redirected = {
        **environ,
        "GIT_DIR": str(other.folder / ".git"),
        "GIT_WORK_TREE": str(other.folder),
        "GIT_INDEX_FILE": str(tmp_path / "index"),
    }

    opened = git.check_committable(repo.file, (), redirected)
    repo.file.write_bytes(NEW)
    commit = git.commit(opened, [repo.file], "more", redirected)

    assert opened.toplevel == repo.folder
    assert repo.run("log", "--format=%h %s").splitlines()[0] == f"{commit} more"
    assert not (tmp_path / "index").exists()


def test_C19_hostile_configuration_starts_nothing(repo: Repo, tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {sentinel}\n")
    evil.chmod(0o755)
    for key in ("core.fsmonitor", "core.pager", "pager.config", "diff.external", "diff.x.textconv"):
        repo.run("config", key, str(evil))
    repo.run("config", "filter.x.clean", str(evil))
    repo.run("config", "filter.x.smudge", str(evil))
    (repo.folder / ".gitattributes").write_text("* diff=x filter=x\n")
    for hook in ("post-index-change", "reference-transaction", "fsmonitor-watchman"):
        repo.hook(hook, f"touch {sentinel}")
    repo.file.write_bytes(NEW)

    opened = repo.open()
    opened.text("HEAD", repo.file)
    opened.is_modified(repo.file)
    opened.is_tracked(repo.file)
    opened.is_ignored(repo.file)
    opened.under_way()
    opened.has_identity(repo.environ)
    opened.short_head()
    git.user_email(repo.folder, repo.environ)

    assert not sentinel.exists()
    repo.run("status")
    assert sentinel.exists()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("[user]\n\temail = ana@acme.example\n", "ana@acme.example"),
        ("", None),
        ("[user]\n\temail = \n", None),
        ('[user]\n\temail = "a\\nb"\n', "a\nb"),  # whoever records it refuses it
        ("[user", None),
    ],
)
def test_user_email(tmp_path: Path, environ: dict[str, str], config: str, expected: str) -> None:
    (tmp_path / "home" / ".gitconfig").write_text(config)

    assert git.user_email(tmp_path, environ) == expected


def test_G5_no_home(repo: Repo, environ: dict[str, str]) -> None:
    del environ["HOME"]

    assert git.user_email(repo.folder, environ) is None
    assert git.open_repository(repo.folder, environ).text("HEAD", repo.file) == OLD


def test_G4_git_gets_no_key(repo: Repo, environ: dict[str, str], tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    environ |= {"LC_ALL": "C.UTF-8", "GIT_TRACE": "1", "MY_API_KEY_2": "x"}
    spy = fake_git(tmp_path / "bin", f'env >> {dump}; exec {executable(environ)} "$@"', environ)

    git.user_email(repo.folder, spy)
    opened = git.open_repository(repo.folder, spy)
    opened.text("HEAD", repo.file)
    asked = {line.partition("=")[0] for line in dump.read_text().splitlines()}
    git.check_committable(repo.file, (), spy, secrets=[KEY])
    repo.file.write_bytes(NEW)
    git.commit(opened, [repo.file], "more", spy, secrets=[KEY])

    assert asked - {"PWD", "OLDPWD", "SHLVL", "_"} == {
        *("PATH", "HOME", "LC_ALL", "GIT_CONFIG_NOSYSTEM", "GIT_CEILING_DIRECTORIES"),
        *("GIT_TERMINAL_PROMPT", "GIT_OPTIONAL_LOCKS", "GIT_ALLOW_PROTOCOL", "GIT_NO_LAZY_FETCH"),
        "GIT_NO_REPLACE_OBJECTS",
    }
    everything = dump.read_text()
    assert "HARMLESS=yes" in everything  # the commit runs in the user's own environment ...
    assert KEY not in everything  # ... less what is secret
    assert "MY_API_KEY_2" not in everything


# --- committing --------------------------------------------------------------------------------


def test_commit_takes_exactly_the_named_paths(repo: Repo) -> None:
    (repo.folder / "staged.txt").write_text("staged\n")
    repo.run("add", "staged.txt")
    (repo.folder / "stray.txt").write_text("stray\n")
    evidence = repo.folder / ".fftdeploy" / "evidence" / "1.json"
    evidence.parent.mkdir(parents=True)
    evidence.write_text("{}\n")

    commit = repo.commit(evidence, message="-m # triage: a -> b")

    assert repo.run("show", "--name-status", "--format=%h%n%s%n%an <%ae>").split("\n")[:-1] == [
        *(commit, "-m # triage: a -> b", "Ana <ana@acme.example>", ""),
        *("A\t.fftdeploy/evidence/1.json", "M\tdeployments.toml"),
    ]
    assert repo.run("status", "--porcelain") == "A  staged.txt\n?? stray.txt\n"


def test_commit_of_a_file_that_is_new_to_git(tmp_path: Path, environ: dict[str, str]) -> None:
    repo = Repo(tmp_path / "fresh", environ)
    repo.file.write_bytes(OLD)

    commit = repo.commit()

    assert repo.run("log", "--format=%h", "--name-only").split() == [commit, "deployments.toml"]
    assert repo.run("status", "--porcelain") == ""


def _modify(repo: Repo) -> None:
    repo.file.write_bytes(NEW)


def _stage(repo: Repo) -> None:
    repo.file.write_bytes(NEW)
    repo.run("add", "deployments.toml")


def _merge(repo: Repo) -> None:
    repo.run("checkout", "--quiet", "-b", "side")
    (repo.folder / "x").write_text("x")
    repo.run("add", "x")
    repo.run("commit", "--quiet", "-m", "side")
    repo.run("checkout", "--quiet", "main")
    repo.run("merge", "--quiet", "--no-ff", "--no-commit", "side")


def _rebase(repo: Repo) -> None:
    (repo.folder / ".git" / "rebase-merge").mkdir()


def _nobody(repo: Repo) -> None:
    repo.run("config", "--global", "user.useConfigOnly", "true")
    repo.run("config", "--global", "--unset", "user.email")


def _locked(repo: Repo) -> None:
    (repo.folder / ".git" / "index.lock").touch()


def _ignore(repo: Repo) -> None:
    (repo.folder / ".gitignore").write_text("profiles/\n")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (_modify, "--commit: deployments.toml has uncommitted changes"),
        (_stage, "--commit: deployments.toml has uncommitted changes"),
        (_merge, "--commit: a merge is under way in REPO"),
        (_rebase, "--commit: a rebase is under way in REPO"),
        (_nobody, "--commit: git does not know who you are"),
        (_locked, "--commit: another git process is at work in REPO (index.lock)"),
        (_ignore, "--commit: 'REPO/profiles/x.toml' is ignored by git"),
        (_plain, "'REPO' is not in a git work tree: PLAIN"),
    ],
)
def test_committable_or_not_is_known_before_anything_is_written(
    repo: Repo, make: "object", problem: str
) -> None:
    assert callable(make)
    git.check_committable(repo.file, [repo.folder / "profiles" / "x.toml"], repo.environ)
    make(repo)
    before = repo.file.read_bytes()

    with pytest.raises(UsageError) as error:
        git.check_committable(repo.file, [repo.folder / "profiles" / "x.toml"], repo.environ)

    message = error.value.message.replace(str(repo.folder), "REPO")
    assert message.partition(": fatal")[0] == problem.partition(": PLAIN")[0]
    assert repo.file.read_bytes() == before


def test_what_is_outside_of_the_repository_is_not_committed(repo: Repo, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not in the git repository"):
        git.check_committable(repo.file, [tmp_path / "x"], repo.environ)


def test_hooks_run_without_keys(repo: Repo, tmp_path: Path) -> None:
    repo.hook("pre-commit", f"env > {tmp_path / 'dump'}")

    repo.commit()

    seen = (tmp_path / "dump").read_text()
    assert "HARMLESS=yes" in seen
    assert (KEY in seen, "OPENAI_API_KEY" in seen, "OTHER_SECRET" in seen) == (False,) * 3


def test_a_hook_that_refuses(repo: Repo) -> None:
    repo.hook("pre-commit", "echo first >&2; printf 'no \\033[31mway\\033[0m\\n\\n' >&2; exit 1")
    profile = repo.folder / "new.toml"
    profile.write_text("")

    with pytest.raises(DiskError) as error:
        repo.commit(profile)

    assert error.value.message == "git commit failed: no ?[31mway?[0m"
    assert repo.run("log", "--format=%s") == "start\n"
    assert repo.run("status", "--porcelain") == " M deployments.toml\n?? new.toml\n"


def test_a_hook_that_hangs(repo: Repo) -> None:
    repo.hook("pre-commit", "exec sleep 5")
    opened = git.check_committable(repo.file, (), repo.environ)
    repo.file.write_bytes(NEW)

    with pytest.raises(DiskError, match=r"^git did not answer in 0.5 s$"):
        git.commit(opened, [repo.file], "more", repo.environ, timeout_s=0.5)

    assert repo.run("log", "--format=%s") == "start\n"
    assert not (repo.folder / ".git" / "index.lock").exists()


# --- the version that restores ------------------------------------------------------------------


def test_the_newest_commit_with_the_content_is_found(repo: Repo) -> None:
    profile = repo.folder / "profiles" / "it's.toml"
    profile.parent.mkdir()
    for text in ("first\n", "second\n", "first\n"):
        profile.write_text(text)
        repo.run("add", "profiles")
        repo.run("commit", "--quiet", "-m", text)
    newest = repo.run("rev-parse", "--short=12", "HEAD").strip()
    second = repo.run("rev-parse", "--short=12", "HEAD^").strip()
    profile.unlink()
    repo.run("commit", "--quiet", "-a", "-m", "gone")

    def find(text: bytes) -> str | None:
        return git.find_version(repo.folder, profile, lambda data: data == text, repo.environ)

    assert [find(b"first\n"), find(b"second\n"), find(b"third\n")] == [newest, second, None]


def test_without_a_repository_there_is_no_version(tmp_path: Path, repo: Repo) -> None:
    assert git.find_version(tmp_path, tmp_path / "x", lambda _: True, repo.environ) is None
