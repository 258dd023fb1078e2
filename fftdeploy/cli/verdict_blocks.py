"""A verdict as a person reads it: the verdict first and why, then what is behind it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from fftdeploy.cli.cells import Names
from fftdeploy.cli.session import Session
from fftdeploy.cli.verdict_tables import (
    cost_blocks,
    example_lists,
    notices,
    slice_table,
    verdict_word,
)
from fftdeploy.evaluation.arms import BASE, CANDIDATE, LIVE
from fftdeploy.evaluation.evidence.evidence import Evidence
from fftdeploy.evaluation.evidence.evidence_folder import Stored
from fftdeploy.evaluation.gate.wording import p_cell, points
from fftdeploy.evaluation.patterns.told import Told
from fftdeploy.evaluation.patterns.what_changed import (
    ChangedExample,
    FailureCause,
    Shift,
    WhatChanged,
)
from fftdeploy.evaluation.verdict import ArmResult, Comparison, SliceResult, Verdict
from fftdeploy.names import plural
from fftdeploy.output.bars import bar, interval
from fftdeploy.output.page.tables import dearer
from fftdeploy.output.report import Block, Cell, Line, Tone, line
from fftdeploy.output.words import apart, columns_of

WIDTH = 80
"""Columns that a line keeps to where it can."""
_LABEL = 10
_START = _LABEL + 4
_SHARED = "share the risk of a wrong pass"
_JUDGED = "judge: "
_NAMED = 3
_LEAST_BAR, _WIDEST_BAR = 8, 20
_COMMON = frozenset({CANDIDATE, LIVE, BASE})
"""Models that have a word for them; others are called by their names alone."""
TONES: dict[str, Tone] = {"pass": "good", "fail": "bad", "inconclusive": "warn"}
_DRAWN = frozenset({"slice", "worse", "margin", "better", "threshold"})
"""Reasons that lines of their own show."""
_CLAUSE = re.compile(r"(?<=[:;]) | (?=\()")


def names_of(session: Session, *every: Evidence) -> Names:
    """Return what the models are called: on a screen short, elsewhere by their whole IDs."""
    models = [bundle.model for one in every for bundle in one.arms.values()]
    return Names(models if session.output.at_terminal else ())


def verdict_blocks(
    stored: Stored,
    told: Told,
    names: Names,
    *,
    further: Iterable[str] = (),
    shows_all: bool = False,
) -> Iterator[Block]:
    """Show a verdict: why, how much better or worse, what has changed, what it costs.

    `further` are notes beside the evidence's own.  Unless `shows_all`, only what is news is shown
    of slices, fields and patterns.
    """
    evidence, verdict = stored.evidence, stored.verdict
    yield from headline(evidence, verdict)
    yield from _also(evidence, verdict)
    yield from _arms(evidence, verdict, names)
    yield from _judged(verdict)
    yield from _drawing(evidence, verdict)
    news = [*_news(evidence, verdict, told.what_changed)]
    if shows_all:
        yield from [slice_table(verdict.slices)] if verdict.slices else []
        yield from _every_pattern(told.what_changed)
        yield from example_lists(verdict)
    else:
        yield from news
        yield from _commonest_patterns(told.what_changed, fields=1 if news else 2)
    yield from _costs(evidence, verdict)
    if shows_all:
        yield from cost_blocks(verdict)
    if told.weak_spots:
        yield from packed("weak spots", told.weak_spots)
    for text in (*notices(evidence, verdict, shows_all=shows_all), *further):
        yield from sentence("note", names.text(text))
    yield labelled("evidence", stored.short)


def headline(evidence: Evidence, verdict: Verdict) -> Iterator[Block]:
    """Say the ruling and why; what does not fit the line stands below it."""
    word, said = verdict_word(evidence, verdict), verdict.headline
    if is_record := evidence.is_record:
        said = "what is live: candidates are compared with it"
    first, rest = _split(said, WIDTH - len(word) - 2)
    yield line(Cell(word, "" if is_record else TONES[verdict.ruling]), f"  {first}")
    if rest:
        yield labelled("", rest)


def _split(text: str, room: int) -> tuple[str, str]:
    """Split a sentence after the last clause that fits; not at all where none does."""
    places = (found.start() for found in _CLAUSE.finditer(text))
    ends = [
        end for end in places if end <= room and text.count("(", 0, end) == text.count(")", 0, end)
    ]
    if len(text) <= room or not ends:
        return text, ""
    return text[: ends[-1]].rstrip(";"), text[ends[-1] + 1 :]


def labelled(label: str, *parts: str | Cell) -> Line:
    """Return a line behind its label."""
    return line(Cell(f"  {label:<{_LABEL}}  ", "dim"), *parts)


def sentence(label: str, text: str, tone: Tone = "") -> Iterator[Line]:
    """Yield a sentence, the clause that does not fit its line below it."""
    first, rest = _split(text, WIDTH - _START)
    yield labelled(label, Cell(first, tone))
    if rest:
        yield labelled("", Cell(rest, tone))


def packed(
    label: str, parts: Sequence[str], tone: Tone = "", *, mark: str = ", "
) -> Iterator[Line]:
    """Yield a list in as few lines as there are, `mark` between what stands in one."""
    end = mark.rstrip()
    gap = mark.removeprefix(end)
    rows: list[str] = []
    for part in (*(f"{part}{end}" for part in parts[:-1]), *parts[-1:]):
        if rows and _START + columns_of(f"{rows[-1]}{gap}{part}") <= WIDTH:
            rows[-1] += f"{gap}{part}"
        else:
            rows.append(part)
    for number, row in enumerate(rows):
        yield labelled("" if number else label, Cell(row, tone))


def _also(evidence: Evidence, verdict: Verdict) -> Iterator[Block]:
    """Say what else stops it or leaves it open, and what would settle it."""
    is_record = evidence.is_record
    for reason in verdict.reasons:
        is_said = reason.code in _DRAWN or (reason.message in verdict.headline and not is_record)
        if not is_said and (reason.rules == "fail" or (reason.rules and not is_record)):
            said = reason.message
            if reason.code == "nothing":  # why they fail has its line
                said = said.partition(": ")[0]
            yield from sentence("also", said, TONES[reason.rules])
    if verdict.settling:
        yield from packed("to settle", verdict.settling.split("; "))
    for text in verdict.detail[1:]:
        if text.startswith("on_inconclusive"):
            yield labelled("", text)
    if evidence.candidates > 1:
        shared = next(text for text in verdict.detail if _SHARED in text)
        yield labelled("risk", shared.replace(_SHARED, "share it"))


def _arms(evidence: Evidence, verdict: Verdict, names: Names) -> Iterator[Block]:
    """Yield a line for each model, those that others are compared with first."""
    order = {LIVE: 1, CANDIDATE: 2}
    arms = sorted(verdict.arms, key=lambda arm: order.get(arm.arm, 0))
    called = [names.bundle(evidence.arms[arm.arm]) for arm in arms]
    counts = [f"{arm.passed}/{arm.n}" for arm in arms]
    rates = [f"{arm.rate:.1%}" for arm in arms]
    room, digits, share = (max(map(len, column)) for column in (called, counts, rates))
    flips = _flips(verdict.comparison) if not evidence.is_record else ()
    taken = room + digits + share + len("      ") + sum(columns_of(flip.text) for flip in flips)
    left = WIDTH - _START - taken
    fits = left >= _LEAST_BAR
    width = min(_WIDEST_BAR, max(_LEAST_BAR, left))
    for arm, model, count, rate in zip(arms, called, counts, rates, strict=True):
        shown = f"{model:<{room}}  {count:>{digits}}  {rate:>{share}}  "
        is_candidate = arm.arm == CANDIDATE
        label = LIVE if is_candidate and evidence.is_record else arm.arm
        drawn = bar(arm.rate, width)
        gap = Cell(" " * (width - columns_of(drawn)))
        beside = (gap, *flips) if is_candidate and fits else ()
        label = label if arm.arm in _COMMON else "beside"
        yield labelled(label, shown, Cell(drawn, "dim"), *beside)
    if flips and not fits:
        yield labelled("", *flips[1:])


def _judged(verdict: Verdict) -> Iterator[Block]:
    """Say how its model judge passes answers, and how many people would."""
    said = [text.removeprefix(_JUDGED) for text in verdict.detail if text.startswith(_JUDGED)]
    for place, text in enumerate(said):
        yield from sentence("" if place else "judge", text)


def _flips(found: Comparison | None) -> tuple[Cell, ...]:
    if found is None:
        return ()
    return (
        Cell("  "),
        Cell(f"+{found.fixed} fixed", "good" if found.fixed else ""),
        Cell("  "),
        Cell(f"\N{MINUS SIGN}{found.broke} broke", "bad" if found.broke else ""),
    )


def _drawing(evidence: Evidence, verdict: Verdict) -> Iterator[Block]:
    """Draw what the gate has compared, against its limit."""
    gate, found = evidence.gate, verdict.comparison
    if found is not None and gate["mode"] != "threshold":
        limit = 0.0 if gate["mode"] == "better" else -float(gate["margin"])
        marks = [("zero", 0.0), ("limit", limit)]
        drawn = interval(found.lower, found.difference, found.upper, marks)
        low, high = (apart(100 * value, 100 * limit) for value in (found.lower, found.upper))
        said = f"{low} {drawn} {high} points  limit {100 * limit:g}".replace("-", "\N{MINUS SIGN}")
        yield labelled("difference", said)
        return
    candidate = verdict.candidate
    least = float(gate["threshold"] or gate["floors"].get("pass_rate") or 0)
    if not least or not candidate.n:
        return
    drawn = interval(candidate.low, candidate.rate, candidate.high, [("limit", least)])
    low, high = points(candidate.low, least), points(candidate.high, least)
    yield labelled("pass rate", f"{low} {drawn} {high}%  limit {100 * least:g}%")


def _news(evidence: Evidence, verdict: Verdict, found: WhatChanged) -> Iterator[Block]:
    """Yield the slices that are harmed, or leave the verdict open; fields have their patterns."""
    reasons = [reason.message for reason in verdict.reasons if reason.code == "slice"]
    shown = {shift.field for shift in found.shifts}
    news = [
        one
        for one in verdict.slices
        if one.is_harmed
        or any(text.startswith((f"{one.name} ", f"{one.name}:")) for text in reasons)
        if one.kind == "slice" or one.key not in shown
    ]
    news.sort(key=lambda one: (one.kind != "slice", one.p_adjusted))
    for one in news[:_NAMED]:
        ids = _broke_in(evidence, verdict, one)
        more = " …" if len(ids) > _NAMED else ""
        counts = f"{one.broke} broke, {one.fixed} fixed of {one.n}  p {p_cell(one.p_adjusted)}"
        tone: Tone = "bad" if one.is_harmed else "warn"
        yield labelled(one.name, Cell(counts, tone), f"  {' '.join(ids[:_NAMED])}{more}")
    if len(news) > _NAMED:
        yield labelled("", f"and {len(news) - _NAMED} more: --all")


def _broke_in(evidence: Evidence, verdict: Verdict, part: SliceResult) -> list[str]:
    """Return the examples of a slice that broke; of a field they are among its patterns."""
    results = evidence.results
    if part.kind != "slice":
        return []
    key, broke = results.slice_keys.index(part.key), frozenset(verdict.broke)
    rows = zip(results.ids, results.slices, strict=True)
    return [example_id for example_id, of in rows if of[key] == part.value and example_id in broke]


def _commonest_patterns(found: WhatChanged, *, fields: int) -> Iterator[Block]:
    """Say why answers fail and which values became which, the commonest with an example."""
    causes = [one for one in found.causes if one.arm == CANDIDATE]
    if found.outputs_gone and (causes or not found.causes):
        yield labelled("changed", Cell(f"not known here: {found.outputs_gone}", "dim"))
    if causes:
        yield _commonest("fails", _counted(causes), "bad")
        yield from _example(causes[0].example, {"answered": causes[0].example.new})
    alone: dict[tuple[int, str], list[Shift]] = {}  # without those that change together with one
    for _, each in groupby(found.shifts, key=lambda shift: shift.field):
        of_field = [*each]
        alone.setdefault((of_field[0].count, of_field[0].example.id), of_field)
    shown = [*alone.values()][: 1 if causes else fields]
    for shifts in shown:
        yield _commonest(shifts[0].field or "answer", [_shift(one, found) for one in shifts])
    if shown and not causes:
        yield from _example(shown[0][0].example, {})


def _every_pattern(found: WhatChanged) -> Iterator[Block]:
    """Say all of that, each pattern with an example: asked, agreed, before and now."""
    if found.outputs_gone:
        yield labelled("changed", Cell(f"not known here: {found.outputs_gone}", "dim"))
    for arm, each in groupby(found.causes, key=lambda cause: cause.arm):
        causes = [*each]
        yield from packed("fails" if arm == CANDIDATE else f"{arm} fails", _counted(causes), "bad")
        for one in causes:
            yield from _whole(one.example)
    for field, each_shift in groupby(found.shifts, key=lambda shift: shift.field):
        shifts = [*each_shift]
        yield from packed(field or "answer", [_shift(one, found) for one in shifts])
        for shift in shifts:
            yield from _whole(shift.example)


def _counted(causes: Sequence[FailureCause]) -> list[str]:
    """Say how many answers fail for each reason, and once of how many."""
    first, *others = causes
    colon = "" if ":" in first.why else ":"
    return [
        f"{first.count:,} of {plural(first.answers, 'answer')}{colon} {first.why}",
        *(f"{one.count:,} {one.why}" for one in others),
    ]


def _shift(one: Shift, found: WhatChanged) -> str:
    if found.against != LIVE:
        return f"{one.old or 'it'} taken for {one.new} {one.count:,}"
    pair = f"{one.old} → {one.new}" if one.old else one.new
    words = ("wrong", "right") if one.field else ("broke", "fixed")  # an example does
    flips = zip((one.broke, one.fixed), words, strict=True)
    said = ", ".join(f"{count:,} {word}" for count, word in flips if count)
    if one.count in {one.broke, one.fixed}:
        return f"{pair} {said}"
    return f"{pair} {one.count:,}" + (f" ({said})" if said else "")


def _commonest(label: str, parts: Sequence[str], tone: Tone = "") -> Line:
    """Return a line with as many of `parts` as fit, and how many more there are."""
    shown = 1
    while shown < len(parts) and _START + columns_of(_listing(parts, shown + 1)) <= WIDTH:
        shown += 1
    return labelled(label, Cell(_listing(parts, shown), tone))


def _listing(parts: Sequence[str], shown: int) -> str:
    more = f", {len(parts) - shown} more" if shown < len(parts) else ""
    return ", ".join(parts[:shown]) + more


def _example(example: ChangedExample, texts: Mapping[str, str]) -> Iterator[Line]:
    """Yield what was asked in an example, and some of its `texts`, as far as each fits a line."""
    for label, text in {example.id: example.input, **texts}.items():
        if text or label == example.id:
            room = WIDTH - max(_START, columns_of(label) + 4)
            plain = " ".join(text[: 4 * room].split())
            shown = plain if len(plain) <= room else f"{plain[: room - 1]}…"
            yield labelled(label, Cell(shown, "dim"))


def _whole(example: ChangedExample) -> Iterator[Line]:
    """Yield what was asked, agreed and answered in an example."""
    texts = {"agreed": example.agreed, LIVE: example.old, CANDIDATE: example.new}
    for label, text in {example.id: example.input, **texts}.items():
        if text:
            yield labelled(label, Cell(text, "dim"))


def _costs(evidence: Evidence, verdict: Verdict) -> Iterator[Block]:
    """Say what 1,000 requests cost, how long they take, and what they read and write."""
    yield from _cost("cost/1,000", evidence, verdict.arm(LIVE), verdict.candidate)
    for arm in verdict.arms:
        if arm.arm not in {CANDIDATE, LIVE}:
            yield from _cost(f"of {arm.arm}", evidence, None, arm)
    for text in dearer(verdict):
        yield from sentence("but", text)


def _cost(label: str, evidence: Evidence, old: ArmResult | None, new: ArmResult) -> Iterator[Line]:
    both = [arm for arm in (old, new) if arm is not None]
    is_known = all(arm.cost.is_known for arm in both)
    money = f"{' → '.join(str(arm.cost) for arm in both)} USD" if is_known else "no price"
    p95 = [f"{arm.p95_latency_ms:,}" for arm in both if arm.p95_latency_ms is not None]
    at_once = f" ({evidence.concurrency} at once)" if evidence.concurrency else ""
    speed = f"p95 {' → '.join(p95)} ms{at_once}"
    speed = speed if new.p95_latency_ms is not None else "p95 not measured"
    tokens = dict.fromkeys(tokens_words(arm) for arm in both)
    yield from packed(label, (money, speed, f"tokens {' → '.join(tokens)}"), mark="  ")


def tokens_words(arm: ArmResult) -> str:
    """Say what a request reads, of which cached, and writes: `2,070 (1,664 cached)/31`."""
    cached = f" ({arm.tokens_cached:,.0f} cached)" if arm.tokens_cached >= 1 else ""
    return f"{arm.tokens_in:,.0f}{cached}/{arm.tokens_out:,.0f}"
