"""`diff`: environments, targets and refs side by side, by meaning; offline, and harmless."""

import io
import json
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from command_line import Command, git
from evaluated import evidence_of, graded, story
from hostile_text import PAYLOADS, harmless
from proposals import commit
from scenes import (
    FILE,
    LUNA,
    POLICY,
    V6,
    V7,
    V8,
    V9,
    V10,
    hold,
    past,
    row,
    table,
    write,
    write_profile,
)
from terminal import Terminal

from fftdeploy.cli.diff import report as shown_report
from fftdeploy.cli.session import open_session
from fftdeploy.commands.diff import run
from fftdeploy.commands.options.looking import DiffOptions
from fftdeploy.evaluation.evidence.evidence import with_id
from fftdeploy.evaluation.evidence.evidence_folder import recompute
from fftdeploy.git import process
from fftdeploy.output.report import Block, Cell, Details, Line, Report
from fftdeploy.output.report import Patch as DiffBlock
from fftdeploy.output.streams import Format, Output
from fftdeploy.releases import text_diff
from fftdeploy.releases.deployments import Bundle
from fftdeploy.sandbox import STORY_NOW, Sandbox

_NOT_IN_REFS = re.compile(r"[\x00-\x20\x7f~^:?*\[\\\ud800]|\.\.|@\{|//+|/$|(?<=/)\.")
TARGET = "triage/production"
CHECKPOINT = f"{V10}:ckpt-step-88"
PRICES = f"""
[prices]
date = 2026-11-20
"ft:gpt-4.1-mini-2025-04-14" = {{ input = 0.8, output = 3.2 }}
"{LUNA}" = {{ input = 0.5, output = 2.0 }}
"""


@pytest.fixture
def main(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose `main` has v9 in staging and v8 in production."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("FFTDEPLOY_NOW", STORY_NOW.isoformat())
    write(
        table("triage/staging", V9, [row(2, V9, via="job", job="ftjob-9"), row(1, V8)]),
        past(TARGET, V7, V8),
        past("refunds/staging", LUNA),
        policy=POLICY + "\n[tasks.refunds]\n" + PRICES,
    )
    commit("first")
    return repo


def release(model: str, *, n: int = 3, target: str = TARGET, **more: Any) -> None:
    """Put a release on top of a target, and its bundle into the lines."""
    head, mark, tail = FILE.read_text().partition(f"[{target.replace('/', '.')}]\n")
    given = {"via": "staging", "at": STORY_NOW, **more}
    tail = re.sub('^model = ".*"\n', f'model = "{model}"\n', tail, count=1)
    if "profile" in given:
        tail = f'profile = "{given["profile"]}"\n{tail}'
    tail = tail.replace("releases = [\n", f"releases = [\n  {row(n, model, **given)},\n", 1)
    FILE.write_text(head + mark + tail)


def measure(candidate: str, live: str, *, sha: str = "") -> str:
    """Write evidence about two models, and return its ID."""
    arms = {"candidate": Bundle(candidate), "live": Bundle(live), "base": Bundle(LUNA)}
    made = evidence_of(graded(story(60, broke=0, fixed=3)), arms=arms)
    made = replace(made, examples=replace(made.examples, sha=sha or made.examples.sha))
    evidence, data = with_id(replace(made, verdict=recompute(made).as_json()))
    path = Path(f".fftdeploy/evidence/triage/{evidence}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return evidence


def compared(command: Command, *words: str) -> list[dict[str, Any]]:
    done = command("diff", *words, "--json")
    assert done.code == 0, done.err
    return list(json.loads(done.out)["comparisons"])


def kinds(command: Command, *words: str) -> list[tuple[str, list[str]]]:
    """Return what happened, by target."""
    return [
        (found["targets"][1], [change["kind"] for change in found["changes"]])
        for found in compared(command, *words)
    ]


def test_a_promotion_between_two_moments(main: Path, command: Command) -> None:
    evidence = measure(V9, V8)
    release(V9, evidence=evidence, why="PR #212")
    head = git("rev-parse", "--short=12", "HEAD")

    result = command("diff")

    assert (result.code, result.err) == (0, "")
    rows = [re.split(r" {2,}", text) for text in result.out.splitlines()]
    assert rows[:4] == [
        [f"HEAD ({head}) → the working tree: 1 of 3 targets differs"],
        [""],
        [TARGET],
        ["", "promote: release 3, from staging"],
    ]
    assert rows[4][:2] == ["", f"evidence {evidence[:12]} asked both: PASS"]
    assert rows[4][2].startswith(f"{V9}: ")
    assert rows[5:] == [
        ["", "BEFORE", "AFTER"],
        ["model", V8, V9],
        ["suffix", "triage-v8", "triage-v9"],
        ["tuned as", "BbCc8", "CdEf9 of ftjob-9"],
        [
            "release",
            "2 of 2026-10-14 by ci, via model",
            "3 of 2026-11-21 by ci, via staging",
        ],
        ["why", "PR #212"],
        ["evidence", f"{evidence[:12]} pass"],
        ["passed", "58/60 96.7% (88.6%-99.1%)", "60/60 100.0% (94.0%-100.0%)"],
        ["p95 latency", "481 ms", "420 ms"],
        ["shuts down", *["in 54 days (2027-01-14, table of 2026-11-28)"] * 2],
        ["rollback", f"release 1: {V7}", f"release 2: {V8}"],
    ]
    assert command("diff", "main").out == result.out.replace("HEAD", "main", 1)
    commit("promote")
    assert command("diff", "HEAD").out.endswith(" → the working tree: no difference\n")
    backwards = compared(command, "HEAD", "HEAD~1")
    assert [found["changes"][0]["kind"] for found in backwards] == ["removed-release"]
    assert backwards[0]["before"]["model"] == V9


def test_two_environments(main: Path, command: Command) -> None:
    evidence = measure(V9, V8)  # no release names it yet

    result = command("diff", "staging", "production")

    rows = [re.split(r" {2,}", text) for text in result.out.splitlines()]
    assert rows[0] == ["staging → production: 2 of 2 pairs differ"]
    start = rows.index(["triage/staging → triage/production"])
    assert rows[start + 1][1] == f"evidence {evidence[:12]} asked both: PASS"
    assert rows[start + 2 : start + 5] == [
        ["", "STAGING", "PRODUCTION"],
        ["model", V9, V8],
        ["suffix", "triage-v9", "triage-v8"],
    ]
    assert ["passed", "60/60 100.0% (94.0%-100.0%)", "58/60 96.7% (88.6%-99.1%)"] in rows
    assert ["model", LUNA, "no such target"] in rows
    triage = compared(command, "triage/staging", TARGET)
    assert [found["targets"] for found in triage] == [["triage/staging", TARGET]]
    assert triage == compared(command, "triage")  # the order of the policy
    assert triage == compared(command, "triage/staging", "production")
    swapped = compared(command, TARGET, "staging")
    assert (swapped[0]["before"], swapped[0]["after"]) == (triage[0]["after"], triage[0]["before"])


def test_a_checkpoint_a_base_model_and_what_they_cost(main: Path, command: Command) -> None:
    write(past("triage/staging", CHECKPOINT), past(TARGET, LUNA))

    (found,) = compared(command, "triage")

    assert found["before"]["tuned"] == {
        "base": "gpt-4.1-mini-2025-04-14",
        "organisation": "acme",
        "suffix": "triage-v10",
        "id": "DeFg0",
        "step": 88,
    }
    assert found["after"]["tuned"] is None
    assert found["before"]["price"] == {"input": 0.8, "cached_input": 0.8, "output": 3.2}
    text = command("diff", "triage").out
    rows = [re.split(r" {2,}", line) for line in text.splitlines()]
    assert ["base", "gpt-4.1-mini-2025-04-14", "not a fine-tune"] in rows
    assert ["checkpoint", "step 88"] in rows
    assert [
        "shuts down",
        "in 54 days (2027-01-14, table of 2026-11-28)",
        "no date announced",
    ] in rows
    prices = ["0.8 in, 3.2 out", "USD per million tokens", "0.5 in, 2 out"]
    assert all(price in text for price in prices)


def test_profiles_key_by_key_and_the_prompt_by_the_word(main: Path, command: Command) -> None:
    folder = Path("profiles")
    folder.mkdir()
    words = [f"w{n}" for n in range(40)]
    prompt = " ".join(words)
    (folder / "a.toml").write_text(f'system = "{prompt}"\ntemperature = 0\n')
    words[20] = "changed"
    (folder / "b.toml").write_text(f'system = "{" ".join(words)}"\nendpoint = "chat"\n')
    write(table("triage/staging", V9, [], profile="a"), table(TARGET, V9, [], profile="b"))

    result = command("diff", "triage")

    assert result.out.endswith("""\
  profile, system:
@@ 15 @@
-... w14 w15 w16 w17 w18 w19 w20 w21 w22 w23 w24 w25 w26 ...
+... w14 w15 w16 w17 w18 w19 changed w21 w22 w23 w24 w25 w26 ...
  profile, temperature: 0 → not set
  profile, endpoint: not set → "chat"
""")
    (found,) = compared(command, "triage")
    assert [change["key"] for change in found["profile"]] == ["system", "temperature", "endpoint"]


def in_place() -> None:
    write_profile("short", "Other words.")


def back() -> None:
    release(V7, via="rollback", to=1)
    text = FILE.read_text()
    FILE.write_text(text.replace("]\n\n[ref", f"]\nholds = [{hold(V8)}]\n\n[ref", 1))


def lift() -> None:
    lifted = {"lifted": STORY_NOW, "lifted_by": "ana", "lifted_why": "fixed"}
    FILE.write_text(FILE.read_text().replace(hold(V6), hold(V6, **lifted)))


def edit(old: str, new: str) -> Callable[[], None]:
    def do() -> None:
        text = FILE.read_text()
        assert old in text
        FILE.write_text(text.replace(old, new, 1))

    return do


def revert() -> None:
    edit(f"  {row(2, V8)},\n", "")()
    edit(f'model = "{V8}"', f'model = "{V7}"')()


HAPPENED: dict[str, tuple[Callable[[], object], list[str]]] = {
    "promote": (lambda: release(V9), ["promote"]),
    "profile": (lambda: release(V8, profile="short"), ["profile"]),
    "adopt": (lambda: release(V10, via="adopt"), ["adopt"]),
    "override": (lambda: release(V9, overrides=["soak"]), ["promote", "override"]),
    "rollback": (back, ["rollback"]),
    "hold": (
        edit(f"holds = [\n  {hold(V6)}", f"holds = [\n  {hold(V10)},\n  {hold(V6)}"),
        ["hold"],
    ),
    "unhold": (lift, ["unhold"]),
    "hand-edit": (edit(f'model = "{V8}"', f'model = "{V9}"'), ["unexplained"]),
    "revert": (revert, ["removed-release"]),
}


@pytest.mark.parametrize("case", HAPPENED)
def test_H15_what_happened_is_named(main: Path, command: Command, case: str) -> None:
    write_profile("short")
    rows = [row(2, V8), row(1, V7)]
    write(
        table(TARGET, V8, rows, [] if case == "rollback" else [hold(V6)]),
        "[refunds.staging]",
        f'model = "{LUNA}"',
    )
    commit("before")
    act, expected = HAPPENED[case]
    assert kinds(command) == []

    act()

    assert kinds(command) == [(TARGET, expected)]


def test_new_and_removed_targets_and_holds(main: Path, command: Command) -> None:
    write(past("triage/dev", V9), past("triage/staging", V9, holds=[hold(V6)]))
    git("tag", "v1")

    found = {one["targets"][0]: one for one in compared(command, "main")}

    assert {name: (one["before"] is None, one["after"] is None) for name, one in found.items()} == {
        "triage/dev": (True, False),
        "triage/staging": (False, False),
        TARGET: (False, True),
        "refunds/staging": (False, True),
    }
    held = found["triage/staging"]["holds"]
    assert ([one["model"] for one in held["after"]], held["before"]) == ([V6], [])
    assert command("diff", "v1").out == command("diff", "main").out.replace("main", "v1", 1)
    assert f"on hold: {V6} since 2026-11-21, by ana: INC-88" in command("diff").out


def test_a_live_bundle_on_hold_elsewhere_is_a_difference(main: Path, command: Command) -> None:
    write(past("triage/staging", V9, holds=[hold(V9)]), past(TARGET, V9))

    assert command("diff", "triage", "--exit-code").code == 12
    assert f"on hold in staging only: {V9}" in command("diff", "triage").out


def test_G_the_exit_code_is_asked_for(main: Path, command: Command) -> None:
    codes = [command("diff", *words).code for words in ([], ["--exit-code"], ["main", "main"])]
    release(V9)
    codes += [command("diff", *words).code for words in ([], ["--exit-code"], ["staging", "dev"])]

    assert codes == [0, 0, 0, 0, 12, 0]


def test_a_name_of_the_file_goes_before_one_of_git(main: Path, command: Command) -> None:
    git("branch", "staging")
    git("tag", "production")
    release(V9)

    done = command("diff", "staging", "production")

    assert done.code == 0
    assert done.out.startswith("staging → production: ")
    assert done.err == (
        "note: staging is the environment here; refs/heads/staging is git's\n"
        "note: production is the environment here; refs/tags/production is git's\n"
    )
    by_ref = command("diff", "refs/heads/staging", "--json")
    assert json.loads(by_ref.out)["kind"] == "refs"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["prod"], "'prod' is no target, task or environment of deployments.toml, and git has no"),
        (["main", "nowhere"], "'nowhere' is no target, task or environment of deployments.toml"),
        (["main", "staging"], "'main' is no target or environment of deployments.toml"),
        (["triage/prodution", TARGET], "hint: did you mean triage/production?"),
        (["production"], "hint: fftdeploy diff staging production"),
        ([TARGET], "hint: fftdeploy diff triage/staging triage/production"),
        (["dev", "dev"], "deployments.toml has no two targets to compare for dev dev"),
        (["refunds"], "deployments.toml has no two targets to compare for refunds"),
        ([""], "hint: environments: dev, staging, production"),
        (["HEAD:deployments.toml"], "is a blob here, and no commit"),
        (["--", "--upload-pack=touch x"], "hint: environments: dev, staging, production\n"),
        (["a\nb"], "hint: environments: dev, staging, production\n"),
    ],
)
def test_G1_words_that_name_nothing(
    main: Path, command: Command, words: list[str], said: str
) -> None:
    done = command("diff", *words)

    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_without_git_environments_are_compared_all_the_same(
    main: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (main / ".git").rename(main / "git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(main.parent))

    assert command("diff", "staging", "production").code == 0
    done = command("diff")
    assert done.code == 2
    assert "hint: fftdeploy diff staging production\n" in done.err


def test_what_is_wrong_at_a_ref_is_said_of_the_ref(main: Path, command: Command) -> None:
    write_profile("short")
    release(V9, profile="short")
    commit("good")
    Path("profiles/short.toml").write_text("system = 1\n")
    commit("bad profile")
    write_profile("short")

    done = command("diff", "HEAD")

    assert done.code == 0
    assert done.err.startswith("HEAD: warning: ")
    assert "short, which has no file" in done.out
    good = FILE.read_text()
    FILE.write_text("version = 9\n")
    commit("bad file")
    FILE.write_text(good)
    done = command("diff", "main")
    assert (done.code, "main is not valid itself" in done.err) == (3, True)


def test_each_side_has_its_own_evidence(main: Path, command: Command) -> None:
    evidence = measure(V9, V8)
    release(V9, evidence=evidence)
    commit("good")
    path = Path(f".fftdeploy/evidence/triage/{evidence}.json")
    path.write_text(path.read_text().replace('"ruling":"pass"', '"ruling":"fail"'))
    release(V9, n=4, evidence=evidence, via="adopt")

    (found,) = compared(command)

    assert found["before"]["evidence"] == {"id": evidence, "ruling": "pass", "problem": None}
    assert found["after"]["evidence"]["ruling"] is None
    assert "was edited" in found["after"]["evidence"]["problem"]
    assert found["before"]["measured"]["passed"] == 60
    assert found["after"]["measured"] is None


@pytest.mark.parametrize("sha", ["", "cd" * 16])
def test_rates_of_other_examples_are_marked(main: Path, command: Command, sha: str) -> None:
    release(V9, evidence=measure(V9, V7))
    evidence = measure(V10, V7, sha=sha)
    release(V10, target="triage/staging", evidence=evidence)
    warning = "the pass rates are of other examples: they can't be compared"

    shown = command("diff", "triage").out

    assert "asked both" not in shown
    assert (warning in shown) == bool(sha)
    Path(f".fftdeploy/evidence/triage/{evidence}.json").unlink()
    assert f"{evidence[:12]} there is no such file" in command("diff", "triage").out


def test_G15_nothing_is_asked_and_git_seldom(
    main: Path, sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(V9, V8)
    commit("first")
    release(V9, evidence=measure(V9, V8))
    commit("second")
    asked: list[tuple[str, ...]] = []
    ask = process.ask

    def counted(*arguments: Any) -> Any:
        asked.append(tuple(arguments[1]))
        return ask(*arguments)

    for module in ("objects", "repository"):
        monkeypatch.setattr(f"fftdeploy.git.{module}.ask", counted)
    counts = []
    for words in ([], ["HEAD~1", "HEAD"], ["staging", "production"]):
        assert command("diff", *words).code == 0
        counts.append(len(asked))
        asked.clear()

    assert counts == [4, 9, 2]  # HEAD does not differ from the tree: no evidence is asked for
    assert sandbox.requests == ()


@pytest.mark.parametrize("width", ["20", "80", "200"])
@pytest.mark.parametrize("words", [[], ["staging", "production"]])
def test_F14_ids_are_whole_at_every_width(main: Path, width: str, words: list[str]) -> None:
    release(CHECKPOINT)
    out = Terminal()

    Output({"COLUMNS": width, "TERM": "dumb"}, stdout=out).report("diff", report_on(*words))

    lines = out.getvalue().splitlines()
    other = V9 if words else V8
    assert [
        model for model in (CHECKPOINT, other) if not any(model in line for line in lines)
    ] == []
    is_wide = any(CHECKPOINT in line and other in line for line in lines)
    assert is_wide == (width == "200")


def text_of(report: Report, form: Format) -> list[str]:
    """Return what both streams show of the whole report, on a terminal and in a pipe."""
    shown = []
    for kind in (Terminal, io.StringIO):
        out, err = kind(), kind()
        output = Output({"TERM": "dumb"}, form=form, stdout=out, stderr=err)
        output.report("diff", replace(report, comment=()))
        shown += [out.getvalue(), err.getvalue()]
    return shown


def report_on(*words: str) -> Report:
    session = open_session("diff", {}, file=None, form="text", quiet=True, no_color=True)
    made = shown_report(run(session, DiffOptions(*words)))
    return replace(made, data=session.document(made.data))


def quoted(text: str) -> str:
    """Return what TOML takes of `text`, inside of double quotes."""
    text = text.encode("utf-8", "replace").decode()
    return "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08X}" for c in text)


def test_F1_F5_text_of_a_ref_harms_nobody(main: Path) -> None:
    """Prompts, reasons, names of people and of the ref itself, in every format."""
    Path("profiles").mkdir()
    tables = []
    for number, payload in enumerate(PAYLOADS):
        prompt = Path(f"profiles/p{number}.toml")
        prompt.write_text(f'system = "{quoted(payload)}"\n')
        said = quoted("".join(char if char.isprintable() else "?" for char in payload)[:400])
        rows, holds = [row(1, V9, by=said, why=said)], [hold(V9, why=said)]
        tables.append(table(f"t{number}/staging", V9, rows, holds, profile=f"p{number}"))
    write(*tables)
    commit("hostile")
    refs = [f"r{n}-{_NOT_IN_REFS.sub('', payload)[:80]}-x" for n, payload in enumerate(PAYLOADS)]
    lines = "".join(f"create refs/heads/{ref} HEAD~1\n" for ref in refs)
    subprocess.run(["git", "update-ref", "--stdin"], input=lines.encode(), check=True)
    write(*(past(f"t{number}/staging", V8) for number in range(len(PAYLOADS))))
    formats: tuple[Format, ...] = ("text", "json", "markdown", "github")

    reports = [report_on("main")]
    write(past(TARGET, V9))
    reports += [report_on(ref) for ref in refs]

    shown = {form: [text for one in reports for text in text_of(one, form)] for form in formats}
    wrong = [(form, said) for form in formats for text in shown[form] if (said := harmless(text))]
    print(f"F1: {len(PAYLOADS)} payloads in {len(reports)} reports, {len(wrong)} wrong")
    assert wrong == []
    assert all("\\x1b[2J" in text for text in (shown["text"][0], shown["markdown"][0]))
    fences = [line for line in shown["markdown"][0].splitlines() if line.startswith("```")]
    assert len(fences) == 2 * sum(line.endswith("diff") for line in fences) > 0
    assert harmless("\n".join(map(str, (b.text for b in flat(reports[0].body)))))  # the control


def flat(blocks: Iterable[Block]) -> Iterator[DiffBlock | Cell]:
    for block in blocks:
        match block:
            case DiffBlock():
                yield block
            case Line(cells):
                yield from cells
            case Details(_, inner):
                yield from flat(inner)


def by_hunks(old: str, new: str) -> list[str]:
    """Apply the diff by word to `old`, and return the words."""
    words = old.split()
    found = text_diff.by_word(old, new)
    assert found is not None
    for hunk in reversed(found.split("@@ ")[1:]):
        number, _, body = hunk.partition(" @@\n")
        sides = {
            mark: " ".join(line[1:] for line in body.splitlines() if line[0] == mark).split()
            for mark in "-+"
        }
        gone, come = ([word for word in sides[mark] if word != "..."] for mark in "-+")
        place = int(number) - 1
        assert words[place : place + len(gone)] == gone
        words[place : place + len(gone)] = come
    return words


def broken_prompt(random: Random, length: int) -> str:
    letters = [random.choice("abcdefgh") for _ in range(random.randrange(length))]
    return "".join(letter + random.choice(("\n", " ", " ", " ")) for letter in letters)


def changed_prompt(random: Random, prompt: str) -> str:
    tokens = re.findall(r"\S+\s*", prompt)
    for _ in range(random.randrange(5)):
        place = random.randrange(len(tokens) + 1)
        tokens[place : place + random.randrange(3)] = ["new "] * random.randrange(3)
    return "".join(tokens)


def test_the_diff_by_word_leads_from_one_to_the_other() -> None:
    random, wrong, tried = Random(4), 0, 500
    for _ in range(tried):
        old = broken_prompt(random, 80)
        new = changed_prompt(random, old)
        wrong += by_hunks(old, new) != new.split()
    print(f"by word: {tried} tried, {wrong} wrong")
    assert wrong == 0


def test_the_diff_by_word_control_without_places(monkeypatch: pytest.MonkeyPatch) -> None:
    places = text_diff._places
    monkeypatch.setattr(text_diff, "_places", lambda a, b, _start, total: places(a, b, 0, total))

    with pytest.raises(AssertionError):
        test_the_diff_by_word_leads_from_one_to_the_other()


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("a", "a", ""),
        ("", "a b", "@@ 1 @@\n+a b\n"),
        ("a b", "", "@@ 1 @@\n-a b\n"),
        ("a\nb\n", "a\nc\n", "@@ 1 @@\n-a\n-b\n+a\n+c\n"),
        ("a\n" * 2000 + "x", "b\n" * 900 + "y", None),
        ("a b c\n" * 900, "a b d\n" * 900, "line"),
    ],
)
def test_prompts_of_every_size(old: str, new: str, shown: str | None) -> None:
    found = text_diff.by_word(old, new)

    if shown == "line":
        assert found is not None
        assert (found.count("\n-a b c"), found.count("\n+a b d")) == (900, 900)
    else:
        assert found == shown


@pytest.mark.parametrize("word", [(), ("main",)])
@pytest.mark.parametrize("environments", [["staging", "production"], ["production"]])
def test_J1_before_the_first_commit_a_hint_is_one_that_works(
    repo: Path, command: Command, word: tuple[str, ...], environments: list[str]
) -> None:
    write(*(table(f"triage/{name}", V8, []) for name in environments))

    done = command("diff", *word)
    hint = done.err.splitlines()[-1].removeprefix("hint: ").rpartition("; or ")[2]
    if hint.startswith("fftdeploy "):
        assert command(*hint.split()[1:]).code == 0
    else:
        typed = hint.replace("git commit", "git commit --quiet --message x")
        subprocess.run(typed, shell=True, check=True)  # noqa: S602  as it is printed
        assert command("diff", *word).code == 0

    assert done.code == 2
    assert ("fftdeploy" in hint) is (len(environments) > 1 and not word)
