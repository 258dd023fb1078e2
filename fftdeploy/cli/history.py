"""What was live when, and what undid what."""

from datetime import datetime, time

from fftdeploy.cli.as_json import release_json
from fftdeploy.cli.cells import no_targets
from fftdeploy.cli.session import Session
from fftdeploy.output.report import Block, Cell, Report, Table, line
from fftdeploy.output.words import moment
from fftdeploy.releases.deployments import Release, Target
from fftdeploy.workspace import select

_COLUMNS = ("release", "live since", "model", "via", "by", "why", "notes")


def report(session: Session, name: str | None, at: datetime | None) -> Report:
    """List the releases of the targets `name` matches, or what was live `at` a moment."""
    targets = select(session.workspace.deployments, [name] if name else [])
    if not targets:
        when = {"at": _second(at)} if at is not None else {}
        return Report(data={**when, "targets": []}, body=(no_targets(session.workspace),))
    if at is not None:
        return _report_at(targets, at)
    body: list[Block] = []
    for target in targets:
        none = line(f'no releases yet: fftdeploy adopt {target} --why "TEXT"')
        body += [line(Cell(str(target), "strong")), _table(target) if target.releases else none]
    data = {
        "targets": [
            {
                "target": str(target),
                "releases": [
                    {**release_json(release), "undone_by": undone.get(release.n)}
                    for release in target.releases
                ],
            }
            for target in targets
            for undone in [_undone_by(target)]
        ]
    }
    return Report(data=data, body=tuple(body))


def live_at(target: Target, at: datetime) -> Release | None:
    """Return the release that was live `at` a moment; None before the oldest.

    Order is by position: the newest release made live by then is the one.
    """
    return next((release for release in target.releases if release.at <= at), None)


def _report_at(targets: list[Target], at: datetime) -> Report:
    rows, found = [], []
    for target in targets:
        release = live_at(target, at)
        number = str(release.n) if release else ""
        model = str(release.bundle) if release else "not recorded"
        since = moment(release.at) if release else ""
        rows.append((Cell(str(target)), Cell(model), Cell(number), Cell(since)))
        found.append({"target": str(target), "release": release_json(release) if release else None})
    table = Table(("target", "model", "release", "since"), tuple(rows))
    when = f"the end of {at:%Y-%m-%d}, UTC" if at.time() == time.max else f"{at:%Y-%m-%d %H:%M:%SZ}"
    heading = line(Cell(f"live at {when}", "strong"))
    return Report(data={"at": _second(at), "targets": found}, body=(heading, table))


def _second(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _undone_by(target: Target) -> dict[int, int]:
    """Map each release that a rollback took out of service to that rollback's number."""
    pairs = zip(target.releases, target.releases[1:], strict=False)
    return {old.n: new.n for new, old in pairs if new.via == "rollback"}


def _table(target: Target) -> Table:
    undone = _undone_by(target)
    return Table(_COLUMNS, tuple(_row(target, release, undone) for release in target.releases))


def _row(target: Target, release: Release, undone: dict[int, int]) -> tuple[Cell, ...]:
    via = f"{release.via} to {release.to}" if release.to else release.job or release.via
    notes = []
    named = (release.bundle.model, release.bundle.provider, release.bundle.profile)
    if release is target.newest and named == (target.model, target.provider, target.profile):
        notes.append("live")
    if release.n in undone:
        notes.append(f"undone by {undone[release.n]}")
    if not release.verified:
        notes.append("unverified")
    if release.overrides:
        notes.append(f"overrode {', '.join(release.overrides)}")
    return (
        Cell(str(release.n)),
        Cell(moment(release.at)),
        Cell(str(release.bundle)),
        Cell(via),
        Cell(release.by),
        Cell(release.why or ""),
        Cell(", ".join(notes), "good" if "live" in notes else "warn"),
    )
