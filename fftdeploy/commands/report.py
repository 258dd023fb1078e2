"""Report: one page about one evaluation, with the outputs where this machine still has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from fftdeploy import files
from fftdeploy.commands.context import Context, require_page
from fftdeploy.commands.door import door
from fftdeploy.commands.evaluating.graded_texts import GradedTexts, texts_of
from fftdeploy.commands.options.looking import ReportOptions
from fftdeploy.commands.views import EvidenceID
from fftdeploy.errors import UsageError
from fftdeploy.evaluation.evidence.evidence_folder import EvidenceFolder, Stored
from fftdeploy.evaluation.patterns.told import Told, told_by
from fftdeploy.evaluation.verdict import Verdict
from fftdeploy.files.folders import PAGES
from fftdeploy.names import FLAT
from fftdeploy.output.page.tables import changes
from fftdeploy.output.results import UNPRINTED
from fftdeploy.workspace import shown_path


@dataclass(frozen=True, slots=True)
class Reported:
    """An evaluation, and where a page about it was written."""

    evidence: EvidenceID
    verdict: Verdict
    written: str | None
    path: Path | None = field(metadata=UNPRINTED)
    """Where that is."""
    changes: Mapping[str, Mapping[str, float]]
    """By how much the candidate's means differ from those of another model, as shares of those."""
    told: Told = field(metadata=FLAT)
    stored: Stored = field(metadata=UNPRINTED)


def run(context: Context, options: ReportOptions) -> Reported:
    """Show an evaluation, or write it as one self-contained page or as JUnit.

    Raises:
        UsageError: There is no such evidence, or `out` is neither.
        ConfigError: The evidence was edited.
        InconclusiveError: It was made under an older rule.
        DiskError: The page could not be written.
    """
    if options.redact and options.out is None and not options.page:
        raise UsageError("--redact is for a page", hint="add -o report.html")
    folder = EvidenceFolder(context.workspace.folder)
    stored = _stored(folder, options.evidence)
    texts = texts_of(context, stored.evidence)
    gone = "left out, as was asked" if options.redact else texts.gone
    told = told_by(texts, stored.evidence, gone)
    context.known = result = Reported(
        stored.id, stored.verdict, None, None, changes(stored.verdict), told, stored
    )
    if options.out is None and not options.page:
        return result
    root = context.workspace.folder
    path = Path.cwd() / options.out if options.out else root / PAGES / f"{stored.short}.html"
    content = _rendered(context, result, texts, replace(options, out=path)).encode()
    if options.out:
        files.put(path, content)
    else:
        files.create(path.with_name(".gitignore"), b"*\n", root=root)
        files.put(path, content, mode=0o600)  # as the log that the outputs are from
    return replace(result, written=shown_path(path), path=path)


report = door(run, ReportOptions)


def _stored(folder: EvidenceFolder, name: str | None) -> Stored:
    if name and name not in folder.tasks():
        return folder.find(name)
    tasks = [name] if name else folder.tasks()
    newest = [stored for task in tasks for stored in islice(folder.of_task(task), 1)]
    if not newest:
        for path in folder.paths(name or "*"):
            folder.read(path)  # it says why that is of no use
        raise UsageError(
            "there is no evidence yet", hint="fftdeploy eval TASK/ENVIRONMENT", code="no-evidence"
        )
    return max(newest, key=lambda stored: (stored.evidence.made_at, stored.id))


def _rendered(context: Context, found: Reported, texts: GradedTexts, options: ReportOptions) -> str:
    out = options.out or ""
    if Path(out).suffix == ".xml":
        from fftdeploy.output.junit import junit

        return junit(found.stored.evidence, found.stored.id, context.secrets)
    require_page(out, "name it report.html, or junit.xml")
    from fftdeploy.output.page.page import report_page

    if texts.gone and not options.redact:
        context.console.note(f"note: the page has no outputs: {texts.gone}")
    return report_page(
        found.stored.evidence,
        found.stored.id,
        None if texts.gone else texts,
        found.told,
        redact=options.redact,
        secrets=context.secrets,
    )
