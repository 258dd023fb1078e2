"""Each command as a function of Python: the same options, result and errors; nothing is said."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from fftdeploy.commands.context import Context
from fftdeploy.errors import FftdeployError

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be said to every command."""

    file: str | Path | None = None
    """The deployments file; None for the nearest one."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much an evaluation may take; without a limit it is stopped by none."""

    max_usd: float | None = None
    max_requests: int | None = None

    @property
    def given(self) -> dict[str, float]:
        """The limits there are, by their flags."""
        found = {"--max-usd": self.max_usd, "--max-requests": self.max_requests}
        return {flag: value for flag, value in found.items() if value is not None}

    def within(self) -> dict[str, Any]:
        """Return them as options of another command."""
        return {"max_usd": self.max_usd, "max_requests": self.max_requests}


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
        made = options(*words, **chosen)
        file = Path(made.file) if made.file is not None else None
        context = Context(command=command, environ=os.environ, file=file)
        try:
            return run(context, made)
        except FftdeployError as error:
            error.changed = error.changed or context.changed
            raise
        finally:
            context.close()

    call.__name__ = call.__qualname__ = command
    cast("Any", call).__signature__ = signature(options)
    return call
