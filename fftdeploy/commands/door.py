"""Each command as a function of Python: the same options, result and errors; nothing is said."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from fftdeploy.commands.context import Context
from fftdeploy.errors import FftdeployError

_FLAG = re.compile(
    r"fftdeploy [^,;`]*|--(?P<flag>[a-z-]+)(?: (?P<value>\"[^\"]*\"|[A-Z]+\b|[\d.]+))?"
)
_ARGUMENTS = {"from": "source", "eval": "evaluate", "override": "overrides", "wait": "wait_s"}
"""What a flag is called in Python, where that is not its own name."""
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be said to every command."""

    file: str | Path | None = None
    """The deployments file; None for the nearest one."""


def several(words: str | Sequence[str]) -> list[str]:
    """Return words as a list: a single one may be given as it is."""
    return [words] if isinstance(words, str) else [*words]


def flag_of(argument: str) -> str:
    """Return the flag that an argument of a function stands for."""
    flags = {said: flag for flag, said in _ARGUMENTS.items()}
    return f"--{flags.get(argument, argument).replace('_', '-')}"


def _in_python(text: str, options: Callable[..., Options]) -> str:
    """Return a message with arguments where it names flags; a line for the shell stays one."""
    known = signature(options).parameters

    def argument(found: re.Match[str]) -> str:
        flag, value = found["flag"], found["value"]
        name = _ARGUMENTS.get(flag) or str(flag).replace("-", "_")
        if name not in known:
            return found[0]
        said = value or (str(True) if known[name].default is False else "")
        return f"{name}={said}" if said else name

    return _FLAG.sub(argument, text)


def door(
    run: Callable[[Context, Any], _Result], options: Callable[_Arguments, Options]
) -> Callable[_Arguments, _Result]:
    """Return `run` as a function whose arguments are the options.

    It asks and prints nothing, and lets go of the connection in the end.  An error says in
    `changed` what the deployments file holds if it was raised after the write.
    """
    command = run.__module__.rpartition(".")[2]

    @wraps(run)
    def call(*words: _Arguments.args, **chosen: _Arguments.kwargs) -> _Result:
        try:
            made = options(*words, **chosen)
        except TypeError as error:  # it names the options, which nobody called
            raise TypeError(f"{command}() {str(error).partition(') ')[2]}") from None
        file = Path(made.file) if made.file is not None else None
        context = Context(command=command, environ=os.environ, file=file)
        try:
            context.take_shutdowns()
            return run(context, made)
        except FftdeployError as error:
            error.changed = error.changed or context.changed
            error.message = _in_python(error.message, options)
            error.hint, error.args = _in_python(error.hint, options), (error.message,)
            raise
        finally:
            context.close()

    call.__name__ = call.__qualname__ = command
    returned = signature(run).return_annotation
    cast("Any", call).__signature__ = signature(options).replace(return_annotation=returned)
    return call
