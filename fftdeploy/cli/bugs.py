"""A file to attach to a bug report: the traceback without values, keys or chained errors."""

import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import fftdeploy


def write_report(error: Exception, redact: Callable[[str], str]) -> str:
    """Write what a maintainer needs to a new file that only the user can read.

    Chained causes are left out: they are other libraries' errors and may quote requests.

    Returns:
        The path, or "" where no file can be written.
    """
    frames = traceback.extract_tb(error.__traceback__)
    lines = [
        f"fftdeploy {fftdeploy.__version__}, Python {sys.version.split()[0]}, {sys.platform}",
        *(f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}' for frame in frames),
        f"{type(error).__name__}: {error}",
    ]
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            prefix="fftdeploy-bug-",
            suffix=".txt",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as stream:
            stream.write(redact("\n".join(lines)) + "\n")
    except OSError:
        return ""
    return str(Path(stream.name))
