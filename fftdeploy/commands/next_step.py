"""What to type after a change: git's lines, or the command that comes next."""

import shlex
from contextlib import suppress
from pathlib import Path

from fftdeploy import git
from fftdeploy.commands.change import Changed
from fftdeploy.commands.context import Context
from fftdeploy.errors import UsageError
from fftdeploy.files.folders import FOLDER
from fftdeploy.workspace import shown_path


def next_step(context: Context, result: Changed, *more: Changed) -> str:
    """Return the line to type after a change that was made, or after several in one go."""
    made, name = result.plan, f"{result.target}{context.file_option}"
    holds_live = result.release is None and any(
        hold.is_active(hold.since) and hold.model == made.after.model for hold in made.touched_holds
    )
    if holds_live:
        return f"fftdeploy rollback {name}"
    step = ""
    with suppress(UsageError):  # without git, or an answer of it, there is nothing to commit
        repository = git.open_repository(context.workspace.folder, context.environ)
        file, *others = context.workspace.files_of(made)
        others += [path for one in more for path in context.workspace.files_of(one.plan)]
        step = (
            git.pushing_line(repository) if result.commit else _committing(repository, file, others)
        )
    return step or f"fftdeploy status {name}"


def _committing(repository: git.Repository, file: Path, others: list[Path]) -> str:
    """Return the line that commits a change: its file, and what the last commit lacks of others."""
    paths = [file, *(path for path in others if not repository.is_committed(path))]
    shown = [*dict.fromkeys(map(_shown_to_git, paths))]
    options_end = ["--"] if any(name.startswith("-") for name in shown) else []
    names = shlex.join([*options_end, *shown])
    if all(repository.is_tracked(path) for path in paths):
        return f"git commit {names}"
    return f"git add {names} && git commit"


def _shown_to_git(path: Path) -> str:
    """Name a file of a commit, or the folder of evidence, whose names are long."""
    folder = next((up for up in path.parents if up.name == FOLDER.name), None)
    return shown_path(folder or path)
