"""The choice of a rollback: which releases it may go back to, and what going back changes.

Readiness is asked for by the caller, between `rollback_candidates` and `plan_rollback`.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from fftdeploy.errors import UsageError
from fftdeploy.planning.bundles import (
    Shas,
    is_recorded,
    live_bundle,
    profile_problem,
    replaced_bundle,
    require_profile,
)
from fftdeploy.planning.holds import hold_on_removed
from fftdeploy.planning.plan import Actor, Plan, hand_edit_notes, pointed, recorded
from fftdeploy.releases.deployments import Bundle, Release, Target

Fate = Literal["ask", "live", "held", "profile"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A release that a rollback may go back to, and what is known without the API.

    `ask` leaves it to the API; `live` and `held` rule it out; `profile` stops the search,
    because the prompt it was live with is not on disk.
    """

    release: Release
    bundle: Bundle
    """What would be made live: the release's bundle, or its model with `--profile`."""
    fate: Fate
    reason: str = ""

    @property
    def is_open(self) -> bool:
        """Tell whether a rollback would stop at it, to ask about it or for its prompt."""
        return self.fate in {"ask", "profile"}


def rollback_candidates(
    target: Target,
    shas: Shas,
    now: datetime,
    *,
    to: int | None = None,
    profile: str | None = None,
) -> tuple[Candidate, ...]:
    """List the releases a rollback may go back to, newest first.

    They are the releases whose origin is older than the origin of what is live, or only
    release `to` where one is named; with `profile`, their models with that profile.

    Raises:
        UsageError: There is no release `to`.
    """
    live = replaced_bundle(target, live_bundle(target, shas))
    if to is not None:
        named = target.by_number.get(to)
        if named is None or named.canary is not None:
            raise UsageError(
                f"{target} has no release {to}" + (" but a canary" if named else ""),
                hint=f"`fftdeploy history {target}` lists them",
                code="unknown-release",
            )
        return (_candidate(target, named, live, shas, now, profile),)
    origin = _live_origin(recorded(target, live, Actor("", now)), live)
    return tuple(
        _candidate(target, release, live, shas, now, profile)
        for release in target.made_live
        if target.origin(release) < origin
    )


def _candidate(
    target: Target, release: Release, live: Bundle, shas: Shas, now: datetime, profile: str | None
) -> Candidate:
    bundle = release.bundle
    if profile is not None:
        bundle = replace(bundle, profile=profile, profile_sha=shas(profile))
        require_profile(bundle, shas)
    if bundle == live:
        return Candidate(release, bundle, "live", "it is what is live")
    if hold := target.hold_on(bundle, now):
        return Candidate(release, bundle, "held", f"on hold {hold.said}")
    if problem := profile_problem(bundle, shas):
        return Candidate(release, bundle, "profile", problem)
    return Candidate(release, bundle, "ask")


def plan_rollback(
    target: Target,
    live: Bundle,
    candidate: Candidate,
    actor: Actor,
    *,
    verified: bool = True,
) -> Plan:
    """Go back to a candidate, and put what was live on hold, once.

    Going to a newer origin than that of what is live corrects an overshoot: it warns and
    holds nothing.  `verified` says whether the API proved the candidate ready.
    """
    base = recorded(target, live, replace(actor, why=None))
    notes = hand_edit_notes(target, base, live)
    if target.canary is not None:
        notes.append(f"the canary, {target.canary.model}, is taken off, too")
    chosen, back = candidate.release, candidate.bundle
    release = Release(
        n=base.top + 1,
        bundle=back,
        at=actor.now,
        by=actor.by,
        via="rollback",
        to=chosen.n,
        why=actor.why,
        verified=verified,
    )
    newest, row = base.newest, base.newest if is_recorded(base, live) else None
    said = f"rolled back from release {newest.n if newest else 0} to release {chosen.n}"
    hold = hold_on_removed(base, live, row, back, actor, said)
    if base.origin(chosen) > _live_origin(base, live):
        notes.append(f"release {chosen.n} is newer than what is live: nothing is put on hold")
        hold = None
    holds = (hold, *base.holds) if hold else base.holds
    after = pointed(replace(base, holds=holds), back)
    return Plan(target, replace(after, releases=(release, *base.releases)), tuple(notes))


def _live_origin(base: Target, live: Bundle) -> int:
    """Return the origin of what is live in `base`; a number of its own where it has no release."""
    newest = base.newest
    return base.origin(newest) if newest and is_recorded(base, live) else base.top + 1
