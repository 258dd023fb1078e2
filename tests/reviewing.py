"""A task with examples, requests and a run, and a person at a terminal who reviews them."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fftdeploy.evaluation.running.log_lines import (
    Header,
    Record,
    end_line,
    header_line,
    record_line,
)
from fftdeploy.evaluation.running.outputs import Output

PROGRAM = Path(sys.executable).with_name("fftdeploy")
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

# Ctrl-C is for whoever has the terminal as its own.
_LEADER = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)

Step = tuple[str, str | Callable[[], object]]


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


def write_run(*answers: tuple[str, str | Output], suffix: str = "abc123") -> str:
    """Write the log of a finished run of the candidate; return its name."""
    at = datetime.fromisoformat(NOW)
    path = Path(f".fftdeploy/runs/triage-20261121T083000Z-{suffix}.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [header_line(Header(path, "0" * 32, "triage", at, {}, {"candidate": {}, "live": {}}))]
    for index, (name, said) in enumerate(answers):
        output = said if isinstance(said, Output) else Output(said)
        for arm, each in (("live", Output("nothing")), ("candidate", output)):
            lines.append(record_line(Record("a" * 64, arm, index, 0, name, at, each)))
    path.write_bytes(b"".join([*lines, end_line(len(answers), at)]))
    return path.stem


def environ(**more: str) -> dict[str, str]:
    clock = {"FFTDEPLOY_NOW": NOW, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "COLUMNS": "80"}
    return {**os.environ, **clock, **more}


def at_terminal(
    argv: Sequence[object], *steps: Step, program: Sequence[str] = (), **more: str
) -> tuple[int, str]:
    """Review, and whenever the screen says the first of a step do the second.

    Each step looks only at what was printed since the one before.  A text is typed; "^C" and "^D"
    are those keys.  Returns the exit code and all that was shown.
    """
    master, slave = os.openpty()
    words = [*(program or [str(PROGRAM)]), "review", *map(str, argv)]
    child = subprocess.Popen(
        [sys.executable, "-c", _LEADER, *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environ(**more),
        start_new_session=True,
    )
    os.close(slave)
    screen, seen, waiting = "", 0, list(steps)
    deadline = time.monotonic() + 60
    while data := _read(master, deadline):
        screen += data
        while waiting and (place := screen.find(waiting[0][0], seen)) >= 0:
            seen = place + len(waiting[0][0])
            _do(master, waiting.pop(0)[1])
    os.close(master)
    code = child.wait(60)
    assert not waiting, (waiting, screen)
    return code, screen.replace("\r\n", "\n")


def _do(master: int, action: str | Callable[[], object]) -> None:
    if not isinstance(action, str):
        action()
        return
    keys = {"^C": "\x03", "^D": "\x04"}
    os.write(master, keys.get(action, action + "\n").encode())


def _read(master: int, deadline: float) -> str:
    """Return what was printed next; "" once the other side is closed."""
    if not select.select([master], [], [], max(deadline - time.monotonic(), 0))[0]:
        return ""
    try:
        return os.read(master, 65536).decode(errors="replace")
    except OSError:
        return ""


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
