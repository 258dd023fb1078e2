"""Worked examples of a prompt take no part in judging it, wherever that is asked."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import Command, git
from gated import EXAMPLES, POLICY, TARGET, evidence, paid, promote, scene
from proposals import commit
from scenes import LUNA, POLICY_FILE, V8, V9, V10, past, row, table, write

from fftdeploy.evaluation.evidence.evidence import parse, with_id
from fftdeploy.evaluation.evidence.evidence_folder import recompute
from fftdeploy.evaluation.examples.examples import sha_of
from fftdeploy.policy import profiles
from fftdeploy.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("repo", "sandbox")

LONG = "Answer with one JSON object: urgency, category, next_step."
SHOWN = ["t-002", "t-005"]
BASE = f'[tasks.triage]\nbase = {{ model = "{LUNA}", profile = "worked" }}\n\n[tasks.triage.gate]'
AS_BASE = POLICY.replace("[tasks.triage.gate]", BASE, 1)


def lines() -> dict[str, Any]:
    read = map(json.loads, EXAMPLES.read_text().splitlines())
    return {line["id"]: line["messages"] for line in read}


def write_worked(*ids: str, name: str = "worked", change: str = "") -> None:
    """Write a long prompt with these examples as shots; one is never word for word the same."""
    Path("profiles").mkdir(exist_ok=True)
    text = f'system = "{LONG}{change}"\n'
    for number, example in enumerate(ids):
        turns = lines()[example]
        said = turns[-2]["content"]
        said = said.upper().replace(",", " ,") if number % 2 else said
        answer = json.dumps(turns[-1]["content"])
        text += f"[[shots]]\nuser = {json.dumps(said)}\nassistant = {answer}\n"
    Path(f"profiles/{name}.toml").write_text(text)


def found(profile: str) -> dict[str, Any]:
    """Return the newest evidence about a candidate with this prompt."""
    read = [json.loads(path.read_text()) for path in evidence()]
    about = [one for one in read if one["arms"]["candidate"]["profile"] == profile]
    return dict(max(about, key=lambda one: one["used"]))


def rates(document: dict[str, Any]) -> dict[str, int]:
    return {arm["arm"]: arm["n"] for arm in document["verdict"]["arms"]}


def test_what_a_prompt_shows_judges_neither_it_nor_live_beside_it(command: Command) -> None:
    """Each candidate is judged by all that its own prompt does not show, whoever runs beside."""
    scene(V8, V8, policy=AS_BASE)
    write_worked(*SHOWN)
    write_worked(name="plain")

    checked = command("check", "--offline")
    made = command("eval", TARGET, f"{LUNA}@worked", f"{LUNA}@plain", "--json")
    worked, plain = found("worked"), found("plain")

    said = "profiles/worked.toml shows 2 of 67 examples: they are left out where it is judged"
    assert said in checked.out + checked.err
    assert made.code in {0, 7}, made
    assert worked["left_out"] == SHOWN
    assert rates(worked) == {"candidate": 65, "live": 65}
    assert (worked["examples"]["n"], worked["examples"]["reviewed"]) == (65, 65)
    assert "left_out" not in plain
    assert rates(plain) == {"candidate": 67, "live": 67}
    assert worked["examples"]["files"] == plain["examples"]["files"]
    assert command("verify").code == 0
    report = command("report", "--json")
    assert report.code == 0, report
    words = command("eval", TARGET, f"{LUNA}@worked").out
    assert "2 examples left out: its prompt or that of live has them" in words

    beside = command("eval", TARGET, f"{LUNA}@plain", "--against", "base")
    assert rates(found("plain")) == {"candidate": 67, "live": 67, "base": 65}, beside
    assert "missing" not in beside.out
    newest = max(evidence(), key=lambda path: path.stat().st_mtime_ns).stem
    for out in ("page.html", "junit.xml"):
        assert command("report", newest, "-o", out).code == 0
    assert command("verify").code == 0


def begin_in_git(*targets: str) -> None:
    write(*targets, policy=POLICY)
    Path(".fftdeploy").mkdir()
    Path(".fftdeploy/.gitignore").write_text("runs/\n")
    commit("main")
    git("switch", "--quiet", "--create", "change")


def test_evidence_counts_only_with_what_its_prompts_show_left_out(command: Command) -> None:
    """In promote, in a pull request that brings the prompt along, and after the prompt changed."""
    scene(V8, V8)
    begin_in_git(past("triage/staging", V8), past(TARGET, V8))
    write_worked(*SHOWN)
    take = ("--model", LUNA, "--profile", "worked", "--override", "order")
    asked = command("eval", TARGET, f"{LUNA}@worked", "--json")
    assert asked.code == 0, asked
    (path,) = evidence()
    whole = path.read_bytes()

    forged = forge(whole, leaves_out="t-063")
    path.rename(path.with_name("away"))
    path.with_name(f"{forged[0]}.json").write_bytes(forged[1])
    refused = promote(command, *take, "--dry-run")
    assert (refused.code, "it is about other examples" in refused.err) == (7, True), refused
    path.with_name(f"{forged[0]}.json").unlink()
    path.with_name("away").rename(path)

    assert promote(command, *take).code == 0
    commit("promote")
    proposed = command("check", "--offline", "--base", "main", "--accept-claimed", "--json")
    assert proposed.code == 0, proposed
    assert json.loads(proposed.out)["changes"][0]["evidence"] == path.stem

    write_worked(*SHOWN, "t-008")
    verified = command("verify")
    assert (verified.code, "examples changed; profile of candidate changed" in verified.out) == (
        0,
        True,
    ), verified


def forge(whole: bytes, *, leaves_out: str) -> tuple[str, bytes]:
    """Leave out one more example, with the hashes that fit."""
    made = parse(whole, "")[1]
    left_out = (*made.left_out, leaves_out)
    sha = sha_of((sha for _, sha in made.examples.files), left_out)
    examples = replace(made.examples, n=64, reviewed=64, sha=sha)
    results = made.results.without({leaves_out})
    made = replace(made, left_out=left_out, examples=examples, results=results)
    return with_id(replace(made, verdict=recompute(made).as_json()))


def test_a_prompt_that_shows_what_must_pass_is_refused_before_anything_is_asked(
    sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V8, policy=AS_BASE.replace('slices = ["', 'must_pass = ["edge-case"]\nslices = ["'))
    write_worked("t-005", "t-006")
    said = "profiles/worked.toml shows 't-006', which must pass"
    for words in (("eval", TARGET, f"{LUNA}@worked"), ("check", "--offline")):
        ended = command(*words)
        assert (ended.code, said in ended.err) == (3, True), ended
    assert paid(sandbox) == 0


def test_so_few_are_left_that_nothing_can_pass_and_it_is_said_before(
    sandbox: Sandbox, command: Command
) -> None:
    scene(V8, V8, policy=POLICY.replace("slices", "min_examples = 60\nslices"), examples=61)
    write_worked("t-005", "t-008")
    sized = json.loads(command("size", TARGET, f"{LUNA}@worked", "--json").out)
    assert (sized["examples"], sized["reviewed"]) == (59, 59)
    assert sized["refused"].startswith("59 examples")
    refused = command("eval", TARGET, f"{LUNA}@worked")
    assert (refused.code, paid(sandbox)) == (7, 0)
    assert "59 examples in evals/triage.jsonl; the gate asks for 60" in refused.err
    POLICY_FILE.write_text(POLICY)
    write_worked("t-005", "t-008", "t-010")
    few = command("eval", TARGET, f"{LUNA}@worked")
    assert "58 examples: fewer than 59 examples can't pass" in few.err
    assert found("worked")["left_out"] == ["t-005", "t-008", "t-010"]

    # What belongs to the same group is the same question.
    text = EXAMPLES.read_text()
    for example in ("t-005", "t-012"):
        text = text.replace(f'"id": "{example}"', f'"id": "{example}", "group": "invoice"')
    EXAMPLES.write_text(text)
    write_worked("t-005")
    assert command("eval", TARGET, f"{LUNA}@worked").code in {0, 7}
    newest = max(evidence(), key=lambda path: path.stat().st_mtime_ns)
    assert json.loads(newest.read_bytes())["left_out"] == ["t-005", "t-012"]


def test_a_record_of_live_lacks_what_its_own_prompt_shows_and_counts(
    sandbox: Sandbox, command: Command
) -> None:
    """Of a dead model there are the answers that judge: those to what neither prompt shows."""
    scene(V8, V8)
    write_worked(*SHOWN)
    write_worked("t-008", name="other", change=" Be sure.")
    sha = profiles.parse(Path("profiles/worked.toml").read_bytes(), "worked", "").sha
    rows = [row(1, V8, profile="worked", profile_sha=sha)]
    write(table(TARGET, V8, rows, profile="worked"), policy=POLICY)
    assert command("eval", TARGET, "live", "--batch").code == 0
    assert found("worked")["left_out"] == SHOWN
    resolved = json.loads(command("resolve", TARGET, "--json").out)
    assert len(resolved["parameters"]["shots"]) == len(SHOWN)
    sandbox.remove(V8)

    made = command("eval", TARGET, f"{V10}@other", "--json")

    assert made.code == 0, made
    document = found("other")
    assert document["left_out"] == [*SHOWN, "t-008"]
    assert rates(document) == {"candidate": 64, "live": 64}
    assert command("verify").code == 0


def test_J26_what_a_prompt_shows_and_its_model_still_fails_counts(command: Command) -> None:
    """Who writes a prompt does not choose by it which failures are seen."""
    scene(V8, V9)
    write_worked(name="plain")
    plain = command("eval", TARGET, f"{V9}@plain", "--quiet")
    before = found("plain")["verdict"]
    broke = sorted(before["broke"])
    write_worked(*broke)

    made = command("eval", TARGET, f"{V9}@worked")
    document = found("worked")

    after = document["verdict"]
    assert (made.code, sorted(after["broke"])) == (plain.code, broke)
    assert document["left_out"] == sorted([*broke, "t-017"])  # which quotes one of them
    assert after["comparison"]["broke"] == before["comparison"]["broke"] == len(broke) > 3
    assert f"{len(broke)} examples of its own prompt it still fails: they count" in made.out
    assert command("verify").code == 0


def write_prompt(name: str, system: str, extra: str = "") -> None:
    Path("profiles").mkdir(exist_ok=True)
    Path(f"profiles/{name}.toml").write_text(f"system = {json.dumps(system)}\n{extra}")


def test_an_example_is_found_wherever_a_prompt_shows_it(sandbox: Sandbox, command: Command) -> None:
    """In the instructions, with words around it, cut, in a schema; not for the same subject."""
    scene(V8, V8)
    said = {name: turns[-2]["content"] for name, turns in lines().items()}
    pairs = [f"Q: {turns[-2]['content']}\nA: {turns[-1]['content']}" for turns in lines().values()]
    write_prompt("all", "\n".join([LONG, *pairs]))
    greeted = [
        f"[[shots]]\nuser = {json.dumps('Hi! ' + said[one])}\nassistant = '{{}}'\n" for one in SHOWN
    ]
    write_prompt("greeted", LONG, "".join(greeted))
    form = "[response_format]\ntype = 'json_schema'\n[response_format.json_schema]\nname = 'a'\n"
    noted = json.dumps(f"as for: {said['t-008'].upper()} it is low")
    form += f"schema = {{ type = 'object', description = {noted} }}\n"
    write_prompt("schema", LONG, form)
    words = said["t-010"].split()
    write_prompt("cut", f"{LONG} {' '.join(words[: 3 * len(words) // 4])} and so on.")
    own = Path(__file__).parents[2] / "profiles/triage-long.toml"
    Path("profiles/control.toml").write_bytes(own.read_bytes())

    refused = command("eval", TARGET, f"{LUNA}@all")

    assert (refused.code, paid(sandbox)) == (7, 0), refused
    assert "0 examples in evals/triage.jsonl" in refused.err
    shown = {"greeted": SHOWN, "schema": ["t-008"], "cut": ["t-010"]}
    made = command("eval", TARGET, *(f"{LUNA}@{name}" for name in (*shown, "control")), "--quiet")
    assert made.code in {0, 7, 12}, made
    assert {name: found(name)["left_out"] for name in shown} == shown
    assert "left_out" not in found("control")
