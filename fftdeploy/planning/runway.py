"""How long a target's model will answer, and that of its way back; and when that is due."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from fftdeploy.api.readiness import Shutdown
from fftdeploy.names import plural

STEPS = (90, 60, 30, 7)
"""Days before a shutdown from each of which on it is more urgent."""
NO_RECORD = "no-record"
"""The code of a live model that ends soon, and whose answers are not on record."""
UNRECORDED = "no answers of live on record"
RECORDING = "fftdeploy migrate --record"


@dataclass(frozen=True, slots=True)
class Runway:
    """The ends of the models that a target rests on; None where no day is known."""

    live: Shutdown | None
    way_back: Shutdown | None = None
    release: int = 0
    """The number of the release that is the way back."""
    judge: Shutdown | None = None
    """The end of the model that judges candidates; None, too, where there is no such judge."""

    def due(self, today: date, within: int) -> Iterator[tuple[str, str]]:
        """Yield a code and a sentence for each end that is fewer than so many days away.

        Of two models that end on the same day one sentence speaks.
        """
        live, back = self.live, self.way_back
        is_shared = live is not None and back is not None and live.date == back.date
        if live and live.days_left(today) < within:
            also = ", and so does the way back" if is_shared else ""
            yield "runway", f"the live model {_ends(live, today, also)}"
        if back and not is_shared and back.days_left(today) < within:
            yield "rollback-runway", f"release {self.release}, the way back, {_ends(back, today)}"
        if self.judge and self.judge.days_left(today) < within:
            yield "judge-runway", f"the judge of its gate {_ends(self.judge, today)}"


def lasts(shutdown: Shutdown | None, today: date) -> bool:
    """Tell whether a model is far from its end, as far as is known, or past it."""
    return shutdown is None or not 0 < shutdown.days_left(today) < STEPS[0]


def _ends(shutdown: Shutdown, today: date, also: str = "") -> str:
    days = shutdown.days_left(today)
    ends = f"shuts down in {plural(days, 'day')}" if days > 0 else "has reached its last day"
    step = min((step for step in STEPS if days < step), default=0)
    left = f": fewer than {step} left" if step and days > 0 else ""
    return f"{ends} ({shutdown.date}, {shutdown.source}){also}{left}"
