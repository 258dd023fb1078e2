"""The result of a command as one value: text, JSON and exit code all come from it.

A report's `data` is the JSON document's content; its `body` is the same said to a person, in blocks
that `render` knows how to show.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from fftdeploy.errors import OK, Outcome
from fftdeploy.planning.finding import Finding

Tone = Literal["", "good", "warn", "bad", "dim", "strong", "hint"]
Last = Literal["whole", "wrapped", "cut"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of text and how urgent it is; the text says it all without the tone."""

    text: str
    tone: Tone = ""
    brief: str = ""
    """What a table says instead where a row would not fit the terminal; "" for the text itself."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Line:
    """One line, in pieces; a terminal breaks it between words where it does not fit."""

    cells: tuple[Cell, ...]
    is_cut: bool = False
    """Whether it is cut there instead: its beginning says enough."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings; a row that does not fit the terminal is a card."""

    columns: tuple[str, ...]
    """Headings; none is shown where all of them are empty."""
    rows: tuple[tuple[Cell, ...], ...]
    last: Last = "whole"
    """What may happen to a text in the last column that does not fit: it is broken, or cut,
    between words."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A unified diff."""

    text: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Data for a program, printed as it is and nothing else: it must be clean already."""

    text: str


@dataclass(frozen=True, slots=True)
class Details:
    """What only some readers open: folded away in Markdown, below its summary elsewhere."""

    summary: str
    blocks: "tuple[Block, ...]"


Block = Line | Table | Patch | Raw | Details


@dataclass(frozen=True, slots=True)
class Report:
    """The end of a command that did not fail."""

    outcome: Outcome = OK
    data: Any = field(default_factory=dict)
    """The command's result, or a mapping: what `--json` prints."""
    body: tuple[Block, ...] = ()
    findings: tuple[Finding, ...] = ()
    next: str = ""
    """The line to type next."""
    comment: tuple[Block, ...] = ()
    """What a comment on a pull request says, the verdict first; empty where `body` will do."""


def line(*parts: str | Cell, is_cut: bool = False) -> Line:
    """Build a line of plain strings and cells."""
    return Line(tuple(part if isinstance(part, Cell) else Cell(part) for part in parts), is_cut)
