"""Diff: its flags, and what a person reads: what happened, what differs, the prompt by the word."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fftdeploy.cli.app import command
from fftdeploy.cli.cells import Names, Wide
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.looking import DiffOptions
from fftdeploy.names import plural
from fftdeploy.output.report import Block, Cell, Details, Patch, Report, Table, Tone, line

if TYPE_CHECKING:
    from fftdeploy.commands.inspecting.compared import Compared, ComparedEnd, ComparedTarget
    from fftdeploy.releases.deployments import Hold

_TONES: dict[str, Tone] = {"pass": "good", "fail": "bad", "inconclusive": "warn"}
_BAD = frozenset({"unexplained", "removed-release", "removed-target"})
_UNFOLDED = 40
"""Lines of a prompt's diff that Markdown shows without being asked."""
_LONG_VALUE = 200
_DATE_SOURCE = re.compile(r", (table of|model|base model)[^)]*\)")
_SHOWN_AS = {"runway": "shuts down"}
"""Rows that a person reads by another name than JSON has."""


@command(
    "diff",
    DiffOptions,
    """
    fftdeploy diff                           HEAD and the working tree
    fftdeploy diff main                      a branch, tag or commit and the working tree
    fftdeploy diff staging production
    fftdeploy diff triage --format markdown  a task, environment by environment
    """,
)
def diff(session: Session, options: DiffOptions, *, wide: Wide = False) -> Report:
    """Show what differs, by meaning."""
    from fftdeploy.commands.diff import run

    result = run(session, options)
    return report(result, is_short=session.output.at_terminal and not wide)


def report(result: "Compared", *, is_short: bool = False) -> Report:
    """Show the summary, and then each comparison that differs."""
    comment = tuple(_body(result, Names(())))
    body = tuple(_body(result, Names(_models(result)))) if is_short else comment
    return Report(result.outcome, result, body, comment=comment)


def _models(result: "Compared") -> Iterator[str]:
    """Yield each model that the comparison may name."""
    for one in result.comparisons:
        yield from (hold.model for hold in (*one.holds.before, *one.holds.after))
        for side in filter(None, (one.before, one.after)):
            yield side.live.model
            yield from (way.bundle.model for way in (side.rollback, side.release) if way)


def _body(result: "Compared", names: Names) -> Iterator[Block]:
    title = _shown(result.a)
    noun = "target" if _is_history(result) else "pair"
    if _is_history(result) or result.b.name is not None:  # a task is one word
        title = f"{title} → {_shown(result.b)}"
    if not result.differing:
        yield line(f"{title}: ", Cell("no difference", "good"))
    else:
        verb = "differs" if result.differing == 1 else "differ"
        yield line(f"{title}: {result.differing} of {plural(result.compared, noun)} {verb}")
    for one in result.comparisons:
        if one.differs:
            yield line("")
            yield from _comparison(result, one, names)
    for target in result.recorded or ():
        yield line("recorded as a Deployment: ", Cell(target, "good"))
    same = [one for one in result.comparisons if not one.differs]
    if same and result.differing:
        yield line("")
    for one in same:
        live = names.text(str(one.after.live)) if one.after else None
        yield line(f"{_heading(result, one)}: the same, {live}")


def _is_history(result: "Compared") -> bool:
    """Tell whether the sides are two moments of one target."""
    return result.kind == "refs"


def _shown(end: "ComparedEnd") -> str:
    if end.name is None:
        return "the working tree"
    return f"{end.name} ({end.commit[:12]})" if end.commit else end.name


def _columns(result: "Compared", one: "ComparedTarget") -> tuple[str, str]:
    """Name both sides; a ref's name is no heading, for anybody may choose it."""
    if _is_history(result):
        return "before", "after"
    before, after = one.targets
    (task_a, _, one_place), (task_b, _, other_place) = before.partition("/"), after.partition("/")
    return (one_place, other_place) if task_a == task_b else (before, after)


def _heading(result: "Compared", one: "ComparedTarget") -> str:
    return one.targets[0] if _is_history(result) else " → ".join(one.targets)


def _comparison(result: "Compared", one: "ComparedTarget", names: Names) -> Iterator[Block]:
    yield line(Cell(_heading(result, one), "strong"))
    for change in one.changes:
        tone: Tone = "bad" if change.kind in _BAD else ""
        yield line("  ", Cell(f"{change.kind}: ", tone), names.text(change.message))
    yield from _evidence(one, names)
    cells = tuple(
        (Cell(_SHOWN_AS.get(name, name), "dim"), _side(old, names), _side(new, names))
        for name, old, new in one.rows
        if not _is_in_names(one, name, names)
    )
    yield Table(("", *_columns(result, one)), cells, "wrapped")
    yield from _holds(result, one, names)
    yield from _profile(one)


def _side(said: str, names: Names) -> Cell:
    """Say one side; where there is no room, not where a date comes from."""
    text = names.text(said)
    return Cell(text, brief=_DATE_SOURCE.sub(")", text) if names else "")


def _is_in_names(one: "ComparedTarget", name: str, names: Names) -> bool:
    """Tell whether a row says what the names of both models have said."""
    sides = [side for side in (one.before, one.after) if side]
    shown = [names.model(side.live.model) for side in sides]
    return name == "suffix" and shown == [side.tuned and side.tuned.suffix for side in sides]


def _evidence(one: "ComparedTarget", names: Names) -> Iterator[Block]:
    if one.together is not None:
        ruling = one.together.ruling
        said = f"  evidence {one.together.evidence[:12]} asked both: "
        judged = Cell(ruling.upper(), _TONES[ruling])
        candidate = names.bundle(one.together.candidate)
        yield line(said, judged, f"  {candidate}: {one.together.headline}")
    elif not one.is_comparable:
        warning = "the pass rates are of other examples: they can't be compared"
        yield line("  ", Cell(warning, "warn"))


def _holds(result: "Compared", one: "ComparedTarget", names: Names) -> Iterator[Block]:
    before, after = _columns(result, one)
    first, second = (f"on hold in {before} only", f"on hold in {after} only")
    if _is_history(result):
        first, second = "off hold", "on hold"
    yield from (line(f"  {first}: {names.text(_hold(hold))}") for hold in one.holds.before)
    yield from (line(f"  {second}: {names.text(_hold(hold))}") for hold in one.holds.after)


def _hold(hold: "Hold") -> str:
    release = f" (release {hold.release})" if hold.release is not None else ""
    return f"{hold.model}{release} since {hold.since:%Y-%m-%d}, by {hold.by}: {hold.why}"


def _profile(one: "ComparedTarget") -> Iterator[Block]:
    """Say which keys of the profile differ, where both sides have one."""
    if one.before is None or one.after is None:
        return
    for found in one.profile:
        if found.key == "system":
            yield from _prompt(found.before or "", found.after or "")
        else:
            said = f"{_value(found.before)} → {_value(found.after)}"
            yield line(f"  profile, {found.key}: {said}")


def _prompt(before: str, after: str) -> Iterator[Block]:
    from fftdeploy.releases import text_diff

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
