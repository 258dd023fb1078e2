"""Says what is wrong with a command line that Typer refuses, and what to type instead."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from fftdeploy import errors, names

_OTHERS = {
    "block": "hold",
    "deploy": "promote",
    "evaluate": "eval",
    "list": "status",
    "log": "history",
    "ls": "status",
    "release": "promote",
    "revert": "rollback",
    "show": "status",
    "test": "eval",
    "undo": "rollback",
    "validate": "check",
    "version": "--version",
}
"""What other tools call it."""
_LISTS = frozenset({"--env", "--examples", "--fail-on", "--override"})
"""Options that take several values, with commas between them."""
_NOT_A_NUMBER = {"valid int": "is not a whole number", "valid float": "is not a number"}


def usage_error(
    argv: Sequence[str], commands: Mapping[str, Any], refused: typer.TyperException
) -> errors.UsageError:
    """Return the error for a command line that Typer refused.

    Args:
        argv: The words behind the program's name.
        commands: Typer's, by their names.
        refused: What Typer says.
    """
    line = _CommandLine([*argv], commands, refused)
    makers = {
        "NoSuchOption": line.unknown_option,
        "MissingParameter": line.missing,
        "BadParameter": line.bad_value,
        "BadOptionUsage": line.bad_option,
    }
    made = makers.get(type(refused).__name__) or line.other
    return made()


class _CommandLine:
    def __init__(self, argv: list[str], commands: Mapping[str, Any], refused: Any) -> None:
        self.argv, self.commands, self.refused = argv, commands, refused
        called = argv[0] if argv and argv[0] in commands else ""
        self.path = f"fftdeploy {called}".rstrip()
        self.command = commands.get(called)
        self.params = getattr(self.command, "params", [])
        self.help = f"{self.path} --help"

    def unknown_option(self) -> errors.UsageError:
        option = str(self.refused.option_name)
        message = f"{self.path} has no option {option!a}"
        behind = next((word for word in self.argv if word in self.commands), "")
        if behind and self.path == "fftdeploy":
            words = [behind, *(word for word in self.argv if word != behind)]
            return _error(message, f"options stand behind the command: {_typed(words)}")
        known = [name for one in self.params for name in one.opts if name.startswith("--")]
        near = names.nearest(option, known)
        return _error(message, self._meant(option, near) if near else self.help)

    def missing(self) -> errors.UsageError:
        wanted = self.refused.param.name.upper() if self.refused.param else "an argument"
        return _error(f"{self.path} needs a {wanted}", self._example())

    def bad_value(self) -> errors.UsageError:
        problem, param = str(self.refused.message), self.refused.param
        if param is None:
            return _error(problem, self.help)
        name = param.opts[-1] if param.opts else str(param.name)
        value = self._value(param)
        found = next((said for part, said in _NOT_A_NUMBER.items() if part in problem), "")
        if "not in the range" in problem:
            least, most = param.type.min, param.type.max
            found = f"is less than {least:g}" if float(value) < least else f"is more than {most:g}"
        return _error(f"{name} {value!a} {found}" if found else f"{name}: {problem}", self.help)

    def bad_option(self) -> errors.UsageError:
        option = str(self.refused.option_name)
        param = next((one for one in self.params if option in one.opts), None)
        if "requires" not in str(self.refused.message) or param is None:
            return _error(f"{option} takes no value", self.help)
        what = param.metavar or option.strip("-").rpartition("-")[2].upper()
        return _error(f"{option} needs a value", f"{option} {what}: {param.help}")

    def other(self) -> errors.UsageError:
        """Build the error for a command that there is not, or for words too many."""
        first = self.argv[0] if self.argv else ""
        said = self.refused.format_message()
        if first == "help" and self.argv[1:2] and self.argv[1] in self.commands:
            return _error("help is a flag", f"fftdeploy {self.argv[1]} --help")
        if said.startswith("No such command"):
            near = _OTHERS.get(first) or names.nearest(first, self.commands)
            message = f"fftdeploy has no command {first!a}"
            return _error(message, self._meant(first, near) if near else self.help)
        found = re.search(r"unexpected extra arguments?(?:\(s\))? \((.*)\)", said, re.DOTALL)
        if not found:
            return _error(said, self.help)
        extra = found[1].split(" ")[0]
        message = f"{self.path} does not know what to do with {extra!a}"
        return _error(message, self._joined() or self._quoted(extra) or self._example())

    def _joined(self) -> str:
        """Return the line with a target of two words as one, where that is what they can be."""
        called, *words = self.argv
        takes_target = bool(self.params) and self.params[0].name == "target"
        if not takes_target or len(words) < 2 or any(map(names.name_problem, words[:2])):
            return ""
        return f"did you mean: {_typed([called, '/'.join(words[:2]), *words[2:]])}"

    def _quoted(self, extra: str) -> str:
        """Say how several words are one value, where an option stands before `extra`."""
        place = self.argv.index(extra) if extra in self.argv else 0
        start = next((n for n in range(place - 1, 0, -1) if self.argv[n].startswith("-")), 0)
        end = next((n for n in range(place, len(self.argv)) if self.argv[n].startswith("-")), None)
        takes_text = {
            name for one in self.params if not getattr(one, "is_flag", True) for name in one.opts
        }
        if not start or self.argv[start] not in takes_text:
            return ""
        words = self.argv[start + 1 : end]
        if self.argv[start] in _LISTS:
            listed = ",".join(word.strip(",") for word in words)
            return f"a list has commas and no blanks: {self.argv[start]} {shlex.quote(listed)}"
        text = " ".join(words)
        return f"a text with blanks stands in quotes: {self.argv[start]} {shlex.quote(text)}"

    def _meant(self, word: str, near: str) -> str:
        """Return the whole line with `near` in the place of `word`, to be typed."""
        words = [
            near + one.removeprefix(word) if one == word or one.startswith(f"{word}=") else one
            for one in self.argv
        ]
        params = getattr(self.commands.get(words[0]), "params", ())
        lacking = [one.name.upper() for one in params if one.required] if len(words) == 1 else []
        return f"did you mean: {_typed([*words, *lacking])}"

    def _value(self, param: Any) -> str:
        """Return what was typed for an option; "" where that can't be told."""
        for place, word in enumerate(self.argv):
            name, _, value = word.partition("=")
            if name in param.opts:
                return value or next(iter(self.argv[place + 1 :]), "")
        return ""

    def _example(self) -> str:
        """Return the first example of the command's help."""
        shown = getattr(self.command, "help", None) or ""
        lines = [one.strip() for one in shown.partition("Examples:")[2].splitlines()]
        example = next((one for one in lines if one.startswith("fftdeploy ")), "")
        return f"for example: {example.partition('  ')[0]}" if example else self.help


def _typed(words: Sequence[str]) -> str:
    return shlex.join(["fftdeploy", *words])


def _error(message: str, hint: str) -> errors.UsageError:
    return errors.UsageError(message, hint=hint)
