"""A proposed change: what it does, what speaks against it, and whose word that is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fftdeploy.api.readiness import Readiness
from fftdeploy.planning.bundles import canary_of, live_bundle
from fftdeploy.planning.finding import Finding
from fftdeploy.planning.finding_facts import FindingFacts
from fftdeploy.policy import profiles
from fftdeploy.policy.policy import FILE_NAME, Policy
from fftdeploy.pull_request import change_rules, changes, second_files
from fftdeploy.pull_request.base_ref import BaseRef
from fftdeploy.pull_request.change_rules import ChangeFacts
from fftdeploy.pull_request.changes import TargetChange
from fftdeploy.pull_request.evidence import ProposedEvidence, SeenBy
from fftdeploy.pull_request.second_files import Elsewhere
from fftdeploy.releases.deployments import Bundle, Release, Target
from fftdeploy.workspace import Workspace

if TYPE_CHECKING:
    from fftdeploy.api.asked_hosts import AskedHosts
    from fftdeploy.evaluation.evidence.evidence_folder import Stored

_NEEDS_APPROVAL = frozenset({"policy-change", "removed-target", second_files.CODE})
"""Findings that `--allow-policy-change` turns into notices."""
_OF_THE_BAR = "changes what models are judged by"


class Proposal:
    """What lies between a base ref and the working tree; the base's files are its judge."""

    def __init__(
        self, workspace: Workspace, base: BaseRef, place: str, *, is_second: bool = False
    ) -> None:
        """Compare; `place` is how findings name the file, `is_second` that it is another."""
        self.is_second = is_second
        self.workspace = workspace
        self.base = base
        self.place = place
        self.changes = changes.between(
            base.fork.deployments, workspace.deployments, base.fork.sha, workspace.sha
        )
        self.evidence: ProposedEvidence | None = None
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
        return list(dict.fromkeys(str(c.target) for c in self.changes if c.release))

    @property
    def in_question(self) -> list[str]:
        """Name what the change makes live, and the canaries that it starts."""
        added = [(change.target, change.release) for change in self.changes if change.release]
        named = (canary_of(to) if release.canary else str(to) for to, release in added)
        return list(dict.fromkeys(named))

    def _dead(self, hosts: "AskedHosts") -> frozenset[str]:
        """Ask the hosts which of the models that the changes replace are dead."""
        tip = self.base.tip
        replaced = {name: tip.deployments.find(name) for name in self.made_live}
        questions = {
            name: tip.question(name, live_bundle(target, tip.sha), probe=False)
            for name, target in replaced.items()
            if target is not None
        }
        proved = hosts.prove_all(questions.values())
        return frozenset(name for name, question in questions.items() if proved[question].dead)

    def facts(self, known: FindingFacts, hosts: "AskedHosts | None") -> ChangeFacts:
        """Return what the changes are judged by; `known` is what was proved of what is live now.

        The hosts, where they may be asked, say which of the models that are replaced are dead.
        """
        tip = self.base.tip
        return ChangeFacts(
            tip.deployments,
            tip.policy,
            tip.sha,
            known.now,
            self.workspace.deployments,
            self.place,
            self._dead(hosts) if hosts else frozenset(),
            known.shutdowns,
            self._was_live,
        )

    def findings(
        self,
        evidence: ProposedEvidence,
        readiness: Mapping[str, Readiness],
        shown: Callable[[str], str],
        *,
        allow_policy_change: bool,
    ) -> list[Finding]:
        """List what speaks against the changes, in the order in which they are listed."""
        self.evidence, facts = evidence, evidence.facts
        found = [*self._links(), *self._policy_changes(), *self._stale(facts)]
        if not self.is_second:
            found += second_files.errors(self.elsewhere, shown)
        found += self._removed_records()
        found += change_rules.judge(facts, self.changes)
        found += self._unseen_soak()
        found += self._not_ready(facts, readiness)
        blocked = {f.subject for f in found if f.severity == "error"}
        for change in self.changes:  # made again, if that was asked for and all else is well
            rerun = evidence.trust.evaluate is not None and str(change.target) not in blocked
            found += evidence.judge(change, rerun=rerun)
        found += evidence.others()
        if allow_policy_change:
            found = [
                replace(f, severity="notice") if f.code in _NEEDS_APPROVAL else f for f in found
            ]
        return found

    def _links(self) -> Iterator[Finding]:
        for place in self.base.links():
            message = f"{place} is a link: git would compare the link, not what it leads to"
            yield Finding("link", "error", place, message, place, 1, "commit the file itself")
        for place in self.base.brought():
            message = f"{place} is what one machine has found: it would count everywhere"
            hint = "take it out of the change: git rm --cached"
            yield Finding("committed-state", "error", place, message, place, 1, hint)

    def _unseen_soak(self) -> Iterator[Finding]:
        for name in self._unseen:
            message = f"since when {name} has it is what the record says: this clone is shallow"
            hint = self.base.unshallow_line()
            yield Finding("soak-unseen", "notice", name, message, self.place, 1, hint)

    def _policy_changes(self) -> Iterator[Finding]:
        folder = self.place.rpartition("/")[0]
        hint = f"{self.base.ref}'s judges this one; a maintainer may --allow-policy-change"
        for name in self.base.changed:
            path = f"{folder}/{name}" if folder else name
            said = self._said_of_policy() if name == FILE_NAME else [(name, _OF_THE_BAR)]
            for subject, message in said:
                yield Finding("policy-change", "error", subject, f"{name} {message}", path, 1, hint)

    def _said_of_policy(self) -> Iterator[tuple[str, str]]:
        """Yield what the change of the policy file is, each with what that is about.

        Another export is none, for it lets nothing through; one that is gone lets a stale file.
        """
        now, bases = self.workspace.policy, self.base.policies
        if now in bases or all(_bar(now) != _bar(base) for base in bases):
            yield FILE_NAME, _OF_THE_BAR
        yield from ((FILE_NAME, message) for message in _fallbacks(now, bases))
        for file, kind in self.base.tip.policy.exports.items():
            if now.exports.get(file) not in {base.exports.get(file) for base in bases}:
                yield file, f"no longer says that {file} is an export of {kind}"

    def _removed_records(self) -> Iterator[Finding]:
        """List evidence that is gone, and prompts that are not any more as a release had them."""
        for name in sorted(self.base.lost_evidence()):
            what = f"evidence {Path(name).stem[:12]} is gone or another: records are only added to"
            yield Finding("record-removed", "error", name, what, hint="bring it back")
        beside, sha = Path(self.place).parent, self.base.tip.sha
        live: dict[str, str] = {}
        for target in self.base.tip.deployments.targets.values():
            for release in target.releases:
                profile = release.bundle.profile
                if profile is not None and sha(profile) == release.bundle.profile_sha:
                    live.setdefault(profile, f"release {release.n} of {target}")
        for profile, user in sorted(live.items()):
            if self.workspace.sha(profile) != sha(profile):
                name = f"{profiles.FOLDER}/{profile}.toml"
                what = f"profile {profile} was changed in place: {user} was live with it"
                hint = "a prompt is changed by a new file and a promotion"
                yield Finding("profile-changed", "error", name, what, str(beside / name), 1, hint)

    def _stale(self, facts: ChangeFacts) -> Iterator[Finding]:
        """Say what was merged into the base meanwhile, under a change of the same target."""
        firsts: dict[str, TargetChange] = {}
        for change in self.changes:
            firsts.setdefault(str(change.target), change)
        for change in firsts.values():
            target = change.target
            fork = self.base.fork.deployments.find(str(target))
            tip = self.base.tip.deployments.find(str(target))
            if fork != tip:
                moved = _moved(tip.newest) if tip is not None else "it is gone"
                message = f"{target} has changed in {self.base.ref} since: {moved}"
                hint = f"merge or rebase, and promote {target} again on top"
                yield facts.about(change, "stale", message, hint)

    def _not_ready(
        self, facts: ChangeFacts, readiness: Mapping[str, Readiness]
    ) -> Iterator[Finding]:
        for change in self.changes:
            target, release = change.target, change.release
            if release is None or not target.is_in_force(release):
                continue
            known = readiness.get(canary_of(target) if release.canary else str(target))
            if known is not None and known.state == "not-ready":
                yield facts.about(change, "not-ready", known.message, known.hint)

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

    def evidence_of(self, change: TargetChange) -> "tuple[Stored | None, SeenBy | None]":
        """Return the evidence that was judged with a change, and who saw it made."""
        if change.release is None or self.evidence is None:
            return None, None
        return self.evidence.found.get((str(change.target), change.release.n), (None, None))

    def place_of(self, change: TargetChange) -> tuple[str, int]:
        """Return the subject and the line that findings about a change have."""
        line = self.workspace.deployments.line(change.target, *change.below)
        return str(change.target), line


def _bar(policy: Policy) -> Policy:
    """Return a policy as models are judged by it."""
    tasks = {name: replace(task, fallback=()) for name, task in policy.tasks.items()}
    return replace(policy, tasks=tasks, exports={})


def _fallbacks(now: Policy, bases: Sequence[Policy]) -> Iterator[str]:
    """Say of which tasks others answer than before once live is gone."""
    for task in dict.fromkeys((*bases[0].tasks, *now.tasks)):
        names, *before = (_fallback(policy, task) for policy in (now, *bases))
        if names not in before:
            answers = f"who answers for {task} once live is gone"
            yield f"changes {answers}: {names or 'nobody'} (it was {before[0] or 'nobody'})"


def _fallback(policy: Policy, task: str) -> str:
    found = policy.tasks[task].fallback if task in policy.tasks else ()
    return ", ".join(str(Bundle(one.model, one.provider, one.profile)) for one in found)


def _moved(newest: Release | None) -> str:
    if newest is None:
        return "it has no release"
    why = f": {newest.why}" if newest.why else ""
    return f"release {newest.n}, {newest.bundle}, by {newest.by} {newest.at:%Y-%m-%d}{why}"
