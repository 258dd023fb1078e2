"""Schema: the JSON Schemas of the two TOML files and of the JSON output."""

from fftdeploy.commands.change import Changed
from fftdeploy.commands.check import Checked
from fftdeploy.commands.status import Status
from fftdeploy.output.schema import results
from fftdeploy.output.schema.parts import Schema

RESULTS: dict[str, type] = {
    "promote": Changed,
    "rollback": Changed,
    "adopt": Changed,
    "hold": Changed,
    "unhold": Changed,
    "status": Status,
    "check": Checked,
}
"""The type of each command's result."""


def output_schema() -> Schema:
    """Describe the one document that a command prints with `--json`."""
    return results.output(RESULTS)
