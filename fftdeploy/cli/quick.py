"""`fftdeploy resolve TARGET` without the command line: what a start script waits for."""

from collections.abc import Sequence

from fftdeploy import names
from fftdeploy.errors import FftdeployError
from fftdeploy.output import stdio
from fftdeploy.routing.runtime import resolve

_PIPE_CLOSED = 141


def resolve_quickly(argv: Sequence[str]) -> int | None:
    """Print the model of `resolve TARGET [--file PATH]` and return the exit code.

    Returns None, with nothing printed, for any other command line and for any failure or
    problem: the full command line then says what is wrong.
    """
    if len(argv) == 2:
        name, target, file = *argv, None
    elif len(argv) == 4 and argv[2] == "--file":
        name, target, _, file = argv
    else:
        return None
    if name != "resolve" or target.startswith("-") or names.undecoded(argv):
        return None
    try:
        model = resolve(target, file=file)
        if model.problem:
            return None
        stdio.write_whole(1, f"{model}\n".encode())
    except BrokenPipeError:
        return _PIPE_CLOSED
    except (FftdeployError, OSError):
        return None
    return 0
