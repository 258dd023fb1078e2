"""One target's way off its model: what may replace that, what was found out, what became of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Literal

from fftdeploy.api.readiness import Readiness, Shutdown
from fftdeploy.commands.changing.change import Changed
from fftdeploy.commands.evaluate import Evaluated
from fftdeploy.commands.views import ReadinessView, ShutdownView, TargetName
from fftdeploy.errors import (
    OK,
    FftdeployError,
    GateError,
    InconclusiveError,
    Outcome,
    PolicyError,
)
from fftdeploy.evaluation.running.spending import Estimate
from fftdeploy.evaluation.verdict import Verdict
from fftdeploy.names import FLAT
from fftdeploy.output.results import OMITTED, UNPRINTED
from fftdeploy.planning import successors
from fftdeploy.planning.plan import Breach, on_hold
from fftdeploy.planning.successors import Score
from fftdeploy.releases.deployments import Bundle, Hold, Target

if TYPE_CHECKING:
    from fftdeploy.evaluation.evidence.quality_bar import QualityBar

State = Literal[
    "estimated", "recorded", "nothing-to-do", "no-gate", "under-way", "planned", "changed", "failed"
]
UNDER_WAY = "batch-under-way"
"""The code of what a target ends with whose batches are waited for no longer."""
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor:
    """A model and prompt that may replace what is live."""

    bundle: Bundle = field(metadata=FLAT)
    rank: int | None
    """1 for the one to take; None where it is not good enough, or was not compared."""
    readiness: ReadinessView | None
    """None where the API was not asked."""
    hold: Hold | None
    """The hold for which it was not compared."""
    ends: date | None
    """The day of its own end, for which it was not compared: it does not outlive what is live."""
    evaluation: Evaluated | None
    barred: str | None = field(default=None, metadata=OMITTED)
    """Why the policy keeps it out today."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """How the successor that is closest to be good enough falls short, and what would settle it."""

    bundle: Bundle
    headline: str
    parts: tuple[str, ...]
    """The slices and fields in which more broke than was fixed, the surest loss first."""
    examples: tuple[str, ...]
    """IDs of the examples to look at first: those it must pass, then those that broke."""
    settling: str | None


@dataclass(frozen=True, slots=True)
class MigrationProblem:
    """Why a target stays on its model."""

    outcome: str
    code: str
    message: str
    hint: str | None
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What was found out about one target, and what became of it."""

    target: TargetName
    live: Bundle
    readiness: ReadinessView | None
    """What was proved about what is live, without a message to it; None where nobody was asked."""
    shutdown: ShutdownView = field(metadata=FLAT)
    state: State
    examples: int | None
    """None where the task has no gate."""
    too_few: str | None
    """Whom so few examples can't let through."""
    record: str | None
    """ID of the evidence that has live's answers to today's examples."""
    cost: Estimate | None
    """What an evaluation takes at most, before anything is known of the answers."""
    successors: tuple[Successor, ...]
    """Those that are good enough first, by their rank."""
    shortfall: Shortfall | None
    batches: tuple[str, ...]
    """IDs of the batches that are under way at the host."""
    change: Changed | None
    """What makes the best of them live."""
    problem: MigrationProblem | None


@dataclass(eq=False)
class SuccessorCase:
    """One successor while its target is worked on."""

    bundle: Bundle
    hold: Hold | None = None
    known: Readiness | None = None
    """None where the API was not asked."""
    ends: date | None = None
    """The day of its own end, where that is no later than the end of what is live."""
    breach: Breach | None = None
    """For what the policy keeps it out today."""
    evaluation: Evaluated | None = None

    @property
    def is_usable(self) -> bool:
        """Whether it is ready, may come, and outlives what is live."""
        is_unready = self.known is not None and not self.known.is_ready
        return not (is_unready or self.hold or self.ends or self.breach)

    def view(self, rank: int | None, today: date) -> Successor:
        """Return what is known of it by now."""
        return Successor(
            bundle=self.bundle,
            rank=rank,
            readiness=ReadinessView.of(self.known, today),
            hold=self.hold,
            ends=self.ends,
            evaluation=self.evaluation,
            barred=self.breach.message if self.breach else None,
        )


@dataclass
class Case:
    """One target while it is worked on; the first thing that goes wrong ends that."""

    target: Target
    live: Bundle
    bar: "QualityBar | None"
    shutdown: Shutdown | None
    records: bool
    """Whether only what is live is asked, for later."""
    known: Readiness | None = None
    candidates: list[SuccessorCase] = field(default_factory=list)
    best: list[SuccessorCase] = field(default_factory=list)
    """Those that are good enough, the one to take first."""
    cost: Estimate | None = None
    record: str | None = None
    batches: tuple[str, ...] = ()
    change: Changed | None = None
    shortfall: Shortfall | None = None
    error: FftdeployError | None = None
    state: State = "nothing-to-do"

    @property
    def name(self) -> str:
        """The target's name."""
        return str(self.target)

    @property
    def is_open(self) -> bool:
        """Whether there is something to do that nothing has stopped."""
        return self.error is None and self.state not in {"nothing-to-do", "no-gate", "recorded"}

    @property
    def is_dead(self) -> bool:
        """Whether it was proved that what is live does not answer any more."""
        return self.known is not None and self.known.dead

    @contextmanager
    def stopped_by_errors(self, but: tuple[type[FftdeployError], ...] = ()) -> Iterator[None]:
        """Take a failure as this target's own, which stops no other one; `but` those of a kind."""
        try:
            yield
        except but:
            raise
        except FftdeployError as error:
            self.stop(error)

    def stop(self, error: FftdeployError) -> None:
        """Do no more for this target."""
        self.error = error
        self.state = "under-way" if error.code == UNDER_WAY else "failed"

    def is_recorded(self) -> bool:
        """Look for answers of what is live to today's examples: to have them is all of `record`."""
        if self.bar and (found := self.bar.recorded(self.live, self.bar.rules.repeats)):
            self.record = found[0].evidence
            if self.records:
                self.state = "recorded"
        return self.state == "recorded"

    @property
    def usable(self) -> list[Bundle]:
        """What is asked: the successors that are ready, may come, and outlive what is live."""
        if self.records:
            return [self.live]
        return [one.bundle for one in self.candidates if one.is_usable]

    def require_usable(self) -> None:
        """Refuse to go on where no successor is left, for the reason of the first of them."""
        if not self.candidates or self.usable:
            return
        first = self.candidates[0]
        if first.hold:
            raise on_hold(first.bundle, self.target, first.hold)
        if first.ends:
            raise PolicyError(
                f"no successor outlives {self.live.model}: {first.bundle.model} ends {first.ends}",
                hint="name one that does: --to MODEL[@PROFILE]",
                code="runway",
            )
        self.refuse_barred(first)
        if first.known:
            raise first.known.error()

    def refuse_barred(self, candidate: SuccessorCase) -> None:
        """Refuse what the policy keeps out today."""
        if breach := candidate.breach:
            raise PolicyError(f"{self.name}: {breach.message}", hint=breach.way, code=breach.code)

    def choose(self) -> None:
        """Rank the successors that are good enough.

        Raises:
            GateError: There is none.
            InconclusiveError: There is none, and the examples leave one of them open.
        """
        found = {one: one.evaluation for one in self.candidates if one.evaluation}
        scores = {one: _score(made.verdict) for one, made in found.items()}
        self.best = successors.ranked(scores)
        if self.best:
            return
        nearest = successors.closest(scores)
        stored = found[nearest].stored
        self.shortfall = _shortfall(nearest.bundle, stored.verdict)
        is_open = any(one.verdict.ruling == "inconclusive" for one in found.values())
        kind, code = (InconclusiveError, "inconclusive") if is_open else (GateError, "gate")
        none = (
            "the successor is not" if len(scores) == 1 else f"none of {len(scores)} successors is"
        )
        shown = "proved good enough" if is_open else "good enough"
        raise kind(f"{none} {shown}", hint=f"fftdeploy report {stored.short} --open", code=code)

    @property
    def outcome(self) -> Outcome:
        """How it ends."""
        return OK if self.error is None else self.error.outcome

    def view(self, today: date) -> Migration:
        """Return what is known of it by now."""
        ranked = [(one, rank) for rank, one in enumerate(self.best, 1)]
        others = [(one, None) for one in self.candidates if one not in self.best]
        few = self.bar.too_few(self.usable) if self.bar else ""
        problem = None
        if error := self.error:
            said = error.message, error.hint or None, error.details
            problem = MigrationProblem(error.outcome.name, error.code, *said)
        return Migration(
            target=self.name,
            live=self.live,
            readiness=ReadinessView.of(self.known, today),
            shutdown=ShutdownView.of(self.shutdown, today),
            state=self.state,
            examples=len(self.bar.examples) if self.bar else None,
            too_few=few or None,
            record=self.record,
            cost=self.cost,
            successors=tuple(one.view(rank, today) for one, rank in (*ranked, *others)),
            shortfall=self.shortfall,
            batches=self.batches,
            change=self.change,
            problem=problem,
        )


@dataclass(frozen=True, slots=True)
class DraftedProfile:
    """A prompt that was drafted, and what it shows."""

    task: str
    profile: str
    path: str
    examples: int
    """Reviewed examples that it was made from."""
    shots: tuple[str, ...]
    """IDs of the examples that it shows, which don't judge it."""
    not_shown: tuple[str, ...]
    """Values of closed sets and slices that no shot has."""
    judge: str = field(metadata=UNPRINTED)
    """The line that has it judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """What was found out about each target, in the order in which they are changed."""

    dry_run: bool
    targets: tuple[Migration, ...]
    cost: Estimate | None
    """Of all of them together; None where there is nothing to ask."""
    diff: str
    """What the planned changes make of the file together, unified; "" for nothing."""
    drafts: tuple[DraftedProfile, ...] | None = field(default=None, metadata=OMITTED)
    """The prompts that were written, where that was all that was asked for."""
    written: str | None = None
    """Where a page about it was written."""
    outcome: Outcome = field(metadata=UNPRINTED)
    prices_on: date | None = field(metadata=UNPRINTED)
    within_days: int = field(metadata=UNPRINTED)


def in_all(costs: list[Estimate]) -> Estimate | None:
    """Return what several evaluations, one after the other, take together; None for none."""
    usds = [cost.usd for cost in costs if cost.usd is not None]
    if not costs:
        return None
    return Estimate(
        requests=sum(cost.requests for cost in costs),
        tokens_in=sum(cost.tokens_in for cost in costs),
        tokens_out=sum(cost.tokens_out for cost in costs),
        usd=sum(usds) if len(usds) == len(costs) else None,
        seconds=sum(cost.seconds for cost in costs),
        is_guess=any(cost.is_guess for cost in costs),
    )


def verdict_words(verdict: Verdict) -> str:
    """Say in a word or three how a successor was judged."""
    return "not good enough" if verdict.ruling == "fail" else verdict.label.replace("-", " ")


def _score(verdict: Verdict) -> Score:
    """Score a successor: only what met the bar counts, whatever else the gate lets through."""
    arm, compared = verdict.candidate, verdict.comparison
    return Score(
        is_good_enough=verdict.ruling == "pass",
        cost=arm.cost,
        p95_ms=arm.p95_latency_ms,
        lower=compared.lower if compared else arm.rate - 1,
    )


def _shortfall(bundle: Bundle, verdict: Verdict) -> Shortfall:
    lost = [one for one in verdict.slices if one.broke > one.fixed]
    lost.sort(key=lambda one: (not one.is_harmed, one.p, one.lower))
    parts = [f"{one.name}: {one.broke} broke, {one.fixed} fixed of {one.n}" for one in lost]
    examples = dict.fromkeys((*verdict.must_pass_failed, *verdict.broke))
    settling = verdict.settling or None
    return Shortfall(bundle, verdict.headline, tuple(parts[:_NAMED]), (*examples,), settling)
