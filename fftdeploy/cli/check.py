"""Check: its flags."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fftdeploy.cli.app import LimitFlags, command
from fftdeploy.cli.cells import Wide
from fftdeploy.cli.session import Session
from fftdeploy.errors import FftdeployError, UsageError
from fftdeploy.output.report import Report

Targets = Annotated[
    list[str] | None,
    typer.Argument(help="Targets, tasks, or globs such as '*/production'."),
]
Offline = Annotated[bool, typer.Option("--offline", help="Do not ask the API.")]


@command("check")
def check(
    session: Session,
    *,
    targets: Targets = None,
    offline: Offline = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="Send each live model one short message.")
    ] = False,
    base: Annotated[
        str | None,
        typer.Option("--base", help="Judge what changed since REF, by its policy.", metavar="REF"),
    ] = None,
    allow_policy_change: Annotated[
        bool,
        typer.Option(
            "--allow-policy-change", help="With --base: let policy and examples change, too."
        ),
    ] = False,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="With --base: make the evidence again, now.")
    ] = False,
    accept_claimed: Annotated[
        bool,
        typer.Option("--accept-claimed", help="With --base: trust evidence that came along."),
    ] = False,
    limits: Annotated[
        dict[str, Any],
        LimitFlags(
            "With --rerun: stop before this is spent.",
            "With --rerun: refuse to send more.",
            least_usd=None,
        ),
    ],
    comment: Annotated[
        Path | None,
        typer.Option("--comment", help="With --base: write a comment in Markdown.", metavar="FILE"),
    ] = None,
    wide: Wide = False,
) -> Report:
    """Check both files, their history, and that what is live works.

    \b
    Examples:
      fftdeploy check
      fftdeploy check --offline --format github
      fftdeploy check --base origin/main
    """
    from fftdeploy.cli.check_view import report, write_comment
    from fftdeploy.commands import check as checking

    options = checking.CheckOptions(
        tuple(targets or ()),
        offline=offline,
        probe=probe,
        base=base,
        allow_policy_change=allow_policy_change,
        rerun=rerun,
        accept_claimed=accept_claimed,
        **limits,
    )
    if comment is not None and base is None:
        raise UsageError("--comment goes with --base", hint="fftdeploy check --base origin/main")
    try:
        end = report(session, checking.run(session, options), wide=wide)
    except FftdeployError as error:
        write_comment(session, comment, error)
        raise
    write_comment(session, comment, end)
    return end
