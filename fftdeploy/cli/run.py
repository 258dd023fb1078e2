"""Run: its flags, and the step from this process to the program's."""

import os
import signal
from typing import TYPE_CHECKING, NoReturn

from fftdeploy.cli.app import command
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.looking import RunOptions
from fftdeploy.errors import UsageError
from fftdeploy.output.report import Report

if TYPE_CHECKING:
    from fftdeploy.commands.run import Launch


@command(
    "run",
    RunOptions,
    """
    fftdeploy run triage/production -- python serve.py
    fftdeploy run triage/production -- sh -c 'echo $FFTDEPLOY_MODEL'
    """,
    more="""
    \b
    It is told FFTDEPLOY_MODEL, _PROVIDER, _PROFILE (a path), _RELEASE, _TARGET and _FILE. With
    --json nothing is run: what would be is shown.
    """,
)
def run(session: Session, options: RunOptions) -> Report:
    """Become the program."""
    from fftdeploy.commands.run import run as prepared

    result = prepared(session, options)
    if session.output.form != "json":
        _become(result, result.environ(session.environ))
    return Report(data=result)


def _become(launch: "Launch", environ: dict[str, str]) -> NoReturn:
    """Become the program: it has this process's number, streams and signals.

    Python ignores two signals, and what ignores them hands that on.

    Raises:
        UsageError: There is no such program, or it can't be run.
    """
    before = {one: signal.signal(one, signal.SIG_DFL) for one in (signal.SIGPIPE, signal.SIGXFSZ)}
    try:
        os.execvpe(launch.command[0], launch.command, environ)  # noqa: S606  that is what was asked
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no program has that name"
        for one, handler in before.items():
            signal.signal(one, handler)
        raise UsageError(
            f"{launch.command[0]!a} can't be run: {reason}", hint="look at its name and at PATH"
        ) from None
