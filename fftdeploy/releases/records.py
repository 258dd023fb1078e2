"""A target's live model, releases and holds, as frozen values.

Times are in UTC.  `openai` stands for a provider the file leaves out.  Order is the file's:
releases and holds newest first.  A target may have 40,000 of them, so what is asked about many
is worked out for all in one pass, once for a `Target`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import groupby
from typing import Any

from fftdeploy import names
from fftdeploy.formats.document import Document, Path
from fftdeploy.formats.keys import Kind, Schema, inline, key, table
from fftdeploy.formats.kinds import (
    HOSTED,
    LINE,
    MODEL,
    NAME,
    TIME,
    choice,
    many,
    matching,
    require_hosted,
    text,
    whole,
)
from fftdeploy.names import OPENAI

OVERRIDES = ("freeze", "soak", "order", "runway", "inconclusive")
_NEVER = datetime.max.replace(tzinfo=UTC)
FOR_GOOD = _NEVER - datetime.resolution
"""A moment at which only holds that have no end are active."""


def _refuse_proof(doc: Document, path: Path, value: Any) -> bool:
    if value is not False:
        raise doc.error(
            path,
            "'verified' can only be false: a file can't claim a proof",
            "remove it; `fftdeploy check` asks the API",
        )
    return False


def _via_problem(value: str) -> str:
    return "" if value in {"model", "job", "rollback", "adopt"} else names.name_problem(value)


_UNVERIFIED = Kind(_refuse_proof, {"const": False})
_VIA = text(_via_problem, pattern="^(?!version$)[a-z0-9][a-z0-9_-]{0,62}$")
_JOB = text(names.job_problem, pattern="^ftjob-[A-Za-z0-9_-]{1,200}$")
_SHA = matching("[0-9a-f]{32}", "must be 32 lower-case hex digits", "key")
_NUMBER = whole(1, 2**53 - 1, "from 1 to 2**53")
HOST = "Who hosts it: a name of the user's own `providers.toml`."


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is really deployed: equal bundles are the same deployment."""

    model: str = key("The model that it made live.", MODEL)
    provider: str = key(HOST, NAME, OPENAI)
    profile: str | None = key(
        "The prompt it was released with: profiles/NAME.toml.", NAME, None, group="profile"
    )
    profile_sha: str | None = key(
        "The hash of the prompt's content: 32 hex digits.", _SHA, None, group="profile"
    )

    @property
    def hosted(self) -> str:
        """The model and its host, as they are typed: `[PROVIDER=]MODEL`."""
        return self.model if self.provider == OPENAI else f"{self.provider}={self.model}"

    def __str__(self) -> str:
        parts = [self.model]
        if self.provider != OPENAI:
            parts.append(f"at {self.provider}")
        if self.profile:
            parts.append(f"with profile {self.profile}")
        return " ".join(parts)


WEIGHT = whole(1, names.MOST_WEIGHT, f"from 1 to {names.MOST_WEIGHT}")


@dataclass(frozen=True, slots=True)
class Canary:
    """A model and prompt that answers a part of the keys, beside what is live."""

    model: str = key("The model that is tried.", MODEL)
    weight: int = key("Percent of the keys that it answers.", WEIGHT)
    since: datetime = key("When it was given that weight.", TIME)
    provider: str = key(HOST, NAME, OPENAI, after="model")
    profile: str | None = key(
        "The prompt it is called with: profiles/NAME.toml.", NAME, None, after="provider"
    )


@dataclass(frozen=True, slots=True)
class Release:
    """One record of a bundle made live in a target, or tried there; never edited."""

    n: int = key("The release's number; numbers go down the list, and gaps are allowed.", _NUMBER)
    bundle: Bundle = inline(Bundle)
    at: datetime = key("When that was.", TIME)
    by: str = key("Who made it live.", LINE)
    via: str = key("How it came here: an environment, or model, job, rollback, adopt.", _VIA)
    job: str | None = key("The fine-tuning job it came from.", _JOB, None)
    evidence: str | None = key("The evaluation it passed: 32 hex digits.", _SHA, None)
    why: str | None = key("The reason.", LINE, None)
    to: int | None = key(
        "The older release that was gone back to, with `rollback` and `adopt`.",
        _NUMBER,
        None,
        after="job",
    )
    verified: bool = key(
        "Only ever `false`: nobody asked the API.", _UNVERIFIED, True, shown="it was proved"
    )
    overrides: tuple[str, ...] = key(
        "Rules that were set aside for it.",
        many(choice(OVERRIDES), "A rule.", "an array of strings"),
        (),
    )
    canary: int | None = key(
        "It was only a canary, of this weight: what was live stayed so.", WEIGHT, None
    )


@dataclass(frozen=True, slots=True)
class Hold:
    """A block on a model, or on one release's bundle; active unless lifted or past `until`."""

    model: str = key("The model that is blocked.", MODEL)
    since: datetime = key("When it was put on hold.", TIME)
    by: str = key("Who did that.", LINE)
    why: str = key("The reason.", LINE)
    provider: str = key(HOST, NAME, OPENAI, after="model")
    release: int | None = key(
        "Block only this release's model and prompt.", _NUMBER, None, after="provider"
    )
    until: datetime | None = key("When the hold ends by itself.", TIME, None)
    lifted: datetime | None = key("When it was lifted.", TIME, None, group="lifting")
    lifted_by: str | None = key("Who did that.", LINE, None, group="lifting")
    lifted_why: str | None = key("The reason.", LINE, None, group="lifting")

    def lift(self, at: datetime, by: str, why: str) -> "Hold":
        """Return the same block, over since `at`: a hold is kept, and never taken away."""
        return replace(self, lifted=at, lifted_by=by, lifted_why=why)

    @property
    def unlifted(self) -> "Hold":
        """This hold as it was before it was lifted."""
        return replace(self, lifted=None, lifted_by=None, lifted_why=None)

    @property
    def end(self) -> datetime:
        """The moment from which it blocks no more unless it was lifted; without one, never."""
        return self.until or _NEVER

    @property
    def said(self) -> str:
        """Since when it is, and why, as messages say that something is on hold."""
        return f"since {self.since:%Y-%m-%d}: {self.why}"

    def is_active(self, now: datetime) -> bool:
        """Tell whether the hold blocks at `now`."""
        return self.lifted is None and now < self.end


def _check_release(doc: Document, path: Path, said: dict[str, Any]) -> None:
    require_hosted(doc, path, said)
    via, to = said["via"], said.get("to")
    if via == "rollback" and to is None:
        raise doc.error(path, "a release by rollback needs 'to'", "add the release it went back to")
    if to is not None and via not in {"rollback", "adopt"}:
        raise doc.error((*path, "to"), f"'to' goes with rollback and adopt, not with {via!r}")
    if to is not None and to >= said["n"]:
        raise doc.error((*path, "to"), f"'to' must be an older release than {said['n']}")
    if "canary" in said and via in {"rollback", "adopt"}:
        raise doc.error((*path, "canary"), f"a canary does not come by {via!r}")
    if (via == "job") != ("job" in said):
        raise doc.error((*path, "via"), 'via = "job" and \'job = "ftjob-..."\' go together')


def _if_via(value: str, then: Schema, otherwise: Schema) -> Schema:
    return {"if": {"properties": {"via": {"const": value}}}, "then": then, "else": otherwise}


RELEASE = table(
    Release,
    "an inline table",
    check=_check_release,
    allOf=[
        HOSTED,
        _if_via("job", {"required": ["job"]}, {"not": {"required": ["job"]}}),
        _if_via("rollback", {"required": ["to"]}, {}),
        {
            "if": {"required": ["to"]},
            "then": {"properties": {"via": {"enum": ["rollback", "adopt"]}}},
        },
        {
            "if": {"required": ["canary"]},
            "then": {"properties": {"via": {"not": {"enum": ["rollback", "adopt"]}}}},
        },
    ],
)
HOLD = table(Hold, "an inline table", check=require_hosted, allOf=[HOSTED])
CANARY = table(Canary, "an inline table", check=require_hosted, allOf=[HOSTED])


@dataclass(frozen=True)
class Target:
    """A task in an environment: what is live there, and its releases and holds."""

    task: str
    environment: str
    model: str = key("The model that is live.", MODEL)
    provider: str = key(HOST, NAME, OPENAI)
    profile: str | None = key("The prompt it is called with: profiles/NAME.toml.", NAME, None)
    canary: Canary | None = key(
        "What answers a part of the keys; `promote --canary` writes it.", CANARY, None
    )
    releases: tuple[Release, ...] = key(
        "What was made live, newest first; rows are only ever added, on top.",
        many(RELEASE, "One release.", "an array of releases"),
        (),
    )
    holds: tuple[Hold, ...] = key(
        "What may not be made live.", many(HOLD, "One hold.", "an array of holds"), ()
    )

    def __str__(self) -> str:
        return f"{self.task}/{self.environment}"

    @cached_property
    def made_live(self) -> tuple[Release, ...]:
        """The releases without those of canaries, which were never what is live."""
        return tuple(release for release in self.releases if release.canary is None)

    @property
    def newest(self) -> Release | None:
        """The newest release that made something live, if any is recorded."""
        return self.made_live[0] if self.made_live else None

    @cached_property
    def canary_release(self) -> Release | None:
        """The record of the canary that runs; None without one, or where a hand wrote the line."""
        line, row = self.canary, next((r for r in self.releases if r.canary is not None), None)
        if line is None or row is None:
            return None
        said = Bundle(line.model, line.provider, line.profile, row.bundle.profile_sha)
        same = (row.bundle, row.canary, row.at) == (said, line.weight, line.since)
        return row if same else None

    def is_in_force(self, release: Release) -> bool:
        """Tell whether `release` is that of what is live, or of the canary that runs."""
        return release in (self.newest, self.canary_release)

    @property
    def top(self) -> int:
        """The number of the release on top, whatever it is of; 0 without one."""
        return self.releases[0].n if self.releases else 0

    @cached_property
    def by_number(self) -> Mapping[int, Release]:
        """The releases that are kept, by number."""
        return {release.n: release for release in self.releases}

    @cached_property
    def models(self) -> Mapping[str, frozenset[str]]:
        """The models of the releases by provider: a key that sees another one is the right key."""
        found: dict[str, set[str]] = {self.provider: set()}
        if self.canary is not None:
            found.setdefault(self.canary.provider, set()).add(self.canary.model)
        for release in self.releases:
            found.setdefault(release.bundle.provider, set()).add(release.bundle.model)
        return {provider: frozenset(models) for provider, models in found.items()}

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
        for release in self.made_live:
            found[release.bundle] = max(self.origin(release), found.get(release.bundle, 0))
        return found

    @cached_property
    def prompts(self) -> frozenset[tuple[str | None, str | None]]:
        """The profiles that the releases were live with: name and hash, None without one."""
        return frozenset((r.bundle.profile, r.bundle.profile_sha) for r in self.made_live)

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
            return now - self.made_live[last if first == 1 else 0].at
        return self.made_live[first - 1].at - self.made_live[last].at if first else timedelta()

    @cached_property
    def _older_stretches(self) -> Mapping[Bundle, tuple[int, int]]:
        """Where the newest stretch of each bundle begins and ends, below the newest release."""
        found: dict[Bundle, tuple[int, int]] = {}
        first = 1
        for bundle, releases in groupby(self.made_live[1:], key=lambda release: release.bundle):
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
