"""Check: everything the files and the API prove, and one exit code for it."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fftdeploy import files
from fftdeploy.api.readiness import ModelFacts, Readiness, Shutdown, find_shutdown
from fftdeploy.cli.session import Session
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
from fftdeploy.names import plural
from fftdeploy.output.report import Block, Cell, Report, Table, line
from fftdeploy.planning import findings
from fftdeploy.planning.bundles import live_bundle
from fftdeploy.planning.finding import Finding
from fftdeploy.pull_request import second_files
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.workspace import Questions, Workspace, select

if TYPE_CHECKING:  # `check` without `--base` compares with nothing
    from fftdeploy.cli.against import Against
    from fftdeploy.cli.proposing import Proposal

_PROBES_AT_ONCE = 20
_COMMAND_LAST = re.compile(r"(^|: )fftdeploy [^,;]+$")
_GRAVEST = (FINDING, AUTH, UNVERIFIED, OK)


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
        is_second: bool = False,
    ) -> None:
        """Take what to check; `is_second` is a file that lies elsewhere than the one asked for."""
        self.session = session
        self.names = names
        self.offline = offline
        self.is_online = not offline and (session.has_key or probe)
        self.probe = probe
        self.against = against
        self.is_second = is_second
        self.changes: tuple[Block, ...] = ()
        """What the change does, for a person."""

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

    @property
    def _unverified(self) -> str:
        """Say so to a person, who knows of the flag; "" where the live models were asked about."""
        why = "" if self.offline else f": {self._unasked}"
        return f"no model was asked about{why}" if self._unasked else ""

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
        from fftdeploy.cli.proposing import Proposal
        from fftdeploy.pull_request.base_ref import open_base

        with open_base(self.workspace, self.against.ref, self.session.environ) as base:
            second = {"is_second": self.is_second}
            proposal = Proposal(self.session, self.workspace, base, self.against, **second)
            return self._report(proposal)

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
        facts = findings.FindingFacts(
            self.workspace.deployments,
            self.workspace.policy,
            self.workspace.sha,
            self.session.now(),
            self.session.place,
            readiness,
            shutdowns,
            self._evidence_problem,
            self._is_judged,
        )
        against: list[Finding] = []
        if proposal is not None:
            facts = replace(facts, policy=proposal.base.tip.policy)
            against = proposal.findings(readiness, shutdowns, dead)
            self.session.data.update(proposal.as_json())
        found = _without_twins(against, findings.find(facts, self.targets))
        outcome = _outcome(found, readiness)
        if not self.is_second:
            second, ends = self._second_files(proposal)
            found += second
            outcome = min(outcome, _outcome(found, {}), *ends, key=_GRAVEST.index)
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

        self.changes = (*proposal.body(found), *self.changes)
        body = (*self.changes, *self._body(found))
        told = (self.changes, found, outcome)
        said = comment(proposal, *told, shutdowns, unverified=self._unverified)
        return Report(outcome, self.session.data, body, tuple(found), comment=said)

    def _second_files(self, proposal: "Proposal | None") -> tuple[list[Finding], list[Outcome]]:
        """Find deployments files elsewhere in the tree, and judge those that the change touches."""
        if proposal is None:
            try:
                there = second_files.tracked(self.workspace, self.session.environ)
            except UsageError as error:
                self.session.output.note(f"note: not looked for a second file: {error.message}")
                return [], []
            return self._notices(there), []
        elsewhere = proposal.elsewhere
        found = self._notices([p for p in elsewhere.there if p not in elsewhere.added])
        ends, data = [], []
        if self.is_online:
            self.session.prover(concurrency=_PROBES_AT_ONCE)  # one conversation for all of them
        for path in elsewhere.touched:
            other = Check(
                self.session.about(path),
                [],
                offline=self.offline,
                probe=self.probe,
                against=replace(proposal.against, comment=None),
                is_second=True,
            )
            name = self.session.shown(path)
            try:
                end = other._found()
            except ConfigError as error:
                found += self._unjudged(path, error, proposal)
                continue
            found += [_of_file(name, finding) for finding in end.findings]
            ends.append(end.outcome)
            data.append({"file": name, **{key: end.data[key] for key in ("base", "changes")}})
            self.changes += (line(Cell(name, "strong")), *other.changes)
        self.session.data["elsewhere"] = data
        return found, ends

    def _notices(self, paths: list[str]) -> list[Finding]:
        return [*second_files.notices(paths, {path: self.session.shown(path) for path in paths})]

    def _unjudged(self, path: str, error: FftdeployError, proposal: "Proposal") -> list[Finding]:
        """Refuse a file that is no valid one, unless it is a regular file that is as it was."""
        needs_leave = proposal.base.differs(path) and not proposal.against.allow_policy_change
        name = self.session.shown(path)
        message = f"{path} cannot be judged: {error.message}"
        severity: Literal["error", "notice"] = "error" if needs_leave else "notice"
        return [Finding(second_files.CODE, severity, name, message, name, 1, error.hint)]

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
                from fftdeploy.commands.quality_bar import QualityBar

                _ = QualityBar(self.session, self.workspace, f"{task}/").examples

    def _evidence_problem(self, task: str, evidence: str) -> FftdeployError | None:
        from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder

        folder = EvidenceFolder(self.workspace.folder)
        try:
            folder.read(folder.path_of(evidence, task))
        except FftdeployError as error:
            return error
        return None

    def _is_judged(self, task: str, bundle: Bundle) -> bool:
        from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder

        return any(
            stored.evidence.candidate == bundle and stored.verdict.ruling != "fail"
            for stored in EvidenceFolder(self.workspace.folder).of_task(task)
        )

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
        return find_shutdown(ModelFacts(target.model), None, self.session.kind_unasked)

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
        counts = {"target": len(self.targets), "error": errors, "notice": len(found) - errors}
        targets, *others = (plural(count, noun) for noun, count in counts.items())
        body.append(line(", ".join([f"{targets} checked", *others])))
        if self._unverified:
            body.append(line(Cell(f"NOT VERIFIED with the API: {self._unverified}", "warn")))
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


def _of_file(name: str, finding: Finding) -> Finding:
    """Return a finding with the file that it is in: its targets may be called as ours are."""
    subject, hint = finding.subject, finding.hint
    if subject != name:
        subject = f"{name} {subject}"
    if _COMMAND_LAST.search(hint):
        hint += f" --file {shlex.quote(name)}"
    return replace(finding, subject=subject, hint=hint)


def _is_missing(readiness: Readiness) -> bool:
    return readiness.code == "missing" and not readiness.dead
