"""A comparison as a person reads it: what happened, what differs, and the prompt by the word."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fftdeploy.names import plural
from fftdeploy.output.report import Block, Cell, Details, Patch, Table, Tone, line
from fftdeploy.pull_request.comparison import TargetComparison
from fftdeploy.releases import text_diff
from fftdeploy.releases.deployments import Hold

_TONES: dict[str, Tone] = {"pass": "good", "fail": "bad", "inconclusive": "warn"}
_BAD = frozenset({"unexplained", "removed-release", "removed-target"})
_UNFOLDED = 40
"""Lines of a prompt's diff that Markdown shows without being asked."""
_LONG_VALUE = 200
_SHOWN_AS = {"runway": "shuts down"}
"""Rows that a person reads by another name than JSON has."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What output calls the two sides."""

    title: str
    """What is compared with what."""
    is_history: bool
    """Whether the sides are two moments of one target."""
    count: int
    """How many targets, or pairs of them, were looked at."""
    now: datetime

    def columns(self, one: TargetComparison) -> tuple[str, str]:
        """Name both sides; a ref's name is no heading, for anybody may choose it."""
        if self.is_history:
            return "before", "after"
        before, after = one.names
        (task_a, _, one_place), (task_b, _, other_place) = (
            before.partition("/"),
            after.partition("/"),
        )
        return (one_place, other_place) if task_a == task_b else one.names

    def heading(self, one: TargetComparison) -> str:
        """Name what is compared."""
        return one.names[0] if self.is_history else " -> ".join(one.names)


def blocks(labels: Labels, found: Iterable[TargetComparison]) -> Iterator[Block]:
    """Yield the summary, and then each comparison that differs."""
    found = list(found)
    differing = [one for one in found if one.differs]
    what = "targets" if labels.is_history else "pairs"
    if not differing:
        yield line(f"{labels.title}: ", Cell("no difference", "good"))
    else:
        verb = "differs" if len(differing) == 1 else "differ"
        yield line(f"{labels.title}: {len(differing)} of {labels.count} {what} {verb}")
    for one in differing:
        yield line("")
        yield from _comparison(labels, one)
    same = [one for one in found if not one.differs]
    if same and differing:
        yield line("")
    yield from (line(f"{labels.heading(one)}: the same, {one.live}") for one in same)


def _comparison(labels: Labels, one: TargetComparison) -> Iterator[Block]:
    yield line(Cell(labels.heading(one), "strong"))
    for change in one.changes:
        yield line(
            "  ", Cell(f"{change.kind}: ", "bad" if change.kind in _BAD else ""), change.message
        )
    yield from _evidence(one)
    rows = one.rows(labels.now.date())
    cells = tuple(
        (Cell(_SHOWN_AS.get(name, name), "dim"), Cell(before), Cell(after))
        for name, before, after in rows
    )
    yield Table(("", *labels.columns(one)), cells)
    yield from _holds(labels, one)
    yield from _profile(one)


def _evidence(one: TargetComparison) -> Iterator[Block]:
    if one.together is not None:
        verdict = one.together.verdict
        said = f"evidence {one.together.evidence[:12]} asked both: "
        ruling = Cell(verdict.ruling.upper(), _TONES[verdict.ruling])
        yield line(f"  {said}", ruling, f"  {verdict.headline}")
    elif not one.is_comparable:
        warning = "the pass rates are of other examples: they can't be compared"
        yield line("  ", Cell(warning, "warn"))


def _holds(labels: Labels, one: TargetComparison) -> Iterator[Block]:
    before, after = labels.columns(one)
    first, second = (f"on hold in {before} only", f"on hold in {after} only")
    if labels.is_history:
        first, second = "off hold", "on hold"
    only_before, only_after = one.holds(labels.now)
    yield from (line(f"  {first}: {_hold(hold)}") for hold in only_before)
    yield from (line(f"  {second}: {_hold(hold)}") for hold in only_after)


def _hold(hold: Hold) -> str:
    release = f" (release {hold.release})" if hold.release is not None else ""
    return f"{hold.model}{release} since {hold.since:%Y-%m-%d}, by {hold.by}: {hold.why}"


def _profile(one: TargetComparison) -> Iterator[Block]:
    """Say which keys of the profile differ, where both sides have one."""
    if one.before is None or one.after is None:
        return
    for key, before, after in one.profile_keys():
        if key == "system":
            yield from _prompt(before or "", after or "")
        else:
            yield line(f"  profile, {key}: {_value(before)} -> {_value(after)}")


def _prompt(before: str, after: str) -> Iterator[Block]:
    found = text_diff.by_word(before, after)
    if found is None:
        sizes = f"{plural(len(before), 'character')} before, {len(after):,} after"
        yield line(f"  profile, system: written anew, {sizes}")
        return
    lines = found.count("\n")
    if lines > _UNFOLDED:
        yield Details(f"profile, system: {plural(lines, 'line')}", (Patch(found),))
    else:
        yield line("  profile, system:")
        yield Patch(found)


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= _LONG_VALUE else f"{len(shown):,} characters of JSON"
