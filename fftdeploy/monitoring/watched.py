"""What is known of a live target after a look at it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from fftdeploy.files.folders import MONITOR
from fftdeploy.names import FLAT
from fftdeploy.planning.finding import Finding
from fftdeploy.releases.deployments import Bundle

WatchState = Literal["fine", "suspected", "drift", "unverified", "not-calibrated"]
"""`suspected` is a suspicion that nothing has confirmed or ruled out yet."""
SETTLED = frozenset({"fine", "drift"})
"""The states that answers have proved; the others say that there were too few."""

_UNPRINTED = {"json": "unprinted"}

Role = Literal["live", "way-back"]
"""What a target rests on a model for."""


@dataclass(frozen=True, slots=True)
class MovedExample:
    """An example that fails more often than when it was calibrated; counts of answers."""

    id: str
    passed_then: int
    asked_then: int
    passed: int
    asked: int


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something that a look found, without its place."""

    code: str
    severity: Literal["error", "notice"]
    message: str


ANEW = "calibrated-anew"
"""The code of what says that later answers are held against others than before."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a target, as its state file keeps it: counts and IDs, no outputs."""

    at: datetime
    state: WatchState
    model: str
    noticed: tuple[Noticed, ...] = ()
    passed: int | None = None
    """Watched examples that passed in the pass of this look; None where there was none."""
    answered: int | None = None
    """Watched examples that it has an answer to, at all."""
    valid: int | None = None
    """Those whose answer has the right shape."""
    p: float | None = None
    """Of the test that has the last word: the confirmation's, or else of the pass alone."""
    cusum: float = 0.0
    """The standardised fall, added up over looks, after this one."""
    is_confirmed: bool = False
    """Whether `p` is of fresh passes that were asked after a suspicion."""
    failed: tuple[str, ...] = ()
    """IDs of the must-pass examples that failed in the pass, and never did when calibrated."""
    moved: tuple[MovedExample, ...] = ()
    """Those that fell most, the gravest first."""
    runs: tuple[str, ...] = ()
    """Names of the logs that have its outputs, on the machine that asked."""
    bundle: Bundle | None = field(default=None, metadata=_UNPRINTED)
    """The model and prompt that were looked at: it says nothing of another."""
    of: str = field(default="", metadata=_UNPRINTED)
    """The `sha` of what was asked."""

    @property
    def day(self) -> date:
        """The day of it, in UTC."""
        return self.at.date()

    @property
    def is_anew(self) -> bool:
        """Whether it has compared nothing with what was before, so that nothing is fine again."""
        return any(one.code == ANEW for one in self.noticed)

    @property
    def pass_ratio(self) -> float | None:
        """The share of the answers that passed; None where nothing was asked."""
        return None if self.passed is None or not self.answered else self.passed / self.answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A target after a look at it."""

    target: str
    look: Look = field(metadata=FLAT)
    previous: WatchState | None
    """What was last settled before this look, `fine` or `drift`; None where nothing was."""
    last_success: datetime | None
    """When a look, this one included, has last settled something."""
    calibrated_at: datetime | None
    days_left: Mapping[str, int]
    """Days until a model shuts down, negative once past, by its `Role`, as far as one is known."""
    ratios: tuple[float, ...] = ()
    """The pass ratios of the newest looks that have one, this one's the last."""
    why: str = ""
    """What kept the look from settling anything; "" where it did."""
    is_new: bool = True
    """False where today's look was there already."""
    findings: tuple[Finding, ...] = field(default=(), metadata=_UNPRINTED)
    """What is wrong or due in the target, the look's own and the files'."""

    @property
    def state(self) -> WatchState:
        """Its state."""
        return self.look.state

    @property
    def is_silent(self) -> bool:
        """Whether something kept it from being found out how the target is."""
        return self.state == "unverified" or (self.state == "not-calibrated" and bool(self.why))


def path_of(root: Path, target: str) -> Path:
    """Return where the state of a target is; no name has a dot, so that no two share one."""
    return root / MONITOR / f"{target.replace('/', '.')}.jsonl"
