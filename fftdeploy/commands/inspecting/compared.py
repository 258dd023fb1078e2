"""What a comparison finds: two sides of a target, by the files alone, and in words what differs."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Self

from fftdeploy.commands.views import ShutdownView, TargetName, WayBack
from fftdeploy.errors import Outcome
from fftdeploy.evaluation.verdict import Ruling
from fftdeploy.model_ids.retirement import FineTune
from fftdeploy.names import FLAT, plural
from fftdeploy.output.results import OMITTED, UNPRINTED
from fftdeploy.planning import bundles
from fftdeploy.policy.prices import Price, RequestCost
from fftdeploy.pull_request.changes import TargetChange
from fftdeploy.releases.deployments import Bundle, Hold, Release, Target

_ALWAYS = frozenset({"model", "runway", "rollback"})
"""What is shown even where both sides say the same."""
_MISSING = {"model": "no such target"}
_SHOWN_DIGITS = 12


@dataclass(frozen=True, slots=True)
class ComparedEnd:
    """What one of the two words stands for; no name is the working tree."""

    name: str | None = None
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """The evidence that the release of a side names."""

    id: str
    ruling: str | None = None
    problem: str | None = None
    """Why it says nothing: there is no such file, or it was edited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSide:
    """How a side's bundle did in one evaluation."""

    evidence: str
    n: int
    passed: int
    rate: float = field(metadata={"digits": 6})
    low: float = field(metadata={"digits": 6})
    high: float = field(metadata={"digits": 6})
    p95_latency_ms: int | None
    cost: RequestCost = field(metadata=FLAT)
    examples_sha: str = field(metadata=UNPRINTED)


@dataclass(frozen=True, slots=True)
class Together:
    """One evaluation that asked both bundles the same examples."""

    evidence: str
    candidate: Bundle
    ruling: Ruling
    headline: str


@dataclass(frozen=True, slots=True, kw_only=True)
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
    evidence: Named | None = None
    measured: MeasuredSide | None = None
    price: Price | None
    shutdown: ShutdownView = field(metadata=FLAT)
    rollback: WayBack | None
    written: Target = field(metadata=UNPRINTED)
    """As the file has it."""
    content: Mapping[str, Any] = field(metadata=UNPRINTED)
    """What the profile says; empty without one, or where it has no file."""

    def words(self) -> dict[str, str]:
        """Say what it is, by name, in the order in which it is read; every key is always there."""
        live, newest, measured = self.live, self.release, self.measured
        missing = ", which has no file" if bundles.lacks_file(live) else ""
        return {
            **self._model_words(),
            "provider": live.provider,
            "profile": f"{live.profile}{missing}" if live.profile else "none",
            "canary": self._canary_words(),
            "release": self._release_words(),
            "why": (self.recorded and newest and newest.why) or "",
            "on hold": self.hold.said if self.hold else "",
            "evidence": self._evidence_words(),
            **_measured_words(measured),
            "price": f"{self.price.input:g} in, {self.price.output:g} out, USD per million tokens"
            if self.price
            else "",
            "runway": self._runway_words(),
            "rollback": self._way_back_words(),
        }

    def _model_words(self) -> dict[str, str]:
        tuned = self.tuned
        step = tuned.step if tuned else None
        job = f" of {self.job}" if self.job else ""
        return {
            "model": self.live.model,
            "base": tuned.base if tuned else "not a fine-tune",
            "organisation": tuned.organisation if tuned else "",
            "suffix": (tuned and tuned.suffix) or "",
            "tuned as": f"{tuned.id}{job}" if tuned else "",
            "checkpoint": f"step {step}" if step is not None else "",
        }

    def _canary_words(self) -> str:
        if (tried := self.written.canary) is None:
            return ""
        return f"{tried.weight} % {Bundle(tried.model, tried.provider, tried.profile)}"

    def _release_words(self) -> str:
        newest = self.release
        if newest is None:
            return "not recorded"
        if not self.recorded:
            return f"hand edit after release {newest.n}"
        proved = "" if newest.verified else ", unverified"
        return f"{newest.n} of {newest.at:%Y-%m-%d} by {newest.by}, via {newest.via}{proved}"

    def _evidence_words(self) -> str:
        named = self.evidence
        return f"{named.id[:_SHOWN_DIGITS]} {named.ruling or named.problem}" if named else ""

    def _runway_words(self) -> str:
        days, source = self.shutdown.runway_days, self.shutdown.shutdown_source
        if days is None or source is None:
            return "no date announced"
        left = f"in {plural(days, 'day')}" if days > 0 else "ended"
        return f"{left} ({self.shutdown.shutdown_date}, {source.partition(' (')[0]})"

    def _way_back_words(self) -> str:
        if (back := self.rollback) is None:
            return "nothing to roll back to"
        reason = f", but {back.problem}" if back.problem else ""
        return f"release {back.n}: {back.bundle}{reason}"


def _measured_words(found: MeasuredSide | None) -> dict[str, str]:
    if found is None:
        return dict.fromkeys(("passed", "p95 latency", "cost"), "")
    p95, cost = found.p95_latency_ms, found.cost
    interval = f"({found.low:.1%}-{found.high:.1%})"
    return {
        "passed": f"{found.passed}/{found.n} {found.rate:.1%} {interval}",
        "p95 latency": f"{p95:,} ms" if p95 is not None else "not measured",
        "cost": f"{cost} USD per 1,000 requests" if cost.is_known else "",
    }


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


Sides = tuple[ComparedSide | None, ComparedSide | None]
Row = tuple[str, str, str]
"""Something of both sides in words: its name, before, after."""


@dataclass(frozen=True, slots=True)
class ComparedTarget:
    """Both sides of one target, or of a task in two environments; None where it is not there."""

    targets: tuple[TargetName, ...]
    differs: bool
    """Whether something happened, or other bundles are live, or only one is on hold."""
    fields: tuple[str, ...]
    """The names of what differs."""
    before: ComparedSide | None
    after: ComparedSide | None
    profile: tuple[ProfileKey, ...]
    holds: HoldsOfOne
    changes: tuple[Happened, ...]
    together: Together | None
    rows: tuple[Row, ...] = field(metadata=UNPRINTED)
    """What differs, and what is always worth saying."""

    @property
    def makes_live(self) -> bool:
        """Tell whether something else is live after it; a canary that moves is no such thing."""
        return self.after is not None and (not self.before or self.before.live != self.after.live)

    @property
    def is_comparable(self) -> bool:
        """Tell whether the pass rates of both sides are about the same examples."""
        sides = (self.before, self.after)
        rates = [side.measured for side in sides if side and side.measured]
        return len({rate.examples_sha for rate in rates}) < 2

    @classmethod
    def of(
        cls,
        names: tuple[str, str],
        sides: Sides,
        together: Together | None,
        changes: Iterable[TargetChange],
        now: datetime,
    ) -> Self:
        """Compare two sides at `now`; `changes` are what happened where they are two moments."""
        before, after = sides
        happened = tuple(
            Happened(one.kind, one.message, one.release.n if one.release else None)
            for one in changes
        )
        same = before and after and (before.live, not before.hold) == (after.live, not after.hold)
        rows = _rows(before, after)
        return cls(
            targets=names,
            differs=bool(happened) or not same,
            fields=tuple(name for name, old, new in rows if old != new),
            before=before,
            after=after,
            profile=_profile_keys(sides),
            holds=_holds_of_one(sides, now),
            changes=happened,
            together=together,
            rows=rows,
        )


def _rows(before: ComparedSide | None, after: ComparedSide | None) -> tuple[Row, ...]:
    old = before.words() if before else _MISSING
    new = after.words() if after else _MISSING
    names = new if before is None else old
    rows = ((name, old.get(name, ""), new.get(name, "")) for name in names)
    return tuple(row for row in rows if row[1] != row[2] or (row[0] in _ALWAYS and row[1]))


def _profile_keys(sides: Sides) -> tuple[ProfileKey, ...]:
    """List the keys that differ, told apart as the hash of a profile does: `1` is not `1.0`."""
    old, new = (side.content if side else {} for side in sides)
    pairs = {key: (old.get(key), new.get(key)) for key in {**old, **new}}
    said = {key: [json.dumps(each, sort_keys=True) for each in pair] for key, pair in pairs.items()}
    return tuple(ProfileKey(key, *pairs[key]) for key, (a, b) in said.items() if a != b)


def _holds_of_one(sides: Sides, now: datetime) -> HoldsOfOne:
    def active(side: ComparedSide | None) -> dict[tuple[str, str, int | None], Hold]:
        holds = (hold for hold in (side.written.holds if side else ()) if hold.is_active(now))
        return {(hold.model, hold.provider, hold.release): hold for hold in holds}

    old, new = map(active, sides)
    return HoldsOfOne(
        tuple(hold for key, hold in old.items() if key not in new),
        tuple(hold for key, hold in new.items() if key not in old),
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
