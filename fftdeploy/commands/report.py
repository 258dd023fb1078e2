"""Report: one page about one evaluation, with the outputs where this machine still has them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from fftdeploy import files
from fftdeploy.commands.context import Context
from fftdeploy.commands.door import Options, door
from fftdeploy.commands.views import EvidenceID
from fftdeploy.errors import FftdeployError, UsageError
from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder, Stored
from fftdeploy.evaluation.examples.examples import Example, ExampleSet
from fftdeploy.evaluation.running.graded_outputs import GradedOutputs, graded_outputs
from fftdeploy.evaluation.texts import ExampleText
from fftdeploy.evaluation.verdict import Verdict
from fftdeploy.output.results import UNPRINTED
from fftdeploy.workspace import shown_path


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions(Options):
    """What may be said to `report`."""

    evidence: str | None = field(default=None, kw_only=False)
    """ID or file; None for the newest."""
    out: str | Path | None = None
    """The page (`.html`) or JUnit (`.xml`) to write."""
    redact: bool = False
    """Leave inputs, answers and outputs out of the page."""


@dataclass(frozen=True, slots=True)
class Reported:
    """An evaluation, and where a page about it was written."""

    evidence: EvidenceID
    verdict: Verdict
    written: str | None
    stored: Stored = field(metadata=UNPRINTED)


def run(context: Context, options: ReportOptions) -> Reported:
    """Show an evaluation, or write it as one self-contained page or as JUnit.

    Raises:
        UsageError: There is no such evidence, or `out` is neither.
        ConfigError: The evidence was edited.
        InconclusiveError: It was made under an older rule.
        DiskError: The page could not be written.
    """
    if options.redact and options.out is None:
        raise UsageError("--redact is for a page", hint="add -o report.html")
    folder = EvidenceFolder(context.workspace.folder)
    stored = folder.find(options.evidence) if options.evidence else _newest(folder)
    context.known = result = Reported(stored.id, stored.verdict, None, stored)
    if options.out is None:
        return result
    path = Path.cwd() / options.out
    files.put(path, _rendered(context, stored, options).encode())
    return replace(result, written=shown_path(path))


report = door(run, ReportOptions)


def _newest(folder: EvidenceFolder) -> Stored:
    newest = [stored for task in folder.tasks() for stored in islice(folder.of_task(task), 1)]
    if not newest:
        for path in (path for task in folder.tasks() for path in folder.paths(task)):
            folder.read(path)  # it says why that is of no use
        raise UsageError(
            "there is no evidence yet", hint="fftdeploy eval TASK/ENVIRONMENT", code="no-evidence"
        )
    return max(newest, key=lambda stored: (stored.evidence.made_at, stored.id))


def _rendered(context: Context, stored: Stored, options: ReportOptions) -> str:
    suffix = Path(options.out or "").suffix
    if suffix == ".xml":
        from fftdeploy.output.junit import junit

        return junit(stored.evidence, stored.id, context.secrets)
    if suffix not in {".html", ".htm"}:
        raise UsageError(
            f"{str(options.out)!a} is no page", hint="name it report.html, or junit.xml"
        )
    from fftdeploy.output.page.page import report_page

    redact = options.redact
    texts = None if redact else _texts(context, stored)
    return report_page(stored.evidence, stored.id, texts, redact=redact, secrets=context.secrets)


def _texts(context: Context, stored: Stored) -> list[ExampleText] | None:
    """Return what was asked and answered; None, and why, where it is not here any more."""
    workspace, evidence = context.workspace, stored.evidence
    try:
        outputs = graded_outputs(evidence, workspace.folder)
        examples = context.quality_bar(workspace, evidence.target).checked_examples
    except FftdeployError as error:
        context.console.note(f"note: the page has no outputs: {error.message}")
        return None
    if examples.sha != evidence.examples.sha:
        context.console.note("note: the page has no outputs: the examples have changed since")
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
