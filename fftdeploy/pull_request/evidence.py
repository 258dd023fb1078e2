"""The evidence that a proposed release names: is it about this, and who saw it made?"""

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fftdeploy import git
from fftdeploy.errors import ConfigError, FftdeployError, InconclusiveError, UsageError
from fftdeploy.files.folders import RUNS
from fftdeploy.planning.finding import Finding, Severity
from fftdeploy.pull_request import change_rules
from fftdeploy.pull_request.change_rules import ChangeFacts
from fftdeploy.pull_request.changes import TargetChange
from fftdeploy.releases.deployments import Bundle, Release, Target
from fftdeploy.workspace import Workspace

if TYPE_CHECKING:  # a change that no gate asks about pays for none of it
    from fftdeploy.evaluation.evidence.evidence import Evidence
    from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder, Stored
    from fftdeploy.evaluation.evidence.quality_bar import QualityBar
    from fftdeploy.pull_request.base_ref import BaseRef

SeenBy = Literal["base", "this job", "workflow", "claimed", "re-run"]
"""Who saw the run that made evidence; `workflow` is the policy's, `claimed` where nobody did that
we know."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose word counts about evidence that came with a change."""

    accept_claimed: bool = False
    evaluate: "Callable[[Target, Bundle], Stored] | None" = None
    """Makes the evidence of a release again, by the base's examples and gate."""
    offline: bool = False
    """Whether nobody may be asked who has signed it."""


@dataclass
class ProposedEvidence:
    """Judges the evidence of each proposed release by the base's gate, examples and graders."""

    workspace: Workspace
    base: "BaseRef"
    facts: ChangeFacts
    trust: Trust
    bar: "Callable[[Workspace, str], QualityBar]"
    """What the policy of a workspace asks of the candidates of a target."""
    environ: Mapping[str, str]
    found: dict[tuple[str, int], tuple["Stored", SeenBy]] = field(default_factory=dict)
    """Target and number of a release -> its evidence, and who saw it made."""
    made_again: set[tuple[str, str]] = field(default_factory=set)
    """Task and ID of claimed evidence in the place of which there is other evidence now."""
    unsigned: dict[Path, str] = field(default_factory=dict)
    """What was found out about signatures."""
    unanswered: str = ""
    """Why nobody is asked about signatures any more."""

    @cached_property
    def folder(self) -> "EvidenceFolder":
        """The evidence of the working tree."""
        from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder

        return EvidenceFolder(self.workspace.folder)

    def judge(self, change: TargetChange, *, rerun: bool) -> Iterator[Finding]:
        """List what the evidence of `change` lacks; nothing where none is asked for.

        With `rerun` the evidence is made again, whatever the release names.

        Raises:
            ConfigError: The base's examples are not usable.
            FftdeployError: What kept the evaluation from being made, with `rerun`.
        """
        release, target = change.release, change.target
        rules = self.facts.policy.rules(target.environment)
        if release is None or change.kind == "rollback" or not rules.protected:
            return
        if self.facts.policy.gate(target.task) is None:
            return
        old = self.facts.old(target)
        is_first = old is not None and not old.releases  # of what the base has live already
        if change_rules.is_record(self.facts, change) and (is_first or release != target.newest):
            return
        bar = self.bar(self.base.tip, str(target))
        bar.prompts.append(self.workspace)  # it may propose them
        try:
            _ = bar.examples
        except ConfigError as error:
            error.message = f"{self.base.ref} is not valid itself: {error.message}"
            raise
        if rerun:
            yield from self._rerun(change, release, bar)
        elif release.evidence is None:
            message = f"release {release.n} has no evidence, and {target} is protected"
            yield self.facts.about(change, "no-evidence", message, f"fftdeploy eval {target}")
        else:
            yield from self._stored(change, release, bar, release.evidence)

    def _stored(
        self, change: TargetChange, release: Release, bar: "QualityBar", evidence: str
    ) -> Iterator[Finding]:
        try:
            stored = self.folder.read(self.folder.path_of(evidence, change.target.task))
        except InconclusiveError as error:
            hint = f"fftdeploy eval {change.target}"
            yield self.facts.about(change, "evidence", error.message, hint)
            return
        except FftdeployError as error:
            wrong = "there is no such file" if error.code == "missing" else error.message
            yield self.facts.about(change, "evidence", f"evidence {evidence[:12]}: {wrong}")
            return
        standing = self._seen_by(stored)
        self.found[str(change.target), release.n] = stored, standing
        # Whatever else the change goes through: what it replaces is what the base has live.
        baseline = bar.baseline
        wrong = bar.problem(stored.evidence, release.bundle, baseline)
        if wrong := wrong or self._death(change, stored):
            message = f"evidence {stored.short} does not count: {wrong}"
            yield self.facts.about(change, "evidence", message, f"fftdeploy eval {change.target}")
            return
        yield from self._recalibrated(change, stored)
        yield from self._verdict(change, release, bar, stored)

        def speaks_against(other: "Evidence") -> bool:
            is_newer = other.made_at > stored.evidence.made_at and other.ruling != "pass"
            return is_newer and not bar.problem(other, release.bundle, baseline)

        for newer in self._of_both(change.target.task, speaks_against):
            message = f"newer evidence {newer.short} says {newer.verdict.ruling}"
            is_here = newer.path.is_relative_to(self.workspace.folder)
            hint = f"fftdeploy report {newer.short}" if is_here else f"git merge {self.base.ref}"
            yield self.facts.about(change, "evidence", message, hint)
        if standing == "claimed":
            yield self._claimed(change, stored)

    def _recalibrated(self, change: TargetChange, stored: "Stored") -> Iterator[Finding]:
        """Find a newer calibration of the judge, in the work tree or in the base."""
        from fftdeploy.evaluation.evidence.calibration import CALIBRATIONS, CalibrationFolder

        if stored.evidence.judge is None:
            return
        self.base.lay_out_evidence(change.target.task, f"{CALIBRATIONS}/")
        folder, of_base = self.workspace.folder, CalibrationFolder(self.base.tip.folder)
        if why := CalibrationFolder(folder, of_base).changed_since(stored.evidence):
            is_here = CalibrationFolder(folder).changed_since(stored.evidence)
            merge = "" if is_here else f"git merge {shlex.quote(self.base.ref)} && "
            message = f"evidence {stored.short} does not count: {why}"
            hint = f"{merge}fftdeploy eval {change.target}"
            yield self.facts.about(change, "evidence", message, hint)

    def _of_both(self, task: str, is_wanted: "Callable[[Evidence], bool]") -> "list[Stored]":
        """List evidence of the work tree, and what the base has got that a branch lacks."""
        from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder

        places = (self.folder, EvidenceFolder(self.base.gained_evidence(task)))
        found = chain.from_iterable(place.of_task(task, is_wanted) for place in places)
        return list({stored.id: stored for stored in found}.values())

    def others(self) -> Iterator[Finding]:
        """List evidence that comes with the change and was not judged with a release.

        Once it is merged, it is believed: what may let something through needs the same trust now.
        """
        yield from self._new_calibrations()
        judged = {(stored.evidence.task, stored.id) for stored, _ in self.found.values()}
        judged |= self.made_again
        new = [
            path
            for path in self.folder.paths()
            if (path.parent.name, path.stem) not in judged
            and not self.base.has_evidence(path.parent.name, path.stem)
        ]
        for path in (path for path in new if path.is_symlink()):
            yield self._beside(path, "evidence", "evidence that is a link is none", "error")
        for path in self._committed(new):
            try:
                stored = self.folder.read(path)
            except InconclusiveError as error:  # it lets nothing through, now or later
                yield self._beside(path, "evidence", error.message, "notice")
                continue
            except FftdeployError as error:
                yield self._beside(path, "evidence", error.message, "error")
                continue
            if self._seen_by(stored) == "claimed":
                is_harmless = stored.verdict.ruling == "fail" or self.trust.accept_claimed
                said = f"evidence {stored.short} ({stored.verdict.ruling}) comes with this change"
                severity: Severity = "notice" if is_harmless else "error"
                yield self._beside(path, "claimed", said, severity)

    def _new_calibrations(self) -> Iterator[Finding]:
        """List calibrations that come with the change: once merged, judges gate by them."""
        from fftdeploy.evaluation.evidence.calibration import CalibrationFolder

        every = CalibrationFolder(self.workspace.folder).paths()
        new = [
            path
            for path in every
            if not self.base.has_evidence(path.parts[-3], f"calibrations/{path.stem}")
        ]
        severity: Severity = "notice" if self.trust.accept_claimed else "error"
        for path in self._committed(new):
            said = f"calibration {path.stem[:12]} comes with this change"
            yield self._beside(path, "claimed", said, severity)

    def _committed(self, paths: list[Path]) -> list[Path]:
        """Leave out what git does not know: it is no part of what will be merged."""
        folder = self.workspace.folder
        names = [path.relative_to(folder).as_posix() for path in paths]
        known = git.tracked(folder, names, self.environ) if names else []
        return [path for path, name in zip(paths, names, strict=True) if name in known]

    def _beside(self, path: Path, code: str, message: str, severity: Severity) -> Finding:
        shown = Path(self.facts.shown).parent / path.relative_to(self.workspace.folder)
        trust = f"fftdeploy check --base {self.base.ref} --accept-claimed, or leave it out"
        hint = trust if severity == "error" else ""
        return Finding(code, severity, path.parent.name, message, str(shown), 1, hint)

    def _death(self, change: TargetChange, stored: "Stored") -> str:
        """Doubt evidence that rests on the death of what is live, unless the API proved it."""
        if not stored.rests_on_death or str(change.target) in self.facts.dead:
            return ""
        return "what is live was dead for it, and is not proved to be"

    def _verdict(
        self, change: TargetChange, release: Release, bar: "QualityBar", stored: "Stored"
    ) -> Iterator[Finding]:
        verdict = stored.verdict
        if verdict.ruling == "pass" or verdict.reports_only:
            return
        said = f"evidence {stored.short}: {verdict.headline}"
        if verdict.ruling == "fail":
            yield self.facts.about(change, "gate", said, f"fftdeploy report {stored.short}")
            return
        rules = self.facts.policy.rules(change.target.environment)
        is_let_through = bar.rules.on_inconclusive == "allow" and verdict.may_be_allowed
        is_let_through |= "inconclusive" in release.overrides and rules.allow_overrides
        is_let_through &= all(reason.code != "too-few" for reason in verdict.reasons)
        severity: Severity = "notice" if is_let_through else "error"
        hint = f"fftdeploy size {change.target}"
        yield self.facts.about(change, "inconclusive", said, hint, severity)

    def _claimed(self, change: TargetChange, stored: "Stored") -> Finding:
        message = f"evidence {stored.short} is claimed in this change: nobody here saw it made"
        if unsigned := self.unanswered or self.unsigned.get(stored.path, ""):
            message += f"; {unsigned}"
        if self.trust.accept_claimed:
            return self.facts.about(change, "claimed", message, severity="notice")
        hint = f"fftdeploy check --base {self.base.ref} --rerun, or --accept-claimed"
        return self.facts.about(change, "claimed", message, hint)

    def _seen_by(self, stored: "Stored") -> SeenBy:
        """Say who saw the run: whoever merged the base, this job, or nobody that we know."""
        from fftdeploy.evaluation.running.run_log import read_header

        if self.base.has_evidence(stored.evidence.task, stored.id):
            return "base"
        run = self.workspace.folder / RUNS / stored.evidence.run
        header = None
        with suppress(OSError, FftdeployError):
            header = read_header(run, self.workspace.folder)
        is_linked = any(step.is_symlink() for step in (run, *run.parents[:2]))
        if header is None or header.task != stored.evidence.task or is_linked:
            return self._signed(stored)
        repository = git.open_repository(self.workspace.folder, self.environ)
        # The log of a run is never committed: one that is came with the change.
        return self._signed(stored) if repository.is_tracked(run) else "this job"

    def _signed(self, stored: "Stored") -> SeenBy:
        """Say whether the policy's workflow has signed evidence that nobody here saw made."""
        signer = self.base.tip.policy.attestation
        if signer is None or self.trust.offline:
            return "claimed"
        if stored.path not in self.unsigned and not self.unanswered:
            try:
                self.unsigned[stored.path] = git.unsigned(
                    stored.path, signer.signer_workflow, signer.source_ref, self.environ
                )
            except UsageError as error:
                self.unanswered = error.message
        return "workflow" if self.unsigned.get(stored.path) == "" else "claimed"

    def _rerun(
        self, change: TargetChange, release: Release, bar: "QualityBar"
    ) -> Iterator[Finding]:
        """Evaluate again, by the base's examples and gate; what that finds is what counts."""
        target = change.target
        self.base.lay_out_evidence(target.task)
        if release.bundle.profile is not None:
            self.base.lay_out_profile(release.bundle.profile)
        assert self.trust.evaluate is not None  # noqa: S101 - `rerun` is asked for only with it
        stored = self.trust.evaluate(target, release.bundle)
        self.folder.write(stored.evidence, stored.verdict)
        self.found[str(target), release.n] = stored, "re-run"
        with suppress(FftdeployError):  # what is claimed stands, if it is about the same candidate
            path = self.folder.path_of(release.evidence or "", target.task)
            claimed = self.folder.read(path)
            if claimed.evidence.candidate == release.bundle:
                self.made_again.add((target.task, claimed.id))
        yield from self._verdict(change, release, bar, stored)
