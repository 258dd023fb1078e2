"""What is due, by the days that are left."""

from datetime import date, timedelta

import pytest

from fftdeploy.api.readiness import Shutdown
from fftdeploy.planning.runway import STEPS, Runway

END = Shutdown(date(2027, 1, 14), "model")
LATER = Shutdown(date(2027, 3, 1), "base model")


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (90, []),
        (89, ["shuts down in 89 days (2027-01-14, model): fewer than 90 left"]),
        (60, ["shuts down in 60 days (2027-01-14, model): fewer than 90 left"]),
        (59, ["shuts down in 59 days (2027-01-14, model): fewer than 60 left"]),
        (29, ["shuts down in 29 days (2027-01-14, model): fewer than 30 left"]),
        (6, ["shuts down in 6 days (2027-01-14, model): fewer than 7 left"]),
        (1, ["shuts down in 1 day (2027-01-14, model): fewer than 7 left"]),
        (0, ["has reached its last day (2027-01-14, model)"]),
        (-20, ["has reached its last day (2027-01-14, model)"]),
    ],
)
def test_a_finding_says_how_few_days_are_left(days: int, said: list[str]) -> None:
    today = END.date - timedelta(days=days)
    assert list(Runway(END).due(today, STEPS[0])) == [
        ("runway", f"the live model {each}") for each in said
    ]


def test_the_way_back_counts_alone_and_with_what_is_live() -> None:
    today = END.date - timedelta(days=20)
    ends = "shuts down in 20 days (2027-01-14, model)"
    assert list(Runway(LATER, END, 3).due(today, 30)) == [
        ("rollback-runway", f"release 3, the way back, {ends}: fewer than 30 left")
    ]
    assert list(Runway(END, END, 3).due(today, 30)) == [
        (
            "runway",
            f"the live model {ends}, and so does the way back: fewer than 30 left",
        )
    ]
    assert [code for code, _ in Runway(END, LATER, 3).due(today, 90)] == [
        "runway",
        "rollback-runway",
    ]
    assert list(Runway(None, None).due(today, 90)) == []
    assert list(Runway(END).due(today, -1)) == []
