"""Verify: recompute what evidence says, offline, and say what it is still about."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from fftdeploy.cli.session import Session
from fftdeploy.errors import CONFIG, OK, ConfigError, FftdeployError, InconclusiveError
from fftdeploy.evaluation.evidence.evidence import SHOWN_DIGITS
from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder, Stored, too_old
from fftdeploy.evaluation.evidence.quality_bar import QualityBar
from fftdeploy.output.report import Block, Cell, Report, Table, line
from fftdeploy.workspace import Workspace

_COLUMNS = ("evidence", "task", "made", "candidate", "verdict", "recomputed", "now")


def verify(session: Session, names: list[str]) -> Report:
    """Recompute the evidence that `names` mean, or all of it.

    Evidence that does not give its own verdict ends it with exit 3; that the examples or the
    gate have changed since is only said: it was true of what it names.  What was made under an
    older rule can't be recomputed: exit 7 where it was asked for by name, else that is only said.
    """
    workspace = session.workspace
    folder = EvidenceFolder(workspace.folder)
    rows, checked = [], []
    wrong: ConfigError | None = None
    older: InconclusiveError | None = None
    bars = cache(lambda task: session.quality_bar(workspace, f"{task}/"))  # examples are read once
    for path in _paths(folder, names):
        try:
            stored = folder.read(path)
        except InconclusiveError as error:
            older = older or error
            rows.append(_unread_row(path, Cell("made under an older rule", "warn")))
            checked.append(_unread(path, error, is_consistent=None))
            continue
        except ConfigError as error:
            session.output.message(f"error: {error.message}")
            wrong = wrong or error
            rows.append(_unread_row(path, Cell(error.message, "bad")))
            checked.append(_unread(path, error, is_consistent=False))
            continue
        since = "; ".join(_changes(session, workspace, bars, stored)) or "as it was"
        rows.append(_row(stored, since))
        checked.append(_as_json(stored, since))
    if wrong is None and older is not None and names:
        raise older
    if wrong and wrong.hint:
        session.output.message(f"hint: {wrong.hint}")
    session.data.update(evidence=checked)
    body: tuple[Block, ...] = (line("no evidence yet"),)
    if rows:
        body = (Table(_COLUMNS, tuple(rows)), line(_SAID))
    return Report(CONFIG if wrong else OK, session.data, body)


_SAID = "consistent evidence says what its answers give, not that the run took place"


def _paths(folder: EvidenceFolder, names: list[str]) -> list[Path]:
    if names:
        return [folder.locate(name) for name in names]
    every = [path for task in folder.tasks() for path in folder.paths(task)]
    return sorted(every, key=lambda path: _made(folder, path), reverse=True)


def _made(folder: EvidenceFolder, path: Path) -> tuple[str, str, str]:
    """Order by task, the newest first; what can not be read has no moment."""
    try:
        return path.parent.name, f"{folder.read(path).evidence.made_at}", path.stem
    except (ConfigError, InconclusiveError):
        return path.parent.name, "", path.stem


def _changes(
    session: Session, workspace: Workspace, bars: Callable[[str], QualityBar], stored: Stored
) -> Iterator[str]:
    """Say what of the repository is no longer what the evidence is about."""
    evidence = stored.evidence
    try:
        question = bars(evidence.task).question(evidence.candidate, evidence.arms.get("live"))
    except FftdeployError as error:
        yield error.message
        return
    if evidence.examples.sha != question.examples_sha:
        yield "examples changed"
    if evidence.graders_sha != question.graders_sha:
        yield "graders changed"
    if evidence.gate_sha != question.gate_sha:
        yield "gate changed"
    for name, bundle in evidence.arms.items():
        if bundle.profile and workspace.sha(bundle.profile) != bundle.profile_sha:
            yield f"profile of {name} changed"
    if problem := too_old(evidence, question.max_age, session.now()):
        yield problem


def _row(stored: Stored, since: str) -> tuple[Cell, ...]:
    evidence = stored.evidence
    ruling = stored.verdict.ruling
    return (
        Cell(stored.short, "strong"),
        Cell(evidence.task),
        Cell(f"{evidence.made_at:%Y-%m-%d %H:%MZ}"),
        Cell(str(evidence.candidate)),
        Cell(ruling, "good" if ruling == "pass" else "warn"),
        Cell("the same", "good"),
        Cell(since, "dim" if since == "as it was" else "warn"),
    )


def _unread_row(path: Path, why: Cell) -> tuple[Cell, ...]:
    first = (Cell(path.stem[:SHOWN_DIGITS], "strong"), Cell(path.parent.name))
    return (*first, Cell(""), Cell(""), Cell(""), why, Cell(""))


def _unread(path: Path, error: FftdeployError, *, is_consistent: bool | None) -> dict[str, Any]:
    return {"evidence": path.stem, "consistent": is_consistent, "problem": error.message}


def _as_json(stored: Stored, since: str) -> dict[str, Any]:
    evidence = stored.evidence
    return {
        "evidence": stored.id,
        "consistent": True,
        "task": evidence.task,
        "target": evidence.target,
        "made_at": f"{evidence.made_at:%Y-%m-%dT%H:%M:%SZ}",
        "candidate": evidence.candidate.model,
        "ruling": stored.verdict.ruling,
        "since": since,
    }
