"""Names what changed between two versions of a target, by meaning.

A change is explained by the records that it adds: releases on top, holds, and holds lifted.  All
the rest (rows rewritten or taken away, a model line without its release) is not, and says so.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from fftdeploy.planning.bundles import Shas, live_bundle, tried_bundle
from fftdeploy.releases.deployments import FOR_GOOD, Bundle, Deployments, Hold, Release, Target

Kind = Literal[
    "promote",
    "canary",
    "rollback",
    "adopt",
    "profile",
    "provider",
    "hold",
    "unhold",
    "new-target",
    "removed-target",
    "removed-release",
    "override",
    "unexplained",
]


@dataclass(frozen=True, slots=True)
class TargetChange:
    """One thing that happened to a target."""

    kind: Kind
    target: Target
    """After the change; before it where the target is gone."""
    message: str
    below: tuple[str | int, ...] = ()
    """Where in the target it is written."""
    release: Release | None = None
    """The new row of a promote, canary, profile, provider, rollback or adopt."""
    before: Bundle | None = None
    """What was live before that row; None where nothing was."""
    ended: Bundle | None = None
    """The canary that ran before, and does no longer."""
    weight: int = 0
    """Percent of the keys that it answered."""


def between(
    before: Deployments, after: Deployments, shas_before: Shas, shas_after: Shas
) -> list[TargetChange]:
    """List what happened to every target, in the order of the file after; gone ones last."""
    found: list[TargetChange] = []
    for key, target in after.targets.items():
        old = before.targets.get(key)
        if old is None:
            found.append(TargetChange("new-target", target, "it is new"))
            old = Target(*key, model="")
        found += _in_target(old, target, shas_before, shas_after)
    gone = [target for key, target in before.targets.items() if key not in after.targets]
    return found + [TargetChange("removed-target", target, "it is gone") for target in gone]


def _in_target(
    old: Target, new: Target, shas_before: Shas, shas_after: Shas
) -> Iterator[TargetChange]:
    live_before = live_bundle(old, shas_before) if old.model else None
    live_after = live_bundle(new, shas_after)
    if old == new and live_before == live_after:
        return
    yield from _rows(old, new, live_before)
    yield from _canary_line(old, new, shas_after)
    yield from _holds(old, new)
    if live_before != live_after and (new.newest is None or new.newest.bundle != live_after):
        yield _hand_edit(new, live_before, live_after)


def _hand_edit(new: Target, before: Bundle | None, after: Bundle) -> TargetChange:
    if before is None:
        what = f"{after} is live without a release"
        return TargetChange("unexplained", new, what, ("model",))
    if replace(before, profile_sha=None) == replace(after, profile_sha=None):
        what = f"profile {after.profile} was changed in place"
        return TargetChange("unexplained", new, what, ("profile",))
    what = f"the lines say {after} and no release does: a hand edit"
    return TargetChange("unexplained", new, what, ("model",))


def _canary_line(old: Target, new: Target, shas: Shas) -> Iterator[TargetChange]:
    """Explain what became of the canary's line: a row says that it runs, or why it does not."""
    if new.canary == old.canary:
        return
    if (tried := tried_bundle(new, shas)) is not None:
        row = new.canary_release
        if row is None or row.bundle != tried or row.n in old.by_number:
            what = f"the canary says {tried} and no release does: a hand edit"
            yield TargetChange("unexplained", new, what, ("canary",))
        return
    ended = tried_bundle(old, shas)
    if ended is None or old.canary is None:
        return
    hold, is_promoted = new.hold_on(ended, FOR_GOOD), new.newest != old.newest
    if hold is None and not is_promoted and ended != live_bundle(new, shas):
        what = f"the canary {ended} is gone, and was put on no hold: a hand edit"
        yield TargetChange("unexplained", new, what, ("model",))
    elif not is_promoted or new.newest is None or new.newest.bundle != ended:
        part = f"the canary of {old.canary.weight} %, {ended}, is taken off"
        what = f"{part}: {hold.why}" if hold else part
        weight = old.canary.weight
        yield TargetChange("canary", new, what, ("model",), ended=ended, weight=weight)


def _rows(old: Target, new: Target, live: Bundle | None) -> Iterator[TargetChange]:
    """Explain the releases: rows added on top, from the oldest to the newest; and the rest."""
    top = old.top
    for release in old.releases:
        kept = new.by_number.get(release.n)
        if kept is None:
            what = f"release {release.n} ({release.bundle}) was removed, as a git revert does"
            yield TargetChange("removed-release", new, what)
        elif kept != release:
            what = f"release {release.n} was rewritten"
            yield TargetChange("unexplained", new, what, ("releases", new.place(release.n)))
    added = [release for release in new.releases if release.n not in old.by_number]
    for release in reversed(added):
        place = ("releases", new.place(release.n))
        if release.n < top:
            what = f"release {release.n} was slipped in below release {top}"
            yield TargetChange("unexplained", new, what, place)
            continue
        yield TargetChange(_kind(release, live), new, _said(release), place, release, live)
        if release.overrides:
            what = f"release {release.n} sets aside: {', '.join(release.overrides)}"
            yield TargetChange("override", new, what, place)
        live = release.bundle if release.canary is None else live


def _kind(release: Release, live: Bundle | None) -> Kind:
    if release.canary is not None:
        return "canary"
    if release.via == "rollback":
        return "rollback"
    if release.via == "adopt":
        return "adopt"
    if live is None or live.model != release.bundle.model:
        return "promote"
    return "provider" if live.provider != release.bundle.provider else "profile"


def _said(release: Release) -> str:
    """Say which release it is, and where what it makes live is from."""
    how = {
        "rollback": f"back to release {release.to}",
        "adopt": "recorded as it was found",
        "model": "by its ID",
        "job": f"from {release.job}",
    }.get(release.via, f"from {release.via}")
    part = "" if release.canary is None else f", a canary of {release.canary} %"
    return f"release {release.n}, {how}{part}"


def _holds(old: Target, new: Target) -> Iterator[TargetChange]:
    """Explain the holds; those that a rollback put on what it removed are part of it."""
    known = frozenset(old.holds)
    missing = Counter(old.holds) - Counter(new.holds)
    added = [release for release in new.releases if release.n not in old.by_number]
    rollbacks = {release.at for release in added if release.via == "rollback"}
    removed = {old.model, *(release.bundle.model for release in added)}
    for index, hold in enumerate(new.holds):
        if hold in known:
            continue
        place = ("holds", index)
        before = hold.unlifted
        if hold.lifted is not None and missing[before]:
            missing[before] -= 1
            what = f"the hold on {_held(hold)} was lifted by {hold.lifted_by}: {hold.lifted_why}"
            yield TargetChange("unhold", new, what, place)
        elif hold.lifted is not None:
            what = f"a hold on {_held(hold)} comes lifted, by {hold.lifted_by}: {hold.lifted_why}"
            yield TargetChange("unhold", new, what, place)
        elif hold.since not in rollbacks or hold.model not in removed:
            yield TargetChange("hold", new, f"{_held(hold)} is on hold: {hold.why}", place)
    for hold in missing.elements():
        what = f"the hold on {_held(hold)} was removed or rewritten: `unhold` lifts one"
        yield TargetChange("unexplained", new, what, ("holds",))


def _held(hold: Hold) -> str:
    return hold.model if hold.release is None else f"{hold.model} (release {hold.release})"
