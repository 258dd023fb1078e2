"""A repository whose gate has a model judge, and outputs that people have labelled for it."""

import json
from pathlib import Path
from typing import Any

from checkout import ROOT
from gated import EXAMPLES, PROTECTED, TARGET, scene
from scenes import POLICY_FILE, V8, V9, V10, past, write

from fftdeploy.sandbox import Sandbox, triage

JUDGE, POOR = "gpt-6-luna", "gpt-4o-mini-2024-07-18"
LABELS = Path("evals/triage.judged.jsonl")
POLICY = f"""{PROTECTED}\
margin = 0.1

[[tasks.triage.gate.graders]]
type = "length"
max_chars = 400

[[tasks.triage.gate.graders]]
type = "label_model"
name = "tone"
model = "MODEL"
prompt = '''<message>{{{{item.input}}}}</message>
<answer>{{{{sample.output_text}}}}</answer>'''
labels = ["good", "bad"]
passing_labels = ["good"]
"""
PRICES = f"""
[prices]
date = 2026-11-20
"ft:gpt-4.1-mini-2025-04-14" = {{ input = 0.80, output = 3.20 }}
{JUDGE} = {{ input = 0.3, output = 1.2 }}
"""
_SKILLS = (triage.V6, triage.V7, triage.V8, triage.V9, triage.V10)


def judged_scene(model: str = JUDGE, *, labels: int = 60, more: str = "") -> None:
    """Write it: v10 waits for the place of v8, and `model` is the judge of both."""
    policy = POLICY.replace('"MODEL"', f'"{model}"{more}')
    scene(V8, V10, policy=policy, examples=60)
    write_labels(labels)


def two_judged_tasks() -> None:
    """The same for a second task; the judge of the first is asked at the host `second`."""
    judged_scene(more='\nprovider = "second"')
    write(past("triage/staging", V8), past("labels/staging", V9))
    gate = POLICY.partition("[tasks.triage.gate]")[2].replace("triage", "labels")
    gate = gate.replace("MODEL", JUDGE)
    with POLICY_FILE.open("a") as policy:
        policy.write(f"\n[tasks.labels.gate]{gate}{PRICES}")
    for path in (EXAMPLES, LABELS):
        path.with_name(path.name.replace("triage", "labels")).write_text(path.read_text())
    Path("profiles").mkdir()
    Path("profiles/long.toml").write_text((ROOT / "profiles/triage-long.toml").read_text())


def write_labels(count: int, **changes: Any) -> None:
    """Label what five models say of the examples, as the best of them would have it."""
    rows = []
    for number, line in enumerate(EXAMPLES.read_text().splitlines()[:count]):
        data = json.loads(line)
        message = data["messages"][-2]["content"]
        output = triage.triage(_SKILLS[number % len(_SKILLS)], message)
        is_good = json.loads(output) == json.loads(triage.triage(triage.V10, message))
        rows.append(
            {
                "messages": data["messages"],
                "output": output,
                "label": "good" if is_good else "bad",
                "reviewed_by": "ana@acme.example",
                **changes,
            }
        )
    LABELS.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def verdicts_asked(sandbox: Sandbox, model: str = JUDGE) -> list[dict[str, Any]]:
    """Return the bodies of the questions to a judge; probes ask for no shape."""
    bodies = (request.body for request in sandbox.requests)
    return [
        body
        for body in bodies
        if isinstance(body, dict)
        and body.get("model") == model
        and "verdict" in str(body.get("response_format"))
    ]


__all__ = ["TARGET", "judged_scene", "two_judged_tasks", "verdicts_asked", "write_labels"]
