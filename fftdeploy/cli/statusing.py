"""Status: what is live, until when, and what one could go back to today."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fftdeploy.api.proof import Question
from fftdeploy.api.readiness import ModelFacts, Readiness, Shutdown, find_shutdown
from fftdeploy.api.verdicts import OTHER_MODEL
from fftdeploy.cli.as_json import bundle_json, hold_json, readiness_json, release_json
from fftdeploy.cli.cells import no_targets, readiness_cell, shutdown_cell
from fftdeploy.cli.session import Session
from fftdeploy.errors import AUTH, FINDING, OK, UNVERIFIED, Outcome, UsageError
from fftdeploy.output.report import Block, Cell, Report, Table, line
from fftdeploy.output.words import moment
from fftdeploy.planning import bundles, findings, plan
from fftdeploy.planning.finding import Finding
from fftdeploy.planning.plan import Candidate
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.times import duration
from fftdeploy.workspace import Questions, select

_COLUMNS = ("target", "model", "since", "by", "evidence", "ready", "runway", "rollback", "answers")
_CONDITIONS = ("runway", "dead", "hand-edit", "no-rollback")
_EVIDENCE_SHOWN = 12


@dataclass
class _Row:
    """One target and what is known of it so far."""

    target: Target
    live: Bundle
    candidates: tuple[Candidate, ...]
    skipped: list[Candidate] = field(default_factory=list)
    chosen: Candidate | None = None
    """The way back: proved, or the first that nothing rules out."""


class Status:
    """One run of `status`."""

    def __init__(
        self, session: Session, names: list[str], *, offline: bool, fail_on: str | None
    ) -> None:
        self.session = session
        self.workspace = session.workspace
        self.conditions = parse_conditions(fail_on or "")
        self.targets = select(self.workspace.deployments, names)
        self.is_online = session.has_key and not offline
        self.proofs: dict[Question, Readiness] = {}
        """Empty where nobody was asked."""

    def run(self) -> Report:
        """Report every target; plain `status` fails for nothing that it finds or can't find out."""
        _ = self.workspace.policy  # a policy that is not valid is worth knowing here, too
        rows = [self._row(target) for target in self.targets]
        if self.is_online:
            self._ask(rows)
        else:
            for row in rows:
                row.chosen = next(filter(_is_open, row.candidates), None)
        failed = [finding for row in rows for finding in self._failures(row)]
        self.session.data.update(
            verified=self.is_online, targets=[self._as_json(row) for row in rows]
        )
        return Report(
            FINDING if failed else self._unproved(),
            self.session.data,
            self._body(rows, failed),
            tuple(failed),
        )

    def _unproved(self) -> Outcome:
        """Return 10 or 9 where `--fail-on` was to find out something and the API did not tell."""
        unverified = [known for known in self.proofs.values() if known.state == "unverified"]
        if not self.conditions or not unverified:
            return OK
        return AUTH if any(known.is_auth for known in unverified) else UNVERIFIED

    def _row(self, target: Target) -> _Row:
        live = bundles.live_bundle(target, self.workspace.sha)
        actor = plan.Actor("status", self.session.now())
        candidates = plan.rollback_candidates(target, live, self.workspace.sha, actor)
        return _Row(target, live, candidates)

    def _ask(self, rows: list[_Row]) -> None:
        """Prove what is live and, for each target, candidates until one answers.

        Each round asks about one more candidate of every target that still needs one, so the
        number of rounds is the depth of the deepest search, not the number of targets.  All
        rounds share one deadline: a search that meets it has found nothing out.
        """
        prover = self.session.prover()
        deadline = prover.deadline()
        searches = [(row, filter(_is_open, row.candidates)) for row in rows]
        asked = [row.live for row in rows]
        while searches:
            looked_at = [(row, left, next(left, None)) for row, left in searches]
            asked += [found.bundle for _, _, found in looked_at if found and found.fate == "ask"]
            questions = map(self._questions.about, asked)
            new = [question for question in questions if question not in self.proofs]
            self.proofs |= prover.prove_all(new, deadline=deadline)
            asked = []
            searches = [(row, left) for row, left, found in looked_at if self._passes(row, found)]

    def _passes(self, row: _Row, candidate: Candidate | None) -> bool:
        """Tell whether `candidate` is passed over; else the search of `row` ends with it."""
        known = self._readiness(candidate.bundle) if candidate else None
        if candidate and candidate.fate == "ask" and known and known.state == "not-ready":
            row.skipped.append(candidate)
            return True
        row.chosen = candidate
        return False

    @cached_property
    def _questions(self) -> Questions:
        return Questions(self.workspace, self.targets)

    def _readiness(self, bundle: Bundle) -> Readiness | None:
        return self.proofs.get(self._questions.about(bundle)) if self.proofs else None

    def _shutdown(self, bundle: Bundle) -> Shutdown | None:
        known = self._readiness(bundle)
        if known:
            return known.shutdown
        return find_shutdown(ModelFacts(bundle.model), None, self.session.kind_unasked)

    def _failures(self, row: _Row) -> list[Finding]:
        """Find what `--fail-on` asks for in one target."""
        target, known = row.target, self._readiness(row.live)
        shutdown = self._shutdown(row.live)
        work, session = self.workspace, self.session
        facts = findings.FindingFacts(
            work.deployments, work.policy, work.sha, session.now(), session.place
        )
        failures = {
            "runway": f"the live model ends {shutdown.date} ({shutdown.source})"
            if shutdown
            and (shutdown.date - facts.now.date()).days < self.conditions.get("runway", 0)
            else "",
            "dead": f"the live model is dead: {known.message}" if known and known.dead else "",
            "no-rollback": _no_way_back(row),
        }
        edited = findings.hand_edit(facts, target)
        found = [edited] if edited and "hand-edit" in self.conditions else []
        if self.conditions and known and known.code == OTHER_MODEL:  # no condition makes it right
            found.append(
                findings.about(facts, target, known.code, known.message, "error", known.hint)
            )
        return found + [
            findings.about(facts, target, code, message)
            for code, message in failures.items()
            if message and code in self.conditions
        ]

    def _body(self, rows: list[_Row], failed: list[Finding]) -> tuple[Block, ...]:
        if not rows:
            return (no_targets(self.workspace),)
        body: list[Block] = [_table(_COLUMNS, [self._cells(row) for row in rows]), line("")]
        outlived = ((row.target, self._outlived(row)) for row in rows)
        body += [line(Cell(f"{target}: {text}", "bad")) for target, text in outlived if text]
        for row in rows:
            body += [line(f"{row.target}: {text}") for text in self._asides(row)]
        body += [line(Cell(f"{failure.subject}: {failure.message}", "bad")) for failure in failed]
        for name in dict.fromkeys(row.target.task for row in rows):
            task = self.workspace.policy.tasks.get(name)
            if task and task.owner:
                body.append(line(Cell(f"{name}: owned by {task.owner}", "dim")))
        if not self.is_online:
            why = "" if self.session.has_key else ": OPENAI_API_KEY is not set"
            body.append(line(Cell(f"not verified with the API{why}", "warn")))
        return tuple(body)

    def _cells(self, row: _Row) -> tuple[Cell, ...]:
        target, newest = row.target, row.target.newest
        is_recorded = bundles.is_recorded(target, row.live)
        known = self._readiness(row.live)
        today = self.session.now().date()
        since = (
            Cell(f"{moment(newest.at)} (release {newest.n})")
            if newest
            else Cell("not recorded", "warn")
        )
        if newest and not is_recorded:
            since = Cell(f"hand edit after release {newest.n}", "bad")
        evidence = newest.evidence if newest and is_recorded else None
        return (
            Cell(str(target), "strong"),
            Cell(str(row.live)),
            since,
            Cell(newest.by if newest and is_recorded else ""),
            Cell((evidence or "")[:_EVIDENCE_SHOWN]),
            readiness_cell(known) if known else Cell("not verified", "dim"),
            shutdown_cell(self._shutdown(row.live), today),
            *self._rollback_cells(row),
        )

    def _rollback_cells(self, row: _Row) -> tuple[Cell, Cell]:
        """Return the way back, and whether it would answer today."""
        candidate = row.chosen
        if candidate is None:
            held = sum(candidate.fate == "held" for candidate in row.candidates)
            aside = f" ({held} older releases are on hold)" if held else ""
            return Cell(f"nothing to roll back to{aside}", "bad"), Cell("")
        back = Cell(f"release {candidate.release.n}: {candidate.bundle}")
        if candidate.fate == "profile":
            return back, Cell(candidate.reason, "bad")
        known = self._readiness(candidate.bundle)
        return back, readiness_cell(known) if known else Cell("not verified", "dim")

    def _outlived(self, row: _Row) -> str:
        """Say that every way back ends with the live model or before it; "" if one does not."""
        live = self._shutdown(row.live)
        skipped = {candidate.release.n for candidate in row.skipped}
        ways = [c for c in row.candidates if c.fate == "ask" and c.release.n not in skipped]
        if live is None:
            return ""
        dates = [self._shutdown(candidate.bundle) for candidate in ways]
        if any(shutdown is None or shutdown.date > live.date for shutdown in dates):
            return ""
        return f"no rollback target outlives the live model ({live.date})"

    def _asides(self, row: _Row) -> list[str]:
        """Say what does not fit a row: holds, skipped releases, warnings."""
        now = self.session.now()
        said = [
            f"on hold: {hold.model}{f' (release {hold.release})' if hold.release else ''}, "
            f"by {hold.by}: {hold.why}"
            for hold in row.target.holds
            if hold.is_active(now)
        ]
        for candidate in row.skipped:
            known = self._readiness(candidate.bundle)
            reason = known.message if known else ""
            said.append(f"passed over release {candidate.release.n}: {reason}")
        known = self._readiness(row.live)
        said += [f"warning: {warning}" for warning in (known.warnings if known else ())]
        said += [f"notice: {notice}" for notice in (known.notices if known else ())]
        return said

    def _as_json(self, row: _Row) -> dict[str, Any]:
        target, today = row.target, self.session.now().date()
        known = self._readiness(row.live)
        shutdown = self._shutdown(row.live)
        task = self.workspace.policy.tasks.get(target.task)
        back = row.chosen
        proof = self._readiness(back.bundle) if back else None
        return {
            "target": str(target),
            **bundle_json(row.live),
            "recorded": bundles.is_recorded(target, row.live),
            "release": release_json(target.newest) if target.newest else None,
            "readiness": readiness_json(known, today) if known else None,
            "shutdown_date": shutdown.date.isoformat() if shutdown else None,
            "shutdown_source": shutdown.source if shutdown else None,
            "runway_days": (shutdown.date - today).days if shutdown else None,
            "rollback": {
                "n": back.release.n,
                **bundle_json(back.bundle),
                "readiness": readiness_json(proof, today) if proof else None,
                "problem": back.reason or None,
            }
            if back
            else None,
            "rollback_outlives": not self._outlived(row),
            "owner": task.owner or None if task else None,
            "description": task.description or None if task else None,
            "holds": [hold_json(hold) for hold in target.holds],
        }


def parse_conditions(text: str) -> dict[str, int]:
    """Read `--fail-on`: condition -> days, which only `runway` uses.

    Raises:
        UsageError: A condition that does not exist, or a runway without a duration.
    """
    conditions = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition(":")
        if name == "drift":
            raise UsageError("--fail-on drift is not in this version of fftdeploy", code="later")
        if name not in _CONDITIONS or (value and name != "runway"):
            known = ", ".join(["runway:30d", *_CONDITIONS[1:]])
            raise UsageError(f"--fail-on {part!a} is not one of {known}")
        span = duration(value) if name == "runway" else None
        if name == "runway" and span is None:
            raise UsageError("--fail-on runway needs days", hint="write runway:30d")
        conditions[name] = -(-int(span.total_seconds()) // 86400) if span else 0
    return conditions


def _is_open(candidate: Candidate) -> bool:
    """Tell whether a rollback would stop at `candidate`, to ask about it or for its prompt."""
    return candidate.fate in {"ask", "profile"}


def _no_way_back(row: _Row) -> str:
    if row.chosen is None:
        return "nothing to roll back to"
    return row.chosen.reason if row.chosen.fate == "profile" else ""


def _table(columns: tuple[str, ...], rows: list[tuple[Cell, ...]]) -> Table:
    """Build a table without the columns that are empty in every row."""
    kept = [index for index in range(len(columns)) if any(row[index].text for row in rows)]
    return Table(
        tuple(columns[index] for index in kept),
        tuple(tuple(row[index] for index in kept) for row in rows),
    )
