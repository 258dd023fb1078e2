"""Shows what is live: a line a target, in full off a terminal, or one target as a card."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from fftdeploy.cli.cells import (
    NOTICE,
    Names,
    Remark,
    brief_shutdown_cell,
    dates_line,
    readiness_cell,
    remark_lines,
    shutdown_cell,
    state_cell,
    unwatched_words,
    used_columns,
    watched_cell,
)
from fftdeploy.commands.inspecting.target_status import TargetStatus
from fftdeploy.commands.status import Status
from fftdeploy.commands.views import ReadinessView, WayBack
from fftdeploy.names import plural
from fftdeploy.output.report import Block, Cell, Line, Table, line
from fftdeploy.output.words import age, moment
from fftdeploy.planning.findings import STALE, evaluating
from fftdeploy.planning.runway import RECORDING, UNRECORDED
from fftdeploy.releases.deployments import Hold

_COLUMNS = ("target", "model", "state", "live", "shuts down", "back to", "watched")
_ALL_COLUMNS = (*_COLUMNS, "by", "evidence")
_EVIDENCE_SHOWN = 12
_WAYS_SHOWN = 10


def screen(result: Status, *, is_short: bool) -> Iterator[Block]:
    """Show one line a target, and below them what does not fit it; `is_short` in a few words."""
    targets = result.targets
    names = Names(model for one in targets if is_short for model in _models(one))
    if is_short:
        yield used_columns(_COLUMNS, (_short_row(one, names, result.at) for one in targets))
    else:
        yield used_columns(_ALL_COLUMNS, (_row(one, names, result.at) for one in targets))
    yield from map(line, _canaries(result, names, is_short=is_short))
    yield from map(line, _holds(result, names, is_short=is_short))
    remarks = [*_unrecorded(result, is_short=is_short)]
    remarks += [remark for one in targets for remark in _remarks(one, result, is_short=is_short)]
    remarks += _stale(result, is_short=is_short)
    told = [one._replace(text=names.text(one.text)) for one in _longest(remarks)]
    yield from remark_lines(told, "target", is_short=is_short)
    yield from _unknown(result)
    if is_short:
        yield dates_line((one.shutdown for one in targets), "fftdeploy status TARGET")
        return
    owners = {one.target.partition("/")[0]: one.owner for one in targets}
    for task, owner in owners.items():
        if owner:
            yield line(Cell(f"{task}: owned by {owner}", "dim"))


def _models(one: TargetStatus) -> Iterator[str]:
    yield one.live.model
    yield from (hold.model for hold in one.holds)
    if one.canary:
        yield one.canary.bundle.model
    if one.release:
        yield one.release.bundle.model
    if one.fallback:
        yield one.fallback.bundle.model


def _short_row(one: TargetStatus, names: Names, now: datetime) -> tuple[Cell, ...]:
    back = Cell("none", "bad")
    if way := one.rollback:
        mark = Cell("✗", "bad") if way.problem else state_cell(way.readiness, word=False)
        back = Cell(f"#{way.n} {mark.text}".rstrip(), mark.tone)
    return (
        Cell(one.target, "strong"),
        Cell(names.bundle(one.live)),
        state_cell(one.readiness) if one.readiness else Cell(""),
        _live_cell(one, age(now - one.release.at) if one.release else ""),
        brief_shutdown_cell(one.shutdown),
        back,
        watched_cell(one.watched, now),
    )


def _row(one: TargetStatus, names: Names, now: datetime) -> tuple[Cell, ...]:
    held, recorded = one.releases_on_hold, one.release if one.recorded else None
    back = Cell(f"none ({plural(held, 'older release')} on hold)" if held else "none", "bad")
    if way := one.rollback:
        proof = Cell(way.problem, "bad") if way.problem else readiness_cell(way.readiness)
        back = Cell(": ".join(filter(None, (f"#{way.n} {way.bundle}", proof.text))), proof.tone)
    return (
        Cell(one.target, "strong"),
        Cell(names.bundle(one.live)),
        readiness_cell(one.readiness),
        _live_cell(one, moment(one.release.at) if one.release else ""),
        shutdown_cell(one.shutdown),
        back,
        watched_cell(one.watched, now),
        Cell(recorded.by if recorded else ""),
        Cell((recorded.evidence or "")[:_EVIDENCE_SHOWN] if recorded else ""),
    )


def _live_cell(one: TargetStatus, live: str) -> Cell:
    """Say of which release what is live is; `live` says since when."""
    if one.release is None:
        return Cell("not recorded", "warn")
    if not one.recorded:
        return Cell(f"hand edit #{one.release.n}", "bad", "hand edit")
    return Cell(f"{live} #{one.release.n}", brief=live)


def _canaries(result: Status, names: Names, *, is_short: bool) -> Iterator[str]:
    """Say which models are tried where, on how much, and whether they answer."""
    for one in result.targets:
        if tried := one.canary:
            known = state_cell(tried.readiness) if is_short else readiness_cell(tried.readiness)
            state = f" {known.text}" if tried.readiness else ""
            by_hand = "" if tried.recorded else ", by hand edit"
            named = f"{tried.weight} % {names.bundle(tried.bundle)}"
            yield f"canary: {one.target} {named}{state}, {age(result.at - tried.since)}{by_hand}"


def _holds(result: Status, names: Names, *, is_short: bool) -> Iterator[str]:
    """Say what is on hold where, and why; of several on a short screen where alone."""
    held = [
        (one.target, hold)
        for one in result.targets
        for hold in one.holds
        if hold.is_active(result.at)
    ]
    if not is_short:
        yield from (f"{target}: on hold: {_hold_words(hold)}" for target, hold in held)
    elif held:
        named = ", ".join(f"{target} {_held(hold, names)}" for target, hold in held)
        why = f" ({held[0][1].why})" if len(held) == 1 else ""
        yield f"{plural(len(held), 'hold')}: {named}{why}"


def _held(hold: Hold, names: Names) -> str:
    release = f" release {hold.release}" if hold.release else ""
    return f"{names.model(hold.model)}{release}"


def _unrecorded(result: Status, *, is_short: bool) -> Iterator[Remark]:
    """Say what records the targets of which no release says what is live."""
    found = [one for one in result.targets if not one.recorded]
    for one in found:
        name = one.target if len(found) == 1 or not is_short else "TARGET"
        edited = one.release is not None
        said = f"{'hand edit' if edited else 'not recorded'}: {_recording(name)}"
        said += ", or undo the edit" if edited and not is_short else ""
        yield Remark(one.target, "!", said, "bad" if edited else "warn")


def _stale(result: Status, *, is_short: bool) -> Iterator[Remark]:
    """Say of which targets what is live should be evaluated again, and how."""
    due = [one for one in result.targets if one.evaluation_due]
    failed = {found.subject for found in result.findings if found.code == STALE}
    for one in due:
        name = one.target if len(due) == 1 or not is_short else "TARGET"
        said = f"{one.evaluation_due}: {evaluating(name)}"
        is_wrong = one.target in failed
        yield Remark(one.target, "✗" if is_wrong else "!", said, "bad" if is_wrong else "warn")


def _recording(target: str) -> str:
    return f'fftdeploy adopt {target} --why "TEXT"'


def _remarks(one: TargetStatus, result: Status, *, is_short: bool) -> Iterator[Remark]:
    """Say of one target what its row does not, the gravest first."""
    for found in result.findings:
        if found.subject == one.target:
            yield Remark(one.target, "✗", found.message, "bad")
    if is_short:
        yield from _unproved(one)
    if one.rollback and not one.rollback_outlives:
        yield Remark(one.target, "!", "no rollback target outlives the live model", "bad")
    fallback = _fallback_cell(one)
    if fallback.tone == "warn" or (fallback.text and not is_short):
        yield Remark(one.target, "!", fallback.text, fallback.tone)
    if one.answers_recorded is False:
        yield Remark(one.target, "!", f"{UNRECORDED}: {RECORDING}", "warn")
    for passed in one.passed_over[:_WAYS_SHOWN]:
        why = passed.readiness.message if passed.readiness else ""
        yield Remark(one.target, "!", f"passed over release {passed.n}: {why}", "warn")
    if (more := len(one.passed_over) - _WAYS_SHOWN) > 0:
        text = f"passed over {plural(more, 'older release')}, too: fftdeploy status {one.target}"
        yield Remark(one.target, "!", text, "warn")
    if known := one.readiness:
        yield from (Remark(one.target, "!", text, "warn") for text in known.warnings)
        yield from (Remark(one.target, NOTICE, text, "dim") for text in known.notices)


def _unproved(one: TargetStatus) -> Iterator[Remark]:
    """Say why what is live, or its way back, is not proved: a short row has the marks alone."""
    known, back = one.readiness, one.rollback
    if known and (doubt := _doubt(known)):
        mark = state_cell(known, word=False)
        yield Remark(one.target, mark.text, doubt, mark.tone)
    if back and (problem := back.problem or _doubt(back.readiness)):
        yield Remark(one.target, "!", f"the way back is not proved: {problem}", "warn")


def _fallback_cell(one: TargetStatus) -> Cell:
    """Say whether a fallback is taken, or would answer; nothing where nobody asked.

    The kind of trouble comes first: a narrow screen cuts the rest.
    """
    if not (found := one.fallback):
        return Cell("")
    if found.problem:
        return Cell(found.problem, "warn")
    doubt = _doubt(found.readiness)
    if found.is_taken:
        why = f", not proved: {doubt}" if doubt else ""
        return Cell(f"{found.bundle} takes the calls of `fftdeploy.client`{why}", "warn")
    if doubt:
        return Cell(f"the fallback is not proved: {found.bundle}: {doubt}", "warn")
    return Cell(f"the fallback answers: {found.bundle}" if found.readiness else "", "dim")


def _doubt(known: ReadinessView | None) -> str:
    """Say why it is not known that a model answers; "" where it does, or nobody asked."""
    return known.message or "" if known and known.state != "ready" else ""


def _longest(remarks: list[Remark]) -> Iterator[Remark]:
    """Yield each remark about a target once, and none of which another says this and more."""
    once: dict[tuple[str, str], Remark] = {}
    for one in remarks:
        once.setdefault((one.subject, one.text), one)
    said = dict.fromkeys((one.subject for one in remarks), "")
    for subject, text in once:
        said[subject] += f"\n{text}"
    yield from (one for one in once.values() if said[one.subject].count(one.text) == 1)


def _unknown(result: Status) -> Iterator[Line]:
    """Say what could not be found out."""
    if not result.verified or result.unverified_because:
        what = "not all verified" if result.verified else "not verified"
        why = f": {result.lacking}" if result.lacking else ""
        yield line(Cell(f"{what} with the API{why}", "warn"))
    for one in result.targets:
        if one.target in result.unwatched:
            words = unwatched_words(one.watched, result.at)
            yield line(Cell(f"{one.target}: {words} {one.target}", "warn"))


def card(one: TargetStatus, result: Status) -> Iterator[Block]:
    """Show everything about one target: who, why, on what proof, and each way back."""
    owner = f"   owned by {one.owner}" if one.owner else ""
    about = f"   {one.description}" if one.description else ""
    yield line(Cell(f"{one.target}{about}{owner}", "strong"), is_cut=True)
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
        known = _fallback_cell(one)
        yield "fallback", known if known.text else Cell(str(one.fallback.bundle))
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
    because = _doubt(one.readiness) or ", ".join(one.readiness.basis)
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
    doubt = _doubt(back.readiness)
    why = f": {doubt}" if doubt else ""
    return Cell(f"#{back.n} {mark.text} {back.bundle}{why}", mark.tone if why else "")


def _hold_words(hold: Hold) -> str:
    release = f" (release {hold.release})" if hold.release else ""
    until = f" until {moment(hold.until)}" if hold.until else ""
    return f"{hold.model}{release} since {moment(hold.since)}{until}, by {hold.by}: {hold.why}"
