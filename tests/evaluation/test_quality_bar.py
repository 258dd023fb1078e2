"""What a gate asks of its examples, its target and its candidates before anything is spent."""
# ruff: noqa: E501  a case of a table is one line

import json
import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import terminal
from command_line import PROGRAM, Command, Result
from gated import EXAMPLES, POLICY, TARGET, evidence, promote, scene
from proposals import Change, bring, commit
from scenes import EVAL, FT, POLICY_FILE, V7, V8, V9, V10, hold, newest, past, write

from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder, recompute
from fftdeploy.policy import policy
from fftdeploy.sandbox import Sandbox

NAMED = """must_pass = ["edge-case"]
slices = ["language", "topic"]
"""
COMMANDS = {
    "eval": ("eval", TARGET),
    "size": ("size", TARGET),
    "promote": ("promote", TARGET, "--why", "PR #7", "--yes"),
    "check": ("check", TARGET),
}


def with_rules(rules: str, policy: str = POLICY) -> str:
    return policy.replace('slices = ["language"]\n', rules)


def asked(sandbox: Sandbox) -> int:
    """Count the requests that carry an example."""
    return sum("Triage the customer" in json.dumps(one.body) for one in sandbox.requests)


def one_example(**more: object) -> str:
    """Return an example with a tag and a key that no other has."""
    turns = [
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": '{"urgency": "low", "category": "x", "next_step": "y"}'},
    ]
    return json.dumps({"messages": turns, **more}) + "\n"


# Rules that are about no example.

MISTYPED = {
    "tag": ('["edge-case"]', '["edge_case"]', "10:14", "'edge_case': no example has such a tag", "edge-case"),
    "second-tag": ('["edge-case"]', '["edge-case", "refnud"]', "10:27", "'refnud': no example has such a tag", "refund"),
    "field": ("category = ", "categry = ", "15:31", "67 examples lack 'categry'", "category"),
    "key": ('"topic"', '"topics"', "11:23", "'topics': no example has such a key in its meta", "topic"),
}  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(("old", "new", "place", "said", "meant"), MISTYPED.values(), ids=MISTYPED)
def test_a_rule_about_no_example_is_located(
    repo: Path, sandbox: Sandbox, command: Command,
    words: tuple[str, ...], old: str, new: str, place: str, said: str, meant: str,
) -> None:  # fmt: skip
    before = scene(V8, V10, policy=with_rules(NAMED).replace(old, new))

    ended = command(*words)

    assert ended.code == 3
    error, hint = ended.err.splitlines()[-2:]
    assert said in error
    assert error.endswith(f" (fftdeploy.toml:{place})")
    assert hint == f"hint: did you mean '{meant}'?"
    assert asked(sandbox) == 0
    assert Path("deployments.toml").read_bytes() == before


def test_check_reads_every_gate_and_says_each_different_fault_once(
    repo: Path, command: Command
) -> None:
    scene(V8, V10, policy=with_rules(NAMED.replace('"edge-case"', '"edge_case"')))
    other = POLICY[POLICY.index("[tasks.triage.gate]") :].replace("triage", "other")
    with Path("fftdeploy.toml").open("a") as rules:
        rules.write(other.replace("urgency =", "urgncy ="))
    lines = Path("evals/triage.jsonl").read_text().splitlines(keepends=True)
    for number in (7, 9):
        lines[number] = lines[number].replace("next_step", "nextstep")
    Path("evals/other.jsonl").write_text("".join(lines))

    result = command("check", "--offline")

    first, *details, hint = result.err.splitlines()
    assert result.code == 3
    assert first.startswith("error: 'must_pass' names 'edge_case'")
    assert [detail.split(": ", 1)[1] for detail in details] == [
        "67 examples lack 'urgncy'",
        "the agreed answer: the field 'next_step' is missing (in 2 lines)",
    ]
    assert hint == "hint: did you mean 'edge-case'?"


def test_check_counts_the_examples_of_every_gate(repo: Path, command: Command) -> None:
    scene(V8, V10, policy=with_rules(NAMED))

    text, document = command("check", "--offline").out, command("check", "--offline", "--json").out

    said = "triage: 67 examples, all reviewed, 12 must pass; its bar needs 59 or more\n"
    assert said in text
    assert json.loads(document)["tasks"] == [
        {"task": "triage", "examples": 67, "reviewed": 67, "must_pass": 12, "needed": 59}
    ]


def test_a_rule_near_nothing_says_what_there_is(repo: Path, command: Command) -> None:
    scene(V8, V10, policy=with_rules('slices = ["zzz"]\n'))

    assert command("check", TARGET).err.splitlines()[-1] == "hint: they have: language, topic"


def test_a_tag_of_the_last_example_of_the_last_file_is_known(repo: Path, command: Command) -> None:
    """Control: one example is enough, wherever it is."""
    named = with_rules('must_pass = ["rare"]\nslices = ["only"]\n')
    two = named.replace('triage.jsonl"]', 'triage.jsonl", "evals/more.jsonl"]')
    scene(V8, V10, policy=two)
    more = Path("evals/more.jsonl")
    codes = []
    for line in ("", one_example(tags=["rare"]), one_example(tags=["rare"], meta={"only": "x"})):
        more.write_text(line)
        codes.append(command("check", TARGET, "--offline").code)

    assert codes == [3, 3, 0]


# Targets that nobody has planned for.


@pytest.mark.parametrize("verb", ["eval", "size"])
@pytest.mark.parametrize(
    ("target", "what", "near"),
    [
        ("triage/prodution", "environment 'prodution'", "triage/production"),
        ("trige/production", "task 'trige'", "triage/production"),
    ],
)
def test_a_mistyped_target_is_refused_as_promote_does(
    repo: Path, sandbox: Sandbox, command: Command, verb: str, target: str, what: str, near: str
) -> None:
    scene(V8, V10)

    ended = command(verb, target, f"{V10}@")
    promoted = command("promote", target, "--model", V10, "--why", "x", "--yes")

    said = [
        f"error: there is no target {target}, and the policy knows no {what}",
        f"hint: did you mean {near}?",
    ]
    assert (ended.code, ended.err.splitlines()) == (2, said)
    assert (promoted.code, promoted.err.splitlines()) == (2, said)
    assert sandbox.requests == ()
    assert evidence() == []


def test_a_planned_target_without_a_release_is_evaluated(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    """Control."""
    scene(V8, V10)
    write(past("triage/staging", V7, V10), policy=POLICY)

    assert command("eval", TARGET).code == 7
    assert asked(sandbox) == 67


# Too few examples.

FEW = {
    "E8-none": (0, "", 7, "0 examples in evals/triage.jsonl; the gate asks for 1 or more", "--from FILE"),
    "E9-one": (1, "min_examples = 2\n", 7, "1 example in evals/triage.jsonl; the gate asks for 2 or more", "--from FILE"),
    "E9-allowed": (
        1, 'min_examples = 2\non_inconclusive = "allow"\n', 7,
        "1 example in evals/triage.jsonl; the gate asks for 2 or more", "--from FILE",
    ),
    "unreviewed": (
        None, "require_reviewed = true\n", 5,
        "0 of 1 example are reviewed, and the gate takes reviewed ones only", "--unreviewed",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("count", "rules", "code", "said", "way"), FEW.values(), ids=FEW)
def test_examples_that_cannot_settle_it_are_inconclusive(
    repo: Path, sandbox: Sandbox, command: Command,
    count: int | None, rules: str, code: int, said: str, way: str,
) -> None:  # fmt: skip
    before = scene(V8, V10, policy=with_rules(rules), examples=count or 0)
    if count is None:
        EXAMPLES.write_text(one_example())

    sized, judged = command("size", TARGET), command("eval", TARGET)
    tried = [promote(command), promote(command, "--override", "inconclusive", *EVAL)]

    assert (sized.code, judged.code, [one.code for one in tried]) == (0, code, [code, code])
    expected = [f"error: {said} (evals/triage.jsonl)", f"hint: fftdeploy review triage {way}"]
    for ended in (judged, *tried):
        assert ended.err.splitlines()[-2:] == expected
    assert sized.out.splitlines()[-1] == f"eval refuses these: {said}"
    assert sized.err.splitlines()[-1] == f"next: fftdeploy review triage {way}"
    assert json.loads(command("size", TARGET, "--json").out)["refused"] == said
    checked = json.loads(command("check", "--offline", "--json").out)["findings"]
    told = [(each["message"], each["hint"]) for each in checked if each["code"] == "examples"]
    assert told == [(said, f"fftdeploy review triage {way}")]
    assert (asked(sandbox), evidence()) == (0, [])
    assert Path("deployments.toml").read_bytes() == before


def grouped(sizes: Iterable[int]) -> None:
    """Give the examples groups of these sizes."""
    names = iter([f"g{number}" for number, size in enumerate(sizes) for _ in range(size)])
    rows = [json.loads(line) for line in EXAMPLES.read_text().splitlines()]
    EXAMPLES.write_text("".join(json.dumps({**row, "group": next(names)}) + "\n" for row in rows))


def test_J17_size_counts_groups_and_says_so(repo: Path, sandbox: Sandbox, command: Command) -> None:
    scene(V8, V10, examples=64)
    grouped([4] * 16)
    alike = command("size", TARGET)
    scene(V8, V10, examples=64)
    grouped([1] * 24 + [20] * 2)
    uneven = command("size", TARGET)
    found = json.loads(command("size", TARGET, "--json").out)

    assert alike.out.splitlines()[:4] == [
        f"{TARGET}  64 examples in 16 groups, 95% sure that it is at most 5 points worse",
        "groups are counted, not the examples in them",
        "fewer than 59 groups can't pass a candidate that answers just as live does",
        "to let a candidate through that is as good as live, 4 times in 5:",
    ]
    assert alike.out.splitlines()[4].split("  ")[1:] == ["GROUPS NEEDED", "CHANCE WITH 16"]
    # 64 squared over 24 + 800 are 5.0 of 26: five times as many are needed.
    assert uneven.out.splitlines()[1:3] == [
        "groups are counted, not the examples in them: of these sizes they count as 5.0",
        "fewer than 309 groups can't pass a candidate that answers just as live does",
    ]
    assert [found[key] for key in ("examples", "groups", "units", "smallest")] == [64, 26, 4, 309]


def test_J17_candidates_that_share_the_risk_need_more(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10, examples=60)
    three = [f"{model}@" for model in (V7, V9, V10)]

    sized, ended = command("size", TARGET, *three), command("eval", TARGET, *three)

    assert sized.out.splitlines()[:3] == [
        f"{TARGET}  60 examples, 98.33% sure that it is at most 5 points worse",
        "3 candidates share the risk of a wrong pass",
        "fewer than 83 examples can't pass a candidate that answers just as live does",
    ]
    assert "note: 60 examples: fewer than 83 examples can't pass a candidate" in ended.err


def test_J17_eval_says_before_it_asks_that_so_few_cannot_pass(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    few = "can't pass a candidate that answers just as live does"
    for examples, said in ((58, f"note: 58 examples: fewer than 59 examples {few}"), (59, "")):
        scene(V8, V10, examples=examples)
        ended = command("eval", TARGET)
        notes = [line for line in ended.err.splitlines() if few in line]
        assert notes == ([said] if said else [])


def test_size_of_nothing_says_what_is_needed(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10, examples=0)

    none = json.loads(command("size", TARGET, "--json").out)
    scene(V8, V10, examples=1)
    one = command("size", TARGET)

    assert (none["examples"], none["smallest"], none["cost"]["requests"]) == (0, 59, 0)
    assert [row["chance"] for row in none["sizes"]] == [0.0] * 4
    assert one.out.startswith(f"{TARGET}  1 example, ")
    assert "eval refuses" not in one.out, "control"


@pytest.mark.parametrize(
    ("least", "expected"),
    [(68, (12, ["inconclusive"])), (67, (0, [""]))],
    ids=["forged", "control"],
)
def test_E9_too_few_is_no_doubt_that_a_policy_can_allow(
    change: Change, least: int, expected: tuple[int, list[str]]
) -> None:
    """`eval` makes no such evidence, so it comes from somewhere else."""
    rules = f'min_examples = {least}\non_inconclusive = "allow"\nslices = ["topic"]'
    change.base(lambda here: here.edit('slices = ["topic"]', rules, POLICY_FILE))
    path = bring(change.made.folder.parent / "made", change.made.evidence["pass"])
    folder = EvidenceFolder(change.folder)
    gate = policy.parse(POLICY_FILE.read_bytes()).gate("triage")
    assert gate is not None
    made = replace(folder.read(change.folder / path).evidence, gate=gate.content)
    verdict = recompute(made)
    forged = folder.write(replace(made, verdict=verdict.as_json()), verdict)
    path.unlink()
    change.release(V10, evidence=forged.id)
    commit("promote")

    assert change.judged("--accept-claimed") == expected


# Hints, typed as they stand.


def hint_of(ended: Result, word: str = "hint: ") -> list[str]:
    return shlex.split(ended.err.splitlines()[-1].removeprefix(f"{word}fftdeploy "))


def test_the_hint_of_adopt_works(repo: Path, sandbox: Sandbox, command: Command) -> None:
    scene(V8, V9)
    head, tail = Path("deployments.toml").read_text().split("[triage.production]")
    Path("deployments.toml").write_text(f"{head}[triage.production]{tail.replace(V8, V10, 1)}")

    refused = command("adopt", TARGET, "--why", "x", "--yes")
    judged = command(*hint_of(refused))
    adopted = command("adopt", TARGET, "--why", "x", "--yes")

    assert hint_of(refused) == ["eval", TARGET, "live"]
    assert (refused.code, judged.code, adopted.code) == (7, 0, 0), judged.err + adopted.err
    assert newest(TARGET).evidence == evidence()[0].stem


def test_a_plan_over_the_limit_is_allowed_by_the_flag_of_its_hint(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10)

    alone = promote(command, "--max-requests", "134")
    refused = promote(command, "--eval", "--max-requests", "133")
    flags = refused.err.splitlines()[-1].removeprefix("hint: ").split()[:2]
    allowed = promote(command, "--eval", *flags)

    assert (alone.code, refused.code, allowed.code) == (2, 6, 0), refused.err + allowed.err
    assert alone.err.splitlines()[-1] == "hint: add --eval"
    assert flags == ["--max-requests", "134"]


def test_a_candidate_on_hold_that_passes_is_to_be_unheld_first(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10)
    write(past("triage/staging", V7, V10), past(TARGET, V8, holds=[hold(V10)]), policy=POLICY)

    judged = command("eval", TARGET, f"{V10}@")
    unheld = command(*hint_of(judged, "next: "), "--yes")
    again = command("eval", TARGET, f"{V10}@")
    promoted = command(*hint_of(again, "next: "), "--yes")

    assert hint_of(judged, "next: ") == ["unhold", TARGET, V10, "--why", "TEXT"]
    assert (judged.code, unheld.code, promoted.code) == (0, 0, 0), unheld.err + promoted.err
    assert newest(TARGET).bundle.model == V10


# Candidates.


@pytest.mark.parametrize("word", ["live", f"{V8}@"])
@pytest.mark.parametrize("verb", ["eval", "size"])
def test_live_is_no_candidate_beside_others(
    repo: Path, sandbox: Sandbox, command: Command, verb: str, word: str
) -> None:
    scene(V8, V10)

    ended = command(verb, TARGET, word, f"{V9}@")

    assert (ended.code, ended.err.splitlines()) == (
        2,
        [
            f"error: {V8} is live: the others are compared with it anyway",
            "hint: name the others alone",
        ],
    )
    assert sandbox.requests == ()


# What is said.


def test_verify_says_on_stderr_what_is_wrong(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10)
    command("eval", TARGET)
    (path,) = evidence()
    path.write_text(path.read_text().replace('"attempt":1', '"attempt":2'))

    ended = command("verify")

    assert ended.code == 3
    assert ended.err.splitlines() == [
        f"error: evidence {path.stem[:12]} was edited: its name is not its hash, "
        + ended.err.splitlines()[0][-12:],
        "hint: restore it from git, or make it again: fftdeploy eval TASK/ENVIRONMENT",
    ]


def test_ctrl_c_during_a_run_leaves_what_is_said_alone_on_its_line(
    repo: Path, sandbox: Sandbox
) -> None:
    scene(V8, FT + "v10:DeFg0:ckpt-step-200")
    words = [str(PROGRAM), "eval", TARGET, "--concurrency", "1"]

    code, screen = terminal.run(words, {**os.environ, "TERM": "xterm"}, ("/s  ", "^C"))

    (row,) = [row for row in screen.split("\n") if "answers are kept" in row]
    assert code == 130
    assert re.fullmatch(r"note: \d+ of 134 answers are kept; run it again to go on from there", row)
