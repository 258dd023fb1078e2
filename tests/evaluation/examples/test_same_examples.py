"""Examples that a checkout, an editor or Git LFS has changed, and not in what they say."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Command, git
from gated import EXAMPLES, TARGET, asked, evidence, promote, scene
from proposals import Change, bring, commit
from scenes import FILE, V8, V10

from fftdeploy.sandbox import Sandbox

BOM = b"\xef\xbb\xbf"
LAYOUTS: dict[str, Callable[[bytes], bytes]] = {
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "BOM": lambda data: BOM + data,
    "blank lines": lambda data: b"\n" + data.replace(b"\n", b"\n\n"),
    "all": lambda data: BOM + b"\r\n" + data.replace(b"\n", b"\r\n \r\n").rstrip(),
}


def unnamed() -> None:
    """Take the IDs out of the examples: they are called by their lines then."""
    lines = [json.loads(line) for line in EXAMPLES.read_text().splitlines()]
    EXAMPLES.write_text("".join(json.dumps({**line, "id": None}) + "\n" for line in lines))


def marks(text: str) -> tuple[object, ...]:
    """Return what evidence says of which examples."""
    found = json.loads(text)
    return found["ids"], found["examples"], [arm["marks"] for arm in found["answers"]]


def test_J10_evidence_is_about_the_same_examples_and_a_stopped_run_goes_on(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    waits = scene(V8, V10)
    unnamed()
    examples = EXAMPLES.read_bytes()
    command("eval", TARGET)
    (before,) = evidence()
    (log,) = Path(".fftdeploy/runs").glob("*.jsonl")
    said, lines = marks(before.read_text()), log.read_bytes().splitlines(keepends=True)
    requests = asked(sandbox)
    for laid_out in LAYOUTS.values():
        FILE.write_bytes(waits)
        EXAMPLES.write_bytes(laid_out(examples))

        verified, again, promoted = command("verify"), command("eval", TARGET), promote(command)

        assert "as it was" in verified.out, verified
        assert (again.code, promoted.code) == (0, 0), (again, promoted)
        assert evidence() == [before], "nothing new was found out"
        assert command("check", "--offline").code == 0
    assert asked(sandbox) - requests < 10 * len(LAYOUTS), "probes, and no example"

    FILE.write_bytes(waits)
    for laid_out in LAYOUTS.values():
        log.write_bytes(b"".join(lines[:100]))  # as a kill leaves it
        for path in evidence():
            path.unlink()
        EXAMPLES.write_bytes(laid_out(examples))
        requests = asked(sandbox)

        ended = command("eval", TARGET)

        assert "going on with the run that was stopped" in ended.err
        assert asked(sandbox) - requests <= len(lines) - 1 - 100 + 4, "and four probes"
        (made,) = evidence()
        assert marks(made.read_text()) == said
        assert command("report", "-o", "report.html").code == 0
        assert Path("report.html").read_text().count("not in the log of the run") == 0


def test_J10_autocrlf_changes_no_examples(change: Change) -> None:
    """A checkout with CRLF, of examples that the base has with LF."""
    made = change.made.folder.parent / "made"
    change.base(lambda c: bring(made, c.made.evidence["pass"]))
    change.release(V10, evidence=change.made.evidence["pass"])
    commit("promote")
    git("config", "core.autocrlf", "true")
    EXAMPLES.unlink()
    git("checkout", "--", str(EXAMPLES))
    assert b"\r\n" in EXAMPLES.read_bytes(), "control: git has changed them"

    code, codes = change.judged()

    assert (code, codes) == (0, [""])
    assert "as it was" in change.command("verify").out


@pytest.mark.parametrize("layout", LAYOUTS)
def test_J10_a_change_that_only_lays_them_out_anew_is_none(change: Change, layout: str) -> None:
    change.good()
    EXAMPLES.write_bytes(LAYOUTS[layout](EXAMPLES.read_bytes()))
    commit("promote, and lay the examples out anew")

    code, codes = change.judged("--accept-claimed")

    assert (code, codes) == (0, [""])


def test_J10_control_another_answer_is_a_change_of_the_examples(change: Change) -> None:
    change.good()
    text = EXAMPLES.read_text()
    EXAMPLES.write_text(text.replace("refund", "billing", 1))
    commit("promote, and another answer")

    code, codes = change.judged("--accept-claimed")

    assert (code, bool(codes)) == (12, True)


# Git LFS.


def pointer(content: bytes) -> tuple[bytes, str]:
    oid = hashlib.sha256(content).hexdigest()
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
    return text.encode(), oid


def in_lfs(change: Change) -> tuple[bytes, Path]:
    """Let `main` have a pointer for the examples; return them, and where LFS would keep them."""
    content = EXAMPLES.read_bytes()
    text, oid = pointer(content)
    change.base(lambda _: EXAMPLES.write_bytes(text))
    return content, Path(".git/lfs/objects") / oid[:2] / oid[2:4] / oid


def test_J11_a_pointer_at_the_base_stands_for_what_is_here(change: Change) -> None:
    content, _ = in_lfs(change)
    change.good()
    commit("promote")
    EXAMPLES.write_bytes(content)  # as `git lfs pull` leaves it: git itself sees no change

    code, codes = change.judged("--accept-claimed")

    assert (code, codes) == (0, [""])


def test_J11_a_pointer_at_the_base_stands_for_what_lfs_has(change: Change) -> None:
    """The change edits the examples: what the base has is in the store of LFS."""
    content, kept = in_lfs(change)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    change.good()
    EXAMPLES.write_bytes(content + content.splitlines()[0].replace(b"t-001", b"t-new") + b"\n")
    commit("promote")

    code, codes = change.judged("--accept-claimed")

    assert code == 12
    assert "evidence" not in codes, "it was judged by what the base has"


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_J11_a_pointer_at_the_base_whose_file_is_not_here_is_named(
    change: Change, damage: str
) -> None:
    content, kept = in_lfs(change)
    if damage == "damaged":
        kept.parent.mkdir(parents=True)
        kept.write_bytes(content[:-1])
    change.good()
    EXAMPLES.write_bytes(content.replace(b"refund", b"billing", 1))
    commit("promote")

    ended = change.command("check", "--base", "main", "--offline")

    head = git("rev-parse", "main")
    assert (ended.code, ended.err.splitlines()) == (
        2,
        [
            f"error: evals/triage.jsonl of {head[:12]} is a Git LFS pointer: "
            "the file itself is not here",
            f"hint: git lfs fetch origin {head}, or git lfs pull",
        ],
    )


def test_J11_a_pointer_in_the_working_tree_is_named_before_the_base_is(change: Change) -> None:
    in_lfs(change)
    change.good()
    commit("promote")

    ended = change.command("check", "--base", "main", "--offline")

    assert (ended.code, ended.err.splitlines()) == (
        3,
        [
            "error: a Git LFS pointer: the file itself is not here (evals/triage.jsonl:1:1)",
            "hint: git lfs pull",
        ],
    )


def test_J11_a_conflict_at_the_base_is_named_as_the_bases(change: Change) -> None:
    content = EXAMPLES.read_text()
    lines = content.splitlines(keepends=True)
    broken = "".join([lines[0], "<<<<<<< HEAD\n", *lines[1:]])
    change.base(lambda _: EXAMPLES.write_text(broken))
    change.good()
    EXAMPLES.write_text(content)
    commit("promote, and settle the conflict")

    ended = change.command("check", "--base", "main", "--offline")

    assert ended.code == 3
    assert ended.err.startswith(
        "error: main is not valid itself: unresolved merge conflict at line 2 (evals/triage.jsonl:2"
    )


@pytest.mark.parametrize("name", ["deployments.toml", "fftdeploy.toml"])
def test_J11_a_pointer_in_the_place_of_a_toml_file_is_named(
    repo: Path, command: Command, name: str
) -> None:
    scene(V8, V10)
    Path(name).write_bytes(pointer(b"x")[0])

    ended = command("check", "--offline")

    assert (ended.code, ended.err.splitlines()) == (
        3,
        [
            f"error: a Git LFS pointer: the file itself is not here ({name}:1:1)",
            "hint: git lfs pull",
        ],
    )


# Examples of a task that has no target yet.


@pytest.mark.parametrize("content", ["{", '{"messages": []}\n', None], ids=["cut", "empty", "none"])
def test_check_reads_the_examples_of_a_task_without_a_target(
    repo: Path, command: Command, content: str | None
) -> None:
    scene(V8, V10)
    Path("deployments.toml").write_text("version = 1\n")
    whole = command("check", "--offline")
    if content is None:
        EXAMPLES.unlink()
    else:
        EXAMPLES.write_text(content)

    ended = command("check", "--offline")

    assert (whole.code, ended.code) == (0, 3)
    assert "evals/triage.jsonl" in ended.err


def test_check_of_one_task_does_not_read_the_examples_of_another(
    repo: Path, command: Command
) -> None:
    scene(V8, V10)
    policy = Path("fftdeploy.toml")
    gate = policy.read_text()[policy.read_text().index("[tasks.triage.gate]") :]
    policy.write_text(policy.read_text() + gate.replace("triage", "refunds"))
    Path("evals/refunds.jsonl").write_text("{")

    assert command("check", "--offline").code == 3
    assert command("check", "triage", "--offline").code == 0


# Why nothing was verified.


def test_check_says_why_nothing_was_verified(
    repo: Path, sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene(V8, V10)
    shutil.rmtree("evals")
    Path("fftdeploy.toml").unlink()
    said = "NOT VERIFIED with the API: no model was asked about"

    def why(*argv: str) -> tuple[str, bool, str | None]:
        document = json.loads(command("check", *argv, "--json").out)
        last = command("check", *argv).out.splitlines()[-1]
        return last, document["verified"], document["unverified_because"]

    online = why()
    assert (said in online[0], *online[1:]) == (False, True, None)
    assert why("--offline") == (said, False, "--offline")
    monkeypatch.delenv("OPENAI_API_KEY")
    unset = "OPENAI_API_KEY is not set"
    assert why() == (f"{said}: {unset}", False, unset)
    Path("deployments.toml").write_text("version = 1\n")
    assert why() == (f"{said}: there are no targets", False, "there are no targets")
