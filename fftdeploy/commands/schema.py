"""Schema: the JSON Schemas of the two TOML files and of the JSON output."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, cast

from fftdeploy.commands import schema_files
from fftdeploy.commands.context import Context
from fftdeploy.commands.door import door
from fftdeploy.commands.options.looking import SchemaOptions
from fftdeploy.commands.review import Reviewed
from fftdeploy.commands.screens import Assisted, Demonstrated, Serving
from fftdeploy.errors import UsageError
from fftdeploy.names import not_one_of
from fftdeploy.output.results import OMITTED, UNPRINTED, Schema, output

_COMMANDS = (
    *("promote", "rollback", "adopt", "hold", "unhold", "status", "check", "history", "diff"),
    *("models", "resolve", "run", "export", "eval", "size", "calibrate", "migrate", "monitor"),
    *("verify", "scan", "report", "review", "sandbox", "demo", "mcp", "init", "schema"),
)
_MODULES = {"eval": "evaluate"}
"""The modules of the commands that are not called as they are."""
_SITTINGS = {"review": Reviewed, "sandbox": Serving, "demo": Demonstrated, "mcp": Assisted}
"""The results of what goes on while somebody is there, and is no one call."""


def run_of(command: str) -> Callable[..., Any]:
    """Return what a command does: its options in, its result out."""
    module: Any = import_module(f"fftdeploy.commands.{_MODULES.get(command, command)}")
    return cast("Callable[..., Any]", module.run)


@cache
def results() -> dict[str, type]:
    """Return the type of each command's result."""
    return {
        name: _SITTINGS.get(name) or run_of(name).__annotations__["return"] for name in _COMMANDS
    }


@dataclass(frozen=True, slots=True)
class Schemas:
    """JSON Schemas, by the names of what they describe."""

    schemas: Mapping[str, Any]
    wrote: tuple[str, ...] | None = field(default=None, metadata=OMITTED)
    files: tuple[schema_files.SchemaFile, ...] = field(default=(), metadata=UNPRINTED)


def output_schema() -> Schema:
    """Describe the one document that a command prints with `--json`."""
    return output(results())


def run(context: Context, options: SchemaOptions) -> Schemas:
    """Return the JSON Schemas of the two files and of the JSON output, or write the files'.

    Raises:
        UsageError: `which` describes nothing, or no file.
        ConfigError: A schema would be written outside of the folder, or behind a link.
        DiskError: The disk refused.
    """
    which, makers = options.which, {**schema_files.MAKERS, "output": output_schema}
    if which is not None and which not in makers:
        raise UsageError(**not_one_of("schema", which, list(makers)))
    if not options.write:
        return Schemas({name: makers[name]() for name in ([which] if which else makers)})
    if which is not None and which not in schema_files.NAMES:
        raise UsageError(f"--write: {which!r} describes no file", hint="fftdeploy schema --write")
    chosen = [which] if which else schema_files.NAMES
    made = {name: makers[name]() for name in chosen}
    deployments = schema_files.deployments_path(context)
    context.known = Schemas(made, ())
    written = tuple(schema_files.write(deployments, name) for name in chosen)
    return Schemas(made, tuple(each.path for each in written if each.is_new), written)


schema = door(run, SchemaOptions)
