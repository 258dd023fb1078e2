"""What git tracks, as its index says it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from fftdeploy.errors import UsageError
from fftdeploy.git.process import INERT, LITERAL, QUIET, TIMEOUT_S, last_line, question_environ, run

_REGULAR = (b"100644", b"100755")  # and neither links, 120000, nor submodules, 160000


def tracked(
    folder: Path, names: Sequence[str], environ: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
) -> list[str]:
    """List the regular files that git tracks at or below `names`, in its order, by one process.

    Names are spelled from `folder`, which is in a work tree, without `.` and `..`; "" is all of it.
    A file that conflicts is named once, one that is not on the disk too.

    Raises:
        UsageError: There is no git, no work tree, or no answer within `timeout_s`.
    """
    # One pathspec whatever the number of names: git compares each file with each of them.
    common = os.path.commonpath(names) or "."
    command = (*QUIET, *INERT, LITERAL, "ls-files", "-z", "--stage", "--", common)
    answer = run(folder, command, question_environ(environ), timeout_s)
    if answer.returncode:
        raise UsageError(f"git ls-files failed: {last_line(answer.stderr)}")
    entries = (entry.partition(b"\t") for entry in answer.stdout.split(b"\0") if entry)
    found = dict.fromkeys(os.fsdecode(name) for mode, _, name in entries if mode[:6] in _REGULAR)
    wanted = frozenset(names)
    return [name for name in found if "" in wanted or not wanted.isdisjoint(_at_or_above(name))]


def _at_or_above(name: str) -> list[str]:
    """Return `name` and the folders that it is in."""
    slashes = [place for place, char in enumerate(name) if char == "/"]
    return [name, *(name[:place] for place in slashes)]
