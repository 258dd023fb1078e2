"""Migrate: hold each dying model against its successors, and make the best of them live."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from sys import maxsize

from fftdeploy import files
from fftdeploy.api.readiness import Readiness
from fftdeploy.commands import promote
from fftdeploy.commands.changing.change import Change
from fftdeploy.commands.context import Context, one_of, require_page
from fftdeploy.commands.door import door
from fftdeploy.commands.evaluating.candidates import NamedCandidates, Ungated
from fftdeploy.commands.evaluating.evaluation import Evaluation
from fftdeploy.commands.inspecting.live_models import LiveModels
from fftdeploy.commands.migrating.migration import Case, Migrated, SuccessorCase, in_all
from fftdeploy.commands.options.asking import EvaluateOptions, MigrateOptions
from fftdeploy.commands.options.changing import ChangeOptions, PromoteOptions
from fftdeploy.commands.options.declared import several
from fftdeploy.errors import (
    AUTH,
    CONFIG,
    CONFLICT,
    GATE,
    INCONCLUSIVE,
    IO,
    NOT_READY,
    OK,
    POLICY,
    UNVERIFIED,
    USAGE,
    ConfigError,
    DeclinedError,
    InconclusiveError,
    NotReadyError,
    UsageError,
)
from fftdeploy.model_ids.retirement import replacement_for
from fftdeploy.names import plural
from fftdeploy.planning.bundles import live_bundle
from fftdeploy.planning.plan import SourceRules, freeze_breach
from fftdeploy.policy.policy import FILE_NAME
from fftdeploy.releases import edit, text_diff
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.workspace import select, shown_path

FIRST = (
    *(USAGE, CONFIG, POLICY, AUTH, NOT_READY, UNVERIFIED, GATE, INCONCLUSIVE, CONFLICT, IO),
    OK,
)
"""Outcomes of targets: that of the whole is the first of these that one of them has."""

_UNTOLD = "TEXT"
"""Stands in the diff of a dry run, which changes nothing, where a change needs a reason."""


def run(context: Context, options: MigrateOptions) -> Migrated:
    """Compare what is live with its successors, and make those live that are good enough.

    What stops one target is said of it, and stops no other one.

    Raises:
        UsageError: There are no such targets, models or successors, or nobody can be asked.
        ConfigError: Files are not usable.
        PolicyError: A reason is missing, or more would be asked than is allowed.
        DeclinedError: A person said no.
        DiskError: The page could not be written.
    """
    options.require_sane()
    one_of({"--plan": options.plan, "--dry-run": options.dry_run})
    one_of({"--record": options.record, "--to": options.to})
    one_of({"--record": options.record, "--commit": options.commit})
    if options.within_days < 1:
        raise UsageError(f"{plural(options.within_days, 'day')} are none", hint="write 90d")
    if options.draft_profile:
        from fftdeploy.commands.migrating.draft_profile import drafted

        return drafted(context, options)
    page = Path.cwd() / options.report if options.report else None
    if page:
        require_page(page, "name it migration.html")
    result = _Portfolio(context, options).run()
    if page is None:
        return result
    from fftdeploy.commands.migrating.portfolio_page import page_of

    files.put(page, page_of(result, context.now(), context.secrets).encode())
    return replace(result, written=shown_path(page))


migrate = door(run, MigrateOptions)


class _Portfolio:
    """One run of `migrate`; its steps are in the order in which they refuse."""

    def __init__(self, context: Context, options: MigrateOptions) -> None:
        self.context = context
        self.options = options
        self.workspace = context.workspace
        self.prices = self.workspace.policy.prices
        self.changes_file = not (options.plan or options.record)
        self.why = options.why
        self.planned_in = self.workspace
        """The files as the changes that are planned by now would make them."""
        self.diff = ""
        self.targets = self.workspace.in_order(select(self.workspace.deployments, options.targets))
        context.asks_nobody = options.plan

    def run(self) -> Migrated:
        self.cases = [*filter(self._is_due, map(self._case, self.targets))]
        if not self.options.record:
            for case in self.cases:
                case.candidates = self._successors(case)
        if self.changes_file and any(case.bar and case.candidates for case in self.cases):
            self._require_approvable()
        if not self.options.plan:
            self._prove()
        for case in self.cases:
            with case.stopped_by_errors(but=(ConfigError, UsageError)):
                self._prepare(case)
        result = self.context.known = self._result()
        if self.options.plan:
            return result
        if result.cost:
            self.options.require_requests(result.cost.requests)  # for all of it
        self._compare()
        if self.changes_file:
            self._change()
        return self._result()

    # ---- which targets, and what may replace their models -----------------------------------

    def _case(self, target: Target) -> Case:
        live = live_bundle(target, self.workspace.sha)
        bar = None
        if self.workspace.policy.gate(target.task):
            bar = self.context.quality_bar(self.workspace, str(target))
        shutdown = self.context.shutdown(live, None)
        return Case(target, live, bar, shutdown, records=self.options.record)

    def _is_due(self, case: Case) -> bool:
        """Tell whether a target was named, or has a model that ends soon, by what is known."""
        if self.options.targets or self.options.record:
            return True
        if not self.options.plan:
            self._look_up(case)
        left = case.shutdown.days_left(self.context.now().date()) if case.shutdown else None
        return case.is_dead or (left is not None and left < self.options.within_days)

    def _look_up(self, case: Case) -> None:
        case.known = found = self._looked_up[case.name]
        case.shutdown = self.context.shutdown(case.live, found)

    @cached_property
    def _looked_up(self) -> Mapping[str, Readiness]:
        """What the hosts know of what is live, which gets no message for that."""
        hosts = self.context.prover(is_plain=True)
        return LiveModels(self.context, self.targets, hosts).look_up(set())

    def _successors(self, case: Case) -> list[SuccessorCase]:
        """Return what may replace what is live, which is none of it."""
        place = case.bar or Ungated(self.workspace, case.name, case.target.provider, case.live)
        words = several(self.options.to)
        named = NamedCandidates(self.context, place)
        found = [one for word in words for one in named.of([word])]
        task = self.workspace.policy.tasks.get(case.target.task)
        if not words and task:
            found = [
                self.workspace.bundle(each.model, each.provider, each.profile)
                for each in task.successors
            ]
        if not found:
            example = replacement_for(case.live.model) or "MODEL"
            add = f'add successors = [{{ model = "{example}" }}] to [tasks.{case.target.task}]'
            error = UsageError(
                f"nothing says what {case.target.task} is to be migrated to",
                hint=f"{add} in {FILE_NAME}, or --to {example}",
                code="no-successor",
            )
            case.stop(error)
        now = self.context.now()
        return [
            SuccessorCase(one, case.target.hold_on(one, now))
            for one in dict.fromkeys(found)
            if one != case.live
        ]

    # ---- what can be refused before anything is paid ----------------------------------------

    def _require_approvable(self) -> None:
        """Refuse what every change would be refused for, and ask a person for a reason."""
        options = self.options
        change = Change(
            self.context.again(self.workspace),
            ChangeOptions(
                self.cases[0].name,
                dry_run=options.dry_run,
                why=self.why,
                by=options.by,
                commit=options.commit,
                approve=options.approve,
            ),
        )
        for case in self.cases:
            rules = self.workspace.policy.rules(case.target.environment)
            if rules.protected and case.candidates and not options.dry_run:
                change.require_reason(rules, case.target)
        self.why = change.why

    def _prove(self) -> None:
        """Ask about what is live and all successors, each host all at once."""
        hosts = self.context.prover(is_plain=True)
        for case in self.cases:
            self._look_up(case)
        asked = [
            (candidate, self.workspace.question(case.name, candidate.bundle))
            for case in self.cases
            for candidate in case.candidates
            if not candidate.hold
        ]
        proved = hosts.prove_all(question for _, question in asked)
        for candidate, question in asked:
            candidate.known = proved[question]

    def _bar(self, case: Case) -> None:
        """Keep out what the policy will refuse, by what is known before anything is paid.

        What is not in a source yet may be on its way there with a target before this one.
        """
        rules, now = self.workspace.policy.rules(case.target.environment), self.context.now()
        if case.is_dead or not self.changes_file:
            return
        sources = {f"{case.target.task}/{name}" for name in rules.sources}
        before = [one for one in self.cases if one.name in sources and one.error is None]
        coming = {bundle for one in before for bundle in one.usable}
        facts = self.workspace.facts(now)
        known = SourceRules(facts, case.target.task, case.target.environment)
        for candidate in case.candidates:
            breach = freeze_breach(rules, now)
            if candidate.bundle not in coming:
                breach = breach or known.order_breach(candidate.bundle)
            if breach and breach.code not in self.options.overrides:
                candidate.breach = breach

    def _prepare(self, case: Case) -> None:
        """Refuse what can't be compared, and count what a comparison takes."""
        if case.error is not None or not (case.records or case.candidates):
            return
        if case.bar is None and case.records:
            case.state = "no-gate"
            return
        for candidate in case.candidates:
            ends = self.context.shutdown(candidate.bundle, candidate.known)
            if ends and case.shutdown and ends.date <= case.shutdown.date:
                candidate.ends = ends.date
        self._bar(case)
        case.require_usable()
        if case.bar is None:
            task = case.target.task
            raise InconclusiveError(
                f"task {task!r} has no gate: nothing can prove that a successor is no worse",
                hint=f"add [tasks.{task}.gate] with examples and graders to {FILE_NAME}",
                code="no-gate",
            )
        if case.is_recorded():
            return
        if case.records and case.is_dead:
            raise NotReadyError(
                f"{case.live} is dead, and its answers to these examples are not on record",
                hint=f"fftdeploy migrate {case.name} --dry-run",
                code="dead",
            )
        asking = self._asking(case.name)
        evaluation = Evaluation(self.context, self.workspace, case.name, asking, bar=case.bar)
        case.cost = evaluation.rehearse(case.usable, live_is_dead=case.is_dead)
        case.state = "estimated"

    def _asking(self, name: str) -> EvaluateOptions:
        """Return how a target is asked; how many requests are allowed is seen for all of them."""
        asking = self.options.asking() | {"max_requests": maxsize}
        return EvaluateOptions(name, **asking, part_of=self.options.again)

    def _compare(self) -> None:
        """Ask the models of all targets, once it is proved that they answer."""
        cases = [case for case in self.cases if case.is_open]
        if not cases:
            return
        from fftdeploy.commands.migrating.side_by_side import (
            SideBySide,  # it brings in the HTTP client
        )

        self._prove_again([(case, one) for case in cases for one in (case.live, *case.usable)])
        SideBySide(self.context, self._asking, cases).run()

    def _prove_again(self, asked: Iterable[tuple[Case, Bundle]]) -> None:
        """Prove at once what else would be proved one by one, as far as it was not just now."""
        questions = [self.workspace.question(case.name, bundle) for case, bundle in asked]
        self.context.prover(is_plain=True).prove_all(questions)

    # ---- the change -------------------------------------------------------------------------

    def _change(self) -> None:
        """Plan one change after the other, ask whether to make them, and make them."""
        self._prove_again([(case, case.best[0].bundle) for case in self.cases if case.best])
        planned = [case for case in self.cases if case.best and self._is_planned(case)]
        if not planned or self.options.dry_run:
            return
        approve = self.options.approve
        if approve is not None and not approve(self._result()):
            raise DeclinedError("not confirmed; nothing was changed", code="declined")
        for case in planned:
            context, before = self.context.again(), self.context.changed
            with case.stopped_by_errors():
                try:
                    case.change = promote.run(context, self._promotion(case, dry_run=False))
                    case.state = "changed"
                finally:
                    self.context.changed = "; ".join(filter(None, (before, context.changed)))
            if case.outcome is IO:  # the next one would meet the same disk, or no clean file
                return

    def _is_planned(self, case: Case) -> bool:
        """Plan the change of a target in the file as the changes before it make that."""
        with case.stopped_by_errors():
            before = self.planned_in
            self._bar(case)
            case.refuse_barred(case.best[0])
            planned = promote.run(self.context.again(before), self._promotion(case, dry_run=True))
            made, case.change = planned.plan, planned
            text = edit.rewrite(before.deployments.document, made.before, made.after)
            self.planned_in = before.with_data(before.bytes_of(text))
            case.state = "planned"
            old = self.workspace.deployments.document.text
            self.diff = text_diff.unified(old, text, self.workspace.patched)
        return case.state == "planned"

    def _promotion(self, case: Case, *, dry_run: bool) -> PromoteOptions:
        best, options = case.best[0].bundle, self.options
        is_protected = self.workspace.policy.rules(case.target.environment).protected
        untold = _UNTOLD if options.dry_run and is_protected else None
        return PromoteOptions(
            case.name,
            file=options.file,
            dry_run=dry_run,
            why=self.why or untold,
            by=options.by,
            commit=options.commit,
            model=best.model,
            provider=best.provider,
            profile=best.profile,
            no_profile=best.profile is None,
            expect_current=case.live.model,
            overrides=options.overrides,
        )

    def _result(self) -> Migrated:
        today = self.context.now().date()
        return Migrated(
            dry_run=self.options.dry_run,
            targets=tuple(case.view(today) for case in self.cases),
            cost=in_all([case.cost for case in self.cases if case.cost]),
            diff=self.diff,
            outcome=min((case.outcome for case in self.cases), key=FIRST.index, default=OK),
            prices_on=self.prices.on,
            within_days=self.options.within_days,
        )
