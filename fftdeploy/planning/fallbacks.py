"""Finds fallbacks that would not take over: what the policy names for when live is gone."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from fftdeploy.api.readiness import GONE, Readiness
from fftdeploy.planning.bundles import lacks_file
from fftdeploy.planning.finding import Finding
from fftdeploy.planning.finding_facts import FindingFacts
from fftdeploy.releases.deployments import Bundle, Target

_NAMED = "fallback "


def fallback_of(target: Target | str, place: int) -> str:
    """Name a fallback of a target, as `canary_of` names its canary; `place` counts from 0."""
    return f"{_NAMED}{place + 1} of {target}"


def serving(readiness: Mapping[str, Readiness]) -> dict[str, Readiness]:
    """Return what was proved of all but fallbacks: to be unable to ask about one fails nobody."""
    return {name: known for name, known in readiness.items() if not name.startswith(_NAMED)}


def find(
    facts: FindingFacts, targets: Iterable[Target], named: Callable[[str], Sequence[Bundle]]
) -> Iterator[Finding]:
    """Find what would not take over, of those `named` for the task of each target.

    Each is a notice: while the live model answers, nobody is kept from anything.
    """
    for target in targets:
        live, hint = facts.live(target), f"name another one as `fallback` of [tasks.{target.task}]"
        for place, bundle in enumerate(named(target.task)):
            known = facts.readiness.get(fallback_of(target, place))
            if problem := fallback_problem(target, bundle, live, known, facts.now):
                yield facts.about(target, "fallback", problem, hint=hint)


def fallback_problem(
    target: Target, bundle: Bundle, live: Bundle, known: Readiness | None, now: datetime
) -> str:
    """Say why a fallback would not take over; "" where nothing is known to be in its way."""
    if hold := target.hold_on(bundle, now):
        return f"the fallback is on hold: {bundle} {hold.said}"
    if lacks_file(bundle):
        return f"the fallback has no prompt: profiles/{bundle.profile}.toml is missing"
    if (bundle.model, bundle.provider) == (live.model, live.provider):
        return f"the fallback is the live model: {bundle}"
    if known and known.state == "not-ready" and (known.dead or known.code in GONE):
        what = "dead" if known.dead else "missing"
        return f"the fallback is {what}: {bundle}: {known.message}"
    return ""
