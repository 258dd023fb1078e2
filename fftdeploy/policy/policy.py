"""`fftdeploy.toml` as frozen values, and what it says to a promotion."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from fftdeploy import names
from fftdeploy.formats import document
from fftdeploy.formats.document import Document
from fftdeploy.names import plural
from fftdeploy.policy.gate_rules import GateRules, parse_gate
from fftdeploy.policy.globs import parse_scan
from fftdeploy.policy.prices import Prices, parse_prices
from fftdeploy.releases.deployments import Bundle, Deployments, Hold, Target
from fftdeploy.times import duration, short_duration

FILE_NAME = "fftdeploy.toml"
BreachCode = Literal["order", "soak", "freeze", "runway"]
_RULE_KEYS = ("from", "protected", "soak", "min_runway", "freeze", "allow_overrides")


@dataclass(frozen=True, slots=True)
class Freeze:
    """UTC days, both included, in which nothing is promoted."""

    first: date
    last: date
    why: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What one environment asks of a promotion; the defaults ask nothing."""

    sources: tuple[str, ...] = ()
    """Environments a bundle may come from; empty lifts the rule."""
    protected: bool = False
    soak: timedelta = timedelta()
    min_runway_days: int = 0
    freezes: tuple[Freeze, ...] = ()
    allow_overrides: bool = True


@dataclass(frozen=True, slots=True)
class Base:
    """The untuned model, with its prompt, that a tuned one is measured against."""

    model: str
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """What a task is for, who owns it, and its quality bar."""

    description: str = ""
    owner: str = ""
    base: Base | None = None
    gate: GateRules | None = None


@dataclass(frozen=True)
class Policy:
    """The whole file; an absent file is `Policy()`, with every environment open."""

    exists: bool = False
    order: tuple[str, ...] = ()
    environments: Mapping[str, Rules] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    prices: Prices = field(default_factory=Prices)
    scan_ignore: tuple[str, ...] = ()
    """Globs of what `scan` leaves out, from the repository's root."""
    document: Document = field(default=Document(FILE_NAME, "", {}), repr=False, compare=False)
    """The file, for the place of what proves wrong only beside other files."""

    def gate(self, task: str) -> GateRules | None:
        """Return the quality bar of `task`, if it has one."""
        return self.tasks[task].gate if task in self.tasks else None

    def rules(self, environment: str) -> Rules:
        """Return what `environment` asks; its default source is the one before it in `order`."""
        if environment in self.environments:
            return self.environments[environment]
        return Rules(sources=self.default_sources.get(environment, ()))

    @cached_property
    def default_sources(self) -> Mapping[str, tuple[str, ...]]:
        """The source that each environment of `order` has by default: the one before it."""
        return _default_sources(self.order)

    def knows(self, task: str, environment: str) -> bool:
        """Tell whether a target may be created here without `--create`."""
        return task in self.tasks and (
            environment in self.default_sources or environment in self.environments
        )

    def check_environments(self, deployments: Deployments) -> None:
        """Refuse a target in an environment that `order` does not name.

        Raises:
            ConfigError: At the target's line in the deployments file.
        """
        if not self.order:
            return
        for target in deployments.targets.values():
            if target.environment not in self.default_sources:
                near = names.nearest(target.environment, list(self.order))
                raise deployments.document.error(
                    (target.task, target.environment),
                    f"environment {target.environment!r} is not in the `order` of {FILE_NAME}",
                    f"did you mean {near!r}?" if near else f"order: {', '.join(self.order)}",
                )


@dataclass(frozen=True, slots=True)
class Breach:
    """One rule that a promotion does not meet, and that `--override` can name."""

    code: BreachCode
    message: str
    way: str = "wait"
    """What ends it, as it can be typed where it can."""


def parse(raw: bytes, source: str = FILE_NAME) -> Policy:
    """Read a policy file.

    Raises:
        ConfigError: Anything that is not understood, with line and column; keys of later
            versions are named as such.
    """
    doc = document.parse(raw, source)
    doc.closed(
        doc.data,
        (),
        ("version", "order", "environments", "tasks", "allow_overrides", "prices", "scan"),
        later=("monitor",),
    )
    doc.version()
    order = _names(doc, doc.data, (), "order")
    if "order" in doc.data and not order:
        raise doc.error(("order",), "'order' names no environment", "remove it, or fill it")
    if len(set(order)) != len(order):
        raise doc.error(("order",), "'order' names an environment twice")
    default = _flag(doc, doc.data, (), "allow_overrides", default=True)
    sources = _default_sources(order)
    environments = doc.table(doc.data.get("environments", {}), ("environments",))
    tasks = doc.table(doc.data.get("tasks", {}), ("tasks",))
    return Policy(
        exists=True,
        order=order,
        environments={
            name: _rules(doc, ("environments", name), table, sources, allow_overrides=default)
            for name, table in environments.items()
        },
        tasks={name: _task(doc, ("tasks", name), table) for name, table in tasks.items()},
        prices=parse_prices(doc, doc.data["prices"]) if "prices" in doc.data else Prices(),
        scan_ignore=parse_scan(doc, doc.data["scan"]) if "scan" in doc.data else (),
        document=doc,
    )


def order_breach(
    rules: Rules,
    task: str,
    bundle: Bundle,
    deployments: Deployments,
    live: Callable[[Target], Bundle],
    now: datetime,
) -> Breach | None:
    """Say why `bundle` may not come here: it is not, and was not, live in a source."""
    if not rules.sources or _met_sources(rules, task, bundle, deployments, live, now):
        return None
    places = " or ".join(f"{task}/{source}" for source in rules.sources)
    return Breach("order", f"{bundle} was not live in {places}", _into_source(rules, task, bundle))


def _into_source(rules: Rules, task: str, bundle: Bundle) -> str:
    profile = f" --profile {bundle.profile}" if bundle.profile else ""
    return f"fftdeploy promote {task}/{rules.sources[0]} --model {bundle.model}{profile}"


def hold_at_source(
    rules: Rules,
    task: str,
    bundle: Bundle,
    deployments: Deployments,
    now: datetime,
) -> tuple[Target, Hold] | None:
    """Return the source, and its hold, that has put `bundle` on hold; None where none has."""
    for source in rules.sources:
        target = deployments.targets.get((task, source))
        if target is not None and (hold := target.hold_on(bundle, now)):
            return target, hold
    return None


def soak_breach(
    rules: Rules,
    task: str,
    bundle: Bundle,
    deployments: Deployments,
    live: Callable[[Target], Bundle],
    now: datetime,
) -> Breach | None:
    """Say why `bundle` was not live long enough, unbroken, in any source."""
    if not rules.soak or not rules.sources:
        return None
    sources = _met_sources(rules, task, bundle, deployments, live, now)
    best = max((target.soaked(bundle, live(target), now) for target in sources), default=None)
    if best is not None and best >= rules.soak:
        return None
    had = f"was live for {short_duration(best)}" if best is not None else "was not live"
    places = " or ".join(f"{task}/{source}" for source in rules.sources)
    way = f"{_into_source(rules, task, bundle)}, then wait" if best is None else "wait"
    message = f"{bundle} {had} in {places}; {short_duration(rules.soak)} are asked"
    return Breach("soak", message, way)


def freeze_breach(rules: Rules, now: datetime) -> Breach | None:
    """Name the freeze that covers today, in UTC."""
    today = now.date()
    for freeze in rules.freezes:
        if freeze.first <= today <= freeze.last:
            return Breach("freeze", f"frozen from {freeze.first} to {freeze.last}: {freeze.why}")
    return None


def runway_breach(rules: Rules, days: int | None) -> Breach | None:
    """Say that `days` of runway are too few; an unknown runway passes, and any if none is asked."""
    if days is None or not rules.min_runway_days or days >= rules.min_runway_days:
        return None
    left = plural(days, "day")
    message = f"{left} of runway left; {rules.min_runway_days} are asked"
    return Breach("runway", message, "promote a model with a later end")


def _met_sources(
    rules: Rules,
    task: str,
    bundle: Bundle,
    deployments: Deployments,
    live: Callable[[Target], Bundle],
    now: datetime,
) -> list[Target]:
    """Return the source targets where `bundle` is or was live and is not on hold."""
    targets = [deployments.targets.get((task, source)) for source in rules.sources]
    return [
        target
        for target in targets
        if target is not None
        and target.hold_on(bundle, now) is None
        and (live(target) == bundle or target.was_live(bundle))
    ]


def _default_sources(order: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    before = [(), *((environment,) for environment in order)]
    return dict(zip(order, before, strict=False))


def _rules(
    doc: Document,
    path: tuple[str, str],
    value: Any,
    default_sources: Mapping[str, tuple[str, ...]],
    *,
    allow_overrides: bool,
) -> Rules:
    environment = doc.name(path[1], path)
    table = doc.table(value, path)
    doc.closed(table, path, _RULE_KEYS)
    if default_sources and environment not in default_sources:
        near = names.nearest(environment, list(default_sources))
        hint = f"did you mean {near!r}?" if near else "add it to `order`"
        raise doc.error(path, f"environment {environment!r} is not in `order`", hint)
    sources = (
        _names(doc, table, path, "from")
        if "from" in table
        else default_sources.get(environment, ())
    )
    for source in sources:
        if default_sources and source not in default_sources:
            raise doc.error((*path, "from"), f"environment {source!r} is not in `order`")
        if source == environment:
            raise doc.error((*path, "from"), f"{environment!r} can't be its own source")
    runway = _duration(doc, table, path, "min_runway")
    return Rules(
        sources=sources,
        protected=_flag(doc, table, path, "protected", default=False),
        soak=_duration(doc, table, path, "soak"),
        min_runway_days=-(-int(runway.total_seconds()) // 86400),
        freezes=_freezes(doc, table, path),
        allow_overrides=_flag(doc, table, path, "allow_overrides", default=allow_overrides),
    )


def _task(doc: Document, path: tuple[str, str], value: Any) -> Task:
    doc.name(path[1], path)
    table = doc.table(value, path)
    doc.closed(table, path, ("description", "owner", "base", "gate"), later=("successors",))
    return Task(
        doc.line_of_text(table, path, "description") if "description" in table else "",
        doc.line_of_text(table, path, "owner") if "owner" in table else "",
        _base(doc, table["base"], (*path, "base")) if "base" in table else None,
        parse_gate(doc, table["gate"], (*path, "gate")) if "gate" in table else None,
    )


def _base(doc: Document, value: Any, path: document.Path) -> Base:
    table = doc.table(value, path, "a table { model, profile }")
    doc.closed(table, path, ("model", "profile"))
    model = doc.string(table, path, "model")
    if problem := names.model_problem(model):
        raise doc.error((*path, "model"), problem)
    if "profile" not in table:
        return Base(model)
    return Base(model, doc.name(doc.string(table, path, "profile"), (*path, "profile")))


def _names(
    doc: Document, table: Mapping[str, Any], path: document.Path, key: str
) -> tuple[str, ...]:
    place = (*path, key)
    values = doc.array(table.get(key, []), place, "an array of names")
    for index, value in enumerate(values):
        if type(value) is not str:
            raise doc.wrong_type((*place, index), value, "a string")
        doc.name(value, (*place, index))
    return tuple(values)


def _flag(
    doc: Document, table: Mapping[str, Any], path: document.Path, key: str, *, default: bool
) -> bool:
    value = table.get(key, default)
    if type(value) is not bool:
        raise doc.wrong_type((*path, key), value, "true or false")
    return value


def _duration(doc: Document, table: Mapping[str, Any], path: document.Path, key: str) -> timedelta:
    if key not in table:
        return timedelta()
    span = duration(doc.string(table, path, key))
    if span is None:
        raise doc.error((*path, key), f'{key!r} must be a duration such as "24h" or "30d"')
    return span


def _freezes(doc: Document, table: Mapping[str, Any], path: document.Path) -> tuple[Freeze, ...]:
    place = (*path, "freeze")
    rows = doc.array(table.get("freeze", []), place, "an array of freezes")
    return tuple(_freeze(doc, row, (*place, index)) for index, row in enumerate(rows))


def _freeze(doc: Document, row: Any, path: document.Path) -> Freeze:
    table = doc.table(row, path, "a table { from, to, why }")
    doc.closed(table, path, ("from", "to", "why"))
    days = []
    for key in ("from", "to"):
        if key not in table:
            raise doc.error(path, f"{key!r} is missing", f"add {key} = 2026-12-20")
        if type(table[key]) is not date:
            raise doc.wrong_type((*path, key), table[key], "a day such as 2026-12-20")
        days.append(table[key])
    if days[1] < days[0]:
        raise doc.error((*path, "to"), "'to' is before 'from'")
    return Freeze(days[0], days[1], doc.line_of_text(table, path, "why"))
