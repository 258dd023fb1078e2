"""Two changes of one file: who made which, and lines that settle it when they are typed.

Real clones and a bare remote; the hints are run as they are printed, git's in a shell.
"""

import json
import os
import re
import shlex
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import forked
import gated
import pytest
from command_line import PROGRAM, Command
from others import clones, git, meanwhile, release
from scenes import EVAL, FILE, V6, V7, V8, V9, V10, hold, past, read, row, table, write

from fftdeploy.pull_request import conflict
from fftdeploy.releases import deployments
from fftdeploy.sandbox import STORY_NOW, Sandbox

pytestmark = pytest.mark.usefixtures("repo")
MARKED = re.compile(r"^(<<<<<<<|=======|>>>>>>>)", re.MULTILINE)
TABLES = [past("triage/production", V7, V8), past("chat/production", V6)]
PULLS = {
    "merge": ("pull", "--quiet", "--no-rebase", "--no-edit"),
    "rebase": ("pull", "--quiet", "--rebase"),
}
PROMOTE = ("promote", "triage/production", "--model")


class Told(NamedTuple):
    """What a command says about a conflicted file, in its parts."""

    message: str
    details: list[str]
    hints: list[str]


class Two:
    """Ana's clone and Bo's, of one bare remote; ana publishes, bo meets it."""

    def __init__(
        self, command: Command, patch: pytest.MonkeyPatch, folder: Path, *tables: str
    ) -> None:
        self.command = command
        self.patch = patch
        self.ana, self.bo = clones(folder, *(tables or TABLES))

    def meet(self, ana: tuple[str, ...], *bo: tuple[str, ...], how: str = "merge") -> None:
        """Make and publish ana's change, make bo's, and bring them together."""
        release(self.patch, self.command, self.ana, *ana, "--by", "ana")
        assert git(self.ana, "push", "--quiet").returncode == 0
        for argv in bo:
            release(self.patch, self.command, self.bo, *argv, "--by", "bo")
        assert git(self.bo, *PULLS[how]).returncode != 0
        assert MARKED.search(FILE.read_text())

    def settle(self, hints: list[str]) -> None:
        """Type one command of the hint after the other; who types ours is said here."""
        for hint in hints:
            words = shlex.split(hint)
            if words[0] == "fftdeploy":
                result = self.command(*words[1:], "--by", "bo")
                assert result.code == 0, (hint, result.err)
                continue
            environ = {**os.environ, "GIT_EDITOR": "true"}
            done = subprocess.run(
                ["sh", "-c", hint], env=environ, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, (hint, done.stderr)

    def is_clean(self) -> bool:
        """Say whether nothing is left to commit or to go on with, and `check` finds nothing."""
        state = git(Path.cwd(), "status", "--porcelain=v2", "--branch").stdout
        going = [name for name in ("MERGE_HEAD", "rebase-merge") if Path(".git", name).exists()]
        dirty = [line for line in state.splitlines() if not line.startswith("#")]
        return (dirty, going, self.command("check", "--offline").code) == ([], [], 0)


@pytest.fixture
def two(sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Two:
    return Two(command, monkeypatch, tmp_path)


def told(command: Command, *argv: str) -> Told:
    """Run a command on a conflicted file; text and JSON say the same."""
    shown, as_json = command(*argv), command(*argv, "--json")
    error = json.loads(as_json.out)["error"]
    assert (shown.code, as_json.code, error["code"], shown.out) == (3, 3, "merge-conflict", "")
    assert shown.err.splitlines() == [
        f"error: {error['message']} ({error['where']})",
        *(f"  {detail}" for detail in error["details"]),
        f"hint: {error['hint']}",
    ]
    return Told(error["message"], error["details"], error["hint"].split(" && "))


def paste(hints: list[str]) -> subprocess.CompletedProcess[str]:
    """Give the hint to a shell as it stands; nobody is there to answer."""
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", " && ".join(hints)],
        env={**os.environ, "PATH": path, "PYTHONPATH": forked.path()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def first_marker() -> int:
    return FILE.read_text().split("<<<<<<<")[0].count("\n") + 1


def by_whom(name: str) -> list[tuple[int, str, str]]:
    return [(each.n, each.bundle.model, each.by) for each in read(name).releases]


@pytest.mark.parametrize("how", PULLS)
def test_C9_B8_two_promotions_are_named_and_settled(two: Two, how: str) -> None:
    two.meet((*PROMOTE, V9), (*PROMOTE, V10), how=how)
    ana = f"triage/production release 3 -> {V9} by ana, 2026-11-21 08:30Z: x"
    bo = f"triage/production release 3 -> {V10} by bo, 2026-11-21 08:30Z: x"
    sides = {
        "merge": ("--theirs", [f"ours (make again): {bo}", f"theirs (keep): {ana}"]),
        "rebase": ("--ours", [f"ours (keep): {ana}", f"theirs (make again): {bo}"]),
    }
    side, details = sides[how]
    end = {"merge": "git commit --no-edit", "rebase": "git rebase --continue"}[how]

    said = told(two.command, "check", "--offline")
    assert said == Told(
        f"unresolved merge conflict at line {first_marker()}: both sides changed triage/production",
        details,
        [
            f"git checkout {side} -- deployments.toml",
            f"fftdeploy promote triage/production --model {V10} --why x --yes",
            "git add -- deployments.toml",
            end,
        ],
    )
    for argv in ("status", "history", "rollback triage/production --yes", "hold x/y m --yes"):
        assert told(two.command, *argv.split()) == said
    two.settle(said.hints)

    assert two.is_clean()
    assert by_whom("triage/production")[:2] == [(4, V10, "bo"), (3, V9, "ana")]
    assert git(two.bo, "push", "--quiet").returncode == 0
    assert git(two.ana, "pull", "--quiet", "--ff-only").returncode == 0
    assert (two.ana / FILE).read_bytes() == (two.bo / FILE).read_bytes()


def test_the_other_side_of_a_rebase_would_lose_what_is_published(two: Two) -> None:
    """The control: git's names for the sides are swapped there."""
    two.meet((*PROMOTE, V9), (*PROMOTE, V10), how="rebase")
    hints = told(two.command, "status").hints
    two.settle([hints[0].replace("--ours", "--theirs")])

    assert "ana" not in {by for _, _, by in by_whom("triage/production")}


@pytest.mark.parametrize("how", PULLS)
def test_C9_what_merged_clean_beside_it_is_made_again_too(two: Two, how: str) -> None:
    """To take one side takes all of it: what the other said of further targets goes with it."""
    chat = ("promote", "chat/production", "--model", V8)
    if how == "rebase":  # which stops at the first commit that does not fit
        two.meet((*PROMOTE, V9), (*PROMOTE, V10), chat, how=how)
    else:
        two.meet((*PROMOTE, V9), chat, (*PROMOTE, V10), how=how)
    said = told(two.command, "status")
    again = [hint for hint in said.hints if hint.startswith("fftdeploy")]
    assert len(again) == {"merge": 2, "rebase": 1}[how]
    two.settle(said.hints)

    assert two.is_clean()
    assert (read("triage/production").model, read("chat/production").model) == (V10, V8)
    assert by_whom("triage/production")[1] == (3, V9, "ana")


@pytest.mark.parametrize("how", PULLS)
def test_two_new_targets_are_both_kept(two: Two, how: str) -> None:
    new = ("--create", "--model", V9)
    two.meet(("promote", "triage/dev", *new), ("promote", "chat/dev", *new), how=how)
    said = told(two.command, "status")

    listed = "chat/dev, triage/dev" if how == "merge" else "triage/dev, chat/dev"
    assert said.message.endswith(f": {listed} are new: keep both")
    assert said.hints[1] == f"fftdeploy promote chat/dev --model {V9} --create --why x --yes"
    two.settle(said.hints)
    assert two.is_clean()
    assert by_whom("triage/dev") == [(1, V9, "ana")]
    assert by_whom("chat/dev") == [(1, V9, "bo")]


def test_C11_the_same_rollback_twice_is_done_once(two: Two) -> None:
    release(two.patch, two.command, two.ana, "rollback", "triage/production")
    assert git(two.ana, "push", "--quiet").returncode == 0
    two.patch.setenv("FFTDEPLOY_NOW", "2026-11-21T08:31:00Z")
    release(two.patch, two.command, two.bo, "rollback", "triage/production")
    assert git(two.bo, *PULLS["merge"]).returncode != 0
    said = told(two.command, "check", "--offline")

    assert [hint.split()[0] for hint in said.hints] == ["git", "git", "git"]
    two.settle(said.hints)
    assert two.is_clean()
    assert [n for n, _, _ in by_whom("triage/production")] == [3, 2, 1]
    assert len(read("triage/production").holds) == 1


def test_a_rollback_and_its_hold_are_made_again(two: Two) -> None:
    two.meet((*PROMOTE, V9), ("rollback", "triage/production"))
    said = told(two.command, "status")

    assert said.hints[1:-2] == [
        "fftdeploy rollback triage/production --to 1 --why x --yes",
        f"fftdeploy hold triage/production {V8} --why x --yes",
    ]
    two.settle(said.hints)
    assert two.is_clean()
    assert by_whom("triage/production")[:2] == [(4, V7, "bo"), (3, V9, "ana")]
    assert {each.model for each in read("triage/production").holds} == {V8, V9}


def test_on_the_published_branch_its_own_side_is_kept(two: Two) -> None:
    """A branch merged into main, and not main into a branch."""
    two.patch.chdir(two.bo)
    assert git(two.bo, "checkout", "--quiet", "-b", "feature").returncode == 0
    release(two.patch, two.command, two.bo, *PROMOTE, V10, "--by", "bo")
    release(two.patch, two.command, two.ana, *PROMOTE, V9, "--by", "ana")
    assert git(two.ana, "push", "--quiet").returncode == 0
    two.patch.chdir(two.bo)
    for argv in (("checkout", "--quiet", "main"), PULLS["merge"]):
        assert git(two.bo, *argv).returncode == 0
    assert git(two.bo, "merge", "--no-edit", "feature").returncode != 0
    said = told(two.command, "status")

    assert [detail[:6] for detail in said.details] == ["ours (", "theirs"]
    assert said.hints[0] == "git checkout --ours -- deployments.toml"
    two.settle(said.hints)
    assert two.is_clean()
    assert by_whom("triage/production")[:2] == [(4, V10, "bo"), (3, V9, "ana")]


@pytest.mark.parametrize("how", ["cherry-pick", "stash", "revert"])
def test_what_is_brought_to_a_branch_is_made_again_on_it(two: Two, how: str) -> None:
    release(two.patch, two.command, two.bo, *PROMOTE, V9)
    if how == "revert":
        release(two.patch, two.command, two.bo, *PROMOTE, V10)
        argv = ["revert", "--no-edit", "HEAD~1"]
    else:
        assert git(two.bo, "branch", "other").returncode == 0
        assert git(two.bo, "reset", "--quiet", "--hard", "origin/main").returncode == 0
        if how == "stash":
            FILE.write_bytes(git(two.bo, "show", "other:deployments.toml").stdout.encode())
            assert git(two.bo, "stash").returncode == 0
        release(two.patch, two.command, two.bo, *PROMOTE, V10)
        argv = ["stash", "pop"] if how == "stash" else ["cherry-pick", "other"]
    assert git(two.bo, *argv).returncode != 0
    said = told(two.command, "status")
    before = [*read_side(two.bo, 2)]
    two.settle(said.hints)

    assert said.hints[0] == "git checkout --ours -- deployments.toml"
    assert two.command("check", "--offline").code == 0
    assert read("triage/production").model == (V8 if how == "revert" else V9)
    assert [each.n for each in read("triage/production").releases][1:] == before
    assert bool(git(two.bo, "diff", "--cached").stdout) == (how == "stash")


def read_side(folder: Path, stage: int) -> list[int]:
    text = git(folder, "show", f":{stage}:deployments.toml").stdout
    target = deployments.parse(text.encode()).find("triage/production")
    assert target is not None
    return [each.n for each in target.releases]


def test_F1_a_hostile_reason_and_path_are_quoted(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The hint is run by a shell, as it stands, from another folder than the file's."""
    reason, place = "x'; touch PWNED; $(touch PWNED) `touch PWNED` \"", Path("a b[c]*;touch PWNED")
    place.mkdir()
    base = write(past("triage/production", V7, V8), file=place / FILE)
    place.joinpath(FILE).write_bytes(base)
    two = Two(command, monkeypatch, tmp_path, *TABLES)
    option = ("--file", str(place / FILE))
    for clone, model in ((two.ana, V9), (two.bo, V10)):
        monkeypatch.chdir(clone)
        argv = (*PROMOTE, model, "--why", reason, "--yes", "--commit", *option)
        assert command(*argv).code == 0
        if clone == two.ana:
            assert git(two.ana, "push", "--quiet").returncode == 0
    assert git(two.bo, *PULLS["merge"]).returncode != 0
    said = told(command, "status", *option)
    done = paste(said.hints)

    assert done.returncode == 0, done.stderr
    assert "git --literal-pathspecs checkout --theirs -- " in said.hints[0]
    assert [each.why for each in read("triage/production", place / FILE).releases][:2] == [
        reason,
        reason,
    ]
    assert not list(two.bo.rglob("PWNED"))
    assert two.is_clean()


def test_C12_on_top_of_another_model_other_evidence_is_asked_for(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was shown against the old baseline shows nothing against the one that is live now."""
    gated.scene(V8, V10)
    staging = past("triage/staging", V7, gated.LIKE_V8, V10)
    places = clones(tmp_path, staging, past("triage/production", V8))
    for place, model in zip(places, (V10, gated.LIKE_V8), strict=True):
        argv = (*PROMOTE, model, *EVAL)
        release(monkeypatch, command, place, *argv)
        git(places[0], "push", "--quiet")
    assert git(places[1], *PULLS["merge"]).returncode != 0
    hints = told(command, "status").hints
    _, promote, add, _ = hints
    refused = paste(hints)
    worse = command(*shlex.split(promote)[1:], *EVAL)

    assert (refused.returncode, worse.code) == (7, 5), (refused.stderr, worse.err)
    assert Path(".git/MERGE_HEAD").exists(), "what follows the refusal was not run"
    assert read("triage/production").model == V10
    assert add == "git add -- deployments.toml .fftdeploy/evidence"


PLAIN = "edit the file to keep what is to be live; `fftdeploy check` says what settles it"


@pytest.mark.parametrize("why", ["no git", "no stages", "a side that is not valid"])
def test_C14_C15_without_both_sides_the_place_is_named(two: Two, why: str) -> None:
    two.meet((*PROMOTE, V9), (*PROMOTE, V10))
    if why == "no git":
        two.patch.setenv("PATH", "/nowhere")
    elif why == "no stages":
        assert git(two.bo, "add", "deployments.toml").returncode == 0
    else:
        broken = subprocess.run(
            ["git", "hash-object", "-w", "--stdin"],
            input="version = 2\n",
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        entry = f"100644 {broken} 3\tdeployments.toml\n"
        subprocess.run(["git", "update-index", "--index-info"], input=entry, text=True, check=True)
    said = told(two.command, "status")

    assert said == Told(f"unresolved merge conflict at line {first_marker()}", [], [PLAIN])


def test_a_conflict_that_is_not_ours_to_explain_stays_fast(two: Two) -> None:
    """`resolve`, in scripts and applications, asks git nothing."""
    two.meet((*PROMOTE, V9), (*PROMOTE, V10))
    result = two.command("resolve", "triage/production")

    assert (result.code, result.err.splitlines()[1]) == (3, f"hint: {PLAIN}")


# What one side did, by meaning.

NAME = "triage/production"
BASE = past(NAME, V7, V8)
ROWS = [row(2, V8), row(1, V7)]
LIFTED = {"lifted": "2026-11-20T00:00:00Z"}
SIDES: dict[str, tuple[str, str, list[list[str]]]] = {
    "removed": ("", "removed", []),
    "a reverted release": (
        past(NAME, V7),
        "without release 2",
        [["rollback", NAME, "--to", "1"]],
    ),
    "by hand": (
        table(NAME, V9, ROWS),
        f"{V9}, written by hand",
        [["promote", NAME, "--model", V9]],
    ),
    "from a job": (
        table(NAME, V9, [row(3, V9, via="job", job="ftjob-v9"), *ROWS]),
        f"release 3 -> {V9} by ci, 2026-10-15 08:30Z",
        [["promote", NAME, "--job", "ftjob-v9"]],
    ),
    "forth and back": (
        table(NAME, V8, [row(4, V8, via="rollback", to=2, why="no"), row(3, V9), *ROWS]),
        f"release 4 -> {V8} by ci, 2026-10-16 08:30Z: no",
        [["rollback", NAME, "--to", "2", "--why", "no"]],
    ),
    "back to its own": (
        table(NAME, V9, [row(5, V9, via="rollback", to=3), row(4, V10), row(3, V9), *ROWS]),
        f"release 5 -> {V9} by ci, 2026-10-17 08:30Z",
        [["promote", NAME, "--model", V9]],
    ),
    "a hold": (
        table(NAME, V8, ROWS, [hold(V9)]),
        f"hold on {V9} by ana, 2026-11-21 08:30Z: INC-88",
        [["hold", NAME, V9, "--why", "INC-88"]],
    ),
    "a hold for some days": (
        table(NAME, V8, ROWS, [hold(V9, until=STORY_NOW + timedelta(2))]),
        f"hold on {V9} by ana, 2026-11-21 08:30Z: INC-88",
        [["hold", NAME, V9, "--until", "2026-11-23T08:30:00Z", "--why", "INC-88"]],
    ),
    "a comment": (f"# a note\n{BASE}", "", []),
}


@pytest.mark.parametrize(("side", "words", "commands"), SIDES.values(), ids=SIDES)
def test_what_a_side_did(side: str, words: str, commands: list[list[str]]) -> None:
    base, made, kept = (
        deployments.parse(f"version = 1\n{text}".encode())
        for text in (BASE, side, past(NAME, V7, V8, V6))
    )
    before, after, published = base.find(NAME), made.find(NAME), kept.find(NAME)

    assert conflict.changed(base, made) == ([NAME] if words else [])
    if words:
        assert conflict.summary(before, after) == words
    if words and after:
        assert [*conflict.again(before, after, published)] == commands


def test_a_lifted_hold_is_lifted_again_before_the_promotion() -> None:
    lifting = {"lifted_by": "bo", "lifted_why": "fixed"}
    lifted = hold(V9, **lifting).replace(" }", ", lifted = 2026-11-21T09:00:00Z }")
    texts = (
        table(NAME, V8, ROWS, [hold(V9)]),
        table(NAME, V9, [row(3, V9), *ROWS], [lifted]),
        table(NAME, V10, [row(3, V10), *ROWS], [hold(V9)]),
    )
    before, after, kept = (
        deployments.parse(f"version = 1\n{text}".encode()).find(NAME) for text in texts
    )
    assert after is not None

    assert [*conflict.again(before, after, kept)] == [
        ["unhold", NAME, V9, "--why", "fixed"],
        ["promote", NAME, "--model", V9],
    ]
    assert [*conflict.again(before, after, after)] == []


def test_a_prompt_goes_along_and_does_not_stay() -> None:
    one = table(NAME, V9, [row(3, V9), *ROWS])
    other = f'{one.splitlines()[0]}\nmodel = "{V9}"\nprofile = "long"\n'
    plain, profiled = (
        deployments.parse(f"version = 1\n{t}".encode()).find(NAME) for t in (one, other)
    )
    base = deployments.parse(f"version = 1\n{BASE}".encode()).find(NAME)
    assert plain is not None
    assert profiled is not None

    assert [*conflict.again(base, plain, profiled)] == [
        ["promote", NAME, "--model", V9, "--no-profile"]
    ]
    assert [*conflict.again(base, profiled, plain)] == [
        ["promote", NAME, "--model", V9, "--profile", "long"]
    ]


# A change that was planned on what is no longer there.

RECORDED = f"release 2 -> {V8} by ci, 2026-10-14 08:30Z"
LIVE: dict[str, tuple[list[str], str]] = {
    "recorded": ([BASE], f"{V8} is live in {NAME}, not {V7}: {RECORDED}"),
    "with a reason": (
        [table(NAME, V8, [row(2, V8, why="PR #188"), row(1, V7)])],
        f"{V8} is live in {NAME}, not {V7}: {RECORDED}: PR #188",
    ),
    "by hand": (
        [table(NAME, V9, ROWS)],
        f"{V9} is live in {NAME}, not {V7}: written by hand since {RECORDED}",
    ),
    "no release": (
        [table(NAME, V9, [])],
        f"{V9} is live in {NAME}, not {V7}: no release says who made it live",
    ),
    "no target": ([], f"nothing is live in {NAME}, not {V7}"),
}


@pytest.mark.parametrize(("tables", "message"), LIVE.values(), ids=LIVE)
def test_C1_expect_current_says_who_moved_it(
    sandbox: Sandbox, command: Command, tables: list[str], message: str
) -> None:
    before = write(*tables)
    result = command(*PROMOTE, V10, "--expect-current", V7, "--create", "--yes")

    assert (result.code, FILE.read_bytes()) == (8, before)
    assert result.err.splitlines()[-2:] == [
        f"error: {message}",
        f"hint: look again: fftdeploy status {NAME}",
    ]


@pytest.mark.parametrize("live", [V8, None], ids=["as expected", "not asked"])
def test_expect_current_lets_through_what_was_expected(
    sandbox: Sandbox, command: Command, live: str | None
) -> None:
    write(BASE)
    expected = ("--expect-current", live) if live else ()

    assert command(*PROMOTE, V10, *expected, "--yes").code == 0
    assert read(NAME).model == V10


STALE: dict[str, tuple[list[str], tuple[str, ...], str]] = {
    "C1 the target": (
        [past(NAME, V7, V8, V9), past("chat/production", V6)],
        (),
        f"{NAME} has changed since this was planned: release 3 -> {V9} by ci, 2026-10-15 08:30Z",
    ),
    "a hold on it": (
        [past(NAME, V7, V8, holds=[hold(V10)]), past("chat/production", V6)],
        (),
        f"{NAME} has changed since this was planned: "
        f"hold on {V10} by ana, 2026-11-21 08:30Z: INC-88",
    ),
    "C7 another, with --commit": (
        [past(NAME, V7, V8), past("chat/production", V6, V8)],
        ("--commit",),
        "chat/production has changed since this was planned: "
        f"release 2 -> {V8} by ci, 2026-10-14 08:30Z",
    ),
    "half written": (["[triage"], (), "deployments.toml changed underneath"),
}


@pytest.mark.parametrize(("tables", "flags", "message"), STALE.values(), ids=STALE)
def test_C1_a_stale_plan_says_what_moved(
    sandbox: Sandbox,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tables: list[str],
    flags: tuple[str, ...],
    message: str,
) -> None:
    write(past(NAME, V7, V8), past("chat/production", V6))
    for argv in (("add", "."), ("commit", "--quiet", "--message", "first")):
        assert git(Path.cwd(), *argv).returncode == 0
    meanwhile(monkeypatch, lambda: write(*tables))
    result = command(*PROMOTE, V10, *flags, "--yes")

    assert FILE.read_text() == "\n".join(["version = 1\n", *tables])
    assert (result.code, result.err.replace(f"{Path.cwd()}/", "").splitlines()[-2:]) == (
        8,
        [
            f"error: {message}; nothing was written over it (deployments.toml)",
            "hint: run it again: it will plan from the new file",
        ],
    )


def test_C12_a_canary_is_tried_again_beside_what_became_live(two: Two) -> None:
    two.meet((*PROMOTE, V9), (*PROMOTE, V10, "--canary", "5", "--why", "try it"))
    found = told(two.command, "status")
    assert f"release 3 -> {V10} on 5 % by bo" in "\n".join(found.details)
    two.settle(found.hints)
    target = read("triage/production")
    assert (target.model, target.canary and target.canary.model) == (V9, V10)
    assert two.is_clean()


def test_C12_a_canary_that_was_taken_off_is_taken_off_again(two: Two) -> None:
    release(two.patch, two.command, two.ana, *PROMOTE, V9, "--canary", "5")
    git(two.ana, "push", "--quiet")
    git(two.bo, "pull", "--quiet")
    two.meet((*PROMOTE, V9, "--canary", "25"), ("rollback", "triage/production"))
    two.settle(told(two.command, "status").hints)
    target = read("triage/production")
    assert (target.canary, [hold.model for hold in target.holds]) == (None, [V9])
    assert two.is_clean()
