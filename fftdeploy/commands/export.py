"""Export: what is live, in the formats of gateways, flags and infrastructure."""

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fftdeploy import files
from fftdeploy.api.end_dates import find_shutdown
from fftdeploy.commands.context import Context
from fftdeploy.commands.door import door
from fftdeploy.commands.options.looking import ExportOptions
from fftdeploy.errors import (
    FINDING,
    OK,
    ConfigError,
    DiskError,
    FftdeployError,
    Outcome,
    UsageError,
)
from fftdeploy.files import disk
from fftdeploy.model_ids.retirement import replacement_for
from fftdeploy.names import OPENAI, not_one_of
from fftdeploy.output.results import OMITTED, UNPRINTED
from fftdeploy.planning import bundles
from fftdeploy.planning.finding import Finding
from fftdeploy.policy.policy import FILE_NAME, Task
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.routing.exports import FORMATS, ExportedModel, ExportedTarget, left_out
from fftdeploy.workspace import Workspace, shown_path

if TYPE_CHECKING:  # most exports are compared with no base
    from fftdeploy.pull_request.base_ref import BaseRef

_OLDER = 10
"""Most releases of a target, beside what is live, that a flag has as variants."""
_ALWAYS = datetime.min.replace(tzinfo=UTC)
"""A hold that is not lifted blocks then: what is written does not change with the time."""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """What is live, as a program reads it that is not ours."""

    kind: str
    path: str | None
    """The file that was written, or looked at."""
    text: str
    current: bool | None = field(default=None, metadata=OMITTED)
    """With `check`: whether the file is what would be written."""
    written: bool | None = field(default=None, metadata=OMITTED)
    """Without: whether it was written; it was not where it said the same already."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, or looked at."""

    files: tuple[ExportedFile, ...]
    findings: tuple[Finding, ...] = field(default=(), metadata=UNPRINTED)

    @property
    def outcome(self) -> Outcome:
        """A file that is not current is exit code 12."""
        return FINDING if any(each.current is False for each in self.files) else OK


def run(context: Context, options: ExportOptions) -> Exported:
    """Write what is live in one of the formats; the two files and the profiles decide it alone.

    Raises:
        UsageError: There is no such format, nothing to write or check, or a file is no such export.
        ConfigError: A file is not valid, or two targets would have the same variables.
        DiskError: A file could not be read or written.
    """
    places, workspace = _places(context, options), context.workspace
    targets = _targets(workspace)
    kinds = [*dict.fromkeys(one.kind for one in places)] or [str(options.kind)]
    texts = {kind: FORMATS[kind].write(targets) for kind in kinds}
    if not places:
        found = _left_out(context, kinds, targets)
        return Exported(
            tuple(ExportedFile(kind, None, text) for kind, text in texts.items()), found
        )
    if options.check:
        wrong = {one.path: one.stale(texts[one.kind]) for one in places}
        made = [
            ExportedFile(one.kind, one.shown, texts[one.kind], wrong[one.path] is None)
            for one in places
        ]
        return Exported(tuple(made), tuple(filter(None, wrong.values())))
    for one in places:
        one.require(workspace.folder)
    due = [one for one in places if one.stale(texts[one.kind])]
    found = _left_out(context, dict.fromkeys(one.kind for one in due), targets)
    _put(due, texts)
    made = [
        ExportedFile(one.kind, one.shown, texts[one.kind], written=one in due) for one in places
    ]
    return Exported(tuple(made), found)


def _put(due: "list[ExportPlace]", texts: Mapping[str, str]) -> None:
    """Write all of them, or none where it is seen beforehand that a folder takes no file.

    Raises:
        DiskError: The disk refused; it says what was written before that.
    """
    for one in due:
        one.require_folder()
    for count, one in enumerate(due):
        try:
            one.put(texts[one.kind])
        except FftdeployError as error:
            written = ", ".join(each.shown for each in due[:count])
            error.details += (f"written before that: {written or 'nothing'}",)
            error.hint = error.hint or one.hint
            raise


def _left_out(
    context: Context, kinds: Iterable[str], targets: list[ExportedTarget]
) -> tuple[Finding, ...]:
    """Tell what the formats that are written can't say, in one line of all targets alike."""
    said = [each for kind in kinds for each in left_out(kind, targets)]
    whom: dict[str, list[str]] = {}
    for target, message in said:
        whom.setdefault(message, []).append(target)
    for message, names in whom.items():
        context.console.note(f"warning: {', '.join(names)}: {message}")
    return tuple(Finding("export-left-out", "notice", *each) for each in said)


export = door(run, ExportOptions)


def stale(
    context: Context, base: "BaseRef | None", file_option: str, *, leave: bool
) -> list[Finding]:
    """List which declared exports are not current; what the base declares counts as well.

    With a maintainer's `leave` a line may be taken away: what is left of its file is a notice.
    `file_option` is how the line that writes them names the deployments file.

    Raises:
        ConfigError: A file is not valid, or two targets would have the same variables.
    """
    now = context.workspace.policy.exports
    at_base = base.tip.policy.exports if base else {}
    lacking = {name: kind for name, kind in at_base.items() if now.get(name) != kind}
    if not now and not lacking:
        return []
    targets = _targets(context.workspace)
    since = _declared_since(base, lacking.keys() - now.keys()) if base else set()
    gone = {name: kind for name, kind in lacking.items() if name not in since}
    named = {**gone, **now} if leave else {**now, **gone}
    if base:
        later = {name: kind for name, kind in lacking.items() if name in since}
        named |= {name: kind for name, kind in later.items() if _alters(base, targets, kind)}
    found = []
    for one in _declared(context, named, file_option):
        name = one.path.relative_to(context.workspace.folder).as_posix()
        finding = one.stale(FORMATS[one.kind].write(targets))
        if finding and base and name in since:
            message = f"{finding.message}: {base.ref} declares it since"
            hint = f"git merge {shlex.quote(base.ref)} && fftdeploy export{file_option}"
            finding = replace(finding, message=message, hint=hint)
        elif finding and leave and name not in now:
            finding = replace(finding, severity="notice") if os.path.lexists(one.path) else None
        found += [finding] if finding else []
    return found


def _declared_since(base: "BaseRef", names: AbstractSet[str]) -> AbstractSet[str]:
    """Return which of the base's exports were not declared where the change has parted from it."""
    try:
        return names - base.fork.policy.exports.keys()
    except ConfigError:  # what was wrong with it then has been mended since
        return names


def _alters(base: "BaseRef", targets: list[ExportedTarget], kind: str) -> bool:
    """Tell whether the change alters what is written: where not, a merge leaves it current."""
    write = FORMATS[kind].write
    try:
        return write(_targets(base.fork)) != write(targets)
    except ConfigError:
        return True


def due(context: Context, workspace: Workspace) -> "list[tuple[ExportPlace, str]]":
    """List which declared exports `workspace` makes stale, each with what it has to say.

    Raises:
        UsageError: Something else is in the place of one.
        ConfigError: A profile is missing, or two targets would have the same variables.
    """
    named = workspace.policy.exports
    targets = _targets(workspace) if named else []
    places = _declared(context, named, context.file_option)
    for one in places:
        one.require(workspace.folder)
    texts = [(one, FORMATS[one.kind].write(targets)) for one in places]
    return [(one, text) for one, text in texts if one.stale(text)]


@dataclass(frozen=True, slots=True)
class ExportPlace:
    """Where an export is, or will be; no link leads out of `root`."""

    kind: str
    path: Path
    root: Path
    shown: str
    """How findings name it."""
    hint: str
    """The line that writes it."""

    def stale(self, text: str) -> Finding | None:
        """Say why the file is not what would be written."""
        hint, why = self.hint, "is missing"
        if os.path.lexists(self.path):
            data = files.read(self.path, root=self.root).data
            if data == text.encode():
                return None
            why = "is not what the files say"
            if not self._is_export(data):
                hint, why = f"remove it, and: {hint}", f"is no export of {self.kind}"
        message = f"{self.shown} {why}"
        return Finding("export-stale", "error", self.shown, message, self.shown, 1, hint)

    def put(self, text: str) -> None:
        """Write it, with the folders that it needs.

        Raises:
            DiskError: The disk refused.
        """
        files.put(self.path, text.encode(), root=self.root)

    def require_folder(self) -> None:
        """Refuse a folder that would take no file.

        Raises:
            DiskError: It would not.
        """
        inside = Path(os.path.realpath(self.root))
        real = Path(os.path.realpath(self.path.parent))
        try:
            problem = disk.folder_problem(inside, real.relative_to(inside).parts)
        except OSError as error:
            problem = disk.reason(error)
        if problem:
            raise DiskError(f"{problem} writing {self.shown}", where=self.shown)

    def require(self, folder: Path) -> None:
        """Refuse to write over, or among, what is no export of this format.

        Raises:
            UsageError: It is that.
        """
        shown, real = shown_path(self.path), self.path.resolve()
        is_ours = {".git", ".fftdeploy"} & {*map(str.lower, real.parts)} or (
            (folder / "profiles").resolve() in real.parents or real.suffix in {".toml", ".jsonl"}
        )
        if is_ours or not real.is_relative_to(self.root.resolve()):
            raise UsageError(f"{shown} is no place for an export", hint="name another file")
        if not self.root.is_dir():  # no folder is made outside of what is versioned
            needed = shown_path(self.root)
            raise UsageError(f"no such folder: {needed}", hint=f"mkdir -p {shlex.quote(needed)}")
        if self.path.is_symlink():
            raise UsageError(f"{shown} is a link", hint="remove it, or name another file")
        if os.path.lexists(self.path) and not self._is_export(
            files.read(self.path, root=self.root).data
        ):
            problem = f"{shown} is there, and is no export of {self.kind}"
            raise UsageError(problem, hint="remove it, or name another file")

    def _is_export(self, data: bytes) -> bool:
        try:
            return not data or bool(re.fullmatch(FORMATS[self.kind].like, data.decode()))
        except ValueError:
            return False


def _places(context: Context, options: ExportOptions) -> list[ExportPlace]:
    """Return where to write, or what to look at; none where it is only printed.

    Raises:
        UsageError: There is no such format, or nothing to write or check.
    """
    kind, output = options.kind, options.output
    if kind is not None and kind not in FORMATS:
        raise UsageError(**not_one_of("format", kind, list(FORMATS)))
    if kind is None:
        named, why = context.workspace.policy.exports, "--output needs a format"
        if output is None and named:
            return _declared(context, named, context.file_option)
        why = why if output else f"no format is said, and {FILE_NAME} declares no [exports]"
        raise UsageError(why, hint="fftdeploy export flagd -o FILE")
    if output is None:
        if options.check:
            hint = f"fftdeploy export {kind} -o FILE --check"
            raise UsageError("--check needs the file", hint=hint)
        return []
    path, top = Path.cwd() / output, context.workspace.snapshot.root
    # Below the top of the repository folders are made; the way there may be a link.
    root = top if Path(os.path.realpath(path.parent)).is_relative_to(top) else path.parent
    shown = shown_path(path)
    hint = f"fftdeploy export {kind} -o {shlex.quote(shown)}{context.file_option}"
    return [ExportPlace(kind, path, root, shown, hint)]


def _declared(context: Context, named: Mapping[str, str], file_option: str) -> list[ExportPlace]:
    workspace, beside, places = context.workspace, Path(context.place).parent, []
    for name, kind in named.items():
        path, hint = workspace.folder / name, "fftdeploy export"
        if workspace.policy.exports.get(name) != kind:  # only the base declares it
            hint += f" {kind} -o {shlex.quote(shown_path(path))}"
        shown = str(beside / name)
        places.append(ExportPlace(kind, path, workspace.folder, shown, hint + file_option))
    return places


def _targets(workspace: Workspace) -> list[ExportedTarget]:
    """Collect all targets, by name: in whatever order they stand, what is written is the same."""
    chosen = sorted(workspace.deployments.targets.values(), key=str)
    found = [_exported(workspace, target) for target in chosen]
    names: dict[str, str] = {}
    for one in found:
        if names.setdefault(one.variable, one.name) != one.name:
            both = f"{names[one.variable]} and {one.name}"
            raise ConfigError(f"{both} would have the same variables", hint="rename one of them")
    return found


def _exported(workspace: Workspace, target: Target) -> ExportedTarget:
    """Return all that may answer for a target, each with what is to be known of it."""
    task, sha = workspace.policy.tasks.get(target.task), workspace.sha
    live, tried = bundles.live_bundle(target, sha), bundles.tried_bundle(target, sha)
    newest, row = target.newest, target.canary_release
    known = partial(_model, workspace, task)
    older, seen = [], {live}
    for release in target.made_live:  # the newest of each model and prompt that is still as it was
        bundle = release.bundle
        is_whole = not bundle.profile or sha(bundle.profile) == bundle.profile_sha
        if bundle not in seen and is_whole and not target.hold_on(bundle, _ALWAYS):
            older.append(known(bundle, release.n, ""))
        seen.add(bundle)
    number = newest.n if newest and bundles.is_recorded(target, live) else None
    return ExportedTarget(
        name=str(target),
        live=known(live, number, "live"),
        canary=known(tried, row.n if row else None, "canary") if tried else None,
        weight=target.canary.weight if target.canary else 0,
        older=tuple(older[:_OLDER]),
        fallback=tuple(
            known(workspace.bundle(said.model, said.provider, said.profile), None, "fallback")
            for said in (task.fallback if task else ())
            if not target.hold_on(bundles.live_bundle(said, sha), _ALWAYS)
        ),
    )


def _model(
    workspace: Workspace, task: Task | None, bundle: Bundle, release: int | None, role: str
) -> ExportedModel:
    """Return a model with its prompt; of dates those count that need no question."""
    if bundle.profile:
        workspace.require_profile(bundle.profile)
    profile = workspace.profile(bundle.profile) if bundle.profile else None
    ends = find_shutdown(bundle.model, None, bundle.provider == OPENAI)
    named = [one.model for one in (task.successors if task else ())]
    named += [replacement_for(bundle.model)] if bundle.provider == OPENAI else []
    return ExportedModel(
        bundle.model,
        bundle.provider,
        bundle.profile,
        profile.content if profile else {},
        release,
        ends.date if ends else None,
        next((name for name in named if ends and name not in {"", bundle.model}), None),
        role,
    )
