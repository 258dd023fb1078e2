"""Each command as a function of Python: the same options, result and errors; nothing is said."""

import os
import re
from collections.abc import Callable
from functools import wraps
from inspect import cleandoc, signature
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from fftdeploy.commands.context import Context
from fftdeploy.commands.options.declared import Options, declared
from fftdeploy.errors import FftdeployError

_FLAG = re.compile(
    r"fftdeploy [^,;`]*|--(?P<flag>[a-z-]+)(?: (?P<value>\"[^\"]*\"|[A-Z]+\b|[\d.]+))?"
)
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _in_python(text: str, options: type[Options]) -> str:
    """Return a message with arguments where it names flags; a line for the shell stays one."""
    known = {flag: option for option in declared(options) for flag in option.flags}

    def argument(found: re.Match[str]) -> str:
        option = known.get(f"--{found['flag']}")
        if option is None:
            return found[0]
        usual = option.field.default
        value = found["value"] or (str(not usual) if isinstance(usual, bool) else "")
        return f"{option.name}={value}" if value else option.name

    return _FLAG.sub(argument, text)


def _documented(promise: str | None, options: type[Options]) -> str:
    """Return what a function promises, with its arguments as the flags' help explains them."""
    first, *rest = cleandoc(promise or "").partition("\n\nRaises:")
    explained = (
        f"    {option.name}: {_in_python(option.flag.help, options)}"
        for option in declared(options)
    )
    return "\n".join([f"{first}\n\nArgs:", *explained]) + "".join(rest)


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
            error.message = _in_python(error.message, type(made))
            error.hint, error.args = _in_python(error.hint, type(made)), (error.message,)
            raise
        finally:
            context.close()

    call.__name__ = call.__qualname__ = command
    call.__doc__ = _documented(run.__doc__, cast("type[Options]", options))
    returned = signature(run).return_annotation
    cast("Any", call).__signature__ = signature(options).replace(return_annotation=returned)
    return call
