"""Resolve: the model that serves a target, with all that belongs to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fftdeploy.commands.context import Context
from fftdeploy.commands.options.looking import ResolveOptions
from fftdeploy.commands.views import TargetName
from fftdeploy.routing.runtime import resolve


@dataclass(frozen=True, slots=True)
class Resolved:
    """What an application calls."""

    target: TargetName
    model: str
    provider: str
    profile: str | None
    parameters: Mapping[str, Any] | None
    """What the profile says."""
    release: int | None
    """None for a hand edit, and where a variable decides."""
    source: str
    """The file, or the variable."""


def run(context: Context, options: ResolveOptions) -> Resolved:
    """Say which model serves a target; for Python, `fftdeploy.resolve` does.

    Raises:
        UsageError: There is no such target.
        ConfigError: The file, the target in it or its profile is not valid.
    """
    found = resolve(options.target, key=options.key, file=context.file, environ=context.environ)
    if found.problem:
        context.console.note(f"warning: {found.problem}")
    return Resolved(
        target=found.target,
        model=found.model,
        provider=found.provider,
        profile=found.profile_name,
        parameters=found.profile,
        release=found.release,
        source=found.source,
    )
