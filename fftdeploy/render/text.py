"""Blocks as text for a terminal or a pipe; the only use of Rich's tables and styles."""

import io
import re
from collections.abc import Callable, Iterable, Iterator

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fftdeploy.render.clean import one_line
from fftdeploy.report import Block, Cell, Details, Diff, Line, Raw, Table, Tone

_STYLES: dict[Tone, str] = {
    "": "",
    "good": "green",
    "warn": "yellow",
    "bad": "bold red",
    "dim": "dim",
    "strong": "bold",
}
_UNBOUNDED = 100_000
_HANGING = 2
_WORD = re.compile(r"\S+")
_ID_DIGITS = 12  # a hash may happen to have no letter


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
    out = io.StringIO()
    console = Console(
        file=out,
        width=_UNBOUNDED,
        color_system="standard" if color else None,
        force_terminal=color,
        no_color=not color,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    for block in blocks:
        _show(console, block, width, clean)
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


def _show(console: Console, block: Block, width: int | None, clean: Callable[[str], str]) -> None:
    match block:
        case Raw(text):
            console.file.write(text)
        case Line(cells):
            whole = _joined(cells, clean)
            indent = len(whole.plain) - len(whole.plain.lstrip(" ")) + _HANGING
            for row in _rows(whole, width, indent):
                console.print(row, soft_wrap=True)
        case Diff(text):
            _show_diff(console, text, clean)
        case Table():
            _show_table(console, block, width, clean)
        case Details(summary, blocks):
            console.print(Text(clean(summary)), soft_wrap=True)
            for inner in blocks:
                _show(console, inner, width, clean)


def _rows(text: Text, width: int | None, indent: int) -> Iterator[Text]:
    """Yield a line in rows of a terminal, broken between words: an ID is one, however long.

    All rows but the first stand `indent` columns in.
    """
    plain = text.plain
    if width is None or cell_len(plain) <= width:
        yield text
        return
    start = end = 0
    for word in _WORD.finditer(plain):
        room = width - indent if start else width
        is_first = word.start() <= indent  # it would stand no further left below
        if cell_len(plain[start : word.end()]) > room and not is_first:
            yield _indented(text[start:end], indent if start else 0)
            start = word.start()
        end = word.end()
    yield _indented(text[start:], indent if start else 0)


def _indented(text: Text, spaces: int) -> Text:
    return Text(" " * spaces) + text if spaces else text


def _show_table(
    console: Console, table: Table, width: int | None, clean: Callable[[str], str]
) -> None:
    cleaned = [[Cell(one_line(clean(cell.text)), cell.tone) for cell in row] for row in table.rows]
    if width is not None and _natural_width(table.columns, cleaned) > width:
        _show_cards(console, table.columns, cleaned, width)
        return
    grid = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in table.columns:
        grid.add_column(column.upper(), no_wrap=True, overflow="ignore")
    for row in cleaned:
        grid.add_row(*(Text(cell.text, _STYLES[cell.tone]) for cell in row))
    console.print(grid)


def _natural_width(columns: tuple[str, ...], rows: list[list[Cell]]) -> int:
    widths = [
        max([len(column), *(len(row[index].text) for row in rows)])
        for index, column in enumerate(columns)
    ]
    return sum(widths) + 2 * (len(widths) - 1)


def _show_cards(
    console: Console, columns: tuple[str, ...], rows: list[list[Cell]], width: int
) -> None:
    """Show one card a row: its first cell as a heading, the others below it by name."""
    label = max(len(column) for column in columns[1:])
    for index, row in enumerate(rows):
        if index:
            console.print()
        is_number = row[0].text.isdecimal() and len(row[0].text) < _ID_DIGITS
        number = f"{columns[0]} " if is_number else ""
        console.print(Text(number + row[0].text, "bold"), soft_wrap=True)
        for column, cell in zip(columns[1:], row[1:], strict=True):
            if cell.text:
                value = Text(cell.text, _STYLES[cell.tone])
                name = Text(f"  {column:<{label}}  ", "dim")
                for line in _rows(name + value, width, len(name)):
                    console.print(line, soft_wrap=True)


def _show_diff(console: Console, diff: str, clean: Callable[[str], str]) -> None:
    if not diff:
        return
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in diff.removesuffix("\n").split("\n"):  # not at the breaks that only Python knows
        style = "bold" if line.startswith(("+++", "---")) else styles.get(line[:1], "")
        console.print(Text(clean(line.removesuffix("\r")), style), soft_wrap=True)


def _joined(cells: Iterable[Cell], clean: Callable[[str], str]) -> Text:
    text = Text()
    for cell in cells:
        text.append(one_line(clean(cell.text)), _STYLES[cell.tone])
    return text
