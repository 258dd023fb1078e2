"""Tells answers that this machine was given from those that came with a commit."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from fftdeploy.commands.context import Context
from fftdeploy.errors import ConfigError, UsageError
from fftdeploy.files.folders import FOLDER, MONITOR, RUNS
from fftdeploy.git import index


def require_own_runs(folder: Path, environ: Mapping[str, str]) -> None:
    """Refuse the answers of others, which would decide as if they had been given here.

    Raises:
        ConfigError: git tracks a log of a run, of whatever task or judge, or one is a link, or
            another repository's.
    """
    _require_own(folder, RUNS, environ, "its answers would count as this machine's own")


def require_own_looks(folder: Path, environ: Mapping[str, str]) -> None:
    """Refuse what others say of earlier looks: it decides what counts as changed, and is told.

    Raises:
        ConfigError: git tracks a file of what was watched, or one is a link, or another
            repository's.
    """
    _require_own(folder, MONITOR, environ, "its looks would count as this machine's own")


def has_own_looks(context: Context, *, is_needed: bool) -> bool:
    """Tell whether looks are this machine's own; ConfigError where that `is_needed`."""
    try:
        require_own_looks(context.workspace.folder, context.environ)
    except ConfigError:
        if is_needed:
            raise
        return False
    return True


def _require_own(folder: Path, below: Path, environ: Mapping[str, str], why: str) -> None:
    if not (folder / below).is_dir() and not (folder / below).is_symlink():
        return
    if place := next(_led_away(folder, below), None):
        what = "a link" if (folder / place).is_symlink() else "another repository"
        hint = "put the folder itself there"
        raise ConfigError(f"{place} is {what}: {why}", hint=hint, code="linked-state")
    try:
        committed = index.tracked(folder, [str(below)], environ)
    except UsageError:  # no repository: nobody has committed anything
        return
    if committed:
        raise ConfigError(
            f"{committed[0]} is committed: {why}",
            hint=f"git rm -rf -- {below}",  # from the disk, too: there they would count
            code="committed-run" if below == RUNS else "committed-looks",
        )


def _led_away(folder: Path, below: Path) -> Iterator[Path]:
    """Yield what of the folder's own way there, or in it, is a link, or a submodule's."""
    inside = sorted((folder / below).rglob("*"))
    places = [FOLDER, FOLDER / ".git", below, *(path.relative_to(folder) for path in inside)]
    for place in places:
        if (folder / place).is_symlink():
            yield place
        elif place.name == ".git" and (folder / place).exists():
            yield place.parent
