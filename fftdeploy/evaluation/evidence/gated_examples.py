"""Opens the graders and examples of a gate, and finds its rules that are about no example."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from fftdeploy import names
from fftdeploy.errors import ConfigError, combined
from fftdeploy.evaluation.examples.examples import ExampleSet, open_examples
from fftdeploy.evaluation.gate.wording import listed
from fftdeploy.evaluation.graders import graders
from fftdeploy.evaluation.graders.graders import Grading
from fftdeploy.evaluation.graders.proposed import field_paths
from fftdeploy.formats import strict_json
from fftdeploy.formats.strict_json import MISSING, lookup
from fftdeploy.names import plural
from fftdeploy.policy.gate_rules import GateRules
from fftdeploy.policy.grader_rules import GraderRules
from fftdeploy.policy.policy import FILE_NAME
from fftdeploy.workspace import Workspace

_CALLED = {"must_pass": "tag", "slices": "key in its meta"}


class GatedExamples:
    """What the gate of a task names as its graders and examples."""

    def __init__(
        self,
        workspace: Workspace,
        task: str,
        now: Callable[[], datetime],
        restoring: Callable[[Path], str],
    ) -> None:
        """Take the gate; `restoring` returns the line that brings a file back to the disk, or "".

        Raises:
            ConfigError: The task has none.
        """
        self.workspace = workspace
        self.task = task
        self.now = now
        self._restoring = restoring
        rules = workspace.policy.gate(task)
        if rules is None:
            add = f"add [tasks.{task}.gate] with examples and graders to {FILE_NAME}"
            others = [each for each in workspace.policy.tasks if each != task]
            is_known = task in {*workspace.policy.tasks, *workspace.deployments.tasks()}
            raise ConfigError(
                f"task {task!r} has no gate",
                hint=add if is_known else names.meant(task, others, add, quoted=False),
                where=FILE_NAME,
                code="no-gate",
            )
        self.rules: GateRules = rules

    @cached_property
    def grading(self) -> Grading:
        """The graders.

        Raises:
            ConfigError: One of them needs a package that is not installed.
        """
        return graders.build(self.rules.graders)

    @cached_property
    def examples(self) -> ExampleSet:
        """The examples as the gate holds candidates to them.

        Raises:
            ConfigError: As `checked_examples` does, or the gate names a tag or a key of `meta`
                that none of them has.
        """
        found = self.checked_examples
        unknown = [
            *self._unknown("must_pass", len(found), found.tags),
            *self._unknown("slices", len(found), found.meta),
        ]
        if unknown:
            raise combined(unknown)
        return found

    @cached_property
    def checked_examples(self) -> ExampleSet:
        """The examples, each of them checked, and their agreed answers by the graders.

        Raises:
            ConfigError: Located at the first fault, or at a field that no example has; the other
                faults are its details.
        """
        try:
            return self._opened(self.grading)
        except ConfigError as error:
            if error.code != "examples" or not (lacking := self._lacking_fields()):
                raise
            fields = {(index, path) for index, path, _ in lacking}
            faults = [fault for _, _, fault in lacking]
            try:
                self._opened(graders.build(tuple(_without(self.rules.graders, fields))))
            except ConfigError as other:
                faults.append(other)
            raise combined(faults) from None

    def _opened(self, grading: Grading) -> ExampleSet:
        shown, folder = Path(self.workspace.shown).parent, self.workspace.folder
        try:
            return open_examples(
                [(folder / path, str(shown / path)) for path in self.rules.examples],
                root=folder,
                item=self.rules.item,
                check=grading.reference_problem,
                now=self.now(),
            )
        except ConfigError as error:
            if error.code == "missing":
                gone = folder / Path(error.where).relative_to(shown)
                error.hint = self._restoring(gone) or error.hint
            raise

    def _unknown(
        self, rule: str, count: int, of: Callable[[int], Iterable[str]]
    ) -> Iterator[ConfigError]:
        """Yield a fault for each word that is about no example: mistyped, it would be no rule."""
        words: Sequence[str] = getattr(self.rules, rule)
        known = sorted({name for index in range(count) for name in of(index)} if words else ())
        for place, word in enumerate(words):
            if count and word not in known:
                yield self.workspace.policy.document.error(
                    ("tasks", self.task, "gate", rule, place),
                    f"{rule!r} names {word!a}: no example has such a {_CALLED[rule]}",
                    names.meant(word, known, f"they have: {listed(known) or 'none'}"),
                    "no-example",
                )

    def _lacking_fields(self) -> list[tuple[int, str, ConfigError]]:
        """Find the fields that graders compare and no agreed answer has: they are mistyped."""
        try:
            answers = [
                strict_json.read_or(example.reference)
                for example in self._opened(graders.build(()))
            ]
        except ConfigError:  # the lines themselves are at fault
            return []
        tables = [answer for answer in answers if isinstance(answer, dict)]
        known = list(dict.fromkeys(path for each in tables for path in field_paths([each])))
        if not known:  # each answer is at fault, and not a field
            return []
        lack = "lacks" if len(answers) == 1 else "lack"
        found = []
        for index, rule in enumerate(self.rules.graders):
            for path in rule.options.get("required", rule.fields):
                if all(lookup(answer, path) is MISSING for answer in answers):
                    place = ("tasks", self.task, "gate", "graders", index, "fields", path)
                    message = f"{plural(len(answers), 'example')} {lack} {path!a}"
                    hint = names.meant(path, known, f"they have: {listed(known)}")
                    error = self.workspace.policy.document.error(place, message, hint, "no-field")
                    found.append((index, path, error))
        return found


def _without(
    rules: Sequence[GraderRules], fields: Collection[tuple[int, str]]
) -> Iterator[GraderRules]:
    """Yield the graders without some of their fields; one that compares none then goes."""
    for index, rule in enumerate(rules):
        kinds: Mapping[str, Any] = rule.options.get("fields", {})
        left = {path: kind for path, kind in kinds.items() if (index, path) not in fields}
        if left or not kinds or "rest" in rule.options:
            yield replace(rule, options={**rule.options, "fields": left}) if kinds else rule
