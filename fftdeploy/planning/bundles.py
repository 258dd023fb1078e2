"""Finds the model and prompt that is live in a target, and the one to promote."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from fftdeploy import names
from fftdeploy.errors import ConfigError, PolicyError, UsageError
from fftdeploy.names import OPENAI
from fftdeploy.policy.policy import NamedModel, Policy
from fftdeploy.releases.deployments import Bundle, Canary, Deployments, Target

_AROUND = " \t\r\n\"'`\u201c\u201d"
_DASHES = re.compile("[ \u2010-\u2015\u2212]")
"""What a word processor makes of a hyphen, and a blank."""
Shas = Callable[[str], str | None]
"""Profile name -> hash of its file's content now; None where the file is missing."""


@dataclass(frozen=True, slots=True)
class PlanningFacts:
    """What is planned and found by: the two files, the profiles as they are now, the moment."""

    deployments: Deployments
    policy: Policy
    shas: Shas
    now: datetime

    def live(self, target: Target) -> Bundle:
        """Return what is live in a target."""
        return live_bundle(target, self.shas)

    def sources(self, task: str, environment: str) -> list[Target]:
        """Return the targets of a task that the policy lets a model come from."""
        names = self.policy.rules(environment).sources
        found = (self.deployments.targets.get((task, name)) for name in names)
        return [target for target in found if target is not None]


@dataclass(frozen=True, slots=True)
class BundleSource:
    """The bundle asked for, and where it came from."""

    bundle: Bundle
    via: str
    job: str | None = None
    note: str = ""
    """What was decided for the user, to print in the plan."""


def live_bundle(line: Target | Canary | NamedModel, shas: Shas) -> Bundle:
    """Return what is live: the target's lines, and its profile's content as it is now."""
    sha = shas(line.profile) if line.profile else None
    return Bundle(line.model, line.provider, line.profile, sha)


def tried_bundle(target: Target, shas: Shas) -> Bundle | None:
    """Return the canary's model and prompt, as its profile is now; None without a canary."""
    return live_bundle(target.canary, shas) if target.canary else None


def canary_of(target: Target | str) -> str:
    """Name the canary of a target, where what is known of models goes by their targets."""
    return f"canary of {target}"


def is_recorded(target: Target, live: Bundle) -> bool:
    """Tell whether the newest release is of the live bundle; otherwise it is a hand edit."""
    return target.newest is not None and target.newest.bundle == live


def replaced_bundle(target: Target, live: Bundle) -> Bundle:
    """Return what a change of `target` replaces, to be recorded and held.

    That is what is live; or, where the file of its profile is gone, what the newest release
    says that it was.
    """
    newest = target.newest
    if newest and lacks_file(live) and replace(newest.bundle, profile_sha=None) == live:
        return newest.bundle
    return live


def lacks_file(bundle: Bundle) -> bool:
    """Tell whether `bundle` names a profile that has no file, so that no release can record it."""
    return bundle.profile is not None and bundle.profile_sha is None


_LONGEST_WAY = 32
"""Environments that a hint looks back over: a longer way costs each of its targets all of it."""


def next_environment(
    policy: Policy, environment: str, has_it: Callable[[str], bool]
) -> tuple[str, str | None]:
    """Return where a model comes in next on its way to `environment`, and the source it is in.

    That is the last environment of which some source has it; where none has, the first one of
    the way, which takes any model, and None.
    """
    passed: set[str] = set()
    while len(passed) < _LONGEST_WAY:
        sources = policy.rules(environment).sources
        if source := next(filter(has_it, sources), None):
            return environment, source
        passed.add(environment)
        ahead = [name for name in sources if name not in passed]
        if not ahead:
            break
        environment = ahead[0]
    return environment, None


def next_promotion(
    facts: PlanningFacts, name: tuple[str, str], is_wanted: Callable[[Target], bool]
) -> str:
    """Return the command that brings another model to a target, or nearer to it.

    It takes on what is live in a target before it and `is_wanted`; where there is nothing, a
    model has to be named.
    """
    task, last = name

    def has_it(environment: str) -> bool:
        target = facts.deployments.targets.get((task, environment))
        return target is not None and is_wanted(target)

    environment, source = next_environment(facts.policy, last, has_it)
    rules = facts.policy.rules(environment)
    named = "" if source else " --model ID"
    if source and len(rules.sources) > 1:
        named = f" --from {source}"
    why = ' --why "TEXT"' if rules.protected else ""
    return f"fftdeploy promote {task}/{environment}{named}{why}"


def choose_source(
    facts: PlanningFacts,
    name: tuple[str, str],
    *,
    from_environment: str | None = None,
    model: str | None = None,
    job: str | None = None,
    provider: str | None = None,
    profile: str | None = None,
    no_profile: bool = False,
) -> BundleSource:
    """Find the bundle that `promote` is asked to make live in the target called `name`.

    With a `job` the `model` is what it became.  Without a `provider` the host is that of what the
    bundle comes from, or of what is live.

    Raises:
        UsageError: Nothing says where the bundle comes from, that place has no target, or the
            model's ID is none of its host's.
        ConfigError: A profile that has no file.
    """
    live = facts.deployments.targets.get(name)
    if model is not None:
        source = _from_model(facts, name, model, job, provider)
    elif from_environment is None and live is not None and live.canary is not None:
        row = live.canary_release  # a promotion without a source is about the canary that runs
        tried = live_bundle(live.canary, facts.shas)
        source = BundleSource(tried, row.via if row else "model", row.job if row else None)
    else:
        source = _from_environment(facts, name, from_environment)
    bundle = source.bundle
    if provider is not None:
        bundle = replace(bundle, provider=provider)
    if no_profile:
        bundle = replace(bundle, profile=None, profile_sha=None)
    elif profile is not None:
        bundle = replace(bundle, profile=profile, profile_sha=facts.shas(profile))
    require_model_id(bundle.model, bundle.provider)
    require_profile(bundle, facts.shas, "use --no-profile")
    if bundle == source.bundle:
        return source
    return BundleSource(bundle, "job" if job else "model", job)


def _from_environment(
    facts: PlanningFacts, name: tuple[str, str], asked: str | None
) -> BundleSource:
    """Take what is live in the environment `asked` for, or in the only source."""
    task, into = name
    sources = facts.policy.rules(into).sources
    if asked is None and len(sources) != 1:
        several = f"one of {', '.join(sources)} with --from, or " if sources else ""
        raise UsageError(
            f"nothing says what to promote into {into!r}",
            hint=f"name {several}--model ID or --job ftjob-...",
            code="no-source",
        )
    environment = sources[0] if asked is None else asked
    source = facts.deployments.targets.get((task, environment))
    if source is not None:
        return BundleSource(facts.live(source), environment)
    own = [name for its, name in facts.deployments.targets if its == task]
    first = next_promotion(facts, (task, environment), lambda _: True)
    hint = f"promote into it first: {first}"
    if near := names.nearest(environment, own):
        hint = f"did you mean --from {near}?"
    elif own and environment not in sources:
        hint = f"{task} is live in {', '.join(own)}"
    raise UsageError(
        f"there is no target {task}/{environment} to promote from",
        hint=hint,
        code="unknown-target",
    )


def _from_model(
    facts: PlanningFacts, name: tuple[str, str], model: str, job: str | None, provider: str | None
) -> BundleSource:
    """Take the whole bundle of a source that has `model`, else build one."""
    sources = facts.sources(*name)
    for source in sources:
        if source.model == model and provider in {None, source.provider}:
            return _with_job(facts.live(source), source.environment, job)
    for source in sources:
        for found in (release.bundle for release in source.made_live):
            is_asked = found.model == model and provider in {None, found.provider}
            if is_asked and source.hold_on(found, facts.now) is None:
                return _with_job(found, source.environment, job)
    bundle, kept = Bundle(model, provider or OPENAI), list[str]()
    live = facts.deployments.targets.get(name)
    if live is not None and live.profile is not None:
        bundle = replace(bundle, profile=live.profile, profile_sha=facts.shas(live.profile))
        kept.append(f"profile {live.profile}")
    if live is not None and provider is None and job is None and live.provider != OPENAI:
        bundle = replace(bundle, provider=live.provider)
        kept.append(f"provider {live.provider}")
    verb = "is" if len(kept) == 1 else "are"
    note = f"{' and '.join(kept)} {verb} kept from what is live" if kept else ""
    return BundleSource(bundle, "job" if job else "model", job, note)


def _with_job(bundle: Bundle, environment: str, job: str | None) -> BundleSource:
    # A release names its job only where the job is what was promoted; here it was the bundle.
    note = f"{environment} has this model: it is taken with its prompt" if bundle.profile else ""
    return BundleSource(bundle, "job" if job else environment, job, note)


def require_profile(bundle: Bundle, shas: Shas, instead: str = "name another one") -> None:
    """Refuse a bundle whose prompt is not on disk as the bundle says; `instead` ends the hint.

    Raises:
        ConfigError: The profile has no file.
        PolicyError: It has other content.
    """
    refuse_without_file(bundle, instead)
    if problem := profile_problem(bundle, shas):
        raise PolicyError(
            problem, hint="a prompt is changed by a new file and a promotion", code="profile"
        )


def refuse_without_file(bundle: Bundle, instead: str) -> None:
    """Refuse a bundle whose profile has no file; `instead` ends the hint."""
    if lacks_file(bundle):
        raise ConfigError(
            f"profile {bundle.profile!r} has no file",
            hint=f"write profiles/{bundle.profile}.toml, or {instead}",
            where=f"profiles/{bundle.profile}.toml",
            code="profile",
        )


def profile_problem(bundle: Bundle, shas: Shas) -> str:
    """Say why the prompt of `bundle` is not what is on disk now; "" if it is."""
    if bundle.profile is None:
        return ""
    now = shas(bundle.profile)
    if now is None:
        return f"profiles/{bundle.profile}.toml is missing or not valid"
    if now != bundle.profile_sha:
        then = bundle.profile_sha
        return f"profiles/{bundle.profile}.toml is not what it was (then {then}, now {now})"
    return ""


def require_model_id(model: str, provider: str = "") -> None:
    """Raise for a `--model` that can't be one, of `provider` or, without one, of any host."""
    if problem := names.model_problem(model, provider):
        bare = _DASHES.sub("-", model.strip(_AROUND))
        hint = "`fftdeploy models` lists what this key can see"
        if bare != model and not names.model_problem(bare, provider):
            hint = f"did you mean {bare}?"
        if model.startswith("ftjob-"):
            hint = f"fftdeploy promote TARGET --job {model}"
        if not names.model_problem(model):
            hint = "name the host that has it: --provider NAME"
        host, _, named = model.rpartition("=")  # as `eval` takes it: [PROVIDER=]MODEL[@PROFILE]
        named, _, profile = named.partition("@")
        given = [name for name in (host, profile) if name]
        if given and not names.model_problem(named) and not any(map(names.name_problem, given)):
            hint = f"--model {named}" + (f" --profile {profile}" if profile else "")
            hint += f" --provider {host}" if host else ""
        raise UsageError(problem, hint=hint)
