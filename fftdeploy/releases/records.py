"""What is live in a target and how it came to be, as frozen values.

Times are in UTC.  `openai` stands for a provider the file leaves out.  Order is the file's:
releases and holds newest first.  A target may have 40,000 of them, so what is asked about many
is worked out for all in one pass, once for a `Target`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import groupby

from fftdeploy.names import FLAT, OPENAI

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is really deployed: equal bundles are the same deployment."""

    model: str
    provider: str = OPENAI
    profile: str | None = None
    profile_sha: str | None = None
    """First 32 hex digits of the SHA-256 of the profile's canonical content."""

    def __str__(self) -> str:
        parts = [self.model]
        if self.provider != OPENAI:
            parts.append(f"at {self.provider}")
        if self.profile:
            parts.append(f"with profile {self.profile}")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Release:
    """One record of a bundle made live in a target; never edited."""

    n: int
    bundle: Bundle = field(metadata=FLAT)
    at: datetime
    by: str
    via: str
    job: str | None = None
    evidence: str | None = None
    why: str | None = None
    to: int | None = None
    verified: bool = True
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """A block on a model, or on one release's bundle; active unless lifted or past `until`."""

    model: str
    since: datetime
    by: str
    why: str
    provider: str = OPENAI
    release: int | None = None
    until: datetime | None = None
    lifted: datetime | None = None
    lifted_by: str | None = None
    lifted_why: str | None = None

    @property
    def end(self) -> datetime:
        """The moment from which it blocks no more unless it was lifted; without one, never."""
        return self.until or _NEVER

    def is_active(self, now: datetime) -> bool:
        """Tell whether the hold blocks at `now`."""
        return self.lifted is None and now < self.end


@dataclass(frozen=True)
class Target:
    """A task in an environment: what is live there, and its releases and holds."""

    task: str
    environment: str
    model: str
    provider: str = OPENAI
    profile: str | None = None
    releases: tuple[Release, ...] = ()
    holds: tuple[Hold, ...] = ()

    def __str__(self) -> str:
        return f"{self.task}/{self.environment}"

    @property
    def newest(self) -> Release | None:
        """The release on top, if any is recorded."""
        return self.releases[0] if self.releases else None

    @cached_property
    def by_number(self) -> Mapping[int, Release]:
        """The releases that are kept, by number."""
        return {release.n: release for release in self.releases}

    @cached_property
    def models(self) -> frozenset[str]:
        """The models of the releases: a key that sees another one of them is the right key."""
        return frozenset(release.bundle.model for release in self.releases)

    def place(self, n: int) -> int:
        """Return at which place release `n` stands, from 0; where it would, if it is not kept."""
        return bisect_left(self.releases, -n, key=lambda release: -release.n)

    def origin(self, release: Release) -> int:
        """Return the number of the release whose deployment `release` continues.

        A rollback, or an adopted way back, continues the release it went back to; a number
        that is no longer kept is an origin itself.
        """
        return release.n if release.to is None else self._origins.get(release.to, release.to)

    @cached_property
    def _origins(self) -> Mapping[int, int]:
        found: dict[int, int] = {}
        for release in reversed(self.releases):  # `to < n` always, so it is found before
            to = release.to
            found[release.n] = release.n if to is None else found.get(to, to)
        return found

    @cached_property
    def newest_origins(self) -> Mapping[Bundle, int]:
        """The newest origin that each bundle of the releases was live with."""
        found: dict[Bundle, int] = {}
        for release in self.releases:
            found[release.bundle] = max(self.origin(release), found.get(release.bundle, 0))
        return found

    @cached_property
    def prompts(self) -> frozenset[tuple[str | None, str | None]]:
        """The profiles that the releases were live with: name and hash, None without one."""
        return frozenset((r.bundle.profile, r.bundle.profile_sha) for r in self.releases)

    def was_live(self, bundle: Bundle) -> bool:
        """Tell whether a release is of `bundle`."""
        return bundle in self.newest_origins

    def soaked(self, bundle: Bundle, live: Bundle, now: datetime) -> timedelta:
        """Measure the newest unbroken stretch of `bundle`; `live` is what is live at `now`.

        It runs from the `at` of the oldest release of the stretch to the next release, or to
        now if the bundle is still live.  The newest release that was edited away by hand counts
        for nothing: its end is unknown.
        """
        first, last = self._older_stretches.get(bundle, (0, 0))
        if self.newest and self.newest.bundle == bundle == live:
            return now - self.releases[last if first == 1 else 0].at
        return self.releases[first - 1].at - self.releases[last].at if first else timedelta()

    @cached_property
    def _older_stretches(self) -> Mapping[Bundle, tuple[int, int]]:
        """Where the newest stretch of each bundle begins and ends, below the newest release."""
        found: dict[Bundle, tuple[int, int]] = {}
        first = 1
        for bundle, releases in groupby(self.releases[1:], key=lambda release: release.bundle):
            below = first + sum(1 for _ in releases)
            found.setdefault(bundle, (first, below - 1))
            first = below
        return found

    def hold_on(self, bundle: Bundle, now: datetime) -> Hold | None:
        """Return the active hold that blocks `bundle`, if any: the newest of several."""
        found: list[int] = []
        for blocked in (bundle, (bundle.model, bundle.provider)):
            places = self._holds_on.get(blocked, [])
            active = bisect_right(places, now, key=lambda place: self.holds[place].end)
            found += places[active : active + 1]
        return self.holds[min(found)] if found else None

    @cached_property
    def _holds_on(self) -> Mapping[Bundle | tuple[str, str], list[int]]:
        """Where the holds stand that block a bundle, or a model at a provider.

        A hold that ends before one above it does is never the newest active one: it is left
        out, so that of those on the same thing each ends later than the one above it.
        """
        found: dict[Bundle | tuple[str, str], list[int]] = {}
        for place, hold in enumerate(self.holds):
            if hold.lifted is not None:
                continue
            held = self.by_number.get(hold.release) if hold.release is not None else None
            # A hold whose release is no longer kept can't be narrowed, so it blocks the model.
            blocked = held.bundle if held else (hold.model, hold.provider)
            places = found.setdefault(blocked, [])
            if not places or hold.end > self.holds[places[-1]].end:
                places.append(place)
        return found

    @cached_property
    def unlifted(self) -> "Target":
        """This target as it would be had no hold been lifted."""
        return replace(self, holds=tuple(replace(hold, lifted=None) for hold in self.holds))
