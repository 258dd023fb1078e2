"""The commands that change `deployments.toml`."""

from typing import Annotated

import typer

from fftdeploy.cli import rolling_back
from fftdeploy.cli.app import ChangeFlags, command
from fftdeploy.cli.applying import Change, Replan
from fftdeploy.cli.completion import complete_target
from fftdeploy.cli.gating import Gate
from fftdeploy.cli.promoting import Promotion, Wanted
from fftdeploy.cli.session import Session, one_of, parse_time, parse_wait
from fftdeploy.errors import InconclusiveError, UsageError
from fftdeploy.output.report import Report
from fftdeploy.planning import bundles, plan
from fftdeploy.planning.plan import Actor

Target = Annotated[str, typer.Argument(help="TASK/ENVIRONMENT.", autocompletion=complete_target)]
Wait = Annotated[str, typer.Option("--wait", help="How long to wait for a job or a loading model.")]
Profile = Annotated[str | None, typer.Option("--profile", help="Profile to deploy it with.")]


@command("promote", changes=True)
def promote(
    session: Session,
    change: ChangeFlags,
    target: Target,
    origin: Annotated[
        str | None, typer.Option("--from", help="Environment whose live bundle to promote.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Model ID to promote.")] = None,
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
    create: Annotated[
        bool, typer.Option("--create", help="Create the target where no policy knows it.")
    ] = False,
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
    max_usd: Annotated[
        float | None, typer.Option("--max-usd", min=0.0, help="With --eval: spend no more.")
    ] = None,
    max_requests: Annotated[
        int | None, typer.Option("--max-requests", min=1, help="With --eval: refuse to send more.")
    ] = None,
) -> Report:
    """Make a model live in a target, once it is proved to answer and no worse.

    \b
    Examples:
      fftdeploy promote triage/staging --job ftjob-abc123
      fftdeploy promote triage/production --why "PR #212"
      fftdeploy promote triage/production --from staging --dry-run
    """
    flags = {"--from": origin, "--model": model, "--job": job}
    one_of(flags, list(flags))
    one_of({"--profile": profile, "--no-profile": no_profile}, ["--profile", "--no-profile"])
    limits = {"--max-usd": max_usd, "--max-requests": max_requests}
    _require_limit(change, {flag for flag, value in limits.items() if value is not None}, evaluate)
    wanted = Wanted(
        from_environment=origin,
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
        max_usd=max_usd,
        max_requests=max_requests,
    )
    return Promotion(Change(session, change, target), wanted).run()


def _require_limit(change: ChangeFlags, limits: set[str], evaluate: bool) -> None:
    """Refuse limits of nothing, and an evaluation without one that nobody is asked about."""
    if limits and not evaluate:
        raise UsageError(f"{max(limits)} is for --eval", hint="add --eval")
    if evaluate and not limits and change.yes and not change.dry_run:
        raise UsageError(
            "--yes --eval needs a limit: nobody is asked before it spends",
            hint="add --max-requests N or --max-usd X; with --dry-run it says what it would ask",
            code="limit",
        )


@command("rollback", changes=True)
def rollback(
    session: Session,
    change: ChangeFlags,
    target: Target,
    to: Annotated[int | None, typer.Option("--to", help="Release to go back to.")] = None,
    profile: Profile = None,
    wait: Wait = "60s",
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Go back even if the API gives no usable answer.")
    ] = False,
) -> Report:
    """Go back to the last good release, and hold what it removes.

    \b
    Examples:
      fftdeploy rollback triage/production --why "refund tickets misrouted"
      fftdeploy rollback triage/production --dry-run
      fftdeploy rollback triage/production --to 8 --yes
    """
    return rolling_back.Rollback(
        Change(session, change, target),
        to=to,
        profile=profile,
        wait_s=parse_wait(wait),
        unverified=unverified,
    ).run()


@command("adopt", changes=True)
def adopt(session: Session, change: ChangeFlags, target: Target) -> Report:
    """Record what was made live by editing the file by hand.

    \b
    Examples:
      fftdeploy adopt triage/production --why "edited during the incident"
    """
    work = Change(session, change, target)
    found = work.workspace.target(work.name)
    live = bundles.live_bundle(found, work.workspace.sha)
    if bundles.is_recorded(found, live):
        return work.unchanged(plan.plan_adoption(found, live, work.actor))
    rules = work.workspace.policy.rules(found.environment)
    if rules.protected or not found.releases:
        work.ask_why(f"{found} is {'protected' if rules.protected else 'not recorded yet'}")
    plan.require_why(rules, found, work.actor, always=not found.releases)
    plan.plan_adoption(found, live, work.actor)  # a hold refuses before the API is asked
    work.preflight()
    readiness, question = None, None
    if session.has_key:
        question = work.question(live)
        readiness = session.prover(wait_s=0).prove(question)
        if readiness.dead:
            raise readiness.error()
    # A target's first release needs no evidence: there is nothing that it could be worse than.
    asks = rules.protected and bool(found.releases)
    gate = Gate(work, is_protected=asks, live_is_dead=lambda: False)
    gate.check_examples()
    try:
        passed = gate.ask(live)
    except InconclusiveError as error:
        if "--eval" in error.hint:  # that is a flag of promote; what is live has a word of its own
            error.hint = f"fftdeploy eval {found} live"
        raise
    verified = readiness is not None and readiness.is_ready
    if not verified:
        session.output.note("warning: not verified with the API: recorded as `verified = false`")

    def planned(actor: Actor) -> plan.Plan:
        made = plan.plan_adoption(found, live, actor, verified=verified)
        return made.with_evidence(passed.evidence) if passed.evidence else made

    made = planned(work.actor)
    return work.finish(
        planned,
        (made, work.draft(made)),
        readiness=readiness,
        question=question if verified else None,
        details=passed.details,
    )


@command("hold", changes=True)
def hold(
    session: Session,
    change: ChangeFlags,
    target: Target,
    model: Annotated[str, typer.Argument(help="Model ID to block.")],
    until: Annotated[
        str | None, typer.Option("--until", help="When the hold ends, e.g. 2026-12-24T12:00Z.")
    ] = None,
) -> Report:
    """Block a model: promote refuses it, rollback passes it over.

    \b
    Examples:
      fftdeploy hold triage/production ft:gpt-4.1-mini-2025-04-14:acme:triage-v9:CdEf9 --why "INC-88"
    """  # noqa: E501  an ID is one word
    bundles.require_model_id(model)
    end = parse_time(until, "--until") if until else None
    work = Change(session, change, target)
    found = work.workspace.target(work.name)
    work.why = session.require_text(work.why, "--why", f"hold {model} in {found}: why?")

    def planned(actor: Actor) -> plan.Plan:
        return plan.plan_hold(found, model, actor, until=end)

    return _unasked(work, planned)


@command("unhold", changes=True)
def unhold(
    session: Session,
    change: ChangeFlags,
    target: Target,
    model: Annotated[
        str | None, typer.Argument(help="Model ID; default: the only one on hold.")
    ] = None,
) -> Report:
    """Lift a hold, with the reason on record.

    \b
    Examples:
      fftdeploy unhold triage/production --why "fixed in the router"
    """
    work = Change(session, change, target)
    found = work.workspace.target(work.name)
    plan.plan_unhold(found, model, work.actor)
    work.why = session.require_text(work.why, "--why", f"lift the hold in {found}: why?")

    def planned(actor: Actor) -> plan.Plan:
        return plan.plan_unhold(found, model, actor)

    return _unasked(work, planned)


def _unasked(work: Change, planned: Replan) -> Report:
    """Make a change that the API has no say in."""
    made = planned(work.actor)
    if made.is_noop:
        return work.unchanged(made)
    work.preflight()
    return work.finish(planned, (made, work.draft(made)))
