"""Evidence in the repository: how large it is, made under an older rule, or edited where live."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from command_line import Command, Result
from evaluated import busy, evidence_of
from gated import POLICY, evidence, promote, scene
from proposals import TARGET, Change, bring, commit
from scenes import FILE, V7, V8, V9, V10, newest, past, row, table, write

from fftdeploy.evaluation.evidence import evidence as records
from fftdeploy.evaluation.evidence.evidence_columns import columns
from fftdeploy.evaluation.evidence.evidence_folder import recompute
from fftdeploy.evaluation.results import LETTERS, MARKS, Results, Sample
from fftdeploy.formats import strict_json
from fftdeploy.sandbox import Sandbox

OLDER = (Path(__file__).parent / "evidence_1.json").read_bytes()
OLDER_ID = sha256(OLDER.rstrip()).hexdigest()[:32]
OLDER_SAID = (
    f"evidence {OLDER_ID[:12]} was made under an older rule of the gate, "
    "and can't be compared any more"
)
FOLDER = Path(".fftdeploy/evidence/triage")

# How large it is.


NAMES: dict[str, tuple[Callable[[int, Random], str], bool]] = {
    "lines of a file": (lambda number, _: f"triage:{number + 1}", False),
    "tickets": (lambda _, random: f"ticket-{random.randint(10**5, 10**6)}", False),
    "keyed digests": (lambda _, random: f"{random.getrandbits(64):016x}", True),
}


@pytest.mark.parametrize("case", NAMES)
def test_a_thousand_examples_of_two_arms_take_60_kb(case: str) -> None:
    name, same_prompt = NAMES[case]
    made = evidence_of(busy(1_000, name, same_prompt=same_prompt))

    evidence_id, raw = records.with_id(made)

    print(f"{case}: {len(raw):,} bytes")
    assert len(raw) <= 60_000
    found_id, found = records.parse(raw, "x.json")
    assert found_id == evidence_id
    assert columns(found.results) == columns(made.results)
    assert records.same_verdict(found.verdict, recompute(found)) == ""


def test_control_the_same_with_a_row_an_example_is_too_large() -> None:
    results = busy(1_000, NAMES["tickets"][0], same_prompt=False)
    rows = [
        [name, results.groups[index], bool(results.must_pass[index]), results.slices[index]]
        + [[*map(list, results.samples(arm, index))] for arm in results.arms]
        for index, name in enumerate(results.ids)
    ]

    assert len(strict_json.dumps(rows)) > 100_000


def test_every_mark_has_a_letter_of_its_own() -> None:
    assert len(set(LETTERS)) == len(LETTERS) == len(MARKS)


@pytest.mark.parametrize(
    "ids",
    [
        [],
        ["a"],
        ["1", "2", "3"],
        ["a:9", "a:10", "a:11", "b", "a:12"],
        ["t-008", "t-009", "t-010", "t-11", "t-12"],
        ["x99", "x100", "x101", "x0102", "x103"],
        ["7" * 40, "7" * 39 + "8", "7" * 39 + "9"],
        ["ticket 1/2", "ticket 1/3", "ticket 1/4", ""],
        ["a", "", "b c"],
        ["a", "", "b"],
        ["", ""],
        ["9" * 15, "1" + "0" * 15, "1" + "0" * 14 + "1"],
        ["\u0661", "\u0662", "\u0663"],
    ],
)
def test_ids_are_what_they_were(ids: list[str]) -> None:
    results = Results(2, ids=ids, groups=["" for _ in ids], slices=[() for _ in ids])
    results.must_pass = bytearray(len(ids))
    for arm in ("candidate", "live"):
        column = results.add_arm(arm)
        for place in range(2 * len(ids)):
            column.put(place, Sample("pass", (), place))
    made = evidence_of(results, verdict=recompute(evidence_of(busy_pair())))

    assert records.parse(records.with_id(made)[1], "x.json")[1].results == results


def busy_pair() -> Results:
    return busy(6, NAMES["tickets"][0], same_prompt=True)


@pytest.mark.parametrize("groups", [1, 35, 36, 200])
def test_groups_are_told_apart_without_their_names(groups: int) -> None:
    results = busy(400, NAMES["tickets"][0], same_prompt=True)
    results.groups = [
        f"customer {n % (groups + 1)}" if n % (groups + 1) else "" for n in range(400)
    ]
    raw = records.with_id(evidence_of(results))[1]

    found = records.parse(raw, "x.json")[1].results.groups

    assert b"customer" not in raw
    assert len({*zip(found, results.groups, strict=True)}) == len({*found}) == groups + 1
    assert {ours for ours, theirs in zip(found, results.groups, strict=True) if not theirs} == {""}


# Made under an older rule.


def with_older(live: str = V8) -> None:
    """Write what a repository has whose live model was let through by older evidence."""
    scene(live, V10)
    rows = [row(2, live, evidence=OLDER_ID, via="staging"), row(1, V7)]
    write(past("triage/staging", V7, V10), table(TARGET, live, rows), policy=POLICY)
    FOLDER.mkdir(parents=True)
    (FOLDER / f"{OLDER_ID}.json").write_bytes(OLDER)


def found(ended: Result) -> list[tuple[str, str, str]]:
    document = json.loads(ended.out)
    return [
        (item["severity"], item["message"], item["hint"] or "")
        for item in document["findings"]
        if item["code"] == "evidence"
    ]


def test_check_takes_older_evidence_of_what_is_live_as_a_notice(
    repo: Path, command: Command
) -> None:
    with_older()

    ended = command("check", "--offline", "--json")

    said = ("notice", f"release 2: {OLDER_SAID}", f"fftdeploy eval {TARGET} live")
    assert (ended.code, found(ended)) == (0, [said])


@pytest.mark.parametrize("how", ["older", "none"])
def test_the_hint_on_what_is_live_clears_its_notice(
    repo: Path, sandbox: Sandbox, command: Command, how: str
) -> None:
    with_older()
    if how == "none":
        rows = [row(2, V8, via="staging"), row(1, V7)]
        write(past("triage/staging", V7, V10), table(TARGET, V8, rows), policy=POLICY)

    def notices() -> list[str]:
        every = json.loads(command("check", "--offline", "--json").out)["findings"]
        return [item["hint"] for item in every if "evidence" in item["code"]]

    (hint,) = notices()
    assert command(*hint.split()[1:]).code == 0
    assert notices() == []


def test_verify_says_so_and_does_not_call_it_damaged(repo: Path, command: Command) -> None:
    with_older()

    every, named = command("verify"), command("verify", OLDER_ID[:8])
    listed = json.loads(command("verify", "--json").out)["evidence"]

    assert (every.code, every.err) == (0, "")
    assert "made under an older rule" in every.out
    assert listed == [{"evidence": OLDER_ID, "consistent": None, "problem": OLDER_SAID}]
    assert (named.code, named.err.splitlines()) == (
        7,
        [
            f"error: {OLDER_SAID} ({OLDER_ID}.json)",
            "hint: evaluate again: fftdeploy eval TASK/ENVIRONMENT",
        ],
    )


def test_a_promotion_asks_for_evidence_of_this_version(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    with_older()

    ended = promote(command)

    assert (ended.code, ended.err.splitlines()[1:]) == (
        7,
        [
            f"error: {TARGET} is protected, and there is no evidence about {V10} "
            "(made under an older rule: 1 file)",
            f"hint: fftdeploy eval {TARGET}, or add --eval --max-requests 134",
        ],
    )
    assert promote(command, "--eval", "--max-requests", "999").code == 0
    assert command("verify").code == 0, "both are there now"


def test_a_report_of_older_evidence_is_not_comparable(repo: Path, command: Command) -> None:
    with_older()

    ended = command("report", OLDER_ID, "-o", "report.html")

    assert (ended.code, Path("report.html").exists()) == (7, False)
    assert ended.err.startswith(f"error: {OLDER_SAID}")
    assert command("report").err == ended.err, "the newest is that one"


def test_E23_older_evidence_that_was_edited_is_damaged(repo: Path, command: Command) -> None:
    with_older()
    (path,) = evidence()
    path.write_bytes(OLDER.replace(b'"pass"', b'"wrong"', 1))

    verified, checked = command("verify"), command("check", "--offline", "--json")

    assert verified.code == 3
    assert "was edited: its name is not its hash" in verified.err
    assert (checked.code, [item[0] for item in found(checked)]) == (12, ["error"])


def test_a_change_whose_evidence_is_older_is_to_be_evaluated_again(change: Change) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{OLDER_ID}.json").write_bytes(OLDER)
    change.release(V10, evidence=OLDER_ID)
    commit("promote")

    ended = change.command("check", "--base", "main", "--offline", "--json")

    assert ended.code == 12
    assert ("error", OLDER_SAID, f"fftdeploy eval {TARGET}") in found(ended)


def test_older_evidence_beside_a_change_is_only_said(change: Change) -> None:
    made = change.made.folder.parent / "made"
    change.base(lambda c: bring(made, c.made.evidence["pass"]))
    change.release(V10, evidence=change.made.evidence["pass"])
    (FOLDER / f"{OLDER_ID}.json").write_bytes(OLDER)
    commit("promote")

    ended = change.command("check", "--base", "main", "--offline", "--json")

    assert (ended.code, found(ended)) == (0, [("notice", OLDER_SAID, "")])


# Edited, of what is live.


def promoted(command: Command) -> Path:
    """Promote with evidence, and return its file."""
    scene(V8, V10)
    assert promote(command, "--eval", "--max-requests", "999").code == 0
    (path,) = evidence()
    return path


EDITS: tuple[Callable[[str], str], ...] = (
    lambda text: text.replace('"marks":"..', '"marks":".w', 1),
    lambda text: text.replace('"ruling":"pass"', '"ruling":"fail"'),
    lambda text: text.replace('"made_at":"2026', '"made_at":"2027'),
    lambda text: text[:-20],
)


def test_edited_evidence_of_what_is_live_is_an_error_offline_too(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    path = promoted(command)
    text = path.read_text()
    assert command("check", "--offline").code == 0
    for edit in EDITS:
        path.write_text(edit(text))

        ended = command("check", "--offline", "--json")

        ((severity, message, hint),) = found(ended)
        assert (ended.code, severity, hint) == (12, "error", "fftdeploy verify")
        assert message.startswith(f"evidence {path.stem[:12]} of release 2: ")


def under_its_new_hash(path: Path, **edited: object) -> str:
    """Edit the verdict of evidence, put that under its new hash, and return this."""
    document = json.loads(path.read_text())
    document["verdict"] |= edited
    other = records.content_sha(document)
    path.with_name(f"{other}.json").write_text(json.dumps(document))
    return other


def test_edited_evidence_under_its_new_hash_is_an_error_and_its_sentences_are_nowhere_shown(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    path = promoted(command)
    verdict = json.loads(path.read_text())["verdict"]
    said = verdict["headline"].partition(" (")[0]  # pages escape what follows
    worded = under_its_new_hash(path, headline="signed off by legal", detail=["9,000 pairs"])
    for page in ("page.html", "junit.xml"):
        ended = command("report", worded, "-o", page)

        written = Path(page).read_text()
        assert (ended.code, said in written) == (0, True)
        assert "legal" not in written
        assert "9,000 pairs" not in written

    other = under_its_new_hash(path, ruling="fail")
    path.unlink()
    FILE.write_text(FILE.read_text().replace(path.stem, other))

    ended = command("check", "--offline", "--json")

    ((severity, message, _),) = found(ended)
    assert (ended.code, severity) == (12, "error")
    assert "was edited: its answers do not give its verdict.ruling" in message


def test_what_a_rollback_went_back_to_rests_on_its_own_evidence(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    path = promoted(command)
    write_live_again(path.stem)
    assert newest(TARGET).via == "rollback"
    assert command("check", "--offline").code == 0
    path.write_text(path.read_text().replace('"attempt":1', '"attempt":2'))

    ended = command("check", "--offline", "--json")

    assert (ended.code, [item[0] for item in found(ended)]) == (12, ["error"])


def write_live_again(evidence_id: str) -> None:
    rows = [
        row(4, V10, via="rollback", to=2),
        row(3, V9, via="staging"),
        row(2, V10, via="staging", evidence=evidence_id),
        row(1, V8),
    ]
    write(past("triage/staging", V7, V9, V10), table(TARGET, V10, rows), policy=POLICY)


def test_an_environment_that_asks_for_none_is_told_of_edited_evidence_too(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    path = promoted(command)
    Path("fftdeploy.toml").write_text(POLICY.replace("protected = true\n", ""))
    assert command("check", "--offline").code == 0
    path.write_text(path.read_text().replace('"attempt":1', '"attempt":2'))

    assert command("check", "--offline").code == 12
    path.unlink()
    assert command("check", "--offline").code == 0, "it asks for none"


def test_J24_evidence_says_how_many_requests_were_out_at_a_time(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10, examples=20)
    said = command("eval", TARGET, "--concurrency", "5").out
    (path,) = evidence()
    document = json.loads(path.read_text())
    del document["concurrency"]
    path.unlink()
    codes, shown = [], []
    for more in ({}, {"concurrency": 5}, {"concurrency": 0}, {"concurrency": None}):
        other = path.with_stem(records.content_sha(document | more))
        other.write_text(strict_json.dumps(document | more))
        codes.append(command("verify", other.stem).code)
        command("report", other.stem, "-o", "page.html")
        shown.append("answers, 5 at once" in Path("page.html").read_text())
        other.unlink()

    assert " ms (5 at once)  " in said
    assert codes == [0, 0, 3, 3], "what has none is as good as before"
    assert shown[:2] == [False, True]


def test_J24_a_run_that_was_gone_on_with_may_have_asked_otherwise_before(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10, examples=20)
    sandbox.fault("/chat/completions", status=401, after=10)
    stopped = command("eval", TARGET, "--concurrency", "1")
    sandbox.clear_faults()

    whole = command("eval", TARGET)

    (path,) = evidence()
    assert (stopped.code, "going on with the run" in whole.err) == (10, True)
    assert "concurrency" not in json.loads(path.read_text())
    assert " at once)" not in whole.out
