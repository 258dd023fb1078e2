"""A proposed change: what it does, what speaks against it, and whose word that is."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any

from fftdeploy.api.readiness import Readiness, Shutdown
from fftdeploy.cli.against import Against
from fftdeploy.cli.claims import Claims
from fftdeploy.cli.lost_records import lost_records
from fftdeploy.cli.session import Session
from fftdeploy.output.report import Block, Cell, Table, line
from fftdeploy.planning.bundles import live_bundle
from fftdeploy.planning.finding import Finding
from fftdeploy.pull_request import change_rules, changes, second_files
from fftdeploy.pull_request.base_ref import BaseRef
from fftdeploy.pull_request.change_rules import Ground
from fftdeploy.pull_request.changes import TargetChange
from fftdeploy.pull_request.second_files import Elsewhere
from fftdeploy.releases.deployments import Bundle, Release, Target
from fftdeploy.workspace import Workspace

_NEEDS_APPROVAL = frozenset({"policy-change", "removed-target", second_files.CODE})
"""Findings that `--allow-policy-change` turns into notices."""


class Proposal:
    """What lies between a base ref and the working tree; the base's files are its judge."""

    def __init__(
        self,
        session: Session,
        workspace: Workspace,
        base: BaseRef,
        against: Against,
        *,
        is_second: bool = False,
    ) -> None:
        self.is_second = is_second
        self.session = session
        self.workspace = workspace
        self.base = base
        self.against = against
        self.changes = changes.between(
            base.fork.deployments, workspace.deployments, base.fork.sha, workspace.sha
        )
        self.claims: Claims | None = None
        self._past: dict[datetime, Workspace | None] = {}
        self._unseen: dict[str, Target] = {}
        """Where soak rests on the record alone: the clone does not reach back that far."""

    @cached_property
    def elsewhere(self) -> Elsewhere:
        """What the change does to deployments and policy files elsewhere in the tree."""
        return self.base.elsewhere()

    @property
    def made_live(self) -> list[str]:
        """Name the targets in which a release is added."""
        return list(dict.fromkeys(str(c.target) for c in self.changes if c.makes_live))

    def dead(self) -> frozenset[str]:
        """Ask the API which of the models that the changes replace are dead."""
        prover = self.session.prover()
        found = set()
        for name in self.made_live:
            target = self.base.tip.deployments.find(name)
            if target is not None:
                live = live_bundle(target, self.base.tip.sha)
                question = self.base.tip.question(target, live, probe=False)
                if prover.prove(question).dead:
                    found.add(name)
        return frozenset(found)

    def findings(
        self,
        readiness: Mapping[str, Readiness],
        shutdowns: Mapping[str, Shutdown | None],
        dead: frozenset[str],
    ) -> list[Finding]:
        """List what speaks against the changes, in the order in which they are listed."""
        tip = self.base.tip
        ground = Ground(
            tip.deployments,
            tip.policy,
            tip.sha,
            self.workspace.deployments,
            self.session.place,
            self.session.now(),
            dead,
            shutdowns,
            self._was_live,
        )
        found = [*self._links(), *self._policy_changes(), *self._stale(ground)]
        if not self.is_second:
            names = (*self.elsewhere.added, *self.elsewhere.removed)
            found += second_files.errors(self.elsewhere, {n: self.session.shown(n) for n in names})
        found += lost_records(self.workspace, self.base, self.session.place)
        found += change_rules.judge(ground, self.changes)
        found += self._unseen_soak()
        found += self._not_ready(ground, readiness)
        found += self._evidence(ground, {f.subject for f in found if f.severity == "error"})
        if self.against.allow_policy_change:
            found = [
                replace(f, severity="notice") if f.code in _NEEDS_APPROVAL else f for f in found
            ]
        return found

    def _links(self) -> Iterator[Finding]:
        for place in self.base.links():
            message = f"{place} is a link: git would compare the link, not what it leads to"
            yield Finding("link", "error", place, message, place, 1, "commit the file itself")

    def _unseen_soak(self) -> Iterator[Finding]:
        for name in self._unseen:
            message = f"since when {name} has it is what the record says: this clone is shallow"
            hint = self.base.unshallow_line()
            yield Finding("soak-unseen", "notice", name, message, self.session.place, 1, hint)

    def _policy_changes(self) -> Iterator[Finding]:
        folder = self.session.place.rpartition("/")[0]
        for name in self.base.changed:
            path = f"{folder}/{name}" if folder else name
            message = f"{name} changes what promotions are judged by"
            hint = f"{self.base.ref}'s judges this one; a maintainer may --allow-policy-change"
            yield Finding("policy-change", "error", name, message, path, 1, hint)

    def _stale(self, ground: Ground) -> Iterator[Finding]:
        """Say what was merged into the base meanwhile, under a change of the same target."""
        for change in _first_of_each(self.changes):
            target = change.target
            fork = self.base.fork.deployments.find(str(target))
            tip = self.base.tip.deployments.find(str(target))
            if fork != tip:
                moved = _moved(tip.newest) if tip is not None else "it is gone"
                message = f"{target} has changed in {self.base.ref} since: {moved}"
                hint = f"merge or rebase, and promote {target} again on top"
                yield ground.about(change, "stale", message, hint)

    def _not_ready(self, ground: Ground, readiness: Mapping[str, Readiness]) -> Iterator[Finding]:
        for change in self.changes:
            known = readiness.get(str(change.target))
            if known is None or not change.makes_live or change.release != change.target.newest:
                continue
            if known.state == "not-ready":
                yield ground.about(change, "not-ready", known.message, known.hint)

    def _evidence(self, ground: Ground, blocked: set[str]) -> Iterator[Finding]:
        """Judge the evidence; where all else is well it is made again, if that was asked for."""
        trust = self.against.trust
        self.claims = Claims(self.session, self.workspace, self.base, ground, trust)
        for change in self.changes:
            rerun = trust.rerun and str(change.target) not in blocked
            yield from self.claims.judge(change, rerun=rerun)
        yield from self.claims.others()

    def _was_live(self, target: Target, bundle: Bundle, moment: datetime) -> bool:
        """Tell whether the base had `bundle` live then; where nobody can say, it is believed."""
        if moment not in self._past:
            self._past[moment] = self.base.earlier(moment)
        then = self._past[moment]
        old = then.deployments.find(str(target)) if then is not None else None
        if then is None:
            if self.base.unshallow_line():
                self._unseen[str(target)] = target
            return True
        return old is not None and live_bundle(old, then.sha) == bundle

    def as_json(self) -> dict[str, Any]:
        """Return what the JSON document says of the base and the changes."""
        return {
            "base": {
                "ref": self.base.ref,
                "commit": self.base.commit,
                "merge_base": self.base.parted,
            },
            "changes": [self._change_json(change) for change in self.changes],
        }

    def _change_json(self, change: TargetChange) -> dict[str, Any]:
        release = change.release
        stored, standing = self._found(change)
        return {
            "target": str(change.target),
            "kind": change.kind,
            "message": change.message,
            "release": release.n if release else None,
            "model": release.bundle.model if release else None,
            "previous": change.before.model if change.before else None,
            "evidence": stored.id if stored else None,
            "standing": standing or None,
            "ruling": stored.verdict.ruling if stored else None,
        }

    def _found(self, change: TargetChange) -> tuple[Any, str]:
        if change.release is None or self.claims is None:
            return None, ""
        return self.claims.found.get((str(change.target), change.release.n), (None, ""))

    def body(self, found: Iterable[Finding]) -> list[Block]:
        """Return the changes, for a person."""
        against = f"{self.base.ref} ({self.base.commit[:12]})"
        if not self.changes:
            return [line(f"no target differs from {against}")]
        wrong = {(f.subject, f.line) for f in found if f.severity == "error"}
        rows = tuple(self._row(change, self._key(change) in wrong) for change in self.changes)
        return [
            line(f"changes against {against}:"),
            Table(("target", "change", "what", "was", "becomes", "evidence"), rows),
        ]

    def _row(self, change: TargetChange, is_wrong: bool) -> tuple[Cell, ...]:
        release, before = change.release, change.before
        return (
            Cell(str(change.target)),
            Cell(change.kind, "bad" if is_wrong else "strong"),
            Cell(change.message),
            Cell(str(before) if before else ""),
            Cell(str(release.bundle) if release else ""),
            Cell(self._evidence_words(change)),
        )

    def _key(self, change: TargetChange) -> tuple[str, int]:
        target = change.target
        is_there = self.workspace.deployments.find(str(target)) is not None
        return str(target), (
            self.workspace.deployments.line(target, *change.below) if is_there else 0
        )

    def _evidence_words(self, change: TargetChange) -> str:
        stored, standing = self._found(change)
        if stored is None:
            return ""
        known = {"claimed": "claimed in this change", "base": "merged already"}
        return f"{stored.short} {stored.verdict.ruling}, {known.get(standing, standing)}"


def _first_of_each(found: Iterable[TargetChange]) -> Iterator[TargetChange]:
    seen = set()
    for change in found:
        if str(change.target) not in seen:
            seen.add(str(change.target))
            yield change


def _moved(newest: Release | None) -> str:
    if newest is None:
        return "it has no release"
    why = f": {newest.why}" if newest.why else ""
    return f"release {newest.n}, {newest.bundle}, by {newest.by} {newest.at:%Y-%m-%d}{why}"
