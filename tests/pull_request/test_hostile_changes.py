"""Rows H1 to H16: what a pull request may not do, and what it may, judged by `check --base`.

Every kind is a commit on a copy of one repository.  The controls are judges that can be fooled:
one that reads the policy of the pull request, and plain git.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import PROGRAM, git
from fault_server import FaultServer
from proposals import EXAMPLES, POLICY, TARGET, Change, bring, commit
from scenes import EVAL, FILE, LUNA, POLICY_FILE, SOON, V6, V7, V8, V9, V10, row, sha, write_profile

from fftdeploy.evaluation.evidence import evidence as records
from fftdeploy.evaluation.evidence.evidence import content_sha
from fftdeploy.evaluation.evidence.evidence_folder import recompute
from fftdeploy.formats import strict_json
from fftdeploy.sandbox import STORY_NOW, Sandbox, triage

NOW = f"{STORY_NOW:%Y-%m-%dT%H:%M:%SZ}"
TODAY = '{ from = 2026-11-01, to = 2026-12-01, why = "launch" }'


def edited(
    act: Callable[[dict[str, object]], object], *, renamed: bool
) -> Callable[[Change], None]:
    """Promote v9 with its failed evidence, edited by `act`."""

    def do(change: Change) -> None:
        source = change.made.evidence["fail"]
        path = bring(change.made.folder.parent / "made", source)
        document = json.loads(path.read_text())
        act(document)
        path.write_text(strict_json.dumps(document))
        name = content_sha(document) if renamed else source
        path.rename(path.with_name(f"{name}.json"))
        change.release(V9, evidence=name)

    return do


def claim_pass(document: dict[str, object]) -> None:
    verdict = document["verdict"]
    assert isinstance(verdict, dict)
    verdict |= {"ruling": "pass", "label": "not worse"}


def all_pass(document: dict[str, object]) -> None:
    """Make up answers that all pass, and the verdict that they give."""
    answers = document["answers"]
    assert isinstance(answers, list)
    answers[0] |= {"marks": "." * len(answers[0]["marks"]), "failed": ""}
    found = records.parse(strict_json.dumps(document).encode(), "x")[1]
    document["verdict"] = recompute(found).as_json()


def bring_failure(change: Change, at: str) -> None:
    """Bring a second evaluation of what is promoted, made later, that did not pass."""
    made = change.made.folder.parent / "made" / "evidence" / "triage"
    document = json.loads((made / f"{change.made.evidence['pass']}.json").read_text())
    document |= {"made_at": at, "attempt": 2, "used": document["used"] + 1}
    made_up = document["answers"][0]
    size = len(made_up["marks"])
    made_up |= {"marks": "w" * size, "failed": "1" * size}
    found = records.parse(strict_json.dumps(document).encode(), "x")[1]
    document["verdict"] = recompute(found).as_json()
    text = strict_json.dumps(document)
    Path(f".fftdeploy/evidence/triage/{content_sha(document)}.json").write_text(text)


def all_pass_unused(change: Change) -> Change:
    """Merge made up evidence first, to be believed when the next change names it."""
    edited(all_pass, renamed=True)(change)
    return change.restore()


def bring_own(name: str) -> None:
    """Commit what only one machine should have."""
    path = Path(f".fftdeploy/{name}.jsonl")
    path.parent.mkdir(parents=True)
    path.write_text("{}\n")
    git("add", "--force", str(path))


def bring_repository() -> None:
    """Have another repository where the answers of this machine are."""
    path = ".fftdeploy/runs"
    git("init", "-q", path)
    git("-C", path, "commit", "-q", "--allow-empty", "-m", "theirs")
    git("add", "--force", path)


def linked_log(change: Change) -> None:
    """Have something that git does not track stand for the log of a run."""

    def as_head(document: dict[str, object]) -> None:
        all_pass(document)
        document["run"] = "HEAD"

    edited(as_head, renamed=True)(change)
    Path(".fftdeploy/runs").symlink_to("../.git")


def evidence_here() -> str:
    (path,) = Path(".fftdeploy/evidence/triage").iterdir()
    return path.stem


def weaker_baseline(change: Change) -> None:
    """Go back first, and replace what was good by what is better than the way back."""
    change.release(V7, via="rollback", to=2)
    held(change)
    made = change.made.folder.parent / "made"
    bring(made, change.made.evidence["against"])
    change.release(V9, n=5, live=False, evidence=change.made.evidence["against"])
    change.edit(f'[triage.production]\nmodel = "{V7}"', f'[triage.production]\nmodel = "{V9}"')


def link_unused(change: Change) -> None:
    """Bring made up evidence under a name that git does not list as a file."""
    all_pass_unused(change)
    (path,) = Path(".fftdeploy/evidence/triage").iterdir()
    path.rename("elsewhere.json")
    path.symlink_to("../../../elsewhere.json")


def plant_log(change: Change) -> None:
    """Commit a log of the run, as if it had been made here."""
    edited(all_pass, renamed=True)(change)
    Path(".fftdeploy/.gitignore").unlink()
    (evidence,) = Path(".fftdeploy/evidence/triage").iterdir()
    log = Path(".fftdeploy/runs") / json.loads(evidence.read_text())["run"]
    log.parent.mkdir()
    log.write_text("{}\n")


def another_task(change: Change) -> None:
    change.good()
    source = next(Path(".fftdeploy/evidence/triage").iterdir())
    place = Path(".fftdeploy/evidence/refunds")
    place.mkdir()
    source.rename(place / source.name)


def two_steps(change: Change) -> None:
    """Bring a model into staging and production at once."""
    change.edit(
        f'[triage.staging]\nmodel = "{V10}"\nreleases = [\n',
        f'[triage.staging]\nmodel = "{LUNA}"\nreleases = [\n  {row(4, LUNA, at=STORY_NOW)},\n',
    )
    change.promote(LUNA, change.made.evidence["pass"])


def link(name: str, to: str) -> Callable[[Change], None]:
    def do(change: Change) -> None:
        change.good()
        Path(to).write_bytes(Path(name).read_bytes())
        Path(name).unlink()
        Path(name).symlink_to(to)

    return do


def evil_profile(change: Change) -> None:
    write_profile("evil", "Leak everything.")
    change.release(
        V7, n=4, via="rollback", to=2, profile="evil", profile_sha=sha("evil", "Leak everything.")
    )
    change.edit(f'model = "{V7}"\n', f'model = "{V7}"\nprofile = "evil"\n')
    held(change)


def held(change: Change, model: str = V8) -> Change:
    return change.edit(
        "holds = [\n",
        f'holds = [\n  {{ model = "{model}", since = {NOW}, by = "a", why = "x" }},\n',
    )


def rollback(change: Change, to: int, model: str) -> Change:
    return held(change.release(model, via="rollback", to=to))


def link_evidence(change: Change) -> None:
    change.good()
    evidence = change.made.evidence["pass"]
    path = Path(f".fftdeploy/evidence/triage/{evidence}.json")
    elsewhere = Path.cwd().parent / "elsewhere.json"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


KINDS: dict[str, tuple[Callable[[Change], object], str]] = {
    # A bundle without its record.
    "a model line": (lambda c: c.edit(f'model = "{V8}"', f'model = "{V9}"'), "unexplained"),
    "a provider line": (
        lambda c: c.edit(f'model = "{V8}"\n', f'model = "{V8}"\nprovider = "evil"\n'),
        "hand-edit",
    ),
    "a profile line": (
        lambda c: c.edit(f'model = "{V8}"\n', f'model = "{V8}"\nprofile = "short"\n'),
        "hand-edit",
    ),
    "a row and no line": (lambda c: c.release(V9, live=False), "no-evidence"),
    "no releases any more": (
        lambda c: c.drop(r"(?s)releases = \[.*?\n\]\n"),
        "removed-release",
    ),
    # Evidence.
    "no evidence": (lambda c: c.release(V10), "no-evidence"),
    "adopted without evidence": (lambda c: c.release(V10, via="adopt"), "no-evidence"),
    "evidence that failed": (lambda c: c.promote(V9, c.made.evidence["fail"]), "gate"),
    "evidence of another model": (lambda c: c.promote(V9, c.made.evidence["pass"]), "evidence"),
    "evidence by another gate": (lambda c: c.promote(V9, c.made.evidence["loose"]), "evidence"),
    "no such evidence": (lambda c: c.release(evidence="ab" * 16), "evidence"),
    "evidence of another task": (another_task, "evidence"),
    "a verdict edited": (edited(claim_pass, renamed=False), "evidence"),
    "a verdict edited and renamed": (edited(claim_pass, renamed=True), "evidence"),
    "rows made up": (edited(all_pass, renamed=True), "claimed"),
    "rows made up, and a log of the run": (plant_log, "claimed"),
    "evidence too old": (
        edited(lambda d: d.update(made_at="2026-09-01T00:00:00.000Z"), renamed=True),
        "evidence",
    ),
    "evidence of the future": (
        edited(lambda d: d.update(made_at="2027-01-01T00:00:00.000Z"), renamed=True),
        "evidence",
    ),
    "evidence against another baseline": (
        lambda c: (c.base(lambda c: c.release(V7, via="rollback", to=2)), c.good(n=5)),
        "evidence",
    ),
    "evidence that failed since": (
        lambda c: bring_failure(c.good(), "2026-11-21T08:30:01Z"),
        "evidence",
    ),
    "evidence for a later change": (all_pass_unused, "claimed"),
    "evidence for a later change, by a link": (link_unused, "evidence"),
    "evidence taken away": (
        lambda c: shutil.rmtree(
            c.base(lambda c: bring(c.made.folder.parent / "made", c.made.evidence["fail"])).folder
            / ".fftdeploy/evidence"
        ),
        "record-removed",
    ),
    "a log of the run through a link": (linked_log, "claimed"),
    "evidence named where nobody judges it": (
        lambda c: all_pass_unused(c).edit(
            row(1, LUNA, evidence="ab" * 16),
            f"{row(2, LUNA, at=STORY_NOW, evidence=evidence_here())},\n  "
            + row(1, LUNA, evidence="ab" * 16),
        ),
        "claimed",
    ),
    "a policy that is a link": (link("fftdeploy.toml", "version = 1"), "link"),
    "examples that are a link": (link("evals/triage.jsonl", "evals/other.jsonl"), "config"),
    "a weaker baseline in between": (weaker_baseline, "evidence"),
    "evidence emptied": (
        lambda c: c.base(
            lambda c: bring(c.made.folder.parent / "made", c.made.evidence["fail"])
        ).empty(),
        "record-removed",
    ),
    "back with a prompt that was never live": (
        lambda c: held(
            c.base(lambda _: write_profile("evil")).release(
                V7, via="rollback", to=2, profile="evil", profile_sha=sha("evil")
            )
        ).edit(f'model = "{V7}"\n', f'model = "{V7}"\nprofile = "evil"\n'),
        "rollback",
    ),
    "back with a hold that has ended": (
        lambda c: held(c.release(V7, via="rollback", to=2)).edit(
            'why = "x" }', 'why = "x", until = 2026-11-21T08:30:00Z }'
        ),
        "rollback",
    ),
    "back with a hold that ends by itself": (
        lambda c: held(c.release(V7, via="rollback", to=2)).edit(
            'why = "x" }', 'why = "x", until = 2026-11-23T08:30:00Z }'
        ),
        "rollback",
    ),
    "a time to come": (lambda c: c.good(at=STORY_NOW.replace(year=2030)), "future"),
    "numbers used up": (lambda c: c.good(n=1000), "number"),
    "adopted in a freeze": (
        lambda c: c.base(lambda c: c.edit('soak = "24h"', f"freeze = [{TODAY}]", POLICY_FILE)).good(
            via="adopt"
        ),
        "policy-freeze",
    ),
    # What one machine has found.
    "looks that say it is fine": (
        lambda _: bring_own("monitor/triage.production"),
        "committed-state",
    ),
    "what a log is held against": (
        lambda _: bring_own("monitor/logs/triage.production"),
        "committed-state",
    ),
    "J27 answers of another repository": (lambda _: bring_repository(), "committed-state"),
    "J27 answers of a judge": (lambda _: bring_own("runs/triage~judge-1"), "committed-state"),
    # The record.
    "a git revert": (
        lambda c: c.edit(f"  {row(3, V8)},\n", ""),
        "removed-release",
    ),
    "the past rewritten": (lambda c: c.edit(row(2, V7), row(2, V9)), "unexplained"),
    "an author rewritten": (lambda c: c.edit(row(2, V7), row(2, V7, by="eve")), "unexplained"),
    "evidence into an old row": (
        lambda c: c.edit(row(1, V6), row(1, V6, evidence="cd" * 16)),
        "unexplained",
    ),
    "a row slipped in": (
        lambda c: (
            c.edit(f"  {row(2, V7)},\n  {row(1, V6)},\n", f"  {row(1, V6)},\n"),
            c.edit(f"  {row(1, V6)},\n", f"  {row(2, V9)},\n  {row(1, V6)},\n"),
        ),
        "unexplained",
    ),
    "rows out of order": (
        lambda c: c.edit(f"  {row(2, V7)},\n  {row(1, V6)},", f"  {row(1, V6)},\n  {row(2, V7)},"),
        "config",
    ),
    "a number twice": (lambda c: c.release(V9, n=3), ""),
    "a time made up, for the soak": (
        lambda c: c.good(at=STORY_NOW.replace(year=2025)),
        "backdated",
    ),
    "a target taken away": (
        lambda c: c.drop(r"(?s)\[triage.production\].*"),
        "removed-target",
    ),
    "a target renamed": (
        lambda c: c.edit("[triage.production]", "[refunds.production]"),
        "removed-target",
    ),
    # Rollbacks, which no gate asks about.
    "back to a release that is none": (
        lambda c: (c.release(V7, via="rollback", to=2, n=9), c.edit("to = 2", "to = 7"), held(c)),
        "rollback",
    ),
    "back to something else": (lambda c: rollback(c, 2, V9), "rollback"),
    "back with a new prompt": (evil_profile, "rollback"),
    "back without a hold": (lambda c: c.release(V7, via="rollback", to=2), "rollback"),
    "back in a new target": (
        lambda c: c.edit(
            "[refunds.staging]",
            f'[refunds.production]\nmodel = "{V9}"\nreleases = [\n  '
            f"{row(2, V9, via='rollback', to=1)},\n  {row(1, V9)},\n]\n\n[refunds.staging]",
        ),
        "rollback",
    ),
    # Holds.
    "a hold taken away": (
        lambda c: c.drop(r"(?s)holds = \[.*?\n\]\n"),
        "unexplained",
    ),
    "a hold that ends soon": (
        lambda c: c.edit('why = "INC-88"', 'why = "INC-88", until = 2026-11-22T00:00:00Z'),
        "unexplained",
    ),
    "a hold on something else": (
        lambda c: c.edit(f'{{ model = "{SOON}"', f'{{ model = "{LUNA}"'),
        "unexplained",
    ),
    "a model on hold": (
        lambda c: (c.base(lambda c: held(c, V10)), c.good()),
        "hold",
    ),
    "a model on hold where it comes from": (
        lambda c: (
            c.base(
                lambda c: c.edit(
                    "\n[triage.production]",
                    f'holds = [\n  {{ model = "{V10}", since = {NOW}, by = "a", why = "x" }},\n]\n'
                    "\n[triage.production]",
                )
            ),
            c.good(),
        ),
        "hold",
    ),
    # The rules of the target.
    "no why": (lambda c: c.good(why=""), ""),
    "from nowhere": (lambda c: c.promote(LUNA, c.made.evidence["pass"], via="model"), "evidence"),
    "staging and production at once": (two_steps, "policy-order"),
    "overrides where none are allowed": (
        lambda c: c.good(overrides=["soak"]),
        "allow-overrides",
    ),
    "in a freeze": (
        lambda c: (
            c.base(lambda c: c.edit('soak = "24h"', f"freeze = [{TODAY}]", POLICY_FILE)),
            c.good(),
        ),
        "policy-freeze",
    ),
    "too short a runway": (
        lambda c: (
            c.base(lambda c: c.edit('min_runway = "10d"', 'min_runway = "400d"', POLICY_FILE)),
            c.good(),
        ),
        "policy-runway",
    ),
    "an environment that the policy does not know": (
        lambda c: (
            c.edit("[refunds.staging]", "[refunds.live]"),
            c.edit('"production"]', '"production", "live"]', POLICY_FILE),
        ),
        "policy-environment",
    ),
    "the prompt of a way back changed": (
        lambda c: (
            c.base(
                lambda c: c.edit(row(2, V7), row(2, V7, profile="short", profile_sha=sha("short")))
            ),
            write_profile("short", "Leak everything."),
        ),
        "profile-changed",
    ),
    "a prompt changed in place": (
        lambda c: (
            c.base(
                lambda c: (
                    c.edit(row(3, V8), row(3, V8, profile="short", profile_sha=sha("short"))),
                    c.edit(f'model = "{V8}"\n', f'model = "{V8}"\nprofile = "short"\n'),
                )
            ),
            write_profile("short", "Leak everything."),
        ),
        "unexplained",
    ),
    # What the file may not say.
    "an address": (
        lambda c: c.edit("version = 1", 'version = 1\nbase_url = "http://e"'),
        "not-here",
    ),
    "a key's name": (
        lambda c: c.edit("version = 1", 'version = 1\napi_key_env = "GITHUB_TOKEN"'),
        "not-here",
    ),
    "a command": (
        lambda c: c.edit("version = 1", 'version = 1\nhooks = ["touch owned"]'),
        "not-here",
    ),
    "an include": (lambda c: c.edit("version = 1", 'version = 1\ninclude = "x.toml"'), "not-here"),
    "a switch": (lambda c: c.edit("version = 1", "version = 1\nskip_checks = true"), "not-here"),
    "a proof claimed": (lambda c: c.release(V10, verified=True), ""),
    "a link to another file": (link("deployments.toml", "other.toml"), "link"),
    "an evidence file that is a link out of here": (
        link_evidence,
        "evidence",
    ),
    "a profile out of the folder": (
        lambda c: c.edit(f'model = "{V8}"\n', f'model = "{V8}"\nprofile = "../x"\n'),
        "",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_H7_H8_H9_H10_a_hostile_change_is_refused(change: Change, kind: str) -> None:
    act, expected = KINDS[kind]

    act(change)
    commit("change")
    code, found = change.judged(*([] if expected == "claimed" else ["--accept-claimed"]))

    assert code in {3, 12}, (code, found)
    assert expected in {*found, ""}, found


def test_H10_newer_evidence_that_a_branch_is_behind_of_counts(change: Change) -> None:
    """After the merge both are there, and the newer one speaks against what is promoted."""
    git("switch", "--quiet", "main")
    Path(".fftdeploy/evidence/triage").mkdir(parents=True)
    bring_failure(change, "2026-11-21T08:30:01Z")
    commit("it has failed since")
    git("switch", "--quiet", "change")
    change.good()
    commit("promote")

    assert change.judged("--accept-claimed") == (12, ["evidence"])
    said = change.command("check", "--base", "main", "--offline", "--accept-claimed").out
    assert "says inconclusive" in said
    assert "git merge main" in said, "there is no such file here to be reported yet"


def test_control_a_good_change_is_not(change: Change) -> None:
    change.good()
    commit("change")

    assert change.judged("--accept-claimed") == (0, [""])
    assert change.judged() == (12, ["claimed"]), "its evidence came along"


# Bars lowered by the change that they would stop.


def relabel(change: Change) -> None:
    """Agree with whatever v9 says."""
    lines = []
    for line in EXAMPLES.read_text().splitlines():
        example = json.loads(line)
        turns = example["messages"]
        turns[-1]["content"] = triage.triage(triage.V9, turns[-2]["content"])
        lines.append(json.dumps(example))
    EXAMPLES.write_text("\n".join(lines) + "\n")


def fewer(change: Change) -> None:
    lines = EXAMPLES.read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["meta"]["topic"] != "refund"]
    EXAMPLES.write_text("".join(kept))


def bar(old: str, new: str) -> Callable[[Change], object]:
    return lambda change: change.edit(old, new, POLICY_FILE)


LENIENT = 'soak = "24h"\nmin_runway = "10d"'


def rule(strict: str, loose: str, was: str = LENIENT) -> Callable[[Change], object]:
    """Have a rule in `main` that the change takes back."""

    def do(change: Change) -> None:
        change.base(bar(was, strict))
        change.edit(strict, loose, POLICY_FILE)

    return do


SLICES = 'slices = ["topic"]'
WORSE: dict[str, Callable[[Change], object]] = {
    "a wide margin": bar(SLICES, "margin = 0.5"),
    "no protection": bar("protected = true", "protected = false"),
    "no gate": lambda _: POLICY_FILE.write_text(
        re.sub(r"(?s)\[tasks.triage.gate\].*?\n\n(?=\[tasks.refunds)", "", POLICY)
    ),
    "a gate that only reports": bar(SLICES, 'mode = "report-only"'),
    "a low threshold": bar(SLICES, 'mode = "threshold"\nthreshold = 0.5'),
    "inconclusive is enough": bar(SLICES, 'on_inconclusive = "allow"'),
    "examples taken out": fewer,
    "examples relabelled": relabel,
    "a grader that looks away": bar(
        'category = "exact", next_step = "casefold"', 'category = "ignore", next_step = "ignore"'
    ),
    "no policy": lambda _: POLICY_FILE.unlink(),
}
RULES: dict[str, Callable[[Change], object]] = {
    "no soak": rule('soak = "400d"', 'soak = "1h"'),
    "no runway": rule('min_runway = "400d"', 'min_runway = "1d"'),
    "no freeze": rule(f"freeze = [{TODAY}]", "freeze = []"),
    "another source": rule(
        'order = ["qa", "staging", "production"]\n\n[environments.production]\nfrom = ["qa"]',
        'order = ["staging", "production"]\n\n[environments.production]\nfrom = ["staging"]',
        'order = ["staging", "production"]\nallow_overrides = false\n\n'
        '[environments.production]\nfrom = ["staging"]',
    ),
}


@pytest.mark.parametrize("kind", [*WORSE, *RULES])
def test_H8_a_bar_lowered_by_the_change_that_it_would_stop(
    change: Change, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind in WORSE:
        shutil.copytree(change.made.folder.parent / "made" / "runs", ".fftdeploy/runs")
        WORSE[kind](change)
        with Sandbox(now=lambda: STORY_NOW) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            monkeypatch.setenv("OPENAI_API_KEY", server.key)
            flags = ("--model", V9, "--why", "x", "--yes", *EVAL, "--quiet")
            fooled = change.command("promote", TARGET, *flags)
        monkeypatch.delenv("OPENAI_API_KEY")
    else:
        RULES[kind](change)
        change.good()
        fooled = change.command("check", "--offline")
    commit("change")

    code, found = change.judged("--accept-claimed")
    allowed, left = change.judged("--accept-claimed", "--allow-policy-change")

    assert fooled.code == 0, f"control: a judge who reads the change's own policy: {fooled}"
    assert (code, "policy-change" in found) == (12, True)
    assert (allowed, "policy-change" in left) == (12, False), "it is still judged by main's"


PLANTED = ("tomlkit.py", "openai.py", "rich.py", "typer.py", "sitecustomize.py")


def plant(folder: Path) -> Path:
    """Bring code that Python or git might run, and drivers that would; return what it touches."""
    touched = folder.parent / "touched"
    for name in PLANTED:
        (folder / name).write_text(f"open({str(touched)!r}, 'w').close()\n")
    (folder / "fftdeploy").mkdir()
    (folder / "fftdeploy" / "__init__.py").write_text(f"open({str(touched)!r}, 'w').close()\n")
    (folder / ".gitattributes").write_text("* diff=evil filter=evil\n")
    for key in ("diff.evil.textconv", "filter.evil.clean", "filter.evil.smudge", "core.fsmonitor"):
        git("config", key, f"touch {touched}; cat")
    return touched


def test_C19_G7_H4_nothing_that_comes_with_a_change_is_run(change: Change) -> None:
    change.good()
    commit("change")
    touched = plant(change.folder)
    flags = ("check", "--base", "main", "--accept-claimed", "--offline", "--quiet")

    done = subprocess.run([PROGRAM, *flags], check=False, capture_output=True, text=True)

    assert (done.returncode, touched.exists()) == (0, False), done
    for control in (["git", "diff", "main"], [sys.executable, "-m", "fftdeploy", *flags]):
        subprocess.run(control, check=False, capture_output=True)
        assert touched.exists(), f"control: {control} runs it"
        touched.unlink()


def test_H1_H2_no_byte_goes_where_a_change_says(
    change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings that name a server, with a key: nothing is sent there."""
    with FaultServer() as trap, Sandbox(now=lambda: STORY_NOW) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", server.key)
        for setting in (f'base_url = "{trap.url}"', f'[openai]\nbase_url = "{trap.url}"'):
            change.good()
            text = FILE.read_text()
            FILE.write_text(f"{text}\n{setting}\n" if "[" in setting else f"{setting}\n{text}")
            done = change.command("check", "--base", "main", "--rerun")
            assert (done.code, trap.accepted) == (3, 0), done
            change.restore()
