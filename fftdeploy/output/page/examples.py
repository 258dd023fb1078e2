"""The section of examples on the report's page: filters, and the rows by what became of them."""

from collections.abc import Iterable

from fftdeploy.output.page.rows import (
    BROKE,
    FAILED,
    FIXED,
    OUTCOMES,
    PASSED,
    STILL,
    RowFacts,
    Rows,
    RowWriter,
)
from fftdeploy.output.page.text import MOST_CHARACTERS, Say

_MOST_BYTES = 7_000_000
"""Of all rows together; the rows after it are shown without their texts."""
_MOST_OPEN = 20
_MOST_OPTIONS = 200

_PAIRED = {
    BROKE: (
        "Broke",
        "The candidate passes these less often than live. Marked: words in which they differ.",
    ),
    STILL: ("Must pass, and still does not", "The candidate must pass these; live fails them too."),
    FIXED: (
        "Fixed",
        "The candidate passes these more often than live. Marked: words in which they differ.",
    ),
    FAILED: ("Failed by both", "Marked: words that the agreed answer does not have."),
    PASSED: ("Passed by both", "Marked: words that the agreed answer does not have."),
}
_ALONE = {
    STILL: ("Must pass, and does not", "Marked: words that the agreed answer does not have."),
    FAILED: ("Failed", "Marked: words that the agreed answer does not have."),
    PASSED: ("Passed", "Marked: words that the agreed answer does not have."),
}
_NO_LOG = (
    "The log of this run is not on this machine: outputs are not here, only how they were graded."
)
_REDACTED = "Inputs, agreed answers and outputs are left out of this page, as was asked."
_CUT = f"Of each text the first {MOST_CHARACTERS:,} characters are shown."
_FULL = "The page is full: further down, rows are shown without their texts."


def examples_section(rows: Rows, say: Say, *, has_texts: bool, redact: bool) -> str:
    """Return the section: what broke first, the rest folded."""
    facts = RowFacts()
    shows_texts = has_texts and not redact
    writer = RowWriter(rows, facts, say, shows_texts=shows_texts)
    written = "".join(_groups(rows, writer))
    notes = [_REDACTED if redact else _CUT if has_texts else _NO_LOG]
    if shows_texts and not writer.shows_texts:
        notes.append(_FULL)
    notes.append(rows.left_out())
    shown = " ".join(note for note in notes if note)
    title = "What broke, what was fixed" if rows.is_paired else "Examples"
    return (
        f'<section id="examples"><h2>{title}</h2><p class="note">{shown}</p>'
        f"{_filters(rows, facts, say)}{written}</section>"
    )


def _groups(rows: Rows, writer: RowWriter) -> Iterable[str]:
    size = 0
    for outcome, (title, meaning) in (_PAIRED if rows.is_paired else _ALONE).items():
        found = [index for index in rows.shown if rows.outcomes[index] == outcome]
        if not found:
            continue
        is_folded = outcome == PASSED or (outcome == FAILED and rows.is_paired)
        parts = []
        for number, index in enumerate(found):
            parts.append(writer.write(index, is_open=not is_folded and number < _MOST_OPEN))
            size += len(parts[-1])
            if size > _MOST_BYTES:
                writer.shows_texts = False
        heading = f'<h3>{title} <span class="n">{len(found):,}</span></h3>'
        note = f'<p class="note">{meaning}</p>' if writer.shows_texts else ""
        if is_folded:
            heading = f"<summary>{heading}</summary>"
        tag = "details" if is_folded else "div"
        yield f'<{tag} class="group {outcome}">{heading}{note}{"".join(parts)}</{tag}>'


def _filters(rows: Rows, facts: RowFacts, say: Say) -> str:
    """Return the form that a script shows and obeys; a value is nothing but a row's token."""
    titles = _PAIRED if rows.is_paired else _ALONE
    fields = rows.results.fields
    counts = [(code, rows.outcomes.count(code)) for code in OUTCOMES if code in titles]
    selects = [
        _select("Outcome", [(code, titles[code][0], n) for code, n in counts if n]),
        _select(
            "Tag", _options((facts.token("tag", tag), say(tag), n) for tag, n in facts.tags.items())
        ),
        _select(
            "Failed field",
            _options((facts.token("field", f), say(fields[f]), n) for f, n in facts.fields.items()),
        ),
    ]
    for number, key in enumerate(rows.results.slice_keys):
        values = [(value, n) for (k, value), n in facts.slices.items() if k == number]
        options = _options(
            (facts.token("slice", number, value), say(value), n) for value, n in values
        )
        selects.append(_select(say(key), options))
    return (
        f'<form id="filters" hidden>{"".join(selects)}'
        '<button type="reset">Show all</button> <button type="button" id="unfold">Open all</button>'
        '<output id="shown"></output></form>'
    )


def _options(found: Iterable[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    return sorted(found, key=lambda option: (-option[2], option[1]))[:_MOST_OPTIONS]


def _select(title: str, options: list[tuple[str, str, int]]) -> str:
    if not options:
        return ""
    shown = "".join(
        f'<option value="{token}">{text} ({n:,})</option>' for token, text, n in options
    )
    return f'<label>{title} <select><option value="">all</option>{shown}</select></label>'
