"""Evidence that the workflow of the base's policy has signed, and that it has not, as `gh` says."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import git
from proposals import POLICY, Change, commit
from scenes import POLICY_FILE

from fftdeploy.git import attestations

WORKFLOW, REF = "acme/desk/.github/workflows/evidence.yml", "refs/heads/main"
SIGNS = f"""
[attestation]
signer_workflow = "{WORKFLOW}"
source_ref = "{REF}"
"""
GH = """
import hashlib, json, os, sys, time
from pathlib import Path
folder = Path(__file__).parent
mode = json.loads((folder / "mode.json").read_text())
with (folder / "calls.jsonl").open("a") as log:
    log.write(json.dumps([sys.argv[1:], dict(os.environ)]) + "\\n")
if mode.get("hangs"):
    time.sleep(300)
if mode.get("fails"):
    sys.exit(mode["fails"])
if "says" in mode:
    print(mode["says"])
    sys.exit(0)
said = {
    "signer": "https://github.com/acme/desk/.github/workflows/evidence.yml@refs/heads/main",
    "ref": "refs/heads/main",
    "type": "https://in-toto.io/attestation/test-result/v0.1",
    "digest": hashlib.sha256(Path(sys.argv[3]).read_bytes()).hexdigest(),
} | mode
print(json.dumps([{"verificationResult": {
    "signature": {"certificate": {
        "buildSignerURI": said["signer"], "sourceRepositoryRef": said["ref"]}},
    "statement": {"predicateType": said["type"], "subject": [
        {"name": "x.json", "digest": {"sha256": said["digest"]}}]},
}}]))
"""
OTHER = "gh did not say that this workflow has signed this file"
NONE_FOUND = "Error: HTTP 404: no attestations found for this subject"
ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "signed": ({}, ""),
    "refused": ({"fails": NONE_FOUND}, f"gh: {NONE_FOUND}"),
    "other signer": ({"signer": f"https://github.com/{WORKFLOW}2@{REF}"}, OTHER),
    "signer of a fork": ({"signer": f"https://github.com/eve/desk/{WORKFLOW}@{REF}"}, OTHER),
    "other ref": ({"ref": "refs/pull/7/merge"}, OTHER),
    "other predicate": ({"type": "https://slsa.dev/provenance/v1"}, OTHER),
    "other file": ({"digest": "0" * 64}, OTHER),
    "garbage": ({"says": "{"}, OTHER),
    "nothing": ({"says": "[]"}, OTHER),
    "other shapes": ({"says": '[null, {"verificationResult": [1]}, {"statement": 1}]'}, OTHER),
    "deep": ({"says": "[" * 100_000}, OTHER),
    "hangs": ({"hangs": True}, "gh did not answer in 0.5 s"),
}


@pytest.fixture
def gh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH with a `gh` that answers as its `mode.json` says, and writes calls down."""
    folder = tmp_path / "gh bin"
    folder.mkdir()
    (folder / "gh").write_text(f"#!{sys.executable} -IS\n{GH}")
    (folder / "gh").chmod(0o755)
    (folder / "mode.json").write_text("{}")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(attestations, "TIMEOUT_S", 0.5)
    return folder


def calls(gh: Path) -> list[Any]:
    log = gh / "calls.jsonl"
    return [json.loads(row) for row in log.read_text().splitlines()] if log.exists() else []


def judged(change: Change, *flags: str) -> tuple[str, list[str]]:
    """Return the standing of the evidence, and what is said of its being claimed."""
    document = json.loads(change.command("check", "--base", "main", "--json", *flags).out)
    (made,) = document["changes"]
    found = [f["message"] for f in document["findings"] if f["code"] == "claimed"]
    return made["standing"], found


def test_what_the_workflow_has_signed_is_made_by_it_and_all_else_stays_claimed(
    change: Change, gh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change.base(lambda _: POLICY_FILE.write_text(POLICY + SIGNS))
    change.good()
    commit("promote")
    monkeypatch.setenv("GH_TOKEN", "ghs_token")
    monkeypatch.setenv("OTHER_API_KEY", "sk-canary-canary-canary")
    monkeypatch.setattr(attestations, "TIMEOUT_S", 30.0)

    for name, (mode, reason) in ANSWERS.items():
        (gh / "mode.json").write_text(json.dumps(mode))
        if name == "hangs":
            monkeypatch.setattr(attestations, "TIMEOUT_S", 0.5)
        standing, said = judged(change)
        assert standing == ("claimed" if reason else "workflow"), name
        assert len(said) == bool(reason), name
        assert all(message.endswith(f"nobody here saw it made; {reason}") for message in said), said

    argv, environ = calls(gh)[0]
    evidence = f".fftdeploy/evidence/triage/{change.made.evidence['pass']}.json"
    assert argv == [
        "attestation",
        "verify",
        str(change.folder / evidence),
        "--repo=acme/desk",
        f"--signer-workflow={WORKFLOW}",
        f"--source-ref={REF}",
        f"--predicate-type={attestations.PREDICATE}",
        "--format=json",
    ]
    assert environ["GH_TOKEN"] == "ghs_token"
    assert not any("sk-" in value for value in environ.values())
    assert len(calls(gh)) == len(ANSWERS), "once for each"

    (gh / "mode.json").write_text("{}")
    text = change.command("check", "--base", "main", "--format", "markdown").out
    assert "made by this workflow" in text
    assert "Blocked" not in text
    (gh / "gh").unlink()
    assert judged(change)[1][0].endswith("; there is no gh on PATH")


def test_only_the_bases_policy_names_a_workflow_and_offline_asks_nobody(
    change: Change, gh: Path
) -> None:
    change.good()
    POLICY_FILE.write_text(POLICY + SIGNS)
    commit("promote, and name a workflow")

    assert judged(change, "--allow-policy-change")[0] == "claimed"
    assert calls(gh) == []
    git("switch", "--quiet", "main")
    POLICY_FILE.write_text(POLICY + SIGNS)
    commit("name a workflow")
    git("switch", "--quiet", "change")
    assert judged(change, "--offline")[0] == "claimed"
    assert calls(gh) == []
    assert judged(change)[0] == "workflow", "control"
