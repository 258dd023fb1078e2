"""Compares the models of many targets at the same time, so that no target waits for another one."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from fftdeploy.api.threads import begin
from fftdeploy.commands.context import Context
from fftdeploy.commands.evaluate import evaluated
from fftdeploy.commands.evaluating.evaluation import Evaluation, JointPart
from fftdeploy.commands.evaluating.narrator import JointNarrator
from fftdeploy.commands.migrating.migration import UNDER_WAY, Case
from fftdeploy.commands.options.asking import EvaluateOptions
from fftdeploy.errors import FftdeployError
from fftdeploy.evaluation.evidence.evidence_folder import Stored
from fftdeploy.evaluation.running.batches.batch_rules import going_on
from fftdeploy.evaluation.running.online import JointLoop
from fftdeploy.evaluation.running.spending import Spending
from fftdeploy.releases.deployments import Bundle

_AT_ONCE = 4
"""Tasks at a time: while one is prepared or judged, the others keep the requests under way."""


class SideBySide:
    """The comparisons of one command, with one limit in USD and on what is under way.

    Targets of one task follow each other: what one has paid for is there for the next.
    """

    def __init__(
        self, context: Context, asking: Callable[[str], EvaluateOptions], cases: Sequence[Case]
    ) -> None:
        """Take how a target, by its name, is asked, and what is to be compared."""
        self.context = context
        self.asking = asking
        self.cases = cases
        self.answers = sum(map(_wanted, cases))
        self.narrator = JointNarrator(context, self.answers)
        self.spendings: list[Spending] = []
        self.together = JointLoop(asking("").concurrency)
        self.is_batch = asking("").batch

    def run(self) -> None:
        """Compare, and say in each case what came of it or what stopped it."""
        tasks: dict[str, list[Case]] = {}
        for case in self.cases:
            tasks.setdefault(case.target.task, []).append(case)
        works = [partial(self._compare_all, same) for same in tasks.values()]
        # Batches wait for a day, and all of them for the same one.
        at_once = len(works) if self.is_batch else _AT_ONCE
        try:
            self.together.carry_out(works, at_once)
        except Exception:
            raise
        except BaseException:  # a signal
            batches = [batch for case in self.cases for batch in case.batches]
            kept = f"{self.narrator.done:,} of {self.answers:,} answers are kept"
            again = f"{kept}; run it again to go on from there"
            self.context.changed = going_on(batches, self.asking("").again) if batches else again
            raise

    def _compare_all(self, cases: Sequence[Case]) -> None:
        """Compare what the targets of one task have, one after the other."""
        ahead = self._ask_ahead(cases) if self.is_batch else {}
        for place, case in enumerate(cases):
            before = cases[place - 1].error if place else None
            if before and before.code == UNDER_WAY:  # it is on its way to the same answers
                case.stop(_waiting(before, cases[place - 1]))
                with case.stopped_by_errors():  # but its own batches are others
                    ahead.get(case.name, lambda: None)()
                continue
            with case.stopped_by_errors():
                if case.name in ahead:
                    ahead[case.name]()
                self._compare(case)

    def _ask_ahead(self, cases: Sequence[Case]) -> Mapping[str, Callable[[], object]]:
        """Send what only a later target wants, what is live there, with what the first one wants.

        Returns, by the target, what waits for that.
        """
        asked = {cases[0].live, *cases[0].usable}
        waits = {}
        for case in cases[1:]:
            if case.live not in asked and not case.is_dead:
                asked.add(case.live)
                waits[case.name] = begin(self._run, case, [case.live]).result
        return waits

    def _compare(self, case: Case) -> None:
        """Ask all of a target's models, and rank those that are good enough."""
        if case.is_recorded():  # another target with the same model was faster
            return
        evaluation, made = self._run(case, case.usable)
        if case.records:
            case.state, case.record = "recorded", made[0].id
            return
        by_bundle = {stored.evidence.candidate: stored for stored in made}
        for candidate in case.candidates:
            if stored := by_bundle.get(candidate.bundle):
                candidate.evaluation = evaluated(self.context, evaluation, stored)
        case.choose()

    def _run(self, case: Case, candidates: Sequence[Bundle]) -> tuple[Evaluation, list[Stored]]:
        told = partial(self.narrator.part, case.name)
        part = JointPart(told, self.spendings, self.together)
        evaluation = Evaluation(
            self.context,
            self.context.workspace,
            case.name,
            self.asking(case.name),
            bar=case.bar,
            part=part,
        )
        try:
            return evaluation, evaluation.run(candidates)
        finally:
            case.batches += evaluation.under_way


def _wanted(case: Case) -> int:
    """Return how many answers a target wants, those that are known and the judge's among them."""
    if case.bar is None:
        return 0
    arms = len(case.usable) + (not case.records and not case.is_dead)
    each = case.bar.rules.repeats * (2 if case.bar.grading.judge else 1)
    return len(case.bar.examples) * each * arms


def _waiting(error: FftdeployError, other: Case) -> FftdeployError:
    message = f"the answers to its successors are asked for {other.name}"
    return type(error)(message, hint=error.hint, code=error.code)
