"""Whom `monitor` tells what it has found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fftdeploy import files
from fftdeploy.commands.context import Context
from fftdeploy.errors import UsageError
from fftdeploy.monitoring.watched import Watched
from fftdeploy.names import not_one_of


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Who is told; the channel of `FFTDEPLOY_WEBHOOK_URL` always is."""

    prom_file: str | Path | None = None
    """Write what was found to this file, for Prometheus."""
    issues: str = ""
    """Keep an issue for each target on a forge, `github` or `gitlab`, from a job of its own."""

    def require_there(self) -> None:
        """Refuse, before anything is asked, whom nobody could tell anything."""
        from fftdeploy.telling.issues import FORGES

        if self.issues and self.issues not in FORGES:
            raise UsageError(**not_one_of("--issues", self.issues, [*FORGES]))
        if self.prom_file is not None and Path(self.prom_file).suffix != ".prom":
            hint = "name a file that ends in .prom: a node exporter reads no other"
            raise UsageError(f"--prom-file: {self.prom_file} is no FILE.prom", hint=hint)
        if self.prom_file is not None and not Path(self.prom_file).absolute().parent.is_dir():
            raise UsageError(f"--prom-file: there is no folder {Path(self.prom_file).parent}")

    def tell(self, context: Context, watched: Sequence[Watched]) -> None:
        """Tell everybody; only the file that was asked for may fail."""
        from fftdeploy.telling.everybody import Telling
        from fftdeploy.telling.prometheus import exposition

        now, console = context.now(), context.console
        folder, sleep = context.workspace.folder, context.clock.sleep
        Telling(folder, context.environ, now, console.note, sleep, self.issues).tell(watched)
        if self.prom_file is not None:
            files.put(Path(self.prom_file).absolute(), exposition(watched, now).encode())
