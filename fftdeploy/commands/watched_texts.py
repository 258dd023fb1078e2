"""Writes the page of what was watched, with the answers that are still on this machine."""

from collections.abc import Sequence
from pathlib import Path

from fftdeploy import files
from fftdeploy.commands.context import Context
from fftdeploy.errors import UsageError
from fftdeploy.evaluation.running import run_log
from fftdeploy.files.folders import RUNS
from fftdeploy.monitoring import state_file
from fftdeploy.monitoring.watched import Watched
from fftdeploy.output.page.watch_page import WatchedPart, watch_page


def require_page(out: str | Path | None) -> None:
    """Refuse, before anybody is asked, a name that is none of a page.

    Raises:
        UsageError: It does not end in `.html`.
    """
    if out is not None and Path(out).suffix not in {".html", ".htm"}:
        raise UsageError(f"{Path(out).name!a} is no page", hint="fftdeploy monitor -o watched.html")


def write_page(context: Context, out: str | Path, watched: Sequence[Watched]) -> None:
    """Write the page; DiskError where the disk refuses."""
    parts = [_part(context.workspace.folder, one) for one in watched]
    page = watch_page(parts, context.now(), context.secrets)
    files.put(Path.cwd() / out, page.encode())


def _part(root: Path, one: Watched) -> WatchedPart:
    kept = state_file.read_state(root, one.target)
    newest = next((look for look in reversed(kept.looks) if look.moved), one.look)
    then = kept.calibration.answers.run if kept.calibration and one.look.moved else ""
    now = newest.runs[-1] if newest.runs and one.look.moved else ""
    return WatchedPart(one, kept.looks, _texts(root, then), _texts(root, now))


def _texts(root: Path, run: str) -> dict[str, str]:
    """Return the first answer to each example in a log; none where it is not here."""
    if not run or not (root / RUNS / run).is_file():
        return {}
    found = run_log.outputs(root / RUNS / run, root)
    return {
        name: next(iter(sorted(repeats.items())))[1].text
        for name, arms in found.items()
        for repeats in arms.values()
    }
