"""An option that is declared once is read and written alike everywhere."""

import re
import shlex
from dataclasses import fields

import pytest
import typer

from fftdeploy.cli import app, flags
from fftdeploy.cli.command_groups import COMMANDS
from fftdeploy.commands.options.asking import MigrateOptions
from fftdeploy.commands.options.changing import PromoteOptions
from fftdeploy.commands.options.declared import Options, declared
from fftdeploy.commands.schema import run_of

SITTINGS = {"review", "sandbox", "demo", "mcp"}
"""No one call of a function."""


def options_of(words: list[str]) -> Options:
    """Return the options of a command line, as the command is given them."""
    app._register(())
    group = typer.main.get_command(app.app)
    command = group.commands[words[0]]  # type: ignore[attr-defined]  # of a group
    kind: type[Options] = run_of(words[0]).__annotations__["options"]
    return flags.made(kind, command.make_context(words[0], words[1:]).params)


def examples() -> list[str]:
    """List the lines in the help of all commands that begin with the program's name."""
    app._register(())
    known = [info for info in app.app.registered_commands if info.name not in SITTINGS]
    lines = (line.strip() for info in known for line in str(info.callback.__doc__).splitlines())
    return [re.split(" {2,}", line)[0] for line in lines if line.startswith("fftdeploy ")]


@pytest.mark.parametrize("line", examples())
def test_a_line_of_the_help_is_written_again_from_its_options(line: str) -> None:
    words = shlex.split(line, comments=False)[1:]
    words = words[: words.index("|")] if "|" in words else words
    once = options_of(words)
    again = options_of(shlex.split(once.line(words[0]))[1:])
    assert again == once
    assert type(once)(**{item.name: getattr(once, item.name) for item in fields(once)}) == once


def test_what_is_usual_is_not_written_and_what_looks_like_a_flag_is_joined_to_its_own() -> None:
    options = PromoteOptions(
        "triage/production", why="--yes", probe=False, wait_s=90.0, max_usd=0.5
    )
    assert options.line("promote", "--yes") == (
        "fftdeploy promote triage/production --wait 90s --no-probe --max-usd 0.5 --why=--yes --yes"
    )
    migration = MigrateOptions(overrides=("freeze", "soak"), within_days=30, max_usd=5.0)
    assert migration.again == (
        "fftdeploy migrate --within 30d --override freeze,soak --max-usd 5 --yes"
    )


@pytest.mark.parametrize(
    ("seconds", "typed"), [(0.0, 0), (0.2, 1), (90.5, 91), (999_999.0, 999_999)]
)
def test_a_wait_that_python_can_say_is_written_as_one_that_is_read(
    seconds: float, typed: float
) -> None:
    line = PromoteOptions("triage/production", wait_s=seconds).line("promote")
    again = options_of(shlex.split(line)[1:])
    assert again == PromoteOptions("triage/production", wait_s=typed)


def test_each_option_of_a_command_is_declared_or_is_not_typed() -> None:
    untyped = {
        f"{name} {item.name}"
        for name in COMMANDS.keys() - SITTINGS
        for kind in [run_of(name).__annotations__["options"]]
        for item in fields(kind)
        if item.name not in {option.name for option in declared(kind)}
    }
    assert untyped == {
        *(
            f"{name} approve"
            for name in ("promote", "rollback", "adopt", "hold", "unhold", "migrate")
        ),
        "status every_way_back",
        "report page",
        "eval part_of",
        "init ask",
    }
