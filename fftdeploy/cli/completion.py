"""Shell completion from the file, at the price of reading it."""

import os
from pathlib import Path


def complete_target(incomplete: str) -> list[str]:
    """Return the targets of the nearest file that start with `incomplete`; never fails."""
    from fftdeploy.errors import FftdeployError
    from fftdeploy.formats import toml_reader
    from fftdeploy.names import name_problem
    from fftdeploy.routing.runtime import find_file, target_names

    try:
        path = Path(find_file(None, os.environ))
        text = path.read_text("utf-8-sig") if path.is_file() else ""
        names = target_names(toml_reader.loads(text))
    except (FftdeployError, OSError, ValueError):
        return []
    # What the shell gets goes on the command line: only names, whatever the file says.
    names = [name for name in names if not any(map(name_problem, name.split("/")))]
    return [name for name in names if name.startswith(incomplete)]
