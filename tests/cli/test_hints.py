"""The test that types every hint: what it finds in a line, and what it refuses.

That every test of this suite types those that it provokes is `tests/conftest.py`'s.
"""

# ruff: noqa: E501  a case is a line of its table

import hints
import pytest
from command_line import Command

FOUND = [
    ("hint", "say it in one line", []),
    ("hint", "`fftdeploy models` lists the jobs", ["fftdeploy models"]),
    ("hint", "lift it first: fftdeploy unhold a/b gpt-6-luna --why TEXT", ["fftdeploy unhold a/b gpt-6-luna --why TEXT"]),
    ("hint", "fftdeploy eval a/b, or add --eval --max-requests 134", ["fftdeploy eval a/b"]),
    ("hint", "fftdeploy rollback a/b --to N; `fftdeploy history a/b` lists them", ["fftdeploy rollback a/b --to N", "fftdeploy history a/b"]),
    ("next", "git add a.toml && git commit", ["git add a.toml && git commit"]),
]  # fmt: skip

WRONG = [
    ("hint", "fftdeploy promot a/b", "no such command"),
    ("hint", "fftdeploy promote a/b --becaus TEXT", "No such option"),
    ("hint", "fftdeploy hold a/b", "Missing argument"),
    ("hint", "fftdeploy eval a/b --repeats often", "a valid int range"),
    ("hint", "add --max-tokens 5", "has no --max-tokens"),
    ("hint", "fftdeploy hold a/b gpt-6-luna --why it's", "No closing quotation"),
    ("next", "git push, then fftdeploy status a/b", "prose"),
    ("next", "look at the file", "no such program"),
    ("next", "fftdeploy eval a/b MODEL, to compare", "prose"),
    ("next", "fftdeploy models > models.txt", "no plain command"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "commands"), FOUND)
def test_the_commands_of_a_line_are_found(kind: str, text: str, commands: list[str]) -> None:
    assert [*hints.typed(kind, text, "promote")] == commands


@pytest.mark.parametrize(("kind", "text", "problem"), WRONG)
def test_what_cannot_be_typed_is_refused(kind: str, text: str, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        [*hints.typed(kind, text, "promote")]


def test_what_a_command_says_is_noted_and_typed(command: Command) -> None:
    command("statsu")
    hints.type_collected()

    assert "hint: did you mean: fftdeploy status" in hints.listed()
