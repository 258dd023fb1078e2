"""Shows a check to a person, and to a pull request."""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fftdeploy import files
from fftdeploy.cli.cells import Names
from fftdeploy.cli.findings_view import about_targets, hint_lines, in_full
from fftdeploy.cli.session import Session
from fftdeploy.commands.check import Checked, CheckedFile, ProposedChange
from fftdeploy.commands.inspecting.checked_tasks import CheckedTask
from fftdeploy.errors import FftdeployError, Outcome
from fftdeploy.names import plural
from fftdeploy.output.report import Block, Cell, Report, Table, line
from fftdeploy.planning.bundles import canary_of
from fftdeploy.planning.finding import Finding
from fftdeploy.releases.deployments import Bundle

if TYPE_CHECKING:  # most changes bring no evidence
    from fftdeploy.evaluation.evidence.evidence_folder import Stored
    from fftdeploy.pull_request.changes import TargetChange

_SEEN = {
    "claimed": "claimed in this change",
    "base": "merged already",
    "workflow": "made by this workflow",
}


def write_comment(session: Session, path: Path | None, end: Report | FftdeployError) -> None:
    """Write the comment that was asked for, whatever the end: silence looks like consent."""
    if path is not None:
        text = session.output.comment(session.command, end)
        files.put(Path.cwd() / path, text.encode())


def report(session: Session, result: Checked, *, wide: bool) -> Report:
    """Show what was found, what is changed first, and have a comment say the same."""
    is_short = session.output.at_terminal and not wide
    if is_short:
        names = Names(session.workspace.deployments.models())
        about = about_targets(result.findings, names, session.place)
        table = (*about, *_counts(result), *hint_lines(result.findings))
    else:
        names = None
        table = (*in_full(result.findings), *_counts(result))
    if result.base is None:
        return Report(result.outcome, result, table, result.findings)
    said = tuple(_told(session, result, _all_changes(result)))
    changes = _all_changes(result, names)
    return Report(result.outcome, result, (*changes, *table), result.findings, comment=said)


def _all_changes(result: Checked, names: Names | None = None) -> tuple[Block, ...]:
    """Show what changes in each file; in few columns where `names` says how models are called."""
    changes = _changes(result, result.findings, names)
    for other in result.elsewhere or ():
        changes += (line(Cell(other.file, "strong")), *_changes(other, result.findings, names))
    return changes


def _counts(result: Checked) -> Iterator[Block]:
    errors = sum(finding.severity == "error" for finding in result.findings)
    notices_ = len(result.findings) - errors
    counts = {"target": len(result.targets), "error": errors, "notice": notices_}
    targets, *others = (plural(count, noun) for noun, count in counts.items())
    yield line(", ".join([f"{targets} checked", *others]))
    for task in result.tasks:
        yield line(_examples(task))
    if unverified := _unverified(result):
        yield line(Cell(f"NOT VERIFIED with the API: {unverified}", "warn"))


def _examples(task: CheckedTask) -> str:
    """Say what a task has for its bar: `triage: 67 examples, all reviewed, 12 must pass`."""
    reviewed = "all" if task.reviewed == task.examples else f"{task.reviewed:,}"
    must_pass = f", {task.must_pass:,} must pass" if task.must_pass else ""
    needed = f"; its bar needs {task.needed:,} or more" if task.needed else ""
    return (
        f"{task.task}: {plural(task.examples, 'example')}, {reviewed} reviewed{must_pass}{needed}"
    )


def _unverified(result: Checked) -> str:
    """Say that nothing was asked, and why to who gave no flag; "" where it was."""
    if result.verified:
        return ""
    because = result.unverified_because
    return "no model was asked about" + ("" if because == "--offline" else f": {because}")


def _changes(
    result: Checked | CheckedFile, found: Sequence[Finding], names: Names | None
) -> tuple[Block, ...]:
    assert result.base is not None  # noqa: S101 - asked only of what was compared
    against = f"{result.base.ref} ({result.base.commit[:12]})"
    if not result.changes:
        return (line(f"no target differs from {against}"),)
    if names is not None:
        told = {(one.subject, one.message) for one in found}
        rows = tuple(_short_row(change, names, told) for change in result.changes)
        table = Table(("target", "change", "model", "what"), rows, "wrapped")
    else:
        columns = ("target", "change", "what", "was", "becomes", "evidence")
        table = Table(columns, tuple(map(_row, result.changes)))
    return (line(f"changes against {against}:"), table)


def _short_row(
    made: ProposedChange, names: Names, told: Collection[tuple[str, str]]
) -> tuple[Cell, ...]:
    """Show one change; what a finding below says too is left to that."""
    was, becomes = _sides(made.change, names.bundle)
    becomes = f"→ {becomes}" if becomes else ""
    message = "" if (made.target, made.message) in told else names.text(made.message)
    return (
        Cell(made.target),
        Cell(made.kind, "bad" if made.is_wrong else "strong"),
        Cell(f"{was} {becomes}".strip()),
        Cell("; ".join(filter(None, (message, _evidence_words(made))))),
    )


def _sides(change: "TargetChange", named: Callable[[Bundle], str]) -> tuple[str, str]:
    """Say what a change replaces, and by what: of a canary, that live stays."""
    release = change.release
    if change.ended:
        return f"{change.weight} % {named(change.ended)}", "live stays, no canary"
    was = named(change.before) if change.before else ""
    if release is None:
        return was, ""
    if release.canary is not None:
        return was, f"live stays, {release.canary} % {named(release.bundle)}"
    return was, named(release.bundle)


def _row(made: ProposedChange) -> tuple[Cell, ...]:
    was, becomes = _sides(made.change, str)
    return (
        Cell(made.target),
        Cell(made.kind, "bad" if made.is_wrong else "strong"),
        Cell(made.message),
        Cell(was),
        Cell(becomes),
        Cell(_evidence_words(made)),
    )


def _evidence_words(made: ProposedChange) -> str:
    seen = _SEEN.get(made.standing or "", made.standing)
    return f"{made.stored.short} {made.ruling}, {seen}" if made.stored else ""


def _told(session: Session, result: Checked, changes: Sequence[Block]) -> Iterator[Block]:
    """Say the verdict first, then the changes, what speaks against them, and the evidence."""
    yield line(Cell(_verdict(result.findings, result.outcome), "strong"))
    if unverified := _unverified(result):
        yield line(f"Not verified with the API: {unverified}.")
    yield from changes
    yield from _findings(result)
    for name, ends in result.shutdowns.items():
        what = "what would be tried" if name.startswith(canary_of("")) else "what would be live"
        said = f"{what} ends {ends.date} ({ends.source})" if ends else ""
        yield line(f"{name}: {said or f'no shutdown date is known for {what}'}")
    for made in result.changes or ():
        if made.stored is not None:
            yield from _evidence(session, made.target, made.stored, made.standing or "")


def _verdict(found: Sequence[Finding], outcome: Outcome) -> str:
    errors = [f for f in found if f.severity == "error"]
    if errors:
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        return f"Blocked: {first.subject}: {first.message}{more}"
    if outcome.exit_code:
        return f"Not settled: {outcome.meaning}"
    return "May be merged: nothing speaks against it"


def _findings(result: Checked) -> Iterator[Block]:
    """Show what is wrong anywhere, and what is due where something changes."""
    changed = {change.target for change in result.changes or ()}
    found = [f for f in result.findings if f.severity == "error" or f.subject in changed]
    if found:
        rows = tuple(
            (Cell(f.severity), Cell(f.subject), Cell(f.message), Cell(f.hint))
            for f in sorted(found, key=lambda each: each.severity != "error")
        )
        yield Table(("", "target", "finding", "what to do"), rows)


def _evidence(session: Session, target: str, stored: "Stored", standing: str) -> Iterator[Block]:
    from fftdeploy.cli.verdict_tables import comment_blocks
    from fftdeploy.commands.evaluating.graded_texts import told_of

    yield line(Cell(f"Evidence {stored.short} for {target} ({standing})", "strong"))
    yield from comment_blocks(stored, told_of(session, stored.evidence))
    if standing != "re-run":  # that one is in this job's checkout, and nowhere else
        yield line(f"To see it again: fftdeploy verify {stored.id}")
