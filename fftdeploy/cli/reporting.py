"""Report: one page about one evaluation, with the outputs where this machine still has them."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from fftdeploy import files
from fftdeploy.cli.session import Session
from fftdeploy.cli.verdict_blocks import verdict_blocks
from fftdeploy.errors import FftdeployError, UsageError
from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder, Stored
from fftdeploy.evaluation.examples.examples import Example, ExampleSet
from fftdeploy.evaluation.running.graded_outputs import GradedOutputs, graded_outputs
from fftdeploy.evaluation.texts import ExampleText
from fftdeploy.output.report import Cell, Report, line
from fftdeploy.workspace import shown_path


def report(session: Session, name: str | None, out: Path | None, *, redact: bool) -> Report:
    """Show evidence on the terminal, or write it as a page (.html) or as JUnit (.xml).

    Raises:
        UsageError: There is no such evidence, or `out` is neither.
        DiskError: The page could not be written.
    """
    folder = EvidenceFolder(session.workspace.folder)
    stored = folder.find(name) if name else _newest(folder)
    session.data.update(evidence=stored.id, verdict=stored.verdict.as_json(), written=None)
    if out is None:
        made = stored.evidence.made_at
        about = f"{stored.evidence.target}, made {made:%Y-%m-%d %H:%MZ}, {stored.evidence.address}"
        heading = line(Cell(f"evidence {stored.short}", "strong"), f"  {about}")
        blocks = (heading, *verdict_blocks(stored.evidence, stored.verdict))
        following = f"fftdeploy report {stored.short} -o report.html"
        return Report(data=session.data, body=blocks, next=following)
    text = _rendered(session, stored, out, redact=redact)
    files.put(Path.cwd() / out, text.encode())
    shown = shown_path(Path.cwd() / out)
    session.data.update(written=shown)
    return Report(data=session.data, body=(line(f"wrote {shown}"),))


def _newest(folder: EvidenceFolder) -> Stored:
    newest = [stored for task in folder.tasks() for stored in islice(folder.of_task(task), 1)]
    if not newest:
        for path in (path for task in folder.tasks() for path in folder.paths(task)):
            folder.read(path)  # it says why that is of no use
        raise UsageError(
            "there is no evidence yet", hint="fftdeploy eval TASK/ENVIRONMENT", code="no-evidence"
        )
    return max(newest, key=lambda stored: (stored.evidence.made_at, stored.id))


def _rendered(session: Session, stored: Stored, out: Path, *, redact: bool) -> str:
    if out.suffix == ".xml":
        from fftdeploy.output.junit import junit

        return junit(stored.evidence, stored.id, session.output.secrets)
    if out.suffix not in {".html", ".htm"}:
        raise UsageError(f"{str(out)!a} is no page", hint="name it report.html, or junit.xml")
    from fftdeploy.output.page.page import report_page

    texts = None if redact else _texts(session, stored)
    return report_page(
        stored.evidence, stored.id, texts, redact=redact, secrets=session.output.secrets
    )


def _texts(session: Session, stored: Stored) -> list[ExampleText] | None:
    """Return what was asked and answered; None, and why, where it is not here any more."""
    workspace, evidence = session.workspace, stored.evidence
    try:
        outputs = graded_outputs(evidence, workspace.folder)
        examples = session.quality_bar(workspace, evidence.target).checked_examples
    except FftdeployError as error:
        session.output.note(f"note: the page has no outputs: {error.message}")
        return None
    if examples.sha != evidence.examples.sha:
        session.output.note("note: the page has no outputs: the examples have changed since")
        return None
    return list(_each_text(examples, outputs))


def _each_text(examples: ExampleSet, outputs: GradedOutputs) -> Iterator[ExampleText]:
    for index in range(len(examples)):
        example = examples.read(index)
        yield ExampleText(
            id=example.id,
            input=conversation(example),
            reference=example.reference,
            tags=example.tags,
            meta=example.meta,
            outputs=outputs.get(example.id, {}),
            others=example.others,
        )


def conversation(example: Example) -> str:
    """Return what was asked: the user's message alone where that is all, else turn by turn."""
    turns = [turn for turn in example.messages if turn["role"] not in {"system", "developer"}]
    if len(turns) == 1:
        return _said(turns[0])
    return "\n".join(f"{turn['role']}: {_said(turn)}" for turn in turns)


def _said(turn: Mapping[str, object]) -> str:
    content = turn.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))
