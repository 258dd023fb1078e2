"""The console script, and `python -m fftdeploy`."""

import gc
import os
import sys

from fftdeploy.cli import signals

signals.take()  # before anything else is imported: that takes as long as many commands


def main() -> int:
    """Run the process's command line and return its exit code, by a patient garbage collector.

    A command ends before its garbage matters: collecting while modules are imported, and
    walking all of them on the way out, would be a fifth of `status --offline`.
    """
    gc.set_threshold(150_000)  # an evaluation has 90,000 objects before it asks anybody
    argv, code = sys.argv[1:], None
    try:
        with signals.raised():
            from fftdeploy.cli.quick import resolve_quickly

            code = resolve_quickly(argv)
            code = _run(argv) if code is None else code
    except signals.Stopped as stop:
        if code is None:  # else it came when all was done
            from fftdeploy.cli.app import stopped_early

            code = stopped_early(argv, stop)
    gc.freeze()
    signals.leave()
    return code


def _run(argv: list[str]) -> int:
    """Run the full command line, of which a `resolve` that is plain has no need."""
    if sys.getfilesystemencoding() == "ascii":
        # What is typed, and what files are called, is UTF-8 whatever the locale is said to be.
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606  itself
    from fftdeploy.cli.app import run
    from fftdeploy.output import stdio

    sys.stdout, sys.stderr = stdio.whole(sys.stdout), stdio.whole(sys.stderr)
    return run(argv)


if __name__ == "__main__":
    if not sys.flags.safe_path and not sys.flags.isolated:
        # `-m` puts the working directory on the path: a checkout could bring its own `tomlkit`.
        os.execv(sys.executable, [sys.executable, "-P", "-m", "fftdeploy", *sys.argv[1:]])  # noqa: S606  itself
    sys.exit(main())
