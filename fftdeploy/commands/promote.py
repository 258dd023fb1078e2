"""Promote: choose model and prompt, apply the team's rules, prove the model, make the change."""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from fftdeploy import names
from fftdeploy.api import jobs
from fftdeploy.commands.changing import typed_models
from fftdeploy.commands.changing.change import Change, Changed
from fftdeploy.commands.changing.gate import Gate, Passed
from fftdeploy.commands.changing.typed_models import MODEL_FLAG
from fftdeploy.commands.context import Context, one_of
from fftdeploy.commands.door import door
from fftdeploy.commands.options.changing import PromoteOptions
from fftdeploy.errors import FftdeployError, UsageError
from fftdeploy.model_ids.model_names import is_whole_id
from fftdeploy.planning import bundles, canary, plan
from fftdeploy.planning.bundles import BundleSource, PlanningFacts
from fftdeploy.planning.plan import Actor, Breach, Plan, SourceRules
from fftdeploy.releases.deployments import OVERRIDES, Bundle, Target

if TYPE_CHECKING:
    from fftdeploy.api.asked_hosts import AskedHosts
    from fftdeploy.api.proof import Prover
    from fftdeploy.api.readiness import Readiness


def run(context: Context, options: PromoteOptions) -> Changed:
    """Make a model live in a target, once it is proved to answer and no worse.

    Raises:
        FftdeployError: Why not; the file is as it was unless this says it WAS changed.
    """
    one_of({"--from": options.source, "--model": options.model, "--job": options.job})
    one_of({"--profile": options.profile, "--no-profile": options.no_profile})
    is_limited = (options.max_usd, options.max_requests) != (None, None)
    if is_limited:
        options.require_sane()
    if is_limited and not options.evaluate:
        raise UsageError(f"{max(options.given)} is for --eval", hint="add --eval")
    if options.evaluate and not is_limited and options.approve is None and not options.dry_run:
        raise UsageError(
            "--eval needs a limit: nobody is asked before it spends",
            hint="add --max-requests N or --max-usd X; with --dry-run it says what it would ask",
            code="limit",
        )
    return _Promotion(Change(context, options), options).run()


promote = door(run, PromoteOptions)


class _Promotion:
    """One run of `promote`; the steps are in the order in which they may refuse."""

    def __init__(self, change: Change, options: PromoteOptions) -> None:
        self.change = change
        self.options = options
        self.workspace = work = change.workspace
        task, _, environment = change.name.partition("/")
        self.key = (task, environment)
        self.rules = work.policy.rules(environment)
        self.target = work.deployments.find(change.name)
        sources = {*self.rules.sources, options.source or environment}
        change.made_from = tuple(f"{task}/{source}" for source in sources)
        self.fresh = False
        self.lifted: set[str] = set()
        """Rules that do not apply because what is live is dead, and that was said."""

    def run(self) -> Changed:
        """Promote, or say why not; the file is as it was unless this says it WAS changed."""
        self._check_flags()
        self.change.require_planned(create=self.options.create)
        plan.require_allowed(self.options.overrides, self.rules, self.key[1])
        if self.target is not None:
            plan.refuse_hand_edit(self.rules, self.target, self._live(self.target))
        source = self._source()
        if self.options.canary is not None:
            live = self._live(self.target) if self.target else None
            canary.require_beside(self.target, live, source.bundle)
        if self.target is not None and self._is_live(self.target, source):
            percent = self.options.canary
            said = "it is live already" if percent is None else f"it has {percent} % already"
            return self.change.unchanged(Plan(self.target, self.target, (said,)))
        if self.target is not None and self.target.canary is not None:
            canary.require_alone(self.target, self.target.canary, source.bundle, self.workspace.sha)
        self._refuse_held(source.bundle)
        self._require_why()
        made = self._plan(source, (), self.change.actor)
        self.change.preflight()
        drafted = self.change.draft(made)
        self._pass(self._breaches(source))
        expected, name = self.options.expect_current, self.change.name
        typed_models.require_current(self.change.context, name, self.target, expected)
        gate = self._gate() if self.workspace.policy.gate(self.key[0]) else None
        if gate:
            gate.check_examples()
        question = self.change.question(source.bundle, probe=self.options.probe, fresh=self.fresh)
        readiness = self._prover().prove(question)
        if not readiness.is_ready:
            raise self._not_ready(readiness, source.bundle.provider)
        used = self._pass(self._breaches(source, readiness))
        passed = gate.ask(source.bundle) if gate else Passed()
        used = tuple(code for code in OVERRIDES if code in {*used, *passed.overrides})

        def replan(actor: Actor) -> Plan:
            return self._plan(source, used, actor).with_evidence(passed.evidence)

        return self.change.finish(
            replan,
            None if used or passed.evidence else (made, drafted),
            readiness=readiness,
            question=question,
            counted=passed.counted,
        )

    def _gate(self) -> Gate:
        return Gate(
            self.change,
            is_protected=self.rules.protected,
            is_default=self.options.model is None and self.options.job is None,
            live_is_dead=lambda: self.target is not None and self._prove_live(self.target).dead,
            overrides=self.options.overrides,
            evaluate=self.options.evaluate,
            limits=self.options,
        )

    def _prove_live(self, target: Target) -> "Readiness":
        return self._prover().prove(self.change.question(self._live(target), probe=False))

    def _prover(self) -> "AskedHosts":
        return self.change.context.prover(wait_s=self.options.wait_s)

    def _ready_to_ask(self, provider: str) -> "Prover":
        """Return the conversation with a provider, after what can be refused without the model."""
        self._require_why()
        self.change.preflight()
        return self._prover().at(provider, self.key[1])

    def _not_ready(self, found: "Readiness", provider: str) -> FftdeployError:
        known = set(self.workspace.deployments.models(provider))
        with suppress(FftdeployError):  # without a list the file's are known
            known |= {*(self._prover().at(provider, self.key[1]).listed_names() or ())}
        return typed_models.not_ready(found, known)

    def _check_flags(self) -> None:
        options = self.options
        plan.require_known(options.overrides, self.change.why)
        if options.model is not None:
            bundles.require_model_id(options.model, options.provider or "")
        if options.job is not None and (problem := names.job_problem(options.job)):
            raise UsageError(problem, hint="`fftdeploy models` lists the jobs")
        if options.profile is not None and (problem := names.name_problem(options.profile)):
            raise UsageError(problem, hint="a profile is the NAME of profiles/NAME.toml")
        if options.provider is not None:
            self.change.context.require_provider(options.provider)
        if options.canary is not None and not 1 <= options.canary <= names.MOST_WEIGHT:
            raise UsageError(
                f"--canary {options.canary} is not 1 to {names.MOST_WEIGHT}: percent of the keys",
                hint="without --canary it gets all of them",
            )

    def _refuse_held(self, bundle: Bundle) -> None:
        """Refuse what is on hold, before a person is asked for a reason."""
        facts = self._facts()
        if self.target is not None:
            plan.refuse_held(self.target, bundle, facts.now)
        if held := SourceRules(facts, *self.key).hold(bundle):
            raise plan.on_hold(bundle, *held)

    def _facts(self) -> PlanningFacts:
        return self.workspace.facts(self.change.context.now())

    def _require_why(self) -> None:
        target = self.target or Target(*self.key, model="")
        self.change.require_reason(self.rules, target)

    def _is_live(self, target: Target, source: BundleSource) -> bool:
        """Tell whether it is live already, or has that part of the keys."""
        if (weight := self.options.canary) is not None:
            return canary.is_tried(target, source.bundle, self.workspace.sha, weight)
        live = self._live(target)
        return source.bundle == live and bundles.is_recorded(target, live)

    def _source(self) -> BundleSource:
        model, options = self.options.model, self.options
        known = self.workspace.deployments.models(options.provider)
        if model is not None and not is_whole_id(model, known):
            typed = typed_models.in_file(self.change.context, options.provider, MODEL_FLAG)
            provider = options.provider or (self.target.provider if self.target else names.OPENAI)
            can_ask = self.change.context.can_ask(provider, self.key[1])
            ask = partial(self._ready_to_ask, provider)
            model = typed.asked(model, ask, provider=provider, can_ask=can_ask)
        if options.job is not None:
            prover = self._ready_to_ask(options.provider or names.OPENAI)
            result = jobs.follow(prover, options.job)
            model, self.fresh = result.model, result.is_fresh(prover.now())
        if options.profile is not None:
            self.workspace.require_profile(options.profile)
        return bundles.choose_source(
            self._facts(),
            self.key,
            from_environment=options.source,
            model=model,
            job=options.job,
            provider=options.provider,
            profile=options.profile,
            no_profile=options.no_profile,
        )

    def _plan(self, source: BundleSource, overrides: tuple[str, ...], actor: Actor) -> Plan:
        made = plan.plan_promotion(
            self.target,
            self.key,
            source,
            self.rules,
            self.workspace.sha,
            actor,
            overrides=overrides,
        )
        weight = self.options.canary
        return made if weight is None else canary.with_canary(made, weight)

    def _live(self, target: Target) -> Bundle:
        return bundles.live_bundle(target, self.workspace.sha)

    def _breaches(self, source: BundleSource, proved: "Readiness | None" = None) -> list[Breach]:
        """List every breach at this moment: the API's, once it was asked."""
        facts = self._facts()
        sources = SourceRules(facts, *self.key)
        order = sources.order_breach(source.bundle)
        known, model = self.workspace.deployments.models(), source.bundle.model
        if order and model not in known and (near := names.nearest(model, known, names.MISTYPED)):
            order = replace(order, way=f"did you mean {near}?")
        found = [
            plan.freeze_breach(self.rules, facts.now),
            order,
            sources.soak_breach(source.bundle),
        ]
        named, allowed = self.options.source, self.rules.sources
        if named and allowed and named not in allowed:
            message = f"{named} is not a source of {self.change.name}"
            found.append(Breach("order", message, f"name one: --from {allowed[0]}"))
        if proved:
            days = proved.runway_days(facts.now.date())
            found.append(plan.runway_breach(self.rules, days))
        return [breach for breach in found if breach]

    def _pass(self, found: list[Breach]) -> tuple[str, ...]:
        """Return the overrides that the breaches `found` used up.

        PolicyError for one that no override names, unless what is live is dead.
        """
        left = [breach for breach in found if breach.code not in self.options.overrides]
        if left and not self._live_is_dead({breach.code for breach in left}):
            raise plan.refusal(self.change.name, left, self.rules)
        used = {breach.code for breach in found} - {breach.code for breach in left}
        return tuple(code for code in OVERRIDES if code in used)

    def _live_is_dead(self, codes: set[str]) -> bool:
        """Tell whether there is nothing that `codes` protect: what is live was proved dead."""
        context = self.change.context
        if self.target is None or not context.can_ask_about(self.target):
            return False
        try:
            found = self._prove_live(self.target)
        except FftdeployError:  # the policy's answer stands, whatever the API is up to
            return False
        if found.dead and codes - self.lifted:
            lifted = ", ".join(sorted(codes - self.lifted))
            context.console.note(f"note: {self.target.model} is dead: no {lifted} protects it")
            self.lifted |= codes
        return found.dead
