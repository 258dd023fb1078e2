"""Asks what is live its watched examples, by the machinery of an evaluation."""

import shlex
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from random import Random

from fftdeploy.commands.context import Context
from fftdeploy.commands.evaluating.evaluation import Evaluation
from fftdeploy.commands.evaluating.own_runs import require_own_runs
from fftdeploy.commands.options.asking import EvaluateOptions
from fftdeploy.errors import NotReadyError
from fftdeploy.evaluation.arms import LIVE, Arm
from fftdeploy.evaluation.evidence.evidence import content_sha
from fftdeploy.evaluation.examples.examples import ExampleSet
from fftdeploy.evaluation.limits import Limits
from fftdeploy.evaluation.running.batches.batch_rules import require_batch
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.spending import Spending
from fftdeploy.monitoring import watch
from fftdeploy.monitoring.passes import Pass, PassKind, WatchedSet, pass_of
from fftdeploy.monitoring.state_file import KeptState
from fftdeploy.planning.bundles import live_bundle
from fftdeploy.releases.deployments import Target

_DAY = timedelta(days=1)
_AGES: dict[PassKind, timedelta] = {"calibration": 7 * _DAY, "daily": _DAY, "confirmation": _DAY}
_BATCHED = 3 * _DAY
"""How old the first answers of a pass may be when it goes on; those of a batch take a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassOptions(EvaluateOptions):
    """How a target is asked its watched examples."""

    calibrate: bool = False
    """Whether later answers are to be held against those of today."""

    @property
    def again(self) -> str:
        """The command line that asks the same by a batch."""
        file = ["--file", f"{self.file}"] if self.file is not None else []
        return shlex.join(["fftdeploy", "monitor", self.target, *file, "--batch"])


class Budget:
    """What all passes of one command may take together."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.spent: list[Spending] = []

    @property
    def requests(self) -> int:
        """The requests that were sent."""
        return sum(each.sent for each in self.spent)

    @property
    def usd(self) -> float | None:
        """What the answers have cost; None where a model has no price."""
        known = [each.usd for each in self.spent]
        return None if None in known else round(sum(filter(None, known)), 6)

    def left(self) -> Limits:
        """Return the limits of the next pass; PolicyError where nothing is left."""
        return self._limits.after(self.usd or 0.0, self.requests)


class WatchedPasses(Evaluation):
    """The passes over a target's watched examples: those of its calibration, where that counts."""

    def __init__(
        self,
        context: Context,
        target: Target,
        options: PassOptions,
        budget: Budget,
        kept: KeptState,
    ) -> None:
        """Take the gate of the target's task; `kept` is what is known of the target.

        Raises:
            ConfigError: The task has no gate, or there is something wrong with its examples.
        """
        super().__init__(context, context.workspace, str(target), options)
        rules = self.workspace.policy.tasks[target.task].monitor
        if rules.examples:
            self.bar.rules = replace(self.bar.rules, examples=rules.examples)
        self.target, self.asked, self.budget, self.kept = target, options, budget, kept
        self.bundle = live_bundle(target, self.workspace.sha)
        self.kind: PassKind = "daily"
        require_own_runs(self.workspace.folder, context.environ)

    @property
    def reuse(self) -> timedelta:
        """How old an unfinished pass may be to go on with it."""
        return max(_AGES[self.kind], _BATCHED) if self.options.batch else _AGES[self.kind]

    @cached_property
    def examples(self) -> ExampleSet:
        """The watched examples: those of the calibration while most of them are as they were."""
        known, every = self.kept.calibration, self.bar.checked_examples
        if known is not None:
            of = known.of
            found = watch.find(every, of.ids, of.examples)
            goes_on = of.bundle == self.bundle and not self.asked.calibrate
            if tuple(found.ids) == of.ids or (goes_on and of.has_most(len(found))):
                return found
        return watch.choose(every, self.rules.must_pass)

    @property
    def watched(self) -> watch.WatchedExamples:
        """What the look at the target has to know of them."""
        examples, must_pass = self.examples, set(self.rules.must_pass)
        return watch.WatchedExamples(
            WatchedSet(
                self.bundle,
                self.bar.host(self.bundle).address,
                content_sha([rule.content for rule in self.rules.graders]),
                tuple(map(watch.example_sha, examples)),
                tuple(examples.ids),
            ),
            {name for n, name in enumerate(examples.ids) if must_pass & {*examples.tags(n)}},
            float(self.rules.floors.valid),
            self.ask,
        )

    def ask(self, kind: PassKind, repeats: int) -> Pass:
        """Ask each of them so often, all anew; what was stopped goes on.

        Raises:
            FftdeployError: As `eval` does.
        """
        is_batch = self.asked.batch and kind != "confirmation"
        self.kind = kind
        self.options = replace(
            self.asked,
            batch=is_batch,
            wait_s=self.asked.wait_s if is_batch else None,
            **self.budget.left().within(),
        )
        try:
            run = self._pass(repeats)
            with self._log(run) as log:
                results = self._ask(run, log)
                now, records = self.context.now(), log.records()
                return pass_of(results, LIVE, kind, now, records, log.path.name)
        except NotReadyError as error:
            if error.code != "no-batch":
                raise
            self.asked = replace(self.asked, batch=False, wait_s=None)
            self.context.console.note(f"note: {error.message}: asked directly")
            return self.ask(kind, repeats)
        finally:
            self.budget.spent += [self.spent] if self.spent else []

    def _pass(self, repeats: int) -> Run:
        bundle = self.bundle
        profile = self.workspace.profile(bundle.profile) if bundle.profile else None
        address = self.bar.host(bundle).address
        arm = self._as_proved(Arm(LIVE, bundle, profile, address=address))
        rules = replace(self.rules, repeats=repeats)
        if self.options.batch:
            hosts, note = self.context.prover(), self.context.console.note
            require_batch(hosts, rules, {arm: self._question(bundle)}, note)
        return Run(
            self.bar.task,
            [arm],
            self.examples,
            rules,
            self.bar.grading,
            random=Random(),  # noqa: S311  the order of the requests is no secret
            purpose=f"monitor {self.target} {self.kind} {self.kept.asked}",
        )
