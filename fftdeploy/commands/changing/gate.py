"""The gate of a promotion: evidence that is about exactly this, or the offer to get it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fftdeploy.commands.changing.change import Change
from fftdeploy.commands.views import CountedEvidence
from fftdeploy.errors import FftdeployError, GateError, InconclusiveError
from fftdeploy.evaluation.arms import label
from fftdeploy.evaluation.limits import Limits
from fftdeploy.output.words import cost_words
from fftdeploy.releases.deployments import Bundle

if TYPE_CHECKING:  # a task without a gate pays for none of it
    from fftdeploy.evaluation.evidence.evidence_folder import Stored
    from fftdeploy.evaluation.evidence.quality_bar import QualityBar

INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Passed:
    """What the gate gave to go on with."""

    evidence: str | None = None
    overrides: tuple[str, ...] = ()
    counted: CountedEvidence | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate of one change of a target whose task has one.

    `live_is_dead` proves that what is live is dead, for evidence that rests on it.
    """

    change: Change
    is_protected: bool
    live_is_dead: Callable[[], bool]
    is_default: bool = False
    """Whether the candidate is what `eval TARGET` takes without being told."""
    overrides: tuple[str, ...] = ()
    evaluate: bool = False
    """Evaluate where there is no evidence, without asking (`--eval`)."""
    limits: Limits = field(default_factory=Limits)

    def check_examples(self) -> None:
        """Refuse, before the API is asked anything, examples and graders that are not usable."""
        if self.is_protected:
            bar = self._bar()
            _ = bar.examples
            bar.require_enough()

    def ask(self, candidate: Bundle) -> Passed:
        """Return the evidence that lets `candidate` through.

        Raises:
            ConfigError: The evidence that would count was edited.
            GateError: It does not meet the bar.
            InconclusiveError: The examples do not settle it, or there is no evidence.
        """
        bar = self._bar()
        if not self.is_protected:
            return self._recorded(bar, candidate)
        stored = self._look(bar, candidate)
        if isinstance(stored, str):
            stored = self._evaluate(candidate, stored)
            self.change.learn(judged=stored)
            # What was just made is held against the bar, too: clocks and files move.
            if wrong := bar.problem(stored.evidence, candidate, bar.baseline):
                raise InconclusiveError(
                    f"evidence {stored.short} does not count: {wrong}",
                    hint=f"fftdeploy eval {self.change.name} --fresh",
                    code="no-evidence",
                )
        return self._judged(bar, stored)

    def _bar(self) -> "QualityBar":
        return self.change.context.quality_bar(self.change.workspace, self.change.name)

    def _recorded(self, bar: "QualityBar", candidate: Bundle) -> Passed:
        """Record evidence that fits where none is asked for; nothing about it stops anything."""
        if not bar.folder.paths(bar.task):
            return Passed()
        try:
            found = self._look(bar, candidate)
        except FftdeployError as error:
            self.change.context.console.note(f"warning: no evidence recorded: {error.message}")
            return Passed()
        if isinstance(found, str):
            return Passed()
        return Passed(found.id, counted=_counted(found))

    def _look(self, bar: "QualityBar", candidate: Bundle) -> "Stored | str":
        """Return the evidence that counts, or why there is none."""
        found = bar.look(candidate, bar.baseline)
        if isinstance(found, str):
            return found
        if found.rests_on_death and not self.live_is_dead():
            wrong = "what is live was dead for it, and is not"
            return f"evidence {found.short} does not count: {wrong}"
        return found

    def _evaluate(self, candidate: Bundle, why: str) -> "Stored":
        """Evaluate now, if that is asked for on the command line or by the person who is here."""
        from fftdeploy.commands.evaluating.evaluation import Evaluation
        from fftdeploy.commands.options.asking import EvaluateOptions

        change = self.change
        console = change.context.console
        options = EvaluateOptions(change.name, **self.limits.within())
        evaluation = Evaluation(change.context, change.workspace, change.name, options)
        is_dry, wanted = change.options.dry_run, self.evaluate
        said = f"{change.name} is protected, and {why}"
        if not is_dry and not wanted and change.may_ask:
            cost = cost_words(evaluation.estimate([candidate]), change.workspace.policy.prices.on)
            console.note(f"{said}; an evaluation takes {cost}")
            wanted = console.ask("evaluate now? [y/N]").lower() in {"y", "yes"}
            evaluation.narrator.has_asked = True
            said = "not evaluated; nothing was changed"
        if wanted and not is_dry:
            return evaluation.run([candidate])[0]
        named = "" if self.is_default else f" {label(candidate)}{'' if candidate.profile else '@'}"
        hint = f"fftdeploy eval {change.name}{named}"
        if not wanted:
            limit = ""
            if change.options.approve is None and not is_dry:
                limit = f" --max-requests {evaluation.estimate([candidate]).requests}"
            raise InconclusiveError(said, hint=f"{hint}, or add --eval{limit}", code="no-evidence")
        cost = cost_words(evaluation.rehearse([candidate]), change.workspace.policy.prices.on)
        error = InconclusiveError(f"{said}; a dry run asks for none", hint=hint, code="no-evidence")
        error.details = (f"without --dry-run it is made now, with at most {cost}",)
        raise error

    def _judged(self, bar: "QualityBar", stored: "Stored") -> Passed:
        verdict = stored.verdict
        self.change.learn(verdict=verdict)
        shown = f"evidence {stored.short}: {verdict.headline}"
        if verdict.ruling == "pass" or verdict.reports_only:
            return Passed(stored.id, counted=_counted(stored))
        see = f"fftdeploy report {stored.short} --open"
        if verdict.ruling == "fail":
            raise self._refused(GateError(shown, hint=see, code="gate"), stored)
        if bar.rules.on_inconclusive == "allow" and verdict.may_be_allowed:
            return Passed(stored.id, counted=_counted(stored))
        if INCONCLUSIVE in self.overrides:
            return Passed(stored.id, (INCONCLUSIVE,), _counted(stored))
        unsettled = {reason.code for reason in verdict.reasons if reason.rules == "inconclusive"}
        if unsettled == {"latency"}:  # more examples settle nothing that was not measured
            see = f"fftdeploy eval {self.change.name} --fresh"
        error = InconclusiveError(shown, hint=verdict.settling or see, code="inconclusive")
        raise self._refused(error, stored)

    def _refused(self, error: FftdeployError, stored: "Stored") -> FftdeployError:
        """Add why answers failed, where it is not plainly that they were wrong."""
        from fftdeploy.evaluation.gate.wording import failures

        self.change.learn(judged=stored)
        error.details = tuple(text for arm in stored.verdict.arms if (text := failures(arm)))
        return error


def _counted(stored: "Stored") -> CountedEvidence:
    """Say in a line what was found; `report` says it all."""
    verdict, found = stored.verdict, stored.verdict.comparison
    passed = verdict.ruling == "pass"
    if found is None or not passed:
        return CountedEvidence(passed, verdict.ruling, verdict.headline, stored.short)
    said = f"{found.broke} broke, {found.fixed} fixed of {found.n}"
    return CountedEvidence(passed, found.label.replace("-", " "), said, stored.short)
