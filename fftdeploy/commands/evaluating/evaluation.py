"""Evaluate: ask every arm the reviewed examples, judge the candidates, keep the evidence."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING

from fftdeploy.api.proof import Question
from fftdeploy.api.settings import Settings
from fftdeploy.commands.changing import typed_models
from fftdeploy.commands.context import Context
from fftdeploy.commands.evaluating.candidates import NamedCandidates
from fftdeploy.commands.evaluating.judging import JudgeAsking, ModelAsking, guess_of_judge
from fftdeploy.commands.evaluating.narrator import Narrator
from fftdeploy.commands.evaluating.own_runs import require_own_runs
from fftdeploy.commands.options.asking import EvaluateOptions
from fftdeploy.commands.options.declared import several
from fftdeploy.errors import ConfigError
from fftdeploy.evaluation.arms import BASE, CANDIDATE, JUDGE, LIVE, Arm, AskedHost, label
from fftdeploy.evaluation.evidence.evidence import (
    DEAD,
    LIVE_ITSELF,
    NOTHING_LIVE,
    Baseline,
    TrainingFacts,
)
from fftdeploy.evaluation.evidence.evidence_folder import Stored
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.evaluation.results import Column, Results
from fftdeploy.evaluation.running import run_log
from fftdeploy.evaluation.running.batches.batch_rules import going_on, require_batch
from fftdeploy.evaluation.running.finished_run import FinishedRun
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.run_answers import RunAnswers
from fftdeploy.evaluation.running.run_log import RunLog
from fftdeploy.evaluation.running.spending import Estimate, Spending, means_of
from fftdeploy.names import plural
from fftdeploy.output.words import cost_words
from fftdeploy.policy.policy import FILE_NAME
from fftdeploy.releases.deployments import Bundle
from fftdeploy.workspace import Workspace

if TYPE_CHECKING:
    from fftdeploy.evaluation.running.online import JointLoop


@dataclass(frozen=True, slots=True)
class JointPart:
    """What an evaluation has that is made together with others, from a work of their loop."""

    narrator: Callable[[], Narrator]
    """Makes one who tells of a run."""
    spendings: list[Spending]
    together: "JointLoop"


class Evaluation:
    """One evaluation of candidates for a target; its steps are in the order in which they refuse.

    Nothing is asked before the examples, the graders and the models are known to be usable.
    """

    def __init__(
        self,
        context: Context,
        workspace: Workspace,
        target: str,
        options: EvaluateOptions,
        *,
        bar: QualityBar | None = None,
        part: JointPart | None = None,
    ) -> None:
        """Take the gate of `target`, by its full name; `options` say how to ask.

        `bar` is that gate where it was opened already.

        Raises:
            UsageError: Nobody has planned for that target, or a number is out of range.
            ConfigError: Its task has no gate.
        """
        options.require_ranges()
        workspace.require_planned(target)
        self.context = context
        self.workspace = workspace
        self.options = options
        self.under_way: tuple[str, ...] = ()
        """IDs of the batches whose answers have not been taken when `run` ended."""
        self.spent: Spending | None = None  # while, and once, it asks
        self.part = part
        narrator = part.narrator if part else partial(Narrator, context)
        self.narrator = narrator()
        self.bar = bar or context.quality_bar(workspace, target)
        self.rules = self.bar.rules
        if options.repeats is not None:
            self.rules = replace(self.rules, repeats=options.repeats)
        self.judging: JudgeAsking | None = None
        if judge := self.bar.grading.judge:
            self.judging = JudgeAsking(replace(self.asking, narrator=narrator()), judge)

    @property
    def asking(self) -> ModelAsking:
        """How the models are asked."""
        joint = self.part.together if self.part else None
        return ModelAsking(self.context, self.bar, self.options, self.reuse, self.narrator, joint)

    @property
    def reuse(self) -> timedelta:
        """How old an answer may be to be taken again: evidence is as old as its oldest answer."""
        share = 1 if self.options.batch else 2  # those of a batch may be a day old as they come
        return min(run_log.MAX_AGE, self.rules.max_age / share)

    def run(self, candidates: Sequence[Bundle]) -> list[Stored]:
        """Evaluate `candidates` together, and keep one piece of evidence about each.

        Raises:
            FftdeployError: As the command `eval` does.
        """
        training = self._require_usable(candidates)
        beside = self._beside(candidates)
        baseline, recorded, recorded_at = self._baseline(candidates)
        live = self._compared(candidates) if baseline.how != "none" else None
        asked = self._arms(candidates, live if baseline.how == "fresh" else None, beside)
        self.bar.require_prompts(asked)
        arms = [self._as_proved(arm) for arm in asked]
        if self.options.batch:
            questions = {arm: self._question(arm.bundle) for arm in arms}
            hosts, note = self.context.prover(), self.narrator.tell
            require_batch(hosts, self.rules, questions, note)
        few = self.bar.too_few(candidates)
        if few and (live or self.rules.mode == "threshold"):
            self.narrator.tell(f"note: {few}")
        run, facts = self._run(arms), None
        with self._log(run) as log:
            log.stays_open = self.judging is not None
            results = self._ask(run, log)
            if self.judging and self.spent:
                facts = self.judging.judge_answers(run, log, self.spent)
        if recorded is not None:
            results.arms[LIVE] = recorded
        finished = FinishedRun(
            bar=self.bar,
            run=run,
            baseline=baseline,
            live=live,
            candidates=candidates,
            training=training,
            log_name=log.path.name,
            is_reusing=not self.options.fresh,
            max_age=self.reuse,
            recorded_at=recorded_at,
            judge=facts,
            concurrency=None if log.resumed or self.options.batch else self.options.concurrency,
        )
        return finished.write_evidence()

    def estimate(self, candidates: Sequence[Bundle]) -> Estimate:
        """Estimate what `run` takes where nothing was asked before."""
        run = self._rehearsal(candidates)
        return self._estimate(run, self._spending(run))

    def rehearse(self, candidates: Sequence[Bundle], *, live_is_dead: bool = False) -> Estimate:
        """Refuse what `run` refuses before it asks; return what it would, by what is kept."""
        self._require_usable(candidates)
        run = self._rehearsal(candidates, live_is_dead=live_is_dead)
        self.bar.require_prompts(run.arms.values())
        spending, known = self._spending(run), Counter[str]()
        if not self.options.fresh:
            root, now = self.workspace.folder, self.context.now()
            known = run_log.known_answers(root, run, now=now, max_age=self.reuse)
        spending.require_allowed(run.size - known.total())
        return self._estimate(run, spending, known)

    def _rehearsal(self, candidates: Sequence[Bundle], *, live_is_dead: bool = False) -> Run:
        live = None if live_is_dead else self._compared(candidates)
        return self._run(self._arms(candidates, live, self._beside(candidates)))

    def _require_usable(self, candidates: Sequence[Bundle]) -> TrainingFacts | None:
        """Refuse what can't be judged; return what the training file has of the examples."""
        self.bar.require_enough(self.bar.fewest(candidates))
        self.bar.folder.require_room(self.bar.task)
        require_own_runs(self.workspace.folder, self.context.environ)
        training = self._training()
        prices = self.workspace.policy.prices
        unpriced = [bundle.hosted for bundle in candidates if prices.price(bundle.hosted) is None]
        if self.rules.budgets.needs_price and unpriced:
            raise ConfigError(
                f"the gate has a budget in USD, and {unpriced[0]} has no price",
                hint=f'add [prices."{unpriced[0]}"] with input and output, USD per million tokens',
                where=FILE_NAME,
                code="no-price",
            )
        return training

    def _training(self) -> TrainingFacts | None:
        """Say how many of the examples the candidate may have seen in training."""
        if self.options.training is None:
            return None
        from fftdeploy.evaluation.examples.overlap import overlap

        path = Path.cwd() / self.options.training
        found = overlap(self.bar.examples, path, root=path.parent)
        if found.silent:
            self.narrator.tell(
                f"warning: in {found.silent:,} of {plural(found.lines, 'line')} of the training "
                "file no user says anything: they are compared with nothing"
            )
        return {"file_sha": found.file_sha, "exact": len(found.exact), "near": len(found.near)}

    def foresee(self, candidate: Bundle) -> None:
        """Begin to prove a candidate, and what it is compared with, before its name is certain."""
        live = self._compared([candidate])
        self._begin([self._question(one) for one in (candidate, live) if one])

    def _begin(self, questions: Sequence[Question]) -> None:
        """Begin to ask the hosts, and get ready for what comes after, while they think."""
        self.context.prover(is_plain=True).begin(questions)
        from fftdeploy.evaluation.running import online  # noqa: F401  it brings in much else

    def _compared(self, candidates: Sequence[Bundle]) -> Bundle | None:
        """Return what the candidates are compared with; None where nothing but them is live."""
        live = self.bar.baseline
        return None if live is None or [*candidates] == [live] else live

    def _baseline(
        self, candidates: Sequence[Bundle]
    ) -> tuple[Baseline, Column | None, AskedHost | None]:
        """Prove that the candidates can be asked, and find out what to compare them with."""
        live = self._compared(candidates)
        arms = [*candidates, *([live] if live else [])]
        questions = {bundle: self._question(bundle) for bundle in arms}
        self._begin([*questions.values(), *([self.judging.question] if self.judging else [])])
        proved = self.context.prover(is_plain=True).prove_all(questions.values())
        if self.judging:
            self.judging.prove()
        for bundle in candidates:
            if not (found := proved[questions[bundle]]).is_ready:
                raise typed_models.not_ready(found, self.workspace.deployments.models())
        if live is None:
            why = NOTHING_LIVE if self.bar.baseline is None else LIVE_ITSELF
            return Baseline("none", why=why), None, None
        found = proved[questions[live]]
        if found.is_ready:
            return Baseline("fresh"), None, None
        if not found.dead:
            raise found.error()
        if recorded := self.bar.recorded(live, self.rules.repeats):
            return recorded
        self.narrator.tell(
            f"warning: {live} is dead, and its answers to these examples are not on record: "
            "there is nothing to compare with"
        )
        return Baseline("none", why=DEAD), None, None

    def _question(self, bundle: Bundle) -> Question:
        return self.workspace.question(self.bar.target, bundle)

    def _beside(self, candidates: Sequence[Bundle]) -> dict[str, Bundle]:
        """Return the arms that `--against` adds to what is live."""
        found: dict[str, Bundle] = {}
        for word in several(self.options.against):
            bundle = None
            if word == BASE:
                bundle = self._base()
            elif word != LIVE:
                bundle = NamedCandidates(self.context, self.bar).named(word)
            if bundle is not None and bundle not in [*candidates, self.bar.baseline]:
                found[word] = bundle
        return found

    def _base(self) -> Bundle:
        base = self.workspace.policy.tasks[self.bar.task].base
        if base is None:
            raise ConfigError(
                f"task {self.bar.task!r} has no base",
                hint=f'add base = {{ model = "..." }} to [tasks.{self.bar.task}]',
                where=FILE_NAME,
                code="no-base",
            )
        return self.workspace.bundle(base.model, base.provider, base.profile)

    def _arms(
        self, candidates: Sequence[Bundle], live: Bundle | None, beside: dict[str, Bundle]
    ) -> list[Arm]:
        """List the arms to be asked; a single candidate is called so, several by their bundles."""
        only = len(candidates) == 1
        named = {(CANDIDATE if only else label(bundle)): bundle for bundle in candidates}
        if live is not None:
            named[LIVE] = live
        return [self._arm(name, bundle) for name, bundle in (named | beside).items()]

    def _arm(self, name: str, bundle: Bundle) -> Arm:
        profile = self.workspace.profile(bundle.profile) if bundle.profile else None
        host = self.bar.host(bundle)
        arm = Arm(name, bundle, profile, address=host.address, identity=host.identity)
        return replace(arm, answered_as=host.answered_as)

    def _as_proved(self, arm: Arm) -> Arm:
        return self.asking.as_proved(arm, self._question(arm.bundle))

    def _spending(self, run: Run) -> Spending:
        """Return who counts what is spent, on the judge too, and says when it is enough."""
        models = {name: arm.bundle.hosted for name, arm in run.arms.items()}
        means, judge = means_of(run, self.bar.folder), self.bar.grading.judge
        if judge is not None:
            models[JUDGE] = judge.bundle.hosted
            means |= guess_of_judge(judge, run)
        return Spending(
            models,
            self.workspace.policy.prices,
            self.options,
            means=means,
            is_batch=self.options.batch,
            later=run.size if judge else 0,
            beside=self.part.spendings if self.part else None,
        )

    def _estimate(
        self, run: Run, spending: Spending, known: Mapping[str, int] = MappingProxyType({})
    ) -> Estimate:
        """Estimate what all of it takes, but for the answers of each arm that are `known`."""
        each = run.size // len(run.arms)
        counts = {name: each - known.get(name, 0) for name in run.arms}
        return spending.estimate(counts, self.options.concurrency)

    def _run(self, arms: Sequence[Arm]) -> Run:
        return Run(
            self.bar.task,
            arms,
            self.bar.examples,
            self.rules,
            self.bar.grading,
            random=Random(),  # noqa: S311  the order of the requests is no secret
        )

    def _log(self, run: Run) -> RunLog:
        log = self.asking.open_log(run)
        if log.resumed:
            self.narrator.tell("note: going on with the run that was stopped")
        if log.unlike:
            self.narrator.tell(f"note: {log.unlike}")
        return log

    def _ask(self, run: Run, log: RunLog) -> Results:
        prices = self.workspace.policy.prices
        spending = self.spent = self._spending(run)
        models, asked = plural(len(run.arms), "model"), plural(len(run.examples), "example")
        repeats = f" x {self.rules.repeats}" if self.rules.repeats > 1 else ""
        cost = cost_words(self._estimate(run, spending), prices.on, is_batch=self.options.batch)
        self.narrator.announce(f"{models} x {asked}{repeats}: at most {cost}")
        until = "sending the requests" if self.options.batch else "waiting for the first answer"
        try:
            with self.narrator.waiting(until):
                if self.options.batch:
                    return self._ask_batches(run, log, spending)
                log.require_no_batch(self.options.again)
                return self.asking.ask(run, self._settings(run), log, spending)
        except Exception:
            raise
        except BaseException:  # a signal
            self.context.console.leave_progress()
            if run.kept:
                kept = f"{run.kept:,} of {run.size:,} answers are kept"
                self.context.changed = f"{kept}; run it again to go on from there"
            if batches := log.under_way():
                self.context.changed = going_on(batches, self.options.again)
            raise
        finally:
            self.under_way = tuple(log.under_way()) if self.options.batch else ()

    def _settings(self, run: Run) -> dict[str, Settings]:
        """Return where each arm is asked, and as whom."""
        hosts = self.context.prover()
        return {
            name: hosts.of(self._question(arm.bundle)).connection.settings
            for name, arm in run.arms.items()
        }

    def _ask_batches(self, run: Run, log: RunLog, spending: Spending) -> Results:
        from fftdeploy.evaluation.running.batches import batched

        narrator, now = self.narrator, self.context.clock.now
        since = None if self.options.fresh else now() - self.reuse
        return batched.evaluate(
            RunAnswers(run, log, spending, narrator.count, narrator.tell, now),
            self._settings(run),
            batched.BatchOptions(wait_s=self.options.wait_s, since=since, again=self.options.again),
            together=self.part.together if self.part else None,
            on_waiting=narrator.wait,
            monotonic=self.context.clock.monotonic,
        )
