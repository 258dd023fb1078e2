"""`check --base`: what a change does, by meaning, judged by the files that it goes into."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from command_line import Result, counted_git, git
from proposals import EXAMPLES, POLICY, TARGET, UNSETTLED, Change, bring, commit
from scenes import EVAL, FILE, POLICY_FILE, SOON, V6, V7, V8, V9, V10, hold, newest, read, row

from fftdeploy.sandbox import STORY_NOW, Sandbox, State

BASE = ("check", "--base", "main")
HOLD_V8 = (
    f'holds = [\n  {{ model = "{V8}", since = {STORY_NOW:%Y-%m-%dT%H:%M:%SZ}, '
    'by = "a", why = "x" },'
)


@pytest.fixture
def online(
    change: Change, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Sandbox:
    """The pull request in the making, with an API to ask."""
    server: Sandbox = request.getfixturevalue("sandbox")
    return server


def kinds(done: Result) -> list[tuple[str, str]]:
    return [(c["target"], c["kind"]) for c in json.loads(done.out)["changes"]]


def errors(done: Result) -> list[str]:
    found = json.loads(done.out).get("findings", [])
    return [f["code"] for f in found if f["severity"] == "error"]


def promote(change: Change, *flags: str) -> Result:
    return change.command("promote", TARGET, "--why", "PR #7", "--yes", *flags)


def test_a_promotion_made_in_this_job_may_be_merged(change: Change, online: Sandbox) -> None:
    assert promote(change, *EVAL).code == 0
    commit("promote")

    done = change.command(*BASE, "--json")

    document = json.loads(done.out)
    (made,) = document["changes"]
    assert (done.code, errors(done), document["verified"]) == (0, [], True)
    assert made == {
        "target": TARGET,
        "kind": "promote",
        "message": "release 4, from staging",
        "release": 4,
        "model": V10,
        "previous": V8,
        "evidence": newest(TARGET).evidence,
        "standing": "this job",
        "ruling": "pass",
    }
    assert document["base"] == {
        "ref": "main",
        "commit": git("rev-parse", "main"),
        "merge_base": git("rev-parse", "main"),
    }


def test_evidence_that_was_merged_before_is_believed(change: Change) -> None:
    made = change.made.folder.parent / "made"
    change.base(lambda c: bring(made, c.made.evidence["pass"]))
    change.release(V10, evidence=change.made.evidence["pass"])
    commit("promote")

    done = change.command(*BASE, "--offline")

    assert done.code == 0
    assert f"{change.made.evidence['pass'][:12]} pass, merged already" in done.out
    assert done.out.endswith("NOT VERIFIED with the API: no model was asked about\n")


@pytest.mark.parametrize(
    ("model", "named", "code", "said"), [(V10, "pass", 0, "pass, re-run"), (V9, "pass", 12, "fail")]
)
def test_H10_rerun_believes_nobody(
    change: Change, online: Sandbox, model: str, named: str, code: int, said: str
) -> None:
    """The evidence is made again, by the examples and the gate of the base."""
    change.promote(model, change.made.evidence[named])
    commit("promote")

    done = change.command(*BASE, "--rerun", "--max-requests", "200")

    assert (done.code, said in done.out) == (code, True), done
    assert sum(request.path == "/v1/chat/completions" for request in online.requests) > 100


def test_H8_a_blocked_change_is_not_evaluated_again(change: Change, online: Sandbox) -> None:
    change.good(overrides=["soak"])
    commit("promote")

    done = change.command(*BASE, "--rerun")

    assert done.code == 12
    assert sum(request.path == "/v1/chat/completions" for request in online.requests) < 5


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("rollback", TARGET, "--why", "x"), "rollback"),
        (("rollback", TARGET, "--to", "1", "--why", "x"), "rollback"),
        (("hold", TARGET, V9, "--why", "x"), "hold"),
        (("unhold", TARGET, "--why", "x"), "unhold"),
    ],
)
def test_what_the_commands_write_is_explained(
    change: Change, online: Sandbox, argv: tuple[str, ...], expected: str
) -> None:
    assert change.command(*argv, "--yes").code == 0
    commit("change")

    done = change.command(*BASE, "--json")

    assert (done.code, kinds(done), errors(done)) == (0, [(TARGET, expected)], [])


def test_an_adopted_hand_edit_and_a_new_target(change: Change, online: Sandbox) -> None:
    change.base(lambda c: c.edit('model = "gpt-6-luna"\n', f'model = "{V7}"\n'))
    assert change.command("adopt", "refunds/staging", "--why", "x", "--yes").code == 0
    made = ("promote", "refunds/production", "--model", V7, "--why", "x", "--yes")
    change.command(*made)
    commit("change")

    done = change.command(*BASE, "--json", "--allow-policy-change")

    assert ("refunds/staging", "adopt") in kinds(done)


def test_a_reverted_promotion_is_named_and_pointed_to_rollback(change: Change) -> None:
    change.base(lambda c: c.good())
    git("revert", "--no-edit", "HEAD")

    done = change.command(*BASE, "--offline")

    assert done.code == 12
    assert "removed-release" in done.out
    assert f"undo the revert, and: fftdeploy rollback {TARGET}" in done.out


def test_B13_clocks_that_are_minutes_apart_keep_no_rollback_out(
    change: Change, online: Sandbox
) -> None:
    at = f"at = {STORY_NOW + timedelta(minutes=4):%Y-%m-%dT%H:%M:%SZ}, "
    newer = re.sub("at = [^,]+, ", at, row(3, V8), count=1)
    change.base(lambda change: change.edit(row(3, V8), newer))
    assert change.command("rollback", TARGET, "--yes").code == 0
    done = change.command(*BASE, "--json")
    assert (done.code, errors(done), kinds(done)) == (0, [], [(TARGET, "rollback")]), done.out


def test_the_revert_of_a_rollback_is_undone_and_no_more(change: Change, online: Sandbox) -> None:
    """Undone, the good model is live again: to roll back then would take it off."""
    change.base(lambda change: change.command("rollback", TARGET, "--yes"))
    git("revert", "--no-edit", "HEAD")
    done = change.command(*BASE, "--json")
    found = {f["code"]: f["hint"] for f in json.loads(done.out)["findings"]}
    assert (done.code, found["removed-release"]) == (12, "undo the revert")


def test_C12_stale_where_the_base_has_moved(change: Change) -> None:
    change.good()
    commit("promote")
    git("switch", "--quiet", "main")
    change.release(V7, via="rollback", to=2, by="bo", why="INC-9")
    commit("rollback")
    git("switch", "--quiet", "change")

    done = change.command(*BASE, "--offline", "--accept-claimed", "--json")

    (stale,) = [f for f in json.loads(done.out)["findings"] if f["code"] == "stale"]
    assert done.code == 12
    assert stale["message"] == (
        f"{TARGET} has changed in main since: release 4, {V7}, by bo 2026-11-21: INC-9"
    )


def test_H8_policy_and_examples_need_leave(change: Change) -> None:
    change.edit("soak", "# soak", POLICY_FILE)
    EXAMPLES.write_text(EXAMPLES.read_text().replace("refund", "billing", 1))
    commit("change")

    refused = change.command(*BASE, "--offline", "--json")
    allowed = change.command(*BASE, "--offline", "--json", "--allow-policy-change")

    assert (refused.code, errors(refused)) == (12, ["policy-change", "policy-change"])
    assert (allowed.code, errors(allowed)) == (0, [])


def test_H8_what_the_base_changed_meanwhile_is_not_this_change(change: Change) -> None:
    """A branch that is behind is not blamed for what others have merged."""
    git("switch", "--quiet", "main")
    POLICY_FILE.write_text(UNSETTLED)
    commit("policy")
    git("switch", "--quiet", "change")

    assert change.command(*BASE, "--offline").code == 0


def test_only_evidence_that_the_change_itself_removed_is_lost(change: Change) -> None:
    """What others have merged since is not; what a branch had and has no more is."""
    folder = Path(".fftdeploy/evidence/triage")
    made = change.made.folder.parent / "made"

    def both(_: Change) -> None:
        bring(made, change.made.evidence["pass"])
        (folder / "calibrations").mkdir()
        (folder / "calibrations" / "ab.json").write_text("{}\n")

    git("switch", "--quiet", "main")
    both(change)
    commit("evidence")
    git("switch", "--quiet", "change")
    commit("a line of the README")

    assert change.judged() == (0, [""]), "a branch that is behind has removed nothing"
    both(change)
    commit("the same evidence")
    assert change.judged() == (0, [""])

    git("reset", "--quiet", "--hard", "HEAD~1")
    git("merge", "--quiet", "--no-edit", "main")
    git("rm", "--quiet", "-r", str(folder))
    commit("remove")
    assert change.judged() == (12, ["record-removed"] * 2), "it had them, and removed them"


def test_a_dead_live_model_is_not_protected(
    change: Change, online: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze = 'freeze = [{ from = 2026-11-01, to = 2026-12-01, why = "launch" }]'
    change.base(lambda c: c.edit('soak = "24h"', freeze, POLICY_FILE))
    change.good()
    commit("promote")
    alive = change.command(*BASE, "--json", "--accept-claimed")

    online.remove(V8)
    dead = change.command(*BASE, "--json", "--accept-claimed")

    assert "policy-freeze" in errors(alive)
    assert "policy-freeze" not in errors(dead)


def test_C16_a_shallow_clone_says_what_to_fetch(
    change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change.good()
    commit("promote")
    clone = tmp_path / "clone"
    git("clone", "--quiet", "--depth=1", change.folder.as_uri(), str(clone))
    monkeypatch.chdir(clone)

    done = change.command("check", "--base", "origin/main", "--offline", "--comment", "c.md")

    assert (done.code, done.err) == (
        2,
        "error: git has no commit 'origin/main' here (it is shallow; fetch-depth: 0 in CI)\n"
        "hint: git fetch --unshallow origin main:refs/remotes/origin/main\n",
    )
    assert "git has no commit 'origin/main' here" in Path("c.md").read_text()


def test_few_git_processes_whatever_the_size(
    change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FILE.open("a") as file:
        file.writelines(f'\n[task{n}.staging]\nmodel = "{V9}"\n' for n in range(300))
    commit("change")
    git("switch", "--quiet", "main")
    commit("main moves")
    git("switch", "--quiet", "change")
    count = counted_git(tmp_path, monkeypatch)

    done = change.command(*BASE, "--offline")

    assert done.code == 0
    assert count.read_text().count("x") <= 12


@pytest.mark.parametrize(
    "flags", [("--allow-policy-change",), ("--rerun",), ("--accept-claimed",), ("--comment", "c")]
)
def test_flags_that_go_with_a_base(change: Change, flags: tuple[str, ...]) -> None:
    done = change.command("check", *flags)

    assert (done.code, done.err) == (
        2,
        f"error: {flags[0]} goes with --base\nhint: fftdeploy check --base origin/main\n",
    )


def test_an_override_is_listed_apart(change: Change) -> None:
    change.base(
        lambda c: c.edit("allow_overrides = false\n", "", POLICY_FILE).edit(
            'soak = "24h"', 'soak = "400d"', POLICY_FILE
        )
    )
    change.good(overrides=["soak"])
    commit("promote")

    done = change.command(*BASE, "--offline", "--accept-claimed", "--json")

    found = json.loads(done.out)["findings"]
    assert (done.code, kinds(done)) == (0, [(TARGET, "promote"), (TARGET, "override")])
    assert [f["message"] for f in found if f["code"] == "policy-soak"] == [
        f"{V10} was live for 37d in triage/staging; 400d are asked (overridden)"
    ]
    assert STORY_NOW.year == 2026


def test_H8_a_soak_is_what_the_base_has_seen(
    change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row may say that it is old; when it was merged is another matter."""
    now, before = FILE.read_text(), row(3, V10)
    git("switch", "--quiet", "main")
    change.edit(f"  {before},\n", "").edit(f'model = "{V10}"', f'model = "{V9}"')
    for day, text in (("2026-11-01", FILE.read_text()), ("2026-11-21", now)):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"{day}T08:00:00Z")
        FILE.write_text(text)
        git("commit", "--quiet", "--all", *(["--amend"] if text != now else []), "--message", day)
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    git("switch", "--quiet", "--force-create", "change")
    change.good()
    commit("promote")
    flags = ("--offline", "--accept-claimed", "--json")

    done = change.command(*BASE, *flags)
    later = STORY_NOW + timedelta(days=1)
    monkeypatch.setenv("FFTDEPLOY_NOW", later.isoformat())
    a_day_later = change.command(*BASE, *flags)

    (soak,) = [f["message"] for f in json.loads(done.out)["findings"] if "soak" in f["code"]]
    assert soak == f"the base did not have {V10} live 24h ago"
    assert (done.code, a_day_later.code) == (12, 0)


def test_J1_a_soak_that_a_shallow_clone_cannot_see_is_said(
    change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It rests on the record alone, which is no reason to refuse, and none to be silent."""
    change.good()
    commit("promote")
    clone = tmp_path / "clone"
    git("clone", "--quiet", "--depth=2", change.folder.as_uri(), str(clone))
    monkeypatch.chdir(clone)

    done = change.command("check", "--base", "HEAD~1", "--offline", "--accept-claimed", "--json")

    (unseen,) = [f for f in json.loads(done.out)["findings"] if f["code"] == "soak-unseen"]
    assert (done.code, unseen["severity"], unseen["subject"]) == (0, "notice", "triage/staging")
    assert unseen["hint"] == "git fetch --unshallow origin"


def test_a_rescue_over_a_merged_hand_edit_is_accepted(change: Change, online: Sandbox) -> None:
    change.base(lambda c: c.edit(f'model = "{V8}"', f'model = "{V9}"'))
    assert change.command("rollback", TARGET, "--why", "x", "--yes").code == 0
    commit("rollback")

    done = change.command(*BASE, "--json")

    assert (done.code, errors(done)) == (0, [])
    assert kinds(done) == [(TARGET, "adopt"), (TARGET, "rollback")]


def back(change: Change, *flags: str) -> Result:
    return change.command("rollback", TARGET, "--why", "INC-9", "--yes", *flags)


def test_J19_a_promotion_and_its_rollback_may_be_merged_together(
    change: Change, online: Sandbox
) -> None:
    """What is live is what was live; the hold on what was tried is the rollback's own."""
    assert promote(change, *EVAL).code == 0
    commit("promote")
    assert back(change).code == 0
    commit("rollback")

    done = change.command(*BASE, "--json")

    found = read(TARGET)
    assert (done.code, errors(done)) == (0, [])
    assert kinds(done) == [(TARGET, "promote"), (TARGET, "rollback")]
    assert (found.model, [one.model for one in found.holds]) == (V8, [V10, SOON])


def test_J19_what_goes_back_to_a_rollback_of_this_change_goes_back_to_its_origin(
    change: Change,
) -> None:
    tried(change)
    on_top(change, V6, n=6, via="staging", by="ana", why="x")
    on_top(change, V8, n=7, via="rollback", to=5, by="ana", why="y")
    commit("twice")

    done = change.command(*BASE, "--json")

    assert done.code == 12
    assert "goes back to release" not in done.out
    assert (TARGET, "rollback") in kinds(done)


@pytest.mark.parametrize("kind", ["tag", "branch"])
def test_J1_a_name_of_several_refs_is_not_judged(change: Change, kind: str) -> None:
    git("update-ref", "refs/remotes/origin/main", "main")
    git(kind, "origin/main", "HEAD")

    refused = change.command("check", "--base", "origin/main", "--offline")
    whole = change.command("check", "--base", "refs/remotes/origin/main", "--offline")

    assert refused.code == 2
    assert "'origin/main' is the name of several refs here" in refused.err
    assert "hint: write the whole name, such as refs/remotes/origin/main" in refused.err
    assert whole.code != 2


def test_J1_a_full_id_is_the_commit_whatever_else_is_called_so(change: Change) -> None:
    base = git("rev-parse", "main")
    git("update-ref", f"refs/heads/{base}", "HEAD")

    assert change.command("check", "--base", base, "--offline").code == 0


def on_top(change: Change, model: str, **more: object) -> Change:
    """Make `model` live, whatever is, with a release."""
    change.release(model, live=False, **more)
    head, mark, tail = FILE.read_text().partition("[triage.production]\n")
    FILE.write_text(head + mark + re.sub(r'model = "[^"]*"', f'model = "{model}"', tail, count=1))
    return change


def undone(change: Change, *, since: datetime = STORY_NOW) -> Change:
    """Go back from release 4, which was v10, to release 3."""
    on_top(change, V8, n=5, via="rollback", to=3, by="ana", why="INC-9")
    return change.edit("holds = [\n", f"holds = [\n  {hold(V10, since=since, why='INC-9')},\n")


def tried(change: Change) -> Change:
    return undone(change.good())


def tried_without_evidence(change: Change) -> Change:
    return undone(change.release(V10))


def tried_twice(change: Change) -> Change:
    return on_top(tried(change), V10, n=6, evidence=change.made.evidence["pass"])


def tried_what_was_held(change: Change) -> Change:
    earlier = hold(V10, since=STORY_NOW - timedelta(days=3), why="older")
    change.base(lambda c: c.edit("holds = [\n", f"holds = [\n  {earlier},\n"))
    return on_top(change.good(), V8, n=5, via="rollback", to=3, by="ana", why="INC-9")


def held_on_its_own(change: Change) -> Change:
    return undone(change.good(), since=STORY_NOW - timedelta(hours=1))


def went_back(change: Change) -> Change:
    """Go back from release 3, which is live, to release 2."""
    on_top(change, V7, n=4, via="rollback", to=2, by="ana", why="INC-9")
    return change.edit("holds = [\n", f"holds = [\n  {hold(V8, why='INC-9')},\n")


def other_after_going_back(change: Change) -> Change:
    change.good().restore()
    return on_top(went_back(change), V10, n=5, evidence=change.made.evidence["pass"])


UNDONE: dict[str, tuple[Callable[[Change], object], list[str]]] = {
    "and-undone": (tried, []),
    "without-evidence": (tried_without_evidence, ["no-evidence"]),
    "and-promoted-again": (tried_twice, ["hold"]),
    "though-held-before": (tried_what_was_held, ["hold"]),
    "though-held-by-hand": (held_on_its_own, ["hold"]),
    "after-another-was-removed": (other_after_going_back, []),
    "after-another-without-evidence": (lambda c: on_top(went_back(c), V10, n=5), ["no-evidence"]),
    "what-was-just-removed": (lambda c: on_top(went_back(c), V8, n=5), ["hold", "no-evidence"]),
}


@pytest.mark.parametrize("kind", UNDONE)
def test_J19_only_the_hold_of_its_own_rollback_is_excused(change: Change, kind: str) -> None:
    act, expected = UNDONE[kind]
    act(change)
    commit(kind)

    code, found = change.judged("--accept-claimed")

    wanted = [code for code in found if code in {"hold", "no-evidence"}]
    assert (code, sorted(set(wanted))) == (12 if expected else 0, expected), found


def test_C21_line_ends_of_a_checkout_are_no_change(change: Change) -> None:
    git("config", "core.autocrlf", "true")
    for path in (POLICY_FILE, EXAMPLES, FILE):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    done = change.command(*BASE, "--offline")

    assert (done.code, "no target differs" in done.out) == (0, True)


def test_H10_a_hold_that_looks_like_a_rollbacks_is_listed(change: Change) -> None:
    change.base(lambda c: c.release(V7, via="rollback", to=2).edit("holds = [", HOLD_V8))
    change.edit("holds = [", HOLD_V8.replace(V8, V6))
    commit("hold")

    done = change.command(*BASE, "--offline", "--json")

    assert kinds(done) == [(TARGET, "hold")]


def test_H10_evidence_that_may_let_through_needs_trust_before_it_is_used(change: Change) -> None:
    """Inconclusive is enough by the base's gate, some day."""
    bring(change.made.folder.parent / "made", change.made.evidence["unsettled"])
    commit("evidence")

    assert change.command(*BASE, "--offline").code == 12
    assert change.command(*BASE, "--offline", "--accept-claimed").code == 0


def test_a_folder_that_became_a_link_is_refused(change: Change, tmp_path: Path) -> None:
    place = change.folder / "deploy"
    change.base(lambda _: git_move(place))
    git("mv", "deploy", "other")
    place.symlink_to("other")
    (place / "fftdeploy.toml").unlink()
    text = (place / FILE).read_text().replace(f'model = "{V8}"', f'model = "{V9}"', 1)
    (place / FILE).write_text(text)
    commit("link")

    done = change.command(*BASE, "--offline", "--json", "--file", "deploy/deployments.toml")

    assert (done.code, "link" in errors(done)) == (12, True)


def git_move(place: Path) -> None:
    place.mkdir()
    for name in ("deployments.toml", "fftdeploy.toml", "evals", "profiles"):
        git("mv", name, f"deploy/{name}")


def to_another_host(change: Change) -> None:
    """Make V10 live in production at another host than where it was proved and evaluated."""
    change.good(provider="vllm")
    pointer = f'[triage.production]\nmodel = "{V10}"\n'
    change.edit(pointer, f'{pointer}provider = "vllm"\n')
    commit("another host")


def test_a_change_that_only_names_another_provider_is_a_promotion(change: Change) -> None:
    to_another_host(change)

    ended = change.command(*BASE, "--offline", "--accept-claimed", "--json")

    document = json.loads(ended.out)
    found = {each["code"]: each["message"] for each in document["findings"]}
    assert (ended.code, [each["kind"] for each in document["changes"]]) == (12, ["promote"])
    assert "it is about another candidate" in found["evidence"]
    assert "policy-order" in found  # staging has it at openai
    (hint,) = [one["hint"] for one in document["findings"] if one["code"] == "policy-order"]
    assert hint.endswith("merge the change of its source first, by itself")


def test_a_host_that_a_change_names_is_asked_or_said_to_be_unknown(
    change: Change, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_another_host(change)
    file = change.folder.parent / "providers.toml"
    monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(file))
    monkeypatch.setenv("VLLM_KEY", sandbox.key)

    def codes(text: str) -> tuple[int, set[str], str | None]:
        file.write_text(text)
        document = json.loads(change.command(*BASE, "--json").out)
        found = {each["code"] for each in document["findings"] if each["severity"] == "error"}
        (target,) = (t for t in document["targets"] if t["target"] == TARGET)
        return document["exit_code"], found & {"not-ready"}, target["readiness"]

    address = f'[vllm]\nbase_url = "{sandbox.url}"\n'
    assert codes(f'{address}api_key_env = "VLLM_KEY"\n') == (12, set(), "ready")
    sandbox.set_state(V10, State.GONE)
    assert codes(f'{address}api_key_env = "VLLM_KEY"\n') == (12, {"not-ready"}, "not-ready")
    assert codes(f'{address}api_key_env = "NO_KEY"\n') == (12, set(), "unverified")
    assert codes("") == (12, set(), "unverified")


def test_a_canary_is_judged_as_a_promotion_is(change: Change, online: Sandbox) -> None:
    assert promote(change, *EVAL, "--canary", "5").code == 0
    commit("try")
    done = change.command(*BASE, "--json")
    (made,) = json.loads(done.out)["changes"]
    assert (done.code, errors(done)) == (0, []), done.out
    assert (made["kind"], made["message"]) == (
        "canary",
        "release 4, from staging, a canary of 5 %",
    )
    assert (made["model"], made["previous"], made["ruling"]) == (V10, V8, "pass")
    assert change.command(*BASE, "--comment", "comment.md").code == 0
    comment = Path("comment.md").read_text()
    assert f"live stays, 5 % {V10}" in comment.replace("\\", "")
    assert f"canary of {TARGET}: what would be tried ends 2027-01-14" in comment
    assert "what would be live" not in comment

    FILE.write_text(re.sub(r', evidence = "\w+"', "", FILE.read_text(), count=1))
    assert errors(change.command(*BASE, "--json")) == ["no-evidence"]


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda text: text.replace("weight = 5", "weight = 50"), "the canary says"),
        (lambda text: re.sub("canary = {.*}\n", "", text), "is gone, and was put on no hold"),
        (
            lambda text: re.sub("canary = {.*}\n", "", text).replace(
                "holds = [\n", f"holds = [\n  {hold(V10, until=STORY_NOW + timedelta(1))},\n"
            ),
            "is gone, and was put on no hold",
        ),
    ],
)
def test_a_canary_that_a_hand_moves_is_not_explained(
    change: Change, online: Sandbox, edit: Callable[[str], str], found: str
) -> None:
    assert promote(change, *EVAL, "--canary", "5").code == 0
    tried = FILE.read_text()
    change.base(lambda _: FILE.write_text(tried))
    FILE.write_text(edit(tried))
    done = change.command(*BASE, "--json")
    assert (done.code, "unexplained" in errors(done)) == (12, True), done.out
    assert found in done.out

    FILE.write_text(tried)
    assert change.command("rollback", TARGET, "--yes").code == 0
    done = change.command(*BASE, "--json")
    assert (done.code, kinds(done)) == (0, [(TARGET, "canary"), (TARGET, "hold")]), done.out
    whole = change.command(*BASE).out
    assert f"the canary of 5 %, {V10}, is taken off: canary of 5 % taken off" in whole
    assert f"5 % {V10}" in whole
    assert "live stays, no canary" in whole


def test_a_canary_that_a_change_makes_live_and_keeps_is_refused(
    change: Change, online: Sandbox
) -> None:
    assert promote(change, *EVAL, "--canary", "5").code == 0
    tried = FILE.read_text()
    (line,) = [line for line in tried.splitlines() if line.startswith("canary = ")]
    change.base(lambda _: None)
    assert promote(change).code == 0
    head, _, tail = FILE.read_text().rpartition(f'model = "{V10}"\n')
    kept = f'{head}model = "{V10}"\n{line}\n{tail}'
    FILE.write_text(kept)
    done = change.command(*BASE, "--json")
    assert (done.code, errors(done)) == (12, ["canary-live"]), done.out

    change.base(lambda _: FILE.write_text(kept))
    assert change.command("rollback", TARGET, "--canary", "--yes").code == 0
    done = change.command(*BASE, "--json")
    assert (done.code, errors(done), kinds(done)) == (0, [], [(TARGET, "canary")]), done.out


def test_a_promotion_that_forgets_what_is_exported_is_refused(change: Change) -> None:
    flags, declared = Path("flags.json"), '\n[exports]\n"flags.json" = "flagd"\n'

    def exported(_: Change) -> None:
        POLICY_FILE.write_text(POLICY + declared)
        assert change.command("export").code == 0

    change.base(exported)
    change.good()
    commit("promote")
    forgot = change.command(*BASE, TARGET, "--offline", "--accept-claimed", "--json")
    change.edit(declared, "", POLICY_FILE)
    dropped = change.command(*BASE, "--offline", "--accept-claimed", "--json")
    leave = change.command(
        *BASE, "--offline", "--accept-claimed", "--allow-policy-change", "--json"
    )
    change.restore()
    before = json.loads(flags.read_text())["flags"][TARGET]["defaultVariant"]
    assert change.command("export").code == 0
    after = json.loads(flags.read_text())["flags"][TARGET]["defaultVariant"]
    commit("export")
    green = change.command(*BASE, "--offline", "--accept-claimed", "--json")
    flags.rename("real.json")
    flags.symlink_to("real.json")
    commit("link")
    linked = change.command(*BASE, "--offline", "--accept-claimed", "--json")
    git("branch", "-f", "main", "HEAD")
    commit("another")
    of_the_base = change.command(*BASE, "--offline", "--json")

    assert "link" in errors(linked), "git would compare the link"
    assert (of_the_base.code, errors(of_the_base)) == (0, [])
    assert (forgot.code, errors(forgot)) == (12, ["export-stale"])
    (stale,) = [f for f in json.loads(forgot.out)["findings"] if f["code"] == "export-stale"]
    assert stale["hint"] == "fftdeploy export"
    (stale,) = [f for f in json.loads(leave.out)["findings"] if f["code"] == "export-stale"]
    assert stale["severity"] == "notice", "it is declared no more"
    assert (before, after) == ("r3", "r4")
    assert (green.code, errors(green)) == (0, [])
    said = "fftdeploy.toml no longer says that flags.json is an export of flagd"
    assert said in [f["message"] for f in json.loads(dropped.out)["findings"]]
    assert errors(dropped) == ["policy-change", "export-stale"]
    assert (leave.code, errors(leave)) == (0, [])


def test_an_export_is_renamed_with_leave_and_one_that_main_has_since_counts(change: Change) -> None:
    asked = (*BASE, "--offline", "--accept-claimed", "--json")
    declared = '\n[exports]\n"a.json" = "json"\n'
    git("switch", "--quiet", "main")
    POLICY_FILE.write_text(POLICY + declared)
    assert change.command("export").code == 0
    commit("main declares an export")
    git("switch", "--quiet", "change")
    idle = change.command(*asked)
    change.good()
    commit("promote")
    older = change.command(*asked)
    git("merge", "--quiet", "--no-edit", "main")
    assert change.command("export").code == 0
    commit("export")
    green = change.command(*asked)
    change.edit("a.json", "b.json", POLICY_FILE)
    Path("a.json").rename("b.json")
    commit("rename")
    refused, leave = change.command(*asked), change.command(*asked, "--allow-policy-change")

    assert "export-stale" not in idle.out, "a merge leaves it current"
    (stale,) = [f for f in json.loads(older.out)["findings"] if f["code"] == "export-stale"]
    assert (older.code, stale["message"]) == (12, "a.json is missing: main declares it since")
    assert stale["hint"] == "git merge main && fftdeploy export"
    assert (green.code, errors(green)) == (0, [])
    assert errors(refused) == ["policy-change", "export-stale"]
    assert (leave.code, errors(leave)) == (0, [])


def test_exports_are_not_what_models_are_judged_by_and_a_fallback_is_called_one(
    change: Change,
) -> None:
    """Nor is what the base has gained meanwhile taken for a line that was taken away."""

    def told(*more: str) -> list[str]:
        done = change.command(*BASE, "--offline", "--json", *more)
        found = json.loads(done.out)["findings"]
        return [one["message"] for one in found if one["code"] == "policy-change"]

    whole = "fftdeploy.toml changes what models are judged by"
    spare = f'fallback = [{{ model = "{V7}" }}]\n'
    answers = "fftdeploy.toml changes who answers for refunds once live is gone:"

    git("switch", "--quiet", "main")
    POLICY_FILE.write_text(POLICY + '[exports]\n"b.json" = "json"\n')
    commit("meanwhile")
    git("switch", "--quiet", "change")
    assert told() == []
    POLICY_FILE.write_text(POLICY + '[exports]\n"a.json" = "flagd"\n')
    assert told() == []
    POLICY_FILE.write_text(POLICY + spare + '[exports]\n"a.json" = "flagd"\n')
    assert told() == [f"{answers} {V7} (it was nobody)"]
    POLICY_FILE.write_text(POLICY.replace("24h", "1h") + spare)
    assert told() == [whole, f"{answers} {V7} (it was nobody)"]
    POLICY_FILE.write_text(POLICY.replace("24h", "1h") + '[exports]\n"a.json" = "flagd"\n')
    assert told() == [whole]
    POLICY_FILE.write_text(f"# said again\n{POLICY}")
    assert told() == [whole], "as any other line of it"
