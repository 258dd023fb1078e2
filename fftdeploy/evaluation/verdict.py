"""The gate's word on a candidate, as one value: every output and the exit code come from it.

Shares and differences are fractions (0.05 is five points), a difference is candidate minus live,
and bounds are one-sided at the gate's confidence.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, cast

from fftdeploy.evaluation.arms import CANDIDATE
from fftdeploy.formats import json_shapes
from fftdeploy.names import FLAT
from fftdeploy.policy.prices import RequestCost

Ruling = Literal["pass", "fail", "inconclusive"]
Label = Literal["better", "not-worse", "worse", "inconclusive", "no-baseline"]
ReasonCode = Literal[
    "must-pass", "floor", "budget", "slice", "worse", "margin", "threshold", "better", "units",
    "nothing", "too-few", "no-baseline", "missing", "unreviewed", "creep", "latency",
    "zero-failures", "judge",
]  # fmt: skip


NEVER_ALLOWED = frozenset({"too-few", "nothing", "latency", "budget", "judge"})
"""Codes of what leaves a verdict open for want of having been looked at, or of eyes that may be
trusted: nobody may allow that."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing the gate found; `rules` is what it does to the ruling, "" for a notice."""

    code: ReasonCode
    rules: Literal["fail", "inconclusive", ""]
    message: str
    examples: tuple[str, ...] = ()
    """IDs of the examples that it is about, all of them."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Candidate against live on the same examples.

    With repeats an example counts as broke (fixed) where the candidate passed it less (more)
    often than live did.  The tests are of the effective pairs that repeats and groups leave.
    """

    n: int
    passed_both: int
    broke: int
    """Live passed, the candidate failed."""
    fixed: int
    failed_both: int
    difference: float
    lower: float
    upper: float
    p_margin: float
    """How rarely a candidate that is worse by the margin looks as good: at most the risk passes."""
    p_worse: float
    """Exact one-sided McNemar; so is the next one."""
    p_better: float
    method: Literal["exact", "tango"]
    """Where `p_margin` and the bounds come from: the exact unconditional test, or, of more than
    20,000 units, the normal tail of the same score."""
    label: Label
    groups: int
    """Number of groups of examples that belong together; 0 where each stands alone."""
    units: float
    """Effective number of independent units: `n` where each example stands alone."""


@dataclass(frozen=True, slots=True)
class SliceResult:
    """The comparison on part of the examples, or on one field of the answers."""

    kind: Literal["slice", "field"]
    key: str
    value: str
    """Value of the slice; "" for a field, whose name is `key`."""
    n: int
    broke: int
    fixed: int
    p: float
    p_adjusted: float
    """Holm over all slices and fields."""
    lower: float
    """Lower bound of the difference on this part."""
    is_harmed: bool
    is_small: bool
    """Fewer than 20 examples: too few to say much."""

    @property
    def name(self) -> str:
        """What it is called in reasons and tables: `language=fr`, `field route`."""
        return f"{self.key}={self.value}" if self.kind == "slice" else f"field {self.key}"


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One arm on its own.  An interval is Wilson's, two-sided at 95 %, of effective units."""

    arm: str
    n: int
    passed: int
    """Examples passed; with repeats, those passed in more than half of them."""
    rate: float
    """Mean over the examples of the share of repeats passed."""
    low: float
    high: float
    valid: float
    """Share of the answers of the right shape."""
    marks: dict[str, int]
    """Number of answers by mark."""
    seen_in: dict[str, str]
    """ID of the first example with each of these marks, `pass` left out."""
    p50_latency_ms: int | None
    p95_latency_ms: int | None
    p95_lower_ms: int | None
    """Lower 95 % order-statistic bound of the 95th percentile."""
    measured: int
    """Answers whose latency was measured in the run."""
    tokens_in: float
    """Mean per request, as the next three."""
    tokens_cached: float
    tokens_out: float
    tokens_reasoning: float
    cost: RequestCost = field(metadata=FLAT)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's answer.

    `headline` is one line for an engineer, without the ruling's word; `detail` follows it.
    """

    ruling: Ruling
    label: Label
    headline: str
    detail: tuple[str, ...]
    reasons: tuple[Reason, ...]
    comparison: Comparison | None
    slices: tuple[SliceResult, ...]
    arms: tuple[ArmResult, ...]
    broke: tuple[str, ...]
    """IDs of the examples that broke, in the order of the files; so are the next two."""
    fixed: tuple[str, ...]
    must_pass_failed: tuple[str, ...]
    needed: int | None = None
    """Units that would usually settle it, where it is inconclusive for their number."""
    settling: str = ""
    """The same in words, with what else would."""
    reports_only: bool = False
    """The gate's mode is `report-only`: the ruling stops nothing."""

    def arm(self, name: str) -> ArmResult | None:
        """Return one of the models, by the name of its arm; None where it was not asked."""
        return next((arm for arm in self.arms if arm.arm == name), None)

    @property
    def candidate(self) -> ArmResult:
        """What the candidate passed, took and cost; ValueError where a damaged file has none."""
        found = self.arm(CANDIDATE)
        if found is None:
            raise ValueError("a verdict is about a candidate")
        return found

    @property
    def may_be_allowed(self) -> bool:
        """Whether `on_inconclusive = "allow"` may let it through: not what nothing was seen of."""
        return not any(one.rules and one.code in NEVER_ALLOWED for one in self.reasons)

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as JSON output and evidence have it; floats to 6 digits."""
        return cast("dict[str, Any]", json_shapes.written(self, digits=6))
