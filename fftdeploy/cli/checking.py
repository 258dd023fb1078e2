"""Check: everything the files and the API prove, and one exit code for it."""

from fftdeploy import findings
from fftdeploy.cli.session import Session
from fftdeploy.errors import AUTH, FINDING, OK, UNVERIFIED, Outcome
from fftdeploy.plan import live_bundle
from fftdeploy.proof import Question
from fftdeploy.readiness import Facts, Readiness, Shutdown, find_shutdown
from fftdeploy.report import Block, Cell, Finding, Report, Table, line
from fftdeploy.workspace import select

_PROBES_AT_ONCE = 20


class Check:
    """One run of `check`; it looks at everything before it says anything."""

    def __init__(self, session: Session, names: list[str], *, offline: bool, probe: bool) -> None:
        self.session = session
        self.workspace = session.workspace
        self.targets = select(self.workspace.deployments, names)
        self.is_online = not offline and (session.has_key or probe)
        self.probe = probe

    def run(self) -> Report:
        """Report all findings; the gravest decides the exit code."""
        readiness = self._ask() if self.is_online else {}
        facts = findings.Facts(
            self.workspace.deployments,
            self.workspace.policy,
            self.workspace.sha,
            self.session.now(),
            self.workspace.shown,
        )
        found = findings.in_file(facts, self.targets)
        found += findings.from_api(facts, self.targets, readiness)
        found += findings.runway(facts, self.targets, self._shutdowns(readiness))
        outcome = _outcome(found, readiness)
        self.session.data.update(
            verified=self.is_online,
            targets=[
                {
                    "target": str(target),
                    "model": target.model,
                    "readiness": readiness[target.model].state
                    if target.model in readiness
                    else "not-asked",
                }
                for target in self.targets
            ],
            findings=[],
        )
        return Report(outcome, self.session.data, self._body(found), tuple(found))

    def _ask(self) -> dict[str, Readiness]:
        prover = self.session.prover(concurrency=_PROBES_AT_ONCE)
        kin = {
            target.model: tuple(release.bundle.model for release in target.releases)
            for target in self.targets
        }
        if not self.probe:
            return prover.check_listed(kin, kin)
        questions = {
            Question(
                target.model,
                self.workspace.endpoint(live_bundle(target, self.workspace.sha).profile),
                kin=kin[target.model],
            )
            for target in self.targets
        }
        return {
            question.model: readiness for question, readiness in prover.prove_all(questions).items()
        }

    def _shutdowns(self, readiness: dict[str, Readiness]) -> dict[str, Shutdown | None]:
        """Return shutdown dates: from the API where it was asked, else from the table."""
        return {
            target.model: readiness[target.model].shutdown
            if target.model in readiness
            else find_shutdown(Facts(target.model), None)
            for target in self.targets
        }

    def _body(self, found: list[Finding]) -> tuple[Block, ...]:
        rows = tuple(
            (
                Cell(finding.severity, "bad" if finding.severity == "error" else "warn"),
                Cell(f"{finding.path}:{finding.line}" if finding.line else finding.subject),
                Cell(finding.subject),
                Cell(finding.message),
                Cell(finding.hint, "dim"),
            )
            for finding in sorted(found, key=lambda finding: finding.severity)
        )
        body: list[Block] = []
        if rows:
            body.append(Table(("severity", "place", "target", "finding", "hint"), rows))
        errors = sum(finding.severity == "error" for finding in found)
        count = f"{len(self.targets)} targets checked, {errors} errors"
        body.append(line(f"{count}, {len(found) - errors} notices"))
        if not self.is_online:
            body.append(line(Cell("NOT VERIFIED with the API: no model was asked about", "warn")))
        return tuple(body)


def _outcome(found: list[Finding], readiness: dict[str, Readiness]) -> Outcome:
    """Return the gravest outcome: 12 before 10 before 9 before 0."""
    if any(finding.severity == "error" for finding in found):
        return FINDING
    unverified = [known for known in readiness.values() if known.state == "unverified"]
    if any(known.is_auth for known in unverified):
        return AUTH
    return UNVERIFIED if unverified else OK
