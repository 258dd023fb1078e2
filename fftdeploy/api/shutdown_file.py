"""A newer table of shutdowns than the bundled one: the user's own, outside of every checkout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from fftdeploy import files
from fftdeploy.model_ids import retirement, shutdown_table
from fftdeploy.model_ids.shutdown_table import ShutdownTable


def read(environ: Mapping[str, str], checkouts: Iterable[Path]) -> ShutdownTable | None:
    """Read the table that `FFTDEPLOY_SHUTDOWNS` names; None where it names none.

    Raises:
        ConfigError: It is not valid, not there, or within one of the `checkouts`.
        DiskError: The disk or the permissions refused.
    """
    named = environ.get(retirement.VARIABLE, "")
    if not named:
        return None
    path = Path(named).absolute()
    files.refuse_checkout(path, checkouts, "move it out of the repository")
    hint = f"set {retirement.VARIABLE} again, or unset it"
    data = files.read(path, root=Path(path.anchor), hint=hint).data
    return shutdown_table.parse(data, str(path))
