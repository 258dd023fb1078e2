"""What is live and should be evaluated again: said once, with the line that does it."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import terminal
from checkout import ROOT
from command_line import Command
from gated import EXAMPLES, TARGET, evidence, scene
from scenes import EVAL, POLICY_FILE, V10, newest

from fftdeploy.sandbox import STORY_NOW, Sandbox
from fftdeploy.sandbox.triage import Skill
from fftdeploy.sandbox.world import ACME, Model

LASTING = "gpt-6-small"  # the end of a model is a notice of its own
WORLD = ACME.with_models(Model(LASTING, Skill(6), owned_by="system"))
LIVE = f"fftdeploy eval {TARGET} live"
FOUND = frozenset({"stale", "no-evidence"})


def notices(command: Command) -> list[tuple[str, str, str]]:
    found = json.loads(command("check", "--json").out)["findings"]
    return [(one["code"], one["message"], one["hint"]) for one in found if one["code"] in FOUND]


def due(command: Command) -> str | None:
    """Return what `status` says of production, and hold its exit code to it."""
    ended = command("status", "--fail-on", "stale", "--json")
    said = {one["target"]: one["evaluation_due"] for one in json.loads(ended.out)["targets"]}
    assert said["triage/staging"] is None, "it is not protected"
    assert ended.code == (12 if said[TARGET] else 0)
    found: str | None = said[TARGET]
    return found


def later(days: float, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> datetime:
    moment = STORY_NOW + timedelta(days=days)
    monkeypatch.setenv("FFTDEPLOY_NOW", moment.isoformat())
    sandbox.set_now(moment)
    return moment


def grow(count: int) -> None:
    lines = (ROOT / EXAMPLES).read_text().splitlines(keepends=True)
    EXAMPLES.write_text("".join(lines[:count]))


def test_live_is_to_be_evaluated_again_and_a_new_job_is_on_the_same_examples(
    repo: Path, sandbox: Sandbox, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene(LASTING, V10, examples=50)

    assert due(command) == "never evaluated"
    assert notices(command) == [("no-evidence", "release 1 was promoted without evidence", LIVE)]
    shown = terminal.screen(["status"], 80)[1]
    assert f"! {TARGET}: never evaluated: {LIVE}\n" in shown
    assert shown.count("evaluated") == 1
    failed = terminal.screen(["status", "--fail-on", "stale"], 80)[1]
    assert f"✗ {TARGET}: never evaluated: {LIVE}\n" in failed
    card = terminal.screen(["status", TARGET], 80)[1]
    assert f"never evaluated: {LIVE}\n" in card

    assert command("eval", TARGET, "live").code == 0
    grow(59)
    assert (due(command), notices(command)) == (None, [])

    grow(60)  # a fifth more than the 50
    said = "10 new examples"
    assert (due(command), notices(command)) == (said, [("stale", said, LIVE)])
    assert f"{TARGET}: {said}: {LIVE}" in command("status").out

    argv = ["--job", "ftjob-v10", *EVAL, "--why", "what drifted", "--yes"]
    assert command("promote", TARGET, *argv).code == 0
    release = newest(TARGET)
    assert (release.bundle.model, release.job, release.via) == (V10, "ftjob-v10", "job")
    made = {path.stem: json.loads(path.read_text())["examples"]["n"] for path in evidence()}
    assert (made[str(release.evidence)], sorted(made.values())) == (60, [50, 60])
    assert (due(command), notices(command)) == (None, [])

    later(30, sandbox, monkeypatch)
    assert due(command) is None
    later(31.5, sandbox, monkeypatch)
    said = "evaluated 31d ago"
    assert (due(command), notices(command)) == (said, [("stale", said, LIVE)])
    POLICY_FILE.write_text(POLICY_FILE.read_text().replace("slices", 'max_age = "32d"\nslices'))
    assert (due(command), notices(command)) == (None, [])
