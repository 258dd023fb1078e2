"""Readiness and runway in the few words that fit a cell."""

from datetime import date

from fftdeploy.api.readiness import Readiness, Shutdown
from fftdeploy.names import plural
from fftdeploy.output.report import Cell, Line, line
from fftdeploy.workspace import Workspace

URGENT_DAYS = 30
SOON_DAYS = 90


def no_targets(workspace: Workspace) -> Line:
    """Say how the first target is made; where a policy knows the environments, by nothing else."""
    create = "" if workspace.policy.exists else " --create"
    return line(f"no targets yet: fftdeploy promote TASK/ENVIRONMENT --model ID{create}")


def readiness_cell(readiness: Readiness) -> Cell:
    """Say what was proved, and what the proof rests on."""
    basis = f" ({', '.join(readiness.basis)})" if readiness.basis else ""
    if readiness.is_ready:
        return Cell(f"ready{basis}", "good")
    text = f"{readiness.state}: {readiness.message}"
    return Cell(text, "bad" if readiness.state == "not-ready" else "warn")


def runway_cell(readiness: Readiness, today: date) -> Cell:
    """Say the days left, the date, and where the date comes from."""
    return shutdown_cell(readiness.shutdown, today)


def shutdown_cell(shutdown: Shutdown | None, today: date) -> Cell:
    """Say the days left until `shutdown`, coloured by urgency."""
    if shutdown is None:
        return Cell("no date announced", "dim")
    days = (shutdown.date - today).days
    text = f"{plural(days, 'day')} ({shutdown.date}, {shutdown.source})"
    if days <= 0:  # it stops on the day
        return Cell(f"ended {shutdown.date} ({shutdown.source})", "bad")
    if days <= URGENT_DAYS:
        return Cell(text, "bad")
    return Cell(text, "warn" if days <= SOON_DAYS else "")
