"""Rows F1 to F5 on GitHub: annotations, job summary, outputs, and the comment on a pull request."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import ROOT
from hostile_text import FORBIDDEN, PAYLOADS, runner_commands
from markdown_it import MarkdownIt
from proposals import UNSETTLED, Change, commit
from scenes import POLICY_FILE, V8, V9, V10

PAGES = ROOT / "docs" / "pull-requests"
MARKER = "<!-- fftdeploy:check -->\n"
LIMIT = 65_000


@pytest.fixture
def job(change: Change, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A GitHub job's folder, with the files that its runner has made."""
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        (tmp_path / name).touch()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    return tmp_path


def outputs(path: Path) -> dict[str, str]:
    """Read a step's outputs as the runner does."""
    found, lines = {}, iter(path.read_text().splitlines())
    for line in lines:
        name, _, mark = line.partition("<<")
        values = []
        for value in lines:
            if value == mark:
                break
            values.append(value)
        found[name] = "\n".join(values)
    return found


def steady(text: str) -> str:
    """Take out what two runs say differently: latencies, hashes over them, the room they take."""
    text = re.sub(r"\b[0-9a-f]{32}\b|\b[0-9a-f]{12}\b", "ID", text)
    text = re.sub(r"\b[\d,]+ ms\b", "N ms", text)
    text = re.sub(r"\| latency,[^\n]*\n", "", text)  # none where the median is 0 ms
    return re.sub(r"(?<=--)-+|(?<= ) +", "", text)


def test_F2_F4_a_job_gets_annotations_a_summary_and_outputs(change: Change, job: Path) -> None:
    change.good()
    commit("change")

    done = change.command("check", "--base", "main", "--offline")

    first, second, third, *_ = done.out.splitlines()
    evidence = change.made.evidence["pass"]
    claimed = f"evidence {evidence[:12]} is claimed in this change: nobody here saw it made"
    assert done.code == 12
    assert (first, third[:20]) == (
        f"::error file=deployments.toml,line=14,title=claimed::triage/production: {claimed}",
        "changes against main",
    )
    assert second.startswith("::notice file=deployments.toml,line=23,title=no-rollback::refunds")
    assert outputs(job / "GITHUB_OUTPUT") == {
        "outcome": "finding",
        "exit_code": "12",
        "model": V10,
        "previous": V8,
        "evidence": evidence,
    }
    summary = (job / "GITHUB_STEP_SUMMARY").read_text()
    assert summary.startswith("**Blocked: triage/production: evidence ")
    cells = [cell.strip() for cell in summary.split("|")]
    where = cells.index("release 4, from staging")
    assert cells[where - 1 : where + 3] == [
        "promote",
        "release 4, from staging",
        f"`{V8}`",
        f"`{V10}`",
    ]


def test_F4_a_failure_is_in_the_summary_and_in_the_outputs(change: Change, job: Path) -> None:
    done = change.command("check", "--base", "no-such-ref")

    assert (done.code, done.out) == (
        2,
        "::error title=no-commit::git has no commit 'no-such-ref' here\n",
    )
    assert outputs(job / "GITHUB_OUTPUT") == {"outcome": "usage", "exit_code": "2"}
    assert (job / "GITHUB_STEP_SUMMARY").read_text() == (
        "**error** (usage): git has no commit 'no-such-ref' here\n\n"
        "hint: git branch --all\n"  # there is no remote
    )


def test_a_report_in_a_job_names_its_evidence(change: Change, job: Path) -> None:
    change.good()
    evidence = change.made.evidence["pass"]

    done = change.command("report", evidence)

    assert done.code == 0, done.err
    assert outputs(job / "GITHUB_OUTPUT") == {
        "outcome": "ok",
        "exit_code": "0",
        "evidence": evidence,
    }
    assert (job / "GITHUB_STEP_SUMMARY").read_text() != ""


def test_what_a_program_reads_is_the_same_in_a_job(change: Change, job: Path) -> None:
    done = change.command("resolve", "triage/production")

    assert done == (0, f"{V8}\n", "")
    assert (job / "GITHUB_STEP_SUMMARY").read_text() == ""


@pytest.mark.parametrize("missing", ["no/such/file", "."])
def test_F4_a_runner_without_files_changes_nothing(
    change: Change, job: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", missing)

    done = change.command("check", "--base", "main", "--offline")

    assert done.code == 0
    assert "warning: GITHUB_STEP_SUMMARY: " in done.err


def unsettled(change: Change) -> None:
    """Propose what 67 examples can't tell from what is live."""
    change.base(lambda _: POLICY_FILE.write_text(UNSETTLED))
    change.promote(V9, change.made.evidence["unsettled"])


@pytest.mark.parametrize(
    ("name", "act", "code"),
    [
        ("good", lambda c: c.good(), 0),
        ("blocked", lambda c: c.promote(V9, c.made.evidence["fail"]), 12),
        ("inconclusive", unsettled, 12),
    ],
)
def test_the_comments_in_the_documentation_are_what_is_written(
    change: Change, tmp_path: Path, name: str, act: Callable[[Change], object], code: int
) -> None:
    act(change)
    commit("change")
    argv = ("check", "--base", "main", "--offline", "--accept-claimed")

    done = change.command(*argv, "--comment", tmp_path / "comment.md")
    printed = change.command(*argv, "--format", "markdown")

    text = (tmp_path / "comment.md").read_text()
    assert (done.code, printed.code, printed.out) == (code, code, text)
    assert steady((PAGES / f"{name}.md").read_text()) == steady(text)


def rendered(text: str) -> set[str]:
    """Return what kinds of things a reader of the Markdown gets."""
    kinds = set()
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        kinds |= {token.type, *(child.type for child in token.children or ())}
        if token.type in {"html_block", "html_inline"}:
            kinds.add(token.content.strip())
    return kinds


def test_F1_F3_F5_hostile_words_do_nothing_in_a_comment(change: Change, job: Path) -> None:
    """Reasons, names and holds come with the pull request; so does what they look like."""
    tried = wrong = 0
    for payload in PAYLOADS:
        if not payload.isprintable() or len(payload) > 400 or "\\" in payload:
            continue  # the file may not say it
        change.good(why=payload, by=payload)
        done = change.command("check", "--base", "main", "--offline", "--comment", "c.md")
        text = Path("c.md").read_text()
        bad = rendered(text) & {"html_inline", "link_open", "image", "heading_open"}
        bad |= rendered(text) & {"fence", "code_block"}
        summary = (job / "GITHUB_STEP_SUMMARY").read_text()
        wrong += bool(bad or FORBIDDEN.search(text + summary))
        obeyed = runner_commands(done.out)
        wrong += any(not row.startswith(("::error ", "::notice ")) for row in obeyed)
        tried += 1
        change.restore()
    print(f"{tried} hostile reasons tried, {wrong} wrong")
    assert (tried > 20, wrong) == (True, 0)


def test_F5_control_the_same_words_unescaped_would_do_something() -> None:
    text = "<img src=x onerror=y>\n\n[x](http://e)\n\n![x](http://e)\n\n# x"

    assert rendered(text) >= {"html_block", "link_open", "image", "heading_open"}


def test_a_comment_on_a_thousand_changes_can_be_posted(change: Change) -> None:
    rows = [f'\n[task{number}.staging]\nmodel = "{V9}"\n' for number in range(1000)]
    with Path("deployments.toml").open("a") as file:
        file.writelines(rows)

    done = change.command("check", "--base", "main", "--offline", "--comment", "c.md")

    text = Path("c.md").read_text()
    assert done.code == 0
    assert 40_000 < len(text) < LIMIT
    assert text.endswith("More was left out for its length: the command line shows all of it.\n")
    assert text.startswith(f"{MARKER}**May be merged")
