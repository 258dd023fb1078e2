"""A deployments file elsewhere in the tree: whoever runs near it calls what it says."""

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from command_line import Command, Result, counted_git, git
from proposals import TARGET, Change, commit
from scenes import FILE, POLICY_FILE, V7, V8, V9, V10, past, row, table

import fftdeploy
from fftdeploy.commands.schema import output_schema
from fftdeploy.sandbox import STORY_NOW, Sandbox

PLANTED = f'version = 1\n\n[triage.production]\nmodel = "{V9}"\n'
BASE = ("check", "--base", "main", "--offline", "--json")
APP = Path("app/deployments.toml")
SCHEMA = jsonschema.Draft202012Validator(output_schema())
APP_POLICY = """\
version = 1
order = ["staging", "production"]

[environments.production]
protected = true
from = []
"""


def put(path: str, text: str = PLANTED) -> Callable[[], None]:
    def act() -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)

    return act


def link() -> None:
    put("plan/other.toml")()
    Path("app").mkdir()
    APP.symlink_to("../plan/other.toml")


def submodule() -> None:
    git("update-index", "--add", "--cacheinfo", f"160000,{git('rev-parse', 'HEAD')},{APP}")


def ignored() -> None:
    put(".gitignore", "app/\n")()
    put(str(APP))()
    git("add", "--force", str(APP))


def own_app() -> None:
    """Give `app` a file of its own, with a policy and a prompt."""
    put("app/profiles/short.toml", 'system = "short"\n')()
    put("app/fftdeploy.toml", APP_POLICY)()
    put("app/main.py", "print()\n")()
    put(str(APP), "version = 1\n\n" + past(TARGET, V7, V8))()


def move() -> None:
    git("mv", "app", "web")


PLANTS: dict[str, tuple[Callable[[], None], list[str]]] = {
    "deployments": (put("app/deployments.toml"), ["app/deployments.toml"]),
    "deep": (put("a/b/c/deployments.toml"), ["a/b/c/deployments.toml"]),
    "policy": (put("app/fftdeploy.toml", "version = 1\n"), ["app/fftdeploy.toml"]),
    "in-another-case": (put("app/Deployments.TOML"), ["app/Deployments.TOML"]),
    "beside-it-in-another-case": (put("DEPLOYMENTS.toml"), ["DEPLOYMENTS.toml"]),
    "folded-by-some-file-systems": (
        put("app/deployment\u017f.toml"),
        ["app/deployment\u017f.toml"],
    ),
    "link": (link, ["app/deployments.toml"]),
    "folder-of-that-name": (put("app/deployments.toml/x", "x"), ["app/deployments.toml"]),
    "submodule-of-that-name": (submodule, ["app/deployments.toml"]),
    "in-an-ignored-folder": (ignored, ["app/deployments.toml"]),
    "not-valid": (put("app/deployments.toml", "version = "), ["app/deployments.toml"]),
}
FROM_APP: dict[str, tuple[Callable[[], object], list[str]]] = {
    "moved": (move, ["web/deployments.toml", "web/fftdeploy.toml", *["app/deployments.toml"]]),
    "removed": (lambda: git("rm", "-rq", "app"), ["app/deployments.toml"]),
    "another-one": (put("web/deployments.toml"), ["web/deployments.toml"]),
}


def second(done: Result, severity: str) -> list[str]:
    document = json.loads(done.out)
    SCHEMA.validate(document)
    found = [f for f in document["findings"] if f["severity"] == severity]
    return [f["subject"] for f in found if f["code"] == "second-file"]


@pytest.mark.parametrize("kind", PLANTS)
def test_J2_a_change_that_adds_a_second_file_is_refused(change: Change, kind: str) -> None:
    act, expected = PLANTS[kind]
    act()
    if kind == "submodule-of-that-name":
        git("commit", "--quiet", "--message", "plant")
    else:
        commit("plant")

    refused = change.command(*BASE)
    allowed = change.command(*BASE, "--allow-policy-change")

    assert (refused.code, second(refused, "error")) == (12, expected)
    assert (allowed.code, second(allowed, "error")) == (0, [])
    assert set(expected) <= set(second(allowed, "notice"))


@pytest.mark.parametrize("kind", FROM_APP)
def test_J2_a_change_that_moves_a_second_file_is_refused(change: Change, kind: str) -> None:
    act, expected = FROM_APP[kind]
    change.base(lambda _: own_app())
    act()
    commit("move")

    refused = change.command(*BASE)
    allowed = change.command(*BASE, "--allow-policy-change")

    assert (refused.code, allowed.code) == (12, 0)
    assert set(second(refused, "error")) >= set(expected)


def test_J2_control_the_application_there_calls_the_planted_model(
    change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(str(APP))()

    here = change.command("resolve", TARGET).out
    monkeypatch.chdir("app")
    there = change.command("resolve", TARGET).out

    assert (here, there, fftdeploy.resolve(TARGET)) == (f"{V8}\n", f"{V9}\n", V9)
    monkeypatch.setenv("FFTDEPLOY_FILE", str(change.folder / FILE))
    assert fftdeploy.resolve(TARGET) == V8


def test_J2_a_check_that_finds_the_planted_file_first_refuses_it(
    change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that runs in the application's folder takes the nearest file, too."""
    put(str(APP))()
    commit("plant")
    monkeypatch.chdir("app")

    done = change.command(*BASE)

    assert (done.code, second(done, "error")) == (12, ["deployments.toml"])


def test_J2_the_first_file_of_a_repository_is_no_second_one(
    change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    change.base(lambda _: git("rm", "-rq", "deployments.toml", "fftdeploy.toml"))
    put("deployments.toml", "version = 1\n")()
    commit("begin")

    assert second(change.command(*BASE), "error") == []


def test_J2_what_is_not_committed_counts_once_it_is_staged(change: Change) -> None:
    put(str(APP))()
    untracked = change.command(*BASE)
    git("add", str(APP))
    staged = change.command(*BASE)

    assert (untracked.code, staged.code) == (0, 12)


def test_J2_what_was_merged_meanwhile_is_not_of_this_change(change: Change) -> None:
    git("switch", "--quiet", "main")
    put(str(APP))()
    commit("theirs")
    git("switch", "--quiet", "change")
    behind = change.command(*BASE)
    git("checkout", "--quiet", "main", "--", "app")
    commit("the same")
    same = change.command(*BASE)
    APP.write_text(PLANTED.replace(V9, V10))
    commit("another")
    another = change.command(*BASE)

    assert (behind.code, same.code, another.code) == (0, 0, 12)


def explained(change: Change) -> None:
    """Put a hold into the second file, as `hold` does."""
    assert change.command("hold", TARGET, V7, "--why", "x", "--yes", "--file", str(APP)).code == 0


def edit(path: str, old: str, new: str) -> Callable[[Change], object]:
    return lambda change: change.edit(old, new, Path(path))


EDITS: dict[str, tuple[Callable[[Change], object], int, list[str]]] = {
    "by-hand": (edit(str(APP), f'model = "{V8}"\n', f'model = "{V9}"\n'), 12, ["unexplained"]),
    "a-hold": (explained, 0, []),
    "its-policy": (edit("app/fftdeploy.toml", "protected = true\n", ""), 12, ["policy-change"]),
    "a-prompt-that-nothing-uses": (edit("app/profiles/short.toml", "short", "other"), 0, []),
    "no-reason": (
        edit(str(APP), "releases = [\n", f"releases = [\n  {row(3, V9, at=STORY_NOW)},\n"),
        12,
        ["hand-edit", "why"],
    ),
    "no-more-valid": (edit(str(APP), "version = 1", "version = "), 12, ["second-file"]),
    "nothing-of-it": (edit("app/main.py", "print", "input"), 0, []),
}


@pytest.mark.parametrize("kind", EDITS)
def test_J2_an_edited_second_file_is_judged_by_its_own_base(change: Change, kind: str) -> None:
    act, code, expected = EDITS[kind]
    change.base(lambda _: own_app())
    act(change)
    commit("edit")

    done = change.command(*BASE)

    document = json.loads(done.out)
    SCHEMA.validate(document)
    found = [f for f in document["findings"] if f["severity"] == "error"]
    assert (done.code, sorted(f["code"] for f in found)) == (code, expected)
    assert all(f["subject"].startswith("app/deployments.toml") for f in found)
    assert document["changes"] == []
    if kind == "by-hand":
        adopt = f'fftdeploy adopt {TARGET} --why "TEXT" --file {APP}'
        assert found[0]["hint"] == f"undo it, or record it on this branch: {adopt}"
    if kind == "a-hold":
        (other,) = document["elsewhere"]
        assert [c["kind"] for c in other["changes"]] == ["hold"]


def test_J2_an_edited_second_file_is_asked_about_in_the_same_conversation(
    change: Change, request: pytest.FixtureRequest
) -> None:
    """A target of the same name in the other file is another target."""
    change.base(lambda _: own_app())
    server: Sandbox = request.getfixturevalue("sandbox")
    made = ("promote", TARGET, "--model", V10, "--no-profile", "--why", "x", "--yes")
    assert change.command(*made, "--file", str(APP)).code == 0
    commit("promote")

    ready = change.command("check", "--base", "main", "--json")
    server.remove(V10)
    gone = change.command("check", "--base", "main")

    (other,) = json.loads(ready.out)["elsewhere"]
    assert (ready.code, [c["kind"] for c in other["changes"]]) == (0, ["promote"])
    assert (gone.code, gone.err.count("API: ")) == (12, 1)
    assert "app/deployments.toml triage/production" in " ".join(gone.out.split())


def test_J2_a_file_that_was_never_valid_and_is_as_it_was_blocks_nothing(change: Change) -> None:
    change.base(lambda _: put("tests/deployments.toml", "version = \n")())
    put("tests/test_it.py", "x = 1\n")()
    commit("test")

    done = change.command(*BASE)

    assert (done.code, second(done, "notice")) == (0, ["tests/deployments.toml"] * 2)


def test_J2_a_submodule_is_not_looked_into_and_says_so(change: Change) -> None:
    git("update-index", "--add", "--cacheinfo", f"160000,{git('rev-parse', 'HEAD')},vendor")
    put(".gitmodules", '[submodule "vendor"]\n\tpath = vendor\n\tignore = all\n')()
    git("add", ".gitmodules")
    git("commit", "--quiet", "--message", "vendor")

    done = change.command(*BASE)

    assert (done.code, second(done, "notice")) == (0, ["vendor"])


def test_J2_check_and_scan_list_the_ones_that_are_there(change: Change) -> None:
    own_app()
    commit("app")

    checked = change.command("check", "--offline", "--json")
    scanned = change.command("scan", "--json")

    expected = ["app/deployments.toml", "app/fftdeploy.toml"]
    assert (checked.code, second(checked, "notice")) == (0, expected)
    assert (scanned.code, second(scanned, "notice")) == (0, expected)
    told = change.command("check", "--offline")
    assert "what runs in app calls what it says" in " ".join(told.out.split())


@pytest.mark.parametrize("has_git", [False, True])
def test_J2_without_git_check_says_what_it_did_not_look_for(
    repo: Path, command: Command, has_git: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    FILE.write_text("version = 1\n" + table(TARGET, V8, []))
    if has_git:
        Path(".git/HEAD").write_text("garbage")
    else:
        Path(".git").rename(".was-git")

    done = command("check", "--offline")

    assert done.code == 0
    assert done.err.startswith("note: not looked for a second file: ") is has_git


def test_J2_few_git_processes_for_many_files(
    change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that a change has nothing to do with cost nothing each."""
    for n in range(50):
        put(f"team{n}/deployments.toml", "version = 1\n")()
    change.base(lambda _: None)
    count = counted_git(tmp_path, monkeypatch)

    done = change.command(*BASE)

    assert (done.code, len(second(done, "notice"))) == (0, 50)
    assert count.read_text().count("x") <= 11
    assert POLICY_FILE.exists()


@pytest.mark.parametrize(
    "spoil",
    [("read-tree", "--empty"), ("read-tree", "main"), ("rm", "--quiet", "--cached", str(APP))],
    ids=["empty", "of-the-base", "one-taken-out"],
)
def test_J2_what_the_index_lacks_is_in_head(change: Change, spoil: tuple[str, ...]) -> None:
    put(str(APP))()
    commit("plant")
    git(*spoil)

    refused = change.command(*BASE)

    assert (refused.code, second(refused, "error")) == (12, [str(APP)])
    assert second(change.command("check", "--offline", "--json"), "notice") == [str(APP)]


REMOVAL = (lambda: git("rm", "-q", str(APP)), "second-file")
EDIT = (lambda: APP.write_text(APP.read_text().replace(V8, V9, 1)), "unexplained")


@pytest.mark.parametrize("spoil", [("read-tree", "--empty"), ("read-tree", "main")])
@pytest.mark.parametrize("act", [REMOVAL, EDIT], ids=["removed", "by-hand"])
def test_J2_what_head_changes_is_judged_whatever_the_index_has(
    change: Change, act: tuple[Callable[[], object], str], spoil: tuple[str, ...]
) -> None:
    change.base(lambda _: own_app())
    act[0]()
    commit("change")
    git(*spoil)

    done = change.command(*BASE)

    found = [f for f in json.loads(done.out)["findings"] if f["severity"] == "error"]
    assert (done.code, [f["code"] for f in found]) == (12, [act[1]])


def test_J2_what_was_merged_excuses_the_index_and_not_head(change: Change) -> None:
    git("switch", "--quiet", "main")
    put(str(APP))()
    commit("theirs")
    git("switch", "--quiet", "change")
    put(str(APP), PLANTED.replace(V9, V10))()
    commit("another")
    git("read-tree", "main")

    assert second(change.command(*BASE), "error") == [str(APP)]


@pytest.mark.parametrize("kind", ["sparse", "deleted", "taken-out"])
def test_J1_examples_that_are_not_on_the_disk_can_be_brought_back(
    change: Change, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = {
        "sparse": (("sparse-checkout", "set", "profiles"), "sparse-checkout add evals"),
        "deleted": (("rm", "--quiet", "-r", "evals"), "checkout HEAD -- evals/triage.jsonl"),
        "taken-out": (("clean", "--quiet", "-fdx"), "checkout -- evals/triage.jsonl"),
    }
    command, expected = ways[kind]
    git("status")  # of a copy: git leaves what it takes for edited
    if kind == "taken-out":
        Path("evals/triage.jsonl").unlink()
    git(*command)

    here = change.command("check", "--offline")
    monkeypatch.chdir("profiles")
    there = change.command("check", "--offline")
    line = there.err.splitlines()[-1].removeprefix("hint: ")
    git(*line.split()[1:])

    assert here.err == f"error: no such file: evals/triage.jsonl\nhint: git {expected}\n"
    assert line == f"git -C {change.folder} {expected}"
    assert (here.code, change.command("check", "--offline").code) == (3, 0)
