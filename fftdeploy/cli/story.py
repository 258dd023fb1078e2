"""The story that `demo` tells: dates, what is said, what is typed, how it ends.  Data only.

A web shop's support desk triages customer messages with a fine-tuned model: message in,
urgency, category and next step out.  The cast is the sandbox's.
"""

from datetime import UTC, datetime
from typing import NamedTuple

AUTHOR = ("Ana", "ana@acme.example")
_TUNED = "ft:gpt-4.1-mini-2025-04-14:acme:triage-"
V6, V7, V8, V9, V10 = (
    f"{_TUNED}{end}" for end in ("v6:AaBb6", "v7:AbBc7", "v8:BbCc8", "v9:CdEf9", "v10:DeFg0")
)
NANO = "ft:gpt-4.1-nano-2025-04-14:acme:triage-nano:Na01"
EXAMPLES = "triage.jsonl"
"""The template whose lines are the reviewed examples of the story."""


class Step(NamedTuple):
    """One command of the story, and the moment at which it is typed."""

    at: datetime
    says: str
    command: str
    exit_code: int = 0
    deleted: str = ""
    """A model that has disappeared from the API by then."""


class ByHand(NamedTuple):
    """A change that somebody makes in an editor, and how it is shown."""

    at: datetime
    says: str
    shown: str
    path: str = ""
    text: str = ""
    """Appended to the file."""
    examples: int = 0
    """Reviewed examples that the file has from now on."""
    commit: str = ""
    """Message of a commit of everything; no file is changed."""


def _at(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


START = _at(8, 3, 9)
OPENING = "A web shop triages customer messages with a fine-tuned model, live since July."
BY_HAND = f'\n[triage.production]\nmodel = "{V6}"\n'
BY_HAND_SHOWN = r"printf '\n[triage.production]\nmodel = " f'"{V6}"' r"\n' >> deployments.toml"
FIRST_COMMIT = "Keep deployments in git"

GATE = """
[tasks.triage.gate]
examples = ["evals/triage.jsonl"]
slices = ["topic"]

[[tasks.triage.gate.graders]]
type = "json_fields"
fields = { urgency = "exact", category = "exact", next_step = "casefold" }
"""

STEPS: tuple[Step | ByHand, ...] = (
    Step(
        _at(8, 3, 9, 10),
        "What is live becomes the first release, once the API proves that it answers.",
        'fftdeploy adopt triage/production --why "live since July" --yes --commit',
    ),
    Step(
        _at(8, 18, 10),
        "A better model goes to staging first.",
        f"fftdeploy promote triage/staging --model {V7} --yes --commit",
    ),
    Step(
        _at(8, 20, 10),
        "Two days later it moves on. Production is protected, so it takes a reason.",
        'fftdeploy promote triage/production --why "reads German" --yes --commit',
    ),
    Step(
        _at(10, 2, 15, 40),
        "October: the fine-tuning job is enough, it is followed to its model.",
        "fftdeploy promote triage/staging --job ftjob-v8 --yes --commit",
    ),
    Step(
        _at(10, 4, 10),
        "And on to production.",
        'fftdeploy promote triage/production --why "PR #188" --yes --commit',
    ),
    Step(
        _at(11, 18, 9, 12),
        "November: version 9, the same way.",
        "fftdeploy promote triage/staging --job ftjob-v9 --yes --commit",
    ),
    Step(
        _at(11, 20, 16, 20),
        "Two days in staging, then production.",
        'fftdeploy promote triage/production --why "PR #212" --yes --commit',
    ),
    Step(
        _at(11, 21, 8),
        "Somebody is in a hurry. The next job is still running, so: no.",
        "fftdeploy promote triage/staging --job ftjob-running --wait 0 --yes --commit",
        exit_code=4,
    ),
    Step(
        _at(11, 21, 8, 5),
        "The small cheap model of last year? Its base was shut down in October, so: no.",
        f"fftdeploy promote triage/staging --model {NANO} --yes --commit",
        exit_code=4,
    ),
    Step(
        _at(11, 21, 8, 30),
        "Version 9 takes refunds for billing. Back, in one command; what is removed goes on hold.",
        'fftdeploy rollback triage/production --why "refunds misrouted, INC-88" --yes --commit',
    ),
    Step(
        _at(11, 21, 9),
        "A CI job promotes staging again. What was rolled back is on hold, so: no.",
        'fftdeploy promote triage/production --why "nightly" --yes --commit',
        exit_code=6,
    ),
    ByHand(
        _at(11, 21, 10),
        "Never again by accident: a bar in the policy, and examples that people agreed on.",
        "cat gate.toml >> fftdeploy.toml",
        "fftdeploy.toml",
        text=GATE,
    ),
    ByHand(
        _at(11, 21, 10),
        "",
        "head -n 20 reviewed.jsonl > evals/triage.jsonl",
        "evals/triage.jsonl",
        examples=20,
    ),
    Step(
        _at(11, 21, 10, 5),
        "Would the bar have stopped version 9? 20 examples can't tell, and it says how many can.",
        "fftdeploy eval triage/production --quiet",
        exit_code=7,
    ),
    ByHand(
        _at(11, 23, 10),
        "Two people review more of them.",
        "cp reviewed.jsonl evals/triage.jsonl",
        "evals/triage.jsonl",
        examples=67,
    ),
    Step(
        _at(11, 23, 10, 5),
        "More right answers than version 8, and yet: refunds are worse, so: no.",
        "fftdeploy eval triage/production --quiet",
        exit_code=5,
    ),
    Step(
        _at(11, 23, 10, 6),
        "The page for everybody who asks why.",
        "fftdeploy report -o .fftdeploy/runs/report.html",
    ),
    ByHand(
        _at(11, 23, 10, 10),
        "Evidence is committed, the failed attempts too; answers of models are not.",
        'git add . && git commit -m "A quality bar for triage"',
        commit="A quality bar for triage",
    ),
    Step(
        _at(11, 23, 11),
        "Version 10 was trained on more refunds.",
        "fftdeploy promote triage/staging --job ftjob-v10 --yes --commit",
    ),
    Step(
        _at(11, 24, 11),
        "It meets the bar, and the release names the evidence.",
        "fftdeploy promote triage/production --eval --max-requests 200 "
        '--why "PR #219" --yes --commit --quiet',
    ),
    Step(
        _at(11, 26, 15),
        "A customer writes in Polish, which no example did. Back; but somebody has deleted "
        "version 8, so the rollback passes it over.",
        'fftdeploy rollback triage/production --why "Polish misread, INC-91" --yes --commit',
        deleted=V8,
    ),
    Step(
        _at(11, 26, 15, 20),
        "Version 7 is not good enough any more. A second rollback goes further back.",
        'fftdeploy rollback triage/production --why "INC-91, still" --yes --commit',
        deleted=V8,
    ),
    Step(
        _at(11, 26, 15, 30),
        "What happened here?",
        "fftdeploy history triage/production",
        deleted=V8,
    ),
    Step(
        _at(11, 26, 15, 30),
        "And what is live now, until when, and is there a way back?",
        "fftdeploy status",
        deleted=V8,
    ),
)
LIVE = {"triage/production": V6, "triage/staging": V10}
HELD = {V10, V9, V7}
"""What is on hold in production in the end."""
