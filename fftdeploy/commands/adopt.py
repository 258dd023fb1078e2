"""Adopt: record what is live, be it written by hand or known to somebody only."""

from dataclasses import replace
from functools import partial

from fftdeploy import names
from fftdeploy.commands.changing import typed_models
from fftdeploy.commands.changing.change import Change, Changed
from fftdeploy.commands.changing.gate import Gate, Passed
from fftdeploy.commands.context import Context
from fftdeploy.commands.door import door
from fftdeploy.commands.options.changing import AdoptOptions
from fftdeploy.errors import InconclusiveError, UsageError
from fftdeploy.model_ids.model_names import fitting
from fftdeploy.planning import bundles, plan
from fftdeploy.planning.plan import Actor, Plan
from fftdeploy.releases.deployments import Bundle, Target


def run(context: Context, options: AdoptOptions) -> Changed:
    """Record what is live in a target, with the evidence and the reason that a promotion needs.

    With `model`, a target that the file does not have yet is created as `promote` does.

    Raises:
        FftdeployError: Why not; the file is as it was unless this says it WAS changed.
    """
    change = Change(context, options)
    found = _live(change, options)
    is_new = change.workspace.deployments.find(change.name) is None
    live = bundles.live_bundle(found, change.workspace.sha)
    if bundles.is_recorded(found, live):
        return change.unchanged(plan.plan_adoption(found, live, change.actor))
    rules = change.workspace.policy.rules(found.environment)
    plan.plan_adoption(found, live, change.actor)  # a hold refuses before anybody is asked
    change.require_reason(rules, found, is_first=not found.releases)
    change.preflight()
    readiness, question = None, None
    if context.can_ask(live.provider, found.environment):
        question = change.question(live)
        readiness = context.prover(wait_s=0).prove(question)
        if readiness.dead:
            raise readiness.error()
    # A target's first release needs no evidence: there is nothing that it could be worse than.
    asks = rules.protected and bool(found.releases)
    passed = Passed()
    if change.workspace.policy.gate(found.task):
        gate = Gate(change, is_protected=asks, live_is_dead=lambda: False)
        gate.check_examples()
        try:
            passed = gate.ask(live)
        except InconclusiveError as error:
            if "--eval" in error.hint:  # a flag of promote; what is live has a word of its own
                error.hint = f"fftdeploy eval {found} live"
            raise
    verified = readiness is not None and readiness.is_ready
    if not verified:
        context.console.note("warning: not verified with the API: recorded as `verified = false`")

    def planned(actor: Actor) -> Plan:
        made = plan.plan_adoption(found, live, actor, verified=verified)
        made = replace(made, before=None) if is_new else made
        return made.with_evidence(passed.evidence)

    return change.finish(
        planned,
        readiness=readiness,
        question=question if verified else None,
        counted=passed.counted,
    )


adopt = door(run, AdoptOptions)


def _live(change: Change, options: AdoptOptions) -> Target:
    """Return the target with what is live in it: as the file says, or the options do."""
    found = change.workspace.deployments.find(change.name)
    if options.model is None:
        if options.provider is not None:
            raise UsageError("--provider is of a model", hint="add --model ID")
        try:
            return change.workspace.target(change.name)
        except UsageError as error:
            create = "" if change.workspace.policy.exists else " --create"
            error.hint += f'\nfftdeploy adopt {change.name} --model ID{create} --why "TEXT"'
            raise
    provider = options.provider or names.OPENAI
    if options.provider is not None:
        change.context.require_provider(provider)
    bundles.require_model_id(options.model, provider if found is None else "")
    if found is None:
        change.require_planned(create=options.create)
        task, _, environment = change.name.partition("/")
        found = Target(task, environment, model="")
        # Before the API is asked what a name is short for.
        rules = change.workspace.policy.rules(environment)
        change.require_reason(rules, found, is_first=True)
        return replace(found, model=_named(change, options.model, provider), provider=provider)
    is_other = options.provider not in {None, found.provider}
    if is_other or not fitting(options.model, [found.model]):
        live = Bundle(found.model, found.provider)
        asked = Bundle(options.model, options.provider or found.provider)
        host = f" --provider {asked.provider}" if is_other else ""
        raise UsageError(
            f"{found} has {live} live, not {asked}",
            hint=f"fftdeploy promote {found} --model {options.model}{host}",
            code="live-differs",
        )
    return found


def _named(change: Change, word: str, provider: str) -> str:
    """Return the model that a word means; without a key one that nothing knows is an ID."""
    typed = typed_models.in_file(change.context, provider, typed_models.MODEL_FLAG)
    environment = change.name.partition("/")[2]
    if change.context.can_ask(provider, environment):
        change.preflight()
        at = partial(change.context.prover().at, provider, environment)
        return typed.asked(word, at, provider=provider, can_ask=True)
    return typed.known(word) if fitting(word, typed.in_file) else word
