"""Proves what is live in several targets, and finds their ways back."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from fftdeploy.api.asked_hosts import AskedHosts
from fftdeploy.api.readiness import LIST_HINT, Readiness, Shutdown
from fftdeploy.commands.context import Context
from fftdeploy.errors import AUTH, OK, UNVERIFIED, Outcome
from fftdeploy.planning.bundles import canary_of, live_bundle, tried_bundle
from fftdeploy.planning.fallbacks import fallback_of
from fftdeploy.planning.finding_facts import FindingFacts
from fftdeploy.planning.findings import NO_WAY_BACK
from fftdeploy.planning.rollback import Candidate
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.workspace import Questions


def shutdowns_of(
    context: Context, targets: Iterable[Target], readiness: Mapping[str, Readiness]
) -> dict[str, Shutdown | None]:
    """Return when what is live in each target ends, and its canary; None where no day is known."""
    sha = context.workspace.sha
    found: dict[str, Shutdown | None] = {}
    for target in targets:
        found[str(target)] = context.shutdown(target, readiness.get(str(target)))
        if tried := tried_bundle(target, sha):
            name = canary_of(target)
            found[name] = context.shutdown(tried, readiness.get(name))
    return found


class LiveModels:
    """The live models of `targets`, about which their hosts are asked."""

    def __init__(self, context: Context, targets: Iterable[Target], hosts: AskedHosts) -> None:
        workspace = context.workspace
        self.targets = list(targets)
        self.hosts = hosts
        self.questions = Questions(workspace, self.targets, context.providers.keyed)
        self.live = {
            str(target): self.questions.about(target, live_bundle(target, workspace.sha))
            for target in self.targets
        }
        for target in self.targets:
            if (tried := tried_bundle(target, workspace.sha)) is not None:
                self.live[canary_of(target)] = self.questions.about(target, tried)
            for place, bundle in enumerate(workspace.fallbacks(target.task)):
                asked = self.questions.about(target, bundle)
                self.live[fallback_of(target, place)] = asked

    def look_up(self, answering: set[str]) -> dict[str, Readiness]:
        """Look all of them up in the lists; those of the targets `answering` must answer."""
        answering = {*answering, *map(canary_of, answering)}
        listed = self.hosts.check_listed(self.live.values())
        found = {name: listed[question] for name, question in self.live.items()}
        proved = self._proved([name for name in found if name in answering])
        return self._suspecting_the_key(found | proved)

    def prove(self) -> dict[str, Readiness]:
        """Have all of them answer."""
        return self._suspecting_the_key(self._proved(self.live))

    def _proved(self, names: Iterable[str]) -> dict[str, Readiness]:
        chosen = {name: self.live[name] for name in names}
        proved = self.hosts.prove_all(chosen.values(), listed=True)
        return {name: proved[question] for name, question in chosen.items()}

    def _suspecting_the_key(self, found: dict[str, Readiness]) -> dict[str, Readiness]:
        """Where a key can use no model of a target at all, doubt the key and not the models."""
        others = {
            str(target): [
                self.questions.about(target, Bundle(model, target.provider))
                for model in sorted(target.models[target.provider] - {target.model})
            ]
            for target in self.targets
            if _is_missing(found[str(target)])
        }
        known = self.hosts.check_listed(each for asked in others.values() for each in asked)
        for name, asked in others.items():
            if all(_is_missing(known[question]) for question in asked):
                which = (
                    "no model of this target" if asked else "not use it, the target's only model"
                )
                found[name] = replace(
                    found[name],
                    state="unverified",
                    is_auth=True,
                    message=f"this key can {which}",
                    hint=f"is this the key of another project? {LIST_HINT}",
                )
        return found


def facts_of(context: Context) -> FindingFacts:
    """Return what findings about the files rest on, before anything was proved."""
    work = context.workspace
    return FindingFacts(
        work.deployments,
        work.policy,
        work.sha,
        context.now(),
        context.place,
        another_model=partial(another_model, context),
    )


def another_model(context: Context, target: Target) -> str:
    """Say what its host says otherwise of what is live than when it was evaluated there."""
    host = context.host(Bundle(target.model, target.provider), target.environment)
    if not host.identity:
        return ""
    from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder

    folder = EvidenceFolder(context.workspace.folder)
    return folder.another_model(target.task, target.model, host)


def _is_missing(readiness: Readiness) -> bool:
    return readiness.code == "missing" and not readiness.dead


def unproved(found: Iterable[Readiness]) -> Outcome:
    """Return how a command ends for what the API did not tell it: 10 before 9, or else 0."""
    unverified = [known for known in found if known.state == "unverified"]
    if any(known.is_auth for known in unverified):
        return AUTH
    return UNVERIFIED if unverified else OK


def what_is_dead(live: Readiness | None, canary: Readiness | None) -> str:
    """Say that what is live is dead, or else its canary; "" where neither is, or nobody knows."""
    if live and live.dead:
        return f"the live model is dead: {live.message}"
    return f"the canary is dead: {canary.message}" if canary and canary.dead else ""


@dataclass
class WayBackSearch:
    """One target, and how far the search for its way back has come."""

    target: Target
    live: Bundle
    candidates: tuple[Candidate, ...]
    skipped: list[Candidate] = field(default_factory=list)
    chosen: Candidate | None = None

    def open(self) -> Iterator[Candidate]:
        """Yield where a rollback would stop, to ask about it or for its prompt."""
        return (one for one in self.candidates if one.is_open)

    def open_bundles(self) -> Iterable[Bundle]:
        """Return what the API has to be asked about, each bundle once, newest first."""
        return dict.fromkeys(one.bundle for one in self.candidates if one.fate == "ask")

    @property
    def problem(self) -> str:
        """Say why a rollback would fail; "" where nothing speaks against it."""
        if self.chosen is None:
            return NO_WAY_BACK
        return self.chosen.reason if self.chosen.fate == "profile" else ""
