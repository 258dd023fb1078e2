"""The page of what was watched: looks as a strip, what changed, and answers of then and now."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fftdeploy.monitoring.watched import Look, Watched
from fftdeploy.output.page.template import Say, load
from fftdeploy.output.words import moment

_YEAR = 365
_KINDS = {"fine": "pass", "drift": "fail"}
_GONE = "(not on this machine)"


@dataclass(frozen=True, slots=True)
class WatchedPart:
    """What the page has of one target; the texts are by the IDs of examples."""

    watched: Watched
    looks: Sequence[Look]
    """The oldest first."""
    then: Mapping[str, str]
    now: Mapping[str, str]


def watch_page(parts: Sequence[WatchedPart], at: datetime, secrets: Collection[str]) -> str:
    """Return the page as HTML in UTF-8, with `secrets` taken out of any text."""
    say = Say(secrets)
    targets = [_target(part, say) for part in parts]
    page = load("watch.html", {"moment": moment})
    return page.filled({"made_at": at, "targets": targets}, say)


def _target(part: WatchedPart, say: Say) -> dict[str, Any]:
    one, since = part.watched, part.watched.calibrated_at
    rows = [
        {
            "id": moved.id,
            "then": f"{moved.passed_then}/{moved.asked_then}",
            "now": f"{moved.passed}/{moved.asked}",
            "before": say.cut(part.then.get(moved.id, _GONE))[0],
            "after": say.cut(part.now.get(moved.id, _GONE))[0],
        }
        for moved in one.look.moved
    ]
    return {
        "name": one.target,
        "state": one.state,
        "kind": _KINDS.get(one.state, "inconclusive"),
        "model": one.look.model,
        "compared": f"compared with {moment(since)}" if since else "not calibrated",
        "looks": [{"state": look.state, "title": _title(look)} for look in part.looks[-_YEAR:]],
        "found": [one.why] * bool(one.why) + [found.message for found in one.findings],
        "moved": {"rows": rows} if rows else None,
    }


def _title(look: Look) -> str:
    passed = "" if look.passed is None else f", {look.passed} of {look.answered} passed"
    return f"{look.day}: {look.state}{passed}"
