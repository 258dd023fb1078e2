"""Bars and intervals: to scale, and as wide as they say."""

import pytest

from fftdeploy.output.bars import WIDTH, bar, interval


@pytest.mark.parametrize(
    ("share", "drawn"),
    [(0, ""), (1, "█" * 20), (0.5, "█" * 10), (0.76, "█" * 15 + "▎"), (2, "█" * 20), (-1, "")],
)
def test_a_bar_is_as_long_as_its_share(share: float, drawn: str) -> None:
    assert bar(share) == drawn


def test_an_interval_shows_its_limit_within_and_beside_it() -> None:
    zero, limit = ("zero", 0.0), ("limit", -5.0)

    assert interval(-7.9, 3.0, 13.9, [zero, limit]) == "───┊───┼──●─────────"
    assert interval(-3.0, 3.0, 9.0, [zero, limit]) == "┊··────┼───●────────"
    assert interval(0.0, 0.0, 0.0, [zero, limit]) == "┊··················●"
    assert all(
        len(interval(low, low + 1, low + 9, [zero, limit])) == WIDTH for low in range(-40, 40)
    )
