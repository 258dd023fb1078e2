"""Continuous integration: a skipped test is seen, unless its reason is on a short list."""

import subprocess
from pathlib import Path

import pytest
from checkout import ROOT

ALLOWED = [
    line
    for line in (ROOT / ".ci" / "skips").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
SUMMARY = "3300 passed, 1 skipped in 60.00s (0:01:00)"


def judged(log: Path, *reasons: str, allowed: str = "") -> tuple[int, str]:
    rows = [f"SKIPPED [1] tests/test_a.py:1: {reason}" for reason in reasons]
    log.write_text("\n".join(["test session starts", *rows, SUMMARY, ""]))
    done = subprocess.run(
        ["bash", ROOT / ".ci" / "skipped", log, *filter(None, [allowed])],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_skip_that_is_not_on_the_list_fails(tmp_path: Path) -> None:
    log = tmp_path / "log"
    hole = "there is no chromium or google-chrome here"

    assert judged(log) == (0, "")
    assert judged(log, *ALLOWED) == (0, "")
    assert judged(log, ALLOWED[0], hole) == (
        1,
        f"skipped, and not in .ci/skips:\nSKIPPED [1] tests/test_a.py:1: {hole}\n",
    )


def test_the_slow_job_leaves_nothing_out(tmp_path: Path) -> None:
    """Neither for want of what it installs, nor for any other reason."""
    slow = next(line for line in ALLOWED if "--slow" in line)
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

    assert judged(tmp_path / "log", slow, allowed="/dev/null")[0] == 1
    assert judged(tmp_path / "log", allowed="/dev/null") == (0, "")
    assert 'bash .ci/skipped "$here/log" /dev/null' in run
    assert "tests/api/test_litellm.py" in run


@pytest.mark.parametrize("reason", ALLOWED)
def test_each_reason_on_the_list_is_one_that_a_test_gives(reason: str) -> None:
    own = Path(__file__).name
    tests = (path for path in (ROOT / "tests").rglob("*.py") if path.name != own)

    assert reason, "an empty line would allow every skip"
    assert any(reason in path.read_text(encoding="utf-8") for path in tests)
