"""What may be said to the commands that change the deployments file."""

from dataclasses import dataclass, field
from datetime import datetime

from fftdeploy.commands.options.declared import (
    SPAN,
    START,
    TARGET,
    WORDS,
    Options,
    WriteOptions,
    argument,
    flag,
)
from fftdeploy.evaluation.limits import Limits

PROFILE = flag("Profile to deploy it with.")
EXPECTED = flag("Refuse unless this model is live.", metavar="MODEL")
CREATE = flag("Create the target where no policy knows it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOptions(WriteOptions, Options):
    """What may be said to every command that changes one target."""

    target: str = field(kw_only=False, metadata=TARGET)
    """A bare environment, too, where the file has one task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteOptions(ChangeOptions, Limits):
    """What may be said to `promote`: at most one of a source, a model and a job."""

    source: str | None = field(
        default=None,
        metadata=flag(
            "Environment whose live model and prompt to promote.", "--from", metavar="ENV"
        ),
    )
    model: str | None = field(
        default=None, metadata=flag("Model to promote: its ID, or its short name.")
    )
    job: str | None = field(default=None, metadata=flag("Fine-tuning job (ftjob-...) to promote."))
    profile: str | None = field(default=None, metadata=PROFILE)
    no_profile: bool = field(default=False, metadata=flag("Deploy without a profile."))
    provider: str | None = field(default=None, metadata=flag("Host of the model."))
    wait_s: float = field(
        default=60.0,
        metadata=flag("How long to wait for a job or a loading model.", "--wait", form=SPAN),
    )
    expect_current: str | None = field(default=None, metadata=EXPECTED)
    create: bool = field(default=False, metadata=CREATE)
    overrides: tuple[str, ...] = field(
        default=(),
        metadata=flag(
            "Policies to set aside: freeze,soak,order,runway,inconclusive.",
            "--override",
            form=WORDS,
        ),
    )
    probe: bool = field(
        default=True,
        metadata=flag("Trust the model's record, send it no message.", "--no-probe"),
    )
    evaluate: bool = field(
        default=False, metadata=flag("Evaluate now where there is no evidence yet.", "--eval")
    )
    max_usd: float | None = field(
        default=None, metadata=flag("With --eval: spend no more.", least=0)
    )
    max_requests: int | None = field(
        default=None,
        metadata=flag("With --eval: refuse to send more. Retries are not counted.", least=1),
    )
    canary: int | None = field(
        default=None,
        metadata=flag("Percent of the keys it answers, 1 to 50; live the rest.", metavar="PERCENT"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOptions(ChangeOptions):
    """What may be said to `rollback`."""

    to: int | str | None = field(
        default=None,
        metadata=flag("Release to go back to, or the model whose newest it is.", metavar="N|MODEL"),
    )
    """None for the newest that answers."""
    profile: str | None = field(default=None, metadata=PROFILE)
    wait_s: float = field(
        default=60.0, metadata=flag("How long to wait for a loading model.", "--wait", form=SPAN)
    )
    expect_current: str | None = field(default=None, metadata=EXPECTED)
    unverified: bool = field(
        default=False, metadata=flag("Go back even if the API gives no usable answer.")
    )
    canary: bool = field(default=False, metadata=flag("Only take off the canary, if one runs."))


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptOptions(ChangeOptions):
    """What may be said to `adopt`."""

    model: str | None = field(default=None, metadata=flag("What is live in a target that is new."))
    """In one that the file has it must be what that says."""
    provider: str | None = field(
        default=None, metadata=flag("Host of that model; default: openai.")
    )
    create: bool = field(default=False, metadata=CREATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOptions(ChangeOptions):
    """What may be said to `hold`."""

    model: str = field(
        kw_only=False, metadata=argument("Model to block: its ID, or its short name.")
    )
    provider: str | None = field(
        default=None, metadata=flag("At which host; default: where it is here.")
    )
    until: datetime | None = field(
        default=None,
        metadata=flag("When the hold ends: 2026-12-24T12:00Z, or a day, at its start.", form=START),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnholdOptions(ChangeOptions):
    """What may be said to `unhold`."""

    model: str | None = field(
        default=None, kw_only=False, metadata=argument("Model; default: the only one on hold.")
    )
