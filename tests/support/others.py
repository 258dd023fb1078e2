"""Others at work on the same file: two clones, and a write between our read and ours."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Command, Result
from fake_time import FakeTime
from scenes import write

from fftdeploy import files
from fftdeploy.commands.context import Context
from fftdeploy.sandbox import STORY_NOW


def git(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *argv], cwd=folder, capture_output=True, text=True, check=False)


def clones(tmp_path: Path, *tables: str, policy: str = "", attributes: str = "") -> list[Path]:
    """Publish a first version and clone it twice."""
    write(*tables, policy=policy)
    if attributes:
        Path(".gitattributes").write_text(attributes)
    here, hub = Path.cwd(), tmp_path / "hub.git"
    for argv in (
        ["init", "--quiet", "--bare", str(hub)],
        ["add", "."],
        ["commit", "--quiet", "--message", "first"],
        ["push", "--quiet", str(hub), "HEAD:main"],
    ):
        assert git(here, *argv).returncode == 0
    places = [tmp_path / "ana", tmp_path / "bo"]
    for place in places:
        assert git(tmp_path, "clone", "--quiet", str(hub), str(place)).returncode == 0
    return places


def release(monkeypatch: pytest.MonkeyPatch, command: Command, place: Path, *argv: str) -> Result:
    """Run a change in a clone and commit it."""
    monkeypatch.chdir(place)
    result = command(*argv, "--why", "x", "--yes", "--commit")
    assert result.code == 0, result.err
    return result


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something between our reading the file and our replacing it."""
    original = files.replace

    def replace(*args: Any, **more: Any) -> files.Replaced:
        monkeypatch.setattr(files, "replace", original)
        act()
        return original(*args, **more)

    monkeypatch.setattr(files, "replace", replace)


def aged(monkeypatch: pytest.MonkeyPatch, age_s: float) -> None:
    """Let the first proof be `age_s` old when the file is replaced."""
    time = FakeTime(STORY_NOW)
    monkeypatch.setattr(Context, "clock", property(lambda _: time.clock()))
    meanwhile(monkeypatch, lambda: time.slept.append(age_s))
