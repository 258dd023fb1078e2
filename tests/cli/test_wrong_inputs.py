"""What is said to a wrong line: what is wrong, where, and what to type."""

from pathlib import Path

import pytest
import transcript
from transcript import Group

from fftdeploy.sandbox import Sandbox

GROUPS = [*transcript.read()]


@pytest.mark.parametrize("group", GROUPS, ids=[group.heading for group in GROUPS])
@pytest.mark.usefixtures("no_waiting")
def test_each_wrong_line_gets_the_answer_that_was_read(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: Group
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    said = transcript.answered(group, tmp_path)

    assert said == group.text, "python tests/support/transcript.py writes it; then read it"


def test_there_are_enough_of_them() -> None:
    cases = [lines for group in GROUPS for lines in group.cases]

    assert len(cases) >= 100
    assert all(lines[-1].startswith("fftdeploy ") for lines in cases)
