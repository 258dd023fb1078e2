"""Tables of the report's page: by field, by slice, and who was taken for whom."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from fftdeploy.evaluation.arms import CANDIDATE, LIVE
from fftdeploy.evaluation.gate.wording import p_cell
from fftdeploy.evaluation.results import Results
from fftdeploy.evaluation.verdict import SliceResult, Verdict
from fftdeploy.names import plural
from fftdeploy.output.page.confusion import NO_VALUE, OTHER, WHOLE, Confusion
from fftdeploy.output.page.interval import signed
from fftdeploy.output.page.text import Say, cells, heads, table

_MOST_SLICES = 200


def fields_section(
    results: Results, verdict: Verdict, confusions: Sequence[Confusion], say: Say
) -> str:
    """Return the section about the fields of the answers, "" if none are told apart."""
    parts = []
    broke = {part.key for part in verdict.slices if part.kind == "field" and part.broke}
    if results.fields:
        parts.append(_fields(results, verdict, say))
    parts += [
        _confusion(field, list(found), say, is_open=field in broke)
        for field, found in groupby(confusions, lambda c: c.field)
    ]
    return f'<section id="fields"><h2>Fields</h2>{"".join(parts)}</section>' if parts else ""


def _fields(results: Results, verdict: Verdict, say: Say) -> str:
    compared = {part.key: part for part in verdict.slices if part.kind == "field"}
    arms = [arm for arm in (LIVE, CANDIDATE) if arm in results.arms]
    failed = {arm: _failed(results, arm) for arm in arms}
    rows = []
    for number, name in enumerate(results.fields):
        part = compared.get(name)
        broke, fixed, *more = _compared(part)
        wrong = [f"{failed[arm][number]:,}" for arm in arms]
        rows.append(cells(say(name), broke, fixed, *wrong, *more, kind=_kind(part)))
    broke, fixed, *more = _COMPARED
    head = heads("field", broke, fixed, *(f"{arm} wrong" for arm in arms), *more)
    return table("Answers in which a field is not as agreed", head, "".join(rows))


def _failed(results: Results, arm: str) -> list[int]:
    """Count the answers of `arm` that fail each field."""
    patterns = Counter(results.arms[arm].failed)
    return [
        sum(n for bits, n in patterns.items() if bits >> number & 1)
        for number in range(len(results.fields))
    ]


_COMPARED = ("broke", "fixed", "examples", "at worst, points", "adjusted p", "")


def _compared(part: SliceResult | None) -> list[str]:
    if part is None:
        return ["&ndash;"] * 5 + [""]
    said = "<strong>harmed</strong>" if part.is_harmed else "few" if part.is_small else ""
    return [
        f"{part.broke:,}",
        f"{part.fixed:,}",
        f"{part.n:,}",
        signed(100 * part.lower),
        p_cell(part.p_adjusted).replace("<", "&lt;"),
        said,
    ]


def _kind(part: SliceResult | None) -> str:
    if part is None:
        return ""
    return "harmed" if part.is_harmed else "small" if part.is_small else ""


def slices_section(verdict: Verdict, say: Say) -> str:
    """Return the section about the slices, those that are harmed first; "" if there are none."""
    parts = [part for part in verdict.slices if part.kind == "slice"]
    if not parts:
        return ""
    parts.sort(key=lambda part: (not part.is_harmed, part.is_small, part.key, -part.n, part.value))
    rows = "".join(
        cells(f"{say(part.key)}: {say(part.value)}", *_compared(part), kind=_kind(part))
        for part in parts[:_MOST_SLICES]
    )
    rest = len(parts) - _MOST_SLICES
    more = f"<p>Not shown: {plural(rest, 'more slice')}.</p>" if rest > 0 else ""
    note = (
        '<p class="note">p is that of as many breaking by chance, adjusted for the number of '
        "slices and fields (Holm). Fewer than 20 examples say little.</p>"
    )
    shown = table(
        "Candidate against live on parts of the examples", heads("slice", *_COMPARED), rows
    )
    return f'<section id="slices"><h2>Slices</h2>{shown}{more}{note}</section>'


def _confusion(field: str, found: list[Confusion], say: Say, *, is_open: bool) -> str:
    name = say(field) if field != WHOLE else "the whole answer"
    shown = "".join(_one_confusion(one, name, say) for one in found)
    title = f"What was answered for <b>{name}</b>"
    state = " open" if is_open else ""
    return f'<details class="confusions"{state}><summary>{title}</summary>{shown}</details>'


def _one_confusion(one: Confusion, name: str, say: Say) -> str:
    columns = [*(say(value) for value in one.values), OTHER, NO_VALUE]
    used = [
        n for n in range(len(columns)) if n < len(one.values) or any(row[n] for row in one.counts)
    ]
    rows = []
    for number, (value, counts) in enumerate(zip(one.values, one.counts, strict=True)):
        shown = "".join(_count(counts[n], is_right=n == number) for n in used)
        rows.append(f'<tr><th scope="row">{say(value)}</th>{shown}</tr>')
    head = heads(r"agreed &#8595; &nbsp; answered &#8594;", *(columns[n] for n in used))
    return table(f"{say(one.arm)}: {name}", head, "".join(rows), kind="confusion")


def _count(n: int, *, is_right: bool) -> str:
    if not n:
        return '<td class="zero">0</td>'
    return f'<td class="right">{n:,}</td>' if is_right else f'<td class="off">{n:,}</td>'
