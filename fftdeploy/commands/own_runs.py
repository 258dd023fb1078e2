"""Tells answers that this machine was given from those that came with a commit."""

from collections.abc import Mapping
from pathlib import Path

from fftdeploy.errors import ConfigError, UsageError
from fftdeploy.evaluation.running import run_log
from fftdeploy.files.folders import RUNS
from fftdeploy.git import index


def require_own_runs(folder: Path, task: str, environ: Mapping[str, str]) -> None:
    """Refuse the answers of others, which would decide as if they had been given here.

    Raises:
        ConfigError: git tracks a log of a run of `task`'s folder.
    """
    if not run_log.headers(folder, task):
        return
    try:
        committed = index.tracked(folder, [str(RUNS)], environ)
    except UsageError:  # no repository: nobody has committed anything
        return
    if committed:
        raise ConfigError(
            f"{committed[0]} is committed: its answers would count as this machine's own",
            hint=f"git rm -r --cached -- {RUNS}",
            code="committed-run",
        )
