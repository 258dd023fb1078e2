"""Models: what a person reads of those that the key can see."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fftdeploy.cli.app import command
from fftdeploy.cli.cells import (
    NOTICE,
    URGENT_DAYS,
    Names,
    Remark,
    Wide,
    brief_shutdown_cell,
    dates_line,
    remark_lines,
    shutdown_cell,
)
from fftdeploy.cli.session import Session
from fftdeploy.commands.options.looking import ModelsOptions
from fftdeploy.names import plural
from fftdeploy.output.report import Block, Cell, Report, Table, line
from fftdeploy.output.words import age, moment

if TYPE_CHECKING:
    from datetime import datetime

    from fftdeploy.commands.models import Models, VisibleModel
    from fftdeploy.commands.views import ShutdownView

_COLUMNS = ("name", "base", "created", "shuts down", "live in")


@command(
    "models",
    ModelsOptions,
    """
    fftdeploy models
    fftdeploy models --provider vllm
    fftdeploy models --json
    fftdeploy models --retiring
    """,
)
def models(session: Session, options: ModelsOptions, *, wide: Wide = False) -> Report:
    """Show a line for each model."""
    from fftdeploy.commands.models import run

    result = run(session, options)
    is_short = session.output.at_terminal and not wide
    body = tuple(_screen(result, session.now(), is_short=is_short))
    return Report(result.outcome, result, body)


def _screen(result: "Models", now: "datetime", *, is_short: bool) -> Iterator[Block]:
    """Show one line a model, and below them what else is known; `is_short` in a few words."""
    names = Names(model.id for model in result.models if is_short)
    rows = (_short_row(m, names, now) if is_short else _row(m) for m in result.models)
    yield Table(_COLUMNS, tuple(rows), "cut" if is_short else "whole")
    notices = (Remark(names.model(m.id), NOTICE, text) for m in result.models for text in m.notices)
    yield from remark_lines(notices, "model", is_short=is_short)
    if result.jobs_unknown:
        yield line(Cell(f"jobs: {result.jobs_unknown}", "warn"))
        if result.hint:
            yield line(Cell("hint:", "hint"), f" {result.hint}")
    elif result.jobs:
        shape = "{0.id} ({0.status})" if is_short else "{0.id} ({0.status}, {0.base})"
        jobs = ", ".join(map(shape.format, result.jobs))
        yield line(f"{plural(len(result.jobs), 'job')} running: {jobs}", is_cut=is_short)
    elif result.jobs is None and not is_short:
        yield line("jobs: none here")
    if is_short:
        yield dates_line((m.shutdown for m in result.models), "fftdeploy models --wide")


def _short_row(model: "VisibleModel", names: Names, now: "datetime") -> tuple[Cell, ...]:
    live = ", ".join(model.live_in)
    return (
        Cell(names.model(model.id)),
        Cell(_known_base(model.base)),
        Cell(age(now - model.created_at) if model.created_at else ""),
        _date_cell(model.shutdown),
        Cell(f"{plural(len(model.live_in), 'target')}: {live}" if "," in live else live, "good"),
    )


def _known_base(base: str) -> str:
    """Return the undated name of a base, where it has one that means the same."""
    from fftdeploy.model_ids.retirement import table

    return next((alias for alias, snapshot in table().aliases.items() if snapshot == base), base)


def _row(model: "VisibleModel") -> tuple[Cell, ...]:
    return (
        Cell(model.id),
        Cell(model.base),
        Cell(moment(model.created_at) if model.created_at else ""),
        shutdown_cell(model.shutdown),
        Cell(", ".join(model.live_in), "good"),
    )


def _date_cell(shutdown: "ShutdownView") -> Cell:
    """Say the date, or the days left where they are few, in no more columns than the heading."""
    cell, days = brief_shutdown_cell(shutdown), shutdown.runway_days
    if days is not None and 0 < days <= URGENT_DAYS:
        return Cell(f"in {plural(days, 'day')}", cell.tone)
    return Cell(cell.brief or cell.text, cell.tone)
