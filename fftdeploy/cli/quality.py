"""The quality bar of one target: its examples, its graders, and the evidence there is."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fftdeploy.bundles import live_bundle
from fftdeploy.cli.session import Session
from fftdeploy.deployments import Bundle
from fftdeploy.errors import ConfigError, GateError
from fftdeploy.evaluation import evidence_folder
from fftdeploy.evaluation.evidence import content_sha
from fftdeploy.evaluation.evidence_folder import EvidenceFolder, Question, Stored
from fftdeploy.evaluation.examples.examples import ExampleSet, open_examples
from fftdeploy.evaluation.grading import graders
from fftdeploy.evaluation.grading.graders import Grading
from fftdeploy.gate_rules import GateRules
from fftdeploy.policy import FILE_NAME
from fftdeploy.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Found:
    """Evidence that is about exactly this, or why there is none."""

    stored: Stored | None
    why: str = ""
    is_stale: bool = False
    """Whether there is evidence about this candidate that does not count."""


class QualityBar:
    """What the policy asks of a target's candidates; files are opened when they are asked for."""

    def __init__(self, session: Session, workspace: Workspace, target: str) -> None:
        """Take the gate of the target's task.

        Raises:
            ConfigError: The task has none.
        """
        self.session = session
        self.workspace = workspace
        self.target = target
        self.task = target.partition("/")[0]
        rules = workspace.policy.gate(self.task)
        if rules is None:
            raise ConfigError(
                f"task {self.task!r} has no gate",
                hint=f"add [tasks.{self.task}.gate] with examples and graders to {FILE_NAME}",
                where=FILE_NAME,
                code="no-gate",
            )
        self.rules: GateRules = rules
        self.folder = EvidenceFolder(workspace.folder)

    @cached_property
    def grading(self) -> Grading:
        """The graders.

        Raises:
            ConfigError: One of them needs a package that is not installed.
        """
        return graders.build(self.rules.graders)

    @cached_property
    def examples(self) -> ExampleSet:
        """The examples, all of them checked, and their agreed answers by the graders.

        Raises:
            ConfigError: Located at the first fault; the others are its details.
        """
        folder = Path(self.workspace.shown).parent
        return open_examples(
            [(self.workspace.folder / path, str(folder / path)) for path in self.rules.examples],
            root=self.workspace.folder,
            item=self.rules.item,
            check=self.grading.reference_problem,
        )

    @property
    def baseline(self) -> Bundle | None:
        """What a candidate is compared with: what is live, or before a hand edit was."""
        target = self.workspace.deployments.find(self.target)
        if target is None:
            return None
        newest = target.newest
        return newest.bundle if newest else live_bundle(target, self.workspace.sha)

    def require_enough(self) -> None:
        """Refuse, before anything is spent, examples that can't pass whatever is answered.

        Raises:
            GateError: There are none, too few, or unreviewed ones that the gate does not take.
        """
        n, reviewed = len(self.examples), self.examples.reviewed
        shown = ", ".join(self.rules.examples)
        if n < self.rules.min_examples or not n:
            asked = f"; the gate asks for {self.rules.min_examples}" if n else ""
            raise GateError(
                f"{n} examples in {shown}{asked}", hint="fftdeploy review adds some", where=shown
            )
        if self.rules.require_reviewed and reviewed < n:
            raise GateError(
                f"{reviewed} of {n} examples are reviewed, and the gate takes reviewed ones only",
                hint=f"fftdeploy review {self.task}",
                where=shown,
            )

    def question(self, candidate: Bundle, baseline: Bundle | None) -> Question:
        """Say what evidence about `candidate` has to be about, to count."""
        return Question(
            task=self.task,
            candidate=candidate,
            baseline=baseline,
            examples_sha=self.examples.sha,
            graders_sha=content_sha([rule.content for rule in self.rules.graders]),
            gate_sha=content_sha(self.rules.content),
            repeats=self.rules.repeats,
            max_age=self.rules.max_age,
        )

    def look(self, candidate: Bundle, baseline: Bundle | None) -> Found:
        """Find the newest evidence about exactly this.

        Raises:
            ConfigError: The evidence that would count was edited.
        """
        question, now = self.question(candidate, baseline), self.session.now()
        why = ""
        for stored in self.folder.of_task(self.task):
            if stored.evidence.candidate != candidate:
                continue
            problem = evidence_folder.problem(question, stored, now)
            if not problem:
                return Found(stored)
            why = why or f"evidence {stored.short} does not count: {problem}"
        self.folder.require_whole(self.task)  # the one that was edited may be the one
        return Found(None, why or f"there is no evidence about {candidate}", bool(why))
