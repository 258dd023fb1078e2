"""Finds what the team's rules have against a promotion, and when they let it pass."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from fftdeploy import names
from fftdeploy.errors import PolicyError, UsageError
from fftdeploy.planning.bundles import Shas, live_bundle, next_environment, sources_of
from fftdeploy.policy.policy import Policy, Rules
from fftdeploy.releases.deployments import OVERRIDES, Bundle, Deployments, Hold, Target
from fftdeploy.times import short_duration

BreachCode = Literal["order", "soak", "freeze", "runway"]


@dataclass(frozen=True, slots=True)
class Breach:
    """One rule that a promotion does not meet, and that `--override` can name."""

    code: BreachCode
    message: str
    way: str = "wait"
    """What ends it, as it can be typed where it can."""


@dataclass(frozen=True, slots=True)
class SourceRules:
    """Where what is promoted into an environment has to come from, and what is live there."""

    rules: Rules
    task: str
    deployments: Deployments
    shas: Shas
    policy: Policy = field(default_factory=Policy)
    """For the way to a source, where that has sources of its own."""

    def order_breach(self, bundle: Bundle, now: datetime) -> Breach | None:
        """Say why `bundle` may not come here: it is not, and was not, live in a source."""
        if not self.rules.sources or self._met(bundle, now):
            return None
        message = f"{bundle} was not live in {self._places}"
        return Breach("order", message, self._way_in(bundle, now))

    def soak_breach(self, bundle: Bundle, now: datetime) -> Breach | None:
        """Say why `bundle` was not live long enough, unbroken, in any source."""
        soak = self.rules.soak
        if not soak or not self.rules.sources:
            return None
        met = self._met(bundle, now)
        best = max((t.soaked(bundle, live_bundle(t, self.shas), now) for t in met), default=None)
        if best is not None and best >= soak:
            return None
        had = f"was live for {short_duration(best)}" if best is not None else "was not live"
        way = f"{self._way_in(bundle, now)}, then wait" if best is None else "wait"
        message = f"{bundle} {had} in {self._places}; {short_duration(soak)} are asked"
        return Breach("soak", message, way)

    def hold(self, bundle: Bundle, now: datetime) -> tuple[Target, Hold] | None:
        """Return the source, and its hold, that keeps `bundle` from coming here.

        None where no source has put it on hold, or another one has it.
        """
        if self.order_breach(bundle, now) is None:
            return None
        for target in sources_of(self.deployments, self.rules, self.task):
            if hold := target.hold_on(bundle, now):
                return target, hold
        return None

    @property
    def _places(self) -> str:
        return " or ".join(f"{self.task}/{source}" for source in self.rules.sources)

    def _way_in(self, bundle: Bundle, now: datetime) -> str:
        def has_it(name: str) -> bool:
            target = self.deployments.targets.get((self.task, name))
            return target is not None and self._has(target, bundle, now)

        name, _ = next_environment(self.policy, self.rules.sources[0], has_it)
        profile = f" --profile {bundle.profile}" if bundle.profile else ""
        host = f" --provider {bundle.provider}" if bundle.provider != names.OPENAI else ""
        why = ' --why "TEXT"' if self.policy.rules(name).protected else ""
        return f"fftdeploy promote {self.task}/{name} --model {bundle.model}{profile}{host}{why}"

    def _met(self, bundle: Bundle, now: datetime) -> list[Target]:
        """Return the source targets where `bundle` is or was live and is not on hold."""
        sources = sources_of(self.deployments, self.rules, self.task)
        return [target for target in sources if self._has(target, bundle, now)]

    def _has(self, target: Target, bundle: Bundle, now: datetime) -> bool:
        is_known = live_bundle(target, self.shas) == bundle or target.was_live(bundle)
        return is_known and target.hold_on(bundle, now) is None


def on_hold(bundle: Bundle, target: Target, hold: Hold) -> PolicyError:
    """Build the error for what a hold keeps out, in `target`; no override lifts it."""
    return PolicyError(
        f"{bundle.model} is on hold in {target} since {hold.since:%Y-%m-%d}, "
        f"by {hold.by}: {hold.why}",
        hint=f"lift it first: fftdeploy unhold {target} {bundle.model} --why TEXT",
        where=str(target),
        code="hold",
    )


def freeze_breach(rules: Rules, now: datetime) -> Breach | None:
    """Name the freeze that covers today, in UTC."""
    today = now.date()
    for freeze in rules.freezes:
        if freeze.first <= today <= freeze.last:
            return Breach("freeze", f"frozen from {freeze.first} to {freeze.last}: {freeze.why}")
    return None


def runway_breach(rules: Rules, days: int | None) -> Breach | None:
    """Say that `days` to its end are too few; an unknown date passes, and any if none is asked."""
    if days is None or not rules.min_runway_days or days >= rules.min_runway_days:
        return None
    ends = f"shuts down in {names.plural(days, 'day')}" if days > 0 else "has reached its last day"
    message = f"the model {ends}; {names.plural(rules.min_runway_days, 'day')} are asked"
    return Breach("runway", message, "promote a model that shuts down later")


def require_known(overrides: Sequence[str], why: str | None) -> None:
    """Refuse overrides that there are not, or that nobody has given a reason for."""
    for given in overrides:
        if given not in OVERRIDES:
            raise UsageError(**names.not_one_of("--override", given, OVERRIDES))
    if overrides and not why:
        raise UsageError("--override needs a reason", hint='add --why "TEXT"', code="why")


def require_allowed(overrides: Sequence[str], rules: Rules, environment: str) -> None:
    """Refuse overrides where the policy takes none."""
    if overrides and not rules.allow_overrides:
        raise PolicyError(
            f"overrides are forbidden in {environment}",
            hint="`allow_overrides = false` in fftdeploy.toml",
            code="allow-overrides",
        )


def refusal(target: str, breaches: list[Breach], rules: Rules) -> PolicyError:
    """Build the error for breaches that nothing sets aside: what ends each of them comes first."""
    ways = dict.fromkeys(breach.way for breach in breaches)
    steps = [way for way in ways if f"{way}, then wait" not in ways]
    codes = ",".join(sorted({breach.code for breach in breaches}))
    aside = f'or set it aside: --override {codes} --why "TEXT"'
    if not rules.allow_overrides:
        aside = "overrides are forbidden here"
    return PolicyError(
        f"{target}: {'; '.join(breach.message for breach in breaches)}",
        hint=f"{', then '.join(steps)}, {aside}",
        code=breaches[0].code,
    )
