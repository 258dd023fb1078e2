"""Blocks as Markdown for pull requests, and findings as annotations of a CI run."""

from collections.abc import Callable, Iterable

from fftdeploy.render.clean import annotation
from fftdeploy.report import Block, Diff, Finding, Line, Raw, Report, Table

_MOST_ANNOTATIONS = 10
"""GitHub shows no more of a kind in one step."""


def markdown(
    blocks: Iterable[Block], *, plain: Callable[[str], str], escape: Callable[[str], str]
) -> str:
    """Return `blocks` as Markdown: diffs in fences, tables as tables, text escaped."""
    parts = []
    for block in blocks:
        match block:
            case Raw(text):
                parts.append(text)
            case Line(cells):
                parts.append(escape("".join(cell.text for cell in cells)) + "\n")
            case Diff(text):
                fence = "`" * max(3, _longest_run(text) + 1)
                shown = plain(text.replace("\r\n", "\n"))
                parts.append(f"{fence}diff\n{shown}{fence}\n")
            case Table(columns, rows):
                head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
                body = [f"| {' | '.join(escape(cell.text) for cell in row)} |" for row in rows]
                parts.append("\n".join([*head, *body]) + "\n")
    return "\n".join(parts)


def annotations(report: Report) -> list[str]:
    """Return the findings of `report` as GitHub workflow commands, the gravest first."""
    ordered = sorted(report.findings, key=lambda finding: finding.severity != "error")
    return [_command(finding) for finding in ordered[:_MOST_ANNOTATIONS]]


def error_annotation(title: str, message: str, path: str = "", line: int = 0) -> str:
    """Return one error as a GitHub workflow command."""
    place = f"file={annotation(path, is_property=True)},line={max(line, 1)}," if path else ""
    return f"::error {place}title={annotation(title, is_property=True)}::{annotation(message)}"


def _command(finding: Finding) -> str:
    message = f"{finding.subject}: {finding.message}"
    text = error_annotation(finding.code, message, finding.path, finding.line)
    return text if finding.severity == "error" else text.replace("::error", "::notice", 1)


def _longest_run(text: str) -> int:
    longest = run = 0
    for char in text:
        run = run + 1 if char == "`" else 0
        longest = max(longest, run)
    return longest
