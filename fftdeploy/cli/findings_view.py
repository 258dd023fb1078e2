"""Shows findings on a terminal: one line each, what several have in common once."""

from collections.abc import Iterable, Iterator

from fftdeploy.cli.cells import Names, used_columns
from fftdeploy.names import plural
from fftdeploy.output.report import Block, Cell, Table, Tone, line
from fftdeploy.planning.finding import Finding

_MARKS: dict[str, tuple[str, Tone]] = {"error": ("✗", "bad"), "notice": ("!", "warn")}


def about_targets(findings: Iterable[Finding], names: Names, file: str) -> Iterator[Block]:
    """Show whom each finding is about and where that is written, in `file` by the line alone."""
    kinds: dict[tuple[str, str, str, str], list[Finding]] = {}
    for one in sorted(findings, key=lambda finding: finding.severity):
        message = one.message.removeprefix(f"{one.subject} ")  # which has a column of its own
        is_file = one.severity == "error" and one.subject == one.path
        itself = one.subject if is_file else ""  # a count would hide which
        kinds.setdefault((one.severity, one.code, itself, message), []).append(one)
    rows = tuple(
        (Cell(*_MARKS[severity]), *_whom_and_where(same, file), Cell(names.text(message)))
        for (severity, _, _, message), same in kinds.items()
    )
    if rows:
        yield used_columns(("", "about", "at", "finding"), rows, "wrapped")


def by_place(findings: Iterable[Finding], names: Names) -> Iterator[Block]:
    """Show where each finding is."""
    rows = tuple(
        (Cell(*_MARKS[one.severity]), Cell(_place(one)), Cell(names.text(one.message)))
        for one in findings
    )
    if rows:
        yield Table(("", "place", "finding"), rows, "wrapped")


def in_full(findings: Iterable[Finding], *, subjects: bool = True) -> Iterator[Block]:
    """Show every part of each finding, the gravest first, as off a terminal."""
    rows = []
    for one in sorted(findings, key=lambda finding: finding.severity):
        severity = Cell(one.severity, "bad" if one.severity == "error" else "warn")
        place = Cell(f"{one.path}:{one.line}" if one.line else one.subject)
        subject = (Cell(one.subject),) * subjects
        rows.append((severity, place, *subject, Cell(one.message), Cell(one.hint, "dim")))
    if rows:
        target = ("target",) * subjects
        yield Table(("severity", "place", *target, "finding", "hint"), tuple(rows))


def hint_lines(findings: Iterable[Finding]) -> Iterator[Block]:
    """Say what to do, each thing once."""
    for hint in dict.fromkeys(one.hint for one in findings if one.hint):
        yield line(Cell("hint:", "hint"), f" {hint}")


def _whom_and_where(same: list[Finding], file: str) -> tuple[Cell, Cell]:
    one = same[0]
    if len(same) > 1:
        is_file = any(each.subject == each.path for each in same)
        noun = "file" if is_file else "target" if all("/" in f.subject for f in same) else "place"
        return Cell(plural(len(same), noun)), Cell("")
    if one.path == file and one.line:
        return Cell(one.subject), Cell(f"line {one.line}")
    return Cell(one.subject), Cell("" if one.path == one.subject else _place(one))


def _place(finding: Finding) -> str:
    return f"{finding.path}:{finding.line}" if finding.line else finding.path
