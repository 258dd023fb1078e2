"""What `check --base` says on a pull request: the verdict first, what few need folded away."""

from collections.abc import Iterator, Mapping, Sequence

from fftdeploy.api.readiness import Shutdown
from fftdeploy.cli.proposing import Proposal
from fftdeploy.cli.verdict_blocks import headline, notices, tables
from fftdeploy.errors import Outcome
from fftdeploy.evaluation.evidence.evidence_folder import Stored
from fftdeploy.evaluation.verdict import Verdict
from fftdeploy.output.report import Block, Cell, Details, Table, line
from fftdeploy.planning.finding import Finding

_NAMED = 200
"""Most examples that are named in one list."""


def comment(
    proposal: Proposal,
    changes: Sequence[Block],
    found: Sequence[Finding],
    outcome: Outcome,
    shutdowns: Mapping[str, Shutdown | None],
    *,
    unverified: str,
) -> tuple[Block, ...]:
    """Return the comment: verdict, changes, what speaks against them, evidence.

    `unverified` says that no model was asked about, and why; "" where they were.
    """
    blocks: list[Block] = [
        line(Cell(_verdict(found, outcome), "strong")),
        *([line(f"Not verified with the API: {unverified}.")] if unverified else []),
        *changes,
        *_findings(proposal, found),
    ]
    blocks += (_runway(name, shutdowns[name]) for name in proposal.made_live if name in shutdowns)
    claims = proposal.claims.found if proposal.claims else {}
    for (target, _), (stored, standing) in claims.items():
        blocks += _evidence(target, stored, standing)
    return tuple(blocks)


def _runway(name: str, shutdown: Shutdown | None) -> Block:
    if shutdown is None:
        return line(f"{name}: no shutdown date is known for what would be live")
    return line(f"{name}: what would be live ends {shutdown.date} ({shutdown.source})")


def _verdict(found: Sequence[Finding], outcome: Outcome) -> str:
    errors = [f for f in found if f.severity == "error"]
    if errors:
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        return f"Blocked: {first.subject}: {first.message}{more}"
    if outcome.exit_code:
        return f"Not settled: {outcome.meaning}"
    return "May be merged: nothing speaks against it"


def _findings(proposal: Proposal, found: Sequence[Finding]) -> Iterator[Block]:
    """Show what is wrong anywhere, and what is due where something changes."""
    changed = {str(change.target) for change in proposal.changes}
    found = [f for f in found if f.severity == "error" or f.subject in changed]
    if found:
        rows = tuple(
            (Cell(f.severity), Cell(f.subject), Cell(f.message), Cell(f.hint))
            for f in sorted(found, key=lambda each: each.severity != "error")
        )
        yield Table(("", "target", "finding", "what to do"), rows)


def _evidence(target: str, stored: Stored, standing: str) -> Iterator[Block]:
    verdict, evidence = stored.verdict, stored.evidence
    said = f"Evidence {stored.short} for {target} ({standing}): "
    yield line(Cell(said + verdict.ruling, "strong"))
    yield from headline(verdict)
    arms, *slices = tables(evidence, verdict)
    yield arms
    yield from (line(text) for text in notices(evidence, verdict))
    if lists := [*_lists(verdict)]:
        summary = f"{len(verdict.broke)} broke, {len(verdict.fixed)} fixed"
        yield Details(summary, tuple(lists))
    if slices:
        yield Details("Slices and fields", tuple(slices))
    if standing != "re-run":  # that one is in this job's checkout, and nowhere else
        yield line(f"To see it again: fftdeploy verify {stored.id}")


def _lists(verdict: Verdict) -> Iterator[Block]:
    for what, ids in (
        ("must pass, failed", verdict.must_pass_failed),
        ("broke", verdict.broke),
        ("fixed", verdict.fixed),
    ):
        if ids:
            more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
            yield line(f"{what}: {', '.join(ids[:_NAMED])}{more}")
