"""The commands that change `deployments.toml`."""

from typing import Annotated, Any

import typer

from fftdeploy.cli.app import ChangeFlags, LimitFlags, command
from fftdeploy.cli.session import Session, parse_wait
from fftdeploy.commands.context import parse_time
from fftdeploy.errors import DeclinedError, FftdeployError
from fftdeploy.output.report import Report

Target = Annotated[str, typer.Argument(help="TASK/ENVIRONMENT.")]
Wait = Annotated[str, typer.Option("--wait", help="How long to wait for a job or a loading model.")]
Profile = Annotated[str | None, typer.Option("--profile", help="Profile to deploy it with.")]
Canary = Annotated[
    int | None,
    typer.Option("--canary", help="Percent of the keys it answers, 1 to 50; live the rest."),
]
Create = Annotated[
    bool, typer.Option("--create", help="Create the target where no policy knows it.")
]


@command("promote", changes=True)
def promote(
    session: Session,
    change: ChangeFlags,
    *,
    target: Target,
    origin: Annotated[
        str | None,
        typer.Option("--from", help="Environment whose live model and prompt to promote."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Model to promote: its ID, or its short name.")
    ] = None,
    job: Annotated[
        str | None, typer.Option("--job", help="Fine-tuning job (ftjob-...) to promote.")
    ] = None,
    profile: Profile = None,
    no_profile: Annotated[
        bool, typer.Option("--no-profile", help="Deploy without a profile.")
    ] = False,
    provider: Annotated[str | None, typer.Option("--provider", help="Host of the model.")] = None,
    wait: Wait = "60s",
    expect_current: Annotated[
        str | None, typer.Option("--expect-current", help="Refuse unless this model is live.")
    ] = None,
    create: Create = False,
    override: Annotated[
        str | None,
        typer.Option(
            "--override", help="Policies to set aside: freeze,soak,order,runway,inconclusive."
        ),
    ] = None,
    no_probe: Annotated[
        bool, typer.Option("--no-probe", help="Trust the model's record, send it no message.")
    ] = False,
    evaluate: Annotated[
        bool, typer.Option("--eval", help="Evaluate now where there is no evidence yet.")
    ] = False,
    limits: Annotated[
        dict[str, Any],
        LimitFlags("With --eval: spend no more.", "With --eval: refuse to send more."),
    ],
    canary: Canary = None,
) -> Report:
    """Make a model live in a target, once it answers and is no worse.

    \b
    Examples:
      fftdeploy promote triage/staging --job ftjob-abc123
      fftdeploy promote triage/production --why "PR #212"
      fftdeploy promote triage/production --from staging --dry-run
      fftdeploy promote triage/production --canary 5 --why "PR #212"
    """
    from fftdeploy.cli.change_view import change_options, report, showing_verdicts
    from fftdeploy.commands import promote as promoting

    options = promoting.PromoteOptions(
        target,
        **change_options(session, change),
        source=origin,
        model=model,
        job=job,
        profile=profile,
        no_profile=no_profile,
        provider=provider,
        wait_s=parse_wait(wait),
        expect_current=expect_current,
        create=create,
        overrides=tuple(override.split(",")) if override else (),
        probe=not no_probe,
        evaluate=evaluate,
        **limits,
        canary=canary,
    )
    with showing_verdicts(session):
        result = promoting.run(session, options)
    return report(session, result, change)


@command("rollback", changes=True)
def rollback(
    session: Session,
    change: ChangeFlags,
    target: Target,
    to: Annotated[
        str | None,
        typer.Option("--to", help="Release to go back to, or the model whose newest it is."),
    ] = None,
    profile: Profile = None,
    wait: Wait = "60s",
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Go back even if the API gives no usable answer.")
    ] = False,
    canary: Annotated[
        bool, typer.Option("--canary", help="Only take off the canary, if one runs.")
    ] = False,
) -> Report:
    """Go back to the last good release, and hold what it removes.

    While a canary runs, it takes that off and leaves what is live as it is.

    \b
    Examples:
      fftdeploy rollback triage/production --why "refund tickets misrouted"
      fftdeploy rollback triage/production --dry-run
      fftdeploy rollback triage/production --to 8 --yes
    """
    from fftdeploy.cli.change_view import candidate_lines, change_options, report
    from fftdeploy.commands import rollback as rolling_back
    from fftdeploy.commands.changing.change import BegunChange

    options = rolling_back.RollbackOptions(
        target,
        **change_options(session, change),
        to=to,
        profile=profile,
        wait_s=parse_wait(wait),
        unverified=unverified,
        canary=canary,
    )
    try:
        result = rolling_back.run(session, options)
    except DeclinedError:  # the plan has shown them
        raise
    except FftdeployError:
        if session.output.form == "text" and isinstance(session.known, BegunChange):
            session.output.say(*candidate_lines(session.known))
        raise
    return report(session, result, change)


@command("adopt", changes=True)
def adopt(
    session: Session,
    change: ChangeFlags,
    target: Target,
    model: Annotated[
        str | None,
        typer.Option("--model", help="What is live in a target that is new."),
    ] = None,
    provider: Annotated[
        str | None, typer.Option("--provider", help="Host of that model; default: openai.")
    ] = None,
    create: Create = False,
) -> Report:
    """Record what is live: a hand edit, or --model in a new target.

    \b
    Examples:
      fftdeploy adopt triage/production --why "edited during the incident"
      fftdeploy adopt triage/production --model gpt-6-luna --why "live since October"
    """
    from fftdeploy.cli.change_view import change_options, report
    from fftdeploy.commands import adopt as adopting

    options = adopting.AdoptOptions(
        target,
        model=model,
        provider=provider,
        create=create,
        **change_options(session, change),
    )
    return report(session, adopting.run(session, options), change)


@command("hold", changes=True)
def hold(
    session: Session,
    change: ChangeFlags,
    target: Target,
    model: Annotated[str, typer.Argument(help="Model to block: its ID, or its short name.")],
    provider: Annotated[
        str | None, typer.Option("--provider", help="At which host; default: where it is here.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", help="When the hold ends: 2026-12-24T12:00Z, or a day, at its start."
        ),
    ] = None,
) -> Report:
    """Block a model: promote refuses it, rollback passes it over.

    \b
    Examples:
      fftdeploy hold triage/production triage-v9 --why "INC-88"
    """
    from fftdeploy.cli.change_view import change_options, report
    from fftdeploy.commands import hold as holding

    end = parse_time(until, "--until") if until else None
    options = holding.HoldOptions(
        target, model, provider=provider, until=end, **change_options(session, change)
    )
    return report(session, holding.run(session, options), change)


@command("unhold", changes=True)
def unhold(
    session: Session,
    change: ChangeFlags,
    target: Target,
    model: Annotated[
        str | None, typer.Argument(help="Model; default: the only one on hold.")
    ] = None,
) -> Report:
    """Lift a hold, with the reason on record.

    \b
    Examples:
      fftdeploy unhold triage/production --why "fixed in the router"
    """
    from fftdeploy.cli.change_view import change_options, report
    from fftdeploy.commands import unhold as unholding

    options = unholding.UnholdOptions(target, model, **change_options(session, change))
    return report(session, unholding.run(session, options), change)
