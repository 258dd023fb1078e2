"""Sets two targets, or one target at two moments, side by side.

A side is what is live and all that the files tell about it; what the API would say is not asked.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from fftdeploy.api.readiness import Shutdown
from fftdeploy.evaluation.verdict import ArmResult, Ruling
from fftdeploy.model_ids.retirement import parse_fine_tune
from fftdeploy.names import plural
from fftdeploy.planning import bundles
from fftdeploy.planning.rollback import Candidate
from fftdeploy.policy.prices import Price
from fftdeploy.pull_request.changes import TargetChange
from fftdeploy.releases.deployments import Bundle, Canary, Hold, Target

ALWAYS = frozenset({"model", "runway", "rollback"})
"""What is shown even where both sides say the same."""

_MISSING = {"model": "no such target"}
_SHOWN_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Named:
    """The evidence that the release of a side names."""

    id: str
    ruling: str | None = None
    problem: str | None = None
    """Why it says nothing: there is no such file, or it was edited."""


@dataclass(frozen=True, slots=True)
class Measured:
    """How a side's bundle did in one evaluation."""

    evidence: str
    examples_sha: str
    arm: ArmResult


@dataclass(frozen=True, slots=True)
class Together:
    """One evaluation that asked both bundles the same examples."""

    evidence: str
    candidate: Bundle
    ruling: Ruling
    headline: str


@dataclass(frozen=True, slots=True)
class Side:
    """One target as it is on one side."""

    target: Target
    live: Bundle
    profile: Mapping[str, Any]
    """What the profile says; empty without one, or where it has no file."""
    job: str = ""
    """The fine-tuning job that the model came from, where a release says so."""
    way_back: Candidate | None = None
    shutdown: Shutdown | None = None
    price: Price | None = None
    hold: Hold | None = None
    """What blocks the live bundle."""
    named: Named | None = None
    measured: Measured | None = None

    @property
    def is_recorded(self) -> bool:
        """Tell whether the newest release is of what is live."""
        return bundles.is_recorded(self.target, self.live)


@dataclass(frozen=True, slots=True)
class TargetComparison:
    """Both sides of one target, or of a task in two environments; None where it is not there."""

    names: tuple[str, str]
    before: Side | None
    after: Side | None
    changes: tuple[TargetChange, ...] = ()
    """What happened in between, where the sides are two moments."""
    together: Together | None = None

    @property
    def differs(self) -> bool:
        """Tell whether something happened, or other bundles are live, or only one is on hold."""
        if self.changes or self.before is None or self.after is None:
            return True
        before, after = self.before, self.after
        return before.live != after.live or (before.hold is None) != (after.hold is None)

    @property
    def live(self) -> Bundle | None:
        """What is live on both sides, if that is the same; else on the second one."""
        return self.after.live if self.after else None

    @property
    def is_comparable(self) -> bool:
        """Tell whether the pass rates of both sides are about the same examples."""
        rates = [side.measured for side in (self.before, self.after) if side and side.measured]
        return len({rate.examples_sha for rate in rates}) < 2

    def profile_keys(self) -> list[tuple[str, Any, Any]]:
        """List the keys of the profile that differ, each with both values; None: not said."""
        before = self.before.profile if self.before else {}
        after = self.after.profile if self.after else {}
        keys = [*before, *(key for key in after if key not in before)]
        pairs = [(key, before.get(key), after.get(key)) for key in keys]
        return [(key, old, new) for key, old, new in pairs if _canonical(old) != _canonical(new)]

    def holds(self, now: datetime) -> tuple[list[Hold], list[Hold]]:
        """Return the holds that are active at `now` on the first side only, and on the second."""
        before, after = (_active(side, now) for side in (self.before, self.after))
        return (
            [hold for key, hold in before.items() if key not in after],
            [hold for key, hold in after.items() if key not in before],
        )

    def rows(self, today: date) -> list[tuple[str, str, str]]:
        """Return what differs, and the few things that are always worth saying, in words."""
        before = words(self.before, today) if self.before else _MISSING
        after = words(self.after, today) if self.after else _MISSING
        names = after if self.before is None else before
        rows = [(name, before.get(name, ""), after.get(name, "")) for name in names]
        return [row for row in rows if row[1] != row[2] or (row[0] in ALWAYS and row[1])]


def words(side: Side, today: date) -> dict[str, str]:
    """Say what a side is, by name, in the order in which it is read; every key is always there."""
    live, arm = side.live, side.measured.arm if side.measured else None
    return {
        **_model(side),
        "provider": live.provider,
        "profile": _profile(live),
        "canary": _canary(side.target.canary),
        "release": _release(side),
        "why": (side.is_recorded and side.target.newest and side.target.newest.why) or "",
        "on hold": f"since {side.hold.since:%Y-%m-%d}: {side.hold.why}" if side.hold else "",
        "evidence": _evidence(side.named) if side.named else "",
        "passed": _passed(arm) if arm else "",
        "p95 latency": _latency(arm) if arm else "",
        "cost": f"{arm.cost} USD per 1,000 requests" if arm and arm.cost.is_known else "",
        "price": f"{side.price.input:g} in, {side.price.output:g} out, USD per million tokens"
        if side.price
        else "",
        "runway": _runway(side.shutdown, today),
        "rollback": _way_back(side.way_back),
    }


def _model(side: Side) -> dict[str, str]:
    tuned = parse_fine_tune(side.live.model)
    step = tuned.step if tuned else None
    job = f" of {side.job}" if side.job else ""
    return {
        "model": side.live.model,
        "base": tuned.base if tuned else "not a fine-tune",
        "organisation": tuned.organisation if tuned else "",
        "suffix": (tuned and tuned.suffix) or "",
        "tuned as": f"{tuned.id}{job}" if tuned else "",
        "checkpoint": f"step {step}" if step is not None else "",
    }


def _profile(live: Bundle) -> str:
    missing = ", which has no file" if bundles.lacks_file(live) else ""
    return f"{live.profile}{missing}" if live.profile else "none"


def _canary(tried: Canary | None) -> str:
    if tried is None:
        return ""
    return f"{tried.weight} % {Bundle(tried.model, tried.provider, tried.profile)}"


def _release(side: Side) -> str:
    newest = side.target.newest
    if newest is None:
        return "not recorded"
    if not side.is_recorded:
        return f"hand edit after release {newest.n}"
    proved = "" if newest.verified else ", unverified"
    return f"{newest.n} of {newest.at:%Y-%m-%d} by {newest.by}, via {newest.via}{proved}"


def _evidence(named: Named) -> str:
    return f"{named.id[:_SHOWN_DIGITS]} {named.ruling or named.problem}"


def _passed(arm: ArmResult) -> str:
    return f"{arm.passed}/{arm.n} {arm.rate:.1%} ({arm.low:.1%}-{arm.high:.1%})"


def _latency(arm: ArmResult) -> str:
    return f"{arm.p95_latency_ms:,} ms" if arm.p95_latency_ms is not None else "not measured"


def _runway(shutdown: Shutdown | None, today: date) -> str:
    if shutdown is None:
        return "no date announced"
    days = shutdown.days_left(today)
    left = f"in {plural(days, 'day')}" if days > 0 else "ended"
    return f"{left} ({shutdown.date}, {shutdown.source.partition(' (')[0]})"


def _way_back(candidate: Candidate | None) -> str:
    if candidate is None:
        return "nothing to roll back to"
    reason = f", but {candidate.reason}" if candidate.reason else ""
    return f"release {candidate.release.n}: {candidate.bundle}{reason}"


def _active(side: Side | None, now: datetime) -> dict[tuple[str, str, int | None], Hold]:
    holds: Iterator[Hold] = iter(side.target.holds if side else ())
    return {(h.model, h.provider, h.release): h for h in holds if h.is_active(now)}


def _canonical(value: Any) -> str:
    """Tell values apart as the hash of a profile does: `1` is not `1.0`, and not `true`."""
    return json.dumps(value, sort_keys=True)
