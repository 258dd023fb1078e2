"""Whom `monitor` tells what it has found."""

from collections.abc import Sequence
from pathlib import Path

from fftdeploy import files
from fftdeploy.commands.context import Context
from fftdeploy.commands.options.asking import MonitorOptions
from fftdeploy.errors import UsageError
from fftdeploy.monitoring.watched import Watched
from fftdeploy.names import not_one_of


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


def tell(context: Context, options: MonitorOptions, watched: Sequence[Watched]) -> None:
    """Tell everybody; only the file that was asked for may fail."""
    from fftdeploy.telling.everybody import Telling
    from fftdeploy.telling.prometheus import exposition

    now, console = context.now(), context.console
    folder, sleep = context.workspace.folder, context.clock.sleep
    Telling(folder, context.environ, now, console.note, sleep, options.issues).tell(watched)
    if options.prom_file is not None:
        files.put(Path(options.prom_file).absolute(), exposition(watched, now).encode())
