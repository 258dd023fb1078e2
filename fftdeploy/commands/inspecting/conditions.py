"""Reads what of a status is to be a finding."""

from fftdeploy.errors import UsageError
from fftdeploy.names import not_one_of
from fftdeploy.planning.findings import STALE
from fftdeploy.times import duration

CONDITIONS = ("runway:30d", "dead", "hand-edit", "no-rollback", STALE, "drift")
"""What `--fail-on` takes; the days of `runway` are free."""


def parse_conditions(text: str) -> dict[str, int]:
    """Read `--fail-on`: condition -> days, which only `runway` uses; or raise UsageError."""
    conditions = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition(":")
        if part not in CONDITIONS and name != "runway":
            raise UsageError(**not_one_of("--fail-on", part, CONDITIONS))
        span = duration(value) if name == "runway" else None
        if name == "runway" and span is None:
            raise UsageError("--fail-on runway needs days", hint="write runway:30d")
        conditions[name] = -(-int(span.total_seconds()) // 86400) if span else 0
    return conditions
