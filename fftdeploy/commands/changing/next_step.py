"""The line to type after a change."""

import shlex
from contextlib import suppress
from pathlib import Path

from fftdeploy import git
from fftdeploy.commands.changing.change import Changed
from fftdeploy.commands.context import Context
from fftdeploy.errors import UsageError
from fftdeploy.files.folders import FOLDER
from fftdeploy.planning.bundles import live_bundle, tried_bundle
from fftdeploy.releases.deployments import Target
from fftdeploy.workspace import shown_path


def next_step(context: Context, result: Changed, *more: Changed) -> str:
    """Return the line to type after a change that was made, or after several in one go."""
    made, name = result.plan, f"{result.target}{context.file_option}"
    if result.release is None and (rescue := _rescue(context, made.after)):
        return f"{rescue}{context.file_option}"
    names = dict.fromkeys(name for one in (result, *more) for name in one.exports or ())
    is_stale = bool(names) and not result.commit
    step = ""
    with suppress(UsageError):  # without git, or an answer of it, there is nothing to commit
        repository = git.open_repository(context.workspace.folder, context.environ)
        file, *others = context.workspace.files_of(made)
        others += [path for one in more for path in context.workspace.files_of(one.plan)]
        if result.commit:
            step = git.pushing_line(repository)
        else:
            declared = [context.workspace.folder / name for name in names]
            exports = repository.not_ignored(declared)
            step = _committing(repository, file, others, exports)
    if is_stale:
        return " && ".join(filter(None, (f"fftdeploy export{context.file_option}", step)))
    return step or f"fftdeploy status {name}"


def _rescue(context: Context, target: Target) -> str:
    """Return the command that takes out of service what answers in `target` and is on hold."""
    shas = context.workspace.tolerating(lambda _: None).sha  # what is wrong was said before
    tried = tried_bundle(target, shas)
    if target.hold_on(live_bundle(target, shas), context.now()):
        return f"fftdeploy rollback {target}"
    if tried and target.hold_on(tried, context.now()):
        return f"fftdeploy rollback {target} --canary"
    return ""


def _committing(
    repository: git.Repository, file: Path, others: list[Path], exports: list[Path]
) -> str:
    """Return the line that commits a change: its file, and what the last commit lacks of others.

    The `exports` are yet to be written.
    """
    paths = [file, *(path for path in others if not repository.is_committed(path)), *exports]
    # Of evidence, whose names are long, its folder is named.
    inner = [next((up for up in path.parents if up.name == FOLDER.name), path) for path in paths]
    shown = [*dict.fromkeys(map(shown_path, inner))]
    options_end = ["--"] if any(name.startswith("-") for name in shown) else []
    names = shlex.join([*options_end, *shown])
    if all(repository.is_tracked(path) for path in paths):
        return f"git commit {names}"
    return f"git add {names} && git commit"
