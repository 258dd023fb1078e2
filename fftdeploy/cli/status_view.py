"""Shows what is live: a line a target on a terminal, one target as a card, off it all of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from fftdeploy.cli.cells import (
    Names,
    Remark,
    brief_shutdown_cell,
    dates_line,
    one_liners,
    readiness_cell,
    remark_lines,
    shutdown_cell,
    state_cell,
    unwatched_words,
    watched_cell,
)
from fftdeploy.commands.status import Status, TargetStatus
from fftdeploy.commands.views import WayBack
from fftdeploy.names import plural
from fftdeploy.output.report import Block, Cell, Line, Table, line
from fftdeploy.output.words import age, moment
from fftdeploy.planning.findings import STALE, evaluating
from fftdeploy.planning.runway import RECORDING, UNRECORDED
from fftdeploy.releases.deployments import Hold

_COLUMNS = ("target", "model", "state", "live", "shuts down", "back to", "watched")
_ALL_COLUMNS = (
    *("target", "model", "since", "by", "evidence", "ready", "shuts down"),
    *("rollback", "rollback ready", "watched"),
)
_EVIDENCE_SHOWN = 12
_WAYS_SHOWN = 10


def screen(result: Status) -> Iterator[Block]:
    """Show one line a target, and below them one line a kind of remark."""
    names = Names(model for one in result.targets for model in _models(one))
    rows = [_row(one, names, result.at) for one in result.targets]
    yield _without_empty_columns(_COLUMNS, rows)
    remarks = [*_unrecorded(result)]
    remarks += [remark for one in result.targets for remark in _remarks(one, result)]
    remarks += _stale(result)
    told = [remark for remark in remarks if not _is_told_by_another(remark, remarks)]
    asides = [*_canaries(result, names), *_holds(result, names)]
    holds = Table(("",), tuple((Cell(text),) for text in asides), "wrapped")
    kinds = remark_lines((one._replace(text=names.text(one.text)) for one in told), "target")
    yield from (table for table in (holds, kinds) if table.rows)
    yield from _unknown(result)
    shutdowns = [one.shutdown for one in result.targets]
    yield one_liners([dates_line(shutdowns, "fftdeploy status TARGET")])


def _models(one: TargetStatus) -> Iterator[str]:
    yield one.live.model
    yield from (hold.model for hold in one.holds)
    if one.canary:
        yield one.canary.bundle.model
    if one.release:
        yield one.release.bundle.model
    if one.fallback:
        yield one.fallback.bundle.model


def _row(one: TargetStatus, names: Names, now: datetime) -> tuple[Cell, ...]:
    return (
        Cell(one.target, "strong"),
        Cell(names.bundle(one.live)),
        state_cell(one.readiness) if one.readiness else Cell(""),
        _live_cell(one, now),
        brief_shutdown_cell(one.shutdown),
        _back_cell(one.rollback),
        watched_cell(one.watched, now),
    )


def _live_cell(one: TargetStatus, now: datetime) -> Cell:
    if one.release is None:
        return Cell("not recorded", "warn")
    if not one.recorded:
        return Cell(f"hand edit #{one.release.n}", "bad", "hand edit")
    live = age(now - one.release.at)
    return Cell(f"{live} #{one.release.n}", brief=live)


def _back_cell(back: WayBack | None) -> Cell:
    if back is None:
        return Cell("none", "bad")
    mark = Cell("✗", "bad") if back.problem else state_cell(back.readiness, word=False)
    return Cell(f"#{back.n} {mark.text}".rstrip(), mark.tone)


def _canaries(result: Status, names: Names) -> Iterator[str]:
    """Say which models are tried where, on how much, and whether they answer."""
    for one in result.targets:
        if tried := one.canary:
            state = f" {state_cell(tried.readiness).text}" if tried.readiness else ""
            by_hand = "" if tried.recorded else ", by hand edit"
            named = f"{tried.weight} % {names.bundle(tried.bundle)}"
            yield f"canary: {one.target} {named}{state}, {age(result.at - tried.since)}{by_hand}"


def _holds(result: Status, names: Names) -> Iterator[str]:
    """Say what is on hold where, and why if there is one hold."""
    held = [
        (one.target, hold)
        for one in result.targets
        for hold in one.holds
        if hold.is_active(result.at)
    ]
    if held:
        named = ", ".join(f"{target} {_held(hold, names)}" for target, hold in held)
        why = f" ({held[0][1].why})" if len(held) == 1 else ""
        yield f"{plural(len(held), 'hold')}: {named}{why}"


def _held(hold: Hold, names: Names) -> str:
    release = f" release {hold.release}" if hold.release else ""
    return f"{names.model(hold.model)}{release}"


def _unrecorded(result: Status) -> Iterator[Remark]:
    """Say what records the targets of which no release says what is live."""
    found = [one for one in result.targets if not one.recorded]
    for one in found:
        name = one.target if len(found) == 1 else "TARGET"
        edited = one.release is not None
        said = f"{'hand edit' if edited else 'not recorded'}: {_recording(name)}"
        yield Remark(one.target, "!", said, "bad" if edited else "warn")


def _stale(result: Status) -> Iterator[Remark]:
    """Say of which targets what is live should be evaluated again, and how."""
    due = [one for one in result.targets if one.evaluation_due]
    failed = {found.subject for found in result.findings if found.code == STALE}
    for one in due:
        name = one.target if len(due) == 1 else "TARGET"
        mark = Cell("✗", "bad") if one.target in failed else Cell("!", "warn")
        yield _remark(one.target, mark, f"{one.evaluation_due}: {evaluating(name)}")


def _recording(target: str) -> str:
    return f'fftdeploy adopt {target} --why "TEXT"'


def _remarks(one: TargetStatus, result: Status) -> Iterator[Remark]:
    """Say of one target what its row does not, the gravest first."""
    for found in result.findings:
        if found.subject == one.target:
            yield Remark(one.target, "✗", found.message, "bad")
    if one.readiness and one.readiness.state != "ready":
        yield _remark(one.target, state_cell(one.readiness, word=False), one.readiness.message)
    if (back := one.rollback) and (problem := back.problem or _open_question(back)):
        yield Remark(one.target, "!", f"the way back is not proved: {problem}", "warn")
    if not one.rollback_outlives:
        yield Remark(one.target, "!", "no rollback target outlives the live model", "bad")
    if said := _fallback_words(one):
        yield Remark(one.target, "!", said, "warn")
    if one.answers_recorded is False:
        yield Remark(one.target, "!", f"{UNRECORDED}: {RECORDING}", "warn")
    for passed in one.passed_over:
        why = passed.readiness.message if passed.readiness else ""
        yield Remark(one.target, "!", f"passed over release {passed.n}: {why}", "warn")
    if one.readiness:
        yield from (Remark(one.target, "!", text, "warn") for text in one.readiness.warnings)
        yield from (Remark(one.target, "·", text, "dim") for text in one.readiness.notices)


def _fallback_words(one: TargetStatus) -> str:
    """Say that a fallback is taken, or would not answer; "" where there is nothing to say."""
    if not (found := one.fallback):
        return ""
    known = found.readiness
    why = f", not proved: {known.message}" if known and known.state != "ready" else ""
    if found.is_taken:
        return f"{found.bundle} takes the calls of `fftdeploy.client`{why}"
    return f"{found.bundle} is the fallback{why}" if why else ""


def _remark(target: str, mark: Cell, text: str | None) -> Remark:
    return Remark(target, mark.text, text or "", mark.tone)


def _open_question(back: WayBack) -> str | None:
    """Say why it is not known that a way back answers; None where it does, or nobody asked."""
    known = back.readiness
    return known.message if known and known.state != "ready" else None


def _is_told_by_another(remark: Remark, others: list[Remark]) -> bool:
    """Tell whether another remark about the same target says this and more."""
    return any(
        other.subject == remark.subject and remark.text in other.text and other.text != remark.text
        for other in others
    )


def _unknown(result: Status) -> Iterator[Line]:
    """Say what could not be found out."""
    if not result.verified or result.unverified_because:
        what = "not all verified" if result.verified else "not verified"
        why = f": {result.lacking}" if result.lacking else ""
        yield line(Cell(f"{what} with the API{why}", "warn"))
    for one in result.targets:
        if one.target in result.unwatched:
            yield line(
                Cell(
                    f"{one.target}: {unwatched_words(one.watched, result.at)} {one.target}", "warn"
                )
            )


def card(one: TargetStatus, result: Status) -> Iterator[Block]:
    """Show everything about one target: who, why, on what proof, and each way back."""
    owner = f"   owned by {one.owner}" if one.owner else ""
    about = f"   {one.description}" if one.description else ""
    yield one_liners([Cell(f"{one.target}{about}{owner}", "strong")])
    names = Names([*_models(one), *(back.bundle.model for back in one.ways_back)])
    rows = tuple(
        (Cell(f"  {name}", "dim"), replace(cell, brief=names.text(cell.text)))
        for name, cell in _facts(one, result)
        if cell.text
    )
    yield Table(("", ""), rows, "wrapped")
    yield from _unknown(result)


def _facts(one: TargetStatus, result: Status) -> Iterator[tuple[str, Cell]]:
    """Yield what there is to say, each with its name, which is said once in a row."""
    yield "model", Cell(str(one.live), "strong")
    yield from _origin(one, result.at)
    yield "state", _proof(one)
    if one.readiness:
        yield from (("warning", Cell(text, "warn")) for text in one.readiness.warnings)
        yield from (("notice", Cell(text, "dim")) for text in one.readiness.notices)
    yield "shuts down", shutdown_cell(one.shutdown)
    if tried := one.canary:
        mark = state_cell(tried.readiness)
        ends = shutdown_cell(tried.shutdown).text
        said = f"{tried.weight} % {tried.bundle}, since {moment(tried.since)} {mark.text}".rstrip()
        said += f", shuts down {ends}" if tried.shutdown.shutdown_date else ""
        yield "canary", Cell(said, mark.tone)
    if one.fallback:
        yield "fallback", Cell(_fallback_words(one) or str(one.fallback.bundle))
    yield "watched", watched_cell(one.watched, result.at)
    if one.answers_recorded is False:
        yield "", Cell(f"{UNRECORDED}: {RECORDING}", "warn")
    if one.evaluation_due:
        yield "", Cell(f"{one.evaluation_due}: {evaluating(one.target)}", "warn")
    yield from _ways_back(one)
    if one.ways_back and not one.rollback_outlives:
        yield "", Cell("none of them outlives the live model", "bad")
    for hold in one.holds:
        if hold.is_active(result.at):
            yield "on hold", Cell(_hold_words(hold), "warn")
    for found in result.findings:
        yield "finding", Cell(found.message, "bad")


def _origin(one: TargetStatus, now: datetime) -> Iterator[tuple[str, Cell]]:
    """Say since when it is live, and what the release says of it."""
    release = one.release
    if release is None:
        yield "live", Cell(f"not recorded: {_recording(one.target)}", "warn")
        return
    if not one.recorded:
        said = f"by hand edit after release {release.n}, which says {release.bundle}"
        yield "live", Cell(said, "bad")
        yield "", Cell(f"{_recording(one.target)}, or undo the edit", "bad")
        return
    yield "live", Cell(f"{age(now - release.at)}, since {moment(release.at)}, release {release.n}")
    yield "by", Cell(release.by)
    yield "why", Cell(release.why or "")
    via = f"{release.via} to {release.to}" if release.to else release.job or release.via
    yield "via", Cell(via if release.verified else f"{via}, not verified with the API")
    yield "set aside", Cell(", ".join(release.overrides), "warn")
    yield "evidence", Cell(release.evidence or "")


def _proof(one: TargetStatus) -> Cell:
    if one.readiness is None:
        return state_cell(None)
    mark = state_cell(one.readiness)
    because = (
        ", ".join(one.readiness.basis) if one.readiness.state == "ready" else one.readiness.message
    )
    return Cell(f"{mark.text}: {because}", mark.tone)


def _ways_back(one: TargetStatus) -> Iterator[tuple[str, Cell]]:
    """Yield each release that one could go back to, and whether it answers."""
    if not one.ways_back:
        yield "back to", Cell("nothing to roll back to", "bad")
    for index, back in enumerate(one.ways_back[:_WAYS_SHOWN]):
        yield "" if index else "back to", _way_back(back)
    if (more := len(one.ways_back) - _WAYS_SHOWN) > 0:
        yield "", Cell(f"and {more} older: fftdeploy history {one.target}", "dim")


def _way_back(back: WayBack) -> Cell:
    if back.problem:
        said = "on hold" if back.is_held else back.problem
        return Cell(f"#{back.n} ✗ {back.bundle}: {said}", "bad")
    mark = state_cell(back.readiness)
    known = back.readiness
    why = f": {known.message}" if known and known.state != "ready" else ""
    return Cell(f"#{back.n} {mark.text} {back.bundle}{why}", mark.tone if why else "")


def _hold_words(hold: Hold) -> str:
    release = f" (release {hold.release})" if hold.release else ""
    until = f" until {moment(hold.until)}" if hold.until else ""
    return f"{hold.model}{release} since {moment(hold.since)}{until}, by {hold.by}: {hold.why}"


def everything(result: Status) -> Iterator[Block]:
    """Show one row a target in which nothing is shortened, and a line for each remark."""
    yield _without_empty_columns(_ALL_COLUMNS, [_cells(one, result.at) for one in result.targets])
    yield line("")
    for one in result.targets:
        if not one.rollback_outlives:
            said = f"no rollback target outlives the live model ({one.shutdown.shutdown_date})"
            yield line(Cell(f"{one.target}: {said}", "bad"))
    for one in result.targets:
        yield from (line(f"{one.target}: {text}") for text in _asides(one, result))
    if unrecorded := [one.target for one in result.targets if one.answers_recorded is False]:
        yield line(Cell(f"{', '.join(unrecorded)}: {UNRECORDED}: {RECORDING}", "warn"))
    for failure in result.findings:
        yield line(Cell(f"{failure.subject}: {failure.message}", "bad"))
    owners = {one.target.partition("/")[0]: one.owner for one in result.targets}
    for task, owner in owners.items():
        if owner:
            yield line(Cell(f"{task}: owned by {owner}", "dim"))
    yield from _unknown(result)


def _without_empty_columns(columns: tuple[str, ...], rows: list[tuple[Cell, ...]]) -> Table:
    kept = [index for index in range(len(columns)) if any(row[index].text for row in rows)]
    return Table(
        tuple(columns[index] for index in kept),
        tuple(tuple(row[index] for index in kept) for row in rows),
    )


def _cells(one: TargetStatus, now: datetime) -> tuple[Cell, ...]:
    newest = one.release
    recorded = newest if one.recorded else None
    if recorded:
        since = Cell(f"{moment(recorded.at)} (release {recorded.n})")
    elif newest:
        since = Cell(f"hand edit after release {newest.n}", "bad")
    else:
        since = Cell("not recorded", "warn")
    return (
        Cell(one.target, "strong"),
        Cell(str(one.live)),
        since,
        Cell(recorded.by if recorded else ""),
        Cell((recorded.evidence or "")[:_EVIDENCE_SHOWN] if recorded else ""),
        readiness_cell(one.readiness),
        shutdown_cell(one.shutdown),
        *_rollback_cells(one),
        watched_cell(one.watched, now),
    )


def _rollback_cells(one: TargetStatus) -> tuple[Cell, Cell]:
    """Return the way back, and whether it would answer today."""
    back, held = one.rollback, one.releases_on_hold
    if back is None:
        aside = f" ({plural(held, 'older release')} on hold)" if held else ""
        return Cell(f"nothing to roll back to{aside}", "bad"), Cell("")
    ready = Cell(back.problem, "bad") if back.problem else readiness_cell(back.readiness)
    return Cell(f"release {back.n}: {back.bundle}"), ready


def _asides(one: TargetStatus, result: Status) -> Iterator[str]:
    """Say what does not fit a row: what records it, holds, skipped releases, warnings."""
    if not one.recorded:
        undo = ", or undo the edit" if one.release else ""
        yield f"{_recording(one.target)}{undo}"
    if tried := one.canary:
        ready = f", {state_cell(tried.readiness).text}" if tried.readiness else ""
        yield f"canary: {tried.weight} % {tried.bundle}, since {moment(tried.since)}{ready}"
    if one.evaluation_due:
        yield f"{one.evaluation_due}: {evaluating(one.target)}"
    for hold in one.holds:
        if hold.is_active(result.at):
            release = f" (release {hold.release})" if hold.release else ""
            yield f"on hold: {hold.model}{release}, by {hold.by}: {hold.why}"
    for passed in one.passed_over:
        reason = passed.readiness.message if passed.readiness else ""
        yield f"passed over release {passed.n}: {reason}"
    if said := _fallback_words(one):
        yield said
    if one.readiness:
        yield from (f"warning: {warning}" for warning in one.readiness.warnings)
        yield from (f"notice: {notice}" for notice in one.readiness.notices)
