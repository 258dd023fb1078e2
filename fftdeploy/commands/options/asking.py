"""What may be said to the commands that ask models about examples, or look at what is live."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fftdeploy.commands.options.declared import (
    DAYS,
    OFFLINE,
    SPAN,
    TARGET,
    TARGETS,
    TEXT,
    WORDS,
    Options,
    WriteOptions,
    argument,
    declared,
    flag,
)
from fftdeploy.errors import UsageError
from fftdeploy.evaluation.arms import LIVE
from fftdeploy.evaluation.limits import CONCURRENCY, MAX_REQUESTS, Limits
from fftdeploy.planning.runway import STEPS

CANDIDATES = argument(
    "Candidates; default: what `promote TARGET` would take. `live`: what is live.",
    "[PROVIDER=]MODEL[@PROFILE]...",
)
REPEATS = flag("Answers to each example.", least=1, most=100)
IN_PARALLEL = flag("Requests under way at a time.", least=1, most=500)
BATCH = flag("Have the provider's own queue answer, within a day.")
FRESH = flag("Ask everything again; counts as another attempt.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions(Options, Limits):
    """What may be said to `check`."""

    targets: str | Sequence[str] = field(default=(), kw_only=False, metadata=TARGETS)
    offline: bool = field(default=False, metadata=OFFLINE)
    probe: bool = field(default=False, metadata=flag("Send each live model one short message."))
    base: str | None = field(
        default=None,
        metadata=flag("Judge what changed since REF, by its policy.", metavar="REF"),
    )
    allow_policy_change: bool = field(
        default=False, metadata=flag("With --base: let policy and examples change, too.")
    )
    rerun: bool = field(default=False, metadata=flag("With --base: make the evidence again, now."))
    accept_claimed: bool = field(
        default=False, metadata=flag("With --base: trust evidence that came along.")
    )
    max_usd: float | None = field(
        default=None, metadata=flag("With --rerun: stop before this is spent.")
    )
    max_requests: int | None = field(
        default=None,
        metadata=flag("With --rerun: refuse to send more. Retries are not counted.", least=1),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeOptions(Options):
    """What may be said to `size`."""

    target: str = field(kw_only=False, metadata=TARGET)
    candidates: str | Sequence[str] = field(default=(), kw_only=False, metadata=CANDIDATES)
    repeats: int | None = field(default=None, metadata=REPEATS)
    concurrency: int = field(default=CONCURRENCY, metadata=IN_PARALLEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOptions(Options, Limits):
    """How models are asked, and how much that may take."""

    fresh: bool = field(default=False, metadata=FRESH)
    concurrency: int = field(default=CONCURRENCY, metadata=IN_PARALLEL)
    max_usd: float | None = field(
        default=None, metadata=flag("Stop before spending more.", least=0)
    )
    max_requests: int | None = field(
        default=MAX_REQUESTS,
        metadata=flag("Refuse to send more. Retries are not counted.", least=1),
    )

    def require_ranges(self) -> None:
        """Refuse what limits nothing, and numbers out of their range.

        Raises:
            UsageError: One is.
        """
        self.require_sane()
        for option in declared(type(self)):
            value, most = getattr(self, option.name), option.flag.most
            if most is not None and value is not None and not 1 <= value <= most:
                raise UsageError(f"{option.flags[0]} {value} is not 1 to {most}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateOptions(AskOptions):
    """What may be said to `calibrate`."""

    task: str = field(
        kw_only=False, metadata=argument("A task with a model judge, or TASK/ENVIRONMENT.")
    )
    """Of a target, its environment's key is taken."""
    labels: str | Path | None = field(
        default=None, metadata=flag("Labelled outputs; default: evals/TASK.judged.jsonl.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOptions(AskOptions):
    """How models are asked that may be asked by a batch, too."""

    batch: bool = field(default=False, metadata=BATCH)
    wait_s: float | None = field(
        default=None,
        metadata=flag(
            "How long to wait for the batch: 10m, or 0; default: its end.", "--wait", form=SPAN
        ),
    )

    def asking(self) -> dict[str, Any]:
        """Return them as options of another command that asks."""
        return {item.name: getattr(self, item.name) for item in fields(QueueOptions)}

    def require_ranges(self) -> None:
        """Refuse waiting for no batch, too."""
        AskOptions.require_ranges(self)
        if self.wait_s is not None and not self.batch:
            raise UsageError("--wait is for a batch", hint="add --batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions(QueueOptions):
    """What may be said to `eval`."""

    target: str = field(kw_only=False, metadata=TARGET)
    """A bare environment, too, where the file has one task."""
    candidates: str | Sequence[str] = field(default=(), kw_only=False, metadata=CANDIDATES)
    against: str | Sequence[str] = field(
        default=(LIVE,),
        metadata=flag(
            "Models beside the candidate: live,base,[PROVIDER=]MODEL[@PROFILE].", form=WORDS
        ),
    )
    repeats: int | None = field(default=None, metadata=REPEATS)
    """None for what the gate says."""
    training: str | Path | None = field(
        default=None, metadata=flag("Training file: say which examples are in it too.")
    )
    part_of: str = ""
    """The command line that this is a part of, which comes back to a batch; "" for that below."""

    @property
    def again(self) -> str:
        """The command line that asks the same by a batch."""
        how = ("batch", "wait_s", "concurrency", "max_usd", "max_requests")
        return self.part_of or self.line("eval", "--batch", without=how)


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateOptions(QueueOptions, WriteOptions):
    """What may be said to `migrate`; its limits are for all targets together."""

    targets: str | Sequence[str] = field(
        default=(),
        kw_only=False,
        metadata=argument("Targets, tasks, or globs; default: all whose model ends soon."),
    )
    to: str | Sequence[str] = field(
        default=(),
        metadata=flag("Successors: MODEL[@PROFILE],...; default: the policy's.", form=WORDS),
    )
    within_days: int = field(
        default=STEPS[0], metadata=flag("How soon is soon.", "--within", form=DAYS)
    )
    plan: bool = field(default=False, metadata=flag("Say what it would cost, and ask nobody."))
    record: bool = field(
        default=False, metadata=flag("Only ask what is live, to compare with when it is gone.")
    )
    draft_profile: bool = field(
        default=False, metadata=flag("Only draft the prompt that an untuned model needs.")
    )
    overrides: tuple[str, ...] = field(
        default=(),
        metadata=flag("Policies to set aside, as for promote.", "--override", form=WORDS),
    )
    report: str | Path | None = field(
        default=None, metadata=flag("Also write a page about all of it.", metavar="HTML")
    )
    max_usd: float | None = field(
        default=None, metadata=flag("Stop before spending more in all.", least=0)
    )
    max_requests: int | None = field(
        default=MAX_REQUESTS,
        metadata=flag("Refuse to send more in all. Retries are not counted.", least=1),
    )

    @property
    def again(self) -> str:
        """The command line that does the same, confirmed alike."""
        yes = [] if self.approve else ["--yes"]
        return self.line("migrate", *yes, without=("wait_s", "concurrency"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorOptions(Options, Limits):
    """What may be said to `monitor`."""

    targets: str | Sequence[str] = field(default=(), kw_only=False, metadata=TARGETS)
    fresh: bool = field(default=False, metadata=flag("Look again where there is a look of today."))
    calibrate: bool = field(
        default=False, metadata=flag("Compare with the answers of today from now on.")
    )
    logs: Path | None = field(
        default=None,
        metadata=flag("Hold a log of production against one before.", metavar="FILE|-"),
    )
    baseline: str | Path | None = field(
        default=None,
        metadata=flag(
            "The log before; default: the first of a release, kept as counts; new: again.",
            metavar="FILE|new",
            form=TEXT,
        ),
    )
    fail_on: str = field(
        default="",
        metadata=flag("With --logs, exit 12 also on: data-moved,answers-moved.", metavar="LIST"),
    )
    canary_abort: bool = field(
        default=False, metadata=flag("With --logs: exit 12 only on a canary that is worse.")
    )
    max_usd: float | None = field(default=None, metadata=flag("Stop before this is spent."))
    max_requests: int | None = field(
        default=None, metadata=flag("Refuse to send more. Retries are not counted.", least=1)
    )
    out: str | Path | None = field(
        default=None, metadata=flag("Write a page.", "--out", "-o", metavar="FILE.html")
    )
    prom_file: str | Path | None = field(
        default=None, metadata=flag("Write gauges for Prometheus.", metavar="FILE.prom")
    )
    issues: str = field(
        default="", metadata=flag("Keep an issue a target: github, gitlab.", metavar="FORGE")
    )
    batch: bool = field(
        default=False, metadata=flag("Ask by the provider's own queue, where it has one.")
    )
    wait_s: float | None = field(
        default=None,
        metadata=flag("With --batch: wait no longer than 30s, 10m, 0.", "--wait", form=SPAN),
    )
