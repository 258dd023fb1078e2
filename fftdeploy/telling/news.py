"""Decides what of a look is news: a state that has changed, or a date that has come near.  Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from fftdeploy.monitoring.watched import Look, Watched
from fftdeploy.names import plural
from fftdeploy.output.words import moment
from fftdeploy.planning.runway import STEPS

UNVERIFIED = "unverified"
_DRIFT = "drift"
_QUIET = timedelta(hours=20)
"""How long nothing may be found out before that is news: a day, less what a schedule is late by."""
_NO_WAY_BACK = frozenset({"no-rollback", "rollback-profile"})
_STEP_CODES = {"live": "runway", "way-back": "rollback-runway"}

Memory = Mapping[str, Sequence[str]]
"""What people were told last, by what it is about: a target's codes, a step of a model's end."""


@dataclass(frozen=True, slots=True)
class ToldBefore:
    """One thing that people were told, as it is remembered."""

    about: str
    codes: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class News:
    """One line for people, and what is remembered once they have it."""

    line: str
    told: ToldBefore


def wrong(one: Watched, told: Sequence[str], looks: Sequence[Look], now: datetime) -> list[str]:
    """Return codes of what is wrong in a target, as far as that is known; none where it is fine.

    What could not be found out leaves as it is what was `told`.  `looks` are those at the target
    until `now`, the oldest first.
    """
    found = {finding.code for finding in one.findings if finding.severity == "error"}
    is_open = one.state in {"suspected", "not-calibrated"}
    if one.state == _DRIFT or (is_open and one.previous == _DRIFT):
        found.add(_DRIFT)
    if one.is_silent:
        same = takewhile(lambda look: look.state == looks[-1].state, reversed(looks))
        since = min((look.at for look in same), default=now)
        silent = not found and now - since >= _QUIET
        found.update(told, {UNVERIFIED} if silent else ())
    return sorted(found)


def due(one: Watched) -> list[str]:
    """Return codes of what is to be done in a target before it goes wrong."""
    found = {finding.code for finding in one.findings} & _NO_WAY_BACK
    return sorted(found | {f"{_STEP_CODES[role]}-{step}" for role, step, _ in _steps(one)})


def state_news(one: Watched, codes: Sequence[str], told: Memory, at: datetime) -> list[News]:
    """Return what has changed in a target since people were told of it; nothing where all is so."""
    if list(codes) == list(told.get(one.target, ())):
        return []
    look = one.look
    said = ", ".join(codes) or ("calibrated anew" if look.is_anew else "fine again")
    passed = "" if look.passed is None else f", {look.passed} of {look.answered} examples pass"
    last = one.last_success if codes == [UNVERIFIED] else None
    since = f" since {moment(last)}" if last else ""
    line = f"{one.target}: {said}{since}{passed} ({look.model})"
    return [News(line, ToldBefore(one.target, tuple(codes), at))]


def step_news(watched: Sequence[Watched], told: Memory, at: datetime) -> Iterator[News]:
    """Yield each step before a model's end that has come, once a model and role.

    A way back is remembered by the model that it is a way back from.
    """
    named: dict[tuple[str, str, int], list[tuple[int, str]]] = {}
    for one in watched:
        for role, step, left in _steps(one):
            if step < min(map(int, told.get(f"{role} {one.look.model}", ())), default=STEPS[0] + 1):
                named.setdefault((role, one.look.model, step), []).append((left, one.target))
    for (role, model, step), found in named.items():
        left, targets = min(found)[0], ", ".join(target for _, target in found)
        what = f"{model}, live in {targets}," if role == "live" else f"the way back of {targets}"
        line = f"{what} shuts down in {plural(left, 'day')}: fewer than {step} left"
        yield News(line, ToldBefore(f"{role} {model}", (str(step),), at))


def _steps(one: Watched) -> Iterator[tuple[str, int, int]]:
    """Yield the role, the step and the days left of each end that is near and has not passed."""
    for role, left in one.days_left.items():
        if 0 < left < STEPS[0]:
            yield role, min(step for step in STEPS if left < step), left
