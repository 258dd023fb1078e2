"""The commands that change `deployments.toml`."""

from fftdeploy.cli.app import ChangeFlags, command
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.changing import (
    AdoptOptions,
    HoldOptions,
    PromoteOptions,
    RollbackOptions,
    UnholdOptions,
)
from fftdeploy.errors import DeclinedError, FftdeployError
from fftdeploy.output.report import Report


@command(
    "promote",
    PromoteOptions,
    """
    fftdeploy promote triage/staging --job ftjob-abc123
    fftdeploy promote triage/production --why "PR #212"
    fftdeploy promote triage/production --from staging --dry-run
    fftdeploy promote triage/production --canary 5 --why "PR #212"
    """,
)
def promote(session: Session, options: PromoteOptions, flags: ChangeFlags) -> Report:
    """Show the plan and the verdict, ask, and say what was made."""
    from fftdeploy.cli.change_view import asked, report, showing_verdicts
    from fftdeploy.commands import promote as promoting

    with showing_verdicts(session):
        result = promoting.run(session, asked(session, options, flags))
    return report(session, result, options, flags)


@command(
    "rollback",
    RollbackOptions,
    """
    fftdeploy rollback triage/production --why "refund tickets misrouted"
    fftdeploy rollback triage/production --dry-run
    fftdeploy rollback triage/production --to 8 --yes
    """,
    more="""
    While a canary runs, it takes that off and leaves what is live as it is.
    """,
)
def rollback(session: Session, options: RollbackOptions, flags: ChangeFlags) -> Report:
    """Show the plan, or which releases it could not go back to."""
    from fftdeploy.cli.change_view import asked, candidate_lines, report
    from fftdeploy.commands import rollback as rolling_back
    from fftdeploy.commands.changing.change import BegunChange

    try:
        result = rolling_back.run(session, asked(session, options, flags))
    except DeclinedError:  # the plan has shown them
        raise
    except FftdeployError:
        if session.output.form == "text" and isinstance(session.known, BegunChange):
            session.output.say(*candidate_lines(session.known))
        raise
    return report(session, result, options, flags)


@command(
    "adopt",
    AdoptOptions,
    """
    fftdeploy adopt triage/production --why "edited during the incident"
    fftdeploy adopt triage/production --model gpt-6-luna --why "live since October"
    """,
)
def adopt(session: Session, options: AdoptOptions, flags: ChangeFlags) -> Report:
    """Show the plan, and say what was recorded."""
    from fftdeploy.cli.change_view import asked, report
    from fftdeploy.commands import adopt as adopting

    return report(session, adopting.run(session, asked(session, options, flags)), options, flags)


@command(
    "hold",
    HoldOptions,
    """
    fftdeploy hold triage/production triage-v9 --why "INC-88"
    """,
)
def hold(session: Session, options: HoldOptions, flags: ChangeFlags) -> Report:
    """Show the plan, and say what is on hold."""
    from fftdeploy.cli.change_view import asked, report
    from fftdeploy.commands import hold as holding

    return report(session, holding.run(session, asked(session, options, flags)), options, flags)


@command(
    "unhold",
    UnholdOptions,
    """
    fftdeploy unhold triage/production --why "fixed in the router"
    """,
)
def unhold(session: Session, options: UnholdOptions, flags: ChangeFlags) -> Report:
    """Show the plan, and say what was lifted."""
    from fftdeploy.cli.change_view import asked, report
    from fftdeploy.commands import unhold as unholding

    return report(session, unholding.run(session, asked(session, options, flags)), options, flags)
