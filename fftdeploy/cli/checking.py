"""Check: everything the files and the API prove, and one exit code for it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fftdeploy import files, findings
from fftdeploy.bundles import live_bundle
from fftdeploy.cli.session import Session
from fftdeploy.deployments import Target
from fftdeploy.errors import AUTH, FINDING, OK, UNVERIFIED, FftdeployError, Outcome
from fftdeploy.readiness import Facts, Readiness, Shutdown, find_shutdown
from fftdeploy.report import Block, Cell, Finding, Report, Table, line
from fftdeploy.workspace import Questions, Workspace, select

if TYPE_CHECKING:  # `check` without `--base` needs no git
    from fftdeploy.cli.against import Against
    from fftdeploy.cli.proposing import Proposal

_PROBES_AT_ONCE = 20


class Check:
    """One run of `check`; it looks at everything before it says anything."""

    def __init__(
        self,
        session: Session,
        names: list[str],
        *,
        offline: bool,
        probe: bool,
        against: "Against | None" = None,
    ) -> None:
        self.session = session
        self.names = names
        self.offline = offline
        self.is_online = not offline and (session.has_key or probe)
        self.probe = probe
        self.against = against

    @cached_property
    def workspace(self) -> Workspace:
        """The files of the working tree."""
        return self.session.workspace

    @cached_property
    def targets(self) -> list[Target]:
        """The targets that are looked at."""
        return select(self.workspace.deployments, self.names)

    @property
    def _unasked(self) -> str:
        """Say why no model is asked about; "" where the live ones are."""
        if self.offline:
            return "--offline"
        if not self.targets:
            return "there are no targets"
        return "" if self.is_online else "OPENAI_API_KEY is not set"

    def run(self) -> Report:
        """Report all findings; the gravest decides the exit code, and a comment says the same.

        Raises:
            UsageError: There is no such base, or no targets of that name.
            ConfigError: A file is not valid.
            FftdeployError: With `--rerun`, what kept the evaluation from being made.
        """
        try:
            found = self._found()
        except FftdeployError as error:
            self._comment(error)
            raise
        self._comment(found)
        return found

    def _found(self) -> Report:
        _ = self.workspace.policy  # what is wrong with a file costs no request
        for target in self.targets:
            live_bundle(target, self.workspace.sha)
        self._check_examples()
        if self.against is None:
            return self._report(None)
        from fftdeploy.base_ref import open_base
        from fftdeploy.cli.proposing import Proposal

        with open_base(self.workspace, self.against.ref, self.session.environ) as base:
            return self._report(Proposal(self.session, self.workspace, base, self.against))

    def _comment(self, end: Report | FftdeployError) -> None:
        """Write the comment that was asked for, whatever the end: silence looks like consent."""
        if self.against is not None and self.against.comment is not None:
            text = self.session.output.comment(self.session.command, end)
            files.put(Path.cwd() / self.against.comment, text.encode())

    def _report(self, proposal: "Proposal | None") -> Report:
        changed = set(proposal.made_live) if proposal else set()
        readiness = self._ask(changed) if self.is_online else {}
        dead = proposal.dead() if proposal and self.is_online else frozenset[str]()
        shutdowns = {str(target): self._shutdown(target, readiness) for target in self.targets}
        facts = findings.gather(
            self.workspace,
            self.session.now(),
            self.session.place,
            readiness,
            shutdowns,
            self._evidence_problem,
        )
        against: list[Finding] = []
        if proposal is not None:
            facts = replace(facts, policy=proposal.base.tip.policy)
            against = proposal.findings(readiness, shutdowns, dead)
            self.session.data.update(proposal.as_json())
        found = _without_twins(against, findings.find(facts, self.targets))
        outcome = _outcome(found, readiness)
        self.session.data.update(
            verified=not self._unasked,
            unverified_because=self._unasked or None,
            targets=[
                {
                    "target": str(target),
                    "model": target.model,
                    "readiness": readiness[str(target)].state if readiness else "not-asked",
                }
                for target in self.targets
            ],
            findings=[],
        )
        if proposal is None:
            return Report(outcome, self.session.data, self._body(found), tuple(found))
        from fftdeploy.cli.comment import comment

        body = (*proposal.body(found), *self._body(found))
        said = comment(proposal, found, outcome, shutdowns, is_online=not self._unasked)
        return Report(outcome, self.session.data, body, tuple(found), comment=said)

    def _check_examples(self) -> None:
        """Read the examples and graders of every task that has a gate, and is looked at.

        Raises:
            ConfigError: Located at the first fault of a file.
        """
        tasks = [target.task for target in self.targets]
        if not self.names:  # those that wait for their first target, too
            tasks += self.workspace.policy.tasks
        for task in dict.fromkeys(tasks):
            if self.workspace.policy.gate(task) is not None:
                from fftdeploy.cli.quality import QualityBar

                _ = QualityBar(self.session, self.workspace, f"{task}/").examples

    def _evidence_problem(self, task: str, evidence: str) -> FftdeployError | None:
        from fftdeploy.evaluation.evidence_folder import EvidenceFolder

        folder = EvidenceFolder(self.workspace.folder)
        try:
            folder.read(folder.path_of(evidence, task))
        except FftdeployError as error:
            return error
        return None

    def _ask(self, changed: set[str]) -> dict[str, Readiness]:
        """Return what the API proved about each target's live model; the changed ones answer."""
        prover = self.session.prover(concurrency=_PROBES_AT_ONCE)
        if self.probe:
            return self._prove(self.targets)
        kin = {target.model: self._questions.kin(target.model) for target in self.targets}
        listed = prover.check_listed(kin, kin)
        found = {str(target): listed[target.model] for target in self.targets}
        self._suspect_the_key(found, kin)
        return found | self._prove([t for t in self.targets if str(t) in changed])

    def _prove(self, targets: list[Target]) -> dict[str, Readiness]:
        """Return what the API proved about the live models of `targets` that answer."""
        if not targets:
            return {}
        shas = self.workspace.sha
        questions = {str(t): self._questions.about(live_bundle(t, shas)) for t in targets}
        proved = self.session.prover().prove_all(questions.values(), listed=True)
        return {name: proved[question] for name, question in questions.items()}

    @cached_property
    def _questions(self) -> Questions:
        return Questions(self.workspace, self.targets)

    def _suspect_the_key(
        self, found: dict[str, Readiness], kin: Mapping[str, frozenset[str]]
    ) -> None:
        """Where a key can use no model of a target at all, doubt the key and not the models."""
        missing = [t for t in self.targets if _is_missing(found[str(t)]) and t.models - {t.model}]
        others = {
            model: kin.get(model, frozenset[str]())
            for target in missing
            for model in sorted(target.models - {target.model})
        }
        known = self.session.prover().check_listed(others, others) if others else {}
        for target in missing:
            if all(_is_missing(known[model]) for model in target.models - {target.model}):
                found[str(target)] = replace(
                    found[str(target)],
                    state="unverified",
                    is_auth=True,
                    message="this key can use no model of this target",
                    hint="is this the key of another project?",
                )

    def _shutdown(self, target: Target, readiness: dict[str, Readiness]) -> Shutdown | None:
        """Return the shutdown date: from the API where it was asked, else from the table."""
        if known := readiness.get(str(target)):
            return known.shutdown
        return find_shutdown(Facts(target.model), None)

    def _body(self, found: list[Finding]) -> tuple[Block, ...]:
        rows = tuple(
            (
                Cell(finding.severity, "bad" if finding.severity == "error" else "warn"),
                Cell(f"{finding.path}:{finding.line}" if finding.line else finding.subject),
                Cell(finding.subject),
                Cell(finding.message),
                Cell(finding.hint, "dim"),
            )
            for finding in sorted(found, key=lambda finding: finding.severity)
        )
        body: list[Block] = []
        if rows:
            body.append(Table(("severity", "place", "target", "finding", "hint"), rows))
        errors = sum(finding.severity == "error" for finding in found)
        count = f"{len(self.targets)} targets checked, {errors} errors"
        body.append(line(f"{count}, {len(found) - errors} notices"))
        if self._unasked:
            why = "" if self.offline else f": {self._unasked}"
            said = f"NOT VERIFIED with the API: no model was asked about{why}"
            body.append(line(Cell(said, "warn")))
        return tuple(body)


def _without_twins(first: list[Finding], others: list[Finding]) -> list[Finding]:
    """Return all findings, those of `others` left out that `first` has, or has more gravely."""
    places = {(f.subject, f.line) for f in first if f.severity == "error"}
    codes = {(f.subject, f.code) for f in first}
    rest = [
        f
        for f in others
        if (f.subject, f.code) not in codes
        and not (f.code in {"hand-edit", "unrecorded"} and (f.subject, f.line) in places)
    ]
    return [*first, *rest]


def _outcome(found: list[Finding], readiness: dict[str, Readiness]) -> Outcome:
    """Return the gravest outcome: 12 before 10 before 9 before 0."""
    if any(finding.severity == "error" for finding in found):
        return FINDING
    unverified = [known for known in readiness.values() if known.state == "unverified"]
    if any(known.is_auth for known in unverified):
        return AUTH
    return UNVERIFIED if unverified else OK


def _is_missing(readiness: Readiness) -> bool:
    return readiness.code == "missing" and not readiness.dead
