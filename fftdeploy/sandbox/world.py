"""Lists what the sandbox has before anybody asks: models and jobs in every state, as data.

The organisation is `acme`, the task is support triage, the story is autumn 2026.  Nothing here
changes while the server runs; `ledger` keeps what does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from fftdeploy.sandbox.triage import (
    BASE,
    GOOD_JUDGE,
    LUNA,
    POOR_JUDGE,
    V6,
    V7,
    V8,
    V9,
    V10,
    Accuracy,
    Skill,
)

ORGANISATION = "acme"
PROJECT = "proj_acme"
STORY_NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
"""The moment at which every model below is in the state its name says."""

MINI = "gpt-4.1-mini-2025-04-14"
_FOR_EVER = 1_000_000_000


class State(StrEnum):
    """How the API treats a model, apart from its own shutdown date."""

    READY = "ready"
    GONE = "gone"
    GHOST = "ghost"
    LOADING = "loading"
    RETIRED = "retired"
    BLOCKED = "blocked"
    OTHER_PROJECT = "other-project"
    NOT_CHAT = "not-chat"

    @property
    def is_listed(self) -> bool:
        """Say whether `GET /v1/models` shows such a model."""
        return self not in {State.GONE, State.RETIRED, State.OTHER_PROJECT}


@dataclass(frozen=True, slots=True)
class Model:
    """One model: what the API says about it, and how it answers.

    `loads_after` is the number of refused uses before a loading model is loaded.  A model with
    `shutdown_date` (`YYYY-MM-DD`, UTC) is listed after that day and answers no longer.
    """

    id: str
    skill: Skill = V8
    created: datetime = datetime(2026, 10, 2, 9, tzinfo=UTC)
    state: State = State.READY
    shutdown_date: str | None = None
    owned_by: str = ORGANISATION
    refuses: str = ""
    """The one limit this model does not know: `max_tokens` or `max_completion_tokens`."""
    reasons: bool = False
    fingerprint: str = "fp_sandbox"
    loads_after: int = _FOR_EVER
    judges: Accuracy | None = None
    """How well it judges the answers of others; None where it doesn't."""


class Phase(StrEnum):
    """Where a fine-tuning job stands; `paused` is real, though the published enum lacks it."""

    VALIDATING = "validating_files"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model kept from the middle of a job."""

    id: str
    model: str
    step: int


@dataclass(frozen=True, slots=True)
class SandboxJob:
    """One fine-tuning job; `after_retrieves` retrieves later it has become `then`."""

    id: str
    phase: Phase
    created: datetime
    finished: datetime | None = None
    model: str = MINI
    fine_tuned_model: str | None = None
    suffix: str = "triage"
    error: tuple[str, str] | None = None
    """Code and message of a failure."""
    is_blocked: bool = False
    checkpoints: tuple[Checkpoint, ...] = ()
    then: "SandboxJob | None" = None
    after_retrieves: int = 0


@dataclass(frozen=True, slots=True)
class World:
    """Models and jobs by ID, in the order in which the API lists them."""

    models: Mapping[str, Model] = field(default_factory=dict)
    jobs: Mapping[str, SandboxJob] = field(default_factory=dict)

    def with_models(self, *models: Model) -> "World":
        """Return this world with `models` added, replacing those of the same ID."""
        return replace(self, models={**self.models} | {model.id: model for model in models})


def _day(month: int, day: int, hour: int = 9, *, year: int = 2026) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


def _triage(suffix: str, base: str = MINI) -> str:
    return f"ft:{base}:{ORGANISATION}:triage-{suffix}"


def _base(name: str, skill: Skill, created: datetime, **more: Any) -> Model:
    return Model(name, skill, created, owned_by="system", **more)


_BASES = (
    _base(MINI, BASE, _day(4, 14, year=2025), shutdown_date="2027-01-14"),
    _base(
        "gpt-4o-mini-2024-07-18",
        BASE,
        _day(7, 18, year=2024),
        shutdown_date="2027-01-14",
        judges=POOR_JUDGE,
    ),
    _base("gpt-6-luna", LUNA, _day(10, 14), refuses="max_tokens", reasons=True, judges=GOOD_JUDGE),
    _base("text-embedding-3-small", BASE, _day(1, 22, year=2024), state=State.NOT_CHAT),
)

_FINE_TUNES = (
    Model(_triage("v6:AaBb6"), V6, _day(7, 6)),
    Model(_triage("v7:AbBc7"), V7, _day(8, 17)),
    Model(_triage("v8:BbCc8"), V8, _day(10, 2)),
    Model(_triage("v9:CdEf9"), V9, _day(11, 18)),
    Model(_triage("v10:DeFg0"), V10, _day(11, 20), shutdown_date="2027-01-14"),
    Model(_triage("v10:DeFg0:ckpt-step-200"), V8, _day(11, 20, 8), shutdown_date="2027-01-14"),
    Model(
        _triage("mini:Old01", "gpt-4o-mini-2024-07-18"),
        V6,
        _day(9, 1, year=2024),
        refuses="max_completion_tokens",
    ),
    Model(_triage("v5:Zy5", "gpt-3.5-turbo-1106"), V6, _day(2, 1, year=2024), State.RETIRED),
    Model(
        _triage("nano:Na01", "gpt-4.1-nano-2025-04-14"),
        V6,
        _day(6, 2, year=2025),
        shutdown_date="2026-10-23",
    ),
    Model(_triage("ghost:Gh0st"), V8, _day(10, 20), State.GHOST),
    Model(_triage("cold:Co1d"), V8, _day(9, 3), State.LOADING, loads_after=2),
    Model(_triage("loading:Lo4d"), V8, _day(11, 21, 8), State.LOADING),
    Model(_triage("other:Oth3r"), V8, _day(10, 21), State.OTHER_PROJECT),
    Model(_triage("blocked:Bl0ck"), V8, _day(11, 12), State.BLOCKED),
    Model(_triage("soon:So0n"), V10, _day(11, 21, 8), State.GONE),
)

_CHECKPOINTS = (
    Checkpoint("ftckpt_v10step200", _triage("v10:DeFg0:ckpt-step-200"), 200),
    Checkpoint("ftckpt_v10step300", _triage("v10:DeFg0"), 300),
)

_RUNNING = SandboxJob("ftjob-soon", Phase.RUNNING, _day(11, 21, 7), suffix="triage-soon")

_NO_ANSWER = (
    "invalid_training_file",
    "Line 17 of the training file has no assistant message.",
)


def _ended(
    name: str, phase: Phase, month: int, day: int, model: str = "", **more: Any
) -> SandboxJob:
    """Return a job that took two hours."""
    times = _day(month, day, 7), _day(month, day)
    made = _triage(model) if model else None
    return SandboxJob(name, phase, *times, fine_tuned_model=made, **more)


_JOBS = (
    replace(
        _RUNNING,
        then=replace(_RUNNING, phase=Phase.SUCCEEDED, fine_tuned_model=_triage("soon:So0n")),
        after_retrieves=2,
    ),
    SandboxJob("ftjob-validating", Phase.VALIDATING, _day(11, 21, 8)),
    SandboxJob("ftjob-queued", Phase.QUEUED, _day(11, 21, 8)),
    SandboxJob("ftjob-running", Phase.RUNNING, _day(11, 21, 7)),
    SandboxJob("ftjob-paused", Phase.PAUSED, _day(11, 20, 17)),
    _ended("ftjob-v10", Phase.SUCCEEDED, 11, 20, "v10:DeFg0", checkpoints=_CHECKPOINTS),
    _ended("ftjob-v9", Phase.SUCCEEDED, 11, 18, "v9:CdEf9"),
    _ended("ftjob-blocked", Phase.SUCCEEDED, 11, 12, "blocked:Bl0ck", is_blocked=True),
    _ended("ftjob-null", Phase.SUCCEEDED, 11, 11),
    _ended("ftjob-failed", Phase.FAILED, 11, 10, error=_NO_ANSWER),
    _ended("ftjob-cancelled", Phase.CANCELLED, 11, 9),
    _ended("ftjob-v8", Phase.SUCCEEDED, 10, 2, "v8:BbCc8"),
)

ACME = World(
    MappingProxyType({model.id: model for model in (*_BASES, *_FINE_TUNES)}),
    MappingProxyType({job.id: job for job in _JOBS}),
)
"""The cast of the documentation, the demo and the tests."""
