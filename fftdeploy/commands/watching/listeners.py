"""Whom `monitor` tells what it has found, and the page that it writes for all others."""

from collections.abc import Sequence
from pathlib import Path

from fftdeploy import files
from fftdeploy.commands.context import Context, require_page
from fftdeploy.commands.options.asking import MonitorOptions
from fftdeploy.errors import UsageError
from fftdeploy.evaluation.running import run_log
from fftdeploy.files.folders import RUNS
from fftdeploy.monitoring import state_file
from fftdeploy.monitoring.watched import Watched
from fftdeploy.names import not_one_of
from fftdeploy.output.page.watch_page import WatchedPart, watch_page


def require_there(options: MonitorOptions) -> None:
    """Refuse, before anything is asked, whom nobody could tell anything."""
    from fftdeploy.telling.issues import FORGES

    if options.issues and options.issues not in FORGES:
        raise UsageError(**not_one_of("--issues", options.issues, [*FORGES]))
    if options.prom_file is not None and Path(options.prom_file).suffix != ".prom":
        hint = "name a file that ends in .prom: a node exporter reads no other"
        raise UsageError(f"--prom-file: {options.prom_file} is no FILE.prom", hint=hint)
    if options.prom_file is not None and not Path(options.prom_file).absolute().parent.is_dir():
        raise UsageError(f"--prom-file: there is no folder {Path(options.prom_file).parent}")
    if options.out is not None:
        require_page(options.out, "fftdeploy monitor -o watched.html")


def tell(context: Context, options: MonitorOptions, watched: Sequence[Watched]) -> None:
    """Tell everybody; only a file that was asked for may fail."""
    from fftdeploy.telling.everybody import Telling
    from fftdeploy.telling.prometheus import exposition

    now, console = context.now(), context.console
    folder, sleep = context.workspace.folder, context.clock.sleep
    Telling(folder, context.environ, now, console.note, sleep, options.issues).tell(watched)
    if options.prom_file is not None:
        files.put(Path(options.prom_file).absolute(), exposition(watched, now).encode())
    if options.out is not None:
        page = watch_page([_part(folder, one) for one in watched], context.now(), context.secrets)
        files.put(Path.cwd() / options.out, page.encode())


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
