"""Run: a program with the model in its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from fftdeploy.commands.context import Context
from fftdeploy.commands.options.looking import RunOptions
from fftdeploy.commands.views import TargetName
from fftdeploy.errors import UsageError
from fftdeploy.routing.runtime import find_file, resolve

VARIABLES = ("TARGET", "MODEL", "PROVIDER", "PROFILE", "RELEASE", "FILE")
"""What a program is told, each in a variable `FFTDEPLOY_...`."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A program, and what is added to its environment."""

    target: TargetName
    command: tuple[str, ...]
    environment: Mapping[str, str]

    def environ(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the whole environment; of another target's variables none is left in it."""
        ours = {f"FFTDEPLOY_{name}" for name in VARIABLES}
        kept = {name: value for name, value in inherited.items() if name not in ours}
        return {**kept, **self.environment}


def run(context: Context, options: RunOptions) -> Launch:
    """Say which program is run for a target, and with which environment.

    Raises:
        UsageError: There is no such target, or no program.
        ConfigError: The file, the target in it or its profile is not valid.
    """
    if not options.words:
        hint = f"fftdeploy run {options.target} -- COMMAND"
        raise UsageError("there is no command to run", hint=hint)
    environ = context.environ
    file = os.path.abspath(find_file(context.file, environ))  # noqa: PTH100  as it is found
    found = resolve(options.target, key=options.key, file=file, environ=environ)
    if found.problem:
        context.console.note(f"warning: {found.problem}")
    profile = os.path.join(os.path.dirname(file), "profiles", f"{found.profile_name}.toml")  # noqa: PTH118, PTH120  as above
    said = {
        "TARGET": found.target,
        "MODEL": found.model,
        "PROVIDER": found.provider,
        "PROFILE": profile if found.profile_name else None,
        "RELEASE": str(found.release) if found.release else None,
        "FILE": file,
    }
    told = {f"FFTDEPLOY_{name}": value for name, value in said.items() if value is not None}
    return Launch(found.target, tuple(options.words), told)
