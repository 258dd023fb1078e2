"""Clones that have not got everything: what git cannot say is never judged, and can be fetched.

One repository is published, in which a change takes the policy away and promotes by hand; a whole
clone refuses it.  Every other clone refuses it for the same reasons, or names a line.  Each line is
typed as it is printed, and the last answer is that of the whole clone.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from command_line import Command, git
from proposals import Change, commit, files
from scenes import FILE, POLICY_FILE, V6, V8, V9, row, table, write, write_profile

from fftdeploy.errors import UnansweredError
from fftdeploy.git import Held, Repository
from fftdeploy.sandbox import STORY_NOW

BASE = ("check", "--base", "origin/main", "--offline", "--json")
POLICY = "origin/main:fftdeploy.toml"
_MOST_LINES = 4

Damage = Callable[[], object]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What everybody clones: `main` has moved since `change` parted from it."""
    place = tmp_path_factory.mktemp("published")
    (place / "home").mkdir()
    (place / "home" / ".gitconfig").write_text(
        "[user]\n\tname = Ana\n\temail = ana@acme.example\n[init]\n\tdefaultBranch = main\n"
        "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[advice]\n\tdetachedHead = false\n"
    )
    (place / "work").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(place / "home"))
        patch.chdir(place / "work")
        moments = count(int(STORY_NOW.timestamp()))

        def commit_later(message: str) -> None:
            """Commit a second after the last one: git goes along commits by their dates."""
            patch.setenv("GIT_COMMITTER_DATE", f"{next(moments)} +0000")
            commit(message)

        git("init", "--quiet", "--template=")
        files()
        commit_later("first")
        git("switch", "--quiet", "--create", "change")
        Path("notes.md").write_text("a\n")
        commit_later("notes")
        git("rm", "--quiet", str(POLICY_FILE))
        commit_later("no policy")
        promote()
        commit_later("promote")
        git("switch", "--quiet", "main")
        for text in ("# one\n", "# two\n"):
            with POLICY_FILE.open("a") as file:
                file.write(text)
            commit_later("policy")
        git("clone", "--quiet", "--bare", ".", "../hub.git")
        git("-C", "../hub.git", "config", "uploadpack.allowFilter", "true")
        yield place / "hub.git"


def promote() -> None:
    """Put a release on top of production that no evidence speaks for."""
    head, mark, tail = FILE.read_text().partition("[triage.production]\n")
    new = row(4, V9, via="staging", why="x", at=STORY_NOW)
    tail = tail.replace(V8, V9, 1).replace("releases = [\n", f"releases = [\n  {new},\n", 1)
    FILE.write_text(head + mark + tail)


@pytest.fixture
def place(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for clones, which is the working directory."""
    monkeypatch.setenv("HOME", str(hub.parent / "home"))
    monkeypatch.setenv("FFTDEPLOY_NOW", STORY_NOW.isoformat())
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def clone(hub: Path, *flags: str, name: str = "clone") -> Path:
    git("clone", "--quiet", "--branch", "change", *flags, hub.as_uri(), name)
    return Path.cwd() / name


def loose() -> None:
    """Keep every object in a file of its own."""
    (pack,) = Path(".git/objects/pack").glob("*.pack")
    data = pack.read_bytes()
    shutil.rmtree(pack.parent)
    pack.parent.mkdir()
    subprocess.run(["git", "unpack-objects", "-q"], input=data, check=True)


def object_file(spec: str) -> Path:
    name = git("rev-parse", spec)
    path = Path(".git/objects") / name[:2] / name[2:]
    path.chmod(0o644)
    return path


def lost(*specs: str) -> Damage:
    def damage() -> None:
        loose()
        for path in [object_file(spec) for spec in specs]:
            path.unlink()

    return damage


def broken(spec: str, data: bytes) -> Damage:
    def damage() -> None:
        loose()
        object_file(spec).write_bytes(data)

    return damage


def swapped(spec: str, other: str) -> Damage:
    """Give an object the content of another, as a restored backup might."""

    def damage() -> None:
        loose()
        object_file(spec).write_bytes(object_file(other).read_bytes())

    return damage


def pack_cut(kind: str) -> Damage:
    def damage() -> None:
        (pack,) = Path(".git/objects/pack").glob(f"*.{kind}")
        pack.unlink()

    return damage


def pack_bytes() -> None:
    (pack,) = Path(".git/objects/pack").glob("*.pack")
    data = pack.read_bytes()
    pack.chmod(0o644)
    pack.write_bytes(data[:100] + bytes(byte ^ 255 for byte in data[100:-40]) + data[-40:])


def pack_short() -> None:
    (pack,) = Path(".git/objects/pack").glob("*.pack")
    pack.chmod(0o644)
    pack.write_bytes(pack.read_bytes()[:-60])


def no_objects() -> None:
    shutil.rmtree(".git/objects")
    Path(".git/objects").mkdir()


def no_shallow_file() -> None:
    Path(".git/shallow").unlink()


def nothing() -> None:
    pass


def hidden(name: str) -> Damage:
    """Have the policy's commit only under another name than the one that is asked for."""
    return lambda: git("update-ref", "-d", f"refs/remotes/origin/{name}")


FILTERS = {
    "no-contents": "--filter=blob:none",
    "no-folders": "--filter=tree:0",
    "top-folder-only": "--filter=tree:1",
    "small-contents": "--filter=blob:limit=9",
}
DEPTHS: dict[str, tuple[str, ...]] = {
    "": (),
    "-depth-1": ("--depth=1",),
    "-depth-1-every-branch": ("--depth=1", "--no-single-branch"),
    "-depth-2": ("--depth=2", "--no-single-branch"),
}
KINDS: dict[str, tuple[tuple[str, ...], Damage]] = {
    **{
        f"partial-{kind}{suffix}": ((flag, *DEPTHS[suffix]), nothing)
        for kind, flag in FILTERS.items()
        for suffix in ("", "-depth-1")
    },
    **{
        f"partial-no-contents{suffix}": ((FILTERS["no-contents"], *depth), nothing)
        for suffix, depth in DEPTHS.items()
    },
    **{f"shallow{suffix}": (depth, nothing) for suffix, depth in DEPTHS.items() if depth},
    "single-branch": (("--single-branch",), nothing),
    "no-such-ref": ((), hidden("main")),
    "shallow-file-lost": (DEPTHS["-depth-2"], no_shallow_file),
    "lost-policy": ((), lost(POLICY)),
    "lost-deployments": ((), lost("origin/main:deployments.toml")),
    "lost-examples": ((), lost("origin/main:evals/triage.jsonl")),
    "lost-profile": ((), lost("origin/main:profiles/short.toml")),
    "lost-folder": ((), lost("origin/main:profiles")),
    "lost-tree": ((), lost("origin/main^{tree}")),
    "lost-base": ((), lost("origin/main")),
    "lost-commit-between": ((), lost("HEAD~1")),
    "lost-fork": ((), lost("HEAD~3")),
    "lost-policy-of-fork": ((), lost("HEAD~3:fftdeploy.toml")),
    "empty-policy": ((), broken(POLICY, b"")),
    "garbage-policy": ((), broken(POLICY, b"\x78\x9c garbage")),
    "garbage-folder": ((), broken("origin/main:evals", b"\xff" * 40)),
    "garbage-base": ((), broken("origin/main", b"\xff" * 40)),
    "swapped-policy": ((), swapped(POLICY, "HEAD:notes.md")),
    "swapped-folder": ((), swapped("origin/main:evals", "origin/main:profiles")),
    "swapped-tree": ((), swapped("HEAD~3^{tree}", "HEAD^{tree}")),
    "swapped-fork": ((), swapped("HEAD~3", "HEAD")),
    "pack-lost": ((), pack_cut("pack")),
    "pack-index-lost": ((), pack_cut("idx")),
    "pack-cut-short": ((), pack_short),
    "pack-overwritten": ((), pack_bytes),
    "objects-lost": ((), no_objects),
}


def made(hub: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clone as `kind` says, and go there."""
    flags, damage = KINDS[kind]
    monkeypatch.chdir(clone(hub, *flags))
    damage()


TRUTH = (12, ["policy-change", "no-evidence"])
"""What a whole clone says."""


def follow(command: Command, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Type each line that is hinted at, until there is none; return them."""
    lines: list[str] = []
    while len(lines) <= _MOST_LINES:
        code, said = judged(command)
        if code != 2:
            break
        lines.append(said["hint"])
        typed(lines[-1], monkeypatch)
    return lines


def judged(command: Command, *argv: str) -> tuple[int, Any]:
    """Return how a command ends: the errors that it finds, or the line that it hints at."""
    done = command(*(argv or BASE))
    document = json.loads(done.out)
    if done.code == 2:
        assert document["error"]["message"].isprintable()
        return 2, document["error"]
    found = [f["code"] for f in document.get("findings", []) if f["severity"] == "error"]
    return done.code, found or document.get("comparisons")


def typed(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Type a line as it is printed; a fresh clone is gone into."""
    subprocess.run(line, shell=True, check=False, capture_output=True)  # noqa: S602  as it is printed
    if "git clone" in line:
        monkeypatch.chdir(Path.cwd().parent / f"{Path.cwd().name}-again")
        git("switch", "--quiet", "change")


@pytest.mark.parametrize("kind", KINDS)
def test_J1_a_clone_without_everything_judges_right_or_names_the_line(
    hub: Path, place: Path, command: Command, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(hub, kind, monkeypatch)
    lines = follow(command, monkeypatch)

    assert judged(command) == TRUTH
    assert len(set(lines)) == len(lines) <= _MOST_LINES


def test_J1_a_whole_clone_names_none(
    hub: Path, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone(hub))

    assert (follow(command, monkeypatch), judged(command)) == ([], TRUTH)


@pytest.mark.parametrize("hashes", ["sha1", "sha256"])
def test_J1_a_folder_that_is_another_hides_no_second_file(
    repo: Path, command: Command, hashes: str
) -> None:
    """Git goes through folders without a look at their IDs; one below the top is none of ours."""
    shutil.rmtree(".git")
    git("init", "--quiet", "--template=", f"--object-format={hashes}")
    Path("app").mkdir()
    Path("app/main.py").write_text("print()\n")
    write(table("triage/production", V8, []))
    commit("base")
    git("branch", "base")
    shutil.copy("deployments.toml", "app")
    commit("plant")
    whole = judged(command, "check", "--base", "base", "--offline", "--json")
    object_file("base:app").write_bytes(object_file("HEAD:app").read_bytes())

    code, said = judged(command, "check", "--base", "base", "--offline", "--json")

    assert whole == (12, ["second-file"])
    assert (code, said["code"]) == (2, "not-here")
    assert f"git's copy of it, {git('rev-parse', 'base:app')}, is damaged" in said["message"]


def test_J1_control_a_failed_question_is_no_file(
    hub: Path, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was before: the base of these clones has no policy, and anything may be merged."""
    contents, listing = Repository.contents, Repository.listing

    def careless_contents(
        self: Repository, wanted: Sequence[Held], folders: Sequence[Held] = ()
    ) -> list[bytes | None]:
        found: list[bytes | None] = []
        for one in wanted:
            try:
                found += contents(self, [one])
            except UnansweredError:
                found.append(None)
        return found

    def careless_listing(
        self: Repository, commit: str, *places: str
    ) -> tuple[dict[str, Held], list[Held]]:
        try:
            return listing(self, commit, *places)
        except UnansweredError:
            return {}, []

    monkeypatch.setattr(Repository, "contents", careless_contents)
    monkeypatch.setattr(Repository, "listing", careless_listing)
    accepted = []
    for kind in ("partial-no-contents", "lost-policy", "lost-folder"):
        monkeypatch.chdir(place)
        shutil.rmtree("clone", ignore_errors=True)
        made(hub, kind, monkeypatch)
        accepted += [kind] if judged(command)[0] == 0 else []

    assert accepted == ["partial-no-contents", "lost-policy", "lost-folder"]


def test_J1_the_objects_of_another_clone_are_gone(
    hub: Path, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(hub, "shared.git")
    git("clone", "--quiet", "--shared", "--branch", "change", "shared.git", "clone")
    shutil.rmtree("shared.git")
    monkeypatch.chdir("clone")
    git("remote", "set-url", "origin", hub.as_uri())

    lines = follow(command, monkeypatch)

    assert (len(lines), judged(command)) == (2, TRUTH)


def test_J1_without_a_remote_nothing_can_be_fetched(
    hub: Path, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(hub, "lost-policy", monkeypatch)
    base = git("rev-parse", "origin/main")
    git("remote", "remove", "origin")

    done = command("check", "--base", base, "--offline")

    assert (done.code, done.err) == (
        2,
        f"error: fftdeploy.toml of {base[:12]} is not in this clone: it is in the tree, and its "
        "content is not here\nhint: git fsck --full\n",
    )


def test_J1_a_healthy_object_is_never_removed(
    hub: Path, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git names the commit whose parent it lacks: that one is in order."""
    made(hub, "lost-commit-between", monkeypatch)

    code, said = judged(command)

    assert (code, "rm " in said["hint"]) == (2, False)


@pytest.mark.parametrize("status", [1, 128, 137])
def test_J1_whichever_question_fails_nothing_is_accepted(
    hub: Path, place: Path, command: Command, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git fails at its first question, then at its second, and so on."""
    monkeypatch.chdir(clone(hub))
    real, count = shutil.which("git"), place / "count"
    spy = place / "bin" / "git"
    spy.parent.mkdir()
    monkeypatch.setenv("PATH", f"{spy.parent}:{os.environ['PATH']}")
    ends: list[int] = []
    asked = 0
    while len(ends) == asked:
        asked += 1
        count.write_text("")
        fails = f"[ $(wc -c < {count}) = {asked} ] && exit {status}"
        spy.write_text(f'#!/bin/sh\nprintf x >> {count}\n{fails}\nexec {real} "$@"\n')
        spy.chmod(0o755)
        code, _ = judged(command)
        ends += [code] if len(count.read_text()) >= asked else []

    assert len(ends) >= 6
    assert set(ends) == {2}


@pytest.mark.parametrize("kind", ["partial-no-contents", "partial-no-folders", "lost-deployments"])
def test_J1_diff_compares_nothing_that_it_cannot_read(
    hub: Path, place: Path, command: Command, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(hub, kind, monkeypatch)
    ask = ("diff", "origin/main", "--json")

    code, said = judged(command, *ask)
    assert isinstance(said, dict)
    typed(said["hint"], monkeypatch)
    _, after = judged(command, *ask)

    assert (code, said["code"]) == (2, "not-here")
    assert said["message"].startswith("deployments.toml ")
    assert len(after) == 1


# --- other commands ------------------------------------------------------------------------------


def test_J1_commit_does_not_take_what_it_cannot_read_for_new(
    hub: Path, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is as it was needs no content to compare with; another one does."""
    monkeypatch.chdir(clone(hub))
    lost("HEAD:deployments.toml")()
    hold = ("hold", "triage/production", V9, "--why", "x", "--yes", "--commit")

    with FILE.open("a") as file:
        file.write("# mine\n")
    before = FILE.read_bytes()
    refused = command(*hold)

    assert (refused.code, FILE.read_bytes()) == (2, before)
    head = git("rev-parse", "HEAD")
    assert refused.err == (
        f"error: deployments.toml of {head[:12]} is not in this clone: it is in the tree, and its "
        f"content is not here\nhint: git fetch --refetch --no-filter origin {head}\n"
    )
    FILE.write_bytes(before.removesuffix(b"# mine\n"))
    assert command(*hold).code == 0


@pytest.mark.parametrize("flag", ["--filter=blob:none", "--depth=1"])
def test_J1_a_rollback_says_what_to_fetch_for_its_prompt(
    hub: Path, place: Path, command: Command, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = clone(hub, name="work")
    monkeypatch.chdir(work)
    write_profile("long")
    rows = [row(3, V9), row(2, V8, "long"), row(1, V6)]
    write(table("triage/production", V9, rows))
    commit("long")
    write_profile("long", "reworded")
    commit("reworded")
    git("push", "--quiet", work.as_uri(), "HEAD:prompts")
    git("config", "uploadpack.allowFilter", "true")
    monkeypatch.chdir(place)
    git("clone", "--quiet", flag, "--branch", "prompts", work.as_uri(), "partial")
    monkeypatch.chdir("partial")
    back = ("rollback", "triage/production", "--why", "x", "--yes")

    unknown = command(*back)
    line = unknown.err.splitlines()[-1].removeprefix("hint: ")
    typed(line, monkeypatch)
    known = command(*back)

    first = git("rev-parse", "HEAD~1")
    assert (unknown.code, known.code) == (6, 6)
    assert "; which commit has it is not known: " in unknown.err
    if flag == "--depth=1":
        assert line == "git fetch --unshallow origin"
    else:
        assert f"profiles/long.toml of {first[:12]} is not in this clone" in unknown.err
        assert line == f"git fetch --refetch --no-filter origin {first}"
    assert known.err.endswith(f"hint: git checkout {first[:12]} -- profiles/long.toml\n")


def test_J1_a_conflict_is_not_explained_by_half(
    hub: Path, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone(hub))
    loose()
    git("switch", "--quiet", "--create", "mine", "HEAD~1")
    FILE.write_text(FILE.read_text().replace(V8, V6))
    commit("mine")
    subprocess.run(["git", "merge", "--quiet", "change"], check=False, capture_output=True)
    object_file(":1:deployments.toml").unlink()

    done = command("status", "--offline")

    *_, detail, hint = done.err.splitlines()
    assert done.code == 3
    assert "which changes met is not known: deployments.toml of the index is not in" in detail
    assert hint == "hint: git fetch --refetch --no-filter origin"


def test_J1_without_an_index_what_is_on_the_disk_is_scanned(
    hub: Path, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone(hub))
    Path(".git/index").write_bytes(b"DIRC garbage")
    Path("app.py").write_text(f'MODEL = "{V9}"\n')

    done = command("scan")

    assert (done.code, "app.py" in done.out) == (12, True)
    assert "git ls-files failed" in done.err


def test_J1_a_log_is_of_this_job_only_if_git_says_so(
    change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run of a change's evidence is believed where git does not track its log."""
    change.good()
    commit("promote")
    shutil.copytree(change.made.folder.parent / "made" / "runs", ".fftdeploy/runs")
    assert change.judged() == (0, [""])
    spy, real = tmp_path / "bin" / "git", shutil.which("git")
    spy.parent.mkdir()
    spy.write_text(f'#!/bin/sh\ncase "$*" in *runs*) exit 1;; esac\nexec {real} "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy.parent}:{os.environ['PATH']}")

    assert change.judged() == (2, ["git-failed"])
