"""A clock that a test reads after the fact."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from fftdeploy.api.asking import Clock

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class FakeTime:
    """A clock that passes only while somebody sleeps."""

    start: datetime = NOW
    slept: list[float] = field(default_factory=list)

    def clock(self) -> Clock:
        return Clock(
            lambda: self.start + timedelta(seconds=sum(self.slept)),
            lambda: sum(self.slept),
            self.slept.append,
        )
