"""Models, readiness, shutdown dates and remarks in the few words that fit a cell or a line."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from fftdeploy.names import plural
from fftdeploy.output.report import Cell, Last, Line, Table, Tone, line
from fftdeploy.output.words import age

if TYPE_CHECKING:  # a command's help is shown without what it does
    from datetime import datetime

    from fftdeploy.api.readiness import State
    from fftdeploy.commands.views import ReadinessView, ShutdownView
    from fftdeploy.monitoring.last_look import LastLook
    from fftdeploy.releases.deployments import Bundle
    from fftdeploy.workspace import Workspace

Wide = Annotated[bool, typer.Option("--wide", help="Full IDs and all columns, as off a terminal.")]
NOTICE = "·"
"""The mark of a remark that asks for nothing."""
URGENT_DAYS = 30
SOON_DAYS = 90
_TOKEN = re.compile(r"[^\s,;()'\"`]+")
_MARKS: "dict[State, tuple[str, Tone]]" = {
    "ready": ("✓", "good"),
    "not-ready": ("✗", "bad"),
    "unverified": ("?", "warn"),
}

_WORDS = {"ready": "ready", "not-ready": "not ready", "unverified": "unknown", "loading": "loading"}
"""States, and a code that says more, in a word."""


class Names:
    """What the models on one screen are called there: by their IDs, where there are none."""

    def __init__(self, models: Iterable[str]) -> None:
        from fftdeploy.model_ids.model_names import shown_names

        self._shown = shown_names(dict.fromkeys(models))

    def __bool__(self) -> bool:
        return bool(self._shown)

    def model(self, model: str) -> str:
        """Return the name of a model."""
        return self._shown.get(model, model)

    def bundle(self, bundle: "Bundle") -> str:
        """Return the name of a model with its host and its prompt, as they can be typed."""
        from fftdeploy.evaluation.arms import label

        return label(bundle, self.model(bundle.model))

    def text(self, said: str) -> str:
        """Return a sentence with the names of the models that it speaks of."""

        def renamed(found: re.Match[str]) -> str:
            word = found[0].rstrip(".:")
            return f"{self.model(word)}{found[0][len(word) :]}"

        return _TOKEN.sub(renamed, said)


class Remark(NamedTuple):
    """What does not fit the row of a target, or of a model."""

    subject: str
    mark: str
    text: str
    tone: Tone = ""


def remark_lines(remarks: Iterable[Remark], noun: str, *, is_short: bool) -> Iterator[Line]:
    """Say each remark in one line; on a short screen each kind once, about how many.

    A notice is cut there; what is wrong or due is read to its end.
    """
    kinds: dict[Remark, list[str]] = {}
    for remark in remarks:
        kind = remark._replace(subject="") if is_short else remark
        kinds.setdefault(kind, []).append(remark.subject)
    for kind, subjects in kinds.items():
        whom = subjects[0] if len(subjects) == 1 else plural(len(subjects), noun)
        said = f"{whom}: {kind.text}"
        if is_short:
            said = f"{kind.mark} {said}"
        elif kind.mark == NOTICE:
            said = f"{whom}: notice: {kind.text}"
        yield line(Cell(said, kind.tone), is_cut=is_short and kind.mark == NOTICE)


def used_columns(
    columns: tuple[str, ...], rows: Iterable[tuple[Cell, ...]], last: Last = "whole"
) -> Table:
    """Return a table without the columns in which nothing is said; in the last something is."""
    rows = list(rows)
    used = [place for place in range(len(columns)) if any(row[place].text for row in rows)]
    shown = tuple(tuple(row[place] for place in used) for row in rows)
    return Table(tuple(columns[place] for place in used), shown, last)


def no_targets(workspace: "Workspace") -> Line:
    """Say how the first target is made: the first that the policy knows, if it knows one."""
    create = "" if workspace.policy.exists else " --create"
    first = next(iter(workspace.policy.planned), "TASK/ENVIRONMENT")
    return line(f"no targets yet: fftdeploy promote {first} --model ID{create}")


def state_cell(readiness: "ReadinessView | None", *, word: bool = True) -> Cell:
    """Say in a mark, and maybe a word, what was proved."""
    if readiness is None:
        return Cell("not verified" if word else "", "dim")
    mark, tone = _MARKS[readiness.state]
    said = "dead" if readiness.dead else _WORDS.get(readiness.code, _WORDS[readiness.state])
    return Cell(f"{mark} {said}", tone, mark) if word else Cell(mark, tone)


def readiness_cell(readiness: "ReadinessView | None") -> Cell:
    """Say in words what was proved, and what the proof rests on."""
    if readiness is None:
        return Cell("")
    if readiness.state == "ready":
        basis = f" ({', '.join(readiness.basis)})" if readiness.basis else ""
        return Cell(f"ready{basis}", "good")
    _, tone = _MARKS[readiness.state]
    return Cell(f"{readiness.state}: {readiness.message}", tone)


def shutdown_cell(shutdown: "ShutdownView") -> Cell:
    """Say the days left, the date, and where the date comes from; coloured by urgency."""
    day, source, days = shutdown.shutdown_date, shutdown.shutdown_source, shutdown.runway_days
    if days is None:
        return Cell("no date announced", "dim")
    if days <= 0:  # it stops on the day
        return Cell(f"was shut down {day} ({source})", "bad")
    return Cell(f"in {plural(days, 'day')} ({day}, {source})", _urgency(days))


def brief_shutdown_cell(shutdown: "ShutdownView") -> Cell:
    """Say the date and the days left; where it comes from is said once on a screen."""
    day, days = shutdown.shutdown_date, shutdown.runway_days
    if days is None:
        return Cell("-", "dim")
    if days <= 0:
        return Cell(f"{day} past", "bad", "past")
    return Cell(f"{day} {days}d", _urgency(days), str(day))


def _urgency(days: int) -> Tone:
    if days <= URGENT_DAYS:
        return "bad"
    return "warn" if days <= SOON_DAYS else ""


def dates_line(shutdowns: Iterable["ShutdownView"], more: str) -> Line:
    """Say where the dates on a screen come from, and what to type for more."""
    sources = {one.shutdown_source.partition(" (")[0] for one in shutdowns if one.shutdown_source}
    named = {f"OpenAI's {one}" if one.startswith("table") else "the API" for one in sources}
    dates = f"dates: {', '.join(sorted(named))}    " if sources else ""
    return line(Cell(f"{dates}more: {more}", "dim"))


def watched_cell(look: "LastLook | None", now: "datetime") -> Cell:
    """Say how `monitor` found it last, and when."""
    if look is None:
        return Cell("")
    when, is_settled = f"{look.state} {age(now - look.at)}", look.state == look.settled
    if look.settled_at and not is_settled and look.state != "not-calibrated":
        when += f", {look.settled} {age(now - look.settled_at)}"
    tone: Tone = "bad" if look.has_drifted else "good" if is_settled else "warn"
    return Cell(when, tone, look.state)


def unwatched_words(look: "LastLook | None", now: "datetime") -> str:
    """Say since when nobody knows whether a target has drifted, and what finds it out."""
    known = look.settled_at if look else None
    since = f"the last look was {age(now - known)} ago" if known else "nobody has looked at it"
    return f"{since}: fftdeploy monitor"
