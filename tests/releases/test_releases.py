"""What many are asked about is worked out in one pass, and is what reading row by row finds."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from fftdeploy.releases.records import Bundle, Hold, Release, Target
from fftdeploy.sandbox import STORY_NOW

BUNDLES = [
    Bundle(model, profile=profile, profile_sha=profile) for model in "abc" for profile in "xy"
]
DAY = timedelta(days=1)


def targets(seed: int) -> Iterator[Target]:
    """Yield targets with a past of any kind: gaps, ways back, runs, holds of every sort."""
    chance = random.Random(seed)
    for _ in range(60):
        numbers = sorted(chance.sample(range(1, 40), chance.randrange(12)), reverse=True)
        releases = tuple(
            Release(
                n,
                chance.choice(BUNDLES),
                STORY_NOW - place * DAY,
                "ci",
                "model",
                to=chance.choice([None, *range(1, n)]),
            )
            for place, n in enumerate(numbers)
        )
        holds = tuple(hold(chance, releases) for _ in range(chance.randrange(8)))
        live = chance.choice(BUNDLES)
        yield Target("t", "e", live.model, profile=live.profile, releases=releases, holds=holds)


def hold(chance: random.Random, releases: tuple[Release, ...]) -> Hold:
    held = chance.choice([None, *releases])
    gone = chance.choice([None, 99])
    return Hold(
        held.bundle.model if held else chance.choice("abc"),
        STORY_NOW,
        "ana",
        "why",
        release=held.n if held else gone,
        until=chance.choice([None, *(STORY_NOW + days * DAY for days in range(-2, 4))]),
        lifted=chance.choice([None, None, STORY_NOW]),
    )


def blocks(target: Target, hold: Hold, bundle: Bundle, now: datetime) -> bool:
    held = next((r for r in target.releases if r.n == hold.release), None)
    is_about = (hold.model, hold.provider) == (bundle.model, bundle.provider)
    return hold.is_active(now) and is_about and (held is None or held.bundle == bundle)


def origin(target: Target, release: Release) -> int:
    while release.to is not None:
        found = next((r for r in target.releases if r.n == release.to), None)
        if found is None:
            return release.to
        release = found
    return release.n


def soaked(target: Target, bundle: Bundle, live: Bundle, now: datetime) -> timedelta:
    """Add up the newest stretch, release by release."""
    end, stretch = now, timedelta()
    has_begun = False
    for place, release in enumerate(target.releases):
        if release.bundle == bundle and (place > 0 or live == bundle):
            stretch, has_begun = stretch + (end - release.at), True
        elif release.bundle != bundle and has_begun:
            break
        end = release.at
    return stretch


@pytest.mark.parametrize("seed", range(2))
def test_J16_one_pass_finds_what_each_row_says(seed: int) -> None:
    found = 0
    for target in targets(seed):
        for moment in (STORY_NOW - DAY, STORY_NOW, STORY_NOW + 2 * DAY):
            for bundle in BUNDLES:
                on = [hold for hold in target.holds if blocks(target, hold, bundle, moment)]
                assert target.hold_on(bundle, moment) is (on[0] if on else None)
                found += len(on) > 1
        for release in target.releases:
            assert target.origin(release) == origin(target, release)
            assert target.releases[target.place(release.n)] is release
        for bundle in BUNDLES:
            rows = [release for release in target.releases if release.bundle == bundle]
            assert target.was_live(bundle) == bool(rows)
            newest = max((origin(target, row) for row in rows), default=None)
            assert target.newest_origins.get(bundle) == newest
            for live in BUNDLES:
                asked = (bundle, live, STORY_NOW + DAY)
                assert target.soaked(*asked) == soaked(target, *asked)
        assert not any(hold.lifted for hold in target.unlifted.holds)
    assert found > 20  # the first of several active holds is the one that is named
