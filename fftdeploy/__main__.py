"""The console script, and `python -m fftdeploy`."""

import os
import sys


def main() -> int:
    """Run the process's command line and return its exit code.

    `resolve` is answered here where it is plain, because the applications' start scripts
    that call it should not pay for a command line they do not use.
    """
    try:
        from fftdeploy.quick import resolve_quickly

        if (code := resolve_quickly(sys.argv[1:])) is not None:
            return code
        return _run()
    except KeyboardInterrupt:  # before `run` has the signals, while modules are imported
        return 130


def _run() -> int:
    """Run the full command line with a patient garbage collector.

    A command ends before its garbage matters: collecting while modules are imported, and
    walking all of them on the way out, would be a fifth of `status --offline`.
    """
    import gc

    gc.set_threshold(50_000)
    from fftdeploy.cli.app import run

    try:
        return run(sys.argv[1:])
    finally:
        gc.freeze()


if __name__ == "__main__":
    if not sys.flags.safe_path and not sys.flags.isolated:
        # `-m` puts the working directory on the path: a checkout could bring its own `tomlkit`.
        os.execv(sys.executable, [sys.executable, "-P", "-m", "fftdeploy", *sys.argv[1:]])  # noqa: S606  itself
    sys.exit(main())
