"""A repository in which a candidate waits for the gate, and the evidence about it."""

import json
from pathlib import Path

from checkout import ROOT
from command_line import Command, Result
from scenes import FT, V7, past, write

from fftdeploy.sandbox import Sandbox

LIKE_V8 = FT + "v10:DeFg0:ckpt-step-200"
EXAMPLES = Path("evals/triage.jsonl")
PROTECTED = """\
version = 1
order = ["staging", "production"]

[environments.production]
from = ["staging"]
protected = true

[tasks.triage.gate]
examples = ["evals/triage.jsonl"]
"""
"""The beginning of a policy whose gate goes on below it."""
POLICY = f"""{PROTECTED}\
slices = ["language"]

[[tasks.triage.gate.graders]]
type = "json_fields"
fields = {{ urgency = "exact", category = "exact", next_step = "casefold" }}
"""
TARGET = "triage/production"


def scene(live: str, candidate: str, *, policy: str = POLICY, examples: int = 67) -> bytes:
    """Write a repository in which `candidate` waits in staging for the place of `live`."""
    EXAMPLES.parent.mkdir(exist_ok=True)
    lines = (ROOT / EXAMPLES).read_text().splitlines(keepends=True)[:examples]
    EXAMPLES.write_text("".join(lines))
    return write(past("triage/staging", V7, candidate), past(TARGET, live), policy=policy)


def promote(command: Command, *flags: str) -> Result:
    return command("promote", TARGET, "--why", "PR #7", "--yes", *flags)


def evidence() -> list[Path]:
    return sorted(Path(".fftdeploy/evidence/triage").glob("*.json"))


def asked(sandbox: Sandbox) -> int:
    return sum(request.path == "/v1/chat/completions" for request in sandbox.requests)


def paid(sandbox: Sandbox) -> int:
    """Count the requests about examples: all but the probes."""
    inputs = {
        json.loads(line)["messages"][-2]["content"] for line in EXAMPLES.read_text().splitlines()
    }
    return sum(
        request.body["messages"][-1]["content"] in inputs
        for request in sandbox.requests
        if isinstance(request.body, dict) and "messages" in request.body
    )
