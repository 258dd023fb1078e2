"""A task with examples, requests and a run, and a person at a terminal who reviews them."""

import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import terminal
from command_line import PROGRAM
from terminal import Step

from fftdeploy.evaluation.outputs import ModelOutput
from fftdeploy.evaluation.running.log_lines import (
    Header,
    Record,
    end_line,
    header_line,
    record_line,
)

NOW = "2026-11-21T08:30:00+00:00"
AT = "2026-11-21T08:30:00Z"
PROMPT = "[q]uit [?] "
DEPLOYMENTS = 'version = 1\n\n[triage.production]\nmodel = "ft:v8"\n'
POLICY = """\
version = 1
[tasks.triage.gate]
examples = ["evals/triage.jsonl"]
[[tasks.triage.gate.graders]]
type = "json_fields"
fields = { urgency = "exact", category = "casefold" }
"""
EXAMPLES = Path("evals/triage.jsonl")
REVIEWS = Path(".fftdeploy/runs/reviews/triage.jsonl")


def answer(urgency: str = "low", category: str = "refund") -> str:
    return json.dumps({"urgency": urgency, "category": category})


def chat(question: str, said: str | None = None, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    if said is not None:
        messages.append({"role": "assistant", "content": said})
    return {"messages": messages, **more}


def jsonl(*values: Any) -> bytes:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()


def scene(examples: bytes | None = None, policy: str = POLICY) -> None:
    """Write a task into the working directory."""
    Path("deployments.toml").write_text(DEPLOYMENTS)
    Path("fftdeploy.toml").write_text(policy)
    Path("evals").mkdir(exist_ok=True)
    if examples is not None:
        EXAMPLES.write_bytes(examples)


def write_run(*answers: tuple[str, str | ModelOutput], suffix: str = "abc123") -> str:
    """Write the log of a finished run of the candidate; return its name."""
    at = datetime.fromisoformat(NOW)
    path = Path(f".fftdeploy/runs/triage-20261121T083000Z-{suffix}.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [header_line(Header(path, "0" * 32, "triage", at, {}, {"candidate": {}, "live": {}}))]
    for index, (name, said) in enumerate(answers):
        output = said if isinstance(said, ModelOutput) else ModelOutput(said)
        for arm, each in (("live", ModelOutput("nothing")), ("candidate", output)):
            lines.append(record_line(Record("a" * 64, arm, index, 0, name, at, each)))
    path.write_bytes(b"".join([*lines, end_line(len(answers), at)]))
    return path.stem


def environ(**more: str) -> dict[str, str]:
    clock = {"FFTDEPLOY_NOW": NOW, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "COLUMNS": "80"}
    return {**os.environ, **clock, **more}


def at_terminal(
    argv: Sequence[object], *steps: Step, program: Sequence[str] = (), **more: str
) -> tuple[int, str]:
    """Review at a terminal; see `terminal.run`."""
    words = [*(program or [str(PROGRAM)]), "review", *map(str, argv)]
    return terminal.run(words, environ(**more), *steps)


def editor(text: str, code: int = 0) -> str:
    """Make an editor that writes `text` into the file it is given; return its command line."""
    script = Path("editor.py").absolute()
    script.write_text(
        "import os, sys, stat\n"
        "path = sys.argv[-1]\n"
        "assert stat.S_IMODE(os.stat(path).st_mode) == 0o600\n"
        "before = open(path, newline='').read()\n"
        f"open({str(script.with_suffix('.log'))!r}, 'a').write(before)\n"
        f"open(path, 'w', newline='').write({text!r})\n"
        f"sys.exit({code})\n"
    )
    return f"'{sys.executable}' '{script}' --wait"
