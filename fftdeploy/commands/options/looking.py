"""What may be said to the commands that look, review and serve."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from fftdeploy.commands.options.declared import (
    END,
    OFFLINE,
    TARGET,
    TARGETS,
    TEXT,
    Options,
    argument,
    flag,
)
from fftdeploy.names import OPENAI

KEY = flag("Who asks: a canary answers a part of the keys.")
PICK = "100"
"""How many inputs a review takes where nobody says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusOptions(Options):
    """What may be said to `status`."""

    targets: str | Sequence[str] = field(default=(), kw_only=False, metadata=TARGETS)
    offline: bool = field(default=False, metadata=OFFLINE)
    fail_on: str = field(
        default="",
        metadata=flag(
            "Exit 12 on: runway:30d,dead,hand-edit,no-rollback,stale,drift.", metavar="LIST"
        ),
    )
    calendar: str | Path | None = field(
        default=None, metadata=flag("Write all shutdowns to a calendar.", metavar="FILE.ics")
    )
    every_way_back: bool = False
    """Of one target, ask about the newest releases, not only until one of them answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryOptions(Options):
    """What may be said to `history`."""

    target: str | None = field(
        default=None,
        kw_only=False,
        metadata=argument("Target, task, or glob such as '*/production'; default: all."),
    )
    at: datetime | None = field(
        default=None,
        metadata=flag("A moment: 2026-10-03T12:00Z, or the end of a day.", form=END),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffOptions(Options):
    """What may be said to `diff`."""

    a: str | None = field(
        default=None,
        kw_only=False,
        metadata=argument("Environment, target, task or git ref; default: HEAD."),
    )
    b: str | None = field(
        default=None,
        kw_only=False,
        metadata=argument("The other one; default: the working tree."),
    )
    exit_code: bool = field(default=False, metadata=flag("Exit 12 where they differ."))
    record: bool = field(
        default=False, metadata=flag("In a job of a push: as Deployments of GitHub, too.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsOptions(Options):
    """What may be said to `models`."""

    provider: str = field(default=OPENAI, metadata=flag("Whose models: a name of providers.toml."))
    retiring: bool = field(default=False, metadata=flag("Only those that end, the soonest first."))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions(Options):
    """What may be said to `verify`."""

    evidence: str | Sequence[str] = field(
        default=(), kw_only=False, metadata=argument("IDs or files; default: all of it.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions(Options):
    """What may be said to `scan`."""

    paths: str | Path | Sequence[str | Path] = field(
        default=(),
        kw_only=False,
        metadata=argument("Files and folders; default: the repository of the file.", "PATH..."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions(Options):
    """What may be said to `report`."""

    evidence: str | None = field(
        default=None,
        kw_only=False,
        metadata=argument("ID or file of the evidence, or a task; default: the newest of all."),
    )
    out: str | Path | None = field(
        default=None, metadata=flag("report.html, or junit.xml.", "--out", "-o", metavar="FILE")
    )
    redact: bool = field(default=False, metadata=flag("Leave inputs, answers and outputs out."))
    page: bool = False
    """Write the page where git ignores it, unless `out` says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewOptions(Options):
    """What may be said to `review`; a run excludes the other sources."""

    task: str = field(kw_only=False, metadata=argument("The task whose examples are reviewed."))
    run: str | None = field(
        default=None, metadata=flag("Review the failures of this run; default: the newest.")
    )
    unreviewed: bool = field(
        default=False,
        metadata=flag(
            "Review the examples that nobody has reviewed yet; with --from: add them as such."
        ),
    )
    requests: Path | None = field(
        default=None,
        metadata=flag(
            "Review logs, promptfoo's tests or an Evals export.", "--from", metavar="FILE"
        ),
    )
    moved: bool = field(
        default=False, metadata=flag("With --from: first what moved since the log before.")
    )
    pick: str = field(
        default=PICK, metadata=flag("With --from: so many inputs that differ, or all.", metavar="N")
    )
    dry_run: bool = field(
        default=False, metadata=flag("With --from: say what it brings, write nothing.")
    )
    to: Path | None = field(
        default=None,
        metadata=flag("With --from: add to this examples file, not the first.", metavar="FILE"),
    )
    by: str | None = field(default=None, metadata=flag("Who reviews.", metavar="NAME"))


@dataclass(frozen=True, slots=True, kw_only=True)
class InitOptions(Options):
    """What may be said to `init`."""

    task: str | None = field(default=None, metadata=flag("What the model does."))
    env: str | Sequence[str] = field(
        default=(),
        metadata=flag("Environments in the order of promotion.", metavar="A,B,C", form=TEXT),
    )
    live: str | Sequence[str] = field(
        default=(),
        metadata=flag("What is live; default: where it ends.", metavar="[TARGET=]MODEL"),
    )
    examples: str | Path | None = field(
        default=None, metadata=flag("Agreed answers (JSONL), to infer the gate from.")
    )
    example: bool = field(
        default=False, metadata=flag("A task that the sandbox can pass, to try it.")
    )
    ci: str | None = field(
        default=None,
        metadata=flag(
            "Also write a workflow and a pre-commit hook: github or gitlab.", metavar="FORGE"
        ),
    )
    rewrite: bool = field(
        default=False, metadata=flag("Rewrite a deployments file in another shape.")
    )
    ask: bool = False
    """Ask a person at a terminal for what is not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaOptions(Options):
    """What may be said to `schema`."""

    which: str | None = field(
        default=None,
        kw_only=False,
        metadata=argument("deployments, policy or output; default: all three."),
    )
    write: bool = field(
        default=False, metadata=flag("Write those of the two files beside them, for editors.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveOptions(Options):
    """What may be said to `resolve`."""

    target: str = field(kw_only=False, metadata=TARGET)
    key: str | None = field(default=None, metadata=KEY)
    """None for what is live, whatever a canary answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions(Options):
    """What may be said to `run`."""

    target: str = field(kw_only=False, metadata=TARGET)
    words: Sequence[str] = field(
        default=(), kw_only=False, metadata=argument("The command, after `--`.", "COMMAND...")
    )
    key: str | None = field(default=None, metadata=KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions(Options):
    """What may be said to `export`."""

    kind: str | None = field(
        default=None,
        kw_only=False,
        metadata=argument(
            "litellm, flagd, dotenv, configmap, tfvars or json; none for what is declared."
        ),
    )
    out: str | Path | None = field(
        default=None, metadata=flag("Write this file.", "--out", "-o", metavar="FILE")
    )
    check: bool = field(
        default=False, metadata=flag("Only say whether files are current; 12 if not.")
    )
