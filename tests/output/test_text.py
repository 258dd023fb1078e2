"""Tables and lines as text: byte for byte what Rich makes of them, in a fraction of the time."""

import io
import random
import re

import pytest
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fftdeploy.output import text
from fftdeploy.output.report import Block, Cell, Line, Patch, Table, Tone, line

STYLES: dict[Tone, str] = {
    "": "",
    "good": "green",
    "warn": "yellow",
    "bad": "bold red",
    "dim": "dim",
    "strong": "bold",
    "hint": "cyan",
}
PIECES = ["a", "ft:x", "é", "漢", "😀", "e\u0301", " ", "  ", "-", "+", "@", "12", "longerword"]


def by_rich(block: Block, *, color: bool) -> str:
    out = io.StringIO()
    console = Console(
        file=out,
        width=100_000,
        color_system="standard" if color else None,
        force_terminal=color,
        no_color=not color,
        markup=False,
        highlight=False,
        emoji=False,
        _environ={},
    )
    if isinstance(block, Table):
        grid = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in block.columns:
            grid.add_column(column.upper(), no_wrap=True, overflow="ignore")
        for row in block.rows:
            grid.add_row(*(Text(cell.text, STYLES[cell.tone]) for cell in row))
        console.print(grid)
    elif isinstance(block, Patch):
        for shown in block.text.split("\n"):
            style = {"+": "green", "-": "red", "@": "cyan"}.get(shown[:1], "")
            is_name = shown.startswith(("+++", "---"))
            console.print(Text(shown, "bold" if is_name else style), soft_wrap=True)
    elif isinstance(block, Line):
        whole = Text()
        for cell in block.cells:
            whole.append(cell.text, STYLES[cell.tone])
        console.print(whole, soft_wrap=True)
    return "\n".join(row.rstrip() for row in unstyled_blanks(out.getvalue()).split("\n"))


def unstyled_blanks(shown: str) -> str:
    """Take the style off what has nothing to style, such as the room between two headings."""
    return re.sub(r"\x1b\[1m( *)\x1b\[0m", r"\1", shown)


@pytest.mark.parametrize("color", [False, True])
def test_text_is_what_rich_would_print(color: bool) -> None:
    chance = random.Random(16)

    def words() -> str:
        return "".join(chance.choices(PIECES, k=chance.choice([0, 1, 5, 30])))

    def cell() -> Cell:
        return Cell(words(), chance.choice([*STYLES]))

    for _ in range(150):
        columns = tuple(chance.choices(["n", "live since", "model", "漢"], k=3))
        rows = tuple((cell(), cell(), cell()) for _ in range(chance.randrange(5)))
        lines = [chance.choice(["+", "-", "@@", "+++ ", " ", ""]) + words() for _ in range(3)]
        blocks: list[Block] = [Table(columns, rows), line(cell(), cell()), Patch("\n".join(lines))]
        for block in blocks:
            shown = text.render([block], width=None, color=color, clean=str)
            if isinstance(block, Patch) and not lines[-1]:
                shown += "\n"  # the end of a diff's last line is no line
            shown = "\n".join(row.rstrip() for row in unstyled_blanks(shown).split("\n"))
            assert shown == by_rich(block, color=color)


def test_what_does_not_fit_its_line_hangs_below_what_it_is_of() -> None:
    labelled = line(Cell("  cost/1,000  ", "dim"), "0.12 USD  p95 640 ms  ", Cell("29/31"))
    plain = line("  note: what live has", " is kept here")

    shown = text.render([labelled, plain], width=30, color=False, clean=str)

    assert shown.splitlines() == [
        "  cost/1,000  0.12 USD  p95",
        "              640 ms  29/31",
        "  note: what live has is kept",
        "    here",
    ]


def test_a_row_that_lacks_few_columns_stays_a_row() -> None:
    columns = ("", "model", "passed", "fixed", "broke", "tokens", "usd/1k", "p95", "verdict")
    said = ("1", "gpt-6-luna@triage-long", "91.0%", "12", "3", "1,234/38", "0.21", "71 ms")
    row = tuple(map(Cell, (*said, "not worse")))

    shown = text.render([Table(columns, (row,))], width=80, color=False, clean=str).splitlines()

    assert [line.split() for line in shown[1:]] == [" ".join(cell.text for cell in row).split()]
    assert max(map(len, shown)) == 75
