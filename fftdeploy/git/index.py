"""Lists what git tracks, by its index, and by HEAD where that is another commit's or lost."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fftdeploy.errors import UnansweredError, UsageError
from fftdeploy.git.objects import listed
from fftdeploy.git.process import LITERAL, TIMEOUT_S, ask, last_line
from fftdeploy.git.repository import Repository, open_repository
from fftdeploy.git.unanswered import Held

_LEFT_OUT = "S"  # by a sparse checkout; `ls-files -t` calls it skip-worktree


class Tracked(NamedTuple):
    """A regular file that git tracks."""

    held: Held
    is_away: bool
    """Nobody has deleted it from the disk: it was never put there."""
    is_staged: bool = True
    """The index has it, not only HEAD."""


def tracked(folder: Path, names: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """List the regular files that git tracks at or below `names`, in its order, by one process.

    Names are spelled from `folder`, which is in a work tree, without `.` and `..`; "" is all of it.
    A file that conflicts is named once, one that is not on the disk too.

    Raises:
        UsageError: There is no git, no work tree, or no answer.
    """
    return list(_entries(folder, names, environ))


def tracked_by_head_too(repository: Repository, names: Sequence[str]) -> list[Tracked]:
    """List the regular files that the index or HEAD has at or below `names`, from the top.

    Raises:
        UsageError: Neither has anything at all, or git does not answer.
    """
    about = (repository.environ, repository.timeout_s)
    found = _entries(repository.toplevel, names, *about)
    is_empty = not found and not _entries(repository.toplevel, [""], *about)
    below = os.path.commonpath(names)
    try:
        changed = repository.changed_since("HEAD", f":(top,literal){below}" if below else ":/")
    except UnansweredError:
        if repository.commit_or_none("HEAD") is not None:
            raise
        changed = {}  # before the first commit
    if is_empty and not changed:
        raise UsageError("git's index is empty")
    wanted = frozenset(names)
    for name, (before, after) in changed.items():
        if before.is_file and not after.mode and _is_wanted(name, wanted):
            found[name] = Tracked(before._replace(commit=""), is_empty, is_staged=False)
    return list(found.values())


def restoring_line(folder: Path, path: Path, environ: Mapping[str, str]) -> str:
    """Return the line that puts a file that is gone back on the disk; "" where git knows of none.

    `folder` is above it, and there.
    """
    try:
        repository = open_repository(folder, environ)
        name = repository.spell(path)
        found = tracked_by_head_too(repository, [name])
    except UsageError:
        return ""
    top = repository.toplevel
    command = "git" if Path.cwd() == top else f"git -C {shlex.quote(str(top))}"
    for one in found:
        if one.is_staged and one.is_away:
            return f"{command} sparse-checkout add {shlex.quote(os.path.dirname(name) or name)}"  # noqa: PTH120  as git writes it
        staged = "" if one.is_staged else "HEAD "
        return f"{command} checkout {staged}-- {shlex.quote(name)}"
    return ""


def _entries(
    folder: Path, names: Sequence[str], environ: Mapping[str, str], timeout_s: float = TIMEOUT_S
) -> dict[str, Tracked]:
    # One pathspec whatever the number of names: git compares each file with each of them.
    common = os.path.commonpath(names) or "."
    command = (LITERAL, "ls-files", "-z", "-t", "--stage", "--", common)
    answer = ask(folder, command, environ, timeout_s)
    if answer.returncode:
        raise UsageError(f"git ls-files failed: {last_line(answer.stderr)}")
    found: dict[str, Tracked] = {}
    wanted = frozenset(names)
    for (tag, mode, content, _), path in listed(answer.stdout):
        held = Held("", path, mode, content)
        if held.is_file and _is_wanted(held.path, wanted):
            found.setdefault(held.path, Tracked(held, tag == _LEFT_OUT))
    return found


def _is_wanted(name: str, wanted: frozenset[str]) -> bool:
    """Tell whether a file, or a folder that it is in, is `wanted`."""
    folders = (name[:place] for place, char in enumerate(name) if char == "/")
    return "" in wanted or not wanted.isdisjoint([name, *folders])
