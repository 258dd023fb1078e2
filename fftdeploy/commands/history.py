"""History: what was live when, and what undid what."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from fftdeploy.commands.context import Context, require_offset
from fftdeploy.commands.door import door
from fftdeploy.commands.options.looking import HistoryOptions
from fftdeploy.commands.views import TargetName
from fftdeploy.names import FLAT
from fftdeploy.output.results import OMITTED, UNPRINTED
from fftdeploy.releases.deployments import Hold, Release, Target
from fftdeploy.workspace import select


@dataclass(frozen=True, slots=True)
class PastRelease:
    """A release, and the rollback that took it out of service."""

    release: Release = field(metadata=FLAT)
    undone_by: int | None
    taken_off: datetime | None
    """When it was put on hold, of a canary that was and does not run."""
    taken_off_why: str | None
    is_live: bool = field(metadata=UNPRINTED)


@dataclass(frozen=True, slots=True)
class TargetHistory:
    """The releases of a target, newest first."""

    target: TargetName
    releases: tuple[PastRelease, ...]


@dataclass(frozen=True, slots=True)
class LiveThen:
    """The release that was live in a target at a moment; None before the oldest."""

    target: TargetName
    release: Release | None


@dataclass(frozen=True, slots=True)
class History:
    """The releases of each target, or which of them was live at a moment."""

    at: datetime | None = field(metadata=OMITTED)
    targets: tuple[TargetHistory, ...] | tuple[LiveThen, ...]


def run(context: Context, options: HistoryOptions) -> History:
    """List releases, newest first; or what was live at a moment.

    Raises:
        UsageError: There is no such target.
        ConfigError: The deployments file is not valid.
    """
    at = require_offset(options.at, "--at") if options.at else None
    if at and at > (now := context.now()):
        context.console.note("note: that moment has not come yet: this is what is live now")
        at = now
    found = select(context.workspace.deployments, [options.target] if options.target else [])
    targets = context.workspace.in_order(found)
    return History(at, _live_at(targets, at) if at else _past(targets))


history = door(run, HistoryOptions)


def _live_at(targets: Iterable[Target], at: datetime) -> tuple[LiveThen, ...]:
    """Return of each target the newest release made live by then, by its position in the file."""
    return tuple(
        LiveThen(str(target), next((r for r in target.made_live if r.at <= at), None))
        for target in targets
    )


def _past(targets: Iterable[Target]) -> tuple[TargetHistory, ...]:
    return tuple(TargetHistory(str(target), _releases(target)) for target in targets)


def _releases(target: Target) -> tuple[PastRelease, ...]:
    """Pair each release with the rollback right above it, which took it out of service."""
    found = []
    above: Release | None = None
    for release in target.releases:
        undone_by = above.n if above and above.via == "rollback" else None
        named = (release.bundle.model, release.bundle.provider, release.bundle.profile)
        is_live = above is None and named == (target.model, target.provider, target.profile)
        if release.canary is not None:
            is_live, undone_by = release == target.canary_release, None
        else:
            above = release
        hold = None if is_live else _taken_off(target, release)
        since, why = (hold.since, hold.why) if hold else (None, None)
        found.append(PastRelease(release, undone_by, since, why, is_live))
    return tuple(found)


def _taken_off(target: Target, release: Release) -> Hold | None:
    """Return the first hold on a canary after its step; None of what was live."""
    tried = release.bundle
    same = (tried.model, tried.provider)
    if release.canary is None:
        return None
    ends = [hold for hold in target.holds if (hold.model, hold.provider) == same]
    after = (hold for hold in ends if hold.since >= release.at)
    return min(after, key=lambda hold: hold.since, default=None)
