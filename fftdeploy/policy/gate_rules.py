"""`[tasks.TASK.gate]` of the policy: the quality bar of a task, as written.  Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any, Literal, cast, get_args

from fftdeploy.errors import ConfigError
from fftdeploy.formats import document
from fftdeploy.formats.document import Document, text_problem
from fftdeploy.policy.grader_rules import GraderRules, parse_graders
from fftdeploy.times import duration

Mode = Literal["not-worse", "better", "threshold", "report-only"]
SliceRule = Literal["no-harm", "not-worse"]
OnInconclusive = Literal["block", "allow"]
MAX_REPEATS = 100
_KEYS = (
    *("examples", "graders", "mode", "margin", "confidence", "threshold", "must_pass", "slices"),
    *("slice_rule", "repeats", "min_examples", "require_reviewed", "max_age", "on_inconclusive"),
    *("floors", "budgets", "item"),
)


@dataclass(frozen=True, slots=True)
class Floors:
    """Point values that the candidate must reach: a policy, not an inference.  0 asks nothing."""

    pass_rate: Fraction = Fraction(0)
    valid: Fraction = Fraction(0)
    """Share of the answers that have the right shape, right or wrong."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """What an answer of the candidate may cost; None asks nothing."""

    p95_latency_ms: float | None = None
    usd_per_1k_requests: float | None = None


@dataclass(frozen=True, slots=True)
class GateRules:
    """The quality bar of one task."""

    examples: tuple[str, ...]
    """Paths from the folder of the policy."""
    graders: tuple[GraderRules, ...]
    mode: Mode = "not-worse"
    margin: float = 0.05
    """How much worse the candidate may be, as a share of the examples."""
    confidence: float = 0.95
    """One-sided."""
    threshold: float = 0.0
    """For the mode `threshold`: the pass rate to be sure of."""
    must_pass: tuple[str, ...] = ()
    """Tags; the candidate must pass each example that has one."""
    slices: tuple[str, ...] = ()
    """Keys of an example's `meta`."""
    slice_rule: SliceRule = "no-harm"
    repeats: int = 1
    min_examples: int = 1
    require_reviewed: bool = False
    max_age: timedelta = timedelta(days=30)
    on_inconclusive: OnInconclusive = "block"
    floors: Floors = Floors()
    budgets: Budgets = Budgets()
    item: Mapping[str, str] | None = None
    """Which keys of an `{"item": ...}` line are the `input` and the `reference`."""

    @property
    def content(self) -> dict[str, Any]:
        """Return what decides a verdict, for evidence and its hash.

        Examples and graders have hashes of their own, more repeats than asked are welcome, and
        how old evidence may be is asked when it is used.
        """
        return {
            "mode": self.mode,
            "margin": self.margin,
            "confidence": self.confidence,
            "threshold": self.threshold,
            "must_pass": list(self.must_pass),
            "slices": list(self.slices),
            "slice_rule": self.slice_rule,
            "min_examples": self.min_examples,
            "require_reviewed": self.require_reviewed,
            "on_inconclusive": self.on_inconclusive,
            "floors": {
                "pass_rate": float(self.floors.pass_rate),
                "valid": float(self.floors.valid),
            },
            "budgets": {
                "p95_latency_ms": self.budgets.p95_latency_ms,
                "usd_per_1k_requests": self.budgets.usd_per_1k_requests,
            },
            "item": dict(self.item) if self.item else None,
        }


def gate_of(content: Mapping[str, Any]) -> GateRules:
    """Return the rules that `content` was made from; they name no examples and no graders.

    Raises:
        KeyError, TypeError, ValueError: It is not the content of any rules that a file can say.
    """
    table = {key: value for key, value in content.items() if value is not None}
    table["budgets"] = {key: value for key, value in table["budgets"].items() if value is not None}
    if table["mode"] != "threshold":
        del table["threshold"]
    table |= {"examples": ["any"], "graders": [{"type": "length", "max_chars": 1}]}
    try:
        found = parse_gate(Document("", "", {"gate": table}), table, ("gate",))
    except ConfigError as error:
        raise ValueError(error.message) from None
    rules = replace(found, examples=(), graders=())
    if rules.content != content:
        raise ValueError("these rules are written in another way")
    return rules


def exactly(number: float) -> Fraction:
    """Return the decimal that was written: 0.9 is nine tenths, not the float beside it."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))


def parse_gate(doc: Document, value: Any, path: document.Path) -> GateRules:
    """Read the table of a gate.

    Raises:
        ConfigError: Located at whatever is not understood.
    """
    table = doc.table(value, path)
    doc.closed(table, path, _KEYS)
    if "graders" not in table:
        raise doc.error(path, "'graders' is missing", f"add [[{'.'.join(map(str, path))}.graders]]")
    rules = GateRules(
        examples=_paths(doc, table, path),
        graders=parse_graders(doc, (*path, "graders"), table["graders"]),
        mode=cast("Mode", _choice(doc, table, path, "mode", get_args(Mode))),
        margin=_number(doc, table, path, "margin", 0.05, above=0.0, below=1.0),
        confidence=_number(doc, table, path, "confidence", 0.95, above=0.5, below=1.0),
        threshold=_number(doc, table, path, "threshold", 0.0, least=0.0, below=1.0),
        must_pass=_words(doc, table, path, "must_pass"),
        slices=_words(doc, table, path, "slices"),
        slice_rule=cast("SliceRule", _choice(doc, table, path, "slice_rule", get_args(SliceRule))),
        repeats=_count(doc, table, path, "repeats", MAX_REPEATS),
        min_examples=_count(doc, table, path, "min_examples", 1_000_000),
        require_reviewed=_flag(doc, table, path, "require_reviewed"),
        max_age=_age(doc, table, path),
        on_inconclusive=cast(
            "OnInconclusive", _choice(doc, table, path, "on_inconclusive", get_args(OnInconclusive))
        ),
        floors=_floors(doc, table, path),
        budgets=_budgets(doc, table, path),
        item=_item(doc, table, path),
    )
    if (rules.mode == "threshold") != ("threshold" in table):
        raise doc.error(
            (*path, "threshold" if "threshold" in table else "mode"),
            "'threshold' goes with mode = \"threshold\", and only with it",
        )
    return rules


def _paths(doc: Document, table: Mapping[str, Any], path: document.Path) -> tuple[str, ...]:
    place = (*path, "examples")
    values = doc.array(table.get("examples", []), place, "an array of paths")
    if not values:
        hint = 'add examples = ["evals/TASK.jsonl"]'
        raise doc.error(path, "'examples' names no file", hint)
    for index, value in enumerate(values):
        if type(value) is not str:
            raise doc.wrong_type((*place, index), value, "a string")
        if problem := _path_problem(value):
            raise doc.error((*place, index), f"{value[:80]!a} {problem}", "name a file below here")
    if len(set(values)) != len(values):
        raise doc.error(place, "'examples' names a file twice")
    return tuple(values)


def _path_problem(value: str) -> str:
    if text_problem(value) or "\\" in value or value.startswith("~"):
        return "is not a path"
    parts = PurePosixPath(value).parts
    if not parts or parts[0] == "/" or ".." in parts:
        return "leads out of the folder of this file"
    return "is inside of git's own folder" if any(p.casefold() == ".git" for p in parts) else ""


def _words(
    doc: Document, table: Mapping[str, Any], path: document.Path, key: str
) -> tuple[str, ...]:
    place = (*path, key)
    values = doc.array(table.get(key, []), place, "an array of strings")
    for index, value in enumerate(values):
        if type(value) is not str:
            raise doc.wrong_type((*place, index), value, "a string")
        if problem := text_problem(value):
            raise doc.error((*place, index), f"an entry of {key!r} {problem}")
    if len(set(values)) != len(values):
        raise doc.error(place, f"{key!r} names something twice")
    return tuple(values)


def _choice(
    doc: Document,
    table: Mapping[str, Any],
    path: document.Path,
    key: str,
    choices: tuple[str, ...],
) -> str:
    if key not in table:
        return choices[0]
    value = doc.string(table, path, key)
    if value not in choices:
        named = " or ".join(f'"{choice}"' for choice in choices)
        raise doc.error((*path, key), f"{key!r} is {named}")
    return value


def _number(
    doc: Document,
    table: Mapping[str, Any],
    path: document.Path,
    key: str,
    default: float,
    *,
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    most: float | None = None,
) -> float:
    value = table.get(key, default)
    if type(value) not in {int, float}:
        raise doc.wrong_type((*path, key), value, "a number")
    is_inside = (
        (least is None or value >= least)
        and (above is None or value > above)
        and (below is None or value < below)
        and (most is None or value <= most)
    )
    if not is_inside:  # NaN is in no range
        low = f"at least {least:g}" if least is not None else f"more than {above or 0:g}"
        high = f"below {below:g}" if below is not None else f"at most {most or 0:g}"
        raise doc.error((*path, key), f"{key!r} must be {low} and {high}", "0.05 is five points")
    return float(value)


def _count(
    doc: Document, table: Mapping[str, Any], path: document.Path, key: str, most: int
) -> int:
    value = table.get(key, 1)
    if type(value) is not int:
        raise doc.wrong_type((*path, key), value, "an integer")
    if not 1 <= value <= most:
        raise doc.error((*path, key), f"{key!r} must be from 1 to {most:,}")
    return value


def _flag(doc: Document, table: Mapping[str, Any], path: document.Path, key: str) -> bool:
    value = table.get(key, False)
    if type(value) is not bool:
        raise doc.wrong_type((*path, key), value, "true or false")
    return value


def _age(doc: Document, table: Mapping[str, Any], path: document.Path) -> timedelta:
    span = duration(doc.string({"max_age": "30d", **table}, path, "max_age"))
    if span is None:
        raise doc.error((*path, "max_age"), "'max_age' must be a duration such as \"30d\"")
    return span


def _floors(doc: Document, table: Mapping[str, Any], path: document.Path) -> Floors:
    place = (*path, "floors")
    floors = doc.table(table.get("floors", {}), place, "a table { pass_rate, valid }")
    doc.closed(floors, place, ("pass_rate", "valid"))
    rate, valid = (
        exactly(_number(doc, floors, place, key, 0.0, least=0.0, most=1.0))
        for key in ("pass_rate", "valid")
    )
    return Floors(rate, valid)


def _budgets(doc: Document, table: Mapping[str, Any], path: document.Path) -> Budgets:
    place = (*path, "budgets")
    budgets = doc.table(table.get("budgets", {}), place, "a table of limits")
    doc.closed(budgets, place, ("p95_latency_ms", "usd_per_1k_requests"))
    latency, usd = (
        _number(doc, budgets, place, key, 1.0, above=0.0, below=1e9) if key in budgets else None
        for key in ("p95_latency_ms", "usd_per_1k_requests")
    )
    return Budgets(latency, usd)


def _item(doc: Document, table: Mapping[str, Any], path: document.Path) -> dict[str, str] | None:
    if "item" not in table:
        return None
    place = (*path, "item")
    keys = doc.table(table["item"], place, "a table { input, reference }")
    doc.closed(keys, place, ("input", "reference"))
    return {key: doc.line_of_text(keys, place, key) for key in sorted(keys)}
