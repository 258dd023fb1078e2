"""Blocks as text for a terminal or a pipe.

Written row by row and in one piece at the end: a history of 40,000 releases is a table like any
other, and a second is a second.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from rich.cells import cell_len

from fftdeploy.output.clean import one_line
from fftdeploy.output.report import Block, Cell, Details, Last, Line, Patch, Raw, Table, Tone

# What a terminal of any age can do: SGR parameters, "" for none.
_STYLES: dict[Tone, str] = {
    "": "",
    "good": "32",
    "warn": "33",
    "bad": "1;31",
    "dim": "2",
    "strong": "1",
    "hint": "36",
}
_HEADER = _STYLES["strong"]
_GAP, _LEAST_GAP = "  ", " "
_HANGING = 2
_LEAST = 24
"""Columns for a text of several lines."""
_LEAST_CUT = 60
"""Columns from which on the beginning of a sentence says enough."""
_TAB = 8
_WORD = re.compile(r"\S+")
_ID_DIGITS = 12  # a hash may happen to have no letter

Piece = tuple[str, str]
"""A piece of a line: its text, and how it is styled."""


def render(
    blocks: Iterable[Block], *, width: int | None, color: bool, clean: Callable[[str], str]
) -> str:
    """Return `blocks` as text.

    Args:
        blocks: What to show.
        width: Columns of the terminal, or None in a pipe, where nothing is fitted.
        color: Whether to use ANSI styles.
        clean: Applied to each piece of text before it is styled.
    """
    shown = (row for block in blocks for row in _rows_of(block, width, clean))
    text = "".join(row if isinstance(row, str) else _line(row, color=color) for row in shown)
    return "\n".join(line.rstrip() for line in text.split("\n"))


def _line(pieces: Iterable[Piece], *, color: bool) -> str:
    return "".join(_styled(*piece) if color else piece[0] for piece in pieces) + "\n"


def _styled(text: str, style: str) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if style and text else text


def _rows_of(
    block: Block, width: int | None, clean: Callable[[str], str]
) -> Iterator[str | list[Piece]]:
    """Yield the lines of a block in pieces; what is printed as it is comes as a string."""
    match block:
        case Raw(text):
            yield text
        case Line(cells, is_cut):
            pieces = [(one_line(clean(cell.text)), _STYLES[cell.tone]) for cell in cells]
            plain = "".join(text for text, _ in pieces)
            if is_cut and width is not None and width >= _LEAST_CUT:
                pieces = [(_shortened(plain, width, clean("…")), pieces[0][1])]
            label = pieces[0][0]  # a padded one: what does not fit hangs below what it is of
            is_padded = label.startswith(" ") and label.endswith(_GAP)
            indent = len(plain) - len(plain.lstrip(" ")) + _HANGING
            indent = len(label) if is_padded else indent
            yield from _fitted(pieces, width, indent)
        case Patch(text):
            yield from _diff(text, clean)
        case Table():
            yield from _table(block, width, clean)
        case Details(summary, blocks):
            yield [(clean(summary), "")]
            for inner in blocks:
                yield from _rows_of(inner, width, clean)


def _fitted(pieces: list[Piece], width: int | None, indent: int) -> Iterator[list[Piece]]:
    """Yield a line in rows of a terminal, broken between words: an ID is one, however long.

    All rows but the first stand `indent` columns in.
    """
    plain = "".join(text for text, _ in pieces)
    if width is None or cell_len(plain) <= width:
        yield pieces
        return
    start = end = 0
    for word in _WORD.finditer(plain):
        room = width - indent if start else width
        is_first = word.start() <= indent  # it would stand no further left below
        if cell_len(plain[start : word.end()]) > room and not is_first:
            yield _cut(pieces, start, end, indent if start else 0)
            start = word.start()
        end = word.end()
    yield _cut(pieces, start, len(plain), indent if start else 0)


def _cut(pieces: list[Piece], start: int, end: int, indent: int) -> list[Piece]:
    """Return what stands between two offsets of a line, `indent` columns in."""
    found = [(" " * indent, "")]
    offset = 0
    for text, style in pieces:
        found.append((text[max(start - offset, 0) : max(end - offset, 0)], style))
        offset += len(text)
    return found


def _table(table: Table, width: int | None, clean: Callable[[str], str]) -> Iterator[list[Piece]]:
    rows = [[_cleaned(cell, clean) for cell in row] for row in table.rows]
    grid = _Grid(table, rows, width)
    if len(grid.fitting) < len(rows):
        briefly = [[replace(cell, text=cell.brief or cell.text) for cell in row] for row in rows]
        tried = (_Grid(table, briefly, width, gap) for gap in (_GAP, _LEAST_GAP))
        for shorter in tried:
            if len(shorter.fitting) > len(grid.fitting):
                rows, grid = briefly, shorter
    if not any(table.columns) or 2 * len(grid.fitting) >= len(rows):
        yield from _lines(table, rows, grid, clean)
        return
    for index, row in enumerate(rows):
        yield from ([],) if index else ()
        yield from _card(table.columns, row, width)


def _cleaned(cell: Cell, clean: Callable[[str], str]) -> Cell:
    brief = one_line(clean(cell.brief)) if cell.brief else ""
    return Cell(one_line(clean(cell.text)), cell.tone, brief)


def _lines(
    table: Table, rows: list[list[Cell]], grid: "_Grid", clean: Callable[[str], str]
) -> Iterator[list[Piece]]:
    """Yield one line a row; a row that does not fit is a card."""
    has_headings, width = any(table.columns), grid.width
    if has_headings:
        yield grid.line([Cell(heading.upper(), "strong") for heading in table.columns])
    for index, row in enumerate(rows):
        if has_headings and index not in grid.fitting:
            yield from _card(table.columns, row, width)
        elif table.last == "cut" and width is not None:
            text = _shortened(row[-1].text, width - grid.start, clean("…"))
            yield grid.line([*row[:-1], Cell(text, row[-1].tone)])
        elif table.last == "wrapped":
            yield from _fitted(grid.line(row), width, grid.start)
        else:
            yield grid.line(row)


class _Grid:
    """The columns of a table, as wide as the rows in them need, and which rows fit."""

    def __init__(
        self, table: Table, rows: list[list[Cell]], width: int | None, gap: str = _GAP
    ) -> None:
        self.width, self.gap = width, gap
        last = table.last if width is not None else "whole"
        needed = [
            [*(cell_len(cell.text) for cell in row[:-1]), _least_width(row[-1], last)]
            for row in rows
        ]
        headings = [cell_len(heading) for heading in table.columns]
        self.lengths = [max(column) for column in zip(headings, *needed, strict=True)]
        self.fitting: Collection[int] = range(len(rows))
        if width is not None and self._total(self.lengths) > width:
            self.lengths, self.fitting = self._those_that_fit(headings, needed, width)
        self.start = self._total(self.lengths) - self.lengths[-1]
        """Where the last column begins."""

    def line(self, cells: Sequence[Cell]) -> list[Piece]:
        """Return cells with blanks between them."""
        pieces = []
        for cell, length in zip(cells, self.lengths, strict=True):
            style = _STYLES[cell.tone]
            pieces += [(cell.text, style), (" " * (length - cell_len(cell.text)) + self.gap, "")]
        return pieces[:-1]

    def _those_that_fit(
        self, lengths: list[int], needed: list[list[int]], width: int
    ) -> tuple[list[int], set[int]]:
        """Return the columns and the numbers of as many rows as fit, the shortest first."""
        fitting: set[int] = set()
        for index in sorted(range(len(needed)), key=lambda index: sum(needed[index])):
            longer = list(map(max, lengths, needed[index]))
            if self._total(longer) > width:
                break
            lengths = longer
            fitting.add(index)
        return lengths, fitting

    def _total(self, lengths: list[int]) -> int:
        return sum(lengths) + len(self.gap) * (len(lengths) - 1)


def _least_width(cell: Cell, last: Last) -> int:
    """Return the least columns for the last cell of a row."""
    whole = cell_len(cell.text)
    if last == "whole" or not (words := cell.text.split()):
        return whole
    if last == "cut":
        return min(whole, cell_len(words[0]) + len(" ..."))
    return min(whole, max(_LEAST, *map(cell_len, words)))


def _shortened(text: str, room: int, mark: str) -> str:
    """Cut a text between words, so that no ID is, and say so by `mark`."""
    if cell_len(text) <= room:
        return text
    shown = ""
    for word in text.split():
        longer = f"{shown}{word} "
        if cell_len(longer + mark) > room:
            break
        shown = longer
    return shown + mark


def _card(columns: tuple[str, ...], row: list[Cell], width: int | None) -> Iterator[list[Piece]]:
    """Yield the first cell of a row as a heading, with a mark before it; the others by name."""
    first = 1 if len(row[0].text) == len("✓") and not columns[0] else 0
    label = max(map(len, columns[first + 1 :]), default=0)
    title = row[first].text
    is_number = title.isdecimal() and len(title) < _ID_DIGITS
    named = columns[0] if is_number else row[0].text if first else ""
    yield [(f"{named} {title}".lstrip(), _HEADER)]
    for column, cell in zip(columns[first + 1 :], row[first + 1 :], strict=True):
        if cell.text:
            name = f"  {column:<{label}}  "
            pieces = [(name, _STYLES["dim"]), (cell.text, _STYLES[cell.tone])]
            yield from _fitted(pieces, width, len(name))


def _diff(diff: str, clean: Callable[[str], str]) -> Iterator[list[Piece]]:
    if not diff:
        return
    styles = {"+": _STYLES["good"], "-": "31", "@": "36"}
    for line in diff.removesuffix("\n").split("\n"):  # not at the breaks that only Python knows
        style = _HEADER if line.startswith(("+++", "---")) else styles.get(line[:1], "")
        yield [(clean(line.removesuffix("\r")).expandtabs(_TAB), style)]
