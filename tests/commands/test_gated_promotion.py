"""Promote asks the gate: evidence about exactly this bundle, baseline, examples, graders, gate."""

import json
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import terminal
from checkout import ROOT
from command_line import PROGRAM, Command, git
from gated import EXAMPLES, LIKE_V8, POLICY, TARGET, asked, evidence, promote, scene
from scenes import (
    EVAL,
    V7,
    V8,
    V9,
    V10,
    newest,
    past,
    read,
    row,
    table,
    write,
    write_profile,
)

from fftdeploy.evaluation.evidence import evidence_folder
from fftdeploy.evaluation.evidence.evidence import Evidence, content_sha, parse
from fftdeploy.evaluation.evidence.evidence_folder import recompute
from fftdeploy.evaluation.verdict import Verdict
from fftdeploy.formats import strict_json
from fftdeploy.sandbox import STORY_NOW, Sandbox

pytestmark = pytest.mark.usefixtures("repo", "sandbox")


def beside(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Write evidence of its own hash that is as `path` but for `change`."""
    document = json.loads(path.read_text())
    change(document)
    path.with_stem(content_sha(document)).write_text(strict_json.dumps(document))


def verdict_of(path: Path) -> str:
    return str(json.loads(path.read_text())["verdict"]["ruling"])


def test_without_evidence_it_stops_and_says_what_to_type(
    sandbox: Sandbox, command: Command
) -> None:
    before = scene(V8, V10)

    ended = promote(command)

    assert (ended.code, ended.out) == (7, "")
    assert ended.err.splitlines()[1:] == [
        f"error: {TARGET} is protected, and there is no evidence about {V10}",
        f"hint: fftdeploy eval {TARGET}, or add --eval --max-requests 134",
    ]
    assert Path("deployments.toml").read_bytes() == before
    assert evidence() == []
    assert not [r for r in sandbox.requests if "customer" in json.dumps(r.body)]


def test_answers_that_came_with_a_commit_are_not_this_machines(
    sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10)
    assert command("eval", TARGET).code == 0
    (log,) = Path(".fftdeploy/runs").glob("*.jsonl")
    shutil.rmtree(".fftdeploy/evidence")
    git("add", "--force", str(log))
    git("commit", "-qm", "answers")

    ended = command("eval", TARGET)
    at_once = promote(command, "--eval", "--max-requests", "134")

    assert (ended.code, at_once.code) == (3, 3)
    assert ended.err.splitlines()[-2:] == [
        f"error: {log} is committed: its answers would count as this machine's own",
        "hint: git rm -rf -- .fftdeploy/runs",
    ]
    assert evidence() == []
    before = asked(sandbox)
    git("rm", "-rf", "--", ".fftdeploy/runs")
    assert command("eval", TARGET).code == 0
    assert asked(sandbox) - before >= 134  # none of those answers counted


def test_what_is_better_passes_and_the_release_names_its_evidence(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene(V8, V10)

    assert command("eval", TARGET).code == 0
    git("add", ".")
    git("commit", "-qm", "judged")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    code, shown = terminal.screen(["promote", TARGET, "--why", "INC-88", "--yes"], 80)

    (path,) = evidence()
    assert code == 0
    assert shown.splitlines()[1:] == [
        f"{TARGET}  triage-v8 → triage-v10  release 2, from staging",
        "  ✓ ready          shuts down 2027-01-14 (54 days)",
        f"  ✓ better         0 broke, 14 fixed of 67  evidence {path.stem[:12]}",
        "  why              INC-88",
        "changed deployments.toml (2 lines)   next: git commit deployments.toml",
    ], "five lines, below the one that says whom it asks"
    assert newest(TARGET).evidence == path.stem
    assert newest(TARGET).bundle.model == V10


def test_with_nobody_to_ask_eval_needs_a_limit(sandbox: Sandbox, command: Command) -> None:
    before = scene(V8, V10)

    refused = promote(command, "--eval")

    assert (refused.code, refused.out, asked(sandbox), evidence()) == (2, "", 0, [])
    assert refused.err.splitlines()[-2:] == [
        "error: --eval needs a limit: nobody is asked before it spends",
        "hint: add --max-requests N or --max-usd X; with --dry-run it says what it would ask",
    ]
    assert Path("deployments.toml").read_bytes() == before


def test_the_commit_has_the_evidence_and_says_so(command: Command) -> None:
    scene(V8, V10)
    git("add", ".")
    git("commit", "-qm", "before")

    ended = promote(command, *EVAL, "--commit")

    assert ended.code == 0, ended.err
    (path,) = evidence()
    assert (newest(TARGET).evidence, verdict_of(path)) == (path.stem, "pass")
    assert git("show", "--format=%(trailers:key=Evidence,valueonly)", "--name-only").split() == [
        path.stem,
        f".fftdeploy/evidence/triage/{path.name}",
        "deployments.toml",
    ]
    assert git("status", "--porcelain") == "?? .fftdeploy/.gitignore", "`init` writes that one"


def test_what_is_worse_is_stopped_by_eval_and_by_promote_whatever_the_flags(
    command: Command,
) -> None:
    before = scene(V10, V9)

    first, second = command("eval", TARGET), promote(command)

    (path,) = evidence()
    assert (first.code, second.code) == (5, 5)
    assert "FAIL  worse: 12 broke, 0 fixed" in first.out
    assert f"error: evidence {path.stem[:12]}: worse: 12 broke" in second.err
    assert f"hint: fftdeploy report {path.stem[:12]} --open" in second.err
    for flags in (("--override", "inconclusive,order,soak"), EVAL):
        assert promote(command, *flags).code == 5
    assert Path("deployments.toml").read_bytes() == before


def test_too_few_examples_are_inconclusive_and_an_override_is_recorded(command: Command) -> None:
    before = scene(V8, LIKE_V8, examples=40)

    judged, refused = command("eval", TARGET), promote(command)

    assert (judged.code, refused.code) == (7, 7)
    assert "40 pairs can't settle it" in judged.out
    assert Path("deployments.toml").read_bytes() == before
    assert promote(command, "--override", "inconclusive").code == 0
    assert newest(TARGET).overrides == ("inconclusive",)
    assert newest(TARGET).evidence == evidence()[0].stem


def test_on_inconclusive_allow_lets_it_through_and_says_what_that_means(command: Command) -> None:
    allow = POLICY.replace("slices =", 'on_inconclusive = "allow"\nslices =')
    scene(V8, LIKE_V8, policy=allow, examples=40)

    judged, passed = command("eval", TARGET), promote(command)

    assert (judged.code, passed.code) == (0, 0)
    assert "gets through 69% of the time" in judged.out
    assert newest(TARGET).overrides == ()


def test_with_enough_examples_the_same_models_pass(command: Command) -> None:
    scene(V8, LIKE_V8)

    assert command("eval", TARGET).code == 0


def other_gate() -> None:
    Path("fftdeploy.toml").write_text(POLICY.replace("slices =", "margin = 0.1\nslices ="))


def other_graders() -> None:
    Path("fftdeploy.toml").write_text(POLICY.replace('"casefold"', '"exact"'))


def other_examples() -> None:
    lines = EXAMPLES.read_text().splitlines(keepends=True)
    EXAMPLES.write_text("".join(lines[1:]))


def other_baseline() -> None:
    text = Path("deployments.toml").read_text()
    head, tail = text.split("[triage.production]")
    Path("deployments.toml").write_text(f"{head}[triage.production]{tail.replace(V8, V7)}")


def other_candidate() -> None:
    text = Path("deployments.toml").read_text()
    head, tail = text.split("[triage.production]")
    Path("deployments.toml").write_text(f"{head.replace(V10, V9)}[triage.production]{tail}")


CHANGES: tuple[tuple[Callable[[], None], str], ...] = (
    (other_gate, "another gate"),
    (other_graders, "other graders"),
    (other_baseline, "another live model or prompt"),
    (other_candidate, "no evidence about"),
    (other_examples, "other examples"),
)


def test_E24_evidence_about_something_else_or_too_old_does_not_count(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene(V8, V10)
    command("eval", TARGET)
    for change, words in CHANGES:
        scene(V8, V10)
        change()
        before = Path("deployments.toml").read_bytes()

        ended = promote(command)

        assert (ended.code, words in ended.err) == (7, True), (change, ended.err)
        assert Path("deployments.toml").read_bytes() == before
    scene(V8, V10)
    with Sandbox(now=lambda: STORY_NOW) as another, monkeypatch.context() as there:
        there.setenv("OPENAI_BASE_URL", another.url)
        ended = promote(command)
    assert (
        ended.code,
        f"it was made at {sandbox.url}, and {another.url} is asked" in ended.err,
    ) == (7, True)
    on(sandbox, monkeypatch, 31)
    ended = promote(command)
    assert (ended.code, "31d old; 30d are allowed" in ended.err) == (7, True)
    on(sandbox, monkeypatch, 0)
    assert promote(command).code == 0, "and that is all that was wrong with it"


def on(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Let `days` go by since the story's moment."""
    later = STORY_NOW + timedelta(days=days)
    sandbox.set_now(later)
    monkeypatch.setenv("FFTDEPLOY_NOW", later.isoformat())


@pytest.mark.parametrize("flags", [(), EVAL])
def test_E24_evidence_that_got_too_old_is_made_again(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    scene(V8, V10, policy=POLICY.replace("slices", 'max_age = "1d"\nslices'))
    command("eval", TARGET)
    (old,) = evidence()
    on(sandbox, monkeypatch, 2)

    if not flags:
        assert promote(command).code == 7
        assert command("eval", TARGET).code == 0
    ended = promote(command, *flags)

    assert (ended.code, len(evidence())) == (0, 2)
    assert newest(TARGET).evidence in {path.stem for path in evidence()} - {old.stem}


def test_E24_answers_age_with_the_evidence_that_they_are_taken_for(
    sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another margin asks nothing anew, and makes nothing younger."""
    strict = POLICY.replace("slices", 'max_age = "4d"\nslices')
    scene(V8, V10, policy=strict)
    command("eval", TARGET)
    on(sandbox, monkeypatch, 1.5)
    scene(V8, V10, policy=strict.replace("slices", "margin = 0.06\nslices"))
    before = asked(sandbox)
    assert command("eval", TARGET).code == 0
    assert asked(sandbox) - before <= 2, "but for the proofs, it took what it had"
    taken = [json.loads(path.read_text())["cache"] for path in evidence()]
    assert {cache["oldest"][:10] for cache in taken} == {f"{STORY_NOW:%Y-%m-%d}"}

    on(sandbox, monkeypatch, 5)
    refused = promote(command)
    on(sandbox, monkeypatch, 5.1)
    again = promote(command, *EVAL)

    assert refused.code == 7
    assert "5d old; 4d are allowed" in refused.err
    assert (again.code, asked(sandbox) - before > 100) == (0, True)


def test_E23_a_damaged_failure_does_not_let_an_older_pass_through(command: Command) -> None:
    scene(V8, V9)
    command("eval", TARGET)
    command("eval", TARGET, "--fresh", "--repeats", "2")
    for path in evidence():
        if json.loads(path.read_text())["repeats"] == 2:
            path.write_text(path.read_text().replace('"used":2', '"used":1'))
    ended = promote(command)

    assert ended.code == 3
    assert "was edited: its name is not its hash" in ended.err


def test_E23_evidence_in_the_folder_of_another_task_is_not_its_own(command: Command) -> None:
    scene(V8, V10)
    command("eval", TARGET)
    (path,) = evidence()
    other = Path(".fftdeploy/evidence/refunds") / path.name
    other.parent.mkdir()
    shutil.copy(path, other)

    ended = command("verify")

    assert ended.code == 3
    assert "it is about task 'triage', not about 'refunds'" in ended.out + ended.err


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the place of every value of a JSON document, of long arrays the first two."""
    if isinstance(value, dict):
        return [place for key, below in value.items() for place in leaves(below, (*path, key))]
    if isinstance(value, list) and value:
        found = [leaves(below, (*path, i)) for i, below in enumerate(value[:2])]
        return [place for places in found for place in places]
    return [path]


def spoiled(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return "pass" if value != "pass" else "fail"


def test_E23_every_edited_field_is_found_even_under_its_new_hash(command: Command) -> None:
    """A hash proves the bytes; what a re-hashed file claims is held against its own rows."""
    scene(V10, V9)
    command("eval", TARGET)
    (path,) = evidence()
    original = path.read_text()
    tried = under_old_name = under_new_hash = trusted = 0
    for place in leaves(json.loads(original)):
        document = json.loads(original)
        holder = document
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = spoiled(holder[place[-1]])
        text = strict_json.dumps(document)
        tried += 1
        path.write_text(text)
        under_old_name += command("verify").code == 3
        path.unlink()
        renamed = path.with_name(f"{content_sha(document)}.json")
        renamed.write_text(text)
        is_claim = place[0] == "verdict" and place[-1] not in {"headline", "message", "settling"}
        is_claim = is_claim and "detail" not in place
        under_new_hash += is_claim and command("verify").code == 3
        trusted += is_claim
        renamed.unlink()
        path.write_text(original)
    print(
        f"{tried} fields edited, {tried - under_old_name} missed; {trusted} claims, "
        f"{trusted - under_new_hash} missed"
    )
    assert tried > 150
    assert (under_old_name, under_new_hash) == (tried, trusted)
    assert command("verify").code == 0, "control: as it was, it is found whole"


def test_only_evidence_that_could_decide_is_judged(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene(V8, V10, examples=20)
    command("eval", TARGET)
    (made,) = evidence()
    beside(made, lambda document: document.update(attempt=2))
    beside(made, lambda document: document["arms"]["candidate"].update(model=V9))
    judged: list[str] = []

    def counted(evidence: Evidence) -> Verdict:
        judged.append(evidence.candidate.model)
        return recompute(evidence)

    monkeypatch.setattr(evidence_folder, "recompute", counted)

    def judged_by(*words: str) -> list[str]:
        judged.clear()
        command(*words)
        return sorted(judged)

    assert judged_by("promote", TARGET, "--why", "PR #7", "--yes") == [V10]
    assert len(judged_by("size", TARGET)) == 1
    assert len(judged_by("verify", evidence()[0].stem)) == 1
    assert judged_by("verify") == [V10, V10, V9], "control"


def test_E23_edited_evidence_stops_a_promotion_even_under_its_new_hash(command: Command) -> None:
    before = scene(V10, V9)
    command("eval", TARGET)
    (path,) = evidence()
    beside(path, lambda document: document["verdict"].update(ruling="pass"))
    edited = path.read_text().replace('"ruling":"fail"', '"ruling":"pass"')
    path.unlink()

    forged = promote(command)
    evidence()[0].unlink()
    path.write_text(edited)
    ended = promote(command)

    assert (forged.code, ended.code) == (3, 3)
    assert "was edited: its answers do not give its verdict.ruling" in forged.err
    assert f"error: evidence {path.stem[:12]} was edited: its name is not its hash" in ended.err
    assert Path("deployments.toml").read_bytes() == before


def test_an_unprotected_target_records_evidence_that_fits_and_asks_for_none(
    command: Command,
) -> None:
    scene(V8, V10, policy=POLICY.replace("protected = true\n", ""))

    assert promote(command).code == 0
    assert newest(TARGET).evidence is None
    scene(V8, V10, policy=POLICY.replace("protected = true\n", ""))
    command("eval", TARGET)
    assert promote(command).code == 0
    assert newest(TARGET).evidence == evidence()[0].stem


def test_a_protected_task_without_a_gate_needs_a_reason_alone(command: Command) -> None:
    scene(V8, V10, policy=POLICY.partition("[tasks")[0] + "[tasks.triage]\n")

    assert promote(command).code == 0


def test_no_live_model_yet_is_judged_by_floors_and_must_pass_alone(command: Command) -> None:
    scene(V8, V10)
    write(past("triage/staging", V7, V10), policy=POLICY)
    nothing_to_hold = command("eval", TARGET)
    floor = POLICY.replace("slices =", "floors = { pass_rate = 0.9 }\nslices =")
    write(past("triage/staging", V7, V10), policy=floor)

    judged, ended = command("eval", TARGET), promote(command)

    assert (nothing_to_hold.code, judged.code, ended.code) == (7, 0, 0), judged.out + ended.err
    assert "nothing else is live to compare with" in judged.out
    assert read(TARGET).model == V10


def test_a_dead_live_model_is_compared_by_what_it_answered_while_it_lived(
    sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10)
    recorded = command("eval", TARGET, "live", "--repeats", "2")  # more than are asked for is fine
    sandbox.remove(V8)

    judged, ended = command("eval", TARGET), promote(command)

    assert (recorded.code, judged.code, ended.code) == (0, 0, 0), judged.out + ended.err
    said = " ".join(judged.out.split())
    assert f"{V8} is dead: its answers are those recorded 2026-11-21" in said
    assert "12 fixed" not in recorded.out
    assert "PASS  better (p < 0.001): 95% sure" in judged.out
    assert "+14 fixed  \N{MINUS SIGN}0 broke" in judged.out


def test_what_a_rehearsal_recorded_is_no_record_of_the_model_itself(
    repo: Path, sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was called one, and evidence that rests on it counts nowhere: nothing could follow V8."""
    scene(V8, V10, policy=POLICY.replace("slices =", "floors = { pass_rate = 0.9 }\nslices ="))
    with Sandbox(now=lambda: STORY_NOW) as rehearsal:
        monkeypatch.setenv("OPENAI_BASE_URL", rehearsal.url)
        assert command("eval", TARGET, "live").code == 0
    monkeypatch.setenv("OPENAI_BASE_URL", sandbox.url)
    recorded = command("migrate", TARGET, "--record", "--plan")
    sandbox.remove(V8)

    judged, ended = command("eval", TARGET), promote(command)

    assert "67 requests" in recorded.out, recorded
    assert "its answers to these examples are not on record" in judged.err
    assert (judged.code, ended.code) == (0, 0), judged.out + ended.err


@pytest.mark.parametrize("spoil", ["edited", "gone"])
def test_J37_live_is_asked_with_the_prompt_that_it_was_made_live_with_or_not_at_all(
    repo: Path, sandbox: Sandbox, command: Command, spoil: str
) -> None:
    """It was asked with what lay there, and with the file back the evidence counted."""
    write_profile("own")
    prompt = Path("profiles/own.toml")
    scene(V8, V10)
    live = table(TARGET, V8, [row(1, V8, "own")], profile="own")
    write(past("triage/staging", V7, V10), live, policy=POLICY)
    git("add", "-A")
    git("commit", "-qm", "own")
    if spoil == "gone":
        prompt.unlink()
    else:
        prompt.write_text('system = "Say hello."\n')

    refused = command("eval", TARGET)

    error, hint = refused.err.splitlines()[-2:]
    assert (refused.code, asked(sandbox), evidence()) == (6, 2, [])  # but the probes
    assert "live can't be asked as it was made live: profiles/own.toml is" in error
    assert hint == "hint: git checkout -- profiles/own.toml"


def test_a_record_that_lacks_answers_is_none(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    """Of a model that stands beside the others any number of answers may be lost."""
    scene(V8, V10, policy=POLICY.replace("slices =", "floors = { pass_rate = 0.9 }\nslices ="))
    sandbox.fault(V9, status=400, body={"error": {"message": "no"}}, after=4)
    beside = command("eval", TARGET, "--against", f"live,{V9}")
    sandbox.clear_faults()
    scene(V9, V10, policy=Path("fftdeploy.toml").read_text())
    recorded = command("migrate", TARGET, "--record", "--plan")
    sandbox.remove(V9)

    judged = command("eval", TARGET)

    assert beside.code == 0, beside
    assert "at most 63 requests" in recorded.out, recorded
    assert judged.code == 0, judged
    assert "not on record: there is nothing to compare with" in judged.err


def test_evidence_of_a_budget_counts_while_the_price_is_the_same(
    repo: Path, sandbox: Sandbox, command: Command
) -> None:
    budget = POLICY.replace("slices =", "budgets = { usd_per_1k_requests = 0.3 }\nslices =")
    prices = f'[prices]\ndate = 2026-11-20\n"{V10}" = {{ input = 0.8, output = 3.2 }}\n'
    scene(V8, V10, policy=budget + prices)
    assert command("eval", TARGET).code == 0
    policy = Path("fftdeploy.toml")

    policy.write_text(policy.read_text().replace("3.2", "32.0"))
    dearer, verified = promote(command), command("verify", "--json")
    judged, over = command("eval", TARGET), promote(command)
    policy.write_text(policy.read_text().replace("32.0", "3.2").replace("11-20", "11-28"))
    as_before = promote(command)

    assert (dearer.code, "it is about another price" in dearer.err) == (7, True), dearer
    assert json.loads(verified.out)["evidence"][0]["since"] == "price changed"
    assert (judged.code, over.code) == (5, 5), judged
    assert "over the budget of $0.3" in over.err
    assert as_before.code == 0, as_before


def failed_fields(path: Path, arm: str) -> dict[str, list[str]]:
    """Return which examples fail each field, by its name."""
    results = parse(path.read_bytes(), path.name)[1].results
    bits = results.arms[arm].failed
    return {
        name: [results.ids[at] for at, failed in enumerate(bits) if failed >> number & 1]
        for number, name in enumerate(results.fields)
    }


def test_recorded_answers_keep_their_fields_when_the_policy_orders_them_anew(
    sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V10)
    assert command("eval", TARGET, "live").code == 0
    (recorded,) = evidence()
    other = POLICY.replace('urgency = "exact", category = "exact"', 'category = "exact"')
    other = other.replace('next_step = "casefold"', 'next_step = "casefold", urgency = "exact"')
    Path("fftdeploy.toml").write_text(other)
    sandbox.remove(V8)

    assert command("eval", TARGET).code == 0

    (judged,) = set(evidence()) - {recorded}
    before, after = failed_fields(recorded, "candidate"), failed_fields(judged, "live")
    assert list(before) == ["urgency", "category", "next_step"]
    assert list(after) == ["category", "next_step", "urgency"]
    assert before == after
    assert before["urgency"] != before["category"]


def test_a_dead_live_model_without_a_record_leaves_no_baseline(
    sandbox: Sandbox, command: Command
) -> None:
    floor = POLICY.replace("slices =", "floors = { pass_rate = 0.9 }\nslices =")
    scene(V8, V10, policy=floor)
    sandbox.remove(V8)

    judged = command("eval", TARGET)
    dead = promote(command, "--dry-run")
    sandbox.restore(V8)
    alive = promote(command)

    assert (judged.code, dead.code, alive.code) == (0, 0, 7), judged.out + dead.err + alive.err
    assert "not on record: there is nothing to compare with" in judged.err
    assert "what is live was dead for it, and is not" in alive.err


def test_E29_a_live_model_that_is_only_missing_is_no_reason_to_pass(command: Command) -> None:
    """Nothing shows that the key is the right one, so nothing is dead."""
    EXAMPLES.parent.mkdir()
    shutil.copy(ROOT / EXAMPLES, EXAMPLES)
    other = "ft:gpt-4.1-mini-2025-04-14:other::Abc123"
    write(
        past("triage/staging", V7, V10),
        table(TARGET, other, [row(1, other)]),
        policy=POLICY,
    )

    ended = command("eval", TARGET)

    assert ended.code == 4
    assert evidence() == []


def test_adopt_over_a_hand_edit_of_a_protected_target_asks_the_gate(command: Command) -> None:
    scene(V10, V9)
    edited = Path("deployments.toml").read_text()
    head, tail = edited.split("[triage.production]")
    Path("deployments.toml").write_text(f"{head}[triage.production]{tail.replace(V10, V9, 1)}")

    without = command("adopt", TARGET, "--why", "x", "--yes")
    judged = command("eval", TARGET, "live")
    ended = command("adopt", TARGET, "--why", "x", "--yes")

    assert (without.code, judged.code, ended.code) == (7, 5, 5), ended.err


def test_a_second_attempt_is_counted_and_a_rerun_of_known_answers_is_none(command: Command) -> None:
    scene(V8, V10)

    command("eval", TARGET)
    again = command("eval", TARGET)
    fresh = command("eval", TARGET, "--fresh")

    assert "attempt" not in again.out
    assert len(evidence()) == 2
    assert "this is attempt 2 of this candidate on these examples" in fresh.out


def test_several_candidates_share_the_risk(command: Command) -> None:
    scene(V8, V10)

    ended = command("eval", TARGET, f"{V9}@", f"{V10}@", "--json")

    document = json.loads(ended.out)
    assert [one["candidate"] for one in document["evaluations"]] == [V9, V10]
    assert [json.loads(path.read_text())["candidates"] for path in evidence()] == [2, 2]
    together = set(evidence())
    command("eval", TARGET, f"{V10}@", "--fresh")
    (alone,) = set(evidence()) - together
    assert json.loads(alone.read_text())["candidates"] == 2, "asked again alone, it shares on"
    assert (
        ended.code
        == {"pass": 0, "fail": 5, "inconclusive": 7}[
            max(
                (one["verdict"]["ruling"] for one in document["evaluations"]),
                key=["pass", "inconclusive", "fail"].index,
            )
        ]
    )


@pytest.mark.parametrize(("reply", "code"), [("y", 0), ("n", 7)])
def test_at_a_terminal_it_offers_to_evaluate_and_says_what_that_costs(
    reply: str, code: int
) -> None:
    before = scene(V8, V10)
    words = [str(PROGRAM), "promote", TARGET, "--why", "PR #7"]
    steps = [("evaluate now? [y/N]", reply)]
    steps += [("make this change? [y/N]", "y")] if reply == "y" else []

    ended, screen = terminal.run(words, dict(os.environ), *steps)

    assert ended == code, screen
    assert "; an evaluation takes 134 requests, about " in screen
    assert screen.count("is protected, and there is no evidence") == 1
    assert (newest(TARGET).bundle.model, len(evidence())) == ((V10, 1) if code == 0 else (V8, 0))
    assert code == 0 or Path("deployments.toml").read_bytes() == before


def test_a_dry_run_with_eval_says_what_the_run_would_ask_and_spends_nothing(
    command: Command,
) -> None:
    before = scene(V8, V10)
    argv = ("promote", TARGET, "--why", "x", "--dry-run", "--eval")

    ended = command(*argv)
    refused = command(*argv, "--max-requests", "133")
    unpriced = command(*argv, "--max-usd", "1")
    there = command("eval", TARGET)
    planned = command(*argv)

    error, detail, hint = ended.err.splitlines()[-3:]
    assert (ended.code, planned.code, there.code) == (7, 0, 0), ended.err
    assert error.startswith(f"error: {TARGET} is protected, and ")
    assert error.endswith("; a dry run asks for none")
    assert detail.startswith(
        "  without --dry-run it is made now, with at most 134 requests, about "
    )
    assert hint == f"hint: fftdeploy eval {TARGET}"
    assert (refused.code, unpriced.code) == (6, 2), refused.err + unpriced.err
    assert "134 requests are more than the 133 that are allowed" in refused.err
    assert "--max-usd needs the price of " in unpriced.err
    assert len(evidence()) == 1
    assert Path("deployments.toml").read_bytes() == before


# ---- nothing to judge --------------------------------------------------------------------------


@pytest.mark.parametrize("allow", ["", 'on_inconclusive = "allow"\n'])
def test_J18_two_models_that_pass_nothing_are_no_pass_and_nothing_is_promoted(
    command: Command, allow: str
) -> None:
    before = scene(V8, V10, policy=POLICY.replace("slices =", f"{allow}slices ="))
    EXAMPLES.write_text(EXAMPLES.read_text().replace('\\"urgency\\": \\"', '\\"urgency\\": \\"un'))

    judged, tried = command("eval", TARGET), promote(command)

    why = "the candidate passes none of 67 examples: 67 of 67 answers wrong, such as t-001"
    assert (judged.code, tried.code) == (7, 7)
    assert f"INCONCLUSIVE {why}" in " ".join(judged.out.split())
    assert "  urgency     unmedium taken for medium " in judged.out
    assert "  t-002       I forgot my password and" in judged.out
    (path,) = evidence()
    assert tried.err.splitlines()[-2:] == [
        f"error: evidence {path.stem[:12]}: {why}",
        f"hint: fftdeploy report {path.stem[:12]} --open",
    ]
    assert Path("deployments.toml").read_bytes() == before


def test_J18_answers_that_were_cut_off_are_told_so_on_every_surface(command: Command) -> None:
    scene(V8, V10)
    Path("profiles").mkdir(exist_ok=True)
    Path("profiles/tiny.toml").write_text("max_completion_tokens = 2\n")
    flags = ("--model", V10, "--profile", "tiny")
    cut = "67 of 67 answers cut off: max_completion_tokens"
    why = "candidate fails 67 of 67 answers: 67 cut off: max_completion_tokens (such as t-001)"

    judged = command("eval", TARGET, f"{V10}@tiny")
    (path,) = evidence()
    again = [command("report", "--format", kind) for kind in ("markdown", "github", "json")]
    for name in ("report.html", "junit.xml"):
        assert command("report", "-o", name).code == 0

    assert judged.code == 7
    assert f"  fails       {cut}\n" in judged.out
    for text in (Path("report.html").read_text(), Path("junit.xml").read_text()):
        assert why in " ".join(text.split())
        assert f"right shape: {cut}, such as t-001" in " ".join(text.split())
    assert f"fails {cut}" in " ".join(again.pop(1).out.split())
    for shown in again:
        assert why in " ".join(shown.out.replace("\\", "").split())
    verdict = json.loads(again[-1].out)["verdict"]
    candidate = next(arm for arm in verdict["arms"] if arm["arm"] == "candidate")
    assert candidate["marks"] == {"truncated": 67}
    assert candidate["seen_in"] == {"truncated": "t-001"}
    tried = promote(command, *flags)
    assert tried.code != 0
    assert evidence() == [path]


def test_J18_a_refused_promotion_says_why_answers_failed(command: Command) -> None:
    """Twelve of the answers are cut off by the limit; that is not told as "worse" alone."""
    scene(V10, V10)
    Path("profiles").mkdir(exist_ok=True)
    Path("profiles/short.toml").write_text("max_completion_tokens = 31\n")
    command("eval", TARGET, f"{V10}@short")
    (path,) = evidence()
    arms = json.loads(path.read_text())["verdict"]["arms"]
    cut = next(arm for arm in arms if arm["arm"] == "candidate")["marks"]["truncated"]
    assert 0 < cut < 67

    text = Path("deployments.toml").read_text()
    head, tail = text.split("[triage.production]")
    head = head.replace(f'model = "{V10}"\n', f'model = "{V10}"\nprofile = "short"\n')
    Path("deployments.toml").write_text(f"{head}[triage.production]{tail}")
    tried = promote(command)

    assert tried.code in {5, 7}
    assert f" {cut} of 67 answers cut off: max_completion_tokens" in tried.err
