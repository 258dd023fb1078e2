"""From a plan to the changed file: show, ask, prove once more, replace, commit."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from fftdeploy import files, git
from fftdeploy.api.proof import Question
from fftdeploy.api.readiness import Readiness
from fftdeploy.commands.context import Context, actor_name
from fftdeploy.commands.options.changing import ChangeOptions
from fftdeploy.commands.views import (
    CandidateView,
    CountedEvidence,
    PointedBundle,
    ReadinessView,
    TargetName,
)
from fftdeploy.errors import (
    ConfigError,
    ConflictError,
    DeclinedError,
    DiskError,
    FftdeployError,
    UsageError,
)
from fftdeploy.evaluation.verdict import Verdict
from fftdeploy.formats.document import text_problem
from fftdeploy.output.results import OMITTED, UNPRINTED
from fftdeploy.planning import commit_message, plan
from fftdeploy.planning.plan import Actor, Plan
from fftdeploy.policy.policy import FILE_NAME, Rules
from fftdeploy.pull_request import conflict
from fftdeploy.releases import edit, text_diff
from fftdeploy.releases.deployments import Bundle, Release, Target
from fftdeploy.times import CLOCK_SKEW
from fftdeploy.workspace import Workspace, shown_path

if TYPE_CHECKING:  # most policies declare no exports
    from fftdeploy.commands.exporting.places import ExportPlace

Replan = Callable[[Actor], Plan]
"""Makes the plan again for another moment: the server's, where the clocks disagree."""

_WITHOUT_POLICY = frozenset({"rollback", "hold", "unhold"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunChange:
    """What is known of a change before it is planned."""

    target: TargetName
    dry_run: bool
    verdict: Verdict | None = field(default=None, metadata=OMITTED)
    """The gate's, where it was asked."""
    judged: Any = field(default=None, metadata=UNPRINTED)
    """The evidence of that verdict (`Stored`), where it was made now or stops the change."""
    candidates: tuple[CandidateView, ...] | None = field(default=None, metadata=OMITTED)
    """Of a rollback: every release that it could go back to, and what became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed(BegunChange):
    """What a change of a target made, or would make."""

    changed: bool = False
    """Whether the file was written: not in a dry run, nor where there was nothing to do."""
    before: PointedBundle | None
    """None for a new target."""
    after: PointedBundle
    release: Release | None
    """The new one; None for a hold, and where there was nothing to do."""
    notes: tuple[str, ...]
    diff: str
    """Unified, as `git apply` takes it."""
    readiness: ReadinessView | None = field(default=None, metadata=OMITTED)
    commit: str | None = field(default=None, metadata=OMITTED)
    exports: tuple[str, ...] | None = field(default=None, metadata=OMITTED)
    """Declared exports that are not what the new file says, by their path below its folder: written
    and committed with it by `commit`, else left to `fftdeploy export`."""
    plan: Plan = field(metadata=UNPRINTED)
    counted: CountedEvidence | None = field(default=None, metadata=UNPRINTED)
    """The evidence that let it through."""
    shown_file: str = field(metadata=UNPRINTED)


Approve = Callable[[Changed], bool]
"""Shows somebody what would be made, and says whether to make it."""


def nobody(planned: Changed) -> bool:  # noqa: ARG001 - nobody sees it
    """Approve of nothing: where somebody would have to be asked, and nobody is there."""
    return False


class Change:
    """One change of one target, from the options to the result."""

    def __init__(self, context: Context, options: ChangeOptions) -> None:
        """Refuse early what would be refused late: options, terminal, repository."""
        self.context = context
        self.options = options
        self.workspace = context.workspace
        self.name = self.workspace.deployments.full_name(options.target)
        self.made_from: tuple[str, ...] = ()
        """Other targets that the plan was made from; they too may not change under it."""
        self.why = options.why
        self.begun = BegunChange(target=self.name, dry_run=options.dry_run)
        context.known = self.begun
        if self.why is not None:
            self.require_why()
        if options.approve is not None and not callable(options.approve):
            raise UsageError("approve is a function, or None where it is approved already")
        if options.approve is nobody and not options.dry_run:
            raise UsageError(
                "nobody can be asked here",
                hint="add --yes to make the change, or --dry-run to see it",
                code="no-terminal",
            )
        if context.command in _WITHOUT_POLICY:
            self.workspace = self.workspace.tolerating(context.console.note)
            try:
                _ = self.workspace.policy
            except (ConfigError, DiskError) as error:  # it has no say, and stops no rescue
                context.console.note(f"warning: {error.message} ({error.where})")
        self.by = actor_name(context, options.by)
        self.repository = None
        if options.commit:
            self.repository = git.check_committable(
                self.workspace.snapshot.real, (), context.environ, secrets=context.secrets
            )

    def learn(self, **found: Any) -> None:
        """Take in what was found on the way, for the result, and for the error if there is one."""
        self.begun = replace(self.begun, **found)
        self.context.known = self.begun

    @property
    def actor(self) -> Actor:
        """Who makes the change, now, and why."""
        return Actor(self.by, self.context.now(), self.why)

    def require_planned(self, *, create: bool) -> None:
        """Refuse to create a target that nobody has planned for, unless asked to."""
        is_open = not self.workspace.policy.exists
        if is_open and create:
            return
        try:
            self.workspace.require_planned(self.name)
        except UsageError as error:
            error.hint += "; --create adds it" if is_open else ""
            raise

    @property
    def may_ask(self) -> bool:
        """Tell whether there is a person, who has not approved of whatever comes."""
        return self.options.approve is not None and self.context.console.is_interactive

    def require_reason(self, rules: Rules, target: Target, *, is_first: bool = False) -> None:
        """Ask a person for a missing `--why` that the policy, or a first record, wants.

        Raises:
            UsageError: The answer is not one line of text.
            PolicyError: There is none, and nobody can be asked.
        """
        if (rules.protected or is_first) and self.may_ask:
            state = "protected" if rules.protected else "not recorded yet"
            self.require_why(f"{target} is {state}: why?")
        plan.require_why(rules, target, self.actor, always=is_first)

    def require_why(self, question: str = "") -> None:
        """Refuse to go on without a reason; a person is asked the `question` before."""
        if self.why is None and self.may_ask:
            self.why = self.context.console.ask(question)
        if not self.why:
            raise UsageError("--why is needed", hint='add --why "TEXT"', code="why")
        if problem := text_problem(self.why):
            raise UsageError(f"--why {problem}", hint="say it in one line")

    def preflight(self) -> None:
        """Refuse what the layout or the disk would refuse, before the API is asked anything.

        Raises:
            ConfigError: The target's layout can't be edited; the hint shows one that can.
            DiskError: The file can't be replaced.
        """
        target = self.workspace.deployments.find(self.name)
        document = self.workspace.deployments.document
        if target is not None and (wrong := edit.layout_error(document, target)):
            raise wrong
        if not self.options.dry_run:
            files.check_writable(self.workspace.snapshot)

    def draft(self, made: Plan) -> str:
        """Return the new text of the file, proved to say what was planned."""
        return edit.rewrite(self.workspace.deployments.document, made.before, made.after)

    def question(self, bundle: Bundle, *, probe: bool = True, fresh: bool = False) -> Question:
        """Ask about `bundle` the way it will be called."""
        return self.workspace.question(self.name, bundle, probe=probe, fresh=fresh)

    def finish(
        self,
        replan: Replan,
        planned: tuple[Plan, str] | None = None,
        *,
        readiness: Readiness | None = None,
        question: Question | None = None,
        counted: CountedEvidence | None = None,
    ) -> Changed:
        """Show the plan that was proved and the text it makes, ask, write and commit.

        `planned` is a new release as it was drafted before the API was asked, which tells the time.
        The `question` is asked again under the lock if its proof is older than 60 s then.
        """
        if planned and abs(self.context.now() - planned[0].after.releases[0].at) <= CLOCK_SKEW:
            made, text = planned
        else:
            made = replan(self.actor)
            text = self.draft(made)
        proved = ReadinessView.of(readiness, self.context.now().date())
        result = replace(self._result(made, text), counted=counted, readiness=proved)
        self.context.known = result
        file, *others = self.workspace.files_of(made)
        if self.repository and others:  # what `--commit` would refuse after the write
            secrets = self.context.secrets
            git.check_committable(file, others, self.context.environ, secrets=secrets)
        changed = self.workspace.with_text(text)
        if self.options.dry_run:
            return result
        exports = self._exports(changed)
        if exports:
            result = replace(result, exports=tuple(self._named(one) for one, _ in exports))
        if (approve := self.options.approve) is not None and not approve(result):
            raise DeclinedError("not confirmed; nothing was changed", code="declined")
        result = self._replace(text, result, question)
        return replace(result, commit=self._commit(made, exports)) if self.repository else result

    def make_unasked(self, replan: Replan) -> Changed:
        """Make a change that the API has no say in."""
        made = replan(self.actor)
        if made.is_noop:
            return self.unchanged(made)
        self.preflight()
        return self.finish(replan)

    def unchanged(self, made: Plan) -> Changed:
        """Report that there is nothing to do."""
        return self._result(made, self.workspace.deployments.document.text)

    def _result(self, made: Plan, text: str) -> Changed:
        old = self.workspace.deployments.document.text
        sides = [self.workspace.bytes_of(side).decode() for side in (old, text)]
        return Changed(
            **{item.name: getattr(self.begun, item.name) for item in fields(self.begun)},
            before=PointedBundle.of(made.before) if made.before else None,
            after=PointedBundle.of(made.after),
            release=made.new_release,
            notes=made.notes,
            diff=text_diff.unified(sides[0], sides[1], self.workspace.patched),
            plan=made,
            shown_file=self.workspace.shown,
        )

    def _replace(self, text: str, planned: Changed, question: Question | None) -> Changed:
        state = files.Replaced()
        result = replace(planned, changed=True)
        try:
            files.replace(
                self.workspace.snapshot,
                self.workspace.bytes_of(text),
                rebase=partial(self._rebase, planned.plan),
                confirm=partial(self._confirm, planned.plan, question),
                state=state,
            )
        finally:
            if state.done:
                sides = f"{result.before or 'nothing'} -> {result.after}"
                self.context.changed = f"{self.workspace.shown} WAS changed ({self.name}: {sides})"
                self.context.known = result
        for warning in state.warnings:
            self.context.console.note(f"warning: {warning}")
        return result

    def _rebase(self, made: Plan, fresh: bytes) -> bytes | None:
        """Make the change in a file that others changed meanwhile, if the plan still stands.

        A commit would take what somebody else has changed along, so it is none.
        """
        try:
            workspace = self.workspace.with_data(fresh)
        except ConfigError:  # whoever is at it has not finished
            return None
        before, now = self.workspace.deployments, workspace.deployments
        moved = conflict.changed(before, now)
        own = [name for name in moved if name in {self.name, *self.made_from}]
        if own or (moved and self.repository):
            name, hint = (own or moved)[0], "run it again: it will plan from the new file"
            if self.context.command == "rollback" and own:  # of the same thing, most likely
                hint = f"look first, a second rollback goes further back: fftdeploy status {name}"
            raise ConflictError(
                f"{name} has changed since this was planned: "
                f"{conflict.summary(before.find(name), now.find(name))}; "
                "nothing was written over it",
                hint=hint,
                where=self.workspace.shown,
                code="stale",
            )
        if self.repository:
            return None
        text = edit.rewrite(now.document, made.before, made.after)
        return workspace.with_text(text).snapshot.data

    def _confirm(self, made: Plan, question: Question | None) -> None:
        """Look again at what lies beside the file, and at the model if its proof is old by now.

        Whoever approves, and an evaluation, may take an hour, and nobody locks those files.
        """
        workspace, release = self.workspace.unread(), made.new_release
        profile = release.bundle.profile if release else None
        moved = ""
        if release and profile and workspace.sha(profile) != release.bundle.profile_sha:
            moved = f"profiles/{profile}.toml"
        elif self.context.command not in _WITHOUT_POLICY:
            moved = FILE_NAME if workspace.policy != self.workspace.policy else ""
        if moved:
            raise ConflictError(
                f"{moved} has changed since this was planned; nothing was written",
                hint="run it again: it will plan from what is there now",
                where=moved,
                code="stale",
            )
        if question is None:
            return
        prover = self.context.prover().of(question)
        if prover.is_stale(question):
            prover.confirm(question)

    def _exports(self, changed: Workspace) -> "list[tuple[ExportPlace, str]]":
        """Find what the change makes stale, before it is made; a rescue waits for none of it."""
        try:
            if not self.workspace.policy.exports:
                return []
            from fftdeploy.commands.exporting.places import due_exports

            return due_exports(self.context, changed)
        except FftdeployError as error:
            if self.repository and self.context.command not in _WITHOUT_POLICY:
                raise
            self.context.console.note(f"warning: exports are left as they are: {error.message}")
            return []

    def _named(self, place: "ExportPlace") -> str:
        return place.path.relative_to(self.workspace.folder).as_posix()

    def _commit(self, made: Plan, exports: "list[tuple[ExportPlace, str]]") -> str:
        assert self.repository is not None  # noqa: S101 - asked for by `finish` only with one
        paths = self.workspace.files_of(made)
        paths += self.repository.not_ignored(place.path for place, _ in exports)
        try:
            for place, content in exports:
                place.put(content)
            return git.commit(
                self.repository,
                paths,
                commit_message.message(made),
                self.context.environ,
                secrets=self.context.secrets,
            )
        except FftdeployError as error:
            names = " ".join(shlex.quote(shown_path(path)) for path in paths)
            first = f"fftdeploy export{self.context.file_option} && " if exports else ""
            raise DiskError(
                f"{self.workspace.shown} WAS changed, not committed: {error.message}",
                hint=f"{first}git add {names} && "
                f"git commit -m {shlex.quote(commit_message.subject(made))} -- {names}",
                code="commit",
            ) from None
