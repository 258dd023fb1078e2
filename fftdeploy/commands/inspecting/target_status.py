"""What is known of one target: a row of `status`, and of the calendar that it writes."""

from dataclasses import dataclass, field

from fftdeploy.commands.views import (
    CanaryView,
    Fallback,
    ReadinessView,
    ShutdownView,
    TargetName,
    WayBack,
)
from fftdeploy.monitoring.last_look import LastLook
from fftdeploy.names import FLAT
from fftdeploy.output.results import OMITTED, UNPRINTED
from fftdeploy.releases.deployments import Bundle, Hold, Release


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStatus:
    """What is live in a target, and what is known of it."""

    target: TargetName
    live: Bundle = field(metadata=FLAT)
    recorded: bool
    """Whether the newest release is of what is live."""
    release: Release | None
    """The newest."""
    readiness: ReadinessView | None
    """None where the API was not asked."""
    shutdown: ShutdownView = field(metadata=FLAT)
    canary: CanaryView | None
    rollback: WayBack | None
    """Proved, or the first that nothing rules out."""
    rollback_shutdown: ShutdownView
    """Of the model that a rollback would go to."""
    rollback_outlives: bool
    """Whether some way back ends later than the live model."""
    answers_recorded: bool | None
    """Whether the answers of what is live to today's examples are on record; looked up once it
    ends within 90 days, and None before, or where there are no examples that can be read."""
    evaluation_due: str | None
    """Why what is live should be evaluated again, where the target is protected; None where it
    need not, or its answers are not on record anyway."""
    fallback: Fallback | None = field(default=None, metadata=OMITTED)
    """The first of the policy's that would take over, or the first of all."""
    watched: LastLook | None
    """How `monitor` found it last, as far as this machine knows."""
    owner: str | None
    description: str | None
    holds: tuple[Hold, ...]
    passed_over: tuple[WayBack, ...] = field(metadata=UNPRINTED)
    """Newer releases that were proved not to answer."""
    ways_back: tuple[WayBack, ...] = field(metadata=UNPRINTED)
    """With `every_way_back`, all releases that one could go back to, newest first."""
    releases_on_hold: int = field(metadata=UNPRINTED)
