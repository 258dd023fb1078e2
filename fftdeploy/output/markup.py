"""Blocks as Markdown for pull requests, and findings as annotations of a CI run."""

import html
import re
from collections.abc import Callable, Iterable, Sequence

from rich.cells import cell_len

from fftdeploy.output.clean import annotation
from fftdeploy.output.report import Block, Cell, Details, Line, Patch, Raw, Report, Table

_MOST_ANNOTATIONS = 10
"""GitHub shows no more of a kind in one step."""

_HEAD_ROWS = 2
_WIDEST = 60
"""Columns to which the cells of a table are filled up; a longer one makes the others no longer."""

_AT_START = re.compile(
    r"\A(\d{1,9}(?=[.)](?:\s|\Z))|(?=#{1,6}(?:\s|\Z)|>|[-+](?:\s|\Z)|-[\s-]*\Z))"
)
"""Before what makes a list, a heading, a quotation or a rule of a line."""
_CUT = "More was left out for its length: the command line shows all of it.\n"


def markdown(
    blocks: Iterable[Block],
    *,
    plain: Callable[[str], str],
    escape: Callable[[str], str],
    limit: int | None = None,
) -> str:
    """Return `blocks` as Markdown: diffs in fences, tables as tables, text escaped.

    Args:
        blocks: What to show.
        plain: Cleans what stands in a fence.
        escape: Cleans and escapes everything else.
        limit: Most characters.  Rows, then blocks, are left out from the end to keep to it, and
            that is said.
    """
    parts: list[str] = []
    left = limit - len(_CUT) if limit is not None else None
    for block in blocks:
        text = _block(block, plain, escape)
        if left is not None and len(text) > left:
            if isinstance(block, Table):  # the rows that fit, where its head does
                rows = text[:left].split("\n")[:-1]
                parts.append("\n".join(rows) + "\n" if len(rows) > _HEAD_ROWS else "")
            return "\n".join([*parts, _CUT])
        parts.append(text)
        left = left - len(text) - 1 if left is not None else None
    return "\n".join(parts)


def _block(block: Block, plain: Callable[[str], str], escape: Callable[[str], str]) -> str:
    match block:
        case Raw(text):
            return text
        case Line(cells):
            # Four blanks in front would make it code, and the escapes in it visible.
            text = "".join(_cell(cell, escape) for cell in cells).lstrip()
            return _AT_START.sub(r"\1\\", text) + "\n"
        case Patch(text):
            longest = max(map(len, re.findall("`+", text)), default=0)
            fence = "`" * max(3, longest + 1)
            shown = plain(text.replace("\r\n", "\n"))
            return f"{fence}diff\n{shown}{fence}\n"
        case Table(columns, rows):
            return _table(columns, [[escape(cell.text) for cell in row] for row in rows])
        case Details(summary, inner):
            text = markdown(inner, plain=plain, escape=escape)
            title = html.escape(plain(summary))  # up to the blank line it is HTML
            return f"<details>\n<summary>{title}</summary>\n\n{text}\n</details>\n"


def _cell(cell: Cell, escape: Callable[[str], str]) -> str:
    text = escape(cell.text)
    return f"**{text}**" if cell.tone == "strong" and text.strip() == text != "" else text


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose columns stand under each other where it is read as text, too."""
    widths = [
        max([3, *(length for length in map(cell_len, column) if length <= _WIDEST)])
        for column in zip(columns, *rows, strict=True)
    ]
    rule = ["-" * width for width in widths]
    return "".join(
        f"| {' | '.join(map(_filled, row, widths))} |\n" for row in (columns, rule, *rows)
    )


def _filled(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def annotations(report: Report) -> list[str]:
    """Return the findings of `report` as GitHub workflow commands, the gravest first."""
    ordered = sorted(report.findings, key=lambda finding: finding.severity != "error")
    commands = []
    for finding in ordered[:_MOST_ANNOTATIONS]:
        message = f"{finding.subject}: {finding.message}"
        text = error_annotation(finding.code, message, finding.path, finding.line)
        is_error = finding.severity == "error"
        commands.append(text if is_error else text.replace("::error", "::notice", 1))
    return commands


def error_annotation(title: str, message: str, path: str = "", line: int = 0) -> str:
    """Return one error as a GitHub workflow command."""
    place = f"file={annotation(path, is_property=True)},line={max(line, 1)}," if path else ""
    return f"::error {place}title={annotation(title, is_property=True)}::{annotation(message)}"
