"""Status: what is live, until when, and what one could go back to today."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from fftdeploy import files
from fftdeploy.api.proof import Question
from fftdeploy.api.readiness import GONE, OTHER_MODEL, Readiness, Shutdown
from fftdeploy.commands.context import Context
from fftdeploy.commands.door import door
from fftdeploy.commands.evaluating.own_runs import has_own_looks
from fftdeploy.commands.inspecting.checked_tasks import evaluation_due
from fftdeploy.commands.inspecting.conditions import parse_conditions
from fftdeploy.commands.inspecting.live_models import (
    WayBackSearch,
    facts_of,
    unproved,
    what_is_dead,
)
from fftdeploy.commands.inspecting.target_status import TargetStatus
from fftdeploy.commands.options.looking import StatusOptions
from fftdeploy.commands.views import CanaryView, Fallback, ReadinessView, ShutdownView, WayBack
from fftdeploy.errors import FINDING, OK, UNVERIFIED, FftdeployError, Outcome, UsageError
from fftdeploy.monitoring.last_look import LastLook, last_look
from fftdeploy.output.results import OMITTED, UNPRINTED
from fftdeploy.planning import bundles, findings
from fftdeploy.planning.fallbacks import fallback_problem
from fftdeploy.planning.finding import Finding
from fftdeploy.planning.rollback import Candidate, rollback_candidates
from fftdeploy.planning.runway import Runway, lasts
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.workspace import Questions, select, shown_path

if TYPE_CHECKING:  # nobody needs one whose models last
    from fftdeploy.evaluation.evidence.quality_bar import QualityBar

_AT_ONCE = 10
"""Most releases that are asked about for one target's sake alone."""
NEVER = -(10**6)
"""Days within which nothing ends: no runway was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is live; with `fail_on`, what of it is due."""

    verified: bool
    """Whether the API was asked."""
    unverified_because: str | None
    """Why some model was not asked about."""
    lacking: str = field(metadata=UNPRINTED)
    """Which keys lack to ask about all of them."""
    targets: tuple[TargetStatus, ...]
    findings: tuple[Finding, ...] = field(metadata=UNPRINTED)
    outcome: Outcome = field(metadata=UNPRINTED)
    unwatched: tuple[str, ...] = field(metadata=UNPRINTED)
    at: datetime = field(metadata=UNPRINTED)
    calendar: str | None = field(default=None, metadata=OMITTED)
    """The file that the days of all shutdowns were written to."""


def run(context: Context, options: StatusOptions) -> Status:
    """Show what is live, until when, and what one can go back to.

    Nothing that is found or can't be found out is a failure unless `fail_on` asks for it.

    Raises:
        UsageError: There are no targets of that name, or no such condition.
        ConfigError: A file is not valid.
        DiskError: The calendar could not be written.
    """
    if options.calendar is not None and Path(options.calendar).suffix != ".ics":
        raise UsageError(f"{str(options.calendar)!a} is no calendar", hint="name it shutdowns.ics")
    result = _Survey(context, options).run()
    dates = (view for one in result.targets for view in (one.shutdown, one.rollback_shutdown))
    context.note_old_table(view.shutdown_source for view in dates)
    if options.calendar is None:
        return result
    from fftdeploy.commands.inspecting.shutdown_days import shutdown_days

    path = Path.cwd() / options.calendar
    files.put(path, shutdown_days(result.targets, result.at, context.secrets).encode())
    return replace(result, calendar=shown_path(path))


status = door(run, StatusOptions)


class _Survey:
    """One run of `status`."""

    def __init__(self, context: Context, options: StatusOptions) -> None:
        self.context = context
        self.options = options
        self.workspace = context.workspace
        self.conditions = parse_conditions(options.fail_on)
        chosen = select(self.workspace.deployments, options.targets)
        self.targets = self.workspace.in_order(chosen)
        is_close = options.every_way_back and len(self.targets) == 1
        self.asked_at_once = _AT_ONCE if is_close else 0
        self.is_online = not options.offline and any(map(context.can_ask_about, self.targets))
        self.proofs: dict[Question, Readiness] = {}
        """Empty where nobody was asked."""
        self.bars: dict[str, QualityBar] = {}
        self.has_own_looks = has_own_looks(context, is_needed="drift" in self.conditions)

    def run(self) -> Status:
        _ = self.workspace.policy  # a policy that is not valid is worth knowing here, too
        now, sha = self.context.now(), self.workspace.sha
        searches = [
            WayBackSearch(
                target, bundles.live_bundle(target, sha), rollback_candidates(target, sha, now)
            )
            for target in self.targets
        ]
        if self.is_online:
            self._ask(searches)
        else:
            for search in searches:
                search.chosen = next(search.open(), None)
        failed = tuple(finding for search in searches for finding in self._failures(search))
        lacking = "" if self.options.offline else self.context.lacking(self.targets)
        return Status(
            verified=self.is_online,
            unverified_because=("--offline" if self.options.offline else lacking) or None,
            lacking=lacking,
            targets=tuple(map(self._target, searches)),
            findings=failed,
            outcome=FINDING if failed else self._unproved(),
            unwatched=tuple(str(one) for one in self.targets if self._is_unwatched(one)),
            at=self.context.now(),
        )

    def _unproved(self) -> Outcome:
        """Return 10 or 9 where `--fail-on` was to find out something and the API did not tell."""
        if any(map(self._is_unwatched, self.targets)):
            return UNVERIFIED
        return unproved(self.proofs.values()) if self.conditions else OK

    def _is_unwatched(self, target: Target) -> bool:
        is_asked, look = "drift" in self.conditions and self._bar(target), self._last_look(target)
        return bool(is_asked) and (look is None or look.is_unknown(self.context.now()))

    def _ask(self, searches: list[WayBackSearch]) -> None:
        """Prove what is live and, for each target, candidates until one answers.

        Each round asks about one more candidate of every target that still needs one, so the
        number of rounds is the depth of the deepest search, not the number of targets.  All
        rounds share one deadline: a search that meets it has found nothing out.
        """
        prover = self.context.prover()
        deadline = prover.deadline()
        going_on = [(search, search.open()) for search in searches]
        asked = [(search.target, search.live) for search in searches]
        for search in searches:
            if tried := bundles.tried_bundle(search.target, self.workspace.sha):
                asked.append((search.target, tried))
            spare = self.workspace.fallbacks(search.target.task)
            asked += ((search.target, bundle) for bundle in spare)
            ways = islice(search.open_bundles(), self.asked_at_once)
            asked += ((search.target, bundle) for bundle in ways)
        while going_on:
            looked_at = [(search, left, next(left, None)) for search, left in going_on]
            asked += [
                (search.target, found.bundle)
                for search, _, found in looked_at
                if found and found.fate == "ask"
            ]
            questions = [self._questions.about(*each) for each in asked]
            new = [question for question in questions if question not in self.proofs]
            self.proofs |= prover.prove_all(new, deadline=deadline)
            asked = []
            going_on = [(one, left) for one, left, found in looked_at if self._passes(one, found)]

    def _passes(self, search: WayBackSearch, candidate: Candidate | None) -> bool:
        """Tell whether `candidate` is passed over; else `search` ends with it."""
        known = self._readiness(search.target, candidate.bundle) if candidate else None
        if candidate and candidate.fate == "ask" and known and known.state == "not-ready":
            search.skipped.append(candidate)
            return True
        search.chosen = candidate
        return False

    @cached_property
    def _questions(self) -> Questions:
        return Questions(self.workspace, self.targets, self.context.providers.keyed)

    def _readiness(self, target: Target, bundle: Bundle) -> Readiness | None:
        return self.proofs.get(self._questions.about(target, bundle)) if self.proofs else None

    def _shutdown(self, target: Target, bundle: Bundle) -> Shutdown | None:
        return self.context.shutdown(bundle, self._readiness(target, bundle))

    def _failures(self, search: WayBackSearch) -> Iterator[Finding]:
        """Find what `fail_on` asks for in one target."""
        target, known = search.target, self._readiness(search.target, search.live)
        facts = facts_of(self.context)
        due = findings.STALE in self.conditions and self._evaluation_due(target)
        look = self._last_look(target) if "drift" in self.conditions else None
        tried = bundles.tried_bundle(target, facts.shas)
        failures = {
            "drift": f"drift, found {look.settled_at:%Y-%m-%d}"
            if look and look.has_drifted
            else "",
            findings.STALE: due or "",
            "dead": what_is_dead(known, self._readiness(target, tried) if tried else None),
            "no-rollback": search.problem,
        }
        edited = findings.hand_edit(facts, target)
        if edited and "hand-edit" in self.conditions:
            yield edited
        if self.conditions and known and known.code == OTHER_MODEL:  # no condition makes it right
            yield facts.about(target, known.code, known.message, "error", known.hint)
        other = findings.another_model(facts, target) if self.conditions and known else None
        if other and other.severity == "error":
            yield other
        for code, message in self._runway(search).due(
            facts.now.date(), self.conditions.get("runway", NEVER)
        ):
            yield facts.about(target, code, message)
        for code, message in failures.items():
            if message and code in self.conditions:
                yield facts.about(target, code, message)

    def _runway(self, search: WayBackSearch) -> Runway:
        """Return when the live model ends, the one that a rollback would go to, and the judge."""
        target, back = search.target, search.chosen
        live, gate = self._shutdown(target, search.live), self.workspace.policy.gate(target.task)
        judge = self.context.shutdown(gate.judge, None) if gate and gate.judge else None
        if back is None:
            return Runway(live, judge=judge)
        return Runway(live, self._shutdown(target, back.bundle), back.release.n, judge)

    def _target(self, search: WayBackSearch) -> TargetStatus:
        target = search.target
        task = self.workspace.policy.tasks.get(target.task)
        runway, today = self._runway(search), self.context.now().date()
        shutdown = runway.live
        recorded = self._is_recorded(target, shutdown)
        return TargetStatus(
            target=str(target),
            live=search.live,
            recorded=bundles.is_recorded(target, search.live),
            release=target.newest,
            readiness=self._view(target, search.live),
            shutdown=ShutdownView.of(shutdown, today),
            canary=self._canary(target),
            rollback=self._way_back(target, search.chosen) if search.chosen else None,
            rollback_shutdown=ShutdownView.of(runway.way_back, today),
            rollback_outlives=shutdown is None or self._outlives(search, shutdown),
            answers_recorded=recorded,
            evaluation_due=None if recorded is False else self._evaluation_due(target),
            fallback=self._fallback(search),
            watched=self._last_look(target),
            owner=task.owner or None if task else None,
            description=task.description or None if task else None,
            holds=target.holds,
            passed_over=self._ways_back(target, search.skipped),
            ways_back=self._ways_back(target, search.candidates) if self.asked_at_once else (),
            releases_on_hold=sum(candidate.fate == "held" for candidate in search.candidates),
        )

    def _canary(self, target: Target) -> CanaryView | None:
        tried, line = bundles.tried_bundle(target, self.workspace.sha), target.canary
        if tried is None or line is None:
            return None
        row, known = target.canary_release, self._view(target, tried)
        recorded = row is not None and row.bundle == tried
        ends = ShutdownView.of(self._shutdown(target, tried), self.context.now().date())
        return CanaryView(tried, line.weight, line.since, recorded, known, ends)

    def _fallback(self, search: WayBackSearch) -> Fallback | None:
        """Return the first that would take over; where none would, the first of all."""
        target, live, now = search.target, search.live, self.context.now()
        known = self._readiness(target, live)
        is_gone = known is not None and known.code in GONE
        found = []
        for bundle in self.workspace.fallbacks(target.task):
            its = self._readiness(target, bundle)
            problem = fallback_problem(target, bundle, live, its, now) or None
            is_taken = is_gone and not problem
            found.append(Fallback(bundle, self._view(target, bundle), is_taken, problem))
        return next((one for one in found if not one.problem), next(iter(found), None))

    def _is_recorded(self, target: Target, live: Shutdown | None) -> bool | None:
        """Look for a record of answers, while there is time to make one."""
        if lasts(live, self.context.now().date()) or not (bar := self._bar(target)):
            return None
        try:
            return bar.has_record(target)
        except FftdeployError:  # `check` says what is wrong with the examples
            return None

    def _last_look(self, target: Target) -> LastLook | None:
        if not self.has_own_looks:
            return None
        live = bundles.live_bundle(target, self.workspace.sha)
        return last_look(self.workspace.folder, str(target), live)

    def _evaluation_due(self, target: Target) -> str | None:
        if not self.workspace.policy.rules(target.environment).protected or not self._bar(target):
            return None
        try:
            return evaluation_due(self.bars, target) or None
        except FftdeployError:  # as above
            return None

    def _bar(self, target: Target) -> "QualityBar | None":
        if target.task not in self.bars and self.workspace.policy.gate(target.task):
            self.bars[target.task] = self.context.quality_bar(self.workspace, str(target))
        return self.bars.get(target.task)

    def _view(self, target: Target, bundle: Bundle) -> ReadinessView | None:
        return ReadinessView.of(self._readiness(target, bundle), self.context.now().date())

    def _way_back(self, target: Target, candidate: Candidate) -> WayBack:
        return WayBack.of(candidate, self._view(target, candidate.bundle))

    def _ways_back(self, target: Target, found: Iterable[Candidate]) -> tuple[WayBack, ...]:
        return tuple(self._way_back(target, candidate) for candidate in found)

    def _outlives(self, search: WayBackSearch, live: Shutdown) -> bool:
        """Tell whether a way back ends later than the live model, or on no day that is known."""
        skipped = {candidate.release.n for candidate in search.skipped}
        ways = [c for c in search.candidates if c.fate == "ask" and c.release.n not in skipped]
        dates = [self._shutdown(search.target, candidate.bundle) for candidate in ways]
        return any(shutdown is None or shutdown.date > live.date for shutdown in dates)
