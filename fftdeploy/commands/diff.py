"""Diff: two environments, two targets or two git refs, by what is live and not by lines."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from fftdeploy import names
from fftdeploy.commands.context import Context
from fftdeploy.commands.door import door
from fftdeploy.commands.inspecting.compared import (
    Compared,
    ComparedEnd,
    ComparedSide,
    ComparedTarget,
    Sides,
)
from fftdeploy.commands.inspecting.compared_files import (
    ComparedFiles,
    evidence_named,
    with_evidence,
)
from fftdeploy.commands.options.looking import DiffOptions
from fftdeploy.errors import FINDING, OK, UnansweredError, UsageError
from fftdeploy.output.results import as_json
from fftdeploy.planning.bundles import live_bundle
from fftdeploy.pull_request import changes
from fftdeploy.pull_request.ref_files import RefFiles, open_ref, refs_called
from fftdeploy.releases.deployments import Bundle, Target

if TYPE_CHECKING:
    from fftdeploy.telling.github_deployments import MadeLive

Kind = Literal["environment", "target", "task", "ref"]
_PLAIN_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


def run(context: Context, options: DiffOptions) -> Compared:
    """Compare by what is live; git and the disk are asked, and never the API.

    That something differs is no failure, unless `exit_code` makes it one.

    Raises:
        UsageError: A word names nothing, or the two are not of one kind.
        ConfigError: A file that is compared is not valid.
    """
    result = _Diff(context, options).run()
    if not options.record:
        return result
    from fftdeploy.telling import github_deployments

    if result.b.commit is None:
        raise UsageError("--record compares two commits", hint="fftdeploy diff HEAD^ HEAD --record")
    made = [_made_live(context, one) for one in result.comparisons if one.makes_live]
    github_deployments.record(context.environ, result.b.commit, made)
    return replace(result, recorded=tuple(one.target for one in made))


diff = door(run, DiffOptions)


class _Diff:
    """One run of `diff`."""

    def __init__(self, context: Context, options: DiffOptions) -> None:
        self.context = context
        self.workspace = context.workspace
        self.words = [word for word in (options.a, options.b) if word is not None]
        self.exit_code = options.exit_code
        self.now = context.now()
        prices = self.workspace.policy.prices
        self.source = ComparedFiles(self.workspace, prices, self.now)

    def run(self) -> Compared:
        kinds = {word: self._kind(word) for word in self.words}
        if set(kinds.values()) <= {"ref"}:
            return self._between_refs(*self.words)
        self._require_one_kind(kinds)
        for ref in refs_called(self.workspace, kinds, self.context.environ):
            word = ref.split("/", 2)[2]
            self.context.console.note(f"note: {word} is the {kinds[word]} here; {ref} is git's")
        return self._between_targets()

    @cached_property
    def _environments(self) -> list[str]:
        policy = self.workspace.policy
        used = [environment for _, environment in self.workspace.deployments.targets]
        return list(dict.fromkeys((*policy.order, *policy.environments, *used)))

    def _kind(self, word: str) -> Kind:
        """Say what a word names; a name of the files goes before one of git's."""
        task, slash, environment = word.partition("/")
        if word in self._environments:
            return "environment"
        if task in self.workspace.deployments.tasks():
            if environment in self._environments:
                return "target"
            if not slash and len(self.words) == 1:
                return "task"
        return "ref"

    def _require_one_kind(self, kinds: Mapping[str, Kind]) -> None:
        refs = [word for word, kind in kinds.items() if kind == "ref"]
        if refs:
            other = next(word for word, kind in kinds.items() if kind != "ref")
            where = f"target or environment of {self.workspace.shown}"
            near = self._near(refs[0])
            raise UsageError(
                f"{refs[0]!a} is no {where}, and {other} is: two refs are compared, or neither",
                hint=near or f"name two of one kind; refs/heads/{other} would be a branch",
            )
        word, kind = next(iter(kinds.items()))
        if len(self.words) == 1 and kind != "task":
            task, _, environment = word.rpartition("/")
            sources = self.workspace.policy.rules(environment).sources
            others = [name for name in (*sources, *self._environments) if name != environment]
            other = f"{task}/{others[0]}" if task and others else next(iter(others), "ENVIRONMENT")
            raise UsageError(
                f"{word} has to be compared with something", hint=f"fftdeploy diff {other} {word}"
            )

    # Targets of the working tree

    def _between_targets(self) -> Compared:
        ends = [ComparedEnd(word) for word in self.words]
        known = self.workspace.deployments.targets
        found = []
        for one, other in self._pairs():
            sides = self.source.side(known.get(one)), self.source.side(known.get(other))
            if any(sides):
                told = with_evidence(sides, self.source, self.source)
                both = ("/".join(one), "/".join(other))
                found.append(ComparedTarget.of(both, *told, (), self.now))
        if not found:
            raise UsageError(
                f"{self.workspace.shown} has no two targets to compare for {' '.join(self.words)}",
                hint=f"environments: {', '.join(self._environments)}",
                code="unknown-target",
            )
        return self._result("targets", ends, found, len(found))

    def _pairs(self) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
        """Yield which targets to compare, by task and environment."""
        tasks = self.workspace.deployments.tasks()
        if len(self.words) == 1:
            places = ((self.words[0], environment) for environment in self._environments)
            known = self.workspace.deployments.targets
            yield from pairwise(place for place in places if place in known)
            return
        (task_a, _, one), (task_b, _, other) = (word.rpartition("/") for word in self.words)
        if task_a or task_b:
            yield (task_a or task_b, one), (task_b or task_a, other)
        else:
            yield from (((task, one), (task, other)) for task in tasks)

    # Refs

    def _between_refs(self, a: str = "HEAD", b: str | None = None) -> Compared:
        with ExitStack() as stack:
            first = self._open(stack, a)
            second = self._open(stack, b) if b is not None else None
            before, after = self._source_of(first), self._source_of(second)
            ends = [ComparedEnd(a, first.commit), ComparedEnd(b, second.commit if second else None)]
            changed = list(self._changed(before, after))
            _lay_out_evidence(first, [sides[0] for _, sides, _ in changed])
            _lay_out_evidence(second, [sides[1] for _, sides, _ in changed])
            found = []
            for name, sides, steps in changed:
                told = with_evidence(sides, before, after)
                found.append(ComparedTarget.of((name, name), *told, steps, self.now))
            count = len(
                {*before.workspace.deployments.targets, *after.workspace.deployments.targets}
            )
            return self._result("refs", ends, found, count)

    def _open(self, stack: ExitStack, ref: str) -> RefFiles:
        try:
            return stack.enter_context(open_ref(self.workspace, ref, self.context.environ))
        except UsageError as error:
            if isinstance(error, UnansweredError) and error.code != "no-commit":
                raise  # the word names a commit
            if ref not in self.words:  # nobody has named it
                error.hint = self._example() or error.hint
                raise
            where = f"target, task or environment of {self.workspace.shown}"
            error.message = f"{ref!a} is no {where}, and {error.message}"
            listed = f"environments: {', '.join(self._environments) or 'none'}"
            # What looks like a flag, or is more than one line, is nothing to be typed.
            fetch = f"; or {error.hint}" if _PLAIN_REF.fullmatch(ref) else ""
            error.hint = self._near(ref) or f"{listed}{fetch}"
            raise

    def _example(self) -> str:
        """Return a line that compares two targets of one task; "" where none has two."""
        targets = self.workspace.deployments.targets
        for task in self.workspace.deployments.tasks():
            known = [name for name in self._environments if (task, name) in targets]
            if len(known) > 1:
                return f"fftdeploy diff {known[0]} {known[1]}"
        return ""

    def _near(self, word: str) -> str:
        targets = map(str, self.workspace.deployments.targets.values())
        known = [*self._environments, *targets, *self.workspace.deployments.tasks()]
        return names.meant(word, known, quoted=False)

    def _source_of(self, files: RefFiles | None) -> ComparedFiles:
        """Return where to read from; a profile that a ref has got wrong counts as missing."""
        if files is None:
            return self.source
        note = self.context.console.note
        workspace = files.workspace.tolerating(lambda text: note(f"{files.ref}: {text}"))
        return ComparedFiles(workspace, self.source.prices, self.now)

    def _changed(
        self, before: ComparedFiles, after: ComparedFiles
    ) -> Iterator[tuple[str, Sides, Sequence[changes.TargetChange]]]:
        """Yield each target in which something has happened, or another bundle is live."""
        old, new = before.workspace.deployments, after.workspace.deployments
        happened: dict[tuple[str, str], list[changes.TargetChange]] = {}
        shas = before.workspace.sha, after.workspace.sha
        for change in changes.between(old, new, *shas):
            key = (change.target.task, change.target.environment)
            happened.setdefault(key, []).append(change)
        for key in dict.fromkeys((*new.targets, *old.targets)):
            sides = old.targets.get(key), new.targets.get(key)
            if key in happened or _live(sides[0], before) != _live(sides[1], after):
                both = before.side(sides[0]), after.side(sides[1])
                yield "/".join(key), both, happened.get(key, ())

    def _result(
        self,
        kind: Literal["targets", "refs"],
        ends: Iterable[ComparedEnd],
        found: list[ComparedTarget],
        count: int,
    ) -> Compared:
        a, b, *_ = (*ends, ComparedEnd())
        differing = sum(one.differs for one in found)
        outcome = FINDING if self.exit_code and differing else OK
        return Compared(kind, a, b, differing, count, tuple(found), outcome)


def _made_live(context: Context, one: ComparedTarget) -> "MadeLive":
    """Say what is live in a target now, with the evidence that lets it be."""
    from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder
    from fftdeploy.telling.github_deployments import MadeLive

    after, target = one.after, one.targets[0]
    assert after is not None  # noqa: S101 - it makes something live
    by = f"release {after.release.n}" if after.release and after.recorded else "hand edit"
    path = None
    if after.evidence and not after.evidence.problem:
        folder = EvidenceFolder(context.workspace.folder)
        path = folder.path_of(after.evidence.id, target.partition("/")[0])
    root = context.workspace.snapshot.root
    return MadeLive(
        target=target,
        description=f"{by}: {after.live}",
        evidence=path.relative_to(root).as_posix() if path else None,
        payload={"previous": as_json(one.before and one.before.live), "live": as_json(after.live)},
    )


def _live(target: Target | None, source: ComparedFiles) -> Bundle | None:
    return live_bundle(target, source.workspace.sha) if target else None


def _lay_out_evidence(files: RefFiles | None, sides: Iterable[ComparedSide | None]) -> None:
    if files is not None:
        named = ((side.written.task, evidence_named(side)) for side in sides if side is not None)
        files.lay_out_evidence((task, evidence) for task, evidence in named if evidence)
