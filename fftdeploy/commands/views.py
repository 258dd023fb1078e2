"""What results are made of where a program reads other keys than a value of ours has."""

from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Self

from fftdeploy.api.readiness import Readiness
from fftdeploy.api.verdicts import State
from fftdeploy.names import FLAT
from fftdeploy.releases.deployments import Bundle, Target

TargetName = Annotated[str, {"pattern": "^[a-z0-9][a-z0-9_-]{0,62}/[a-z0-9][a-z0-9_-]{0,62}$"}]


@dataclass(frozen=True, slots=True)
class Api:
    """Whom was asked, and which setting says so."""

    address: str
    source: str = field(metadata={"key": "from"})


@dataclass(frozen=True, slots=True)
class PointedBundle:
    """The bundle that a target points at; which content its profile has is not in the file."""

    model: str
    provider: str
    profile: str | None

    @classmethod
    def of(cls, target: Target) -> Self:
        """Take it from a target."""
        return cls(target.model, target.provider, target.profile)

    def __str__(self) -> str:
        return str(Bundle(self.model, self.provider, self.profile))


@dataclass(frozen=True, slots=True)
class ReadinessView:
    """What is known about a model on one day."""

    model: str
    state: State
    code: str
    message: str | None
    basis: tuple[str, ...]
    dead: bool
    shutdown_date: date | None
    shutdown_source: str | None
    runway_days: int | None
    warnings: tuple[str, ...]
    notices: tuple[str, ...]
    request_id: str | None

    @classmethod
    def of(cls, known: Readiness, today: date) -> Self:
        """Take it from what was proved."""
        shutdown = known.shutdown
        return cls(
            model=known.model,
            state=known.state,
            code=known.code,
            message=known.message or None,
            basis=known.basis,
            dead=known.dead,
            shutdown_date=shutdown.date if shutdown else None,
            shutdown_source=shutdown.source if shutdown else None,
            runway_days=known.runway_days(today),
            warnings=known.warnings,
            notices=known.notices,
            request_id=known.request_id or None,
        )


@dataclass(frozen=True, slots=True)
class CandidateView:
    """A release that a rollback looked at, and what became of it."""

    n: int
    bundle: Bundle = field(metadata=FLAT)
    fate: str
    reason: str
    readiness: ReadinessView | None
