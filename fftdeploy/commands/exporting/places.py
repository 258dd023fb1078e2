"""Where exports are, and whether they are what the files say."""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fftdeploy import files
from fftdeploy.commands.context import Context
from fftdeploy.commands.exporting.exported_targets import exported_targets
from fftdeploy.errors import ConfigError, DiskError, UsageError
from fftdeploy.files import disk
from fftdeploy.planning.finding import Finding
from fftdeploy.routing.exports import FORMATS, ExportedTarget
from fftdeploy.workspace import Workspace, shown_path

if TYPE_CHECKING:  # most exports are compared with no base
    from fftdeploy.pull_request.base_ref import BaseRef


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

    def require(self, folder: Path) -> None:
        """Refuse to write over, or among, what is no export of this format.

        Raises:
            UsageError: It is that.
            DiskError: The folder would take no file.
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
        inside = self.root.resolve()
        try:
            wrong = disk.folder_problem(inside, real.parent.relative_to(inside).parts)
        except OSError as error:
            wrong = disk.reason(error)
        if wrong:
            raise DiskError(f"{wrong} writing {self.shown}", where=self.shown)

    def _is_export(self, data: bytes) -> bool:
        try:
            return not data or bool(re.fullmatch(FORMATS[self.kind].like, data.decode()))
        except ValueError:
            return False


def declared_places(
    context: Context, named: Mapping[str, str], file_option: str
) -> list[ExportPlace]:
    """Return the places of exports, each named by its path from the folder, with its format."""
    workspace, beside, places = context.workspace, Path(context.place).parent, []
    for name, kind in named.items():
        path, hint = workspace.folder / name, "fftdeploy export"
        if workspace.policy.exports.get(name) != kind:  # only the base declares it
            hint += f" {kind} -o {shlex.quote(shown_path(path))}"
        shown = str(beside / name)
        places.append(ExportPlace(kind, path, workspace.folder, shown, hint + file_option))
    return places


def stale_exports(
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
    targets = exported_targets(context.workspace)
    at_fork = [one.exports for one in base.policies[1:]] if base else []
    since = {*lacking} - now.keys() - {name for exports in at_fork for name in exports}
    gone = {name: kind for name, kind in lacking.items() if name not in since}
    named = {**gone, **now} if leave else {**now, **gone}
    if base:
        later = {name: kind for name, kind in lacking.items() if name in since}
        named |= {name: kind for name, kind in later.items() if _alters(base, targets, kind)}
    found = []
    for one in declared_places(context, named, file_option):
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


def _alters(base: "BaseRef", targets: list[ExportedTarget], kind: str) -> bool:
    """Tell whether the change alters what is written: where not, a merge leaves it current."""
    write = FORMATS[kind].write
    try:
        return write(exported_targets(base.fork)) != write(targets)
    except ConfigError:
        return True


def due_exports(context: Context, workspace: Workspace) -> list[tuple[ExportPlace, str]]:
    """List which declared exports `workspace` makes stale, each with what it has to say.

    Raises:
        UsageError: Something else is in the place of one.
        DiskError: The folder of one would take no file.
        ConfigError: A profile is missing, or two targets would have the same variables.
    """
    named = workspace.policy.exports
    targets = exported_targets(workspace) if named else []
    places = declared_places(context, named, context.file_option)
    texts = [(one, FORMATS[one.kind].write(targets)) for one in places]
    due = [(one, text) for one, text in texts if one.stale(text)]
    for one, _ in due:
        one.require(workspace.folder)
    return due
