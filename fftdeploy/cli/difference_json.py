"""A comparison as the JSON output has it; `schema output` describes it."""

from datetime import date, datetime
from typing import Any

from fftdeploy.cli.as_json import bundle_json, hold_json, release_json
from fftdeploy.model_ids.retirement import parse_fine_tune
from fftdeploy.pull_request.comparison import Measured, Side, TargetComparison


def comparison_json(one: TargetComparison, now: datetime) -> dict[str, Any]:
    """Return a comparison at `now` as the JSON output has it."""
    today = now.date()
    only_before, only_after = one.holds(now)
    together = one.together
    return {
        "targets": list(one.names),
        "differs": one.differs,
        "fields": [name for name, old, new in one.rows(today) if old != new],
        "before": _side_json(one.before, today) if one.before else None,
        "after": _side_json(one.after, today) if one.after else None,
        "profile": [
            {"key": key, "before": old, "after": new} for key, old, new in one.profile_keys()
        ],
        "holds": {
            "before": [hold_json(hold) for hold in only_before],
            "after": [hold_json(hold) for hold in only_after],
        },
        "changes": [
            {
                "kind": change.kind,
                "message": change.message,
                "release": change.release.n if change.release else None,
            }
            for change in one.changes
        ],
        "together": {
            "evidence": together.evidence,
            "candidate": bundle_json(together.candidate),
            "ruling": together.verdict.ruling,
            "headline": together.verdict.headline,
        }
        if together
        else None,
    }


def _side_json(side: Side, today: date) -> dict[str, Any]:
    newest, shutdown, back = side.target.newest, side.shutdown, side.way_back
    return {
        "target": str(side.target),
        **bundle_json(side.live),
        "tuned": _tuned_json(side.live.model),
        "job": side.job or None,
        "recorded": side.is_recorded,
        "release": release_json(newest) if newest else None,
        "hold": hold_json(side.hold) if side.hold else None,
        "evidence": {
            "id": side.named.id,
            "ruling": side.named.ruling or None,
            "problem": side.named.problem or None,
        }
        if side.named
        else None,
        "measured": _measured_json(side.measured) if side.measured else None,
        "price": {
            "input": side.price.input,
            "cached_input": side.price.cached_input,
            "output": side.price.output,
        }
        if side.price
        else None,
        "shutdown_date": shutdown.date.isoformat() if shutdown else None,
        "shutdown_source": shutdown.source if shutdown else None,
        "runway_days": (shutdown.date - today).days if shutdown else None,
        "rollback": {
            "n": back.release.n,
            **bundle_json(back.bundle),
            "problem": back.reason or None,
        }
        if back
        else None,
    }


def _tuned_json(model: str) -> dict[str, Any] | None:
    tuned = parse_fine_tune(model)
    if tuned is None:
        return None
    return {
        "base": tuned.base,
        "organisation": tuned.organisation,
        "suffix": tuned.suffix or None,
        "id": tuned.id,
        "step": tuned.step,
    }


def _measured_json(measured: Measured) -> dict[str, Any]:
    arm = measured.arm
    return {
        "evidence": measured.evidence,
        "n": arm.n,
        "passed": arm.passed,
        "rate": round(arm.rate, 6),
        "low": round(arm.low, 6),
        "high": round(arm.high, 6),
        "p95_latency_ms": arm.p95_latency_ms,
        "usd_per_1k_requests": arm.usd_per_1k_requests,
    }
