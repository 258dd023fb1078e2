"""A rollback is not stopped by what has no say in it: broken prompts, a broken policy."""

from pathlib import Path

import pytest
from command_line import Command
from scenes import FILE, POLICY_FILE, V7, V8, V9, past, read, row, sha, table, write, write_profile

pytestmark = pytest.mark.usefixtures("repo", "sandbox")
NAME = "triage/production"


def prompted(*profiles: str) -> str:
    """Write a target of one model in which `profiles` were live one after the other."""
    rows = [row(n, V8, profile) for n, profile in enumerate(profiles, 1)]
    return table(NAME, V8, reversed(rows), profile=profiles[-1])


def test_a_live_prompt_that_is_not_valid_is_rolled_back(command: Command) -> None:
    for name in ("one", "two"):
        assert write_profile(name) == sha(name)
    write(prompted("one", "two"))
    Path("profiles/two.toml").write_text("system = Be brief.\n")

    shown = command("status", NAME)
    result = command("rollback", NAME, "--yes")

    assert shown.code == 3
    assert result.code == 0, result.err
    assert "warning: not valid TOML" in result.err
    assert "profiles/two.toml:1:10" in result.err
    assert (read(NAME).profile, read(NAME).releases[0].to) == ("one", 1)
    assert [(held.model, held.release) for held in read(NAME).holds] == [(V8, 2)]


def test_an_old_prompt_that_is_not_valid_stops_only_at_its_release(command: Command) -> None:
    for name in ("one", "two", "three"):
        assert write_profile(name) == sha(name)
    write(prompted("one", "two", "three"))
    Path("profiles/one.toml").write_text("sistem = 'x'\n")

    first = command("rollback", NAME, "--yes")
    second = command("rollback", NAME, "--yes")

    assert (first.code, read(NAME).profile) == (0, "two")
    assert second.code == 6
    assert "profiles/one.toml is missing or not valid" in second.err


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("rollback", NAME), 0),
        (("hold", NAME, V7, "--why", "slow"), 0),
        (("promote", NAME, "--model", V7), 3),
        (("adopt", NAME), 3),
        (("check", "--offline"), 3),
    ],
)
def test_a_broken_policy_stops_what_it_rules(
    command: Command, argv: tuple[str, ...], code: int
) -> None:
    before = write(past(NAME, V8, V9))
    if argv[0] == "adopt":
        before = before.replace(f'model = "{V9}"\nrel'.encode(), f'model = "{V7}"\nrel'.encode())
        FILE.write_bytes(before)
    POLICY_FILE.write_text("version = 1\norde = []\n")

    result = command(*argv, *(["--yes"] if argv[0] != "check" else []))

    assert result.code == code
    assert "fftdeploy.toml:2:1" in result.err
    assert (FILE.read_bytes() != before) == (code == 0)


def test_promote_with_another_prompt_from_a_named_environment(command: Command) -> None:
    write_profile("one")
    write(past("triage/staging", V8), past(NAME, V7))

    result = command("promote", NAME, "--from", "staging", "--profile", "one", "--yes")

    assert result.code == 0, result.err
    assert (read(NAME).model, read(NAME).profile, read(NAME).releases[0].via) == (
        V8,
        "one",
        "model",
    )
