"""Deployments and policy files elsewhere in the tree than the one that is looked at.

Applications take the nearest file: one that is nearer to a program decides what that one calls.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import NamedTuple

from fftdeploy import files, git
from fftdeploy.planning.finding import Finding
from fftdeploy.policy import policy
from fftdeploy.workspace import Workspace

CODE = "second-file"
NAMES = frozenset({files.NAME, policy.FILE_NAME})
# In any case, as some file systems find them; a folder or a submodule can have such a name, too.
_PATTERNS = (":(top,icase)*.toml", ":(top,icase)*.toml/*")
_SUBMODULE = "160000"
_COMMAND_LAST = re.compile(r"(^|: )fftdeploy [^,;]+$")
_ADVICE = "set FFTDEPLOY_FILE for applications, and: fftdeploy check --file"


class Elsewhere(NamedTuple):
    """What a change does to such files, each by its path from the top of the work tree."""

    there: list[str]
    """What the change has."""
    added: list[str]
    """What it has and its base has not."""
    removed: list[str]
    touched: list[str]
    """Deployments files of the base, not removed, in whose folders something has changed."""
    submodules: list[str]
    """Submodules that are new, or at another commit; what is in them is not looked at."""


def tracked(workspace: Workspace, environ: Mapping[str, str]) -> list[str]:
    """List the other files that git tracks; none outside of a repository.

    Raises:
        UsageError: There is no git, or it does not say.
    """
    if not (workspace.snapshot.root / ".git").exists():
        return []
    repository = git.open_repository(workspace.folder, environ)
    found = {held.path for held in repository.tracked(*_PATTERNS)}
    if repository.commit_or_none("HEAD"):
        changed = repository.changed_since("HEAD", *_PATTERNS)
        found |= {path for path, (old, _) in changed.items() if old.mode}
    return _places(found, own(workspace, repository))


def compare(
    repository: git.Repository, workspace: Workspace, parted: str, tip: str, committed: git.Changes
) -> Elsewhere:
    """Compare what git's index or HEAD has with the commits where a change `parted` and is to go.

    An index may be empty, or another commit's: what HEAD has or changes, it does all the same.
    `committed` is what HEAD has otherwise than `parted`.

    Raises:
        UnansweredError: This clone lacks a folder of a commit that may differ.
    """
    mine = own(workspace, repository)
    staged = repository.changed_since(parted)
    tracked = {held.path: held for held in repository.tracked(*_PATTERNS)}
    changed = {**staged, **committed}
    base = {path: old for path, (old, _) in changed.items() if old.mode}
    base |= {path: held for path, held in tracked.items() if path not in changed}
    head = {**base, **{path: new for path, (_, new) in committed.items()}}
    head = {path: held for path, held in head.items() if held.mode}
    there, before, kept = (_places(p, mine) for p in ([*tracked, *head], base, head))
    added = [path for path in there if path not in before]
    if added and tip != parted:  # what was merged meanwhile as it is here is not of this change
        merged = repository.held(tip, *added)
        added = [p for p in added if not _is_merged(p, merged, tracked, head)]
    main = repository.spell(workspace.snapshot.path)
    if before and main in changed and not changed[main][0].mode:
        added.insert(0, main)  # the base has others: this one was moved here, or put nearer
    return Elsewhere(
        there=there,
        added=added,
        removed=[path for path in before if path not in kept],
        touched=[path for path in kept if path in before and _is_touched(path, changed)],
        submodules=sorted(_submodules(staged) | _submodules(committed)),
    )


def _submodules(changed: git.Changes) -> set[str]:
    return {path for path, (_, new) in changed.items() if new.mode == _SUBMODULE}


def own(workspace: Workspace, repository: git.Repository) -> frozenset[str]:
    """Return the paths of the file that is looked at, and of the policy beside it."""
    beside = workspace.folder / policy.FILE_NAME
    named = workspace.folder / workspace.snapshot.path.name
    folder = repository.spell(workspace.folder)
    spelled = {f"{folder}/{path.name}".removeprefix("./") for path in (named, beside)}
    return frozenset({*spelled, *map(repository.spell, (workspace.snapshot.real, beside))})


def is_named(path: str) -> bool:
    """Tell whether `path` is called as a deployments file or a policy is."""
    return PurePosixPath(path).name.casefold() in NAMES


def is_deployments(path: str) -> bool:
    """Tell whether `path` is called as a deployments file is, and not as a policy."""
    return PurePosixPath(path).name.casefold() == files.NAME


def notice(path: str, shown: str) -> Finding:
    """Return a notice about a file that is there, and that findings call `shown`."""
    what = f"what runs in {_folder(path)} calls what it says"
    if not is_deployments(path):
        what = f"it is the policy of a deployments file in {_folder(path)}"
    hint = f"{_ADVICE} {shlex.quote(shown)}" if is_deployments(path) else ""
    return Finding(CODE, "notice", shown, f"a second file: {what}", shown, 1, hint)


def errors(found: Elsewhere, shown: Callable[[str], str]) -> Iterator[Finding]:
    """Yield an error about each file that a change adds, moves or removes; `shown` names them."""
    hint = "leave it out; a maintainer may --allow-policy-change"
    for path in found.added:
        what = f"what runs in {_folder(path)} would call what it says"
        if not is_deployments(path):
            what = f"a deployments file in {_folder(path)} would be judged by it"
        message = f"{path} comes with this change: {what}"
        yield Finding(CODE, "error", shown(path), message, shown(path), 1, hint)
    for path in found.removed:
        message = f"{path} is gone: what runs in {_folder(path)} would call what another says"
        yield Finding(CODE, "error", path, message, hint=hint.replace("leave it out", "keep it"))
    for path in found.submodules:
        message = f"the submodule {path} changes, and nobody has looked for files in it"
        yield Finding(CODE, "notice", path, message)


def _places(paths: Iterable[str], mine: frozenset[str]) -> list[str]:
    """Return where programs would find a file of such a name: `a/deployments.toml`."""
    found = (_place(path) for path in paths)
    return sorted({place for place in found if place and place not in mine})


def _place(path: str) -> str:
    parts = path.split("/")
    named = (n for n, part in enumerate(parts, 1) if part.casefold() in NAMES)
    return "/".join(parts[: next(named, 0)])


def _is_merged(path: str, merged: Mapping[str, git.Held], *ours: Mapping[str, git.Held]) -> bool:
    """Tell whether `path` was merged as we have it, in the index and in HEAD."""
    found = {(held[path].mode, held[path].content) for held in (merged, *ours) if path in held}
    return path in merged and any(path in held for held in ours) and len(found) == 1


def _is_touched(path: str, changed: Iterable[str]) -> bool:
    folder = path.rpartition("/")[0]
    beside = f"{folder}/" if folder else ""
    return is_deployments(path) and any(name.startswith(beside) for name in changed)


def _folder(path: str) -> str:
    return path.rpartition("/")[0] or "the top folder"


def of_file(name: str, finding: Finding) -> Finding:
    """Return a finding with the file that it is in: its targets may be called as ours are."""
    subject, hint = finding.subject, finding.hint
    if subject != name:
        subject = f"{name} {subject}"
    if _COMMAND_LAST.search(hint):
        hint += f" --file {shlex.quote(name)}"
    return replace(finding, subject=subject, hint=hint)
