"""Check: everything the files and the API prove, and one outcome for it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from fftdeploy.api.readiness import Readiness, Shutdown
from fftdeploy.commands.context import Context, one_of
from fftdeploy.commands.door import door
from fftdeploy.commands.exporting.places import stale_exports
from fftdeploy.commands.inspecting.checked_tasks import (
    CheckedTask,
    check_tasks,
    evaluation_due,
    is_recorded,
)
from fftdeploy.commands.inspecting.live_models import LiveModels, facts_of, shutdowns_of, unproved
from fftdeploy.commands.options.asking import CheckOptions
from fftdeploy.commands.views import TargetName
from fftdeploy.errors import (
    AUTH,
    FINDING,
    OK,
    UNVERIFIED,
    ConfigError,
    FftdeployError,
    Outcome,
    UsageError,
)
from fftdeploy.output.results import OMITTED, UNPRINTED
from fftdeploy.planning import fallbacks, findings
from fftdeploy.planning.bundles import live_bundle
from fftdeploy.planning.finding import Finding, Severity
from fftdeploy.planning.finding_facts import FindingFacts
from fftdeploy.pull_request import second_files
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.workspace import Workspace, select

if TYPE_CHECKING:  # `check` without a base compares with nothing
    from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder, Stored
    from fftdeploy.evaluation.evidence.quality_bar import QualityBar
    from fftdeploy.pull_request.changes import TargetChange
    from fftdeploy.pull_request.proposal import Proposal

_AT_ONCE = 20
_GRAVEST = (FINDING, AUTH, UNVERIFIED, OK)


@dataclass(frozen=True, slots=True)
class CheckedTarget:
    """A target, and whether its live model was proved to be ready."""

    target: TargetName
    model: str
    readiness: str


@dataclass(frozen=True, slots=True)
class ComparedBase:
    """What a change is to be merged into."""

    ref: str
    commit: str
    merge_base: str


@dataclass(frozen=True, slots=True)
class ProposedChange:
    """One thing that a change does to a target."""

    target: str
    kind: str
    message: str
    release: int | None
    model: str | None
    previous: str | None
    evidence: str | None
    standing: str | None
    """Who saw the evidence made: `base`, `this job`, `workflow`, `claimed`, `re-run`."""
    ruling: str | None
    change: "TargetChange" = field(metadata=UNPRINTED)
    stored: "Stored | None" = field(metadata=UNPRINTED)
    is_wrong: bool = field(metadata=UNPRINTED)


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """What a change does in a deployments file that lies elsewhere in the tree."""

    file: str
    base: ComparedBase
    changes: tuple[ProposedChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found; the gravest finding is the outcome."""

    verified: bool
    """Whether the API was asked about every live model."""
    unverified_because: str | None
    targets: tuple[CheckedTarget, ...]
    tasks: tuple[CheckedTask, ...] = ()
    base: ComparedBase | None = field(default=None, metadata=OMITTED)
    changes: tuple[ProposedChange, ...] | None = field(default=None, metadata=OMITTED)
    elsewhere: tuple[CheckedFile, ...] | None = field(default=None, metadata=OMITTED)
    findings: tuple[Finding, ...] = field(metadata=UNPRINTED)
    outcome: Outcome = field(metadata=UNPRINTED)
    shutdowns: Mapping[str, Shutdown | None] = field(default_factory=dict, metadata=UNPRINTED)
    """Of what the change makes live in each target, and of the canary that it starts there."""
    facts: FindingFacts = field(metadata=UNPRINTED)


def run(context: Context, options: CheckOptions) -> Checked:
    """Check both files, their history, and that what is live works.

    With `base`, also what the working tree changes, by the files of that ref.

    Raises:
        UsageError: There is no such base, or no targets of that name.
        ConfigError: A file is not valid.
        FftdeployError: With `rerun`, what kept the evaluation from being made.
    """
    options.require_sane()
    one_of({"--offline": options.offline, "--probe": options.probe})
    trusted = {"--rerun": options.rerun, "--accept-claimed": options.accept_claimed}
    one_of({**trusted, "--offline": options.offline and options.rerun})
    beside = {"--allow-policy-change": options.allow_policy_change, **trusted}
    given = [*(flag for flag, value in beside.items() if value), *options.given]
    if options.base is None and given:
        raise UsageError(f"{given[0]} goes with --base", hint="fftdeploy check --base origin/main")
    return _Check(context, options).run()


check = door(run, CheckOptions)


class _Check:
    """One run of `check`; it looks at everything before it says anything."""

    def __init__(self, context: Context, options: CheckOptions, *, is_second: bool = False) -> None:
        """Take what to check; `is_second` is a file that lies elsewhere than the one asked for."""
        self.context = context
        self.options = options
        self.is_second = is_second
        self.elsewhere: list[CheckedFile] = []
        self.tasks: tuple[CheckedTask, ...] = ()
        self.bars: dict[str, QualityBar] = {}

    @cached_property
    def workspace(self) -> Workspace:
        """The files of the working tree."""
        return self.context.workspace

    @cached_property
    def targets(self) -> list[Target]:
        """The targets that are looked at."""
        return select(self.workspace.deployments, self.options.targets)

    @cached_property
    def asked(self) -> list[Target]:
        """The targets whose hosts are asked about them."""
        if self.options.offline:
            return []
        able = [target for target in self.targets if self.context.can_ask_about(target)]
        for target in self.targets[:1] if self.options.probe and not able else ():
            self.context.prover().at(target.provider, target.environment)  # it says what lacks
        return self.targets if self.options.probe else able

    @property
    def _unasked(self) -> str:
        """Say why no model is asked about; "" where the live ones are."""
        if self.options.offline:
            return "--offline"
        return self.context.lacking(self.targets) if self.targets else "there are no targets"

    def run(self) -> Checked:
        _ = self.workspace.policy  # what is wrong with a file costs no request
        for target in self.targets:
            live_bundle(target, self.workspace.sha)
        self.tasks, few = check_tasks(self._bars())
        if self.options.base is None:
            return self._judge(None, few)
        from fftdeploy.pull_request.base_ref import open_base
        from fftdeploy.pull_request.proposal import Proposal

        with open_base(self.workspace, self.options.base, self.context.environ) as base:
            place = self.context.place
            return self._judge(Proposal(self.workspace, base, place, is_second=self.is_second))

    def _judge(self, proposal: "Proposal | None", few: Iterable[Finding] = ()) -> Checked:
        changed = set(proposal.made_live) if proposal else set()
        readiness = self._ask(changed) if self.asked else {}
        shutdowns = shutdowns_of(self.context, self.targets, readiness)
        self.context.note_old_table(found.source for found in shutdowns.values() if found)
        facts = replace(
            facts_of(self.context),
            readiness=readiness,
            shutdowns=shutdowns,
            shutdown_of=lambda bundle: self.context.shutdown(bundle, None),
            evidence_problem=lambda task, evidence: self._evidence().problem_of(task, evidence),
            is_judged=lambda task, bundle: self._evidence().is_judged(task, bundle),
            is_recorded=partial(is_recorded, self.bars),
            evaluation_due=partial(evaluation_due, self.bars),
        )
        against: list[Finding] = []
        if proposal is not None:
            facts = facts.of_a_change(proposal.base.tip.policy)
            against = self._judge_proposal(proposal, facts)
        found = [*findings.without_twins(against, findings.find(facts, self.targets)), *few]
        base = proposal.base if proposal else None
        flag = "" if self.is_second else self.context.file_option  # which is added later
        found += stale_exports(self.context, base, flag, leave=self.options.allow_policy_change)
        found += fallbacks.find(facts, self.targets, self.workspace.fallbacks)
        outcome = _outcome(found, fallbacks.serving(readiness))
        if not self.is_second:
            second, ends = self._second_files(proposal)
            found = [*found, *second]
            outcome = min(outcome, _outcome(found, {}), *ends, key=_GRAVEST.index)
        states = {name: known.state for name, known in readiness.items()}
        result = Checked(
            verified=not self._unasked,
            unverified_because=self._unasked or None,
            targets=tuple(
                CheckedTarget(str(one), one.model, states.get(str(one), "not-asked"))
                for one in self.targets
            ),
            tasks=self.tasks,
            findings=tuple(found),
            outcome=outcome,
            facts=facts,
        )
        if proposal is None or base is None:
            return result
        return replace(
            result,
            base=ComparedBase(base.ref, base.commit, base.parted),
            changes=_changes(proposal, found),
            elsewhere=None if self.is_second else tuple(self.elsewhere),
            shutdowns={n: shutdowns[n] for n in proposal.in_question if n in shutdowns},
        )

    def _judge_proposal(self, proposal: "Proposal", known: FindingFacts) -> list[Finding]:
        """List what speaks against a change."""
        from fftdeploy.pull_request.evidence import ProposedEvidence, Trust

        base, options = proposal.base, self.options

        def evaluate(target: Target, candidate: Bundle) -> "Stored":
            from fftdeploy.commands.evaluating.evaluation import Evaluation
            from fftdeploy.commands.options.asking import EvaluateOptions

            again = EvaluateOptions(str(target), fresh=True, **options.within())
            evaluation = Evaluation(self.context, base.tip, str(target), again)
            return evaluation.run([candidate])[0]

        evidence = ProposedEvidence(
            self.workspace,
            base,
            proposal.facts(known, self.context.prover() if self.asked else None),
            Trust(options.accept_claimed, evaluate if options.rerun else None, options.offline),
            self.context.quality_bar,
            self.context.environ,
        )
        return proposal.findings(
            evidence,
            known.readiness,
            self.context.shown,
            allow_policy_change=options.allow_policy_change,
        )

    def _second_files(self, proposal: "Proposal | None") -> tuple[list[Finding], list[Outcome]]:
        """Find deployments files elsewhere in the tree, and judge those that the change touches."""
        if proposal is None:
            try:
                there = second_files.tracked(self.workspace, self.context.environ)
            except UsageError as error:
                self.context.console.note(f"note: not looked for a second file: {error.message}")
                return [], []
            return [second_files.notice(path, self.context.shown(path)) for path in there], []
        elsewhere = proposal.elsewhere
        there = [path for path in elsewhere.there if path not in elsewhere.added]
        found = [second_files.notice(path, self.context.shown(path)) for path in there]
        ends = []
        for path in elsewhere.touched:
            options = replace(self.options, targets=())
            other = _Check(self.context.about(path), options, is_second=True)
            name = self.context.shown(path)
            try:
                end = other.run()
            except ConfigError as error:
                found += self._unjudged(path, error, proposal)
                continue
            found += [second_files.of_file(name, finding) for finding in end.findings]
            ends.append(end.outcome)
            assert end.base is not None  # noqa: S101 - it was compared with one
            self.elsewhere.append(CheckedFile(name, end.base, end.changes or ()))
        return found, ends

    def _unjudged(self, path: str, error: FftdeployError, proposal: "Proposal") -> list[Finding]:
        """Refuse a file that is no valid one, unless it is a regular file that is as it was."""
        needs_leave = proposal.base.differs(path) and not self.options.allow_policy_change
        name = self.context.shown(path)
        message = f"{path} cannot be judged: {error.message}"
        severity: Severity = "error" if needs_leave else "notice"
        return [Finding(second_files.CODE, severity, name, message, name, 1, error.hint)]

    def _bars(self) -> "Iterator[QualityBar]":
        """Yield the quality bar of every task that has a gate, and is looked at."""
        tasks = [target.task for target in self.targets]
        if not self.options.targets:  # those that wait for their first target, too
            tasks += self.workspace.policy.tasks
        for task in dict.fromkeys(tasks):
            if self.workspace.policy.gate(task) is not None:
                self.bars[task] = self.context.quality_bar(self.workspace, f"{task}/")
                yield self.bars[task]

    def _evidence(self) -> "EvidenceFolder":
        from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder

        return EvidenceFolder(self.workspace.folder)

    def _ask(self, changed: set[str]) -> dict[str, Readiness]:
        """Return what was proved about live models; the `changed` ones answer, or it is unknown."""
        asked = changed | set(map(str, self.asked))
        chosen = [target for target in self.targets if str(target) in asked]
        models = LiveModels(self.context, chosen, self.context.prover(concurrency=_AT_ONCE))
        return models.prove() if self.options.probe else models.look_up(changed)


def _changes(proposal: "Proposal", found: list[Finding]) -> tuple[ProposedChange, ...]:
    """Return what the change does, each with the evidence that was judged with it."""
    wrong = {(f.subject, f.line) for f in found if f.severity == "error"}
    made = []
    for change in proposal.changes:
        release = change.release
        stored, standing = proposal.evidence_of(change)
        made.append(
            ProposedChange(
                target=str(change.target),
                kind=change.kind,
                message=change.message,
                release=release.n if release else None,
                model=release.bundle.model if release else None,
                previous=change.before.model if change.before else None,
                evidence=stored.id if stored else None,
                standing=standing,
                ruling=stored.verdict.ruling if stored else None,
                change=change,
                stored=stored,
                is_wrong=proposal.place_of(change) in wrong,
            )
        )
    return tuple(made)


def _outcome(found: list[Finding], readiness: dict[str, Readiness]) -> Outcome:
    """Return the gravest outcome: 12 before 10 before 9 before 0."""
    is_wrong = any(finding.severity == "error" for finding in found)
    return FINDING if is_wrong else unproved(readiness.values())
