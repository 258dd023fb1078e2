"""Scan: the model IDs of the file that are written down elsewhere, each with the way to ask."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from fftdeploy import files
from fftdeploy.commands.context import Context
from fftdeploy.commands.door import door
from fftdeploy.commands.options.looking import ScanOptions
from fftdeploy.errors import FINDING, OK, Outcome
from fftdeploy.output.results import UNPRINTED
from fftdeploy.planning.finding import Finding
from fftdeploy.policy import policy
from fftdeploy.policy.globs import compile_glob
from fftdeploy.pull_request import scanned_files, second_files
from fftdeploy.pull_request.scan import ESCAPE, Hit, Search, Use, uses
from fftdeploy.pull_request.scanned_files import ScannedFile
from fftdeploy.workspace import Workspace, shown_path

_MOST = 1000
"""Where a scan stops: nobody reads more, and the text of a stranger may hold millions."""
_PYTHON = (".py", ".pyi", ".ipynb")


@dataclass(frozen=True, slots=True)
class Scanned:
    """What was looked at, and each line that has an ID."""

    files: int
    bytes: int
    complete: bool
    """False where there are more findings than anybody reads."""
    findings: tuple[Finding, ...] = field(metadata=UNPRINTED)

    @property
    def errors(self) -> int:
        """How many IDs are written down."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def outcome(self) -> Outcome:
        """Any of them is exit code 12."""
        return FINDING if self.errors else OK


def run(context: Context, options: ScanOptions) -> Scanned:
    """Find model IDs that are written elsewhere than in the deployments file, if there is one yet.

    Raises:
        UsageError: There is no such path, or git did not say which files it has.
        ConfigError: The deployments file or the policy is not valid.
    """
    paths = [options.paths] if isinstance(options.paths, str | Path) else options.paths
    asked = [Path(path) for path in paths]
    with context.console.waiting("reading files"):
        return _Scan(context, context.workspace_if_any(), asked, context.console.note).run()


scan = door(run, ScanOptions)


def written_models(context: Context) -> dict[str, list[str]]:
    """Return the fine-tunes that are written down in this repository, with their places.

    Nothing is said on the way, and of a repository full of them only the first are looked at.
    """
    found: dict[str, list[str]] = defaultdict(list)
    scanning = _Scan(context, None, (), lambda _: None)
    for source, hit in islice(scanning.hits(), _MOST):
        found[hit.model].append(f"{shown_path(source.path)}:{hit.line}")
    return found


class _Scan:
    """One run of `scan`."""

    def __init__(
        self,
        context: Context,
        workspace: Workspace | None,
        paths: Sequence[Path],
        say: Callable[[str], None],
    ) -> None:
        self.context, self.workspace = context, workspace
        self.uses = uses(workspace.deployments, context.now()) if workspace else {}
        home = workspace.snapshot.root if workspace else files.root_of(Path.cwd())
        self.asked_and_told = (context.environ, say)
        ignored = [compile_glob(g) for g in workspace.policy.scan.ignore] if workspace else []
        ours = {workspace.snapshot.real, *_exported(workspace)} if workspace else set()
        self.sources = [
            source
            for source in scanned_files.find(paths or [home], home, *self.asked_and_told)
            if source.path not in ours
            and not any(glob.matches(source.name.split("/")) for glob in ignored)
        ]
        self.files = self.bytes = 0
        self.unread: list[tuple[ScannedFile, str]] = []

    def run(self) -> Scanned:
        found = list(islice(self._findings(), _MOST + 1))
        shown = sorted(found[:_MOST], key=lambda finding: finding.severity)  # stable: e before n
        return Scanned(self.files, self.bytes, len(found) <= _MOST, tuple(shown))

    def _findings(self) -> Iterator[Finding]:
        if self.workspace is not None:  # else a file of such a name is no second one
            own = {self.workspace.folder, self.workspace.snapshot.real.parent}
            policies = {folder / policy.FILE_NAME for folder in own}
            for source in self.sources:
                if second_files.is_named(source.name) and source.path not in policies:
                    yield second_files.notice(source.name, self._place(source))
        for source, hit in self.hits():
            yield self._finding(source, hit)
        for source, problem in self.unread:
            place = self._place(source)
            yield Finding("unread", "notice", place, f"not looked at: {problem}", place)

    def hits(self) -> Iterator[tuple[ScannedFile, Hit]]:
        """Yield each ID that is written down; what can't be looked at goes to `unread`."""
        search = Search(self.uses)
        others = (source for source in self.sources if not scanned_files.is_own(source))
        for source, content in scanned_files.contents(others, *self.asked_and_told):
            if content.problem:
                self.unread.append((source, content.problem))
                continue
            self.files += 1
            self.bytes += len(content.data)
            for hit in search.hits(content.data):
                yield source, hit
            del content  # before the next one is read

    def _finding(self, source: ScannedFile, hit: Hit) -> Finding:
        used = self.uses.get(hit.model, ())
        place = self._place(source)
        code, subject = "literal-model", place
        if self.workspace is None:
            message = f"{hit.model} is written down, and there is no {files.NAME} yet"
            hint = f"fftdeploy init --live {hit.model}"
        elif used:
            subject = str(used[0].target)
            message = f"{hit.model} is {_told(used)}"
            is_python = source.name.endswith(_PYTHON)
            hint = (
                f'fftdeploy.resolve("{subject}")' if is_python else f"fftdeploy resolve {subject}"
            )
        else:
            code = "unknown-model"
            message = f"{hit.model} is not in {self.workspace.snapshot.real.name}"
            hint = f"promote it, or write '{ESCAPE.decode()}' on the line"
        return Finding(code, "error", subject, message, place, hit.line, hint)

    def _place(self, source: ScannedFile) -> str:
        """Name a file as a person here would, or from the root for GitHub's sake."""
        return source.name if self.context.from_root else shown_path(source.path)


def _exported(workspace: Workspace) -> Iterator[Path]:
    """Yield the files that the policy declares as exports: `check` holds them to what is live."""
    for name in workspace.policy.exports:
        path = workspace.folder / name
        yield path.parent.resolve() / path.name


def _told(used: Sequence[Use]) -> str:
    """Say what a model is to each target, live first: `live in triage/production`."""
    fates: dict[str, list[str]] = defaultdict(list)
    for use in used:
        fates[use.fate].append(str(use.target))
    return "; ".join(f"{fate} in {', '.join(targets)}" for fate, targets in fates.items())
