"""The state of a target: only ever added to, cut short by a kill, and for one at a time."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fftdeploy.errors import ConfigError, ConflictError
from fftdeploy.monitoring import state_file
from fftdeploy.monitoring.watched import Look, MovedExample, Noticed, WatchState, path_of

AT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
TARGET = "triage/production"


def look(state: WatchState = "fine", day: int = 21) -> Look:
    moved = (MovedExample("ex-1", 10, 10, 0, 5),)
    noticed = (Noticed("drift", "error", "x"),)
    at = AT.replace(day=day)
    return Look(at, state, "m", noticed, 39, 40, 40, 0.004, 2.5, moved=moved)


def test_what_was_added_is_read_again_by_everybody(tmp_path: Path) -> None:
    with state_file.opened(tmp_path, TARGET) as state:
        state.add("look", look(day=20))
        state.add("told", look("drift"))
        state.add("look", look("unverified"))

    kept = state_file.read_state(tmp_path, TARGET)

    assert kept.looks == [look(day=20), look("unverified")]
    assert [kind for kind, _ in kept.others] == ["told"]
    assert kept.settled() == ("fine", AT.replace(day=20))
    assert kept.look_of(AT.date()) is None  # trouble has settled nothing
    assert kept.look_of(AT.replace(day=20).date()) == look(day=20)
    path = path_of(tmp_path, TARGET)
    assert path.stat().st_mode & 0o777 == 0o600
    assert state_file.read_state(tmp_path, "triage/staging").looks == []


def test_a_file_cut_anywhere_loses_the_last_line_at_most(tmp_path: Path) -> None:
    path = path_of(tmp_path, TARGET)
    with state_file.opened(tmp_path, TARGET) as state:
        for day in range(1, 6):
            state.add("look", look(day=day))
    whole = path.read_bytes()
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        lines = whole[:end].count(b"\n")
        assert len(state_file.read_state(tmp_path, TARGET).looks) == lines
        with state_file.opened(tmp_path, TARGET) as state:
            state.add("look", look(day=9))
        days = [each.day.day for each in state_file.read_state(tmp_path, TARGET).looks]
        assert days == [*range(1, lines + 1), 9]


def test_a_line_that_is_no_look_is_no_empty_past(tmp_path: Path) -> None:
    with state_file.opened(tmp_path, TARGET) as state:
        state.add("look", look())
    path = path_of(tmp_path, TARGET)
    path.write_bytes(path.read_bytes() * 2 + b'{"look": {}}\n')

    with pytest.raises(ConfigError) as raised:
        state_file.read_state(tmp_path, TARGET)

    assert raised.value.where.endswith(".jsonl:3")


def test_one_at_a_time(tmp_path: Path) -> None:
    with state_file.opened(tmp_path, TARGET), pytest.raises(ConflictError, match="already"):
        state_file.opened(tmp_path, TARGET).__enter__()
    with state_file.opened(tmp_path, TARGET):
        pass
