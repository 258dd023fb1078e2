"""Blocks as text for a terminal or a pipe.

Written row by row and in one piece at the end: a history of 40,000 releases is a table like any
other, and a second is a second.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from rich.cells import cell_len

from fftdeploy.output.clean import one_line
from fftdeploy.output.report import Block, Cell, Details, Line, Patch, Raw, Table, Tone

# What a terminal of any age can do: SGR parameters, "" for none.
_STYLES: dict[Tone, str] = {
    "": "",
    "good": "32",
    "warn": "33",
    "bad": "1;31",
    "dim": "2",
    "strong": "1",
}
_HEADER = _STYLES["strong"]
_GAP = "  "
_HANGING = 2
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
        case Line(cells):
            pieces = [(one_line(clean(cell.text)), _STYLES[cell.tone]) for cell in cells]
            plain = "".join(text for text, _ in pieces)
            indent = len(plain) - len(plain.lstrip(" ")) + _HANGING
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
    cleaned = [[Cell(one_line(clean(cell.text)), cell.tone) for cell in row] for row in table.rows]
    if width is not None and _natural_width(table.columns, cleaned) > width:
        yield from _cards(table.columns, cleaned, width)
        return
    headings = [column.upper() for column in table.columns]
    lengths = [
        max([cell_len(heading), *(cell_len(row[index].text) for row in cleaned)])
        for index, heading in enumerate(headings)
    ]
    last = len(headings) - 1
    header = [(heading, _HEADER) for heading in headings]
    yield [
        piece
        for index, (text, style) in enumerate(header)
        for piece in (
            (text, style),
            (" " * (lengths[index] - cell_len(text)), style),
            (_GAP if index < last else "", style),
        )
    ]
    for row in cleaned:
        yield [
            piece
            for index, cell in enumerate(row)
            for piece in (
                (cell.text, _STYLES[cell.tone]),
                (" " * (lengths[index] - cell_len(cell.text)), ""),
                (_GAP, ""),
            )
        ]


def _natural_width(columns: tuple[str, ...], rows: list[list[Cell]]) -> int:
    widths = [
        max([len(column), *(len(row[index].text) for row in rows)])
        for index, column in enumerate(columns)
    ]
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _cards(columns: tuple[str, ...], rows: list[list[Cell]], width: int) -> Iterator[list[Piece]]:
    """Yield one card a row: its first cell as a heading, the others below it by name."""
    label = max(len(column) for column in columns[1:])
    for index, row in enumerate(rows):
        if index:
            yield []
        is_number = row[0].text.isdecimal() and len(row[0].text) < _ID_DIGITS
        number = f"{columns[0]} " if is_number else ""
        yield [(number + row[0].text, _HEADER)]
        for column, cell in zip(columns[1:], row[1:], strict=True):
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
