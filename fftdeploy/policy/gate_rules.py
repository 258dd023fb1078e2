"""`[tasks.TASK.gate]` of the policy: the quality bar of a task, as written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

from fftdeploy.errors import ConfigError
from fftdeploy.formats import keys
from fftdeploy.formats.document import Document, Path, text_problem
from fftdeploy.formats.keys import Key, Kind, key, read_keys, table_schema
from fftdeploy.formats.kinds import FLAG, LINE, choice, many, number, span, text, whole
from fftdeploy.policy.grader_rules import GRADERS, GraderRules
from fftdeploy.policy.judges import bundle_of
from fftdeploy.policy.prices import RequestCost
from fftdeploy.releases.deployments import Bundle

Mode = Literal["not-worse", "better", "threshold", "report-only"]
SliceRule = Literal["no-harm", "not-worse"]
OnInconclusive = Literal["block", "allow"]
MAX_REPEATS = 100
_POINTS = "0.05 is five points"
_SHARE = number(said="at least 0 and at most 1", hint=_POINTS, minimum=0, maximum=1)
_LIMIT = number(exclusiveMinimum=0, exclusiveMaximum=1e9)


def exactly(number: float) -> Fraction:
    """Return the decimal that was written: 0.9 is nine tenths, not the float beside it."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))


_EXACT_SHARE = Kind(lambda *value: exactly(_SHARE.read(*value)), _SHARE.schema)


def _path_problem(value: str) -> str:
    if text_problem(value) or "\\" in value or value.startswith("~"):
        return "is not a path"
    parts = PurePosixPath(value).parts
    if not parts or parts[0] == "/" or ".." in parts:
        return "leads out of the folder of this file"
    return "is inside of git's own folder" if any(p.casefold() == ".git" for p in parts) else ""


def _words(each: str) -> Kind:
    return many(LINE, each, "an array of strings", unique="something")


_ADD_EXAMPLES = 'add examples = ["evals/TASK.jsonl"]'
PATH = text(_path_problem, "value", hint="name a file below here", pattern=r"^[^/~\\][^\\]*$")
EXAMPLES = many(
    PATH,
    "A path below the folder of this file.",
    "an array of paths",
    unique="a file",
    least=(1, "names no file"),
    hint=_ADD_EXAMPLES,
)
_ITEM = {
    "input": Key("The key of the input.", LINE),
    "reference": Key("The key of the agreed answer.", LINE),
}
_ITEM_SAID = "a table { input, reference }"


@dataclass(frozen=True, slots=True)
class Floors:
    """Point values that the candidate must reach: a policy, not an inference.  0 asks nothing."""

    pass_rate: Fraction = key("Least share of examples that pass.", _EXACT_SHARE, Fraction(0))
    valid: Fraction = key(
        "Least share of answers that have the right shape, right or wrong.",
        _EXACT_SHARE,
        Fraction(0),
    )


@dataclass(frozen=True, slots=True)
class Budgets:
    """What an answer of the candidate may cost; None asks nothing."""

    p95_latency_ms: float | None = key(
        "Milliseconds within which 95 % of its answers come.", _LIMIT, None
    )
    usd_per_1k_requests: float | None = key("USD for a thousand requests.", _LIMIT, None)

    @property
    def needs_price(self) -> bool:
        """Tell whether it limits what a request costs."""
        return self.usd_per_1k_requests is not None

    def excess(self, cost: RequestCost) -> str:
        """Say that a cost is over its limit; "" where it is not; ValueError without a price."""
        usd, most = cost.usd_per_1k_requests, self.usd_per_1k_requests
        if most is None:
            return ""
        if usd is None:
            raise ValueError("a budget in USD needs the candidate's price")
        if usd <= most:
            return ""
        return f"costs ${usd:.6g} per 1,000 requests, over the budget of ${most:.6g}"


@dataclass(frozen=True, slots=True)
class GateRules:
    """The quality bar of one task."""

    examples: tuple[str, ...] = key(
        "Paths of JSONL files with examples, below the folder of this file.",
        EXAMPLES,
        missing="names no file",
        hint=_ADD_EXAMPLES,
        decides=False,
    )
    graders: tuple[GraderRules, ...] = key(
        "How answers are marked, one table or more; an example passes when every grader passes it.",
        GRADERS,
        hint="add [[PATH.graders]]",
        decides=False,
    )
    mode: Mode = key(
        'What is asked: not worse than live, or `"better"`; `"threshold"`: sure of a pass '
        'rate, whatever is live; `"report-only"`: stops nothing.',
        choice(get_args(Mode)),
        "not-worse",
    )
    margin: float = key(
        "How much worse the candidate may be, as a share of the examples.",
        number(hint=_POINTS, exclusiveMinimum=0, exclusiveMaximum=1),
        0.05,
    )
    confidence: float = key(
        "How sure to be of that, one-sided.",
        number(hint=_POINTS, exclusiveMinimum=0.5, exclusiveMaximum=1),
        0.95,
    )
    threshold: float = key(
        'The pass rate to be sure of, with `mode = "threshold"` and only there.',
        number(hint=_POINTS, minimum=0, exclusiveMaximum=1),
        0.0,
        shown="none",
    )
    must_pass: tuple[str, ...] = key(
        "Tags; the candidate must pass each example that has one. A tag of no example is exit 3.",
        _words("A tag."),
        (),
    )
    slices: tuple[str, ...] = key(
        "Keys of an example's `meta`; each of their values is watched on its own. "
        "A key of no example is exit 3.",
        _words("A key of `meta`."),
        (),
    )
    slice_rule: SliceRule = key(
        'An alarm for each slice, adjusted for their number; `"not-worse"` asks of every '
        "slice what is asked of the whole.",
        choice(get_args(SliceRule)),
        "no-harm",
    )
    repeats: int = key(
        f"Answers to each example, up to {MAX_REPEATS}.", whole(1, MAX_REPEATS), 1, decides=False
    )
    min_examples: int = key(
        "Fewer are exit 7 before anything is asked, whatever `on_inconclusive` says.",
        whole(1, 1_000_000),
        1,
    )
    require_reviewed: bool = key(
        "An example that nobody has reviewed is exit 5 before anything is asked.", FLAG, False
    )
    max_age: timedelta = key(
        "How old evidence may be when it is used, such as `30d`.",
        span("30d"),
        timedelta(days=30),
        decides=False,
    )
    on_inconclusive: OnInconclusive = key(
        '`"allow"` lets through what the examples can\'t settle, and says how much that is.',
        choice(get_args(OnInconclusive)),
        "block",
    )
    floors: Floors = key(
        "Shares that the candidate must reach, whatever is live.",
        keys.table(Floors, "a table { pass_rate, valid }"),
        Floors(),
    )
    budgets: Budgets = key(
        "What the candidate may take and cost.", keys.table(Budgets, "a table of limits"), Budgets()
    )
    item: Mapping[str, str] | None = key(
        "For evals lines: which keys of an item are its `input` and its `reference`.",
        Kind(
            lambda doc, path, value: read_keys(doc, path, value, _ITEM, _ITEM_SAID) or None,
            table_schema(_ITEM),
        ),
        None,
        shown="usual names",
    )

    @property
    def judge(self) -> Bundle | None:
        """The model that is asked for grades, if one is."""
        return next((bundle_of(one.options) for one in self.graders if one.is_judge), None)

    @property
    def content(self) -> dict[str, Any]:
        """Return what decides a verdict, for evidence and its hash.

        Examples and graders have hashes of their own, more repeats than asked are welcome, and
        how old evidence may be is asked when it is used.
        """
        found: dict[str, Any] = keys.content(self)
        return found


def _check_threshold(doc: Document, path: Path, said: dict[str, Any]) -> None:
    if (said.get("mode") == "threshold") != ("threshold" in said):
        raise doc.error(
            (*path, "threshold" if "threshold" in said else "mode"),
            "'threshold' goes with mode = \"threshold\", and only with it",
        )


GATE = keys.table(GateRules, check=_check_threshold)


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
        found: GateRules = GATE.read(Document("", "", {"gate": table}), ("gate",), table)
    except ConfigError as error:
        raise ValueError(error.message) from None
    rules = replace(found, examples=(), graders=())
    if rules.content != content:
        raise ValueError("these rules are written in another way")
    return rules
