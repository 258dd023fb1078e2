"""From an empty repository to a gated promotion of a task of one's own, as a person types it."""

import json
import os
from pathlib import Path

import terminal
from command_line import PROGRAM, git
from scenes import V8, V10, newest, read

from fftdeploy.sandbox import Sandbox

SAID = {
    "Order {}: please refund me.": ("refund", "check refund eligibility"),
    "Please cancel subscription {}.": ("cancellation", "confirm cancellation"),
    "The invoice {} is not mine.": ("billing", "review invoice"),
    "I forgot the password of login {}.": ("account", "verify identity"),
}
STORY: list[tuple[str, list[terminal.Step]]] = [
    (
        "fftdeploy init",
        [
            ("the task? [triage]", "routing"),
            ("in the order of promotion? [staging,production]", ""),
            ("what is live in production", V8),
            ("agreed answers as JSONL", "answers.jsonl"),
        ],
    ),
    ("git add .", []),
    ("git commit --quiet -m 'Route messages with fftdeploy'", []),
    ("fftdeploy promote routing/staging --model triage-v10 --commit", [("[y/N]", "y")]),
    (
        "fftdeploy promote routing/production --commit",
        [("why?", "knows cancellations"), ("[y/N]", "y"), ("[y/N]", "y")],
    ),
]
"""What is typed, and what is answered where the screen asks."""


def write_examples() -> None:
    """Write the one file that is edited: a question and the agreed answer a line."""
    lines = [
        {
            "messages": [
                {"role": "user", "content": text.format(number)},
                {"role": "assistant", "content": json.dumps(agreed)},
            ]
        }
        for number in range(15)
        for text, (category, step) in SAID.items()
        for agreed in [{"urgency": "medium", "category": category, "next_step": step}]
    ]
    Path("answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_from_an_empty_repository_to_a_gated_promotion(repo: Path, sandbox: Sandbox) -> None:
    """At most 7 commands and 1 edited file, in the sandbox, by the installed script."""
    environ = {**os.environ, "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"}
    write_examples()
    edited = [path.name for path in repo.iterdir() if path.name != ".git"]

    screens = []
    for line, answers in STORY:
        code, screen = terminal.run(["/bin/sh", "-c", f"exec {line}"], environ, *answers)
        screens.append(screen)
        assert code == 0, (line, screen)

    assert (len(STORY) <= 7, len(edited) <= 1) == (True, True)
    assert "60 examples: JSON objects with urgency (short texts), category (4" in screens[0]
    assert read("routing/production").model == V10
    release = newest("routing/production")
    assert (release.n, release.via, release.why) == (2, "staging", "knows cancellations")
    evidence = Path(f".fftdeploy/evidence/routing/{release.evidence}.json")
    verdict = json.loads(evidence.read_text())["verdict"]
    assert (verdict["ruling"], verdict["comparison"]["broke"]) == ("pass", 0)
    assert git("log", "--format=%s").splitlines()[0] == "Promote triage-v10 to routing/production"
