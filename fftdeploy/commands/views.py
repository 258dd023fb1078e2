"""Parts of results, where a program reads other keys than a value of ours has."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Self

from fftdeploy.api.readiness import Readiness, Shutdown, State
from fftdeploy.names import FLAT, plural
from fftdeploy.output.results import OMITTED, UNPRINTED
from fftdeploy.planning.rollback import Candidate
from fftdeploy.releases.deployments import Bundle, Canary, Target

EvidenceID = Annotated[str, {"pattern": "^[0-9a-f]{32}$"}]
TargetName = Annotated[str, {"pattern": "^[a-z0-9][a-z0-9_-]{0,62}/[a-z0-9][a-z0-9_-]{0,62}$"}]


@dataclass(frozen=True, slots=True)
class PointedBundle:
    """The model and profile that a target points at; the profile's content is not in the file."""

    model: str
    provider: str
    profile: str | None
    canary: Canary | None = field(default=None, metadata=OMITTED)
    """What answers a part of the keys."""

    @classmethod
    def of(cls, target: Target) -> Self:
        """Take it from a target."""
        return cls(target.model, target.provider, target.profile, target.canary)

    def __str__(self) -> str:
        return str(Bundle(self.model, self.provider, self.profile))


@dataclass(frozen=True, slots=True)
class ShutdownView:
    """The day from which a model does not answer; None where no day is announced."""

    shutdown_date: date | None
    shutdown_source: str | None
    runway_days: int | None

    @classmethod
    def of(cls, shutdown: Shutdown | None, today: date) -> Self:
        """Take it from what is known, and count the days left, negative once past."""
        if shutdown is None:
            return cls(None, None, None)
        return cls(shutdown.date, shutdown.source, shutdown.days_left(today))

    def words(self, source: str = "") -> str:
        """Say when that is, or was; `source` goes behind it as it is."""
        if self.runway_days is None:
            return "no shutdown date announced"
        if self.runway_days <= 0:  # it stops on the day
            return f"ended {self.shutdown_date}{source}"
        return f"shuts down {self.shutdown_date} ({plural(self.runway_days, 'day')}{source})"


@dataclass(frozen=True, slots=True)
class ReadinessView:
    """What is known about a model on one day."""

    model: str
    state: State
    code: str
    message: str | None
    basis: tuple[str, ...]
    dead: bool
    shutdown: ShutdownView = field(metadata=FLAT)
    warnings: tuple[str, ...]
    notices: tuple[str, ...]
    request_id: str | None

    @classmethod
    def of(cls, known: Readiness | None, today: date) -> Self | None:
        """Take it from what was proved; None where nobody was asked."""
        if known is None:
            return None
        return cls(
            model=known.model,
            state=known.state,
            code=known.code,
            message=known.message or None,
            basis=known.basis,
            dead=known.dead,
            shutdown=ShutdownView.of(known.shutdown, today),
            warnings=known.warnings,
            notices=known.notices,
            request_id=known.request_id or None,
        )


@dataclass(frozen=True, slots=True)
class CanaryView:
    """What answers a part of the keys, and what is known of it."""

    bundle: Bundle = field(metadata=FLAT)
    weight: int
    """Percent of the keys."""
    since: datetime
    recorded: bool
    """Whether a release says so."""
    readiness: ReadinessView | None
    shutdown: ShutdownView = field(metadata=FLAT)


@dataclass(frozen=True, slots=True)
class CandidateView:
    """A release that a rollback looked at, and what became of it."""

    n: int
    bundle: Bundle = field(metadata=FLAT)
    fate: str
    reason: str
    readiness: ReadinessView | None


@dataclass(frozen=True, slots=True)
class Fallback:
    """What applications go on with once the live model is proved gone, and if it answers."""

    bundle: Bundle = field(metadata=FLAT)
    readiness: ReadinessView | None
    """None where the API was not asked."""
    is_taken: bool
    """Whether the live model is proved gone, and this takes its calls."""
    problem: str | None
    """Why it would not take over."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """A release that a rollback would go to, and what is known of it."""

    n: int
    bundle: Bundle = field(metadata=FLAT)
    readiness: ReadinessView | None
    """None where the API was not asked."""
    problem: str | None
    """Why a rollback would stop there."""
    is_held: bool = field(metadata=UNPRINTED)
    """Whether it is a hold, which is told by itself."""

    @classmethod
    def of(cls, candidate: Candidate, readiness: ReadinessView | None = None) -> Self:
        """Take it from a candidate and what was proved about it."""
        problem, is_held = candidate.reason or None, candidate.fate == "held"
        return cls(candidate.release.n, candidate.bundle, readiness, problem, is_held)


@dataclass(frozen=True, slots=True)
class CountedEvidence:
    """What the evidence that counted for a change says, in a line."""

    passed: bool
    label: str
    """The verdict in a word or two."""
    said: str
    short: str
    """The evidence's ID as it is shown."""
