"""Scan: every ID that is written down elsewhere, whole, and nothing that only looks like one."""

import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import get_args

import pytest
from command_line import Command, Result, git
from hostile_text import OUR_COMMAND, PAYLOADS, harmless, runner_commands
from scenes import LUNA, POLICY, V7, V8, V9, V10, hold, past, table, write

from fftdeploy import git as fftgit
from fftdeploy.output.streams import Format
from fftdeploy.policy.globs import compile_glob, pattern_problem
from fftdeploy.pull_request import scanned_files
from fftdeploy.pull_request.scan import Hit, Search, Use, uses
from fftdeploy.releases import deployments
from fftdeploy.sandbox import STORY_NOW

STRANGER = "ft:gpt-4.1-2025-04-14:acme::Zz99"
KNOWN = {
    V8: "live in triage/production",
    V7: "released in triage/production",
    V9: "on hold in triage/production",
    LUNA: "live in support/dev",
}


@pytest.fixture
def file(repo: Path) -> Path:
    """A repository with four models in its file."""
    write(past("triage/production", V7, V8, holds=[hold(V9)]), table("support/dev", LUNA, []))
    git("add", ".")
    return repo


def add(name: str | bytes, text: str | bytes) -> None:
    """Write a file and have git track it."""
    path = Path(os.fsdecode(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    git("add", "--force", "--", name)


def found(command: Command, *words: object) -> list[tuple[str, int | None, str]]:
    """Return path, line and code of what a scan finds."""
    result = command("scan", *words, "--json")
    items = json.loads(result.out)["findings"]
    assert result.code == (12 if any(item["severity"] == "error" for item in items) else 0)
    return [(item["path"], item["line"], item["code"]) for item in items]


# --- what is an ID ------------------------------------------------------------------------------

LINES = {
    "bare": (V8, [V8]),
    "quoted": (f'model="{V8}",', [V8]),
    "back to back": (f"{V8},{V9};{LUNA}", [V8, V9, LUNA]),
    "twice on a line": (f"{V8} {V8}", [V8]),
    "full stop": (f"We use {V8}. It is {LUNA}...", [V8, LUNA]),
    "colon": (f"{LUNA}: the base", [LUNA]),
    "comma and bracket": (f"({LUNA}, {V8})", [LUNA, V8]),
    "at a profile": (f"{LUNA}@short", [LUNA]),
    "assigned": (f"MODEL={LUNA}", [LUNA]),
    "escaped": (f'\\"{V8}\\n\\"', [V8]),
    "curly quotes": (f"“{LUNA}”", [LUNA]),
    "of another tool": (f"openai:{V8} openai/{V8}", [V8]),
    "in an address": (f"https://api.openai.com/v1/models/{V8}?x=1", [V8]),
    "checkpoint": (f"{V8}:ckpt-step-90", [f"{V8}:ckpt-step-90"]),
    "longer": (f"{V8}x {LUNA}-mini {LUNA}.5 x{LUNA} {LUNA}/y", [f"{V8}x"]),
    "base of a fine-tune": (f"ft:{LUNA}:acme::Ab1", [f"ft:{LUNA}:acme::Ab1"]),
    "of another provider": (f"openrouter/{LUNA} docs/{LUNA}.md {LUNA}#x", []),
    "suffix called ft": ("ft:gpt-4.1:acme:ft:Ab1", ["ft:gpt-4.1:acme:ft:Ab1"]),
    "behind a word that ends in ft": (f"left:{V8}", [V8]),
    "no fine-tunes": ("left: 1 ft: ft:: ft:x ft:BASE:ORG ft:...:a:b:c draft:a:b:c:d", []),
    "a template": ("ft:gpt-4.1-mini:acme:triage-{n}", []),
    "other fine-tunes": (f"{STRANGER}, {V10}.", [STRANGER, V10]),
    "as long as an ID is": (f"ft:gpt:acme:{'x' * 242}:A", [f"ft:gpt:acme:{'x' * 242}:A"]),
    "one more letter than an ID has": (f"ft:gpt:acme:{'x' * 243}:A", []),
    "other case": (V8.upper(), []),
    "excused": (f"{V8}  # fftdeploy: ignore", []),
    "excused elsewhere": (f"# fftdeploy: ignore\n{V8}\n# fftdeploy: ignore", [V8]),
    "not UTF-8": (f"\udcff{V8}\udcfe", [V8]),
}


@pytest.mark.parametrize(("text", "models"), LINES.values(), ids=LINES)
def test_what_is_an_id(text: str, models: list[str]) -> None:
    data = os.fsencode(text)

    assert [hit.model for hit in Search(KNOWN).hits(data)] == models


def test_lines_are_counted_from_one() -> None:
    data = f"{V8}\n\n{V9}\r\n{LUNA} {V9}\nx\n{V8}".encode()
    hits = [Hit(1, V8), Hit(3, V9), Hit(4, LUNA), Hit(4, V9), Hit(6, V8)]

    assert list(Search(KNOWN).hits(data)) == hits


def by_the_book(data: bytes) -> list[Hit]:
    """Find IDs the slow way: line by line, run by run of all that an ID may be made of."""
    hits = []
    for number, text in enumerate(data.split(b"\n"), 1):
        if b"fftdeploy: ignore" in text:
            continue
        models: dict[str, None] = {}
        for run in re.findall(r"[A-Za-z0-9._:#/+-]+", text.decode()):
            starts = (place for place in range(len(run)) if run.startswith("ft:", place))
            first = next((place for place in starts if not place or run[place - 1] in ":/"), 0)
            word = run[first:]
            bare = word.rstrip(".:")
            tuned = r"ft:[A-Za-z0-9][\w.-]*:[\w-]+(:[\w.-]*)?:[A-Za-z0-9]+(:ckpt-step-[0-9]+)?"
            if word in KNOWN or bare in KNOWN or re.fullmatch(tuned, bare):
                models[word if word in KNOWN else bare] = None
        hits += [Hit(number, model) for model in models]
    return hits


def test_any_text_against_the_slow_way() -> None:
    """3,000 texts, 0 wrong; the control, which looks for the IDs as plain text, is wrong."""
    choose = random.Random(4)
    pieces = [
        *("ft:", ":", ".", "-", "/", "#", "+", '"', "x", "é", "left:", "openai:", "..."),
        *(":ckpt-step-7", LUNA[:5], "fftdeploy: ignore"),
        *(5 * [" ", "\n"]),
        *(3 * [V7, V8, V9, LUNA, STRANGER]),
    ]
    search = Search(KNOWN)
    wrong = control = hits = 0
    for _ in range(3000):
        data = "".join(choose.choices(pieces, k=choose.randrange(16))).encode()
        expected = by_the_book(data)
        wrong += list(search.hits(data)) != expected
        plain = [model for model in KNOWN if model.encode() in data]
        control += sorted(plain) != sorted({hit.model for hit in expected})
        hits += len(expected)

    assert (wrong, control > 1000, hits > 1000) == (0, True, True)


@pytest.mark.parametrize(
    "text",
    [
        *("ft:" * 300_000, LUNA * 100_000, "." * 1_000_000, V8 + "." * 1_000_000),
        *(f"{V8} " * 20_000, "x:ft:" * 200_000, "ft:a:" + "b:" * 400_000, f"{LUNA}:" * 90_000),
    ],
    ids=["ft", "base", "dots", "full stops", "one line", "restarts", "parts", "colons"],
)
def test_H14_the_worst_texts_are_read_in_one_go(text: str) -> None:
    """A search that looked back at each hit would take hours for these."""
    hits = [hit.model for hit in Search(KNOWN).hits(text.encode())]

    assert hits in ([], [V8])


def test_a_model_is_named_for_the_gravest_of_its_uses_now(repo: Path) -> None:
    ended = hold(V10, until=STORY_NOW - timedelta(1))
    lifted = hold(V9, lifted=STORY_NOW, lifted_by="bo", lifted_why="fixed")
    raw = write(
        past("triage/dev", V8, V9),
        past("triage/staging", V8, V9, V8, holds=[hold(V9)]),
        past("triage/production", V7, holds=[ended, lifted]),
    )
    found = deployments.parse(raw)
    dev, staging, production = found.targets.values()

    assert uses(found, STORY_NOW) == {
        V9: (
            Use(dev, "live"),
            Use(staging, "on hold"),
            Use(production, "no longer on hold"),
        ),
        V10: (Use(production, "no longer on hold"),),
        V8: (Use(staging, "live"), Use(dev, "released")),
        V7: (Use(production, "live"),),
    }


# --- what the command says ----------------------------------------------------------------------


def test_before_and_after(file: Path, command: Command) -> None:
    add("src/app.py", "import x\n")

    before = command("scan")
    add("src/app.py", f'import x\n\nMODEL = "{V8}"\n')
    add("values.yaml", f"model: {V9}\nbase: {LUNA}\nother: {STRANGER}\n")
    after = command("scan")
    add("src/app.py", 'MODEL = fftdeploy.resolve("triage/production")\n')
    git("rm", "--force", "values.yaml")
    mended = command("scan")

    assert before == (0, "1 file, 0.0 MB: 0 model IDs written down\n", "")
    assert after.code == 12
    rows = [re.split(r" {2,}", text) for text in after.out.splitlines()]
    ask = "fftdeploy resolve"
    assert rows == [
        ["SEVERITY", "PLACE", "FINDING", "HINT"],
        [
            *("error", "src/app.py:3", f"{V8} is live in triage/production"),
            'fftdeploy.resolve("triage/production")',
        ],
        [
            *("error", "values.yaml:1", f"{V9} is on hold in triage/production"),
            f"{ask} triage/production",
        ],
        ["error", "values.yaml:2", f"{LUNA} is live in support/dev", f"{ask} support/dev"],
        [
            *("error", "values.yaml:3", f"{STRANGER} is not in deployments.toml"),
            "promote it, or write 'fftdeploy: ignore' on the line",
        ],
        ["2 files, 0.0 MB: 4 model IDs written down"],
    ]
    assert mended == (0, "1 file, 0.0 MB: 0 model IDs written down\n", "")


def test_the_json_document(file: Path, command: Command) -> None:
    add("a.sh", f"echo {V7}\n")

    document = json.loads(command("scan", "--json").out)

    assert document == {
        "schema": "fftdeploy.scan/1",
        "outcome": "finding",
        "exit_code": 12,
        "retry": "no",
        "files": 1,
        "bytes": len(V7) + 6,
        "complete": True,
        "findings": [
            {
                "code": "literal-model",
                "severity": "error",
                "subject": "triage/production",
                "message": f"{V7} is released in triage/production",
                "path": "a.sh",
                "line": 1,
                "hint": "fftdeploy resolve triage/production",
            }
        ],
    }


def test_every_target_of_a_model_is_told(repo: Path, command: Command) -> None:
    write(past("triage/dev", V8, V9), past("triage/production", V7, V8))
    add("a.txt", V8)

    result = command("scan", "--json")

    assert json.loads(result.out)["findings"][0]["message"] == (
        f"{V8} is live in triage/production; released in triage/dev"
    )


def test_before_there_is_a_file_fine_tunes_are_found(repo: Path, command: Command) -> None:
    (repo / "fftdeploy.toml").write_text("version = 1\n")
    add("src/app.py", f'call("{V8}")\nother("{LUNA}")\n')

    result = command("scan", "--json")

    [found] = json.loads(result.out)["findings"]
    assert (result.code, found["path"], found["line"]) == (12, "src/app.py", 1)
    assert found["message"] == f"{V8} is written down, and there is no deployments.toml yet"
    assert found["hint"] == f"fftdeploy init --live {V8}"
    assert command("scan", "--file", "deployments.toml").code == 3, (
        "one that is named must be there"
    )


def test_many_targets_are_told(repo: Path, command: Command) -> None:
    write(*(table(f"task{number}/dev", LUNA, []) for number in range(8)))
    add("a.txt", LUNA)

    result = command("scan", "--json")

    assert json.loads(result.out)["findings"][0]["message"] == (
        f"{LUNA} is live in {', '.join(f'task{number}/dev' for number in range(8))}"
    )


@pytest.mark.parametrize("where", [".", "src"])
def test_annotations_name_the_line_from_the_root_and_are_ten(
    file: Path, command: Command, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    add("src/a.txt", f"{V8}\n" * 14)
    monkeypatch.chdir(where)

    result = command("scan", "--format", "github")

    message = f"triage/production: {V8} is live in triage/production"
    assert runner_commands(result.out) == [
        f"::error file=src/a.txt,line={number},title=literal-model::{message}"
        for number in range(1, 11)
    ]
    assert result.out.endswith(
        "4 of these have no annotation\n1 file, 0.0 MB: 14 model IDs written down\n"
    )


def test_it_stops_at_a_thousand(file: Path, command: Command) -> None:
    add("a.txt", f"{V8}\n" * 999)
    add("b.txt", f"{V8}\n")
    exact = json.loads(command("scan", "--json").out)
    add("c.txt", f"{V8}\n")
    more = json.loads(command("scan", "--json").out)
    text = command("scan").out

    assert (len(exact["findings"]), exact["complete"]) == (1000, True)
    assert (len(more["findings"]), more["complete"]) == (1000, False)
    assert "stopped at 1,000 findings: there are more\n" in text


HOSTILE = [
    *(p for p in PAYLOADS if p and "\0" not in p and len(p.encode(errors="replace")) < 200),
    "a\nb",
    "::error::x",
    "a\n::error::x\n",
    "\udcff\udcfe",
]


@pytest.mark.parametrize("form", get_args(Format))
def test_F1_F2_names_of_files_are_text(file: Path, command: Command, form: str) -> None:
    names = [f"d{number}/{name.replace('/', '_')}" for number, name in enumerate(HOSTILE)]
    names = [name.replace("\ud800", "\udcff") for name in names]
    for name in names:
        add(os.fsencode(name), f"{V8}\n")

    result = command("scan", "--format", form)

    assert len(names) > 30
    assert result.code == 12
    assert harmless(result.out) == ""
    assert result.err == ""
    obeyed = runner_commands(result.out)
    assert len(obeyed) == (10 if form == "github" else 0)
    assert all(OUR_COMMAND.fullmatch(text) for text in obeyed)
    if form == "json":
        # A byte that is no text is shown as its escape.
        shown = [name.encode(errors="backslashreplace").decode() for name in names]
        assert sorted(f["path"] for f in json.loads(result.out)["findings"]) == sorted(shown)
    else:
        assert f"{len(names)} model IDs written down" in result.out.replace("\\", "")


# --- what is read -------------------------------------------------------------------------------


def test_only_what_git_tracks(file: Path, command: Command) -> None:
    for name in ("tracked.py", "gone.py", ".github/ci.yml", ".env", "forced.log"):
        add(name, V8)
    for name in ("new.py", "ignored.log"):
        Path(name).write_text(V8)
    Path(".gitignore").write_text("*.log\n")
    Path("gone.py").unlink()

    paths = [path for path, _, _ in found(command)]

    assert paths == [".env", ".github/ci.yml", "forced.log", "tracked.py"]


def test_git_names_files_and_neither_links_nor_submodules(file: Path) -> None:
    blob = git("hash-object", "-w", "deployments.toml")
    modes = {"run.sh": "100755", "link": "120000", "inner": "160000", "a*b": "100644"}
    for name, mode in modes.items():
        git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{name}")
    tracked = [fftgit.tracked(file, names, os.environ) for names in ([""], ["a*b"], ["a*"])]

    assert tracked == [["a*b", "deployments.toml", "run.sh"], ["a*b"], []]


def test_our_own_files_are_left_out(file: Path, command: Command) -> None:
    for name in (
        *(".fftdeploy/evidence/x.json", "team/.fftdeploy/x"),
        *("team/deployments.toml", "team/fftdeploy.toml"),
    ):
        add(name, V8)
    add("fftdeploy.toml", f'{POLICY}base = {{ model = "{LUNA}" }}\n')
    add("deployments.toml.bak", V8)
    add("other/.fftdeployed", V8)

    paths = [path for path, _, _ in found(command)]

    # Errors first; second files are listed, and not looked into.
    assert paths == [
        *("deployments.toml.bak", "other/.fftdeployed"),
        *("team/deployments.toml", "team/fftdeploy.toml"),
    ]


def test_a_file_of_another_name_is_left_out_too(file: Path, command: Command) -> None:
    git("mv", "deployments.toml", "models.toml")
    add("copy.toml", Path("models.toml").read_bytes())

    paths = {path for path, _, _ in found(command, "--file", "models.toml")}

    assert paths == {"copy.toml"}


def test_H15_links_and_submodules_are_not_followed(
    file: Path, command: Command, tmp_path: Path
) -> None:
    outside = tmp_path / "secret"
    outside.write_text(V8)
    Path("link").symlink_to(outside)
    Path("folder").symlink_to(tmp_path)
    git("add", "link", "folder")
    git("init", "--quiet", "inner")
    Path("inner/a.txt").write_text(V8)
    git("-C", "inner", "add", "a.txt")
    git("-C", "inner", "commit", "--quiet", "--message=x")
    git("-c", "advice.addEmbeddedRepo=false", "add", "inner")
    # What git knows as a file may have become a link, a folder or a pipe since.
    for name in ("turned", "pipe", "grown"):
        add(name, V8)
        Path(name).unlink()
    Path("turned").symlink_to(outside)
    os.mkfifo("pipe")
    Path("grown").mkdir()

    assert found(command) == []
    assert found(command, "link", "turned", "pipe") == []
    assert [path for path, _, _ in found(command, "inner")] == ["inner/a.txt"]


def test_binary_large_and_unreadable_files(
    file: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanned_files, "MAX_BYTES", 2_000_000)
    add("binary", b"\0" + V8.encode())
    add("edge", b"x" * 8191 + b"\0" + V8.encode())
    add("late", b"x" * 8192 + b"\0" + V8.encode())
    add("large", b"x" * 2_000_001)
    add("fits", V8.encode() + b" " * (2_000_000 - len(V8)))
    add("empty", b"")

    notice = ("large", None, "unread")
    assert found(command) == [
        *(("fits", 1, "literal-model"), ("late", 1, "literal-model")),
        notice,
    ]
    assert found(command, "large") == [notice]
    assert "not looked at: larger than 2 MB" in command("scan", "large").out


def test_a_file_that_cannot_be_read_is_named(file: Path, command: Command) -> None:
    """The name of a file is longer than the system allows: root may read everything else."""
    add("a.txt", V8)
    name = "x" * 300
    blob = git("hash-object", "-w", "a.txt")
    git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")

    assert found(command) == [("a.txt", 1, "literal-model"), (name, None, "unread")]
    assert "not looked at: file name too long" in command("scan").out


def test_what_is_staged_in_conflict_is_read_once(file: Path, command: Command) -> None:
    git("commit", "--quiet", "--message=start")
    for branch, text in (("one", V8), ("two", V9)):
        git("checkout", "--quiet", "-b", branch, "main")
        add("a.txt", text)
        git("commit", "--quiet", "--message=x")
    subprocess.run(["git", "merge", "--quiet", "one"], check=False, capture_output=True)

    paths = [(path, line) for path, line, _ in found(command)]

    assert paths == [("a.txt", 2), ("a.txt", 4)]


# --- where it looks -----------------------------------------------------------------------------


@pytest.fixture
def tree(file: Path) -> Path:
    for name in ("src/a.py", "src/deep/b.py", "src2/c.py", "top.py", "-dash"):
        add(f"./{name}", V8)
    return file


PATHS = {
    "nothing": ([], ["-dash", "src/a.py", "src/deep/b.py", "src2/c.py", "top.py"]),
    "a folder": (["src"], ["src/a.py", "src/deep/b.py"]),
    "a folder and a slash": (["src/"], ["src/a.py", "src/deep/b.py"]),
    "here": (["."], ["-dash", "src/a.py", "src/deep/b.py", "src2/c.py", "top.py"]),
    "a file": (["src/a.py"], ["src/a.py"]),
    "some files": (["top.py", "src/deep/b.py"], ["src/deep/b.py", "top.py"]),
    "one in the other": (["src", "src/a.py", "src"], ["src/a.py", "src/deep/b.py"]),
    "round about": (["src/../src2"], ["src2/c.py"]),
    "a dash": (["--", "-dash"], ["-dash"]),
}


@pytest.mark.parametrize(("words", "paths"), PATHS.values(), ids=PATHS)
def test_paths(tree: Path, command: Command, words: list[str], paths: list[str]) -> None:
    result = command("scan", "--json", *words)

    assert [item["path"] for item in json.loads(result.out)["findings"]] == paths


def test_paths_are_spelled_from_where_one_is(
    tree: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("src")

    assert [path for path, _, _ in found(command, ".")] == ["a.py", "deep/b.py"]
    assert [path for path, _, _ in found(command, "../top.py")] == [str(tree / "top.py")]
    assert len(found(command)) == 5


def test_a_path_that_is_not_there(tree: Path, command: Command) -> None:
    assert command("scan", "src", "nowhere/x\n::error::y") == (
        2,
        "",
        "error: no such file or folder: 'nowhere/x\\n::error::y'\nhint: fftdeploy scan PATH...\n",
    )


def test_a_path_that_git_does_not_track(tree: Path, command: Command) -> None:
    Path("new.py").write_text(V8)

    assert command("scan", "new.py") == (
        0,
        "0 files, 0.0 MB: 0 model IDs written down\n",
        "note: git tracks no file here: new.py\n",
    )


def places(ended: Result) -> set[tuple[str, int]]:
    return {(found["path"], found["line"]) for found in json.loads(ended.out)["findings"]}


def test_J1_an_empty_index_hides_nothing(tree: Path, command: Command) -> None:
    whole = command("scan", "--json")
    git("read-tree", "--empty")

    emptied = command("scan", "--json")

    assert (emptied.code, whole.code) == (12, 12)
    assert "note: git's index is empty: looking at all files" in emptied.err
    assert places(emptied) == places(whole)


INDEXES = {
    "emptied": ("read-tree", "--empty"),
    "of-another-commit": ("read-tree", "HEAD~1"),
    "without-them": ("rm", "--cached", "-rq", "src", "top.py"),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_J2_what_head_has_is_looked_at_whatever_the_index_has(
    tree: Path, command: Command, kind: str
) -> None:
    git("commit", "--quiet", "--message=one", "--", "deployments.toml")
    git("commit", "--quiet", "--message=all")
    whole = command("scan", "--json")
    git(*INDEXES[kind])

    done = command("scan", "--json")

    assert (done.code, places(done)) == (12, places(whole))
    assert done.err == ""


def test_J2_what_was_deleted_is_not_looked_at(tree: Path, command: Command) -> None:
    git("commit", "--quiet", "--message=all")
    whole = command("scan", "--json")
    git("rm", "--quiet", "top.py")
    Path("src/a.py").unlink()

    done = command("scan", "--json")

    assert {path for path, _ in places(whole) - places(done)} == {"top.py", "src/a.py"}


@pytest.mark.parametrize("cone", ["--cone", "--no-cone"])
def test_J2_a_sparse_checkout_hides_nothing(
    tree: Path, command: Command, cone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("binary", b"\0" + V8.encode())
    add("large", b"x" * 2_000_001)
    git("commit", "--quiet", "--message=all")
    monkeypatch.setattr(scanned_files, "MAX_BYTES", 2_000_000)
    whole = command("scan", "--json")
    git("sparse-checkout", "set", cone, *(["src2"] if cone == "--cone" else ["/src2/", "/*.toml"]))
    assert not Path("src").exists()

    done = command("scan", "--json")

    assert (done.code, places(done)) == (12, places(whole))
    assert done.err.startswith("note: ")
    assert done.err.endswith(" files not on the disk: looking at what git has\n")
    assert json.loads(done.out)["bytes"] == json.loads(whole.out)["bytes"]


def test_J1_what_is_neither_on_the_disk_nor_in_the_clone_is_asked_for(
    tree: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("src/more.py", f"MORE = {V8!r}")
    git("commit", "--quiet", "--message=all")
    git("config", "uploadpack.allowFilter", "true")
    whole = command("scan", "--json")
    git("clone", "-q", "--filter=blob:none", "--sparse", tree.as_uri(), str(tmp_path / "partial"))
    monkeypatch.chdir(tmp_path / "partial")

    refused = command("scan", "--json")
    subprocess.run(json.loads(refused.out)["error"]["hint"], shell=True, check=True)  # noqa: S602  as it is printed
    done = command("scan", "--json")

    assert (refused.code, done.code) == (2, 12)
    assert places(done) == places(whole)


def test_another_repository_than_that_of_the_file(
    tree: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    git("init", "--quiet")
    add("app/x.py", V8)
    add("docs/x.py", V8)
    (tree / "fftdeploy.toml").write_text(f'{POLICY}\n[scan]\nignore = ["/docs"]\n')
    words = ("--file", tree / "deployments.toml")

    assert [path for path, _, _ in found(command, ".", *words)] == ["app/x.py"]
    both = [path for path, _, _ in found(command, ".", tree / "src", *words)]
    assert both == ["app/x.py", str(tree / "src/a.py"), str(tree / "src/deep/b.py")]


def test_C16_a_linked_work_tree(tree: Path, command: Command, tmp_path: Path) -> None:
    git("commit", "--quiet", "--message=x")
    git("worktree", "add", "--quiet", str(tmp_path / "linked"))

    result = command("scan", "--json", "--file", tmp_path / "linked" / "deployments.toml")

    assert len(json.loads(result.out)["findings"]) == 5


def outside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (folder / ".git").rename(folder.parent / "hidden.git")
    return "not in a git repository"


def without_git(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PATH", "/nonexistent")
    return "there is no git on PATH"


def corrupt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (folder / ".git" / "HEAD").write_text("nonsense")
    return f"{str(folder)!a} is not in a git work tree: "


@pytest.mark.parametrize("break_it", [outside, without_git, corrupt])
def test_C14_C15_without_git_all_is_read_but_hidden_folders(
    tree: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    break_it: Callable[[Path, pytest.MonkeyPatch], str],
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tree.parent))
    for name in (".venv/lib.py", "src/.cache/x.py", "src/new.py", ".env"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(V8)
    Path("src/link.py").symlink_to("a.py")
    Path("src/folder").symlink_to("..")
    (tree / "fftdeploy.toml").write_text(f'{POLICY}\n[scan]\nignore = ["src/deep/**"]\n')
    why = break_it(tree, monkeypatch)

    result = command("scan", "--json", "src", "top.py", "src/a.py", ".env")

    paths = [item["path"] for item in json.loads(result.out)["findings"]]
    assert sorted(paths) == [".env", "src/a.py", "src/new.py", "top.py"]
    assert result.err.startswith(f"note: {why}")
    assert result.err.endswith(f": looking at all files of {tree} but in hidden folders\n")
    assert result.err.count("\n") == 1


def test_C18_C19_nothing_redirects_git_or_runs(
    tree: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentinel = tmp_path / "sentinel"
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {sentinel}\n")
    evil.chmod(0o755)
    for key in ("core.fsmonitor", "core.pager", "pager.ls-files", "diff.external"):
        git("config", key, str(evil))
    git("config", "filter.x.clean", str(evil))
    git("config", "filter.x.smudge", str(evil))
    add(".gitattributes", "*.py filter=x\n")
    sentinel.unlink(missing_ok=True)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))

    assert len(found(command)) == 5
    assert not sentinel.exists()
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name)
    git("status")  # the control: plain git runs it
    assert sentinel.exists()


def test_git_is_asked_little_whatever_the_number_of_files(
    tree: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("commit", "--quiet", "--message=x")
    log, real = tmp_path / "log", shutil.which("git")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {real} "$@"\n')
    (tmp_path / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    assert len(found(command, "top.py", "src", "src/a.py", "src2")) == 4
    assert log.read_text().count("\n") == 3
    assert "ls-files" in log.read_text()


# --- what is left out ---------------------------------------------------------------------------


def test_the_policy_leaves_files_out(tree: Path, command: Command) -> None:
    add("docs/guide/a.md", V8)
    add("nb/x.ipynb", V8)
    before = len(found(command))
    add("fftdeploy.toml", f'{POLICY}\n[scan]\nignore = ["docs/**", "*.ipynb", "deep/"]\n')

    after = [path for path, _, _ in found(command)]

    assert before == 7
    assert after == ["-dash", "src/a.py", "src2/c.py", "top.py"]


BAD = {
    "exclude = []": ("unknown key 'exclude'", 2),
    'ignore = "docs"': ("'ignore' must be an array of patterns, not a string", 2),
    'ignore = [\n"a", 1]': ("'ignore' must be a string such as \"docs/**\", not an integer", 3),
    'ignore = [\n"a",\n"!b"]': ("'!b' can't take back what another pattern leaves out", 4),
    'ignore = ["a//b"]': ("'a//b' has an empty, `.` or `..` segment", 2),
    'ignore = ["../b"]': ("'../b' has an empty, `.` or `..` segment", 2),
    'ignore = [""]': ("'' must be 1 to 500 characters, not 0", 2),
    "ignore = ['a\\b']": ("'a\\\\b' has a backslash: put a special character in [brackets]", 2),
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_pattern_is_named_with_its_line(file: Path, command: Command, text: str) -> None:
    message, line = BAD[text]
    Path("fftdeploy.toml").write_text(f"version = 1\n[scan]\n{text}\n")

    result = command("scan")

    assert (result.code, result.out) == (3, "")
    assert f"error: {message}" in result.err
    assert f"(fftdeploy.toml:{line + 1}:" in result.err


def test_patterns_mean_what_they_mean_to_git(repo: Path) -> None:
    """5,000 pairs and more, 0 wrong; the control, `fnmatch` of the whole path, is wrong."""
    choose = random.Random(7)
    segments = ("a", "b", "*", "a*", "?", "**", "[ab]", "[!a]", "*.py", "x.py", ".a")
    patterns = {random_pattern(choose, segments) for _ in range(400)}
    patterns = {pattern for pattern in patterns if not pattern_problem(pattern)}
    names = ("a", "b", "ab", "x.py", ".a", "c")
    paths = {"/".join(choose.choices(names, k=choose.randint(1, 4))) for _ in range(60)}
    wrong, control, tried = [], 0, 0
    for pattern in sorted(patterns)[:160]:
        expected = ignored_by_git(repo, pattern, sorted(paths))
        glob = compile_glob(pattern)
        for path in sorted(paths):
            tried += 1
            if glob.matches(path.split("/")) != (path in expected):
                wrong.append((pattern, path))
            control += fnmatchcase(path, pattern) != (path in expected)

    assert (wrong, control > 500, tried > 5000) == ([], True, True)


def random_pattern(choose: random.Random, segments: tuple[str, ...]) -> str:
    body = "/".join(choose.choices(segments, k=choose.randint(1, 4)))
    return choose.choice(("", "", "/")) + body + choose.choice(("", "", "/"))


def ignored_by_git(repo: Path, pattern: str, paths: list[str]) -> set[str]:
    """Ask git itself; nothing of this exists, so that each path is taken for a file."""
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "exclude").write_text(f"{pattern}\n")
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin", "-z"],
        input="\0".join(paths),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}
    return {path for path in done.stdout.split("\0") if path}


def test_H14_a_pattern_costs_no_more_than_its_length() -> None:
    """`*a*a*a...` and `**/**/...` would take years with backtracking."""
    name = "a" * 200
    star = compile_glob("*a" * 100 + "b")
    folders = compile_glob("/".join(["**", "a"] * 40) + "/b")

    assert not star.matches([name])
    assert not folders.matches(["a"] * 300)
    assert star.matches([name + "b"])
    assert folders.matches([*["a"] * 300, "b"])


def test_what_the_policy_declares_as_exports_is_written_down_on_purpose(
    file: Path, command: Command
) -> None:
    names = {f"deploy/{kind}": kind for kind in ("flagd", "litellm", "dotenv", "json")}
    declared = "".join(f'"{name}" = "{kind}"\n' for name, kind in names.items())
    Path("fftdeploy.toml").write_text(f"version = 1\n[exports]\n{declared}")
    Path("deploy").mkdir()
    assert command("export").code == 0
    add("deploy/other.json", Path("deploy/json").read_text())
    git("add", ".")

    assert {path for path, *_ in found(command)} == {"deploy/other.json"}
    assert found(command, *names) == [], "as a hook of pre-commit asks"
    Path("fftdeploy.toml").write_text("version = 1\n")
    assert {path for path, *_ in found(command)} == {*names, "deploy/other.json"}  # the control
