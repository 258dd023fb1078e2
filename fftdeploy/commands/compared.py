"""The result of a comparison; what it is made of says each thing by its own name."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, Self

from fftdeploy.commands.views import ShutdownView, TargetName, WayBack
from fftdeploy.errors import Outcome
from fftdeploy.model_ids.retirement import FineTune, parse_fine_tune
from fftdeploy.names import FLAT
from fftdeploy.output.results import OMITTED, UNPRINTED
from fftdeploy.policy.prices import Price, RequestCost
from fftdeploy.pull_request.comparison import Measured, Named, Side, TargetComparison, Together
from fftdeploy.releases.deployments import Bundle, Hold, Release


@dataclass(frozen=True, slots=True)
class ComparedEnd:
    """What one of the two words stands for; no name is the working tree."""

    name: str | None = None
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class MeasuredSide:
    """How a side did in one evaluation."""

    evidence: str
    n: int
    passed: int
    rate: float
    low: float
    high: float
    p95_latency_ms: int | None
    cost: RequestCost = field(metadata=FLAT)

    @classmethod
    def of(cls, found: Measured) -> Self:
        """Take it from an arm, to six digits."""
        arm = found.arm
        return cls(
            evidence=found.evidence,
            n=arm.n,
            passed=arm.passed,
            rate=round(arm.rate, 6),
            low=round(arm.low, 6),
            high=round(arm.high, 6),
            p95_latency_ms=arm.p95_latency_ms,
            cost=arm.cost,
        )


@dataclass(frozen=True, slots=True)
class ComparedSide:
    """A target as it is on one side, by the files alone."""

    target: TargetName
    live: Bundle = field(metadata=FLAT)
    tuned: FineTune | None
    """The parts of the model's ID."""
    job: str | None
    """The one that the model came from, where a release says so."""
    recorded: bool
    release: Release | None
    hold: Hold | None
    """The hold that blocks what is live."""
    evidence: Named | None
    measured: MeasuredSide | None
    price: Price | None
    shutdown: ShutdownView = field(metadata=FLAT)
    rollback: WayBack | None

    @classmethod
    def of(cls, side: Side, today: date) -> Self:
        """Take it from a comparison."""
        return cls(
            target=str(side.target),
            live=side.live,
            tuned=parse_fine_tune(side.live.model),
            job=side.job or None,
            recorded=side.is_recorded,
            release=side.target.newest,
            hold=side.hold,
            evidence=side.named,
            measured=MeasuredSide.of(side.measured) if side.measured else None,
            price=side.price,
            shutdown=ShutdownView.of(side.shutdown, today),
            rollback=WayBack.of(side.way_back) if side.way_back else None,
        )


@dataclass(frozen=True, slots=True)
class ProfileKey:
    """A key of the profile that differs; None where a side does not say it."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class HoldsOfOne:
    """The active holds that only one side has."""

    before: tuple[Hold, ...]
    after: tuple[Hold, ...]


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened to a target between two refs."""

    kind: str
    message: str
    release: int | None


@dataclass(frozen=True, slots=True)
class ComparedTarget:
    """Both sides of one target, or of a task in two environments; None where it is not there."""

    targets: tuple[TargetName, ...]
    differs: bool
    fields: tuple[str, ...]
    """The names of what differs."""
    before: ComparedSide | None
    after: ComparedSide | None
    profile: tuple[ProfileKey, ...]
    holds: HoldsOfOne
    changes: tuple[Happened, ...]
    together: Together | None
    rows: tuple[tuple[str, str, str], ...] = field(metadata=UNPRINTED)
    """What differs, and what is always worth saying, in words: its name, before, after."""
    is_comparable: bool = field(metadata=UNPRINTED)

    @property
    def makes_live(self) -> bool:
        """Tell whether something else is live after it; a canary that moves is no such thing."""
        return self.after is not None and (not self.before or self.before.live != self.after.live)

    @classmethod
    def of(cls, both: TargetComparison, now: datetime) -> Self:
        """Take it from a comparison at `now`."""
        rows = both.rows(now.date())
        before, after = (
            ComparedSide.of(side, now.date()) if side else None
            for side in (both.before, both.after)
        )
        return cls(
            targets=both.names,
            differs=both.differs,
            fields=tuple(name for name, old, new in rows if old != new),
            before=before,
            after=after,
            profile=tuple(ProfileKey(*key) for key in both.profile_keys()),
            holds=HoldsOfOne(*map(tuple, both.holds(now))),
            changes=tuple(
                Happened(one.kind, one.message, one.release.n if one.release else None)
                for one in both.changes
            ),
            together=both.together,
            rows=tuple(rows),
            is_comparable=both.is_comparable,
        )


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs between two environments, targets, refs, or along a task."""

    kind: Literal["targets", "refs"]
    a: ComparedEnd
    b: ComparedEnd
    differing: int
    compared: int
    """How many targets, or pairs of them, were looked at."""
    comparisons: tuple[ComparedTarget, ...]
    outcome: Outcome = field(metadata=UNPRINTED)
    recorded: tuple[TargetName, ...] | None = field(default=None, metadata=OMITTED)
    """Of which targets GitHub has a Deployment of this commit now."""
