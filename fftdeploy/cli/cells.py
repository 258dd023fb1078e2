"""Readiness and shutdown dates in the few words that fit a cell."""

from typing import TYPE_CHECKING

from fftdeploy.names import plural
from fftdeploy.output.report import Cell, Line, line

if TYPE_CHECKING:  # a command's help is shown without what it does
    from fftdeploy.commands.views import ReadinessView, ShutdownView
    from fftdeploy.workspace import Workspace

URGENT_DAYS = 30
SOON_DAYS = 90


def no_targets(workspace: "Workspace") -> Line:
    """Say how the first target is made; where a policy knows the environments, by nothing else."""
    create = "" if workspace.policy.exists else " --create"
    return line(f"no targets yet: fftdeploy promote TASK/ENVIRONMENT --model ID{create}")


def readiness_cell(readiness: "ReadinessView | None") -> Cell:
    """Say what was proved, and what the proof rests on."""
    if readiness is None:
        return Cell("not verified", "dim")
    basis = f" ({', '.join(readiness.basis)})" if readiness.basis else ""
    if readiness.state == "ready":
        return Cell(f"ready{basis}", "good")
    text = f"{readiness.state}: {readiness.message}"
    return Cell(text, "bad" if readiness.state == "not-ready" else "warn")


def shutdown_cell(shutdown: "ShutdownView") -> Cell:
    """Say the days left, the date, and where the date comes from; coloured by urgency."""
    day, source, days = shutdown.shutdown_date, shutdown.shutdown_source, shutdown.runway_days
    if days is None:
        return Cell("no date announced", "dim")
    if days <= 0:  # it stops on the day
        return Cell(f"ended {day} ({source})", "bad")
    text = f"in {plural(days, 'day')} ({day}, {source})"
    if days <= URGENT_DAYS:
        return Cell(text, "bad")
    return Cell(text, "warn" if days <= SOON_DAYS else "")
