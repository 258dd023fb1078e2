"""`fftdeploy.toml` as frozen values, and what it says to a promotion."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from fftdeploy import names
from fftdeploy.formats import document
from fftdeploy.formats.document import Document, Path
from fftdeploy.formats.keys import Kind, key, table
from fftdeploy.formats.kinds import (
    DAY,
    FLAG,
    HOSTED,
    LINE,
    MODEL,
    NAME,
    VERSION,
    by_name,
    choice,
    many,
    require_hosted,
    span,
)
from fftdeploy.names import OPENAI
from fftdeploy.policy.gate_rules import EXAMPLES, GATE, PATH, GateRules
from fftdeploy.policy.globs import Scan
from fftdeploy.policy.prices import PRICES, Prices
from fftdeploy.releases.deployments import Deployments
from fftdeploy.releases.records import HOST

FILE_NAME = "fftdeploy.toml"
EXPORT_FORMATS = ("litellm", "flagd", "dotenv", "configmap", "tfvars", "json")
"""What `fftdeploy export` writes."""


_DURATION = span("24h", "30d")


def _days(doc: Document, path: Path, value: Any) -> int:
    return -(-int(_DURATION.read(doc, path, value).total_seconds()) // 86400)


@dataclass(frozen=True, slots=True)
class Freeze:
    """UTC days, both included, in which nothing is promoted."""

    first: date = key("The first day, in UTC.", DAY, name="from")
    last: date = key("The last day, in UTC.", DAY, name="to")
    why: str = key("The reason.", LINE)


def _check_days(doc: Document, path: Path, said: dict[str, Any]) -> None:
    if said["last"] < said["first"]:
        raise doc.error((*path, "to"), "'to' is before 'from'")


@dataclass(frozen=True, slots=True)
class Rules:
    """What one environment asks of a promotion; the defaults ask nothing."""

    sources: tuple[str, ...] = key(
        "Environments that model and prompt may come from: live there now, or formerly and not on "
        "hold there; `[]` lifts the rule.",
        many(NAME, "An environment.", "an array of names"),
        (),
        name="from",
        shown="the environment before this one",
    )
    protected: bool = key(
        "A promotion needs `--why`, passing evidence where the task has a gate, and never "
        "goes over a hand edit.",
        FLAG,
        False,
    )
    soak: timedelta = key(
        "How long, unbroken, both were live in a `from` environment, such as `24h`.",
        _DURATION,
        timedelta(),
        shown="none",
    )
    min_runway_days: int = key(
        "Least days until the model's shutdown date, such as `30d`; an unknown date passes.",
        Kind(_days, _DURATION.schema),
        0,
        name="min_runway",
        shown="none",
    )
    freezes: tuple[Freeze, ...] = key(
        "UTC days, both included, in which nothing is promoted. Rollback is never frozen.",
        many(
            table(Freeze, "a table { from, to, why }", check=_check_days),
            "Days from the first to the last.",
            "an array of freezes",
        ),
        (),
        name="freeze",
    )
    allow_overrides: bool = key(
        "`false` forbids `--override` here.", FLAG, True, shown="that of the top"
    )


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model that the policy names, with its prompt: the base, or a successor."""

    model: str = key("The model.", MODEL)
    provider: str = key(HOST, NAME, OPENAI)
    profile: str | None = key("The prompt it is called with: profiles/NAME.toml.", NAME, None)


_NAMED_MODEL = table(NamedModel, "a table { model, profile }", check=require_hosted, allOf=[HOSTED])


@dataclass(frozen=True, slots=True)
class MonitorRules:
    """What `monitor` asks about a task."""

    examples: tuple[str, ...] = key(
        "Paths of JSONL files, below the folder of this file, that the watched examples are of.",
        EXAMPLES,
        (),
        shown="those of the gate",
    )


@dataclass(frozen=True, slots=True)
class Task:
    """What a task is for, who owns it, and its quality bar."""

    description: str = key("What goes in and what comes out.", LINE, "")
    owner: str = key("Whose it is.", LINE, "")
    base: NamedModel | None = key(
        "The untuned `model`, with its `profile`, that `eval --against base` adds.",
        _NAMED_MODEL,
        None,
    )
    successors: tuple[NamedModel, ...] = key(
        "What may replace the live model once that ends, each a `model` with its `profile` and "
        "`provider`: `migrate` compares them.",
        many(_NAMED_MODEL, "One successor.", "an array of { model, profile }", unique="a model"),
        (),
    )
    fallback: tuple[NamedModel, ...] = key(
        "What applications go on with, in this order, once the live model is proved gone.",
        many(_NAMED_MODEL, "One model.", "an array of { model, profile }", unique="a model"),
        (),
    )
    gate: GateRules | None = key(
        "The quality bar of the task; without one, `--why` is all that `protected` asks.",
        GATE,
        None,
    )
    monitor: MonitorRules = key(
        "What `monitor` asks what is live.", table(MonitorRules), MonitorRules()
    )


_ORDER = many(
    NAME,
    "An environment.",
    "an array of names",
    unique="an environment",
    least=(1, "names no environment"),
    hint="remove it, or fill it",
)


@dataclass(frozen=True, slots=True)
class Attestation:
    """Whose signature makes evidence of a change more than its author's word."""

    signer_workflow: str = key(
        "`OWNER/REPOSITORY/.github/workflows/FILE.yml`, which signs it.", LINE
    )
    source_ref: str = key("What that has to run on, such as `refs/heads/main`.", LINE)


_EXPORTS = by_name(choice(EXPORT_FORMATS), "The format of one file.", PATH)


def _one_a_file(doc: Document, path: Path, value: Any) -> dict[str, str]:
    """Read the formats by their files, each in one spelling: many disks know no other case."""
    from unicodedata import normalize

    found: dict[str, str] = {}
    seen: dict[str, str] = {}
    for name, kind in _EXPORTS.read(doc, path, value).items():
        plain = PurePosixPath(name).as_posix()
        other = seen.setdefault(normalize("NFC", plain).casefold(), name)
        if other != name:
            raise doc.error((*path, name), f"{other!a} and {name!a} are one file", "remove one")
        found[plain] = kind
    return found


@dataclass(frozen=True)
class Policy:
    """The whole file; an absent file is `Policy()`, with every environment open."""

    version: int = key("The version of this format: 1.", VERSION, 1, required=True)
    order: tuple[str, ...] = key(
        "Promotion order; a target in an environment not named here is an error.", _ORDER, ()
    )
    allow_overrides: bool = key(
        "`false` forbids `--override` where an environment doesn't allow it.", FLAG, True
    )
    environments: Mapping[str, Rules] = key(
        "What a promotion into an environment must fulfil, by its name.",
        by_name(table(Rules), "The rules of one environment."),
        {},
    )
    tasks: Mapping[str, Task] = key(
        "What a task is for, whose it is and its quality bar, by its name.",
        by_name(table(Task), "One task."),
        {},
    )
    prices: Prices = key(
        "What tokens cost, as you have read it from your provider.", PRICES, Prices()
    )
    attestation: Attestation | None = key(
        "The workflow that `check --base` believes about evidence, if `gh` proves that it made it.",
        table(Attestation),
        None,
    )
    exports: Mapping[str, str] = key(
        "Files that `export` writes and `check` holds to what is live: the format, by the path "
        "below the folder of this file.",
        Kind(_one_a_file, _EXPORTS.schema),
        {},
    )
    scan: Scan = key("What `fftdeploy scan` looks at.", table(Scan), Scan())
    exists: bool = False
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
        before = [(), *((environment,) for environment in self.order)]
        return dict(zip(self.order, before, strict=False))

    def knows(self, task: str, environment: str) -> bool:
        """Tell whether a target may be created here without `--create`."""
        return task in self.tasks and (
            environment in self.default_sources or environment in self.environments
        )

    @property
    def planned(self) -> list[str]:
        """Name all targets that it knows, whether there is anything live in them or not."""
        environments = dict.fromkeys((*self.order, *self.environments))
        return [f"{task}/{name}" for task in self.tasks for name in environments]

    def check_environments(self, deployments: Deployments) -> None:
        """Refuse a target in an environment that `order` does not name."""
        if not self.order:
            return
        for target in deployments.targets.values():
            if target.environment not in self.default_sources:
                raise deployments.document.error(
                    (target.task, target.environment),
                    f"environment {target.environment!r} is not in the `order` of {FILE_NAME}",
                    names.meant(target.environment, self.order, f"order: {', '.join(self.order)}"),
                )


POLICY = table(Policy)


def parse(raw: bytes, source: str = FILE_NAME) -> Policy:
    """Read a policy file; ConfigError, located, where anything is not understood."""
    doc = document.parse(raw, source)
    found: Policy = replace(POLICY.read(doc, (), doc.data), exists=True, document=doc)
    environments = {name: _inherited(found, name) for name in found.environments}
    return replace(found, environments=environments)


def _inherited(policy: Policy, environment: str) -> Rules:
    """Return the rules of an environment with what it takes from the top of the file.

    ConfigError where it, or one that it takes from, is not in `order`.
    """
    doc, path, order = policy.document, ("environments", environment), policy.default_sources
    rules, written = policy.environments[environment], doc.data["environments"][environment]
    if order and environment not in order:
        hint = names.meant(environment, order, "add it to `order`")
        raise doc.error(path, f"environment {environment!r} is not in `order`", hint)
    for source in rules.sources:
        if order and source not in order:
            hint = names.meant(source, order, "add it to `order`")
            raise doc.error((*path, "from"), f"environment {source!r} is not in `order`", hint)
        if source == environment:
            raise doc.error((*path, "from"), f"{environment!r} can't be its own source")
    if "from" not in written:
        rules = replace(rules, sources=order.get(environment, ()))
    if "allow_overrides" not in written:
        rules = replace(rules, allow_overrides=policy.allow_overrides)
    return rules
