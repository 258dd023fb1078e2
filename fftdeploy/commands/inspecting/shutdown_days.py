"""The days on which models shut down, as a file for a calendar."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from fftdeploy.commands.inspecting.target_status import TargetStatus
from fftdeploy.output.calendar import CalendarDay, calendar
from fftdeploy.planning.runway import STEPS
from fftdeploy.releases.deployments import Bundle


def shutdown_days(targets: Iterable[TargetStatus], at: datetime, secrets: Sequence[str]) -> str:
    """Return the days on which models of these targets shut down, an event for each model."""
    said: dict[tuple[str, str, date, str], list[str]] = {}
    for one in targets:
        ends = [(one.live, one.shutdown, f"live in {one.target}")]
        if one.canary:
            ends.append((one.canary.bundle, one.canary.shutdown, f"canary of {one.target}"))
        if one.rollback:
            role = f"the way back of {one.target} (release {one.rollback.n})"
            ends.append((one.rollback.bundle, one.rollback_shutdown, role))
        for what, view, role in ends:
            if view.shutdown_date:
                end = (what.model, what.provider, view.shutdown_date, view.shutdown_source or "")
                said.setdefault(end, []).append(role)
    days = [
        CalendarDay(
            day,
            f"{provider} {model}",
            f"{Bundle(model, provider)} shuts down",
            [*roles, f"date: {source}"],
        )
        for (model, provider, day, source), roles in sorted(said.items(), key=lambda one: one[0][2])
    ]
    return calendar(days, at, STEPS, secrets)
