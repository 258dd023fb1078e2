"""A repository whose gate has a model judge, and outputs that people have labelled for it."""

import json
from pathlib import Path
from typing import Any

from gated import EXAMPLES, TARGET, scene
from scenes import V8, V10

from fftdeploy.sandbox import Sandbox, triage

JUDGE, POOR = "gpt-6-luna", "gpt-4o-mini-2024-07-18"
LABELS = Path("evals/triage.judged.jsonl")
POLICY = """\
version = 1
order = ["staging", "production"]

[environments.production]
from = ["staging"]
protected = true

[tasks.triage.gate]
examples = ["evals/triage.jsonl"]
margin = 0.1

[[tasks.triage.gate.graders]]
type = "length"
max_chars = 400

[[tasks.triage.gate.graders]]
type = "label_model"
name = "tone"
model = "MODEL"
prompt = '''<message>{{item.input}}</message>
<answer>{{sample.output_text}}</answer>'''
labels = ["good", "bad"]
passing_labels = ["good"]
"""
_SKILLS = (triage.V6, triage.V7, triage.V8, triage.V9, triage.V10)


def judged_scene(model: str = JUDGE, *, labels: int = 60, more: str = "") -> None:
    """Write it: v10 waits for the place of v8, and `model` is the judge of both."""
    policy = POLICY.replace('"MODEL"', f'"{model}"{more}')
    scene(V8, V10, policy=policy, examples=60)
    write_labels(labels)


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
        if isinstance(body, dict) and body.get("model") == model and "response_format" in body
    ]


__all__ = ["TARGET", "judged_scene", "verdicts_asked", "write_labels"]
