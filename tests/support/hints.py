"""What a user is told to type, typed: each `hint:` and `next:` that any test provokes.

A `next:` is one line of a shell.  A `hint:` may have words around its commands: one stands in
backticks, or from the program's name up to a sign that no shell line of ours has in it.
"""

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from fftdeploy.cli import app as cli
from fftdeploy.errors import FftdeployError, Outcome
from fftdeploy.output.report import Report
from fftdeploy.output.streams import Output

SEEN: dict[tuple[str, str, str], list[str]] = {}
"""The commands in each line that was provoked so far: by which command, and of which kind."""
_waiting: set[tuple[str, str, str]] = set()

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_LINE = re.compile(r"(?:^|   )(hint|next): (.*)", re.MULTILINE)
_PROGRAMS = "fftdeploy|git|pip|export|unset|cd|mv|rm"
_IN_BACKTICKS = re.compile(r"`([^`]+)`")
_START = re.compile(rf"(?<![\w./-])(?:{_PROGRAMS}) ")
_END = re.compile("$|; |, |: | or ")
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
_FILLED = {"N": "3", "X": "1.50", "TIME": "2026-11-21T08:30:00Z", "USD": "1.50"}
_GIT = frozenset(
    {
        *("add", "branch", "check-ignore", "checkout", "cherry-pick", "clone", "commit", "config"),
        *("diff", "fetch", "fsck", "init", "lfs", "log", "ls-files", "ls-tree", "merge", "mv"),
        *("push", "rebase", "remote", "restore", "rev-parse", "revert", "rm", "show"),
        *("sparse-checkout", "stash", "status", "worktree"),
    }
)


def collect(patch: pytest.MonkeyPatch) -> None:
    """Note what commands of this process say is to be typed, from now on."""
    report, error = Output.report, Output.error

    def reporting(output: Output, command: str, ended: Report) -> None:
        if output._stdout is sys.stdout:  # not what a test has made up
            _note(command, next=ended.next, hint="\n".join(one.hint for one in ended.findings))
        report(output, command, ended)

    def failing(
        output: Output, command: str, outcome: Outcome, failed: FftdeployError, *more: Any
    ) -> None:
        if output._stdout is sys.stdout:
            _note(command, hint=failed.hint)
        error(output, command, outcome, failed, *more)

    patch.setattr(Output, "report", reporting)
    patch.setattr(Output, "error", failing)


def _note(command: str, **said: str) -> None:
    _waiting.update(
        (command, kind, line) for kind, text in said.items() for line in text.splitlines()
    )


def note_screen(words: Sequence[str], screen: str) -> None:
    """Note what a command line of another process showed is to be typed, if it is ours."""
    if Path(words[0]).name == "fftdeploy" and len(words) > 1:
        plain = _STYLE.sub("", screen)
        _waiting.update((words[1], kind, line.strip()) for kind, line in _LINE.findall(plain))


def listed() -> set[str]:
    """Return the lines that were typed so far."""
    return {f"{kind}: {text}" for _, kind, text in SEEN}


def type_collected() -> None:
    """Type each line that was noted, once.

    Raises:
        AssertionError: It is a usage error, or nothing that a shell takes.
    """
    while _waiting:
        command, kind, text = _waiting.pop()
        if (command, kind, text) not in SEEN:
            SEEN[command, kind, text] = [*typed(kind, text, command)]


def typed(kind: str, text: str, ran: str = "") -> Iterator[str]:
    """Yield the commands of a line that the command `ran` printed, once each is no usage error."""
    commands = [text] if kind == "next" else [*_commands_in(text)]
    known = _flags(ran)
    for command in commands:
        known |= _flags(*command.split()[1:2])
        for words in _simple_commands(command):
            assert not any(word.endswith(",") for word in words), f"prose in a line: {command}"
            _type(words)
        yield command
    unknown = {*_FLAG.findall(text)} - known if known and not commands else set()
    assert not unknown, f"{ran} has no {', '.join(unknown)}: {text}"


def _commands_in(text: str) -> Iterator[str]:
    """Yield the commands that stand between the words of a hint."""
    place = 0
    while start := _START.search(text, place):
        quoted = next(
            (q for q in _IN_BACKTICKS.finditer(text) if q.start() < start.start() < q.end()), None
        )
        ends = (
            [quoted.end() - 1]
            if quoted
            else [end.start() for end in _END.finditer(text, start.end())]
        )
        place = next((end for end in ends if _is_closed(text[start.start() : end])), len(text))
        yield text[start.start() : place]


def _is_closed(line: str) -> bool:
    try:
        return bool(shlex.split(line))
    except ValueError:
        return False


def _simple_commands(line: str) -> Iterator[list[str]]:
    """Split a line as the shell does; what only a script has in it is refused."""
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = [_filled(word) for word in lexer]
    except ValueError as error:
        raise AssertionError(f"{error}: {line}") from None
    assert not {"(", ")", "<", ">", ";", "|"} & {*words}, f"this is no plain command: {line}"
    while words:
        end = words.index("&&") if "&&" in words else len(words)
        yield words[:end]
        words = words[end + 1 :]


def _filled(word: str) -> str:
    word = re.sub(r"\[[^]]*\]", "", word)
    return _FILLED.get(word, word)


def _type(words: list[str]) -> None:
    """Take one command as far as its own parser does, without running it."""
    program, rest = words[0], words[1:]
    line = shlex.join(words)
    if program == "fftdeploy":
        if {*rest} <= {"--help", "--version"}:
            return
        made = _commands().get(rest[0])
        assert made, f"there is no such command: {line}"
        try:
            made.make_context(rest[0], rest[1:], **_SETTINGS)
        except typer.TyperException as error:
            raise AssertionError(f"{error.format_message()}: {line}") from None
        except typer.Exit:  # --help
            return
    elif program == "git":
        rest = rest[2:] if rest[:1] == ["-C"] else rest
        asked = next((word for word in rest if not word.startswith("--")), "")
        assert asked in _GIT, f"git has no such command: {line}"
    else:
        assert re.fullmatch(_PROGRAMS, program), f"there is no such program: {line}"
        assert rest, f"{program} of what: {line}"


_SETTINGS: Any = cli.app.info.context_settings
"""A command keeps the help option of the first context that it sees."""


@cache
def _commands() -> dict[str, Any]:
    cli._register([])
    made: Any = typer.main.get_command(cli.app)
    return dict(made.commands)


def _flags(*names: str) -> set[str]:
    """Return the flags of commands by their names."""
    return {
        option
        for name in names
        for parameter in getattr(_commands().get(name), "params", ())
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
