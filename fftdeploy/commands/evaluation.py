"""Evaluate: ask every arm the reviewed examples, judge the candidates, keep the evidence."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from random import Random

from fftdeploy.commands.candidates import named_bundle
from fftdeploy.commands.context import Context
from fftdeploy.commands.door import Limits, Options, several
from fftdeploy.errors import ConfigError, UsageError
from fftdeploy.evaluation.arms import BASE, CANDIDATE, LIVE, Arm, label
from fftdeploy.evaluation.evidence.evidence import (
    DEAD,
    LIVE_ITSELF,
    NOTHING_LIVE,
    Baseline,
    TrainingFacts,
)
from fftdeploy.evaluation.evidence.evidence_folder import Stored
from fftdeploy.evaluation.results import Column, Results
from fftdeploy.evaluation.running import run_log
from fftdeploy.evaluation.running.finished_run import FinishedRun
from fftdeploy.evaluation.running.run import Run
from fftdeploy.evaluation.running.run_answers import Progress
from fftdeploy.evaluation.running.run_log import RunLog
from fftdeploy.evaluation.running.spending import (
    Estimate,
    Mean,
    Spending,
    estimate,
    guess,
    measured,
)
from fftdeploy.evaluation.running.throttle import CONCURRENCY
from fftdeploy.names import plural
from fftdeploy.output.words import cost_words, progress_words
from fftdeploy.policy.policy import FILE_NAME
from fftdeploy.releases.deployments import Bundle
from fftdeploy.workspace import Workspace

_SAMPLED = 50
"""Examples from which the cost of all of them is estimated."""

_REFRESH_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions(Options, Limits):
    """What may be said to `eval`."""

    target: str = field(kw_only=False)
    """`TASK/ENVIRONMENT`, or a bare environment where the file has one task."""
    candidates: str | Sequence[str] = field(default=(), kw_only=False)
    """`MODEL[@PROFILE]` or `live`; none for what `promote` would take."""
    against: str | Sequence[str] = (LIVE,)
    """Models beside the candidates: `live`, `base`, `MODEL[@PROFILE]`."""
    repeats: int | None = None
    """Answers to each example, at most 100; None for what the gate says."""
    training: str | Path | None = None
    """Training file: say which examples are in it too."""
    fresh: bool = False
    """Ask everything again; counts as another attempt."""
    concurrency: int = CONCURRENCY
    """Requests under way at a time, at most 500."""


class Evaluation:
    """One evaluation of candidates for a target; its steps are in the order in which they refuse.

    Nothing is asked before the examples, the graders and the models are known to be usable.
    """

    def __init__(
        self, context: Context, workspace: Workspace, target: str, options: EvaluateOptions
    ) -> None:
        """Take the gate of `target`, by its full name; `options` say how to ask.

        Raises:
            UsageError: Nobody has planned for that target, or a number is out of range.
            ConfigError: Its task has no gate.
        """
        _require_ranges(options)
        workspace.require_planned(target)
        self.context = context
        self.workspace = workspace
        self.options = options
        self.bar = context.quality_bar(workspace, target)
        self.rules = self.bar.rules
        if options.repeats is not None:
            self.rules = replace(self.rules, repeats=options.repeats)

    @property
    def reuse(self) -> timedelta:
        """How old an answer may be to be taken again: evidence is as old as its oldest answer."""
        return min(run_log.MAX_AGE, self.rules.max_age / 2)

    def run(self, candidates: Sequence[Bundle]) -> list[Stored]:
        """Evaluate `candidates` together, and keep one piece of evidence about each.

        Raises:
            FftdeployError: As the command `eval` does.
        """
        training = self._require_usable(candidates)
        beside = self._beside(candidates)
        baseline, recorded = self._baseline(candidates)
        live = self._compared(candidates) if baseline.how != "none" else None
        asked = self._arms(candidates, live if baseline.how == "fresh" else None, beside)
        arms = [self._as_proved(arm) for arm in asked]
        if (live or self.rules.mode == "threshold") and (few := self.bar.too_few(len(candidates))):
            self.context.console.note(f"note: {few}")
        run = self._run(arms)
        with self._log(run) as log:
            results = self._ask(run, log)
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
            concurrency=None if log.resumed else self.options.concurrency,
        )
        return finished.write_evidence()

    def estimate(self, candidates: Sequence[Bundle]) -> Estimate:
        """Estimate what `run` takes where nothing was asked before."""
        run = self._rehearsal(candidates)
        return self._estimate(run, self._means(run))

    def rehearse(self, candidates: Sequence[Bundle]) -> Estimate:
        """Refuse what `run` refuses before it asks the first example; return what it would ask.

        The models are taken to answer, and nothing to be known yet.
        """
        self._require_usable(candidates)
        run = self._rehearsal(candidates)
        means = self._means(run)
        self._spending(run, means).require_allowed(run.size)
        return self._estimate(run, means)

    def _rehearsal(self, candidates: Sequence[Bundle]) -> Run:
        live = self._compared(candidates)
        return self._run(self._arms(candidates, live, self._beside(candidates)))

    def _require_usable(self, candidates: Sequence[Bundle]) -> TrainingFacts | None:
        """Refuse what can't be judged; return what the training file has of the examples."""
        self.bar.require_enough()
        self.bar.folder.require_room(self.bar.task)
        training = self._training()
        prices = self.workspace.policy.prices
        unpriced = [bundle.model for bundle in candidates if prices.price(bundle.model) is None]
        if self.rules.budgets.usd_per_1k_requests is not None and unpriced:
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
            self.context.console.note(
                f"warning: in {found.silent:,} of {plural(found.lines, 'line')} of the training "
                "file no user says anything: they are compared with nothing"
            )
        return {"file_sha": found.file_sha, "exact": len(found.exact), "near": len(found.near)}

    def _compared(self, candidates: Sequence[Bundle]) -> Bundle | None:
        """Return what the candidates are compared with; None where nothing but them is live."""
        live = self.bar.baseline
        return None if live is None or [*candidates] == [live] else live

    def _baseline(self, candidates: Sequence[Bundle]) -> tuple[Baseline, Column | None]:
        """Prove that the candidates can be asked, and find out what to compare them with."""
        target = self.workspace.deployments.find(self.bar.target)
        live = self._compared(candidates)
        arms = [*candidates, *([live] if live else [])]
        questions = {bundle: self.workspace.question(target, bundle) for bundle in arms}
        proved = self.context.prover(is_plain=True).prove_all(questions.values())
        for bundle in candidates:
            if not (found := proved[questions[bundle]]).is_ready:
                raise found.error()
        if live is None:
            why = NOTHING_LIVE if self.bar.baseline is None else LIVE_ITSELF
            return Baseline("none", why=why), None
        found = proved[questions[live]]
        if found.is_ready:
            return Baseline("fresh"), None
        if not found.dead:
            raise found.error()
        if recorded := self.bar.recorded(live, self.rules.repeats):
            return recorded
        self.context.console.note(
            f"warning: {live} is dead, and its answers to these examples are not on record: "
            "there is nothing to compare with"
        )
        return Baseline("none", why=DEAD), None

    def _beside(self, candidates: Sequence[Bundle]) -> dict[str, Bundle]:
        """Return the arms that `--against` adds to what is live."""
        found: dict[str, Bundle] = {}
        for word in several(self.options.against):
            bundle = None
            if word == BASE:
                bundle = self._base()
            elif word != LIVE:
                bundle = named_bundle(self.context, self.bar, word)
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
        return self.workspace.bundle(base.model, base.profile)

    def _arms(
        self, candidates: Sequence[Bundle], live: Bundle | None, beside: dict[str, Bundle]
    ) -> list[Arm]:
        """List the arms to be asked; a single candidate is called so, several by their bundles."""
        only = len(candidates) == 1
        named = {(CANDIDATE if only else label(bundle)): bundle for bundle in candidates}
        if live is not None:
            named[LIVE] = live
        return [
            Arm(name, bundle, self.workspace.profile(bundle.profile) if bundle.profile else None)
            for name, bundle in (named | beside).items()
        ]

    def _as_proved(self, arm: Arm) -> Arm:
        """Add what the proof of the arm's model found out about how it is asked and answers."""
        prover = self.context.prover()
        target = self.workspace.deployments.find(self.bar.target)
        question = self.workspace.question(target, arm.bundle)
        return replace(
            arm, known_as=prover.known_as(question), limit_field=prover.limit_field(question)
        )

    def _run(self, arms: Sequence[Arm]) -> Run:
        return Run(
            self.bar.task,
            arms,
            self.bar.examples,
            self.rules,
            self.bar.grading,
            address=self.context.settings.base_url if self.context.has_key else "",
            random=Random(),  # noqa: S311  the order of the requests is no secret
        )

    def _log(self, run: Run) -> RunLog:
        log = run_log.open_log(
            self.workspace.folder,
            run,
            now=self.context.clock.now,
            token=secrets.token_hex(3),
            fresh=self.options.fresh,
            max_age=self.reuse,
        )
        if log.resumed:
            self.context.console.note("note: going on with the run that was stopped")
        if log.unlike:
            self.context.console.note(f"note: {log.unlike}")
        return log

    def _ask(self, run: Run, log: RunLog) -> Results:
        from fftdeploy.evaluation.running import online  # it brings in the HTTP client

        prices = self.workspace.policy.prices
        means = self._means(run)
        spending = self._spending(run, means)
        models, asked = plural(len(run.arms), "model"), plural(len(run.examples), "example")
        repeats = f" x {self.rules.repeats}" if self.rules.repeats > 1 else ""
        cost = cost_words(self._estimate(run, means), prices.on)
        self.context.console.note(f"{models} x {asked}{repeats}: at most {cost}")
        try:
            return online.evaluate(
                run,
                self.context.settings,
                log,
                spending,
                concurrency=self.options.concurrency,
                on_progress=_Narrator(self.context),
                on_note=self._tell,
                now=self.context.clock.now,
            )
        except Exception:
            raise
        except BaseException:  # a signal
            self.context.console.leave_progress()
            if run.kept:
                kept = f"{run.kept:,} of {run.size:,} answers are kept"
                self.context.changed = f"{kept}; run it again to go on from there"
            raise

    def _tell(self, what: str) -> None:
        self.context.console.leave_progress()
        self.context.console.note(what)

    def _spending(self, run: Run, means: Mapping[str, Mean]) -> Spending:
        return Spending(
            {name: arm.bundle.model for name, arm in run.arms.items()},
            self.workspace.policy.prices,
            **self.options.within(),
            means=means,
        )

    def _estimate(self, run: Run, means: Mapping[str, Mean]) -> Estimate:
        prices = self.workspace.policy.prices
        return estimate(
            {name: run.size // len(run.arms) for name in run.arms},
            means,
            {name: prices.price(arm.bundle.model) for name, arm in run.arms.items()},
            self.options.concurrency,
        )

    def _means(self, run: Run) -> dict[str, Mean]:
        """Return what an answer of each arm takes: what is on record, or else a guess."""
        known: dict[Bundle, Mean] = {}
        for _, evidence in self.bar.folder.unjudged(self.bar.task):  # the newest first
            for name, column in evidence.results.arms.items():
                bundle = evidence.arms[name]
                if bundle not in known and (mean := measured(column)):
                    known[bundle] = mean
        most = max((mean.tokens_out for mean in known.values()), default=0.0)
        guessed = guess(run.sample(_SAMPLED), tokens_out=most)
        return guessed | {
            name: known[arm.bundle] for name, arm in run.arms.items() if arm.bundle in known
        }


class _Narrator:
    """Tells how far a run is: a moving line on a terminal, a line every 10 % off it."""

    def __init__(self, context: Context) -> None:
        self._console = context.console
        self._monotonic = context.clock.monotonic
        self._tenth = 0
        self._shown_at = float("-inf")

    def __call__(self, progress: Progress) -> None:
        """Take one step of the run."""
        if self._console.shows_progress:
            if self._monotonic() - self._shown_at >= _REFRESH_S or progress.done == progress.total:
                self._shown_at = self._monotonic()
                self._console.progress(progress_words(progress))
            return
        tenth = 10 * progress.done // progress.total
        if progress.done == progress.cached < progress.total:
            return  # nothing was asked yet
        if tenth > self._tenth:
            self._tenth = tenth
            self._console.note(progress_words(progress))


def _require_ranges(options: EvaluateOptions) -> None:
    options.require_sane()
    for name, most in {"repeats": 100, "concurrency": 500}.items():
        value = getattr(options, name)
        if value is not None and not 1 <= value <= most:
            raise UsageError(f"--{name} {value} is not 1 to {most}")
