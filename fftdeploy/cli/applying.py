"""From a plan to the changed file: show, ask, prove once more, replace, commit, report."""

import shlex
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from fftdeploy import files, git
from fftdeploy.api.proof import Question
from fftdeploy.api.readiness import Readiness
from fftdeploy.cli.app import ChangeFlags
from fftdeploy.cli.as_json import bundle_json, readiness_json, release_json
from fftdeploy.cli.session import Session, actor_name
from fftdeploy.errors import ConfigError, ConflictError, DiskError, FftdeployError, UsageError
from fftdeploy.output.report import Block, Patch, Report, line
from fftdeploy.planning import commit_message
from fftdeploy.planning.commit_message import new_release, touched_holds
from fftdeploy.planning.plan import Actor, Plan
from fftdeploy.pull_request import conflict
from fftdeploy.releases import edit, text_diff
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.workspace import Workspace, shown_path

Replan = Callable[[Actor], Plan]
"""Makes the plan again for another moment: the server's, where the clocks disagree."""

_WITHOUT_POLICY = frozenset({"rollback", "hold", "unhold"})


class Change:
    """One change of one target, from the flags to the report."""

    def __init__(self, session: Session, flags: ChangeFlags, name: str) -> None:
        """Refuse early what would be refused late: flags, the terminal, the repository.

        Raises:
            UsageError: Nobody can be asked and `--yes` is missing, `--why` is not one line,
                or `--commit` can't work here.
        """
        from fftdeploy.formats.document import text_problem

        self.session = session
        self.flags = flags
        self.workspace = session.workspace
        self.name = self.workspace.deployments.full_name(name)
        self.made_from: tuple[str, ...] = ()
        """Other targets that the plan was made from; they too may not change under it."""
        self.why = flags.why
        session.data.update(target=self.name, dry_run=flags.dry_run)
        if flags.why is not None and (problem := text_problem(flags.why)):
            raise UsageError(f"--why {problem}", hint="say it in one line")
        if not (flags.yes or flags.dry_run or session.output.is_interactive):
            raise UsageError(
                "nobody can be asked here",
                hint="add --yes to make the change, or --dry-run to see it",
                code="no-terminal",
            )
        if session.command in _WITHOUT_POLICY:
            self.workspace = self.workspace.tolerating(session.output.note)
            self._warn_of_policy()
        self.by = actor_name(session, flags.by)
        self.repository = None
        if flags.commit:
            self.repository = git.check_committable(
                self.workspace.snapshot.real, (), session.environ, secrets=session.output.secrets
            )

    def _warn_of_policy(self) -> None:
        """Say that the policy is not valid where it has no say, so that it stops no rescue."""
        try:
            _ = self.workspace.policy
        except (ConfigError, DiskError) as error:
            self.session.output.note(f"warning: {error.message} ({error.where})")

    @property
    def actor(self) -> Actor:
        """Who makes the change, now, and why."""
        return Actor(self.by, self.session.now(), self.why)

    def ask_why(self, needed: str) -> None:
        """Ask a person for a missing `--why` that `needed` says is needed."""
        if self.why is None and self.session.output.is_interactive:
            self.why = self.session.require_text(None, "--why", f"{needed}\nwhy?")

    def preflight(self) -> None:
        """Refuse what the layout or the disk would refuse, before the API is asked anything.

        Raises:
            ConfigError: The target's layout can't be edited; the hint shows one that can.
            DiskError: The file can't be replaced.
        """
        target = self.workspace.deployments.find(self.name)
        document = self.workspace.deployments.document
        if target is not None and (problem := edit.layout_problem(document, target)):
            path = (target.task, target.environment)
            raise document.error(path, problem, edit.layout_hint(target), "layout")
        if not self.flags.dry_run:
            files.check_writable(self.workspace.snapshot)

    def draft(self, made: Plan) -> str:
        """Return the new text of the file, proved to say what was planned.

        Raises:
            ConfigError: The target's layout can't be edited.
        """
        return edit.rewrite(self.workspace.deployments.document, made.before, made.after)

    def question(self, bundle: Bundle, *, probe: bool = True, fresh: bool = False) -> Question:
        """Ask about `bundle` the way it will be called."""
        target = self.workspace.deployments.find(self.name)
        return self.workspace.question(target, bundle, probe=probe, fresh=fresh)

    def finish(
        self,
        replan: Replan,
        planned: tuple[Plan, str],
        *,
        readiness: Readiness | None = None,
        question: Question | None = None,
        details: tuple[Block, ...] = (),
    ) -> Report:
        """Show the plan, ask, write, commit and report.

        Args:
            replan: Makes the plan for another moment.
            planned: The plan that was proved, and the text it makes.
            readiness: What the API proved about the bundle.
            question: Asked again under the lock if the proof is older than 60 s then.
            details: Shown between the plan and the diff.
        """
        made, text = planned
        if abs((self.session.now() - _moment(made)).total_seconds()) > 300:
            made = replan(self.actor)  # the server's clock is the one that counts
            text = self.draft(made)
        old = self.workspace.deployments.document.text
        sides = [self.workspace.bytes_of(side).decode() for side in (old, text)]
        patch = text_diff.unified(sides[0], sides[1], self.workspace.patched)
        self.session.data.update(_as_json(made, patch))
        if readiness is not None:
            today = self.session.now().date()
            self.session.data["readiness"] = readiness_json(readiness, today)
        heading = self._heading(made)
        shown = (*heading, *details, *_readiness_lines(readiness, self.session))
        self._check_commit(made)
        if self.flags.dry_run:
            note = line("dry run: nothing was changed")
            return Report(data=self.session.data, body=(*shown, Patch(patch), note))
        self._approve((*shown, Patch(patch)))
        self._replace(text, made, question)
        commit = self._commit(made) if self.repository else ""
        # A person who was asked has seen it all just now.
        body: tuple[Block, ...] = (*shown, Patch(patch)) if self.flags.yes else heading
        if commit:
            self.session.data["commit"] = commit
            body = (*body, line(f"committed as {commit}"))
        return Report(data=self.session.data, body=body, next=self._next(made, commit))

    def unchanged(self, made: Plan) -> Report:
        """Report that there is nothing to do."""
        assert made.before is not None  # noqa: S101 - only an existing target can be as it was
        self.session.data.update(changed=False, model=made.after.model, diff="")
        because = f": {made.notes[0]}" if made.notes else ""
        return Report(
            data=self.session.data,
            body=(line(f"{made.after}  {made.after.model}"), line(f"nothing to do{because}")),
        )

    def _heading(self, made: Plan) -> tuple[Block, ...]:
        before, after = made.before, made.after
        notes = tuple(line(f"  note: {note}") for note in made.notes)
        if before is None:
            return (line(f"{after}  new target  {_live(after)}"), *notes)
        if _live(before) == _live(after):
            return (line(f"{after}  {_what_changed(made)}"), *notes)
        return (
            line(f"{after}  release {after.releases[0].n}"),
            line(f"  from       {_live(before)}"),
            line(f"  to         {_live(after)}"),
            *notes,
        )

    def _approve(self, shown: tuple[Block, ...]) -> None:
        if self.flags.yes:
            return
        self.session.output.say(*shown)
        if self.session.output.ask("make this change? [y/N]").lower() not in {"y", "yes"}:
            raise UsageError("not confirmed; nothing was changed", code="declined")

    def _replace(self, text: str, made: Plan, question: Question | None) -> None:
        state = files.Replaced()
        what = _changed_words(self.workspace.shown, made)
        try:
            files.replace(
                self.workspace.snapshot,
                self.workspace.bytes_of(text),
                rebase=partial(self._rebase, made),
                confirm=partial(self._confirm, question),
                state=state,
            )
        finally:
            if state.done:
                self.session.changed = what
                self.session.data["changed"] = True
        for warning in state.warnings:
            self.session.output.note(f"warning: {warning}")

    def _rebase(self, made: Plan, fresh: bytes) -> bytes | None:
        """Make the change in a file that others changed meanwhile, if the plan still stands.

        A commit would take what somebody else has changed along, so it is none.

        Raises:
            ConflictError: It does not, because of a change that can be named.
        """
        try:
            workspace = self.workspace.with_data(fresh)
        except ConfigError:  # whoever is at it has not finished
            return None
        before, now = self.workspace.deployments, workspace.deployments
        moved = conflict.changed(before, now)
        own = [name for name in moved if name in {self.name, *self.made_from}]
        if own or (moved and self.repository):
            raise self._stale((own or moved)[0], workspace)
        if self.repository:
            return None
        has_say = self.session.command not in _WITHOUT_POLICY
        if has_say and workspace.policy != self.workspace.policy:
            return None
        return workspace.bytes_of(edit.rewrite(now.document, made.before, made.after))

    def _stale(self, name: str, workspace: Workspace) -> ConflictError:
        """Build the error for a plan that another change of the file has overtaken."""
        what = conflict.summary(
            self.workspace.deployments.find(name), workspace.deployments.find(name)
        )
        return ConflictError(
            f"{name} has changed since this was planned: {what}; nothing was written over it",
            hint="run it again: it will plan from the new file",
            where=self.workspace.shown,
            code="stale",
        )

    def _confirm(self, question: Question | None) -> None:
        """Prove the model again if the proof is older than a minute by now."""
        if question is None:
            return
        prover = self.session.prover()
        if prover.is_stale(question):
            found = prover.confirm(question)
            if not found.is_ready:
                raise found.error()

    def _commit_paths(self, made: Plan) -> list[Path]:
        """Name the files that the commit is made of: what the new release names goes along."""
        release = new_release(made)
        also = []
        if release and release.bundle.profile:
            also.append(self.workspace.profile_path(release.bundle.profile))
        if release and release.evidence:
            also.append(self.workspace.evidence_path(made.after.task, release.evidence))
        return [self.workspace.snapshot.real, *also]

    def _check_commit(self, made: Plan) -> None:
        """Refuse what `--commit` would refuse after the write, now that its files are known."""
        file, *others = self._commit_paths(made)
        if self.repository and others:
            secrets = self.session.output.secrets
            git.check_committable(file, others, self.session.environ, secrets=secrets)

    def _commit(self, made: Plan) -> str:
        assert self.repository is not None  # noqa: S101 - asked for by `finish` only with one
        paths = self._commit_paths(made)
        try:
            return git.commit(
                self.repository,
                paths,
                commit_message.message(made),
                self.session.environ,
                secrets=self.session.output.secrets,
            )
        except FftdeployError as error:
            names = " ".join(shlex.quote(shown_path(path)) for path in paths)
            raise DiskError(
                f"{self.workspace.shown} WAS changed, not committed: {error.message}",
                hint=f"git add {names} && "
                f"git commit -m {shlex.quote(commit_message.subject(made))} -- {names}",
                code="commit",
            ) from None

    def _next(self, made: Plan, commit: str) -> str:
        if not commit:
            return f"git diff {shlex.quote(self.workspace.shown)}"
        return f"git push, then fftdeploy status {made.after}"


def _what_changed(made: Plan) -> str:
    release, touched = new_release(made), touched_holds(made)
    if release is not None:
        return f"release {release.n} records what is live"
    what = "hold lifted from" if touched[0].lifted else "hold on"
    return f"{what} {', '.join(hold.model for hold in touched)}"


def _live(target: Target) -> str:
    profile = f" with profile {target.profile}" if target.profile else ""
    return f"{target.model}{profile}"


def _moment(made: Plan) -> datetime:
    newest = new_release(made)
    if newest is not None:
        return newest.at
    hold = touched_holds(made)[0]
    return hold.lifted or hold.since


def _changed_words(shown: str, made: Plan) -> str:
    before = _live(made.before) if made.before else "nothing"
    return f"{shown} WAS changed ({made.after}: {before} -> {_live(made.after)})"


def _readiness_lines(readiness: Readiness | None, session: Session) -> tuple[Block, ...]:
    if readiness is None:
        return ()
    from fftdeploy.cli.wording import readiness_cell, runway_cell

    today = session.now().date()
    shown: list[Block] = [
        line("  readiness  ", readiness_cell(readiness)),
        line("  runway     ", runway_cell(readiness, today)),
    ]
    shown += [line(f"  warning: {warning}") for warning in readiness.warnings]
    shown += [line(f"  notice: {notice}") for notice in readiness.notices]
    return tuple(shown)


def _as_json(made: Plan, patch: str) -> dict[str, Any]:
    release = new_release(made)
    return {
        "changed": False,
        "before": bundle_json(made.before) if made.before else None,
        "after": bundle_json(made.after),
        "release": release_json(release) if release else None,
        "notes": list(made.notes),
        "diff": patch,
    }
