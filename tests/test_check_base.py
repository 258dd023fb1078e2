"""`check --base`: what a change does, by meaning, judged by the files that it goes into."""

from pathlib import Path

import pytest
from conftest import Command
from scenes import V8, V10
from test_gated_promotion import git, promote, scene

from fftdeploy.sandbox import Sandbox


def commit(message: str) -> None:
    git("add", "--all")
    git("commit", "--quiet", "--message", message)


@pytest.fixture
def main(repo: Path) -> Path:
    """A repository whose `main` has v8 in production and v10 waiting in staging."""
    (repo / ".fftdeploy").mkdir()
    (repo / ".fftdeploy" / ".gitignore").write_text("runs/\n")
    scene(V8, V10)
    commit("first")
    git("switch", "--quiet", "--create", "change")
    return repo


def test_a_promotion_made_here_may_be_merged(
    main: Path, sandbox: Sandbox, command: Command
) -> None:
    assert promote(command, "--eval").code == 0
    commit("promote")

    result = command("check", "--base", "main")

    assert result.code == 0
