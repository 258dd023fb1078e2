"""Schema: the JSON Schemas of the two TOML files and of the JSON output."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fftdeploy.commands import schema_files
from fftdeploy.commands.calibrate import Calibrated
from fftdeploy.commands.change import Changed
from fftdeploy.commands.check import Checked
from fftdeploy.commands.compared import Compared
from fftdeploy.commands.context import Context
from fftdeploy.commands.door import Options, door
from fftdeploy.commands.evaluate import Evaluations
from fftdeploy.commands.export import Exported
from fftdeploy.commands.history import History
from fftdeploy.commands.init import Initialized
from fftdeploy.commands.migration import Migrated
from fftdeploy.commands.models import Models
from fftdeploy.commands.monitor import Monitored
from fftdeploy.commands.report import Reported
from fftdeploy.commands.resolve import Resolved
from fftdeploy.commands.review import Reviewed
from fftdeploy.commands.run import Launch
from fftdeploy.commands.scan import Scanned
from fftdeploy.commands.screens import Assisted, Demonstrated, Serving
from fftdeploy.commands.size import Sized
from fftdeploy.commands.status import Status
from fftdeploy.commands.verify import Verified
from fftdeploy.errors import UsageError
from fftdeploy.names import not_one_of
from fftdeploy.output.results import OMITTED, UNPRINTED, Schema, output


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaOptions(Options):
    """What may be said to `schema`."""

    which: str | None = field(default=None, kw_only=False)
    """`deployments`, `policy` or `output`; None for all three, or with `write` for both files."""
    write: bool = False
    """Write those of the two files beside them, for editors."""


@dataclass(frozen=True, slots=True)
class Schemas:
    """JSON Schemas, by the names of what they describe."""

    schemas: Mapping[str, Any]
    wrote: tuple[str, ...] | None = field(default=None, metadata=OMITTED)
    files: tuple[schema_files.SchemaFile, ...] = field(default=(), metadata=UNPRINTED)


RESULTS: dict[str, type] = {
    "promote": Changed,
    "rollback": Changed,
    "adopt": Changed,
    "hold": Changed,
    "unhold": Changed,
    "status": Status,
    "check": Checked,
    "history": History,
    "diff": Compared,
    "models": Models,
    "resolve": Resolved,
    "run": Launch,
    "export": Exported,
    "eval": Evaluations,
    "size": Sized,
    "calibrate": Calibrated,
    "migrate": Migrated,
    "monitor": Monitored,
    "verify": Verified,
    "scan": Scanned,
    "report": Reported,
    "review": Reviewed,
    "sandbox": Serving,
    "demo": Demonstrated,
    "mcp": Assisted,
    "init": Initialized,
    "schema": Schemas,
}
"""The type of each command's result."""


def output_schema() -> Schema:
    """Describe the one document that a command prints with `--json`."""
    return output(RESULTS)


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
